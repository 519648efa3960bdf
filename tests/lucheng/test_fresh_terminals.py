"""Terminals known to one of several ingestors: what another has just written counts before anybody is refused, and strangers cost little."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from devices.details import DeviceDetails
from devices.registry import Registry
from devices.terminals import Registering, Result, Terminals
from lucheng.fresh_terminals import FreshTerminals
from lucheng.reply_keeper import ReplyKeeper
from model.clock import FakeClock
from model.command import Reply
from model.errors import StoreError, TryAgain
from store.commands.store import CommandStore
from store.database import Where
from tests.conftest import wait_until

NUMBER = "13800000001"


class Ingestor:
    """What one ingestor knows of the registry."""

    def __init__(self, where: Where, key_file: Path, clock: FakeClock, stack: ExitStack) -> None:
        self.registry = Registry(where, clock=clock)
        stack.callback(self.registry.close)
        self.plain = Terminals(self.registry.file, self.registry.directory(), key_file=key_file)
        self.plain.prepare()
        self.fresh = FreshTerminals(self.plain, clock)

    def register(self) -> str:
        (answer,) = self.fresh.register_all([Registering(NUMBER, "", "T1", "m", "x", 0)])
        assert answer.result is Result.OK
        return answer.token


@pytest.fixture
def two(where: Callable[[str], Where], tmp_path: Path) -> Iterator[tuple[Ingestor, Ingestor, FakeClock]]:
    clock = FakeClock()
    with ExitStack() as stack:
        made = [Ingestor(where("registry"), tmp_path / "secret.key", clock, stack) for _ in range(2)]
        yield made[0], made[1], clock


def test_who_registered_at_one_authenticates_at_the_next(two: tuple[Ingestor, Ingestor, FakeClock]) -> None:
    first, second, clock = two
    first.registry.add("taxi/1", DeviceDetails(phone=NUMBER, protocol="jt808"))
    assert second.plain.find(NUMBER) is None
    found = second.fresh.find(NUMBER)
    assert found is not None
    clock.advance(1)
    token = first.register()
    assert not second.plain.check(NUMBER, token)
    assert second.fresh.check(NUMBER, token)
    clock.advance(1)
    assert second.fresh.bound(found.slot)
    clock.advance(1)
    assert second.register() == token


def test_a_terminal_that_was_released_elsewhere_is_refused_and_strangers_ask_seldom(
    two: tuple[Ingestor, Ingestor, FakeClock],
) -> None:
    first, second, clock = two
    first.registry.add("taxi/1", DeviceDetails(phone=NUMBER, protocol="jt808"))
    token = first.register()
    clock.advance(1)
    assert second.fresh.check(NUMBER, token)
    first.plain.release("taxi/1")
    clock.advance(1)
    assert not second.fresh.check(NUMBER, "wrong")  # looks, and learns of the release by it
    assert not second.fresh.check(NUMBER, token)
    looked = []
    real = second.plain.refresh
    second.plain.refresh = lambda: (looked.append(1), real())[1]  # type: ignore[method-assign, func-returns-value]
    for _ in range(100):
        assert second.fresh.find("999") is None
    assert looked == []
    clock.advance(1)
    for _ in range(100):
        assert second.fresh.find("999") is None
    assert looked == [1]


class Store:
    """A commands' store that is away, or fails."""

    def __init__(self, errors: list[BaseException]) -> None:
        self.errors = errors
        self.kept: list[str] = []

    def reply(self, reply: Reply, now_ms: int) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.kept.append(reply.command)


def keeper(store: Store, fatal: list[BaseException], **options: int) -> ReplyKeeper:
    fits: CommandStore = store  # type: ignore[assignment] # what it needs of it
    return ReplyKeeper(fits, FakeClock(), on_fatal=fatal.append, **options)


def test_answers_wait_for_a_database_that_is_away_in_order_and_bounded() -> None:
    store, fatal = Store([TryAgain("away"), TryAgain("away")]), list[BaseException]()
    one = keeper(store, fatal, max_replies=3)
    for count in range(5):
        one.reply(Reply(f"K{count}", ok=True))
    one.start()
    wait_until(lambda: store.kept == ["K2", "K3", "K4"], what="the newest, in order")
    one.stop(drain_s=5)
    assert fatal == []
    assert one.counts() == {"answered": 0, "answered_nothing": 3, "replies_lost": 2}


def test_a_store_that_failed_ends_the_process() -> None:
    fatal: list[BaseException] = []
    one = keeper(Store([StoreError("gone")]), fatal)
    one.start()
    one.reply(Reply("K1", ok=True))
    wait_until(lambda: fatal, what="the end")
    one.stop(drain_s=5)
