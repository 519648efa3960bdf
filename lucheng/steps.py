"""The stages of the pipeline: they join the pure analytics with the log and the stores.

Invariants: what a stage leaves depends on the log and on the committed stores alone, so that a
replay gives the same; the analytics state moves only by what is in the log. Rows are columns all
the way; the only loops run over records, and over the few rows that are quarantined or raise a
signal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from analytics.pipeline import Analysis
from analytics.state import State
from analytics.step import Step
from model.batch import COLUMNS, PointBatch
from model.batch_codec import decode
from model.codes import ALARM_BY_BIT, Flag, Reason, alarm_names
from model.quarantine import Quarantined
from model.seams import LogRecord, Outcome, RecordKind
from model.signal import Signal, signal_id

if TYPE_CHECKING:
    from analytics.limits import CleanLimits
    from analytics.pipeline import Result
    from model.clock import Clock
    from model.seams import SeriesStore, SignalStore

#: Rejected rows kept one by one in one step and reason; the rest of a flood is counted only.
DEFAULT_MAX_REJECTED_ROWS_KEPT = 200
FILE_JOB_BYTES = 16

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
        quarantined: what was quarantined before the log, and what the stages add.
        counted: rows by reason that are counted only.
        step, result: what the analytics are at.
        signals: raised by this work.
        keep: False while a restart replays records for their state alone.
    """

    records: list[LogRecord]
    position: int
    keep: bool = True
    batch: PointBatch = field(default_factory=PointBatch.empty)
    starts: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    counted: dict[Reason, int] = field(default_factory=dict)
    step: Step | None = None
    result: Result | None = None
    signals: list[Signal] = field(default_factory=list)
    outcome: Outcome | None = None


class Steps:
    """The functions that `app.pipeline` lists.

    Args:
        limits: thresholds of the analytics.
        series: where points go.
        signals: where signals go.
        device_ids: the registry's ids by slot, asked for anew at each use.
        clock: for the store time.
        max_rejected_rows_kept: see `DEFAULT_MAX_REJECTED_ROWS_KEPT`.

    Attributes:
        analysis: the pure analytics with what they remember of each device.
    """

    def __init__(
        self,
        limits: CleanLimits,
        series: SeriesStore,
        signals: SignalStore,
        device_ids: Callable[[], list[str]],
        clock: Clock,
        *,
        max_rejected_rows_kept: int = DEFAULT_MAX_REJECTED_ROWS_KEPT,
    ) -> None:
        self.analysis = Analysis(limits, State())
        self._series = series
        self._signals = signals
        self._device_ids = device_ids
        self._clock = clock
        self._max_rejected_rows_kept = max_rejected_rows_kept
        self._heard_ms = np.zeros(0, np.int64)

    def heard_since(self, since_ms: int) -> int:
        """How many devices something was received of since then, our clock; what came before the start is not known."""
        return int(np.count_nonzero(self._heard_ms >= since_ms))

    def save(self) -> bytes:
        """The state as bytes, for a snapshot."""
        return self.analysis.state.to_bytes()

    def restore(self, blob: bytes) -> None:
        """Take over a snapshot."""
        self.analysis.state = State.from_bytes(blob)

    def unpack(self, work: Work) -> None:
        """Records to one batch; what was quarantined before the log is taken over as it is."""
        batches: list[PointBatch] = []
        row = 0
        for record in work.records:
            if record.kind is RecordKind.QUARANTINE:
                work.quarantined += _quarantine_decoder.decode(record.payload)
                continue
            view = memoryview(record.payload)
            batch = decode(view[FILE_JOB_BYTES:] if record.kind is RecordKind.FILE_POINTS else view)
            batches.append(batch)
            work.starts.append(row)
            work.positions.append(record.position)
            row += len(batch)
        work.batch = PointBatch.concat(batches)
        if len(work.batch):
            work.step = Step.of(work.batch)

    def settle(self, work: Work) -> None:
        """Ask the store about the late rows that the state cannot know; then all is decided."""
        if work.step is None or not work.keep:
            return
        known = self._series.contains(self.analysis.asked(work.step)) if len(work.step.unsure) else None
        work.result = self.analysis.finish(work.step, known)

    def signal(self, work: Work) -> None:
        """Make signals of the alarm bits that rose and keep them; their ids are the same on every replay."""
        if work.result is None or not len(work.result.risen):
            return
        risen = work.result.risen
        starts = np.asarray(work.starts)
        record_of_row = np.searchsorted(starts, risen.row, side="right") - 1
        ids = self._device_ids()
        batch = work.batch
        for row, bit, late, placed, time_ms, record in zip(
            risen.row.tolist(),
            risen.bit.tolist(),
            risen.late.tolist(),
            risen.placed.tolist(),
            risen.time_ms.tolist(),
            record_of_row.tolist(),
            strict=True,
        ):
            kind = ALARM_BY_BIT.get(bit)
            if kind is None:
                continue
            position = work.positions[record]
            work.signals.append(
                Signal(
                    id=signal_id(position, row - work.starts[record], f"bit:{kind.name}"),
                    device=ids[int(batch.slot[row])],
                    kind=kind.name,
                    source="bit",
                    time_ms=time_ms,
                    received_ms=int(batch.received_ms[row]),
                    lat=round(float(batch.lat[row]), 6) if placed else None,
                    lon=round(float(batch.lon[row]), 6) if placed else None,
                    severity=kind.severity,
                    late=late,
                    note="",
                    log_position=position,
                )
            )
        self._signals.add(work.signals)

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
            work.outcome.gauges = work.result.gauges
        self._series.commit(work.outcome, stored_ms=self._clock.now_ms())
        self._note_heard(work.batch)

    def _note_heard(self, batch: PointBatch) -> None:
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
                work.quarantined.append(_rejected(work.batch, row, reason, ids))
            if len(rows) > len(kept):
                work.counted[reason] = work.counted.get(reason, 0) + len(rows) - len(kept)


def _rejected(batch: PointBatch, row: int, reason: Reason, ids: list[str]) -> Quarantined:
    device = ids[int(batch.slot[row])]
    return Quarantined(
        reason=reason,
        rows=1,
        received_ms=int(batch.received_ms[row]),
        source="file" if int(batch.flags[row]) & Flag.BUFFERED else "live",
        device=device,
        detail=f"time_ms={int(batch.time_ms[row])} lat={float(batch.lat[row])} lon={float(batch.lon[row])}",
        raw=msgspec.json.encode(_row(batch, row)),
    )


def _row(batch: PointBatch, row: int) -> dict[str, Any]:
    """One row as JSON-ready values; what was not sent, and what JSON has no number for, is text or null."""
    made: dict[str, Any] = {}
    for column in COLUMNS:
        value = batch.column(column.name)[row].item()
        if isinstance(value, float) and not np.isfinite(value):
            value = None if np.isnan(value) else str(value)
        made[column.name] = value
    made["alarms"] = alarm_names(made.pop("alarm_bits"))
    return made
