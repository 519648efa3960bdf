"""What is due when: escalation, the 300-second clock, settling, the end of shelving. Pure.

Invariants: what is due follows from the alarm and the limits alone, but for the ladder's own two numbers (rung, when the
next is due) and when the 300-second clock runs over; so nothing is lost by a restart. It reads no clock and stores nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from model import alarm as transitions
from model.alarm import RESPONSE_CLOCK_MS, SYSTEM, Action, Alarm, Condition, Side, Work
from model.desk import DeskAlarm
from store.desk.limits import DeskLimits

_WAITING = (Work.NEW, Work.ACKNOWLEDGED)
_RUNNING = (Work.NEW, Work.ACKNOWLEDGED, Work.DISPATCHED)


@dataclass(frozen=True, slots=True)
class Kept:
    """An alarm as the desk keeps it.

    Attributes:
        number: in the order in which they came.
        desk: what everybody sees.
        breach_due_ms: when its 300-second clock runs over, 0 when it does not run or has run over.
    """

    number: int
    desk: DeskAlarm
    breach_due_ms: int = 0

    @property
    def alarm(self) -> Alarm:
        """The alarm itself."""
        return self.desk.alarm


def moved(before: Kept, alarm: Alarm, now_ms: int, limits: DeskLimits) -> Kept:
    """`before` after a transition to `alarm`, with its ladder and its 300-second clock."""
    fresh = before.alarm.lap != alarm.lap or alarm.version == 1
    desk = replace(before.desk, alarm=alarm, overdue=before.desk.overdue and not fresh)
    rung, due_ms = _ladder(before, alarm, now_ms, limits, fresh=fresh)
    return Kept(before.number, replace(desk, rung=rung, due_ms=due_ms), _breach(before, desk, limits, fresh=fresh))


def _ladder(before: Kept, alarm: Alarm, now_ms: int, limits: DeskLimits, *, fresh: bool) -> tuple[int, int]:
    sees = alarm.severity <= limits.escalate_severity and alarm.side is Side.NONE and len(limits.ladder_ms) > 1
    if not sees or alarm.work not in _RUNNING or alarm.changed_how is Action.DISPATCH:
        return 0, 0
    was = before.alarm
    hidden = was.side is not Side.NONE
    lower = was.severity > limits.escalate_severity
    if not fresh and not hidden and not lower and was.work is alarm.work:
        return before.desk.rung, before.desk.due_ms
    if alarm.work is Work.DISPATCHED:
        return 0, 0  # a unit is on its way; `unmanned` says when it is not
    if alarm.work is Work.NEW:
        return 0, now_ms + limits.ladder_ms[1]
    return 0, now_ms + limits.dispatch_within_ms


def _breach(before: Kept, desk: DeskAlarm, limits: DeskLimits, *, fresh: bool) -> int:
    alarm = desk.alarm
    runs = alarm.work in _RUNNING and alarm.response_ms is None and not alarm.late and not desk.overdue
    if not runs or alarm.severity > limits.response_severity or alarm.side is Side.SUPPRESSED:
        return 0
    due_ms = alarm.received_ms + RESPONSE_CLOCK_MS + 1
    return min(due_ms, before.breach_due_ms) if before.breach_due_ms and not fresh else due_ms


def unmanned(kept: Kept, now_ms: int, limits: DeskLimits) -> Kept:
    """A dispatched alarm whose unit left it: the ladder begins again, since nobody is on the way."""
    alarm = kept.alarm
    climbs = alarm.severity <= limits.escalate_severity and alarm.side is Side.NONE and len(limits.ladder_ms) > 1
    if alarm.work is not Work.DISPATCHED or not climbs:
        return kept
    return replace(kept, desk=replace(kept.desk, rung=0, due_ms=now_ms + limits.ladder_ms[1]))


def next_due_ms(kept: Kept, limits: DeskLimits) -> int:
    """When `fall_due` has to look at it next, 0 for never."""
    alarm = kept.alarm
    dues = [kept.desk.due_ms, kept.breach_due_ms, _settles_ms(alarm, limits), _closes_ms(alarm, limits)]
    if alarm.side is Side.SHELVED and alarm.is_open:
        dues.append(alarm.side_until_ms)
    return min((due for due in dues if due > 0), default=0)


def _settles_ms(alarm: Alarm, limits: DeskLimits) -> int:
    if alarm.latches or alarm.condition is Condition.ACTIVE or alarm.work not in _WAITING:
        return 0
    return alarm.cleared_ms + limits.hold_off_ms


def _closes_ms(alarm: Alarm, limits: DeskLimits) -> int:
    settled = alarm.work is Work.RESOLVED and alarm.outcome is None and alarm.condition is Condition.CLEARED
    return alarm.resolved_ms + limits.close_settled_ms if settled else 0


@dataclass(frozen=True, slots=True)
class Due:
    """One thing that fell due: the event's action and detail, and the alarm after it."""

    action: str
    detail: dict[str, object]
    after: Kept


def fall_due(kept: Kept, now_ms: int, limits: DeskLimits) -> Due | None:
    """The first thing that is due by now, or None; call again with `after` until it is None."""
    alarm = kept.alarm
    if 0 < kept.desk.due_ms <= now_ms:
        return _climbed(kept, limits)
    if 0 < kept.breach_due_ms <= now_ms:
        after = replace(kept, breach_due_ms=0, desk=replace(kept.desk, overdue=True))
        return Due("breach", {"running_ms": alarm.running_ms(now_ms)}, after)
    if alarm.side is Side.SHELVED and alarm.is_open and alarm.side_until_ms <= now_ms:
        back = transitions.restored(alarm, alarm.version, SYSTEM, now_ms)
        return Due("restore", {"reason": "end of shelving"}, moved(kept, back, now_ms, limits))
    if 0 < _settles_ms(alarm, limits) <= now_ms:
        settled = transitions.settled(alarm, now_ms, hold_off_ms=limits.hold_off_ms)
        return Due("settle", {}, moved(kept, settled, now_ms, limits))
    if 0 < _closes_ms(alarm, limits) <= now_ms:
        closed = transitions.closed(alarm, alarm.version, SYSTEM, now_ms)
        return Due("close", {"reason": "settled"}, moved(kept, closed, now_ms, limits))
    return None


def _climbed(kept: Kept, limits: DeskLimits) -> Due:
    rung = kept.desk.rung + 1
    last = rung >= len(limits.ladder_ms) - 1
    step_ms = 0 if last else max(limits.ladder_ms[rung + 1] - limits.ladder_ms[rung], 1)
    due_ms = 0 if last else kept.desk.due_ms + step_ms
    why = {
        Work.NEW: "not acknowledged",
        Work.ACKNOWLEDGED: "not dispatched",
    }.get(kept.alarm.work, "no unit on its way")
    after = replace(kept, desk=replace(kept.desk, rung=rung, due_ms=due_ms))
    return Due("escalate", {"rung": rung, "why": why}, after)


def set_back(kept: Kept, now_ms: int, limits: DeskLimits) -> Kept:
    """After the wall clock was set back: nothing of the ladder is due later than if it had begun just now."""
    ladder = limits.ladder_ms
    step_ms = ladder[kept.desk.rung + 1] - ladder[kept.desk.rung] if kept.desk.rung + 1 < len(ladder) else 0
    if kept.alarm.work is Work.ACKNOWLEDGED and kept.desk.rung == 0:
        step_ms = limits.dispatch_within_ms
    due_ms = min(kept.desk.due_ms, now_ms + max(step_ms, 1))
    breach_due_ms = min(kept.breach_due_ms, now_ms + RESPONSE_CLOCK_MS + 1)
    return replace(kept, breach_due_ms=breach_due_ms, desk=replace(kept.desk, due_ms=due_ms))
