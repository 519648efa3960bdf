"""Moving rows down: open batches to segments (flush), segments to one chunk per device-hour (seal).

Invariants: each step is one transaction, so a crash leaves every row at exactly one level; memory
is bounded by `max_seal_rows`; rows stored on different days never share a segment or a chunk, so
that retention can delete by stored day.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from store.series import places as place_index
from store.series.chunk import DEFAULT_LEVEL, decode_many, encode_groups
from store.series.newest import Newest
from store.series.open_rows import OpenRows
from store.series.read import ChunkRow, decode_chunks, slot_ranges
from store.series.rows import PART_BITS, Rows, Value, compact
from store.series.schema import MAX_PATCH, checksum, chunk_key, chunk_keys, key_parts, verified

DEFAULT_MAX_SEAL_ROWS = 524_288
DEFAULT_MAX_PATCHES = 8
#: Chunks of one device-hour after which patches of different stored days are merged too.
_MAX_CHUNKS = MAX_PATCH // 2


@dataclass(frozen=True, slots=True)
class SealRules:
    """Limits of the movers.

    Attributes:
        max_seal_rows: rows in memory at once while sealing.
        max_patches: chunks of one device-hour and stored day before they are merged into one.
        level: zstd level.
    """

    max_seal_rows: int = DEFAULT_MAX_SEAL_ROWS
    max_patches: int = DEFAULT_MAX_PATCHES
    level: int = DEFAULT_LEVEL


@dataclass(frozen=True, slots=True)
class Flushed:
    """What a flush did: rows that went straight into chunks, and the (hour, part) of every group it wrote."""

    sealed_rows: int
    groups: list[tuple[int, int]]


def flush(
    connection: sqlite3.Connection, open_rows: OpenRows, newest: Newest, seal_before_hour: int, rules: SealRules
) -> Flushed:
    """Write all open rows as segments, or as chunks where the hour is over and has no segment; the caller's transaction.

    `newest` takes them over; the caller must load it anew when the transaction fails.
    """
    day = open_rows.day
    if day is None:
        return Flushed(0, [])
    rows = Rows.of_batches([held.batch for held in open_rows.batches], day).ordered()
    starts = rows.part_starts()
    counts = np.diff(starts, append=rows.count)
    groups = list(
        zip(rows.array("hour")[starts].tolist(), (rows.array("slot")[starts] >> PART_BITS).tolist(), strict=True)
    )
    direct = np.array(
        [hour < seal_before_hour and not _has_segments(connection, hour, part) for hour, part in groups], np.bool_
    )
    sealed = 0
    if direct.any():
        ended = rows.take(np.repeat(direct, counts)) if not direct.all() else rows
        insert_chunks(connection, ended, day, rules)
        sealed = ended.count
    if not direct.all():
        kept = rows.take(~np.repeat(direct, counts)) if direct.any() else rows
        _insert_segments(connection, kept, day, rules.level)
    newest.write(connection, newest.absorb(rows))
    connection.execute("DELETE FROM open_batches")
    return Flushed(sealed, groups)


def _has_segments(connection: sqlite3.Connection, hour: int, part: int) -> bool:
    found = connection.execute("SELECT 1 FROM segments WHERE part = ? AND hour = ? LIMIT 1", (part, hour))
    return found.fetchone() is not None


def _insert_segments(connection: sqlite3.Connection, rows: Rows, day: int, level: int) -> None:
    starts = rows.part_starts()
    counts = np.diff(starts, append=rows.count).tolist()
    hours = rows.array("hour")[starts].tolist()
    parts = (rows.array("slot")[starts] >> PART_BITS).tolist()
    (newest,) = connection.execute(
        "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'segments'"
    ).fetchone()
    frames = encode_groups(rows, starts, level=level)
    connection.executemany(
        "INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (number, hour, part, day, count, checksum("segments", number, frame), frame)
            for number, (hour, part, count, frame) in enumerate(
                zip(hours, parts, counts, frames, strict=True), start=newest + 1
            )
        ],
    )


def segment_groups(connection: sqlite3.Connection, before_hour: int) -> list[tuple[int, int, int]]:
    """(part, hour, day) of the segments of hours before `before_hour`, oldest hour first."""
    found: list[tuple[int, int, int]] = connection.execute(
        "SELECT DISTINCT part, hour, day FROM segments WHERE hour < ? ORDER BY hour, part, day", (before_hour,)
    ).fetchall()
    return found


def seal_group(connection: sqlite3.Connection, part: int, hour: int, day: int, rules: SealRules) -> int:
    """Turn the segments of one (part, hour, day) into chunks; the caller's transaction. Return the rows."""
    where = (part, hour, day)
    numbers = [
        (number, rows)
        for number, rows in connection.execute(
            "SELECT id, rows FROM segments WHERE part = ? AND hour = ? AND day = ? ORDER BY id", where
        )
    ]
    total = sum(int(rows) for _, rows in numbers)
    for from_slot, to_slot in slot_ranges(part, total, rules.max_seal_rows):
        pieces = [_segment(connection, number, from_slot, to_slot) for number, _ in numbers]
        rows = Rows.concat(pieces)
        if rows.count:
            insert_chunks(connection, rows.ordered(), day, rules)
    connection.execute("DELETE FROM segments WHERE part = ? AND hour = ? AND day = ?", where)
    return total


def _segment(connection: sqlite3.Connection, number: int, from_slot: int, to_slot: int) -> Rows:
    check, blob = connection.execute("SELECT checksum, blob FROM segments WHERE id = ?", (number,)).fetchone()
    rows, _ = decode_many([verified("segments", number, check, blob, f"segment {number}")])
    slot = rows.array("slot")
    inside = (slot >= from_slot) & (slot < to_slot)
    return rows if inside.all() else rows.take(inside)


def insert_chunks(connection: sqlite3.Connection, rows: Rows, day: int, rules: SealRules) -> None:
    """Insert ordered rows as one chunk per (hour, slot): the first there, or a further patch; the caller's transaction."""
    starts = rows.starts(rows.columns["hour"], rows.columns["slot"])
    hours = rows.array("hour")[starts].astype(np.int64)
    slots = rows.array("slot")[starts].astype(np.int64)
    counts = np.diff(starts, append=rows.count)
    keys = chunk_keys(hours, slots).tolist()
    places = list(zip(hours.tolist(), (slots >> PART_BITS).tolist(), strict=True))
    known = {place for place in set(places) if _has_chunks(connection, *place)}
    crowded: list[tuple[int, int]] = []
    if known:
        for index, place in enumerate(places):
            if place in known:
                keys[index] = _next_patch(connection, keys[index], day, rules, crowded)
    plain = replace(rows, columns={**_compacted(rows), "hour": 0, "slot": 0, "day": 0})
    frames = encode_groups(plain, starts, level=rules.level)
    connection.executemany(
        "INSERT INTO chunks VALUES (?, ?, ?, ?, ?)",
        [
            (key, day, count, checksum("chunks", key, frame), frame)
            for key, count, frame in zip(keys, counts.tolist(), frames, strict=True)
        ],
    )
    totals: dict[tuple[int, int], int] = {}
    for place, count in zip(places, counts.tolist(), strict=True):
        totals[place] = totals.get(place, 0) + count
    connection.executemany(
        "INSERT INTO groups VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET rows = rows + excluded.rows",
        [(part, hour, day, count) for (hour, part), count in totals.items()],
    )
    place_index.note_chunks(connection, rows, starts, day, known)
    for hour, slot in crowded:
        _merge_chunks(connection, hour, slot, day, rules)


def _compacted(rows: Rows) -> dict[str, Value]:
    """Columns in int32 where they fit: half the memory to move in every transform."""
    return {name: value if isinstance(value, int) else compact(value) for name, value in rows.columns.items()}


def _has_chunks(connection: sqlite3.Connection, hour: int, part: int) -> bool:
    found = connection.execute("SELECT 1 FROM groups WHERE part = ? AND hour = ? LIMIT 1", (part, hour))
    return found.fetchone() is not None


def _next_patch(
    connection: sqlite3.Connection, key: int, day: int, rules: SealRules, crowded: list[tuple[int, int]]
) -> int:
    """The first free key of a device-hour; notes it in `crowded` when its patches should be merged."""
    held = connection.execute(
        "SELECT key, day FROM chunks WHERE key BETWEEN ? AND ?", (key, key + MAX_PATCH)
    ).fetchall()
    if sum(1 for _, other in held if other == day) >= rules.max_patches or len(held) >= _MAX_CHUNKS:
        hour, slot, _ = key_parts(key)
        crowded.append((hour, slot))
    taken = {number for number, _ in held}
    while key in taken:
        key += 1
    return key


def _merge_chunks(connection: sqlite3.Connection, hour: int, slot: int, day: int, rules: SealRules) -> None:
    """Merge the patches of one device-hour that were stored on `day` (all of them when there are too many)."""
    first = chunk_key(hour, slot)
    found: Sequence[ChunkRow] = connection.execute(
        "SELECT key, day, checksum, blob FROM chunks WHERE key BETWEEN ? AND ? ORDER BY key", (first, first + MAX_PATCH)
    ).fetchall()
    merge_days = len(found) > _MAX_CHUNKS
    chosen = [row for row in found if merge_days or row[1] == day]
    newest_day = max(row[1] for row in chosen)
    rows = decode_chunks(chosen).ordered()
    rows.columns.update(_compacted(rows), hour=0, slot=0, day=0)
    (frame,) = encode_groups(rows, np.zeros(1, np.int64), level=rules.level)
    key = chosen[0][0]
    part = slot >> PART_BITS
    connection.executemany("DELETE FROM chunks WHERE key = ?", [(row[0],) for row in chosen])
    if merge_days:  # rows move to the newest stored day: kept a little longer, never shorter
        for _, other, _, blob in chosen:
            count = int(decode_many([blob], only=frozenset())[1][0])
            connection.execute(
                "UPDATE groups SET rows = rows - ? WHERE part = ? AND hour = ? AND day = ?", (count, part, hour, other)
            )
        connection.execute(
            "UPDATE groups SET rows = rows + ? WHERE part = ? AND hour = ? AND day = ?",
            (rows.count, part, hour, newest_day),
        )
        connection.execute("DELETE FROM groups WHERE part = ? AND hour = ? AND rows = 0", (part, hour))
        place_index.forget(connection, part, hour)  # made again from the chunks, when its turn comes
    connection.execute(
        "INSERT INTO chunks VALUES (?, ?, ?, ?, ?)",
        (key, newest_day, rows.count, checksum("chunks", key, frame), frame),
    )
