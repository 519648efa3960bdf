"""Fences drawn for tests, and the plain oracle: shapely's prepared loop, one fence after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from model.fence import Fence, FenceRule, FenceSet, Shape

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def fence(number: int, shape: Shape, **fields: Any) -> Fence:
    return Fence(number, f"f{number}", f"fence {number}", FenceRule.NONE, shape, **fields)


def polygon(number: int, *polygons: Any, **fields: Any) -> Fence:
    """From shapely polygons (multipolygons become several)."""
    parts = [part for one in polygons for part in getattr(one, "geoms", [one])]
    rings = tuple(
        tuple(tuple((x, y) for x, y in ring.coords) for ring in (part.exterior, *part.interiors)) for part in parts
    )
    return fence(number, Shape.POLYGON, polygons=rings, **fields)


def star(chance: np.random.Generator, lon: float, lat: float, radius_deg: float, vertices: int) -> Any:
    """A jagged polygon around a place, valid because its vertices go round once."""
    turn = np.arange(vertices) * (2 * np.pi / vertices)
    far = radius_deg * chance.uniform(0.4, 1.0, vertices)
    return shapely.Polygon(np.round(np.stack((lon + far * np.cos(turn), lat + far * np.sin(turn)), axis=1), 6))


def fences_of(*fences: Fence) -> FenceSet:
    return FenceSet(1, fences)


def loop(shapes: list[Any], lat: Floats, lon: Floats) -> tuple[Ints, Ints]:
    """The oracle: for each shape shapely's prepared `intersects` of all points, which for a point is `covers`."""
    points = shapely.points(lon, lat)
    pairs = []
    for at, shape in enumerate(shapes):
        shapely.prepare(shape)
        pairs += [(row, at) for row in np.flatnonzero(shapely.intersects(shape, points)).tolist()]
    pairs.sort()
    made = np.array(pairs, np.int64).reshape(-1, 2)
    return made[:, 0], made[:, 1]


def near_edges(chance: np.random.Generator, shapes: list[Any]) -> Floats:
    """Places on vertices, on edges and beside them by 1e-13 to 1e-6 degrees, and level with vertices; shape (k, 2), lon lat."""
    corners = shapely.get_coordinates(shapes)
    along = corners[:-1] + np.diff(corners, axis=0) * chance.random((len(corners) - 1, 1))
    middle = (corners[:-1] + corners[1:]) / 2
    exact = np.concatenate((corners, along, middle))
    beside = exact + chance.normal(size=exact.shape) * 10.0 ** chance.uniform(-13, -6, (len(exact), 1))
    level = np.stack((chance.permutation(corners[:, 0]), corners[:, 1]), axis=1)
    upright = np.stack((corners[:, 0], chance.permutation(corners[:, 1])), axis=1)
    return np.concatenate((exact, beside, level, upright))
