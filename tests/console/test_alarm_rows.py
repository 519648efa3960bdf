"""Rows of alarms: times, what is left of the 300-second clock, and what is hidden."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.alarm_rows import alarm_row, event_row, moment, remaining_s, step_row
from console.track_rows import time_text
from model import alarm as transitions
from model.alarm import Alarm, Outcome
from model.desk import DeskAlarm, Event, Located
from model.signal import Signal

START_MS = 1_795_334_400_000
PLACE = Located("a1", "s1", (), 40.6512349, 109.84)


def an_alarm(*, late: bool = False) -> Alarm:
    signal = Signal("s1", "ebike/1", "vibration", "bit", START_MS - 500, START_MS, 40.65, 109.84, 2, late, "", 1)
    return transitions.raised("A1", signal)


@given(st.integers(min_value=-62_135_596_800_000, max_value=253_402_300_799_999))
def test_a_moment_is_the_time_as_the_other_rows_write_it(time_ms: int) -> None:
    assert moment(time_ms) == (time_text(time_ms) if time_ms else None)


def test_the_300_seconds_run_stop_and_run_over() -> None:
    fresh = an_alarm()
    assert remaining_s(fresh, START_MS) == 300
    assert remaining_s(fresh, START_MS + 12_500) == 287
    assert remaining_s(fresh, START_MS + 312_000) == -12
    assert remaining_s(an_alarm(late=True), START_MS) is None
    taken = transitions.acknowledged(fresh, 1, "li", START_MS + 1_000)
    sent = transitions.dispatched(taken, 2, "li", "unit/1", START_MS + 2_000)
    there = transitions.arrived(sent, 3, "li", START_MS + 100_000)
    assert remaining_s(there, START_MS + 900_000) == 200
    nobody_came = transitions.resolved(taken, 2, "li", Outcome.FALSE, START_MS + 5_000)
    assert remaining_s(nobody_came, START_MS + 9_000) is None


def test_a_hidden_place_is_nowhere_in_the_row() -> None:
    one = DeskAlarm(an_alarm(), PLACE)
    event = Event(7, START_MS, "raise", "system", {"signal": "s1", "lat": 40.65, "lon": 109.84}, one)
    hidden = event_row(event, START_MS, place=False)
    assert hidden["alarm"]["place_hidden"] is True
    assert (hidden["alarm"]["lat"], hidden["alarm"]["lon"], hidden["alarm"]["jurisdiction"]) == (None, None, "a1")
    assert hidden["detail"] == {"signal": "s1"}
    assert "40.65" not in repr(hidden)
    shown = event_row(event, START_MS, place=True)
    assert (shown["alarm"]["lat"], shown["alarm"]["place_hidden"]) == (40.651235, False)
    assert shown["detail"]["lat"] == 40.65
    assert step_row(event, place=True)["number"] == 7


@pytest.mark.parametrize("place", [True, False])
def test_an_alarm_without_a_place_has_none(place: bool) -> None:
    row = alarm_row(DeskAlarm(an_alarm(), replace(PLACE, lat=None)), START_MS, place=place)
    assert (row["lat"], row["lon"]) == (None, None)
