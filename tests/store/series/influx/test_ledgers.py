"""Ledgers of partitions, on both databases: what is kept, by whom, and that partitions do not wait for each other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from model.batch import PointBatch
from model.codes import Reason
from model.errors import Fenced, NotFound, StoreError
from model.quarantine import Quarantined
from model.seams import Outcome
from store.database import Where, on_server
from store.series.influx.ledgers import Ledgers, PartitionLedger, forget_epochs, make
from tests.store.series.influx.partitions import ledger_of

Take = Callable[..., PartitionLedger]


@pytest.fixture
def place(where: Callable[[str], Where]) -> Where:
    return where("series")


@pytest.fixture
def take(place: Where, tmp_path: Path) -> Iterator[Take]:
    with ExitStack() as stack:

        def taken(epoch: Callable[[], int] | int = 1, **options: Any) -> PartitionLedger:
            ledger = ledger_of(place, tmp_path, epoch, **options)
            stack.callback(ledger.close)
            return ledger

        yield taken


def outcome(position: int, rows: int, reason: Reason = Reason.OUT_OF_RANGE) -> Outcome:
    entries = [
        Quarantined(reason, 1, 1000 * position + n, "live", f"taxi/{n}", "\ud800 cut", bytes((n, 0, 255)))
        for n in range(rows)
    ]
    return Outcome(position, PointBatch.empty(), quarantined=entries)


def test_counters_are_a_partitions_own_and_add_up(place: Where, take: Take) -> None:
    make(place)
    everything = Ledgers(place)
    assert (everything.counters(), everything.each()) == ({}, {})
    one, other = take(partition=0), take(partition=1)
    one.put_counters({"position": 5, "stored": 1 << 40, "day:20000": 7})
    one.put_counters({"position": 6, "reason:3": 2})
    other.put_counters({"position": 1, "stored": 1, "gauge:expired": 4})
    assert one.counters() == {"position": 6, "stored": 1 << 40, "day:20000": 7, "reason:3": 2}
    assert everything.counters()["stored"] == (1 << 40) + 1
    assert everything.each()[1].totals.gauges == {"expired": 4}
    one.put_counters({"position": 2}, anew=True)
    assert one.counters() == {"position": 2}
    assert other.counters() == {"position": 1, "stored": 1, "gauge:expired": 4}
    everything.close()


def test_quarantined_rows_are_kept_up_to_a_limit_of_each_partition_and_reason(place: Where, take: Take) -> None:
    one, other = take(partition=0, max_quarantine_rows_per_reason=3), take(partition=1)
    one.keep(outcome(1, 2), 0)
    one.keep(outcome(2, 2), 1)
    one.keep(outcome(3, 1, Reason.STORE_REFUSED), 2)
    other.keep(outcome(9, 5), 8)
    everything = Ledgers(place)
    found = everything.quarantine_list(None, None, 100)
    assert len(found) == 3 + 1 + 5
    assert [row.id for row in found] == sorted((row.id for row in found), reverse=True)
    mine = [row for row in found if row.position < 9]
    assert [row.position for row in mine] == [3, 2, 2, 1]
    assert (mine[-1].entry.device, mine[-1].entry.raw, mine[-1].entry.detail) == ("taxi/1", b"\x01\x00\xff", "? cut")
    assert len(everything.quarantine_list(Reason.STORE_REFUSED, None, 100)) == 1
    assert everything.quarantine_list(None, found[3].id, 2) == found[4:6]
    assert everything.quarantine_show(found[0].id) == found[0]
    with pytest.raises(NotFound):
        everything.quarantine_show(10_000)
    one.keep(outcome(2, 1), 1)  # what was not committed comes again
    assert [row.position for row in one.quarantine_list(None, None, 100) if row.position < 9] == [2, 1]
    one.forget_beyond(1)
    one.forget_quarantine(1002)
    assert [row.position for row in everything.quarantine_list(None, None, 100)] == [9] * 5
    everything.close()


def test_whoever_took_it_last_writes_and_nobody_else(take: Take) -> None:
    older = take(5)
    older.put_counters({"position": 1})
    newer = take(6)
    assert newer.taking == older.taking + 1
    changes: list[Callable[[], object]] = [
        lambda: older.put_counters({"position": 9}),
        lambda: older.put_counters({}, anew=True),
        lambda: older.keep(outcome(1, 1), 0),
        lambda: older.forget_beyond(0),
        lambda: older.forget_quarantine(1 << 60),
        lambda: older.put_snapshot("analysis", 9, b""),
        older.take,
        lambda: take(5),
    ]
    for change in changes:
        with pytest.raises(Fenced):
            change()
    assert newer.counters() == {"position": 1}
    assert newer.snapshot("analysis") is None
    again = take(6)  # the same epoch anew: the one before it is over
    with pytest.raises(Fenced):
        newer.put_counters({"position": 2})
    again.take(beyond=100)
    assert again.taking == 101
    again.put_counters({"position": 2})


def test_after_servers_that_were_set_up_anew(place: Where, take: Take) -> None:
    before = take(700)
    with pytest.raises(Fenced, match="forget_epochs"):
        take(1)
    assert forget_epochs(place) == 1
    after = take(1)
    assert after.taking > before.taking
    with pytest.raises(Fenced):
        before.put_counters({"position": 3})


def test_partitions_do_not_wait_for_each_other(place: Where, take: Take) -> None:
    if not on_server(place):
        pytest.skip("a SQLite file has one writer")
    one, other = take(partition=0), take(partition=1)
    with one._writing():
        writer = threading.Thread(target=lambda: other.put_counters({"position": 3}))
        writer.start()
        writer.join(timeout=20)
        assert not writer.is_alive()
    assert other.counters() == {"position": 3}


def test_two_that_take_at_once_get_numbers_of_their_own(place: Where, take: Take) -> None:
    make(place)
    taken: list[PartitionLedger] = []
    threads = [threading.Thread(target=lambda: taken.append(take(7))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.taking for one in taken) == [1, 2, 3, 4, 5, 6]
    last = max(taken, key=lambda one: one.taking)
    last.put_counters({"position": 1})
    for one in taken:
        if one is not last:
            with pytest.raises(Fenced):
                one.put_counters({"position": 2})


def test_a_ledger_that_is_closed_says_so(take: Take) -> None:
    ledger = take()
    ledger.close()
    ledger.close()
    with pytest.raises(StoreError, match="closed"):
        ledger.counters()
