"""The embedded store: conformance, levels, a second process, damage, durability."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from model.batch import PointBatch
from model.clock import FakeClock
from model.codes import Reason
from model.errors import Corrupt, NotFound, Refused, SchemaTooNew, StoreError, TryAgain, UsageError
from model.quarantine import Quarantined
from model.seams import Audit, Outcome
from store.series.embedded import EmbeddedSeries
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


def opened(folder: Path, *, read_only: bool = False, max_open_rows: int = 1000, max_patches: int = 3) -> EmbeddedSeries:
    return EmbeddedSeries(
        folder / "series.db",
        audit=ListAudit(),
        clock=FakeClock(T0),
        read_only=read_only,
        max_open_rows=max_open_rows,
        max_seal_rows=700,
        max_patches=max_patches,
        max_fleet_batch_rows=300,
        max_lookup_keys=500,
        max_quarantine_rows_per_reason=5,
        max_open_numbers=20,
    )


def tables(folder: Path, *names: str) -> list[int]:
    """Number of rows of tables, by another connection."""
    with closing(sqlite3.connect(folder / "series.db")) as connection:
        return [connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names]


def commit_in_pieces(store: EmbeddedSeries, points: PointBatch, rows: int, stored_ms: int = T0) -> int:
    """Commit `points` in batches; return the last position."""
    position = store.totals().position
    for start in range(0, len(points), rows):
        position += 1
        batch = points.take(np.arange(start, min(start + rows, len(points))))
        store.commit(Outcome(position, batch), stored_ms=stored_ms)
    return position


class TestConformance(SeriesConformance):
    """The embedded store as it is shipped."""

    @pytest.fixture
    def open_store(self) -> OpenStore:
        def make(folder: Path, audit: Audit) -> EmbeddedSeries:
            return EmbeddedSeries(folder / "series.db", audit=audit, clock=FakeClock(T0))

        return make


class TestConformanceWithTinyLimits(SeriesConformance):
    """Every limit so small that flushes, splits, patches and merges happen all the time."""

    @pytest.fixture
    def open_store(self) -> OpenStore:
        def make(folder: Path, audit: Audit) -> EmbeddedSeries:
            return EmbeddedSeries(
                folder / "series.db",
                audit=audit,
                clock=FakeClock(T0),
                max_open_rows=50,
                max_open_batches=2,
                max_seal_rows=64,
                max_patches=1,
                max_fleet_batch_rows=7,
                max_lookup_keys=10,
                max_open_numbers=3,
                checkpoint_pages=4,
            )

        return make


def test_rows_move_down_the_levels(tmp_path: Path) -> None:
    store = opened(tmp_path)
    points = drive(2000, 40)  # two parts of slots
    commit_in_pieces(store, points, 400)
    assert tables(tmp_path, "open_batches", "segments", "chunks")[0] < 3
    assert tables(tmp_path, "segments")[0] >= 2
    assert store.seal(T0 + HOUR_MS) == len(points)
    assert tables(tmp_path, "open_batches", "segments", "chunks") == [0, 0, 2000]
    batches = list(store.fleet(grant(), T0, T0 + HOUR_MS))
    assert max(len(batch) for batch in batches) <= 300
    order = np.lexsort((points.time_ms, points.slot))
    same(PointBatch.concat(batches), points.take(order))
    assert store.check() == []


def test_only_ended_hours_are_sealed_and_sealing_can_be_done_in_steps(tmp_path: Path) -> None:
    store = opened(tmp_path)
    points = drive(20, 3 * 3600)
    commit_in_pieces(store, points, 500)
    ended = int((points.time_ms < T0 + 2 * HOUR_MS).sum())
    steps = []
    while rows := store.seal(T0 + 2 * HOUR_MS + 1000, max_rows=1):
        steps.append(rows)
    assert len(steps) > 1
    assert sum(steps) == ended
    assert sum(len(batch) for batch in store.fleet(grant(), 0, 1 << 60)) == len(points)


def test_patches_of_a_device_hour_are_merged(tmp_path: Path) -> None:
    store = opened(tmp_path)
    points = drive(2, 3600)
    order = np.random.default_rng(3).permutation(len(points))
    for number, rows in enumerate(np.array_split(order, 10), start=1):
        store.commit(Outcome(number, points.take(rows)), stored_ms=T0)
        store.seal(T0 + DAY_MS)
        assert tables(tmp_path, "chunks")[0] <= 2 * 3
    for slot in range(2):
        same(store.track(grant(), f"taxi/{slot}", slot, 0, 1 << 60), by_time(points, slot))
    assert store.check() == []


def test_very_many_stored_days_of_one_device_hour(tmp_path: Path) -> None:
    store = opened(tmp_path)
    points = PointBatch.of(530, {"slot": 3, "time_ms": T0 + np.arange(530), "lat": 40.0, "lon": 109.0})
    for row in range(530):
        store.commit(Outcome(row + 1, points.take(np.array([row]))), stored_ms=T0 + row * DAY_MS)
        store.seal(T0 + HOUR_MS)
    assert tables(tmp_path, "chunks")[0] < 530
    same(store.track(grant(), "taxi/3", 3, 0, 1 << 60), points)
    assert store.check() == []
    assert store.retain(T0 + 600 * DAY_MS) == 530


def test_times_beyond_the_hours_a_key_can_name(tmp_path: Path) -> None:
    store = opened(tmp_path)
    times = np.array([-(1 << 62), -1, 0, T0, 1 << 62], np.int64)
    points = PointBatch.of(5, {"slot": 1, "time_ms": times, "lat": 1.0, "lon": 2.0})
    store.commit(Outcome(1, points), stored_ms=T0)
    everything = grant(None, -(1 << 63), (1 << 63) - 1)
    for _ in range(2):
        same(store.track(everything, "taxi/1", 1, -(1 << 63), (1 << 63) - 1), points)
        assert sum(len(batch) for batch in store.fleet(everything, -(1 << 63), (1 << 63) - 1)) == 5
        assert store.contains(points).all()
        store.seal(1 << 62)
    assert store.check() == []


def test_latest_for_named_devices(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.commit(Outcome(1, drive(3, 60)), stored_ms=T0)
    slots = np.array([1, 2], np.int32)
    mine = grant(["taxi/1", "taxi/2"])
    assert store.latest(mine, slots, devices=["taxi/1", "taxi/2"]).slot.tolist() == [1, 2]
    with pytest.raises(Refused):
        store.latest(mine, slots, devices=["taxi/1", "taxi/3"])
    with pytest.raises(UsageError):
        store.latest(mine, slots, devices=["taxi/1"])
    early = grant(["taxi/1"], 0, T0)
    assert len(store.latest(early, slots[:1], devices=["taxi/1"])) == 0


def test_a_second_connection_reads_while_the_first_writes(tmp_path: Path) -> None:
    points = drive(5, 7200)
    store = opened(tmp_path)
    reader = opened(tmp_path, read_only=True)
    third = len(points) // 3
    for number in range(3):
        part = points.take(np.arange(number * third, (number + 1) * third))
        commit_in_pieces(store, part, 200)
        so_far = points.take(np.arange((number + 1) * third))
        for slot in range(5):
            same(reader.track(grant(), "taxi/1", slot, 0, 1 << 60), by_time(so_far, slot))
        assert reader.totals() == store.totals()
        same(reader.latest(grant(), None), store.latest(grant(), None))
        same(reader.latest(grant(), np.array([3], np.int32)), store.latest(grant(), np.array([3], np.int32)))
        assert sum(len(batch) for batch in reader.fleet(grant(), 0, 1 << 60)) == len(so_far)
        store.seal(T0 + HOUR_MS)
    for change in (
        lambda: reader.commit(Outcome(99, points), stored_ms=T0),
        lambda: reader.seal(T0),
        lambda: reader.retain(T0),
        lambda: reader.contains(points),
        lambda: reader.put_snapshot("a", 1, b""),
    ):
        with pytest.raises(UsageError):
            change()


def test_a_fleet_read_goes_on_while_rows_move(tmp_path: Path) -> None:
    store = opened(tmp_path)
    points = drive(50, 3 * 3600)
    commit_in_pieces(store, points, 900)
    rows = 0
    for number, batch in enumerate(store.fleet(grant(), 0, 1 << 60)):
        rows += len(batch)
        if number == 2:
            store.flush()
        if number == 5:
            store.seal(T0 + DAY_MS)
    assert rows == len(points)


def test_reading_needs_a_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        opened(tmp_path, read_only=True)
    sqlite3.connect(tmp_path / "series.db").close()
    with pytest.raises(TryAgain):
        opened(tmp_path, read_only=True)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "series.db")) as connection:
        connection.execute("PRAGMA user_version=99")
    for read_only in (False, True):
        with pytest.raises(SchemaTooNew):
            opened(tmp_path, read_only=read_only)


def test_snapshots(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert store.snapshot("analytics") is None
    store.put_snapshot("analytics", 5, b"old")
    store.put_snapshot("analytics", 9, b"state" * 1000)
    store.close()
    assert opened(tmp_path, read_only=True).snapshot("analytics") == (9, b"state" * 1000)


def test_make_durable_says_how_far_also_beside_a_reader(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert store.make_durable() == 0
    position = commit_in_pieces(store, drive(3, 600), 50)
    assert store.make_durable() == position
    assert (tmp_path / "series.db-wal").stat().st_size == 0
    with closing(sqlite3.connect(tmp_path / "series.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM open_batches").fetchone()
        position = commit_in_pieces(store, drive(3, 600, seed=9), 50)
        assert store.make_durable() == position
        assert (tmp_path / "series.db-wal").stat().st_size > 0


def test_quarantine_needs_a_grant_for_everything(tmp_path: Path) -> None:
    store = opened(tmp_path)
    bad = [Quarantined(Reason.NOT_JSON, 1, T0, f"t/{n}", "taxi/1", "no", b"{") for n in range(8)]
    store.commit(Outcome(1, PointBatch.empty(), quarantined=bad), stored_ms=T0)
    kept = store.quarantine_list(grant())
    assert [row.entry.source for row in kept] == ["t/7", "t/6", "t/5", "t/4", "t/3"]
    assert store.quarantine_show(grant(), kept[0].id) == kept[0]
    with pytest.raises(NotFound):
        store.quarantine_show(grant(), 999)
    for read in (lambda: store.quarantine_list(grant(["taxi/1"])), lambda: store.quarantine_show(grant(["taxi/1"]), 1)):
        with pytest.raises(Refused):
            read()


def _damage(folder: Path, table: str) -> None:
    """Flip one byte in the middle of the first blob of a table."""
    with closing(sqlite3.connect(folder / "series.db")) as connection, connection:
        number, blob = connection.execute(f"SELECT rowid, blob FROM {table} LIMIT 1").fetchone()
        middle = len(blob) // 2
        torn = blob[:middle] + bytes([blob[middle] ^ 1]) + blob[middle + 1 :]
        connection.execute(f"UPDATE {table} SET blob = ? WHERE rowid = ?", (torn, number))


@pytest.mark.parametrize(
    ("table", "place"),
    [
        ("open_batches", "open batch 3"),
        ("segments", "segment 1"),
        ("chunks", f"chunk hour {T0 // HOUR_MS}, slot 0, patch 0"),
        ("newest", "newest 0"),
        ("number_chunks", "numbers 1, day"),
        ("snapshots", "snapshot analytics"),
    ],
)
def test_check_names_what_is_damaged(tmp_path: Path, table: str, place: str) -> None:
    store = opened(tmp_path)
    points = drive(3, 5400)
    store.commit(Outcome(1, points), stored_ms=T0)  # more than max_open_rows: flushed
    store.seal(T0 + HOUR_MS)
    store.commit(Outcome(2, drive(3, 300, start_ms=T0 + 2 * HOUR_MS)), stored_ms=T0)
    store.flush()
    store.commit(Outcome(3, drive(3, 300, start_ms=T0 + 3 * HOUR_MS)), stored_ms=T0)
    store.put_numbers("luma", "camera/1", T0 + np.arange(50, dtype=np.int64), np.zeros(50))
    store.put_snapshot("analytics", 1, b"state")
    assert store.check() == []
    if table == "segments":
        assert tables(tmp_path, "segments")[0] >= 1
    store.close()
    _damage(tmp_path, table)
    reader = opened(tmp_path, read_only=True)
    problems = reader.check()
    assert len(problems) == 1
    if table != "segments":
        assert problems[0].place.startswith(place)
    assert "checksum" in problems[0].what
    reads: dict[str, Callable[[], object]] = {
        "newest": lambda: reader.latest(grant(), None),
        "number_chunks": lambda: reader.numbers(grant(), "luma", "camera/1", 0, 1 << 60),
        "snapshots": lambda: reader.snapshot("analytics"),
    }
    with pytest.raises(Corrupt):
        reads.get(table, lambda: list(reader.fleet(grant(), 0, 1 << 60)))()


def test_check_counts(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.commit(Outcome(1, drive(3, 3600)), stored_ms=T0)
    store.seal(T0 + HOUR_MS)
    with closing(sqlite3.connect(tmp_path / "series.db")) as connection, connection:
        connection.execute("DELETE FROM chunks WHERE key = (SELECT max(key) FROM chunks)")
    assert {problem.place.split()[0] for problem in store.check()} == {"group", "counters"}


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "series.db").write_bytes(b"not a database, certainly not one" * 100)
    with pytest.raises(Corrupt):
        opened(tmp_path)
