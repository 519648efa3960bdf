"""`widened`: the same fences, each reaching some metres farther: who is outside these has left beyond doubt.

Purpose: the spatial half of the fences' hysteresis. A receiver's errors last for minutes, so that fixes of a device that
stands on a boundary lie beyond it for many fixes in a row; metres tell a way from an error, fixes in a row do not.
Invariants: a widened fence covers its own; it reaches `margin_m` farther, at corners up to twice that, holes so much
less; numbers stay. It remembers nothing and is built anew when the fences change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from analytics.fences.index import FenceIndex
from analytics.fences.shapes import MAX_RADIUS_M, shape_of
from model.fence import Fence, FenceSet, Shape
from model.geo import METRES_PER_DEGREE

#: How far corners may reach, in margins.
CORNER_MARGINS = 2.0
_WORLD = shapely.box(-180.0, -90.0, 180.0, 90.0)


def widened(fences: Iterable[Fence], margin_m: float) -> FenceIndex:
    """The index of these fences, each reaching `margin_m` metres farther."""
    return FenceIndex(FenceSet(0, tuple(_wide(fence, margin_m) for fence in fences)))


def _wide(fence: Fence, margin_m: float) -> Fence:
    if fence.shape is not Shape.POLYGON:
        return replace(fence, radius_m=min(fence.radius_m + margin_m, MAX_RADIUS_M))
    area = shape_of(fence)
    _, south, _, north = area.bounds
    # Metres on a plane that is true at the middle of the fence.
    scale = METRES_PER_DEGREE * np.array([max(np.cos(np.radians((south + north) / 2)), 1e-6), 1.0])
    plane = shapely.transform(area, lambda places: places * scale)
    wide = shapely.buffer(plane, margin_m, join_style="mitre", mitre_limit=CORNER_MARGINS)
    wide = shapely.intersection(shapely.transform(wide, lambda places: places / scale), _WORLD)
    parts = [part for part in shapely.get_parts(wide) if part.geom_type == "Polygon"]
    return replace(fence, polygons=tuple(tuple(_ring(ring) for ring in _rings(part)) for part in parts))


def _rings(polygon: Any) -> list[Any]:
    return [polygon.exterior, *polygon.interiors]


def _ring(ring: Any) -> tuple[tuple[float, float], ...]:
    places: npt.NDArray[np.float64] = shapely.get_coordinates(ring)
    return tuple(zip(places[:, 0].tolist(), places[:, 1].tolist(), strict=True))
