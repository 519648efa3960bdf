"""Points as rows for people and programs: columns in, JSON-ready rows out.

Invariants: `None` for what a device did not send; times are RFC 3339 UTC with milliseconds; places
have 6 decimals, speed and course 1. It works on columns; a row is made once, at the very end, and
bounded chunks of rows are made at a time. It reads nothing and judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from console.point_keys import POINT_KEYS
from model.batch import PointBatch
from model.codes import Flag, alarm_names, mark_names

#: Rows made at a time, so that a long track is never wholly in memory as Python objects.
DEFAULT_CHUNK_ROWS = 8_192

#: Decimals of a place: what the store keeps.
DEFAULT_PLACE_DECIMALS = 6

#: Years 1 to 9999, UTC ms: what RFC 3339 can write.
FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_800_000


def rfc3339(time_ms: npt.NDArray[np.int64]) -> list[str]:
    """Each time as `2026-11-22T08:00:00.000Z`."""
    texts = np.datetime_as_string(time_ms.astype("datetime64[ms]"), unit="ms")
    return _list(np.strings.add(texts, "Z"))


def time_text(time_ms: int) -> str:
    """One time as `2026-11-22T08:00:00.000Z`."""
    return rfc3339(np.array([time_ms], dtype=np.int64))[0]


def _list(values: npt.NDArray[Any]) -> list[Any]:
    made: list[Any] = values.tolist()
    return made


def _decimals(values: npt.NDArray[Any], places: int) -> list[float | None]:
    rounded = np.round(values.astype(np.float64), places)
    missing = ~np.isfinite(rounded)
    if not missing.any():
        return _list(rounded)
    out = rounded.astype(object)
    out[missing] = None
    return _list(out)


def _whole(values: npt.NDArray[Any]) -> list[int | None]:
    missing = values < 0
    if not missing.any():
        return _list(values)
    out = values.astype(object)
    out[missing] = None
    return _list(out)


def _answer(flags: npt.NDArray[np.uint16], said: Flag, sent: Flag) -> list[bool | None]:
    out = ((flags & said) != 0).astype(object)
    out[(flags & sent) == 0] = None
    return _list(out)


def _names(bits: npt.NDArray[Any], name: Any) -> list[list[str]]:
    kinds, which = np.unique(bits, return_inverse=True)
    lists = [name(int(kind)) for kind in kinds]
    return [lists[index] for index in which.tolist()]


def columns_of(batch: PointBatch, *, place_decimals: int = DEFAULT_PLACE_DECIMALS) -> list[list[Any]]:
    """The columns of `POINT_KEYS` as lists of JSON-ready values, each of length `len(batch)`."""
    flags = batch.flags
    return [
        rfc3339(batch.time_ms),
        _decimals(batch.lat, place_decimals),
        _decimals(batch.lon, place_decimals),
        _decimals(batch.speed_kmh, 1),
        _decimals(batch.heading_deg, 1),
        _decimals(batch.alt_m, 1),
        _decimals(batch.acc_m, 1),
        _whole(batch.sat),
        _whole(batch.battery_pct),
        _whole(batch.seq),
        _answer(flags, Flag.VALID, Flag.VALID_SENT),
        _answer(flags, Flag.IGNITION, Flag.IGNITION_SENT),
        _answer(flags, Flag.OCCUPIED, Flag.OCCUPIED_SENT),
        _answer(flags, Flag.ARMED, Flag.ARMED_SENT),
        ((flags & Flag.BUFFERED) != 0).tolist(),
        _names(batch.alarm_bits, alarm_names),
        _names(batch.marks, mark_names),
        rfc3339(batch.received_ms),
    ]


def point_rows(batch: PointBatch, *, chunk_rows: int = DEFAULT_CHUNK_ROWS) -> Iterator[list[dict[str, Any]]]:
    """The points as dicts with the keys `POINT_KEYS`, at most `chunk_rows` at a time."""
    for start in range(0, len(batch), chunk_rows):
        piece = batch.take(np.arange(start, min(start + chunk_rows, len(batch))))
        rows = [dict(zip(POINT_KEYS, values, strict=True)) for values in zip(*columns_of(piece), strict=True)]
        for row, raw in piece.extra.items():
            rows[row]["extra"] = _extra(raw)
        yield rows


def _extra(raw: bytes) -> Any:
    """The unknown keys a device sent; as text when they are no JSON."""
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return raw.decode("utf-8", "replace")


def track_json(device: str, batch: PointBatch, *, chunk_rows: int = DEFAULT_CHUNK_ROWS) -> Iterator[bytes]:
    """The track as one JSON object `{"device": …, "points": [...]}`, in pieces."""
    yield b'{"device":' + msgspec.json.encode(device) + b',"points":['
    separator = b""
    for rows in point_rows(batch, chunk_rows=chunk_rows):
        yield separator + msgspec.json.encode(rows)[1:-1]
        separator = b","
    yield b"]}"


def places(batch: PointBatch, ids: list[str]) -> list[dict[str, Any]]:
    """The newest place of each device: row i belongs to `ids[i]`; the same keys as a track's point, and `device`."""
    rows = [row for chunk in point_rows(batch) for row in chunk]
    return [{"device": device, **row} for device, row in zip(ids, rows, strict=True)]
