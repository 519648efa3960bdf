"""Series of several machines: the suite on a partition; holders that are late; kills between InfluxDB and the ledger; all of them read."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from model.area import Circle
from model.batch import PointBatch
from model.clock import SystemClock
from model.codes import Reason
from model.errors import Conflict, Fenced, NotFound, UsageError
from model.seams import Audit, Outcome, SeriesStore
from store.database import ServerTerms, Where
from store.series.influx import state
from store.series.influx.connection import Connection, Server
from store.series.influx.partition import PartitionSeries
from store.series.influx.store import InfluxSeries
from tests.conftest import wait_until
from tests.influx import Influxd, bucket_of
from tests.postgres import PostgresServer
from tests.store.series.conformance import (
    DAY_MS,
    HOUR_MS,
    T0,
    ListAudit,
    OpenStore,
    SeriesConformance,
    by_time,
    drive,
    grant,
    same,
)
from tests.store.series.influx.partitions import PARTITION, open_city, open_partition, set_up_buckets
from tests.store.series.influx.test_outage import all_there, batch_of

OpenPartition = Callable[..., PartitionSeries]


class TestPartition(SeriesConformance):
    @pytest.fixture
    def open_store(self, influxd: Influxd, postgres_server: PostgresServer) -> Iterator[OpenStore]:
        opened: list[SeriesStore] = []
        database = postgres_server.server()

        def open_one(folder: Path, audit: Audit) -> SeriesStore:
            server = set_up_buckets(influxd.server(bucket_of(folder)))
            opened.append(open_partition(server, database.place("series"), folder, len(opened) + 1, audit=audit))
            return opened[-1]

        yield open_one
        for store in opened:
            store.close()
        database.close()


@pytest.fixture
def server(influxd: Influxd, tmp_path: Path) -> Server:
    return set_up_buckets(influxd.server(bucket_of(tmp_path)))


@pytest.fixture
def ledgers(postgres_server: PostgresServer) -> Iterator[Where]:
    database = postgres_server.server()
    yield database.place("series")
    database.close()


@pytest.fixture
def opened(server: Server, ledgers: Where, tmp_path: Path) -> Iterator[OpenPartition]:
    stores: list[PartitionSeries] = []

    def open_one(epoch: Callable[[], int] | int = 1, *, partition: int = PARTITION) -> PartitionSeries:
        stores.append(open_partition(server, ledgers, tmp_path, epoch, partition=partition))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


def test_an_older_holder_is_refused_and_the_newer_one_goes_on(opened: OpenPartition) -> None:
    older = opened(5)
    older.commit(Outcome(1, batch_of(1)), stored_ms=T0)
    newer = opened(6)
    assert newer.totals().position == 1
    with pytest.raises(Fenced, match=r"Partition 3 was taken by holder 6, this is holder 5.*Let it go"):
        older.commit(Outcome(2, batch_of(2)), stored_ms=T0)
    for change in (lambda: older.put_snapshot("analysis", 2, b""), lambda: older.retain(T0 + 9 * DAY_MS)):
        with pytest.raises(Fenced):
            change()
    # its points and its counters are in InfluxDB by now: the newer one writes the same points, and its own counters count
    newer.commit(Outcome(2, batch_of(2)), stored_ms=T0)
    newer.commit(Outcome(3, batch_of(3)), stored_ms=T0)
    all_there(newer, 3)
    third = opened(7)
    all_there(third, 3)
    with pytest.raises(Fenced):
        opened(6)  # nor does he take it again
    third.commit(Outcome(4, batch_of(4)), stored_ms=T0)
    all_there(third, 4)


def test_counters_of_a_late_holder_count_no_more(opened: OpenPartition, server: Server) -> None:
    """It was stopped right before it wrote where it is; when it goes on, others have been far beyond."""
    older = opened(5)
    older.commit(Outcome(1, batch_of(1)), stored_ms=T0)
    late = state.line({state.POSITION: 2, state.STORED: 1_000_000}, partition=PARTITION, taking=older.ledger.taking)
    newer = opened(6)
    for position in range(2, 5):
        newer.commit(Outcome(position, batch_of(position)), stored_ms=T0)
    Connection(server).write(server.state_bucket, late)
    assert state.load_partition(Connection(server), PARTITION).counters[state.POSITION] == 4
    all_there(opened(7), 4)


def test_the_epoch_may_grow_while_a_turn_lasts(opened: OpenPartition) -> None:
    epoch = [5]
    holder = opened(lambda: epoch[0])
    holder.commit(Outcome(1, batch_of(1)), stored_ms=T0)
    epoch[0] = 8  # the servers pinned it anew
    holder.commit(Outcome(2, batch_of(2)), stored_ms=T0)
    with pytest.raises(Fenced):
        opened(7)
    holder.commit(Outcome(3, batch_of(3)), stored_ms=T0)
    all_there(holder, 3)


@pytest.mark.parametrize("die", ["points", "state"])
def test_a_kill_between_influxdb_and_the_ledger(
    influxd: Influxd, postgres_server: PostgresServer, tmp_path: Path, die: str
) -> None:
    """After the points: they are written again, to their places. After their counters: the next holder takes them over."""
    killed_at = _killed(influxd, postgres_server, f"between{die}", tmp_path, 1, die, 0.0)
    with closing(postgres_server.server(f"between{die}")) as database:
        server, where = influxd.server(f"between{die}"), database.place("series")
        with closing(open_city(server, where)) as city:
            assert city.totals().position == killed_at - 1  # what the ledger says until somebody holds it
        store = open_partition(server, where, tmp_path, 2)
        assert store.totals().position == (killed_at if die == "state" else killed_at - 1)
        for position in range(store.totals().position + 1, killed_at + 3):
            store.commit(Outcome(position, batch_of(position), gauges={"batches": 1}), stored_ms=T0)
        all_there(store, killed_at + 2)
        assert store.totals().gauges["batches"] == killed_at + 2
        with closing(open_city(server, where)) as city:
            assert city.totals() == store.totals()
        store.close()


@pytest.mark.parametrize("kills", [2, pytest.param(30, marks=pytest.mark.soak)])
def test_holders_that_are_killed_store_everything_once(
    influxd: Influxd, postgres_server: PostgresServer, tmp_path: Path, kills: int
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for number in range(1, kills + 1):
        _killed(influxd, postgres_server, f"killed{kills}", tmp_path, number, "any", chance.uniform(0, 0.5))
    with closing(postgres_server.server(f"killed{kills}")) as database:
        store = open_partition(influxd.server(f"killed{kills}"), database.place("series"), tmp_path, kills + 1)
        position = store.totals().position + 1
        store.commit(Outcome(position, batch_of(position), gauges={"batches": 1}), stored_ms=T0)
        assert store.totals().gauges["batches"] == position
        all_there(store, position)
        store.close()


def _killed(
    influxd: Influxd, postgres: PostgresServer, bucket: str, folder: Path, epoch: int, die: str, after_s: float
) -> int:
    """Let a holder begin, and kill it, or let it end itself; where it would have been."""
    set_up_buckets(influxd.server(bucket))
    command = [sys.executable, "-m", "tests.store.series.influx.partitions", influxd.url, bucket, postgres.url, bucket]
    child = subprocess.Popen([*command, str(folder), str(epoch), die], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    position = int(child.stdout.readline().split()[1])
    if die == "any":
        time.sleep(after_s)
        child.kill()
    assert child.wait(timeout=60) == -9
    child.stdout.close()
    return position + 3


@pytest.mark.soak
def test_a_database_that_is_away_is_waited_for(
    influxd: Influxd, own_postgres_server: PostgresServer, tmp_path: Path
) -> None:
    """PostgreSQL killed and started again under commits: what was under way is committed once."""
    server = set_up_buckets(influxd.server(bucket_of(tmp_path)))
    told: list[str | None] = []
    failed: list[BaseException] = []
    with closing(own_postgres_server.server(terms=_short())) as database:
        store = open_partition(
            server, database.place("series"), tmp_path, clock=SystemClock(), retry_min_ms=20, on_outage=told.append
        )
        stop = threading.Event()

        def commit() -> None:
            try:
                while not stop.is_set():
                    position = store.totals().position + 1
                    store.commit(Outcome(position, batch_of(position)), stored_ms=T0)
            except BaseException as error:
                failed.append(error)

        writer = threading.Thread(target=commit)
        writer.start()
        for _ in range(2):
            before = store.totals().position
            wait_until(lambda before=before: failed or store.totals().position > before + 2, what="commits")  # type: ignore[misc] # a default binds it
            own_postgres_server.kill()
            wait_until(lambda: failed or store.state().away, what="an outage")
            assert "_series at 127.0.0.1" in store.state().away
            own_postgres_server.start()
        wait_until(lambda: failed or not store.state().away, what="the end of the outage")
        stop.set()
        writer.join()
        assert not failed
        assert told[-1] is None
        position = store.totals().position
        all_there(store, position)
        with closing(open_city(server, database.place("series"))) as city:
            assert city.totals().position == position
        own_postgres_server.kill()
        ended: list[BaseException] = []

        def wait_in_vain() -> None:
            try:
                store.commit(Outcome(position + 1, batch_of(position + 1)), stored_ms=T0)
            except BaseException as error:
                ended.append(error)

        waiter = threading.Thread(target=wait_in_vain)
        waiter.start()
        wait_until(lambda: store.state().away, what="an outage")
        store.stop_waiting()
        waiter.join(timeout=30)
        assert [type(error).__name__ for error in ended] == ["Away"]
        store.close()


def _short() -> ServerTerms:
    return ServerTerms(wait_s=0.3, connect_timeout_s=1)


def test_a_server_or_a_ledger_that_was_set_back(
    opened: OpenPartition, server: Server, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    first = opened(1)
    for position in range(1, 4):
        first.commit(Outcome(position, batch_of(position)), stored_ms=T0)
    first.put_snapshot("analysis", 3, b"state")
    first.close()
    # a ledger restored from before everything: InfluxDB says how far it is, and its takings are not used again
    with closing(postgres_server.server()) as other:
        again = open_partition(server, other.place("series"), tmp_path, 2)
        assert again.ledger.taking > first.ledger.taking
        assert again.snapshot("analysis") == (3, b"state")
        all_there(again, 3)
        again.commit(Outcome(4, batch_of(4)), stored_ms=T0)
        all_there(again, 4)
        again.close()
        # InfluxDB set back to the beginning: the position is InfluxDB's, and what is of later goes
        Connection(server).delete(server.state_bucket, 0, HOUR_MS, '_measurement="state"')
        Connection(server).delete(server.bucket, 0, 1 << 41, '_measurement="fix"')
        back = open_partition(server, other.place("series"), tmp_path, 3)
        assert back.totals().position == 0
        assert back.snapshot("analysis") is None
        for position in range(1, 5):
            back.commit(Outcome(position, batch_of(position)), stored_ms=T0)
        all_there(back, 4)
        back.close()


def test_all_partitions_are_read_as_one(opened: OpenPartition, server: Server, ledgers: Where) -> None:
    audit = ListAudit()
    with closing(open_city(server, ledgers, audit=audit)) as city:
        assert (city.totals().position, city.partitions()) == (0, {})
        points = drive(9, 3600)
        halves = [points.take(np.flatnonzero(points.slot % 2 == part)) for part in (0, 1)]
        for part, half in enumerate(halves):
            store = opened(part + 4, partition=part)
            impossible = PointBatch.of(part + 1, {"slot": 1, "time_ms": 1 << 60})
            store.commit(Outcome(part + 5, half, duplicate=2, gauges={"mark.late": 3}), stored_ms=T0)
            store.commit(Outcome(part + 6, impossible), stored_ms=T0)
        totals = city.totals()
        assert (totals.position, totals.stored, totals.duplicate) == (6 + 7, len(points), 4)
        assert (dict(totals.quarantined), totals.gauges["mark.late"]) == ({Reason.OUT_OF_RANGE: 3}, 6)
        held = city.partitions()
        assert {part: (one.epoch, one.worker, one.totals.position) for part, one in held.items()} == {
            0: (4, "worker of 4", 6),
            1: (5, "worker of 5", 7),
        }
        for slot in range(9):
            same(city.track(grant(), f"taxi/{slot}", slot, T0, T0 + HOUR_MS), by_time(points, slot))
        assert len(city.latest(grant(), None)) == 9
        assert sum(map(len, city.fleet(grant(), T0, T0 + HOUR_MS))) == len(points)
        area = Circle(float(points.lat[40]), float(points.lon[40]), 300.0)
        assert len(city.inside(grant(), area, T0, T0 + HOUR_MS, max_vehicles=9))
        kept = city.quarantine_list(grant())
        assert [row.position for row in kept] == [7, 7, 6]
        assert [row.id for row in city.quarantine_list(grant(), before_id=kept[0].id, limit=1)] == [kept[1].id]
        assert city.quarantine_show(grant(), kept[2].id) == kept[2]
        with pytest.raises(NotFound):
            city.quarantine_show(grant(), 1 << 40)
        assert city.check() == []
        Connection(server).delete(server.bucket, T0, T0 + 60_000, '_measurement="fix" AND partition="1"')
        (problem,) = city.check()
        assert "partition 1" in problem.place
        assert len(audit.rows) == 16


def test_a_reader_writes_samples_and_nothing_else(opened: OpenPartition, server: Server, ledgers: Where) -> None:
    store = opened()
    with closing(open_city(server, ledgers)) as city:
        city.put_numbers("camera_luma", "camera/1", np.array([T0]), np.array([0.5]))
        city.flush()
        assert store.numbers(grant(), "camera_luma", "camera/1", 0, 1 << 60)[1].tolist() == [0.5]
        changes: list[Callable[[], object]] = [
            lambda: city.commit(Outcome(9, batch_of(1)), stored_ms=T0),
            lambda: city.retain(T0),
            lambda: city.contains(batch_of(1)),
            lambda: city.put_snapshot("a", 1, b""),
            city.make_durable,
        ]
        for change in changes:
            with pytest.raises(UsageError):
                change()
        assert city.snapshot("analysis") is None


def test_retention_is_each_partitions_own(opened: OpenPartition, server: Server, ledgers: Where) -> None:
    midnight = (T0 // DAY_MS + 1) * DAY_MS
    stores = [opened(partition=part) for part in (0, 1)]
    for part, store in enumerate(stores):
        points = drive(2, 60, start_ms=midnight - 60_000)
        points.slot += 2 * part
        store.commit(Outcome(1, points), stored_ms=midnight - 1)
        store.commit(Outcome(2, drive(1, 60, start_ms=midnight + HOUR_MS)), stored_ms=midnight + HOUR_MS)
        store.put_numbers("luma", "camera/1", np.array([midnight - 1, midnight]), np.array([1.0, 2.0]))
        store.flush()
    with closing(open_city(server, ledgers)) as city:
        assert stores[1].retain(midnight) == 12
        assert city.check() == []  # the other one has its own still
        assert city.totals().stored == 24
        assert len(city.numbers(grant(), "luma", "camera/1", 0, 1 << 60)[1]) == 2
        assert stores[0].retain(midnight) == 12
        assert city.check() == []
        totals = city.totals()
        assert (totals.stored, totals.gauges["expired"]) == (12, 24)
        assert city.numbers(grant(), "luma", "camera/1", 0, 1 << 60)[1].tolist() == [2.0]


def test_a_bucket_of_several_machines_is_not_that_of_one(opened: OpenPartition, server: Server, tmp_path: Path) -> None:
    opened().commit(Outcome(1, batch_of(1)), stored_ms=T0)
    with pytest.raises(Conflict, match="several machines"):
        InfluxSeries(server, tmp_path, audit=ListAudit(), clock=SystemClock())
