"""Every alarm bit of 905 once, and their way to our kinds."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.jt905.alarms import ALARMS, STATUS_NAMES, AlarmBit, to_kind_bits
from model.codes import ALARM_BY_NAME, alarm_names


def test_every_bit_of_the_standard_stands_there_once() -> None:
    assert [one.bit for one in ALARMS] == list(range(29))
    assert len({one.name for one in ALARMS}) == 29
    assert len({one.words.zh for one in ALARMS}) == 29


def test_every_kind_is_one_of_ours() -> None:
    assert {one.kind for one in ALARMS} <= set(ALARM_BY_NAME)


def test_what_clears_a_bit() -> None:
    assert {one.bit for one in ALARMS if one.latch == "reply"} == {20, 21, 22, 24, 25}
    assert {one.bit for one in ALARMS if one.latch == "confirm"} == {0}


@pytest.mark.parametrize("one", ALARMS, ids=lambda one: one.name)
def test_a_bit_alone_becomes_its_kind_alone(one: AlarmBit) -> None:
    bits = to_kind_bits(np.array([1 << one.bit], np.uint32))
    assert alarm_names(int(bits[0])) == [one.kind]


def test_words_become_the_union_of_their_bits() -> None:
    seed = 905
    print("seed", seed)
    words = np.random.default_rng(seed).integers(0, 1 << 32, 500, np.uint32)
    got = to_kind_bits(words)
    assert got.dtype == np.uint64
    for word, bits in zip(words.tolist(), got.tolist(), strict=True):
        kinds = {one.kind for one in ALARMS if word >> one.bit & 1}
        assert set(alarm_names(bits)) == kinds
    assert to_kind_bits(np.array([0, 0xE0000000], np.uint32)).tolist() == [0, 0]  # 29 to 31 mean nothing


def test_the_fix_bit_is_the_other_way_round() -> None:
    assert STATUS_NAMES[0] == "no_fix"
    assert (STATUS_NAMES[8], STATUS_NAMES[9]) == ("ignition", "hired")
