"""When a date is believed enough to delete by it."""

from __future__ import annotations

import pytest

from lucheng.wall_guard import DEFAULT_START_WAIT_S, DEFAULT_STEP_WAIT_S, WallGuard
from model.clock import FakeClock

YEARS_10_MS = 10 * 365 * 86_400_000


def test_a_steady_clock_is_believed_after_a_while() -> None:
    clock = FakeClock()
    guard = WallGuard(clock)
    assert not guard.believed()
    clock.advance(DEFAULT_START_WAIT_S - 1)
    assert not guard.believed()
    clock.advance(1)
    assert guard.believed()


@pytest.mark.parametrize("step_ms", [YEARS_10_MS, -YEARS_10_MS, 3_600_000, -3_600_000])
def test_a_stepped_clock_is_not_believed_for_a_day_and_neither_is_the_step_back(step_ms: int) -> None:
    clock = FakeClock()
    guard = WallGuard(clock)
    clock.advance(2 * DEFAULT_START_WAIT_S)
    assert guard.believed()
    clock.step_wall(step_ms)
    assert not guard.believed()
    clock.advance(DEFAULT_STEP_WAIT_S / 2)
    assert not guard.believed()
    clock.step_wall(-step_ms)
    clock.advance(DEFAULT_STEP_WAIT_S / 2 + 1)
    assert not guard.believed()
    clock.advance(DEFAULT_STEP_WAIT_S)
    assert guard.believed()


def test_a_step_before_the_first_look_counts_and_slow_correction_does_not() -> None:
    clock = FakeClock()
    guard = WallGuard(clock)
    clock.step_wall(YEARS_10_MS)
    clock.advance(DEFAULT_START_WAIT_S)
    assert not guard.believed()
    slow = WallGuard(clock)
    for _ in range(1000):
        clock.advance(5)
        clock.step_wall(500)
        slow.believed()
    assert slow.believed()
