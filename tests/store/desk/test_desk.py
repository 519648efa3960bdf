"""The desk on SQLite: the conformance suite, and what only a file can show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from model.clock import FakeClock
from model.desk import AlarmFilter
from model.errors import AuditUnwritable, StoreError
from store.audit import AuditLog
from store.desk.desk import DeskFile
from store.desk.limits import DeskLimits
from tests.store.desk.conformance import GRANT, T0, DeskConformance, OpenDesk, Places, press


class TestDeskFile(DeskConformance):
    @pytest.fixture
    def open_desk(self) -> Iterator[OpenDesk]:
        with ExitStack() as stack:

            def open_it(folder: Path, clock: FakeClock, places: Places, limits: DeskLimits) -> DeskFile:
                audit = AuditLog(folder / "audit.db", clock=clock)
                stack.callback(audit.close)
                return DeskFile(folder / "desk.db", clock=clock, audit=audit, locate=places, limits=limits)

            yield open_it


class TestDeskFileInSmallPieces(TestDeskFile):
    """The same, with a transaction for each signal and hardly any event in memory."""

    limits = DeskLimits(max_transaction_signals=1, feed_events=2)


def test_without_an_audit_nothing_is_read(tmp_path: Path) -> None:
    with closing(DeskFile(tmp_path / "desk.db", clock=FakeClock(T0))) as desk:
        (event,) = desk.take([press(1)])
        for read in (
            lambda: desk.get(GRANT, event.alarm.alarm.id),
            lambda: desk.history(GRANT, event.alarm.alarm.id),
            lambda: desk.list_alarms(GRANT, AlarmFilter(), limit=1),
            lambda: desk.list(GRANT),
        ):
            with pytest.raises(AuditUnwritable):
                read()


def test_reads_are_audited(tmp_path: Path) -> None:
    with (
        closing(AuditLog(tmp_path / "audit.db", clock=FakeClock(T0))) as audit,
        closing(DeskFile(tmp_path / "desk.db", clock=FakeClock(T0), audit=audit)) as desk,
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


def test_what_the_system_did_is_copied_to_the_audit_once(tmp_path: Path) -> None:
    clock = FakeClock(T0)
    limits = DeskLimits(audit_rows=3)
    with closing(AuditLog(tmp_path / "audit.db", clock=clock)) as audit:
        with closing(DeskFile(tmp_path / "desk.db", clock=clock, limits=limits)) as desk:
            desk.take([press(n, device=f"button/{n}") for n in range(7)])
            desk.acknowledge(desk.ids_like("A", limit=1)[0], 1, "li")
            assert desk.audit_system_events(audit) == 7
            assert desk.audit_system_events(audit) == 0
        with closing(DeskFile(tmp_path / "desk.db", clock=clock, limits=limits)) as desk:
            clock.advance(30)
            desk.clock()
            assert desk.audit_system_events(audit) == 6
        rows = audit.rows()
        assert [row.action for row in rows] == ["alarm.raise"] * 7 + ["alarm.escalate"] * 6
        assert [row.detail["event"] for row in rows] == [1, 2, 3, 4, 5, 6, 7, *range(9, 15)]
        assert (rows[0].who, rows[0].target, rows[0].detail["device"]) == ("system", "A2025-000001", "button/0")
        assert audit.verify() is None


def test_an_audit_that_fails_leaves_the_rows_for_the_next_time(tmp_path: Path) -> None:
    clock = FakeClock(T0)
    with closing(DeskFile(tmp_path / "desk.db", clock=clock)) as desk:
        desk.take([press(1)])
        shut = AuditLog(tmp_path / "audit.db", clock=clock)
        shut.close()
        with pytest.raises(AuditUnwritable):
            desk.audit_system_events(shut)
        with closing(AuditLog(tmp_path / "audit.db", clock=clock)) as audit:
            assert desk.audit_system_events(audit) == 1


def test_a_reader_beside_the_writer_sees_its_events_and_changes_nothing(tmp_path: Path) -> None:
    clock = FakeClock(T0)
    with (
        closing(DeskFile(tmp_path / "desk.db", clock=clock)) as desk,
        closing(DeskFile(tmp_path / "desk.db", clock=clock, read_only=True)) as reader,
    ):
        assert not reader.wait_events(0, 0.3)
        desk.take([press(1)])
        assert reader.wait_events(0, 0.3)
        assert reader.events(0, limit=9) == desk.events(0, limit=9)
        assert reader.last_event() == 1
        for change in (lambda: reader.take([press(2)]), lambda: reader.set_unit("unit/1", "li")):
            with pytest.raises(StoreError, match="for reading only"):
                change()


def test_a_severity_may_be_raised_by_setting_or_signal_and_not_lowered(tmp_path: Path) -> None:
    limits = DeskLimits(severity={"offline": 2, "one_key": 3})
    with closing(DeskFile(tmp_path / "desk.db", clock=FakeClock(T0), limits=limits)) as desk:
        offline = press(1, kind="offline", device="t/1", severity=3)
        events = desk.take([press(2, severity=3), offline, press(3, kind="overspeed", device="t/1", severity=3)])
        assert [(one.alarm.alarm.kind, one.alarm.alarm.severity) for one in events] == [
            ("one_key", 1),
            ("offline", 2),
            ("overspeed", 3),
        ]
        (event,) = desk.take([press(4, kind="overspeed", device="t/1", severity=1)])
        assert (event.action, event.alarm.alarm.severity, event.alarm.due_ms) == ("signal", 1, T0 + 30_000)


def test_answers_are_bounded(tmp_path: Path) -> None:
    with closing(DeskFile(tmp_path / "desk.db", clock=FakeClock(T0), limits=DeskLimits(max_answers=5))) as desk:
        desk.take([press(n, device=f"button/{n}") for n in range(20)])
        assert [one.alarm_id for one in desk.answers(limit=100)] == [f"d{n}" for n in range(15, 20)]
