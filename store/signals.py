"""Signals in the desk's file: raw occurrences, kept for ever, each id once.

Invariants: `add` is durable when it returns and one transaction with the consumer's position, so that nothing
is lost or counted twice over a crash; a signal that is there is never changed. A read takes a `Grant` and is
audited before it returns; without an audit there is no read. It makes no alarms: `store.desk.desk.DeskFile` is these
signals and the alarms they raise.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.clock import Clock
from model.errors import AuditUnwritable, UsageError
from model.grant import Grant
from model.seams import Audit
from model.signal import Signal
from store.audit import purpose_text
from store.database import Where
from store.desk import rows
from store.desk.book import Book
from store.desk.limits import DEFAULT_MAX_LIST_ROWS, DeskLimits
from store.desk.page import Page
from store.desk.taking import INSERT_SIGNAL, save_position

DEFAULT_LIST_ROWS = 1_000
#: Length of a consumer's name, characters.
MAX_CONSUMER_NAME_CHARS = 64

_SELECT = f"SELECT number, {', '.join(rows.SIGNAL_COLUMNS)} FROM signals"  # noqa: S608 (constants)
#: Conditions of a query with their values (`list` is a method below, so its type is named here).
_Conditions = list[tuple[str, int | str]]


@dataclass(frozen=True, slots=True)
class KeptSignal:
    """A signal with the number under which it was kept: numbers grow in order of arrival, with gaps."""

    number: int
    signal: Signal


class Signals:
    """The signals of one desk file; implements `model.seams.SignalStore`. Any thread may call anything.

    Args:
        path: the file, e.g. `desk.db`, or the place on a server.
        clock: gives the store time.
        audit: where reads are written down; without one `list` refuses.
        read_only: read beside a running writer.
        limits: see `DeskLimits`.

    Raises:
        StoreError: the file cannot be opened; Corrupt: it is damaged.
    """

    def __init__(
        self,
        path: Where,
        *,
        clock: Clock,
        audit: Audit | None = None,
        read_only: bool = False,
        limits: DeskLimits | None = None,
    ) -> None:
        self._audit = audit
        self._book = Book(path, clock=clock, limits=limits or DeskLimits(), read_only=read_only)
        self._counting = threading.Lock()
        self._counts: dict[str, int] = {}
        self._counted = 0

    def add(self, signals: Sequence[Signal], *, consumer: str = "", position: int = 0) -> int:
        """Keep those whose id is new, durably; return how many were new.

        Args:
            signals: any number, also none.
            consumer: whose position to note in the same transaction; "" for nobody's.
            position: up to where `consumer` has read its log; an older one changes nothing.

        Raises:
            StoreError: nothing was kept, and nothing will be any more: the process must stop.
        """
        check_consumer(consumer)
        with self._book.writing() as page:
            return _insert(page, signals, consumer, position)

    def position(self, consumer: str) -> int:
        """Up to where `consumer` has read its log, as committed with its signals; 0 when it is new."""
        found = self._book.rows("SELECT position FROM signal_consumers WHERE name = ?", (consumer,))
        return int(found[0][0]) if found else 0

    def count(self) -> int:
        """How many signals are kept."""
        return int(self._book.rows("SELECT count(*) FROM signals")[0][0])

    def counts(self) -> dict[str, int]:
        """How many signals of each kind are kept. Cheap: only those that are new since the last call are counted."""
        with self._counting:
            found = self._book.rows(
                "SELECT kind, count(*), max(number) FROM signals WHERE number > ? GROUP BY kind", (self._counted,)
            )
            for kind, count, newest in found:
                self._counts[kind] = self._counts.get(kind, 0) + int(count)
                self._counted = max(self._counted, int(newest))
            return dict(sorted(self._counts.items()))

    def list(
        self,
        grant: Grant,
        *,
        device: str | None = None,
        kind: str | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        after: int = 0,
        limit: int = DEFAULT_LIST_ROWS,
        newest_first: bool = False,
    ) -> Sequence[KeptSignal]:
        """Signals with from_ms <= device time < to_ms in order of arrival; audited before they are returned.

        Args:
            grant: who reads and why; it must cover the device (None: all) and the window.
            device: only this device's.
            kind: only this kind.
            from_ms: start of the window; default the grant's.
            to_ms: end of the window, not in it; default the grant's.
            after: only signals with a greater number; with `newest_first` only those with a smaller one (0: from the end).
            limit: at most as many, 1..10,000.
            newest_first: the last that arrived first.

        Raises:
            Refused: the grant does not cover it. AuditUnwritable: the read could not be audited.
            UsageError: the limit is out of range. StoreError: the file cannot be read.
        """
        from_ms = grant.from_ms if from_ms is None else from_ms
        to_ms = grant.to_ms if to_ms is None else to_ms
        grant.cover(None if device is None else [device], from_ms, to_ms)
        self._check_limit(limit)
        self._check_audit()
        wanted: _Conditions = [("time_ms >= ?", from_ms), ("time_ms < ?", to_ms)]
        wanted += [(f"{name} = ?", value) for name, value in (("device", device), ("kind", kind)) if value is not None]
        if after:
            wanted.append(("number < ?" if newest_first else "number > ?", after))
        where = " AND ".join(condition for condition, _ in wanted)
        sql = f"{_SELECT} WHERE {where} ORDER BY number {'DESC' if newest_first else 'ASC'} LIMIT ?"
        found = self._book.rows(sql, (*(value for _, value in wanted), limit))
        detail = {"kind": kind, "from_ms": from_ms, "to_ms": to_ms, "after": after, "count": len(found)}
        self._write_down(grant, "read.signals", device or "*", detail)
        return [KeptSignal(row[0], rows.signal_of(row[1:])) for row in found]

    def close(self) -> None:
        """Release the file; twice is once."""
        self._book.close()

    def _check_limit(self, limit: int) -> None:
        most = min(self._book.limits.max_list_rows, DEFAULT_MAX_LIST_ROWS)
        if not 1 <= limit <= most:
            raise UsageError(f"The limit {limit} is out of range.", mend=f"Ask for 1 to {most} rows.")

    def _check_audit(self) -> None:
        if self._audit is None:
            raise AuditUnwritable("No audit is open, so nothing is shown.", mend="Open the audit with the desk.")

    def _write_down(self, grant: Grant, action: str, target: str, detail: Mapping[str, Any]) -> None:
        self._check_audit()
        assert self._audit is not None
        self._audit.append(grant.who, grant.role, action, target, purpose_text(grant.purpose), detail)


def check_consumer(consumer: str) -> None:
    """Raise UsageError for a name that is too long."""
    if len(consumer) > MAX_CONSUMER_NAME_CHARS:
        raise UsageError(f"A consumer's name has at most {MAX_CONSUMER_NAME_CHARS} characters.")


def _insert(page: Page, signals: Sequence[Signal], consumer: str, position: int) -> int:
    added = 0
    for signal in signals:
        values = (*rows.signal_row(signal), consumer, page.now_ms)
        added += page.connection.execute(INSERT_SIGNAL, values).fetchone() is not None
    if consumer:
        save_position(page, consumer, position)
    return added
