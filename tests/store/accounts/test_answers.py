"""Answers that may be asked for again: kept for a time, within bounds, each user's own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from model.clock import FakeClock
from store.accounts import answers
from store.accounts.answers import AnswerStore
from store.database import Where, on_server

DAY_S = 86_400.0
Opens = Callable[..., AnswerStore]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def opened(where: Callable[[str], Where], clock: FakeClock) -> Iterator[Opens]:
    """Opens the database, again and again if need be."""
    made: list[AnswerStore] = []

    def make(**limits: Any) -> AnswerStore:
        made.append(AnswerStore(where("answers"), clock=clock, **limits))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_what_began_is_known_until_its_time_is_over(opened: Opens, clock: FakeClock) -> None:
    store = opened()
    assert store.begin("wang", "k", b"print") is None
    known = store.begin("wang", "k", b"other")
    assert known is not None
    assert (known.print, known.status, known.body, known.here) == (b"print", 0, None, True)
    store.finish("wang", "k", 200, "application/json", b"{}")
    assert store.begin("li", "k", b"print") is None
    clock.advance(DAY_S - 1)
    known = store.begin("wang", "k", b"print")
    assert known is not None
    assert (known.status, known.media_type, known.body) == (200, "application/json", b"{}")
    clock.advance(1)
    assert store.begin("wang", "k", b"print") is None


def test_another_run_of_the_service_knows_what_it_did_not_begin(opened: Opens, clock: FakeClock) -> None:
    first = opened()
    first.begin("wang", "cut", b"")
    first.begin("wang", "done", b"")
    first.finish("wang", "done", 204, "", b"")
    first.close()
    clock.advance(60)
    second = opened()
    cut, done = second.begin("wang", "cut", b""), second.begin("wang", "done", b"")
    assert cut is not None
    assert done is not None
    assert (cut.status, cut.here, done.status, done.here) == (0, False, 204, False)
    second.finish("wang", "cut", 200, "", b"late")  # not its own to finish, nor to forget
    second.forget("wang", "cut")
    known = second.begin("wang", "cut", b"")
    assert known is not None
    assert known.status == 0


def test_what_was_not_done_is_forgotten_and_what_was_done_is_not(opened: Opens) -> None:
    store = opened()
    store.begin("wang", "k", b"")
    store.forget("wang", "k")
    assert store.begin("wang", "k", b"") is None
    store.finish("wang", "k", 200, "", b"")
    store.forget("wang", "k")
    assert store.begin("wang", "k", b"") is not None


def test_a_user_has_so_many_and_takes_no_room_of_others(opened: Opens) -> None:
    store = opened(max_rows_per_user=3)
    store.begin("li", "k", b"")
    for number in range(10):
        store.begin("wang", f"k{number}", b"")
    assert store.count() == 4
    assert store.begin("wang", "k9", b"") is not None
    assert store.begin("li", "k", b"") is not None


def test_beyond_its_bytes_the_oldest_go(opened: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_PRUNE_EVERY", 2)
    store = opened(max_bytes=1_000)
    for number in range(20):
        store.begin("wang", f"k{number}", b"")
        store.finish("wang", f"k{number}", 200, "", b"x" * 300)
    known = store.begin("wang", "k19", b"")
    assert known is not None
    assert known.body is not None
    assert store.count() <= 6


def test_of_two_processes_one_begins_a_change(opened: Opens, where: Callable[[str], Where], clock: FakeClock) -> None:
    """The same change asked of two desks at the same moment, as who asks again may do."""
    stores = [opened(), opened()]
    begun: list[str] = []
    under_way: list[bool] = []

    def ask(store: AnswerStore) -> None:
        for number in range(20):
            known = store.begin("wang", f"k{number}", b"print")
            if known is None:
                begun.append(f"k{number}")
            else:
                assert (known.status, known.body) == (0, None)
                under_way.append(known.here)

    threads = [threading.Thread(target=ask, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(begun) == sorted(f"k{number}" for number in range(20))
    assert under_way == [on_server(where("answers"))] * 20  # of a file's other process nobody knows whether it lives
    clock.advance(60)
    late = [store.begin("wang", "k0", b"print") for store in stores]
    assert sorted(one.here for one in late if one is not None) == [False, True]
