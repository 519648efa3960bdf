"""Parquet: typed columns, null for what was not sent; the heading is JSON under `lucheng_export` in the file's own metadata.

Row groups hold many devices' points, so that a reader may skip by device and time and none is tiny. Every row group's bytes
are compressed; the footer, where the heading and its digits stand, is not.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from console.exports.heading import VERSION_KEY, Heading
from console.exports.points import PLACE_DECIMALS, extra_texts
from console.exports.spool import Spool
from model.batch import PointBatch
from model.codes import Flag, alarm_names, mark_names

#: Rows of one row group, which are in memory at once.
DEFAULT_GROUP_ROWS = 131_072

_TIME = pa.timestamp("ms", tz="UTC")
SCHEMA = pa.schema(
    [
        pa.field("device", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("time", _TIME, nullable=False),
        ("lat", pa.float64()),
        ("lon", pa.float64()),
        ("speed_kmh", pa.float64()),
        ("heading_deg", pa.float64()),
        ("alt_m", pa.float64()),
        ("acc_m", pa.float64()),
        ("sat", pa.int16()),
        ("battery_pct", pa.int16()),
        ("seq", pa.int64()),
        ("valid", pa.bool_()),
        ("ignition", pa.bool_()),
        ("occupied", pa.bool_()),
        ("armed", pa.bool_()),
        pa.field("buffered", pa.bool_(), nullable=False),
        pa.field("alarms", pa.list_(pa.string()), nullable=False),
        pa.field("marks", pa.list_(pa.string()), nullable=False),
        pa.field("received", _TIME, nullable=False),
        ("extra", pa.string()),
    ]
)


class ParquetShape:
    """See the module."""

    def __init__(self, out: Spool, datum: str, *, group_rows: int = DEFAULT_GROUP_ROWS) -> None:
        self._decimals = PLACE_DECIMALS[datum]
        self._group_rows = group_rows
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0
        self._writer = pq.ParquetWriter(out, SCHEMA, compression="zstd")

    def add(self, device: str, points: PointBatch) -> None:
        self._waiting.append(_record_batch(device, points, self._decimals))
        self._rows += len(points)
        if self._rows >= self._group_rows:
            self._write()

    def _write(self) -> None:
        table = pa.Table.from_batches(self._waiting, SCHEMA).unify_dictionaries()
        self._writer.write_table(table, row_group_size=2 * self._group_rows)
        self._waiting, self._rows = [], 0

    def finish(self, heading: Heading) -> bytes:
        if self._waiting:
            self._write()
        self._writer.add_key_value_metadata({VERSION_KEY: msgspec.json.encode(heading.fields()).decode()})
        self._writer.close()
        return b""


def _numbers(values: npt.NDArray[Any], decimals: int) -> pa.Array:
    rounded = np.round(values.astype(np.float64), decimals)
    return pa.array(rounded, mask=~np.isfinite(rounded))


def _answer(flags: npt.NDArray[np.uint16], said: Flag, sent: Flag) -> pa.Array:
    return pa.array((flags & said) != 0, mask=(flags & sent) == 0)


def _names(bits: npt.NDArray[Any], name: Any) -> pa.Array:
    kinds, which = np.unique(bits, return_inverse=True)
    lists = pa.array([name(int(kind)) for kind in kinds], pa.list_(pa.string()))
    return lists.take(pa.array(which))


def _record_batch(device: str, points: PointBatch, decimals: int) -> pa.RecordBatch:
    flags = points.flags
    devices = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(points), np.int32)), pa.array([device]))
    whole = [pa.array(values, mask=values < 0) for values in (points.sat, points.battery_pct, points.seq)]
    columns = [
        devices,
        pa.array(points.time_ms.astype("datetime64[ms]")).cast(_TIME),
        _numbers(points.lat, decimals),
        _numbers(points.lon, decimals),
        *(_numbers(values, 1) for values in (points.speed_kmh, points.heading_deg, points.alt_m, points.acc_m)),
        *whole,
        _answer(flags, Flag.VALID, Flag.VALID_SENT),
        _answer(flags, Flag.IGNITION, Flag.IGNITION_SENT),
        _answer(flags, Flag.OCCUPIED, Flag.OCCUPIED_SENT),
        _answer(flags, Flag.ARMED, Flag.ARMED_SENT),
        pa.array((flags & Flag.BUFFERED) != 0),
        _names(points.alarm_bits, alarm_names),
        _names(points.marks, mark_names),
        pa.array(points.received_ms.astype("datetime64[ms]")).cast(_TIME),
        pa.array(extra_texts(points), pa.string()),
    ]
    return pa.record_batch(columns, schema=SCHEMA)
