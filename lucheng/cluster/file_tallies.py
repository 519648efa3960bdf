"""What became of a file that an ingestor took in, from the workers that store its rows: told by core subjects, one a file.

Invariants: a worker tells after the commit, once, without waiting; nothing is kept, so what a worker did not come to tell (it died between commit and
word) stays unknown: the answer calls it in flight, and never counts a row twice. Who asks waits while words come, and a bounded time after
the last one. Trips and stops are not counted here: the points are elsewhere.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from lucheng.ingesting import DEFAULT_SETTLE_TIMEOUT_S, ServiceSink
from lucheng.job_tally import JobTally
from model.codes import Reason
from model.errors import StoreError, TryAgain
from model.seams import RecordKind

if TYPE_CHECKING:
    from model.seams import NewRecord
    from store.log.committer import Committer
    from store.nats.link import Link
    from store.nats.streams import Names

#: How long nothing may be heard of a file's rows before its answer is given without them: a taking over and a replay, seconds.
DEFAULT_QUIET_S = 15.0
#: Tallies on their way to the servers; beyond it they are dropped, which leaves rows in flight.
DEFAULT_MAX_WAITING = 10_000
_LOOK_S = 0.2


class _Told(msgspec.Struct, array_like=True):
    """What became of the rows of one step, all of them of one file."""

    stored: int
    duplicate: int
    quarantined: dict[int, int]
    signals: dict[str, int]


_read = msgspec.msgpack.Decoder(_Told)
_write = msgspec.msgpack.Encoder()


def job_subject(names: Names, job: bytes) -> str:
    """What the tallies of a file are published to: a core subject, in no stream."""
    return f"{names.prefix}.jobs.{job.hex()}"


class JobTeller:
    """Tells what became of the rows of files. Any thread; never waits.

    Args:
        link: the way to the servers.
        names: of the subjects.
        max_waiting: see `DEFAULT_MAX_WAITING`.
    """

    def __init__(self, link: Link, names: Names, *, max_waiting: int = DEFAULT_MAX_WAITING) -> None:
        self._link = link
        self._names = names
        self._max_waiting = max_waiting
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, job: bytes, tally: JobTally) -> None:
        """Tell it, if anybody listens."""
        quarantined = {int(reason): rows for reason, rows in tally.quarantined.items()}
        payload = _write.encode(_Told(tally.stored, tally.duplicate, quarantined, tally.signals))
        self._link.soon(lambda: self._begin(job_subject(self._names, job), payload))

    def _begin(self, subject: str, payload: bytes) -> None:
        if len(self._tasks) < self._max_waiting:
            task = asyncio.get_running_loop().create_task(self._tell(subject, payload))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _tell(self, subject: str, payload: bytes) -> None:
        with suppress(TryAgain, StoreError):
            await self._link.tell(subject, payload)


class FarFile(ServiceSink):
    """One file on its way into the streams: `lucheng.ingesting.Sink` and `Jobs` of `ingest_file`.

    Args:
        committer: of the points.
        link: the way to the servers.
        names: of the subjects.
        quiet_s: see `DEFAULT_QUIET_S`.
        timeout_s: of a commit, and of all that is waited for at the end.
    """

    def __init__(
        self,
        committer: Committer,
        link: Link,
        names: Names,
        *,
        quiet_s: float = DEFAULT_QUIET_S,
        timeout_s: float = DEFAULT_SETTLE_TIMEOUT_S,
    ) -> None:
        super().__init__(committer, None, timeout_s=timeout_s)
        self._link = link
        self._names = names
        self._quiet_s = quiet_s
        self._most_s = timeout_s
        self._rows = 0
        self._tally = JobTally()
        self._tally.whole = False
        self._news = threading.Condition()

    @contextmanager
    def counting(self, job: bytes) -> Iterator[JobTally]:
        """See `Jobs`: listened to before the first row is put."""
        ready = threading.Event()
        end = self._link.start(self._listen(job_subject(self._names, job), ready))
        try:
            ready.wait(self._quiet_s)
            yield self._tally
        finally:
            end()

    def put(self, records: list[NewRecord]) -> int:
        """See `Sink`."""
        self._rows += sum(record.rows for record in records if record.kind is RecordKind.FILE_POINTS)
        return super().put(records)

    def settle(self, position: int) -> None:
        """Wait until all rows are accounted for, or nothing is heard of them for `quiet_s`."""
        del position
        clock = self._link.clock
        until_s = clock.monotonic_s() + self._most_s
        with self._news:
            heard, quiet_until_s = self._tally.rows, clock.monotonic_s() + self._quiet_s
            while heard < self._rows and clock.monotonic_s() < min(until_s, quiet_until_s):
                self._news.wait(_LOOK_S)
                if self._tally.rows != heard:
                    heard, quiet_until_s = self._tally.rows, clock.monotonic_s() + self._quiet_s

    async def _listen(self, subject: str, ready: threading.Event) -> None:
        while True:
            try:
                async with self._link.inbox(subject) as (_, replies):
                    ready.set()
                    while True:
                        message = await replies.get()
                        if message is not None:  # None: the connection was lost; the subscription is made again with it
                            self._take(bytes(message.data))
            except (TryAgain, StoreError):
                await asyncio.sleep(self._link.patience.retry_max_ms / 1000)

    def _take(self, payload: bytes) -> None:
        try:
            told = _read.decode(payload)
        except msgspec.DecodeError:
            return
        with self._news:
            self._tally.stored += told.stored
            self._tally.duplicate += told.duplicate
            for number, rows in told.quarantined.items():
                reason = Reason(number)
                self._tally.quarantined[reason] = self._tally.quarantined.get(reason, 0) + rows
            for kind, count in told.signals.items():
                self._tally.signals[kind] = self._tally.signals.get(kind, 0) + count
            self._news.notify_all()
