"""The desk on both databases: the conformance suite, and what only a database can show."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from model.alarm import Condition
from model.clock import FakeClock
from model.desk import AlarmFilter, Located
from model.errors import AuditUnwritable, StoreError
from model.signal import Clear, Signal
from store.audit import AuditLog
from store.database import Where, connect, migrate, transaction
from store.desk.desk import DeskFile
from store.desk.limits import DeskLimits
from store.desk.schema import MIGRATIONS
from tests.postgres import told
from tests.store.desk.conformance import GRANT, T0, DeskConformance, OpenDesk, Places, gone, press

PROJECT = Path(__file__).parents[3]


class TestDeskFile(DeskConformance):
    @pytest.fixture
    def open_desk(self, where: Callable[[str], Where]) -> Iterator[OpenDesk]:
        with ExitStack() as stack:

            def open_it(folder: Path, clock: FakeClock, places: Places, limits: DeskLimits) -> DeskFile:
                audit = AuditLog(where("audit"), clock=clock, folder=folder)
                stack.callback(audit.close)
                return DeskFile(where("desk"), clock=clock, audit=audit, locate=places, limits=limits)

            yield open_it


class TestDeskFileInSmallPieces(TestDeskFile):
    """The same, with a transaction for each signal and hardly any event in memory."""

    limits = DeskLimits(max_transaction_signals=1, feed_events=2)


def test_without_an_audit_nothing_is_read(where: Callable[[str], Where]) -> None:
    with closing(DeskFile(where("desk"), clock=FakeClock(T0))) as desk:
        (event,) = desk.take([press(1)])
        for read in (
            lambda: desk.get(GRANT, event.alarm.alarm.id),
            lambda: desk.history(GRANT, event.alarm.alarm.id),
            lambda: desk.list_alarms(GRANT, AlarmFilter(), limit=1),
            lambda: desk.list(GRANT),
        ):
            with pytest.raises(AuditUnwritable):
                read()


def test_reads_are_audited(where: Callable[[str], Where], tmp_path: Path) -> None:
    with (
        closing(AuditLog(where("audit"), clock=FakeClock(T0), folder=tmp_path)) as audit,
        closing(DeskFile(where("desk"), clock=FakeClock(T0), audit=audit)) as desk,
    ):
        desk.take([press(1)])
        alarm_id = desk.list_alarms(GRANT, AlarmFilter(), limit=1)[0].alarm.id
        desk.get(GRANT, alarm_id)
        desk.history(GRANT, alarm_id)
        desk.signals_of(GRANT, alarm_id, limit=1)
        found = [(row.action, row.target, row.who) for row in audit.rows()]
    assert found == [
        ("read.alarms", "*", "li"),
        ("read.alarm", alarm_id, "li"),
        ("read.alarm_history", alarm_id, "li"),
        ("read.alarm_signals", alarm_id, "li"),
    ]


def test_what_the_system_did_is_copied_to_the_audit_once(where: Callable[[str], Where], tmp_path: Path) -> None:
    clock = FakeClock(T0)
    limits = DeskLimits(audit_rows=3)
    with closing(AuditLog(where("audit"), clock=clock, folder=tmp_path)) as audit:
        with closing(DeskFile(where("desk"), clock=clock, limits=limits)) as desk:
            desk.take([press(n, device=f"button/{n}") for n in range(7)])
            desk.acknowledge(desk.ids_like("A", limit=1)[0], 1, "li")
            assert desk.audit_system_events(audit) == 7
            assert desk.audit_system_events(audit) == 0
        with closing(DeskFile(where("desk"), clock=clock, limits=limits)) as desk:
            clock.advance(30)
            desk.clock()
            assert desk.audit_system_events(audit) == 6
        rows = audit.rows()
        assert [row.action for row in rows] == ["alarm.raise"] * 7 + ["alarm.escalate"] * 6
        assert [row.detail["event"] for row in rows] == [1, 2, 3, 4, 5, 6, 7, *range(9, 15)]
        assert (rows[0].who, rows[0].target, rows[0].detail["device"]) == ("system", "A2025-000001", "button/0")
        assert audit.verify() is None


def test_an_audit_that_fails_leaves_the_rows_for_the_next_time(where: Callable[[str], Where], tmp_path: Path) -> None:
    clock = FakeClock(T0)
    with closing(DeskFile(where("desk"), clock=clock)) as desk:
        desk.take([press(1)])
        shut = AuditLog(where("audit"), clock=clock, folder=tmp_path)
        shut.close()
        with pytest.raises(AuditUnwritable):
            desk.audit_system_events(shut)
        with closing(AuditLog(where("audit"), clock=clock, folder=tmp_path)) as audit:
            assert desk.audit_system_events(audit) == 1


def test_a_reader_beside_the_writer_sees_its_events_and_changes_nothing(where: Callable[[str], Where]) -> None:
    clock = FakeClock(T0)
    with (
        closing(DeskFile(where("desk"), clock=clock)) as desk,
        closing(DeskFile(where("desk"), clock=clock, read_only=True)) as reader,
    ):
        assert not reader.wait_events(0, 0.3)
        desk.take([press(1)])
        assert reader.wait_events(0, 0.3)
        assert reader.events(0, limit=9) == desk.events(0, limit=9)
        assert reader.last_event() == 1
        for change in (lambda: reader.take([press(2)]), lambda: reader.set_unit("unit/1", "li")):
            with pytest.raises(StoreError, match="for reading only"):
                change()


def test_a_severity_may_be_raised_by_setting_or_signal_and_not_lowered(where: Callable[[str], Where]) -> None:
    limits = DeskLimits(severity={"offline": 2, "one_key": 3})
    with closing(DeskFile(where("desk"), clock=FakeClock(T0), limits=limits)) as desk:
        offline = press(1, kind="offline", device="t/1", severity=3)
        events = desk.take([press(2, severity=3), offline, press(3, kind="overspeed", device="t/1", severity=3)])
        assert [(one.alarm.alarm.kind, one.alarm.alarm.severity) for one in events] == [
            ("one_key", 1),
            ("offline", 2),
            ("overspeed", 3),
        ]
        (event,) = desk.take([press(4, kind="overspeed", device="t/1", severity=1)])
        assert (event.action, event.alarm.alarm.severity, event.alarm.due_ms) == ("signal", 1, T0 + 30_000)


def test_answers_are_bounded(where: Callable[[str], Where]) -> None:
    with closing(DeskFile(where("desk"), clock=FakeClock(T0), limits=DeskLimits(max_answers=5))) as desk:
        desk.take([press(n, device=f"button/{n}") for n in range(20)])
        assert [one.alarm_id for one in desk.answers(limit=100)] == [f"d{n}" for n in range(15, 20)]


def test_a_panic_goes_between_two_pieces_of_a_flood(where: Callable[[str], Where]) -> None:
    """While a flood is being kept, a panic waits for one transaction and not for the flood."""
    panics: list[threading.Thread] = []

    def locate(signal: Signal) -> Located:
        if signal.id == "s70":
            panics.append(threading.Thread(target=lambda: desk.take([press(9_999, log_position=9_999)])))
            panics[0].start()
            while not desk._book.waiting():
                time.sleep(0.001)
        return Located()

    with closing(DeskFile(where("desk"), clock=FakeClock(T0), locate=locate)) as desk:
        flood = [press(n, kind="offline", device=f"taxi/{n}") for n in range(1, 301)]
        desk.take([*flood, press(5_000, device="button/5")], consumer="points", position=5_000)
        panics[0].join()
        events = desk.events(0, limit=1_000)
    assert events[0].alarm.alarm.device == "button/5"  # of the batch itself, too, the panic comes first
    assert [event.number for event in events if event.alarm.alarm.kind == "one_key"] == [1, 102]
    assert len(events) == 302


def test_a_file_of_an_older_lucheng_is_brought_up_to_date(where: Callable[[str], Where], tmp_path: Path) -> None:
    path = where("desk")
    with closing(connect(path)) as file:
        migrate(file, MIGRATIONS[:1], path)
        with transaction(file):
            file.execute(
                "INSERT INTO signals VALUES (1, 'old', 'taxi/1', 'sos', 'bit', 5, 6, NULL, NULL, 1, 0, 'n', 3, 7)"
            )
    with pytest.raises(StoreError, match="older lucheng"):
        DeskFile(path, clock=FakeClock(T0), read_only=True)
    with (
        closing(AuditLog(where("audit"), clock=FakeClock(T0), folder=tmp_path)) as audit,
        closing(DeskFile(path, clock=FakeClock(T0), audit=audit)) as desk,
    ):
        assert desk.take([press(1, id="old")]) == []
        (kept,) = desk.list(GRANT)
        assert kept.signal == Signal("old", "taxi/1", "sos", "bit", 5, 6, None, None, 1, False, "n", 3)


def test_kill_9_at_any_moment_leaves_every_signal_on_its_alarm(where: Callable[[str], Where], tmp_path: Path) -> None:
    """A flood in small pieces is killed and replayed until it is through; nothing is lost, doubled or left cleared."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    script = (
        "import sys; from tests.postgres import where_told; from model.clock import SystemClock\n"
        "from store.desk.desk import DeskFile; from store.desk.limits import DeskLimits\n"
        "from tests.store.desk.test_desk import flaps\n"
        "desk = DeskFile(where_told(sys.argv[1]), clock=SystemClock(), limits=DeskLimits(max_transaction_signals=3))\n"
        "print('open', flush=True)\n"
        "while (at := desk.position('points')) < 600:\n"
        "    rises, falls = flaps(at, at + 60)\n"
        "    desk.take(rises, clears=falls, consumer='points', position=at + 60)\n"
        "print('through', flush=True)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    through = False
    for _ in range(40):
        command = [sys.executable, "-c", script, told(where("desk"))]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "open\n"
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=chance.uniform(0.05, 0.5))
            child.kill()
            through = "through" in child.stdout.read()
        if through:
            break
    assert through
    with (
        closing(AuditLog(where("audit"), clock=FakeClock(T0), folder=tmp_path)) as audit,
        closing(DeskFile(where("desk"), clock=FakeClock(T0), audit=audit)) as desk,
    ):
        rises, _ = flaps(0, 600)
        alarms = desk.list_alarms(GRANT, AlarmFilter(), limit=100)
        assert desk.count() == len(rises) == sum(one.alarm.signals for one in alarms)
        assert len(alarms) == 20
        assert {one.alarm.condition for one in alarms} == {Condition.ACTIVE}
        assert desk.last_event() == len(desk.events(0, limit=10_000))


def flaps(start: int, end: int) -> tuple[list[Signal], list[Clear]]:
    """A log of 20 devices, each of which rises, falls, rises …, and rises last; records after `start` to `end`."""
    rises, falls = [], []
    for position in range(start + 1, end + 1):
        number, turn = (position - 1) % 20, (position - 1) // 20
        one = press(position, kind="overspeed", device=f"taxi/{number}", at_ms=T0 + position)
        if turn % 2 == 0 or position > 580:
            rises.append(one)
        else:
            falls.append(gone(one))
    return rises, falls
