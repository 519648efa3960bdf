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
    from store.audit import AuditLog
    from store.evidence.folder import EvidenceFolder
    from store.log.local import LocalLog
    from store.reports.store import ReportStore
    from store.series.embedded import EmbeddedSeries


class AuditOperations(DeviceOperations):
    """See the module; the attributes are the arguments of `console.operations.Operations`."""

    _chain: AuditLog
    _points_log: LocalLog
    _alarms_log: LocalLog
    _series: EmbeddedSeries
    _evidence: EvidenceFolder
    _reports: ReportStore
    _plain_files: tuple[Path, ...]

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
        for store in (self._points_log, self._alarms_log, self._series, self._evidence, self._reports):
            problems += store.check()
        for path in self._plain_files:
            problems += check_file(path)
        return {"ok": not problems, "problems": problem_rows(problems)}

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
