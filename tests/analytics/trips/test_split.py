"""Cutting at gaps and stops is MovingPandas' own; trips are what a plain loop says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.trips.split import between_stops, runs_by_gap, trips_by_gap
from analytics.trips.stops import stops
from model.errors import UsageError
from model.geo import haversine_m
from tests.analytics.trips.plain import Span, Track, cabspotting, ordered, spans, split_of, taken, tdrive

MINUTE_MS = 60_000
#: What pandas says of MovingPandas.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def unique_times(track: Track) -> Track:
    """One point of each time, as MovingPandas keeps them."""
    kept = np.append(True, (np.diff(track[0]) != 0) | (np.diff(track[1]) != 0))
    return taken(track, kept)


@pytest.mark.parametrize("gap_min", [2, 5, 20])
def test_gaps_cut_the_real_taxis_as_movingpandas_does(gap_min: int) -> None:
    for whole in (cabspotting(every=100)[0], tdrive()):
        track = unique_times(taken(whole, slice(4_000)))
        expected = split_of(track, "ObservationGapSplitter", gap=timedelta(minutes=gap_min))
        assert len(expected) > 10
        assert spans(track, runs_by_gap(*track[:2], trip_gap_ms=gap_min * MINUTE_MS)) == expected


def test_stops_cut_the_real_taxis_as_movingpandas_does() -> None:
    track = unique_times(taken(cabspotting(every=100)[0], slice(4_000)))
    expected = split_of(track, "StopSplitter", max_diameter=50.0, min_duration=timedelta(minutes=2))
    assert len(expected) > 50
    found = stops(*track, min_stop_ms=2 * MINUTE_MS, max_diameter_m=50.0)
    assert spans(track, between_stops(track[0], found)) == expected


def plain_trips(track: Track, gap_ms: int, moving_kmh: float, min_stop_ms: int) -> list[Span]:
    """Trips leg by leg."""
    found: list[list[int]] = []
    slot, time, lat, lon = track
    for at in range(1, len(slot)):
        took = int(time[at] - time[at - 1])
        same = slot[at] == slot[at - 1]
        if not same or not 0 < took <= gap_ms:
            if found and (not same or took > gap_ms):
                found[-1][3] = 1
            continue
        if haversine_m(lat[at - 1], lon[at - 1], lat[at], lon[at]) / took * 3_600 < moving_kmh:
            continue
        open_ = found and found[-1][0] == slot[at] and not found[-1][3]
        if open_ and time[at - 1] - found[-1][2] < min_stop_ms:
            found[-1][2] = int(time[at])
        else:
            found.append([int(slot[at]), int(time[at - 1]), int(time[at]), 0])
    return [(one[0], one[1], one[2]) for one in found]


@st.composite
def tracks(draw: st.DrawFn) -> Track:
    """Steps northwards and eastwards whose speeds keep away from the limit of 5 km/h by far more than the formula errs."""
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    slot: list[int] = []
    time: list[int] = []
    places: list[Any] = []
    for device in range(draw(st.integers(1, 3))):
        count = draw(st.integers(0, 50))
        took = chance.choice([0, 1, 10, 59, 60, 61, 119, 120, 121, 300, 301], count)
        metres = took / 3.6 * chance.choice([0, 2, 4.8, 5.2, 40], count)
        angle = chance.uniform(0, 2 * np.pi, count)
        lat = 40.65 + np.cumsum(metres * np.cos(angle)) / 111_195
        lon = 109.84 + np.cumsum(metres * np.sin(angle)) / (111_195 * np.cos(np.radians(40.65)))
        slot += [device] * count
        time += np.cumsum(took * 1_000).tolist()
        places += np.column_stack((lat, lon)).tolist()
    lat, lon = np.array(places).reshape(-1, 2).T
    return ordered(slot, time, lat, lon)


@settings(max_examples=80)
@given(
    tracks(),
    st.sampled_from([60_000, 120_000, 300_000]),
    st.sampled_from([1_000, 60_000, 120_000, 200_000]),
    st.integers(1, 60),
)
def test_trips_are_what_a_plain_loop_says(track: Track, gap_ms: int, min_stop_ms: int, block: int) -> None:
    found = trips_by_gap(*track, trip_gap_ms=gap_ms, moving_kmh=5.0, min_stop_ms=min_stop_ms, block_points=block)
    assert spans(track, found) == plain_trips(track, gap_ms, 5.0, min_stop_ms)


def test_nothing_and_limits_that_make_no_sense() -> None:
    nothing = ordered([], [], [], [])
    assert len(trips_by_gap(*nothing)) == len(runs_by_gap(*nothing[:2])) == 0
    assert len(between_stops(nothing[0], stops(*nothing))) == 0
    with pytest.raises(UsageError, match="above zero"):
        trips_by_gap(*nothing, moving_kmh=0.0)
