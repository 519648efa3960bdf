"""The alarms' own way over real files: each once over restarts, late ones flagged, damage passed, the log trimmed."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from config.sections import Settings
from lucheng.alarm_path import CONSUMER, DEFAULT_LATE_MS, DEFAULT_TRIM_EVERY_RECORDS, AlarmPath
from lucheng.rooms import ALARMS_LOG_FILE, Rooms, open_rooms
from model.clock import FakeClock
from model.errors import StoreError
from model.seams import NewRecord, RecordKind
from model.signal import Signal, message_signal_id
from store.log.committer import Committer
from tests.conftest import wait_until
from tests.lucheng.house import GRANT, START_MS, damage

HANG_S = 30.0


def alarm(number: int, *, age_ms: int = 0, late: bool = False) -> Signal:
    """An alarm message as the decoder makes it."""
    return Signal(
        id=message_signal_id("button/1", str(number)),
        device="button/1",
        kind="one_key",
        source="message",
        time_ms=START_MS - age_ms,
        received_ms=START_MS,
        lat=None,
        lon=None,
        severity=1,
        late=late,
        note="",
        log_position=0,
    )


def alarm_record(*signals: Signal) -> NewRecord:
    """Signals as a record of the alarms' log."""
    return NewRecord(RecordKind.ALARM, len(signals), msgspec.msgpack.encode(signals))


class Desk:
    """A data folder with its alarms' log, committer and path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fatal: list[BaseException] = []
        self.told = threading.Event()
        self.open()

    def open(self) -> None:
        """Open the files, make the path; nothing runs yet."""
        self.rooms: Rooms = open_rooms(self.folder, Settings(), write=True, clock=FakeClock(START_MS))
        self.committer = Committer(
            self.rooms.alarms_log, clock=self.rooms.clock, on_fatal=self._fatal, max_delay_ms=0, name="test"
        )
        try:
            self.path = AlarmPath(
                self.rooms.alarms_log, self.committer, self.rooms.signals, on_fatal=self._fatal, late_ms=DEFAULT_LATE_MS
            )
        except BaseException:
            self.close()
            raise

    def _fatal(self, error: BaseException) -> None:
        self.fatal.append(error)
        self.told.set()

    def close(self) -> None:
        """Release the files, as a crash would."""
        self.committer.close(timeout_s=HANG_S)
        self.rooms.close()

    def put(self, *records: NewRecord) -> int:
        """Append to the log."""
        return self.rooms.alarms_log.append(list(records))

    def run(self) -> None:
        """Work off the log by hand."""
        while self.path.run_once():
            pass

    @property
    def kept(self) -> list[Signal]:
        """What the desk's file holds."""
        return [one.signal for one in self.rooms.signals.list(GRANT)]

    def positions(self) -> list[int]:
        """Positions the log still holds."""
        with closing(sqlite3.connect(self.folder / ALARMS_LOG_FILE)) as connection:
            return [row[0] for row in connection.execute("SELECT position FROM records ORDER BY position")]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "data")
    yield made
    made.close()


def test_alarms_are_kept_with_their_place_in_the_log(desk: Desk) -> None:
    desk.put(alarm_record(alarm(1), alarm(2)), alarm_record(alarm(3)))
    desk.run()
    assert desk.kept == [
        replace(alarm(1), log_position=1),
        replace(alarm(2), log_position=1),
        replace(alarm(3), log_position=2),
    ]
    assert desk.path.position == 2


def test_a_repeated_alarm_is_kept_once(desk: Desk) -> None:
    desk.put(alarm_record(alarm(1), alarm(1)), alarm_record(alarm(1)))
    desk.run()
    assert len(desk.kept) == 1


def test_an_old_alarm_is_flagged_and_kept(desk: Desk) -> None:
    desk.put(
        alarm_record(
            alarm(1, age_ms=DEFAULT_LATE_MS), alarm(2, age_ms=DEFAULT_LATE_MS + 1), alarm(3, late=True), alarm(4)
        )
    )
    desk.run()
    assert [signal.late for signal in desk.kept] == [False, True, True, False]


def test_a_crash_after_the_log_and_before_the_desk_loses_nothing(desk: Desk) -> None:
    desk.put(alarm_record(alarm(1)))
    desk.run()
    desk.put(alarm_record(alarm(2)))
    desk.close()
    desk.open()
    assert desk.path.position == 1
    desk.run()
    assert [signal.id for signal in desk.kept] == [alarm(1).id, alarm(2).id]


def test_the_position_and_the_alarms_are_one_commit(desk: Desk) -> None:
    """A desk that lost its position reads the log again, and keeps each alarm once."""
    desk.put(alarm_record(alarm(1)), alarm_record(alarm(2)))
    desk.run()
    before = desk.kept
    desk.close()
    with closing(sqlite3.connect(desk.folder / "desk.db")) as connection:
        connection.execute("DELETE FROM signal_consumers")
        connection.commit()
    desk.open()
    assert desk.path.position == 0
    desk.run()
    assert desk.kept == before
    assert desk.path.position == 2


def test_a_damaged_record_is_passed_and_its_neighbours_are_kept(desk: Desk) -> None:
    for number in (1, 2, 3):
        desk.put(alarm_record(alarm(number)))
    damage(desk.folder / ALARMS_LOG_FILE, "records", "position = 2")
    desk.run()
    assert [signal.id for signal in desk.kept] == [alarm(1).id, alarm(3).id]
    assert desk.path.position == 3
    assert any("record 2" in problem.place for problem in desk.rooms.alarms_log.check())


def test_a_damaged_last_record_does_not_hold_it_up(desk: Desk) -> None:
    desk.put(alarm_record(alarm(1)))
    damage(desk.folder / ALARMS_LOG_FILE, "records", "position = 1")
    desk.run()
    desk.put(alarm_record(alarm(2)))
    desk.run()
    assert [signal.id for signal in desk.kept] == [alarm(2).id]


def test_a_log_that_ends_before_the_desk_is_refused_in_words(desk: Desk) -> None:
    desk.put(alarm_record(alarm(1)))
    desk.run()
    desk.close()
    for path in desk.folder.glob(f"{ALARMS_LOG_FILE}*"):
        path.unlink()
    with pytest.raises(StoreError, match="ends at 0, but the desk has read it up to 1"):
        desk.open()


def _many(first: int, count: int) -> list[NewRecord]:
    return [alarm_record(alarm(first + at)) for at in range(count)]


def test_the_log_is_trimmed_now_and_then(desk: Desk) -> None:
    desk.put(*_many(0, DEFAULT_TRIM_EVERY_RECORDS - 1))
    desk.run()
    assert len(desk.positions()) == DEFAULT_TRIM_EVERY_RECORDS - 1
    desk.put(alarm_record(alarm(-1)))
    desk.run()
    assert desk.positions() == []
    assert desk.rooms.alarms_log.consumed(CONSUMER) == DEFAULT_TRIM_EVERY_RECORDS
    desk.put(alarm_record(alarm(-2)))
    desk.run()
    assert desk.positions() == [DEFAULT_TRIM_EVERY_RECORDS + 1]


def test_the_log_is_trimmed_also_when_no_life_is_long_enough(desk: Desk) -> None:
    half = DEFAULT_TRIM_EVERY_RECORDS // 2
    for first in (0, half):
        desk.put(*_many(first, half))
        desk.run()
        if not first:
            desk.close()
            desk.open()
    assert desk.positions() == []


def _wait(condition: Callable[[], object]) -> None:
    wait_until(condition, HANG_S, "the alarm path")


def test_its_thread_keeps_what_the_committer_makes_durable_and_drains(desk: Desk) -> None:
    desk.path.start()
    done = threading.Event()
    desk.committer.submit([alarm_record(alarm(1))], lambda _position: done.set(), urgent=True)
    assert done.wait(HANG_S)
    _wait(lambda: desk.kept)
    desk.committer.submit(_many(2, 600), lambda _position: None)
    assert desk.committer.close(timeout_s=HANG_S)  # in this order the service stops
    desk.path.stop(drain_s=HANG_S)
    assert len(desk.kept) == 601
    assert desk.fatal == []


def test_a_desk_that_fails_is_fatal_once(desk: Desk) -> None:
    desk.rooms.signals.close()
    desk.put(alarm_record(alarm(1)))
    desk.path.start()
    assert desk.told.wait(HANG_S)
    desk.path.stop(drain_s=HANG_S)
    assert [type(error) for error in desk.fatal] == [StoreError]
    assert desk.rooms.alarms_log.last_position() == 1
