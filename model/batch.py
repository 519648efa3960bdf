"""`PointBatch`: a set of position fixes as columns.

Purpose: the one shape in which points travel through the house. Invariants: every column has the
same length and its declared dtype; rows keep the order in which they came until a stage says
otherwise. It judges nothing: values may be impossible until `analytics` has looked at them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from model.codes import IDENTITY_FLAGS
from model.extras import NO_EXTRAS, Extras

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a batch.

    Attributes:
        name: attribute name in `PointBatch`, unit last.
        dtype: NumPy dtype, little-endian.
        missing: the value that means "not sent".
        scale: for floats, stored units per one of the column's unit (1e6 for 1e-6°); 0 for integers.
        meaning: what it holds.
    """

    name: str
    dtype: str
    missing: float
    scale: float
    meaning: str


NAN = float("nan")

COLUMNS: tuple[Column, ...] = (
    Column("slot", "<i4", -1, 0, "registry slot of the device"),
    Column("time_ms", "<i8", 0, 0, "fix time: device clock, UTC ms"),
    Column("received_ms", "<i8", 0, 0, "receive time: our clock, UTC ms"),
    Column("seq", "<i8", -1, 0, "the device's own count; -1 when it sends none"),
    Column("lat", "<f8", NAN, 1e6, "latitude, WGS-84 degrees"),
    Column("lon", "<f8", NAN, 1e6, "longitude, WGS-84 degrees"),
    Column("speed_kmh", "<f4", NAN, 10, "speed over ground, km/h"),
    Column("heading_deg", "<f4", NAN, 10, "course over ground, degrees clockwise from north, 0..360"),
    Column("alt_m", "<f4", NAN, 10, "altitude, m"),
    Column("acc_m", "<f4", NAN, 10, "horizontal accuracy as the device says, m"),
    Column("sat", "<i2", -1, 0, "satellites used"),
    Column("battery_pct", "<i2", -1, 0, "battery, %"),
    Column("flags", "<u2", 0, 0, "model.codes.Flag"),
    Column("alarm_bits", "<u8", 0, 0, "bit n is the alarm kind of that bit in model.codes.ALARM_KINDS"),
    Column("marks", "<u2", 0, 0, "model.codes.Mark, set by the analytics"),
)
COLUMN_NAMES = tuple(column.name for column in COLUMNS)


@dataclass(slots=True)
class PointBatch:
    """Position fixes as columns; see `COLUMNS` for dtypes, units and missing values.

    `extra` holds, by row, what of a point has no column as JSON bytes.
    """

    slot: npt.NDArray[np.int32]
    time_ms: npt.NDArray[np.int64]
    received_ms: npt.NDArray[np.int64]
    seq: npt.NDArray[np.int64]
    lat: npt.NDArray[np.float64]
    lon: npt.NDArray[np.float64]
    speed_kmh: npt.NDArray[np.float32]
    heading_deg: npt.NDArray[np.float32]
    alt_m: npt.NDArray[np.float32]
    acc_m: npt.NDArray[np.float32]
    sat: npt.NDArray[np.int16]
    battery_pct: npt.NDArray[np.int16]
    flags: npt.NDArray[np.uint16]
    alarm_bits: npt.NDArray[np.uint64]
    marks: npt.NDArray[np.uint16]
    extra: Extras = field(default_factory=lambda: NO_EXTRAS)

    def __len__(self) -> int:
        return len(self.slot)

    @classmethod
    def of(cls, rows: int, columns: Mapping[str, Any], extra: Mapping[int, bytes] = NO_EXTRAS) -> PointBatch:
        """Build a batch of `rows` rows; a column that is not given is filled with its missing value.

        A scalar is repeated. Raises ValueError when a column's length is not `rows` or its name is unknown.
        """
        unknown = set(columns) - set(COLUMN_NAMES)
        if unknown:
            raise ValueError(f"no such column: {sorted(unknown)}")
        made: dict[str, Array] = {}
        for column in COLUMNS:
            given = columns.get(column.name, column.missing)
            array = np.asarray(given, dtype=column.dtype)
            if array.ndim == 0:
                array = np.full(rows, array, dtype=column.dtype)
            if array.shape != (rows,):
                raise ValueError(f"column {column.name} has shape {array.shape}, not ({rows},)")
            made[column.name] = array
        return cls(**made, extra=Extras.of(extra))

    @classmethod
    def empty(cls) -> PointBatch:
        """A batch of no rows."""
        return cls.of(0, {})

    @classmethod
    def concat(cls, batches: Sequence[PointBatch]) -> PointBatch:
        """All rows of `batches`, in order."""
        if len(batches) == 1:
            return batches[0]
        if not batches:
            return cls.empty()
        return cls(
            **{name: np.concatenate([getattr(batch, name) for batch in batches]) for name in COLUMN_NAMES},
            extra=Extras.concat([(len(batch), batch.extra) for batch in batches]),
        )

    def take(self, index: npt.NDArray[Any]) -> PointBatch:
        """Rows by integer index or boolean mask, as a new batch."""
        if index.dtype == np.bool_:
            index = np.flatnonzero(index)
        return PointBatch(**{name: getattr(self, name)[index] for name in COLUMN_NAMES}, extra=self.extra.take(index))

    def column(self, name: str) -> Array:
        """A column by name."""
        array: Array = getattr(self, name)
        return array


def fixed(values: Array, scale: float) -> IntArray:
    """Fixed-point integers of a float column, as the store keeps it; NaN becomes the int64 minimum."""
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.rint(values.astype(np.float64) * scale)
        out = scaled.astype(np.int64)
    out[~np.isfinite(scaled)] = np.iinfo(np.int64).min
    return out


_PRIMES = tuple(
    np.uint64(p)
    for p in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5, 0x85EBCA77C2B2AE63)
)
_SEQ_BIT = np.uint64(1 << 63)


def identity(batch: PointBatch) -> npt.NDArray[np.uint64]:
    """What tells apart two points of one device with the same time, shape (n,), uint64.

    The device's own `seq` (top bit set) where it sends one, else a hash of the content at the
    store's resolution (top bit clear), so that it can be computed again from stored data.
    """
    if len(batch) and bool((batch.seq >= 0).all()):
        return batch.seq.view(np.uint64) | _SEQ_BIT
    mixed = fixed(batch.lat, 1e6).view(np.uint64) * _PRIMES[0]
    parts = (
        fixed(batch.lon, 1e6).view(np.uint64),
        fixed(batch.speed_kmh, 10).view(np.uint64),
        fixed(batch.heading_deg, 10).view(np.uint64),
        (batch.flags & np.uint16(IDENTITY_FLAGS)).astype(np.uint64) ^ (batch.alarm_bits << np.uint64(16)),
    )
    for prime, part in zip(_PRIMES[1:], parts, strict=True):
        mixed ^= mixed >> np.uint64(29)
        mixed = (mixed ^ part) * prime
    mixed ^= mixed >> np.uint64(32)
    return np.where(batch.seq >= 0, batch.seq.view(np.uint64) | _SEQ_BIT, mixed & ~_SEQ_BIT)
