"""Datums: known places, inverses, what lies outside China."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.datum import bd09_to_gcj02, gcj02_to_bd09, gcj02_to_wgs84, to_wgs84, wgs84_to_gcj02
from model.errors import UsageError

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


@pytest.mark.parametrize("datum", ["wgs84", "gcj02", "bd09"])
def test_outside_china_nothing_changes(datum: str) -> None:
    lat = np.array([51.5, 0.0, -33.9, np.nan, np.inf, 91.0, 40.0, 1e300])
    lon = np.array([-0.1, 0.0, 18.4, 109.8, 109.8, 109.8, np.nan, 1e300])
    got_lat, got_lon = to_wgs84(datum, lat, lon)
    np.testing.assert_array_equal(got_lat, lat)
    np.testing.assert_array_equal(got_lon, lon)


def test_unknown_datum() -> None:
    with pytest.raises(UsageError, match="no datum"):
        to_wgs84("mars", np.zeros(1), np.zeros(1))
