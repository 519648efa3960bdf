"""Level 0: the batches committed since the last flush.

The writer keeps them in memory as they came; a reader decodes them from `open_batches`, only those
that its window touches. All open batches have the same stored day (a new day flushes first).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from model.batch import BoolArray, PointBatch
from model.batch_codec import decode, encode
from store.series.keys import Keys, RunStack
from store.series.schema import DAY_MS, checksum, verified


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """One committed batch with the ranges of its times and slots."""

    position: int
    day: int
    batch: PointBatch
    min_ms: int
    max_ms: int
    min_slot: int
    max_slot: int


def insert(connection: sqlite3.Connection, position: int, stored_ms: int, batch: PointBatch) -> OpenBatch:
    """Write one batch (at least one row); the caller's transaction."""
    made = OpenBatch(
        position,
        stored_ms // DAY_MS,
        batch,
        int(batch.time_ms.min()),
        int(batch.time_ms.max()),
        int(batch.slot.min()),
        int(batch.slot.max()),
    )
    blob = encode(batch)
    connection.execute(
        "INSERT INTO open_batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            position, stored_ms, len(batch), made.min_ms, made.max_ms, made.min_slot, made.max_slot,
            checksum("open_batches", position, blob), blob,
        ),
    )  # fmt: skip
    return made


def load(
    connection: sqlite3.Connection,
    from_ms: int = -(1 << 63),
    to_ms: int = (1 << 63) - 1,
    from_slot: int = 0,
    to_slot: int = 1 << 31,
) -> list[OpenBatch]:
    """Open batches that touch from_ms <= time < to_ms and from_slot <= slot < to_slot, in order."""
    found = connection.execute(
        "SELECT position, stored_ms, min_ms, max_ms, min_slot, max_slot, checksum, blob FROM open_batches"
        " WHERE max_ms >= ? AND min_ms < ? AND max_slot >= ? AND min_slot < ? ORDER BY position",
        (from_ms, to_ms, from_slot, to_slot),
    )
    return [
        OpenBatch(
            position,
            stored_ms // DAY_MS,
            decode(verified("open_batches", position, check, blob, f"open batch {position}")),
            *ranges,
        )
        for position, stored_ms, *ranges, check, blob in found
    ]


def select(batches: Iterable[OpenBatch], from_ms: int, to_ms: int, from_slot: int, to_slot: int) -> list[PointBatch]:
    """The rows of `batches` with from_ms <= time < to_ms and from_slot <= slot < to_slot."""
    chosen: list[PointBatch] = []
    for held in batches:
        if held.max_ms < from_ms or held.min_ms >= to_ms or held.max_slot < from_slot or held.min_slot >= to_slot:
            continue
        batch = held.batch
        if from_ms > held.min_ms or to_ms <= held.max_ms or from_slot > held.min_slot or to_slot <= held.max_slot:
            inside = (batch.slot >= from_slot) & (batch.slot < to_slot)
            inside &= (batch.time_ms >= from_ms) & (batch.time_ms < to_ms)
            batch = batch.take(np.flatnonzero(inside))
        if len(batch):
            chosen.append(batch)
    return chosen


class OpenRows:
    """The writer's open batches, their number of rows, and (built when first asked) their keys."""

    def __init__(self) -> None:
        self.batches: list[OpenBatch] = []
        self.rows = 0
        self._keys = RunStack()
        self._keyed = 0

    def add(self, held: OpenBatch) -> None:
        self.batches.append(held)
        self.rows += len(held.batch)

    def clear(self) -> None:
        self.batches = []
        self.rows = 0
        self._keys.clear()
        self._keyed = 0

    @property
    def day(self) -> int | None:
        """The stored day of all open batches, None when there are none."""
        return self.batches[0].day if self.batches else None

    def mark(self, wanted: Keys, found: BoolArray) -> None:
        """Set `found` for the rows of `wanted` that are open."""
        fresh = self.batches[self._keyed :]
        if fresh:
            self._keys.add(Keys.of(PointBatch.concat([held.batch for held in fresh])))
            self._keyed = len(self.batches)
        self._keys.mark(wanted, found)
