"""Rows of trips and stops: distances over cleaned points, medians, speeds, occupancy."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from analytics.meaning.limits import RuleLimits
from analytics.trips.journeys import Journeys, count_trips, journeys, occupancy_flips
from model.batch import PointBatch
from model.codes import Flag, Mark
from tests.analytics.trips.plain import cabspotting

FREE, TAKEN = int(Flag.OCCUPIED_SENT), int(Flag.OCCUPIED | Flag.OCCUPIED_SENT)
#: Degrees of latitude that 36 km/h makes in 10 s.
STEP = 100 / 111_195.08
LIMITS = RuleLimits()


def day() -> dict[str, Any]:
    """Standing 5 min, 600 s northwards at 36 km/h, standing 5 min; every 10 s."""
    moves = np.concatenate((np.zeros(30), np.ones(60), np.zeros(30)))
    lat = 40.65 + np.concatenate(([0.0], np.cumsum(moves))) * STEP
    return {"slot": 7, "time_ms": 1_760_000_000_000 + np.arange(121) * 10_000, "lat": lat, "lon": 109.84}


def told(columns: dict[str, Any], **more: Any) -> Journeys:
    return journeys(PointBatch.of(len(columns["time_ms"]), {**columns, **more}), LIMITS)


def test_a_stop_a_trip_a_stop() -> None:
    found = told(day())
    start = 1_760_000_000_000
    assert found.stops.start_ms.tolist() == [start, found.stops.start_ms[1]]
    assert found.stops.slot.tolist() == [7, 7]
    assert found.stops.end_ms[1] == start + 1_200_000
    assert found.stops.lat == pytest.approx([40.65, 40.65 + 60 * STEP], abs=1e-9)
    (trip,) = found.trips.start_ms.tolist()
    # The stops, 50 m wide, take no leg of 100 m.
    assert (trip, found.trips.end_ms[0]) == (start + 300_000, start + 900_000)
    assert found.trips.distance_m == pytest.approx([6_000.0], rel=1e-6)
    assert found.trips.mean_kmh == pytest.approx([36.0], rel=1e-6)
    assert found.trips.max_kmh == pytest.approx([36.0], rel=1e-6)
    assert found.trips.points.tolist() == [61]
    assert np.isnan(found.trips.occupied_m).all()


def test_marked_points_and_readers_sightings_are_no_part_of_it() -> None:
    columns = day()
    lat, marks, flags = columns["lat"].copy(), np.zeros(121, np.uint16), np.zeros(121, np.uint16)
    for at, wrong in ((40, 41.9), (50, 40.0), (60, 0.1)):
        lat[at] = wrong
    marks[40], marks[50], flags[60] = Mark.JUMP, Mark.NO_FIX, Flag.SIGHTED
    found = told(columns, lat=lat, marks=marks, flags=flags)
    assert found.trips.distance_m == pytest.approx([6_000.0], rel=1e-6)
    assert found.trips.points.tolist() == [58]


def test_a_leg_faster_than_a_vehicle_has_no_length() -> None:
    columns = day()
    columns["lat"] = columns["lat"] + np.where(np.arange(121) >= 60, 0.5, 0.0)
    found = told(columns)
    assert found.trips.distance_m == pytest.approx([5_900.0], rel=1e-6)
    assert found.trips.max_kmh == pytest.approx([36.0], rel=1e-6)


def test_a_gap_is_no_part_of_a_trip() -> None:
    columns = day()
    columns["time_ms"] = columns["time_ms"] + np.where(np.arange(121) >= 60, 301_000 - 10_000, 0)
    found = told(columns)
    assert len(found.trips) == 2
    assert found.trips.distance_m == pytest.approx([2_900.0, 3_000.0], rel=1e-6)


def test_the_devices_own_speed_is_the_greatest_where_it_sends_one() -> None:
    speed = np.full(121, np.nan, np.float32)
    speed[45] = 52.5
    assert told(day(), speed_kmh=speed).trips.max_kmh.tolist() == [52.5]


def test_occupied_distance_begins_with_the_point_that_tells() -> None:
    flags = np.where((np.arange(121) >= 40) & (np.arange(121) < 70), TAKEN, FREE).astype(np.uint16)
    found = told(day(), flags=flags)
    assert found.trips.occupied_m == pytest.approx([3_000.0], rel=1e-6)
    assert found.flips.occupied.tolist() == [True, False]
    assert found.flips.row.tolist() == [40, 70]


def test_rows_in_any_order_and_of_several_devices_give_the_same() -> None:
    one = day()
    chance = np.random.default_rng(1)
    order = chance.permutation(242)
    both = PointBatch.of(
        242,
        {
            "slot": np.repeat([7, 3], 121)[order],
            "time_ms": np.tile(one["time_ms"], 2)[order],
            "lat": np.tile(one["lat"], 2)[order],
            "lon": 109.84,
        },
    )
    found, alone = journeys(both, LIMITS), told(one)
    assert found.trips.slot.tolist() == [3, 7]
    assert found.trips.distance_m.tolist() == pytest.approx(alone.trips.distance_m.tolist() * 2)
    assert found.stops.start_ms.tolist() == alone.stops.start_ms.tolist() * 2
    assert count_trips(both, LIMITS) == (2, 4)


def test_nothing() -> None:
    found = journeys(PointBatch.empty(), LIMITS)
    assert len(found.trips) == len(found.stops) == len(found.flips) == 0
    assert count_trips(PointBatch.empty(), LIMITS) == (0, 0)


def test_flips_of_the_real_taxis_are_the_files_own() -> None:
    track, occupied = cabspotting(every=20)
    flags = np.where(occupied, TAKEN, FREE).astype(np.uint16)
    points = PointBatch.of(
        len(flags), {"slot": track[0], "time_ms": track[1], "lat": track[2], "lon": track[3], "flags": flags}
    )
    found = occupancy_flips(points)
    expected = [
        (int(track[0][at]), int(track[1][at]), bool(occupied[at]))
        for at in range(1, len(occupied))
        if track[0][at] == track[0][at - 1] and occupied[at] != occupied[at - 1]
    ]
    assert len(expected) > 1_000
    assert list(zip(found.slot.tolist(), found.time_ms.tolist(), found.occupied.tolist(), strict=True)) == expected


def test_trips_and_stops_of_the_real_taxis_never_overlap() -> None:
    track, _ = cabspotting(every=20)
    points = PointBatch.of(len(track[0]), {"slot": track[0], "time_ms": track[1], "lat": track[2], "lon": track[3]})
    found = journeys(points, LIMITS)
    assert len(found.trips) > 500
    assert count_trips(points, LIMITS) == (len(found.trips), len(found.stops))
    parts = sorted(
        (*part, what)
        for what, rows in (("trip", found.trips), ("stop", found.stops))
        for part in zip(rows.slot.tolist(), rows.start_ms.tolist(), rows.end_ms.tolist(), strict=True)
    )
    for before, after in pairwise(parts):
        assert before[0] != after[0] or before[2] <= after[1], (before, after)
    assert (found.trips.end_ms - found.trips.start_ms >= LIMITS.trip_min_s * 1_000).all()
    assert (found.trips.max_kmh <= 180.1).all()
