"""Sessions of terminals across ingestors, on real nats-servers: the newest connection wins, the dead hold nothing, late claims give way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from store.nats.claims import Claims
from store.nats.link import Link
from store.nats.reading import Reader
from store.nats.sessions import SessionView
from store.nats.streams import made, sessions_stream
from store.nats.terms import Patience
from tests.conftest import wait_until
from tests.nats import NatsCluster, NatsServer, link_to, names_of

GONE_S = 1.0
NUMBER = "13800000001"
PROJECT = Path(__file__).parents[3]
HOLDER = Path(__file__).with_name("session_holder.py")
PATIENT = Patience(attempt_s=0.5, give_up_s=30.0)


class House:
    """Ingestors and views of one bucket, in this process, each with a connection of its own."""

    def __init__(self, urls: list[str], folder: Path, replicas: int = 1) -> None:
        self.urls = urls
        self.names = names_of(folder)
        self.links: list[Link] = []
        self._closing: list[Callable[[], None]] = []
        link = self.link()
        link.call(made(link, sessions_stream(self.names.sessions, replicas)))

    def link(self) -> Link:
        self.links.append(link_to(self.urls, patience=PATIENT))
        return self.links[-1]

    def claims(self, name: str, **options: float) -> tuple[Claims, list[tuple[str, int]]]:
        """An ingestor, and what it was told to let go."""
        link = self.link()
        told: list[tuple[str, int]] = []
        made = Claims(link, self.names, name=name, gone_s=GONE_S, **options)  # type: ignore[arg-type] # options are numbers
        made.use(lambda number, connection: told.append((number, connection)))
        self._closing.append(made.close)
        assert made.view.wait_whole(10)
        return made, told

    def view(self) -> SessionView:
        made = SessionView(self.link(), self.names, gone_s=GONE_S)
        self._closing.append(made.close)
        assert made.wait_whole(10)
        return made

    def close(self) -> None:
        for one in self._closing:
            one()
        for link in self.links:
            link.close()


@pytest.fixture
def house(nats_server: NatsServer, tmp_path: Path) -> Iterator[House]:
    made = House([nats_server.url], tmp_path)
    yield made
    made.close()


def take(claims: Claims, connection: int, number: str = NUMBER, slot: int = 7) -> None:
    claims.claim(
        connection, number, slot=slot, device=f"taxi/{slot}", protocol="jt808", address="10.0.0.9:5000", since_ms=1
    )


def held_by(view: SessionView, slot: int = 7) -> str:
    found = view.of_slot(slot)
    return found.run if found is not None else ""


def test_a_terminal_belongs_to_its_newest_connection_and_the_older_ingestor_is_told(house: House) -> None:
    a, told_a = house.claims("a")
    b, told_b = house.claims("b")
    desk = house.view()
    epochs = []
    for connection, (claims, told, other) in enumerate([(a, told_a, b), (b, told_b, a), (a, told_a, b)], 1):
        take(claims, connection)
        wait_until(partial(_holds, desk, claims), what="the desk sees who holds it")
        session = desk.of_slot(7)
        assert session is not None
        assert (session.number, session.device, session.protocol) == (NUMBER, "taxi/7", "jt808")
        epochs.append(session.epoch)
        assert claims.host_of(NUMBER) in {"", "10.0.0.9"}
        assert not told[1:], other.run
    wait_until(lambda: told_a == [(NUMBER, 1)] and told_b == [(NUMBER, 2)], what="each older one is told, once")
    assert epochs == sorted(set(epochs))
    assert a.taken == b.taken == 1


def _holds(view: SessionView, claims: Claims) -> bool:
    return held_by(view) == claims.run


def test_a_release_ends_its_own_session_alone(house: House) -> None:
    a, _ = house.claims("a")
    b, told_b = house.claims("b")
    desk = house.view()
    take(a, 1)
    wait_until(lambda: held_by(desk) == a.run)
    take(b, 1)
    a.release(NUMBER, 1)
    wait_until(lambda: held_by(desk) == b.run)
    take(b, 2)  # again, to the same ingestor: its older connection ends there by itself
    b.release(NUMBER, 1)
    a.release(NUMBER, 1)
    assert held_by(desk) == b.run
    assert told_b == []
    b.release(NUMBER, 2)
    wait_until(lambda: desk.entry(NUMBER) is None, what="nobody holds it")


def test_claims_at_the_same_moment_leave_exactly_one_holder(house: House) -> None:
    ingestors = [house.claims(f"i{count}") for count in range(4)]
    desk = house.view()
    numbers = [str(20_000 + count) for count in range(50)]
    barrier = threading.Barrier(len(ingestors))

    def claim_all(claims: Claims) -> None:
        barrier.wait()
        for slot, number in enumerate(numbers):
            take(claims, slot + 1, number, slot)

    threads = [threading.Thread(target=claim_all, args=(claims,)) for claims, _ in ingestors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    wanted = len(numbers) * (len(ingestors) - 1)
    wait_until(lambda: sum(len(told) for _, told in ingestors) == wanted, what="all but one of each are told")
    for slot, number in enumerate(numbers):
        (holder,) = (claims.run for claims, told in ingestors if number not in {one for one, _ in told})
        wait_until(lambda slot=slot, holder=holder: held_by(desk, slot) == holder, what="the desk sees it, too")  # type: ignore[misc] # a default binds it


def test_what_a_dead_ingestor_held_is_nobodys_and_is_swept(house: House, nats_server: NatsServer) -> None:
    desk = house.view()
    process = subprocess.Popen(
        [sys.executable, str(HOLDER), nats_server.url, house.names.prefix, str(GONE_S), "30"],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )
    assert process.stdout is not None
    run = process.stdout.readline().decode().strip()
    try:
        wait_until(lambda: len(desk.sessions()) == 30, what="its terminals are seen")
        assert [one.name for one in desk.ingestors()] == ["holder"]
        process.send_signal(signal.SIGSTOP)
        wait_until(lambda: not desk.sessions(), what="a process that is stopped holds nothing")
        assert not desk.lives(run)
        process.send_signal(signal.SIGCONT)
        wait_until(lambda: len(desk.sessions()) == 30, what="it goes on and holds them again")
        process.kill()
        wait_until(lambda: not desk.sessions(), what="the dead hold nothing")
        assert len(desk.stale(GONE_S)) == 30
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    house.claims("sweeper", sweep_after_s=GONE_S)
    wait_until(lambda: not desk.stale(0.0), what="its entries are deleted by another ingestor")
    assert desk.entry("30000") is None


def test_closing_gives_everything_up_at_once(house: House) -> None:
    a, _ = house.claims("a")
    desk = house.view()
    take(a, 1)
    wait_until(lambda: held_by(desk) == a.run)
    a.close()
    wait_until(lambda: not desk.lives(a.run), what="it said goodbye")
    assert desk.of_slot(7) is None


def test_a_claim_that_was_late_gives_way_to_one_that_came_meanwhile(house: House, nats_server: NatsServer) -> None:
    a, told_a = house.claims("a", late_s=0.2)
    b, told_b = house.claims("b")
    desk = house.view()
    # a hears nothing of the servers while it claims; b's claim is the later one, and is written first.
    a._link.call(_hold(a))
    take(a, 1)
    take(b, 1)
    wait_until(lambda: held_by(desk) == b.run)
    threading.Event().wait(0.4)
    _let_run(a)
    wait_until(lambda: told_a == [(NUMBER, 1)], what="the late one gives way")
    assert held_by(desk) == b.run
    assert told_b == []


async def _hold(claims: Claims) -> None:
    """Its tasks take up nothing more: they wait for a number that never comes."""
    held, claims._queue = claims._queue, type(claims._queue)()
    claims.__dict__["held"] = held


def _let_run(claims: Claims) -> None:
    def pour() -> None:
        late, claims._queue = claims._queue, claims.__dict__["held"]
        while not late.empty():
            claims._queue.put_nowait(late.get_nowait())

    claims._link.soon(pour)


def test_a_server_that_restarts_costs_no_session(own_nats_server: NatsServer, tmp_path: Path) -> None:
    house = House([own_nats_server.url], tmp_path)
    try:
        _restarted(house, own_nats_server)
    finally:
        house.close()


def _restarted(house: House, nats_server: NatsServer) -> None:
    a, told_a = house.claims("a")
    b, _ = house.claims("b")
    desk = house.view()
    take(a, 1)
    wait_until(lambda: held_by(desk) == a.run)
    nats_server.kill()
    take(a, 2, "13800000002", 8)
    b.release("13800000009", 1)
    nats_server.start()
    wait_until(lambda: held_by(desk) == a.run and held_by(desk, 8) == a.run, what="both are there again")
    take(b, 1)
    wait_until(lambda: held_by(desk) == b.run and told_a == [(NUMBER, 1)], what="it moves as before")


def test_an_entry_that_others_deleted_is_written_again_by_who_lives(house: House) -> None:
    a, told_a = house.claims("a")
    desk = house.view()
    take(a, 1)
    wait_until(lambda: held_by(desk) == a.run)
    before = desk.of_slot(7)
    assert before is not None
    other = house.link()
    other.call(other.ask(house.names.terminal_subject(NUMBER), b"", {"KV-Operation": "DEL"}))
    wait_until(lambda: (now := desk.of_slot(7)) is not None and now.epoch > before.epoch, what="it is claimed again")
    assert told_a == []


@pytest.mark.soak
def test_servers_that_lose_a_leader_lose_no_session(nats_cluster: NatsCluster, tmp_path: Path) -> None:
    house = House(nats_cluster.urls, tmp_path, replicas=3)
    try:
        a, told_a = house.claims("a")
        b, _ = house.claims("b")
        desk = house.view()
        take(a, 1)
        wait_until(lambda: held_by(desk) == a.run)
        leader = nats_cluster.leader_of(house.names.sessions)
        assert leader is not None
        leader.kill()
        take(b, 1)
        wait_until(lambda: held_by(desk) == b.run and told_a == [(NUMBER, 1)], 60, "it moves while a leader is elected")
        newest = house.links[0].call(
            Reader(house.links[0], house.names.sessions).newest_of(house.names.terminal_subject(NUMBER))
        )
        assert newest is not None
    finally:
        house.close()
        nats_cluster.start()
