"""Tables of series.db, the key of a chunk, and the checksum that binds a blob to its place.

What lies where: `open_batches` level 0, `segments` level 1, `chunks` level 2 with `groups` as its
directory and `places` as its space-time index; `newest` the newest point of each slot; `number_*` the
other numeric series; `snapshots` the state of the analytics. Tables of counters and quarantine belong to `store/ledger.py`.
"""

from __future__ import annotations

import xxhash

from model.errors import Corrupt
from store.series.rows import MIN_HOUR, PART_BITS, IntArray

DAY_MS = 86_400_000
_SLOT_SHIFT, _HOUR_SHIFT = 10, 41
#: Patches that one (hour, slot) can have beside its first chunk.
MAX_PATCH = (1 << _SLOT_SHIFT) - 1

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE open_batches (
        position INTEGER PRIMARY KEY, stored_ms INTEGER NOT NULL, rows INTEGER NOT NULL,
        min_ms INTEGER NOT NULL, max_ms INTEGER NOT NULL, min_slot INTEGER NOT NULL, max_slot INTEGER NOT NULL,
        checksum INTEGER NOT NULL, blob BLOB NOT NULL
    ) STRICT;
    CREATE TABLE segments (
        id INTEGER PRIMARY KEY AUTOINCREMENT, hour INTEGER NOT NULL, part INTEGER NOT NULL, day INTEGER NOT NULL,
        rows INTEGER NOT NULL, checksum INTEGER NOT NULL, blob BLOB NOT NULL
    ) STRICT;
    CREATE INDEX segments_of ON segments (part, hour, day);
    CREATE TABLE chunks (
        key INTEGER PRIMARY KEY, day INTEGER NOT NULL, rows INTEGER NOT NULL,
        checksum INTEGER NOT NULL, blob BLOB NOT NULL
    ) STRICT;
    CREATE TABLE groups (
        part INTEGER NOT NULL, hour INTEGER NOT NULL, day INTEGER NOT NULL, rows INTEGER NOT NULL,
        PRIMARY KEY (part, hour, day)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE newest (
        part INTEGER PRIMARY KEY, rows INTEGER NOT NULL, checksum INTEGER NOT NULL, blob BLOB NOT NULL
    ) STRICT;
    CREATE TABLE number_series (
        id INTEGER PRIMARY KEY, series TEXT NOT NULL, source TEXT NOT NULL, UNIQUE (series, source)
    ) STRICT;
    CREATE TABLE number_open (
        series_id INTEGER NOT NULL REFERENCES number_series (id), time_ms INTEGER NOT NULL, value REAL,
        day INTEGER NOT NULL, PRIMARY KEY (series_id, time_ms)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE number_chunks (
        series_id INTEGER NOT NULL REFERENCES number_series (id), date INTEGER NOT NULL, day INTEGER NOT NULL,
        rows INTEGER NOT NULL, checksum INTEGER NOT NULL, blob BLOB NOT NULL, PRIMARY KEY (series_id, date)
    ) STRICT;
    CREATE TABLE snapshots (
        name TEXT PRIMARY KEY, position INTEGER NOT NULL, checksum INTEGER NOT NULL, blob BLOB NOT NULL
    ) STRICT;
    """,
    "-- Extras lie as columns from here on: in open batches (`LB2`), and in frames (bit 30).",
    """
    CREATE TABLE places (
        id INTEGER PRIMARY KEY, part INTEGER NOT NULL, hour INTEGER NOT NULL, day INTEGER NOT NULL,
        rows INTEGER NOT NULL, checksum INTEGER NOT NULL, blob BLOB NOT NULL, UNIQUE (part, hour, day)
    ) STRICT;
    """,
)


def chunk_key(hour: int, slot: int, patch: int = 0) -> int:
    """Row id of a chunk: hour (22 bits from `MIN_HOUR`), slot (31), patch (10); an hour's chunks lie together."""
    return (hour - MIN_HOUR) << _HOUR_SHIFT | slot << _SLOT_SHIFT | patch


def chunk_keys(hours: IntArray, slots: IntArray) -> IntArray:
    """`chunk_key` of the first chunk, for columns."""
    return (hours - MIN_HOUR) << _HOUR_SHIFT | slots << _SLOT_SHIFT


def key_parts(key: int) -> tuple[int, int, int]:
    """(hour, slot, patch) of a chunk key."""
    return (key >> _HOUR_SHIFT) + MIN_HOUR, key >> _SLOT_SHIFT & 0x7FFFFFFF, key & MAX_PATCH


def part_slots(part: int) -> tuple[int, int]:
    """First slot of a part and of the one after it."""
    return part << PART_BITS, (part + 1) << PART_BITS


#: `chunk_key` in SQL: the lowest key of (`hour`, `slot`). SQLite gives << and | one rank, so all is bracketed.
SQL_KEY = f"(((hour + {-MIN_HOUR}) << {_HOUR_SHIFT}) | (? << {_SLOT_SHIFT}))"


def checksum(table: str, key: int, blob: bytes) -> int:
    """xxh3 (63 bits, to fit SQLite) of a blob, seeded with its place so that a misplaced blob shows too."""
    return xxhash.xxh3_64_intdigest(blob, seed=_SEEDS[table] ^ (key & 0x7FFFFFFFFFFFFFFF)) >> 1


_SEEDS = {name: xxhash.xxh3_64_intdigest(name.encode()) for name in (
    "open_batches", "segments", "chunks", "newest", "number_chunks", "snapshots", "places",
)}  # fmt: skip


def verified(table: str, key: int, stored: int, blob: bytes, place: str) -> bytes:
    """`blob`, or Corrupt naming `place` when its checksum does not hold."""
    if checksum(table, key, blob) != stored:
        raise Corrupt(
            f"series.db is damaged at {place}: the checksum does not hold.",
            mend="Run `lucheng store check`, then restore the file from a back-up.",
        )
    return blob


def text_key(text: str) -> int:
    """A checksum key for tables whose key is a text."""
    return xxhash.xxh3_64_intdigest(text.encode()) >> 1


def chunk_place(key: int) -> str:
    """A chunk's place in words."""
    hour, slot, patch = key_parts(key)
    return f"chunk hour {hour}, slot {slot}, patch {patch}"
