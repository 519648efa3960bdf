"""`Presence`: that a device was inside an area; and `Gather`, which tells it from points, whoever stores them.

Invariants: points are told as they are stored, all of them, whatever their marks. A leg joins two points of one device that
follow each other within the window, at most `MAX_LEG_MS` apart and at different times; never from or to a place that
cannot be trusted (a jump, no fix, a tag reader's). A leg counts only where both its ends lie outside and it crosses the area:
that is interpolation, told apart from what was seen, with both its ends as evidence. It reads no store and judges no grant.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.area import Area, Box, legs_near
from model.batch import COLUMN_NAMES, PointBatch
from model.codes import Flag, Mark
from model.errors import Refused
from model.extras import NO_EXTRAS

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: A longer silence is not bridged.
MAX_LEG_MS = 300_000
DEFAULT_MAX_POINTS = 1_000_000
_UNPLACED = np.uint16(Mark.JUMP | Mark.NO_FIX)
_SIGHTED = np.uint16(Flag.SIGHTED)


@dataclass(frozen=True, slots=True)
class Presence:
    """That one device was inside.

    Attributes:
        slot: the device.
        points: its points inside, by (time, seq).
        legs: the ends of its legs that cross with no end inside: rows 2k and 2k + 1 are those of leg k; by time.
        enter_ms, leave_ms: int64 (legs,), UTC ms, interpolated: when it went in and out on each of those legs.
    """

    slot: int
    points: PointBatch
    legs: PointBatch
    enter_ms: Ints
    leave_ms: Ints

    @property
    def interpolated(self) -> bool:
        """Whether no point lies inside: it is told by legs alone."""
        return not len(self.points)

    @property
    def first_ms(self) -> int:
        """First time inside, of a point or interpolated."""
        return min(self._seen(0), self._crossed(0))

    @property
    def last_ms(self) -> int:
        """Last time inside, of a point or interpolated."""
        return max(self._seen(-1), self._crossed(-1))

    @property
    def first_interpolated(self) -> bool:
        """Whether `first_ms` is no point's time."""
        return self.interpolated or self.first_ms < self._seen(0)

    @property
    def last_interpolated(self) -> bool:
        """Whether `last_ms` is no point's time."""
        return self.interpolated or self.last_ms > self._seen(-1)

    def _seen(self, row: int) -> int:
        return int(self.points.time_ms[row]) if len(self.points) else self._crossed(row)

    def _crossed(self, row: int) -> int:
        if not len(self.enter_ms):
            return int(self.points.time_ms[row])
        return int(self.enter_ms[0]) if row == 0 else int(self.leave_ms.max())


class Gather:
    """Takes points batch by batch and tells who was inside.

    Args:
        area: where.
        max_vehicles: devices at most.
        max_points: points and ends of legs at most.
    """

    def __init__(self, area: Area, *, max_vehicles: int, max_points: int = DEFAULT_MAX_POINTS) -> None:
        self._area = area
        self._max_vehicles = max_vehicles
        self._max_points = max_points
        self._last = PointBatch.empty()
        self._inside: list[PointBatch] = []
        self._legs: list[PointBatch] = []
        self._times: list[Ints] = []
        self._slots: set[int] = set()
        self._points = 0

    @property
    def box(self) -> Box:
        """Bounds of the area: points and legs that do not touch them need not be given."""
        return self._area.box

    def add(self, batch: PointBatch) -> None:
        """Take the next points. Of one device they come in the order of (time, seq), within a batch and over batches.

        Raises Refused when there are more devices or points than allowed.
        """
        if not len(batch):
            return
        before = self._last.take(np.isin(self._last.slot, batch.slot)) if len(self._last) else self._last
        rows = PointBatch.concat([before, batch]) if len(before) else batch
        fresh = np.arange(len(rows)) >= len(before)
        if bool((rows.slot[1:] < rows.slot[:-1]).any()):
            order = np.argsort(rows.slot, kind="stable")
            rows, fresh = rows.take(order), fresh[order]
        inside = self._area.covers(rows.lat, rows.lon)
        self._take_points(rows, inside & fresh)
        self._take_legs(rows, inside)
        ends = np.ones(len(rows), np.bool_)
        ends[:-1] = rows.slot[1:] != rows.slot[:-1]
        others = self._last.take(~np.isin(self._last.slot, batch.slot)) if len(self._last) else self._last
        self._last = PointBatch.concat([others, rows.take(ends)])

    def found(self) -> list[Presence]:
        """Who was inside, by slot."""
        points, legs = PointBatch.concat(self._inside), PointBatch.concat(self._legs)
        times = np.concatenate([np.zeros((0, 2), np.int64), *self._times])
        points = points.take(np.argsort(points.slot, kind="stable"))
        order = np.argsort(legs.slot[::2], kind="stable")
        legs, times = legs.take(np.stack((2 * order, 2 * order + 1), axis=1).ravel()), times[order]
        slots = np.array(sorted(self._slots), np.int64)
        of_points = np.append(np.searchsorted(points.slot, slots), len(points)).tolist()
        of_legs = np.append(np.searchsorted(legs.slot[::2], slots), len(order)).tolist()
        return [
            Presence(
                slot,
                _rows(points, of_points[at], of_points[at + 1]),
                _rows(legs, 2 * of_legs[at], 2 * of_legs[at + 1]),
                times[of_legs[at] : of_legs[at + 1], 0],
                times[of_legs[at] : of_legs[at + 1], 1],
            )
            for at, slot in enumerate(slots.tolist())
        ]

    def _take_points(self, rows: PointBatch, inside: Bools) -> None:
        at = np.flatnonzero(inside)
        if len(at):
            self._count(rows.slot[at])
            self._inside.append(rows.take(at))

    def _take_legs(self, rows: PointBatch, inside: Bools) -> None:
        joined = bridged(rows) & ~inside[1:] & ~inside[:-1]
        joined &= legs_near(self._area.box, rows.lat[:-1], rows.lon[:-1], rows.lat[1:], rows.lon[1:])
        at = np.flatnonzero(joined)
        if not len(at):
            return
        enter, leave = self._area.crossings(rows.lat[at], rows.lon[at], rows.lat[at + 1], rows.lon[at + 1])
        crossed = ~np.isnan(enter)
        at, enter, leave = at[crossed], enter[crossed], leave[crossed]
        if not len(at):
            return
        both = np.stack((at, at + 1), axis=1).ravel()
        self._count(rows.slot[both])
        self._legs.append(rows.take(both))
        since, lasts = rows.time_ms[at], rows.time_ms[at + 1] - rows.time_ms[at]
        share = np.stack((enter, leave), axis=1)
        self._times.append(since[:, None] + np.rint(share * lasts[:, None]).astype(np.int64))

    def _count(self, slots: npt.NDArray[np.int32]) -> None:
        self._slots.update(np.unique(slots).tolist())
        self._points += len(slots)
        if len(self._slots) > self._max_vehicles:
            raise Refused(
                f"More than {self._max_vehicles} vehicles were there.",
                mend="Search a smaller area or a shorter time, or have more vehicles approved.",
            )
        if self._points > self._max_points:
            raise Refused(
                f"More than {self._max_points} points lie there.", mend="Search a smaller area or a shorter time."
            )


def bridged(rows: PointBatch) -> Bools:
    """Whether a leg joins each row to the next, (n - 1,); `rows` in the order of (slot, time, seq). See the module."""
    placed = ((rows.marks & _UNPLACED) == 0) & ((rows.flags & _SIGHTED) == 0)
    took = rows.time_ms[1:] - rows.time_ms[:-1]
    joined: Bools = (rows.slot[1:] == rows.slot[:-1]) & (took > 0) & (took <= MAX_LEG_MS)
    joined &= placed[1:] & placed[:-1]
    return joined


def presences(
    batches: Iterable[PointBatch], area: Area, *, max_vehicles: int, max_points: int = DEFAULT_MAX_POINTS
) -> list[Presence]:
    """Who was inside, from all points of a window (as `SeriesStore.fleet` gives them): for stores without an index."""
    gather = Gather(area, max_vehicles=max_vehicles, max_points=max_points)
    for batch in batches:
        gather.add(batch)
    return gather.found()


def _rows(batch: PointBatch, first: int, end: int) -> PointBatch:
    """Some rows in a run, without a copy."""
    extra = batch.extra.take(np.arange(first, end)) if batch.extra else NO_EXTRAS
    return PointBatch(**{name: getattr(batch, name)[first:end] for name in COLUMN_NAMES}, extra=extra)
