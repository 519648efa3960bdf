"""Widened fences: what lies within the margin is in them, what lies twice as far is not; by great circles, not by planes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import shapely

from analytics.fences.shapes import shape_of
from analytics.rules.fence_margin import CORNER_MARGINS, widened
from model.fence import Fence, FenceRule, Shape
from model.geo import METRES_PER_DEGREE, haversine_m

Floats = npt.NDArray[np.float64]
LAT, LON, MARGIN_M = 40.65, 109.84, 20.0


def ring(radius_m: float, corners: int, seed: int) -> tuple[tuple[float, float], ...]:
    """A closed star about the place."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    far = radius_m * (1 + 0.4 * rng.random(corners)) / METRES_PER_DEGREE
    lat, lon = LAT + far * np.sin(angle), LON + far * np.cos(angle) / np.cos(np.radians(LAT))
    places = list(zip(lon.tolist(), lat.tolist(), strict=True))
    return (*places, places[0])


def fence(shape: Shape) -> Fence:
    """One of each, some hundred metres wide."""
    more = {
        Shape.POLYGON: {"polygons": ((ring(400, 17, 1), ring(150, 9, 2)),)},
        Shape.CIRCLE: {"center": (LON, LAT), "radius_m": 300.0},
        Shape.CORRIDOR: {
            "line": ((LON - 0.004, LAT), (LON, LAT + 0.002), (LON + 0.004, LAT - 0.001)),
            "radius_m": 40.0,
        },
    }
    return Fence(7, "f7", "a fence", FenceRule.EXIT, shape, **more[shape])  # type: ignore[arg-type] # a table of fields


def distance_m(area: object, lat: Floats, lon: Floats) -> Floats:
    """Of places outside to the area, by great circles to points on its boundary three metres apart."""
    edge = shapely.get_coordinates(shapely.segmentize(shapely.boundary(area), 3 / METRES_PER_DEGREE))
    far = [haversine_m(lat, lon, np.full(len(lat), y), np.full(len(lon), x)) for x, y in edge.tolist()]
    return np.where(shapely.intersects_xy(area, lon, lat), 0.0, np.min(far, axis=0))


@pytest.mark.parametrize("shape", list(Shape))
def test_the_margin_is_as_wide_as_it_says(shape: Shape) -> None:
    seed = 5
    print("seed", seed)
    rng = np.random.default_rng(seed)
    lat, lon = LAT + rng.uniform(-0.006, 0.006, 1_500), LON + rng.uniform(-0.008, 0.008, 1_500)
    given = fence(shape)
    wide = widened([given], MARGIN_M)
    far = distance_m(shape_of(given), lat, lon)
    inside = np.zeros(len(lat), np.bool_)
    inside[wide.hits(lat, lon)[0]] = True
    assert wide.number.tolist() == [7]
    assert inside[far <= 0.98 * MARGIN_M].all()
    assert not inside[far >= 1.02 * CORNER_MARGINS * MARGIN_M].any()
    near = (far > 0) & (far <= 0.98 * MARGIN_M)
    assert np.count_nonzero(near) > 10
    # Nearly all of what is inside lies within the margin: only corners reach farther.
    assert np.count_nonzero(inside & (far > 1.02 * MARGIN_M)) < 0.2 * np.count_nonzero(near)


def test_a_hole_that_the_margin_fills_is_gone_and_the_edge_of_the_world_stays() -> None:
    small = ((LON, LAT), (LON + 1e-4, LAT), (LON + 1e-4, LAT + 1e-4), (LON, LAT + 1e-4), (LON, LAT))
    holed = Fence(1, "a", "a", FenceRule.EXIT, Shape.POLYGON, polygons=((ring(400, 17, 1), small),))
    at = (np.array([LAT + 5e-5]), np.array([LON + 5e-5]))
    assert len(widened([holed], MARGIN_M).hits(*at)[0]) == 1
    corner = ((179.9, 89.0), (180.0, 89.0), (180.0, 90.0), (179.9, 90.0), (179.9, 89.0))
    top = Fence(1, "a", "a", FenceRule.EXIT, Shape.POLYGON, polygons=((corner,),))
    assert len(widened([top], MARGIN_M).hits(np.array([90.0]), np.array([180.0]))[0]) == 1
