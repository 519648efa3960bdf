"""Bounds never say other than GEOS' rectangle."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.trips.rectangle import bounds
from tests.analytics.trips.plain import is_small

SEED = 20_080_530


@pytest.mark.parametrize("home_lat", [-69.0, -23.5, 0.0, 37.8, 60.0])
def test_what_bounds_tell_is_what_the_rectangle_says(home_lat: float) -> None:
    print("seed", SEED)
    chance = np.random.default_rng(SEED)
    told = {-1: 0, 0: 0, 1: 0}
    for _ in range(400):
        count = int(chance.integers(3, 12))
        # Clouds of every slant and slimness, about as large as the limit; some on the grid of a store.
        spread = chance.uniform(1e-5, 4e-4, 2) * chance.choice([1.0, 0.02], 2)
        angle = chance.uniform(0, np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        place = (chance.uniform(-1, 1, (count, 2)) * spread) @ turn + [home_lat, 114.0]
        if chance.random() < 0.3:
            place = np.round(place, 5)
        lat, lon = np.ascontiguousarray(place[:, 0]), np.ascontiguousarray(place[:, 1])
        answer = int(bounds(lat, lon, np.array([0]), np.array([count - 1]), 50.0)[0])
        told[answer] += 1
        if answer:
            assert is_small(lat, lon, 50.0) == (answer == 1), (lat, lon)
    assert told[1] > 50
    assert told[-1] > 0


def test_bounds_leave_lines_and_large_limits_alone() -> None:
    lat = np.array([30.0, 30.0001, 30.0002])
    one = (np.array([0]), np.array([2]))
    assert bounds(lat, np.full(3, 114.0), *one, 5.0).tolist() == [0]
    bent = np.array([114.0, 114.0001, 114.0])
    assert bounds(lat, bent, *one, 5.0).tolist() == [-1]
    assert bounds(lat, bent, *one, 100.0).tolist() == [1]
    assert bounds(lat, bent, *one, 5_000.0).tolist() == [0]
