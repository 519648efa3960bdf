"""Operations on the audit, and the check of every store. Part of `console.operations`.

Invariants: reading the audit is audited too; a chain too damaged to be written to is reported all the same; a check changes
nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.device_operations import DEFAULT_LIST_ROWS, Caller, DeviceOperations
from console.kept_rows import audit_row, check_limit, problem_rows
from console.store_checks import check_file
from model.errors import AuditUnwritable, StoreError
from model.seams import Problem

if TYPE_CHECKING:
    from model.clock import Clock
    from store.approvals.store import ApprovalStore
    from store.audit import AuditLog
    from store.evidence.folder import EvidenceFolder
    from store.log.local import LocalLog
    from store.reports.store import ReportStore
    from store.series.door import Series


#: Rows indexed between two pauses, in which others have their turn.
_INDEX_RUN_ROWS = 16_384
_INDEX_PAUSE_S = 0.005


class AuditOperations(DeviceOperations):
    """See the module; the attributes are the arguments of `console.operations.Operations`."""

    _chain: AuditLog
    _points_log: LocalLog
    _alarms_log: LocalLog
    _series: Series
    _evidence: EvidenceFolder
    _reports: ReportStore
    _approvals: ApprovalStore
    _plain_files: tuple[Path, ...]
    _clock: Clock

    def audit_list(
        self, caller: Caller, before: int | None = None, limit: int = DEFAULT_LIST_ROWS
    ) -> list[dict[str, Any]]:
        """Rows of the audit, the newest first; reading it is audited too."""
        check_limit(limit)
        self._note(caller, "read.audit")
        return [audit_row(row) for row in self._chain.rows(after=before or 0, limit=limit, newest_first=True)]

    def audit_verify(self, caller: Caller) -> dict[str, Any]:
        """Whether the chain holds, and the first bad row. A chain too damaged to be written to is reported all the same."""
        problems = self._audit_problems(caller, "audit.verify")
        return {"ok": not problems, "rows": self._audit_rows(), "problems": problem_rows(problems)}

    def store_check(self, caller: Caller) -> dict[str, Any]:
        """Read every store and report what does not hold, the audit too. Changes nothing."""
        problems = self._audit_problems(caller, "store.check")
        for store in (self._points_log, self._alarms_log, self._series, self._evidence, self._reports, self._approvals):
            problems += store.check()
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
