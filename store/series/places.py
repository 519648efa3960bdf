"""The table `places`: the space-time index of the chunks, one blob of boxes for each row of `groups`.

Invariants: it is written in the transaction that writes the chunks, so a crash leaves no chunk of a new group without it; it
is derived, so it can always be made again from the chunks; an index that does not cover all rows of its group (an older
file's, or one whose rows moved between days) counts as none, and a search then reads the chunks themselves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from model.errors import Corrupt
from store.series.boxes import BOX_NAMES, Boxes, boxes_of, boxes_of_hour, decode_boxes, encode_boxes, together
from store.series.read import decode_chunks, slot_ranges
from store.series.rows import PART_BITS, IntArray, Rows
from store.series.schema import checksum, chunk_key, text_key

#: (part, hour, stored day) of a row of `groups`.
Group = tuple[int, int, int]
_ROWS_OF = "SELECT rows FROM groups WHERE part = ? AND hour = ? AND day = ?"


def note_chunks(
    connection: sqlite3.Connection, rows: Rows, starts: IntArray, day: int, known: set[tuple[int, int]]
) -> None:
    """Index the chunks just inserted, after their groups; the caller's transaction.

    `rows` are `ordered`, `starts` the first row of each chunk, `known` the (hour, part) that had chunks before.
    """
    hour = rows.array("hour")[starts].astype(np.int64)
    slot = rows.array("slot")[starts].astype(np.int64)
    counts = np.diff(starts, append=rows.count)
    low, high = boxes_of(rows, starts)
    part = slot >> PART_BITS
    first = np.flatnonzero((np.diff(hour, prepend=hour[0] - 1) != 0) | (np.diff(part, prepend=-1) != 0))
    for begin, end in zip(first.tolist(), [*first[1:].tolist(), len(starts)], strict=True):
        made = Boxes(slot[begin:end], low[:, :, begin:end], high[:, :, begin:end], np.zeros(end - begin, np.bool_))
        group = (int(part[begin]), int(hour[begin]), day)
        fresh = int(counts[begin:end].sum())
        covered = fresh
        if (group[1], group[0]) in known:
            (total,) = connection.execute(_ROWS_OF, group).fetchone()
            if total != fresh:
                held = load(connection, group, total - fresh)
                if held is None:
                    continue  # made from the chunks, when its turn comes
                made, covered = together([held, made]), total
        _put(connection, group, covered, made)


def load(connection: sqlite3.Connection, group: Group, rows: int) -> Boxes | None:
    """The index of a group of `rows` rows; None where there is none that covers them, or it is damaged."""
    found = connection.execute(
        "SELECT rows, checksum, blob FROM places WHERE part = ? AND hour = ? AND day = ?", group
    ).fetchone()
    if found is None or found[0] != rows:
        return None
    return read(group, found[1], found[2])


def read(group: Group, check: int, blob: bytes) -> Boxes | None:
    """The boxes of a blob; None where it is damaged: what it says can be had from the chunks."""
    if checksum("places", _key(group), blob) != check:
        return None
    try:
        return decode_boxes(blob, group[0])
    except Corrupt:
        return None


def missing(connection: sqlite3.Connection, *, verify: bool = False) -> list[Group]:
    """Groups without an index that covers them, the newest hours last; with `verify` those with a damaged one too."""
    found = connection.execute(
        "SELECT part, hour, day FROM groups LEFT JOIN places USING (part, hour, day)"
        " WHERE places.rows IS NULL OR places.rows != groups.rows"
    ).fetchall()
    if verify:
        found += [group for group, _, damage in problems(connection) if damage]
    return sorted(found, key=lambda group: (group[1], group[0], group[2]))


def there(connection: sqlite3.Connection) -> bool:
    """Whether the file has the table at all: who only reads may have opened one that was not migrated yet."""
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'places'").fetchone() is not None


def drop_orphans(connection: sqlite3.Connection) -> None:
    """Drop every index whose group is gone; the caller's transaction."""
    connection.execute(
        "DELETE FROM places WHERE NOT EXISTS (SELECT 1 FROM groups"
        " WHERE groups.part = places.part AND groups.hour = places.hour AND groups.day = places.day)"
    )


@dataclass(slots=True)
class Indexing:
    """The index of one group while it is being made from the chunks, a run of slots at a time.

    Attributes:
        group: which.
        rows: its rows when it was begun.
    """

    group: Group
    rows: int
    _left: list[tuple[int, int]]
    _pieces: list[Boxes]
    _read: int = 0

    @classmethod
    def begin(cls, connection: sqlite3.Connection, group: Group, max_rows: int) -> Indexing | None:
        """About `max_rows` rows a step; None when there is no such group any more."""
        found = connection.execute(_ROWS_OF, group).fetchone()
        if found is None:
            return None
        return cls(group, int(found[0]), slot_ranges(group[0], int(found[0]), max_rows)[::-1], [])

    def step(self, connection: sqlite3.Connection) -> int:
        """Read on; return the rows read. Raises Corrupt."""
        _, hour, day = self.group
        read = 0
        while self._left and not read:  # past runs in which there is nothing
            rows = _rows_of_slots(connection, hour, day, self._left.pop())
            read = rows.count
            if read:
                self._pieces.append(boxes_of_hour(rows))
        self._read += read
        return read

    @property
    def whole(self) -> bool:
        """Whether everything was read."""
        return not self._left

    def keep(self, connection: sqlite3.Connection) -> None:
        """Keep what was made, when it covers the group; the caller's transaction.

        Between the steps nothing of the group may have changed: whoever changes it begins anew.
        """
        if self._read == self.rows:  # else its chunks are not what is noted of them: `check` says so
            made = together(self._pieces) if self._pieces else boxes_of_hour(Rows.empty())
            _put(connection, self.group, self.rows, made)


def _rows_of_slots(connection: sqlite3.Connection, hour: int, day: int, slots: tuple[int, int]) -> Rows:
    """What the boxes of a run of slots are made of, ordered. Raises Corrupt."""
    chunks = connection.execute(
        "SELECT key, day, checksum, blob FROM chunks WHERE key >= ? AND key < ? AND day = ?",
        (chunk_key(hour, slots[0]), chunk_key(hour, slots[1]), day),
    ).fetchall()
    return decode_chunks(chunks, only=BOX_NAMES).ordered() if chunks else Rows.empty()


def scan(connection: sqlite3.Connection, group: Group, rows: int, max_rows: int) -> Boxes:
    """The boxes of a group, read from its chunks, about `max_rows` of its `rows` rows at once. Raises Corrupt."""
    part, hour, day = group
    found = (_rows_of_slots(connection, hour, day, slots) for slots in slot_ranges(part, rows, max_rows))
    pieces = [boxes_of_hour(held) for held in found if held.count]
    return together(pieces) if pieces else boxes_of_hour(Rows.empty())


def forget(connection: sqlite3.Connection, part: int, hour: int, before_day: int | None = None) -> None:
    """Drop the index of a (part, hour), only of days before `before_day` when given; the caller's transaction."""
    connection.execute(
        "DELETE FROM places WHERE part = ? AND hour = ? AND day < ?",
        (part, hour, (1 << 62) if before_day is None else before_day),
    )


def problems(connection: sqlite3.Connection) -> Iterator[tuple[Group, str, bool]]:
    """(group, what does not hold, whether its blob is damaged) of every index."""
    if not there(connection):
        return
    for part, hour, day, check, blob in connection.execute("SELECT part, hour, day, checksum, blob FROM places"):
        if read((part, hour, day), check, blob) is None:
            yield (part, hour, day), "the checksum does not hold", True
    for part, hour, day in connection.execute(
        "SELECT part, hour, day FROM places LEFT JOIN groups USING (part, hour, day) WHERE groups.rows IS NULL"
    ):
        yield (part, hour, day), "there is no such group", False


def _put(connection: sqlite3.Connection, group: Group, rows: int, boxes: Boxes) -> None:
    blob = encode_boxes(boxes)
    connection.execute(
        "INSERT INTO places (part, hour, day, rows, checksum, blob) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (part, hour, day) DO UPDATE SET rows = excluded.rows, checksum = excluded.checksum,"
        " blob = excluded.blob",
        (*group, rows, checksum("places", _key(group), blob), blob),
    )


def _key(group: Group) -> int:
    return text_key("/".join(str(number) for number in group))
