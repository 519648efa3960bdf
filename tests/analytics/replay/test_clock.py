"""The clock of a replay: exact under any sequence of what can be done to it, against fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.replay.clock import RATES, MediaClock
from model.errors import UsageError

FROM_MS, TO_MS = 1_795_334_400_000, 1_795_334_400_000 + 86_400_000

STEPS = st.lists(
    st.tuples(
        st.integers(0, 5_000_000_000),  # ns until then
        st.sampled_from(["play", "pause", "rate", "seek", "look"]),
        st.integers(1, 256),
        st.integers(-1_000_000, 87_400_000),
    ),
    max_size=60,
)


@given(steps=STEPS, rate=st.sampled_from(RATES), playing=st.booleans())
def test_no_sequence_of_changes_drifts(steps: list[tuple[int, str, int, int]], rate: float, playing: bool) -> None:
    """Beside it a clock in fractions, which never re-anchors: it adds up every stretch of time."""
    start_ns = 7_000_000_123
    clock = MediaClock(FROM_MS, TO_MS, now_s=start_ns / 1e9, rate=rate, playing=playing)
    now_ns, media = start_ns, Fraction(FROM_MS)
    speed = Fraction(rate)
    for wait_ns, step, quarters, to in steps:
        now_ns += wait_ns
        if playing:
            media = min(media + speed * Fraction(wait_ns, 1_000_000), Fraction(TO_MS))
        now_s = now_ns / 1e9
        if step == "play":
            clock.play(now_s)
            playing = True
        elif step == "pause":
            clock.pause(now_s)
            playing = False
        elif step == "rate":
            clock.set_rate(now_s, quarters / 4)
            speed = Fraction(quarters, 4)
        elif step == "seek":
            clock.seek(now_s, FROM_MS + to)
            media = Fraction(min(max(FROM_MS + to, FROM_MS), TO_MS))
        assert clock.at_ms(now_s) == math.floor(media)
        assert clock.playing == playing
        assert clock.rate == float(speed)
        assert clock.ended(now_s) == (media == TO_MS)


def test_a_thousand_changes_a_second_lose_nothing() -> None:
    clock = MediaClock(FROM_MS, TO_MS, now_s=0.0, rate=0.25, playing=True)
    for step in range(1, 10_001):
        clock.set_rate(step * 0.001, 0.5 if step % 2 else 0.25)
        clock.play(step * 0.001)
    # 10 s, half of them at each rate
    assert clock.at_ms(10.0) == FROM_MS + 3_750


@given(at=st.integers(0, 86_400_000), now_ns=st.integers(0, 10**13), quarters=st.integers(1, 256))
def test_what_is_waited_for_comes(at: int, now_ns: int, quarters: int) -> None:
    now_s = now_ns / 1e9
    clock = MediaClock(FROM_MS, TO_MS, now_s=now_s, rate=quarters / 4, at_ms=FROM_MS + 1_000, playing=True)
    wait_s = clock.wait_s(now_s, FROM_MS + at)
    assert wait_s is not None
    assert wait_s == 0 if at <= 1_000 else wait_s > 0
    assert clock.at_ms(now_s + wait_s + 1e-6) >= FROM_MS + at
    if wait_s > 2e-3:
        assert clock.at_ms(now_s + wait_s - 1e-3) < FROM_MS + at


def test_it_never_goes_back_and_never_leaves_the_window() -> None:
    clock = MediaClock(FROM_MS, FROM_MS + 1_000, now_s=100.0, rate=64.0, playing=True)
    assert clock.at_ms(99.0) == FROM_MS
    clock.pause(99.0)
    assert clock.at_ms(200.0) == FROM_MS
    clock.play(100.0)
    assert clock.at_ms(101.0) == FROM_MS + 1_000
    assert clock.ended(101.0)
    assert clock.wait_s(101.0, FROM_MS + 2_000) is None
    clock.seek(101.0, FROM_MS)
    assert (clock.at_ms(101.0), clock.playing) == (FROM_MS, True)


@pytest.mark.parametrize("rate", [0, 0.1, 0.3, 65, -1, math.nan, math.inf])
def test_what_is_no_rate_changes_nothing(rate: float) -> None:
    clock = MediaClock(FROM_MS, TO_MS, now_s=0.0, rate=2.0, playing=True)
    with pytest.raises(UsageError, match="rate"):
        clock.set_rate(1.0, rate)
    assert (clock.rate, clock.at_ms(1.0)) == (2.0, FROM_MS + 2_000)


def test_no_time_is_no_replay() -> None:
    with pytest.raises(UsageError):
        MediaClock(FROM_MS, FROM_MS, now_s=0.0)
