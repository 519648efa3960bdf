"""The table of alarm bits: whole, mapped to kinds that exist, and the same by the looked-up columns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.jt808.alarms import (
    ALARMS,
    CONFIRM_NAMES,
    STATUS_NAMES,
    VIDEO_ALARMS,
    AlarmBit,
    area_kind,
    confirm_bits,
    kind_bit,
    kind_bits_lut,
    to_kind_bits,
    video_kind_bits,
)
from model.codes import ALARM_BY_NAME, alarm_names


def test_every_bit_stands_in_the_table_once() -> None:
    assert [one.bit for one in ALARMS] == list(range(32))
    assert [one.bit for one in VIDEO_ALARMS] == list(range(7))
    for table in (ALARMS, VIDEO_ALARMS):
        assert len({one.name for one in table}) == len(table)
        for one in table:
            assert one.kind in ALARM_BY_NAME
            assert one.words.en
            assert one.words.zh
    assert len(set(STATUS_NAMES.values())) == len(STATUS_NAMES)


def test_what_clears_a_bit() -> None:
    """By the standard: an emergency and a danger warning wait for the desk, seven others for a reply, the rest for their cause."""
    latches = {latch: {one.bit for one in ALARMS if one.latch == latch} for latch in ("confirm", "reply", "held")}
    assert latches["confirm"] == {0, 3}
    assert latches["reply"] == {20, 21, 22, 27, 28, 31}
    assert len(latches["held"]) == 24
    assert set(CONFIRM_NAMES) == {0, 3, 20, 21, 22, 27, 28}


@pytest.mark.parametrize(
    ("kind", "bits"),
    [
        ("sos", 1 << 0),
        ("driving_warning", 1 << 3 | 1 << 22),
        ("entered_area", 1 << 20),
        ("left_area", 1 << 20),
        ("route_deviation", 1 << 21),
        ("illegal_move", 1 << 27 | 1 << 28),
        ("overspeed", 0),
        ("nothing", 0),
    ],
)
def test_the_word_that_releases_a_kind(kind: str, bits: int) -> None:
    assert confirm_bits(kind) == bits


@given(st.lists(st.integers(0, 2**32 - 1), max_size=20))
def test_the_columns_say_what_the_table_says(words: list[int]) -> None:
    column = np.array(words, np.uint32)
    for looked_up, table in ((to_kind_bits(column), ALARMS), (video_kind_bits(column), VIDEO_ALARMS)):
        assert looked_up.dtype == np.uint64
        assert looked_up.tolist() == [_slowly(word, table) for word in words]


def _slowly(word: int, table: tuple[AlarmBit, ...]) -> int:
    made = 0
    for one in table:
        if word >> one.bit & 1:
            made |= kind_bit(one.kind)
    return made


def test_the_table_of_bytes_is_made_once_and_stays() -> None:
    assert kind_bits_lut() is kind_bits_lut()
    assert not kind_bits_lut().flags.writeable
    assert kind_bits_lut().shape == (4, 256)


def test_some_bits_by_name() -> None:
    words = np.array([1, 1 << 8, 1 << 5 | 1 << 30, 1 << 1 | 1 << 13], np.uint32)
    names = [alarm_names(int(bits)) for bits in to_kind_bits(words)]
    assert names == [["sos"], ["power_cut"], ["rollover", "antenna_cut"], ["overspeed", "driving_warning"]]
    assert [area_kind(0), area_kind(1)] == ["entered_area", "left_area"]
