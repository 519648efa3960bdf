"""The operations `alarm_report` and `ebike_places`: an alarm as one document, and the last places under a case. Part of `console.operations`.

Invariants: a report is audited as one before anything is read, beside the reads that it is made of, and tells nothing
that `alarm_show` and `command_show` would not; an e-bike's places are given for the purpose of its own open case and no
other, whoever asks, so that who looks at them can be found by the case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from console.alarm_rows import moment
from console.device_operations import Caller
from console.ebikes import CASE_PURPOSE, is_ebike, stands
from console.kept_rows import check_limit
from console.track_rows import FIRST_MS, LAST_MS, point_rows, time_text
from console.wide_gate import WideRead, check_wide
from model.codes import Flag
from model.errors import UsageError
from model.grant import Grant, Purpose
from store.audit import purpose_text

if TYPE_CHECKING:
    from config.sections import Settings
    from model.batch import PointBatch
    from model.clock import Clock
    from model.command import Command
    from model.desk import Case
    from model.device import Device
    from store.commands.store import CommandStore
    from store.series.door import Series

#: Commands in one report.
DEFAULT_REPORT_COMMANDS = 200
#: Last places in one answer, and of how many hours before the newest.
DEFAULT_PLACES = 200
DEFAULT_PLACE_HOURS = 24
MAX_PLACE_HOURS = 30 * 24
_HOUR_MS = 3_600_000


class _House(Protocol):
    """What it needs of the operations."""

    _settings: Settings
    _series: Series
    _commands: CommandStore
    _clock: Clock

    def alarm_show(self, caller: Caller, alarm: str, purpose: str | None = None) -> dict[str, Any]: ...
    def _alarm_id(self, given: str) -> str: ...
    def _as_role(self, caller: Caller) -> Caller: ...
    def _command_row(self, command: Command) -> dict[str, Any]: ...
    def _case(self, case: str) -> Case: ...
    def _open_cases(self, device: str) -> list[Case]: ...
    def _known(self, device: str) -> Device: ...
    def _note(self, caller: Caller, action: str, target: str = "", purpose: str = "", **detail: Any) -> None: ...
    def _allow_ebikes(self, devices: list[str], why: Purpose, caller: Caller) -> None: ...
    def _points_of(self, caller: Caller, device: str, from_ms: int, to_ms: int, why: Purpose) -> PointBatch: ...


class IncidentOperations:
    """See the module."""

    def alarm_report(self: _House, caller: Caller, alarm: str) -> dict[str, Any]:
        """Everything that an incident report says: the alarm as `alarm_show` has it, the commands given for it, who asked, when."""
        alarm_id = self._alarm_id(alarm)
        self._note(caller, "alarm.report", alarm_id, purpose_text(Purpose("alarm", alarm_id)))
        shown = self.alarm_show(caller, alarm_id)
        self._note(self._as_role(caller), "read.commands", shown["device"], alarm=alarm_id)
        given = self._commands.list(device=shown["device"], alarm=alarm_id, limit=DEFAULT_REPORT_COMMANDS)
        cases = [case.id for case in self._open_cases(shown["device"])] if is_ebike(shown["device"]) else []
        return {
            **shown,
            "commands": [self._command_row(one) for one in reversed(given)],
            "cases": cases,
            "city": self._settings.city.name,
            "time_zone": self._settings.city.time_zone,
            "made": moment(self._clock.now_ms()),
            "made_by": caller.who,
        }

    def ebike_places(
        self: _House,
        caller: Caller,
        case: str,
        hours: int = DEFAULT_PLACE_HOURS,
        limit: int = DEFAULT_PLACES,
        approval: str = "",
    ) -> dict[str, Any]:
        """The last places of a case's e-bike, the newest first, of so many hours before the newest; the case is the purpose.

        Each says with `sighted` whether a tag reader saw it: its place is then the reader's, and `acc_m` how far off the
        e-bike may have been. Raises Refused for a case that is closed, and as `track`.
        """
        check_limit(limit)
        if not 1 <= hours <= MAX_PLACE_HOURS:
            raise UsageError(f"{hours} hours.", mend=f"Give 1 to {MAX_PLACE_HOURS}.")
        found = self._case(case)
        why = Purpose(CASE_PURPOSE, found.id)
        self._allow_ebikes([found.device], why, caller)
        bike = self._known(found.device)
        grant = Grant(caller.who, caller.role, why, frozenset([bike.id]), FIRST_MS, LAST_MS)
        newest = self._series.latest(grant, np.array([bike.slot], np.int32), devices=[bike.id])
        told = {"case": found.id, "device": bike.id, "open": stands(found, bike.id)}
        if not len(newest):
            return {**told, "from": None, "to": None, "points": []}
        to_ms = int(newest.time_ms[0]) + 1
        from_ms = to_ms - hours * _HOUR_MS
        asked = {"device": bike.id, "from_ms": from_ms, "to_ms": to_ms}
        check_wide(self, caller, why, WideRead("track", 1, from_ms, to_ms, asked), approval)
        points = self._points_of(caller, bike.id, from_ms, to_ms, why)
        return {**told, "from": time_text(from_ms), "to": time_text(to_ms), "points": _newest_first(points, limit)}


def _newest_first(points: PointBatch, limit: int) -> list[dict[str, Any]]:
    last = points.take(np.arange(max(len(points) - limit, 0), len(points)))
    sighted = ((last.flags & np.uint16(Flag.SIGHTED)) != 0).tolist()
    rows = [row for piece in point_rows(last) for row in piece]
    return [{**row, "sighted": seen} for row, seen in zip(rows, sighted, strict=True)][::-1]
