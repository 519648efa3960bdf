"""Moved with the ignition off: two fixes in a row beyond the limit of where it stood, over when the ignition is on."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.meaning.frame import Frame
from analytics.meaning.limits import RuleLimits
from analytics.rules.illegal_move import IllegalMove
from model.codes import Flag
from model.geo import haversine_m
from tests.analytics.keeper import NOW_MS
from tests.analytics.rules.one_rule import OneRule, Seen, cut, row

OFF = int(Flag.IGNITION_SENT)
ON = int(Flag.IGNITION_SENT | Flag.IGNITION)
NO_FIX = int(Flag.VALID_SENT)
METRE_DEG = 1 / 111_195


def stand(second: float, north_m: float, flags: int = OFF, slot: int = 0) -> dict[str, Any]:
    return row(second, slot, flags=flags, lat=40.65 + north_m * METRE_DEG)


def plain(frame: Frame, limits: RuleLimits) -> list[Seen]:
    """The rule row by row."""
    found: list[Seen] = []
    state: dict[int, dict[str, Any]] = {}
    for at in range(len(frame)):
        flags, slot = int(frame.flags[at]), int(frame.slot[at])
        if frame.kind[at] != 0 or not flags & Flag.IGNITION_SENT:
            continue
        own = state.setdefault(slot, {"place": None, "out": 0, "moved": False})
        second = (int(frame.time_ms[at]) - NOW_MS) / 1_000
        if flags & Flag.IGNITION:
            if own["moved"]:
                found.append((False, second, slot, None))
            state[slot] = {"place": None, "out": 0, "moved": False}
        elif frame.placed[at]:
            here = (float(frame.lat[at]), float(frame.lon[at]))
            own["place"] = own["place"] or here
            far_m = float(haversine_m(own["place"][0], own["place"][1], here[0], here[1]))
            own["out"] = own["out"] + 1 if far_m > limits.illegal_move_m else 0
            if own["out"] >= limits.illegal_move_points and not own["moved"]:
                own["moved"] = True
                found.append((True, second, slot, round(far_m, 6)))
    return sorted(found, key=lambda one: (one[1], one[2], one[0]))


def test_a_towed_taxi_raises_once_and_is_over_when_the_ignition_is_on() -> None:
    rows = [stand(0, 0, ON), stand(30, 0), stand(60, 40)]
    rows += [stand(60 + 30 * at, 150 * at) for at in range(1, 10)]
    rows += [stand(400, 900, ON), stand(430, 900), stand(460, 950)]
    seen = OneRule(IllegalMove).points(rows).seen
    assert [one[:2] for one in seen] == [(True, 120), (False, 400)]
    assert seen[0][3] == pytest.approx(300, abs=0.5)


@pytest.mark.parametrize(
    "rows",
    [
        [stand(0, 0), stand(30, 150), stand(60, 0), stand(90, 150), stand(120, 0)],
        [stand(30 * at, 99 * (at % 2)) for at in range(10)],
        [stand(0, 0), stand(30, 0, ON), stand(60, 400, ON), stand(90, 400), stand(120, 400), stand(150, 420)],
        [stand(0, 0), stand(60, 500, 0), stand(120, 1_000, 0), stand(180, 1_500, 0)],
        [stand(0, 0), *(stand(60 * at, 500 * at, OFF | NO_FIX) for at in range(1, 5))],
        [stand(60 * at, 500 * at, slot=1) for at in range(5)],
    ],
    ids=["single fixes", "within", "driven there", "ignition not sent", "no valid fix", "an e-bike"],
)
def test_what_is_no_illegal_move(rows: list[dict[str, Any]]) -> None:
    assert OneRule(IllegalMove).points(rows).seen == []


def test_rows_that_do_not_tell_of_the_ignition_break_nothing() -> None:
    rows = [stand(0, 0), stand(60, 500), stand(90, 600, 0), stand(100, 0, OFF | NO_FIX), stand(120, 700)]
    assert [one[:2] for one in OneRule(IllegalMove).points(rows).seen] == [(True, 120)]


@st.composite
def nights(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    second = dict.fromkeys((0, 1, 4), 0.0)
    for _ in range(draw(st.integers(1, 50))):
        slot = draw(st.sampled_from([0, 0, 0, 1, 4]))
        second[slot] += draw(st.sampled_from([0, 10, 60, 60, 600]))
        north_m = draw(st.sampled_from([0, 0, 30, 99.9, 100.1, 150, 180, 5_000]))
        flags = draw(st.sampled_from([OFF, OFF, OFF, OFF, OFF, ON, 0, OFF | NO_FIX, ON | NO_FIX]))
        rows.append({**stand(second[slot], north_m, flags, slot), "seq": len(rows)})
    return rows


@given(nights(), st.lists(st.integers(0, 50), max_size=6), st.integers(1, 4))
@settings(max_examples=80, deadline=None)
def test_any_night_cut_anywhere_is_what_the_plain_loop_says(
    rows: list[dict[str, Any]], places: list[int], points: int
) -> None:
    limits = RuleLimits(illegal_move_points=points)
    whole = OneRule(IllegalMove, limits).points(rows)
    assert whole.seen == plain(whole.frames[0], limits)
    for where in (places, range(len(rows))):
        parts = OneRule(IllegalMove, limits)
        for some in cut(rows, where):
            parts.points(some).restart()
        assert parts.seen == whole.seen
        assert sorted(parts.rows) == sorted(whole.rows)
        assert parts.rule.to_bytes() == whole.rule.to_bytes()


def test_nobody_is_far_at_the_other_side_of_the_date_line() -> None:
    """A place is compared along the shorter way round."""
    rows = [row(60 * at, flags=OFF, lat=0.5, lon=math.copysign(179.9999, 1 - 2 * (at % 2))) for at in range(6)]
    assert OneRule(IllegalMove).points(rows).seen == []
