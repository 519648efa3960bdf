"""Runs the pipeline over the log: recovery, steps, snapshots, sealing, trimming.

Invariants: one runner a data folder, on one thread; the position in the series store is the truth;
the log is trimmed only up to what a snapshot and a durable checkpoint no longer need. A StoreError
is fatal: the runner stops and says so, and the next start replays.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lucheng.grouping import grouped
from lucheng.job_tally import JobTally
from lucheng.logs import logger
from lucheng.steps import FILE_JOB_BYTES, Stage, Steps, Work
from lucheng.wall_guard import WallGuard
from model.codes import Reason
from model.errors import Corrupt, LuchengError, StoreError, TryAgain
from model.seams import LogRecord, RecordKind
from store.series.door import Moved

if TYPE_CHECKING:
    from analytics.pipeline import Result
    from model.clock import Clock
    from model.seams import Log, Outcome
    from model.signal import Signal
    from store.series.door import Series

CONSUMER = "pipeline"
SNAPSHOT = "analysis"
DEFAULT_MAX_READ_RECORDS = 256
DEFAULT_MAX_READ_BYTES = 8 << 20
DEFAULT_MAX_STEP_ROWS = 32_768
DEFAULT_SNAPSHOT_EVERY_ROWS = 5_000_000
DEFAULT_SNAPSHOT_EVERY_S = 300.0
#: Ticks, statuses and facts alone are snapshotted more seldom: an hour of a city at rest.
DEFAULT_SNAPSHOT_EVERY_QUIET_RECORDS = 3_600
DEFAULT_SEAL_DELAY_S = 600
DEFAULT_RETENTION_DAYS = 90
DEFAULT_HOUSEKEEPING_EVERY_S = 5.0
#: Rows sealed between two runs: about 30 ms, for an alarm bit may be waiting.
DEFAULT_SEAL_STEP_ROWS = 16_384
_IDLE_WAIT_S = 0.2
_HOUR_MS = 3_600_000
_DAY_MS = 86_400_000

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class RunnerLimits:
    """Periods and limits of a runner.

    Attributes:
        snapshot_every_rows, snapshot_every_s: how much a restart replays at most.
        seal_delay_s: how long after its end an hour is sealed.
        retention_days: how long points are kept after they were stored; 0 for ever.
        max_step_rows: rows of one run of the stages.
        max_read_records, max_read_bytes: what is read of the log at a time.
    """

    snapshot_every_rows: int = DEFAULT_SNAPSHOT_EVERY_ROWS
    snapshot_every_s: float = DEFAULT_SNAPSHOT_EVERY_S
    seal_delay_s: int = DEFAULT_SEAL_DELAY_S
    retention_days: int = DEFAULT_RETENTION_DAYS
    max_step_rows: int = DEFAULT_MAX_STEP_ROWS
    max_read_records: int = DEFAULT_MAX_READ_RECORDS
    max_read_bytes: int = DEFAULT_MAX_READ_BYTES


class Runner:
    """Consumes the points' log.

    Args:
        stages: the literal list of `app.pipeline`.
        steps: holder of the analytics state that is snapshotted.
        log: the points' log.
        series: the store; its position is where the runner goes on.
        clock: source of time.
        wait_beyond: sleeps until the log is longer than a position, or a time-out in seconds has passed.
        on_fatal: called once, from the runner's thread, when it cannot go on.
        on_retained: told how many rows went because their time was over.
        on_job: told what became of the rows of each step of a file that is not counted here, after the commit.
        limits: see `RunnerLimits`.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        steps: Steps,
        log: Log,
        series: Series,
        clock: Clock,
        *,
        wait_beyond: Callable[[int, float], object] | None = None,
        on_fatal: Callable[[BaseException], None] | None = None,
        on_retained: Callable[[int], object] = lambda _rows: None,
        on_job: Callable[[bytes, JobTally], None] | None = None,
        limits: RunnerLimits | None = None,
    ) -> None:
        self._stages = stages
        self._steps = steps
        self._log = log
        self._series = series
        self._clock = clock
        self._wait_beyond = wait_beyond or (lambda _position, timeout_s: clock.sleep(timeout_s))
        self._on_fatal = on_fatal
        self._on_retained = on_retained
        self._on_job = on_job
        self._limits = limits or RunnerLimits()
        self._rows_since_snapshot = 0
        self._quiet_since_snapshot = 0
        self._snapshot_at_s = clock.monotonic_s()
        self._housekeeping_at_s = clock.monotonic_s()
        self._retained_day = -1
        self._wall = WallGuard(clock)
        self._seal_before_ms = 0
        self._stop = threading.Event()
        self._moved = threading.Condition()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self.jobs: dict[bytes, JobTally] = {}
        self.position = self._accounted = 0
        self._take_position()
        #: How long the newest point of the last step took from its receive time to the store.
        self.lag_ms = 0

    def _take_position(self) -> None:
        totals = self._series.totals()
        self.position = totals.position
        self._accounted = (
            totals.stored + totals.duplicate + sum(totals.quarantined.values()) + totals.gauges.get("expired", 0)
        )

    # -- recovery -----------------------------------------------------------------------------

    def recover(self) -> int:
        """Bring the analytics state to the store's position; return how many rows were replayed.

        What can no longer be replayed (a damaged snapshot or record) the store is asked about from then on.

        Raises:
            StoreError: the log ends before the store's position, so what came next would be taken for known.
            Corrupt: the log's file is damaged as a whole.
        """
        ends = self._log.last_position()
        if ends < self.position:
            raise StoreError(
                f"The points' log ends at {ends}, but the store has read it up to {self.position}.",
                mend="The two files are not of one time: restore both from the same back-up.",
            )
        position, whole = self._restore()
        replayed = 0
        while position < self.position:
            try:
                records = [record for record in self._read(position) if record.position <= self.position]
            except Corrupt as error:
                if error.position <= position:
                    raise
                # Its rows were counted when they were stored; only what they did to the state is lost.
                _log.error("log record damaged, state not replayed", position=error.position, mend=error.mend)
                whole, position = False, min(error.position, self.position)
                continue
            if not records:
                break
            for group in self._groups(records):
                work = Work(group, group[-1].position, keep=False)
                self._run(work)
                replayed += len(work.batch)
                self._note_group(group)
            position = records[-1].position
        if not whole:
            self._steps.analysis.state.seed(*self._series.newest_keys())
        if replayed:
            _log.info("state replayed", rows=replayed, to_position=self.position)
        return replayed

    def _restore(self) -> tuple[int, bool]:
        """Take over the snapshot; its position, and whether the state is all that it was there."""
        try:
            snapshot = self._series.snapshot(SNAPSHOT)
            if snapshot is None:
                return 0, True
            self._steps.restore(snapshot[1])
        except Corrupt as error:
            _log.error("snapshot of the state damaged", error=str(error))
            return 0, False
        return snapshot[0], True

    @contextmanager
    def counting(self, job: bytes) -> Iterator[JobTally]:
        """Count what becomes of a file's rows while the block lasts."""
        tally = self.jobs[job] = JobTally()
        try:
            yield tally
        finally:
            del self.jobs[job]

    # -- running ------------------------------------------------------------------------------

    def start(self) -> None:
        """Run on a thread of its own until `stop`."""
        self._thread = threading.Thread(target=self._loop, name="pipeline", daemon=True)
        self._thread.start()

    def stop(self, *, drain_s: float) -> bool:
        """Work off what is in the log for at most `drain_s`, then stop; True when nothing is left."""
        store = self._series.state()
        if store.kind == "influx" and store.away:
            drain_s = 0.0  # what is in the log stays there
        drained = self.wait_for(self._log.last_position(), timeout_s=drain_s)
        self._stop.set()
        if not drained:
            self._series.stop_waiting()
        if self._thread is not None:
            self._thread.join(timeout=drain_s + 5)
        return drained

    def wait_for(self, position: int, *, timeout_s: float) -> bool:
        """Wait until everything up to `position` is stored; raises what stopped the runner."""
        deadline_s = self._clock.monotonic_s() + timeout_s
        with self._moved:
            while self.position < position:
                if self._failure is not None:
                    raise self._failure
                left_s = deadline_s - self._clock.monotonic_s()
                if left_s <= 0 or self._stop.is_set():
                    return False
                self._moved.wait(min(left_s, _IDLE_WAIT_S))
        return True

    def _loop(self) -> None:
        try:
            while not self._stop.is_set():
                if not self.run_once():
                    self._wait_beyond(self.position, _IDLE_WAIT_S)
                self.keep_house()
            self.snapshot()
        except BaseException as error:
            if isinstance(error, TryAgain) and self._stop.is_set():
                return  # the store's server is away, and nobody waits for it any more; the next start goes on from there
            self._failure = error
            with self._moved:
                self._moved.notify_all()
            _log.error("pipeline stopped", error=str(error), exc_info=not isinstance(error, LuchengError))
            if self._on_fatal is not None:
                self._on_fatal(error)

    def run_once(self) -> bool:
        """One step over what the log holds beyond the position; False when it holds nothing."""
        try:
            return self._run_once()
        except Moved as error:
            self._recover_anew(error)
            return True

    def _recover_anew(self, moved: Moved) -> None:
        """The store's server came back at another position than it was believed to be at."""
        _log.warning("the state is made anew from the log", why=moved.message)
        if self._steps.ahead is not None:
            self._steps.ahead.forget()
        self._steps.forget()
        with self._moved:
            self._take_position()
        self.recover()

    def _run_once(self) -> bool:
        try:
            records = self._read(self.position)
        except Corrupt as error:
            self._skip(error)
            return True
        if not records:
            return False
        for group in self._groups(records):
            work = Work(group, group[-1].position)
            self._run(work)
            self._count_job(work)
            self._advance(work.position, self._note_group(group))
            if len(work.batch):
                self.lag_ms = max(0, self._clock.now_ms() - int(work.batch.received_ms[-1]))
        return True

    def _read(self, after: int) -> list[LogRecord]:
        return self._log.read(after, max_records=self._limits.max_read_records, max_bytes=self._limits.max_read_bytes)

    def _groups(self, records: list[LogRecord]) -> list[list[LogRecord]]:
        return grouped(records, self._limits.max_step_rows)

    def _run(self, work: Work) -> None:
        for stage in self._stages:
            stage.run(work)

    def _skip(self, error: Corrupt) -> None:
        """Count a damaged record as quarantined and go on behind it; what is beside it is not lost."""
        if error.position <= self.position:
            raise error  # the file as a whole: there is nothing behind it to go on with
        rows = self._log.skip_corrupt(error.position)
        _log.error("log record damaged", position=error.position, rows=rows, mend=error.mend)
        work = Work([], error.position, counted={Reason.LOG_CORRUPT: rows})
        self._run(work)
        self._rows_since_snapshot += rows
        self._advance(error.position, rows)

    def _count_job(self, work: Work) -> None:
        record = work.records[0]
        if work.result is None or work.outcome is None or record.kind is not RecordKind.FILE_POINTS:
            return
        job = bytes(record.payload[:FILE_JOB_BYTES])
        tally = self.jobs.get(job)
        if tally is None:
            if self._on_job is not None:
                self._on_job(job, _counted(JobTally(), work.outcome, work.result, work.signals))
            return
        _counted(tally, work.outcome, work.result, work.signals)
        tally.keep(work.outcome.points)

    def backlog_rows(self) -> int:
        """Rows that are in the log and not accounted for yet."""
        return self._log.received_rows() - self._accounted

    def _note_group(self, group: list[LogRecord]) -> int:
        """Count what the next snapshot will cover; the group's rows.

        All rows count, not points alone: a flood that is all quarantined must be trimmed from the log too.
        """
        rows = sum(record.rows for record in group)
        self._rows_since_snapshot += rows
        self._quiet_since_snapshot += sum(not record.rows for record in group)
        return rows

    def _advance(self, position: int, rows: int) -> None:
        self._accounted += rows
        with self._moved:
            self.position = position
            self._moved.notify_all()
        if self._steps.ahead is not None:
            self._steps.ahead.behind(position)

    # -- housekeeping -------------------------------------------------------------------------

    def keep_house(self) -> None:
        """Snapshot, seal, retain and trim when they are due; a long seal goes step by step between runs."""
        try:
            self._keep_house()
        except Moved as error:
            self._recover_anew(error)

    def _keep_house(self) -> None:
        now_s = self._clock.monotonic_s()
        due = (
            self._rows_since_snapshot >= self._limits.snapshot_every_rows
            or self._quiet_since_snapshot >= DEFAULT_SNAPSHOT_EVERY_QUIET_RECORDS
            or (self._rows_since_snapshot and now_s - self._snapshot_at_s >= self._limits.snapshot_every_s)
        )
        if due:
            self.snapshot()
        if now_s - self._housekeeping_at_s >= DEFAULT_HOUSEKEEPING_EVERY_S:
            self._housekeeping_at_s = now_s
            now_ms = self._clock.now_ms()
            self._seal_before_ms = (now_ms - self._limits.seal_delay_s * 1000) // _HOUR_MS * _HOUR_MS
            day = now_ms // _DAY_MS
            # asked every time, for it has to see a step when it happens
            believed = self._wall.believed()
            if believed and self._limits.retention_days and day != self._retained_day:
                before_ms = (day - self._limits.retention_days) * _DAY_MS
                gone = self._steps.patiently(None, lambda: self._series.retain(before_ms))
                if gone:
                    self._on_retained(gone)
                self._retained_day = day
        if self._seal_before_ms and not self._series.seal(self._seal_before_ms, max_rows=DEFAULT_SEAL_STEP_ROWS):
            self._seal_before_ms = 0

    def snapshot(self) -> None:
        """Keep the state with its position, and let the log go up to what is safe on disk."""
        if not self._rows_since_snapshot and not self._quiet_since_snapshot:
            return
        self._series.put_snapshot(SNAPSHOT, self.position, self._steps.save())
        safe = self._series.make_durable()
        self._log.set_consumed(CONSUMER, min(safe, self.position))
        self._log.trim()
        self._rows_since_snapshot = self._quiet_since_snapshot = 0
        self._snapshot_at_s = self._clock.monotonic_s()


def _counted(tally: JobTally, outcome: Outcome, result: Result, signals: Sequence[Signal]) -> JobTally:
    """`tally` with what became of one step's rows."""
    tally.stored += len(outcome.points)
    tally.duplicate += outcome.duplicate
    for signal in signals:
        tally.signals[signal.kind] = tally.signals.get(signal.kind, 0) + 1
    for reason, rows in result.rejected:
        tally.quarantined[reason] = tally.quarantined.get(reason, 0) + len(rows)
    return tally
