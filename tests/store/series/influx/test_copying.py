"""A store copied whole, a copy broken off, and a mirror that misses a while."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from model.batch import PointBatch
from model.clock import FakeClock, SystemClock
from model.codes import Reason
from model.errors import Conflict
from model.quarantine import Quarantined
from model.seams import Outcome
from store.series.embedded import EmbeddedSeries
from store.series.influx import reading
from store.series.influx.connection import Away, Connection
from store.series.influx.copying import Progress, copy_to_influx, mirrored
from store.series.influx.mirror import Mirror, MirroredSeries, Missed
from store.series.influx.setting_up import set_up
from store.series.influx.store import InfluxSeries
from tests.influx import Influxd, bucket_of, open_influx
from tests.store.series.conformance import DAY_MS, HOUR_MS, T0, ListAudit, by_time, drive, grant, same


def filled(folder: Path) -> EmbeddedSeries:
    """A store with points on every level, of two stored days, one millisecond shared, numbers, quarantine, a snapshot."""
    store = EmbeddedSeries(folder / "series.db", audit=ListAudit(), clock=FakeClock(T0), max_open_rows=500)
    points = drive(9, 3 * 3600)
    for position, rows in enumerate(np.array_split(np.arange(len(points)), 12), start=1):
        store.commit(
            Outcome(position, points.take(rows), gauges={"mark.late": 2}), stored_ms=T0 + position * HOUR_MS * 3
        )
    store.seal(T0 + 2 * HOUR_MS)
    crowd = PointBatch.of(
        4, {"slot": 3, "time_ms": T0 + HOUR_MS + 77, "seq": [4, 3, 2, 1], "lat": 40.0, "lon": 109.0}, {1: b'{"a":1}'}
    )
    bad = Quarantined(Reason.NOT_JSON, 1, T0, "v1/taxi/1/points", "taxi/1", "no JSON", b"{")
    store.commit(Outcome(13, crowd, duplicate=5, quarantined=[bad]), stored_ms=T0 + 2 * DAY_MS)
    store.put_numbers("luma", "camera/1", T0 + np.arange(6000) * 1000, np.arange(6000) / 7)
    store.put_numbers("b l,u=r", "camera\n1", np.array([T0]), np.array([np.nan]))
    store.put_snapshot("analysis", 13, b"state")
    return store


def test_a_store_is_the_same_after_a_copy_that_was_broken_off(influxd: Influxd, tmp_path: Path) -> None:
    source = filled(tmp_path)
    server = influxd.server(bucket_of(tmp_path))
    set_up(server, retention_days=0, late_days=30, hourly_days=0)
    told: list[Progress] = []

    class BrokenOff(Exception):
        pass

    def break_off(progress: Progress) -> None:
        told.append(progress)
        if len(told) == 3:
            raise BrokenOff

    def copy() -> int:
        return copy_to_influx(
            source, tmp_path / "series.db", server, tmp_path, clock=SystemClock(), progress=break_off, max_rows=700
        ).points

    with pytest.raises(BrokenOff):
        copy()
    assert Connection(server).ready()
    assert copy() == source.totals().stored
    assert told[3].done >= told[2].done > 0  # it goes on where it stopped
    assert told[-1].done == told[-1].total == source.totals().stored
    with pytest.raises(Conflict):
        copy()
    target = open_influx(influxd, tmp_path, ListAudit())
    assert target.totals() == source.totals()
    assert target.check() == []
    for slot in range(9):
        same(target.track(grant(), "", slot, 0, 1 << 60), source.track(grant(), "", slot, 0, 1 << 60))
    same(target.latest(grant(), None), source.latest(grant(), None))
    for series, camera in (("luma", "camera/1"), ("b l,u=r", "camera\n1")):
        for mine, other in zip(
            target.numbers(grant(), series, camera, 0, 1 << 60),
            source.numbers(grant(), series, camera, 0, 1 << 60),
            strict=True,
        ):
            np.testing.assert_array_equal(mine, other)
    assert target.quarantine_list(grant()) == source.quarantine_list(grant())
    assert target.snapshot("analysis") == (13, b"state")
    assert target.contains(drive(9, 3 * 3600)).all()
    # retention goes on by the stored days of the source
    assert target.retain(T0 + DAY_MS) == source.retain(T0 + DAY_MS) > 0
    assert target.totals() == source.totals()
    assert target.check() == []
    target.close()
    source.close()


def test_what_the_bucket_would_not_keep_stays_out_and_is_counted(influxd: Influxd, tmp_path: Path) -> None:
    now_ms = int(time.time() * 1000)
    source = EmbeddedSeries(tmp_path / "series.db", audit=ListAudit(), clock=FakeClock(now_ms))
    for position, (fix_days, stored_days) in enumerate(((60, 60), (50, 1), (2, 1)), start=1):
        points = drive(2, 30, start_ms=now_ms - fix_days * DAY_MS)
        source.commit(Outcome(position, points), stored_ms=now_ms - stored_days * DAY_MS)
    server = influxd.server(bucket_of(tmp_path))
    set_up(server, retention_days=20, late_days=10, hourly_days=0)
    done = copy_to_influx(
        source, tmp_path / "series.db", server, tmp_path, clock=SystemClock(), retention_days=20, late_days=10
    )
    before = source.totals()
    each = before.stored // 3
    assert (done.points, done.not_kept) == (each, 2 * each)
    target = InfluxSeries(server, tmp_path, audit=ListAudit(), clock=SystemClock())
    totals = target.totals()
    assert (totals.stored, totals.gauges["expired"], totals.quarantined[Reason.STORE_REFUSED]) == (each, each, each)
    assert totals.stored + totals.gauges["expired"] + sum(totals.quarantined.values()) == before.stored
    assert target.check() == []
    target.close()
    source.close()


def test_a_copy_needs_its_server(influxd: Influxd, tmp_path: Path) -> None:
    source = filled(tmp_path)
    with pytest.raises(Away):
        copy_to_influx(source, tmp_path / "series.db", influxd.server("none"), tmp_path, clock=SystemClock())
    source.close()


def test_a_mirror_has_every_point_but_those_that_it_missed(own_influxd: Influxd, tmp_path: Path) -> None:
    influxd = own_influxd
    server = influxd.server("mirror")
    set_up(server, retention_days=0, late_days=30, hourly_days=0)
    mirror = Mirror(server, clock=SystemClock(), wait_s=0.0, retry_min_ms=1, retry_max_ms=20)
    store = MirroredSeries(tmp_path / "series.db", audit=ListAudit(), clock=FakeClock(T0), mirror=mirror)
    first, second, third = (drive(4, 300, start_ms=T0 + n * HOUR_MS) for n in range(3))
    store.commit(Outcome(1, first), stored_ms=T0)
    store.commit(Outcome(1, first), stored_ms=T0)
    store.put_numbers("fps", "camera/1", np.array([T0]), np.array([25.0]))
    assert store.missed() == Missed()
    influxd.kill()
    store.commit(Outcome(2, second), stored_ms=T0)
    assert store.totals().stored == len(first) + len(second)
    missed = store.missed()
    assert (missed.points, missed.from_ms) == (len(second), int(second.time_ms.min()))
    influxd.start()
    tries = 2
    while store.missed().points == missed.points + (tries - 2) * 4 and tries < 200:  # until its back-off is over
        tries += 1
        store.commit(Outcome(tries, third.take(np.arange(4))), stored_ms=T0)
    held = store.missed()
    assert mirrored(iter(store.fleet(grant(), held.from_ms, held.to_ms)), mirror, T0) == 0
    store.forget_missed()
    assert store.missed() == Missed()
    connection = Connection(server)
    for slot in range(4):
        found = reading.points(connection, [slot], T0, T0 + 2 * HOUR_MS).points
        same(found, by_time(PointBatch.concat([first, second]), slot))
    mirror.flush()
    assert reading.numbers(connection, "fps", "camera/1", T0, T0 + 1)[1].tolist() == [25.0]
    store.close()
