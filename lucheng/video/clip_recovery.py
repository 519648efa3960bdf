"""After a restart: which open alarms still lack their clips, as far as alarms, evidence and audit tell.

Invariants: nothing is kept for this beside what is kept anyway; what has its evidence, or was noted as missing, is not
made or noted again; each read is audited. It makes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from model.alarm import SYSTEM
from model.desk import AlarmFilter, DeskAlarm
from model.grant import Grant, Purpose

if TYPE_CHECKING:
    from lucheng.video.seams import ClipAudit
    from model.desk import Desk
    from store.evidence.folder import EvidenceFolder

#: Alarms, and pieces of evidence on a page, that are read.
MAX_ALARMS = 10_000
_PAGE = 10_000
_AUDIT_PAGE = 1_000
#: Rows of the audit that are looked through.
MAX_AUDIT_ROWS = 200_000


@dataclass(frozen=True, slots=True)
class Known:
    """What is known after a restart.

    Attributes:
        alarms: open ones, severity 1 first.
        kept: (source, camera, kind of evidence) of what alarms have.
        noted: (alarm, lap, camera, `clip` or `snapshot`) of what was noted as missing.
    """

    alarms: list[DeskAlarm]
    kept: set[tuple[str, str, str]]
    noted: set[tuple[str, int, str, str]]


def read_known(
    desk: Desk, evidence: EvidenceFolder, audit: ClipAudit, *, since_ms: int, before_ms: int, severity: int
) -> Known:
    """See the module.

    Args:
        desk: whose alarms.
        evidence: what they have.
        audit: what they lack.
        since_ms: alarms received at or after this.
        before_ms: longest pre-roll: clips may begin so long before their alarm.
        severity: alarms of this one or higher.

    Raises AuditUnwritable, StoreError.
    """
    grant = Grant(
        SYSTEM, SYSTEM, Purpose("alarm", "", "clips after a restart"), None, max(since_ms - before_ms, 0), 1 << 52
    )
    wanted = AlarmFilter(open_only=True, severity=severity, since_ms=since_ms)
    alarms = desk.list_alarms(grant, wanted, limit=MAX_ALARMS)
    if not alarms:
        return Known([], set(), set())
    kept: set[tuple[str, str, str]] = set()
    before = ""
    while True:
        page = evidence.list(grant, before=before, limit=_PAGE)
        kept |= {(one.source, one.device, one.kind) for one in page if one.source.startswith("clip:")}
        if len(page) < _PAGE:
            break
        before = page[-1].id
    return Known(alarms, kept, _noted(audit, since_ms))


def _noted(audit: ClipAudit, since_ms: int) -> set[tuple[str, int, str, str]]:
    found: set[tuple[str, int, str, str]] = set()
    after = seen = 0
    while seen < MAX_AUDIT_ROWS:
        rows = audit.rows(after=after, limit=_AUDIT_PAGE, newest_first=True)
        for row in rows:
            if row.action == "clip.missing" and isinstance(row.detail.get("cameras"), list):
                lap, what = int(row.detail.get("lap", 0)), str(row.detail.get("what", ""))
                found |= {(row.target, lap, str(camera), what) for camera in row.detail["cameras"]}
        seen += len(rows)
        if len(rows) < _AUDIT_PAGE or rows[-1].time_ms < since_ms:
            break
        after = rows[-1].number
    return found
