"""A writer that appends numbered records without pause, beside whoever kills the servers, and the judge of what is there."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field

from model.errors import StoreError
from model.seams import Log, NewRecord, RecordKind
from tests.store.log_conformance import read_all

MAX_PAYLOAD_BYTES = 3_000


def numbered(number: int) -> NewRecord:
    """A record that tells its number; the same number again is the same record."""
    chance = random.Random(number)
    rows = chance.randrange(1, 200)
    return NewRecord(
        RecordKind.POINTS, rows, number.to_bytes(8, "big") + chance.randbytes(chance.randrange(MAX_PAYLOAD_BYTES))
    )


@dataclass(slots=True)
class Stress:
    """Appends to a log on a thread until it is told to stop; `acknowledged` is number to position.

    Attributes:
        log: the log.
        start: the first number.
        most: records of one commit, at most.
    """

    log: Log
    start: int = 1
    most: int = 4
    acknowledged: dict[int, int] = field(default_factory=dict)
    failure: StoreError | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def begin(self) -> None:
        """Append from now on."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Append no more; raises what ended it before."""
        self._stop.set()
        assert self._thread is not None
        self._thread.join(120)
        assert not self._thread.is_alive()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        chance = random.Random(self.start)
        number = self.start
        while not self._stop.is_set():
            commit = [numbered(number + n) for n in range(chance.randrange(1, self.most + 1))]
            try:
                last = self.log.append(commit)
            except StoreError as error:
                self.failure = error
                return
            for n in range(len(commit)):
                self.acknowledged[number + n] = last - len(commit) + 1 + n
            number += len(commit)


def judge(log: Log, acknowledged: dict[int, int], *, whole_commits: bool = True) -> None:
    """Nothing acknowledged is lost or moved, nothing is there twice, in order, without gaps, and the counts are right.

    Args:
        log: opened anew.
        acknowledged: number of a record to its position.
        whole_commits: whether nothing beyond what was acknowledged may be there.
    """
    assert log.check() == []
    records = read_all(log, max_records=500, max_bytes=8 << 20)
    assert [record.position for record in records] == list(range(1, len(records) + 1))
    numbers = [int.from_bytes(record.payload[:8], "big") for record in records]
    assert len(set(numbers)) == len(numbers)
    assert numbers == sorted(numbers)
    for number, record in zip(numbers, records, strict=True):
        wanted = numbered(number)
        assert (record.rows, record.payload) == (wanted.rows, wanted.payload)
    found = dict(zip(numbers, (record.position for record in records), strict=True))
    assert {number: found.get(number) for number in acknowledged} == acknowledged
    if whole_commits:
        assert len(found) == len(acknowledged)
    assert log.received_rows() == sum(record.rows for record in records)
    assert log.last_position() == len(records)
