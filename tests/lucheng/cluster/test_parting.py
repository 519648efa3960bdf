"""A commit cut by partition: every row once, in its partition, in its order."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lucheng.cluster.parting import DEFAULT_MAX_PART_ROWS, PartedLog, part
from model.batch import PointBatch
from model.batch_codec import decode, encode
from model.seams import NewRecord, RecordKind
from model.status_batch import StatusBatch, Tick
from store.nats.partitions import partition_of

JOB = b"j" * 16


class Kept:
    """Partitions that keep what they are given."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.records: defaultdict[int, list[NewRecord]] = defaultdict(list)

    def append(self, records: dict[int, list[NewRecord]]) -> dict[int, int]:
        for partition, some in records.items():
            self.records[partition] += some
        return {partition: len(self.records[partition]) for partition in records}


def points(slots: list[int], first_seq: int) -> PointBatch:
    rows = len(slots)
    seq = list(range(first_seq, first_seq + rows))
    extra = {row: b'{"n":%d}' % seq[row] for row in range(0, rows, 3)}
    return PointBatch.of(rows, {"slot": slots, "time_ms": 1_000, "received_ms": 2_000, "seq": seq}, extra)


def record(batch: PointBatch) -> NewRecord:
    return NewRecord(RecordKind.POINTS, len(batch), encode(batch))


@given(
    st.integers(1, 9),
    st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=30), min_size=1, max_size=6),
    st.booleans(),
)
def test_each_row_once_in_its_partition_and_in_order(count: int, commits: list[list[int]], with_status: bool) -> None:
    kept = Kept(count)
    log = PartedLog(kept)
    seq = 0
    sent: dict[int, list[int]] = defaultdict(list)
    records: list[NewRecord] = []
    for number, slots in enumerate(commits):
        batch = points(slots, seq)
        for slot, one in zip(slots, batch.seq.tolist(), strict=True):
            sent[slot].append(one)
        seq += len(slots)
        records.append(record(batch))
        if with_status and number % 2:
            statuses = StatusBatch.of([(slot, 1, 2, 1, -1) for slot in slots])
            records.append(NewRecord(RecordKind.STATUS, 0, statuses.to_bytes()))
    assert log.append(records) == len(records) == log.last_position()
    found: dict[int, list[int]] = defaultdict(list)
    rows = statuses_found = 0
    for partition, some in kept.records.items():
        assert len([one for one in some if one.kind is RecordKind.POINTS]) <= 1
        for one in some:
            if one.kind is RecordKind.STATUS:
                status = StatusBatch.from_bytes(one.payload)
                statuses_found += len(status)
                assert {partition_of(slot, count) for slot in status.slot.tolist()} == {partition}
                continue
            batch = decode(one.payload)
            assert one.rows == len(batch)
            rows += one.rows
            for row, slot in enumerate(batch.slot.tolist()):
                assert partition_of(slot, count) == partition
                found[slot].append(int(batch.seq[row]))
            for row in batch.extra:
                assert batch.extra[row] == b'{"n":%d}' % int(batch.seq[row])
    assert rows == seq
    assert found == sent
    assert statuses_found == (sum(map(len, commits[1::2])) if with_status else 0)


def test_quarantine_goes_into_one_partition_and_takes_turns() -> None:
    kept = Kept(4)
    log = PartedLog(kept)
    for _ in range(8):
        log.append([NewRecord(RecordKind.QUARANTINE, 3, b"said")])
    assert {partition: len(some) for partition, some in kept.records.items()} == {0: 2, 1: 2, 2: 2, 3: 2}


def test_what_is_of_all_goes_to_all_between_what_came_before_and_after() -> None:
    slots = list(range(40))
    tick = NewRecord(RecordKind.TICK, 0, Tick(5, listening=True).to_bytes())
    fact = NewRecord(RecordKind.FACT, 0, b"{}")
    cut = list(part([record(points(slots, 0)), fact, record(points(slots, 100)), tick], 4, 0))
    for partition in range(4):
        kinds = [one.kind for where, one in cut if where == partition]
        assert kinds == [RecordKind.POINTS, RecordKind.FACT, RecordKind.POINTS, RecordKind.TICK]


def test_a_file_keeps_its_job() -> None:
    batch = points(list(range(30)), 0)
    file = NewRecord(RecordKind.FILE_POINTS, len(batch), JOB + encode(batch))
    cut = list(part([file], 3, 0))
    assert sum(one.rows for _, one in cut) == 30
    for partition, one in cut:
        assert one.kind is RecordKind.FILE_POINTS
        assert one.payload[:16] == JOB
        assert {partition_of(slot, 3) for slot in decode(one.payload[16:]).slot.tolist()} == {partition}
        assert bool((np.diff(decode(one.payload[16:]).seq) > 0).all())


def test_a_commit_of_one_partition_is_no_larger_message_than_servers_take() -> None:
    batch = PointBatch.of(
        2 * DEFAULT_MAX_PART_ROWS + 7, {"slot": 1, "time_ms": np.arange(2 * DEFAULT_MAX_PART_ROWS + 7)}
    )
    cut = list(part([record(batch)], 8, 0))
    assert {partition for partition, _ in cut} == {partition_of(1, 8)}
    assert [one.rows for _, one in cut] == [DEFAULT_MAX_PART_ROWS, DEFAULT_MAX_PART_ROWS, 7]
    assert np.concatenate([decode(one.payload).time_ms for _, one in cut]).tolist() == batch.time_ms.tolist()
