"""What is stored at a device's millisecond: answers "is this very point known?" and "which nanosecond is free?".

InfluxDB tells points of one device apart by their time alone. The first point of a millisecond lies at its beginning, another
one that differs lies a nanosecond later, and so on; a point that comes again takes the place it has. Read from the server are
only hours and slots that late rows ask about; their keys are kept up to a limit, the ones used last.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from model.batch import PointBatch, identity
from store.series.influx.reading import SLOTS_PER_QUERY, IntArray, StoredPoints

DEFAULT_MAX_LOOKUP_KEYS = 4_000_000
HOUR_MS = 3_600_000
#: Nanoseconds of a millisecond.
MAX_SUBS = 1_000_000

#: Reads slots (at most SLOTS_PER_QUERY) of a window.
Read = Callable[[list[int], int, int], StoredPoints]


@dataclass(frozen=True, slots=True)
class Places:
    """Of each row asked about: `held` the nanosecond at which it is stored (-1: it is not), `free` the next free one."""

    held: IntArray
    free: IntArray


@dataclass(slots=True)
class _Hour:
    """Keys of one hour, of the slots loaded so far; `key` is slot and millisecond of the hour, ascending."""

    slots: set[int] = field(default_factory=set)
    key: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    sub: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    ident: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))

    def add(self, key: IntArray, sub: IntArray, ident: npt.NDArray[np.uint64]) -> None:
        key, sub, ident = (
            np.concatenate([self.key, key]),
            np.concatenate([self.sub, sub]),
            np.concatenate([self.ident, ident]),
        )
        order = np.lexsort((sub, key))
        key, sub, ident = key[order], sub[order], ident[order]
        new = np.ones(len(key), np.bool_)  # what was written again is here already
        new[1:] = (key[1:] != key[:-1]) | (sub[1:] != sub[:-1])
        self.key, self.sub, self.ident = key[new], sub[new], ident[new]

    def find(self, key: IntArray, ident: npt.NDArray[np.uint64]) -> Places:
        first = np.searchsorted(self.key, key, "left")
        end = np.searchsorted(self.key, key, "right")
        held = np.full(len(key), -1, np.int64)
        free = np.zeros(len(key), np.int64)
        some = end > first
        free[some] = self.sub[end[some] - 1] + 1
        rows = np.flatnonzero(some)
        at = first[rows]
        while len(rows):
            same = self.ident[at] == ident[rows]
            held[rows[same]] = self.sub[at[same]]
            rows, at = rows[~same], at[~same] + 1
            inside = at < end[rows]
            rows, at = rows[inside], at[inside]
        return Places(held, free)


class Occupied:
    """Keys of stored points.

    Args:
        read: see `Read`.
        max_keys: kept in memory (24 bytes each).
    """

    def __init__(self, read: Read, *, max_keys: int = DEFAULT_MAX_LOOKUP_KEYS) -> None:
        self._read = read
        self._max_keys = max_keys
        self._hours: OrderedDict[int, _Hour] = OrderedDict()

    def clear(self) -> None:
        """Forget everything."""
        self._hours.clear()

    def find(self, points: PointBatch) -> Places:
        """Where the rows of `points` lie, or could."""
        held = np.full(len(points), -1, np.int64)
        free = np.zeros(len(points), np.int64)
        ident = identity(points)
        hours, key = _keys(points)
        for hour in np.unique(hours).tolist():
            rows = np.flatnonzero(hours == hour)
            group = self._hour(hour, set(np.unique(points.slot[rows]).tolist()))
            found = group.find(key[rows], ident[rows])
            held[rows], free[rows] = found.held, found.free
        return Places(held, free)

    def add(self, points: PointBatch, subs: IntArray | None) -> None:
        """Take over what was just stored, as far as its hours and slots are kept here."""
        if not self._hours or not len(points):
            return
        hours, key = _keys(points)
        for hour in np.unique(hours).tolist():
            group = self._hours.get(hour)
            if group is None:
                continue
            rows = np.flatnonzero((hours == hour) & np.isin(points.slot, list(group.slots)))
            if len(rows):
                chosen = np.zeros(len(rows), np.int64) if subs is None else subs[rows]
                group.add(key[rows], chosen, identity(points.take(rows)))

    def _hour(self, hour: int, slots: set[int]) -> _Hour:
        group = self._hours.pop(hour, None) or _Hour()
        missing = sorted(slots - group.slots)
        for start in range(0, len(missing), SLOTS_PER_QUERY):
            part = missing[start : start + SLOTS_PER_QUERY]
            found = self._read(part, hour * HOUR_MS, (hour + 1) * HOUR_MS)
            group.add(_keys(found.points)[1], found.subs, identity(found.points))
            group.slots.update(part)
        self._hours[hour] = group
        total = sum(len(one.key) for one in self._hours.values())
        while total > self._max_keys and len(self._hours) > 1:
            total -= len(self._hours.popitem(last=False)[1].key)
        return group


def _keys(points: PointBatch) -> tuple[IntArray, IntArray]:
    """Hour of each row, and slot with the millisecond of that hour as one number."""
    hours = points.time_ms // HOUR_MS
    return hours, points.slot.astype(np.int64) * HOUR_MS + (points.time_ms - hours * HOUR_MS)
