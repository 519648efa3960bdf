"""Areas to search in, as somebody names them: a circle, a polygon, GeoJSON, or what the registry has under an id.

| given | what |
|---|---|
| `LAT,LON,RADIUS` | a circle, metres |
| `LAT,LON LAT,LON LAT,LON …` | a polygon; it is closed by itself |
| `fence:ID`, `jurisdiction:ID` | the outline of that fence or jurisdiction as it is now, whatever it is for |
| GeoJSON, as text or as an object | a Polygon or MultiPolygon, or a Feature with one |

Invariants: places are WGS-84; an outline of the registry that has too many corners is simplified, never more than is allowed, and
how far is told; one that somebody draws is not, it is refused. It reads no store of points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from devices.details import check_site_id
from model.area import Area, Circle, Polygon
from model.errors import BadInput, UsageError
from model.fence import Fence, Shape
from model.geo import METRES_PER_DEGREE

if TYPE_CHECKING:
    from config.search import Search
    from devices.areas import Areas
    from devices.rings import Rings

#: Longest text or object, bytes of UTF-8.
MAX_AREA_BYTES = 64 << 10
#: An outline with too many corners is simplified by so many metres first, then by twice as many, and so on.
FIRST_SIMPLIFIED_M = 1.0
_FORMS = "Write LAT,LON,RADIUS or LAT,LON LAT,LON LAT,LON …, fence:ID, jurisdiction:ID, or GeoJSON."
_SHOWN_CHARS = 40


@dataclass(frozen=True, slots=True)
class NamedArea:
    """An area and what is said of it.

    Attributes:
        area: to search in.
        name: `fence:ID` or `jurisdiction:ID`; "" for one that was drawn.
        simplified_m: how far its outline may be off, metres.
    """

    area: Area
    name: str = ""
    simplified_m: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """For the answer, and for the question that an approval is for."""
        return {"name": self.name, "simplified_m": self.simplified_m, **self.area.to_json()}

    def noted(self) -> dict[str, Any]:
        """For the audit's row of the search, which is short; the store's own row of the read has every corner."""
        if isinstance(self.area, Circle):
            return self.to_json()
        shape, box = self.area.to_json(), self.area.box
        return {
            "name": self.name,
            "simplified_m": self.simplified_m,
            "box": [edge / 1e6 for edge in (box.west, box.south, box.east, box.north)],
            "corners": sum(len(ring) for ring in self.area.rings),
            "sha256": sha256(msgspec.json.encode(shape)).hexdigest(),
        }


@dataclass(frozen=True, slots=True)
class Outlines:
    """What the registry has.

    Attributes:
        fence: the fence of an id; raises NotFound.
        areas: the jurisdictions.
    """

    fence: Callable[[str], Fence]
    areas: Callable[[], Areas]


def named_area(given: str | dict[str, Any], outlines: Outlines, limits: Search) -> NamedArea:
    """The area that is meant; see the module. Raises UsageError, BadInput (with the place), NotFound."""
    if isinstance(given, dict):
        return _within(NamedArea(_geojson(_as_bytes(given))), limits)
    text = given.strip()
    if len(text.encode("utf-8", "surrogatepass")) > MAX_AREA_BYTES:
        raise UsageError(f"The area is longer than {MAX_AREA_BYTES >> 10} KiB.", mend="Draw it with fewer corners.")
    what, colon, name = text.partition(":")
    if colon and what in {"fence", "jurisdiction"}:
        check_site_id(name)
        if what == "jurisdiction":
            from devices.rings import multipolygon  # noqa: PLC0415 shapely costs 0.2 s

            return _of_registry(multipolygon(outlines.areas().get(name).rings), text, limits)
        return _of_fence(outlines.fence(name), text, limits)
    if text.startswith("{"):
        return _within(NamedArea(_geojson(text.encode("utf-8", "backslashreplace"))), limits)
    return _within(NamedArea(_drawn(text)), limits)


def _as_bytes(given: dict[str, Any]) -> bytes:
    try:
        raw = msgspec.json.encode(given)
    except (UnicodeEncodeError, RecursionError, TypeError) as error:
        raise BadInput("The area is no JSON.", mend="Write it as GeoJSON.") from error
    if len(raw) > MAX_AREA_BYTES:
        raise UsageError(f"The area is longer than {MAX_AREA_BYTES >> 10} KiB.", mend="Draw it with fewer corners.")
    return raw


def _drawn(text: str) -> Area:
    """A circle or a polygon of places."""
    try:
        parts = [[float(number) for number in place.split(",")] for place in text.split()]
    except ValueError as error:
        raise UsageError(f"{text[:_SHOWN_CHARS]!r} is no area.", mend=_FORMS) from error
    if len(parts) == 1 and len(parts[0]) == 3:
        return Circle(*parts[0])
    if len(parts) < 3 or any(len(place) != 2 for place in parts):
        raise UsageError(f"{text[:_SHOWN_CHARS]!r} is no area.", mend=_FORMS)
    return Polygon((tuple((lon, lat) for lat, lon in parts),))


class _Shape(msgspec.Struct):
    type: str
    coordinates: msgspec.Raw


class _Feature(msgspec.Struct, tag_field="type", tag="Feature"):
    geometry: _Shape


class _Typed(msgspec.Struct):
    type: str


def _geojson(raw: bytes) -> Area:
    from devices.rings import Geometry, rings_of  # noqa: PLC0415 shapely costs 0.2 s

    try:
        if msgspec.json.decode(raw, type=_Typed).type == "Feature":
            shape = msgspec.json.decode(raw, type=_Feature).geometry
        else:
            shape = msgspec.json.decode(raw, type=_Shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(
            f"The area is no GeoJSON: {error}.", mend="Give a Polygon, a MultiPolygon or a Feature."
        ) from error
    return _polygon(rings_of(Geometry(shape.type, shape.coordinates)))


def _polygon(rings: Rings) -> Polygon:
    return Polygon(tuple(tuple(ring) for polygon in rings for ring in polygon))


def _of_fence(fence: Fence, name: str, limits: Search) -> NamedArea:
    if fence.shape is Shape.CIRCLE:
        lon, lat = fence.center
        return _within(NamedArea(Circle(lat, lon, fence.radius_m), name), limits)
    from analytics.fences.shapes import shape_of  # noqa: PLC0415 used by this alone

    return _of_registry(shape_of(fence), name, limits)


def _of_registry(shape: Any, name: str, limits: Search) -> NamedArea:
    """The area of a shapely shape, simplified as far as needed."""
    import shapely  # noqa: PLC0415 shapely costs 0.2 s

    simple, off_m = shape, 0.0
    while _corners(simple) > limits.max_corners:
        off_m = off_m * 2 or FIRST_SIMPLIFIED_M
        if off_m > limits.max_simplified_m:
            raise UsageError(
                f"{name} has too many corners, even within {limits.max_simplified_m:g} m of its outline.",
                mend="Search a part of it, or raise search.max_simplified_m.",
            )
        # a degree is nowhere longer than this
        parts = shapely.get_parts(shapely.simplify(shape, off_m / METRES_PER_DEGREE, preserve_topology=True))
        simple = shapely.union_all(parts)  # two that lay beside each other may overlap now
    parts = shapely.get_parts(simple)
    rings = tuple(
        tuple((lon, lat) for lon, lat, *_ in ring.coords) for part in parts for ring in (part.exterior, *part.interiors)
    )
    return NamedArea(Polygon(rings), name, off_m)


def _corners(shape: Any) -> int:
    import shapely  # noqa: PLC0415 as above

    return int(shapely.get_num_coordinates(shape))


def _within(found: NamedArea, limits: Search) -> NamedArea:
    """What somebody drew, when it is within the limits."""
    area = found.area
    if isinstance(area, Circle) and area.radius_m > limits.max_radius_m:
        raise UsageError(
            f"A radius of {area.radius_m:g} m.", mend=f"Give {limits.max_radius_m:g} at most (search.max_radius_m)."
        )
    corners = sum(len(ring) - (ring[0] == ring[-1]) for ring in area.rings) if isinstance(area, Polygon) else 0
    if corners > limits.max_corners:
        raise UsageError(
            f"The polygon has more than {limits.max_corners} corners (search.max_corners).", mend="Draw it with fewer."
        )
    return found
