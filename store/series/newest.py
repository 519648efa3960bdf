"""The newest point of each slot: arrays by slot in memory, one blob per part in the file.

Newest is the last in (time, seq, arrival): the order of a track. A late point never replaces a
newer one. The state covers what has been flushed; open batches are laid over it by the reader.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from model.extras import NO_EXTRAS, Extras
from store.series.chunk import decode_many, encode_groups
from store.series.rows import DEFAULTS, HOUR_MS, NAMES, PART_BITS, IntArray, Rows, compact
from store.series.schema import checksum, part_slots, verified

_KEPT = tuple(name for name in NAMES if name != "slot")


def newest_of(rows: Rows) -> Rows:
    """The newest row of each slot, ordered by slot; of rows equal in (time, seq) the last one."""
    if not rows.count:
        return rows
    rows = rows.ordered()
    starts = rows.starts(rows.columns["hour"], rows.columns["slot"])
    rows = rows.take(np.append(starts[1:], rows.count) - 1)
    slot = rows.array("slot")
    order = np.lexsort((np.arange(rows.count), rows.array("seq"), rows.time_ms(), slot))
    last = np.ones(rows.count, np.bool_)
    last[:-1] = slot[order][1:] != slot[order][:-1]
    return rows.take(order[last])


class Newest:
    """State by slot. `absorb` flushed rows, then `write` the parts that changed, in one transaction."""

    def __init__(self) -> None:
        self._columns: dict[str, IntArray] = {name: np.zeros(0, np.int64) for name in _KEPT}
        self._known = np.zeros(0, np.bool_)
        self._extra = NO_EXTRAS

    @classmethod
    def load(cls, connection: sqlite3.Connection, parts: Iterable[int] | None = None) -> Newest:
        """The state as written; only `parts` when given. Raises Corrupt at a damaged blob."""
        made = cls()
        if parts is None:
            found = connection.execute("SELECT part, checksum, blob FROM newest").fetchall()
        else:
            found = [
                row
                for part in parts
                for row in connection.execute("SELECT part, checksum, blob FROM newest WHERE part = ?", (part,))
            ]
        if found:
            rows, _ = decode_many(
                [verified("newest", part, check, blob, f"newest {part}") for part, check, blob in found]
            )
            made.absorb(rows)
        return made

    def absorb(self, rows: Rows) -> set[int]:
        """Take over what is newer than the state; return the parts that changed."""
        rows = newest_of(rows)
        if not rows.count:
            return set()
        slot = rows.array("slot").astype(np.int64)
        self._grow(int(slot[-1]) + 1)
        time_ms, seq = rows.time_ms(), rows.array("seq")
        held_ms = self._columns["hour"][slot] * HOUR_MS + self._columns["time"][slot]
        wins = ~self._known[slot] | (time_ms > held_ms)
        wins |= (time_ms == held_ms) & (seq >= self._columns["seq"][slot])
        won = slot[wins]
        self._known[won] = True
        for name in _KEPT:
            value = rows.columns[name]
            self._columns[name][won] = value if isinstance(value, int) else value[wins]
        extra = rows.extra.take(np.flatnonzero(wins))
        by_slot = Extras(won[extra.rows], extra.start, extra.size, extra.blob)
        self._extra = self._extra.without(won).but(by_slot).lean()
        return set(np.unique(won >> PART_BITS).tolist())

    def _grow(self, slots: int) -> None:
        have = len(self._known)
        if slots <= have:
            return
        size = max(slots, have + have // 2, 1 << PART_BITS)
        self._known = np.concatenate((self._known, np.zeros(size - have, np.bool_)))
        for name in _KEPT:
            self._columns[name] = np.concatenate((self._columns[name], np.full(size - have, DEFAULTS[name], np.int64)))

    def rows(self, slots: npt.NDArray[np.int64] | None = None) -> Rows:
        """The newest flushed rows of `slots` (ascending; None: of all)."""
        if slots is None:
            slots = np.flatnonzero(self._known)
        else:
            slots = slots[(slots >= 0) & (slots < len(self._known))]
            slots = slots[self._known[slots]]
        if not len(slots):
            return Rows.empty()
        columns = {name: compact(self._columns[name][slots]) for name in _KEPT}
        return Rows(len(slots), {"slot": compact(slots), **columns}, self._extra.take(slots))

    def drop_before(self, day: int) -> IntArray:
        """Forget what was stored before `day`; return the slots concerned, ascending."""
        gone = np.flatnonzero(self._known & (self._columns["day"] < day))
        self._known[gone] = False
        self._extra = self._extra.without(gone)
        return gone

    def write(self, connection: sqlite3.Connection, parts: Iterable[int]) -> None:
        """Write the blobs of `parts`; the caller's transaction."""
        pieces: list[IntArray] = []
        written: list[int] = []
        for part in sorted(parts):
            first, end = part_slots(part)
            slots = np.flatnonzero(self._known[first:end]) + first
            if len(slots):
                written.append(part)
                pieces.append(slots)
            else:
                connection.execute("DELETE FROM newest WHERE part = ?", (part,))
        if not written:
            return
        rows = self.rows(np.concatenate(pieces))
        counts = [len(piece) for piece in pieces]
        starts = np.cumsum([0, *counts[:-1]], dtype=np.int64)
        frames = encode_groups(rows, starts)
        connection.executemany(
            "INSERT OR REPLACE INTO newest VALUES (?, ?, ?, ?)",
            [
                (part, count, checksum("newest", part, frame), frame)
                for part, count, frame in zip(written, counts, frames, strict=True)
            ],
        )
