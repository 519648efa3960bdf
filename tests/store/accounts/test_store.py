"""Accounts and sessions on both databases: what a change ends, what is bounded, and what two processes do at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from model.account import LockRule
from model.clock import FakeClock
from model.errors import Conflict, LuchengError, NotFound, Refused, StoreError
from model.role import Role
from store.accounts.store import AccountStore, digest_of
from store.database import Where, exists

T0 = 1_795_334_400_000
HOUR_MS = 3_600_000
RULE = LockRule(free_failures=3, first_s=10.0, longest_s=600.0, forget_s=3_600.0)
Opens = Callable[..., AccountStore]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(T0)


@pytest.fixture
def opened(where: Callable[[str], Where], clock: FakeClock) -> Iterator[Opens]:
    """Opens the database, as another process would each time."""
    with ExitStack() as stack:

        def make(**limits: object) -> AccountStore:
            store = AccountStore(where("accounts"), clock=clock, **limits)  # type: ignore[arg-type] # a test's limits
            stack.callback(store.close)
            return store

        yield make


def at_once(*calls: Callable[[], object]) -> list[object]:
    """Let them begin together; what each returned or raised."""
    start = threading.Barrier(len(calls))
    ended: list[object] = [None] * len(calls)

    def run(number: int, call: Callable[[], object]) -> None:
        start.wait(30)
        try:
            ended[number] = call()
        except LuchengError as error:
            ended[number] = error

    threads = [threading.Thread(target=run, args=given) for given in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return ended


def test_accounts_are_kept_as_they_were_made(opened: Opens, clock: FakeClock) -> None:
    store = opened()
    made = store.add("wang", Role.ADMIN, "$hash", by="wang", name="王 \U0001f46e", language="zh", first=True)
    assert (made.user, made.role, made.name, made.enabled, made.version) == (
        "wang",
        Role.ADMIN,
        "王 \U0001f46e",
        True,
        1,
    )
    with pytest.raises(Conflict, match="set up already"):
        store.add("li", Role.ADMIN, "$hash", by="li", first=True)
    with pytest.raises(Conflict, match="an account wang already"):
        store.add("wang", Role.OPERATOR, "$other", by="wang")
    clock.advance(5)
    for user in ("li", "zhao"):
        store.add(user, Role.OPERATOR, "$hash", by="wang")
    again = opened()
    assert [one.user for one in again.list()] == ["li", "wang", "zhao"]
    assert [one.user for one in again.list(after="li", limit=1)] == ["wang"]
    assert (again.count(), again.get("wang"), again.password_of("wang")) == (3, made, "$hash")
    assert again.password_of("nobody") == ""
    with pytest.raises(NotFound):
        again.get("nobody")
    with pytest.raises(Refused, match="There are 3 accounts"):
        opened(max_accounts=3).add("sun", Role.OPERATOR, "$hash", by="wang")
    assert all("fsync" in problem.what for problem in again.check())  # the tests' server has none


def test_a_change_ends_the_sessions_that_it_must(opened: Opens, clock: FakeClock) -> None:
    store, other = opened(), opened()
    store.add("wang", Role.ADMIN, "$hash", by="wang")
    store.add("li", Role.OPERATOR, "$hash", by="wang")
    told: list[str] = []
    end = store.on_change(told.append)

    def signed_in(token: str) -> bytes:
        digest = digest_of(token)
        other.begin_session("li", digest, T0 + HOUR_MS, password=store.password_of("li"))
        return digest

    first = signed_in("a")
    found = store.session(first)
    assert found is not None
    assert (found.account.user, found.begun_ms, found.ends_ms) == ("li", T0, T0 + HOUR_MS)
    assert store.set_role("li", Role.OPERATOR, by="wang").version == 1
    assert store.session(first) is not None, "the same role is no change"
    assert store.set_role("li", Role.SUPERVISOR, by="wang").version == 2
    assert other.session(first) is None
    kept, gone = signed_in("b"), signed_in("c")
    store.set_password("li", "$new", by="li", keep=kept)
    assert other.session(kept) is not None
    assert other.session(gone) is None
    with pytest.raises(Refused, match="changed meanwhile"):
        other.begin_session("li", gone, T0 + HOUR_MS, password="$hash")
    clock.advance(60)
    store.touch_session(kept)
    found = other.session(kept)
    assert found is not None
    assert found.seen_ms == T0 + 60_000
    assert (store.end_session(kept), store.end_session(kept), other.session(kept)) == ("li", "", None)
    last = signed_in("d")
    store.set_enabled("li", on=False, by="wang")
    assert other.session(last) is None
    with pytest.raises(Refused):
        other.begin_session("li", last, T0 + HOUR_MS, password="$new")
    changes: list[Callable[[], object]] = [
        lambda: store.set_role("wang", Role.OPERATOR, by="wang"),
        lambda: store.set_enabled("wang", on=False, by="wang"),
    ]
    for change in changes:
        with pytest.raises(Conflict, match="last administrator"):
            change()
    store.renew_hash("li", "$new", "$newer")
    store.renew_hash("li", "$new", "$newest")
    assert other.password_of("li") == "$newer"
    assert set(told) == {"li"}
    end()
    store.set_enabled("li", on=True, by="wang")
    assert told.count("li") == len(told)


def test_sessions_are_bounded_and_end_by_their_time(opened: Opens, clock: FakeClock) -> None:
    store = opened(max_sessions_per_user=3)
    for user in ("wang", "li"):
        store.add(user, Role.ADMIN, "$hash", by="wang")
    store.begin_session("li", digest_of("li"), T0 + HOUR_MS, password="$hash")
    digests = [digest_of(f"{n}") for n in range(5)]
    for digest in digests:
        clock.advance(1)
        store.begin_session("wang", digest, T0 + HOUR_MS, password="$hash")
    assert [store.session(digest) is not None for digest in digests] == [False, False, True, True, True]
    assert (store.sessions_of("wang"), store.sessions_of("li")) == (3, 1)
    clock.advance(3_600)
    assert store.sessions_of("wang") == 0
    store.begin_session("wang", digest_of("new"), T0 + 9 * HOUR_MS, password="$hash")
    assert store.session(digests[4]) is None


def test_of_two_first_set_ups_at_once_one_is(opened: Opens) -> None:
    stores = [opened() for _ in range(3)]
    ended = at_once(
        *(
            lambda store=store, n=n: store.add(f"admin{n}", Role.ADMIN, "$hash", by="x", first=True)
            for n, store in enumerate(stores)
        )
    )
    assert sorted(type(one).__name__ for one in ended) == ["Account", "Conflict", "Conflict"]
    assert stores[0].count() == 1


def test_wrong_passwords_through_two_processes_are_all_counted(opened: Opens, clock: FakeClock) -> None:
    stores = [opened(), opened()]
    stores[0].add("wang", Role.ADMIN, "$hash", by="wang")

    def guess(store: AccountStore) -> None:
        for _ in range(10):
            store.note_failure("wang", RULE)

    at_once(*(lambda store=store: guess(store) for store in stores))
    account = stores[1].get("wang")
    assert account.failures == 20
    assert account.locked_until_ms == T0 + RULE.wait_ms(20)
    clock.advance(RULE.forget_s + 1)
    assert stores[0].note_failure("wang", RULE).failures == 1
    stores[1].begin_session("wang", digest_of("t"), T0 + 9 * HOUR_MS, password="$hash")
    assert stores[0].get("wang").failures == 0


def test_a_session_ends_once_and_is_bounded_through_two_processes(opened: Opens) -> None:
    stores = [opened(max_sessions_per_user=4) for _ in range(2)]
    stores[0].add("wang", Role.ADMIN, "$hash", by="wang")

    def sign_in(store: AccountStore, prefix: str) -> None:
        for n in range(8):
            store.begin_session("wang", digest_of(f"{prefix}{n}"), T0 + HOUR_MS, password="$hash")

    at_once(*(lambda store=store, name=name: sign_in(store, name) for name, store in zip("ab", stores, strict=True)))
    assert stores[0].sessions_of("wang") == 4
    (left, *_) = [name for name in (f"{p}{n}" for p in "ab" for n in range(8)) if stores[0].session(digest_of(name))]
    ended = at_once(*(lambda store=store: store.end_session(digest_of(left)) for store in stores))
    assert sorted(map(str, ended)) == ["", "wang"]


def test_two_that_close_the_last_administrators_leave_one(opened: Opens) -> None:
    stores = [opened(), opened()]
    for user in ("wang", "li"):
        stores[0].add(user, Role.ADMIN, "$hash", by="wang")
    ended = at_once(
        lambda: stores[0].set_enabled("wang", on=False, by="li"),
        lambda: stores[1].set_enabled("li", on=False, by="wang"),
    )
    assert sorted(type(one).__name__ for one in ended) == ["Account", "Conflict"]
    assert sum(one.enabled for one in stores[0].list()) == 1


def test_a_reader_and_what_is_closed(opened: Opens, where: Callable[[str], Where]) -> None:
    reader = opened(read_only=True)
    assert (reader.count(), reader.list(), reader.session(b"")) == (0, [], None)
    assert not exists(where("accounts"))
    store = opened()
    store.add("wang", Role.ADMIN, "$hash", by="wang")
    assert reader.count() == 1
    with pytest.raises(StoreError, match="reading only"):
        reader.touch_session(b"")
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.list()
