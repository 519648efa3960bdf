"""The desk's file: one connection that writes behind a turnstile, one that reads beside it.

Invariants: everything of one `writing` is one transaction, durable when it ends; events reach the feed after that and in
the order of their numbers; after a failed commit nothing is written any more, since a failed sync is never tried again.
It knows nothing of alarms.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model.clock import Clock
from model.errors import StoreError
from store.database import connect, migrate, refuse_newer, transaction, translated
from store.desk.feed import EventRing
from store.desk.limits import DeskLimits
from store.desk.page import Page
from store.desk.schema import MIGRATIONS
from store.desk.turnstile import Turnstile


class Book:
    """The open file. Any thread may call anything.

    Args:
        path: the file, e.g. `desk.db`.
        clock: source of time.
        limits: see `DeskLimits`.
        read_only: read beside a running writer.

    Raises:
        StoreError: the file cannot be opened, or was last written by an older lucheng and is opened read-only;
        Corrupt: it is damaged.
    """

    def __init__(self, path: Path, *, clock: Clock, limits: DeskLimits, read_only: bool) -> None:
        self.path = path
        self.clock = clock
        self.limits = limits
        self.read_only = read_only
        self.feed = EventRing(limits.feed_events)
        self._turnstile = Turnstile()
        self._reading = threading.Lock()
        self._failure: StoreError | None = None
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        try:
            if not read_only:
                self._writer = connect(path)
                migrate(self._writer, MIGRATIONS, path)
            self._reader = connect(path, read_only=True)
            if read_only and refuse_newer(self._reader, MIGRATIONS, path) < len(MIGRATIONS):
                raise StoreError(
                    f"{path.name} was last written by an older lucheng.",
                    mend="Start `lucheng run` once, or any command that changes something: it is brought up to date.",
                )
            self._counters: dict[str, int] = dict(self._reader.execute("SELECT name, value FROM counters"))
        except sqlite3.Error as error:
            self._release()
            raise translated(error, path) from error
        except BaseException:
            self._release()
            raise
        self.feed.last = self._counters.get("event", 0)

    @contextmanager
    def writing(self, *, urgent: bool = True) -> Iterator[Page]:
        """One transaction; who is urgent goes before the others that wait.

        Raises:
            StoreError: nothing of it was kept, and nothing will be any more: the process must stop.
            TryAgain: another process holds the file; nothing was kept.
        """
        with self._turnstile.through(urgent=urgent):
            connection = self._writable()
            page = Page(connection, self.clock.now_ms(), self.limits, dict(self._counters))
            try:
                with transaction(connection):
                    yield page
                    page.finish()
            except sqlite3.Error as error:
                failure = translated(error, self.path)
                if isinstance(failure, StoreError):
                    self._failure = failure
                raise failure from error
            self._counters = page.counters
            self.feed.post(page.events)

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What a query finds, as committed."""
        with self._reading:
            if self._reader is None:
                raise StoreError(f"{self.path.name} is closed.", mend="Open it again.")
            try:
                return self._reader.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise translated(error, self.path) from error

    def waiting(self) -> int:
        """How many calls wait to write."""
        return self._turnstile.waiting()

    def close(self) -> None:
        """Release the file after who is writing; twice is once."""
        with self._turnstile.through(urgent=True):
            self._release()

    def _writable(self) -> sqlite3.Connection:
        if self.read_only:
            raise StoreError(f"{self.path.name} was opened for reading only.", mend="Open it as the writer.")
        if self._failure is not None:
            raise StoreError(self._failure.message, mend=self._failure.mend)
        if self._writer is None:
            raise StoreError(f"{self.path.name} is closed.", mend="Open it again.")
        return self._writer

    def _release(self) -> None:
        with self._reading:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._reader = self._writer = None
