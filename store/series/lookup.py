"""`contains` of the store: looks late points up in open batches, segments and chunks.

Of segments and chunks only those of the (hour, slot) pairs asked for are read, and only their
columns of identity; their sorted keys are kept by (hour, part) up to a limit.
"""

from __future__ import annotations

import sqlite3

import numpy as np

from model.batch import BoolArray, PointBatch
from store.series.keys import GroupKeys, KeyCache, Keys
from store.series.open_rows import OpenRows
from store.series.read import Window, chunks_of_hour, chunks_of_slot, decode_chunks, segment_rows
from store.series.rows import HOUR_MS, IDENTITY_NAMES, MAX_HOUR, MIN_HOUR, PART_BITS, Rows
from store.series.schema import key_parts, part_slots

DEFAULT_MAX_LOOKUP_KEYS = 4_000_000
#: Slots of one group that are fetched one by one rather than with all chunks between them.
_FEW_SLOTS = 64


class Lookup:
    """Exact look-ups on the writer's connection.

    Args:
        connection: series.db.
        max_keys: keys of segments and chunks kept in memory (28 bytes each).
    """

    def __init__(self, connection: sqlite3.Connection, max_keys: int) -> None:
        self._connection = connection
        self._cache = KeyCache(max_keys)

    def drop(self, hour: int, part: int) -> None:
        """Forget a group that got a new segment."""
        self._cache.drop(hour, part)

    def clear(self) -> None:
        """Forget everything."""
        self._cache.clear()

    def contains(self, points: PointBatch, open_rows: OpenRows) -> BoolArray:
        """For each row whether it is stored, shape (n,)."""
        found = np.zeros(len(points), np.bool_)
        if not len(points):
            return found
        wanted = Keys.of(points)
        open_rows.mark(wanted, found)
        left = np.flatnonzero(~found)
        hours = np.clip(points.time_ms[left] // HOUR_MS, MIN_HOUR, MAX_HOUR)
        parts = points.slot[left].astype(np.int64) >> PART_BITS
        order = np.lexsort((parts, hours))
        left, hours, parts = left[order], hours[order], parts[order]
        edges = np.flatnonzero((np.diff(hours) != 0) | (np.diff(parts) != 0)) + 1
        for first, end in zip([0, *edges.tolist()], [*edges.tolist(), len(left)], strict=True):
            if first == end:
                continue
            rows = left[first:end]
            group = self._group(int(hours[first]), int(parts[first]), set(np.unique(points.slot[rows]).tolist()))
            here = np.zeros(len(rows), np.bool_)
            group.stack.mark(wanted.take(rows), here)
            found[rows[here]] = True
        return found

    def _group(self, hour: int, part: int, slots: set[int]) -> GroupKeys:
        def load(group: GroupKeys) -> None:
            if not group.segments_loaded:
                window = Window(hour * HOUR_MS, (hour + 1) * HOUR_MS, *part_slots(part))
                held = Rows.concat(segment_rows(self._connection, window, only=IDENTITY_NAMES))
                group.stack.add(Keys.of(held.to_batch()))
                group.segments_loaded = True
            missing = sorted(slots - group.loaded_slots)
            if missing:
                self._load_chunks(group, hour, missing)

        return self._cache.use(hour, part, load)

    def _load_chunks(self, group: GroupKeys, hour: int, missing: list[int]) -> None:
        if len(missing) > _FEW_SLOTS:
            chunks = [
                row
                for row in chunks_of_hour(self._connection, hour, missing[0], missing[-1] + 1)
                if key_parts(row[0])[1] not in group.loaded_slots
            ]
            group.loaded_slots.update(range(missing[0], missing[-1] + 1))
        else:
            chunks = [row for slot in missing for row in chunks_of_slot(self._connection, slot, hour, hour)]
            group.loaded_slots.update(missing)
        group.stack.add(Keys.of(decode_chunks(chunks, only=IDENTITY_NAMES).to_batch()))
