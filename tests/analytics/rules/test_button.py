"""Buttons: a heartbeat that does not come, and a battery that runs low."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.meaning.limits import RuleLimits
from analytics.rules.button import ButtonBattery, ButtonSilent
from tests.analytics.keeper import NOW_MS
from tests.analytics.rules.one_rule import OneRule, Seen, cut

BUTTON, TAXI = 3, 0
LIMITS = RuleLimits(button_silent_s=20)
Status = tuple[int, int, int, int, int]


def beat(second: int, slot: int = BUTTON, *, online: int = 1, battery_pct: int = -1) -> Status:
    return (slot, NOW_MS + second * 1_000 - 400, NOW_MS + second * 1_000, online, battery_pct)


def listened() -> OneRule:
    return OneRule(ButtonSilent, LIMITS).ticks(-60, 0)


def test_a_missed_heartbeat_rises_once_and_falls_with_the_next() -> None:
    rule = listened().statuses([beat(0), beat(0, TAXI)]).ticks(1, 19).statuses([beat(19)]).ticks(20, 60)
    assert rule.seen == [(True, 39, BUTTON, 20.0)]
    rule.statuses([beat(60, TAXI), beat(61, online=0), beat(62), beat(63)])
    assert rule.seen[1:] == [(False, 62, BUTTON, None)]
    assert rule.rows == [5]


def test_a_last_will_is_no_heartbeat_and_a_button_that_never_had_one_is_not_missed() -> None:
    rule = listened().statuses([beat(0)]).ticks(1, 15).statuses([beat(15, online=0)]).ticks(16, 30)
    assert rule.seen == [(True, 20, BUTTON, 20.0)]
    assert listened().statuses([beat(0, online=0)]).ticks(1, 60).seen == []


def test_our_own_outage_makes_no_button_silent() -> None:
    rule = listened().statuses([beat(0)]).ticks(1, 15).restart().ticks(500, 519)
    assert rule.seen == []
    assert rule.tick(520).seen == [(True, 520, BUTTON, 520.0)]


def test_zero_seconds_are_never() -> None:
    rule = OneRule(ButtonSilent, RuleLimits(button_silent_s=0)).ticks(-10, 0).statuses([beat(0)])
    assert rule.ticks(1, 400).seen == []


@pytest.mark.parametrize("places", [[], [1], [1, 2, 3, 4, 5, 6, 7, 8]])
def test_a_battery_is_low_once_until_it_is_well_again(places: list[int]) -> None:
    levels = [50, 21, 20, 5, -1, 25, 29, 30, 20]
    rule = OneRule(ButtonBattery)
    for some in cut([beat(at, battery_pct=level) for at, level in enumerate(levels)], places):
        rule.statuses(some).restart()
    assert [(one[0], one[3]) for one in rule.seen] == [(True, 20.0), (False, 30.0), (True, 20.0)]
    assert rule.rows[:1] == [2]


def test_only_buttons_are_told_of_their_battery() -> None:
    assert OneRule(ButtonBattery).statuses([beat(0, TAXI, battery_pct=3)]).seen == []


def plain(statuses: list[Status]) -> list[Seen]:
    """The battery's rule, status by status."""
    found: list[Seen] = []
    low: set[int] = set()
    for slot, time, _, _, level in statuses:
        before = slot in low
        if 0 <= level <= 20:
            low.add(slot)
        elif level >= 30:
            low.discard(slot)
        if (slot in low) != before and slot == BUTTON:
            found.append((not before, (time - NOW_MS) / 1_000, slot, float(level)))
    return found


@given(
    st.lists(
        st.tuples(st.sampled_from([BUTTON, BUTTON, TAXI]), st.sampled_from([-1, 0, 20, 21, 29, 30, 90])), min_size=1
    ),
    st.lists(st.integers(0, 40), max_size=5),
)
@settings(max_examples=100, deadline=None)
def test_any_batteries_cut_anywhere_are_what_the_plain_loop_says(levels: list[Any], places: list[int]) -> None:
    statuses = [beat(at, slot, battery_pct=level) for at, (slot, level) in enumerate(levels)]
    whole, parts = OneRule(ButtonBattery).statuses(statuses), OneRule(ButtonBattery)
    for some in cut(statuses, places):
        parts.statuses(some).restart()
    assert whole.seen == parts.seen == plain(statuses)
    assert sorted(whole.rows) == sorted(parts.rows)
    assert parts.rule.to_bytes() == whole.rule.to_bytes()


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("beat"), st.sampled_from([BUTTON, BUTTON, TAXI]), st.sampled_from([0, 1, 1])),
            st.tuples(st.just("ticks"), st.integers(1, 15), st.booleans()),
        ),
        max_size=30,
    ),
    st.lists(st.integers(0, 40), max_size=5),
)
@settings(max_examples=100, deadline=None)
def test_any_heartbeats_cut_anywhere_are_what_the_plain_loop_says(happens: list[Any], places: list[int]) -> None:
    whole, parts = listened(), listened()
    second, since, heard, silent = 0, -60, None, False
    wanted: list[Seen] = []
    waiting: list[Status] = []

    def feed() -> None:
        whole.statuses(waiting)
        for some in cut(waiting, places):
            parts.statuses(some).restart()
        waiting.clear()

    for what, one, two in happens:
        if what == "beat":
            waiting.append(beat(second, one, online=two))
            if one == BUTTON and two:
                heard = second
                if silent:
                    wanted.append((False, second, BUTTON, None))
                silent = False
            continue
        feed()
        for _ in range(one):
            second += 1
            since = since if two else second
            for rule in (whole, parts):
                rule.tick(second, listening=two)
            if heard is not None and not silent and second - max(heard, since) >= 20:
                silent = True
                wanted.append((True, second, BUTTON, float(second - heard)))
    feed()
    assert whole.seen == parts.seen == sorted(wanted, key=lambda seen: (seen[1], seen[2], seen[0]))
    assert sorted(whole.rows) == sorted(parts.rows)
    assert parts.rule.to_bytes() == whole.rule.to_bytes()
