"""The database of commands: one connection that writes, one that reads beside it, and the count of changes to sleep on.

Invariants: those of `store.kept_file`; who waits is woken after a transaction is durable; on a server, where other processes
change things too, the count is looked at by one of those who wait, for all of this process. It knows nothing of what a
command may do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from model.clock import Clock
from model.errors import TryAgain
from store.commands.rows import MIGRATIONS
from store.database import Connection, Where, on_server
from store.kept_file import KeptFile

#: How often another process' changes are looked for, seconds.
_POLL_S = 0.1
_CHANGE = "change"


class CommandFile(KeptFile):
    """The open file. Any thread may call anything; see `store.commands.store.CommandStore` for the arguments."""

    def __init__(self, path: Where, *, clock: Clock, read_only: bool) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._changes = self._nudges = 0
        self._shared = on_server(path)
        self._looking = threading.Lock()
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
        if self._read_only or self._shared:
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
                self._changed.wait(min(left_s, _POLL_S) if self._shared else left_s)
                if self._shared and self._changes <= after_change:
                    self._look()
            return self._changes

    def _look(self) -> None:
        """Has another process changed anything? One of those who wait asks, without keeping the others."""
        if not self._looking.acquire(blocking=False):
            return
        try:
            self._changed.release()
            try:
                found = self._counter(_CHANGE)
            except TryAgain:
                found = 0  # it is away: who waits goes on waiting
            finally:
                self._changed.acquire()
            self._note(found)
        finally:
            self._looking.release()

    def nudge(self) -> None:
        """Wake who waits now, without a change."""
        with self._changed:
            self._nudges += 1
            self._changed.notify_all()

    # -- the file -----------------------------------------------------------------------------

    @contextmanager
    def _transaction(self, *, kept: bool = True) -> Iterator[Connection]:
        """One transaction, durable at its end; `kept` counts it as a change and wakes who waits. Raises as `writing` does."""
        with self.writing() as connection:
            rows_before = connection.total_changes
            yield connection
            counted = kept and connection.total_changes > rows_before
            number = count(connection, _CHANGE) if counted else 0
        with self._changed:
            self._note(number)

    def _note(self, changes: int) -> None:
        if changes > self._changes:
            self._changes = changes
            self._changed.notify_all()

    def _counter(self, name: str) -> int:
        found = self.rows("SELECT value FROM counters WHERE name = ?", (name,))
        return int(found[0][0]) if found else 0


def count(connection: Connection, name: str) -> int:
    """The next number under a name."""
    sql = (
        "INSERT INTO counters (name, value) VALUES (?, 1)"
        " ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value"
    )
    return int(connection.execute(sql, (name,)).fetchone()[0])
