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
  received INTEGER NOT NULL,
  checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE consumers (
  name TEXT PRIMARY KEY,
  position INTEGER NOT NULL,
  checksum INTEGER NOT NULL
) STRICT;
""",
    "-- Extras of points lie as columns from here on (`LB2`).",
)

INSERT_RECORD = "INSERT INTO records (position, kind, rows, received, checksum, payload) VALUES (?, ?, ?, ?, ?, ?)"
SAVE_TRIMMED = "INSERT OR REPLACE INTO trimmed VALUES (1, ?, ?, ?)"
SAVE_CONSUMER = "INSERT OR REPLACE INTO consumers VALUES (?, ?, ?)"
_SELECT = "SELECT position, kind, rows, received, checksum, payload FROM records"
_HEAD = struct.Struct("<QqqQ")
_SIGN_BIT = 1 << 63
_NO_CHECKSUM = 1 << 64  # equals no stored one
#: Damaged records that the search for the last sound one steps over.
_MAX_DAMAGED_AT_END = 1_000


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table, as it lies there; in a damaged one anything may be of any type, so ask `holds` first."""

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
        return xxhash.xxh3_64_intdigest(payload, xxhash.xxh3_64_intdigest(head)) - _SIGN_BIT
    except (struct.error, TypeError):
        return _NO_CHECKSUM  # what no log wrote: only damage makes it


def place_checksum(name: str, position: int, received: int = 0) -> int:
    """Checksum of a consumer's position, or (with the name "") of where the log was trimmed."""
    return checksum(position, 0, 0, received, name.encode("utf-8", "replace"))


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
    newest = connection.execute("SELECT max(position) FROM records").fetchone()[0]
    if newest is None:
        return trimmed, trimmed_received
    return max(newest, trimmed), received_by(connection, newest)


def trimmed_to(connection: sqlite3.Connection) -> tuple[int, int]:
    """`(position, received rows)` up to which records were trimmed; (0, 0) when that is not known any more."""
    row = connection.execute("SELECT position, received, checksum FROM trimmed").fetchone()
    if row is None or row[2] != place_checksum("", row[0], row[1]):
        return 0, 0
    return row[0], row[1]


def consumers_of(connection: sqlite3.Connection) -> tuple[dict[str, int], list[str]]:
    """Saved positions by consumer, and the consumers whose saved position is damaged (they start anew, never ahead)."""
    found: dict[str, int] = {}
    damaged: list[str] = []
    for name, position, stored in connection.execute("SELECT name, position, checksum FROM consumers"):
        if isinstance(name, str) and stored == place_checksum(name, position):
            found[name] = position
        else:
            damaged.append(str(name))
    return found, damaged


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


def received_by(connection: sqlite3.Connection, position: int) -> int:
    """Rows received up to the newest sound record, not beyond `position`, that the table has, or up to the last trim."""
    received = trimmed_to(connection)[1]
    for _ in range(_MAX_DAMAGED_AT_END):
        newest = connection.execute("SELECT max(position) FROM records WHERE position <= ?", (position,)).fetchone()[0]
        if newest is None:
            break
        if (row := _sound_row(connection, newest)) is not None:
            return max(row.received, received)
        position = newest - 1
    return received


def rows_of_damaged(connection: sqlite3.Connection, mark: Mark, position: int) -> int:
    """Rows that the damaged or missing record at `position` stood for; 1 when nothing knows it any more."""
    end = received_up_to(connection, mark, position)
    if end is None:
        row = connection.execute("SELECT rows FROM records WHERE position = ?", (position,)).fetchone()
        return row[0] if row is not None and isinstance(row[0], int) and row[0] >= 0 else 1
    start = received_up_to(connection, mark, position - 1) if position > 1 else 0
    if start is None:
        start = received_by(connection, position - 1)
    return end - start if end >= start else 1
