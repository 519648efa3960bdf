"""What only the InfluxDB store has: places of points, refusals by name, injection (S10), set-up, check, a second process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.area import Circle
from model.batch import PointBatch
from model.clock import FakeClock
from model.codes import Reason
from model.errors import StoreError, TryAgain, UsageError
from model.presence import presences
from model.seams import Outcome, Samples
from store.series.influx import reading
from store.series.influx.connection import Away, Connection, Denied
from store.series.influx.setting_up import set_up
from store.series.influx.store import InfluxSeries
from tests.influx import Influxd, bucket_of, open_influx
from tests.store.series.conformance import DAY_MS, HOUR_MS, T0, ListAudit, by_time, drive, grant, same
from tests.store.series.influx.test_line_protocol import NASTY


def fleet_of(store: InfluxSeries) -> PointBatch:
    return PointBatch.concat(list(store.fleet(grant(), 0, 1 << 60)))


def test_points_of_one_millisecond_are_all_kept_and_come_again_to_their_places(
    influxd: Influxd, tmp_path: Path
) -> None:
    store = open_influx(influxd, tmp_path, ListAudit())
    rows = 30
    crowd = PointBatch.of(
        rows, {"slot": np.arange(rows) % 3, "time_ms": T0, "lat": 40.0 + np.arange(rows) / 1000, "lon": 109.0}
    )
    store.commit(Outcome(1, crowd.take(np.arange(10))), stored_ms=T0)
    store.commit(Outcome(2, crowd), stored_ms=T0)  # as after a crash: the first ten are on the server already
    store.commit(Outcome(3, PointBatch.concat([crowd, crowd])), stored_ms=T0)
    found = fleet_of(store)
    assert sorted(found.lat.tolist()) == crowd.lat.tolist()
    assert store.totals().duplicate == rows
    assert store.contains(crowd).all()
    other = crowd.take(np.arange(rows))
    other.lat += 1
    assert not store.contains(other).any()
    store.close()
    again = open_influx(influxd, tmp_path, ListAudit())
    assert again.contains(crowd).all()
    again.commit(Outcome(4, other), stored_ms=T0)
    assert len(fleet_of(again)) == 2 * rows
    again.close()


def test_the_newest_of_one_millisecond_is_the_last_by_seq(influxd: Influxd, tmp_path: Path) -> None:
    store = open_influx(influxd, tmp_path, ListAudit())
    points = PointBatch.of(3, {"slot": 4, "time_ms": T0, "seq": [8, 9, 7], "lat": 40.0, "lon": 109.0})
    store.commit(Outcome(1, points), stored_ms=T0)
    reader = open_influx(influxd, tmp_path, ListAudit(), read_only=True)
    for one in (store, reader):
        assert one.latest(grant(), None).seq.tolist() == [9]
    store.close()
    assert open_influx(influxd, tmp_path, ListAudit()).newest_keys()[2].tolist() == [9]


def test_extras_of_every_kind_come_back(influxd: Influxd, tmp_path: Path) -> None:
    store = open_influx(influxd, tmp_path, ListAudit())
    texts = [
        b'{"a":"q\\"uote, and = space"}', b'{"b":"\xe4\xba\xac\\\\"}', b"\xff", b"a\r\nb", b"x" * 200_000,
        "\u2028👮".encode(), b'"', b"\\", b"#", b"a,b\tc", bytes(range(256)),
    ]  # fmt: skip
    points = PointBatch.of(
        len(texts) + 1, {"slot": 1, "time_ms": T0 + np.arange(len(texts) + 1) * 1000, "lat": 40.0, "lon": 109.0},
        dict(enumerate(texts)),
    )  # fmt: skip
    store.commit(Outcome(1, points), stored_ms=T0)
    assert store.totals().stored == len(points)
    same(store.track(grant(), "taxi/1", 1, T0, T0 + HOUR_MS), points)


@pytest.mark.parametrize("gzip", [False, True])
def test_no_name_breaks_out_of_a_write_or_a_query(influxd: Influxd, tmp_path: Path, *, gzip: bool) -> None:
    """S10: device ids, series and sources made of separators, line breaks, quotes and Flux."""
    server = influxd.server(bucket_of(tmp_path), gzip=gzip)
    set_up(server, retention_days=0, late_days=30, hourly_days=0)
    store = InfluxSeries(server, tmp_path, audit=ListAudit(), clock=FakeClock(T0), device_ids=lambda: NASTY)
    points = drive(len(NASTY), 120)
    store.commit(Outcome(1, points), stored_ms=T0)
    assert store.totals().stored == len(points)
    assert store.check() == []
    for slot, name in enumerate(NASTY):
        same(store.track(grant(), name, slot, 0, 1 << 60), by_time(points, slot))
    samples = [
        Samples(one, other, np.array([T0 + 1], np.int64), np.array([float(n)]))
        for n, (one, other) in enumerate(zip(NASTY, NASTY[::-1], strict=True))
    ]
    store.put_many_numbers(samples)
    assert store.state().dropped_numbers == 0
    for n, one in enumerate(samples):
        assert store.numbers(grant(), one.series, one.source, T0, T0 + HOUR_MS)[1].tolist() == [n]
    assert store.numbers(grant(), 'x" or true or r.series == "', "y", 0, 1 << 60)[1].tolist() == []
    store.close()


def test_a_line_that_the_server_refuses_is_named_and_keeps_nothing_out(influxd: Influxd, tmp_path: Path) -> None:
    store = open_influx(influxd, tmp_path, ListAudit(), device_ids=lambda: ["taxi/0", "taxi/1"])
    points = drive(2, 3000)
    # another writer has made `sat` a text in this hour: lines that have it are refused
    Connection(influxd.server(bucket_of(tmp_path))).write(
        bucket_of(tmp_path), b'fix,age=0,slot=77 sat="many",flags=0i %d\n' % (T0 * 1_000_000)
    )
    chosen = [5, 6, 300, 599]
    points.sat[chosen] = 9
    store.commit(Outcome(1, points), stored_ms=T0)
    totals = store.totals()
    assert totals.stored == len(points) - len(chosen)
    assert dict(totals.quarantined) == {Reason.STORE_REFUSED: len(chosen)}
    good = points.take(points.sat != 9)
    same(store.track(grant(), "taxi/1", 1, 0, 1 << 60), by_time(good, 1))
    kept = store.quarantine_list(grant(), reason=Reason.STORE_REFUSED)
    assert [row.entry.device for row in reversed(kept)] == [f"taxi/{points.slot[row]}" for row in chosen]
    assert "sat" in kept[0].entry.detail
    assert kept[0].entry.raw.startswith(b"fix,age=0,device=taxi/")
    assert store.quarantine_show(grant(), kept[0].id) == kept[0]
    store.commit(Outcome(2, drive(2, 60, start_ms=T0 + 3 * HOUR_MS)), stored_ms=T0)
    assert store.totals().stored == len(points) - len(chosen) + 12


def test_what_has_no_place_on_the_server_is_quarantined_by_reason(influxd: Influxd, tmp_path: Path) -> None:
    store = open_influx(influxd, tmp_path, ListAudit(), late_days=200, retention_days=90)
    now_ms = int(time.time() * 1000)  # the server's retention goes by its own clock: 120 days here
    time_ms = [now_ms, 1 << 60, -(1 << 60), now_ms - 210 * DAY_MS, now_ms - 119 * DAY_MS, now_ms - 130 * DAY_MS]
    points = PointBatch.of(6, {"slot": 1, "time_ms": time_ms, "received_ms": now_ms, "lat": 40.0, "lon": 109.0})
    store.commit(Outcome(1, points), stored_ms=now_ms)
    totals = store.totals()
    assert dict(totals.quarantined) == {Reason.OUT_OF_RANGE: 2, Reason.STORE_REFUSED: 2}
    assert totals.stored == 2
    details = [row.entry.detail for row in store.quarantine_list(grant(), reason=Reason.STORE_REFUSED)]
    assert any("influx.late_days" in detail for detail in details)
    assert any("retention" in detail for detail in details)
    assert store.check() == []


def test_a_replayed_outcome_counts_its_quarantine_once(influxd: Influxd, tmp_path: Path) -> None:
    store = open_influx(influxd, tmp_path, ListAudit())
    points = PointBatch.of(1, {"slot": 1, "time_ms": 1 << 60})
    store.commit(Outcome(5, points), stored_ms=T0)
    with (
        pytest.MonkeyPatch.context() as patched
    ):  # the state's line is lost as in a crash: points and quarantine are there

        def lost(_changed: dict[str, int]) -> None:
            raise Away("gone")

        patched.setattr(store, "_set", lost)
        with pytest.raises(Away):
            store.commit(Outcome(6, points), stored_ms=T0)
    store.commit(Outcome(6, points), stored_ms=T0)
    assert len(store.quarantine_list(grant())) == 2
    assert store.totals().quarantined[Reason.OUT_OF_RANGE] == 2


def test_retention_ends_at_midnight_exactly(influxd: Influxd, tmp_path: Path) -> None:
    store = open_influx(influxd, tmp_path, ListAudit())
    midnight = (T0 // DAY_MS + 1) * DAY_MS
    last = PointBatch.of(1, {"slot": 1, "time_ms": midnight - 1, "lat": 40.0, "lon": 109.0})
    first = PointBatch.of(1, {"slot": 1, "time_ms": midnight, "lat": 41.0, "lon": 109.0})
    store.commit(Outcome(1, PointBatch.concat([last, first])), stored_ms=midnight - 1)
    store.commit(Outcome(2, drive(2, 30, start_ms=midnight - 10_000)), stored_ms=midnight + 1)
    store.put_numbers("luma", "camera/1", np.array([midnight - 1, midnight]), np.array([1.0, 2.0]))
    assert store.check() == []
    assert store.retain(midnight) == 2
    assert len(fleet_of(store)) == 6
    assert store.numbers(grant(), "luma", "camera/1", 0, 1 << 60)[1].tolist() == [2.0]
    totals = store.totals()
    assert (totals.stored, totals.gauges["expired"]) == (6, 2)
    assert store.check() == []
    store.close()
    again = open_influx(influxd, tmp_path, ListAudit())
    assert again.totals() == totals
    assert len(again.latest(grant(), None)) == 2


def test_check_names_the_day_that_lost_points(influxd: Influxd, tmp_path: Path) -> None:
    store = open_influx(influxd, tmp_path, ListAudit())
    store.commit(Outcome(1, drive(3, 600)), stored_ms=T0)
    store.commit(Outcome(2, drive(3, 600, start_ms=T0 - DAY_MS)), stored_ms=T0)
    assert store.check() == []
    server = influxd.server(bucket_of(tmp_path))
    Connection(server).delete(server.bucket, T0, T0 + 60_000, '_measurement="fix"')
    (problem,) = store.check()
    assert str(np.datetime64(T0 // DAY_MS, "D")) in problem.place
    assert problem.what.split()[0] == str(len(drive(3, 600)) * 2 - 18)


def test_a_reader_beside_the_writer(influxd: Influxd, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        open_influx(influxd, tmp_path, ListAudit(), read_only=True)
    store = open_influx(influxd, tmp_path, ListAudit())
    points = drive(100, 300)
    store.commit(Outcome(1, points), stored_ms=T0)
    reader = open_influx(influxd, tmp_path, ListAudit(), read_only=True)
    assert reader.totals() == store.totals()
    same(reader.latest(grant(), None), store.latest(grant(), None))
    wanted = np.array([99, 3, 500], np.int32)
    same(reader.latest(grant(), wanted), store.latest(grant(), wanted))
    store.commit(Outcome(2, drive(100, 300, start_ms=T0 + HOUR_MS)), stored_ms=T0)
    assert reader.totals().position == 2
    changes: list[Callable[[], object]] = [
        lambda: reader.commit(Outcome(9, points), stored_ms=T0),
        lambda: reader.seal(T0),
        lambda: reader.retain(T0),
        lambda: reader.contains(points),
        lambda: reader.put_snapshot("a", 1, b""),
        lambda: reader.put_numbers("a", "b", np.array([1]), np.array([1.0])),
        reader.make_durable,
    ]
    for change in changes:
        with pytest.raises(UsageError):
            change()


def test_who_was_inside_is_what_every_point_says(influxd: Influxd, tmp_path: Path) -> None:
    store = open_influx(influxd, tmp_path, ListAudit())
    points = drive(70, 2 * 3600, step_s=60)
    store.commit(Outcome(1, points), stored_ms=T0)
    area = Circle(float(points.lat[4000]), float(points.lon[4000]), 300.0)
    for window in ((T0, T0 + 2 * HOUR_MS), (T0 + 1_000_000, T0 + HOUR_MS + 500_000)):
        expected = presences(store.fleet(grant(), *window), area, max_vehicles=999)
        told = store.inside(grant(), area, *window, max_vehicles=999)
        assert [one.slot for one in told] == [one.slot for one in expected]
        assert len(told)
        for one, other in zip(told, expected, strict=True):
            same(one.points, other.points)
            assert one.enter_ms.tolist() == other.enter_ms.tolist()
    some = np.array([told[0].slot], np.int32)
    assert [one.slot for one in store.inside(grant(), area, *window, max_vehicles=9, slots=some)] == some.tolist()
    with pytest.raises(UsageError):
        store.inside(grant(), area, T0, T0 + 400 * DAY_MS, max_vehicles=9)


def test_snapshots_beyond_the_position_are_forgotten(influxd: Influxd, tmp_path: Path) -> None:
    store = open_influx(influxd, tmp_path, ListAudit())
    store.commit(Outcome(3, drive(1, 60)), stored_ms=T0)
    store.put_snapshot("analysis", 3, b"state")
    store.put_snapshot("other", 4, b"of a server that was set back")
    assert store.make_durable() == 3
    store.close()
    again = open_influx(influxd, tmp_path, ListAudit())
    assert again.snapshot("analysis") == (3, b"state")
    assert again.snapshot("other") is None


def test_set_up_may_be_run_again_and_says_what_it_did(influxd: Influxd, tmp_path: Path) -> None:
    server = influxd.server(bucket_of(tmp_path))
    assert {done.what for done in set_up(server, retention_days=90, late_days=30, hourly_days=0)} == {"made"}
    assert {done.what for done in set_up(server, retention_days=90, late_days=30, hourly_days=0)} == {"kept"}
    assert [done.what for done in set_up(server, retention_days=10, late_days=30, hourly_days=365)] == [
        "changed", "kept", "changed", "kept",
    ]  # fmt: skip
    client = Connection(server).client
    bucket = client.buckets_api().find_bucket_by_name(server.bucket)
    assert bucket.retention_rules[0].every_seconds == 40 * 86_400
    with pytest.raises(UsageError):
        set_up(replace(server, bucket='a" |> x'), retention_days=1, late_days=1, hourly_days=1)
    with pytest.raises(Denied):
        set_up(replace(server, token="wrong"), retention_days=1, late_days=1, hourly_days=1)


def test_the_task_counts_hours(influxd: Influxd, tmp_path: Path) -> None:
    """Its own Flux, run now over points of the last hours."""
    store = open_influx(influxd, tmp_path, ListAudit(), device_ids=lambda: ["taxi/0", "taxi/1"])
    server = influxd.server(bucket_of(tmp_path))
    hour_ms = int(time.time() * 1000) // HOUR_MS * HOUR_MS - 3 * HOUR_MS
    points = drive(2, 3600, start_ms=hour_ms)
    store.commit(Outcome(1, points), stored_ms=hour_ms + HOUR_MS)
    connection = Connection(server)
    (task,) = connection.client.tasks_api().find_tasks(name=server.hourly_bucket)
    list(connection.rows(task.flux, {}, ()))
    found = connection.rows(
        'from(bucket: bucket) |> range(start: 0) |> filter(fn: (r) => r._measurement == "fix_hourly")',
        {"bucket": server.hourly_bucket}, ("_field", "device", "_value"),
    )  # fmt: skip
    values = {(name, device): float(value) for name, device, value in found}
    for slot in range(2):
        speed = points.speed_kmh[points.slot == slot]
        assert values["fixes", f"taxi/{slot}"] == len(speed)
        assert values["speed_max_kmh", f"taxi/{slot}"] == speed.max()
        assert values["speed_mean_kmh", f"taxi/{slot}"] == pytest.approx(float(speed.mean()))


def test_a_server_that_is_not_there_or_lets_nobody_in(influxd: Influxd, tmp_path: Path) -> None:
    server = influxd.server(bucket_of(tmp_path))
    with pytest.raises(Denied) as denied:  # no buckets yet
        InfluxSeries(server, tmp_path, audit=ListAudit(), clock=FakeClock(T0))
    assert "store init" in str(denied.value)
    with pytest.raises(Denied) as denied:
        InfluxSeries(replace(server, token="secret-and-wrong"), tmp_path, audit=ListAudit(), clock=FakeClock(T0))
    assert "secret-and-wrong" not in str(denied.value) + repr(replace(server, token="secret-and-wrong"))
    store = InfluxSeries(replace(server, url="http://127.0.0.1:1"), tmp_path, audit=ListAudit(), clock=FakeClock(T0))
    assert store.totals().position == 0
    assert "cannot be reached" in store.state().away
    with pytest.raises(TryAgain):
        store.track(grant(), "taxi/1", 1, 0, T0)
    with pytest.raises(TryAgain):
        store.latest(grant(), None)
    store.close()


def test_flux_errors_are_told(influxd: Influxd) -> None:
    connection = Connection(influxd.server("first"))
    for flux in ("from(bucket: bucket) |> range(start: 0) |> nothing()", "not flux"):
        with pytest.raises(StoreError):
            list(connection.rows(flux, {"bucket": "first"}, ("_value",)))
    small = Connection(replace(influxd.server("first"), max_answer_bytes=100))
    many = b"".join(b"fix,age=0,slot=%d flags=1i 5\n" % n for n in range(100))
    small.write("first", many)
    with pytest.raises(StoreError, match="too long"):
        reading.slots_in(small, 0, 10)
