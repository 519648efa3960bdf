"""Overspeed: limits by fence and class, stretches, gaps; as a plain loop has it, however the stream is cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.meaning.frame import Frame
from analytics.meaning.limits import RuleLimits
from analytics.rules.overspeed import OverspeedRule
from model.fence import Fence, FenceRule, Schedule
from tests.analytics.keeper import NOW_MS
from tests.analytics.rules.fence_streams import Fenced, Seen, at, histories, square
from tests.analytics.rules.one_rule import cut
from tests.analytics.rules.plain_fences import covers, holds, in_force

#: Small enough for random rows to reach.
SHORT = RuleLimits(overspeed_min_s=5, trip_gap_s=8)
IN, OUT = (1.0, 1.0), (4.0, 4.0)


class PlainOverspeed:
    """The rule fix by fix."""

    def __init__(self, limits: RuleLimits) -> None:
        self.limits = limits
        self.told: list[Seen] = []
        self._fences: list[Fence] = []
        self._states: dict[int, dict[str, Any]] = {}

    def fences(self, fences: list[Fence]) -> None:
        """From here on these are the fences."""
        self._fences = [fence for fence in fences if fence.rule is FenceRule.SPEED]
        for state in self._states.values():
            if state["fence"] not in {0, *(fence.number for fence in self._fences)}:
                state["raised"], state["fence"] = False, 0

    def frame(self, frame: Frame, first_row: int) -> None:
        """Every placed row with a speed."""
        for place in range(len(frame)):
            motion = float(frame.motion_kmh[place])
            if frame.placed[place] and motion == motion:  # noqa: PLR0124 NaN is what differs from itself
                self._fix(frame, place, motion, first_row + int(frame.row[place]))

    def _limit(self, frame: Frame, place: int) -> tuple[float, int]:
        limits = []
        for fence in self._fences:
            limit = fence.limit_kmh or self.limits.road_limits_kmh.get(fence.road_class, 0)
            here = covers(fence, float(frame.lat[place]), float(frame.lon[place]))
            mine = holds(fence, int(frame.slot[place]), int(frame.kind[place]))
            if limit and here and mine and in_force(fence.schedule, int(frame.time_ms[place])):
                limits.append((float(limit), fence.number))
        general = self.limits.overspeed_kmh if frame.kind[place] == 0 else float("inf")
        return min(limits, default=(general, 0))

    def _fix(self, frame: Frame, place: int, motion: float, row: int) -> None:
        slot, time = int(frame.slot[place]), int(frame.time_ms[place])
        state = self._states.setdefault(slot, {"raised": False, "fence": 0, "since": None, "last": 0, "peak": 0.0})
        limit, number = self._limit(frame, place)
        second = (time - NOW_MS) / 1_000
        if motion > limit + self.limits.overspeed_over_kmh:
            if state["since"] is None or time - state["last"] > self.limits.trip_gap_s * 1_000:
                state["since"], state["peak"] = time, 0.0
            state["last"], state["peak"] = time, max(state["peak"], motion)
            if not state["raised"] and time - state["since"] >= self.limits.overspeed_min_s * 1_000:
                state["raised"], state["fence"] = True, number
                self.told.append((second, slot, number, "overspeed", True, round(state["peak"], 6), row))
            return
        state["since"] = None
        if motion <= limit and state["raised"]:
            self.told.append((second, slot, state["fence"], "overspeed", False, None, row))
            state["raised"], state["fence"] = False, 0


def drive(*speeds: float, slot: int = 0, first_s: float = 0, where: tuple[float, float] = IN) -> list[dict[str, Any]]:
    """A row every five seconds."""
    return [at(first_s + 5 * step, *where, slot, speed_kmh=speed) for step, speed in enumerate(speeds)]


def told(rows: list[dict[str, Any]], fences: list[Fence] | None = None) -> list[tuple[float, bool, int, float | None]]:
    rule = Fenced(OverspeedRule).fences(fences or []).points(rows)
    return [(one[0], one[4], one[2], one[5]) for one in rule.happened]


def test_a_taxi_above_the_general_limit_for_ten_seconds() -> None:
    rows = drive(80, 86, 99, 90, 95, 83, 80)
    assert told(rows) == [(15, True, 0, 99), (30, False, 0, None)]


@pytest.mark.parametrize("speeds", [(90, 90, 80, 90, 90), (85, 85, 85, 85), (90, 84, 90, 90), (90, 90)])
def test_no_stretch_of_ten_seconds_is_nothing(speeds: tuple[float, ...]) -> None:
    assert told(drive(*speeds)) == []


def test_e_bikes_and_units_have_limits_by_fences_alone() -> None:
    fence = square(3, FenceRule.SPEED, limit_kmh=25)
    for slot in (1, 2):
        assert told(drive(90, 90, 90, slot=slot)) == []
        assert told(drive(28, 31, 31, 33, 26, 25, slot=slot), [fence]) == [(15, True, 3, 33), (25, False, 3, None)]
        left = drive(31, 31, 31, slot=slot) + drive(60, slot=slot, first_s=15, where=OUT)
        assert told(left, [fence]) == [(10, True, 3, 31), (15, False, 3, None)]


def test_the_lowest_limit_in_force_counts_and_a_fence_may_allow_more_than_the_general_one() -> None:
    """The tests begin at 16:53:20 of the city."""
    wide = square(1, FenceRule.SPEED, road_class="expressway")
    lane = square(2, FenceRule.SPEED, road_class="lane", schedule=Schedule(from_min=1_014))
    unheard_of = square(3, FenceRule.SPEED, road_class="bridge")
    rows = drive(*[100] * 12)
    assert told(rows, [wide]) == []
    assert told(rows, [wide, lane, unheard_of]) == [(50, True, 2, 100)]
    assert told(rows, [unheard_of]) == [(10, True, 0, 100)]


def test_an_alarm_ends_with_the_fence_it_was_raised_with() -> None:
    fence = square(9, FenceRule.SPEED, limit_kmh=40)
    rows = drive(60, 60, 60) + drive(70, 79, 80, first_s=15, where=OUT)
    assert told(rows, [fence]) == [(10, True, 9, 60), (15, False, 9, None)]


def test_a_gap_breaks_a_stretch_and_ends_no_alarm() -> None:
    assert told(drive(90, 90) + drive(90, 90, first_s=306)) == []
    again = drive(90, 90, 90) + drive(90, 90, 90, first_s=1_000) + drive(80, first_s=1_020)
    assert told(again) == [(10, True, 0, 90), (1_020, False, 0, None)]


def test_what_was_raised_with_a_fence_that_is_gone_is_forgotten() -> None:
    fence = square(9, FenceRule.SPEED, limit_kmh=40)
    rule = Fenced(OverspeedRule).fences([fence]).points(drive(60, 60, 60)).fences([]).points(drive(50, first_s=15))
    assert [one[4] for one in rule.happened] == [True]
    assert rule.rule.to_bytes() == Fenced(OverspeedRule).points(drive(50)).rule.to_bytes()


def test_speeds_of_places_that_cannot_be_trusted_count_for_nothing() -> None:
    rows = [{**one, "flags": 1 << 8} for one in drive(*[120] * 5)]
    assert told(rows) == []


@given(histories([FenceRule.SPEED, FenceRule.SPEED, FenceRule.ENTER]), st.lists(st.integers(0, 80), max_size=6))
@settings(max_examples=60, deadline=None)
def test_any_stream_cut_anywhere_is_what_the_plain_loop_says(
    history: list[tuple[list[Fence], list[dict[str, Any]]]], places: list[int]
) -> None:
    whole, plain, parts = Fenced(OverspeedRule, SHORT), PlainOverspeed(SHORT), Fenced(OverspeedRule, SHORT)
    for fences, rows in history:
        whole.fences(fences)
        plain.fences(fences)
        parts.fences(fences)
        first_row = whole._first_row
        whole.points(rows)
        if rows:
            plain.frame(whole.frames[-1], first_row)
        for some in cut(rows, places):
            parts.points(some)
        parts.restart()
        assert parts.rule.to_bytes() == whole.rule.to_bytes()
    assert whole.happened == sorted(plain.told, key=lambda one: (one[6], one[2], one[4]))
    assert parts.happened == whole.happened
