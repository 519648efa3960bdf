"""`Committer`: group commit, back-pressure, the end, and a disk that fails."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from queue import Queue

import pytest

from model.clock import FakeClock, SystemClock
from model.errors import StoreError, UsageError
from model.seams import NewRecord
from store.log.committer import Committer
from store.log.local import LocalLog
from tests.store.log_conformance import new_record, read_all

PROJECT = Path(__file__).parents[3]
PATIENCE_S = 30.0


class Acknowledged:
    """Collects what `done` was told; `wait` returns the first `count` in order."""

    def __init__(self) -> None:
        self._queue: Queue[tuple[str, int]] = Queue()

    def by(self, name: str) -> Callable[[int], None]:
        return lambda position: self._queue.put((name, position))

    def wait(self, count: int) -> list[tuple[str, int]]:
        return [self._queue.get(timeout=PATIENCE_S) for _ in range(count)]

    def empty(self) -> bool:
        return self._queue.empty()


class GatedLog(LocalLog):
    """A real log whose commits wait at a gate, so that a test decides what is in the queue meanwhile."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, clock=FakeClock())
        self.gate = threading.Event()
        self.at_gate: Queue[int] = Queue()  # number of records of each commit that reached the gate

    def append(self, records: Sequence[NewRecord]) -> int:
        self.at_gate.put(len(records))
        assert self.gate.wait(PATIENCE_S)
        return super().append(records)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[GatedLog]:
    log = GatedLog(tmp_path / "points.log.db")
    log.gate.set()
    yield log
    log.gate.set()
    log.close()


def unexpected(error: StoreError) -> None:
    raise AssertionError(error)


def test_submissions_are_committed_together_and_acknowledged_in_order(log: GatedLog) -> None:
    acknowledged = Acknowledged()
    log.gate.clear()
    committer = Committer(log, clock=SystemClock(), on_fatal=unexpected, max_delay_ms=0)
    committer.submit([new_record(0)], acknowledged.by("first"))
    assert log.at_gate.get(timeout=PATIENCE_S) == 1  # the writer was idle: it went at once
    for number in range(1, 11):
        committer.submit([new_record(2 * number), new_record(2 * number + 1)], acknowledged.by(str(number)))
    assert acknowledged.empty()
    log.gate.set()
    assert acknowledged.wait(11) == [("first", 1), *((str(n), 2 * n + 1) for n in range(1, 11))]
    assert log.at_gate.get(timeout=PATIENCE_S) == 20
    assert committer.close()
    stats = committer.stats()
    assert (stats.commits, stats.records, stats.rows, stats.queued_rows, stats.queued_bytes) == (2, 21, 21, 0, 0)
    assert [r.payload for r in read_all(log)] == [new_record(0).payload, *(new_record(n).payload for n in range(2, 22))]


def test_a_commit_starts_at_max_rows_and_is_bounded_by_it(log: GatedLog) -> None:
    acknowledged = Acknowledged()
    committer = Committer(log, clock=FakeClock(), on_fatal=unexpected, max_rows=100, max_delay_ms=60_000)
    committer.submit([new_record(1, rows=60)], acknowledged.by("a"))
    committer.submit([new_record(2, rows=60)], acknowledged.by("b"))  # 120 >= 100: due, but more than one commit
    assert acknowledged.wait(1) == [("a", 1)]
    assert log.at_gate.get(timeout=PATIENCE_S) == 1
    assert acknowledged.empty()
    committer.submit([new_record(3, rows=500)], acknowledged.by("large"))
    assert acknowledged.wait(2) == [("b", 2), ("large", 3)]
    assert committer.close()


def test_a_commit_starts_at_max_bytes(log: GatedLog) -> None:
    acknowledged = Acknowledged()
    committer = Committer(log, clock=FakeClock(), on_fatal=unexpected, max_commit_bytes=5_000, max_delay_ms=60_000)
    committer.submit([new_record(1, size_bytes=6_000)], acknowledged.by("a"))
    assert acknowledged.wait(1) == [("a", 1)]
    assert committer.close()


def test_a_commit_starts_when_the_first_has_waited_long_enough(log: GatedLog) -> None:
    clock = FakeClock()
    acknowledged = Acknowledged()
    committer = Committer(log, clock=clock, on_fatal=unexpected, max_delay_ms=250)
    committer.submit([new_record(1)], acknowledged.by("a"))
    clock.advance(0.2)
    committer.submit([new_record(2)], acknowledged.by("b"))
    assert log.at_gate.empty()
    clock.advance(0.06)
    assert acknowledged.wait(2) == [("a", 1), ("b", 2)]
    assert log.at_gate.get(timeout=PATIENCE_S) == 2
    assert committer.close()


def test_an_urgent_submission_takes_those_before_it_along(log: GatedLog) -> None:
    acknowledged = Acknowledged()
    committer = Committer(log, clock=FakeClock(), on_fatal=unexpected, max_delay_ms=60_000)
    committer.submit([new_record(1)], acknowledged.by("a"))
    committer.submit([new_record(2)], acknowledged.by("b"), urgent=True)
    assert acknowledged.wait(2) == [("a", 1), ("b", 2)]
    committer.submit([new_record(3)], acknowledged.by("c"))
    assert acknowledged.empty()  # the urgency is over
    assert committer.close()
    assert acknowledged.wait(1) == [("c", 3)]


@pytest.mark.parametrize("limit", ["rows", "bytes"])
def test_a_producer_waits_while_too_much_is_queued(log: GatedLog, limit: str) -> None:
    acknowledged = Acknowledged()
    log.gate.clear()
    committer = Committer(
        log,
        clock=SystemClock(),
        on_fatal=unexpected,
        max_delay_ms=0,
        max_queued_rows=10 if limit == "rows" else 1_000_000,
        max_queued_bytes=1_000 if limit == "bytes" else 1_000_000,
    )
    big = new_record(1, rows=50, size_bytes=5_000)
    committer.submit([big], acknowledged.by("over the limit alone"))  # always fits an empty queue
    entered = threading.Event()

    def submit() -> None:
        entered.set()
        committer.submit([new_record(2)], acknowledged.by("later"))

    producer = threading.Thread(target=submit)
    producer.start()
    assert entered.wait(PATIENCE_S)
    while committer.stats().blocked_submits == 0:
        producer.join(0.01)
    assert producer.is_alive()
    log.gate.set()
    assert acknowledged.wait(2) == [("over the limit alone", 1), ("later", 2)]
    producer.join(PATIENCE_S)
    assert not producer.is_alive()
    assert committer.close()


def test_close_drains_and_refuses_more(log: GatedLog) -> None:
    acknowledged = Acknowledged()
    committer = Committer(log, clock=FakeClock(), on_fatal=unexpected, max_rows=5, max_delay_ms=60_000)
    for number in range(4):
        committer.submit([new_record(number)], acknowledged.by(str(number)))
    assert acknowledged.empty()
    assert committer.close()
    assert acknowledged.wait(4) == [(str(n), n + 1) for n in range(4)]
    with pytest.raises(StoreError, match="closed"):
        committer.submit([new_record(9)], acknowledged.by("no"))
    assert committer.close()  # twice is once


def test_close_without_draining_forgets_what_waits(log: GatedLog) -> None:
    acknowledged = Acknowledged()
    committer = Committer(log, clock=FakeClock(), on_fatal=unexpected, max_delay_ms=60_000)
    committer.submit([new_record(1)], acknowledged.by("a"))
    assert committer.close(drain=False)
    assert acknowledged.empty()
    assert log.last_position() == 0


def test_close_is_bounded_and_wakes_blocked_producers(log: GatedLog) -> None:
    log.gate.clear()
    committer = Committer(log, clock=SystemClock(), on_fatal=unexpected, max_delay_ms=0, max_queued_rows=1)
    committer.submit([new_record(1)], print)
    refused: Queue[StoreError] = Queue()

    def submit() -> None:
        try:
            committer.submit([new_record(2)], print)
        except StoreError as error:
            refused.put(error)

    producer = threading.Thread(target=submit)
    producer.start()
    while committer.stats().blocked_submits == 0:
        producer.join(0.01)
    assert not committer.close(timeout_s=0.05)  # the commit under way hangs
    assert "closed" in str(refused.get(timeout=PATIENCE_S))
    producer.join(PATIENCE_S)
    log.gate.set()
    assert committer.close()
    assert log.last_position() == 1


def test_nothing_is_committed_while_the_store_is_too_far_behind(log: GatedLog) -> None:
    asked = Queue[bool]()
    open_gate = threading.Event()

    def may_commit() -> bool:
        asked.put(True)
        return open_gate.is_set()

    acknowledged = Acknowledged()
    with closing(
        Committer(log, clock=SystemClock(), on_fatal=unexpected, max_delay_ms=0, may_commit=may_commit)
    ) as committer:
        committer.submit([new_record(1)], acknowledged.by("a"), urgent=True)
        for _ in range(5):
            asked.get(timeout=PATIENCE_S)
        assert acknowledged.empty()
        assert log.last_position() == 0
        open_gate.set()
        assert acknowledged.wait(1) == [("a", 1)]


def test_what_waits_behind_the_closed_gate_is_drained_at_the_end(log: GatedLog) -> None:
    acknowledged = Acknowledged()
    committer = Committer(log, clock=SystemClock(), on_fatal=unexpected, max_delay_ms=0, may_commit=lambda: False)
    committer.submit([new_record(1)], acknowledged.by("a"))
    assert committer.close()
    assert acknowledged.wait(1) == [("a", 1)]


def test_waiting_for_the_log_to_grow(log: GatedLog) -> None:
    log.append([new_record(1)])
    clock = SystemClock()
    committer = Committer(log, clock=clock, on_fatal=unexpected, max_delay_ms=0)
    assert committer.wait_beyond(0, timeout_s=PATIENCE_S) == 1
    assert committer.wait_beyond(1, timeout_s=0.01) == 1  # nothing came
    seen: Queue[int] = Queue()
    waiter = threading.Thread(target=lambda: seen.put(committer.wait_beyond(1, timeout_s=PATIENCE_S)))
    waiter.start()
    committer.submit([new_record(2), new_record(3)], print)
    assert seen.get(timeout=PATIENCE_S) == 3
    waiter.join()
    waiter = threading.Thread(target=lambda: seen.put(committer.wait_beyond(3, timeout_s=PATIENCE_S)))
    waiter.start()
    assert committer.close()
    assert seen.get(timeout=PATIENCE_S) == 3
    waiter.join()


def test_a_failed_commit_is_told_once_and_acknowledges_nothing(log: GatedLog) -> None:
    acknowledged = Acknowledged()
    fatal: Queue[StoreError] = Queue()
    log.gate.clear()
    committer = Committer(log, clock=SystemClock(), on_fatal=fatal.put, max_delay_ms=0, max_queued_rows=2)
    committer.submit([new_record(1)], acknowledged.by("a"))
    log.at_gate.get(timeout=PATIENCE_S)
    committer.submit([new_record(2)], acknowledged.by("b"))
    refused: Queue[StoreError] = Queue()

    def submit() -> None:
        try:
            committer.submit([new_record(3)], acknowledged.by("c"))
        except StoreError as error:
            refused.put(error)

    producer = threading.Thread(target=submit)
    producer.start()
    while committer.stats().blocked_submits == 0:
        producer.join(0.01)
    log.close()  # the commit under way finds its file gone
    log.gate.set()
    assert "closed" in str(fatal.get(timeout=PATIENCE_S))
    assert "closed" in str(refused.get(timeout=PATIENCE_S))
    producer.join(PATIENCE_S)
    assert committer.failure is not None
    assert committer.wait_beyond(0, timeout_s=PATIENCE_S) == 0  # returns at once
    assert not committer.close()
    assert acknowledged.empty()
    assert fatal.empty()
    with pytest.raises(StoreError, match="closed"):
        committer.submit([new_record(4)], acknowledged.by("d"))


def test_a_callback_that_raises_is_fatal(log: GatedLog) -> None:
    fatal: Queue[StoreError] = Queue()
    committer = Committer(log, clock=SystemClock(), on_fatal=fatal.put, max_delay_ms=0)

    def broken(position: int) -> None:
        raise ValueError(f"position {position}")

    committer.submit([new_record(1)], broken)
    assert "position 1" in str(fatal.get(timeout=PATIENCE_S))
    assert not committer.close()


def test_nothing_to_commit_is_a_mistake(log: GatedLog) -> None:
    committer = Committer(log, clock=SystemClock(), on_fatal=unexpected)
    with pytest.raises(UsageError):
        committer.submit([], print)
    assert committer.close()


def test_the_caller_commits_what_is_urgent_when_nobody_writes(log: GatedLog) -> None:
    told: list[tuple[str, int]] = []
    after: list[str] = []
    committer = Committer(
        log,
        clock=FakeClock(),
        on_fatal=unexpected,
        max_delay_ms=1_000_000,
        by_caller=True,
        after_commit=lambda: after.append(threading.current_thread().name),
    )
    here = threading.current_thread().name
    committer.submit([new_record(1)], lambda position: told.append(("waits", position)))
    assert told == []
    committer.submit([new_record(2)], lambda position: told.append((here, position)), urgent=True)
    assert told == [("waits", 1), (here, 2)], "all of it, before submit returned"
    assert after == [here]
    assert committer.close()


def test_the_caller_does_not_wait_for_who_writes(log: GatedLog) -> None:
    acknowledged = Acknowledged()
    committer = Committer(log, clock=SystemClock(), on_fatal=unexpected, max_delay_ms=0, by_caller=True)
    log.gate.clear()
    first = threading.Thread(target=lambda: committer.submit([new_record(1)], acknowledged.by("a"), urgent=True))
    first.start()
    log.at_gate.get(timeout=PATIENCE_S)
    committer.submit([new_record(2)], acknowledged.by("b"), urgent=True)
    assert acknowledged.empty()
    log.gate.set()
    assert acknowledged.wait(2) == [("a", 1), ("b", 2)]
    first.join(PATIENCE_S)
    assert committer.close()


def test_a_commit_of_the_callers_that_fails_is_told_once(log: GatedLog) -> None:
    acknowledged = Acknowledged()
    fatal: Queue[StoreError] = Queue()
    committer = Committer(log, clock=SystemClock(), on_fatal=fatal.put, max_delay_ms=0, by_caller=True)
    log.close()
    committer.submit([new_record(1)], acknowledged.by("a"), urgent=True)
    assert "closed" in str(fatal.get_nowait())
    with pytest.raises(StoreError, match="closed"):
        committer.submit([new_record(2)], acknowledged.by("b"), urgent=True)
    assert not committer.close()
    assert acknowledged.empty()
    assert fatal.empty()


@pytest.mark.parametrize("by_caller", [False, True])
def test_many_producers(log: GatedLog, *, by_caller: bool) -> None:
    committer = Committer(
        log,
        clock=SystemClock(),
        on_fatal=unexpected,
        max_delay_ms=1,
        max_rows=40,
        max_queued_rows=60,
        by_caller=by_caller,
    )
    positions: dict[int, int] = {}

    def produce(first: int) -> None:
        for number in range(first, first + 100):
            committer.submit([new_record(number)], partial(positions.__setitem__, number), urgent=number % 7 == 0)

    producers = [threading.Thread(target=produce, args=(1_000 * n,)) for n in range(4)]
    for producer in producers:
        producer.start()
    for producer in producers:
        producer.join(PATIENCE_S)
    assert committer.close()
    found = {record.position: record.payload for record in read_all(log)}
    assert len(found) == 400
    assert {position: new_record(number).payload for number, position in positions.items()} == found
    for first in range(0, 4_000, 1_000):  # each producer's own order is kept
        mine = [positions[n] for n in range(first, first + 100)]
        assert mine == sorted(mine)


def test_a_full_disk_ends_a_process_without_a_false_acknowledgement(tmp_path: Path) -> None:
    """A real write error: the process may not make files longer than 1 MB."""
    script = (
        "import resource, sys, threading\n"
        "from pathlib import Path\n"
        "from model.clock import SystemClock\n"
        "from model.errors import StoreError\n"
        "from store.log.committer import Committer\n"
        "from store.log.local import LocalLog\n"
        "from tests.store.log_conformance import new_record\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
        "log = LocalLog(Path(sys.argv[1]), clock=SystemClock())\n"
        "fatal = threading.Event()\n"
        "committer = Committer(log, clock=SystemClock(), on_fatal=lambda error: fatal.set(), max_rows=2, max_delay_ms=0)\n"
        "try:\n"
        "    for number in range(1000): committer.submit([new_record(number, size_bytes=50_000)], print)\n"
        "except StoreError: pass\n"
        "assert fatal.wait(30)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "points.log.db")]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    ran = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    acknowledged = [int(line) for line in ran.stdout.splitlines()]
    assert acknowledged == list(range(1, len(acknowledged) + 1))
    assert 3 < len(acknowledged) < 20
    with closing(LocalLog(tmp_path / "points.log.db", clock=SystemClock())) as again:
        assert again.problems_at_open == []
        assert again.check() == []
        assert [r.payload for r in read_all(again)][: len(acknowledged)] == [
            new_record(n, size_bytes=50_000).payload for n in range(len(acknowledged))
        ]
