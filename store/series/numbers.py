"""Other named numeric series by source (camera health, alarm clocks): a few open rows, then one blob a day.

The same time again replaces. Open rows of a series are at most `max_open_numbers`; beyond that
they are merged into one compressed blob per day of their times. Retention goes by the newest
stored day of a blob.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import zstandard

from model.errors import Corrupt
from store.series.schema import DAY_MS, checksum, verified

DEFAULT_MAX_OPEN_NUMBERS = 4_096

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
_COUNT = struct.Struct("<I")


def number_key(series_id: int, date: int) -> int:
    """Checksum key of a blob."""
    return (series_id << 24) ^ (date & 0xFFFFFF)


def encode_numbers(time_ms: Times, values: Values) -> bytes:
    """Count u32, then times (differences) and values as byte planes, in one zstd frame."""
    planes = [np.diff(time_ms, prepend=0).astype("<i8"), values.astype("<f8")]
    raw = b"".join(column.view(np.uint8).reshape(-1, 8).T.tobytes() for column in planes)
    return zstandard.ZstdCompressor(level=3).compress(_COUNT.pack(len(time_ms)) + raw)


def decode_numbers(blob: bytes) -> tuple[Times, Values]:
    """Times and values of a blob. Raises Corrupt when it is not one."""
    try:
        raw = zstandard.ZstdDecompressor().decompress(blob)
        (count,) = _COUNT.unpack_from(raw, 0)
        if len(raw) != _COUNT.size + 16 * count:
            raise ValueError("lengths do not add up")
        planes = np.frombuffer(raw, np.uint8, offset=_COUNT.size).reshape(2, 8, count)
        delta = np.ascontiguousarray(planes[0].T).view("<i8").ravel()
        return np.cumsum(delta), np.ascontiguousarray(planes[1].T).view("<f8").ravel()
    except (zstandard.ZstdError, struct.error, ValueError) as error:
        raise Corrupt(f"not a blob of numbers: {error}", mend="Run `lucheng store check`.") from error


def put(
    connection: sqlite3.Connection,
    series: str,
    source: str,
    time_ms: Times,
    values: Values,
    day: int,
    max_open_numbers: int,
) -> None:
    """Add samples; the caller's transaction."""
    connection.execute("INSERT OR IGNORE INTO number_series (series, source) VALUES (?, ?)", (series, source))
    series_id = _series_id(connection, series, source)
    assert series_id is not None
    if len(time_ms) > max_open_numbers:
        _merge(connection, series_id, time_ms, values, day)
        # an older open row of the same time would hide the new one
        connection.executemany(
            "DELETE FROM number_open WHERE series_id = ? AND time_ms = ?",
            [(series_id, time) for time in time_ms.tolist()],
        )
        return
    connection.executemany(
        "INSERT OR REPLACE INTO number_open VALUES (?, ?, ?, ?)",
        [(series_id, time, value, day) for time, value in zip(time_ms.tolist(), values.tolist(), strict=True)],
    )
    (rows,) = connection.execute("SELECT count(*) FROM number_open WHERE series_id = ?", (series_id,)).fetchone()
    if rows > max_open_numbers:
        found = connection.execute(
            "SELECT time_ms, value, day FROM number_open WHERE series_id = ? ORDER BY time_ms", (series_id,)
        ).fetchall()
        times, numbers = _columns(found)
        _merge(connection, series_id, times, numbers, max(row[2] for row in found))
        connection.execute("DELETE FROM number_open WHERE series_id = ?", (series_id,))


def _series_id(connection: sqlite3.Connection, series: str, source: str) -> int | None:
    row = connection.execute(
        "SELECT id FROM number_series WHERE series = ? AND source = ?", (series, source)
    ).fetchone()
    return None if row is None else int(row[0])


def _columns(found: Sequence[tuple[int, float | None, int]]) -> tuple[Times, Values]:
    """SQLite keeps NaN as NULL."""
    return (
        np.array([row[0] for row in found], np.int64),
        np.array([np.nan if row[1] is None else row[1] for row in found], np.float64),
    )


def _merged(pieces: Sequence[tuple[Times, Values]]) -> tuple[Times, Values]:
    """All samples by time; of several at one time the one of the last piece, and the last in it."""
    times = np.concatenate([piece[0] for piece in pieces])
    values = np.concatenate([piece[1] for piece in pieces])
    order = np.argsort(times, kind="stable")
    times, values = times[order], values[order]
    last = np.ones(len(times), np.bool_)
    last[:-1] = times[1:] != times[:-1]
    return times[last], values[last]


def _merge(connection: sqlite3.Connection, series_id: int, time_ms: Times, values: Values, day: int) -> None:
    dates = time_ms // DAY_MS
    for date in np.unique(dates).tolist():
        chosen = dates == date
        piece = (time_ms[chosen], values[chosen])
        held = connection.execute(
            "SELECT day, checksum, blob FROM number_chunks WHERE series_id = ? AND date = ?", (series_id, date)
        ).fetchone()
        newest_day = day
        pieces = [piece]
        if held is not None:
            newest_day = max(day, held[0])
            pieces.insert(0, decode_numbers(_verified(series_id, date, held[1], held[2])))
        times, numbers = _merged(pieces)
        blob = encode_numbers(times, numbers)
        connection.execute(
            "INSERT OR REPLACE INTO number_chunks VALUES (?, ?, ?, ?, ?, ?)",
            (
                series_id,
                date,
                newest_day,
                len(times),
                checksum("number_chunks", number_key(series_id, date), blob),
                blob,
            ),
        )


def _verified(series_id: int, date: int, check: int, blob: bytes) -> bytes:
    return verified("number_chunks", number_key(series_id, date), check, blob, f"numbers {series_id}, day {date}")


def get(connection: sqlite3.Connection, series: str, source: str, from_ms: int, to_ms: int) -> tuple[Times, Values]:
    """Samples with from_ms <= time < to_ms, by time."""
    nothing = (np.zeros(0, np.int64), np.zeros(0, np.float64))
    series_id = _series_id(connection, series, source)
    if series_id is None:
        return nothing
    pieces = [nothing]
    for date, check, blob in connection.execute(
        "SELECT date, checksum, blob FROM number_chunks WHERE series_id = ? AND date BETWEEN ? AND ? ORDER BY date",
        (series_id, from_ms // DAY_MS, (to_ms - 1) // DAY_MS),
    ):
        pieces.append(decode_numbers(_verified(series_id, date, check, blob)))
    found = connection.execute(
        "SELECT time_ms, value, day FROM number_open WHERE series_id = ? AND time_ms >= ? AND time_ms < ?",
        (series_id, from_ms, to_ms),
    ).fetchall()
    pieces.append(_columns(found))
    times, values = _merged(pieces)
    inside = (times >= from_ms) & (times < to_ms)
    return times[inside], values[inside]


def retain(connection: sqlite3.Connection, day: int) -> None:
    """Delete what was stored before `day`; the caller's transaction."""
    connection.execute("DELETE FROM number_open WHERE day < ?", (day,))
    connection.execute("DELETE FROM number_chunks WHERE day < ?", (day,))
