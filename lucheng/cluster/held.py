"""A partition's log in the hands of the worker that holds it: nothing is written by one that is not certain to.

Invariants: reading is a sign of life of the worker; before a mark or a trim the turn is asked, and where it is unsure that
waits until it is certain, or lost. It opens and closes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from model.batch_codec import column_of
from model.codes import ALARM_KINDS
from model.errors import Corrupt
from model.seams import LogRecord, NewRecord, Problem, RecordKind
from store.nats.ownership import NotHeld

if TYPE_CHECKING:
    from model.seams import Log
    from store.nats.ownership import Turn

#: How long at a time an unsure turn is waited for.
_LOOK_S = 0.5
#: What is read ahead at most, to see whether it can wait.
_MAX_PEEKED_RECORDS = 128
_MAX_PEEKED_BYTES = 4 << 20
_URGENT_BITS = np.uint64(sum(1 << kind.bit for kind in ALARM_KINDS if kind.severity == 1))


class Sure:
    """Called right before anything is written: returns when the partition is certainly ours. Raises NotHeld when it is lost.

    Args:
        turn: of the partition.
        stopping: set when nobody shall wait any more.
    """

    def __init__(self, turn: Turn, stopping: threading.Event) -> None:
        self._turn = turn
        self._stopping = stopping

    def __call__(self) -> None:
        while not self._turn.held():
            if self._turn.lost or self._stopping.is_set():
                self._turn.check()
                return
            self._turn.wait_held(_LOOK_S)


class HeldLog:
    """The log of a partition that is held; `model.seams.Log`.

    Args:
        log: the partition's.
        turn: of the partition.
        sure: see `Sure`.
    """

    def __init__(self, log: Log, turn: Turn, sure: Sure) -> None:
        self._log = log
        self._turn = turn
        self._sure = sure
        self._peeked: list[LogRecord] = []

    def append(self, records: Sequence[NewRecord]) -> int:
        """See `Log.append`."""
        self._sure()
        return self._log.append(records)

    def read(self, after: int, *, max_records: int, max_bytes: int) -> list[LogRecord]:
        """See `Log.read`. Raises NotHeld when it is lost: what is read then leads nowhere."""
        self._turn.held()
        if self._turn.lost:
            raise NotHeld("The partition has another holder.", mend="It goes on from the log.")
        peeked = self._peeked
        if not peeked or peeked[0].position != after + 1:
            return self._log.read(after, max_records=max_records, max_bytes=max_bytes)
        self._peeked = []
        left_records = max_records - len(peeked)
        left_bytes = max_bytes - sum(len(record.payload) for record in peeked)
        if left_records <= 0 or left_bytes <= 0:
            return peeked
        try:
            return peeked + self._log.read(peeked[-1].position, max_records=left_records, max_bytes=left_bytes)
        except Corrupt:
            return peeked  # it comes again as the first to be read

    def presses(self, after: int) -> bool:
        """Whether, of what came after `after`, something must not wait: a point with an alarm bit of severity 1.

        What was read for that is read no second time.
        """
        beyond = self._peeked[-1].position if self._peeked and self._peeked[0].position == after + 1 else after
        if beyond == after:
            self._peeked = []
        if len(self._peeked) >= _MAX_PEEKED_RECORDS:
            return True
        try:
            found = self._log.read(beyond, max_records=_MAX_PEEKED_RECORDS, max_bytes=_MAX_PEEKED_BYTES)
            self._peeked += found
            return any(record.kind is RecordKind.POINTS and _urgent(record.payload) for record in found)
        except Corrupt:
            return True  # the pipeline says what is wrong with it

    def skip_corrupt(self, position: int) -> int:
        """See `Log.skip_corrupt`."""
        return self._log.skip_corrupt(position)

    def last_position(self) -> int:
        """See `Log.last_position`."""
        return self._log.last_position()

    def received_rows(self) -> int:
        """See `Log.received_rows`."""
        return self._log.received_rows()

    def consumed(self, consumer: str) -> int:
        """See `Log.consumed`."""
        return self._log.consumed(consumer)

    def set_consumed(self, consumer: str, position: int) -> None:
        """See `Log.set_consumed`."""
        self._sure()
        self._log.set_consumed(consumer, position)

    def trim(self) -> int:
        """See `Log.trim`."""
        self._sure()
        return self._log.trim()

    def check(self) -> list[Problem]:
        """See `Log.check`."""
        return self._log.check()

    def close(self) -> None:
        """See `Log.close`."""
        self._log.close()


def _urgent(payload: bytes) -> bool:
    return bool((column_of(payload, "alarm_bits") & _URGENT_BITS).any())
