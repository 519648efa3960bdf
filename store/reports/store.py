"""`ReportStore`: what terminals tell besides places, alarms and media, in one database.

Invariants: what `add` returned for is durable; the same report again is the same row: of one device, message and body,
with the same time, or with the same serial and received within a day (many messages name no time of their own);
nothing is longer than its limit: a body is cut, fields that are too long are replaced by a word that says so; nothing is
given out before it is audited, and without an audit nothing is. It reads no protocol.
"""

from __future__ import annotations

import builtins
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from model.clock import Clock
from model.errors import UsageError
from model.evidence import Report
from model.grant import Grant
from model.seams import Audit, Problem
from store.audit import purpose_text
from store.database import Where
from store.kept_file import KeptFile

#: Longest texts and fields of a row.
DEFAULT_MAX_NAME_CHARS = 80
DEFAULT_MAX_FIELDS_BYTES = 65_536
DEFAULT_MAX_RAW_BYTES = 65_536
#: Rows that one listing returns at most.
DEFAULT_MAX_LIST_ROWS = 10_000
DEFAULT_LIST_ROWS = 100
#: A body that comes again with its serial within so long was sent again: it was not answered, or somebody recorded it.
DEFAULT_SAME_WITHIN_MS = 86_400_000
#: How deep fields may be nested.
_MAX_DEPTH = 12

MIGRATIONS = (
    """
CREATE TABLE report (
    number INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    protocol TEXT NOT NULL,
    message TEXT NOT NULL,
    time_ms INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    stored_ms INTEGER NOT NULL,
    fields TEXT NOT NULL,
    raw BLOB NOT NULL,
    raw_bytes INTEGER NOT NULL,
    body_sha256 BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX report_same ON report (device, message, time_ms, body_sha256);
CREATE INDEX report_device ON report (device, time_ms);
CREATE INDEX report_message ON report (message, time_ms);
CREATE INDEX report_time ON report (time_ms);
""",
    """
ALTER TABLE report ADD COLUMN serial INTEGER NOT NULL DEFAULT -1;
CREATE INDEX report_body ON report (device, message, body_sha256, serial);
""",
)
_SELECT = "SELECT number, stored_ms, raw_bytes, device, protocol, message, time_ms, received_ms, fields, raw, serial FROM report"
_INSERT = """INSERT INTO report (device, protocol, message, time_ms, received_ms, stored_ms, fields, raw, raw_bytes,
body_sha256, serial) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 WHERE ?11 < 0 OR NOT EXISTS (SELECT 1 FROM report
WHERE device = ?1 AND message = ?3 AND body_sha256 = ?10 AND serial = ?11 AND received_ms BETWEEN ?5 - ?12 AND ?5 + ?12)
ON CONFLICT DO NOTHING"""


@dataclass(frozen=True, slots=True)
class KeptReport:
    """A report under its number, which grows in order of arrival; `raw_bytes` is the length of the body as it came."""

    number: int
    stored_ms: int
    raw_bytes: int
    report: Report


class ReportStore:
    """The reports of one database. Any thread may call anything.

    Args:
        path: the file, e.g. `reports.db`, made when missing, unless `read_only`; or the place on a server.
        clock: gives the store time.
        audit: where reads are written down.
        read_only: read beside a running writer.
        max_name_chars: longest protocol and message name.
        max_fields_bytes: decoded fields as JSON.
        max_raw_bytes: of a body that are kept.
        same_within_ms: see `DEFAULT_SAME_WITHIN_MS`.

    Raises:
        StoreError: the file cannot be opened; Corrupt: it is damaged.
    """

    def __init__(
        self,
        path: Where,
        *,
        clock: Clock,
        audit: Audit,
        read_only: bool = False,
        max_name_chars: int = DEFAULT_MAX_NAME_CHARS,
        max_fields_bytes: int = DEFAULT_MAX_FIELDS_BYTES,
        max_raw_bytes: int = DEFAULT_MAX_RAW_BYTES,
        same_within_ms: int = DEFAULT_SAME_WITHIN_MS,
    ) -> None:
        self._clock = clock
        self._audit = audit
        self._max_name_chars = max_name_chars
        self._max_fields_bytes = max_fields_bytes
        self._max_raw_bytes = max_raw_bytes
        self._same_within_ms = same_within_ms
        self._file = KeptFile(path, MIGRATIONS, read_only=read_only)

    def add(self, reports: Sequence[Report]) -> int:
        """Keep those that are new, durably and in one transaction; how many were. Raises StoreError: none is kept."""
        if not reports:
            return 0
        now_ms = self._clock.now_ms()
        rows = [self._row(report, now_ms) for report in reports]
        with self._file.writing() as connection:
            return sum(connection.execute(_INSERT, row).rowcount for row in rows)

    def list(
        self,
        grant: Grant,
        *,
        device: str = "",
        message: str = "",
        from_ms: int | None = None,
        to_ms: int | None = None,
        before: int = 0,
        limit: int = DEFAULT_LIST_ROWS,
    ) -> builtins.list[KeptReport]:
        """Reports with from_ms <= time < to_ms, the last that arrived first; audited before they are returned.

        Args:
            grant: who reads and why; it must cover the device ("": all) and the window.
            device: only this device's.
            message: only of this name.
            from_ms: start of the window; default the grant's.
            to_ms: end of the window, not in it; default the grant's.
            before: number of the last one of the page before, 0: from the newest.
            limit: at most as many, 1..10,000.

        Raises:
            Refused: the grant does not cover it. UsageError: the limit is out of range.
            AuditUnwritable: nothing is given out. StoreError: the file cannot be read.
        """
        if not 1 <= limit <= DEFAULT_MAX_LIST_ROWS:
            raise UsageError(f"A page of {limit} rows.", mend=f"Ask for 1 to {DEFAULT_MAX_LIST_ROWS}.")
        from_ms = grant.from_ms if from_ms is None else from_ms
        to_ms = grant.to_ms if to_ms is None else to_ms
        grant.cover([device] if device else None, from_ms, to_ms)
        where, values = "time_ms >= ? AND time_ms < ?", builtins.list[object]((from_ms, to_ms))
        for clause, value in (("device = ?", device), ("message = ?", message), ("number < ?", before)):
            if value:
                where += f" AND {clause}"
                values.append(value)
        found = self._file.rows(
            f"{_SELECT} WHERE {where} ORDER BY number DESC LIMIT ?",
            (*values, limit),
        )
        self._audit.append(
            grant.who,
            grant.role,
            "read.reports",
            device or "*",
            purpose_text(grant.purpose),
            {"message": message[: self._max_name_chars], "from_ms": from_ms, "to_ms": to_ms, "rows": len(found)},
        )
        return [
            KeptReport(
                number,
                stored_ms,
                raw_bytes,
                Report(device, protocol, message, time_ms, received_ms, json.loads(fields), raw, serial),
            )
            for number, stored_ms, raw_bytes, device, protocol, message, time_ms, received_ms, fields, raw, serial in found
        ]

    def check(self) -> builtins.list[Problem]:
        """What does not hold of the file. Changes nothing."""
        return self._file.check()

    def close(self) -> None:
        """Release the file; any later call raises StoreError."""
        self._file.close()

    def _row(self, report: Report, now_ms: int) -> tuple[object, ...]:
        fields = json.dumps(_plain(report.fields), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        if len(fields.encode()) > self._max_fields_bytes:
            fields = json.dumps({"left_out": f"{len(fields.encode())} bytes, the limit is {self._max_fields_bytes}"})
        return (
            report.device,
            _text(report.protocol[: self._max_name_chars]),
            _text(report.message[: self._max_name_chars]),
            report.time_ms,
            report.received_ms,
            now_ms,
            fields,
            bytes(report.raw[: self._max_raw_bytes]),
            len(report.raw),
            hashlib.sha256(report.raw).digest(),
            report.serial,
            self._same_within_ms,
        )


def _plain(value: Any, depth: int = 0) -> Any:
    """`value` as JSON can hold it: bytes in hex, no NaN, no half of a character."""
    if depth > _MAX_DEPTH:
        return "…"
    if isinstance(value, dict):
        return {_text(str(key)): _plain(one, depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, depth + 1) for one in value]
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, float):
        return None
    return value.hex() if isinstance(value, bytes | bytearray) else _text(str(value))


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
