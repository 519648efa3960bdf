"""Clocks (F8): ±1 h, ±10 y, frozen, week rollover, +2 d, +8 h, and what they must not do to right points."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.clock import clock_offsets
from model.codes import Mark, Reason
from tests.analytics.keeper import BUFFERED, NOW_MS, Keeper, batch, marks, reasons

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
WEEKS_1024_MS = 1024 * 7 * DAY_MS


def _points(offset_ms: int, rows: int = 5, start: int = 0, **more: int) -> list[dict[str, int]]:
    """Live points every 10 s of a device whose clock is off."""
    return [
        {"time_ms": NOW_MS + at * 10_000 + offset_ms, "received_ms": NOW_MS + at * 10_000, **more}
        for at in range(start, start + rows)
    ]


def _true_times(rows: int = 5, start: int = 0) -> list[int]:
    return [NOW_MS + at * 10_000 for at in range(start, start + rows)]


@pytest.mark.parametrize("offset_ms", [8 * HOUR_MS, HOUR_MS, 14 * HOUR_MS, 5 * HOUR_MS + 45 * MINUTE_MS])
@pytest.mark.parametrize("cut", [1, 5])
def test_ahead_by_a_time_zone_is_corrected_from_the_first_point_and_named(
    keeper: Keeper, offset_ms: int, cut: int
) -> None:
    rows = _points(offset_ms)
    results = keeper.feed_all(batch(rows[at : at + cut]) for at in range(0, 5, cut))
    assert [time for one in results for time in one.points.time_ms.tolist()] == _true_times()
    assert {mark for one in results for mark in marks(one)} == {Mark.CLOCK_CORRECTED}
    slots, offsets = clock_offsets(keeper.state, keeper.limits)
    assert (slots.tolist(), offsets.tolist()) == ([0], [offset_ms])


def test_the_named_offset_is_taken_off_delayed_points_too_and_let_go_when_the_clock_comes_right(
    keeper: Keeper,
) -> None:
    keeper.feed(batch(_points(8 * HOUR_MS)))
    delayed = {"time_ms": NOW_MS + 60_000 + 8 * HOUR_MS, "received_ms": NOW_MS + 60_000 + 7 * MINUTE_MS}
    result = keeper.feed(batch([delayed]))
    assert result.points.time_ms.tolist() == [NOW_MS + 60_000]
    assert marks(result) == [Mark.CLOCK_CORRECTED]
    right = keeper.feed(batch(_points(0, rows=3, start=100)))
    assert marks(right) == [Mark(0)] * 3
    assert len(clock_offsets(keeper.state, keeper.limits)[0]) == 0


@pytest.mark.parametrize("offset_ms", [-HOUR_MS, -8 * HOUR_MS])
def test_behind_by_a_time_zone_is_named_after_three_points_and_the_time_is_kept(keeper: Keeper, offset_ms: int) -> None:
    result = keeper.feed(batch(_points(offset_ms)))
    assert result.points.time_ms.tolist() == [time + offset_ms for time in _true_times()]
    assert marks(result) == [Mark(0), Mark(0)] + [Mark.CLOCK_BEHIND] * 3
    assert clock_offsets(keeper.state, keeper.limits)[1].tolist() == [offset_ms]


def test_one_delayed_point_names_no_offset(keeper: Keeper) -> None:
    keeper.feed(batch(_points(0, rows=3) + _points(-HOUR_MS, rows=1, start=3) + _points(0, rows=3, start=4)))
    assert len(clock_offsets(keeper.state, keeper.limits)[0]) == 0


def test_two_delayed_points_with_a_right_one_between_are_no_run(keeper: Keeper) -> None:
    rows = []
    for at in range(8):
        rows += _points(-HOUR_MS if at % 3 else 0, rows=1, start=at)
    result = keeper.feed(batch(rows))
    assert not any(mark & Mark.CLOCK_BEHIND for mark in marks(result))


@pytest.mark.parametrize(
    ("offset_ms", "reason"),
    [(3_652 * DAY_MS, Reason.FUTURE), (2 * DAY_MS, Reason.FUTURE), (-3_652 * DAY_MS, Reason.STALE_CLOCK)],
)
def test_ten_years_and_two_days_are_quarantined_and_leave_no_trace(
    keeper: Keeper, offset_ms: int, reason: Reason
) -> None:
    result = keeper.feed(batch(_points(offset_ms)))
    assert reasons(result) == {reason: [0, 1, 2, 3, 4]}
    after = keeper.feed(batch(_points(0, start=10)))
    assert marks(after) == [Mark(0)] * 5


@pytest.mark.parametrize("times", [1, 2])
def test_week_rollover_is_undone(keeper: Keeper, times: int) -> None:
    result = keeper.feed(batch(_points(-times * WEEKS_1024_MS)))
    assert result.points.time_ms.tolist() == _true_times()
    assert marks(result) == [Mark.WEEK_ROLLOVER] * 5
    assert len(clock_offsets(keeper.state, keeper.limits)[0]) == 0


def test_a_rolled_over_clock_in_local_time_is_both(keeper: Keeper) -> None:
    result = keeper.feed(batch(_points(8 * HOUR_MS - WEEKS_1024_MS)))
    assert result.points.time_ms.tolist() == _true_times()
    assert marks(result) == [Mark.WEEK_ROLLOVER | Mark.CLOCK_CORRECTED] * 5


@pytest.mark.parametrize("cut", [1, 6])
def test_a_frozen_clock_is_marked_from_the_third_point_on(keeper: Keeper, cut: int) -> None:
    rows = [{"time_ms": NOW_MS, "received_ms": NOW_MS + at * 10_000, "lat": 40.65 + at * 1e-4} for at in range(6)]
    results = keeper.feed_all(batch(rows[at : at + cut]) for at in range(0, 6, cut))
    found = [mark for one in results for mark in marks(one)]
    assert found == [Mark(0), Mark.SAME_TIME] + [Mark.SAME_TIME | Mark.FROZEN_CLOCK] * 4


def test_points_of_one_second_that_come_together_are_no_frozen_clock(keeper: Keeper) -> None:
    rows = [{"time_ms": NOW_MS, "received_ms": NOW_MS + at, "lat": 40.65 + at * 1e-6} for at in range(4)]
    assert not any(mark & Mark.FROZEN_CLOCK for mark in marks(keeper.feed(batch(rows))))


def test_copies_of_one_point_are_no_frozen_clock(keeper: Keeper) -> None:
    rows = [{"time_ms": NOW_MS, "received_ms": NOW_MS + at * 10_000} for at in range(6)]
    results = keeper.feed_all(batch([row]) for row in rows)
    assert sum(one.duplicate for one in results) == 5
    assert marks(results[0]) == [Mark(0)]


def test_a_clock_ahead_by_no_zone_is_kept_and_does_not_make_right_points_late(keeper: Keeper) -> None:
    ahead = keeper.feed(batch(_points(3 * HOUR_MS + 7 * MINUTE_MS, rows=1)))
    assert marks(ahead) == [Mark.CLOCK_AHEAD]
    assert ahead.points.time_ms.tolist() == [NOW_MS + 3 * HOUR_MS + 7 * MINUTE_MS]
    right = keeper.feed(batch(_points(0, rows=3, start=1)))
    assert marks(right) == [Mark(0)] * 3


def test_a_copy_of_a_point_ahead_is_found_when_its_time_has_come(keeper: Keeper) -> None:
    row = _points(3 * HOUR_MS + 7 * MINUTE_MS, rows=1)[0]
    keeper.feed(batch([row]))
    again = keeper.feed(batch([{**row, "received_ms": row["time_ms"]}]))
    assert (len(again.points), again.duplicate) == (0, 1)


@pytest.mark.parametrize("offset_ms", [2 * MINUTE_MS, -2 * MINUTE_MS, 0, -7 * MINUTE_MS])
def test_a_little_off_is_nothing(keeper: Keeper, offset_ms: int) -> None:
    assert marks(keeper.feed(batch(_points(offset_ms)))) == [Mark(0)] * 5


@pytest.mark.parametrize("offset_ms", [-8 * HOUR_MS, -WEEKS_1024_MS, -3_652 * DAY_MS])
def test_a_buffered_point_is_taken_as_it_is(keeper: Keeper, offset_ms: int) -> None:
    result = keeper.feed(batch(_points(offset_ms, flags=BUFFERED)))
    assert result.points.time_ms.tolist() == [time + offset_ms for time in _true_times()]
    assert marks(result) == [Mark(0)] * 5


def test_a_buffered_point_ahead_is_not_corrected_and_does_not_hold_the_newest_time(keeper: Keeper) -> None:
    result = keeper.feed(batch(_points(8 * HOUR_MS, rows=1, flags=BUFFERED)))
    assert marks(result) == [Mark.CLOCK_AHEAD]
    assert result.points.time_ms.tolist() == [NOW_MS + 8 * HOUR_MS]
    assert marks(keeper.feed(batch(_points(0, rows=1, start=1)))) == [Mark(0)]


def test_each_device_has_its_own_clock(keeper: Keeper) -> None:
    rows = [
        {**row, "slot": slot}
        for slot, offset in enumerate((0, 8 * HOUR_MS, -HOUR_MS, 0))
        for row in _points(offset, rows=4)
    ]
    seed = 7
    print("seed", seed)
    np.random.default_rng(seed).shuffle(rows)
    keeper.feed(batch(sorted(rows, key=lambda row: row["received_ms"])))
    slots, offsets = clock_offsets(keeper.state, keeper.limits)
    assert dict(zip(slots.tolist(), offsets.tolist(), strict=True)) == {1: 8 * HOUR_MS, 2: -HOUR_MS}
