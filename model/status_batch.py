"""`StatusBatch`: what devices said of themselves, as columns; and the tick. Both are records of the log.

Purpose: heartbeats and time enter the analytics by the log alone, so that silence replays exactly. Invariants:
every column has the same length; bytes are little-endian and canonical. It judges nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.errors import Corrupt

_HEAD = struct.Struct("<4sI")
_MAGIC = b"LCT1"
_TICK = struct.Struct("<qB")
_ROW = np.dtype([("slot", "<i4"), ("time_ms", "<i8"), ("received_ms", "<i8"), ("online", "i1"), ("battery_pct", "<i2")])
#: Rows of one record at most.
MAX_STATUS_ROWS = 1 << 20


@dataclass(slots=True)
class StatusBatch:
    """Statuses as columns, shape (n,) each.

    Attributes:
        slot: int32, registry slot of the device.
        time_ms: int64, device clock, UTC ms.
        received_ms: int64, our clock, UTC ms.
        online: int8, 1 connected, 0 not (a last will).
        battery_pct: int16, -1 when not sent.
    """

    slot: npt.NDArray[np.int32]
    time_ms: npt.NDArray[np.int64]
    received_ms: npt.NDArray[np.int64]
    online: npt.NDArray[np.int8]
    battery_pct: npt.NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.slot)

    @classmethod
    def of(cls, rows: Sequence[tuple[int, int, int, int, int]]) -> StatusBatch:
        """From rows (slot, time_ms, received_ms, online, battery_pct)."""
        return cls._from(np.array(list(rows), _ROW))

    @classmethod
    def concat(cls, batches: Sequence[StatusBatch]) -> StatusBatch:
        """All rows of `batches`, in order."""
        if not batches:
            return cls.of([])
        return cls(*(np.concatenate([getattr(batch, name) for batch in batches]) for name in _ROW.names or ()))

    @classmethod
    def _from(cls, rows: npt.NDArray[np.void]) -> StatusBatch:
        return cls(*(np.ascontiguousarray(rows[name]) for name in _ROW.names or ()))

    def to_bytes(self) -> bytes:
        """As a record's payload."""
        rows = np.empty(len(self), _ROW)
        for name in _ROW.names or ():
            rows[name] = getattr(self, name)
        return _HEAD.pack(_MAGIC, len(self)) + rows.tobytes()

    @classmethod
    def from_bytes(cls, raw: bytes | memoryview) -> StatusBatch:
        """What `to_bytes` wrote; raises Corrupt when it is none."""
        try:
            magic, count = _HEAD.unpack_from(raw, 0)
            if magic != _MAGIC or count > MAX_STATUS_ROWS or len(raw) != _HEAD.size + count * _ROW.itemsize:
                raise ValueError("head or length")
            return cls._from(np.frombuffer(raw, _ROW, count, _HEAD.size))
        except (struct.error, ValueError) as error:
            raise Corrupt(f"Not a record of statuses: {error}.", mend="It is passed over; nothing to do.") from error


@dataclass(frozen=True, slots=True)
class Tick:
    """A second of our clock.

    Attributes:
        time_ms: our clock, UTC ms.
        listening: every subscription stood; while it is False silence says nothing about devices.
    """

    time_ms: int
    listening: bool

    def to_bytes(self) -> bytes:
        """As a record's payload."""
        return _TICK.pack(self.time_ms, self.listening)

    @classmethod
    def from_bytes(cls, raw: bytes | memoryview) -> Tick:
        """What `to_bytes` wrote; raises Corrupt when it is none."""
        if len(raw) != _TICK.size:
            raise Corrupt("Not a tick.", mend="It is passed over; nothing to do.")
        time_ms, listening = _TICK.unpack(raw)
        return cls(time_ms, bool(listening))
