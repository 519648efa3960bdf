"""Fatigue: driving adds up, a rest begins anew, gaps are neither; as a plain loop has it, however it is cut."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.meaning.frame import Frame
from analytics.meaning.limits import RuleLimits
from analytics.rules.fatigue import Fatigue
from tests.analytics.rules.one_rule import OneRule, Seen, cut, row

HOUR_S, MINUTE_S = 3_600, 60
#: Small enough for random rows to reach.
SHORT = RuleLimits(fatigue_drive_s=60, fatigue_rest_s=20, trip_gap_s=15)


def stretch(first_s: int, last_s: int, speed_kmh: float, every_s: int = 30, slot: int = 0) -> list[dict[str, Any]]:
    """Rows of one speed, the end left out."""
    return [row(second, slot, speed_kmh=speed_kmh) for second in range(first_s, last_s, every_s)]


def plain(frame: Frame, limits: RuleLimits) -> list[Seen]:
    """The rule row by row."""
    found: list[Seen] = []
    state: dict[int, dict[str, Any]] = {}
    rows = zip(frame.slot.tolist(), frame.time_ms.tolist(), frame.motion_kmh.tolist(), frame.kind.tolist(), strict=True)
    for slot, time, motion, kind in rows:
        if kind != 0 or math.isnan(motion):
            continue
        own = state.setdefault(slot, {"seen": None, "drive": 0, "rest": 0, "tired": False})
        took = 0 if own["seen"] is None else time - own["seen"]
        own["seen"] = time
        gap, moves, added = took > limits.trip_gap_s * 1_000, motion >= limits.moving_kmh, 0
        if gap:
            added = took if took >= limits.fatigue_rest_s * 1_000 else 0
        elif not moves:
            added = took
        own["rest"] += added
        second = round((time - 1_760_000_000_000) / 1_000, 3)
        if added and own["rest"] >= limits.fatigue_rest_s * 1_000:
            if own["tired"]:
                found.append((False, second, slot, None))
            own["drive"], own["tired"] = 0, False
        if moves:
            own["rest"] = 0
            if not gap:
                own["drive"] += took
        if own["drive"] >= limits.fatigue_drive_s * 1_000 and not own["tired"]:
            own["tired"] = True
            found.append((True, second, slot, round(own["drive"] / 3_600_000, 6)))
    return sorted(found, key=lambda one: (one[1], one[2], one[0]))


def test_four_hours_raise_once_and_twenty_minutes_of_rest_clear() -> None:
    rule = OneRule(Fatigue)
    rule.points(stretch(0, 5 * HOUR_S, 40))
    assert rule.seen == [(True, 4 * HOUR_S, 0, 4.0)]
    # Nineteen minutes are no rest, and driving after them goes on where it was.
    rule.points(stretch(5 * HOUR_S, 5 * HOUR_S + 19 * MINUTE_S, 0))
    rule.points(stretch(5 * HOUR_S + 19 * MINUTE_S, 6 * HOUR_S, 40))
    assert len(rule.seen) == 1
    rule.points(stretch(6 * HOUR_S, 6 * HOUR_S + 30 * MINUTE_S, 0))
    assert rule.seen[1:] == [(False, 6 * HOUR_S + 20 * MINUTE_S - 30, 0, None)]
    rule.points(stretch(6 * HOUR_S + 30 * MINUTE_S, 11 * HOUR_S, 40))
    assert [seen[0] for seen in rule.seen] == [True, False, True]
    assert rule.seen[2][1] == 10 * HOUR_S + 30 * MINUTE_S - 30


@pytest.mark.parametrize(
    ("gap_s", "raises_at_s"),
    [(200, 4 * HOUR_S), (900, 4 * HOUR_S + 900 - 0), (1_200, None)],
    ids=["no gap: driven through", "a gap counts as nothing", "a gap as long as a rest is one"],
)
def test_gaps(gap_s: int, raises_at_s: int | None) -> None:
    """Three hours, a gap, then one hour and five minutes."""
    again_s = 3 * HOUR_S - 30 + gap_s
    rows = stretch(0, 3 * HOUR_S, 40) + stretch(again_s, again_s + 65 * MINUTE_S, 40)
    seen = OneRule(Fatigue).points(rows).seen
    if raises_at_s is None:
        assert seen == []
    else:
        ((rises, second, _, hours),) = seen
        assert rises
        assert abs(second - raises_at_s) <= 60
        assert hours is not None
        assert 4 <= hours < 4.02


def test_a_rest_in_the_middle_or_at_the_end_of_a_gap_is_one_rest() -> None:
    """Standing 15 minutes, unheard for 8, standing 6: 20 minutes of rest were seen."""
    rows = stretch(0, 3 * HOUR_S, 40) + stretch(3 * HOUR_S, 3 * HOUR_S + 15 * MINUTE_S, 0)
    rows += stretch(3 * HOUR_S + 23 * MINUTE_S, 3 * HOUR_S + 30 * MINUTE_S, 0)
    rows += stretch(3 * HOUR_S + 30 * MINUTE_S, 7 * HOUR_S, 40)
    assert OneRule(Fatigue).points(rows).seen == []


def test_who_is_tired_stays_so_until_a_rest_when_the_limit_is_raised_meanwhile() -> None:
    rule = OneRule(Fatigue).points(stretch(0, 4 * HOUR_S + 60, 40)).restart()
    rule.context.limits = RuleLimits(fatigue_drive_s=6 * HOUR_S)
    rule.points(stretch(4 * HOUR_S + 60, 7 * HOUR_S, 40)).points(stretch(7 * HOUR_S, 8 * HOUR_S, 0))
    assert [seen[:2] for seen in rule.seen] == [(True, 4 * HOUR_S), (False, 7 * HOUR_S + 20 * MINUTE_S - 30)]


def test_only_taxis_get_tired() -> None:
    rows = stretch(0, 9 * HOUR_S, 40, every_s=60, slot=1) + stretch(0, 9 * HOUR_S, 40, every_s=60, slot=2)
    assert OneRule(Fatigue).points(rows).seen == []


@st.composite
def days(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    second = dict.fromkeys((0, 1, 4), 0)
    for _ in range(draw(st.integers(1, 60))):
        slot = draw(st.sampled_from([0, 0, 0, 1, 4]))
        second[slot] += draw(st.sampled_from([0, 1, 5, 10, 10, 15, 16, 19, 20, 25]))
        speed = draw(st.sampled_from([float("nan"), 0.0, 4.9, 5.0, 40.0, 40.0, 40.0]))
        sent = {} if math.isnan(speed) else {"speed_kmh": speed}
        lat = 40.65 + draw(st.integers(0, 3)) * 1e-4
        rows.append(row(second[slot], slot, lat=lat, seq=len(rows), **sent))
    return rows


@given(days(), st.lists(st.integers(0, 60), max_size=6))
@settings(max_examples=80, deadline=None)
def test_any_day_cut_anywhere_is_what_the_plain_loop_says(rows: list[dict[str, Any]], places: list[int]) -> None:
    whole = OneRule(Fatigue, SHORT).points(rows)
    assert whole.seen == plain(whole.frames[0], SHORT)
    for where in (places, range(len(rows))):
        parts = OneRule(Fatigue, SHORT)
        for some in cut(rows, where):
            parts.points(some).restart()
        assert parts.seen == whole.seen
        assert sorted(parts.rows) == sorted(whole.rows)
        assert parts.rule.to_bytes() == whole.rule.to_bytes()
