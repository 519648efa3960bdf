"""The fake clock moves only when it is moved, and its two clocks are two."""

from __future__ import annotations

from model.clock import FakeClock, SystemClock


def test_a_fake_clock_moves_when_it_is_moved() -> None:
    clock = FakeClock(1_000)
    assert (clock.now_ms(), clock.monotonic_s()) == (1_000, 0.0)
    clock.advance(1.5)
    clock.sleep(0.5)
    assert (clock.now_ms(), clock.monotonic_s()) == (3_000, 2.0)


def test_stepping_the_wall_leaves_monotonic_time() -> None:
    clock = FakeClock(10_000)
    clock.step_wall(-5_000)
    assert (clock.now_ms(), clock.monotonic_s()) == (5_000, 0.0)


def test_the_system_clock_goes_on() -> None:
    clock = SystemClock()
    before = clock.monotonic_s()
    clock.sleep(0.001)
    assert clock.monotonic_s() > before
    assert clock.now_ms() > 1_700_000_000_000
