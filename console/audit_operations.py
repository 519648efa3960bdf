"""Operations on the audit, and the check of every store. Part of `console.operations`.

Invariants: reading the audit is audited too, with what was looked for, and so is an export of it, before the first byte; a chain
too damaged to be written to is reported all the same; a check changes nothing.
"""

from __future__ import annotations

import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.alarm_rows import moment
from console.device_operations import DEFAULT_LIST_ROWS, Caller, DeviceOperations
from console.exports.audit_csv import MEDIA_TYPE, write_rows
from console.exports.spool import Exported, Spool
from console.kept_rows import audit_row, check_limit, problem_rows
from console.store_checks import check_file
from model.errors import AuditUnwritable, StoreError, TryAgain
from model.seams import Problem
from store.audit_actions import AUDIT_ACTIONS
from store.audit_search import Wanted, search, search_all, show
from store.database import Where

if TYPE_CHECKING:
    from devices.photos import Photos
    from model.clock import Clock
    from model.seams import Log
    from store.approvals.store import ApprovalStore
    from store.audit import AuditLog
    from store.evidence.folder import EvidenceFolder
    from store.reports.store import ReportStore
    from store.series.door import Series


#: Rows indexed between two pauses, in which others have their turn.
_INDEX_RUN_ROWS = 16_384
_INDEX_PAUSE_S = 0.005
#: Rows of one export of the audit; the rest is asked for with an earlier end.
DEFAULT_MAX_EXPORT_ROWS = 200_000


class AuditOperations(DeviceOperations):
    """See the module; the attributes are the arguments of `console.operations.Operations`."""

    _chain: AuditLog
    _points_log: Log
    _alarms_log: Log
    _series: Series
    _evidence: EvidenceFolder
    _photos: Photos | None
    _reports: ReportStore
    _approvals: ApprovalStore
    _plain_files: tuple[Where, ...]
    _clock: Clock
    _spool_dir: Path | None
    _export_turns: threading.BoundedSemaphore

    def audit_list(
        self, caller: Caller, before: int | None = None, limit: int = DEFAULT_LIST_ROWS
    ) -> list[dict[str, Any]]:
        """Rows of the audit, the newest first; reading it is audited too."""
        check_limit(limit)
        self._note(caller, "read.audit")
        return [audit_row(row) for row in self._chain.rows(after=before or 0, limit=limit, newest_first=True)]

    def audit_search(
        self,
        caller: Caller,
        who: str = "",
        action: str = "",
        target: str = "",
        why: str = "",
        from_ms: int | None = None,
        to_ms: int | None = None,
        before: int | None = None,
        limit: int = DEFAULT_LIST_ROWS,
    ) -> dict[str, Any]:
        """Rows that fit all that is given, the newest first: `items`, and `next`, with which as `before` one goes on (None: none).

        `who` is a user; `action` one of `store.audit_actions`, or the begin of several with a dot at its end (`alarm.`); target and
        purpose hold the text given as `target` and `why`. One look goes through a bounded number of rows, so a page may be short and have a next.
        """
        wanted = Wanted(who.strip(), action.strip(), target.strip(), why.strip(), from_ms, to_ms)
        self._note(caller, "read.audit", sought=_told(wanted), before=before)
        page = search(self._chain.path, wanted, before=before or 0, limit=limit)
        return {"items": [audit_row(one.row) for one in page.found], "next": page.next or None}

    def audit_actions(self, caller: Caller) -> list[dict[str, Any]]:
        """What can stand in the audit: every action's name with its words, for whoever looks for one."""
        del caller  # a table of the program: not audited
        return [{"action": name, "words": {"zh": word.zh, "en": word.en}} for name, word in AUDIT_ACTIONS.items()]

    def audit_show(self, caller: Caller, number: int) -> dict[str, Any]:
        """One row with its hash, the one before it, and whether its content is what was hashed."""
        self._note(caller, "read.audit", str(number))
        found, holds = show(self._chain.path, number)
        return {**audit_row(found.row), "prev_hash": found.prev_hash.hex(), "hash": found.hash.hex(), "holds": holds}

    def audit_export(
        self,
        caller: Caller,
        who: str = "",
        action: str = "",
        target: str = "",
        why: str = "",
        from_ms: int | None = None,
        to_ms: int | None = None,
    ) -> Exported:
        """What `audit_search` finds with these, as CSV that runs no formula; at most 200,000 rows, the newest; audited itself."""
        wanted = Wanted(who.strip(), action.strip(), target.strip(), why.strip(), from_ms, to_ms)
        self._note(caller, "audit.export", sought=_told(wanted), max_rows=DEFAULT_MAX_EXPORT_ROWS)
        now_ms = self._clock.now_ms()
        spool = self._audit_spool()
        try:
            pieces = search_all(self._chain.path, wanted, max_rows=DEFAULT_MAX_EXPORT_ROWS)
            head, rows, cut = write_rows(spool, pieces, DEFAULT_MAX_EXPORT_ROWS)
            told = {"rows": rows, "cut": cut, "made": moment(now_ms), "by": caller.who, "sought": _told(wanted)}
            name = f"audit-{str(moment(now_ms))[:10]}.csv"
            return Exported(MEDIA_TYPE, name, head, spool, told)
        except BaseException:
            spool.close()
            raise

    def audit_verify(self, caller: Caller) -> dict[str, Any]:
        """Whether the chain holds, and the first bad row; the newest signed checkpoint and the key that verifies it.

        A chain too damaged to be written to is reported all the same.
        """
        problems = self._audit_problems(caller, "audit.verify")
        return {
            "ok": not problems,
            "rows": self._audit_rows(),
            "problems": problem_rows(problems),
            "verified": moment(self._clock.now_ms()),
            "checkpoint": self._newest_checkpoint(),
        }

    def _newest_checkpoint(self) -> dict[str, Any] | None:
        try:
            newest = self._chain.last_checkpoint()
            if newest is None:
                return None
            key = self._chain.public_key().hex()
        except (StoreError, OSError):
            return None
        return {
            "number": newest.number,
            "time": moment(newest.time_ms),
            "hash": newest.row_hash.hex(),
            "public_key": key,
        }

    def _audit_spool(self) -> Spool:
        limits = self._settings.export
        if self._spool_dir is None:
            raise TryAgain("There is no folder here to make an export in.", mend="Start the service: `lucheng run`.")
        if not self._export_turns.acquire(blocking=False):
            raise TryAgain(f"{limits.max_running} exports are being made.", mend="Try again when one is done.")
        return Spool(
            self._spool_dir,
            max_bytes=limits.max_file_bytes,
            min_free_bytes=limits.min_free_bytes,
            on_close=self._export_turns.release,
        )

    def store_check(self, caller: Caller) -> dict[str, Any]:
        """Read every store and report what does not hold, the audit too. Changes nothing."""
        problems = self._audit_problems(caller, "store.check")
        for store in (self._points_log, self._alarms_log, self._series, self._evidence, self._reports, self._approvals):
            problems += store.check()
        if self._photos is not None:
            problems += self._photos.check()
        for path in self._plain_files:
            problems += check_file(path)
        return {"ok": not problems, "problems": problem_rows(problems)}

    def store_index(self, caller: Caller, again: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 called by name alone
        """Index by place what an older lucheng stored without, so that searches need not read it; `again` makes damaged
        indexes anew. In short runs, so that nobody who stores or looks for something waits; it may be broken off.
        """
        self._note(caller, "store.index", again=again)
        points = 0
        while read := self._series.index_places(max_rows=_INDEX_RUN_ROWS, again=again):
            points, again = points + read, False
            self._clock.sleep(_INDEX_PAUSE_S)
        return {"points": points}

    def _audit_problems(self, caller: Caller, action: str) -> list[Problem]:
        """What does not hold of the audit; the look itself is audited where that can be done, for it gives no data out."""
        unwritable: list[Problem] = []
        try:
            self._note(caller, action)
        except AuditUnwritable as error:
            unwritable = [Problem("audit.db", error.message, error.mend)]
        bad = self._chain.verify()
        return [bad] if bad is not None else unwritable

    def _audit_rows(self) -> int | None:
        """How many rows the audit has; None where that cannot be read any more."""
        try:
            return self._chain.last_number()
        except StoreError:
            return None


def _told(wanted: Wanted) -> dict[str, Any]:
    """What was looked for, without what was not said."""
    return {key: value for key, value in asdict(wanted).items() if value not in ("", None)}
