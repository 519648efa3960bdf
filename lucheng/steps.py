"""The stages of the pipeline: they join the pure analytics with the log and the stores.

Invariants: what a stage leaves depends on the log and on the committed stores alone, so that a
replay gives the same; the analytics state moves only by what is in the log. Rows are columns all
the way; the only loops run over records, and over the few rows that are quarantined or raise a
signal.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from analytics.meaning.engine import Meaning
from analytics.meaning.events import Events
from analytics.meaning.limits import RuleLimits
from analytics.pipeline import Analysis
from analytics.state import State
from analytics.step import Step
from lucheng.facts import Facts
from lucheng.raising import Raising
from lucheng.rejected import rejected_row
from model.batch import PointBatch
from model.batch_codec import decode
from model.codes import Reason
from model.errors import Corrupt
from model.fence import FenceSet
from model.quarantine import Quarantined
from model.seams import LogRecord, Outcome, RecordKind
from model.signal import Clear, Signal
from model.status_batch import StatusBatch, Tick

if TYPE_CHECKING:
    from analytics.limits import CleanLimits
    from analytics.pipeline import Result
    from lucheng.ahead import Ahead
    from model.clock import Clock
    from model.desk import Desk
    from model.seams import SeriesStore

Answer = TypeVar("Answer")

#: Batches of statuses kept for the series of devices' health.
DEFAULT_MAX_STATUSES_KEPT = 1_024
#: Rejected rows kept one by one in one step and reason; the rest of a flood is counted only.
DEFAULT_MAX_REJECTED_ROWS_KEPT = 200
FILE_JOB_BYTES = 16
#: Under this name the desk keeps how far the pipeline's signals are.
CONSUMER = "pipeline"
_SNAPSHOT_MAGIC = b"LCP1"
_SNAPSHOT = struct.Struct("<4sIII")

_quarantine_decoder = msgspec.msgpack.Decoder(list[Quarantined])


class Stage(NamedTuple):
    """One stage: its name, what it does, and the function that does it to a `Work`."""

    name: str
    does: str
    run: Callable[[Work], None]


@dataclass(slots=True)
class Work:
    """What travels through the pipeline.

    Attributes:
        records: consecutive records of the log.
        position: up to which position this work accounts.
        batch: their points, rows in log order.
        starts, positions: first row and log position of each POINTS record in `batch`.
        statuses, status_starts, status_positions: the same of statuses; None where there are none.
        tick: the second that ended this work, or None.
        quarantined: what was quarantined before the log, and what the stages add.
        counted: rows by reason that are counted only.
        step, result: what the analytics are at.
        events: what the rules found.
        signals, clears: made of it.
        rung: ids of the signals that are on the desk already.
        keep: False while a restart replays records for their state alone.
    """

    records: list[LogRecord]
    position: int
    keep: bool = True
    batch: PointBatch = field(default_factory=PointBatch.empty)
    starts: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    statuses: StatusBatch | None = None
    status_starts: list[int] = field(default_factory=list)
    status_positions: list[int] = field(default_factory=list)
    tick: Tick | None = None
    quarantined: list[Quarantined] = field(default_factory=list)
    counted: dict[Reason, int] = field(default_factory=dict)
    step: Step | None = None
    result: Result | None = None
    events: Events = field(default_factory=Events)
    signals: list[Signal] = field(default_factory=list)
    clears: list[Clear] = field(default_factory=list)
    rung: set[str] = field(default_factory=set)
    outcome: Outcome | None = None


class Steps:
    """The functions that `app.pipeline` lists.

    Args:
        limits: thresholds of the analytics.
        series: where points go.
        desk: where signals go.
        device_ids: the registry's ids by slot, asked for anew at each use.
        clock: for the store time.
        rules: thresholds of the rules.
        load_fences: a version of the fences; none by default.
        kinds: kind of each slot, see `Context`, asked for anew at each use.
        disabled: slots of disabled devices, asked for at each tick.
        slots_of: slots of device ids, -1 for one that is not registered.
        on_stored: told the points of each commit after it, on the thread that made it; must not raise.
        log_name: of the log that is read, where there are several: ids and the desk's position are of this log.
        may_write: asked right before anything is kept; raises when it may not be.
        know: told the highest slot of a step before anything is named, so that the registry is read where it is new.
        max_rejected_rows_kept: see `DEFAULT_MAX_REJECTED_ROWS_KEPT`.

    Attributes:
        analysis: the pure analytics with what they remember of each device.
        meaning: the rules with what they remember.
        facts: the fences and thefts that the rules go by.
    """

    def __init__(
        self,
        limits: CleanLimits,
        series: SeriesStore,
        desk: Desk,
        device_ids: Callable[[], list[str]],
        clock: Clock,
        *,
        rules: RuleLimits | None = None,
        load_fences: Callable[[int], FenceSet] = lambda version: FenceSet(version, ()),
        kinds: Callable[[], npt.NDArray[np.int8]] = lambda: np.zeros(0, np.int8),
        disabled: Callable[[], npt.NDArray[np.int64]] = lambda: np.zeros(0, np.int64),
        slots_of: Callable[[Sequence[str]], npt.NDArray[np.int64]] | None = None,
        on_stored: Callable[[PointBatch], None] = lambda _points: None,
        log_name: str = "",
        may_write: Callable[[], None] = lambda: None,
        know: Callable[[int], None] = lambda _slot: None,
        max_rejected_rows_kept: int = DEFAULT_MAX_REJECTED_ROWS_KEPT,
    ) -> None:
        self.analysis = Analysis(limits, State())
        self._rules = rules or RuleLimits()
        self._load_fences = load_fences
        self._kinds = kinds
        self._disabled = disabled
        self._slots_of = slots_of
        self.meaning = self._new_meaning(limits)
        self.facts = Facts(self.meaning, load_fences)
        self._series = series
        self._desk = desk
        self._device_ids = device_ids
        self._clock = clock
        self._max_rejected_rows_kept = max_rejected_rows_kept
        self._on_stored = on_stored
        self._log_name = log_name
        self._consumer = log_name or CONSUMER
        self._may_write = may_write
        self._know = know
        self._heard_ms = np.zeros(0, np.int64)
        #: What devices said of themselves, for the series of their health; the oldest are forgotten when nobody takes them.
        self.statuses: deque[StatusBatch] = deque(maxlen=DEFAULT_MAX_STATUSES_KEPT)
        #: Lets alarms go on while the store waits for its server; None where it never does.
        self.ahead: Ahead | None = None

    def anew(self) -> Steps:
        """The same functions with nothing remembered."""
        return Steps(
            self.analysis.limits,
            self._series,
            self._desk,
            self._device_ids,
            self._clock,
            rules=self._rules,
            load_fences=self._load_fences,
            kinds=self._kinds,
            disabled=self._disabled,
            slots_of=self._slots_of,
            log_name=self._log_name,
            may_write=self._may_write,
            know=self._know,
            max_rejected_rows_kept=self._max_rejected_rows_kept,
        )

    def forget(self) -> None:
        """Remember nothing, before another recovery."""
        fresh = self.anew()
        self.analysis.state, self.meaning, self.facts = fresh.analysis.state, fresh.meaning, fresh.facts

    def patiently(self, work: Work | None, call: Callable[[], Answer]) -> Answer:
        """What `call`, a call of the store that may wait for its server, returns; alarms go on meanwhile."""
        return call() if self.ahead is None else self.ahead.during(work, call)

    def _new_meaning(self, limits: CleanLimits) -> Meaning:
        meaning = Meaning(self._rules, limits)
        if self._slots_of is not None:
            meaning.context.slots_of = self._slots_of
        meaning.context.kind_of_slot = self._kinds()
        return meaning

    def heard_since(self, since_ms: int) -> int:
        """How many devices something was received of since then, our clock; what came before the start is not known."""
        return int(np.count_nonzero(self._heard_ms >= since_ms))

    def save(self) -> bytes:
        """The state as bytes, for a snapshot."""
        parts = (self.analysis.state.to_bytes(), self.meaning.to_bytes(), self.facts.to_bytes())
        return _SNAPSHOT.pack(_SNAPSHOT_MAGIC, *map(len, parts)) + b"".join(parts)

    def restore(self, blob: bytes) -> None:
        """Take over a snapshot, also one from before there were rules. Raises Corrupt, and then nothing has changed."""
        if blob[: len(_SNAPSHOT_MAGIC)] != _SNAPSHOT_MAGIC:
            self.analysis.state = State.from_bytes(blob)
            return
        try:
            _, *sizes = _SNAPSHOT.unpack_from(blob)
        except struct.error as error:
            raise Corrupt("A snapshot that was cut short.", mend="It is made anew from the log.") from error
        ends = np.cumsum([_SNAPSHOT.size, *sizes]).tolist()
        if ends[-1] != len(blob):
            raise Corrupt("A snapshot of the wrong length.", mend="It is made anew from the log.")
        view = memoryview(blob)
        state = State.from_bytes(blob[ends[0] : ends[1]])
        meaning = self._new_meaning(self.analysis.limits)
        facts = Facts(meaning, self._load_fences)
        meaning.restore(view[ends[1] : ends[2]])
        facts.restore(view[ends[2] : ends[3]])
        self.analysis.state, self.meaning, self.facts = state, meaning, facts

    def unpack(self, work: Work) -> None:
        """Records to one batch; what was quarantined before the log is taken over as it is."""
        batches: list[PointBatch] = []
        statuses: list[StatusBatch] = []
        row = 0
        for record in work.records:
            if record.kind is RecordKind.QUARANTINE:
                work.quarantined += _quarantine_decoder.decode(record.payload)
                continue
            if record.kind is RecordKind.STATUS:
                work.status_starts.append(sum(map(len, statuses)))
                work.status_positions.append(record.position)
                statuses.append(StatusBatch.from_bytes(record.payload))
                continue
            if record.kind is RecordKind.TICK:
                work.tick = Tick.from_bytes(record.payload)
                continue
            if record.kind is RecordKind.FACT:
                self.facts.apply(record.payload)
                continue
            view = memoryview(record.payload)
            batch = decode(view[FILE_JOB_BYTES:] if record.kind is RecordKind.FILE_POINTS else view)
            batches.append(batch)
            work.starts.append(row)
            work.positions.append(record.position)
            row += len(batch)
        work.batch = PointBatch.concat(batches)
        work.statuses = StatusBatch.concat(statuses) if statuses else None
        if len(work.batch):
            self._know(int(work.batch.slot.max()))
            work.step = Step.of(work.batch)
        if work.statuses is not None and len(work.statuses):
            self._know(int(work.statuses.slot.max()))

    def ring(self, work: Work) -> None:
        """Hand over at once what rose in rows that nobody has to be asked about; an operator waits for nothing behind it.

        The position stays: after a crash the same signals come again and are known by their ids.
        """
        step = work.step
        if step is None or not work.keep or not len(step.risen) or work.records[0].kind is RecordKind.FILE_POINTS:
            return
        certain = step.risen.take(~np.isin(step.risen.row, step.row[step.unsure]))
        signals = list(self._raising(work).of_bits(certain))
        if signals:
            self._may_write()
            self._desk.take(signals, consumer=self._consumer)
            work.signals += signals
            work.rung = {signal.id for signal in signals}

    def settle(self, work: Work) -> None:
        """Ask the store about the late rows that the state cannot know; then all is decided."""
        if work.step is None or not work.keep:
            return
        step, known = work.step, None
        if len(step.unsure):
            known = self.patiently(work, lambda: self._series.contains(self.analysis.asked(step)))
        work.result = self.analysis.finish(step, known)

    def rules(self, work: Work) -> None:
        """Run every rule over points, statuses and tick; moves what they remember, also while a restart replays."""
        self.meaning.context.kind_of_slot = self._kinds()
        if work.tick is not None:
            self.meaning.context.disabled = self._disabled()
        work.events = self.meaning.run(work.step, work.statuses, work.tick)

    def signal(self, work: Work) -> None:
        """Make signals of what rose and clears of what fell, and hand them to the desk; ids are the same on every replay."""
        if not work.keep:
            return
        if work.result is not None and len(work.result.risen):
            risen = self._raising(work).of_bits(work.result.risen)
            work.signals += [one for one in risen if one.id not in work.rung]
        signals, clears = self._decided(work)
        work.signals += signals
        work.clears += clears
        left = [signal for signal in work.signals if signal.id not in work.rung]
        if left or work.clears:
            self._may_write()
            self._desk.take(left, clears=work.clears, consumer=self._consumer, position=work.position)

    def tell(self, work: Work) -> None:
        """As `signal`, of what needs no answer of the store. The position stays: the same comes again and is known by its ids."""
        signals, clears = self._decided(work)
        left = [signal for signal in signals if signal.id not in work.rung]
        if left or clears:
            self._may_write()
            self._desk.take(left, clears=clears, consumer=self._consumer)

    def _decided(self, work: Work) -> tuple[list[Signal], list[Clear]]:
        """What fell, and what the rules found."""
        raising = self._raising(work)
        signals: list[Signal] = []
        clears: list[Clear] = []
        if work.step is not None and work.step.fallen is not None:
            clears += raising.of_fallen(work.step.fallen)
        for part in work.events.parts:
            for made in raising.of_rules(part):
                if isinstance(made, Signal):
                    signals.append(made)
                else:
                    clears.append(made)
        return signals, clears

    def _raising(self, work: Work) -> Raising:
        return Raising(work, self._device_ids(), self.meaning, self.facts.fence_id, self._log_name)

    def store(self, work: Work) -> None:
        """One commit for points, counters, quarantine and position."""
        if not work.keep:
            return
        work.outcome = Outcome(
            position=work.position,
            points=PointBatch.empty(),
            quarantined=work.quarantined,
            counted=work.counted,
        )
        if work.result is not None:
            self._quarantine_rejected(work, work.result)
            work.outcome.points = work.result.points
            work.outcome.duplicate = work.result.duplicate
            work.outcome.gauges = dict(work.result.gauges)
        for gauge, number in work.events.gauges.items():
            work.outcome.gauges[gauge] = work.outcome.gauges.get(gauge, 0) + number
        outcome = work.outcome
        self.note_heard(work)
        self._may_write()
        self.patiently(work, lambda: self._series.commit(outcome, stored_ms=self._clock.now_ms()))
        if len(outcome.points):
            self._on_stored(outcome.points)

    def note_heard(self, work: Work) -> None:
        """Something was received of these devices."""
        batch = work.batch
        if work.statuses is not None:
            self.statuses.append(work.statuses)
        if not len(batch):
            return
        slots = int(batch.slot.max()) + 1
        if slots > len(self._heard_ms):
            self._heard_ms = np.concatenate([self._heard_ms, np.zeros(slots - len(self._heard_ms), np.int64)])
        self._heard_ms[batch.slot] = batch.received_ms

    def _quarantine_rejected(self, work: Work, result: Result) -> None:
        ids = self._device_ids()
        for reason, rows in result.rejected:
            kept = rows[: self._max_rejected_rows_kept]
            for row in kept.tolist():
                work.quarantined.append(rejected_row(work.batch, row, reason, ids))
            if len(rows) > len(kept):
                work.counted[reason] = work.counted.get(reason, 0) + len(rows) - len(kept)
