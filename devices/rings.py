"""Polygons as GeoJSON gives them: read, checked, and each fault named with its place.

Invariants: rings that get past here are closed, finite, on the earth and do not cross themselves or each other; they
keep the order of their vertices; a third coordinate (height) is dropped. Jurisdictions and fences are both read here.
It knows neither properties nor datums.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import shapely

from model.errors import BadInput

#: [polygon][ring][vertex](lon, lat), the first ring of a polygon its outside.
Rings = list[list[list[tuple[float, float]]]]


class Geometry(msgspec.Struct):
    """A GeoJSON geometry whose coordinates are not read yet."""

    type: str
    coordinates: msgspec.Raw


class _Fault(NamedTuple):
    """What is wrong with a ring, and where (lon, lat)."""

    what: str
    place: tuple[float, ...]


def rings_of(geometry: Geometry) -> Rings:
    """The rings of a Polygon or MultiPolygon. Raises BadInput that says what is wrong, and at which lon, lat."""
    try:
        if geometry.type == "Polygon":
            lists = [msgspec.json.decode(geometry.coordinates, type=list[list[list[float]]])]
        elif geometry.type == "MultiPolygon":
            lists = msgspec.json.decode(geometry.coordinates, type=list[list[list[list[float]]]])
        else:
            raise BadInput(f"{geometry.type[:40]!r} is no area.", mend="Use Polygon or MultiPolygon.")
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadInput(
            f"its coordinates are not those of a {geometry.type}: {error}.", mend="Export it again."
        ) from error
    if not lists or not all(lists):
        raise BadInput("it has no ring.", mend="Draw its outline.")
    rings: Rings = []
    for number, polygon in enumerate(lists, start=1):
        for place, ring in enumerate(polygon, start=1):
            fault = _ring_fault(ring)
            if fault:
                raise invalid(f"polygon {number}, ring {place}: {fault.what}", fault.place)
        rings.append([[(vertex[0], vertex[1]) for vertex in ring] for ring in polygon])
    check_crossings(rings)
    return rings


def check_crossings(rings: Rings) -> None:
    """Raise BadInput with the place where a ring crosses itself or another one."""
    shape = multipolygon(rings)
    if not shapely.is_valid(shape):
        # GEOS says e.g. `Self-intersection[109.84 40.65]`
        what, _, where = str(shapely.is_valid_reason(shape)).partition("[")
        raise invalid(what.lower(), tuple(float(number) for number in where.rstrip("]").split()))


def on_earth(lon: float, lat: float) -> bool:
    """Whether it is a place at all; NaN is none."""
    return abs(lon) <= 180 and abs(lat) <= 90


def invalid(what: str, place: tuple[float, ...]) -> BadInput:
    """The error for a fault at a place (lon, lat)."""
    where = f" at lon {place[0]:.9g}, lat {place[1]:.9g}" if len(place) == 2 else ""
    return BadInput(f"{what}{where}.", mend="Redraw the outline there.")


def multipolygon(rings: Rings) -> shapely.MultiPolygon:
    """The rings as one shape."""
    return shapely.MultiPolygon([(polygon[0], polygon[1:]) for polygon in rings])


def _ring_fault(ring: list[list[float]]) -> _Fault | None:
    if len(ring) < 4:
        return _Fault(f"{len(ring)} vertices, a ring has at least 4", tuple(ring[0][:2]) if ring else ())
    for vertex in ring:
        if len(vertex) < 2 or not on_earth(vertex[0], vertex[1]):
            return _Fault("not a lon, lat on the earth", tuple(vertex[:2]))
    if ring[0][:2] != ring[-1][:2]:
        return _Fault("the ring is not closed", tuple(ring[-1][:2]))
    return None
