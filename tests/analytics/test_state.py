"""State: exact round trip, small, and no bytes that make it fail otherwise than by Corrupt."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.limits import CleanLimits
from analytics.pipeline import Analysis
from analytics.state import DEFAULT_FIRST_CAPACITY, FIELDS, State
from model.batch import PointBatch
from model.errors import Corrupt, UsageError
from tests.analytics.keeper import NOW_MS, Keeper


def _city(devices: int, rounds: int, *, seq: bool) -> State:
    analysis = Analysis(CleanLimits(), State())
    for at in range(rounds):
        analysis.begin(
            PointBatch.of(
                devices,
                {
                    "slot": np.arange(devices),
                    "time_ms": NOW_MS + at * 10_000,
                    "received_ms": NOW_MS + at * 10_000,
                    "seq": at if seq else -1,
                    "lat": 40.0 + np.arange(devices) / devices,
                    "lon": 109.84,
                    "alarm_bits": (np.arange(devices) % 50 == at).astype(np.uint64),
                },
            )
        )
    return analysis.state


def test_a_city_of_300_000_devices_is_below_40_mb_and_comes_back_exactly() -> None:
    state = _city(300_000, 6, seq=True)
    raw = state.to_bytes()
    print(f"{len(raw) / 1e6:.1f} MB for 300,000 devices")
    assert len(raw) < 40_000_000
    again = State.from_bytes(raw)
    assert again.to_bytes() == raw
    assert again.episodes == state.episodes
    for field in FIELDS:
        if not field.ring:
            column = getattr(state, field.name)[: state.slots]
            np.testing.assert_array_equal(getattr(again, field.name)[: state.slots], column)


def test_a_restored_state_goes_on_as_the_first_would_have() -> None:
    first = Keeper(state=_city(50, 7, seq=True))
    second = Keeper(state=State.from_bytes(first.state.to_bytes()))
    late = PointBatch.of(
        50,
        {
            "slot": np.arange(50),
            "time_ms": NOW_MS + np.arange(50) * 2_000,
            "received_ms": NOW_MS + 80_000,
            "seq": np.arange(50) % 9,
            "lat": 40.5,
            "lon": 109.84,
        },
    )
    one, two = first.feed(late), second.feed(late)
    np.testing.assert_array_equal(one.points.marks, two.points.marks)
    assert (one.duplicate, one.gauges, first.asked) == (two.duplicate, two.gauges, second.asked)
    assert first.state.to_bytes() == second.state.to_bytes()


def test_growing_keeps_what_is_known_and_doubles() -> None:
    state = _city(3, 2, seq=True)
    before = state.newest_ms[:3].copy()
    state.grow(DEFAULT_FIRST_CAPACITY + 1)
    assert state.capacity == 2 * DEFAULT_FIRST_CAPACITY
    np.testing.assert_array_equal(state.newest_ms[:3], before)
    assert state.slots == DEFAULT_FIRST_CAPACITY + 1
    state.grow(1)
    assert state.slots == DEFAULT_FIRST_CAPACITY + 1


def test_an_empty_state_is_a_state() -> None:
    assert State.from_bytes(State().to_bytes()).slots == 0


def test_seeded_devices_ask_the_store_about_all_that_it_may_hold() -> None:
    state = State()
    state.seed(np.array([2], np.int32), np.array([NOW_MS]))
    given_rows = PointBatch.of(
        3,
        {
            "slot": [2, 2, 1],
            "time_ms": [NOW_MS, NOW_MS + 1_000, NOW_MS],
            "received_ms": NOW_MS + 1_000,
            "lat": 40.65,
            "lon": 109.84,
        },
    )
    step = Analysis(CleanLimits(), state).begin(given_rows)
    assert step.row[step.unsure].tolist() == [0]


def test_a_seeded_seq_misses_nothing_of_what_the_store_holds() -> None:
    state = State()
    state.seed(np.array([0, 1], np.int32), np.array([NOW_MS, NOW_MS]), np.array([40, -1]))
    rows = {"slot": [0, 0, 1], "seq": [39, 43, 9], "time_ms": [NOW_MS - 1_000, NOW_MS + 1_000, NOW_MS + 1_000]}
    step = Analysis(CleanLimits(), state).begin(
        PointBatch.of(3, {**rows, "received_ms": NOW_MS + 1_000, "lat": 40.65, "lon": 109.84})
    )
    assert step.gauges["points_missing"] == 2
    # What this state knows better is not replaced.
    state.seed(np.array([0], np.int32), np.array([NOW_MS]), np.array([40]))
    assert state.seq[0] == 43


def test_a_version_that_is_not_ours_says_so() -> None:
    raw = State(3).to_bytes()
    with pytest.raises(Corrupt, match="other version"):
        State.from_bytes(b"LCS9" + raw[4:])
    with pytest.raises(Corrupt, match="trailing"):
        State.from_bytes(raw + b"x")


def test_recent_is_a_power_of_two() -> None:
    with pytest.raises(UsageError):
        State(recent=3)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_bytes_do_worse_than_corrupt(data: st.DataObject) -> None:
    raw = bytearray(_CITY)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))]
    # A head that says a million slots is read as such; keep the test small.
    if len(raw) >= 8 and int.from_bytes(raw[4:8], "little") > 100_000:
        raw[6:8] = b"\0\0"
    try:
        State.from_bytes(bytes(raw))
    except Corrupt as error:
        assert error.mend  # noqa: PT017 (either outcome is right, but an error must say what to do)


_CITY = _city(20, 6, seq=True).to_bytes()
