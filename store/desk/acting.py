"""What people do with an alarm, each one transaction decided on the version they saw; units go with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from model.alarm import Alarm
from store.desk.ladder import Kept
from store.desk.page import Page
from store.desk.units import free_unit, put_on_scene, send_unit

#: The next alarm, from the alarm as it stands and our clock.
Decide = Callable[[Alarm, int], Alarm]


def act(page: Page, alarm_id: str, who: str, decide: Decide, detail: Mapping[str, Any] | None = None) -> Kept:
    """One transition by a person."""
    before = page.alarm(alarm_id)
    return page.move(before, decide(before.alarm, page.now_ms), by=who, detail=detail)


def dispatch(page: Page, alarm_id: str, who: str, unit: str, decide: Decide, eta_ms: int) -> Kept:
    """Send a unit; the one that was on its way before is free again."""
    before = page.alarm(alarm_id)
    after = decide(before.alarm, page.now_ms)
    send_unit(page, unit, alarm_id)
    if before.alarm.unit and before.alarm.unit != unit:
        free_unit(page, before.alarm.unit, alarm_id)
    return page.move(before, after, by=who, detail={"unit": unit, "eta_ms": eta_ms})


def arrive(page: Page, alarm_id: str, who: str, decide: Decide) -> Kept:
    """The unit is there."""
    kept = act(page, alarm_id, who, decide)
    put_on_scene(page, kept.alarm.unit, alarm_id)
    return kept


def end(page: Page, alarm_id: str, who: str, decide: Decide, detail: Mapping[str, Any]) -> Kept:
    """Resolve or close: whoever was there is free."""
    kept = act(page, alarm_id, who, decide, detail)
    if kept.alarm.unit:
        free_unit(page, kept.alarm.unit, alarm_id)
    return kept
