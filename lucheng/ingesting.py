"""`lucheng ingest`: a file through the same log, analytics and store as live data.

Invariants: every row of the file is accounted for, received = stored + duplicate + quarantined +
in flight; a row is in the log before it counts; the same file again stores nothing twice. A file
that goes bad midway keeps what was good before it. It parses nothing itself (`ingest.files` does).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from ingest.files import FileBatch, open_file
from lucheng.limits import clean_limits, rule_limits
from lucheng.runner import Runner
from lucheng.steps import FILE_JOB_BYTES
from model.batch import PointBatch
from model.batch_codec import encode
from model.codes import Reason
from model.errors import BadInput, TryAgain
from model.seams import NewRecord, RecordKind

if TYPE_CHECKING:
    from config.sections import Settings
    from ingest.files.reader import SlotsOf
    from lucheng.job_tally import JobTally
    from model.clock import Clock
    from model.seams import Log
    from store.log.committer import Committer

DEFAULT_MAX_BATCH_ROWS = 65_536
DEFAULT_SETTLE_TIMEOUT_S = 600.0

_packer = msgspec.msgpack.Encoder()
Progress = Callable[[int, int], None]


class Sink(Protocol):
    """Where a file's records go: straight into the log, or through the running service's committer."""

    def put(self, records: list[NewRecord]) -> int:
        """Make the records durable; return the position of the last."""
        ...

    def settle(self, position: int) -> None:
        """Return when everything up to `position` is stored."""
        ...


class Jobs(Protocol):
    """Who counts what becomes of a file's rows, by job: the pipeline, where it is in this process."""

    def counting(self, job: bytes) -> AbstractContextManager[JobTally]:
        """The tally of a file while the block lasts."""
        ...


class DirectSink:
    """Log and pipeline in this thread; for a command that holds the writer lock."""

    def __init__(self, log: Log, runner: Runner) -> None:
        self._log = log
        self._runner = runner

    def put(self, records: list[NewRecord]) -> int:
        """See `Sink`; also runs the pipeline over what was put."""
        position = self._log.append(records)
        self.settle(position)
        return position

    def settle(self, position: int) -> None:
        """See `Sink`."""
        while self._runner.position < position and self._runner.run_once():
            pass


class ServiceSink:
    """The running service's committer and pipeline thread, shared with live data; without a pipeline nothing settles here."""

    def __init__(
        self, committer: Committer, runner: Runner | None, *, timeout_s: float = DEFAULT_SETTLE_TIMEOUT_S
    ) -> None:
        self._committer = committer
        self._runner = runner
        self._timeout_s = timeout_s

    def put(self, records: list[NewRecord]) -> int:
        """See `Sink`."""
        durable = threading.Event()
        positions: list[int] = []

        def done(position: int) -> None:
            positions.append(position)
            durable.set()

        self._committer.submit(records, done)
        if not durable.wait(self._timeout_s):
            raise TryAgain("The log took nothing for too long.", mend="Try again when the service is less busy.")
        return positions[0]

    def settle(self, position: int) -> None:
        """See `Sink`."""
        if self._runner is not None and not self._runner.wait_for(position, timeout_s=self._timeout_s):
            raise TryAgain(
                "The file is in the log but not stored yet.", mend="It will be; ask for its track in a while."
            )


@dataclass(slots=True)
class FileTotals:
    """What became of a file's rows, and what they mean.

    `signals` by kind; `trips` and `stops` in what was stored, None for a file too large to keep in memory.
    """

    received: int = 0
    stored: int = 0
    duplicate: int = 0
    quarantined: dict[Reason, int] = field(default_factory=dict)
    devices: int = 0
    signals: dict[str, int] = field(default_factory=dict)
    trips: int | None = None
    stops: int | None = None
    seconds: float = 0.0

    @property
    def in_flight(self) -> int:
        """Rows in the log that are not stored yet."""
        return self.received - self.stored - self.duplicate - sum(self.quarantined.values())

    def as_json(self) -> dict[str, Any]:
        """The object that `ingest --json` prints."""
        return {
            "received": self.received,
            "stored": self.stored,
            "duplicate": self.duplicate,
            "quarantined": {reason.name.lower(): rows for reason, rows in sorted(self.quarantined.items())},
            "in_flight": self.in_flight,
            "devices": self.devices,
            "signals": dict(sorted(self.signals.items())),
            "trips": self.trips,
            "stops": self.stops,
            "seconds": round(self.seconds, 3),
        }


def ingest_file(
    path: Path,
    format_name: str,
    *,
    sink: Sink,
    runner: Jobs,
    slots_of: SlotsOf,
    settings: Settings,
    clock: Clock,
    day: date | None = None,
    progress: Progress | None = None,
) -> FileTotals:
    """Read a file into the log and the store.

    Args:
        path: the file.
        format_name: a name of `ingest.files`.
        sink: where the records go.
        runner: the pipeline that stores them.
        slots_of: registers the devices of the file and gives their slots; `runner` can name them when it returns.
        settings: time zone and limits.
        clock: receive time.
        day: local day of formats whose rows have none.
        progress: called with bytes done and in all.

    Raises:
        BadInput: the file is not what it says, or goes bad midway; what was good before is stored,
            and `error.totals` says how much.
    """
    started_s = clock.monotonic_s()
    totals = FileTotals()
    devices: set[str] = set()
    job = os.urandom(FILE_JOB_BYTES)
    position = 0
    broken: BadInput | None = None
    with runner.counting(job) as tally:
        with open_file(
            path,
            format_name,
            time_zone=settings.city.time_zone,
            date=day,
            clock=clock,
            slots_of=slots_of,
            max_line_bytes=settings.limits.line_bytes,
            raw_bytes=settings.limits.quarantine_raw_bytes,
            max_rows=DEFAULT_MAX_BATCH_ROWS,
        ) as reader:
            try:
                for batch in reader:
                    devices.update(batch.devices)
                    position = sink.put(list(_records(batch, job, totals)))
                    if progress is not None:
                        progress(batch.done_bytes, batch.total_bytes)
            except BadInput as error:
                broken = error
        if position:
            sink.settle(position)
    totals.stored, totals.duplicate = tally.stored, tally.duplicate
    for reason, rows in tally.quarantined.items():
        totals.quarantined[reason] = totals.quarantined.get(reason, 0) + rows
    totals.devices = len(devices)
    totals.signals = dict(tally.signals)
    if tally.whole:
        totals.trips, totals.stops = _trips_and_stops(PointBatch.concat(tally.points), settings)
    totals.seconds = clock.monotonic_s() - started_s
    if broken is not None:
        raise BadFile(broken, totals) from broken
    return totals


class BadFile(BadInput):
    """The file went bad midway; `totals` says what was good before."""

    def __init__(self, error: BadInput, totals: FileTotals) -> None:
        super().__init__(error.message, mend=f"{error.mend} {totals.stored} rows before it are stored.".strip())
        self.totals = totals


def _records(batch: FileBatch, job: bytes, totals: FileTotals) -> Iterator[NewRecord]:
    rows = len(batch.points)
    if rows:
        totals.received += rows
        yield NewRecord(RecordKind.FILE_POINTS, rows, job + encode(batch.points))
    if batch.quarantined:
        bad = 0
        for item in batch.quarantined:
            bad += item.rows
            totals.quarantined[item.reason] = totals.quarantined.get(item.reason, 0) + item.rows
        totals.received += bad
        yield NewRecord(RecordKind.QUARANTINE, bad, _packer.encode(batch.quarantined))


def _trips_and_stops(points: PointBatch, settings: Settings) -> tuple[int, int]:
    from analytics.trips.journeys import count_trips  # noqa: PLC0415 shapely costs 0.2 s

    return count_trips(points, rule_limits(settings), clean_limits(settings))
