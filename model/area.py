"""Areas to search in: a polygon or a circle; which places lie in one, and which legs cross it.

Invariants: a boundary counts as inside. A polygon is decided in whole 1e-6 degrees, the resolution of stored points, so its
answers are exact, corners and edges too; its edges are straight in (lon, lat), as GeoJSON draws them (RFC 7946, section
3.1.1). A circle is decided by `haversine_m`. A leg is straight in (lon, lat). An area never reaches over the antimeridian. It
knows no fences (those have rules and an index: `analytics.fences`) and no devices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from model.errors import UsageError
from model.geo import EARTH_RADIUS_M, METRES_PER_DEGREE, haversine_m

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Ring = tuple[tuple[float, float], ...]

#: Largest circle that is searched, m.
MAX_RADIUS_M = 50_000.0
#: Circles end here: nearer to a pole a degree of longitude is no length to reckon with.
MAX_CIRCLE_LAT_DEG = 85.0
#: Corners of all rings of one polygon.
MAX_CORNERS = 500
#: An edge or a leg that spans more is taken for one across the antimeridian.
MAX_SPAN_DEG = 180.0
_UNITS = 1_000_000
_MAX_LAT, _MAX_LON = 90 * _UNITS, 180 * _UNITS
#: Beyond the edge of a circle's box, 1e-6 degree: what rounding can lose.
_MARGIN = 2
_PAIRS_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class Box:
    """Bounds in whole 1e-6 degrees, all four inside."""

    south: int
    north: int
    west: int
    east: int


@dataclass(frozen=True, slots=True)
class Circle:
    """All that lies within `radius_m` of a place.

    Args:
        lat, lon: WGS-84 degrees.
        radius_m: above 0, at most `MAX_RADIUS_M`.

    Raises:
        UsageError: no such circle can be searched.
    """

    lat: float
    lon: float
    radius_m: float
    box: Box = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (abs(self.lat) <= MAX_CIRCLE_LAT_DEG and abs(self.lon) <= 180.0):
            raise UsageError(
                f"A circle around {self.lat:g}, {self.lon:g} cannot be searched.",
                mend=f"Give a latitude within {MAX_CIRCLE_LAT_DEG:g} degrees and a longitude within 180.",
            )
        if not 0.0 < self.radius_m <= MAX_RADIUS_M:
            raise UsageError(
                f"A radius of {self.radius_m:g} m cannot be searched.", mend=f"Give up to {MAX_RADIUS_M:,.0f} m."
            )
        high = self.radius_m / METRES_PER_DEGREE
        reach = math.sin(self.radius_m / EARTH_RADIUS_M) / math.cos(math.radians(self.lat))
        wide = math.degrees(math.asin(min(reach, 1.0)))
        box = Box(
            math.floor((self.lat - high) * _UNITS) - _MARGIN,
            math.ceil((self.lat + high) * _UNITS) + _MARGIN,
            math.floor((self.lon - wide) * _UNITS) - _MARGIN,
            math.ceil((self.lon + wide) * _UNITS) + _MARGIN,
        )
        if box.west < -_MAX_LON or box.east > _MAX_LON:
            raise UsageError("The circle reaches over the antimeridian.", mend="Search each side for itself.")
        object.__setattr__(self, "box", box)

    def covers(self, lat: Floats, lon: Floats) -> Bools:
        """Which places (degrees, shape (n,)) lie in it; NaN does not."""
        inside = in_box(self.box, lat, lon)
        at = np.flatnonzero(inside)
        inside[at] = haversine_m(self.lat, self.lon, lat[at], lon[at]) <= self.radius_m
        return inside

    def crossings(self, lat1: Floats, lon1: Floats, lat2: Floats, lon2: Floats) -> tuple[Floats, Floats]:
        """Where legs whose ends lie outside go in and out, as fractions of the leg, shape (n,); NaN where they do not.

        The nearest place of a leg is looked for on the plane that touches the circle's center, so a leg that grazes a
        circle of 50 km within 0.01 % of its radius may be told either way.
        """
        metres = METRES_PER_DEGREE * math.cos(math.radians(self.lat))
        x, y = (lon1 - self.lon) * metres, (lat1 - self.lat) * METRES_PER_DEGREE
        dx, dy = (lon2 - lon1) * metres, (lat2 - lat1) * METRES_PER_DEGREE
        length2 = dx * dx + dy * dy
        with np.errstate(invalid="ignore", divide="ignore"):
            near = np.where(length2 > 0, np.clip(-(x * dx + y * dy) / length2, 0.0, 1.0), 0.0)
            away_m = haversine_m(self.lat, self.lon, lat1 + near * (lat2 - lat1), lon1 + near * (lon2 - lon1))
            least2 = (x + near * dx) ** 2 + (y + near * dy) ** 2
            half = np.sqrt(np.maximum(self.radius_m**2 - least2, 0.0) / length2)
        half = np.where(np.isfinite(half), half, 0.0)
        hit = away_m <= self.radius_m
        enter = np.where(hit, np.maximum(near - half, 0.0), np.nan)
        return enter, np.where(hit, np.minimum(near + half, 1.0), np.nan)

    def to_json(self) -> dict[str, Any]:
        """For the audit and the API."""
        return {"center": [self.lon, self.lat], "radius_m": self.radius_m}


@dataclass(frozen=True, slots=True)
class Polygon:
    """All that lies within an odd number of rings, or on one: an outside with holes, or several apart.

    Args:
        rings: [ring][corner](lon, lat), closed or not, rounded here to 1e-6 degree.

    Raises:
        UsageError: no ring, one that crosses itself or another, an edge over the antimeridian, too many corners.
    """

    rings: tuple[Ring, ...]
    box: Box = field(init=False, repr=False, compare=False)
    #: The edges: lon and lat of their ends in 1e-6 degrees, int64 (edges, 4).
    _edges: Ints = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.rings:
            raise UsageError("A polygon without a ring.", mend="Give at least one ring of (lon, lat).")
        if sum(len(ring) for ring in self.rings) > MAX_CORNERS + len(self.rings):
            raise UsageError(f"The polygon has more than {MAX_CORNERS} corners.", mend="Draw it with fewer.")
        edges = np.concatenate([_edges_of(number, ring) for number, ring in enumerate(self.rings, start=1)])
        _refuse_crossed(edges)
        lon, lat = edges[:, 0], edges[:, 1]
        object.__setattr__(self, "_edges", edges)
        object.__setattr__(self, "box", Box(int(lat.min()), int(lat.max()), int(lon.min()), int(lon.max())))

    def covers(self, lat: Floats, lon: Floats) -> Bools:
        """Which places (degrees, shape (n,)) lie in it or on its edges; NaN does not."""
        inside = in_box(self.box, lat, lon)
        at = np.flatnonzero(inside)
        inside[at] = self._covers(_units(lon[at]), _units(lat[at]))
        return inside

    def _covers(self, x: Ints, y: Ints) -> Bools:
        odd, edge = np.zeros(len(x), np.bool_), np.zeros(len(x), np.bool_)
        for x1, y1, x2, y2 in self._edges.tolist():
            side = (x2 - x1) * (y - y1) - (x - x1) * (y2 - y1)
            odd ^= ((y1 > y) != (y2 > y)) & ((side > 0) == (y2 > y1))
            on = (side == 0) & (x >= min(x1, x2)) & (x <= max(x1, x2))
            edge |= on & (y >= min(y1, y2)) & (y <= max(y1, y2))
        return odd | edge

    def crossings(self, lat1: Floats, lon1: Floats, lat2: Floats, lon2: Floats) -> tuple[Floats, Floats]:
        """Where legs whose ends lie outside first go in and last go out, fractions of the leg; NaN where they do not.

        Whether they do is exact; a leg that touches a corner does. Between the two it may be outside for a while.
        """
        count = len(lat1)
        enter, leave = np.full(count, np.nan), np.full(count, np.nan)
        legs: Ints = np.stack([_units(column) for column in (lon1, lat1, lon2, lat2)], axis=1)
        at_once = max(_PAIRS_AT_ONCE // len(self._edges), 1)
        for start in range(0, count, at_once):
            part = legs[start : start + at_once]
            met = _met(part[:, None, :], self._edges[None, :, :])
            hit = np.flatnonzero(met.any(axis=1))
            if len(hit):
                low, high = _fractions(part[hit][:, None, :], self._edges[None, :, :], met[hit])
                enter[start + hit], leave[start + hit] = low, high
        return enter, leave

    def to_json(self) -> dict[str, Any]:
        """For the audit and the API: corners as they count, in whole 1e-6 degrees."""
        return {"rings": [[[round(lon, 6), round(lat, 6)] for lon, lat in ring] for ring in self.rings]}


Area = Circle | Polygon


def in_box(box: Box, lat: Floats, lon: Floats) -> Bools:
    """Which places lie in a box, at a resolution of 1e-6 degree."""
    half = 0.5 / _UNITS
    inside: Bools = (lat >= box.south / _UNITS - half) & (lat <= box.north / _UNITS + half)
    inside &= (lon >= box.west / _UNITS - half) & (lon <= box.east / _UNITS + half)
    return inside


def legs_near(box: Box, lat1: Floats, lon1: Floats, lat2: Floats, lon2: Floats) -> Bools:
    """Which legs may touch a box: their own boxes do. Legs over the antimeridian, or from or to no place, do not."""
    half = 0.5 / _UNITS
    with np.errstate(invalid="ignore"):
        near: Bools = np.maximum(lat1, lat2) >= box.south / _UNITS - half
        near &= np.minimum(lat1, lat2) <= box.north / _UNITS + half
        near &= np.maximum(lon1, lon2) >= box.west / _UNITS - half
        near &= np.minimum(lon1, lon2) <= box.east / _UNITS + half
        near &= np.abs(lon2 - lon1) <= MAX_SPAN_DEG
        near &= (np.abs(lat1) <= 90.0) & (np.abs(lat2) <= 90.0) & (np.abs(lon1) <= 180.0) & (np.abs(lon2) <= 180.0)
    return near


def _units(degrees: Floats) -> Ints:
    whole: Ints = np.rint(degrees * _UNITS).astype(np.int64)
    return whole


def _edges_of(number: int, ring: Sequence[tuple[float, float]]) -> Ints:
    """Edges of one ring, those of no length left out."""
    where = f"Ring {number} of the polygon"
    places = np.array(ring, np.float64).reshape(-1, 2)
    if not (np.abs(places) <= (180.0, 90.0)).all():
        raise UsageError(f"{where} has a corner that is no place.", mend="Give (lon, lat) in WGS-84 degrees.")
    corners = _units(places)
    nexts = np.roll(corners, -1, axis=0)
    edges: Ints = np.concatenate((corners, nexts), axis=1)[(corners != nexts).any(axis=1)]
    if len(edges) < 3:
        raise UsageError(f"{where} has fewer than 3 corners.", mend="Give at least three different ones.")
    if int(np.abs(edges[:, 2] - edges[:, 0]).max()) > MAX_SPAN_DEG * _UNITS:
        raise UsageError(f"{where} goes over the antimeridian.", mend="Search each side for itself.")
    return edges


def _side(x1: Ints, y1: Ints, x2: Ints, y2: Ints, x: Ints, y: Ints) -> Ints:
    """Sign of the turn from 1 over 2 to a third place; exact in int64."""
    turn: Ints = np.sign((x2 - x1) * (y - y1) - (x - x1) * (y2 - y1))
    return turn


def _sides(legs: Ints, edges: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """The sides of the edges' ends as seen from the legs, and of the legs' ends as seen from the edges."""
    ax, ay, bx, by = (legs[..., column] for column in range(4))
    cx, cy, dx, dy = (edges[..., column] for column in range(4))
    return (
        _side(ax, ay, bx, by, cx, cy),
        _side(ax, ay, bx, by, dx, dy),
        _side(cx, cy, dx, dy, ax, ay),
        _side(cx, cy, dx, dy, bx, by),
    )


def _met(legs: Ints, edges: Ints) -> Bools:
    """Whether leg and edge have a place in common, (legs, edges); exact."""
    start, end, first, last = _sides(legs, edges)
    met: Bools = (start * end <= 0) & (first * last <= 0)
    # On one line the sides say nothing: then their boxes do.
    line = met & (start == 0) & (end == 0)
    if line.any():
        together = np.ones(line.shape, np.bool_)
        for low, high in ((0, 2), (1, 3)):
            far = np.maximum(legs[..., low], legs[..., high]) < np.minimum(edges[..., low], edges[..., high])
            far |= np.minimum(legs[..., low], legs[..., high]) > np.maximum(edges[..., low], edges[..., high])
            together &= ~far
        met &= ~line | together
    return met


def _fractions(legs: Ints, edges: Ints, met: Bools) -> tuple[Floats, Floats]:
    """Lowest and highest fraction of each leg at which it meets an edge; each meets one."""
    ax, ay, bx, by = (legs[..., column].astype(np.float64) for column in range(4))
    cx, cy, dx, dy = (edges[..., column].astype(np.float64) for column in range(4))
    cross = (bx - ax) * (dy - cy) - (by - ay) * (dx - cx)
    length2 = (bx - ax) ** 2 + (by - ay) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        at = ((cx - ax) * (dy - cy) - (cy - ay) * (dx - cx)) / cross
        # An edge along the leg: where its two ends project to.
        one = ((cx - ax) * (bx - ax) + (cy - ay) * (by - ay)) / length2
        other = ((dx - ax) * (bx - ax) + (dy - ay) * (by - ay)) / length2
    along = cross == 0
    low = np.where(along, np.minimum(one, other), at)
    high = np.where(along, np.maximum(one, other), at)
    low = np.where(met, np.clip(np.nan_to_num(low), 0.0, 1.0), np.inf).min(axis=1)
    high = np.where(met, np.clip(np.nan_to_num(high), 0.0, 1.0), -np.inf).max(axis=1)
    return low, high


def _refuse_crossed(edges: Ints) -> None:
    start, end, first, last = _sides(edges[:, None, :], edges[None, :, :])
    if bool(((start * end < 0) & (first * last < 0)).any()):
        raise UsageError("The polygon's edges cross each other.", mend="Draw it so that no two edges cross.")
