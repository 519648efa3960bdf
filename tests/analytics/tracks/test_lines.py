"""Lines: each crossing once, in its direction; trembling never; the segment and not its extension."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.tracks.lines import LineWatch
from analytics.tracks.settling import Hysteresis
from model.camera import Line, ObjectKind
from tests.analytics.tracks.paths import Place, tracks_at

#: Down the middle: its right, as seen in the picture by who walks from start to end, is the left half.
DOWN = Line("door", (0.5, 0.25), (0.5, 0.75))
#: Places that a float holds exactly, so that a mirrored path is exactly mirrored.
GRID = 1 / 1024


def crossings(line: Line, path: list[Place]) -> list[str]:
    watch = LineWatch([line])
    told = []
    for at, place in enumerate(path):
        told += [event.what for event in watch.step(tracks_at([place], time_ms=at * 200))]
    return told


def walk(*corners: Place, steps: int = 10) -> list[Place]:
    """From corner to corner."""
    path = [corners[0]]
    for (x0, y0), (x1, y1) in pairwise(corners):
        path += [(x0 + (x1 - x0) * k / steps, y0 + (y1 - y0) * k / steps) for k in range(1, steps + 1)]
    return path


def test_the_side_is_that_of_who_goes_from_start_to_end_in_the_picture() -> None:
    across = Line("across", (0.1, 0.5), (0.9, 0.5))  # eastwards in the picture: its right is below
    assert crossings(across, walk((0.5, 0.2), (0.5, 0.8))) == ["right"]
    assert crossings(across, walk((0.5, 0.8), (0.5, 0.2))) == ["left"]
    assert crossings(DOWN, walk((0.9, 0.5), (0.1, 0.5))) == ["right"]


@pytest.mark.parametrize(
    ("direction", "told"), [("both", ["right", "left"]), ("right", ["right"]), ("left", ["left"]), ("none", [])]
)
def test_only_the_direction_that_is_watched_is_told(direction: str, told: list[str]) -> None:
    line = Line("door", DOWN.start, DOWN.end, direction=direction)
    assert crossings(line, walk((0.9, 0.5), (0.1, 0.5), (0.9, 0.5))) == told


def test_a_jump_over_the_line_between_two_pictures_counts_once() -> None:
    assert crossings(DOWN, [(0.8, 0.5), (0.2, 0.5)]) == ["right"]
    assert crossings(DOWN, [(0.8, 0.5), (0.2, 0.5), (0.2, 0.5), (0.19, 0.5)]) == ["right"]
    # Near the line one picture is not enough on either side: the second one says it.
    near = [(0.52, 0.5), (0.52, 0.5), (0.48, 0.5), (0.48, 0.5)]
    assert crossings(DOWN, near[:3]) == []
    assert crossings(DOWN, near) == ["right"]


def test_a_sample_on_the_line_itself_does_not_hide_the_crossing() -> None:
    assert crossings(DOWN, [(0.8, 0.5), (0.5, 0.5), (0.5, 0.5), (0.2, 0.5)]) == ["right"]
    assert crossings(DOWN, [(0.8, 0.5), (0.5, 0.5), (0.8, 0.5)]) == []


def test_past_the_ends_of_the_line_nothing_is_crossed() -> None:
    assert crossings(DOWN, walk((0.8, 0.9), (0.2, 0.9))) == []
    assert crossings(DOWN, walk((0.8, 0.1), (0.2, 0.1), (0.2, 0.5), (0.8, 0.5))) == ["left"]
    # Around its end and back again on the other side, in one go each.
    assert crossings(DOWN, walk((0.8, 0.5), (0.6, 0.9), (0.4, 0.9), (0.2, 0.5))) == []


def test_over_the_line_and_back_around_its_end_is_one_crossing() -> None:
    around = walk((0.8, 0.7), (0.2, 0.7), (0.2, 0.9), (0.8, 0.9), (0.8, 0.7))
    assert crossings(DOWN, around) == ["right"]


def test_what_has_no_id_or_is_not_seen_crosses_nothing() -> None:
    watch = LineWatch([DOWN])
    for place in walk((0.8, 0.5), (0.2, 0.5)):
        assert watch.step(tracks_at([place], ids=[-1])) == []
    watch = LineWatch([DOWN])
    watch.step(tracks_at([(0.8, 0.5)]))
    assert watch.step(tracks_at([(0.2, 0.5)], seen=False)) == []
    assert [event.what for event in watch.step(tracks_at([(0.2, 0.5)]))] == ["right"]


def test_objects_are_told_apart_and_another_id_begins_anew() -> None:
    watch = LineWatch([DOWN])
    watch.step(tracks_at([(0.8, 0.5), (0.2, 0.4)], ids=[7, 3]))
    told = watch.step(tracks_at([(0.2, 0.4), (0.8, 0.5)], ids=[3, 7]))
    assert told == []
    told = watch.step(tracks_at([(0.2, 0.5), (0.8, 0.4)], ids=[7, 3], kinds=[ObjectKind.CAR, ObjectKind.PERSON]))
    assert [(event.track, event.what, event.kind) for event in told] == [
        (3, "left", ObjectKind.PERSON),
        (7, "right", ObjectKind.CAR),
    ]
    assert watch.step(tracks_at([(0.8, 0.5)], ids=[9])) == []


def test_only_the_kinds_that_are_named_count() -> None:
    line = Line("cars", DOWN.start, DOWN.end, kinds=(ObjectKind.CAR, ObjectKind.BUS), alarm=False)
    watch = LineWatch([line, DOWN])
    kinds = [ObjectKind.PERSON, ObjectKind.BUS]
    watch.step(tracks_at([(0.8, 0.4), (0.8, 0.6)], kinds=kinds))
    told = watch.step(tracks_at([(0.2, 0.4), (0.2, 0.6)], kinds=kinds, time_ms=1234))
    assert [(event.rule, event.track, event.alarm) for event in told] == [
        ("cars", 2, False),
        ("door", 1, True),
        ("door", 2, True),
    ]
    assert told[0].time_ms == 1234
    assert told[0].box == pytest.approx((0.175, 0.5, 0.225, 0.6))


def test_a_line_without_length_and_no_line_at_all_tell_nothing() -> None:
    point = Line("point", (0.5, 0.5), (0.5, 0.5))
    assert crossings(point, walk((0.8, 0.5), (0.2, 0.5))) == []
    assert LineWatch([]).step(tracks_at([(0.5, 0.5)])) == []


@settings(max_examples=150)
@given(
    st.lists(st.floats(-0.0099, 0.0099), min_size=2, max_size=60),
    st.floats(0.3, 0.7),
    st.sampled_from([0.2, 0.8]),
)
def test_trembling_on_the_line_is_never_a_crossing(offsets: list[float], height: float, came_from: float) -> None:
    path = [(came_from, height)] * 2 + [(0.5 + offset, height) for offset in offsets] + [(came_from, height)] * 2
    assert crossings(DOWN, path) == []


@settings(max_examples=150)
@given(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(1, 7), st.floats(-0.009, 0.009))
def test_every_crossing_is_told_once_at_any_frame_rate(sides: list[bool], steps: int, shift: float) -> None:
    """An object that walks between two places clearly on either side, whatever the pace."""
    corners = [(0.8 if right else 0.2, 0.5) for right in sides]
    path = [(x + shift * (-1) ** at, y) for at, (x, y) in enumerate(walk(*corners, steps=steps))]
    wanted = ["right" if before > after else "left" for (before, _), (after, _) in pairwise(corners) if before != after]
    assert crossings(DOWN, path) == wanted


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 1024), st.integers(0, 1024)), min_size=2, max_size=40))
def test_a_mirrored_path_goes_the_mirrored_way(places: list[tuple[int, int]]) -> None:
    path = [(x * GRID, y * GRID) for x, y in places]
    mirrored = [(1 - x, y) for x, y in path]
    turned = {"left": "right", "right": "left"}
    assert crossings(DOWN, mirrored) == [turned[what] for what in crossings(DOWN, path)]
    # The line the other way round sees the same path the other way too.
    back = Line("door", DOWN.end, DOWN.start)
    assert crossings(back, path) == [turned[what] for what in crossings(DOWN, path)]


@settings(max_examples=150)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=50))
def test_directions_take_turns_where_the_line_goes_across_the_picture(path: list[Place]) -> None:
    """Who has gone to one side can only go to the other next, and is in the end where the last crossing says."""
    told = crossings(Line("all", (0.5, -1.0), (0.5, 2.0)), path)
    assert all(before != after for before, after in pairwise(told))
    if told and abs(path[-1][0] - 0.5) > Hysteresis().far:
        assert told[-1] == ("left" if path[-1][0] > 0.5 else "right")
