"""Time of pictures: drift, bursts, outliers, clocks that are set, reordering."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.video.media_clock import OUTLIER_MS, MediaClock, Timeline
from model.video import TICKS_PER_MS, TICKS_PER_S

START_MS = 1_760_000_000_000
GAP_MS = 66


def run(
    clock: MediaClock, count: int, *, gap_ms: float = GAP_MS, slope: float = 0.0, first: int = 0, seed: int = 3
) -> list[int]:
    """Errors (ms) of pictures taken each `gap_ms`, under way 5 to 60 ms."""
    rng = random.Random(seed)
    print(f"seed {seed}")
    errors = []
    for number in range(first, first + count):
        taken_ms = START_MS + number * gap_ms
        pts = round(number * gap_ms * (1 + slope) * TICKS_PER_MS)
        errors.append(clock.time_ms(pts, round(taken_ms + rng.uniform(5, 60))) - round(taken_ms))
    return errors


def test_a_steady_camera_is_known_to_its_least_delay() -> None:
    errors = run(MediaClock(), 2_000)
    assert max(errors[200:]) <= 12
    assert min(errors[200:]) >= 0


@pytest.mark.parametrize("slope", [-400e-6, 400e-6])
def test_a_drifting_quartz_is_followed(slope: float) -> None:
    errors = run(MediaClock(), 30_000, slope=slope)
    assert max(map(abs, errors[1_000:])) <= 40


def test_a_jump_of_the_network_moves_no_picture() -> None:
    clock = MediaClock()
    run(clock, 500)
    taken_ms = START_MS + 500 * GAP_MS
    stalled = [clock.time_ms((500 + n) * GAP_MS * TICKS_PER_MS, taken_ms + 4_000) for n in range(30)]
    assert [time_ms - taken_ms for time_ms in stalled] == pytest.approx([n * GAP_MS for n in range(30)], abs=20)
    assert clock.lag_ms == pytest.approx(4_000 - 29 * GAP_MS, abs=20)


def test_a_burst_of_old_pictures_at_the_beginning() -> None:
    clock = MediaClock()
    burst = [clock.time_ms(n * GAP_MS * TICKS_PER_MS, START_MS) for n in range(90)]
    assert all(START_MS - OUTLIER_MS <= time_ms <= START_MS for time_ms in burst)
    for n in range(90, 200):
        live_ms = START_MS + (n - 89) * GAP_MS
        assert clock.time_ms(n * GAP_MS * TICKS_PER_MS, live_ms) == live_ms
    assert clock.resets == 0


def test_one_picture_hours_away_has_the_time_of_its_neighbours() -> None:
    clock = MediaClock()
    run(clock, 500)
    received_ms = START_MS + 500 * GAP_MS + 20
    odd = clock.time_ms((500 * GAP_MS - 5 * 3_600_000) * TICKS_PER_MS, received_ms)
    assert abs(odd - received_ms) < 100
    assert (clock.outliers, clock.resets) == (1, 0)
    assert max(map(abs, run(clock, 50, first=501))) < 70


def test_a_clock_that_was_set_is_believed_after_three() -> None:
    clock = MediaClock()
    run(clock, 100)
    for n in range(10):
        received_ms = START_MS + (100 + n) * GAP_MS
        assert abs(clock.time_ms(n * GAP_MS * TICKS_PER_MS, received_ms) - received_ms) < 200
    assert (clock.outliers, clock.resets) == (2, 1)


def test_our_own_clock_stepped() -> None:
    clock = MediaClock()
    run(clock, 100)
    for n in range(100, 110):
        received_ms = START_MS + n * GAP_MS + 3_600_000
        assert abs(clock.time_ms(n * GAP_MS * TICKS_PER_MS, received_ms) - received_ms) <= 200


def test_reordered_pictures_keep_their_order_of_presentation() -> None:
    clock = MediaClock()
    run(clock, 100)
    order = [103, 101, 102, 106, 104, 105]
    base_ms = START_MS + 60
    times = {n: clock.time_ms(n * GAP_MS * TICKS_PER_MS, base_ms + (n + 3) * GAP_MS) for n in order}
    assert [times[n] for n in sorted(times)] == sorted(times.values())
    assert times[106] - times[101] == pytest.approx(5 * GAP_MS, abs=2)


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(st.integers(-(2**34), 2**34), st.one_of(st.integers(0, 5_000), st.integers(-(10**7), 10**7))),
        max_size=60,
    )
)
def test_no_picture_is_from_the_future_or_older_than_the_bound(steps: list[tuple[int, int]]) -> None:
    clock = MediaClock()
    received_ms = START_MS
    for pts, went_ms in steps:
        received_ms += went_ms
        time_ms = clock.time_ms(pts, received_ms)
        assert received_ms - OUTLIER_MS <= time_ms <= received_ms
        assert clock.lag_ms == received_ms - time_ms


class TestTimeline:
    def test_it_leaves_an_even_stream_alone(self) -> None:
        line = Timeline()
        for n in range(50):
            assert line.place(n * 6_000, n * 6_000, n / 15) == (n * 6_000, n * 6_000)

    def test_time_backwards_goes_on(self) -> None:
        line = Timeline()
        out = [line.place(ticks, ticks, n / 10)[1] for n, ticks in enumerate([90_000, 99_000, 0, 9_000, 18_000])]
        assert out == [90_000, 99_000, 108_000, 117_000, 126_000]

    def test_a_stall_of_the_network_is_no_break(self) -> None:
        line = Timeline()
        line.place(0, 0, 0.0)
        assert line.place(6_000, 6_000, 8.0) == (6_000, 6_000)

    def test_a_slow_camera_is_no_break(self) -> None:
        line = Timeline()
        for n in range(5):
            assert line.place(n * 5 * TICKS_PER_S, None, n * 5.0)[0] == n * 5 * TICKS_PER_S

    @settings(max_examples=150)
    @given(
        st.lists(
            st.tuples(
                st.one_of(st.none(), st.integers(-(2**40), 2**40)),
                st.one_of(st.none(), st.integers(-(2**40), 2**40)),
                st.floats(0, 100),
            ),
            max_size=60,
        )
    )
    def test_dts_grows_and_pts_is_not_before_it(self, steps: list[tuple[int | None, int | None, float]]) -> None:
        line = Timeline()
        now_s = 0.0
        last: int | None = None
        for pts, dts, went_s in steps:
            now_s += went_s
            out_pts, out_dts = line.place(pts, dts, now_s)
            assert out_pts >= out_dts
            assert last is None or out_dts > last
            last = out_dts

    def test_reordered_pictures_without_dts_keep_their_gaps(self) -> None:
        line = Timeline()
        order = [0, 3, 1, 2, 6, 4, 5]
        out = [line.place(n * 3_600, None, index / 25)[0] for index, n in enumerate(order)]
        assert out == pytest.approx([n * 3_600 for n in order], abs=4)
