"""What every implementation of `model.seams.Log` must do. An implementation joins by one subclass in a test module."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from model.errors import StoreError, UsageError
from model.seams import Log, LogRecord, NewRecord, RecordKind

#: Opens the log that lives in a folder, as its writer; the same folder again is the same log.
OpenLog = Callable[[Path], Log]


def new_record(number: int, *, rows: int = 1, size_bytes: int = 40, kind: RecordKind = RecordKind.POINTS) -> NewRecord:
    """A record whose payload tells its number."""
    return NewRecord(kind, rows, number.to_bytes(8, "big") + bytes([number % 251]) * size_bytes)


def read_all(log: Log, *, after: int = 0, max_records: int = 7, max_bytes: int = 1 << 20) -> list[LogRecord]:
    """Everything after a position, read in small steps."""
    found: list[LogRecord] = []
    while step := log.read(after, max_records=max_records, max_bytes=max_bytes):
        found += step
        after = step[-1].position
    return found


class LogConformance:
    """Subclass it, and override `open_log`."""

    @pytest.fixture
    def open_log(self) -> OpenLog:
        raise NotImplementedError

    def test_a_new_log_is_empty(self, open_log: OpenLog, tmp_path: Path) -> None:
        log = open_log(tmp_path)
        assert log.last_position() == 0
        assert log.received_rows() == 0
        assert log.read(0, max_records=10, max_bytes=1000) == []
        assert log.consumed("anyone") == 0
        assert log.trim() == 0
        assert log.append([]) == 0
        assert log.check() == []
        log.close()

    def test_records_come_back_in_order_and_whole(self, open_log: OpenLog, tmp_path: Path) -> None:
        log = open_log(tmp_path)
        records = [new_record(n, rows=n, kind=kind) for n, kind in enumerate(RecordKind)]
        assert log.append(records[:1]) == 1
        assert log.append(records[1:]) == len(records)
        expected = [LogRecord(n + 1, record.kind, record.rows, record.payload) for n, record in enumerate(records)]
        assert log.read(0, max_records=100, max_bytes=1 << 20) == expected
        assert log.read(2, max_records=100, max_bytes=1 << 20) == expected[2:]
        assert log.received_rows() == sum(record.rows for record in records)
        log.close()
        log = open_log(tmp_path)
        assert read_all(log) == expected
        assert log.received_rows() == sum(record.rows for record in records)
        assert log.append([new_record(99)]) == len(records) + 1
        log.close()

    def test_read_is_bounded_but_always_goes_on(self, open_log: OpenLog, tmp_path: Path) -> None:
        log = open_log(tmp_path)
        log.append([new_record(n, size_bytes=992) for n in range(20)])
        assert [r.position for r in log.read(0, max_records=3, max_bytes=1 << 20)] == [1, 2, 3]
        assert [r.position for r in log.read(0, max_records=20, max_bytes=2_500)] == [1, 2]
        assert [r.position for r in log.read(4, max_records=20, max_bytes=1)] == [5]
        log.close()

    def test_an_empty_payload_and_a_large_one(self, open_log: OpenLog, tmp_path: Path) -> None:
        log = open_log(tmp_path)
        large = bytes(range(256)) * 4_096
        log.append([NewRecord(RecordKind.POINTS, 0, b""), NewRecord(RecordKind.QUARANTINE, 9, large)])
        assert [record.payload for record in read_all(log)] == [b"", large]
        log.close()

    def test_positions_are_never_used_again(self, open_log: OpenLog, tmp_path: Path) -> None:
        log = open_log(tmp_path)
        log.append([new_record(n, rows=2) for n in range(5)])
        log.set_consumed("all", 5)
        assert log.trim() == 5
        assert log.trim() == 0
        log.close()
        log = open_log(tmp_path)
        assert log.last_position() == 5
        assert log.received_rows() == 10
        assert log.read(0, max_records=10, max_bytes=1000) == []
        assert log.append([new_record(6)]) == 6
        assert [r.position for r in read_all(log)] == [6]
        assert log.check() == []
        log.close()

    def test_trim_keeps_what_any_consumer_needs(self, open_log: OpenLog, tmp_path: Path) -> None:
        log = open_log(tmp_path)
        log.append([new_record(n) for n in range(10)])
        assert log.trim() == 0  # nobody said that it is not needed
        log.set_consumed("quick", 8)
        log.set_consumed("slow", 3)
        assert log.trim() == 3
        assert [r.position for r in read_all(log)] == list(range(4, 11))
        log.set_consumed("slow", 2)  # going back changes nothing
        assert log.consumed("slow") == 3
        log.set_consumed("slow", 9)
        assert log.trim() == 5
        log.close()
        log = open_log(tmp_path)
        assert (log.consumed("quick"), log.consumed("slow")) == (8, 9)
        log.close()

    def test_a_consumer_cannot_be_ahead_of_the_log(self, open_log: OpenLog, tmp_path: Path) -> None:
        log = open_log(tmp_path)
        log.append([new_record(1)])
        with pytest.raises(UsageError, match="the log ends at 1"):
            log.set_consumed("eager", 2)
        log.close()

    def test_a_consumer_that_has_read_nothing_yet_holds_the_trim(self, open_log: OpenLog, tmp_path: Path) -> None:
        log = open_log(tmp_path)
        log.append([new_record(n) for n in range(4)])
        log.set_consumed("new", 0)
        log.set_consumed("old", 4)
        assert log.trim() == 0
        log.close()

    def test_reading_from_another_thread_while_writing(self, open_log: OpenLog, tmp_path: Path) -> None:
        log = open_log(tmp_path)
        count = 200
        found: list[LogRecord] = []

        def read() -> None:
            while len(found) < count:
                found.extend(log.read(len(found), max_records=10, max_bytes=1 << 20))

        reader = threading.Thread(target=read)
        reader.start()
        for number in range(count):
            log.append([new_record(number)])
        reader.join(30)
        assert [(r.position, r.payload) for r in found] == [(n + 1, new_record(n).payload) for n in range(count)]
        log.close()

    def test_a_closed_log_says_so(self, open_log: OpenLog, tmp_path: Path) -> None:
        log = open_log(tmp_path)
        log.append([new_record(1)])
        log.close()
        log.close()
        calls: list[Callable[[], object]] = [
            lambda: log.append([new_record(2)]),
            lambda: log.read(0, max_records=1, max_bytes=1),
            lambda: log.skip_corrupt(1),
            log.last_position,
            log.received_rows,
            lambda: log.consumed("x"),
            lambda: log.set_consumed("x", 1),
            log.trim,
            log.check,
        ]
        for call in calls:
            with pytest.raises(StoreError):
                call()

    def test_against_a_list(self, open_log: OpenLog) -> None:
        class Machine(LogMachine):
            def open_log(self, folder: Path) -> Log:
                return open_log(folder)

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )


class LogMachine(RuleBasedStateMachine):
    """The log beside a plain list of records: whatever the order of calls, both answer the same."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self._records: list[LogRecord] = []
        self._trimmed = 0
        self._consumed: dict[str, int] = {}

    def open_log(self, folder: Path) -> Log:
        raise NotImplementedError

    @initialize()
    def start(self) -> None:
        self._log = self.open_log(Path(self._folder.name))

    @rule(
        new=st.lists(
            st.builds(
                NewRecord,
                kind=st.sampled_from(RecordKind),
                rows=st.integers(0, 10_000),
                payload=st.binary(max_size=64) | st.integers(1, 70_000).map(lambda size: bytes([size % 256]) * size),
            ),
            max_size=5,
        )
    )
    def append(self, new: list[NewRecord]) -> None:
        for record in new:
            self._records.append(LogRecord(len(self._records) + 1, record.kind, record.rows, record.payload))
        assert self._log.append(new) == len(self._records)

    @rule(
        after=st.integers(0, 200), max_records=st.integers(1, 20), max_bytes=st.sampled_from([1, 100, 100_000, 1 << 30])
    )
    def read(self, after: int, max_records: int, max_bytes: int) -> None:
        after = min(after, len(self._records))
        expected = self._records[max(after, self._trimmed) :]
        found = self._log.read(after, max_records=max_records, max_bytes=max_bytes)
        assert found == expected[: len(found)]
        assert len(found) <= max_records
        assert bool(found) == bool(expected)
        assert len(found) == 1 or sum(len(record.payload) for record in found) <= max_bytes

    @rule(consumer=st.sampled_from("ab"), position=st.integers(0, 200))
    def consume(self, consumer: str, position: int) -> None:
        position = min(position, len(self._records))
        self._log.set_consumed(consumer, position)
        self._consumed[consumer] = max(position, self._consumed.get(consumer, 0))
        assert self._log.consumed(consumer) == self._consumed[consumer]

    @rule()
    def trim(self) -> None:
        target = max(min(self._consumed.values(), default=0), self._trimmed)
        assert self._log.trim() == target - self._trimmed
        self._trimmed = target

    @rule()
    def reopen(self) -> None:
        self._log.close()
        self._log = self.open_log(Path(self._folder.name))
        for consumer, position in self._consumed.items():
            assert self._log.consumed(consumer) == position

    @rule()
    def check(self) -> None:
        assert self._log.check() == []

    @invariant()
    def ends_agree(self) -> None:
        if hasattr(self, "_log"):
            assert self._log.last_position() == len(self._records)
            assert self._log.received_rows() == sum(record.rows for record in self._records)

    def teardown(self) -> None:
        if hasattr(self, "_log"):
            self._log.close()
        self._folder.cleanup()
