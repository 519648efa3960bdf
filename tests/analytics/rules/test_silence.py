"""Offline: whoever was heard and is not any more, by our clock, and never for an outage of ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.meaning.context import Context
from analytics.meaning.events import Events
from analytics.meaning.limits import RuleLimits
from analytics.rules.silence import Silence
from model.codes import Flag
from model.errors import Corrupt
from tests.analytics.keeper import BUFFERED, NOW_MS, batch
from tests.analytics.rules.one_rule import OneRule, Seen, cut, row

#: A taxi after 10 s, an e-bike after 30 s, a unit never.
SHORT = RuleLimits(taxi_offline_s=10, ebike_offline_s=30, unit_offline_s=0)


def listened() -> OneRule:
    """A rule that has listened for a minute before second 0."""
    return OneRule(Silence, SHORT).ticks(-60, 0)


def test_each_kind_has_its_own_limit_and_falls_with_the_first_row() -> None:
    rule = listened().points([row(0, slot) for slot in (0, 1, 2, 3, 4)]).ticks(1, 5).points([row(5, 4)]).ticks(6, 60)
    assert rule.seen == [(True, 10, 0, 10.0), (True, 15, 4, 10.0), (True, 30, 1, 30.0)]
    rule.points([row(60, 0), row(61, 0), row(61, 4)]).ticks(61, 75)
    assert rule.seen[3:] == [(False, 60, 0, None), (False, 61, 4, None), (True, 71, 0, 10.0), (True, 71, 4, 10.0)]
    assert rule.rows == [6, 8]


def test_who_was_never_heard_is_not_missed() -> None:
    rule = listened().points([row(0, 4)]).ticks(1, 50)
    assert [seen[2] for seen in rule.seen] == [4]


@pytest.mark.parametrize(
    ("more", "alive"),
    [
        ({}, True),
        ({"time_ms": NOW_MS - 3_600_000}, True),
        ({"time_ms": NOW_MS}, True),
        ({"time_ms": NOW_MS + 10**9}, True),
        ({"lat": 0.0, "lon": 0.0}, True),
        ({"lat": float("nan")}, True),
        ({"flags": BUFFERED}, False),
        ({"flags": int(Flag.SIGHTED)}, False),
    ],
    ids=["plain", "late", "known", "in the future", "null island", "no place", "from its store", "seen by a reader"],
)
def test_what_a_sign_of_life_is(more: dict[str, Any], alive: bool) -> None:
    rule = listened().points([row(0)]).ticks(1, 7).points([{**row(7), **more}]).ticks(8, 12)
    assert rule.seen == ([] if alive else [(True, 10, 0, 10.0)])
    rule.points([{**row(13), **more, "received_ms": NOW_MS + 13_000}])
    assert rule.seen == ([] if alive else [(True, 10, 0, 10.0)])


def test_a_silent_device_that_sends_its_store_is_still_offline() -> None:
    rule = listened().points([row(0)]).ticks(1, 20).points([row(3, flags=BUFFERED), row(4, 1), row(20)])
    assert rule.seen == [(True, 10, 0, 10.0), (False, 20, 0, None)]
    assert rule.rows == [3]


def test_our_own_outage_makes_nobody_offline() -> None:
    """The ticks were away for an hour, then the broker was for a minute; each time silence counts anew."""
    rule = listened().points([row(0)]).ticks(1, 5).restart().ticks(3_600, 3_609)
    assert rule.seen == []
    for second in range(3_610, 3_670):
        rule.tick(second, listening=False)
    assert rule.seen == []
    rule.ticks(3_670, 3_690)
    assert rule.seen == [(True, 3_679, 0, 3_679.0)]


def test_a_start_without_any_tick_before_counts_from_the_first() -> None:
    rule = OneRule(Silence, SHORT).points([row(-500)]).ticks(0, 20)
    assert rule.seen == [(True, 10, 0, 510.0)]


def test_our_clock_set_back_makes_nobody_offline_and_nobody_immortal() -> None:
    rule = listened().points([row(0), row(0, 4)]).ticks(1, 5)
    rule.tick(-3_600).points([row(-3_599, 4)]).ticks(-3_599, -3_580)
    assert rule.seen == [(True, -3_590, 0, 10.0), (True, -3_589, 4, 10.0)]


def test_of_a_disabled_device_nothing_is_told_and_the_memory_is_the_same() -> None:
    plain = listened().points([row(0), row(0, 4)]).ticks(1, 20)
    rule = listened().points([row(0), row(0, 4)])
    rule.context.disabled = np.array([0], np.int64)
    rule.ticks(1, 20)
    assert [seen[2] for seen in rule.seen] == [4]
    assert rule.rule.to_bytes() == plain.rule.to_bytes()


def test_slots_that_are_none_are_passed_over() -> None:
    rule = Silence()
    rule.arrived(batch([row(0, -1), row(0, 7), row(0, 2**31 - 1)]), Context(), Events())
    assert rule.memory.capacity < 2_000
    assert np.flatnonzero(rule.memory["heard_ms"] == NOW_MS).tolist() == [7]


def test_a_torn_memory_is_refused_and_changes_nothing() -> None:
    rule = listened().points([row(0)]).rule
    raw = rule.to_bytes()
    for bad in (b"", raw[:10], raw[:-1], raw + b"x"):
        with pytest.raises(Corrupt):
            rule.restore(memoryview(bad))
    assert rule.to_bytes() == raw


#: What happens next: rows, or so many ticks, or an outage.
_Event = tuple[str, Any]


@st.composite
def hours(draw: st.DrawFn) -> list[_Event]:
    happens: list[_Event] = []
    second = 0
    for _ in range(draw(st.integers(1, 25))):
        what = draw(st.sampled_from(["rows", "rows", "ticks", "ticks", "deaf", "away", "back"]))
        if what == "rows":
            count = draw(st.integers(1, 6))
            slots = [draw(st.sampled_from([0, 1, 2, 4])) for _ in range(count)]
            flags = [draw(st.sampled_from([0, 0, 0, BUFFERED])) for _ in range(count)]
            happens.append(("rows", [row(second, slot, flags=flag) for slot, flag in zip(slots, flags, strict=True)]))
        elif what == "away":
            second += draw(st.integers(6, 100))
        elif what == "back":
            second -= draw(st.integers(1, 40))
        else:
            for _ in range(draw(st.integers(1, 15))):
                second += 1
                happens.append((what, second))
    return happens


def plain(happens: list[_Event], limits: RuleLimits) -> list[Seen]:
    """The rule, row by row and tick by tick."""
    limit = {0: limits.taxi_offline_s, 4: limits.taxi_offline_s, 1: limits.ebike_offline_s}
    heard: dict[int, int] = {}
    silent: set[int] = set()
    since = last = -(10**9)
    found: list[Seen] = []
    for what, data in happens:
        if what == "rows":
            for one in data:
                if not one["flags"]:
                    second = (one["received_ms"] - NOW_MS) // 1_000
                    if one["slot"] in silent:
                        silent.remove(one["slot"])
                        found.append((False, second, one["slot"], None))
                    heard[one["slot"]] = second
            continue
        if what == "deaf" or abs(data - last) > 5:
            since = data
        if data < last:
            heard = {slot: min(second, data) for slot, second in heard.items()}
        last = data
        for slot, second in heard.items():
            if slot in limit and slot not in silent and data - max(second, since) >= limit[slot]:
                silent.add(slot)
                found.append((True, data, slot, float(data - second)))
    return sorted(found, key=lambda one: (one[1], one[2], one[0]))


@given(hours(), st.lists(st.integers(0, 60), max_size=4))
@settings(max_examples=80, deadline=None)
def test_any_hour_cut_anywhere_is_what_the_plain_loop_says(happens: list[_Event], places: list[int]) -> None:
    whole, parts = OneRule(Silence, SHORT), OneRule(Silence, SHORT)
    for what, data in happens:
        if what == "rows":
            whole.points(data)
            for some in cut(data, places):
                parts.points(some).restart()
        else:
            for one in (whole, parts):
                one.tick(data, listening=what == "ticks")
    assert whole.seen == plain(happens, SHORT)
    assert (parts.seen, sorted(parts.rows)) == (whole.seen, sorted(whole.rows))
    assert parts.rule.to_bytes() == whole.rule.to_bytes()
