"""Circles and corridors lie where `haversine_m` says; what is no shape is refused with its place."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.fences.shapes import MAX_RADIUS_M, shape_of
from model.errors import BadInput
from model.fence import Fence, Shape
from model.geo import haversine_m
from tests.analytics.fences.drawn import Floats, fence, polygon

#: The promise: an edge is off by no more than this part of the radius.
PART = 1e-3
SQUARE = ((0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0), (0.0, 0.0))


def inside(made: Fence, lon: Floats, lat: Floats) -> Any:
    return shapely.intersects_xy(shape_of(made), lon, lat)


def turned(chance: np.random.Generator, lon: float, lat: float, metres: Floats) -> tuple[Floats, Floats]:
    """Places about so far from one, in random directions."""
    turn = chance.uniform(0, 2 * np.pi, len(metres))
    return lon + metres * np.sin(turn) / (111_195 * np.cos(np.radians(lat))), lat + metres * np.cos(turn) / 111_195


@settings(max_examples=60)
@given(
    lon=st.floats(-170, 170),
    lat=st.floats(-80, 80),
    size=st.floats(0.0, math.log10(100_000.0)),
    seed=st.integers(0, 2**32),
)
def test_a_circle_is_what_haversine_says(lon: float, lat: float, size: float, seed: int) -> None:
    radius_m = 10.0**size
    chance = np.random.default_rng(seed)
    made = fence(1, Shape.CIRCLE, center=(lon, lat), radius_m=radius_m)
    where = turned(chance, lon, lat, radius_m * chance.choice((0.01, 0.9, 0.999, 1.001, 1.1, 1.5), 2_000))
    far = haversine_m(lat, lon, where[1], where[0])
    # 1e-9 degrees, a tenth of a millimetre, is what numbers of 180 may lose.
    clear = np.abs(far - radius_m) > PART * radius_m / 5 + 1e-4
    np.testing.assert_array_equal(inside(made, *where)[clear], (far <= radius_m)[clear])


def distance_to_line_m(line: Floats, lon: Floats, lat: Floats) -> Floats:
    """Independent of the corridor: the least haversine to places along the line, looked for coarsely, then finely."""
    best = np.full(len(lon), np.inf)
    for one, other in pairwise(line):
        low, high = np.zeros(len(lon)), np.ones(len(lon))
        for _ in range(6):
            along = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, 33)
            far = haversine_m(
                lat[:, None], lon[:, None], one[1] + along * (other - one)[1], one[0] + along * (other - one)[0]
            )
            at = far.argmin(axis=1)
            step = (high - low) / 32
            middle = along[np.arange(len(lon)), at]
            low, high = np.maximum(middle - step, 0), np.minimum(middle + step, 1)
        best = np.minimum(best, far.min(axis=1))
    return best


@pytest.mark.parametrize(
    ("line", "radius_m"),
    [
        ([(110.0, 40.0), (110.05, 40.02), (110.05, 40.05)], 30.0),
        ([(110.0, 40.0), (110.0, 42.0)], 50.0),
        ([(110.0, 30.0), (113.0, 31.0), (112.0, 33.0)], 2_000.0),
        ([(20.0, 66.0), (24.0, 67.5)], 200.0),
        ([(20.0, 66.0), (20.5, 66.2)], 30_000.0),
        ([(-70.0, -33.0), (-70.001, -33.0), (-70.0, -33.0001), (-70.0, -33.0)], 15.0),
        ([(110.0, 40.0), (110.0, 40.0)], 100.0),
        ([(110.0, 40.0), (110.1, 40.1), (110.1, 40.0), (110.0, 40.1)], 500.0),
    ],
    ids=["bend", "north", "long", "far north", "wide", "tiny loop", "a point", "crossing itself"],
)
def test_a_corridor_is_what_haversine_says(line: list[tuple[float, float]], radius_m: float) -> None:
    seed = 7
    print("seed", seed)
    chance = np.random.default_rng(seed)
    made = fence(1, Shape.CORRIDOR, line=tuple(line), radius_m=radius_m)
    corners = np.array(line)
    part = chance.integers(0, len(line) - 1, 1_500)
    at = corners[part] + (corners[part + 1] - corners[part]) * chance.random((1_500, 1))
    at[::10] = corners[part[::10]]
    lon, lat = np.empty(1_500), np.empty(1_500)
    for row, (east, north) in enumerate(at.tolist()):
        metres = radius_m * chance.choice((0.3, 0.995, 1.005, 1.3), 1)
        lon[row], lat[row] = (one[0] for one in turned(chance, east, north, metres))
    far = distance_to_line_m(corners, lon, lat)
    clear = np.abs(far - radius_m) > PART * radius_m
    assert np.count_nonzero(clear) > 1_000
    assert 100 < np.count_nonzero(far <= radius_m) < 1_400
    np.testing.assert_array_equal(inside(made, lon, lat)[clear], (far <= radius_m)[clear])


def test_a_hole_is_outside_and_its_edge_is_not() -> None:
    made = polygon(1, shapely.box(0, 0, 2, 2).difference(shapely.box(0.5, 0.5, 1.5, 1.5)), shapely.box(5, 5, 6, 6))
    lon = np.array([0.2, 1.0, 0.5, 1.5, 2.0, 5.5, 3.0])
    assert inside(made, lon, lon).tolist() == [True, False, True, True, True, True, False]


def _line(*line: tuple[float, float], radius_m: float = 100.0) -> Fence:
    return fence(3, Shape.CORRIDOR, line=line, radius_m=radius_m)


def _circle(lon: float, lat: float, radius_m: float) -> Fence:
    return fence(3, Shape.CIRCLE, center=(lon, lat), radius_m=radius_m)


def _rings(*polygons: Any) -> Fence:
    return fence(3, Shape.POLYGON, polygons=polygons)


BOW = ((0.0, 0.0), (2.0, 2.0), (2.0, 0.0), (0.0, 2.0), (0.0, 0.0))
NEXT = tuple((x + 1.0, y) for x, y in SQUARE)
WRONG: tuple[tuple[str, Fence, str], ...] = (
    ("crosses itself", _rings((BOW,)), "polygon 1 is not valid: Self-intersection[1 1]"),
    ("not closed", _rings((SQUARE,), (SQUARE[:-1],)), "polygon 2, ring 1 has 4 vertices or is not closed"),
    ("two places", _rings((((0.0, 0.0), (1.0, 1.0), (0.0, 0.0)),)), "ring 1 has 3 vertices"),
    ("no polygon", _rings(), "a polygon without a ring"),
    ("no ring", _rings(()), "a polygon without a ring"),
    ("hole outside", _rings((SQUARE, tuple((x + 9, y) for x, y in SQUARE))), "Hole lies outside shell"),
    ("overlap", _rings((SQUARE,), (NEXT,)), "the polygons together is not valid"),
    ("lat and lon swapped", _rings((((40.0, 110.0), (40.0, 111.0), (41.0, 111.0), (40.0, 110.0)),)), "vertex 1 is at"),
    ("not a number", _rings((((0.0, 0.0), (1.0, math.nan), (1.0, 1.0), (0.0, 0.0)),)), "vertex 2 is at"),
    (
        "antimeridian",
        _rings((((179.0, 0.0), (-179.0, 0.0), (-179.0, 1.0), (179.0, 0.0)),)),
        "from vertex 1 goes from longitude 179 to -179",
    ),
    ("circle over it", _circle(179.9999, 0.0, 100.0), "reaches over the antimeridian"),
    ("circle at the pole", _circle(0.0, 89.0, 100.0), "beyond 85 degrees"),
    ("corridor over it", _line((179.0, 0.0), (-179.0, 0.0)), "its line, the edge from vertex 1"),
    ("corridor along it", _line((179.9999, 0.0), (179.9999, 1.0)), "reaches over the antimeridian"),
    ("corridor of a place", _line((1.0, 1.0)), "a corridor of 1 points"),
    ("corridor without width", _line((0.0, 0.0), (1.0, 0.0), radius_m=0.0), "radius is 0 m"),
    ("no radius", _circle(0.0, 0.0, math.nan), "radius is nan m"),
    ("too wide", _circle(0.0, 0.0, MAX_RADIUS_M * 1.01), "radius is"),
    ("nowhere", _circle(math.nan, 0.0, 10.0), "its center, vertex 1"),
)


@pytest.mark.parametrize(("made", "says"), [one[1:] for one in WRONG], ids=[one[0] for one in WRONG])
def test_what_is_no_shape_is_refused_with_its_place(made: Fence, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        shape_of(made)
    assert "fence f3" in str(caught.value)
    assert says in str(caught.value)
    assert caught.value.mend


def test_a_corridor_has_a_limit_of_pieces() -> None:
    around = _line((-170.0, 0.0), (0.0, 0.0), (170.0, 0.0))
    with pytest.raises(BadInput, match="1,892 pieces"):
        shape_of(around, max_pieces=1_000)
    assert shapely.is_valid(shape_of(around))
