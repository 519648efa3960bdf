"""The Protocols that rooms meet through. Each has one conformance suite in tests/, run by every implementation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from model.area import Area
from model.batch import PointBatch
from model.codes import Reason
from model.grant import Grant
from model.presence import Presence
from model.quarantine import Quarantined
from model.signal import Signal


class RecordKind(IntEnum):
    """What a record of the log holds."""

    POINTS = 1
    QUARANTINE = 2
    ALARM = 3
    #: Points of a file: 16 bytes of the job that reads it, then a batch.
    FILE_POINTS = 4
    #: A second has passed: `TICK`'s payload. Offline and silence are judged by it, so that they replay exactly.
    TICK = 5
    #: What devices said of themselves (`model.status_batch`).
    STATUS = 6
    #: Something that the rules go by has changed: a JSON object, see `lucheng.facts`.
    FACT = 7
    #: Causes of alarms that have gone, in the alarms' log: a list of `model.signal.Clear`.
    CLEAR = 8


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record of the log. `rows` counts towards `received`; `payload` is opaque to the log."""

    position: int
    kind: RecordKind
    rows: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record that is not in the log yet."""

    kind: RecordKind
    rows: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Problem:
    """Something `store check` found: where, what, and what to do."""

    place: str
    what: str
    mend: str


class Log(Protocol):
    """The durable, append-only sequence of batches; one writer, many readers.

    Positions start at 1, grow by 1 per record and are never used again, also after a trim.
    """

    def append(self, records: Sequence[NewRecord]) -> int:
        """Make all `records` durable in one commit, all or none; return the position of the last.

        Raises StoreError when the commit failed: the caller must not acknowledge, and must stop.
        """
        ...

    def read(self, after: int, *, max_records: int, max_bytes: int) -> list[LogRecord]:
        """Records after position `after`, in order, at least one where there is one.

        Raises Corrupt at a record whose checksum does not hold (`Corrupt.position` names it) once
        it is the first to be read; records before it are returned first.
        """
        ...

    def skip_corrupt(self, position: int) -> int:
        """How many rows the damaged record at `position` stood for, as far as the log still knows (else 1)."""
        ...

    def last_position(self) -> int:
        """Position of the newest record; 0 when there was never one."""
        ...

    def received_rows(self) -> int:
        """Rows of every record ever appended, trimmed ones too."""
        ...

    def consumed(self, consumer: str) -> int:
        """The position up to which `consumer` needs nothing any more (0 when it is new)."""
        ...

    def set_consumed(self, consumer: str, position: int) -> None:
        """Note that `consumer` needs nothing up to `position` any more."""
        ...

    def trim(self) -> int:
        """Delete records that no consumer needs; return how many went."""
        ...

    def check(self) -> list[Problem]:
        """Read everything and report what does not hold. Changes nothing."""
        ...

    def close(self) -> None:
        """Release files. A closed log raises StoreError at every call."""
        ...


@dataclass(slots=True)
class Outcome:
    """What one step of the pipeline leaves, committed in one transaction with the log position.

    Attributes:
        position: log position up to which this outcome accounts.
        points: rows to store, cleaned and marked.
        duplicate: rows that were known already.
        quarantined: what could not be trusted; `Quarantined.rows` count, all of them.
        counted: further rows by reason that are counted but not kept one by one (over a limit).
        gauges: other counters to add to, by name (e.g. `points_missing`, `mark.late`).
    """

    position: int
    points: PointBatch
    duplicate: int = 0
    quarantined: list[Quarantined] = field(default_factory=list)
    counted: dict[Reason, int] = field(default_factory=dict)
    gauges: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Totals:
    """The counters of the invariant, as committed: received = stored + duplicate + Σ quarantined + in flight."""

    position: int
    stored: int
    duplicate: int
    quarantined: Mapping[Reason, int]
    gauges: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of one numeric series of one source: times (UTC ms) and values, columns of one length."""

    series: str
    source: str
    time_ms: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]


class SeriesStore(Protocol):
    """The time series: points of devices, and other numeric series by source."""

    def commit(self, outcome: Outcome, *, stored_ms: int) -> None:
        """Store one outcome with its counters, quarantine and position, all or none.

        An outcome whose position is not beyond the committed one is ignored (replay).
        """
        ...

    def totals(self) -> Totals:
        """Counters and position as committed."""
        ...

    def contains(self, points: PointBatch) -> npt.NDArray[np.bool_]:
        """For each row whether (device, time, identity) is stored already; for the pipeline only, returns no data."""
        ...

    def track(self, grant: Grant, device: str, slot: int, from_ms: int, to_ms: int) -> PointBatch:
        """Points of one device with from_ms <= time < to_ms, ordered by (time, seq), audited first."""
        ...

    def fleet(self, grant: Grant, from_ms: int, to_ms: int) -> Iterable[PointBatch]:
        """Points of all devices in the window, in bounded batches ordered by (slot, time) within an hour, audited first."""
        ...

    def inside(
        self,
        grant: Grant,
        area: Area,
        from_ms: int,
        to_ms: int,
        *,
        max_vehicles: int,
        slots: npt.NDArray[np.int32] | None = None,
        devices: Sequence[str] | None = None,
    ) -> list[Presence]:
        """Who was inside an area with from_ms <= time < to_ms, by slot, audited first.

        `slots` are those looked for (None: all), `devices` their ids, for a grant that covers only some devices. Raises
        UsageError for a window that is too long, Refused when more than `max_vehicles` were there or too much would be
        read or returned.
        """
        ...

    def latest(
        self, grant: Grant, slots: npt.NDArray[np.int32] | None, *, devices: Sequence[str] | None = None
    ) -> PointBatch:
        """The newest point of each device (None: of all), audited first.

        `devices` are the ids of `slots`, for a grant that covers only some devices.
        """
        ...

    def put_numbers(
        self, series: str, source: str, time_ms: npt.NDArray[np.int64], values: npt.NDArray[np.float64]
    ) -> None:
        """Add samples to a named numeric series of one source; the same time again replaces."""
        ...

    def put_many_numbers(self, samples: Sequence[Samples]) -> None:
        """As `put_numbers` for many series at once, all or none."""
        ...

    def numbers(
        self, grant: Grant, series: str, source: str, from_ms: int, to_ms: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Times and values of a named numeric series in the window, audited first."""
        ...

    def seal(self, before_ms: int, *, max_rows: int | None = None) -> int:
        """Seal what belongs to hours that ended before `before_ms`; return how many rows were sealed.

        With `max_rows` it stops after about as many; call again until it returns 0.
        """
        ...

    def retain(self, before_stored_ms: int) -> int:
        """Delete whole days stored before `before_stored_ms`; return how many rows went."""
        ...

    def check(self) -> list[Problem]:
        """Read everything and report what does not hold. Changes nothing."""
        ...

    def close(self) -> None:
        """Release files."""
        ...


class Snapshots(Protocol):
    """States as of a log position, one of each name: whoever works goes on from there. A name has at most 64 letters, digits, - and _."""

    def put_snapshot(self, name: str, position: int, blob: bytes) -> None:
        """Keep the state `blob` of `name` as of log position `position`, durably and whole, in place of the one before.

        Raises:
            Fenced: a newer holder has written one.
            StoreError: it is not kept; the one before is.
        """
        ...

    def snapshot(self, name: str) -> tuple[int, bytes] | None:
        """(position, blob) of `name`, None when there is none. Raises Corrupt: never half of one, and never two mixed."""
        ...

    def forget_snapshot(self, name: str) -> None:
        """Forget the state of `name`."""
        ...

    def forget_beyond(self, position: int) -> None:
        """Forget what is of a later position than the store has."""
        ...


class Audit(Protocol):
    """The append-only, hash-chained record of who read or changed what."""

    def append(self, who: str, role: str, action: str, target: str, purpose: str, detail: Mapping[str, Any]) -> int:
        """Write one row durably and return its number; raises AuditUnwritable, and then nothing may be read."""
        ...


class SignalStore(Protocol):
    """Signals, kept for ever, each id once."""

    def add(self, signals: Sequence[Signal]) -> int:
        """Keep those whose id is new, durably; return how many were new."""
        ...
