"""Operations on alarms and patrol units.

Invariants: every action of a person is audited under that person's name before it is tried, and so is its refusal; what an
action was decided on is a version, and whoever comes second is told who was first; reads take a `Grant`. A place is given
out by the rule of `console.ebikes` alone. The table of what can follow what is `model.alarm`'s, not this room's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from console.alarm_rows import (
    alarm_row,
    alarm_signal_row,
    event_row,
    moment,
    stats_row,
    step_row,
    unit_row,
)
from console.case_operations import MAX_NOTE_CHARS, CaseOperations
from console.device_operations import DEFAULT_LIST_ROWS, Caller
from console.ebikes import shows_alarm_place
from console.given_texts import MAX_ID_CHARS, check_id, one_of, short
from console.kept_rows import MAX_LIST_ROWS, check_limit
from console.track_rows import FIRST_MS, LAST_MS
from model.alarm import SYSTEM, Alarm, Outcome, Side, Work
from model.codes import ALARM_BY_NAME
from model.desk import AlarmFilter, DeskAlarm, Event, UnitState
from model.device import Device, Kind, check_device_id
from model.errors import Conflict, NotFound, Refused, UsageError
from model.flood import fold
from model.grant import Grant, Purpose
from model.installation import CONFIRM_MS
from store.audit import purpose_text

if TYPE_CHECKING:
    from model.clock import Clock

#: Alarms that one call may say are shown.
DEFAULT_MAX_SHOWN = 1_000
#: Signals that come with one alarm.
DEFAULT_ALARM_SIGNALS = 200
#: How often an action decided on no version in particular is tried again when a signal or a clock came between.
DEFAULT_ACTION_TRIES = 8
#: From 1, the inner line of defence, to 3; 0 is none.
MAX_UNIT_LEVEL = 3
MINUTE_MS = 60_000
#: Of shelving and of a unit's way: a month.
MAX_SPAN_MINUTES = 31 * 1_440
_WHY_CHARS = 200

_Move = Callable[[str, int], DeskAlarm]


class AlarmOperations(CaseOperations):
    """What can be asked of the desk; see `console.operations.Operations` for the arguments."""

    _clock: Clock
    #: (who asks, the alarm, whether its place may be given out): what it brings with it.
    _brought: Callable[[Caller, DeskAlarm, bool], dict[str, Any]]
    #: (who asks, the grant, the alarm): its evidence.
    _pieces: Callable[[Caller, Grant, str], list[dict[str, Any]]]

    # -- looking ------------------------------------------------------------------------------

    def alarm_list(
        self,
        caller: Caller,
        kind: str = "",
        device: str = "",
        area: str = "",
        severity: int = 0,
        work: str = "",
        since_ms: int = 0,
        all: bool = False,  # noqa: A002, FBT001, FBT002 called by name alone, as the option is
        limit: int = DEFAULT_LIST_ROWS,
        folded: bool = True,  # noqa: FBT001, FBT002 as above
        purpose: str | None = None,
        after: str = "",
        side: str = "",
    ) -> list[dict[str, Any]]:
        """Alarms, the most urgent first: those on the operators' list, or with `all` also closed, shelved and suppressed.

        In a flood the list is folded to what people can read (`model.flood`): a row that stands for several is the newest
        of them, `folded` says how many others, `children` names all; with `all`, or without `folded`, nothing is folded: who follows
        the feed has every alarm and folds himself.
        `area` takes in those below it; `severity` this one or higher (a lower number), 0 all; `since_ms` is a receive time.
        `after` goes on behind an alarm, as `SEVERITY:RECEIVED_MS:ALARM`; a folded list is given at once.
        `side`: open ones that are `shelved` now, or `suppressed`, and no others.
        """
        check_limit(limit)
        if side:
            one_of(side, "way out of sight", [Side.SHELVED.value, Side.SUPPRESSED.value])
        if kind:
            one_of(kind, "kind of alarm", list(ALARM_BY_NAME))
        if work:
            one_of(work, "state of work", [one.value for one in Work])
        if device:
            check_device_id(device)
        wanted = AlarmFilter(
            open_only=not all,
            listed_only=not all,
            kinds=(kind,) if kind else (),
            devices=(device,) if device else (),
            areas=self._areas_below(area) if area else (),
            severity=severity,
            work=work,
            since_ms=since_ms,
            after=_place_in_list(after) if after else None,
            side=side,
        )
        if after and folded and not all:
            raise UsageError("A folded list is given at once.", mend="Ask for it unfolded.")
        grant = self._desk_grant(caller, purpose)
        if all or not folded:
            return self._alarm_rows(self._desk.list_alarms(grant, wanted, limit=limit))
        listed = self._desk.list_alarms(grant, wanted, limit=MAX_LIST_ROWS)
        rows = fold(listed, more_than=self._settings.desk.flood_alarms)[:limit]
        made = self._alarm_rows([row.last for row in rows])
        return [
            {**shown, "folded": row.count - 1, "children": [one.alarm.id for one in row.children] if row.folded else []}
            for shown, row in zip(made, rows, strict=True)
        ]

    def alarm_show(self, caller: Caller, alarm: str, purpose: str | None = None) -> dict[str, Any]:
        """One alarm with its signals, history and clocks, its evidence, and what it brings with it (`console.alarm_context`).

        `alarm` may be the unique beginning of an id.
        """
        alarm_id = self._alarm_id(alarm)
        grant = self._desk_grant(caller, purpose, alarm_id)
        one = self._desk.get(grant, alarm_id)
        place = self._shows_place(one.alarm.device)
        signals = self._desk.signals_of(grant, alarm_id, limit=DEFAULT_ALARM_SIGNALS)
        history = self._desk.history(grant, alarm_id)
        return {
            **self._alarm_rows([one])[0],
            "signals_kept": [alarm_signal_row(signal, place=place) for signal in signals],
            "history": [step_row(event, place=place) for event in history],
            "evidence": self._pieces(caller, grant, alarm_id),
            "context": self._brought(caller, one, place),
        }

    def alarm_stats(self, caller: Caller) -> dict[str, Any]:
        """How the desk is doing: open alarms, the last ten minutes, the clocks' percentiles."""
        del caller  # counts alone: not audited
        return stats_row(self._desk.stats())

    def alarm_watch(self, caller: Caller, after: int | None = None, purpose: str | None = None) -> None:
        """Note that `caller` begins to read the feed; `console.feed` gives it out."""
        why = self._desk_grant(caller, purpose).purpose
        self._note(caller, "read.alarm_feed", "*", purpose_text(why), after=after)

    def feed_row(self, event: Event) -> dict[str, Any]:
        """An event as the feed gives it to everybody."""
        now_ms, alarm = self._clock.now_ms(), event.alarm.alarm
        row = event_row(event, now_ms, place=self._shows_place(alarm.device))
        self._mark_test(row["alarm"], alarm, now_ms)
        return row

    # -- acting -------------------------------------------------------------------------------

    def alarm_ack(self, caller: Caller, alarm: str, version: int | None = None) -> dict[str, Any]:
        """Take the alarm; Conflict or Refused says who has it already."""
        return self._act(
            caller, alarm, version, "acknowledge", lambda it, on: self._desk.acknowledge(it, on, caller.who)
        )

    def alarm_hand_over(
        self, caller: Caller, alarm: str, to: str, note: str = "", version: int | None = None
    ) -> dict[str, Any]:
        """Give the alarm to another operator, with what he should know."""
        to = short(to, "name", MAX_ID_CHARS)
        note = short(note, "note", MAX_NOTE_CHARS)
        return self._act(
            caller,
            alarm,
            version,
            "hand_over",
            lambda it, on: self._desk.hand_over(it, on, caller.who, to, note=note),
            to=to,
            note=note,
        )

    def alarm_dispatch(
        self, caller: Caller, alarm: str, unit: str, eta_minutes: float | None = None, version: int | None = None
    ) -> dict[str, Any]:
        """Send a unit; `eta_minutes` is in how many minutes it means to be there."""
        self._unit(unit)
        eta_ms = 0 if eta_minutes is None else self._clock.now_ms() + _span_ms(eta_minutes)
        return self._act(
            caller,
            alarm,
            version,
            "dispatch",
            lambda it, on: self._desk.dispatch(it, on, caller.who, unit, eta_ms=eta_ms),
            unit=unit,
            eta_ms=eta_ms,
        )

    def alarm_arrive(self, caller: Caller, alarm: str, version: int | None = None) -> dict[str, Any]:
        """The unit is there: the 300-second clock stops."""
        return self._act(caller, alarm, version, "arrive", lambda it, on: self._desk.arrive(it, on, caller.who))

    def alarm_resolve(
        self, caller: Caller, alarm: str, outcome: str, reason: str = "", version: int | None = None
    ) -> dict[str, Any]:
        """It is dealt with, and how."""
        ended = Outcome(one_of(outcome, "outcome", [one.value for one in Outcome]))
        reason = short(reason, "reason", MAX_NOTE_CHARS)
        return self._act(
            caller,
            alarm,
            version,
            "resolve",
            lambda it, on: self._desk.resolve(it, on, caller.who, ended, reason=reason),
            outcome=outcome,
            reason=reason,
        )

    def alarm_close(self, caller: Caller, alarm: str, reason: str = "", version: int | None = None) -> dict[str, Any]:
        """It is reviewed and put away; while its cause holds only with a reason."""
        reason = short(reason, "reason", MAX_NOTE_CHARS)
        return self._act(
            caller,
            alarm,
            version,
            "close",
            lambda it, on: self._desk.close_alarm(it, on, caller.who, reason=reason),
            reason=reason,
        )

    def alarm_shelve(
        self,
        caller: Caller,
        alarm: str,
        reason: str,
        until_ms: int | None = None,
        minutes: float | None = None,
        version: int | None = None,
    ) -> dict[str, Any]:
        """Put it out of sight until a time, or for so many minutes, with a reason."""
        if (until_ms is None) == (minutes is None):
            raise UsageError("It is not said for how long.", mend="Give a time or minutes, one of them.")
        if minutes is not None:
            until_ms = self._clock.now_ms() + _span_ms(minutes)
        end_ms = until_ms or 0
        reason = short(reason, "reason", MAX_NOTE_CHARS)
        return self._act(
            caller,
            alarm,
            version,
            "shelve",
            lambda it, on: self._desk.shelve(it, on, caller.who, end_ms, reason),
            until_ms=end_ms,
            reason=reason,
        )

    def alarm_restore(self, caller: Caller, alarm: str, version: int | None = None) -> dict[str, Any]:
        """Bring a shelved or suppressed alarm back in sight."""
        return self._act(caller, alarm, version, "restore", lambda it, on: self._desk.restore(it, on, caller.who))

    def alarm_shown(self, caller: Caller, alarms: list[str]) -> dict[str, Any]:
        """These stand on an operator's screen: their clock of showing stops. Whole ids alone; unknown ones are passed over."""
        if len(alarms) > DEFAULT_MAX_SHOWN:
            raise UsageError(f"{len(alarms)} alarms are named.", mend=f"Name {DEFAULT_MAX_SHOWN} at most.")
        for alarm in alarms:
            check_id(alarm, "an alarm")
        self._note(caller, "alarm.show", alarms[0] if len(alarms) == 1 else "", count=len(alarms))
        self._desk.shown(alarms)
        return {"shown": len(alarms)}

    def _act(
        self, caller: Caller, alarm: str, version: int | None, action: str, move: _Move, **detail: Any
    ) -> dict[str, Any]:
        """Audit the action, do it on the version it was decided on, and audit when it did not go."""
        alarm_id = self._alarm_id(alarm)
        grant = self._desk_grant(caller, None, alarm_id)
        for tries_left in reversed(range(DEFAULT_ACTION_TRIES)):
            decided_on = self._desk.get(grant, alarm_id).alarm.version if version is None else version
            self._note(caller, f"alarm.{action}", alarm_id, version=decided_on, **detail)
            try:
                return self._alarm_rows([move(alarm_id, decided_on)])[0]
            except (Conflict, Refused) as error:
                last = self._desk.get(grant, alarm_id)
                by = last.alarm.changed_by
                if isinstance(error, Conflict) and version is None and by == SYSTEM and tries_left:
                    continue  # a signal or a clock, no person: the action stands as it was meant
                why = error.message
                if isinstance(error, Refused) and by not in (caller.who, SYSTEM):
                    why = f"{why} {by} was first: {last.alarm.changed_how.value}."
                self._note(caller, "alarm.refused", alarm_id, tried=action, version=decided_on, why=why[:_WHY_CHARS])
                told = type(error)(why, mend=error.mend)
                if isinstance(told, Conflict):
                    told.who = self._who_since(grant, alarm_id, decided_on)
                    told.current = self._alarm_rows([last])[0]
                raise told from error
        raise AssertionError("the last try returns or raises")

    def _who_since(self, grant: Grant, alarm_id: str, version: int) -> str:
        """The person who did the last thing to an alarm after that version; "" where only signals and clocks did."""
        since = (event for event in self._desk.history(grant, alarm_id) if event.alarm.alarm.version > version)
        people = [event.by for event in since if event.by != SYSTEM]
        return people[-1] if people else ""

    # -- units --------------------------------------------------------------------------------

    def unit_list(self, caller: Caller, state: str = "") -> list[dict[str, Any]]:
        """The patrol units: level, state and the alarm each works on."""
        del caller  # no place and no person: not audited
        if state:
            one_of(state, "state of a unit", [one.value for one in UnitState])
        return [unit_row(unit) for unit in self._desk.units() if state in ("", unit.state.value)]

    def unit_set(self, caller: Caller, unit: str, level: int | None = None, state: str | None = None) -> dict[str, Any]:
        """Say on which line of defence a unit drives, or what it does."""
        self._unit(unit)
        if level is None and state is None:
            raise UsageError("Nothing is to be set.", mend="Give a level or a state.")
        if level is not None and not 0 <= level <= MAX_UNIT_LEVEL:
            raise UsageError(f"{level} is no level.", mend=f"Give 1 (inner) to {MAX_UNIT_LEVEL}, or 0 for none.")
        to = None if state is None else UnitState(one_of(state, "state of a unit", [one.value for one in UnitState]))
        self._note(caller, "unit.set", unit, level=level, state=state)
        return unit_row(self._desk.set_unit(unit, caller.who, level=level, state=to))

    # -- what they share ----------------------------------------------------------------------

    def _shows_place(self, device: str) -> bool:
        return shows_alarm_place(device, self._open_cases)

    def _alarm_rows(self, found: Sequence[DeskAlarm]) -> list[dict[str, Any]]:
        now_ms = self._clock.now_ms()
        shown: dict[str, bool] = {}
        for one in found:
            device = one.alarm.device
            if device not in shown:
                shown[device] = self._shows_place(device)
        rows = [alarm_row(one, now_ms, place=shown[one.alarm.device]) for one in found]
        for row, one in zip(rows, found, strict=True):
            self._mark_test(row, one.alarm, now_ms)
        return rows

    def _mark_test(self, row: dict[str, Any], alarm: Alarm, now_ms: int) -> None:
        """Say of a press that somebody announced as a test who it was and until when it is quiet (model.installation)."""
        press = self._installations.press(alarm.device, alarm.kind, alarm.received_ms)
        quiet = press is not None and alarm.work is Work.NEW and now_ms < alarm.received_ms + CONFIRM_MS
        row["test_by"] = press.by if press is not None and quiet else ""
        row["test_until"] = moment(alarm.received_ms + CONFIRM_MS) if quiet else None

    def _alarm_id(self, given: str) -> str:
        """The alarm whose id is `given` or alone begins with it."""
        found = self._desk.ids_like(check_id(given, "an alarm"), limit=3)
        if given in found:
            return given
        if not found:
            raise NotFound(f"There is no alarm {given}.", mend="`lucheng alarm list --all` shows which there are.")
        if len(found) > 1:
            raise UsageError(
                f"More than one alarm begins with {given}: {', '.join(found)}.", mend="Write more of its id."
            )
        return found[0]

    def _desk_grant(self, caller: Caller, purpose: str | None, alarm_id: str = "") -> Grant:
        """For the desk: the purpose said, else the alarm itself, else that of the settings."""
        why = Purpose("alarm", alarm_id) if purpose is None and alarm_id else self._purpose(purpose)
        return Grant(caller.who, caller.role, why, None, FIRST_MS, LAST_MS)

    def _areas_below(self, area: str) -> tuple[str, ...]:
        """The area and all below it. Raises NotFound."""
        from devices.areas import Areas  # noqa: PLC0415 shapely costs 0.2 s

        areas = Areas(self._registry.file)
        found = [areas.get(area).id]
        children: dict[str, list[str]] = {}
        for one in areas.tree():
            children.setdefault(one.parent, []).append(one.id)
        for at in found:
            found += children.get(at, [])
        return tuple(found)

    def _unit(self, device: str) -> Device:
        check_device_id(device)
        if not device.startswith(f"{Kind.UNIT}/"):
            raise UsageError(f"{device} is no patrol unit.", mend="Name a device of kind unit.")
        return self._known(device)


def _place_in_list(after: str) -> tuple[int, int, str]:
    """`SEVERITY:RECEIVED_MS:ALARM` as values, else UsageError."""
    severity, _, rest = after.partition(":")
    received, _, alarm = rest.partition(":")
    if not (re.fullmatch(r"[0-9]", severity, re.ASCII) and re.fullmatch(r"[0-9]{1,15}", received, re.ASCII)):
        raise UsageError("That is no place in the list.", mend="Write SEVERITY:RECEIVED_MS:ALARM of the last row.")
    return int(severity), int(received), check_id(alarm, "an alarm")


def _span_ms(minutes: float) -> int:
    """Milliseconds; UsageError unless it is more than none and at most a month."""
    if not 0 < minutes <= MAX_SPAN_MINUTES:
        raise UsageError(f"{minutes:g} minutes.", mend=f"Give more than 0 and at most {MAX_SPAN_MINUTES}.")
    return int(minutes * MINUTE_MS)
