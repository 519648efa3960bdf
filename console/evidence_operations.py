"""Operations on evidence, on terminals and on what they report. Part of `console.operations`.

Invariants: every read takes a `Grant` and is audited before anything is given out, a refusal too; only roles that work on
alarms see what devices sent; an e-bike's point is given out by the rule of `console.ebikes`, and its pictures, sounds and
reports, which may show where it is, by that of its track.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from console.alarm_operations import AlarmOperations
from console.blob import MEDIA_TYPES, UNKNOWN_MEDIA_TYPE, Blob
from console.device_operations import DEFAULT_LIST_ROWS, Caller
from console.ebikes import is_ebike, shows_ebike
from console.evidence_rows import evidence_row, report_row, terminal_row
from console.given_texts import check_id, short
from console.kept_rows import check_limit
from console.roles import role_of
from console.track_rows import FIRST_MS, LAST_MS
from model.device import Kind, check_device_id
from model.errors import Refused, UsageError
from model.grant import Grant, Purpose
from model.role import ROLE_WORDS, Role
from store.audit import purpose_text

if TYPE_CHECKING:
    from devices.directory import Directory
    from devices.terminals import Terminals
    from model.evidence import Evidence
    from store.evidence.folder import EvidenceFolder
    from store.reports.store import ReportStore

#: Who sees what devices sent: an auditor sees the audit alone, an administrator no content, a technician his own device.
CONTENT_ROLES = frozenset({Role.OPERATOR, Role.SUPERVISOR, Role.OFFICER, Role.APPROVER})
#: Who may let another terminal register for a device.
TERMINAL_ROLES = frozenset({Role.SUPERVISOR, Role.TECHNICIAN, Role.ADMIN})
#: Pieces that come with one alarm.
DEFAULT_ALARM_EVIDENCE = 100
MAX_MESSAGE_CHARS = 80
#: Columns of a row of `terminal_list`, of `terminal_row` and one more.
_TERMINAL_KEYS = (
    "slot", "device", "number", "protocol", "enabled", "plate", "terminal_id", "maker", "model", "registered", "session",
)  # fmt: skip


class EvidenceOperations(AlarmOperations):
    """What can be asked of evidence and terminals; see `console.operations.Operations` for the arguments."""

    _evidence: EvidenceFolder
    _reports: ReportStore
    _terminals: Callable[[], Terminals]
    #: The directory of devices, brought up to date.
    _directory_now: Callable[[], Directory]
    #: The connections of terminals now, each with `device` and what the gateway knows of it.
    _sessions: Callable[[], Sequence[Mapping[str, Any]]]

    # -- evidence -----------------------------------------------------------------------------

    def evidence_list(
        self,
        caller: Caller,
        device: str = "",
        alarm: str = "",
        before: str = "",
        limit: int = DEFAULT_LIST_ROWS,
        purpose: str | None = None,
    ) -> list[dict[str, Any]]:
        """What evidence there is, the newest first, without the bytes; `before` continues a list."""
        check_limit(limit)
        alarm_id = self._alarm_id(alarm) if alarm else ""
        why = self._desk_grant(caller, purpose, alarm_id).purpose
        if before:
            check_id(before, "evidence")
        grant = self._content_grant(caller, device, why)
        return self._evidence_rows(
            self._evidence.list(grant, device=device, alarm=alarm_id, before=before, limit=limit)
        )

    def evidence_show(self, caller: Caller, evidence: str, purpose: str | None = None) -> dict[str, Any]:
        """What is known of one piece, without the bytes. Raises NotFound."""
        grant = self._content_grant(caller, "", self._purpose(purpose))
        return self._evidence_rows([self._evidence.get(grant, check_id(evidence, "evidence"))])[0]

    def evidence_read(self, caller: Caller, evidence: str, purpose: str | None = None) -> Blob:
        """The bytes of one piece, checked against their SHA-256. Raises NotFound, Refused, Corrupt."""
        grant = self._content_grant(caller, "", self._purpose(purpose))
        known = self._evidence.get(grant, check_id(evidence, "evidence"))
        if is_ebike(known.device) and not shows_ebike(known.device, grant.purpose, self._open_cases):
            self._note(caller, "read.refused", known.id, purpose_text(grant.purpose), device=known.device)
            raise Refused(
                f"{known.id} may show where {known.device} is, which is its owner's.",
                mend="Give the owner's request, the work order or its open case: "
                "--purpose subject_request:REF, maintenance:REF or case:CASE.",
            )
        self._check_own_alarm(caller, known, grant.purpose)
        kept, data = self._evidence.read(grant, known.id)
        return Blob(MEDIA_TYPES.get(kept.format, UNKNOWN_MEDIA_TYPE), data, f"{kept.id}.{kept.format}")

    def _check_own_alarm(self, caller: Caller, known: Evidence, why: Purpose) -> None:
        """An alarm opens no other alarm's pictures of cameras. Raises Refused (audited)."""
        if why.code != "alarm" or not known.alarm or not known.device.startswith(f"{Kind.CAMERA}/"):
            return
        if known.alarm != (self._alarm_id(why.ref) if why.ref else ""):
            self._note(caller, "read.refused", known.id, purpose_text(why), device=known.device, alarm=known.alarm)
            raise Refused(
                f"{known.id} belongs to another alarm.",
                mend=f"It is read under its own: --purpose alarm:{known.alarm}.",
            )

    def _alarm_evidence(self, caller: Caller, grant: Grant, alarm_id: str) -> list[dict[str, Any]]:
        """The pieces of one alarm, for who may see them."""
        if role_of(self._settings, caller) not in CONTENT_ROLES:
            return []
        return self._evidence_rows(self._evidence.list(grant, alarm=alarm_id, limit=DEFAULT_ALARM_EVIDENCE))

    def _evidence_rows(self, found: Sequence[Evidence]) -> list[dict[str, Any]]:
        shown = {device: self._shows_place(device) for device in {one.device for one in found}}
        return [evidence_row(one, place=shown[one.device]) for one in found]

    # -- terminals ----------------------------------------------------------------------------

    def terminal_list(self, caller: Caller, after: int = -1, limit: int = DEFAULT_LIST_ROWS) -> list[dict[str, Any]]:
        """Terminals that are bound to their devices or connected now, in order of the devices' slots.

        A device that binds no terminal (JT/T 905 and GT06 register nothing) is there while it is connected. `after` is the
        slot of the last row of the page before.
        """
        del caller  # who is registered and connected is no personal history: not audited
        check_limit(limit)
        terminals = self._terminals()
        terminals.refresh()
        live = {str(session["device"]): dict(session) for session in self._sessions()}
        rows = {
            one.slot: {**terminal_row(one), "session": live.get(one.device)}
            for one in terminals.list(after=after, limit=limit)
        }
        directory = self._directory_now()
        for device, session in live.items():
            slot = directory.slot(device)
            if slot is not None and slot > after and not terminals.bound(slot):
                rows[slot] = {**dict.fromkeys(_TERMINAL_KEYS), "slot": slot, "device": device, "session": session}
        return [rows[slot] for slot in sorted(rows)[:limit]]

    def terminal_release(self, caller: Caller, device: str) -> dict[str, Any]:
        """Let another terminal register for the device; the old one's token fails. Raises NotFound, Refused (the role)."""
        check_device_id(device)
        self._require(caller, TERMINAL_ROLES, device, "release a terminal")
        self._note(caller, "terminal.release", device)
        self._terminals().release(device)
        self._on_registry_change()
        return {"device": device, "bound": False}

    def terminal_reports(
        self,
        caller: Caller,
        device: str = "",
        message: str = "",
        from_ms: int | None = None,
        to_ms: int | None = None,
        before: int = 0,
        limit: int = DEFAULT_LIST_ROWS,
        purpose: str | None = None,
    ) -> list[dict[str, Any]]:
        """What terminals told besides places, alarms and media, the newest first; `before` continues a list."""
        check_limit(limit)
        message = short(message, "message", MAX_MESSAGE_CHARS)
        from_ms, to_ms = FIRST_MS if from_ms is None else from_ms, LAST_MS if to_ms is None else to_ms
        if not FIRST_MS <= from_ms < to_ms <= LAST_MS:
            raise UsageError("The window is empty or out of range.", mend="Give --from before --to, years 1 to 9999.")
        grant = self._content_grant(caller, device, self._purpose(purpose))
        found = self._reports.list(
            grant, device=device, message=message, from_ms=from_ms, to_ms=to_ms, before=before, limit=limit
        )
        shown = {
            one: not is_ebike(one) or shows_ebike(one, grant.purpose, self._open_cases)
            for one in {kept.report.device for kept in found}
        }
        return [report_row(kept, shown=shown[kept.report.device]) for kept in found]

    # -- what they share ----------------------------------------------------------------------

    def _content_grant(self, caller: Caller, device: str, why: Purpose) -> Grant:
        """To read what devices sent, of one device or ("") of all. Raises UsageError, Refused (the role)."""
        if device:
            check_device_id(device)
        self._require(caller, CONTENT_ROLES, device, "see what devices sent", purpose_text(why))
        return Grant(caller.who, caller.role, why, frozenset([device]) if device else None, FIRST_MS, LAST_MS)

    def _require(self, caller: Caller, roles: frozenset[Role], target: str, what: str, purpose: str = "") -> None:
        role = role_of(self._settings, caller)
        if role not in roles:
            self._note(caller, "read.refused", target, purpose, role=role.value, what=what)
            may = ", ".join(sorted(ROLE_WORDS[one].en for one in roles))
            raise Refused(
                f"A {ROLE_WORDS[role].en} may not {what}.", mend=f"It is for: {may} (the setting operators.users)."
            )
