"""Where tracks are cut into trips: at gaps, and where a device stands.

A leg joins two points of a device that follow each other. A leg longer in time than the gap, and one to another device, is
no leg of any trip. A trip is a run of points from the beginning of a moving leg (`moving_kmh` or faster) to the end of
one, with pauses shorter than `min_stop_ms` in it. Invariants: no loop over points; what comes out of a device does not
depend on the devices around it. Distances are along the sphere's tangent plane at each leg (cosine of its latitude),
good to 0.1 % on the legs whose speed is near to the limit. `runs_by_gap` and `between_stops` cut as MovingPandas'
`ObservationGapSplitter` and `StopSplitter` do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.trips.stops import Stops
from model.errors import UsageError
from model.geo import METRES_PER_DEGREE

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

DEFAULT_TRIP_GAP_MS = 300_000
DEFAULT_MOVING_KMH = 5.0
DEFAULT_MIN_STOP_MS = 120_000
#: Legs looked at together: their columns stay in the processor's cache.
DEFAULT_BLOCK_POINTS = 1 << 14
_KMH_PER_M_PER_MS = 3_600.0


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of points in order of (slot, time); columns of shape (runs,).

    Attributes:
        first, last: int64, rows of the first and the last point of each, inclusive.
    """

    first: Ints
    last: Ints

    def __len__(self) -> int:
        return len(self.first)


def trips_by_gap(
    slot: npt.NDArray[np.integer],
    time_ms: Ints,
    lat: Floats,
    lon: Floats,
    *,
    trip_gap_ms: int = DEFAULT_TRIP_GAP_MS,
    moving_kmh: float = DEFAULT_MOVING_KMH,
    min_stop_ms: int = DEFAULT_MIN_STOP_MS,
    block_points: int = DEFAULT_BLOCK_POINTS,
) -> Runs:
    """The trips of each device; columns of shape (n,) in the order (slot, time), places in degrees.

    Raises UsageError for limits that are not positive.
    """
    if min(trip_gap_ms, min_stop_ms, block_points) < 1 or not moving_kmh > 0:
        raise UsageError("A trip needs a gap, a speed and a pause above zero.", mend="Give positive limits.")
    legs = max(len(slot) - 1, 0)
    moves = np.zeros(legs + 2, np.bool_)
    for begin in range(0, legs, block_points):
        end = min(begin + block_points, legs)
        _moving(slot, time_ms, lat, lon, begin, end, trip_gap_ms, moving_kmh, moves[begin + 1 : end + 1])
    # Leg i joins rows i and i + 1 and stands at moves[i + 1]: a run of moving legs is one of points.
    edges = np.flatnonzero(moves[1:] != moves[:-1])
    first, last = edges[0::2], edges[1::2]
    if not len(first):
        return Runs(first, last)
    apart = (time_ms[first[1:]] - time_ms[last[:-1]] >= min_stop_ms) | (slot[first[1:]] != slot[last[:-1]])
    if trip_gap_ms < min_stop_ms:
        # A gap need not be as long as a stop: look for one between the two.
        gaps = np.flatnonzero(time_ms[1:] - time_ms[:-1] > trip_gap_ms)
        apart |= np.searchsorted(gaps, last[:-1]) < np.searchsorted(gaps, first[1:])
    cut = np.flatnonzero(apart)
    return Runs(np.append(first[:1], first[cut + 1]), np.append(last[cut], last[-1:]))


def _moving(
    slot: npt.NDArray[np.integer],
    time: Ints,
    lat: Floats,
    lon: Floats,
    begin: int,
    end: int,
    gap_ms: int,
    moving_kmh: float,
    out: Bools,
) -> None:
    """Which of the legs begin..end - 1 move."""
    head, tail = slice(begin, end), slice(begin + 1, end + 1)
    took = time[tail] - time[head]
    north, east = lat[tail] - lat[head], lon[tail] - lon[head]
    # Single precision is plenty for a cosine of a latitude.
    shrink = lat[head].astype(np.float32)
    shrink *= np.float32(np.pi / 180.0)
    np.cos(shrink, out=shrink)
    east *= shrink
    east *= east
    north *= north
    north += east
    least = took * (moving_kmh / _KMH_PER_M_PER_MS / METRES_PER_DEGREE)
    least *= least
    np.greater_equal(north, least, out=out)
    # Without time there is no speed, however far.
    out &= (took <= gap_ms) & (took > 0)
    out &= slot[tail] == slot[head]


def runs_by_gap(slot: npt.NDArray[np.integer], time_ms: Ints, *, trip_gap_ms: int = DEFAULT_TRIP_GAP_MS) -> Runs:
    """Runs of two points or more with no gap in them, as MovingPandas' `ObservationGapSplitter` cuts."""
    apart = (slot[1:] != slot[:-1]) | (time_ms[1:] - time_ms[:-1] > trip_gap_ms)
    cut = np.flatnonzero(apart)
    if not len(slot):
        return Runs(cut, cut)
    return _longer(np.append(0, cut + 1), np.append(cut, len(slot) - 1))


def between_stops(slot: npt.NDArray[np.integer], stops: Stops) -> Runs:
    """Runs of two points or more before, between and after each device's stops, as MovingPandas' `StopSplitter` cuts.

    The last point before a stop is its first, and the first after it its last.
    """
    cut = np.flatnonzero(slot[1:] != slot[:-1])
    if not len(slot):
        return Runs(cut, cut)
    first = np.sort(np.concatenate((np.append(0, cut + 1), stops.last)))
    last = np.sort(np.concatenate((np.append(cut, len(slot) - 1), stops.first)))
    return _longer(first, last)


def _longer(first: Ints, last: Ints) -> Runs:
    """Runs that have two points at least."""
    long = last > first
    return Runs(first[long], last[long])
