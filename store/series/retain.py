"""Retention: deletes what was stored on days that are over, one group a transaction.

Killed midway it goes on with the next call: what is left to delete is found by its stored day.
`newest` is put right first, so that the newest point of a device is never one that is gone.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator

from store.database import transaction
from store.ledger import Ledger
from store.series.newest import Newest
from store.series.places import forget
from store.series.read import Window, decode_chunks, segment_rows
from store.series.rows import HOUR_MS, PART_BITS
from store.series.schema import MAX_PATCH, chunk_key, part_slots


def renew_newest(connection: sqlite3.Connection, newest: Newest, day: int) -> None:
    """Replace the newest points that were stored before `day` by the newest that stay; one transaction."""
    before = newest.rows()
    gone = newest.drop_before(day)
    if not len(gone):
        return
    hours = dict(zip(before.array("slot").tolist(), before.array("hour").tolist(), strict=True))
    by_part: defaultdict[int, list[int]] = defaultdict(list)
    for slot in gone.tolist():
        by_part[slot >> PART_BITS].append(slot)
    for part, slots in by_part.items():
        _find_older(connection, newest, part, slots, max(hours[slot] for slot in slots), day)
    with transaction(connection):
        newest.write(connection, by_part)


def _find_older(
    connection: sqlite3.Connection, newest: Newest, part: int, slots: list[int], last_hour: int, day: int
) -> None:
    """Look for the newest row of each slot among late data stored since `day`: few hours, the newest first."""
    left = set(slots)
    first_slot, end_slot = part_slots(part)
    found = connection.execute(
        "SELECT hour FROM groups WHERE part = ?1 AND hour <= ?2 AND day >= ?3 UNION"
        " SELECT hour FROM segments WHERE part = ?1 AND hour <= ?2 AND day >= ?3 ORDER BY hour DESC",
        (part, last_hour, day),
    ).fetchall()
    for (hour,) in found:
        for slot in sorted(left):
            key = chunk_key(hour, slot)
            chunks = connection.execute(
                "SELECT key, day, checksum, blob FROM chunks WHERE key BETWEEN ? AND ? AND day >= ?",
                (key, key + MAX_PATCH, day),
            ).fetchall()
            if chunks:
                newest.absorb(decode_chunks(chunks))
                left.discard(slot)
        window = Window(hour * HOUR_MS, (hour + 1) * HOUR_MS, first_slot, end_slot)
        for rows in segment_rows(connection, window, since_day=day):
            newest.absorb(rows)  # rows of slots whose newest stays lose against it
            left -= set(rows.array("slot").tolist())
        if not left:
            return


def delete_before(connection: sqlite3.Connection, ledger: Ledger, day: int) -> Iterator[int]:
    """Delete what was stored before `day`, one transaction a step; yields the rows of each step."""
    for part, hour in connection.execute("SELECT DISTINCT part, hour FROM segments WHERE day < ?", (day,)).fetchall():
        with transaction(connection):
            where = "FROM segments WHERE part = ? AND hour = ? AND day < ?"
            (rows,) = connection.execute(f"SELECT coalesce(sum(rows), 0) {where}", (part, hour, day)).fetchone()
            connection.execute(f"DELETE {where}", (part, hour, day))
            ledger.expire(rows)
        yield rows
    for part, hour in connection.execute("SELECT DISTINCT part, hour FROM groups WHERE day < ?", (day,)).fetchall():
        first_slot, end_slot = part_slots(part)
        with transaction(connection):
            (rows,) = connection.execute(
                "SELECT coalesce(sum(rows), 0) FROM groups WHERE part = ? AND hour = ? AND day < ?", (part, hour, day)
            ).fetchone()
            connection.execute(
                "DELETE FROM chunks WHERE key >= ? AND key < ? AND day < ?",
                (chunk_key(hour, first_slot), chunk_key(hour, end_slot), day),
            )
            connection.execute("DELETE FROM groups WHERE part = ? AND hour = ? AND day < ?", (part, hour, day))
            forget(connection, part, hour, day)
            ledger.expire(rows)
        yield rows
