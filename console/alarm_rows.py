"""Alarms, their events, units and cases as JSON-ready rows. Pure.

Invariants: where a place is hidden, the row has neither a point nor a detail that tells one, and says so; a clock is given
as it was stored, and the 300-second clock as what is left of it. Who may see a place is decided in `console.ebikes`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from console.track_rows import time_text
from model.alarm import RESPONSE_CLOCK_MS, Alarm, Work
from model.desk import Case, DeskAlarm, DeskStats, Event, Unit
from model.signal import Signal

#: EEMUA 191: what one operator can take in, alarms in ten minutes.
EEMUA_ALARMS_PER_10_MIN = 1
#: The clocks of a lap, as stored.
CLOCKS = ("to_receive_ms", "to_show_ms", "to_acknowledge_ms", "to_dispatch_ms", "to_scene_ms", "total_ms")
_MOMENTS = (
    ("time", "device_ms"),
    ("received", "received_ms"),
    ("shown", "shown_ms"),
    ("acknowledged", "acknowledged_ms"),
    ("dispatched", "dispatched_ms"),
    ("eta", "eta_ms"),
    ("on_scene", "on_scene_ms"),
    ("resolved", "resolved_ms"),
    ("closed", "closed_ms"),
    ("cleared", "cleared_ms"),
    ("shelved_until", "side_until_ms"),
    ("changed", "changed_ms"),
)
#: Keys of an event's detail that tell a place.
_PLACE_KEYS = frozenset({"lat", "lon", "place", "point"})
#: 2100-01-01T00:00:00Z; times outside 1970..2100 are written by the slower, general way.
_PLAIN_UNTIL_MS = 4_102_444_800_000
_RUNNING = (Work.NEW, Work.ACKNOWLEDGED, Work.DISPATCHED)


def moment(time_ms: int) -> str | None:
    """`2026-11-22T08:00:00.000Z`, or None for 0: it has not happened. A microsecond, for the feed writes many."""
    if not time_ms:
        return None
    if not 0 < time_ms < _PLAIN_UNTIL_MS:
        return time_text(time_ms)
    whole_s, rest_ms = divmod(time_ms, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole_s))}.{rest_ms:03d}Z"


def remaining_s(alarm: Alarm, now_ms: int) -> int | None:
    """Seconds left of the 300-second clock, negative when it ran over; None for a late lap, and where nobody ever came."""
    if alarm.late or (alarm.response_ms is None and alarm.work not in _RUNNING):
        return None
    return (RESPONSE_CLOCK_MS - alarm.running_ms(now_ms)) // 1000


def alarm_row(one: DeskAlarm, now_ms: int, *, place: bool) -> dict[str, Any]:
    """An alarm as it stands; `place` says whether its point may be given out."""
    alarm, where = one.alarm, one.located
    shown = place and where.lat is not None and where.lon is not None
    return {
        "alarm": alarm.id,
        "kind": alarm.kind,
        "device": alarm.device,
        "fence": alarm.fence,
        "severity": alarm.severity,
        "work": alarm.work.value,
        "condition": alarm.condition.value,
        "side": alarm.side.value,
        "late": alarm.late,
        "version": alarm.version,
        "remaining_s": remaining_s(alarm, now_ms),
        "overdue": one.overdue,
        "breached": alarm.breached,
        "jurisdiction": where.area,
        "site": where.site,
        "lat": round(where.lat, 6) if shown and where.lat is not None else None,
        "lon": round(where.lon, 6) if shown and where.lon is not None else None,
        "place_hidden": not place,
        "signals": alarm.signals,
        "lap": alarm.lap,
        "latches": alarm.latches,
        "owner": alarm.owner,
        "unit": alarm.unit,
        "reviewer": alarm.reviewer,
        "outcome": alarm.outcome.value if alarm.outcome else None,
        "reason": alarm.reason,
        "side_reason": alarm.side_reason,
        "rung": one.rung,
        "due": moment(one.due_ms),
        "changed_by": alarm.changed_by,
        "changed_how": alarm.changed_how.value,
        **{key: moment(getattr(alarm, name)) for key, name in _MOMENTS},
        "response_ms": alarm.response_ms,
        "clocks_ms": {name: getattr(alarm, name) for name in CLOCKS},
    }


def event_row(event: Event, now_ms: int, *, place: bool) -> dict[str, Any]:
    """One event with the alarm after it, as the feed gives it."""
    return {**step_row(event, place=place), "alarm": alarm_row(event.alarm, now_ms, place=place)}


def step_row(event: Event, *, place: bool) -> dict[str, Any]:
    """One event as a line of an alarm's history."""
    alarm = event.alarm.alarm
    return {
        "number": event.number,
        "time": moment(event.time_ms),
        "action": event.action,
        "by": event.by,
        "work": alarm.work.value,
        "version": alarm.version,
        "detail": event.detail if place else without_place(event.detail),
    }


def without_place(detail: Mapping[str, Any]) -> dict[str, Any]:
    """An event's detail without what tells a place."""
    return {key: value for key, value in detail.items() if key not in _PLACE_KEYS}


def alarm_signal_row(signal: Signal, *, place: bool) -> dict[str, Any]:
    """One signal of an alarm."""
    return {
        "id": signal.id,
        "source": signal.source,
        "time": moment(signal.time_ms),
        "received": moment(signal.received_ms),
        "late": signal.late,
        "lat": None if signal.lat is None or not place else round(signal.lat, 6),
        "lon": None if signal.lon is None or not place else round(signal.lon, 6),
        "note": signal.note,
        "device_alarm_id": signal.device_alarm_id,
    }


def unit_row(unit: Unit) -> dict[str, Any]:
    """A patrol unit."""
    return {
        "device": unit.device,
        "level": unit.level,
        "state": unit.state.value,
        "alarm": unit.alarm,
        "changed": moment(unit.changed_ms),
    }


def case_row(case: Case) -> dict[str, Any]:
    """A case with its steps, oldest first."""
    return {
        "case": case.id,
        "device": case.device,
        "owner_ref": case.owner_ref,
        "state": case.state.value,
        "officer": case.officer,
        "version": case.version,
        "steps": [
            {"time": moment(step.time_ms), "state": step.state.value, "by": step.by, "note": step.note, "to": step.to}
            for step in case.steps
        ],
    }


def stats_row(stats: DeskStats) -> dict[str, Any]:
    """How the desk is doing, against what one operator can take in."""
    return {
        "open": sum(stats.open.values()),
        "open_by_severity": {str(severity): stats.open.get(severity, 0) for severity in (1, 2, 3)},
        "by_work": dict(stats.by_work),
        "last_10_min": stats.last_10_min,
        "eemua_191_per_10_min": EEMUA_ALARMS_PER_10_MIN,
        "flood": stats.flood,
        "late": stats.late,
        "breached": stats.breached,
        "response_clock_s": RESPONSE_CLOCK_MS // 1000,
        "clocks_ms": {name: dict(values) for name, values in stats.clocks_ms.items()},
    }
