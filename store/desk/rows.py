"""Alarms, events and signals to rows of the desk's file and back. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

import msgspec

from model.alarm import Action, Alarm, Condition, Outcome, Side, Work
from model.desk import DeskAlarm, Event, Located
from model.signal import Signal
from store.desk.ladder import Kept

_ALARM_FIELDS = tuple(field.name for field in fields(Alarm))
_DESK_COLUMNS = ("area", "site", "parents", "lat", "lon", "rung", "due_ms", "overdue", "breach_due_ms")
#: Of `alarms` but number and next_due_ms; also the order of an event's snapshot, so new ones come at the end.
COLUMNS = (*_ALARM_FIELDS, *_DESK_COLUMNS)
SELECT_ALARM = f"SELECT number, {', '.join(COLUMNS)} FROM alarms"  # noqa: S608 (constants)
RETURNING_ALARM = "RETURNING " + ", ".join(f"alarms.{name}" for name in ("number", *COLUMNS))
SELECT_EVENT = "SELECT number, time_ms, action, who, detail, alarm, after FROM events"
SIGNAL_COLUMNS = tuple(field.name for field in fields(Signal))
#: Columns of `alarms` that are one lap's; `laps` keeps them when the next begins.
LAP_COLUMNS = (
    "lap",
    "late",
    "device_ms",
    "received_ms",
    "to_receive_ms",
    "to_show_ms",
    "to_acknowledge_ms",
    "to_dispatch_ms",
    "to_scene_ms",
    "total_ms",
    "response_ms",
    "breached",
)

_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "latches": bool,
    "condition": Condition,
    "work": Work,
    "side": Side,
    "changed_how": Action,
    "late": bool,
    "outcome": lambda value: None if value is None else Outcome(value),
    "breached": lambda value: None if value is None else bool(value),
}
_CONVERTED = tuple((_ALARM_FIELDS.index(name), convert) for name, convert in _CONVERTERS.items())
_alarm_values = attrgetter(*_ALARM_FIELDS)
_signal_values = attrgetter(*SIGNAL_COLUMNS)
_encode = msgspec.json.encode
_decode = msgspec.json.decode


def plain_text(text: str) -> str:
    """Text that any database takes: what a device sent must never keep its alarm from being kept."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def signal_row(signal: Signal) -> tuple[object, ...]:
    """A signal in the order of `SIGNAL_COLUMNS`."""
    row = list(_signal_values(signal))
    for name in ("note", "device_alarm_id"):  # what the device itself may write
        row[SIGNAL_COLUMNS.index(name)] = plain_text(getattr(signal, name))
    return tuple(row)


def signal_of(row: Sequence[Any]) -> Signal:
    """The reverse of `signal_row`."""
    values = list(row)
    values[SIGNAL_COLUMNS.index("late")] = bool(values[SIGNAL_COLUMNS.index("late")])
    return Signal(*values)


def alarm_row(kept: Kept) -> list[object]:
    """A kept alarm in the order of `COLUMNS`."""
    desk, located = kept.desk, kept.desk.located
    alarm = desk.alarm
    row: list[object] = list(_alarm_values(alarm))
    row += (
        located.area,
        located.site,
        _encode(located.parents).decode(),
        located.lat,
        located.lon,
        desk.rung,
        desk.due_ms,
        desk.overdue,
        kept.breach_due_ms,
    )
    return row


def kept_of(number: int, row: Sequence[Any]) -> Kept:
    """The reverse of `alarm_row`."""
    count = len(_ALARM_FIELDS)
    values = list(row[:count])
    for index, convert in _CONVERTED:
        values[index] = convert(values[index])
    area, site, parents, lat, lon, rung, due_ms, overdue, breach_due_ms = row[count : count + len(_DESK_COLUMNS)]
    located = Located(area, site, tuple(_decode(parents)), lat, lon)
    return Kept(number, DeskAlarm(Alarm(*values), located, rung, due_ms, bool(overdue)), breach_due_ms)


def lap_row(kept: Kept) -> tuple[object, ...]:
    """A lap that ended: alarm, then `LAP_COLUMNS`, then overdue."""
    return (kept.number, *(getattr(kept.alarm, name) for name in LAP_COLUMNS), kept.desk.overdue)


def event_row(event: Event, kept: Kept) -> tuple[object, ...]:
    """An event as a row of `events`."""
    detail, after = _encode(event.detail).decode(), _encode(alarm_row(kept)).decode()
    return event.number, event.time_ms, event.action, event.by, detail, kept.number, after


def event_of(row: Sequence[Any]) -> Event:
    """The reverse of `event_row`."""
    number, time_ms, action, who, detail, alarm, after = row
    return Event(number, time_ms, action, who, _decode(detail), kept_of(alarm, _decode(after)).desk)
