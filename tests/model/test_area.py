"""Areas: what they cover against shapely, exactly, and what is refused."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st

from model.area import MAX_CORNERS, Circle, Polygon, legs_near
from model.errors import UsageError
from model.geo import haversine_m

Floats = npt.NDArray[np.float64]
SQUARE = ((109.0, 40.0), (109.01, 40.0), (109.01, 40.01), (109.0, 40.01))
HOLE = ((109.002, 40.002), (109.004, 40.002), (109.004, 40.004), (109.002, 40.004))
APART = ((109.02, 40.0), (109.03, 40.0), (109.03, 40.01))
_AXIS = st.integers(0, 12)
_CORNERS = st.lists(st.tuples(_AXIS, _AXIS), min_size=3, max_size=8)


def units(places: list[tuple[int, int]]) -> tuple[Floats, Floats]:
    """Latitudes and longitudes of places on a grid of 1e-6 degree."""
    grid = np.array(places, np.float64).reshape(-1, 2)
    return np.round(40.0 + grid[:, 1] * 1e-6, 6), np.round(109.0 + grid[:, 0] * 1e-6, 6)


@given(_CORNERS, st.lists(st.tuples(_AXIS, _AXIS), min_size=2, max_size=40))
def test_a_polygon_covers_what_shapely_says_to_the_last_unit(
    corners: list[tuple[int, int]], places: list[tuple[int, int]]
) -> None:
    shape = shapely.Polygon(corners)
    assume(shape.is_valid)
    lat, lon = units(corners)
    area = Polygon((tuple(zip(lon.tolist(), lat.tolist(), strict=True)),))
    inside = area.covers(*units(places))
    assert inside.tolist() == [bool(shape.covers(shapely.Point(place))) for place in places]
    out = [place for place, held in zip(places, inside.tolist(), strict=True) if not held]
    lat, lon = units(out)
    enter, leave = area.crossings(lat[:-1], lon[:-1], lat[1:], lon[1:])
    legs = [shapely.LineString(ends) if ends[0] != ends[1] else None for ends in pairwise(out)]
    assert (~np.isnan(enter)).tolist() == [leg is not None and bool(shape.intersects(leg)) for leg in legs]
    crossed = ~np.isnan(enter)
    assert (np.isnan(leave) == np.isnan(enter)).all()
    assert ((enter[crossed] >= 0) & (enter[crossed] <= leave[crossed]) & (leave[crossed] <= 1)).all()


def test_holes_and_parts_apart() -> None:
    area = Polygon((SQUARE, HOLE, APART))
    lat = np.array([40.001, 40.003, 40.002, 40.005, 40.01, 40.001, np.nan])
    lon = np.array([109.001, 109.003, 109.003, 109.015, 109.01, 109.0295, 109.001])
    assert area.covers(lat, lon).tolist() == [True, False, True, False, True, True, False]
    closed = Polygon(((*SQUARE, SQUARE[0]),))
    assert closed.covers(lat, lon).tolist() == Polygon((SQUARE,)).covers(lat, lon).tolist()
    assert area.to_json()["rings"][0][0] == [109.0, 40.0]


def test_a_circle_covers_its_edge_and_its_box_holds_it() -> None:
    area = Circle(40.65, 109.84, 200.0)
    turn = np.linspace(0, 2 * np.pi, 721)
    high, wide = 200.0 / 111_195.08, 200.0 / (111_195.08 * math.cos(math.radians(40.65)))
    lat, lon = 40.65 + high * np.cos(turn), 109.84 + wide * np.sin(turn)
    assert np.array_equal(area.covers(lat, lon), haversine_m(40.65, 109.84, lat, lon) <= 200.0)
    assert area.covers(np.array([40.65]), np.array([109.84])).all()
    # Due east in 1.0 to 0.1 of the leg, and a leg that ends before.
    enter, leave = area.crossings(
        np.array([40.65, 40.65]), np.array([109.84 - 4 * wide, 109.84 - 4 * wide]),
        np.array([40.65, 40.65]), np.array([109.84 + 4 * wide, 109.84 - 2 * wide]),
    )  # fmt: skip
    assert enter[0] == pytest.approx(3 / 8, abs=1e-6)
    assert leave[0] == pytest.approx(5 / 8, abs=1e-6)
    assert np.isnan(enter[1])
    assert np.isnan(leave[1])


def test_legs_over_the_antimeridian_or_from_nowhere_are_none() -> None:
    box = Circle(10.0, 179.9, 500.0).box
    lat = np.array([10.0, 10.0, np.nan, 10.0, 1e12])
    assert legs_near(
        box,
        lat,
        np.array([179.8, -179.9, 179.8, 179.8, 179.8]),
        np.full(5, 10.0),
        np.array([179.95, 179.95, 179.95, 181.0, 179.95]),
    ).tolist() == [True, False, False, False, False]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Polygon(()),
        lambda: Polygon(((),)),
        lambda: Polygon((SQUARE[:2],)),
        lambda: Polygon((((109.0, 40.0), (109.0, 40.0), (109.0000001, 40.0), (109.0, 40.01)),)),
        lambda: Polygon((((109.0, 40.0), (109.01, 40.01), (109.01, 40.0), (109.0, 40.01)),)),
        lambda: Polygon((SQUARE, tuple((lon + 0.005, lat + 0.005) for lon, lat in SQUARE))),
        lambda: Polygon((((179.0, 40.0), (-179.0, 40.0), (-179.0, 41.0)),)),
        lambda: Polygon((((109.0, 91.0), (110.0, 40.0), (111.0, 41.0)),)),
        lambda: Polygon((((109.0, math.nan), (110.0, 40.0), (111.0, 41.0)),)),
        lambda: Polygon((tuple((109.0 + at * 1e-5, 40.0 + at * at * 1e-6) for at in range(MAX_CORNERS + 2)),)),
        lambda: Circle(40.0, 109.0, 0.0),
        lambda: Circle(40.0, 109.0, 50_001.0),
        lambda: Circle(40.0, 109.0, math.nan),
        lambda: Circle(86.0, 109.0, 10.0),
        lambda: Circle(math.nan, 109.0, 10.0),
        lambda: Circle(40.0, 179.9999, 100.0),
    ],
)
def test_an_area_that_is_none_is_refused_with_what_to_do(make: object) -> None:
    assert callable(make)
    with pytest.raises(UsageError) as refused:
        make()
    assert refused.value.mend
