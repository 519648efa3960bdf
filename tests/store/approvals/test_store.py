"""The store of approvals on both databases: durable, one step from each version, one request of each, bounded."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model.approval import Approval, ApprovalState, digest_of, expire, grant, refuse, review, use
from model.clock import FakeClock
from model.errors import Conflict, Corrupt, NotFound, Refused, SchemaTooNew, StoreError, UsageError
from model.role import Role
from store.approvals.store import ApprovalStore
from store.database import Where, exists

T0 = 1_795_334_400_000  # 2026-11-22T08:00:00Z
HOUR_MS = 3_600_000


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(T0)


@pytest.fixture
def path(where: Callable[[str], Where]) -> Where:
    return where("approvals")


@pytest.fixture
def store(path: Where, clock: FakeClock) -> Iterator[ApprovalStore]:
    with closing(ApprovalStore(path, clock=clock)) as made:
        yield made


def draft(number: int = 1, state: ApprovalState = ApprovalState.ASKED, **changes: Any) -> Approval:
    """A request of li's."""
    asked = {"number": number, "places": [[40.5, 109.25]], "name": "刀\ud800"}
    made = Approval(
        "", "li", "operator", "replay", asked, digest_of("replay", asked), 60, T0 - 5, T0, "vehicles", "case:1", "刀\ud800",
        state, 0, T0, T0 + HOUR_MS,
    )  # fmt: skip
    return replace(made, **changes)


def granted(store: ApprovalStore, one: Approval, uses: int = 1) -> Approval:
    return store.step(one, grant(one, "wang", Role.APPROVER, T0, valid_ms=HOUR_MS, uses=uses))


def used(one: Approval) -> Approval:
    return use(one, "li", Role.OPERATOR, one.digest, one.purpose, T0)


def test_a_request_is_kept_as_it_was_made(store: ApprovalStore, path: Where, clock: FakeClock) -> None:
    made = store.ask(draft())
    assert (made.id, made.version, made.asked_ms) == ("W2026-000001", 1, T0)
    clock.advance(40 * 86_400)
    assert store.ask(draft(2, expires_ms=T0 + 50 * 86_400_000)).id == "W2027-000002"
    store.close()
    with closing(ApprovalStore(path, clock=clock)) as again:
        assert again.get(made.id) == replace(made, reason="刀\\ud800")
        assert again.get(made.id).asked == made.asked
        assert again.break_glass(draft(state=ApprovalState.BROKEN)).id == "W2027-000003"
        for wrong in (again.ask, again.break_glass):
            with pytest.raises(UsageError):
                wrong(draft(state=ApprovalState.GRANTED))


def test_the_same_request_of_the_same_person_is_one(store: ApprovalStore, clock: FakeClock) -> None:
    first = store.ask(draft())
    assert store.ask(draft(reason="please")) == replace(first, reason="刀\\ud800")
    others = [store.ask(draft(by="zhao")), store.ask(draft(2)), store.ask(draft(purpose="test"))]
    assert len({one.id for one in (first, *others)}) == 4
    held = granted(store, first, uses=2)
    assert store.ask(draft()).state is ApprovalState.GRANTED, "it need not be asked again"
    store.step(held, refuse(held, "wang", Role.APPROVER, T0, "no"))
    assert store.ask(draft()).id not in {one.id for one in (first, *others)}
    clock.advance(3_600)
    late = store.ask(draft(2, expires_ms=T0 + 2 * HOUR_MS))
    assert late.id != others[1].id, "what has expired is asked anew"


def test_so_many_wait_for_one_person_and_no_more(store: ApprovalStore, clock: FakeClock) -> None:
    for number in range(3):
        store.ask(draft(number), max_open=3)
    with pytest.raises(Refused, match="3 requests of li wait"):
        store.ask(draft(9), max_open=3)
    assert store.ask(draft(0), max_open=3).id == "W2026-000001", "one that stands is given back all the same"
    store.ask(draft(9, by="zhao"), max_open=3)
    granted(store, store.get("W2026-000001"))
    store.ask(draft(9), max_open=3)
    clock.advance(3_600)
    assert store.ask(draft(10, expires_ms=T0 + 2 * HOUR_MS), max_open=1).state is ApprovalState.ASKED


def test_two_who_decide_on_the_same_version(store: ApprovalStore) -> None:
    asked = store.ask(draft())
    held = granted(store, asked)
    with pytest.raises(Conflict, match="is granted by now"):
        store.step(asked, refuse(asked, "zhao", Role.SUPERVISOR, T0, "no"))
    assert store.get(asked.id).decided_by == "wang"
    with pytest.raises(UsageError):
        store.step(held, replace(held, version=9))
    with pytest.raises(UsageError):
        store.step(held, replace(used(held), id="W2026-000002"))
    stranger = replace(held, id="W1")
    with pytest.raises(NotFound):
        store.step(stranger, used(stranger))


def test_of_many_processes_one_uses_the_last(store: ApprovalStore, path: Where, clock: FakeClock) -> None:
    held = granted(store, store.ask(draft()))
    start = threading.Barrier(6)
    won: list[int] = []

    def reader(number: int) -> None:
        with closing(ApprovalStore(path, clock=clock, lazy=True)) as own:
            start.wait(20)
            try:
                own.step(held, used(held))
            except Conflict:
                return
            won.append(number)

    threads = [threading.Thread(target=reader, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(won) == 1
    assert (store.get(held.id).state, store.get(held.id).uses) == (ApprovalState.USED, 1)


def test_whether_the_glass_may_be_broken_is_decided_with_what_is_kept(store: ApprovalStore, clock: FakeClock) -> None:
    broken = draft(state=ApprovalState.BROKEN, uses=1, max_uses=1)
    first = store.break_glass(broken, max_unreviewed=2)
    store.break_glass(broken, max_unreviewed=2)
    with pytest.raises(Refused, match="2 break-glasses of li"):
        store.break_glass(broken, max_unreviewed=2)
    assert store.counts() == {"waiting": 0, "unreviewed": 2, "overdue": 0}
    clock.advance(3_600)
    assert store.counts() == {"waiting": 0, "unreviewed": 2, "overdue": 2}
    with pytest.raises(Refused, match="not reviewed in time"):
        store.break_glass(replace(broken, by="zhao"))
    for one in (first, store.get("W2026-000002")):
        store.step(one, review(one, "wang", Role.SUPERVISOR, clock.now_ms(), "seen", justified=True))
    assert store.break_glass(replace(broken, expires_ms=T0 + 2 * HOUR_MS)).id == "W2026-000003"
    assert store.get(first.id).justified is True


def test_lists_and_counts(store: ApprovalStore, clock: FakeClock) -> None:
    asked = [store.ask(draft(number, by="li" if number % 2 else "zhao")) for number in range(4)]
    held = granted(store, asked[0])
    store.step(asked[1], refuse(asked[1], "wang", Role.APPROVER, T0, "no"))
    assert [one.id for one in store.list()] == [one.id for one in reversed(asked)]
    assert [one.id for one in store.list(open_only=True)] == [asked[3].id, asked[2].id, held.id]
    assert [one.id for one in store.list(by="li")] == [asked[3].id, asked[1].id]
    assert [one.id for one in store.list(before=asked[2].id, limit=1)] == [asked[1].id]
    assert store.counts() == {"waiting": 2, "unreviewed": 0, "overdue": 0}
    assert store.ids_like("W2026-00000", limit=2) == [asked[3].id, asked[2].id]
    assert store.ids_like("W%") == []
    clock.advance(3_600)
    assert store.list(open_only=True) == []
    assert store.counts()["waiting"] == 0
    gone = store.step(asked[2], expire(asked[2], clock.now_ms()))
    assert store.get(gone.id).state is ApprovalState.EXPIRED
    for call in (lambda: store.list(before="W9"), lambda: store.get("W9")):
        with pytest.raises(NotFound):
            call()
    for limit in (0, 10_001):
        with pytest.raises(UsageError):
            store.list(limit=limit)


def test_a_reader_makes_no_file_until_it_writes(path: Where, clock: FakeClock) -> None:
    with closing(ApprovalStore(path, clock=clock, lazy=True)) as reader:
        assert (reader.list(), reader.counts(), reader.ids_like("W"), reader.check()) == (
            [],
            {"waiting": 0, "unreviewed": 0, "overdue": 0},
            [],
            [],
        )
        assert not exists(path)
        made = reader.ask(draft())
        assert [one.id for one in reader.list()] == [made.id]
        with closing(ApprovalStore(path, clock=clock)) as writer:
            granted(writer, writer.get(made.id))
        assert reader.get(made.id).state is ApprovalState.GRANTED
    for call in (reader.list, lambda: reader.ask(draft(2)), reader.counts):
        with pytest.raises(StoreError, match="is closed"):
            call()


def test_files_that_cannot_be_read_are_refused_in_words(tmp_path: Path, clock: FakeClock) -> None:
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"this is no database at all, " * 100)
    newer = tmp_path / "newer.db"
    ApprovalStore(newer, clock=clock).close()
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute("PRAGMA user_version=99")
    for lazy in (True, False):
        with pytest.raises(Corrupt):
            ApprovalStore(damaged, clock=clock, lazy=lazy)
        with pytest.raises(SchemaTooNew):
            ApprovalStore(newer, clock=clock, lazy=lazy)


def test_a_check_finds_damage(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "approvals.db"
    store = ApprovalStore(path, clock=clock)
    for number in range(30):
        store.ask(draft(number), max_open=100)
    assert store.check() == []
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw = bytearray(path.read_bytes())
    raw[4096:8192] = bytes(4096)
    path.write_bytes(raw)
    with closing(ApprovalStore(path, clock=FakeClock(T0), lazy=True)) as again:
        (problem, *_) = again.check()
    assert problem.place == "approvals.db"


def test_after_a_failed_write_nothing_is_written(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "approvals.db"
    store = ApprovalStore(path, clock=clock)
    asked = store.ask(draft())
    assert store._writer is not None
    connection = store._writer._writer
    assert connection is not None
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages:d}")  # the disk is full
    big = grant(asked, "wang", Role.APPROVER, T0, valid_ms=HOUR_MS, uses=1, note="x" * 100_000)
    for _ in range(2):
        with pytest.raises(StoreError, match="full"):
            store.step(asked, big)
        connection.execute("PRAGMA max_page_count=1000000")
    store.close()
    with closing(ApprovalStore(path, clock=clock)) as again:
        assert [one.state for one in again.list()] == [ApprovalState.ASKED]
