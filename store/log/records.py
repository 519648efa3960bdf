"""How a record lies in the log's table, and the reading that both the log and its check do.

Invariants: `received` counts the rows of every record up to and with this one, so the rows of a damaged or
missing record follow from its neighbours; the checksum covers every other column. It writes nothing.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Generator
from dataclasses import dataclass

import xxhash

from model.errors import SchemaTooNew
from model.seams import LogRecord, RecordKind
from store.log.mark import Mark

MIGRATIONS = (
    """
CREATE TABLE records (
  position INTEGER PRIMARY KEY,
  kind INTEGER NOT NULL,
  rows INTEGER NOT NULL,
  received INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  payload BLOB NOT NULL
) STRICT;
CREATE TABLE trimmed (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  position INTEGER NOT NULL,
  received INTEGER NOT NULL
) STRICT;
INSERT INTO trimmed VALUES (1, 0, 0);
CREATE TABLE consumers (
  name TEXT PRIMARY KEY,
  position INTEGER NOT NULL
) STRICT;
""",
)

INSERT_RECORD = "INSERT INTO records (position, kind, rows, received, checksum, payload) VALUES (?, ?, ?, ?, ?, ?)"
_SELECT = "SELECT position, kind, rows, received, checksum, payload FROM records"
_HEAD = struct.Struct("<QqqQ")
_SIGN_BIT = 1 << 63


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table, as it lies there."""

    position: int
    kind: int
    rows: int
    received: int
    checksum: int
    payload: bytes

    def holds(self) -> bool:
        """Whether the checksum holds."""
        return self.checksum == checksum(self.position, self.kind, self.rows, self.received, self.payload)

    def record(self) -> LogRecord:
        """The record; SchemaTooNew when its kind is one that this program does not know."""
        try:
            kind = RecordKind(self.kind)
        except ValueError as error:
            raise SchemaTooNew(
                f"Record {self.position} of the log is of kind {self.kind}, which this lucheng does not know.",
                mend="It was written by a newer lucheng: use that version.",
            ) from error
        return LogRecord(self.position, kind, self.rows, self.payload)


def checksum(position: int, kind: int, rows: int, received: int, payload: bytes) -> int:
    """Checksum of one record, as SQLite's signed 64 bits: xxh3 of the payload, seeded with xxh3 of the rest."""
    try:
        head = _HEAD.pack(position, kind, rows, received)
    except struct.error:
        return 0  # numbers that no log wrote: only damage makes them
    return xxhash.xxh3_64_intdigest(payload, xxhash.xxh3_64_intdigest(head)) - _SIGN_BIT


def rows_after(connection: sqlite3.Connection, after: int, limit: int) -> Generator[Row, None, None]:
    """Rows after position `after` in order, at most `limit`; close the iterator to end the read."""
    cursor = connection.execute(f"{_SELECT} WHERE position > ? ORDER BY position LIMIT ?", (after, limit))
    try:
        for row in cursor:
            yield Row(*row)
    finally:
        cursor.close()


def ends(connection: sqlite3.Connection) -> tuple[int, int]:
    """`(last position, received rows)` as the table knows them: of the newest record, or of the last trim."""
    trimmed, trimmed_received = trimmed_to(connection)
    newest = connection.execute("SELECT position, received FROM records ORDER BY position DESC LIMIT 1").fetchone()
    if newest is None:
        return trimmed, trimmed_received
    return max(newest[0], trimmed), max(newest[1], trimmed_received)


def trimmed_to(connection: sqlite3.Connection) -> tuple[int, int]:
    """`(position, received rows)` up to which records were trimmed."""
    row = connection.execute("SELECT position, received FROM trimmed").fetchone()
    return (0, 0) if row is None else (row[0], row[1])


def received_up_to(connection: sqlite3.Connection, mark: Mark, position: int) -> int | None:
    """Rows received up to and with record `position`, from whatever still knows it and holds; None when nothing does."""
    if (row := _sound_row(connection, position)) is not None:
        return row.received
    if (row := _sound_row(connection, position + 1)) is not None:
        return row.received - row.rows
    if (received := mark.received_at(position)) is not None:
        return received
    trimmed, trimmed_received = trimmed_to(connection)
    return trimmed_received if trimmed == position else None


def _sound_row(connection: sqlite3.Connection, position: int) -> Row | None:
    try:
        row = connection.execute(f"{_SELECT} WHERE position = ?", (position,)).fetchone()
    except sqlite3.DatabaseError:
        return None  # its pages are damaged: as good as not there
    return Row(*row) if row is not None and Row(*row).holds() else None


def received_before(connection: sqlite3.Connection, position: int) -> int:
    """Rows received up to the newest record before `position` that the table still has."""
    row = connection.execute(
        "SELECT received FROM records WHERE position < ? ORDER BY position DESC LIMIT 1", (position,)
    ).fetchone()
    return int(row[0]) if row is not None else trimmed_to(connection)[1]


def rows_of_damaged(connection: sqlite3.Connection, mark: Mark, position: int) -> int:
    """Rows that the damaged or missing record at `position` stood for; 1 when nothing knows it any more."""
    end = received_up_to(connection, mark, position)
    if end is None:
        row = connection.execute("SELECT rows FROM records WHERE position = ?", (position,)).fetchone()
        return int(row[0]) if row is not None and row[0] >= 0 else 1
    start = received_up_to(connection, mark, position - 1) if position > 1 else 0
    if start is None:
        start = received_before(connection, position)
    return end - start if end >= start else 1
