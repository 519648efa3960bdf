"""Places between points and company along the way, against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.search.along import along
from analytics.search.company import in_company
from model.batch import PointBatch
from model.codes import Mark
from model.errors import UsageError
from model.geo import haversine_m

#: A point: seconds since the one before, place in 1e-5 degree, mark.
POINTS = st.lists(
    st.tuples(
        st.sampled_from([0, 10, 20, 60, 299, 300, 301, 900]),
        st.integers(-300, 300),
        st.integers(-300, 300),
        st.sampled_from([0, 0, 0, 0, int(Mark.JUMP), int(Mark.NO_FIX)]),
    ),
    max_size=25,
)
Drawn = list[tuple[int, int, int, int]]


def track(drawn: Drawn, slot: int = 0) -> PointBatch:
    times: list[int] = (np.cumsum([one[0] for one in drawn]) * 1000).tolist()
    return PointBatch.of(
        len(drawn),
        {
            "slot": slot,
            "time_ms": times,
            "lat": [40.0 + one[1] * 1e-5 for one in drawn],
            "lon": [109.0 + one[2] * 1e-5 for one in drawn],
            "marks": [one[3] for one in drawn],
        },
    )


def place_at(points: PointBatch, time_ms: int) -> tuple[float, float] | None:
    """One place, told plainly."""
    at = [row for row in range(len(points)) if points.time_ms[row] == time_ms]
    if at:
        return float(points.lat[at[-1]]), float(points.lon[at[-1]])
    for row in range(len(points) - 1):
        start, end = int(points.time_ms[row]), int(points.time_ms[row + 1])
        if start < time_ms < end and end - start <= 300_000 and not points.marks[row] and not points.marks[row + 1]:
            share = (time_ms - start) / (end - start)
            lat, lon = float(points.lat[row]), float(points.lon[row])
            return lat + share * (float(points.lat[row + 1]) - lat), lon + share * (float(points.lon[row + 1]) - lon)
    return None


@given(POINTS, st.lists(st.integers(-10, 4000), max_size=30))
def test_a_place_between_points_is_on_the_leg_or_nowhere(drawn: Drawn, seconds: list[int]) -> None:
    points = track(drawn)
    times = np.array(seconds, np.int64) * 1000
    found = along(points, times)
    own = set(points.time_ms.tolist())
    for row, time_ms in enumerate(times.tolist()):
        expected = place_at(points, time_ms)
        if expected is None:
            assert math.isnan(found.lat[row])
            assert math.isnan(found.lon[row])
        else:
            assert (found.lat[row], found.lon[row]) == pytest.approx(expected, abs=1e-11)
        assert found.interpolated[row] == (expected is not None and time_ms not in own)


@given(POINTS, POINTS, POINTS, st.sampled_from([50.0, 150.0, 400.0]), st.sampled_from([0, 30_000, 120_000]))
def test_company_is_what_every_step_says(
    mine: Drawn, one: Drawn, other: Drawn, near_m: float, min_together_ms: int
) -> None:
    subject, others = track(mine), PointBatch.concat([track(mine), track(one, 1), track(other, 2)])
    expected = []
    if mine:
        first, last = int(subject.time_ms[0]), int(subject.time_ms[-1])
        for slot, drawn in ((1, one), (2, other)):
            theirs = track(drawn, slot)
            run: list[tuple[int, float]] = []
            for time_ms in [*range(first, last + 1, 10_000), None]:
                here = None if time_ms is None else place_at(subject, time_ms)
                there = None if time_ms is None else place_at(theirs, time_ms)
                far = float(haversine_m(*here, *there)) if here is not None and there is not None else math.inf
                if time_ms is not None and far <= near_m:
                    run.append((time_ms, far))
                    continue
                if run and run[-1][0] - run[0][0] >= min_together_ms:
                    points = sum(run[0][0] <= at <= run[-1][0] for at in theirs.time_ms.tolist())
                    expected.append((run[0][0], slot, run[-1][0], min(far for _, far in run), points))
                run = []
    found = in_company(subject, others, near_m=near_m, min_together_ms=min_together_ms)
    assert [(one.from_ms, one.slot, one.to_ms, one.points) for one in found] == [
        (start, slot, end, points) for start, slot, end, _, points in sorted(expected)
    ]
    assert [one.nearest_m for one in found] == pytest.approx([far for _, _, _, far, _ in sorted(expected)], abs=1e-6)


def test_a_track_that_is_too_long_is_refused() -> None:
    long = track([(0, 0, 0, 0), (900, 1, 1, 0)])
    with pytest.raises(UsageError, match="longer than"):
        in_company(long, long, max_steps=5)
