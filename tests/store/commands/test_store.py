"""The store of commands on both databases: durable, one step from each version, answered by the device that was told alone."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model.clock import FakeClock
from model.command import Command, CommandState, Reply, approve, end, expire, reject, send, turn_down
from model.errors import Conflict, Corrupt, NotFound, Refused, SchemaTooNew, StoreError, UsageError
from store.commands.store import CommandStore
from store.database import Where, exists, on_server

T0 = 1_795_334_400_000  # 2026-11-22T08:00:00Z
DAY_MS = 86_400_000
Give = Callable[..., Command]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(T0)


@pytest.fixture
def place(where: Callable[[str], Where]) -> Where:
    return where("commands")


@pytest.fixture
def store(place: Where, clock: FakeClock) -> Iterator[CommandStore]:
    with closing(CommandStore(place, clock=clock, max_queued_per_device=5)) as made:
        yield made


def new(store: CommandStore, device: str = "taxi/1", name: str = "snapshot", **changes: Any) -> Command:
    """Give a command as the desk does."""
    args = {"listen_in": {"minutes": 10}, "cut_power": {"restore": False}}.get(name, {"channel": 1})
    return store.create(
        **{
            "name": name, "device": device, "args": args, "by": "li", "role": "supervisor", "expires_ms": T0 + 300_000,
            **changes,
        }
    )  # fmt: skip


# -- giving -----------------------------------------------------------------------------------


def test_a_command_is_kept_as_it_was_given(store: CommandStore, place: Where, clock: FakeClock) -> None:
    made = new(store, reason="knife 刀\ud800", alarm="A2026-000001", state=CommandState.ASKED)
    assert (made.id, made.version, made.state, made.asked_ms) == ("K2026-000001", 1, CommandState.ASKED, T0)
    clock.advance(40 * 86_400)
    assert new(store).id == "K2027-000002", "the number goes on, the year is that of the day in UTC"
    store.close()
    with closing(CommandStore(place, clock=clock)) as again:
        assert again.get(made.id) == replace(made, reason="knife 刀\\ud800")
        assert new(again).id == "K2027-000003"


def test_so_many_wait_for_one_device_and_no_more(store: CommandStore) -> None:
    for number in range(5):
        new(store, state=CommandState.ASKED if number % 2 else CommandState.QUEUED)
    with pytest.raises(Refused, match="5 commands wait"):
        new(store)
    new(store, device="taxi/2")
    assert new(store, by="system").id, "the desk's own are counted apart"
    for _ in range(4):
        new(store, by="system")
    with pytest.raises(Refused):
        new(store, by="system")
    first = store.list(device="taxi/1", limit=100)[-1]
    store.step(first, send(first, "jt808", T0 + 1))
    assert new(store).id == "K2026-000012", "what was refused took no number"
    with pytest.raises(UsageError):
        new(store, device="taxi/3", state=CommandState.SENT)


def test_what_is_given_for_one_cause_is_given_once(store: CommandStore) -> None:
    first = new(store, cause="snapshot:A1:1")
    changes = store.changes
    again = new(store, cause="snapshot:A1:1", by="wang")
    assert again == first == store.of_cause("snapshot:A1:1")
    assert store.changes == changes
    assert new(store, cause="snapshot:A1:2").id != first.id
    assert (store.of_cause("other"), store.of_cause("")) == (None, None)


# -- steps ------------------------------------------------------------------------------------


def test_two_who_decide_on_the_same_version(store: CommandStore) -> None:
    asked = new(store, name="cut_power", state=CommandState.ASKED)
    approved = store.step(asked, approve(asked, "wang"))
    with pytest.raises(Conflict, match="K2026-000001 is queued by now"):
        store.step(asked, reject(asked, "zhao", "no", T0))
    assert store.get(asked.id) == approved
    with pytest.raises(UsageError):
        store.step(approved, replace(approved, version=9))
    with pytest.raises(UsageError):
        store.step(approved, replace(send(approved, "jt808", T0), id="K2026-000002"))
    with pytest.raises(NotFound):
        store.step(replace(approved, id="K1"), replace(send(approved, "jt808", T0), id="K1"))


def test_of_many_threads_one_sends(store: CommandStore) -> None:
    made = new(store)
    start = threading.Barrier(6)
    won: list[int] = []

    def sender(number: int) -> None:
        start.wait(20)
        try:
            store.step(made, send(made, f"v{number}", T0))
        except Conflict:
            return
        won.append(number)

    threads = [threading.Thread(target=sender, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(won) == 1
    assert store.get(made.id).via == f"v{won[0]}"


def test_s23_only_the_device_that_was_told_may_answer_and_once(store: CommandStore) -> None:
    queued = new(store)
    assert store.reply(Reply(queued.id, ok=True, device="taxi/1"), T0) is None, "it was not even sent"
    sent = store.step(queued, send(queued, "mqtt", T0))
    changes = store.changes
    for stranger in (
        Reply(queued.id, ok=True, device="taxi/2"),
        Reply(queued.id, ok=False, device=""),
        Reply("K2026-000009", ok=True, device="taxi/1"),
        Reply("K2026-00000%", ok=True, device="taxi/1"),
        Reply("\ud800", ok=True, device="taxi/1"),
        Reply("K" * 100_000, ok=True, device="taxi/1"),
    ):
        assert store.reply(stranger, T0) is None
    assert store.get(queued.id) == sent
    assert store.changes == changes
    done = store.reply(Reply(queued.id, ok=True, detail="\ud800 taken", data={"n": 1}, device="taxi/1"), T0 + 5)
    assert done is not None
    assert (done.state, done.done_ms) == (CommandState.ACCEPTED, T0 + 5)
    assert store.get(queued.id) == replace(done, detail="\\ud800 taken")
    for repeat in (
        Reply(queued.id, ok=True, data={"n": 1}, device="taxi/1"),
        Reply(queued.id, ok=False, device="taxi/1"),
    ):
        assert store.reply(repeat, T0 + 9) is None
    more = store.reply(Reply(queued.id, ok=True, data={"media": 7}, device="taxi/1"), T0 + 9)
    assert more is not None
    assert store.get(queued.id).reply == {"n": 1, "media": 7}


# -- lists ------------------------------------------------------------------------------------


def test_what_waits_and_what_is_over(store: CommandStore) -> None:
    made = [new(store, device=f"taxi/{number}") for number in range(4)]
    sent = store.step(made[0], send(made[0], "jt808", T0 + 10))
    over = store.step(made[1], turn_down(made[1], "moving", T0 + 20))
    assert [one.id for one in store.queued(10)] == [made[2].id, made[3].id]
    assert [one.id for one in store.queued(1)] == [made[2].id]
    assert [one.id for one in store.queued(9, device="taxi/3")] == [made[3].id]
    assert sorted(store.waiting_devices()) == ["taxi/2", "taxi/3"]
    assert store.sent(10) == [sent]
    assert [one.id for one in store.list()] == [one.id for one in reversed(made)]
    assert [one.id for one in store.list(before=made[2].id, limit=1)] == [made[1].id]
    assert store.list(device="taxi/1") == store.list(state="refused") == [over]
    assert [one.id for one in store.list(open_only=True)] == [made[3].id, made[2].id, sent.id]
    assert [one.id for one in store.list(open_only=True, done_since_ms=T0 + 20)] == [one.id for one in reversed(made)]
    assert len(store.list(open_only=True, done_since_ms=T0 + 21)) == 3
    assert store.ids_like("K2026-00000", limit=2) == [made[3].id, made[2].id]
    assert store.ids_like("K%") == []
    with pytest.raises(NotFound):
        store.list(before="K9")
    with pytest.raises(NotFound):
        store.get("K9")
    for limit in (0, 10_001):
        with pytest.raises(UsageError):
            store.list(limit=limit)


def test_what_is_due(store: CommandStore) -> None:
    asked = new(store, name="cut_power", state=CommandState.ASKED, expires_ms=T0 + 100)
    queued = new(store, expires_ms=T0 + 200)
    early = new(store, device="taxi/2", expires_ms=T0 + 50)
    sent = store.step(early, send(early, "mqtt", T0 + 10))
    assert store.due(T0 + 99, 60_000) == []
    assert store.due(T0 + 100, 60_000) == [asked]
    assert store.due(T0 + 300, 60_000) == [asked, queued], "what was sent does not expire by the other clock"
    assert store.due(T0 + 60_010, 60_000) == [asked, queued, sent]
    assert store.due(T0 + 60_010, 60_000, limit=1) == [asked]
    for one in store.due(T0 + 60_010, 60_000):
        store.step(one, expire(one, T0 + 60_010))
    assert store.due(T0 + DAY_MS, 60_000) == []


def test_a_listen_in_is_on_until_it_was_ended_whatever_was_answered(store: CommandStore) -> None:
    made = new(store, name="listen_in")
    assert store.listening() == []
    sent = store.step(made, send(made, "jt808", T0))
    assert store.listening() == [sent]
    over = store.step(sent, expire(sent, T0 + 60_000))
    assert store.listening() == [over] == store.list(open_only=True)
    store.step(over, end(over, T0 + 61_000))
    assert store.listening() == [] == store.list(open_only=True)


# -- changes ----------------------------------------------------------------------------------


def test_who_waits_is_woken_by_a_change(store: CommandStore) -> None:
    before = store.changes
    assert store.wait(before, 0.0) == before
    seen: list[int] = []
    waiter = threading.Thread(target=lambda: seen.append(store.wait(before, 30.0)))
    waiter.start()
    made = new(store)
    waiter.join(30)
    assert seen == [before + 1]
    nudged = threading.Thread(target=lambda: seen.append(store.wait(before + 1, 30.0)))
    nudged.start()
    while nudged.is_alive():  # a nudge before the wait begins wakes nobody
        store.nudge()
    assert seen == [before + 1, before + 1]
    store.save_position("desk", 7)
    assert store.changes == before + 1, "nobody waits for that"
    store.step(made, send(made, "mqtt", T0))
    assert store.wait(before + 1, 30.0) == before + 2


def test_a_reader_beside_the_writer(store: CommandStore, place: Where, clock: FakeClock) -> None:
    made = new(store)
    with closing(CommandStore(place, clock=clock, read_only=True)) as reader:
        assert reader.list() == [made]
        seen = reader.changes
        assert reader.wait(seen, 0.3) == seen, "the clock's time is over"
        new(store)
        assert reader.wait(seen, 5.0) == seen + 1
        for change in (
            lambda: new(reader),
            lambda: reader.step(made, send(made, "mqtt", T0)),
            lambda: reader.save_position("x", 1),
        ):
            with pytest.raises(StoreError, match="reading only"):
                change()


def test_positions_of_those_who_read_on(store: CommandStore, place: Where, clock: FakeClock) -> None:
    assert store.position("desk") is None
    store.save_position("desk", 0)
    assert store.position("desk") == 0
    store.save_position("desk", 9)
    store.close()
    with closing(CommandStore(place, clock=clock)) as again:
        assert again.position("desk") == 9


# -- the file ---------------------------------------------------------------------------------


def test_where_there_never_were_commands_there_are_none(place: Where, clock: FakeClock) -> None:
    with closing(CommandStore(place, clock=clock, read_only=True)) as reader:
        assert (reader.list(), reader.changes, reader.queued(9), reader.position("x")) == ([], 0, [], None)
        assert not exists(place)
        with closing(CommandStore(place, clock=clock)) as writer:
            made = new(writer)
            assert reader.list() == [made]


def test_files_that_cannot_be_read_are_refused_in_words(tmp_path: Path, clock: FakeClock) -> None:
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"this is no database at all, " * 100)
    with pytest.raises(Corrupt):
        CommandStore(damaged, clock=clock)
    newer = tmp_path / "newer.db"
    CommandStore(newer, clock=clock).close()
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute("PRAGMA user_version=99")
    for read_only in (True, False):
        with pytest.raises(SchemaTooNew):
            CommandStore(newer, clock=clock, read_only=read_only)


def test_what_is_closed_says_so(store: CommandStore) -> None:
    made = new(store)
    store.close()
    store.close()
    for call in (store.list, lambda: new(store), lambda: store.step(made, send(made, "x", T0))):
        with pytest.raises(StoreError, match="is closed"):
            call()


def test_after_a_failed_write_nothing_is_written(tmp_path: Path, clock: FakeClock) -> None:
    place = tmp_path / "commands.db"
    store = CommandStore(place, clock=clock)
    made = new(store)
    changes = store.changes
    writer = store._writer
    assert writer is not None
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count={pages:d}")  # the disk is full
    with pytest.raises(StoreError, match="full"):
        store.step(made, replace(send(made, "mqtt", T0), detail="x" * 100_000))
    writer.execute("PRAGMA max_page_count=1000000")
    with pytest.raises(StoreError, match="full"):
        store.step(made, send(made, "mqtt", T0))
    with pytest.raises(StoreError, match="full"):
        new(store)
    assert store.get(made.id) == made
    assert store.changes == changes
    store.close()
    with closing(CommandStore(place, clock=clock)) as again:
        assert [one.state for one in again.list()] == [CommandState.QUEUED]


# -- several processes ------------------------------------------------------------------------


def test_two_stores_on_one_database_number_and_step_each_command_once(place: Where, clock: FakeClock) -> None:
    """As two processes have them: numbers without a gap, one command a cause, and of two steps from one version one."""
    with closing(CommandStore(place, clock=clock)) as one, closing(CommandStore(place, clock=clock)) as other:
        made: list[Command] = []
        won: list[Command] = []
        lost: list[Conflict | Refused] = []

        def give(store: CommandStore, sender: str) -> None:
            for number in range(10):
                made.append(new(store, f"taxi/{sender}{number}"))
                shared = new(store, f"taxi/shared{number}", cause=f"alarm {number}")
                try:
                    won.append(store.step(shared, send(shared, sender, T0)))
                except (Conflict, Refused) as late:
                    lost.append(late)

        threads = [threading.Thread(target=give, args=given) for given in ((one, "a"), (other, "b"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(made) == 20
        assert len(one.list()) == 30
        assert sorted(int(command.id[6:]) for command in one.list()) == list(range(1, 31))
        assert len({command.id for command in won}) == len(won) == len(lost) == 10
        for command in won:
            assert other.get(command.id) == command


def test_who_waits_is_woken_by_another_process(place: Where, clock: FakeClock) -> None:
    if not on_server(place):
        pytest.skip("a SQLite file has one writer, whose waiters it wakes itself")
    with closing(CommandStore(place, clock=clock)) as waits, closing(CommandStore(place, clock=clock)) as changes:
        before = waits.changes
        seen: list[int] = []
        waiting = [threading.Thread(target=lambda: seen.append(waits.wait(before, 30.0))) for _ in range(4)]
        for thread in waiting:
            thread.start()
        new(changes)
        for thread in waiting:
            thread.join()
        assert seen == [before + 1] * 4
        assert waits.changes == changes.changes == before + 1
