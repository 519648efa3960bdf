"""What became of a file, told by the workers: summed up, waited for while words come, and left in flight when nobody tells."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lucheng.cluster.file_tallies import FarFile, JobTeller
from lucheng.job_tally import JobTally
from model.clock import SystemClock
from model.codes import Reason
from model.seams import NewRecord, RecordKind
from store.log.committer import Committer
from store.log.local import LocalLog
from store.nats.link import Link
from tests.nats import NatsServer, link_to, names_of

JOB = bytes(range(16))
CLOCK = SystemClock()


def tally(stored: int, duplicate: int = 0, bad: int = 0) -> JobTally:
    made = JobTally()
    made.stored, made.duplicate = stored, duplicate
    made.quarantined = {Reason.BAD_ROW: bad} if bad else {}
    made.signals = {"speeding": stored}
    return made


@pytest.fixture
def committer(tmp_path: Path) -> Iterator[Committer]:
    log = LocalLog(tmp_path / "points.log.db", clock=CLOCK)
    made = Committer(log, clock=CLOCK, on_fatal=lambda _error: None, max_delay_ms=1)
    yield made
    made.close(timeout_s=5.0)
    log.close()


@pytest.fixture
def links(nats_server: NatsServer) -> Iterator[list[Link]]:
    made = [link_to([nats_server.url]) for _ in range(2)]
    yield made
    for link in made:
        link.close()


def points(rows: int) -> NewRecord:
    return NewRecord(RecordKind.FILE_POINTS, rows, JOB + b"x")


def test_two_workers_tell_and_the_answer_is_whole(committer: Committer, links: list[Link], tmp_path: Path) -> None:
    names = names_of(tmp_path)
    far, tell = FarFile(committer, links[0], names, quiet_s=30.0), JobTeller(links[1], names)
    with far.counting(JOB) as counted:
        far.put([points(6), NewRecord(RecordKind.QUARANTINE, 1, b"")])
        far.put([points(4)])
        tell(JOB, tally(5, duplicate=1))
        tell(bytes(16), tally(99))  # another file's
        later = threading.Timer(0.3, lambda: tell(JOB, tally(1, bad=3)))
        later.start()
        far.settle(0)
        later.join()
    assert (counted.stored, counted.duplicate, counted.quarantined) == (6, 1, {Reason.BAD_ROW: 3})
    assert counted.signals == {"speeding": 6}
    assert not counted.whole, "trips are not known"


def test_what_nobody_tells_of_stays_in_flight(committer: Committer, links: list[Link], tmp_path: Path) -> None:
    names = names_of(tmp_path)
    far = FarFile(committer, links[0], names, quiet_s=0.5)
    with far.counting(JOB) as counted:
        far.put([points(6)])
        JobTeller(links[1], names)(JOB, tally(2))
        far.settle(0)
    assert counted.rows == 2
