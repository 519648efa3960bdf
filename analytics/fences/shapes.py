"""`shape_of`: the exact area of a fence, as a polygon on the plane of longitude and latitude.

Purpose: decide once what a fence covers. Invariants:
- Everything is a polygon or multipolygon with straight edges in (lon, lat) degrees, as GeoJSON draws them (RFC 7946,
  section 3.1.1); a point is inside where shapely's `covers` says so: on the boundary counts.
- A circle is a ring of `RING_POINTS` vertices on the great-circle distance `radius_m` (sphere of `model.geo`), pushed
  outward by half of what chords lose: its edge lies within 0.016 % of the radius, both ways, of what `haversine_m` says.
- A corridor is all that lies within `radius_m` of its line. The line is cut into pieces of at most `PIECE_M`; each is the
  convex hull of the circles around its ends, so that a degree's length is that of each end, not of one middle for all.
- What cannot be drawn so is refused with its place: rings that cross themselves, edges over the antimeridian, and
  circles or corridors that reach it or a pole.

It indexes nothing: `analytics.fences.index` does.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from model.errors import BadInput
from model.fence import Fence, Shape
from model.geo import EARTH_RADIUS_M, haversine_m

#: Vertices of a circle; a chord lies at most 1 - cos(pi / 128) = 0.03 % of the radius within it.
RING_POINTS = 128
#: Longest piece of a corridor's line, m. Over it the metres of a degree of longitude bend by less than 0.002 %.
PIECE_M = 20_000.0
#: Most pieces of one corridor: 50,000 km in long ones.
MAX_PIECES = 10_000
#: Largest radius of a circle, or half width of a corridor, m.
MAX_RADIUS_M = 200_000.0
#: Circles and corridors end here: nearer to a pole a degree of longitude is no length to reckon with.
MAX_ROUND_LAT_DEG = 85.0
MAX_LON_DEG, MAX_LAT_DEG = 180.0, 90.0
#: An edge that spans more is taken for one across the antimeridian.
MAX_EDGE_DEG = 180.0
_RING_MIN_VERTICES = 4

Geometry = Any
Places = npt.NDArray[np.float64]


def shape_of(fence: Fence, *, max_pieces: int = MAX_PIECES, max_radius_m: float = MAX_RADIUS_M) -> Geometry:
    """A valid shapely Polygon or MultiPolygon in (lon, lat) degrees, not prepared.

    Raises:
        BadInput: the shape is none; says the polygon, ring and place, and what to do.
    """
    if fence.shape is Shape.POLYGON:
        return _polygons(fence)
    if not 0.0 < fence.radius_m <= max_radius_m:
        raise BadInput(
            f"fence {fence.id}: its radius is {fence.radius_m:g} m.",
            mend=f"Give one above 0 and up to {max_radius_m:,.0f} m.",
        )
    line = np.array([fence.center] if fence.shape is Shape.CIRCLE else fence.line, np.float64).reshape(-1, 2)
    least = 1 if fence.shape is Shape.CIRCLE else 2
    if len(line) < least:
        raise BadInput(f"fence {fence.id}: a corridor of {len(line)} points.", mend="Give its line two points or more.")
    _check_places(fence, line, "its line" if least == 2 else "its center")
    return _around(fence, _cut(fence, line, max_pieces))


def _polygons(fence: Fence) -> Geometry:
    """Polygon or multipolygon from `fence.polygons`."""
    if not fence.polygons or not all(fence.polygons):
        raise BadInput(f"fence {fence.id}: a polygon without a ring.", mend="Give each polygon its outer ring.")
    parts = []
    for at, rings in enumerate(fence.polygons):
        drawn = []
        for number, ring in enumerate(rings):
            where = f"polygon {at + 1}, ring {number + 1}"
            places = np.array(ring, np.float64).reshape(-1, 2)
            if len(places) < _RING_MIN_VERTICES or (places[0] != places[-1]).any():
                raise BadInput(
                    f"fence {fence.id}: {where} has {len(places)} vertices or is not closed.",
                    mend="A ring has four vertices or more, the last equal to the first.",
                )
            _check_places(fence, places, where)
            drawn.append(places)
        polygon = shapely.Polygon(drawn[0], drawn[1:])
        _check_valid(fence, polygon, f"polygon {at + 1}")
        parts.append(polygon)
    if len(parts) == 1:
        return parts[0]
    whole = shapely.MultiPolygon(parts)
    _check_valid(fence, whole, "the polygons together")
    return whole


def _check_places(fence: Fence, places: Places, where: str) -> None:
    """Refuse what is no place on the map, and edges over the antimeridian."""
    lon, lat = places[:, 0], places[:, 1]
    wrong = ~((np.abs(lon) <= MAX_LON_DEG) & (np.abs(lat) <= MAX_LAT_DEG))
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise BadInput(
            f"fence {fence.id}: {where}, vertex {first + 1} is at longitude {lon[first]:g}, latitude {lat[first]:g}.",
            mend="Longitude is -180 to 180 and comes first, latitude -90 to 90.",
        )
    long = np.abs(np.diff(lon)) > MAX_EDGE_DEG
    if long.any():
        first = int(np.flatnonzero(long)[0])
        raise BadInput(
            f"fence {fence.id}: {where}, the edge from vertex {first + 1} goes from longitude {lon[first]:g} to"
            f" {lon[first + 1]:g}, over the antimeridian.",
            mend="Cut the fence there into two polygons.",
        )


def _check_valid(fence: Fence, geometry: Geometry, where: str) -> None:
    if shapely.is_valid(geometry):
        return
    raise BadInput(
        f"fence {fence.id}: {where} is not valid: {shapely.is_valid_reason(geometry)}.",
        mend="Draw it so that no ring crosses or touches along an edge itself or another one.",
    )


def _cut(fence: Fence, line: Places, max_pieces: int) -> Places:
    """The line with places put in so that no piece is longer than `PIECE_M`; shape (k, 2)."""
    metres = haversine_m(line[:-1, 1], line[:-1, 0], line[1:, 1], line[1:, 0])
    pieces = np.maximum(np.ceil(metres / PIECE_M), 1).astype(np.int64)
    if pieces.sum() > max_pieces:
        raise BadInput(
            f"fence {fence.id}: a corridor of {int(pieces.sum()):,} pieces.",
            mend=f"Make several of at most {max_pieces:,} pieces; a piece is up to {PIECE_M / 1000:g} km long.",
        )
    parts = [
        one + (other - one) * np.arange(count)[:, None] / count
        for (one, other), count in zip(pairwise(line), pieces, strict=True)
    ]
    return np.concatenate([*parts, line[-1:]])


def _around(fence: Fence, line: Places) -> Geometry:
    """All within the radius of the line, or of its only place."""
    rings = _rings(line, fence.radius_m)
    if not (np.abs(rings[..., 0]).max() <= MAX_LON_DEG and np.abs(rings[..., 1]).max() <= MAX_ROUND_LAT_DEG):
        raise BadInput(
            f"fence {fence.id}: it reaches over the antimeridian or beyond {MAX_ROUND_LAT_DEG:g} degrees of latitude.",
            mend="Draw it as polygons, cut at the antimeridian.",
        )
    if len(line) == 1:
        return shapely.Polygon(rings[0])
    both = np.concatenate((rings[:-1], rings[1:]), axis=1)
    return shapely.union_all(shapely.convex_hull(shapely.linestrings(both)))


def _rings(centers: Places, radius_m: float) -> Places:
    """Circles on the sphere, shape (k, RING_POINTS, 2): from each center so far in evenly spread directions.

    Source: the direct problem on the sphere, e.g. J. P. Snyder, "Map Projections, a Working Manual" (1987), (5-5), (5-6).
    """
    far = radius_m / EARTH_RADIUS_M * 2.0 / (1.0 + np.cos(np.pi / RING_POINTS))
    turn = np.arange(RING_POINTS) * (2.0 * np.pi / RING_POINTS)
    lon, lat = np.radians(centers[:, :1]), np.radians(centers[:, 1:])
    sine = np.sin(lat) * np.cos(far) + np.cos(lat) * np.sin(far) * np.cos(turn)
    east = np.arctan2(np.sin(turn) * np.sin(far) * np.cos(lat), np.cos(far) - np.sin(lat) * sine)
    rings: Places = np.degrees(np.stack((lon + east, np.arcsin(sine)), axis=-1))
    return rings
