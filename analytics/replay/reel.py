"""`Reel`: the points of any number of devices in true order, and where every device was at a moment.

What a device's way is: its points whose place can be trusted (no jump, a fix, no tag reader's), in the order of (time, seq),
joined by legs as `model.presence.bridged` says, so that a silence of more than five minutes is never bridged. At the
time of a point the place is the point's own, the last one's of several with one time; on a leg it is straight on and marked as
interpolated; else there is none. Invariants: no point is lost but what is there twice (same device, time and identity); rows
that came late or in any order stand where their time says. Pure columns; it reads no store.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from model.batch import PointBatch, identity
from model.codes import Flag, Mark
from model.presence import MAX_LEG_MS, bridged

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_UNPLACED = np.uint16(Mark.JUMP | Mark.NO_FIX)
_SIGHTED = np.uint16(Flag.SIGHTED)
_NEVER = np.iinfo(np.int64).max
#: A cursor goes on point by point so often before it looks for the place anew.
_STEPS = 4


class Told(IntEnum):
    """What a frame tells of a device."""

    #: Nothing yet: before its first point.
    NOTHING = 0
    #: The place of a point of that very time.
    POINT = 1
    #: A place on the leg between two points: interpolated.
    BETWEEN = 2
    #: It is silent: its last point was too long ago, or there is none after it.
    SILENT = 3


@dataclass(frozen=True, slots=True)
class Frame:
    """Every device of a reel at one moment, columns of shape (devices,) in the order of `Reel.slots`.

    Attributes:
        time_ms: the moment.
        told: uint8, `Told`.
        lat, lon: degrees; NaN unless told is POINT or BETWEEN.
        row: row of `Reel.points`: the newest trusted point at or before the moment; -1 for NOTHING.
    """

    time_ms: int
    told: npt.NDArray[np.uint8]
    lat: Floats
    lon: Floats
    row: Ints

    @property
    def placed(self) -> Bools:
        """Which devices have a place."""
        placed: Bools = (self.told == Told.POINT) | (self.told == Told.BETWEEN)
        return placed


@dataclass(frozen=True, slots=True)
class Gaps:
    """Silences of more than five minutes, in the order of (slot, time); columns of shape (gaps,).

    Attributes:
        slot, from_ms, to_ms: int64; the points before and after it, or an end of the window.
        begins_before, goes_on: whether it is an end of the window that it begins or ends at.
    """

    slot: Ints
    from_ms: Ints
    to_ms: Ints
    begins_before: Bools
    goes_on: Bools

    def __len__(self) -> int:
        return len(self.slot)


class Reel:
    """See the module.

    Args:
        points: points of any devices in any order; those outside the window are left out.
        from_ms, to_ms: the window, half open, UTC ms.
        slots: devices that are in it even without a point.

    Attributes:
        points: the points in the order of (slot, time, seq), each once.
        duplicates: how many were left out because they were there already.
        slots: int64, the devices, ascending.
    """

    def __init__(
        self, points: PointBatch, from_ms: int, to_ms: int, *, slots: npt.NDArray[np.integer] | None = None
    ) -> None:
        self.from_ms, self.to_ms = from_ms, to_ms
        inside = (points.time_ms >= from_ms) & (points.time_ms < to_ms)
        ordered = _ordered(points if inside.all() else points.take(inside))
        again = _again(ordered)
        self.points = ordered.take(~again) if again.any() else ordered
        self.duplicates = int(np.count_nonzero(again))
        rows = self.points
        own = rows.slot[_starts(rows.slot)].astype(np.int64)
        self.slots: Ints = own if slots is None else np.union1d(own, slots.astype(np.int64))
        self.first, self.end = _bounds(rows.slot, self.slots)

        trusted = ((rows.marks & _UNPLACED) == 0) & ((rows.flags & _SIGHTED) == 0)
        trusted &= np.isfinite(rows.lat) & np.isfinite(rows.lon)
        #: The way: rows of `points`, and their columns.
        self.way: Ints = np.flatnonzero(trusted)
        whole = len(self.way) == len(rows)
        self.way_ms: Ints = rows.time_ms if whole else rows.time_ms[self.way]
        self.way_lat: Floats = rows.lat if whole else rows.lat[self.way]
        self.way_lon: Floats = rows.lon if whole else rows.lon[self.way]
        of_way = rows if whole else rows.take(self.way)
        self.way_first, self.way_end = _bounds(of_way.slot, self.slots)
        #: Whether a leg joins row k of the way to the next.
        self.joined: Bools = np.append(bridged(of_way), False) if len(of_way) else np.zeros(0, np.bool_)

    def __len__(self) -> int:
        """Devices."""
        return len(self.slots)

    def cursor(self) -> Cursor:
        """What tells frame after frame; each is for one thread."""
        return Cursor(self)

    def frame(self, time_ms: int) -> Frame:
        """Every device at one moment."""
        return Cursor(self).frame(time_ms)

    def rows_between(self, from_ms: int, to_ms: int) -> Ints:
        """Rows of `points` with from_ms <= time < to_ms, in the order in which they happened: by (time, slot, seq)."""
        time = self.points.time_ms
        if from_ms <= self.from_ms and to_ms >= self.to_ms:
            every: Ints = np.argsort(time, kind="stable")
            return every
        first = _before(time, self.first, self.end, from_ms - 1) + 1
        end = _before(time, self.first, self.end, to_ms - 1) + 1
        count = np.maximum(end - first, 0)
        offset = np.cumsum(count) - count
        rows = np.arange(int(count.sum())) + np.repeat(first - offset, count)
        ordered: Ints = rows[np.argsort(time[rows], kind="stable")]
        return ordered

    def points_between(self, from_ms: int, to_ms: int) -> PointBatch:
        """The points of `rows_between`, with all that is known of each."""
        return self.points.take(self.rows_between(from_ms, to_ms))

    def gaps(self) -> Gaps:
        """When devices were silent for more than five minutes: between trusted points, and at the ends of the window."""
        silent = np.flatnonzero(self.way_first == self.way_end)
        heard = np.flatnonzero(self.way_first < self.way_end)
        first, last = self.way_ms[self.way_first[heard]], self.way_ms[self.way_end[heard] - 1]
        long = self.way_ms[1:] - self.way_ms[:-1] > MAX_LEG_MS
        inner = np.ones(len(self.way), np.bool_)
        inner[self.way_end[heard] - 1] = False
        at = np.flatnonzero(long & inner[:-1])
        device = np.searchsorted(self.way_end, at, side="right")
        parts = [
            (device, self.way_ms[at], self.way_ms[at + 1], False, False),
            (heard, np.full(len(heard), self.from_ms), first, True, False),
            (heard, last, np.full(len(heard), self.to_ms), False, True),
            (silent, np.full(len(silent), self.from_ms), np.full(len(silent), self.to_ms), True, True),
        ]
        who = np.concatenate([part[0] for part in parts])
        begin = np.concatenate([part[1] for part in parts]).astype(np.int64)
        end = np.concatenate([part[2] for part in parts]).astype(np.int64)
        before = np.repeat([part[3] for part in parts], [len(part[0]) for part in parts])
        after = np.repeat([part[4] for part in parts], [len(part[0]) for part in parts])
        kept = np.flatnonzero(end - begin > MAX_LEG_MS)
        kept = kept[np.lexsort((begin[kept], who[kept]))]
        return Gaps(self.slots[who[kept]], begin[kept], end[kept], before[kept], after[kept])

    def runs(self) -> tuple[Ints, Ints, Ints]:
        """Runs of the way without a gap: (place in `slots`, first, last row of the way), in order.

        Points of one time are in one run; a single point is one too.
        """
        if not len(self.way):
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
        cut = self.way_ms[1:] - self.way_ms[:-1] > MAX_LEG_MS
        heard = self.way_first[self.way_first < self.way_end]
        cut[heard[heard > 0] - 1] = True
        at = np.flatnonzero(cut)
        first, last = np.append(0, at + 1), np.append(at, len(self.way) - 1)
        return np.searchsorted(self.way_end, first, side="right"), first, last


class Cursor:
    """Tells frames of a reel; forwards in small steps each costs what has changed, else a search. Not shared by threads."""

    def __init__(self, reel: Reel) -> None:
        self._reel = reel
        devices = len(reel)
        self._now_ms: int | None = None
        #: Row of the way at or before the moment (first - 1: none), and the time of the next one.
        self._at = reel.way_first - 1
        self._due = np.full(devices, _NEVER)
        self._base_ms = np.zeros(devices, np.int64)
        self._lat, self._lon = np.zeros(devices), np.zeros(devices)
        self._d_lat, self._d_lon = np.zeros(devices), np.zeros(devices)
        self._took = np.ones(devices)
        self._joined = np.zeros(devices, np.bool_)
        self._none = np.ones(devices, np.bool_)
        self._row = np.full(devices, -1)

    def frame(self, time_ms: int) -> Frame:
        """Every device at one moment."""
        if self._now_ms is None or time_ms < self._now_ms:
            changed = np.arange(len(self._reel))
            self._find(changed, time_ms)
            self._load(changed)
        else:
            self._advance(time_ms)
        self._now_ms = time_ms
        since = time_ms - self._base_ms
        exact = (since == 0) & ~self._none
        share = since / self._took
        between = self._joined & ~exact
        known = exact | between
        told = np.where(self._none, np.uint8(Told.NOTHING), np.uint8(Told.SILENT))
        told[between] = Told.BETWEEN
        told[exact] = Told.POINT
        # Exactly the point's own place at its time, though rounding of a leg would nearly give it too.
        lat = np.where(known, self._lat + share * self._d_lat, np.nan)
        lon = np.where(known, self._lon + share * self._d_lon, np.nan)
        return Frame(time_ms, told, lat, lon, self._row.copy())

    def _advance(self, time_ms: int) -> None:
        moved = np.flatnonzero(self._due <= time_ms)
        if not len(moved):
            return
        left = moved
        for _ in range(_STEPS):
            self._at[left] += 1
            self._look_on(left)
            left = left[self._due[left] <= time_ms]
            if not len(left):
                break
        else:
            self._find(left, time_ms)
        self._load(moved)

    def _find(self, which: Ints, time_ms: int) -> None:
        reel = self._reel
        self._at[which] = _before(reel.way_ms, reel.way_first[which], reel.way_end[which], time_ms)
        self._look_on(which)

    def _look_on(self, which: Ints) -> None:
        """Note when the next point of these devices is due."""
        after = self._at[which] + 1
        ended = after >= self._reel.way_end[which]
        if not len(self._reel.way):
            return
        due = self._reel.way_ms[np.minimum(after, len(self._reel.way) - 1)]
        self._due[which] = np.where(ended, _NEVER, due)

    def _load(self, which: Ints) -> None:
        """Bring the legs of these devices in line with where they are."""
        reel = self._reel
        if not len(reel.way):
            return
        at = self._at[which]
        none = at < reel.way_first[which]
        row = np.maximum(at, 0)
        joined = reel.joined[row] & ~none
        after = np.minimum(row + 1, len(reel.way) - 1)
        self._none[which], self._joined[which] = none, joined
        self._base_ms[which] = reel.way_ms[row]
        self._lat[which], self._lon[which] = reel.way_lat[row], reel.way_lon[row]
        self._d_lat[which] = np.where(joined, reel.way_lat[after] - reel.way_lat[row], 0.0)
        self._d_lon[which] = np.where(joined, reel.way_lon[after] - reel.way_lon[row], 0.0)
        self._took[which] = np.where(joined, reel.way_ms[after] - reel.way_ms[row], 1)
        self._row[which] = np.where(none, -1, reel.way[row])


def _ordered(points: PointBatch) -> PointBatch:
    """In the order of (slot, time, seq), as they came where these are the same."""
    slot, time, seq = points.slot, points.time_ms, points.seq
    later = slot[1:] > slot[:-1]
    same = slot[1:] == slot[:-1]
    later |= same & (time[1:] > time[:-1])
    same &= time[1:] == time[:-1]
    later |= same & (seq[1:] >= seq[:-1])
    if later.all():
        return points
    return points.take(np.lexsort((seq, time, slot)))


def _again(points: PointBatch) -> Bools:
    """Which rows, in the order of (slot, time), are there already."""
    again = np.zeros(len(points), np.bool_)
    twins = (points.slot[1:] == points.slot[:-1]) & (points.time_ms[1:] == points.time_ms[:-1])
    if not twins.any():
        return again
    near = np.zeros(len(points), np.bool_)
    near[1:] |= twins
    near[:-1] |= twins
    at = np.flatnonzero(near)
    some = points.take(at)
    which = identity(some)
    order = np.lexsort((which, some.time_ms, some.slot))
    same = (
        (some.slot[order[1:]] == some.slot[order[:-1]])
        & (some.time_ms[order[1:]] == some.time_ms[order[:-1]])
        & (which[order[1:]] == which[order[:-1]])
    )
    again[at[order[1:][same]]] = True
    return again


def _starts(slot: npt.NDArray[np.integer]) -> Ints:
    """First row of each device, rows in order."""
    if not len(slot):
        return np.zeros(0, np.int64)
    return np.append(0, np.flatnonzero(slot[1:] != slot[:-1]) + 1)


def _bounds(slot: npt.NDArray[np.integer], slots: Ints) -> tuple[Ints, Ints]:
    """First row and the row after the last of each of `slots`."""
    return (
        np.searchsorted(slot, slots, side="left").astype(np.int64),
        np.searchsorted(slot, slots, side="right").astype(np.int64),
    )


def _before(time: Ints, first: Ints, end: Ints, time_ms: int) -> Ints:
    """In each run of rows first..end - 1, ordered by time, the last one at or before `time_ms`; first - 1 when there is none.

    All runs are halved together: as many rounds as the longest needs.
    """
    low, high = first - 1, end.copy()
    if not len(time):
        return low
    while True:
        open_ = high - low > 1
        if not open_.any():
            return low
        middle = (low + high) >> 1
        early = time[np.clip(middle, 0, len(time) - 1)] <= time_ms
        low = np.where(open_ & early, middle, low)
        high = np.where(open_ & ~early, middle, high)
