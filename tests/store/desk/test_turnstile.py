"""Who is urgent goes first, in order of coming, and nobody waits for ever."""

from __future__ import annotations

import threading
import time

from store.desk.turnstile import Turnstile


def queued(turnstile: Turnstile, ways: list[bool]) -> list[int]:
    """The order in which waiters go in that came, one by one, while somebody was inside; `ways`: who is urgent."""
    order: list[int] = []

    def go(number: int, urgent: bool) -> None:
        with turnstile.through(urgent=urgent):
            order.append(number)

    threads = []
    with turnstile.through(urgent=False):
        for number, urgent in enumerate(ways):
            threads.append(threading.Thread(target=go, args=(number, urgent)))
            threads[-1].start()
            while turnstile.waiting() <= number:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    return order


def test_urgent_ones_first_and_each_class_in_order() -> None:
    assert queued(Turnstile(), [False, True, False, True, True]) == [1, 3, 4, 0, 2]


def test_the_others_have_a_turn_after_so_many_urgent_ones() -> None:
    assert queued(Turnstile(max_urgent_in_a_row=2), [False, False, True, True, True, True, True]) == [
        2,
        3,
        0,
        4,
        5,
        1,
        6,
    ]


def test_only_one_is_inside() -> None:
    turnstile = Turnstile()
    inside = most = 0

    def work() -> None:
        nonlocal inside, most
        for turn in range(200):
            with turnstile.through(urgent=turn % 3 == 0):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (inside, most, turnstile.waiting()) == (0, 1, 0)
    with turnstile.through(urgent=False):
        assert turnstile.waiting() == 0
