"""Zones: in, staying and too many, once each; the boundary is inside; trembling never tells twice."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.tracks.events import RuleEvent
from analytics.tracks.zones import ZoneWatch
from model.camera import ObjectKind, Zone, ZoneRule
from tests.analytics.tracks.paths import Place, tracks_at

SQUARE = ((0.4, 0.4), (0.8, 0.4), (0.8, 0.8), (0.4, 0.8))
ENTER = Zone("yard", SQUARE, ZoneRule.ENTER)
OUTSIDE, INSIDE = (0.2, 0.6), (0.6, 0.6)


def told(zone: Zone, path: list[Place], step_ms: int = 500) -> list[RuleEvent]:
    watch = ZoneWatch([zone])
    return [
        event
        for at, place in enumerate(path)
        for event in watch.step(tracks_at([place], first=path[:1], time_ms=at * step_ms))
    ]


def test_coming_in_is_told_once_and_again_after_going_out() -> None:
    events = told(ENTER, [OUTSIDE, INSIDE, INSIDE, (0.7, 0.7), OUTSIDE, OUTSIDE, INSIDE])
    assert [(event.rule, event.what, event.track, event.time_ms) for event in events] == [
        ("yard", "enter", 1, 500),
        ("yard", "enter", 1, 3000),
    ]
    assert events[0].box == pytest.approx((0.575, 0.5, 0.625, 0.6))


def test_the_foot_counts_and_not_the_head() -> None:
    # Its box reaches into the zone from below; its foot never does.
    assert told(ENTER, [(0.6, 0.95), (0.6, 0.85), (0.6, 0.85)]) == []


def test_on_the_boundary_is_inside() -> None:
    assert len(told(ENTER, [OUTSIDE, (0.4, 0.6), (0.4, 0.6)])) == 1
    floor = Zone("floor", ((0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)), ZoneRule.ENTER)
    assert len(told(floor, [(0.5, 0.3), (0.5, 1.0), (0.55, 1.0)])) == 1


def test_who_is_there_from_the_start_and_does_not_move_has_not_come_in() -> None:
    assert told(ENTER, [INSIDE] * 10) == []
    assert len(told(ENTER, [INSIDE, INSIDE, (0.65, 0.6), (0.7, 0.6)])) == 1


def test_who_is_confirmed_only_inside_has_come_in_from_where_it_was_seen_first() -> None:
    watch = ZoneWatch([ENTER])
    # A step from outside, without the boxes being apart.
    events = [event for _ in range(3) for event in watch.step(tracks_at([(0.405, 0.6)], first=[(0.385, 0.6)]))]
    assert [event.what for event in events] == ["enter"]
    # Inside from the first, but walking.
    watch = ZoneWatch([ENTER])
    assert watch.step(tracks_at([INSIDE], first=[(0.61, 0.6)])) == []
    assert [event.what for event in watch.step(tracks_at([INSIDE], first=[(0.7, 0.7)]))] == ["enter"]


def test_staying_is_told_once_when_its_time_is_over_even_unseen() -> None:
    zone = Zone("no parking", SQUARE, ZoneRule.STAY, kinds=(ObjectKind.CAR,), stay_s=10)
    watch = ZoneWatch([zone])
    events = []
    for second in range(30):
        now = tracks_at(
            [INSIDE, (0.5, 0.5)], kinds=[ObjectKind.CAR, ObjectKind.PERSON], time_ms=second * 1000, seen=second < 5
        )
        events += watch.step(now)
    assert [(event.what, event.track, event.kind, event.time_ms, event.stay_s) for event in events] == [
        ("stay", 1, ObjectKind.CAR, 10_000, 10.0)
    ]


def test_the_time_of_a_stay_begins_anew_after_going_out() -> None:
    zone = Zone("z", SQUARE, ZoneRule.STAY, stay_s=3)
    path = [INSIDE] * 4 + [OUTSIDE] * 2 + [INSIDE] * 4
    assert told(zone, path, step_ms=900) == []
    assert [event.time_ms for event in told(zone, path + [INSIDE] * 8, step_ms=900)] == [9_000]


def test_too_many_is_told_when_it_begins_and_again_after_there_was_room() -> None:
    zone = Zone("hall", SQUARE, ZoneRule.COUNT, max_count=2)
    watch = ZoneWatch([zone])
    three = [(0.5, 0.5), (0.6, 0.6), (0.7, 0.7)]
    events = []
    for at, count in enumerate([2, 2, 3, 3, 3, 3, 2, 3, 3, 2, 2, 2, 3, 3, 3]):
        events += [(at, event) for event in watch.step(tracks_at(three[:count], time_ms=at * 500))]
    assert [(at, event.what, event.count, event.track) for at, event in events] == [
        (3, "count", 3, 3),
        (13, "count", 3, 3),
    ]


def test_motion_zones_and_objects_without_an_id_are_none_of_its() -> None:
    assert told(Zone("m", SQUARE, ZoneRule.MOTION), [OUTSIDE, INSIDE, INSIDE]) == []
    watch = ZoneWatch([ENTER])
    for place in [OUTSIDE, INSIDE, INSIDE]:
        assert watch.step(tracks_at([place], ids=[-1])) == []


def test_a_ring_that_crosses_itself_is_what_it_encloses() -> None:
    bow = Zone("bow", ((0.2, 0.2), (0.8, 0.8), (0.8, 0.2), (0.2, 0.8)), ZoneRule.ENTER)
    assert len(told(bow, [(0.5, 0.9), (0.3, 0.5), (0.3, 0.5)])) == 1
    assert len(told(bow, [(0.5, 0.9), (0.7, 0.5), (0.7, 0.5)])) == 1
    flat = Zone("flat", ((0.2, 0.2), (0.8, 0.2), (0.5, 0.2)), ZoneRule.ENTER)
    assert told(flat, [(0.5, 0.9), (0.5, 0.2), (0.5, 0.2)]) == []


@settings(max_examples=150)
@given(st.lists(st.tuples(st.floats(-0.009, 0.009), st.floats(0.45, 0.75)), min_size=2, max_size=60))
def test_trembling_on_the_boundary_comes_in_once_at_most(offsets: list[tuple[float, float]]) -> None:
    path = [OUTSIDE, OUTSIDE] + [(0.4 + x, y) for x, y in offsets]
    assert len(told(ENTER, path)) <= 1


@settings(max_examples=150)
@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_coming_in_is_told_as_often_as_it_is_done(stays: list[bool]) -> None:
    path = [OUTSIDE] + [INSIDE if inside else OUTSIDE for inside in stays]
    wanted = sum(1 for before, after in pairwise(path) if before == OUTSIDE and after == INSIDE)
    assert len(told(ENTER, path)) == wanted
