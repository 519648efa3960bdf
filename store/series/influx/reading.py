"""Flux: what is asked of the server, and its answers as columns.

Invariants: every query is a constant; values enter by its free names, which are parameters (`bucket`, `start_ns`, `s0` …), so
no text from outside is ever part of a query. A row of `points` is what `line_protocol.point_lines` wrote, at the store's
resolution. It judges no grant and repeats nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.area import Box
from model.batch import COLUMNS, PointBatch
from model.extras import NO_EXTRAS, Extras
from store.series.influx.connection import Connection, Param
from store.series.influx.line_protocol import (
    GAP_INFINITE,
    GAP_MINUS_INFINITE,
    GAP_NAN,
    MAX_TIME_MS,
    MIN_TIME_MS,
    plain_tag,
)

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]

NS_PER_MS = 1_000_000
#: Of `model.area.Box`, in a degree.
_BOX_UNITS = 1_000_000
#: Slots of one query.
SLOTS_PER_QUERY = 64

_SOURCE = "from(bucket: bucket) |> range(start: time(v: start_ns), stop: time(v: stop_ns))"
_FIX = f'{_SOURCE} |> filter(fn: (r) => r._measurement == "fix")'
_SOME = " or ".join(f"r.slot == s{n}" for n in range(SLOTS_PER_QUERY))
_IDENTITY_FIELDS = ("flags", "lat", "lon", "speed_kmh", "heading_deg", "seq", "alarm_bits")
_IDENTITY = " or ".join(f'r._field == "{name}"' for name in _IDENTITY_FIELDS)
_KEEP = '|> keep(columns: ["_time", "_value", "_field", "slot", "age"])'
_FLAGS = '|> filter(fn: (r) => r._field == "flags")'

_ONE_SLOT_QUERY = f"{_FIX} |> filter(fn: (r) => r.slot == s0) {_KEEP}"
_SLOTS_QUERY = f"{_FIX} |> filter(fn: (r) => {_SOME}) {_KEEP}"
_IDENTITY_QUERY = f"{_FIX} |> filter(fn: (r) => {_SOME}) |> filter(fn: (r) => {_IDENTITY}) {_KEEP}"
_ONE_IDENTITY_QUERY = f"{_FIX} |> filter(fn: (r) => r.slot == s0) |> filter(fn: (r) => {_IDENTITY}) {_KEEP}"
_NEWEST_QUERY = f"{_FIX} |> last() {_KEEP}"
_PARTITION = "|> filter(fn: (r) => r.partition == partition)"
_NEWEST_IN_QUERY = f"{_FIX} {_PARTITION} |> last() {_KEEP}"
_NEWEST_TIMES_QUERY = f'{_FIX} {_PARTITION} {_FLAGS} |> last() |> keep(columns: ["_time", "slot"])'
_NEWEST_OF_QUERY = f"{_FIX} |> filter(fn: (r) => {_SOME}) |> last() {_KEEP}"
_HOURS_QUERY = (
    f'{_FIX} {_FLAGS} |> aggregateWindow(every: 1h, fn: count, createEmpty: false, timeSrc: "_start")'
    ' |> group(columns: ["_time"]) |> sum() |> keep(columns: ["_time", "_value"])'
)
_COUNTED = (
    f'{_FLAGS} |> aggregateWindow(every: 1d, fn: count, createEmpty: false, timeSrc: "_start")'
    ' |> group(columns: ["_time", "age"]) |> sum() |> keep(columns: ["_time", "_value", "age"])'
)
_DAYS_QUERY = f"{_FIX} {_COUNTED}"
_DAYS_IN_QUERY = f"{_FIX} {_PARTITION} {_COUNTED}"
_SLOTS_OF_QUERY = f'{_FIX} {_FLAGS} |> first() |> keep(columns: ["slot"]) |> group() |> distinct(column: "slot")'
_AGES_QUERY = f'{_FIX} {_FLAGS} |> first() |> keep(columns: ["age"]) |> group() |> distinct(column: "age")'
_PLACES = f'{_FIX} |> filter(fn: (r) => r._field == "lat" or r._field == "lon")'
_LEAST_QUERY = f'{_PLACES} |> min() |> keep(columns: ["_value", "_field", "slot", "age"])'
_MOST_QUERY = f'{_PLACES} |> max() |> keep(columns: ["_value", "_field", "slot", "age"])'
_NUMBERS_QUERY = (
    f'{_SOURCE} |> filter(fn: (r) => r._measurement == "numbers" and r.series == series and r.source == source)'
    ' |> keep(columns: ["_time", "_value", "_field"])'
)

_POINT_COLUMNS = ("_time", "_value", "_field", "slot", "age")
_FLOATS = frozenset(column.name for column in COLUMNS if column.scale)
_SIZES = {column.name: np.dtype(column.dtype) for column in COLUMNS}
_HEX = "extra_hex"


@dataclass(frozen=True, slots=True)
class StoredPoints:
    """Points as read, ordered by (slot, time, seq, sub).

    Attributes:
        points: the rows.
        subs: nanoseconds within the millisecond of each row, int64 (n,).
        ages: days from fix to store of each row, int64 (n,).
    """

    points: PointBatch
    subs: IntArray
    ages: IntArray


def window(from_ms: int, to_ms: int) -> dict[str, Param]:
    """Parameters of a window, clipped to the times that there are."""
    return {
        "start_ns": min(max(from_ms, MIN_TIME_MS), MAX_TIME_MS) * NS_PER_MS,
        "stop_ns": min(max(to_ms, MIN_TIME_MS), MAX_TIME_MS) * NS_PER_MS,
    }


def _of_slots(slots: Sequence[int]) -> dict[str, Param]:
    """Parameters s0 … of at most `SLOTS_PER_QUERY` slots; the last one fills what is left."""
    padded = [*slots, *[slots[-1]] * (SLOTS_PER_QUERY - len(slots))]
    return {f"s{n}": str(slot) for n, slot in enumerate(padded)}


def points(
    connection: Connection, slots: Sequence[int], from_ms: int, to_ms: int, *, identity_only: bool = False
) -> StoredPoints:
    """Stored points of some slots (at most `SLOTS_PER_QUERY`) with from_ms <= time < to_ms."""
    params: dict[str, Param] = {"bucket": connection.server.bucket, **window(from_ms, to_ms)}
    if len(slots) == 1:
        params["s0"] = str(slots[0])
        query = _ONE_IDENTITY_QUERY if identity_only else _ONE_SLOT_QUERY
    else:
        params |= _of_slots(slots)
        query = _IDENTITY_QUERY if identity_only else _SLOTS_QUERY
    return assembled(connection.rows(query, params, _POINT_COLUMNS))


def newest(connection: Connection, slots: Sequence[int] | None = None, *, partition: int | None = None) -> StoredPoints:
    """The newest point of some slots, of every slot without them; of those of a partition."""
    params: dict[str, Param] = {"bucket": connection.server.bucket, **window(MIN_TIME_MS, MAX_TIME_MS)}
    if partition is not None:
        found = assembled(connection.rows(_NEWEST_IN_QUERY, params | {"partition": str(partition)}, _POINT_COLUMNS))
    elif slots is None:
        found = assembled(connection.rows(_NEWEST_QUERY, params, _POINT_COLUMNS))
    else:
        found = assembled(connection.rows(_NEWEST_OF_QUERY, params | _of_slots(slots), _POINT_COLUMNS))
    last = _last_of_slot(found)
    # several points of one millisecond: the last by number may not be the last written
    several = np.flatnonzero(last.subs > 0).tolist()
    if not several:
        return last
    pieces = [_take(last, np.flatnonzero(last.subs == 0))]
    for row in several:
        time_ms = int(last.points.time_ms[row])
        pieces.append(points(connection, [int(last.points.slot[row])], time_ms, time_ms + 1))
    return _last_of_slot(_joined(pieces))


def newest_times(connection: Connection, partition: int) -> tuple[IntArray, IntArray]:
    """Slots of a partition and the time of each one's newest point (UTC ms): an eighth of what `newest` costs."""
    params: dict[str, Param] = {
        "bucket": connection.server.bucket,
        "partition": str(partition),
        **window(MIN_TIME_MS, MAX_TIME_MS),
    }
    rows = list(connection.rows(_NEWEST_TIMES_QUERY, params, ("_time", "slot")))
    return np.array([int(slot) for _, slot in rows], np.int64), times([time for time, _ in rows]) // NS_PER_MS


def _last_of_slot(found: StoredPoints) -> StoredPoints:
    slot = found.points.slot
    ends = np.ones(len(slot), np.bool_)
    ends[:-1] = slot[1:] != slot[:-1]
    return _take(found, np.flatnonzero(ends))


def _take(found: StoredPoints, rows: IntArray) -> StoredPoints:
    return StoredPoints(found.points.take(rows), found.subs[rows], found.ages[rows])


def _joined(pieces: Sequence[StoredPoints]) -> StoredPoints:
    return _ordered(
        PointBatch.concat([piece.points for piece in pieces]),
        np.concatenate([piece.subs for piece in pieces]),
        np.concatenate([piece.ages for piece in pieces]),
    )


def _ordered(batch: PointBatch, subs: IntArray, ages: IntArray) -> StoredPoints:
    order = np.lexsort((subs, batch.seq, batch.time_ms, batch.slot))
    return StoredPoints(batch.take(order), subs[order], ages[order])


def hours(connection: Connection, from_ms: int, to_ms: int) -> list[int]:
    """Starts (UTC ms) of the hours of a window that hold points, ascending."""
    rows = connection.rows(_HOURS_QUERY, {"bucket": connection.server.bucket, **window(from_ms, to_ms)}, ("_time",))
    hour_ns = 3_600_000 * NS_PER_MS
    return sorted({int(ns) // hour_ns * hour_ns // NS_PER_MS for ns in times([row[0] for row in rows]).tolist()})


def days(connection: Connection, partition: int | None = None) -> dict[int, int]:
    """Points that there are by stored day (UTC days since 1970), all or those of a partition."""
    params: dict[str, Param] = {"bucket": connection.server.bucket, **window(MIN_TIME_MS, MAX_TIME_MS)}
    query = _DAYS_QUERY
    if partition is not None:
        query, params["partition"] = _DAYS_IN_QUERY, str(partition)
    found: dict[int, int] = {}
    rows = list(connection.rows(query, params, ("_time", "_value", "age")))
    starts = times([row[0] for row in rows]) // (86_400_000 * NS_PER_MS)
    for start, (_, count, age) in zip(starts.tolist(), rows, strict=True):
        found[start + int(age)] = found.get(start + int(age), 0) + int(count)
    return found


def slots_in(connection: Connection, from_ms: int, to_ms: int) -> list[int]:
    """Slots that have points in a window, ascending."""
    params: dict[str, Param] = {"bucket": connection.server.bucket, **window(from_ms, to_ms)}
    return sorted(int(row[0]) for row in connection.rows(_SLOTS_OF_QUERY, params, ("_value",)))


def near(connection: Connection, box: Box, from_ms: int, to_ms: int) -> list[int]:
    """Slots, ascending, that went as far in a window that their bounds touch a box: whoever was in it, and others."""
    params: dict[str, Param] = {"bucket": connection.server.bucket, **window(from_ms, to_ms)}
    least: dict[tuple[str, int], float] = {}
    most: dict[tuple[str, int], float] = {}
    for query, held, further in ((_LEAST_QUERY, least, min), (_MOST_QUERY, most, max)):
        for value, name, slot in connection.rows(query, params, ("_value", "_field", "slot")):
            key = name, int(slot)
            held[key] = further(held.get(key, float(value)), float(value))
    sides = (("lat", box.south, box.north), ("lon", box.west, box.east))
    return sorted(
        slot
        for slot in {slot for _, slot in least}
        if all(
            (name, slot) in least
            and least[name, slot] * _BOX_UNITS <= high + 1
            and most[name, slot] * _BOX_UNITS >= low - 1
            for name, low, high in sides
        )
    )


def ages(connection: Connection) -> list[int]:
    """Every `age` that there is."""
    params: dict[str, Param] = {"bucket": connection.server.bucket, **window(MIN_TIME_MS, MAX_TIME_MS)}
    return sorted(int(row[0]) for row in connection.rows(_AGES_QUERY, params, ("_value",)))


def numbers(
    connection: Connection, series: str, source: str, from_ms: int, to_ms: int
) -> tuple[IntArray, npt.NDArray[np.float64]]:
    """Times (UTC ms, ascending) and values of a numeric series in a window."""
    params: dict[str, Param] = {
        "bucket": connection.server.bucket,
        "series": plain_tag(series),
        "source": plain_tag(source),
        **window(from_ms, to_ms),
    }
    columns: dict[str, tuple[list[str], list[str]]] = {"value": ([], []), "gap": ([], [])}
    for time, value, name in connection.rows(_NUMBERS_QUERY, params, ("_time", "_value", "_field")):
        held = columns[name]
        held[0].append(time)
        held[1].append(value)
    time_ms = times(columns["value"][0]) // NS_PER_MS
    values = np.array(columns["value"][1], np.float64)
    gaps = np.array(columns["gap"][1], np.int64)
    order = np.argsort(time_ms, kind="stable")
    gaps = gaps[np.argsort(times(columns["gap"][0]), kind="stable")]
    time_ms, values = time_ms[order], values[order]
    for gap, meant in ((GAP_NAN, np.nan), (GAP_INFINITE, np.inf), (GAP_MINUS_INFINITE, -np.inf)):
        values[gaps == gap] = meant
    return time_ms, values


def times(texts: Sequence[str]) -> IntArray:
    """RFC 3339 texts in UTC as nanoseconds since 1970."""
    return np.array([text[:-1] for text in texts], "datetime64[ns]").astype(np.int64)


@dataclass(slots=True)
class _Field:
    """Values of one field over all series, as they came."""

    series: list[int]
    counts: list[int]
    times: list[str]
    values: list[str]

    def series_of_rows(self) -> IntArray:
        return np.repeat(np.array(self.series, np.int64), self.counts)


def assembled(rows: Iterable[list[str]]) -> StoredPoints:
    """Points from rows (_time, _value, _field, slot, age), one for each value that a `flags` stands beside."""
    fields: dict[str, _Field] = {}
    series: dict[tuple[str, str], int] = {}
    key: tuple[str, str, str] | None = None
    held = _Field([], [], [], [])
    for time, value, name, slot, age in rows:
        if key != (name, slot, age):
            key = (name, slot, age)
            held = fields.setdefault(name, _Field([], [], [], []))
            held.series.append(series.setdefault((slot, age), len(series)))
            held.counts.append(0)
        held.times.append(time)
        held.values.append(value)
        held.counts[-1] += 1
    if "flags" not in fields:
        return StoredPoints(PointBatch.empty(), np.zeros(0, np.int64), np.zeros(0, np.int64))
    return _put_together(fields, list(series))


def _put_together(fields: dict[str, _Field], series: list[tuple[str, str]]) -> StoredPoints:
    stamps = {name: times(held.times) for name, held in fields.items()}
    ranks, inverse = np.unique(np.concatenate(list(stamps.values())), return_inverse=True)
    ends = np.cumsum([len(stamp) for stamp in stamps.values()])[:-1]
    keys = {
        name: fields[name].series_of_rows() * len(ranks) + rank
        for name, rank in zip(stamps, np.split(inverse, ends), strict=True)
    }
    order = np.argsort(keys["flags"])
    key = keys["flags"][order]
    count = len(key)
    stamp = stamps["flags"][order]
    which = key // len(ranks)
    time_ms = stamp // NS_PER_MS
    columns: dict[str, Array] = {
        "slot": np.array([int(slot) for slot, _ in series], np.int64)[which],
        "time_ms": time_ms,
    }
    texts: dict[str, tuple[IntArray, list[str]]] = {}
    for name, held in fields.items():
        at = np.minimum(np.searchsorted(key, keys[name]), count - 1)
        fits = key[at] == keys[name]  # a newest value of a field may be older than the newest point
        if name.startswith("extra"):
            texts[name] = (at[fits], [text for text, fit in zip(held.values, fits.tolist(), strict=True) if fit])
        elif name == "lag_ms":
            received = np.zeros(count, np.int64)
            received[at[fits]] = np.array(held.values).astype(np.int64)[fits] + time_ms[at[fits]]
            columns["received_ms"] = received
        elif name in _SIZES:
            columns[name] = _column(name, at[fits], np.array(held.values)[fits], count)
    batch = PointBatch.of(count, columns, _extras(texts))
    age = np.array([int(age) for _, age in series], np.int64)[which]
    return _ordered(batch, stamp - time_ms * NS_PER_MS, age)


def _column(name: str, at: IntArray, texts: Array, count: int) -> Array:
    missing = next(column.missing for column in COLUMNS if column.name == name)
    made = np.full(count, missing, _SIZES[name])
    made[at] = texts.astype(np.float64 if name in _FLOATS else _SIZES[name])
    return made


def _extras(texts: dict[str, tuple[IntArray, list[str]]]) -> Extras:
    """JSON by row; long or odd ones come as hexadecimal digits in pieces."""
    made: dict[int, bytes] = {}
    for name in sorted(texts, key=lambda name: int(name.removeprefix(_HEX)) if name.startswith(_HEX) else -1):
        rows, values = texts[name]
        if name.startswith(_HEX):
            for row, text in zip(rows.tolist(), values, strict=True):
                made[row] = made.get(row, b"") + bytes.fromhex(text)
        elif name == "extra":
            made.update(zip(rows.tolist(), (text.encode() for text in values), strict=True))
    return Extras.of(made) if made else NO_EXTRAS
