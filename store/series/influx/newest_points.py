"""The newest point of each slot in memory, and how new a slot's points may be: what the writer of InfluxDB knows by heart."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from model.batch import BoolArray, PointBatch
from store.series.influx.line_protocol import MIN_TIME_MS
from store.series.influx.reading import IntArray, StoredPoints
from store.series.newest import Newest
from store.series.rows import Rows
from store.series.schema import DAY_MS

#: Rows that wait to be taken in.
_MAX_FRESH_ROWS = 131_072


class NewestPoints:
    """`load` once, then `expect` before and `take` after every write. `points` may be asked from any thread.

    Args:
        times_only: know how new a slot's points may be and nothing else; `load_times` instead of `load`.
    """

    def __init__(self, *, times_only: bool = False) -> None:
        self._times_only = times_only
        self._lock = threading.Lock()
        self._newest = Newest()
        self._fresh: list[tuple[int, PointBatch]] = []
        self._time_ms: IntArray = np.zeros(0, np.int64)

    def load(self, found: StoredPoints) -> None:
        """Begin anew with what the server has."""
        newest = Newest()
        days = found.points.time_ms // DAY_MS + found.ages
        for day in np.unique(days).tolist():
            newest.absorb(Rows.of_batches([found.points.take(days == day)], day))
        with self._lock:
            self._newest, self._fresh = newest, []
        self._time_ms = np.zeros(0, np.int64)
        self.expect(found.points)

    def load_times(self, slots: IntArray, time_ms: IntArray) -> None:
        """Begin anew with the newest time of each slot that the server has."""
        self._time_ms = np.zeros(0, np.int64)
        self._raise(slots, time_ms)

    def expect(self, points: PointBatch) -> None:
        """Note before anything is sent how new points may be from now on: an answer that is lost may have been a yes."""
        self._raise(points.slot, points.time_ms)

    def _raise(self, slots: npt.NDArray[np.integer[Any]], time_ms: IntArray) -> None:
        if not len(slots):
            return
        wanted = int(slots.max()) + 1
        have = len(self._time_ms)
        if wanted > have:
            more = np.full(max(wanted - have, have // 2), MIN_TIME_MS, np.int64)
            self._time_ms = np.concatenate([self._time_ms, more])
        np.maximum.at(self._time_ms, slots, time_ms)

    def no_newer(self, points: PointBatch) -> BoolArray:
        """Rows that are no newer than their slot's newest, and so may be stored already, shape (n,)."""
        known: BoolArray = (points.slot >= 0) & (points.slot < len(self._time_ms))
        known[known] = points.time_ms[known] <= self._time_ms[points.slot[known]]
        return known

    def take(self, day: int, points: PointBatch) -> None:
        """Take over what was stored on `day`."""
        if self._times_only:
            return
        with self._lock:
            self._fresh.append((day, points))
            if sum(len(batch) for _, batch in self._fresh) >= _MAX_FRESH_ROWS:
                self._absorb()

    def points(self, slots: npt.NDArray[np.int64] | None) -> PointBatch:
        """The newest points of `slots` (ascending; None: of all), by slot."""
        with self._lock:
            self._absorb()
            return self._newest.rows(slots).to_batch()

    def _absorb(self) -> None:
        for day in sorted({day for day, _ in self._fresh}):
            self._newest.absorb(Rows.of_batches([batch for of_day, batch in self._fresh if of_day == day], day))
        self._fresh = []
