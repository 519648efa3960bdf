"""Trips, stops and occupancy of a track as rows: what `lucheng trips` tells and what a file's totals count.

Points whose place cannot be trusted (JUMP, NO_FIX, sighted by a reader) are left out before anything else. A track
is cut at gaps, and at stops (`stops.stops`); what lies between is a trip from the beginning of its first moving leg to
the end of its last one, when that lasts `trip_min_s`. So trips and stops never overlap, and what is neither is a pause, a
crawl or a gap. A leg faster than a vehicle drives has no length and no speed. A leg belongs to the occupancy that the point
at its beginning told. Invariants: rows of the given batch are never changed; the order of its rows does not matter. It
reads no store and knows no names.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.limits import CleanLimits
from analytics.meaning.limits import RuleLimits
from analytics.trips.stops import Stops, stops
from model.batch import PointBatch
from model.codes import Flag, Mark
from model.geo import haversine_m

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_UNPLACED = np.uint16(Mark.JUMP | Mark.NO_FIX)
_KMH_PER_M_PER_MS = 3_600.0
_TOLD = np.uint16(Flag.OCCUPIED_SENT)
_OCCUPIED = np.uint16(Flag.OCCUPIED | Flag.OCCUPIED_SENT)


@dataclass(frozen=True, slots=True)
class TripRows:
    """Trips in order of (slot, time); columns of shape (trips,).

    Attributes:
        slot, start_ms, end_ms, points: int64.
        distance_m: float64, over cleaned points.
        occupied_m: float64, of it with a passenger; NaN when the device did not tell at any point of the trip.
        mean_kmh, max_kmh: float64; the greatest speed that the device sent, else of a leg; NaN when there is none.
    """

    slot: Ints
    start_ms: Ints
    end_ms: Ints
    points: Ints
    distance_m: Floats
    occupied_m: Floats
    mean_kmh: Floats
    max_kmh: Floats

    def __len__(self) -> int:
        return len(self.slot)


@dataclass(frozen=True, slots=True)
class StopRows:
    """Stops in order of (slot, time); columns of shape (stops,).

    Attributes:
        slot, start_ms, end_ms, points: int64.
        lat, lon: float64, medians, degrees.
    """

    slot: Ints
    start_ms: Ints
    end_ms: Ints
    points: Ints
    lat: Floats
    lon: Floats

    def __len__(self) -> int:
        return len(self.slot)


@dataclass(frozen=True, slots=True)
class Flips:
    """Changes of a taxi between free and occupied, in order of (slot, time); columns of shape (flips,).

    Attributes:
        row: int64, row of the batch that told the new state.
        slot, time_ms: int64.
        occupied: bool, the new state.
    """

    row: Ints
    slot: Ints
    time_ms: Ints
    occupied: Bools

    def __len__(self) -> int:
        return len(self.slot)


@dataclass(frozen=True, slots=True)
class Journeys:
    """What a batch of points came to; see the parts."""

    trips: TripRows
    stops: StopRows
    flips: Flips


def journeys(points: PointBatch, limits: RuleLimits, clean: CleanLimits | None = None) -> Journeys:
    """Trips, stops and occupancy flips of the points of any devices, in any order, marked by the analytics."""
    track = Track(points, clean or CleanLimits())
    found = track.stops(limits)
    first, last = track.trips(found, limits)
    return Journeys(track.trip_rows(first, last), track.stop_rows(found), occupancy_flips(points))


def count_trips(points: PointBatch, limits: RuleLimits, clean: CleanLimits | None = None) -> tuple[int, int]:
    """How many trips and stops `journeys` finds."""
    track = Track(points, clean or CleanLimits())
    found = track.stops(limits)
    return len(track.trips(found, limits)[0]), len(found)


def occupancy_flips(points: PointBatch) -> Flips:
    """Where what a device told of its passengers differs from what it told before; points that do not tell are passed over."""
    rows = np.flatnonzero(points.flags & _TOLD)
    rows = rows[np.lexsort((points.time_ms[rows], points.slot[rows]))]
    occupied = (points.flags[rows] & np.uint16(Flag.OCCUPIED)) != 0
    slot = points.slot[rows].astype(np.int64)
    flips = np.flatnonzero((occupied[1:] != occupied[:-1]) & (slot[1:] == slot[:-1])) + 1
    return Flips(rows[flips].astype(np.int64), slot[flips], points.time_ms[rows[flips]], occupied[flips])


class Track:
    """The points that can be trusted, in the order (slot, time), with the leg that led to each; columns of shape (n,).

    Attributes:
        row: int64, row of the given batch.
        slot, time: int64. lat, lon, speed: float64, km/h, NaN when not sent. flags: uint16.
        told, occupied: bool, whether the device told of passengers, and had one.
        took, far, kmh: int64 ms, float64 m and km/h of the leg; 0, 0 and NaN where there is none.
        impossible: bool, the leg is faster than a vehicle drives: it has a time, no length and no speed.
    """

    def __init__(self, points: PointBatch, clean: CleanLimits) -> None:
        placed = ((points.marks & _UNPLACED) == 0) & ((points.flags & np.uint16(Flag.SIGHTED)) == 0)
        placed &= np.isfinite(points.lat) & np.isfinite(points.lon)
        rows = np.flatnonzero(placed)
        slot, time = points.slot[rows], points.time_ms[rows]
        ordered = (slot[1:] > slot[:-1]) | ((slot[1:] == slot[:-1]) & (time[1:] >= time[:-1]))
        if not ordered.all():
            rows = rows[np.lexsort((time, slot))]
        self.row = rows.astype(np.int64)
        self.slot, self.time = points.slot[rows].astype(np.int64), points.time_ms[rows]
        self.lat, self.lon = points.lat[rows], points.lon[rows]
        self.speed = points.speed_kmh[rows].astype(np.float64)
        self.flags = flags = points.flags[rows]
        self.told, self.occupied = (flags & _TOLD) != 0, (flags & _OCCUPIED) == _OCCUPIED
        self._legs(clean)

    def _legs(self, clean: CleanLimits) -> None:
        """`took`, `far` and `kmh` of the leg to each row; 0, 0 and NaN where there is none."""
        rows = len(self.slot)
        self.took, self.far, self.kmh = np.zeros(rows, np.int64), np.zeros(rows), np.full(rows, np.nan)
        self.impossible = np.zeros(rows, np.bool_)
        if rows < 2:
            return
        took = np.where(self.slot[1:] == self.slot[:-1], self.time[1:] - self.time[:-1], 0)
        far = haversine_m(self.lat[:-1], self.lon[:-1], self.lat[1:], self.lon[1:])
        fastest = clean.max_jump_speed_kmh / _KMH_PER_M_PER_MS
        real = (took > 0) & (far <= np.maximum(took * fastest, clean.jump_min_m))
        self.took[1:] = took
        self.impossible[1:] = (took > 0) & ~real
        self.far[1:] = np.where(real, far, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            self.kmh[1:] = np.where(real, far / took * _KMH_PER_M_PER_MS, np.nan)

    def stops(self, limits: RuleLimits) -> Stops:
        """Stops by duration and diameter."""
        return stops(
            self.slot,
            self.time,
            self.lat,
            self.lon,
            min_stop_ms=limits.stop_min_s * 1_000,
            max_diameter_m=limits.stop_diameter_m,
        )

    def trips(self, found: Stops, limits: RuleLimits) -> tuple[Ints, Ints]:
        """First and last rows of the trips."""
        rows = len(self.slot)
        # A leg goes to its row. Within a stop, over a gap, or from another device it is no leg of a trip.
        inside = np.zeros(rows + 1, np.int64)
        np.add.at(inside, found.first + 1, 1)
        np.add.at(inside, found.last + 1, -1)
        free = (np.cumsum(inside[:rows]) == 0) & (self.took > 0) & (self.took <= limits.trip_gap_s * 1_000)
        cut = ~free
        moves = np.flatnonzero(free & (self.kmh >= limits.moving_kmh))
        if not len(moves):
            return moves, moves
        piece = np.cumsum(cut)[moves]
        new = np.flatnonzero(np.diff(piece, prepend=-1))
        first = moves[new] - 1
        last = moves[np.append(new[1:], len(moves)) - 1]
        long = self.time[last] - self.time[first] >= limits.trip_min_s * 1_000
        return first[long], last[long]

    def trip_rows(self, first: Ints, last: Ints) -> TripRows:
        """The trips between these rows."""
        far = np.cumsum(self.far)
        carried = self.far.copy()
        carried[1:] *= self.occupied[:-1]
        with_passenger = np.cumsum(carried)
        told = np.cumsum(self.told)
        distance = far[last] - far[first] if len(first) else np.zeros(0)
        occupied = np.where(
            told[last] - told[first] + self.told[first] > 0, with_passenger[last] - with_passenger[first], np.nan
        )
        start, end = self.time[first], self.time[last]
        return TripRows(
            slot=self.slot[first],
            start_ms=start,
            end_ms=end,
            points=last - first + 1,
            distance_m=distance,
            occupied_m=occupied,
            mean_kmh=distance / (end - start) * _KMH_PER_M_PER_MS,
            max_kmh=self._fastest(first, last),
        )

    def _fastest(self, first: Ints, last: Ints) -> Floats:
        """The greatest speed sent in each trip, else of its legs."""
        if not len(first):
            return np.zeros(0)
        # A last row stands behind, so that the end of the last trip can be named.
        sent = np.append(np.where(np.isnan(self.speed), -1.0, self.speed), -1.0)
        leg = np.append(np.where(np.isnan(self.kmh), -1.0, self.kmh), -1.0)
        ends = np.column_stack((first, last + 1)).ravel()
        legs = np.column_stack((first + 1, last + 1)).ravel()
        by_device, by_leg = np.maximum.reduceat(sent, ends)[::2], np.maximum.reduceat(leg, legs)[::2]
        fastest = np.where(by_device >= 0, by_device, by_leg)
        return np.where(fastest >= 0, fastest, np.nan)

    def stop_rows(self, found: Stops) -> StopRows:
        """These stops with their places."""
        return StopRows(
            slot=self.slot[found.first],
            start_ms=self.time[found.first],
            end_ms=self.time[found.last],
            points=found.last - found.first + 1,
            lat=_medians(self.lat, found),
            lon=_medians(self.lon, found),
        )


def _medians(values: Floats, found: Stops) -> Floats:
    """The median of each stop's values."""
    count = found.last - found.first + 1
    starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(count)))[:-1]
    rows = np.arange(int(count.sum())) - np.repeat(starts - found.first, count)
    taken = values[rows]
    taken = taken[np.lexsort((taken, np.repeat(np.arange(len(count)), count)))]
    middle: Floats = (taken[starts + (count - 1) // 2] + taken[starts + count // 2]) * 0.5
    return middle
