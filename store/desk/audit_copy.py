"""What the system did, into the audit: history rows by `system`, in their order, each at least once.

Invariants: the position moves only after the rows are durable in the audit, so a crash repeats some and loses none; each
row names its event's number, by which a repeated one is known.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from model.alarm import SYSTEM
from store.audit import NewAuditRow
from store.desk import rows
from store.desk.book import Book
from store.desk.taking import save_position

#: Under this name the position stands beside those of the logs' consumers.
CONSUMER = "desk.audit"
_SELECT = "SELECT number, time_ms, action, detail, alarm, after FROM events WHERE number > ? AND who = ? ORDER BY number LIMIT ?"


class ManyRows(Protocol):
    """An audit that takes many rows at once."""

    def append_all(self, rows: Sequence[NewAuditRow]) -> int:
        """Write them durably, all or none, in order; the number of the last."""
        ...


class AuditCopy:
    """Copies the system's events to an audit."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._lock = threading.Lock()

    def run(self, audit: ManyRows) -> int:
        """Copy what is new; how many rows. Raises AuditUnwritable."""
        copied = 0
        limit = self._book.limits.audit_rows
        with self._lock:
            position = self._book.rows("SELECT position FROM signal_consumers WHERE name = ?", (CONSUMER,))
            after = position[0][0] if position else 0
            while True:
                found = self._book.rows(_SELECT, (after, SYSTEM, limit))
                if found:
                    audit.append_all([_audit_row(row) for row in found])
                    after = found[-1][0]
                    with self._book.writing(urgent=False) as page:
                        save_position(page, CONSUMER, after)
                    copied += len(found)
                if len(found) < limit:
                    return copied


def _audit_row(row: tuple[Any, ...]) -> NewAuditRow:
    number, time_ms, action, detail, alarm, after = row
    kept = rows.kept_of(alarm, msgspec.json.decode(after)).alarm
    told = {
        **msgspec.json.decode(detail),
        "event": number,
        "event_ms": time_ms,
        "kind": kept.kind,
        "device": kept.device,
        "fence": kept.fence,
        "version": kept.version,
    }
    return NewAuditRow(SYSTEM, SYSTEM, f"alarm.{action}", kept.id, "", told)
