"""Properties of the whole: nothing raises, counters reconcile, the cut of the stream does not matter."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from analytics.limits import CleanLimits
from analytics.pipeline import Analysis
from analytics.state import State
from model.batch import COLUMNS, PointBatch
from model.codes import Flag, Mark
from tests.analytics.keeper import NOW_MS, Keeper

I64 = np.iinfo(np.int64)
TIMES = st.one_of(
    st.integers(NOW_MS - 60_000, NOW_MS + 60_000),
    st.sampled_from([I64.min, I64.max, 0, 1, -1, NOW_MS + 8 * 3_600_000, NOW_MS - 1024 * 604_800_000]),
    st.integers(I64.min, I64.max),
)


@st.composite
def hostile(draw: st.DrawFn) -> PointBatch:
    """Any values a column can hold, with few slots and times so that rows meet."""
    rows = draw(st.integers(0, 40))
    columns = {}
    for column in COLUMNS:
        dtype = np.dtype(column.dtype)
        elements: st.SearchStrategy[float]
        if column.name == "slot":
            elements = st.one_of(st.integers(0, 3), st.sampled_from([-1, 2**31 - 1, -(2**31), 1500]))
        elif column.name in {"time_ms", "received_ms"}:
            elements = TIMES
        elif column.name == "marks":
            continue
        elif column.scale:
            floats = st.floats(width=32) if dtype.itemsize == 4 else st.floats()
            elements = st.one_of(floats, st.sampled_from([0.0, 1.0, 40.0, 90.0, -90.0]))
        elif column.name == "seq":
            elements = st.one_of(st.integers(-1, 8), st.integers(I64.min, I64.max))
        elif column.name == "alarm_bits":
            elements = st.sampled_from([0, 0, 1, 2, 3, 2**63, 2**64 - 1])
        else:
            info = np.iinfo(dtype)
            elements = st.integers(int(info.min), int(info.max))
        columns[column.name] = draw(arrays(dtype, rows, elements=elements))
    return PointBatch.of(rows, columns, dict.fromkeys(range(0, rows, 7), b"{}"))


@settings(max_examples=80, deadline=None)
@given(st.lists(hostile(), min_size=1, max_size=4), st.randoms())
@pytest.mark.filterwarnings("error")
@pytest.mark.soak
def test_nothing_raises_and_every_row_is_accounted_for(batches: list[PointBatch], chance: object) -> None:
    analysis = Analysis(CleanLimits(), State())
    answers = np.random.default_rng(chance.getrandbits(32))  # type: ignore[attr-defined]
    for one in batches:
        before = [one.column(column.name).copy() for column in COLUMNS]
        step = analysis.begin(one)
        result = analysis.finish(step, answers.random(len(step.unsure)) < 0.5)
        rejected = sum(len(rows) for _, rows in result.rejected)
        assert len(one) == len(result.points) + result.duplicate + rejected
        known = np.sort(np.concatenate([result.row, *(rows for _, rows in result.rejected)]))
        assert len(np.unique(known)) == len(known), "a row is in two places"
        assert len(result.risen) == 0 or int(result.risen.row.max()) < len(one)
        for column, was in zip(COLUMNS, before, strict=True):
            np.testing.assert_array_equal(one.column(column.name), was, err_msg="the given batch was written")
        again = State.from_bytes(analysis.state.to_bytes())
        assert again.to_bytes() == analysis.state.to_bytes()


@settings(max_examples=60, deadline=None)
@given(st.lists(hostile(), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_the_state_does_not_depend_on_what_the_store_answers(batches: list[PointBatch], seed: int) -> None:
    chance = np.random.default_rng(seed)
    whole, replay = Analysis(CleanLimits(), State()), Analysis(CleanLimits(), State())
    for one in batches:
        step = whole.begin(one)
        whole.finish(step, chance.random(len(step.unsure)) < 0.5)
        replay.begin(one)
    assert whole.state.to_bytes() == replay.state.to_bytes()


@st.composite
def stream(draw: st.DrawFn) -> PointBatch:
    """A stream of a few devices as it could be: in order, late, twice, with clocks that are off."""
    rows = draw(st.integers(1, 60))
    slots, times, received, ids, bits, flags = [], [], [], [], [], []
    for at in range(rows):
        came = NOW_MS + at * 1_000
        lag = draw(st.sampled_from([0, 0, 0, 0, 1_000, 5_000, 40_000, 3_600_000, -3_600_000, -28_800_000, -700_000]))
        slots.append(draw(st.integers(0, 2)))
        times.append(came - lag)
        received.append(came)
        ids.append(draw(st.integers(0, 2)))
        bits.append(0)
        flags.append(draw(st.sampled_from([0, 0, 0, int(Flag.BUFFERED), int(Flag.VALID_SENT)])))
    again = draw(st.lists(st.integers(0, rows - 1), max_size=20))
    index = np.concatenate((np.arange(rows), np.array(again, np.int64)))
    got = np.concatenate((np.array(received), NOW_MS + (rows + np.arange(len(again))) * 1_000))
    flags_all = np.array(flags, np.uint16)[index]
    # What is sent again comes from the device's own store.
    flags_all[rows:] |= int(Flag.BUFFERED)
    lon = 109.84 + np.array(ids)[index] * draw(st.sampled_from([0.00001, 0.01, 1.0]))
    return PointBatch.of(
        len(index),
        {
            "slot": np.array(slots)[index],
            "time_ms": np.array(times)[index],
            "received_ms": got,
            "lat": 40.65,
            "lon": lon,
            "flags": flags_all,
            "alarm_bits": np.array(bits)[index],
        },
    )


def _defined(keeper: Keeper) -> dict[tuple[int, int, int], str]:
    """Marks by point; of a late point it is known only while both are remembered that another has its time."""
    return {key: str(Mark(mark & ~Mark.SAME_TIME if mark & Mark.LATE else mark)) for key, mark in keeper.marks.items()}


@settings(max_examples=100, deadline=None)
@given(stream(), st.lists(st.integers(1, 80), max_size=12))
def test_how_the_stream_is_cut_changes_neither_points_nor_marks_nor_state(whole: PointBatch, cuts: list[int]) -> None:
    one, many = Keeper(), Keeper()
    one.feed(whole)
    edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    many.feed_all(whole.take(np.arange(a, b)) for a, b in pairwise(edges))
    assert one.kept == many.kept
    assert _defined(one) == _defined(many)
    assert one.state.to_bytes() == many.state.to_bytes()


def test_random_order_ten_minutes_apart_and_three_copies_each_is_stored_once() -> None:
    seed = 20_260_301
    print("seed", seed)
    chance = np.random.default_rng(seed)
    rows = 3_000
    sent = np.arange(rows) // 20
    columns = {
        "slot": np.arange(rows) % 20,
        "time_ms": NOW_MS + sent * 10_000,
        "seq": sent,
        "lat": 40.65,
        "lon": 109.84,
    }
    once = PointBatch.of(rows, {**columns, "received_ms": NOW_MS + sent * 10_000})
    index = np.tile(np.arange(rows), 3)
    arrives = once.time_ms[index] + chance.integers(0, 600_000, len(index))
    by = np.argsort(arrives, kind="stable")
    shuffled = once.take(index[by])
    shuffled.received_ms = arrives[by]
    keeper = Keeper()
    results = keeper.feed_all(shuffled.take(np.arange(at, min(at + 500, len(by)))) for at in range(0, len(by), 500))
    assert keeper.kept == set(Keeper.keys(once))
    assert sum(one.duplicate for one in results) == 2 * rows
    # Ten minutes are 60 points: within the window of 64 every late one fills its gap.
    assert keeper.missing <= 20
    assert sum(one.gauges.get("mark.late", 0) for one in results) > rows // 2
