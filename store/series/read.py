"""Reading: gathers what open batches, segments and chunks hold of a window, and puts it in order.

Every function works inside its caller's snapshot (one transaction, or the writer's lock). It
judges no grant: `embedded.py` does, before it calls here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from store.series.chunk import decode_many
from store.series.open_rows import OpenBatch, select
from store.series.rows import HOUR_MS, MAX_HOUR, MIN_HOUR, PART_BITS, Rows
from store.series.schema import MAX_PATCH, SQL_KEY, chunk_key, chunk_place, key_parts, part_slots, verified

#: Rows of a time series' SELECT of chunks: key, day, checksum, blob.
ChunkRow = tuple[int, int, int, bytes]


@dataclass(frozen=True, slots=True)
class Window:
    """from_ms <= time < to_ms and from_slot <= slot < to_slot; the slots lie in one part."""

    from_ms: int
    to_ms: int
    from_slot: int
    to_slot: int

    @property
    def part(self) -> int:
        return self.from_slot >> PART_BITS

    @property
    def hours(self) -> tuple[int, int]:
        """First and last hour touched."""
        return hour_of(self.from_ms), hour_of(self.to_ms - 1)


def hour_of(time_ms: int) -> int:
    """The hour under which a time is kept."""
    return min(max(time_ms // HOUR_MS, MIN_HOUR), MAX_HOUR)


def decode_chunks(found: Sequence[ChunkRow], *, only: frozenset[str] | None = None) -> Rows:
    """Rows of chunks with their slot, hour and day, chunk after chunk. Raises Corrupt naming a damaged one."""
    if not found:
        return Rows.empty()
    frames = [verified("chunks", key, check, blob, chunk_place(key)) for key, _, check, blob in found]
    rows, counts = decode_many(frames, only=only)
    places = [key_parts(key) for key, _, _, _ in found]
    for name, values in (
        ("hour", [place[0] for place in places]),
        ("slot", [place[1] for place in places]),
        ("day", [day for _, day, _, _ in found]),
    ):
        same = all(value == values[0] for value in values)
        rows.columns[name] = values[0] if same else np.repeat(np.array(values, np.int64), counts)
    return rows


def chunks_of_slot(connection: sqlite3.Connection, slot: int, first_hour: int, last_hour: int) -> list[ChunkRow]:
    """Chunks of one slot in some hours, in the order of hours and patches."""
    return connection.execute(
        "SELECT c.key, c.day, c.checksum, c.blob FROM"  # noqa: S608 - constants
        " (SELECT DISTINCT hour FROM groups WHERE part = ? AND hour BETWEEN ? AND ?) CROSS JOIN chunks c"
        f" WHERE c.key BETWEEN {SQL_KEY} AND {SQL_KEY} + {MAX_PATCH}",
        (slot >> PART_BITS, first_hour, last_hour, slot, slot),
    ).fetchall()


def chunks_of_hour(connection: sqlite3.Connection, hour: int, from_slot: int, to_slot: int) -> list[ChunkRow]:
    """Chunks of one hour and a run of slots, in the order of slots and patches."""
    return connection.execute(
        "SELECT key, day, checksum, blob FROM chunks WHERE key >= ? AND key < ?",
        (chunk_key(hour, from_slot), chunk_key(hour, to_slot)),
    ).fetchall()


def segment_rows(
    connection: sqlite3.Connection, window: Window, *, only: frozenset[str] | None = None, since_day: int | None = None
) -> list[Rows]:
    """What segments hold of a window's hours and slots, oldest segment first (times are not cut yet)."""
    first, last = window.hours
    pieces: list[Rows] = []
    whole = (window.from_slot, window.to_slot) == part_slots(window.part)
    for number, check, blob in connection.execute(
        "SELECT id, checksum, blob FROM segments WHERE part = ? AND hour BETWEEN ? AND ? AND day >= ? ORDER BY id",
        (window.part, first, last, -(1 << 62) if since_day is None else since_day),
    ):
        rows, _ = decode_many([verified("segments", number, check, blob, f"segment {number}")], only=only)
        if not whole:
            slot = rows.array("slot")
            rows = rows.take((slot >= window.from_slot) & (slot < window.to_slot))
        pieces.append(rows)
    return pieces


def collect(connection: sqlite3.Connection, open_batches: Sequence[OpenBatch], window: Window) -> Rows:
    """Every row of a window, ordered by (hour, slot, time, seq)."""
    first, last = window.hours
    if window.to_slot - window.from_slot == 1:
        found = chunks_of_slot(connection, window.from_slot, first, last)
    else:
        found = [
            row
            for (hour,) in connection.execute(
                "SELECT DISTINCT hour FROM groups WHERE part = ? AND hour BETWEEN ? AND ?", (window.part, first, last)
            ).fetchall()
            for row in chunks_of_hour(connection, hour, window.from_slot, window.to_slot)
        ]
    pieces = [decode_chunks(found), *segment_rows(connection, window)]
    chosen = select(open_batches, window.from_ms, window.to_ms, window.from_slot, window.to_slot)
    if chosen:
        pieces.append(Rows.of_batches(chosen, 0))
    rows = Rows.concat(pieces)
    if not rows.count:
        return rows
    time_ms = rows.time_ms()
    inside = (time_ms >= window.from_ms) & (time_ms < window.to_ms)
    return (rows if inside.all() else rows.take(inside)).ordered()


def groups_in(
    connection: sqlite3.Connection, open_batches: Sequence[OpenBatch], from_ms: int, to_ms: int
) -> list[tuple[int, int, int]]:
    """(hour, part, rows at most) of everything that may lie in a window, by hour, then part."""
    first, last = hour_of(from_ms), hour_of(to_ms - 1)
    found: dict[tuple[int, int], int] = {}
    for table in ("groups", "segments"):
        for hour, part, rows in connection.execute(
            f"SELECT hour, part, sum(rows) FROM {table} WHERE hour BETWEEN ? AND ? GROUP BY hour, part",  # noqa: S608 - a constant
            (first, last),
        ):
            found[hour, part] = found.get((hour, part), 0) + rows
    for batch in select(open_batches, from_ms, to_ms, 0, 1 << 31):
        hours = np.clip(batch.time_ms // HOUR_MS, MIN_HOUR, MAX_HOUR)
        pairs, counts = np.unique(
            np.stack((hours, batch.slot.astype(np.int64) >> PART_BITS)), axis=1, return_counts=True
        )
        for hour, part, rows in zip(*pairs.tolist(), counts.tolist(), strict=True):
            found[hour, part] = found.get((hour, part), 0) + rows
    return [(hour, part, rows) for (hour, part), rows in sorted(found.items())]


def slot_ranges(part: int, rows: int, max_rows: int) -> list[tuple[int, int]]:
    """Equal runs of a part's slots, so many that one holds about `max_rows` of its `rows`."""
    first, end = part_slots(part)
    pieces = min(max(-(-rows // max_rows), 1), end - first)
    edges = [first + (end - first) * piece // pieces for piece in range(pieces + 1)]
    return list(pairwise(edges))
