"""Fences as GeoJSON (RFC 7946), there and back.

Purpose: read a FeatureCollection whose faults are named by the feature's number, and write one that reads back as the
same fences. Invariants: Polygon and MultiPolygon are areas, a Point with `radius_m` is a circle, a LineString with
`radius_m` (half its width) a corridor; what is written is WGS-84; what is read may say `datum`; a fault is told at the
place as it stands in the file. Properties that are not in the table below are passed over.

| property | what |
|---|---|
| id, rule | needed; rule is enter, exit, forbidden, stay, speed or none |
| name | text |
| radius_m | metres, for Point and LineString |
| limit_kmh, road_class | one of the two, for rule speed |
| stay_s | seconds, for rule stay |
| kinds, devices | lists; left out: all |
| days | list of mon tue wed thu fri sat sun; left out: every day |
| from, to | HH:MM, local; from later than to runs over midnight; to may be 24:00; left out: the whole day |
| utc_offset_min | of from and to, minutes; left out: the city's |
| line_of_defence | 1 (inner) to 3 (outer) |
| posts | list of {name, lat, lon}, in the feature's datum |
| enabled | true or false; left out: true |
| datum | wgs84 (left out), gcj02 or bd09: of the geometry and the posts |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from devices.rings import Geometry, check_crossings, invalid, on_earth, rings_of
from model.datum import to_wgs84
from model.errors import BadInput, LuchengError, UsageError
from model.fence import DAY_MINUTES, EVERY_DAY, Fence, FenceRule, Post, Schedule, Shape

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00", re.ASCII)
_BOM = b"\xef\xbb\xbf"

Check = Callable[[Fence], Fence]
_Vertex = tuple[float, float]


class _Post(msgspec.Struct):
    name: str
    lat: float
    lon: float


class _Properties(msgspec.Struct):
    """As in the file; null is as left out, which is how many programs write it."""

    id: str
    rule: FenceRule
    name: str | None = None
    radius_m: float | None = None
    limit_kmh: float | None = None
    road_class: str | None = None
    stay_s: int | None = None
    kinds: list[str] | None = None
    devices: list[str] | None = None
    days: list[str] | None = None
    start: str | None = msgspec.field(default=None, name="from")
    end: str | None = msgspec.field(default=None, name="to")
    utc_offset_min: int | None = None
    line_of_defence: int | None = None
    posts: list[_Post] | None = None
    enabled: bool | None = None
    datum: str | None = None


class _Feature(msgspec.Struct, tag_field="type", tag="Feature"):
    properties: _Properties
    geometry: Geometry


class _Collection(msgspec.Struct, tag_field="type", tag="FeatureCollection"):
    features: list[msgspec.Raw]


def read_collection(
    raw: bytes, check: Check, *, max_fences: int, max_vertices: int, utc_offset_min: int
) -> list[Fence]:
    """The fences of a FeatureCollection, in its order, numbers 0.

    Args:
        raw: UTF-8 JSON.
        check: what each has to pass (`devices.fence_checks.checked_fence`).
        max_fences: features in one file.
        max_vertices: numbers of coordinates that are looked at, of one file.
        utc_offset_min: of schedules that name none.

    Raises BadInput: the number of the feature (from 1), what is wrong and where.
    """
    try:
        collection = msgspec.json.decode(raw.removeprefix(_BOM), type=_Collection)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"Not a GeoJSON FeatureCollection: {error}.", mend="Export it as GeoJSON again.") from error
    if len(collection.features) > max_fences:
        raise BadInput(f"{len(collection.features)} features.", mend=f"The limit is {max_fences}.")
    fences: list[Fence] = []
    number_of: dict[str, int] = {}
    vertices = 0
    for number, feature in enumerate(collection.features, start=1):
        try:
            fence = read_feature(bytes(feature), check, utc_offset_min=utc_offset_min)
            vertices += sum(len(ring) for polygon in fence.polygons for ring in polygon) + len(fence.line)
            if vertices > max_vertices:
                raise BadInput(f"more than {max_vertices} vertices so far.", mend="Simplify the outlines.")
        except LuchengError as error:
            raise BadInput(f"Feature {number}: {error.message}", mend=error.mend) from error
        if fence.id in number_of:
            raise BadInput(
                f"Feature {number}: {fence.id} is feature {number_of[fence.id]} already.", mend="Give each its own id."
            )
        number_of[fence.id] = number
        fences.append(fence)
    return fences


def read_feature(raw: bytes, check: Check, *, utc_offset_min: int) -> Fence:
    """One Feature as a fence; see `read_collection`. Raises BadInput or UsageError."""
    try:
        feature = msgspec.json.decode(raw, type=_Feature)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"not a fence: {error}.", mend="Correct the property that is named.") from error
    given = feature.properties
    fence = Fence(
        number=0,
        id=given.id,
        name=given.name or "",
        rule=given.rule,
        shape=Shape.POLYGON,
        kinds=tuple(given.kinds or ()),
        devices=tuple(given.devices or ()),
        limit_kmh=given.limit_kmh or 0.0,
        road_class=given.road_class or "",
        stay_s=given.stay_s or 0,
        schedule=_schedule(given, utc_offset_min),
        line_of_defence=given.line_of_defence or 0,
        posts=tuple(Post(post.name, post.lat, post.lon) for post in given.posts or ()),
        enabled=given.enabled is not False,
    )
    # once as it stands in the file, so that a fault is told where its author finds it
    there = check(_with_shape(fence, feature.geometry, given.radius_m or 0.0))
    datum = given.datum or "wgs84"
    return there if datum == "wgs84" else check(_converted(there, datum))


def feature_of(fence: Fence, *, utc_offset_min: int) -> dict[str, Any]:
    """A fence as a Feature, JSON-ready; `utc_offset_min` is what a reader takes where none is named."""
    properties: dict[str, Any] = {"id": fence.id, "name": fence.name, "rule": fence.rule.value}
    optional: dict[str, Any] = {
        "radius_m": fence.radius_m,
        "limit_kmh": fence.limit_kmh,
        "road_class": fence.road_class,
        "stay_s": fence.stay_s,
        "kinds": list(fence.kinds),
        "devices": list(fence.devices),
        "line_of_defence": fence.line_of_defence,
        "posts": [{"name": post.name, "lat": post.lat, "lon": post.lon} for post in fence.posts],
    }
    properties |= {key: value for key, value in optional.items() if value}
    schedule = fence.schedule
    if schedule.days != EVERY_DAY:
        properties["days"] = [day for place, day in enumerate(DAYS) if schedule.days >> place & 1]
    if (schedule.from_min, schedule.to_min) != (0, DAY_MINUTES):
        properties |= {"from": clock_text(schedule.from_min), "to": clock_text(schedule.to_min)}
    if schedule.utc_offset_min != utc_offset_min:
        properties["utc_offset_min"] = schedule.utc_offset_min
    if not fence.enabled:
        properties["enabled"] = False
    return {"type": "Feature", "properties": properties, "geometry": _geometry_of(fence)}


def collection_of(fences: Iterable[Fence], *, utc_offset_min: int) -> dict[str, Any]:
    """Fences as a FeatureCollection, JSON-ready."""
    features = [feature_of(fence, utc_offset_min=utc_offset_min) for fence in fences]
    return {"type": "FeatureCollection", "features": features}


def clock_text(minute: int) -> str:
    """A minute of the day, 0..1440, as HH:MM."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _minute(text: str) -> int:
    if not _CLOCK.fullmatch(text):
        raise UsageError(f"{text[:40]!r} is no time of day.", mend="Write HH:MM, e.g. 08:30.")
    hour, _, minute = text.partition(":")
    return int(hour) * 60 + int(minute)


def _schedule(given: _Properties, utc_offset_min: int) -> Schedule:
    days = EVERY_DAY
    if given.days is not None:
        for day in given.days:
            if day not in DAYS:
                raise UsageError(f"{day[:40]!r} is no day.", mend="Use " + ", ".join(DAYS) + ".")
        days = sum(1 << place for place, day in enumerate(DAYS) if day in given.days)
    return Schedule(
        days,
        _minute(given.start) if given.start else 0,
        _minute(given.end) if given.end else DAY_MINUTES,
        utc_offset_min if given.utc_offset_min is None else given.utc_offset_min,
    )


def _with_shape(fence: Fence, geometry: Geometry, radius_m: float) -> Fence:
    if geometry.type in ("Point", "LineString"):
        if not radius_m:
            raise UsageError(
                f"a {geometry.type} without radius_m has no area.", mend="Give radius_m in metres (half the width)."
            )
        if geometry.type == "Point":
            center = _vertex(_decoded(geometry, list[float]))
            return replace(fence, shape=Shape.CIRCLE, center=center, radius_m=radius_m)
        line = tuple(_vertex(vertex) for vertex in _decoded(geometry, list[list[float]]))
        return replace(fence, shape=Shape.CORRIDOR, line=line, radius_m=radius_m)
    if geometry.type not in ("Polygon", "MultiPolygon"):
        raise BadInput(
            f"{geometry.type[:40]!r} is no fence.",
            mend="Use Polygon, MultiPolygon, or Point and LineString with radius_m.",
        )
    rings = rings_of(geometry)
    return replace(fence, polygons=tuple(tuple(tuple(ring) for ring in polygon) for polygon in rings))


def _decoded(geometry: Geometry, kind: Any) -> Any:
    try:
        return msgspec.json.decode(geometry.coordinates, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadInput(
            f"its coordinates are not those of a {geometry.type}: {error}.", mend="Export it again."
        ) from error


def _vertex(vertex: list[float]) -> _Vertex:
    if len(vertex) < 2 or not on_earth(vertex[0], vertex[1]):
        raise invalid("not a lon, lat on the earth", tuple(vertex[:2]))
    return vertex[0], vertex[1]


def _converted(fence: Fence, datum: str) -> Fence:
    """The fence, whose shape and posts are in `datum`, in WGS-84."""

    def moved(vertices: tuple[_Vertex, ...]) -> tuple[_Vertex, ...]:
        lon, lat = np.array(vertices, np.float64).reshape(-1, 2).T
        lat, lon = to_wgs84(datum, lat, lon)
        out = list(zip(lon.tolist(), lat.tolist(), strict=True))
        # the same number twice may end a bit apart where columns are worked on in pieces
        return (*out[:-1], out[0]) if vertices[0] == vertices[-1] else tuple(out)

    polygons = tuple(tuple(moved(ring) for ring in polygon) for polygon in fence.polygons)
    if polygons:
        check_crossings([[list(ring) for ring in polygon] for polygon in polygons])
    posts = tuple(Post(post.name, lat, lon) for post in fence.posts for lon, lat in moved(((post.lon, post.lat),)))
    line = moved(fence.line) if fence.line else ()
    center = moved((fence.center,))[0] if fence.shape is Shape.CIRCLE else fence.center
    return replace(fence, polygons=polygons, line=line, center=center, posts=posts)


def _geometry_of(fence: Fence) -> dict[str, Any]:
    if fence.shape is Shape.CIRCLE:
        return {"type": "Point", "coordinates": fence.center}
    if fence.shape is Shape.CORRIDOR:
        return {"type": "LineString", "coordinates": fence.line}
    if len(fence.polygons) == 1:
        return {"type": "Polygon", "coordinates": fence.polygons[0]}
    return {"type": "MultiPolygon", "coordinates": fence.polygons}
