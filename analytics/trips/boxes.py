"""Bounding boxes of any run of rows of a column of places, and what they say of its smallest rotated rectangle.

Purpose: decide nearly every window of points without looking at its points. Invariants: boxes are in units of 1e-7
degree, rounded outwards, so that a decision made from one holds for the places themselves. `NEVER` supposes that the
rectangle holds the points. GEOS' (3.14) may not where all of them lie on one line to the last digit, so a window with
`NEVER` is certain only when it is `bent`; then every window around it is too. It reads no time.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analytics.trips.rectangle import BOX_FACTOR, metres_per_degree

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int8]
BoxArray = npt.NDArray[np.int32]

#: What a box says: certainly not small, perhaps, certainly small.
NEVER, PERHAPS, SURELY = np.int8(-1), np.int8(0), np.int8(1)

_UNITS = 1e7
#: Boxes this wide may go the other way round the earth.
_HALF_TURN = np.uint32(1_800_000_000)
#: Metres per degree of latitude are least at the equator and greatest at the poles (110,574 and 111,694 on WGS-84).
_LEAST_M, _MOST_M = 110_574.0, 111_700.0
#: Lengths by metres per degree are off by less than this share up to `MAX_DIAMETER_M`.
_SLACK = 1e-3
#: Boxes are two units too large at most in each direction.
_ROUNDED = 2
#: Nearer to a pole than about 84 degrees nothing is decided by boxes.
_LEAST_EAST_M = 11_600.0
MAX_DIAMETER_M = 10_000.0
#: How well a place in degrees is known as a number, with a margin: a few units of the last digit of 180.
_ROUNDING_DEG = 1e-13
#: Two legs whose cross product is not above this, square degrees, may be on one line by `flat`, however long they are.
NEARLY_A_LINE = 4.0 * 540.0 * _ROUNDING_DEG


class Boxes:
    """Boxes of every run of 2^k rows, k below `levels`; any run is the union of two.

    Args:
        lat, lon: degrees, shape (n,).
        levels: runs of up to 2^levels - 1 rows can be asked for.
        max_diameter_m: what windows are compared with, at most `MAX_DIAMETER_M`.
    """

    def __init__(self, lat: Floats, lon: Floats, levels: int, max_diameter_m: float) -> None:
        rows = len(lat)
        self.rows, self.levels = rows, levels
        self.table: BoxArray = np.empty((levels, rows, 4), np.int32)
        base = self.table[0]
        base[:, 0], base[:, 1] = np.floor(lat * _UNITS), np.floor(lon * _UNITS)
        base[:, 2], base[:, 3] = np.floor(lat * -_UNITS), np.floor(lon * -_UNITS)
        for level in range(1, levels):
            half = min(1 << (level - 1), rows)
            below, here = self.table[level - 1], self.table[level]
            np.minimum(below[: rows - half], below[half:], out=here[: rows - half])
            here[rows - half :] = below[rows - half :]
        self._flat = self.table.reshape(-1, 4)
        self.never = never_from(lat, max_diameter_m)
        self.surely = (max_diameter_m * (1 - _SLACK) / _MOST_M * _UNITS) ** 2 / 1.25

    def of(self, first: Ints, last: Ints) -> BoxArray:
        """Boxes of the runs first..last, inclusive; shape (m, 4)."""
        level = _log2(last - first + 1)
        begin = level * self.rows
        box: BoxArray = self._flat.take(begin + first, axis=0)
        return np.minimum(box, self._flat.take(begin + last + 1 - (1 << level), axis=0), out=box)

    def block(self, level: int, first: Ints) -> BoxArray:
        """Boxes of the 2^level rows from `first` on."""
        found: BoxArray = self.table[level].take(first, axis=0)
        return found

    def is_surely(self, box: BoxArray) -> npt.NDArray[np.bool_]:
        """Which boxes say `SURELY`.

        Both sides of the smallest rectangle are at most as long as the points are apart, and its area is at most the
        box's, so the square of its diagonal is at most 1.25 times that of the box, in degrees as in metres per the
        longest degree.
        """
        wide = _extent(box).astype(np.float64)
        wide *= wide
        small: npt.NDArray[np.bool_] = wide[:, 0] + wide[:, 1] < self.surely
        return small

    def code(self, box: BoxArray, row: Ints) -> Codes:
        """What each box says; `row` is any row in it.

        The diagonal is as long in degrees as any side of the box at least, and no degree of it is shorter than one of
        longitude there, nor than one of latitude at the equator.
        """
        wide = _extent(box)
        longest = np.maximum(wide[:, 0], wide[:, 1])
        code = self.is_surely(box).astype(np.int8)
        code[(longest >= self.never.take(row)) & (longest < _HALF_TURN)] = NEVER
        return code


def never_from(lat: Floats, max_diameter_m: float) -> npt.NDArray[np.uint32]:
    """Sides of a box with this latitude in it that are too long, 1e-7 degree, uint32, shape (n,).

    Told by bands of half a degree, from their end towards the pole. A box higher than 1.5 diameters is too large by
    itself, so no other latitude in it is farther away than that.
    """
    far_deg = 2.0 * BOX_FACTOR * max_diameter_m / _LEAST_M
    ends = np.minimum(np.arange(1, 182) * 0.5 + far_deg, 90.0)
    # Near the equator a degree of latitude is the shorter one.
    east_m = np.minimum(metres_per_degree(np.radians(ends))[1], _LEAST_M)
    units = max_diameter_m * (1 + _SLACK) / np.maximum(east_m, _LEAST_EAST_M) * _UNITS + _ROUNDED
    by_band = np.where(east_m < _LEAST_EAST_M, np.iinfo(np.uint32).max, units).astype(np.uint32)
    found: npt.NDArray[np.uint32] = by_band.take((np.abs(lat) * 2.0).astype(np.intp))
    return found


def flat(other: npt.NDArray[np.bool_], lat: Floats, lon: Floats) -> npt.NDArray[np.bool_]:
    """Rows that lie on one line with the two before them, but for rounding; `other`: rows that begin another track."""
    out = np.zeros(len(lat), np.bool_)
    north, east = np.diff(lat), np.diff(lon)
    cross = north[:-1] * east[1:]
    cross -= east[:-1] * north[1:]
    np.abs(cross, out=cross)
    np.abs(north, out=north)
    np.abs(east, out=east)
    north += east
    np.less_equal(cross, (north[1:] + north[:-1]) * _ROUNDING_DEG, out=out[2:])
    out &= ~other
    out[1:] &= ~other[:-1]
    return out


def _extent(box: BoxArray) -> npt.NDArray[np.uint32]:
    """Height and width of each box; the width of one around the earth does not fit 31 bits."""
    unsigned = box.view(np.uint32)
    wide: npt.NDArray[np.uint32] = np.uint32(0) - (unsigned[:, :2] + unsigned[:, 2:])
    return wide


def _log2(count: Ints) -> Ints:
    """Whole part of the binary logarithm of counts from 1 on."""
    return np.frexp(count.astype(np.float64))[1].astype(np.int64) - 1
