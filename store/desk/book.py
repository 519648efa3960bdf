"""The desk's database: one connection that writes behind a turnstile, one that reads beside it.

Invariants: everything of one `writing` is one transaction, durable when it ends; events reach the feed after that and in
the order of their numbers; after a failed commit nothing is written any more, since a failed sync is never tried again.
On a server other processes write, too: numbers are counted on from what is committed, under the store's lock, so they become
visible in their order and without a gap; the feed is brought up from the table, by a thread as soon as somebody follows it.
It knows nothing of alarms.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

from model.clock import Clock
from model.desk import Event
from model.errors import LuchengError, StoreError, TryAgain
from store.database import (
    Connection,
    Error,
    Where,
    connect,
    migrate,
    on_server,
    refuse_newer,
    transaction,
    translated,
)
from store.desk import rows
from store.desk.feed import EventRing
from store.desk.limits import DeskLimits
from store.desk.page import Page
from store.desk.schema import MIGRATIONS
from store.desk.turnstile import Turnstile

#: How often other processes' events are looked for while somebody follows, seconds.
FOLLOW_S = 0.05
#: How long the desk's own work is tried again while the server is away or cuts it off, seconds; each try waits for it, too.
DEFAULT_KEEP_ON_S = 60.0
#: Events that are read at once.
_STEP_EVENTS = 1_000
_SELECT_COUNTERS = "SELECT name, value FROM counters"
_LAST_EVENT = "SELECT value FROM counters WHERE name = 'event'"


Found = TypeVar("Found")


class Book:
    """The open file. Any thread may call anything.

    Args:
        path: the file, e.g. `desk.db`, or the place on a server.
        clock: source of time.
        limits: see `DeskLimits`.
        read_only: read beside a running writer.

    Raises:
        StoreError: the file cannot be opened, or was last written by an older lucheng and is opened read-only;
        Corrupt: it is damaged.
    """

    def __init__(self, path: Where, *, clock: Clock, limits: DeskLimits, read_only: bool) -> None:
        self.path = path
        self.clock = clock
        self.limits = limits
        self.read_only = read_only
        #: Whether other processes may write at the same time.
        self.shared = on_server(path)
        self.feed = EventRing(limits.feed_events)
        self._turnstile = Turnstile()
        self._reading = threading.Lock()
        self._posting = threading.RLock()
        self._follower: threading.Thread | None = None
        self._ended = threading.Event()
        self._failure: StoreError | None = None
        self._writer: Connection | None = None
        self._reader: Connection | None = None
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
            self._counters: dict[str, int] = dict(self._reader.execute(_SELECT_COUNTERS))
        except Error as error:
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
            TryAgain: another process holds the file, or the server is away; nothing was kept.
        """
        with self._turnstile.through(urgent=urgent):
            connection = self._writable()
            try:
                with transaction(connection):
                    if self.shared:
                        self._counters = dict(connection.execute(_SELECT_COUNTERS))
                    page = Page(connection, self.clock.now_ms(), self.limits, dict(self._counters))
                    yield page
                    page.finish()
            except Error as error:
                failure = translated(error, self.path)
                if isinstance(failure, StoreError):
                    self._failure = failure
                raise failure from error
            self._counters = page.counters
            self._post(page.events)

    def keep_on(self, run: Callable[[Page], Found], *, urgent: bool = True) -> tuple[Page, Found]:
        """`run` in a transaction, on a server again where it was cut off and nothing of it was kept. For what the desk does by itself.

        Raises as `writing`; TryAgain when it does not go through within `DEFAULT_KEEP_ON_S`.
        """
        until_s = self.clock.monotonic_s() + DEFAULT_KEEP_ON_S
        while True:
            try:
                with self.writing(urgent=urgent) as page:
                    found = run(page)
            except TryAgain:
                if not self.shared or self._ended.is_set() or self.clock.monotonic_s() > until_s:
                    raise
            else:
                return page, found

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What a query finds, as committed."""
        # A server's queries each have a connection of their own.
        with nullcontext() if self.shared else self._reading:
            if self._reader is None:
                raise StoreError(f"{self.path.name} is closed.", mend="Open it again.")
            try:
                return self._reader.execute(sql, values).fetchall()
            except Error as error:
                raise translated(error, self.path) from error

    def follow(self) -> None:
        """Bring other processes' events into the feed from now on, too."""
        with self._posting:
            if self.shared and self._follower is None and not self._ended.is_set():
                self._follower = threading.Thread(target=self._run_follower, name="desk-events", daemon=True)
                self._follower.start()

    def catch_up(self) -> None:
        """Bring the feed up to the newest event that is committed."""
        with self._posting:
            found = self.rows(_LAST_EVENT)
            newest = found[0][0] if found else 0
            # What would fall out of the ring at once is read from the table by who asks for it.
            self.feed.skip_to(newest - self.limits.feed_events)
            while self.feed.last < newest:
                events = self.rows(
                    f"{rows.SELECT_EVENT} WHERE number > ? ORDER BY number LIMIT ?", (self.feed.last, _STEP_EVENTS)
                )
                if not events:
                    return
                self.feed.post([rows.event_of(row) for row in events])

    def waiting(self) -> int:
        """How many calls wait to write."""
        return self._turnstile.waiting()

    def close(self) -> None:
        """Release it after who is writing; twice is once."""
        self._ended.set()
        if self._follower is not None and self._follower is not threading.current_thread():
            self._follower.join()
        with self._turnstile.through(urgent=True):
            self._release()

    def _post(self, events: Sequence[Event]) -> None:
        """Events that were committed just now, into the feed, behind those of other processes."""
        if not self.shared:
            self.feed.post(events)
        elif events:
            with self._posting:
                if events[0].number > self.feed.last + 1:
                    self.catch_up()
                self.feed.post([event for event in events if event.number > self.feed.last])

    def _run_follower(self) -> None:
        while not self._ended.wait(FOLLOW_S):
            try:
                self.catch_up()
            except LuchengError:
                continue  # the server is away; whoever writes or reads says so

    def _writable(self) -> Connection:
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
