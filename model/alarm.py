"""`Alarm`: what an operator works on, and the pure rules by which it moves.

Purpose: one literal table of transitions, and a function for each action that takes an alarm and the
time and returns the next one. Two independent axes: the condition (does the cause still hold?) and the
work (how far people are); shelving and suppressing stand beside both and change neither.
Invariants: every accepted action raises the version by one and names who did it; an action decided on
an older version raises Conflict and says who was first; nothing is changed in place. It stores nothing,
reads no clock and sends nothing: the desk does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from model.codes import ALARM_BY_NAME, Word
from model.errors import Conflict, Refused, UsageError
from model.signal import Signal

#: From the signal's receive time to a unit on scene.
RESPONSE_CLOCK_MS = 300_000
#: A new signal so soon after closing opens the alarm again instead of making one.
DEFAULT_REOPEN_MS = 15 * 60_000
DEFAULT_HOLD_OFF_MS = 60_000
DEFAULT_REASON_CHARS = 500
#: Who did what nobody did: a clock or a rule.
SYSTEM = "system"


class Condition(StrEnum):
    """Whether the cause still holds."""

    ACTIVE = "active"
    CLEARED = "cleared"


class Work(StrEnum):
    """How far people are."""

    NEW = "new"
    ACKNOWLEDGED = "acknowledged"
    DISPATCHED = "dispatched"
    ON_SCENE = "on_scene"
    RESOLVED = "resolved"
    CLOSED = "closed"


class Side(StrEnum):
    """Out of sight for a while, beside condition and work."""

    NONE = ""
    SHELVED = "shelved"
    SUPPRESSED = "suppressed"


class Outcome(StrEnum):
    """How an alarm ended."""

    REAL = "real"
    FALSE = "false"
    TEST = "test"
    DUPLICATE = "duplicate"
    UNFOUNDED = "unfounded"
    TRANSFERRED = "transferred"


class Action(StrEnum):
    """What can be done with an alarm."""

    SIGNAL = "signal"
    CLEAR = "clear"
    SHOW = "show"
    ACKNOWLEDGE = "acknowledge"
    HAND_OVER = "hand_over"
    DISPATCH = "dispatch"
    ARRIVE = "arrive"
    RESOLVE = "resolve"
    SETTLE = "settle"
    CLOSE = "close"
    SHELVE = "shelve"
    SUPPRESS = "suppress"
    RESTORE = "restore"


_N, _A, _D, _O, _R, _C = Work
#: (action, work before) to work after. What is not in the table is refused.
TRANSITIONS: dict[Action, dict[Work, Work]] = {
    Action.SIGNAL:      {_N: _N, _A: _A, _D: _D, _O: _O, _R: _N, _C: _N},
    Action.CLEAR:       {_N: _N, _A: _A, _D: _D, _O: _O, _R: _R, _C: _C},
    Action.SHOW:        {_N: _N, _A: _A, _D: _D, _O: _O, _R: _R},
    Action.ACKNOWLEDGE: {_N: _A},
    Action.HAND_OVER:   {_A: _A, _D: _D, _O: _O},
    Action.DISPATCH:    {_A: _D, _D: _D, _O: _O},
    Action.ARRIVE:      {_D: _O},
    Action.RESOLVE:     {_A: _R, _D: _R, _O: _R},
    Action.SETTLE:      {_N: _R, _A: _R},
    Action.CLOSE:       {_R: _C},
    Action.SHELVE:      {_N: _N, _A: _A, _D: _D, _O: _O, _R: _R},
    Action.SUPPRESS:    {_N: _N, _A: _A, _D: _D, _O: _O, _R: _R},
    Action.RESTORE:     {_N: _N, _A: _A, _D: _D, _O: _O, _R: _R},
}  # fmt: skip

WORK_WORDS: dict[Work, Word] = {
    Work.NEW: Word("new", "未处理"),
    Work.ACKNOWLEDGED: Word("acknowledged", "已接警"),
    Work.DISPATCHED: Word("unit on its way", "已派警"),
    Work.ON_SCENE: Word("unit on scene", "已到场"),
    Work.RESOLVED: Word("resolved", "已处置"),
    Work.CLOSED: Word("closed", "已结案"),
}
OUTCOME_WORDS: dict[Outcome, Word] = {
    Outcome.REAL: Word("real", "属实"),
    Outcome.FALSE: Word("false alarm", "误报"),
    Outcome.TEST: Word("test", "测试"),
    Outcome.DUPLICATE: Word("duplicate", "重复"),
    Outcome.UNFOUNDED: Word("unfounded", "查无实据"),
    Outcome.TRANSFERRED: Word("transferred", "移交"),
}


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm as it stands.

    Attributes:
        id: unique for ever.
        kind, device, fence: the dedup key; at most one open alarm has it. `fence` is "" where there is none.
        severity: 1 (highest) to 3; latches: only a human ends it.
        condition, work, side: where it stands.
        version: grows by 1 with every action; changed_by, changed_ms, changed_how: the last one.
        signals: how many signals it has; last_signal: id of the newest.
        lap: 1, and 1 more each time it is opened again.
        late: the signal that began this lap was late; its clocks go into a bucket of their own.
        owner, unit, reviewer: who acknowledged, who goes, who closed; "" until then.
        eta_ms: when the unit means to be there, 0 when it did not say.
        outcome: how it ended, None until resolved and when a technical alarm resolved itself.
        reason: said when resolving or closing; side_reason: reason of shelving, or the suppressing rule.
        side_until_ms: end of shelving.
        device_ms, received_ms: device and receive time of the signal that began this lap.
        shown_ms, acknowledged_ms, dispatched_ms, on_scene_ms, resolved_ms, closed_ms, cleared_ms: 0 until then.
        to_receive_ms, to_show_ms, to_acknowledge_ms, to_dispatch_ms, to_scene_ms, total_ms: the clocks of
            this lap, each from the step before, None until stopped; kept, never computed later.
        response_ms: the 300-second clock, receive time to unit on scene, None until stopped.
        breached: whether it ran over `RESPONSE_CLOCK_MS`; None while it runs, and for a late lap.
    """

    id: str
    kind: str
    device: str
    fence: str
    severity: int
    latches: bool
    condition: Condition
    work: Work
    side: Side
    version: int
    changed_by: str
    changed_ms: int
    changed_how: Action
    signals: int
    last_signal: str
    lap: int
    late: bool
    device_ms: int
    received_ms: int
    owner: str = ""
    unit: str = ""
    reviewer: str = ""
    eta_ms: int = 0
    outcome: Outcome | None = None
    reason: str = ""
    side_reason: str = ""
    side_until_ms: int = 0
    shown_ms: int = 0
    acknowledged_ms: int = 0
    dispatched_ms: int = 0
    on_scene_ms: int = 0
    resolved_ms: int = 0
    closed_ms: int = 0
    cleared_ms: int = 0
    to_receive_ms: int | None = None
    to_show_ms: int | None = None
    to_acknowledge_ms: int | None = None
    to_dispatch_ms: int | None = None
    to_scene_ms: int | None = None
    total_ms: int | None = None
    response_ms: int | None = None
    breached: bool | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """The dedup key: (kind, device, fence)."""
        return self.kind, self.device, self.fence

    @property
    def is_open(self) -> bool:
        """Whether it holds its dedup key."""
        return self.work is not Work.CLOSED

    def is_listed(self, now_ms: int) -> bool:
        """Whether it stands on the operators' list: open, and neither suppressed nor still shelved."""
        if self.side is Side.SHELVED:
            return self.is_open and now_ms >= self.side_until_ms
        return self.is_open and self.side is Side.NONE

    def running_ms(self, now_ms: int) -> int:
        """The 300-second clock as it stands: stopped, or since the receive time."""
        return self.response_ms if self.response_ms is not None else max(now_ms - self.received_ms, 0)


def raised(alarm_id: str, signal: Signal, *, fence: str = "", severity: int | None = None) -> Alarm:
    """The alarm that a signal makes when no open or just closed one has its key.

    `severity` may raise the kind's own (a lower number), never lower it.
    """
    kind = ALARM_BY_NAME.get(signal.kind)
    if kind is None:
        raise UsageError(f"{signal.kind[:40]!r} is no kind of alarm.", mend="See the table of alarm kinds.")
    return Alarm(
        id=alarm_id,
        kind=signal.kind,
        device=signal.device,
        fence=fence,
        severity=min(kind.severity, severity or kind.severity),
        latches=kind.latches,
        condition=Condition.ACTIVE,
        work=Work.NEW,
        side=Side.NONE,
        version=1,
        changed_by=SYSTEM,
        changed_ms=signal.received_ms,
        changed_how=Action.SIGNAL,
        signals=1,
        last_signal=signal.id,
        lap=1,
        late=signal.late,
        device_ms=signal.time_ms,
        received_ms=signal.received_ms,
        to_receive_ms=signal.received_ms - signal.time_ms,
    )


def takes(alarm: Alarm, signal: Signal, *, reopen_ms: int = DEFAULT_REOPEN_MS) -> bool:
    """Whether a signal of the same key belongs to this alarm: it is open, or was closed so recently."""
    return alarm.is_open or signal.received_ms - alarm.closed_ms <= reopen_ms


def signalled(
    alarm: Alarm, signal: Signal, now_ms: int, *, reopen_ms: int = DEFAULT_REOPEN_MS, severity: int | None = None
) -> Alarm:
    """One more signal: it counts and rings again; a resolved or closed alarm begins a new lap.

    One of severity 1 comes back in sight. A live signal on a late alarm begins a lap with a clock.
    `severity` may raise the alarm's own (a lower number), never lower it.

    Raises Refused when the alarm was closed longer ago than `reopen_ms` or the key is another's.
    The version is not checked: a signal is a fact, not a decision.
    """
    if (signal.kind, signal.device) != (alarm.kind, alarm.device):
        raise Refused("The signal is of another device or kind.", mend="Raise an alarm of its own.")
    if not takes(alarm, signal, reopen_ms=reopen_ms):
        raise Refused("The alarm was closed too long ago.", mend="Raise a new alarm.")
    again = alarm.work in (Work.RESOLVED, Work.CLOSED)
    after = _moved(
        alarm,
        Action.SIGNAL,
        SYSTEM,
        now_ms,
        condition=Condition.ACTIVE,
        cleared_ms=0,
        signals=alarm.signals + 1,
        last_signal=signal.id,
        severity=min(alarm.severity, severity or alarm.severity),
    )
    if after.severity == 1 and after.side is not Side.NONE:
        after = replace(after, side=Side.NONE, side_until_ms=0, side_reason="")
    if not again:
        if alarm.late and not signal.late and not alarm.on_scene_ms:
            # Old news turned out to be happening now: from here on the promise counts.
            return replace(
                after,
                late=False,
                lap=alarm.lap + 1,
                device_ms=signal.time_ms,
                received_ms=signal.received_ms,
                to_receive_ms=signal.received_ms - signal.time_ms,
            )
        return after
    fresh = raised(alarm.id, signal, fence=alarm.fence, severity=after.severity)
    return replace(
        fresh,
        version=after.version,
        changed_ms=now_ms,
        signals=after.signals,
        lap=alarm.lap + 1,
    )


def cleared(alarm: Alarm, now_ms: int) -> Alarm:
    """The cause has gone. The work stays where it is: a latching alarm waits for a human."""
    if alarm.condition is Condition.CLEARED:
        return alarm
    return replace(_moved(alarm, Action.CLEAR, SYSTEM, now_ms), condition=Condition.CLEARED, cleared_ms=now_ms)


def shown(alarm: Alarm, now_ms: int) -> Alarm:
    """It stands on an operator's screen; only the first time in a lap counts."""
    if alarm.shown_ms:
        return alarm
    return replace(
        _moved(alarm, Action.SHOW, SYSTEM, now_ms), shown_ms=now_ms, to_show_ms=_span(alarm.received_ms, now_ms)
    )


def acknowledged(alarm: Alarm, decided_on: int, who: str, now_ms: int) -> Alarm:
    """An operator takes it."""
    after = _decided(alarm, Action.ACKNOWLEDGE, decided_on, who, now_ms)
    return replace(
        after,
        owner=who,
        acknowledged_ms=now_ms,
        to_acknowledge_ms=_span(alarm.shown_ms or alarm.received_ms, now_ms),
    )


def handed_over(alarm: Alarm, decided_on: int, who: str, to: str, now_ms: int) -> Alarm:
    """Another operator takes it on."""
    return replace(_decided(alarm, Action.HAND_OVER, decided_on, who, now_ms), owner=_said(to, "to whom"))


def dispatched(alarm: Alarm, decided_on: int, who: str, unit: str, now_ms: int, *, eta_ms: int = 0) -> Alarm:
    """A unit is sent; a second one takes the first one's place in the alarm, the clock goes on."""
    after = replace(
        _decided(alarm, Action.DISPATCH, decided_on, who, now_ms), unit=_said(unit, "which unit"), eta_ms=eta_ms
    )
    if alarm.dispatched_ms:
        return after
    return replace(after, dispatched_ms=now_ms, to_dispatch_ms=_span(alarm.acknowledged_ms, now_ms))


def arrived(alarm: Alarm, decided_on: int, who: str, now_ms: int) -> Alarm:
    """The unit is there: the 300-second clock stops."""
    after = _decided(alarm, Action.ARRIVE, decided_on, who, now_ms)
    response_ms = _span(alarm.received_ms, now_ms)
    return replace(
        after,
        on_scene_ms=now_ms,
        to_scene_ms=_span(alarm.dispatched_ms, now_ms),
        response_ms=response_ms,
        breached=None if alarm.late else response_ms > RESPONSE_CLOCK_MS,
    )


def overdue(alarm: Alarm, now_ms: int) -> bool:
    """Whether the 300-second clock has run over while nobody is on scene; a late lap has no such promise."""
    running = alarm.work in (Work.NEW, Work.ACKNOWLEDGED, Work.DISPATCHED) and alarm.response_ms is None
    return running and not alarm.late and now_ms - alarm.received_ms > RESPONSE_CLOCK_MS


def resolved(alarm: Alarm, decided_on: int, who: str, outcome: Outcome, now_ms: int, *, reason: str = "") -> Alarm:
    """It is dealt with, and how."""
    after = _decided(alarm, Action.RESOLVE, decided_on, who, now_ms)
    return replace(
        after,
        outcome=Outcome(outcome),
        reason=_short(reason),
        resolved_ms=now_ms,
        total_ms=_span(alarm.received_ms, now_ms),
    )


def settled(alarm: Alarm, now_ms: int, *, hold_off_ms: int = DEFAULT_HOLD_OFF_MS) -> Alarm:
    """A technical alarm resolves itself when its cause has been gone for `hold_off_ms`; a latching one never does."""
    if alarm.latches:
        raise Refused("A latching alarm ends by a human alone.", mend="Acknowledge it, then resolve it.")
    if alarm.condition is Condition.ACTIVE or now_ms - alarm.cleared_ms < hold_off_ms:
        raise Refused("The cause has not been gone for long enough.", mend="Wait for the hold-off.")
    after = _moved(alarm, Action.SETTLE, SYSTEM, now_ms)
    return replace(after, resolved_ms=now_ms, total_ms=_span(alarm.received_ms, now_ms))


def closed(alarm: Alarm, decided_on: int, who: str, now_ms: int, *, reason: str = "") -> Alarm:
    """It is reviewed and put away; while the cause still holds only with a reason."""
    after = _decided(alarm, Action.CLOSE, decided_on, who, now_ms)
    if alarm.condition is Condition.ACTIVE and not reason.strip():
        raise Refused("The cause still holds.", mend="Say why it is closed all the same.")
    return replace(after, reviewer=who, closed_ms=now_ms, reason=_short(reason) or alarm.reason)


def shelved(alarm: Alarm, decided_on: int, who: str, until_ms: int, reason: str, now_ms: int) -> Alarm:
    """An operator puts it out of sight until a time, with a reason."""
    after = _decided(alarm, Action.SHELVE, decided_on, who, now_ms)
    if until_ms <= now_ms:
        raise UsageError("The end of shelving is past.", mend="Give a time to come.")
    return replace(after, side=Side.SHELVED, side_until_ms=until_ms, side_reason=_said(reason, "why"))


def suppressed(alarm: Alarm, rule: str, now_ms: int) -> Alarm:
    """A rule puts it out of sight (a site that is down, a flood); never one of severity 1."""
    if alarm.severity == 1:
        raise Refused("Severity 1 is never put away by a rule.", mend="Show it.")
    after = _moved(alarm, Action.SUPPRESS, SYSTEM, now_ms)
    return replace(after, side=Side.SUPPRESSED, side_until_ms=0, side_reason=_said(rule, "which rule"))


def restored(alarm: Alarm, decided_on: int, who: str, now_ms: int) -> Alarm:
    """Back in sight."""
    after = _decided(alarm, Action.RESTORE, decided_on, who, now_ms)
    return replace(after, side=Side.NONE, side_until_ms=0, side_reason="")


def _decided(alarm: Alarm, action: Action, decided_on: int, who: str, now_ms: int) -> Alarm:
    """The move, when nobody was first."""
    if decided_on != alarm.version:
        raise Conflict(
            f"{alarm.changed_by} was first: {alarm.changed_how} at {alarm.changed_ms} ms, now {alarm.work}.",
            mend="Look at the alarm as it stands and decide again.",
        )
    return _moved(alarm, action, _said(who, "who"), now_ms)


def _moved(alarm: Alarm, action: Action, who: str, now_ms: int, **changes: Any) -> Alarm:
    work = TRANSITIONS[action].get(alarm.work)
    if work is None:
        can = [str(one) for one in Action if alarm.work in TRANSITIONS[one]]
        raise Refused(f"An alarm that is {alarm.work} cannot {action}.", mend=f"It can: {', '.join(can)}.")
    version = alarm.version + 1
    return replace(alarm, work=work, version=version, changed_by=who, changed_ms=now_ms, changed_how=action, **changes)


def _span(from_ms: int, to_ms: int) -> int:
    """A clock's reading; the wall clock may step back, a clock does not run backwards."""
    return max(to_ms - from_ms, 0)


def _said(text: str, what: str) -> str:
    if not text.strip():
        raise UsageError(f"It is not said {what}.", mend=f"Say {what}.")
    return _short(text)


def _short(text: str) -> str:
    if len(text) > DEFAULT_REASON_CHARS:
        raise UsageError(f"The text is longer than {DEFAULT_REASON_CHARS} characters.", mend="Shorten it.")
    return text.strip()
