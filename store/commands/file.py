"""The file of commands: one connection that writes, one that reads beside it, and the count of changes to sleep on.

Invariants: everything of one transaction is durable when it ends, and who waits is woken after that; after a failed commit
nothing is written any more, since a failed sync is never tried again. It knows nothing of what a command may do.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model.clock import Clock
from model.errors import StoreError
from store.commands.rows import MIGRATIONS
from store.database import connect, migrate, refuse_newer, transaction, translated

#: How often another process' changes are looked for, seconds.
_POLL_S = 0.1
_CHANGE = "change"


class CommandFile:
    """The open file. Any thread may call anything; see `store.commands.store.CommandStore` for the arguments."""

    def __init__(self, path: Path, *, clock: Clock, read_only: bool) -> None:
        self._path = path
        self._clock = clock
        self._read_only = read_only
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._changed = threading.Condition()
        self._changes = self._nudges = 0
        self._closed = False
        self._failure: StoreError | None = None
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        try:
            if not read_only:
                self._writer = connect(path)
                migrate(self._writer, MIGRATIONS, path)
            with self._reading:
                self._open_reader()
            self._changes = self._counter(_CHANGE)
        except sqlite3.Error as error:
            self._release()
            raise translated(error, path) from error
        except BaseException:
            self._release()
            raise

    # -- changes ------------------------------------------------------------------------------

    @property
    def changes(self) -> int:
        """How many changes there have been, ever; of another process' file as it stands there."""
        if self._read_only:
            return self._counter(_CHANGE)
        with self._changed:
            return self._changes

    def wait(self, after_change: int, timeout_s: float) -> int:
        """Sleep until there are more changes than `after_change`, or the time is over; how many there are."""
        if self._read_only:
            until_s = self._clock.monotonic_s() + timeout_s
            while (now := self.changes) <= after_change and self._clock.monotonic_s() < until_s:
                self._clock.sleep(_POLL_S)
            return now
        until_s = time.monotonic() + timeout_s  # a real sleep: no other clock ends a condition's wait
        with self._changed:
            nudges = self._nudges
            while self._changes <= after_change and self._nudges == nudges:
                left_s = until_s - time.monotonic()
                if left_s <= 0:
                    break
                self._changed.wait(left_s)
            return self._changes

    def nudge(self) -> None:
        """Wake who waits now, without a change."""
        with self._changed:
            self._nudges += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Release the file after who is writing; twice is once."""
        with self._writing:
            self._closed = True
            self._release()

    # -- the file -----------------------------------------------------------------------------

    @contextmanager
    def _transaction(self, *, kept: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction, durable at its end; `kept` counts it as a change and wakes who waits.

        Raises StoreError: nothing of it was kept, and nothing will be any more; TryAgain: another process holds the file.
        """
        with self._writing:
            connection = self._writable()
            try:
                with transaction(connection):
                    rows_before = connection.total_changes
                    yield connection
                    counted = kept and connection.total_changes > rows_before
                    if counted:
                        count(connection, _CHANGE)
            except sqlite3.Error as error:
                failure = translated(error, self._path)
                if isinstance(failure, StoreError):
                    self._failure = failure
                raise failure from error
        if counted:
            self._tell()

    def _tell(self) -> None:
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    def _writable(self) -> sqlite3.Connection:
        if self._read_only:
            raise StoreError(f"{self._path.name} was opened for reading only.", mend="Open it as the writer.")
        if self._failure is not None:
            raise StoreError(self._failure.message, mend=self._failure.mend)
        if self._writer is None:
            raise StoreError(f"{self._path.name} is closed.", mend="Open it again.")
        return self._writer

    def _counter(self, name: str) -> int:
        found = self._rows("SELECT value FROM counters WHERE name = ?", (name,))
        return int(found[0][0]) if found else 0

    def _rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What a query finds, as committed."""
        with self._reading:
            if self._closed:
                raise StoreError(f"{self._path.name} is closed.", mend="Open it again.")
            try:
                self._open_reader()
                return [] if self._reader is None else self._reader.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise translated(error, self._path) from error

    def _open_reader(self) -> None:
        """Open the connection that reads; a file that another process has not made yet stays unopened."""
        if self._reader is not None or (self._read_only and not self._path.exists()):
            return
        reader = connect(self._path, read_only=True)
        try:
            made = refuse_newer(reader, MIGRATIONS, self._path) == len(MIGRATIONS)
        except BaseException:
            reader.close()
            raise
        if made:
            self._reader = reader
        else:
            reader.close()  # its writer is at work on it

    def _release(self) -> None:
        with self._reading:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._reader = self._writer = None


def count(connection: sqlite3.Connection, name: str) -> int:
    """The next number under a name."""
    sql = (
        "INSERT INTO counters (name, value) VALUES (?, 1)"
        " ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value"
    )
    return int(connection.execute(sql, (name,)).fetchone()[0])
