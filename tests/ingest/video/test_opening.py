"""Turns and back-off: bounded, staggered, given back, never tight."""

from __future__ import annotations

import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.video.opening import BackOff, OpenTurns, Turn
from ingest.video.seams import LossReason
from model.clock import FakeClock, SystemClock
from tests.conftest import wait_until


def taken(turns: OpenTurns) -> Turn:
    turn = turns.take(lambda: False)
    assert turn is not None
    return turn


def test_no_more_than_its_places_at_a_time() -> None:
    turns = OpenTurns(2, clock=SystemClock(), seed=1, stagger_s=0.0)
    first, second = taken(turns), taken(turns)
    third: list[Turn] = []
    thread = threading.Thread(target=lambda: third.append(taken(turns)))
    thread.start()
    wait_until(lambda: turns.waiting == 1, what="the third")
    assert (turns.places, third) == (0, [])
    first.give_back()
    first.give_back()
    thread.join()
    assert turns.places == 0
    second.give_back()
    third[0].give_back()
    assert turns.places == 2


def test_who_wants_no_place_any_more_leaves_the_queue() -> None:
    turns = OpenTurns(1, clock=SystemClock(), seed=1, stagger_s=0.0)
    taken(turns)
    assert turns.take(lambda: True) is None
    assert turns.waiting == 0


def test_starts_are_staggered() -> None:
    clock = FakeClock()
    turns = OpenTurns(100, clock=clock, seed=5, stagger_s=0.5)
    starts = []

    def look() -> bool:
        clock.advance(0.25)
        return False

    for _ in range(12):
        assert turns.take(look) is not None
        starts.append(clock.monotonic_s())
    assert 2.0 < starts[-1] < 12.0


class TestBackOff:
    def test_it_doubles_up_to_its_bound(self) -> None:
        waits = []
        for seed in range(200):
            back_off = BackOff(1.0, 60.0, rng=random.Random(seed))
            waits.append([back_off.next_s(LossReason.UNREACHABLE) for _ in range(10)])
        tops = [max(column) for column in zip(*waits, strict=True)]
        assert tops[0] <= 2.0 < tops[1] <= 4.0 < tops[2] <= 8.0
        assert 55.0 < tops[-1] <= 60.0
        assert min(map(min, waits)) >= 1.0
        # Jitter: cameras that were lost together do not come back together.
        assert len({round(column, 1) for column in (wait[5] for wait in waits)}) > 100

    def test_a_good_stream_begins_anew(self) -> None:
        back_off = BackOff(1.0, 60.0, rng=random.Random(1))
        for _ in range(10):
            back_off.next_s(LossReason.ENDED, held_s=2.0)
        assert back_off.next_s(LossReason.ENDED, held_s=31.0) <= 2.0

    def test_refused_waits_for_a_person_and_unauthorized_long(self) -> None:
        back_off = BackOff(1.0, 60.0, rng=random.Random(1))
        assert back_off.next_s(LossReason.REFUSED) == 0.0
        waits = [back_off.next_s(LossReason.UNAUTHORIZED) for _ in range(8)]
        assert min(waits) >= 60.0
        assert waits[-1] >= 450.0

    @pytest.mark.parametrize("reason", [one for one in LossReason if one is not LossReason.REFUSED])
    @settings(max_examples=20)
    @given(st.lists(st.floats(0, 100), min_size=1, max_size=80), st.integers(0, 10))
    def test_no_loop_is_tight(self, reason: LossReason, held: list[float], seed: int) -> None:
        back_off = BackOff(0.5, 20.0, rng=random.Random(seed))
        assert all(0.5 <= back_off.next_s(reason, held_s) <= 900.0 for held_s in held)
