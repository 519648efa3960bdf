"""The frame: which rows rules see, the leg that led to each, however the stream is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.limits import CleanLimits
from analytics.meaning.context import Context
from analytics.meaning.frame import FIELDS, Frame, last_where, make_frame
from analytics.pipeline import Analysis
from analytics.slots import Slots
from analytics.state import State
from model.batch import PointBatch
from model.codes import Flag
from model.device import KIND_CODE
from model.geo import haversine_m

T0 = 1_760_000_000_000
LIMITS = CleanLimits()
ROW = st.tuples(
    st.integers(0, 2),  # device
    st.integers(-5, 30),  # seconds after the last
    st.sampled_from([0.0, 0.0001, 0.0003, 0.5]),  # degrees of latitude moved: the last one is a jump
    st.sampled_from([int(Flag.VALID | Flag.VALID_SENT), int(Flag.VALID_SENT), int(Flag.SIGHTED), 0]),
)


def stream(rows: list[tuple[int, int, float, int]]) -> PointBatch:
    now = dict.fromkeys(range(3), T0)
    lat = dict.fromkeys(range(3), 40.0)
    made: list[tuple[int, int, float, int]] = []
    for device, seconds, moved, flags in rows:
        now[device] += seconds * 1000
        lat[device] += moved
        made.append((device, now[device], lat[device], flags))
    slot, time, lats, flag = zip(*made, strict=True)
    return PointBatch.of(
        len(made),
        {
            "slot": slot,
            "time_ms": time,
            "received_ms": T0 + 10_000_000,
            "seq": np.arange(len(made)),
            "lat": lats,
            "lon": 109.8,
            "flags": np.array(flag) | int(Flag.BUFFERED),
        },
    )


def frames(batch: PointBatch, cuts: list[int]) -> list[tuple[Frame, int]]:
    """Frames of the stream cut at `cuts`, each with the row at which its batch began."""
    analysis, memory, context = Analysis(LIMITS, State()), Slots(FIELDS), Context()
    context.kind_of_slot = np.array([KIND_CODE["taxi"], KIND_CODE["ebike"]], np.int8)
    made = []
    for start, end in zip([0, *cuts], [*cuts, len(batch)], strict=True):
        step = analysis.begin(batch.take(np.arange(start, end)))
        made.append((make_frame(step, memory, context, LIMITS), start))
    return made


def by_row(made: list[tuple[Frame, int]]) -> dict[int, tuple[str, ...]]:
    names = ["slot", "kind", "time_ms", "received_ms", "lat", "lon", "flags", "placed", "leg_m", "leg_ms", "leg_kmh"]
    found: dict[int, tuple[str, ...]] = {}
    for frame, start in made:
        for at, row in enumerate(frame.row.tolist()):
            values = (getattr(frame, name)[at].item() for name in names)
            found[row + start] = tuple(str(value) for value in values)
    return found


@given(st.lists(ROW, min_size=1, max_size=40), st.data())
@settings(max_examples=60)
def test_the_cut_of_the_stream_changes_nothing(rows: list[tuple[int, int, float, int]], data: st.DataObject) -> None:
    batch = stream(rows)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(batch)), max_size=5)))
    whole, cut = by_row(frames(batch, [])), by_row(frames(batch, cuts))
    # Which rows may stand in it can only shrink by the store's being asked about a device's oldest keys.
    assert {row: whole[row] for row in cut if row in whole} == {row: cut[row] for row in cut if row in whole}
    assert set(whole) == set(cut)


@given(st.lists(ROW, min_size=1, max_size=40))
@settings(max_examples=60)
def test_legs_are_those_of_a_plain_loop(rows: list[tuple[int, int, float, int]]) -> None:
    (frame, _), *_ = frames(stream(rows), [])
    last: dict[int, tuple[int, float]] = {}
    for at in range(len(frame)):
        slot, time, lat = int(frame.slot[at]), int(frame.time_ms[at]), float(frame.lat[at])
        expected = None
        if frame.placed[at] and slot in last:
            before_ms, before_lat = last[slot]
            far = float(haversine_m(np.array([before_lat]), np.array([109.8]), np.array([lat]), np.array([109.8]))[0])
            allowed = max((time - before_ms) * LIMITS.max_jump_speed_kmh / 3600, LIMITS.jump_min_m)
            if far <= allowed:
                expected = (far, time - before_ms)
        if expected is None:
            assert np.isnan(frame.leg_m[at])
            assert frame.leg_ms[at] == 0
        else:
            assert (frame.leg_m[at], frame.leg_ms[at]) == pytest.approx(expected)
        if frame.placed[at]:
            last[slot] = (time, lat)


def test_unplaced_rows_stay_in_the_frame_and_late_ones_do_not() -> None:
    rows = [(0, 1, 0.0, 0), (0, 10, 0.0001, int(Flag.VALID_SENT)), (0, -5, 0.0, 0), (0, 10, 0.0001, int(Flag.SIGHTED))]
    (frame, _), *_ = frames(stream(rows), [])
    assert frame.row.tolist() == [0, 1, 3]
    assert frame.placed.tolist() == [True, False, False]
    assert frame.kind.tolist() == [KIND_CODE["taxi"]] * 3


def test_an_empty_frame() -> None:
    context = Context()
    step = Analysis(LIMITS, State()).begin(PointBatch.empty())
    frame = make_frame(step, Slots(FIELDS), context, LIMITS)
    assert len(frame) == 0
    assert len(frame.of) == 0


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.lists(st.integers(1, 5), min_size=1, max_size=30))
def test_last_where_is_that_of_a_plain_loop(which: list[bool], sizes: list[int]) -> None:
    starts, at = [], 0
    for size in sizes:
        if at >= len(which):
            break
        starts.append(at)
        at += size
    lasts = [*(start - 1 for start in starts[1:]), len(which) - 1]
    for before in (False, True):
        found = last_where(np.array(which), np.array(starts), np.array(lasts), before=before)
        expected: list[int] = []
        for row in range(len(which)):
            first = max(start for start in starts if start <= row)
            good = [one for one in range(first, row if before else row + 1) if which[one]]
            expected.append(good[-1] if good else -1)
        assert found.tolist() == expected
