"""The gate: the rules of which command may be given, approved and sent. The one place that all commands pass.

Invariants: a rule that cannot be checked (no fresh place, no such alarm, a device that is gone) forbids; what was allowed
when it was asked is asked again at the moment of sending. It changes nothing and keeps nothing; whoever asks it audits.
Reads of places and alarms take a `Grant`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from console.track_rows import FIRST_MS, LAST_MS
from model.alarm import SYSTEM, Work
from model.codes import Flag, Mark
from model.command import Command
from model.command_table import COMMANDS, MAX_LISTEN_S, CommandKind, needs_approval, needs_standing
from model.desk import AlarmFilter
from model.errors import NotFound, Refused
from model.grant import Grant, Purpose
from model.role import ROLE_WORDS, Role

if TYPE_CHECKING:
    from config.sections import Settings
    from devices.registry import Registry
    from model.clock import Clock
    from model.desk import Desk
    from model.device import Device
    from store.series.door import Series

#: Commands by which a terminal dials the desk.
DIALLING = frozenset({"listen_in", "call"})
#: States of work in which an alarm is dealt with: it grants no listen-in any more.
OVER = frozenset({Work.RESOLVED, Work.CLOSED})
#: Open alarms of one kind and device that are looked at; there is one at most for each fence.
_MAX_ALARMS = 100
#: How far our clock may have gone back while a listen-in ran before it is ended for that.
_CLOCK_STEP_MS = 1_000


class CommandGate:
    """The rules over the stores of one data folder.

    Args:
        settings: the number that terminals dial, and what standing still is.
        registry: which devices there are. desk: which alarms are open. series: where vehicles are.
        clock: source of time.
    """

    def __init__(self, *, settings: Settings, registry: Registry, desk: Desk, series: Series, clock: Clock) -> None:
        self._settings = settings
        self._registry = registry
        self._desk = desk
        self._series = series
        self._clock = clock

    def admit(
        self,
        kind: CommandKind,
        device: str,
        args: dict[str, Any],
        *,
        who: str,
        role: Role | None,
        reason: str,
        alarm: str,
    ) -> str:
        """The alarm that the command belongs to, or ""; the arguments are checked already.

        `role` is that of the person who asks, None for the desk itself; `alarm` is a whole id, or "" where none was said.

        Raises:
            Refused: a rule forbids it, in words. NotFound: there is no such device.
        """
        if role is not None and role not in kind.roles:
            may = ", ".join(sorted(ROLE_WORDS[one].en for one in kind.roles))
            raise Refused(f"A {ROLE_WORDS[role].en} may not give {kind.name}.", mend=f"It is for: {may}.")
        if role is None and (kind.alarm_kind or kind.needs_approval):
            raise Refused(f"The desk does not give {kind.name} by itself.", mend="Let a person give it.")
        self._check_device(kind, device)
        if kind.needs_reason and not reason.strip():
            raise Refused(f"{kind.name} needs a reason.", mend="Say why: --reason.")
        self._check_number(kind)
        bound = self._bound_alarm(kind, device, who, role, alarm)
        if needs_standing(kind, args):
            self._check_standing(device, who, role.value if role else SYSTEM, bound)
        return bound

    def check_approver(self, command: Command, who: str, role: Role) -> None:
        """Refused unless `who` may approve it: an approver, or a supervisor; nobody approves his own."""
        if who == command.by:
            raise Refused(f"{who} asked for {command.id} and cannot approve it.", mend="Let another person approve it.")
        if role not in (Role.APPROVER, Role.SUPERVISOR):
            raise Refused(f"A {ROLE_WORDS[role].en} may not approve.", mend="Ask an approver, or another supervisor.")

    def check_stopper(self, command: Command, who: str, role: Role) -> None:
        """Refused unless `who` may stop it: whoever asked for it, an approver or a supervisor."""
        if who != command.by and role not in (Role.APPROVER, Role.SUPERVISOR):
            raise Refused(
                f"{command.id} is {command.by}'s.", mend=f"Ask {command.by}, an approver or a supervisor to stop it."
            )

    def still_allowed(self, command: Command) -> str:
        """Why it may not go out now, in words; "" when it may. Asked when it is approved and at the moment of sending.

        Raises AuditUnwritable where a place cannot be read for that; it then may not go out either.
        """
        kind = COMMANDS[command.name]
        try:
            self._check_device(kind, command.device)
            self._check_number(kind)
            if kind.alarm_kind and not self._alarm_stands(command.alarm):
                return f"its alarm {command.alarm} is not open any more"
            if needs_approval(kind, command.args) and not command.approved_by and command.state != "asked":
                return "nobody has approved it"
            if needs_standing(kind, command.args):
                self._check_standing(command.device, SYSTEM, SYSTEM, command.alarm)
        except (Refused, NotFound) as error:
            return error.message
        return ""

    def listen_must_end(self, command: Command, now_ms: int) -> bool:
        """Whether a listen-in that runs is over: its minutes, ten at most, have passed, or its alarm is dealt with.

        Also when a person hung up, and when our clock has gone back since it began, for then nobody knows how long it has run.
        """
        if not command.listening:
            return False
        if command.stopped_by:
            return True
        until_ms = min(command.ends_ms, command.sent_ms + MAX_LISTEN_S * 1_000)
        if now_ms >= until_ms or now_ms < command.sent_ms - _CLOCK_STEP_MS:
            return True
        return not self._alarm_stands(command.alarm)

    # -- single rules -------------------------------------------------------------------------

    def _check_device(self, kind: CommandKind, device: str) -> Device:
        known = self._registry.get(device)
        if known.kind not in kind.kinds:
            for_kinds = ", ".join(sorted(kind.kinds))
            raise Refused(f"{kind.name} is not for {device}.", mend=f"It is for devices of kind: {for_kinds}.")
        if not known.enabled:
            raise Refused(f"{device} is disabled.", mend="Take it back first: `lucheng device enable`.")
        return known

    def _check_number(self, kind: CommandKind) -> None:
        if kind.name in DIALLING and not self._settings.desk.phone_number:
            raise Refused(
                "There is no number that a terminal could dial.", mend="Set desk.phone_number to the desk's telephone."
            )

    def _bound_alarm(self, kind: CommandKind, device: str, who: str, role: Role | None, alarm: str) -> str:
        """The alarm it belongs to: the one that was said, else, where one is needed, the open one of that kind."""
        if not kind.alarm_kind and not alarm:
            return ""
        why = Purpose("alarm", alarm)
        grant = Grant(who, role.value if role else SYSTEM, why, frozenset([device]), FIRST_MS, LAST_MS)
        if alarm:
            return self._said_alarm(kind, device, grant, alarm)
        wanted = AlarmFilter(kinds=(kind.alarm_kind,), devices=(device,))
        found = [one.alarm for one in self._desk.list_alarms(grant, wanted, limit=_MAX_ALARMS)]
        standing = [one.id for one in found if one.work not in OVER]
        if not standing:
            raise Refused(
                f"{device} has no open {kind.alarm_kind} alarm.",
                mend=f"{kind.name} is for that alone: `lucheng alarm list`.",
            )
        return standing[0]

    def _said_alarm(self, kind: CommandKind, device: str, grant: Grant, alarm: str) -> str:
        one = self._desk.get(grant, alarm).alarm  # the grant covers that device alone: Refused for another's
        if kind.alarm_kind and (one.kind != kind.alarm_kind or one.work in OVER):
            raise Refused(
                f"{alarm} is no open {kind.alarm_kind} alarm of {device}.",
                mend=f"{kind.name} is for that alone: `lucheng alarm list`.",
            )
        return one.id

    def _alarm_stands(self, alarm: str) -> bool:
        work = self._desk.works([alarm]).get(alarm)
        return work is not None and work not in OVER

    def _check_standing(self, device: str, who: str, role: str, alarm: str) -> None:
        """Refused unless its newest place is fresh, a fix, and says that it stands."""
        limits = self._settings.commands
        why = Purpose("alarm", alarm) if alarm else Purpose("supervision", "cut_power")
        grant = Grant(who, role, why, frozenset([device]), FIRST_MS, LAST_MS)
        slot = self._registry.get(device).slot
        newest = self._series.latest(grant, np.array([slot], np.int32), devices=[device])
        mend = "Wait until it stands still and its place is fresh."
        if not len(newest):
            raise Refused(f"{device} has told no place, so nobody knows whether it stands.", mend=mend)
        age_s = (self._clock.now_ms() - int(newest.time_ms[0])) / 1_000
        flags = int(newest.flags[0])
        lost = bool(flags & Flag.VALID_SENT) and not flags & Flag.VALID
        if abs(age_s) > limits.standing_fresh_s:
            raise Refused(f"The newest place of {device} is not fresh, so nobody knows whether it stands.", mend=mend)
        if lost or flags & Flag.SIGHTED or int(newest.marks[0]) & Mark.NO_FIX:
            raise Refused(f"{device} has no fix, so nobody knows whether it stands.", mend=mend)
        speed_kmh = float(newest.speed_kmh[0])
        if not speed_kmh <= limits.standing_kmh:  # not a number says nothing
            said = "moves" if speed_kmh > limits.standing_kmh else "has told no speed"
            raise Refused(f"{device} {said}: its power is cut only while it stands.", mend=mend)
