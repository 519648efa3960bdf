"""Outlines of the map as GeoJSON (RFC 7946): fences and jurisdictions, as fine as a zoom can show.

Invariants: what is drawn is what is in force: circles and corridors are the very polygons that points are judged by, made a
little simpler (by less than half a pixel of the zoom); an answer holds no more vertices than its limit, for outlines get
coarser until they fit; borders that areas share stay shared. A fence for e-bikes alone is not drawn: it would tell where they
stand. Nothing is kept longer than the version it was drawn from.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt
import shapely

from analytics.fences.shapes import shape_of
from console.ebikes import is_ebike
from console.web.plane import Box
from devices.areas import LEVELS
from devices.map_rows import place_version
from devices.rings import multipolygon
from model.device import Kind
from model.errors import LuchengError
from model.fence import Fence

if TYPE_CHECKING:
    from devices.areas import Areas
    from devices.fences import Fences
    from devices.schema import RegistryFile

DEFAULT_MAX_VERTICES = 200_000
#: Simplified outlines are kept for so many zooms at a time.
_KEPT_ZOOMS = 8
_TILE_PX = 512
_DECIMALS = 6
_WORLD = Box(-180.0, -90.0, 180.0, 90.0)

Shapes = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Outlines of one version, and what is said of each."""

    version: int
    shapes: Shapes
    properties: list[dict[str, Any]]
    groups: npt.NDArray[np.int64]


class Outlines:
    """Outlines that change with a version, drawn when they are first asked for.

    Args:
        version: grows with every change.
        draw: makes them: shapes, properties with an `id`, and a group each (areas of one group share borders).
        max_vertices: of one answer.
    """

    def __init__(
        self,
        version: Callable[[], int],
        draw: Callable[[], tuple[list[Any], list[dict[str, Any]], list[int]]],
        *,
        max_vertices: int = DEFAULT_MAX_VERTICES,
    ) -> None:
        self._version = version
        self._draw = draw
        self._max_vertices = max_vertices
        self._lock = threading.Lock()
        self._drawn: _Drawn | None = None
        self._simple: dict[int, Shapes] = {}

    def geojson(self, box: Box | None, zoom: float) -> tuple[bytes, int]:
        """A FeatureCollection of those that touch the box, and the version it is of."""
        with self._lock:
            drawn = self._now()
            shapes = self._simplified(drawn, int(zoom))
            rows = _touching(drawn.shapes, box or _WORLD)
        shown = _fitting(shapes[rows], self._max_vertices, _half_pixel_deg(zoom))
        features = [
            b'{"type":"Feature","id":%b,"properties":%b,"geometry":%b}' % (_json(one["id"]), _json(one), text.encode())
            for one, text in zip((drawn.properties[row] for row in rows.tolist()), _texts(shown), strict=True)
        ]
        whole = b'{"type":"FeatureCollection","version":%d,"features":[%b]}' % (drawn.version, b",".join(features))
        return whole, drawn.version

    def _now(self) -> _Drawn:
        version = self._version()
        if self._drawn is None or self._drawn.version != version:
            shapes, properties, groups = self._draw()
            column = np.empty(len(shapes), object)
            column[:] = shapes
            self._drawn = _Drawn(version, column, properties, np.array(groups, np.int64))
            self._simple = {}
        return self._drawn

    def _simplified(self, drawn: _Drawn, zoom: int) -> Shapes:
        kept = self._simple.get(zoom)
        if kept is None:
            while len(self._simple) >= _KEPT_ZOOMS:
                del self._simple[next(iter(self._simple))]
            kept = self._simple[zoom] = _simpler(drawn.shapes, drawn.groups, _half_pixel_deg(zoom))
        return kept


def fence_outlines(fences: Callable[[], Fences], *, max_vertices: int = DEFAULT_MAX_VERTICES) -> Outlines:
    """Every fence that may be drawn, enabled or not."""
    known: dict[str, tuple[Fence, Any]] = {}

    def draw() -> tuple[list[Any], list[dict[str, Any]], list[int]]:
        found = [fence for fence in fences().load().fences if not _tells_an_ebike(fence)]
        shapes: dict[str, tuple[Fence, Any]] = {}
        for fence in found:
            before = known.get(fence.id)
            try:
                shapes[fence.id] = before if before is not None and before[0] == fence else (fence, shape_of(fence))
            except LuchengError:
                continue  # kept by an older version that drew otherwise: the rules leave it out, too
        known.clear()
        known.update(shapes)
        kept = list(shapes.values())
        # fences lie as they like: each is a group of its own
        return [shape for _, shape in kept], [_fence_said(fence) for fence, _ in kept], list(range(len(kept)))

    return Outlines(lambda: fences().version(), draw, max_vertices=max_vertices)


def area_outlines(areas: Areas, file: RegistryFile, *, max_vertices: int = DEFAULT_MAX_VERTICES) -> Outlines:
    """The tree of jurisdictions, from the city down."""

    def draw() -> tuple[list[Any], list[dict[str, Any]], list[int]]:
        tree = areas.tree()
        said = [{"id": area.id, "name": area.name, "level": area.level, "parent": area.parent} for area in tree]
        return [multipolygon(area.rings) for area in tree], said, [LEVELS.index(area.level) for area in tree]

    return Outlines(lambda: place_version(file), draw, max_vertices=max_vertices)


def _fence_said(fence: Fence) -> dict[str, Any]:
    return {
        "id": fence.id,
        "name": fence.name,
        "rule": fence.rule.value,
        "shape": fence.shape.value,
        "enabled": fence.enabled,
        "line_of_defence": fence.line_of_defence or None,
        "limit_kmh": fence.limit_kmh or None,
        "kinds": list(fence.kinds),
    }


def _tells_an_ebike(fence: Fence) -> bool:
    if fence.devices:
        return all(is_ebike(device) for device in fence.devices)
    return set(fence.kinds) == {Kind.EBIKE.value}


def _half_pixel_deg(zoom: float) -> float:
    """Half a pixel of a map of 512-pixel tiles at the equator, degrees."""
    return float(180.0 / (_TILE_PX * 2.0 ** int(zoom)))


def _touching(shapes: Shapes, box: Box) -> npt.NDArray[np.int64]:
    """Rows of the shapes whose bounds touch the box."""
    if not len(shapes):
        return np.zeros(0, np.int64)
    west, south, east, north = shapely.bounds(shapes).T
    touches = (south <= box.north) & (north >= box.south)
    if box.west <= box.east:
        touches &= (west <= box.east) & (east >= box.west)
    else:
        touches &= (west <= box.east) | (east >= box.west)
    return np.flatnonzero(touches)


def _simpler(shapes: Shapes, groups: npt.NDArray[np.int64], tolerance_deg: float) -> Shapes:
    """The shapes with less detail; within a group that tiles the plane borders stay common to both sides."""
    out = shapes.copy()
    numbers, first, count = np.unique(groups, return_index=True, return_counts=True)
    alone = first[count == 1]
    out[alone] = shapely.simplify(shapes[alone], tolerance_deg)
    for number in numbers[count > 1].tolist():
        rows = np.flatnonzero(groups == number)
        if bool(np.all(shapely.coverage_is_valid(shapes[rows]))):
            # its tolerance is the root of an area: that of a triangle as high and wide as half a pixel
            out[rows] = shapely.coverage_simplify(shapes[rows], tolerance_deg)
        else:
            out[rows] = shapely.simplify(shapes[rows], tolerance_deg)
    gone = shapely.is_empty(out)
    out[gone] = shapes[gone]
    return out


def _fitting(shapes: Shapes, max_vertices: int, tolerance_deg: float) -> Shapes:
    """The shapes, coarser where they have too many vertices; as boxes where nothing else helps."""
    tolerance_deg = max(tolerance_deg, 1e-6)
    for _ in range(20):
        if int(shapely.get_num_coordinates(shapes).sum()) <= max_vertices:
            return shapes
        tolerance_deg *= 2.0
        shapes = shapely.simplify(shapes, tolerance_deg)
    boxes: Shapes = shapely.envelope(shapes)
    return boxes


def _texts(shapes: Shapes) -> list[str]:
    rounded = shapely.transform(shapes, lambda places: np.round(places, _DECIMALS)) if len(shapes) else shapes
    made: list[str] = shapely.to_geojson(rounded).tolist()
    return made


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)
