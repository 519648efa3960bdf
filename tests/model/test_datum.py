"""Datums: known places, inverses, what lies outside China."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.datum import (
    DATUMS,
    EAST,
    NORTH,
    SOUTH,
    WEST,
    Degrees,
    bd09_to_gcj02,
    from_wgs84,
    gcj02_to_bd09,
    gcj02_to_wgs84,
    in_china,
    to_wgs84,
    wgs84_to_gcj02,
)
from model.errors import UsageError

M_PER_DEG = 111_195.08
CHINA = st.lists(st.tuples(st.floats(18, 53), st.floats(74, 135)), min_size=1, max_size=20)


def test_a_known_place() -> None:
    """Tiananmen: the offset of GCJ-02 there is known to be 0.0014 north and 0.0062 east."""
    lat, lon = wgs84_to_gcj02(np.array([39.90734]), np.array([116.39089]))
    assert lat[0] == pytest.approx(39.90874, abs=2e-5)
    assert lon[0] == pytest.approx(116.39713, abs=2e-5)
    lat, lon = gcj02_to_bd09(np.array([39.90874]), np.array([116.39713]))
    assert lat[0] == pytest.approx(39.91509, abs=5e-5)
    assert lon[0] == pytest.approx(116.40350, abs=5e-5)


@given(CHINA)
def test_to_wgs84_inverts(places: list[tuple[float, float]]) -> None:
    lat, lon = (np.array(column) for column in zip(*places, strict=True))
    gcj = wgs84_to_gcj02(lat, lon)
    back = gcj02_to_wgs84(*gcj)
    assert np.abs(back[0] - lat).max() <= 1e-7
    assert np.abs(back[1] - lon).max() <= 1e-7
    there = bd09_to_gcj02(*gcj02_to_bd09(*gcj))
    assert np.abs(there[0] - gcj[0]).max() <= 1e-7
    assert np.abs(there[1] - gcj[1]).max() <= 1e-7
    whole = to_wgs84("bd09", *gcj02_to_bd09(*gcj))
    assert np.abs(whole[0] - lat).max() <= 1e-7
    assert np.abs(whole[1] - lon).max() <= 1e-7


def apart_m(one: tuple[Degrees, Degrees], other: tuple[Degrees, Degrees]) -> Degrees:
    """Metres between places that are near each other."""
    north = (one[0] - other[0]) * M_PER_DEG
    return np.hypot(north, (one[1] - other[1]) * M_PER_DEG * np.cos(np.radians(one[0])))


@pytest.mark.parametrize("datum", DATUMS)
def test_to_a_millimetre_on_a_grid_over_the_box_its_edges_included(datum: str) -> None:
    """Every 0.2°, and two metres beside the first places and the edges, where the offset jumps."""
    lats, lons = np.linspace(SOUTH, NORTH, 320), np.linspace(WEST, EAST, 320)
    lats = np.sort(np.concatenate((lats, np.clip(lats + 2e-5, SOUTH, NORTH), [NORTH - 2e-5])))
    lons = np.sort(np.concatenate((lons, np.clip(lons + 2e-5, WEST, EAST), [EAST - 2e-5, 105.0])))
    lat, lon = (column.ravel() for column in np.meshgrid(lats, lons))
    moved = from_wgs84(datum, lat, lon)
    assert apart_m(to_wgs84(datum, *moved), (lat, lon)).max() < 1e-3
    offset = apart_m(moved, (lat, lon))
    least, most = {"wgs84": (0, 0), "gcj02": (1, 750), "bd09": (600, 1_600)}[datum]
    assert least <= offset.min() <= offset.max() <= most


@pytest.mark.parametrize("datum", DATUMS)
def test_the_known_place_and_back_one_step_at_a_time(datum: str) -> None:
    place = (np.array([40.6572]), np.array([109.8403]))
    steps = {"wgs84": place, "gcj02": wgs84_to_gcj02(*place), "bd09": gcj02_to_bd09(*wgs84_to_gcj02(*place))}
    np.testing.assert_array_equal(from_wgs84(datum, *place), steps[datum])


@pytest.mark.parametrize("datum", DATUMS)
@given(st.floats(-90, 90), st.floats(-180, 180))
def test_any_place_goes_there_and_back_or_is_left_alone(datum: str, lat: float, lon: float) -> None:
    place = np.array([lat]), np.array([lon])
    moved = from_wgs84(datum, *place)
    back = to_wgs84(datum, *moved)
    if in_china(*place)[0]:
        assert apart_m(back, place)[0] < 1e-3
        return
    np.testing.assert_array_equal(moved, place)
    if WEST - 0.05 < lon < EAST + 0.05 and SOUTH - 0.05 < lat < NORTH + 0.05:  # the strip that has two meanings
        assert apart_m(back, place)[0] < 2_000
    else:
        np.testing.assert_array_equal(back, place)


def test_a_strip_beside_the_box_belongs_to_the_places_that_are_moved_there() -> None:
    """East of the box a place in it and one outside end at the same place; the one in it comes back."""
    inside = np.array([36.0]), np.array([EAST - 1e-4])
    moved = wgs84_to_gcj02(*inside)
    assert not in_china(*moved)[0]
    np.testing.assert_array_equal(wgs84_to_gcj02(*moved), moved)
    assert apart_m(gcj02_to_wgs84(*moved), inside)[0] < 1e-3
    # just inside the western edge there is nothing that anything is moved to; it comes back as it is, and not as noise
    gap = np.array([36.0]), np.array([WEST + 1e-4])
    np.testing.assert_array_equal(gcj02_to_wgs84(*gap), gap)


@pytest.mark.parametrize("datum", ["wgs84", "gcj02", "bd09"])
def test_outside_china_nothing_changes(datum: str) -> None:
    lat = np.array([51.5, 0.0, -33.9, np.nan, np.inf, 91.0, 40.0, 1e300])
    lon = np.array([-0.1, 0.0, 18.4, 109.8, 109.8, 109.8, np.nan, 1e300])
    got_lat, got_lon = to_wgs84(datum, lat, lon)
    np.testing.assert_array_equal(got_lat, lat)
    np.testing.assert_array_equal(got_lon, lon)


def test_unknown_datum() -> None:
    for convert in (to_wgs84, from_wgs84):
        with pytest.raises(UsageError, match="no datum"):
            convert("mars", np.zeros(1), np.zeros(1))
