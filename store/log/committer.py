"""Group commit: many producers, one writer thread, one commit for what they hand in together.

Invariants: `done` is called only after the commit returned, once, in the order of submission, from the writer
thread; after a failed commit nothing more is accepted, no `done` is called and `on_fatal` is, once; nobody
waits for ever: producers and waiters are woken when it closes or fails. It does not merge records, and it neither
opens nor closes the log.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from model.clock import Clock
from model.errors import StoreError, UsageError
from model.seams import NewRecord

#: Rows that start a commit. The point log's; the alarm log takes 50.
DEFAULT_MAX_ROWS = 10_000
#: Bytes that start a commit.
DEFAULT_MAX_COMMIT_BYTES = 4 * 2**20
#: Records of one commit, or one submission: what a log past one machine takes at once.
DEFAULT_MAX_COMMIT_RECORDS = 1_000
#: How long the first record of a commit waits for others, milliseconds. The point log's; the alarm log takes 0.
DEFAULT_MAX_DELAY_MS = 50.0
#: Rows and bytes that may be waiting or being committed before `submit` blocks.
DEFAULT_MAX_QUEUED_ROWS = 100_000
DEFAULT_MAX_QUEUED_BYTES = 64 * 2**20
#: How long `close` waits for the writer, seconds.
DEFAULT_CLOSE_TIMEOUT_S = 8.0
#: Longest single sleep of a thread that waits, seconds: bounds how late a clock that is not the machine's is noticed.
_MAX_NAP_S = 0.25
#: How often a closed gate is looked at again.
_GATE_NAP_S = 0.05


class Appendable(Protocol):
    """What it needs of a log: `model.seams.Log`, or several that are appended to as one."""

    def append(self, records: Sequence[NewRecord]) -> int:
        """See `Log.append`."""
        ...

    def last_position(self) -> int:
        """See `Log.last_position`."""
        ...


@dataclass(frozen=True, slots=True)
class CommitterStats:
    """Counters since the start, and what waits now.

    Attributes:
        commits, records, rows, payload_bytes: committed since the start.
        queued_rows, queued_bytes: waiting or being committed now.
        blocked_submits: how often a producer had to wait for room.
        commit_s: time spent in the log's `append`, seconds.
    """

    commits: int
    records: int
    rows: int
    payload_bytes: int
    queued_rows: int
    queued_bytes: int
    blocked_submits: int
    commit_s: float


@dataclass(frozen=True, slots=True)
class _Entry:
    records: Sequence[NewRecord]
    done: Callable[[int], None]
    urgent: bool
    rows: int
    payload_bytes: int
    at_s: float


class Committer:
    """The one writer of a log. Starts its thread at once.

    Args:
        log: the log; only this object may append to it.
        clock: measures delays and time-outs.
        on_fatal: told the error, from the thread that wrote, when a commit failed; must end the process in good order.
        max_rows: rows that start a commit; a commit holds at most as many, or one submission.
        max_commit_bytes: the same in bytes of payload.
        max_commit_records: records that a commit holds at most.
        max_delay_ms: how long the first record waits for others; 0: a commit starts as soon as the writer is idle.
        max_queued_rows, max_queued_bytes: what may wait before `submit` blocks; one submission always fits an empty queue.
        may_commit: while it answers False nothing is committed, so that producers wait; asked before each commit.
        by_caller: an urgent submission that finds nobody writing is committed by the thread that hands it in: one hand-over
            less, which on a busy interpreter is milliseconds. For a log of few, small records (the alarms').
        after_commit: called after each commit and its `done`s, on the thread that wrote; must not raise.
        name: the thread's name.
    """

    def __init__(
        self,
        log: Appendable,
        *,
        clock: Clock,
        on_fatal: Callable[[StoreError], None],
        max_rows: int = DEFAULT_MAX_ROWS,
        max_commit_bytes: int = DEFAULT_MAX_COMMIT_BYTES,
        max_commit_records: int = DEFAULT_MAX_COMMIT_RECORDS,
        max_delay_ms: float = DEFAULT_MAX_DELAY_MS,
        max_queued_rows: int = DEFAULT_MAX_QUEUED_ROWS,
        max_queued_bytes: int = DEFAULT_MAX_QUEUED_BYTES,
        may_commit: Callable[[], bool] = lambda: True,
        by_caller: bool = False,
        after_commit: Callable[[], None] = lambda: None,
        name: str = "log-writer",
    ) -> None:
        self._by_caller = by_caller
        self._after_commit = after_commit
        self._writing = False
        self._log = log
        self._clock = clock
        self._may_commit = may_commit
        self._on_fatal = on_fatal
        self._max_rows = max_rows
        self._max_commit_bytes = max_commit_bytes
        self._max_commit_records = max_commit_records
        self._max_delay_s = max_delay_ms / 1000
        self._max_queued_rows = max_queued_rows
        self._max_queued_bytes = max_queued_bytes
        lock = threading.Lock()
        self._work = threading.Condition(lock)  # something to commit, or the end
        self._room = threading.Condition(lock)  # the queue got shorter, or the end
        self._grew = threading.Condition(lock)  # the log got longer, or the end
        self._queue: deque[_Entry] = deque()
        self._waiting_rows = self._waiting_bytes = self._waiting_urgent = 0  # in the queue
        self._queued_rows = self._queued_bytes = 0  # in the queue and in the commit under way
        self._commits = self._records = self._rows = self._payload_bytes = self._blocked_submits = 0
        self._commit_s = 0.0
        self._position = log.last_position()
        self._closed = False
        self._failure: StoreError | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def failure(self) -> StoreError | None:
        """The error that ended it, None while it works."""
        return self._failure

    def submit(self, records: Sequence[NewRecord], done: Callable[[int], None], *, urgent: bool = False) -> None:
        """Hand in records that belong together; blocks while too much waits.

        Args:
            records: at least one; they go into one commit, in this order.
            done: called with the position of the last of `records` once they are durable; must be quick and not raise.
            urgent: commit at once, with all that was handed in before.

        Raises:
            StoreError: closed, or a commit failed; the records are not in the log as far as the caller may tell.
        """
        if not records:
            raise UsageError("There is nothing to commit.", mend="Hand in at least one record.")
        rows = sum(record.rows for record in records)
        payload_bytes = sum(len(record.payload) for record in records)
        with self._work:
            if self._is_full(rows, payload_bytes):
                self._blocked_submits += 1
                while self._is_full(rows, payload_bytes):
                    self._room.wait()
            self._refuse_when_ended()
            self._queue.append(_Entry(records, done, urgent, rows, payload_bytes, self._clock.monotonic_s()))
            self._waiting_rows += rows
            self._waiting_bytes += payload_bytes
            self._waiting_urgent += urgent
            self._queued_rows += rows
            self._queued_bytes += payload_bytes
            group = (
                self._take_group() if self._by_caller and urgent and not self._writing and self._may_commit() else None
            )
            if group is None and (len(self._queue) == 1 or self._is_due()):
                self._work.notify()
        if group is not None:
            self._write(group)

    def wait_beyond(self, position: int, timeout_s: float) -> int:
        """Sleep until the log ends beyond `position`, at most `timeout_s`; return where it ends.

        Returns early when the committer is closed or has failed.
        """
        deadline_s = self._clock.monotonic_s() + timeout_s
        with self._grew:
            while self._position <= position and not self._closed and self._failure is None:
                left_s = deadline_s - self._clock.monotonic_s()
                if left_s <= 0:
                    break
                self._grew.wait(min(left_s, _MAX_NAP_S))
            return self._position

    def stats(self) -> CommitterStats:
        """Counters for the metrics page."""
        with self._work:
            return CommitterStats(
                commits=self._commits,
                records=self._records,
                rows=self._rows,
                payload_bytes=self._payload_bytes,
                queued_rows=self._queued_rows,
                queued_bytes=self._queued_bytes,
                blocked_submits=self._blocked_submits,
                commit_s=self._commit_s,
            )

    def close(self, *, drain: bool = True, timeout_s: float = DEFAULT_CLOSE_TIMEOUT_S) -> bool:
        """Accept nothing more and end the writer thread.

        Args:
            drain: commit what waits first; otherwise forget it, unacknowledged.
            timeout_s: how long to wait for the thread, on the machine's clock.

        Returns:
            True when the thread has ended and nothing handed in was left uncommitted.
        """
        with self._work:
            self._closed = True
            if not drain:
                self._queue.clear()
                self._waiting_rows = self._waiting_bytes = self._waiting_urgent = 0
            self._wake_all()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        with self._work:
            return not self._thread.is_alive() and self._failure is None and (not drain or not self._queue)

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            if not self._write(group):
                return

    def _write(self, group: list[_Entry]) -> bool:
        """Commit a group and tell who handed it in; False when that failed."""
        started_s = self._clock.monotonic_s()
        try:
            last = self._log.append([record for entry in group for record in entry.records])
        except Exception as error:  # whatever it was: the records are not durable, and nothing may follow them
            self._fail(error)
            return False
        self._note(group, last, self._clock.monotonic_s() - started_s)
        position = last - sum(len(entry.records) for entry in group)
        try:
            for entry in group:
                position += len(entry.records)
                entry.done(position)
            self._stand_aside()
            self._after_commit()
        except Exception as error:  # a callback that raises has lost an acknowledgement
            self._fail(error)
            return False
        return True

    def _stand_aside(self) -> None:
        """Somebody else may write: acknowledgements keep the order of the commits."""
        with self._work:
            self._writing = False
            if self._queue or self._closed:
                self._work.notify()

    def _next_group(self) -> list[_Entry] | None:
        """Wait until a commit is due and take it from the queue; None at the end."""
        with self._work:
            while self._writing or not ((self._is_due() and self._may_commit()) or (self._closed and self._queue)):
                if self._failure is not None or (self._closed and not self._writing):
                    return None
                if self._writing:
                    self._work.wait(_MAX_NAP_S)
                    continue
                if self._is_due():
                    self._work.wait(_GATE_NAP_S)
                    continue
                if not self._queue:
                    self._work.wait()
                    continue
                left_s = self._queue[0].at_s + self._max_delay_s - self._clock.monotonic_s()
                self._work.wait(min(max(left_s, 0.0), _MAX_NAP_S))
            return self._take_group()

    def _take_group(self) -> list[_Entry]:
        """What goes into the next commit; the caller holds the lock and writes it."""
        self._writing = True
        group: list[_Entry] = []
        rows = payload_bytes = records = 0
        while self._queue:
            entry = self._queue[0]
            rows += entry.rows
            payload_bytes += entry.payload_bytes
            records += len(entry.records)
            if group and (
                rows > self._max_rows or payload_bytes > self._max_commit_bytes or records > self._max_commit_records
            ):
                break
            group.append(self._queue.popleft())
            self._waiting_rows -= entry.rows
            self._waiting_bytes -= entry.payload_bytes
            self._waiting_urgent -= entry.urgent
        return group

    def _is_due(self) -> bool:
        return bool(self._queue) and (
            self._waiting_urgent > 0
            or self._waiting_rows >= self._max_rows
            or self._waiting_bytes >= self._max_commit_bytes
            or self._clock.monotonic_s() - self._queue[0].at_s >= self._max_delay_s
        )

    def _is_full(self, rows: int, payload_bytes: int) -> bool:
        return (
            self._queued_rows + self._queued_bytes > 0
            and not self._closed
            and self._failure is None
            and (
                self._queued_rows + rows > self._max_queued_rows
                or self._queued_bytes + payload_bytes > self._max_queued_bytes
            )
        )

    def _note(self, group: list[_Entry], last: int, took_s: float) -> None:
        with self._work:
            self._commits += 1
            self._commit_s += took_s
            for entry in group:
                self._records += len(entry.records)
                self._rows += entry.rows
                self._payload_bytes += entry.payload_bytes
                self._queued_rows -= entry.rows
                self._queued_bytes -= entry.payload_bytes
            self._position = last
            self._room.notify_all()
            self._grew.notify_all()

    def _refuse_when_ended(self) -> None:
        if self._failure is not None:
            raise StoreError(self._failure.message, mend=self._failure.mend)
        if self._closed:
            raise StoreError("The log's writer is closed.", mend="The service is stopping: send again when it is back.")

    def _fail(self, error: Exception) -> None:
        failure = error if isinstance(error, StoreError) else None
        if failure is None:
            failure = StoreError(
                f"The log's writer failed: {error!r}.", mend="Start again; what was not acknowledged comes again."
            )
            failure.__cause__ = error
        with self._work:
            self._failure = failure
            self._wake_all()
        self._on_fatal(failure)

    def _wake_all(self) -> None:
        self._work.notify_all()
        self._room.notify_all()
        self._grew.notify_all()
