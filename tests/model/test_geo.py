"""Distances and bearings against values worked out by other means."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.geo import EARTH_RADIUS_M, METRES_PER_DEGREE, bearing_deg, haversine_m

LATITUDES = st.floats(-90, 90)
LONGITUDES = st.floats(-180, 180)


@pytest.mark.parametrize(
    ("places", "distance_m"),
    [
        ((0.0, 0.0, 0.0, 1.0), math.pi * EARTH_RADIUS_M / 180),
        ((0.0, 0.0, 90.0, 0.0), math.pi * EARTH_RADIUS_M / 2),
        ((0.0, 0.0, 0.0, 180.0), math.pi * EARTH_RADIUS_M),
        ((10.0, 179.5, 10.0, -179.5), 2 * EARTH_RADIUS_M * math.asin(math.cos(math.radians(10)) * math.sin(math.radians(0.5)))),
        ((40.65, 109.84, 40.65, 109.84), 0.0),
    ],
)  # fmt: skip
def test_known_distances(places: tuple[float, float, float, float], distance_m: float) -> None:
    assert float(haversine_m(*places)) == pytest.approx(distance_m, rel=1e-12, abs=1e-6)


@given(LATITUDES, LONGITUDES, LATITUDES, LONGITUDES)
def test_distance_agrees_with_the_chord_and_is_below_the_bound_that_clean_uses(
    lat1: float, lon1: float, lat2: float, lon2: float
) -> None:
    def place(lat: float, lon: float) -> list[float]:
        phi, lam = math.radians(lat), math.radians(lon)
        return [math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi)]

    chord = math.dist(place(lat1, lon1), place(lat2, lon2))
    expected = 2 * EARTH_RADIUS_M * math.asin(min(chord / 2, 1.0))
    got = float(haversine_m(lat1, lon1, lat2, lon2))
    assert got == pytest.approx(expected, abs=0.5)
    assert got <= (abs(lat2 - lat1) + abs(lon2 - lon1)) * METRES_PER_DEGREE + 1e-6


@pytest.mark.parametrize(
    ("places", "bearing"),
    [
        ((0.0, 0.0, 1.0, 0.0), 0.0),
        ((0.0, 0.0, 0.0, 1.0), 90.0),
        ((1.0, 0.0, 0.0, 0.0), 180.0),
        ((0.0, 1.0, 0.0, 0.0), 270.0),
        ((0.0, 179.5, 0.0, -179.5), 90.0),
        ((5.0, 5.0, 5.0, 5.0), 0.0),
    ],
)
def test_known_bearings(places: tuple[float, float, float, float], bearing: float) -> None:
    assert float(bearing_deg(*places)) == pytest.approx(bearing, abs=1e-9)


@given(LATITUDES, LONGITUDES, LATITUDES, LONGITUDES)
def test_a_bearing_is_in_range(lat1: float, lon1: float, lat2: float, lon2: float) -> None:
    assert 0.0 <= float(bearing_deg(lat1, lon1, lat2, lon2)) < 360.0


@pytest.mark.filterwarnings("error")
def test_columns_go_in_whole_and_what_is_no_number_gives_nan() -> None:
    lat = np.array([0.0, np.nan, np.inf])
    out = haversine_m(lat, np.zeros(3), np.zeros(3), np.ones(3))
    assert out.shape == (3,)
    assert np.isnan(out).tolist() == [False, True, True]
