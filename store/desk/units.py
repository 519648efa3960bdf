"""Patrol units: who is free, on its way, on scene, off duty; each on at most one alarm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from model.alarm import Work
from model.desk import Unit, UnitState
from model.errors import Refused, UsageError
from store.desk.ladder import unmanned
from store.desk.page import Page

MAX_LEVEL = 3
_SELECT = "SELECT device, level, state, alarm, changed_ms FROM units"
SELECT_UNITS = f"{_SELECT} ORDER BY device"
_WRITE = (
    "INSERT INTO units (device, level, state, alarm, changed_ms) VALUES (?, ?, ?, ?, ?) ON CONFLICT (device) DO UPDATE"
    " SET level = excluded.level, state = excluded.state, alarm = excluded.alarm, changed_ms = excluded.changed_ms"
)


def unit_of(row: Sequence[Any]) -> Unit:
    """A row of `units`."""
    device, level, state, alarm, changed_ms = row
    return Unit(device, level, UnitState(state), alarm, changed_ms)


def set_unit(page: Page, device: str, who: str, level: int | None, state: UnitState | None) -> Unit:
    """Set level, or duty; a unit that leaves its alarm leaves it without a unit, and the ladder begins again."""
    if not device.strip():
        raise UsageError("It is not said which unit.", mend="Name the unit, e.g. unit/7.")
    if level is not None and not 0 <= level <= MAX_LEVEL:
        raise UsageError(f"The patrol level {level} is out of range.", mend=f"Give 0 to {MAX_LEVEL}.")
    before = _unit(page, device)
    if state in (UnitState.ON_THE_WAY, UnitState.ON_SCENE) and state is not before.state:
        raise Refused(
            "A unit is sent to an alarm, not set on its way.", mend="Dispatch it, or say that it has arrived."
        )
    goes = state is not None and state is not before.state
    after = Unit(
        device,
        before.level if level is None else level,
        before.state if state is None else state,
        "" if goes else before.alarm,
        page.now_ms if goes or not before.changed_ms else before.changed_ms,
    )
    _write(page, after)
    if goes and before.alarm:
        _leaves(page, before, after, who)
    return after


def send_unit(page: Page, device: str, alarm_id: str) -> None:
    """Put a unit on its way; refuses one that is off duty or on another alarm."""
    unit = _unit(page, device)
    if unit.state is UnitState.OFF_DUTY:
        raise Refused(f"{device} is off duty.", mend="Send another unit, or set it free first.")
    if unit.alarm and unit.alarm != alarm_id:
        raise Refused(f"{device} is on alarm {unit.alarm}.", mend="Send another unit, or end that alarm first.")
    _write(page, Unit(device, unit.level, UnitState.ON_THE_WAY, alarm_id, page.now_ms))


def put_on_scene(page: Page, device: str, alarm_id: str) -> None:
    """It has arrived, as long as it is still on that alarm."""
    unit = _unit(page, device)
    if unit.alarm == alarm_id:
        _write(page, Unit(device, unit.level, UnitState.ON_SCENE, alarm_id, page.now_ms))


def free_unit(page: Page, device: str, alarm_id: str) -> None:
    """It has done with that alarm, as long as it is still on it."""
    unit = _unit(page, device)
    if unit.alarm == alarm_id:
        _write(page, Unit(device, unit.level, UnitState.FREE, "", page.now_ms))


def _leaves(page: Page, before: Unit, after: Unit, who: str) -> None:
    kept = page.alarm(before.alarm)
    if kept.alarm.unit != before.device or kept.alarm.work not in (Work.DISPATCHED, Work.ON_SCENE):
        return
    left = unmanned(kept, page.now_ms, page.limits)
    page.write(kept, left)
    page.record("unit", who, {"unit": before.device, "state": after.state.value}, left)


def _unit(page: Page, device: str) -> Unit:
    row = page.connection.execute(f"{_SELECT} WHERE device = ?", (device,)).fetchone()
    return Unit(device, 0, UnitState.FREE) if row is None else unit_of(row)


def _write(page: Page, unit: Unit) -> None:
    page.connection.execute(_WRITE, (unit.device, unit.level, unit.state.value, unit.alarm, unit.changed_ms))
