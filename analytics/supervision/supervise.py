"""`supervise`: what every vehicle did in a window, with the evidence, from its stored points.

Purpose: way, time, trips, stops and occupancy by `analytics.trips` (so the totals are those of `lucheng trips` to half a
millimetre a leg), overspeed, driving spells and fences by the very rules that raise alarms, silence, and the counts that
the rates (`analytics.supervision.rates`) are made of. Invariants: what comes out of a vehicle does not depend on the
vehicles around it, nor on how its points were cut into batches; a vehicle without points is in it, with zeros; no loop
over points or vehicles. It reads no store and knows no names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from analytics.limits import CleanLimits
from analytics.meaning.context import Context
from analytics.meaning.frame import Frame
from analytics.rules.within import FenceTable
from analytics.supervision.areas import Areas
from analytics.supervision.day import DayPoints
from analytics.supervision.driving import Driving, driving
from analytics.supervision.limits import SupervisionLimits
from analytics.supervision.rows import (
    AreaRows,
    GapRows,
    HourRows,
    OverspeedRows,
    SpellRows,
    Sums,
    Supervision,
    joined,
)
from analytics.supervision.silence import Silence, silence
from analytics.supervision.speeding import overspeed
from analytics.supervision.track_frame import frame_of
from analytics.trips.journeys import Track, occupancy_flips
from model.batch import PointBatch
from model.codes import Flag, Mark

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Number = TypeVar("Number", np.int64, np.float64)

HOUR_MS = 3_600_000
_MM_PER_M = 1_000.0
_TOLD = np.uint16(Flag.OCCUPIED_SENT)
_FIX = np.uint16(Flag.VALID | Flag.VALID_SENT)


def supervise(
    day: DayPoints,
    context: Context,
    limits: SupervisionLimits | None = None,
    clean: CleanLimits | None = None,
) -> Supervision:
    """The supervision of a day that has been gathered.

    `context` says the kinds of the vehicles, the fences in force, and the limits of the rules.
    """
    limits, clean = limits or SupervisionLimits(), clean or CleanLimits()
    areas = Areas(context)
    table = None if context.fences is None else FenceTable.of(context.fences, context)
    parts = [
        _Part(slots, points, (day.from_ms, day.to_ms), context, table, limits, clean, areas)
        for slots, points in (*day.parts(limits.part_vehicles), (np.zeros(0, np.int64), PointBatch.empty()))
    ]
    return Supervision(
        from_ms=day.from_ms,
        to_ms=day.to_ms,
        points=day.points,
        digest=day.digest(),
        slot=day.slots,
        first_ms=np.concatenate([part.first_ms for part in parts]),
        last_ms=np.concatenate([part.last_ms for part in parts]),
        vehicles=joined([part.sums for part in parts]),
        overspeed=joined([part.overspeed for part in parts]),
        spells=joined([part.spells for part in parts]),
        areas=joined([part.areas for part in parts]),
        gaps=joined([part.gaps for part in parts]),
        hours=HourRows(
            *(np.sum([getattr(part.hours, name) for part in parts], axis=0) for name in HourRows.__dataclass_fields__)
        ),
    )


@dataclass(frozen=True, slots=True)
class _Legs:
    """Which legs of a track (each belongs to the row it leads to) lie on trips, on trips that tell, and in stops."""

    mm: Ints
    trip: Bools
    told: Bools
    stop: Bools


class _Part:
    """Some vehicles, looked at together; see `Supervision` for what it leaves."""

    def __init__(
        self,
        slots: Ints,
        points: PointBatch,
        window: tuple[int, int],
        context: Context,
        table: FenceTable | None,
        limits: SupervisionLimits,
        clean: CleanLimits,
        areas: Areas,
    ) -> None:
        self._slots, self._points, self._window = slots, points, window
        self._slot = points.slot.astype(np.int64)
        self._first, self._end = np.searchsorted(self._slot, slots), np.searchsorted(self._slot, slots, side="right")
        self._track = track = Track(points, clean)
        self._gap_ms = context.limits.trip_gap_s * 1_000
        self._stops = track.stops(context.limits)
        self._trips = track.trips(self._stops, context.limits)
        self._legs = self._which_legs()
        frame = frame_of(track, context)
        self.overspeed: OverspeedRows = overspeed(frame, context, table, limits.band_edges_pct)
        spells = driving(frame, context.limits)
        self.spells: SpellRows = spells.tired
        self.areas: AreaRows = areas.look(frame)
        quiet = silence(self._slot, points.time_ms, self._first, self._end, track, window, limits.offline_ms)
        self.gaps: GapRows = quiet.gaps
        some = self._end > self._first
        self.first_ms, self.last_ms = np.full(len(slots), -1), np.full(len(slots), -1)
        self.first_ms[some] = points.time_ms[self._first[some]]
        self.last_ms[some] = points.time_ms[self._end[some] - 1]
        self._told_ms, self._occupied = self._telling()
        self.sums = self._sums(frame, spells, quiet, limits)
        self.hours = self._hours()

    def _which_legs(self) -> _Legs:
        track, (first, last) = self._track, self._trips
        rows = len(track.slot)
        tells = np.append(0, np.cumsum(track.told))
        telling = tells[last + 1] > tells[first] if len(first) else np.zeros(0, np.bool_)
        return _Legs(
            np.rint(track.far * _MM_PER_M).astype(np.int64),
            _between(first, last, rows),
            _between(first[telling], last[telling], rows),
            _between(self._stops.first, self._stops.last, rows),
        )

    def _telling(self) -> tuple[Ints, Bools]:
        """For each point, ms since the one before that told of passengers (0: neither, or over a gap), and what that told."""
        points = self._points
        rows = np.flatnonzero(points.flags & _TOLD)
        occupied = (points.flags[rows] & np.uint16(Flag.OCCUPIED)) != 0
        took = np.diff(points.time_ms[rows], prepend=0)
        took[:1] = 0
        took[1:][self._slot[rows[1:]] != self._slot[rows[:-1]]] = 0
        took[took > self._gap_ms] = 0
        told_ms, state = np.zeros(len(points), np.int64), np.zeros(len(points), np.bool_)
        told_ms[rows] = took
        state[rows[1:]] = occupied[:-1]
        return told_ms, state

    def _sums(self, frame: Frame, spells: Driving, quiet: Silence, limits: SupervisionLimits) -> Sums:
        track, points, legs = self._track, self._points, self._legs
        on_road = ~legs.stop
        near = track.took <= self._gap_ms
        carried = np.zeros(len(track.slot), np.bool_)
        carried[1:] = track.occupied[:-1]
        valid = ((points.marks & np.uint16(Mark.NO_FIX)) == 0) & ((points.flags & _FIX) != Flag.VALID_SENT)
        valid &= np.isfinite(points.lat) & np.isfinite(points.lon)
        jumps = valid & ((points.marks & np.uint16(Mark.JUMP)) != 0)
        jumps[track.row[track.impossible]] = True
        flips = occupancy_flips(points)
        valids, drift = self._of_points(valid), self._of_points(jumps)
        start, stop_start = track.slot[self._trips[0]], track.slot[self._stops.first]
        lasted = self.overspeed.end_ms - self.overspeed.start_ms
        return Sums(
            vehicles=np.ones(len(self._slots), np.int64),
            online=(valids > 0).astype(np.int64),
            drifting=(drift >= limits.drift_points).astype(np.int64),
            points=(self._end - self._first).astype(np.int64),
            valid=valids,
            drift=drift,
            distance_mm=self._of_legs(legs.mm, legs.trip),
            driving_ms=self._of(start, track.time[self._trips[1]] - track.time[self._trips[0]]),
            trips=self._of(start),
            standing_ms=self._of(stop_start, track.time[self._stops.last] - track.time[self._stops.first]),
            stops=self._of(stop_start),
            told_mm=self._of_legs(legs.mm, legs.told),
            occupied_mm=self._of_legs(legs.mm, legs.told & carried),
            told_ms=self._of_points(self._told_ms),
            occupied_ms=self._of_points(np.where(self._occupied, self._told_ms, 0)),
            flips=self._of(flips.slot),
            hires=self._of(flips.slot[flips.occupied]),
            complete_mm=self._of_legs(legs.mm, on_road & near),
            broken_mm=self._of_legs(legs.mm, on_road & ~near),
            overspeed=np.stack(
                [self._of(self.overspeed.slot[self.overspeed.band == band]) for band in range(limits.bands)], axis=1
            ),
            overspeed_ms=self._of(self.overspeed.slot, lasted),
            tired=self._of(self.spells.slot),
            longest_drive_ms=self._greatest(spells.slot, spells.drive_ms, 0),
            areas=self._of(self.areas.slot),
            gaps=self._of(self.gaps.slot),
            offline_ms=quiet.offline_ms,
            max_kmh=self._greatest(frame.slot, frame.motion_kmh, np.nan),
        )

    def _of_points(self, values: npt.NDArray[np.integer] | Bools) -> Ints:
        """Sums over each vehicle's points."""
        total = np.append(np.int64(0), np.cumsum(values, dtype=np.int64))
        of: Ints = total[self._end] - total[self._first]
        return of

    def _of_legs(self, mm: Ints, which: Bools) -> Ints:
        """Sums over some of each vehicle's legs."""
        return self._of(self._track.slot, np.where(which, mm, 0))

    def _of(self, slot: Ints, values: Ints | None = None) -> Ints:
        """Sums of each vehicle's values, or how many there are; `slot` ascends."""
        first, end = np.searchsorted(slot, self._slots), np.searchsorted(slot, self._slots, side="right")
        if values is None:
            return (end - first).astype(np.int64)
        total = np.append(np.int64(0), np.cumsum(values, dtype=np.int64))
        of: Ints = total[end] - total[first]
        return of

    def _greatest(self, slot: Ints, values: npt.NDArray[Number], empty: float) -> npt.NDArray[Number]:
        """The greatest of each vehicle's values that is a number; `slot` ascends."""
        out = np.full(len(self._slots), empty, values.dtype)
        np.fmax.at(out, np.searchsorted(self._slots, slot), values)
        return out

    def _hours(self) -> HourRows:
        from_ms, to_ms = self._window
        hours = -(-(to_ms - from_ms) // HOUR_MS)
        hour = (self._points.time_ms - from_ms) // HOUR_MS
        # Points are in order, so an hour of a vehicle begins where either changes.
        new = np.ones(len(hour), np.bool_)
        new[1:] = (hour[1:] != hour[:-1]) | (self._slot[1:] != self._slot[:-1])
        legs, leg_hour = self._legs, (self._track.time - from_ms) // HOUR_MS

        def by_hour(at: Ints, values: Ints) -> Ints:
            total = np.zeros(hours, np.int64)
            np.add.at(total, at, values)
            return total

        return HourRows(
            online=np.bincount(hour[new], minlength=hours).astype(np.int64),
            distance_mm=by_hour(leg_hour[legs.trip], legs.mm[legs.trip]),
            told_ms=by_hour(hour, self._told_ms),
            occupied_ms=by_hour(hour[self._occupied], self._told_ms[self._occupied]),
        )


def _between(first: Ints, last: Ints, rows: int) -> Bools:
    """Which rows come after the first and up to the last of a run."""
    edge = np.zeros(rows + 1, np.int64)
    np.add.at(edge, first + 1, 1)
    np.add.at(edge, last + 1, -1)
    inside: Bools = np.cumsum(edge[:rows]) > 0
    return inside
