"""Partitions of series in InfluxDB for tests, and a holder in a process of its own that a test kills.

As a program it commits `batch_of` positions without end and says `ready POSITION` first. Arguments: address of influxd, bucket,
PostgreSQL's address and prefix, folder of the snapshots, epoch, where to die: `any` (the test's kill), `points` (after the points), `state` (after their counters).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model.clock import FakeClock, SystemClock
from model.seams import Audit, Outcome
from store.database import Server as Database
from store.database import Where
from store.series.influx.connection import Server
from store.series.influx.ledgers import Ledgers, PartitionLedger, make
from store.series.influx.local import LocalFile
from store.series.influx.partition import CitySeries, PartitionSeries
from store.series.influx.setting_up import set_up
from tests.postgres import PASSWORD
from tests.store.series.conformance import T0, ListAudit

PARTITION = 3


def ledger_of(
    where: Where, folder: Path, epoch: Callable[[], int] | int = 1, *, partition: int = PARTITION, **options: Any
) -> PartitionLedger:
    """A partition's ledger, taken; its snapshots lie in `folder`."""
    return PartitionLedger(
        where,
        partition,
        epoch=epoch if callable(epoch) else lambda: epoch,
        worker=f"worker of {epoch}",
        now_ms=lambda: T0,
        snapshots=LocalFile(folder / f"snapshots{partition}.db"),
        **options,
    )


def open_partition(
    server: Server,
    where: Where,
    folder: Path,
    epoch: Callable[[], int] | int = 1,
    *,
    partition: int = PARTITION,
    audit: Audit | None = None,
    clock: Any = None,
    **options: Any,
) -> PartitionSeries:
    """A partition's series, for the holder of `epoch`."""
    return PartitionSeries(
        server,
        ledger_of(where, folder, epoch, partition=partition),
        audit=audit or ListAudit(),
        clock=clock or FakeClock(T0),
        **options,
    )


def open_city(server: Server, where: Where, *, audit: Audit | None = None) -> CitySeries:
    """Everything, to be read."""
    make(where)
    return CitySeries(server, Ledgers(where), audit=audit or ListAudit(), clock=FakeClock(T0))


def set_up_buckets(server: Server) -> Server:
    """Make the buckets of a test."""
    set_up(server, retention_days=0, late_days=30, hourly_days=0)
    return server


def main(url: str, bucket: str, database: str, prefix: str, folder: str, epoch: str, die: str) -> None:
    from tests.store.series.influx.test_outage import batch_of

    server = Server(url=url, org="city", token="a-token-for-tests-only", bucket=bucket)
    where = Database(database, password=PASSWORD, prefix=prefix).place("series")
    store = open_partition(server, where, Path(folder), int(epoch), clock=SystemClock())
    position = store.totals().position
    print(f"ready {position}", flush=True)
    last = position + 3

    def killed(*_arguments: Any, **_more: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    while True:
        position += 1
        if position == last and die == "points":
            store._set = killed  # type: ignore[method-assign] # here it dies
        elif position == last and die == "state":
            store.ledger.put_counters = killed  # type: ignore[method-assign] # as above
        store.commit(Outcome(position, batch_of(position), gauges={"batches": 1}), stored_ms=T0)


if __name__ == "__main__":
    main(*sys.argv[1:])
