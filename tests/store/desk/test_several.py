"""Several processes at one desk on PostgreSQL: one open alarm a key, each signal once, one winner, events without a gap."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from model.clock import FakeClock, SystemClock
from model.desk import AlarmFilter, Event
from model.errors import Conflict
from store.audit import AuditLog
from store.database import Place
from store.desk.desk import DeskFile
from store.desk.limits import DeskLimits
from tests.conftest import wait_until
from tests.postgres import PostgresServer, told
from tests.store.desk.conformance import GRANT, T0, press

PROJECT = Path(__file__).parents[3]
WRITERS = 3
DEVICES = 7
EACH = 40

#: Takes its own signals and, again, those that everybody takes; then lets go of some alarms and takes others.
WRITES = """
import random, sys
from model.clock import SystemClock
from model.errors import Conflict, NotFound, Refused
from store.desk.desk import DeskFile
from store.desk.limits import DeskLimits
from tests.postgres import where_told
from tests.store.desk.conformance import press
from tests.store.desk.test_several import DEVICES, EACH
number, seed = int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed + number)
desk = DeskFile(where_told(sys.argv[1]), clock=SystemClock(), limits=DeskLimits(max_transaction_signals=3))
print('open', flush=True)
sys.stdin.readline()
for turn in range(EACH):
    at = 1_000 * (number + 1) + turn
    mine = press(at, device=f'button/{chance.randrange(DEVICES)}')
    everybody = press(turn, device=f'button/{turn % DEVICES}')
    desk.take([mine, everybody], consumer=f'w{number}', position=at)
    if turn % 5 == 4:
        for alarm_id in desk.ids_like('A', limit=3):
            try:
                desk.acknowledge(alarm_id, 1, f'w{number}')
            except (Conflict, Refused):
                continue
print('done', desk.last_event(), flush=True)
desk.close()
"""


@pytest.fixture
def place(postgres_server: PostgresServer) -> Iterator[Place]:
    server = postgres_server.server()
    yield server.place("desk")
    server.close()


def test_several_processes_write_and_somebody_follows(place: Place, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    followed: list[Event] = []
    with ExitStack() as stack:
        desk = stack.enter_context(closing(DeskFile(place, clock=SystemClock(), limits=DeskLimits(feed_events=16))))
        children = []
        for number in range(WRITERS):
            command = [sys.executable, "-c", WRITES, told(place), str(number), str(seed)]
            child = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            children.append(stack.enter_context(child))
        over = threading.Event()

        def follow() -> None:
            while not (over.is_set() and len(followed) >= desk.last_event()):
                after = followed[-1].number if followed else 0
                if desk.wait_events(after, 0.1):
                    followed.extend(desk.events(after, limit=5))

        follower = threading.Thread(target=follow)
        for child in children:
            assert child.stdout is not None
            assert child.stdin is not None
            assert child.stdout.readline() == "open\n"
            child.stdin.write("go\n")
            child.stdin.flush()
        follower.start()
        for turn in range(EACH):  # and this process writes, too
            desk.take(
                [press(9_000 + turn, device=f"button/{turn % DEVICES}"), press(turn, device=f"button/{turn % DEVICES}")]
            )
        ends = [child.stdout.read().split() for child in children if child.stdout is not None]
        assert [child.wait(60) for child in children] == [0] * WRITERS
        assert all(end[0] == "done" for end in ends)
        over.set()
        follower.join(60)
        assert not follower.is_alive()
        audit = stack.enter_context(
            closing(AuditLog(Place(place.server, f"{place.schema}_audit"), clock=FakeClock(T0), folder=tmp_path))
        )
        reader = stack.enter_context(closing(DeskFile(place, clock=SystemClock(), audit=audit, read_only=True)))
        alarms = reader.list_alarms(GRANT, AlarmFilter(), limit=1_000)
        assert desk.count() == EACH * (WRITERS + 2)  # everybody's are kept once
        assert Counter((one.alarm.kind, one.alarm.device) for one in alarms).most_common(1)[0][1] == 1
        assert len(alarms) == DEVICES
        assert sum(one.alarm.signals for one in alarms) == desk.count()
        assert len({one.alarm.id for one in alarms}) == DEVICES
        everything = reader.events(0, limit=10_000)
        assert [event.number for event in everything] == list(range(1, desk.last_event() + 1))
        assert followed == everything
        for one in alarms:  # versions count on by one: nobody overwrote anybody
            history = [event.alarm.alarm.version for event in everything if event.alarm.alarm.id == one.alarm.id]
            assert history == list(range(1, len(history) + 1))


def test_of_two_that_take_one_alarm_one_wins(place: Place) -> None:
    with (
        closing(DeskFile(place, clock=FakeClock(T0))) as one,
        closing(DeskFile(place, clock=FakeClock(T0))) as other,
    ):
        for number in range(10):
            (event,) = one.take([press(number, device=f"button/{number}")])
            outcomes: list[str] = []
            ready = threading.Barrier(2)

            def take(desk: DeskFile, who: str, alarm_id: str, ready: threading.Barrier, outcomes: list[str]) -> None:
                ready.wait()
                try:
                    outcomes.append(desk.acknowledge(alarm_id, 1, who).alarm.owner)
                except Conflict as error:
                    outcomes.append(f"lost: {error.message}")

            threads = [
                threading.Thread(target=take, args=(desk, who, event.alarm.alarm.id, ready, outcomes))
                for desk, who in ((one, "li"), (other, "wang"))
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
            winner = next(name for name in outcomes if not name.startswith("lost"))
            (lost,) = (name for name in outcomes if name.startswith("lost"))
            assert winner in lost  # and is told who was first
        assert one.events(0, limit=100) == other.events(0, limit=100)


def test_who_listens_hears_what_another_process_did(place: Place) -> None:
    heard = threading.Event()
    with closing(DeskFile(place, clock=FakeClock(T0))) as one, closing(DeskFile(place, clock=FakeClock(T0))) as other:
        end = one.tell_events(heard.set)
        other.take([press(1)])
        assert heard.wait(20)
        assert one.events(0, limit=9) == other.events(0, limit=9)
        end()


def test_far_behind_the_feed_is_read_from_the_table(place: Place) -> None:
    limits = DeskLimits(feed_events=4)
    with (
        closing(DeskFile(place, clock=FakeClock(T0), limits=limits)) as one,
        closing(DeskFile(place, clock=FakeClock(T0), limits=limits)) as other,
    ):
        one.take([press(0, device="button/0")])
        other.take([press(number, device=f"button/{number}") for number in range(1, 30)])
        assert [event.number for event in one.events(0, limit=100)] == list(range(1, 31))
        one.take([press(99, device="button/99")])
        assert [event.number for event in one.events(28, limit=100)] == [29, 30, 31]
        assert one.events(31, limit=100) == []


def test_what_is_due_falls_due_once_however_many_look(place: Place) -> None:
    clocks = [FakeClock(T0) for _ in range(3)]
    with ExitStack() as stack:
        desks = [stack.enter_context(closing(DeskFile(place, clock=clock))) for clock in clocks]
        desks[0].take([press(number, device=f"button/{number}") for number in range(8)])
        for clock in clocks:
            clock.advance(31)
        done: list[Event] = []
        threads = [threading.Thread(target=lambda desk: done.extend(desk.clock()), args=(desk,)) for desk in desks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        wait_until(lambda: len(done) >= 8, what="the escalations")
        assert Counter(event.action for event in done) == {"escalate": 8}
        assert sorted(event.number for event in done) == list(range(9, 17))
