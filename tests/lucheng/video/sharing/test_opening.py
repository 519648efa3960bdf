"""Cameras are opened one after the other, and no more than there is room for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lucheng.video.sharing.opening import BURST_S, Opening


def names(count: int, first: int = 0) -> list[str]:
    return [f"camera/{number}" for number in range(first, first + count)]


@given(st.floats(0.5, 100), st.lists(st.floats(0.01, 3), min_size=1, max_size=40), st.integers(0, 200))
def test_never_more_than_the_pace_and_in_the_end_all(pace: float, steps: list[float], count: int) -> None:
    opening = Opening(pace, 1_000)
    now_s, began = 100.0, max(1.0, pace * BURST_S)
    for step_s in [0.0, *steps]:
        now_s += step_s
        found = opening.let_in(names(count), now_s)
        assert len(found) <= began + (now_s - 100.0) * pace + 1e-6
        assert opening.waiting == count - len(found)
    for _ in range(1_000):
        now_s += 0.25
        found = opening.let_in(names(count), now_s)
    assert len(found) == count or len(found) >= 200 * pace


def test_no_room_is_said_and_what_was_open_stays() -> None:
    opening = Opening(100, 3)
    assert opening.let_in(names(5), 0.0) == ("camera/0", "camera/1", "camera/2")
    assert (opening.waiting, opening.no_room) == (0, 2)
    assert opening.may_open() == 100
    assert opening.let_in(names(5, first=1), 1.0) == ("camera/1", "camera/2", "camera/3")
    opening.clear()
    assert opening.no_room == 0
    assert opening.let_in(["camera/9"], 2.0) == ("camera/9",)


def test_what_waits_is_not_asked_for_again() -> None:
    opening = Opening(4, 100)
    assert len(opening.let_in(names(9), 0.0)) == 1
    assert opening.waiting == 8
    assert opening.may_open() == 0
