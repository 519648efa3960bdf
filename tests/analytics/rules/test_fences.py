"""Fence rules: each as people would tell it; and as a plain loop has it, however the stream is cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.meaning.limits import RuleLimits
from analytics.rules.fences import FencesRule
from model.batch import PointBatch
from model.errors import Corrupt
from model.fence import Fence, FenceRule, Schedule
from model.geo import METRES_PER_DEGREE
from tests.analytics.keeper import NOW_MS
from tests.analytics.rules.fence_streams import LAT, LON, Fenced, at, histories, square
from tests.analytics.rules.one_rule import cut
from tests.analytics.rules.plain_fences import WATCHED, PlainFences

#: Small enough for random rows to meet.
SHORT = RuleLimits(fence_max_inside=2)


def walk(*places: tuple[float, float], slot: int = 0, every_s: float = 5, first_s: float = 0) -> list[dict[str, Any]]:
    """A row every few seconds."""
    return [at(first_s + every_s * step, *place, slot) for step, place in enumerate(places)]


OUT, IN, EDGE = (4, 4), (1, 1), (2, 1)


def told(fences: list[Fence], rows: list[dict[str, Any]]) -> list[tuple[float, str, bool]]:
    return Fenced(FencesRule).fences(fences).points(rows).brief


def test_entered_after_two_fixes_and_gone_after_two_outside() -> None:
    fence = [square(1, FenceRule.ENTER)]
    assert told(fence, walk(OUT, IN, IN, IN, OUT, OUT, OUT)) == [
        (10, "entered_area", True),
        (25, "entered_area", False),
    ]


@pytest.mark.parametrize(("slot", "alarm"), [(0, "left_area"), (1, "left_fence"), (2, "left_area")])
def test_left_after_two_fixes_and_gone_when_back(slot: int, alarm: str) -> None:
    rows = walk(IN, IN, OUT, OUT, OUT, IN, IN, slot=slot)
    assert told([square(1, FenceRule.EXIT)], rows) == [(15, alarm, True), (30, alarm, False)]


def test_one_outlier_is_no_crossing_and_two_fixes_within_five_seconds_are_none() -> None:
    fences = [square(1, FenceRule.ENTER), square(2, FenceRule.EXIT), square(3, FenceRule.FORBIDDEN)]
    assert told(fences, walk(OUT, IN, OUT, IN, OUT, OUT)) == []
    assert told(fences, [at(second, *OUT) for second in range(5)] + [at(5 + second, *IN) for second in range(5)]) == []


def test_who_is_near_outside_has_not_left_and_has_not_entered() -> None:
    """The margin is 20 m; a step of the grid is 11 m to the north."""
    near, far = (3.5, 1.0), (4.0, 1.0)
    fences = [square(1, FenceRule.EXIT), square(2, FenceRule.ENTER)]
    assert told(fences, walk(OUT, near, near, IN, IN, near, near, near)) == [(20, "entered_area", True)]
    # A fix in the margin is none of a run: neither away nor back.
    rows = walk(IN, IN, far, near, far, far, near, far, IN, near, IN, IN)
    assert told(fences[:1], rows) == [(25, "left_area", True), (55, "left_area", False)]


def test_the_boundary_is_inside() -> None:
    assert told([square(1, FenceRule.ENTER)], walk(OUT, EDGE, EDGE)) == [(10, "entered_area", True)]


def test_who_is_first_seen_inside_has_not_entered_but_is_in_a_forbidden_area() -> None:
    fences = [square(1, FenceRule.ENTER), square(2, FenceRule.FORBIDDEN), square(3, FenceRule.EXIT)]
    seen = told(fences, walk(IN, IN, IN, OUT, OUT))
    assert seen == [(5, "forbidden_area", True), (20, "forbidden_area", False), (20, "left_area", True)]


def test_a_new_fence_about_a_parked_car_is_silent_and_a_redrawn_one_is_not() -> None:
    rule = Fenced(FencesRule).fences([]).points(walk(IN, IN))
    rule.fences([square(1, FenceRule.ENTER)]).points(walk(IN, IN, first_s=10))
    assert rule.brief == []
    rule.points(walk(OUT, OUT, first_s=20))
    rule.fences([square(1, FenceRule.ENTER, 3, 3)]).points(walk(OUT, OUT, first_s=30))
    assert rule.brief == [(35, "entered_area", True)]


def test_forbidden_begins_and_ends_with_the_schedule_at_the_next_fix() -> None:
    """The tests begin at 16:53:20 of the city; in force from 16:54 to 16:55."""
    fence = square(1, FenceRule.FORBIDDEN, schedule=Schedule(from_min=1_014, to_min=1_015))
    rows = walk(*[IN] * 12, every_s=10)
    assert told([fence], rows) == [(40, "forbidden_area", True), (100, "forbidden_area", False)]


def test_stayed_too_long_tells_for_how_long() -> None:
    rule = Fenced(FencesRule).fences([square(1, FenceRule.STAY, stay_s=60)])
    rule.points(walk(OUT, IN, OUT, *[IN] * 10, OUT, OUT, every_s=20))
    assert [(one[0], one[4], one[5]) for one in rule.happened] == [(120, True, 60), (280, False, None)]


def test_a_disabled_fence_ends_what_it_raised_and_one_that_is_gone_is_forgotten() -> None:
    on, off = square(1, FenceRule.FORBIDDEN), square(1, FenceRule.FORBIDDEN, enabled=False)
    rule = Fenced(FencesRule).fences([on, square(2, FenceRule.FORBIDDEN)]).points(walk(OUT, IN, IN))
    empty = Fenced(FencesRule).fences([off]).points(walk(OUT)).rule.to_bytes()
    rule.fences([off]).points(walk(IN, first_s=20))
    assert [(one[0], one[2], one[4]) for one in rule.happened] == [(10, 1, True), (10, 2, True), (20, 1, False)]
    assert len(rule.rule.to_bytes()) == len(empty)


def test_named_devices_and_kinds() -> None:
    fences = [
        square(1, FenceRule.FORBIDDEN, kinds=("ebike",)),
        square(2, FenceRule.FORBIDDEN, devices=("taxi/4", "taxi/unheard-of"), kinds=("ebike",)),
        square(3, FenceRule.FORBIDDEN, kinds=("taxi", "unit")),
    ]
    rows = [at(5 * step, *IN, slot) for step in range(2) for slot in range(5)]
    rule = Fenced(FencesRule).fences(fences).points(rows)
    assert sorted((one[1], one[2]) for one in rule.happened) == [(0, 3), (1, 1), (2, 3), (4, 2), (4, 3)]


def test_a_device_that_is_registered_after_its_fence_is_watched() -> None:
    rule = Fenced(FencesRule)
    rule.context.kind_of_slot = rule.context.kind_of_slot[:5]
    rule.fences([square(1, FenceRule.FORBIDDEN, devices=("taxi/5",))]).points(walk(IN, IN, slot=5))
    assert rule.brief == []
    rule.context.kind_of_slot = np.append(rule.context.kind_of_slot, np.int8(0))
    rule.context.slots_of = lambda devices: np.full(len(devices), 5, np.int64)
    assert rule.points(walk(IN, IN, slot=5, first_s=10)).brief == [(15, "forbidden_area", True)]


def test_beyond_the_limit_forbidden_areas_come_first_and_the_rest_is_counted() -> None:
    """Twelve fences about one place, eight are told: both forbidden ones, and the six others with the lowest numbers."""
    sides = [1.2 + number / 20 for number in range(14)]
    fences = [square(number, FenceRule.ENTER, side=sides[number]) for number in range(1, 11)]
    fences += [square(number, FenceRule.FORBIDDEN, side=sides[number]) for number in (11, 12)]
    rule = Fenced(FencesRule).fences(fences).points(walk(OUT, IN, IN, IN))
    assert sorted(one[2] for one in rule.happened) == [1, 2, 3, 4, 5, 6, 11, 12]
    assert rule.gauges == {"fences_beyond_limit": 12}
    # What is known is not lost by it.
    rule.fences([square(13, FenceRule.FORBIDDEN), *fences]).points(walk(IN, IN, OUT, OUT, first_s=20))
    assert sorted(one[2] for one in rule.happened if not one[4]) == [1, 2, 3, 4, 5, 6, 11, 12, 13]


def test_a_jump_into_a_fence_and_invalid_fixes_count_for_nothing() -> None:
    far = (900.0, 900.0)
    fence = [square(1, FenceRule.ENTER), square(2, FenceRule.ENTER, 899, 899)]
    assert told(fence, walk(OUT, far, OUT, OUT)) == []
    invalid = [{**one, "flags": 1 << 8} for one in walk(IN, IN, IN, first_s=10)]
    assert told(fence, [*walk(OUT), *invalid]) == []


@pytest.mark.parametrize("damage", ["cut", "order", "head"])
def test_damaged_bytes_are_corrupt_and_change_nothing(damage: str) -> None:
    rule = Fenced(FencesRule).fences([square(1, FenceRule.ENTER), square(2, FenceRule.EXIT)]).points(walk(OUT, IN, IN))
    raw = rule.rule.to_bytes()
    entry = 32
    bad = {"cut": raw[:-1], "order": raw[: -2 * entry] + raw[-entry:] + raw[-2 * entry : -entry], "head": raw[:7]}[
        damage
    ]
    with pytest.raises(Corrupt):
        rule.rule.restore(memoryview(bad))
    assert rule.rule.to_bytes() == raw


@pytest.mark.parametrize(("spread_m", "memory_s"), [(4, 60), (8, 60), (8, 300)])
def test_standing_on_a_fence_for_hours_raises_hardly_ever(spread_m: float, memory_s: float) -> None:
    """Ten taxis on the very boundary for five hours, a fix every five seconds, errors that last (as receivers' do)."""
    seed, devices, every_s, hours = 11, 10, 5, 5
    print("seed", seed)
    rng = np.random.default_rng(seed)
    fixes = hours * 3_600 // every_s
    off_m = np.empty((devices, fixes))
    off_m[:, 0] = rng.normal(0, spread_m, devices)
    keeps = np.exp(-every_s / memory_s)
    shocks = rng.normal(0, spread_m * np.sqrt(1 - keeps**2), off_m.shape)
    for fix in range(1, fixes):
        off_m[:, fix] = keeps * off_m[:, fix - 1] + shocks[:, fix]
    time_ms = NOW_MS + np.tile(np.arange(fixes) * every_s * 1_000, devices)
    columns: dict[str, Any] = {"slot": np.repeat(np.arange(devices), fixes), "time_ms": time_ms, "received_ms": time_ms}
    columns |= {"lat": LAT + off_m.ravel() / METRES_PER_DEGREE, "lon": LON, "seq": np.tile(np.arange(fixes), devices)}
    standing = PointBatch.of(devices * fixes, columns)
    rises_per_h = {}
    for margin_m in (0.0, 20.0):
        rule = Fenced(FencesRule, RuleLimits(fence_margin_m=margin_m))
        rule.context.kind_of_slot = np.zeros(devices, np.int8)
        rule.fences([square(1, FenceRule.EXIT, -100, -50, 100)]).batch(standing)
        rises_per_h[margin_m] = sum(one[4] for one in rule.happened) / devices / hours
    print(rises_per_h)
    assert rises_per_h[0.0] > 3
    assert rises_per_h[20.0] <= 1


@given(
    histories(WATCHED),
    st.lists(st.integers(0, 60), max_size=6),
    st.sampled_from([(2, 5), (1, 0), (3, 8), (2, 0)]),
    st.sampled_from([0.0, 9.0, 20.0]),
)
@settings(max_examples=80, deadline=None)
def test_any_stream_cut_anywhere_is_what_the_plain_loop_says(
    history: list[tuple[list[Fence], list[dict[str, Any]]]],
    places: list[int],
    confirm: tuple[int, int],
    margin_m: float,
) -> None:
    points, span_s = confirm
    limits = RuleLimits(
        fence_max_inside=2, fence_confirm_points=points, fence_confirm_s=span_s, fence_margin_m=margin_m
    )
    whole, plain, parts = Fenced(FencesRule, limits), PlainFences(limits), Fenced(FencesRule, limits)
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
    assert whole.gauges.get("fences_beyond_limit", 0) == plain.beyond
    assert parts.happened == whole.happened
    assert parts.gauges == whole.gauges
