"""Signals in the desk's file: raw occurrences, kept for ever, each id once.

Invariants: `add` is durable when it returns and one transaction with the consumer's position, so that nothing
is lost or counted twice over a crash; a signal that is there is never changed. A read takes a `Grant` and is
audited before it returns; without an audit there is no read. It makes no alarms.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from model.clock import Clock
from model.errors import AuditUnwritable, StoreError, UsageError
from model.grant import Grant
from model.seams import Audit
from model.signal import Signal
from store.audit import purpose_text
from store.database import connect, migrate, refuse_newer, transaction, translated

#: Signals that one listing returns at most.
DEFAULT_MAX_LIST_ROWS = 10_000
DEFAULT_LIST_ROWS = 1_000
#: Length of a consumer's name, characters.
MAX_CONSUMER_NAME_CHARS = 64

_MIGRATIONS = (
    """
CREATE TABLE signals (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  device TEXT NOT NULL,
  kind TEXT NOT NULL,
  source TEXT NOT NULL,
  time_ms INTEGER NOT NULL,
  received_ms INTEGER NOT NULL,
  lat REAL,
  lon REAL,
  severity INTEGER NOT NULL,
  late INTEGER NOT NULL,
  note TEXT NOT NULL,
  log_position INTEGER NOT NULL,
  kept_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX signals_by_device ON signals (device, time_ms);
CREATE INDEX signals_by_time ON signals (time_ms);
CREATE TABLE signal_consumers (
  name TEXT PRIMARY KEY,
  position INTEGER NOT NULL
) STRICT;
""",
)
_SELECT = "SELECT number, id, device, kind, source, time_ms, received_ms, lat, lon, severity, late, note, log_position FROM signals"
_INSERT = """
INSERT INTO signals (
  id, device, kind, source, time_ms, received_ms, lat, lon, severity, late, note, log_position, kept_ms
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING
"""
_SAVE_POSITION = (
    "INSERT INTO signal_consumers VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET position = excluded.position"
    " WHERE excluded.position > signal_consumers.position"
)
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
        path: the file, e.g. `desk.db`.
        clock: gives the store time.
        audit: where reads are written down; without one `list` refuses.
        read_only: read beside a running writer.

    Raises:
        StoreError: the file cannot be opened; Corrupt: it is damaged.
    """

    def __init__(self, path: Path, *, clock: Clock, audit: Audit | None = None, read_only: bool = False) -> None:
        self._path = path
        self._clock = clock
        self._audit = audit
        self._read_only = read_only
        self._lock = threading.Lock()
        self._failure: StoreError | None = None
        self._connection: sqlite3.Connection | None = connect(path, read_only=read_only)
        try:
            if read_only:
                refuse_newer(self._connection, _MIGRATIONS, path)
            else:
                migrate(self._connection, _MIGRATIONS, path)
        except sqlite3.Error as error:
            self._connection.close()
            raise translated(error, path) from error
        except BaseException:
            self._connection.close()
            raise

    def add(self, signals: Sequence[Signal], *, consumer: str = "", position: int = 0) -> int:
        """Keep those whose id is new, durably; return how many were new.

        Args:
            signals: any number, also none.
            consumer: whose position to note in the same transaction; "" for nobody's.
            position: up to where `consumer` has read its log; an older one changes nothing.

        Raises:
            StoreError: nothing was kept, and nothing will be any more: the process must stop.
        """
        if len(consumer) > MAX_CONSUMER_NAME_CHARS:
            raise UsageError(f"A consumer's name has at most {MAX_CONSUMER_NAME_CHARS} characters.")
        with self._lock:
            connection = self._open()
            if self._read_only:
                raise StoreError(f"{self._path.name} was opened for reading only.", mend="Open it as the writer.")
            if self._failure is not None:
                raise StoreError(self._failure.message, mend=self._failure.mend)
            if not signals and not consumer:
                return 0
            kept_ms = self._clock.now_ms()
            try:
                with transaction(connection):
                    before = connection.total_changes
                    connection.executemany(_INSERT, [_row(signal, kept_ms) for signal in signals])
                    added = connection.total_changes - before
                    if consumer:
                        connection.execute(_SAVE_POSITION, (consumer, position))
            except sqlite3.Error as error:
                failure = translated(error, self._path)
                if isinstance(failure, StoreError):
                    self._failure = failure  # a failed sync is never tried again
                raise failure from error
            return added

    def position(self, consumer: str) -> int:
        """Up to where `consumer` has read its log, as committed with its signals; 0 when it is new."""
        with self._lock:
            try:
                row = (
                    self._open().execute("SELECT position FROM signal_consumers WHERE name = ?", (consumer,)).fetchone()
                )
            except sqlite3.Error as error:
                raise translated(error, self._path) from error
            return 0 if row is None else int(row[0])

    def count(self) -> int:
        """How many signals are kept."""
        with self._lock:
            try:
                return int(self._open().execute("SELECT count(*) FROM signals").fetchone()[0])
            except sqlite3.Error as error:
                raise translated(error, self._path) from error

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
        if not 1 <= limit <= DEFAULT_MAX_LIST_ROWS:
            raise UsageError(
                f"The limit {limit} is out of range.", mend=f"Ask for 1 to {DEFAULT_MAX_LIST_ROWS} signals."
            )
        if self._audit is None:
            raise AuditUnwritable("No audit is open, so no signal is shown.", mend="Open the audit with the signals.")
        wanted: _Conditions = [("time_ms >= ?", from_ms), ("time_ms < ?", to_ms)]
        wanted += [(f"{name} = ?", value) for name, value in (("device", device), ("kind", kind)) if value is not None]
        if after:
            wanted.append(("number < ?" if newest_first else "number > ?", after))
        where = " AND ".join(condition for condition, _ in wanted)
        sql = f"{_SELECT} WHERE {where} ORDER BY number {'DESC' if newest_first else 'ASC'} LIMIT ?"
        with self._lock:
            try:
                rows = self._open().execute(sql, (*(value for _, value in wanted), limit)).fetchall()
            except sqlite3.Error as error:
                raise translated(error, self._path) from error
        detail = {"kind": kind, "from_ms": from_ms, "to_ms": to_ms, "after": after, "count": len(rows)}
        self._audit.append(grant.who, grant.role, "read.signals", device or "*", purpose_text(grant.purpose), detail)
        return [_kept(row) for row in rows]

    def close(self) -> None:
        """Release the file; twice is once."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(f"{self._path.name} is closed.", mend="Open it again.")
        return self._connection


def _row(signal: Signal, kept_ms: int) -> tuple[object, ...]:
    # Text from a device must never keep its alarm from being kept.
    note = signal.note.encode("utf-8", "backslashreplace").decode()
    return (*astuple(replace(signal, note=note)), kept_ms)


def _kept(row: tuple[object, ...]) -> KeptSignal:
    number, *fields = row
    signal = Signal(*fields)  # type: ignore[arg-type]  # the table is STRICT: types are the columns'
    assert isinstance(number, int)
    return KeptSignal(number, replace(signal, late=bool(signal.late)))
