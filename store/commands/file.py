"""The file of commands: one connection that writes, one that reads beside it, and the count of changes to sleep on.

Invariants: those of `store.kept_file`; who waits is woken after a transaction is durable. It knows nothing of what a command
may do.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.clock import Clock
from store.commands.rows import MIGRATIONS
from store.kept_file import KeptFile

#: How often another process' changes are looked for, seconds.
_POLL_S = 0.1
_CHANGE = "change"


class CommandFile(KeptFile):
    """The open file. Any thread may call anything; see `store.commands.store.CommandStore` for the arguments."""

    def __init__(self, path: Path, *, clock: Clock, read_only: bool) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._changes = self._nudges = 0
        super().__init__(path, MIGRATIONS, read_only=read_only, older_is_empty=True)
        try:
            self._changes = self._counter(_CHANGE)
        except BaseException:
            self.close()
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

    # -- the file -----------------------------------------------------------------------------

    @contextmanager
    def _transaction(self, *, kept: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction, durable at its end; `kept` counts it as a change and wakes who waits. Raises as `writing` does."""
        with self.writing() as connection:
            rows_before = connection.total_changes
            yield connection
            counted = kept and connection.total_changes > rows_before
            if counted:
                count(connection, _CHANGE)
        if counted:
            self._tell()

    def _tell(self) -> None:
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    def _counter(self, name: str) -> int:
        found = self.rows("SELECT value FROM counters WHERE name = ?", (name,))
        return int(found[0][0]) if found else 0


def count(connection: sqlite3.Connection, name: str) -> int:
    """The next number under a name."""
    sql = (
        "INSERT INTO counters (name, value) VALUES (?, 1)"
        " ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value"
    )
    return int(connection.execute(sql, (name,)).fetchone()[0])
