"""The gap metric: what the device counted and what did not come."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from tests.analytics.keeper import BUFFERED, NOW_MS, Keeper, batch


def _seq(seq: int, second: int | None = None, **more: Any) -> dict[str, Any]:
    at = seq if second is None else second
    return (
        {"seq": seq, "time_ms": NOW_MS + at * 1_000, "received_ms": NOW_MS, "flags": BUFFERED}
        | more
        | {"received_ms": NOW_MS + 86_400_000}
    )


@pytest.mark.parametrize("cut", [1, 100])
@pytest.mark.parametrize(
    ("seqs", "missing"),
    [
        ([1, 2, 3], 0),
        ([1, 2, 6, 7, 9], 4),
        ([500], 0),
        ([1, 5, 3], 2),
        ([1, 5, 3, 3, 2, 4], 0),
        ([1, 5, 5, 1], 3),
        ([10, 9, 8], 0),
        ([1, 3, 100, 2], 96),
        ([1, 3, 100, 2, 2], 96),
        ([50, 53, 200, 49, 52, 51, 52], 146),
    ],
)
def test_steps_and_late_fillers(keeper: Keeper, seqs: list[int], missing: int, cut: int) -> None:
    rows = [_seq(seq) for seq in seqs]
    keeper.feed_all(batch(rows[at : at + cut]) for at in range(0, len(rows), cut))
    assert keeper.missing == missing


@pytest.mark.parametrize("cut", [1, 7, 1_000])
def test_the_gauge_is_what_did_not_come_in_any_order(keeper: Keeper, cut: int) -> None:
    """Every point three times, shuffled within 200 of each other, every tenth lost."""
    chance = random.Random(1)
    came = [seq for seq in range(1, 600) if seq == 1 or seq % 10]
    moved = sorted((seq + chance.uniform(0, 200) * (seq > 1), seq) for seq in came for _ in range(3))
    rows = [_seq(seq) for _, seq in moved]
    keeper.feed_all(batch(rows[at : at + cut]) for at in range(0, len(rows), cut))
    assert keeper.missing == max(came) - len(came)
    # What comes two days later is found by asking the store.
    keeper.feed_all(batch([_seq(seq)]) for seq in (10, 20, 20, 21, 590, 590))
    assert keeper.missing == max(came) - len(came) - 3


@pytest.mark.parametrize("cut", [1, 100])
def test_a_lower_seq_with_a_newer_time_is_a_new_run(keeper: Keeper, cut: int) -> None:
    rows = [_seq(100, 0), _seq(101, 1), _seq(1, 2), _seq(2, 3), _seq(5, 4), _seq(0, 5), _seq(2, 6)]
    keeper.feed_all(batch(rows[at : at + cut]) for at in range(0, len(rows), cut))
    assert keeper.missing == 3


def test_a_step_beyond_the_limit_is_a_new_run(keeper: Keeper) -> None:
    keeper.feed(batch([_seq(1, 0), _seq(100_001, 1), _seq(200_002, 2)]))
    assert keeper.missing == 99_999


def test_points_of_one_second_out_of_order_are_no_gap(keeper: Keeper) -> None:
    keeper.feed(batch([_seq(1, 0), _seq(4, 1), _seq(3, 1), _seq(2, 1), _seq(5, 2)]))
    assert keeper.missing == 0
    keeper.feed(batch([_seq(8, 3)]))
    keeper.feed(batch([_seq(7, 3)]))
    keeper.feed(batch([_seq(6, 3)]))
    assert keeper.missing == 0


@pytest.mark.parametrize("cut", [1, 100])
def test_a_quarantined_point_was_not_lost(keeper: Keeper, cut: int) -> None:
    rows = [_seq(1), _seq(2, lat=math.nan), _seq(2, lat=math.nan), _seq(3), _seq(4, lat=math.nan), _seq(6)]
    keeper.feed_all(batch(rows[at : at + cut]) for at in range(0, len(rows), cut))
    assert keeper.missing == 1


def test_devices_do_not_mix_and_those_without_seq_have_no_gaps(keeper: Keeper) -> None:
    rows = [
        _seq(1, slot=0),
        _seq(9, slot=1),
        _seq(-1, 5, slot=2),
        _seq(3, slot=0),
        _seq(10, slot=1),
        _seq(-1, 9, slot=2),
    ]
    keeper.feed(batch(rows))
    assert keeper.missing == 1
