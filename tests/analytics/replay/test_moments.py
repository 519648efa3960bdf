"""What happens is told in order, what lasts from its beginning to its end, each row by its index."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings

from analytics.meaning.limits import RuleLimits
from analytics.replay.moments import Moment, What, moments
from analytics.replay.reel import Reel
from analytics.search.passes import CameraView, camera_passes
from analytics.trips.journeys import journeys
from model.batch import PointBatch
from tests.analytics.replay.tracks import FROM_MS, batches

TO_MS = FROM_MS + 86_400_000
_ENDS = {
    What.TRIP_START: What.TRIP_END,
    What.STOP_START: What.STOP_END,
    What.CAMERA_IN: What.CAMERA_OUT,
    What.GAP_START: What.GAP_END,
}


@settings(max_examples=40)
@given(points=batches(most=20))
def test_what_begins_ends_and_everything_is_in_order(points: PointBatch) -> None:
    reel = Reel(points, FROM_MS, TO_MS)
    found, gaps = journeys(reel.points, RuleLimits(stop_min_s=30, trip_min_s=10)), reel.gaps()
    passes = {
        int(slot): camera_passes(reel.points.take(reel.points.slot == slot), [CameraView("camera/1", 40.65, 109.84)])
        for slot in reel.slots
    }
    signals = {int(slot): [FROM_MS + 5, FROM_MS + 5] for slot in reel.slots}
    told = moments(found, gaps, passes=passes, others_ms={What.SIGNAL: signals})
    assert [one.time_ms for one in told] == sorted(one.time_ms for one in told)
    at = {(one.slot, one.what, one.index): place for place, one in enumerate(told)}
    assert len(at) == len(told)
    cut = {
        What.GAP_START: {
            slot for slot, edge in zip(gaps.slot.tolist(), gaps.begins_before.tolist(), strict=True) if edge
        },
        What.GAP_END: {slot for slot, edge in zip(gaps.slot.tolist(), gaps.goes_on.tolist(), strict=True) if edge},
    }
    for one in told:
        for start, end in _ENDS.items():
            if one.what is start and not (start is What.GAP_START and one.slot in cut[What.GAP_END]):
                assert at[one.slot, start, one.index] < at[one.slot, end, one.index]
    for what, rows in ((What.TRIP_START, found.trips), (What.STOP_END, found.stops)):
        assert sum(one.what is what for one in told) == len(rows)
    assert sum(one.what in (What.FREE, What.OCCUPIED) for one in told) == len(found.flips)
    assert sum(one.what is What.GAP_START for one in told) == len(gaps) - int(gaps.begins_before.sum())
    assert sum(one.what is What.GAP_END for one in told) == len(gaps) - int(gaps.goes_on.sum())
    assert sum(one.what is What.SIGNAL for one in told) == 2 * len(reel.slots)


def test_an_index_is_that_of_the_devices_own_rows() -> None:
    """Two devices with two gaps each: the first of one is cut by the window and is told by no beginning."""
    minutes = [(1, 0), (1, 20), (1, 40), (1, 1435), (2, 10), (2, 30), (2, 1436)]
    columns = {
        "slot": np.array([slot for slot, _ in minutes]),
        "time_ms": FROM_MS + 60_000 * np.array([minute for _, minute in minutes]),
        "lat": 40.65,
        "lon": 109.84,
    }
    reel = Reel(PointBatch.of(len(minutes), columns), FROM_MS, TO_MS)
    told = [
        one
        for one in moments(journeys(reel.points, RuleLimits(stop_min_s=10**7)), reel.gaps())
        if one.what in (What.GAP_START, What.GAP_END)
    ]
    assert told == [
        Moment(FROM_MS + 60_000 * minute, slot, what, index)
        for minute, slot, what, index in (
            (0, 1, What.GAP_START, 0),
            (10, 2, What.GAP_END, 0),
            (10, 2, What.GAP_START, 1),
            (20, 1, What.GAP_END, 0),
            (20, 1, What.GAP_START, 1),
            (30, 2, What.GAP_END, 1),
            (30, 2, What.GAP_START, 2),
            (40, 1, What.GAP_END, 1),
            (40, 1, What.GAP_START, 2),
            (1435, 1, What.GAP_END, 2),
            (1436, 2, What.GAP_END, 2),
        )
    ]
