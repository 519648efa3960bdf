"""A commit of points, cut by partition: what the committer of an ingestor writes to.

Invariants: a device's rows lie in its own partition, in the order in which they came; every row and every entry of the
quarantine goes into exactly one partition; nothing is acknowledged before every partition has its part. Points of one commit
are joined and encoded once a partition, not once a message: a message of the servers costs more than the rows in it. It
judges no values and knows no devices but by slot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lucheng.steps import FILE_JOB_BYTES
from model.batch import PointBatch
from model.batch_codec import decode, encode
from model.seams import NewRecord, RecordKind
from model.status_batch import StatusBatch
from store.nats.partitions import partitions_of

#: Rows of one record of a partition: above what a commit brings each of them, below what one message holds even if all had extras.
DEFAULT_MAX_PART_ROWS = 20_000


class Parts(Protocol):
    """Where the parts go: `store.nats.partitions.Partitions`."""

    @property
    def count(self) -> int:
        """How many partitions there are."""
        ...

    def append(self, records: dict[int, list[NewRecord]]) -> dict[int, int]:
        """Make each partition's records durable; where each partition's last lies."""
        ...


class PartedLog:
    """All partitions as one log to append to; what `store.log.committer.Committer` needs of a log.

    Args:
        parts: the partitions.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._appended = 0
        #: Which partition takes the next commit's quarantine.
        self._turn = 0

    def append(self, records: Sequence[NewRecord]) -> int:
        """Make `records` durable, each row in its partition; how many were ever appended here. Raises StoreError."""
        self._turn = (self._turn + 1) % self._parts.count
        parted: dict[int, list[NewRecord]] = {}
        for partition, record in part(records, self._parts.count, self._turn):
            parted.setdefault(partition, []).append(record)
        if parted:
            self._parts.append(parted)
        self._appended += len(records)
        return self._appended

    def last_position(self) -> int:
        """How many records were appended here: partitions have positions of their own."""
        return self._appended


def part(records: Sequence[NewRecord], partitions: int, spare: int) -> Iterator[tuple[int, NewRecord]]:
    """Records cut by partition, in order; what is of no device goes to partition `spare`, facts and ticks to all.

    Points and statuses that came before a file's points, a fact or a tick stay before it. Points and statuses of one commit are
    one step of the pipeline, which takes points first, so between those two there is no order to keep.
    """
    points: list[PointBatch] = []
    statuses: list[StatusBatch] = []
    for record in records:
        if record.kind is RecordKind.POINTS:
            points.append(decode(record.payload))
        elif record.kind is RecordKind.STATUS:
            statuses.append(StatusBatch.from_bytes(record.payload))
        elif record.kind is RecordKind.QUARANTINE:
            yield spare, record
        else:
            yield from _gathered(points, statuses, partitions)
            points, statuses = [], []
            yield from _others(record, partitions)
    yield from _gathered(points, statuses, partitions)


def _gathered(
    points: list[PointBatch], statuses: list[StatusBatch], partitions: int
) -> Iterator[tuple[int, NewRecord]]:
    if points:
        batch = points[0] if len(points) == 1 else PointBatch.concat(points)
        for partition, cut in _cut(batch.slot, partitions):
            for start in range(0, len(cut), DEFAULT_MAX_PART_ROWS):
                rows = cut[start : start + DEFAULT_MAX_PART_ROWS]
                yield partition, NewRecord(RecordKind.POINTS, len(rows), encode(batch.take(rows)))
    if statuses:
        status = StatusBatch.concat(statuses)
        for partition, rows in _cut(status.slot, partitions):
            taken = StatusBatch(*(column[rows] for column in _columns(status)))
            yield partition, NewRecord(RecordKind.STATUS, 0, taken.to_bytes())


def _others(record: NewRecord, partitions: int) -> Iterator[tuple[int, NewRecord]]:
    if record.kind is RecordKind.FILE_POINTS:
        job, batch = record.payload[:FILE_JOB_BYTES], decode(memoryview(record.payload)[FILE_JOB_BYTES:])
        for partition, rows in _cut(batch.slot, partitions):
            yield partition, NewRecord(RecordKind.FILE_POINTS, len(rows), job + encode(batch.take(rows)))
        return
    for partition in range(partitions):
        yield partition, record


def _columns(batch: StatusBatch) -> tuple[npt.NDArray[Any], ...]:
    return batch.slot, batch.time_ms, batch.received_ms, batch.online, batch.battery_pct


def _cut(slot: npt.NDArray[np.int32], partitions: int) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    """Rows of each partition that has any, in their order: one stable sort."""
    if not len(slot):
        return
    where = partitions_of(slot, partitions)
    order = np.argsort(where, kind="stable")
    ends = np.searchsorted(where[order], np.arange(partitions + 1))
    for partition in range(partitions):
        begin, end = int(ends[partition]), int(ends[partition + 1])
        if end > begin:
            yield partition, order[begin:end]
