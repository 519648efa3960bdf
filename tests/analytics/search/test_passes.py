"""Cameras passed: random tracks and cameras against looking at every half second."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.search.passes import CameraPass, CameraView, PassLimits, camera_passes
from model.batch import PointBatch
from model.errors import Refused
from model.geo import METRES_PER_DEGREE
from tests.analytics.search.test_company import POINTS, Drawn, place_at, track

LAT, LON = 40.0, 109.0
STEP_MS = 500
EXACT = PassLimits(join_ms=0, before_ms=0, after_ms=0)
CAMERA = st.builds(
    CameraView,
    device=st.just("camera/1"),
    lat=st.integers(-200, 200).map(lambda n: LAT + n * 1e-5),
    lon=st.integers(-200, 200).map(lambda n: LON + n * 1e-5),
    bearing_deg=st.one_of(st.none(), st.sampled_from([0.0, 45.0, 180.0, 359.0]), st.floats(0, 360)),
    field_deg=st.sampled_from([20.0, 90.0, 179.0, 180.0, 270.0, 359.0, 360.0]),
    range_m=st.sampled_from([30.0, 100.0, 250.0]),
)


def margin(camera: CameraView, lat: float, lon: float) -> float:
    """How many metres a place lies within what a camera sees (negative: outside), as far as it matters near the edge."""
    x = (lon - camera.lon) * METRES_PER_DEGREE * math.cos(math.radians(camera.lat))
    y = (lat - camera.lat) * METRES_PER_DEGREE
    far = math.hypot(x, y)
    within = camera.range_m - far
    if camera.bearing_deg is None or camera.field_deg >= 360.0:
        return within
    off = abs((math.degrees(math.atan2(x, y)) - camera.bearing_deg + 180.0) % 360.0 - 180.0)
    beside = math.radians(camera.field_deg / 2 - off)
    aside = math.copysign(far * min(abs(math.sin(beside)) if abs(beside) < math.pi / 2 else 1.0, 1.0), beside)
    return min(within, aside)


@settings(max_examples=60)
@given(POINTS, CAMERA)
def test_a_pass_is_what_every_half_second_shows(drawn: Drawn, camera: CameraView) -> None:
    points = track(drawn[:12])
    found = camera_passes(points, [camera], EXACT)
    covered = [(one.from_ms, one.to_ms) for one in found]
    for time_ms in range(0, int(points.time_ms[-1]) + 1 if len(points) else 0, STEP_MS):
        rows = np.flatnonzero(points.time_ms == time_ms)
        if len(rows) > 1:
            continue  # two places at one time
        place = place_at(points, time_ms)
        inside = -math.inf if place is None else margin(camera, *place)
        shown = any(start <= time_ms <= end for start, end in covered)
        if inside > 0.5:
            assert shown, time_ms
        elif inside < -0.5 and not any(start - 1 <= time_ms <= end + 1 and end - start <= 2 for start, end in covered):
            assert not shown, time_ms
    for one in found:
        own = [row for row in range(len(points)) if one.from_ms <= points.time_ms[row] <= one.to_ms]
        seen = {int(points.time_ms[row]) for row in own if margin(camera, points.lat[row], points.lon[row]) > 1e-6}
        assert one.points >= len(seen)
        assert one.from_ms <= one.nearest_ms <= one.to_ms
        assert one.by_range == (camera.bearing_deg is None)


def pass_by(camera: CameraView, limits: PassLimits | None = None) -> list[CameraPass]:
    """A taxi that drives 600 m to the east in 60 s, past a camera in the middle, 20 m to the south of its way."""
    east = METRES_PER_DEGREE * math.cos(math.radians(LAT))
    x = np.array([-300.0, 300.0])
    points = PointBatch.of(
        2, {"slot": 1, "time_ms": [0, 60_000], "lat": LAT + 20 / METRES_PER_DEGREE, "lon": LON + x / east}
    )
    return camera_passes(points, [camera], limits)


def test_a_camera_that_looks_at_the_road_sees_the_taxi_go_by() -> None:
    (one,) = pass_by(CameraView("camera/1", LAT, LON, bearing_deg=0.0, field_deg=90.0, range_m=50.0))
    # At 45 degrees to either side the road is 20 m away: 40 m of it, at 10 m/s.
    assert (one.from_ms, one.to_ms) == (28_000, 32_000)
    assert (one.clip_from_ms, one.clip_to_ms) == (23_000, 37_000)
    assert (one.nearest_ms, one.points, one.interpolated, one.by_range) == (30_000, 0, True, False)
    assert one.nearest_m == pytest.approx(20.0, abs=0.01)


def test_a_camera_without_a_bearing_sees_all_around_and_it_is_said() -> None:
    (one,) = pass_by(CameraView("camera/1", LAT, LON, range_m=50.0))
    assert one.from_ms == pytest.approx(30_000 - 4_583, abs=2)  # √(50² − 20²) = 45.83 m
    assert one.by_range


def test_a_camera_that_looks_away_sees_nothing() -> None:
    assert pass_by(CameraView("camera/1", LAT, LON, bearing_deg=180.0, field_deg=120.0)) == []


def test_looking_ahead_only_it_sees_half_of_it() -> None:
    (one,) = pass_by(CameraView("camera/1", LAT, LON, bearing_deg=60.0, field_deg=60.0, range_m=500.0))
    assert (one.from_ms, one.to_ms) == (30_000 + 1_155, 60_000)  # 20 m · tan 30°; to the end of its way


def test_times_in_view_close_together_are_one_pass() -> None:
    x = np.array([0.0, 100.0, 0.0, 100.0, 0.0])
    points = PointBatch.of(
        5, {"slot": 1, "time_ms": np.arange(5) * 20_000, "lat": LAT + x / METRES_PER_DEGREE, "lon": LON}
    )
    camera = CameraView("camera/1", LAT, LON, range_m=50.0)
    assert [one.points for one in camera_passes(points, [camera], PassLimits(join_ms=19_000))] == [1, 1, 1]
    (one,) = camera_passes(points, [camera], PassLimits(join_ms=21_000))
    assert (one.from_ms, one.to_ms, one.points) == (0, 80_000, 3)
    with pytest.raises(Refused, match="more than 2 times"):
        camera_passes(points, [camera], PassLimits(join_ms=19_000, max_passes=2))


def test_passes_come_in_order_and_far_cameras_not_at_all() -> None:
    cameras = [CameraView(f"camera/{at}", LAT, LON + at * 1e-3, range_m=60.0) for at in (2, 1, 0, 500)]
    points = PointBatch.of(
        5, {"slot": 1, "time_ms": np.arange(5) * 10_000, "lat": LAT, "lon": LON + np.arange(5) * 6e-4}
    )
    found = camera_passes(points, cameras)
    assert [one.camera for one in found] == ["camera/0", "camera/1", "camera/2"]
    assert camera_passes(points, []) == []
    assert camera_passes(points.take(np.zeros(0, np.int64)), cameras) == []
