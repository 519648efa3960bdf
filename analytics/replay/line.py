"""A line simplified for drawing, true to time: who follows it by the clock is never farther than a tolerance from the points.

Ramer, Douglas and Peucker's method with the synchronised Euclidean distance: how far a point is from where the line is at
the point's own time (N. Meratnia, R. A. de By, "Spatiotemporal Compression Techniques for Moving Point Objects", EDBT 2004:
TD-TR). So a stop stays a stop, which a line simplified by shape alone loses. Invariants: what is kept are points, the first and
the last of every run among them; no left-out point is farther than the tolerance. All runs are halved together, level by
level; a run is cut into pieces of `PIECE_POINTS` first, so that the worst track costs no more levels than that. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.replay.reel import Reel
from model.errors import UsageError
from model.geo import METRES_PER_DEGREE

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

DEFAULT_TOLERANCE_M = 10.0
MAX_TOLERANCE_M = 10_000.0
DEFAULT_MAX_LINE_POINTS = 50_000
PIECE_POINTS = 2_048


@dataclass(frozen=True, slots=True)
class Line:
    """The simplified ways of a reel; pieces are in the order of (slot, time).

    Attributes:
        row: int64, rows of `Reel.points` that are kept.
        piece: int64, number of the piece to which each belongs; a gap lies between two pieces.
        device: int64 (pieces,), place in `Reel.slots`.
        tolerance_m: what it holds to; more than was asked where that left too many points.
    """

    row: Ints
    piece: Ints
    device: Ints
    tolerance_m: float


def drawn(reel: Reel, *, tolerance_m: float = DEFAULT_TOLERANCE_M, max_points: int = DEFAULT_MAX_LINE_POINTS) -> Line:
    """The ways of all devices, simplified. While more than `max_points` are left the tolerance is doubled, up to 10 km.

    Raises UsageError for a tolerance that is not 0 to 10,000 m.
    """
    if not 0 <= tolerance_m <= MAX_TOLERANCE_M:
        raise UsageError(f"A tolerance of {tolerance_m:g} m.", mend=f"Give 0 to {MAX_TOLERANCE_M:g}.")
    device, first, last = reel.runs()
    held = tolerance_m
    keep = kept(reel.way_ms, reel.way_lat, reel.way_lon, first, last, held)
    while np.count_nonzero(keep) > max_points and held < MAX_TOLERANCE_M:
        held = min(max(2 * held, 1.0), MAX_TOLERANCE_M)
        keep = kept(reel.way_ms, reel.way_lat, reel.way_lon, first, last, held)
    rows = np.flatnonzero(keep)
    return Line(reel.way[rows], np.searchsorted(last, rows), device, held)


def kept(time_ms: Ints, lat: Floats, lon: Floats, first: Ints, last: Ints, tolerance_m: float) -> Bools:
    """Which rows a simplified line keeps; the runs first..last lie one behind the other, ordered by time."""
    keep = np.zeros(len(time_ms), np.bool_)
    begin, end = _pieces(first, last)
    keep[begin] = keep[end] = True
    shrink = np.cos(np.radians(lat))
    limit = (tolerance_m / METRES_PER_DEGREE) ** 2
    while True:
        open_ = end - begin > 1
        begin, end = begin[open_], end[open_]
        if not len(begin):
            return keep
        count = end - begin - 1
        offset = np.cumsum(count) - count
        row = np.arange(int(count.sum())) + np.repeat(begin + 1 - offset, count)
        far = _apart(time_ms, lat, lon, shrink, row, np.repeat(begin, count), np.repeat(end, count))
        worst = np.maximum.reduceat(far, offset)
        at_worst = np.flatnonzero(far == np.repeat(worst, count))
        # The first of those that are equally far.
        cut = row[at_worst[np.searchsorted(at_worst, offset)]]
        split = worst > limit
        keep[cut[split]] = True
        begin, end = (
            np.concatenate((begin[split], cut[split])),
            np.concatenate((cut[split], end[split])),
        )


def _apart(time_ms: Ints, lat: Floats, lon: Floats, shrink: Floats, row: Ints, begin: Ints, end: Ints) -> Floats:
    """Square of how far each row is from the line at its time, in degrees of latitude."""
    took = time_ms[end] - time_ms[begin]
    share = (time_ms[row] - time_ms[begin]) / np.maximum(took, 1)
    north = lat[row] - (lat[begin] + share * (lat[end] - lat[begin]))
    east = (lon[row] - (lon[begin] + share * (lon[end] - lon[begin]))) * shrink[row]
    apart: Floats = north * north + east * east
    return apart


def _pieces(first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """The runs cut into pieces that share their ends."""
    count = np.maximum(-(-(last - first) // PIECE_POINTS), 1)
    offset = np.cumsum(count) - count
    number = np.arange(int(count.sum())) - np.repeat(offset, count)
    begin = np.repeat(first, count) + number * PIECE_POINTS
    return begin, np.minimum(begin + PIECE_POINTS, np.repeat(last, count))
