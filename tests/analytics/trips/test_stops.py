"""Stops are MovingPandas' own: on both real taxi sets, on the 1 Hz taxi, and on random walks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.trips.stops import stops
from model.errors import UsageError
from tests.analytics.trips.plain import (
    Span,
    Track,
    cabspotting,
    ordered,
    plain_stops,
    shenzhen,
    spans,
    stops_of,
    taken,
    tdrive,
)

MINUTE_MS = 60_000
#: What pandas says of MovingPandas.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def ours(track: Track, min_stop_ms: int, max_diameter_m: float, *, chunk_points: int = 1 << 18) -> list[Span]:
    found = stops(*track, min_stop_ms=min_stop_ms, max_diameter_m=max_diameter_m, chunk_points=chunk_points)
    return spans(track, found)


def test_the_san_francisco_taxis_stop_where_movingpandas_says() -> None:
    track, _ = cabspotting(every=60)
    expected = stops_of(track, 2 * MINUTE_MS, 50.0)
    assert len(expected) > 150
    assert ours(track, 2 * MINUTE_MS, 50.0) == expected


def test_the_beijing_taxis_stop_where_movingpandas_says() -> None:
    # Every third point of all 72: the oracle takes its time.
    track = taken(tdrive(), slice(None, None, 3))
    expected = stops_of(track, 5 * MINUTE_MS, 100.0)
    assert len(expected) > 200
    assert ours(track, 5 * MINUTE_MS, 100.0) == expected


def test_an_hour_of_the_shenzhen_taxi_at_1_hz() -> None:
    track = shenzhen(first_hour=9, hours=1)
    expected = stops_of(track, 2 * MINUTE_MS, 50.0)
    assert len(expected) > 2
    assert ours(track, 2 * MINUTE_MS, 50.0) == expected


def test_the_plain_loop_of_these_tests_is_movingpandas() -> None:
    track, _ = cabspotting(every=400)
    assert plain_stops(track, MINUTE_MS, 30.0) == stops_of(track, MINUTE_MS, 30.0)


#: Steps in 1e-5 degree; many lie on one line, where GEOS' rectangle is at its worst.
_STEPS = [(0, 0), (0, 0), (1, 2), (-1, -2), (3, 0), (0, 7), (-5, 3), (20, 1), (40, -30), (400, 100)]


@st.composite
def walks(draw: st.DrawFn) -> Track:
    """Random walks of three devices around a few places, in steps of a store's resolution or finer."""
    fine = draw(st.booleans())
    seed = draw(st.integers(0, 2**32 - 1))
    chance = np.random.default_rng(seed)
    slot, time, lat, lon = [], [], [], []
    for device in range(draw(st.integers(1, 3))):
        count = draw(st.integers(0, 60))
        steps = np.array(_STEPS)[chance.integers(0, draw(st.integers(1, len(_STEPS))), count)] * 1e-5
        if fine:
            steps = steps + chance.normal(0, draw(st.sampled_from([1e-6, 3e-5, 1e-4])), (count, 2))
        home = np.array([draw(st.sampled_from([40.65, -33.9, 0.0, 78.0])), 109.84])
        place = home + np.cumsum(steps, axis=0)
        slot += [device] * count
        time += np.cumsum(chance.choice([0, 1, 10, 30, 60, 61, 200], count)).tolist()
        lat += place[:, 0].tolist() if fine else np.round(place[:, 0], 5).tolist()
        lon += place[:, 1].tolist() if fine else np.round(place[:, 1], 5).tolist()
    return ordered(slot, np.array(time, np.int64) * 1_000, lat, lon)


@settings(max_examples=60)
@given(
    walks(),
    st.sampled_from([1_000, 30_000, 60_000, 120_000, 121_000]),
    st.sampled_from([5.0, 30.0, 50.0, 100.0, 1_000.0]),
    st.integers(1, 100),
)
def test_random_walks_stop_as_the_plain_loop_says(
    track: Track, min_stop_ms: int, max_diameter_m: float, chunk_points: int
) -> None:
    assert ours(track, min_stop_ms, max_diameter_m, chunk_points=chunk_points) == plain_stops(
        track, min_stop_ms, max_diameter_m
    )


def test_devices_do_not_know_of_each_other() -> None:
    """Two taxis at one rank: each alone gives what both give."""
    track, _ = cabspotting(every=100)
    whole = ours(track, MINUTE_MS, 50.0)
    alone = []
    for device in np.unique(track[0]):
        rows = track[0] == device
        alone += ours(taken(track, rows), MINUTE_MS, 50.0)
    assert whole == alone
    assert ours(track, MINUTE_MS, 50.0, chunk_points=1) == whole


def test_across_the_date_line_and_at_the_pole() -> None:
    lon = np.array([179.9999, -179.9999, 179.9999, -179.9999, -179.9998])
    track = ordered(np.zeros(5), np.arange(5) * MINUTE_MS, np.zeros(5), lon)
    assert ours(track, 2 * MINUTE_MS, 100.0) == plain_stops(track, 2 * MINUTE_MS, 100.0) != []
    pole = ordered(
        np.zeros(5), np.arange(5) * MINUTE_MS, np.full(5, 89.9999), (np.arange(5) * 70.0 + 180.0) % 360.0 - 180.0
    )
    assert ours(pole, 2 * MINUTE_MS, 100.0) == plain_stops(pole, 2 * MINUTE_MS, 100.0)


def test_nothing_in_nothing_out_and_limits_that_make_no_sense() -> None:
    nothing = ordered([], [], [], [])
    assert ours(nothing, MINUTE_MS, 50.0) == []
    one = ordered([3], [0], [40.0], [109.0])
    assert ours(one, MINUTE_MS, 50.0) == []
    for bad in ({"min_stop_ms": 0}, {"max_diameter_m": 0.0}, {"max_diameter_m": 20_000.0}, {"chunk_points": 0}):
        with pytest.raises(UsageError, match="cannot be looked for"):
            stops(*one, **bad)
