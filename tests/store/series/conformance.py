"""What every implementation of `model.seams.SeriesStore` must do. An implementation joins by a subclass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.area import Circle, Polygon
from model.batch import COLUMNS, PointBatch, fixed
from model.codes import Flag, Mark, Reason
from model.errors import AuditUnwritable, Refused, StoreError, UsageError
from model.grant import Grant, Purpose
from model.quarantine import Quarantined
from model.seams import Audit, Outcome, Samples, SeriesStore
from tests.store.series.searched import Oracle, check

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
#: A full hour in October 2025, UTC.
T0 = 1_760_000_400_000 // HOUR_MS * HOUR_MS

#: Opens the store that lives in a folder; the same folder again is the same store.
OpenStore = Callable[[Path, Audit], SeriesStore]


class ListAudit:
    """An audit in memory; `broken` makes it unwritable."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, str, str, dict[str, Any]]] = []
        self.broken = False

    def append(self, who: str, role: str, action: str, target: str, purpose: str, detail: Mapping[str, Any]) -> int:
        if self.broken:
            raise AuditUnwritable("The audit cannot be written.", mend="Free the disk.")
        self.rows.append((who, role, action, target, purpose, dict(detail)))
        return len(self.rows)


def grant(devices: list[str] | None = None, from_ms: int = 0, to_ms: int = 1 << 60) -> Grant:
    """A grant of the case desk."""
    covered = None if devices is None else frozenset(devices)
    return Grant("lina", "officer", Purpose("case", "C-7", "lost bag"), covered, from_ms, to_ms)


def drive(slots: int, seconds: int, *, seed: int = 1, start_ms: int = T0, step_s: int = 10) -> PointBatch:
    """`slots` devices that drive about, a point every `step_s`, in order of time."""
    rng = np.random.default_rng(seed)
    ticks = seconds // step_s
    rows = slots * ticks
    time_ms = start_ms + np.repeat(np.arange(ticks) * step_s * 1000, slots) + rng.integers(0, 3, rows) * 1000
    speed = np.rint(np.abs(rng.normal(30, 20, rows)))
    return PointBatch.of(
        rows,
        {
            "slot": np.tile(np.arange(slots), ticks),
            "time_ms": time_ms,
            "received_ms": time_ms + rng.integers(100, 900, rows),
            "lat": 40.65 + np.cumsum(rng.normal(0, 1e-4, rows)).round(6),
            "lon": 109.84 + np.cumsum(rng.normal(0, 1e-4, rows)).round(6),
            "speed_kmh": speed,
            "heading_deg": np.where(speed > 5, rng.integers(0, 360, rows), np.nan),
            "flags": rng.integers(0, 512, rows),
        },
    )


def same(left: PointBatch, right: PointBatch) -> None:
    """Both hold the same rows in the same order, at the store's resolution."""
    assert len(left) == len(right)
    for column in COLUMNS:
        mine, other = left.column(column.name), right.column(column.name)
        if column.scale:
            mine, other = fixed(mine, column.scale), fixed(other, column.scale)
        np.testing.assert_array_equal(mine, other, err_msg=column.name)
    assert left.extra == right.extra


def by_time(batch: PointBatch, slot: int) -> PointBatch:
    """What a track of `slot` over everything must be."""
    rows = np.flatnonzero(batch.slot == slot)
    return batch.take(rows[np.lexsort((batch.seq[rows], batch.time_ms[rows]))])


class SeriesConformance:
    """Subclass it, and override `open_store`."""

    @pytest.fixture
    def open_store(self) -> OpenStore:
        raise NotImplementedError

    @pytest.fixture
    def audit(self) -> ListAudit:
        return ListAudit()

    @pytest.fixture
    def store(self, open_store: OpenStore, tmp_path: Path, audit: ListAudit) -> SeriesStore:
        return open_store(tmp_path, audit)

    def test_a_new_store_is_empty(self, store: SeriesStore) -> None:
        totals = store.totals()
        assert (totals.position, totals.stored, totals.duplicate) == (0, 0, 0)
        assert len(store.track(grant(), "taxi/1", 0, T0, T0 + HOUR_MS)) == 0
        assert list(store.fleet(grant(), T0, T0 + HOUR_MS)) == []
        assert len(store.latest(grant(), None)) == 0
        assert not store.contains(drive(3, 30)).any()
        assert store.seal(T0) == 0
        assert store.retain(T0) == 0
        assert store.check() == []

    def test_points_come_back_from_every_level(self, store: SeriesStore) -> None:
        points = drive(5, 7200)
        half = len(points) // 2
        store.commit(Outcome(1, points.take(np.arange(half))), stored_ms=T0)
        store.seal(T0 + HOUR_MS)
        store.commit(Outcome(2, points.take(np.arange(half, len(points)))), stored_ms=T0)
        for slot in range(5):
            same(store.track(grant(), f"taxi/{slot}", slot, T0, T0 + 2 * HOUR_MS), by_time(points, slot))
        window = store.track(grant(), "taxi/3", 3, T0 + 600_000, T0 + 900_000)
        assert len(window)
        assert int(window.time_ms.min()) >= T0 + 600_000
        assert int(window.time_ms.max()) < T0 + 900_000
        assert sum(len(batch) for batch in store.fleet(grant(), 0, 1 << 60)) == len(points)

    def test_every_column_is_kept(self, store: SeriesStore) -> None:
        rows = 40
        rng = np.random.default_rng(5)
        odd = PointBatch.of(
            rows,
            {
                "slot": 7,
                "time_ms": T0 + np.arange(rows) * 1000,
                "received_ms": np.where(np.arange(rows) % 3, T0 + np.arange(rows) * 1500, 0),
                "seq": np.where(np.arange(rows) % 2, np.arange(rows) * (1 << 57), -1),
                "lat": rng.uniform(-90, 90, rows),
                "lon": rng.uniform(-180, 180, rows),
                "speed_kmh": np.where(np.arange(rows) % 5, rng.uniform(0, 200, rows), np.nan),
                "heading_deg": rng.uniform(0, 360, rows),
                "alt_m": rng.uniform(-400, 9000, rows),
                "acc_m": rng.uniform(0, 100, rows),
                "sat": rng.integers(-1, 30, rows),
                "battery_pct": rng.integers(-1, 101, rows),
                "flags": rng.integers(0, 1 << 16, rows),
                "alarm_bits": rng.integers(0, 1 << 64, rows, dtype=np.uint64),
                "marks": rng.integers(0, 1 << 16, rows),
            },
            {3: b'{"fuel":4}', 39: b'{"x":[1,2]}'},
        )
        store.commit(Outcome(1, odd), stored_ms=T0)
        same(store.track(grant(), "taxi/7", 7, T0, T0 + HOUR_MS), odd)
        store.seal(T0 + HOUR_MS)
        same(store.track(grant(), "taxi/7", 7, T0, T0 + HOUR_MS), odd)
        assert store.contains(odd).all()

    def test_same_time_is_ordered_by_seq_and_late_points_merge_in(self, store: SeriesStore) -> None:
        time_ms = T0 + np.array([5000, 1000, 5000, 3000])
        points = PointBatch.of(4, {"slot": 1, "time_ms": time_ms, "seq": [9, 4, 7, 5], "lat": 40.0, "lon": 109.0})
        store.commit(Outcome(1, points.take(np.array([0]))), stored_ms=T0)
        store.seal(T0 + HOUR_MS)
        store.commit(Outcome(2, points.take(np.array([1, 2, 3]))), stored_ms=T0)
        for _ in range(2):
            assert store.track(grant(), "taxi/1", 1, T0, T0 + HOUR_MS).seq.tolist() == [4, 5, 7, 9]
            store.seal(T0 + HOUR_MS)

    def test_a_position_counts_once(self, store: SeriesStore) -> None:
        points = drive(2, 60)
        bad = Quarantined(Reason.NOT_JSON, 1, T0, "v1/taxi/1/points", "taxi/1", "no JSON", b"{")
        outcome = Outcome(
            4, points, duplicate=3, quarantined=[bad], counted={Reason.TOO_LARGE: 5}, gauges={"mark.late": 2}
        )
        store.commit(outcome, stored_ms=T0)
        store.commit(outcome, stored_ms=T0)
        store.commit(Outcome(3, points), stored_ms=T0)
        totals = store.totals()
        assert (totals.position, totals.stored, totals.duplicate) == (4, len(points), 3)
        assert dict(totals.quarantined) == {Reason.NOT_JSON: 1, Reason.TOO_LARGE: 5}
        assert totals.gauges["mark.late"] == 2

    def test_contains_is_exact(self, store: SeriesStore) -> None:
        points = drive(4, 3600)
        store.commit(Outcome(1, points), stored_ms=T0)
        for _ in range(2):
            assert store.contains(points).all()
            moved = drive(4, 3600)
            moved.lat[:] += 1e-6
            assert not store.contains(moved).any()
            other = drive(4, 3600)
            other.slot[:] += 4
            assert not store.contains(other).any()
            later = drive(4, 3600)
            later.time_ms[:] += 1
            assert not store.contains(later).any()
            assert store.contains(PointBatch.concat([moved, points])).tolist() == [False] * len(points) + [True] * len(
                points
            )
            store.seal(T0 + DAY_MS)

    def test_latest_is_the_newest_in_time_and_survives(
        self, open_store: OpenStore, tmp_path: Path, audit: ListAudit
    ) -> None:
        store = open_store(tmp_path, audit)
        points = drive(6, 1200)
        store.commit(Outcome(1, points), stored_ms=T0)
        late = PointBatch.of(1, {"slot": 2, "time_ms": T0 - 5000, "lat": 1.0, "lon": 2.0})
        store.seal(T0 + HOUR_MS)
        store.commit(Outcome(2, late), stored_ms=T0)
        expected = PointBatch.concat([by_time(points, slot).take(np.array([-1])) for slot in range(6)])
        for _ in range(2):
            same(store.latest(grant(), None), expected)
            same(
                store.latest(grant(), np.array([4, 2, 77], np.int32)),
                expected.take(np.array([2, 4])),
            )
            store.close()
            store = open_store(tmp_path, audit)
        newer = PointBatch.of(1, {"slot": 2, "time_ms": T0 + 2 * HOUR_MS, "lat": 1.0, "lon": 2.0})
        store.commit(Outcome(3, newer), stored_ms=T0)
        assert int(store.latest(grant(), np.array([2], np.int32)).time_ms[0]) == T0 + 2 * HOUR_MS

    def test_everything_survives_a_reopen(self, open_store: OpenStore, tmp_path: Path, audit: ListAudit) -> None:
        store = open_store(tmp_path, audit)
        points = drive(3, 5400)
        store.commit(Outcome(1, points), stored_ms=T0)
        store.seal(T0 + HOUR_MS)
        totals = store.totals()
        store.close()
        with pytest.raises(StoreError):
            store.totals()
        store = open_store(tmp_path, audit)
        assert store.totals() == totals
        same(store.track(grant(), "taxi/1", 1, 0, 1 << 60), by_time(points, 1))

    def test_a_search_is_what_looking_at_every_point_finds(self, store: SeriesStore) -> None:
        points = drive(8, 2 * 3600, step_s=40)
        half = len(points) // 2
        store.commit(Outcome(1, points.take(np.arange(half))), stored_ms=T0)
        store.seal(T0 + HOUR_MS)
        store.commit(Outcome(2, points.take(np.arange(half, len(points)))), stored_ms=T0)
        lat, lon = points.lat, points.lon
        small = Circle(float(lat[half]), float(lon[half]), 40.0)
        square = Polygon(
            (
                ((float(lon[9]), float(lat[9])), (float(lon[9]) + 2e-3, float(lat[9])), (float(lon[9]), float(lat[9]) + 1e-3)),
                ((float(lon[9]) + 1e-4, float(lat[9]) + 1e-4), (float(lon[9]) + 3e-4, float(lat[9]) + 1e-4), (float(lon[9]) + 1e-4, float(lat[9]) + 3e-4)),
            )
        )  # fmt: skip
        crossed = 0
        for area in (small, Circle(float(lat[3]), float(lon[3]), 300.0), square):
            for from_ms, to_ms in ((T0, T0 + 2 * HOUR_MS), (T0 + 1_000_000, T0 + 4_000_000)):
                expected = Oracle(area).search(points, from_ms, to_ms)
                crossed += sum(len(found.legs) for found in expected.values())
                check(store.inside(grant(), area, from_ms, to_ms, max_vehicles=8), expected)
        assert crossed
        some = np.array([5, 2, 77], np.int32)
        expected = Oracle(small).search(points.take(np.isin(points.slot, some)), T0, T0 + HOUR_MS)
        check(store.inside(grant(), small, T0, T0 + HOUR_MS, max_vehicles=8, slots=some), expected)
        with pytest.raises(Refused):
            store.inside(grant(), Circle(40.65, 109.84, 40_000.0), T0, T0 + HOUR_MS, max_vehicles=7)

    def test_a_leg_that_crosses_is_told_as_interpolated(self, store: SeriesStore) -> None:
        """One device a case, all from west to east past a gate of 200 m, 100 s before and after the hour is full."""
        gate = Polygon((((109.0, 40.0), (109.002, 40.0), (109.002, 40.002), (109.0, 40.002)),))
        cases: list[tuple[int, int, int]] = [  # seconds of the leg, mark and flag of its end
            (200, 0, 0),
            (300, 0, 0),
            (301, 0, 0),
            (200, int(Mark.JUMP), 0),
            (200, int(Mark.NO_FIX), 0),
            (200, 0, int(Flag.SIGHTED)),
            (200, int(Mark.LATE), int(Flag.OCCUPIED)),
        ]
        pieces = [
            PointBatch.of(
                2,
                {
                    "slot": slot,
                    "time_ms": [T0 + HOUR_MS - 100_000, T0 + HOUR_MS - 100_000 + took * 1000],
                    "lat": 40.001,
                    "lon": [108.998, 109.006],
                    "marks": [0, mark],
                    "flags": [0, flag],
                },
            )
            for slot, (took, mark, flag) in enumerate(cases)
        ]
        points = PointBatch.concat(pieces)
        early = points.time_ms < T0 + HOUR_MS
        store.commit(Outcome(1, points.take(early)), stored_ms=T0)
        store.seal(T0 + HOUR_MS)
        store.commit(Outcome(2, points.take(~early)), stored_ms=T0)
        for _ in range(2):
            told = store.inside(grant(), gate, T0, T0 + 2 * HOUR_MS, max_vehicles=9)
            assert [one.slot for one in told] == [0, 1, 6]
            assert all(one.interpolated and one.first_interpolated and one.last_interpolated for one in told)
            start = T0 + HOUR_MS - 100_000
            assert [(one.first_ms - start, one.last_ms - start) for one in told] == [
                (50_000, 100_000), (75_000, 150_000), (50_000, 100_000),
            ]  # fmt: skip
            same(told[1].legs, pieces[1])
            # Only what lies within the window is joined.
            assert store.inside(grant(), gate, T0, T0 + HOUR_MS, max_vehicles=9) == []
            store.seal(T0 + DAY_MS)

    def test_every_read_is_audited_before_it_returns(self, store: SeriesStore, audit: ListAudit) -> None:
        store.commit(Outcome(1, drive(3, 60)), stored_ms=T0)
        mine = grant(["taxi/1"])
        assert len(store.track(mine, "taxi/1", 1, T0, T0 + HOUR_MS))
        assert next(iter(store.fleet(grant(), T0, T0 + HOUR_MS)))
        assert len(store.latest(grant(), None))
        store.numbers(grant(["camera/1"]), "luma", "camera/1", T0, T0 + HOUR_MS)
        ours = np.array([1], np.int32)
        around = Circle(40.65, 109.84, 5_000.0)
        assert store.inside(mine, around, T0, T0 + HOUR_MS, max_vehicles=5, slots=ours, devices=["taxi/1"])
        assert [row[2] for row in audit.rows] == [
            "series.track", "series.fleet", "series.latest", "series.numbers", "series.inside",
        ]  # fmt: skip
        assert audit.rows[4][3] == "taxi/1"
        assert audit.rows[4][5]["area"] == {"center": [109.84, 40.65], "radius_m": 5_000.0}
        assert audit.rows[0][:5] == ("lina", "officer", "series.track", "taxi/1", "case:C-7:lost bag")
        assert audit.rows[0][5] == {"from_ms": T0, "to_ms": T0 + HOUR_MS}

    def test_no_grant_no_data_and_no_audit_no_data(self, store: SeriesStore, audit: ListAudit) -> None:
        store.commit(Outcome(1, drive(3, 60)), stored_ms=T0)
        mine = grant(["taxi/1"], T0, T0 + HOUR_MS)
        reads: list[Callable[[Grant], object]] = [
            lambda given: store.track(given, "taxi/2", 2, T0, T0 + HOUR_MS),
            lambda given: store.track(given, "taxi/1", 1, T0 - 1, T0 + HOUR_MS),
            lambda given: store.fleet(given, T0, T0 + HOUR_MS),
            lambda given: store.latest(given, None),
            lambda given: store.latest(given, np.array([1], np.int32)),
            lambda given: store.numbers(given, "luma", "camera/1", T0, T0 + HOUR_MS),
            lambda given: store.inside(given, Circle(40.65, 109.84, 500.0), T0, T0 + HOUR_MS, max_vehicles=5),
        ]
        for read in reads:
            with pytest.raises(Refused):
                read(mine)
        assert audit.rows == []
        audit.broken = True
        for read in reads:
            with pytest.raises(AuditUnwritable):
                read(grant())

    def test_numbers_replace_and_come_back_in_order(self, store: SeriesStore) -> None:
        time_ms = T0 + np.arange(100, dtype=np.int64)[::-1] * 1000
        store.put_numbers("luma", "camera/1", time_ms, np.arange(100, dtype=np.float64))
        store.put_numbers("luma", "camera/1", time_ms[:2], np.array([np.nan, -1.5]))
        store.put_numbers("luma", "camera/2", time_ms[:1], np.array([7.0]))
        times, values = store.numbers(grant(), "luma", "camera/1", T0 + 97_000, T0 + HOUR_MS)
        assert times.tolist() == [T0 + 97_000, T0 + 98_000, T0 + 99_000]
        np.testing.assert_array_equal(values, [2.0, -1.5, np.nan])
        assert store.numbers(grant(), "blur", "camera/1", 0, 1 << 60)[0].tolist() == []

    def test_many_numbers_are_kept_together_or_not_at_all(self, store: SeriesStore) -> None:
        time_ms, values = np.array([T0], np.int64), np.array([1.0])
        store.put_many_numbers([Samples("fps", f"camera/{n}", time_ms, values * n) for n in range(5)])
        store.put_many_numbers([])
        for n in range(5):
            assert store.numbers(grant(), "fps", f"camera/{n}", T0, T0 + 1)[1].tolist() == [n]
        with pytest.raises(UsageError):
            store.put_many_numbers(
                [Samples("fps", "camera/9", time_ms, values), Samples("fps", "camera/8", time_ms, np.zeros(2))]
            )
        assert not len(store.numbers(grant(), "fps", "camera/9", T0, T0 + 1)[0])

    def test_retention_takes_whole_stored_days(self, store: SeriesStore) -> None:
        first, second = drive(3, 600), drive(3, 600, seed=2, start_ms=T0 - 2 * HOUR_MS)
        store.commit(Outcome(1, first), stored_ms=T0)
        store.seal(T0 + HOUR_MS)
        store.commit(Outcome(2, second), stored_ms=T0 + DAY_MS)  # older fixes, stored later
        assert store.retain(T0) == 0
        assert store.retain(T0 + DAY_MS) == len(first)
        assert store.retain(T0 + DAY_MS) == 0
        assert store.totals().stored == len(second)
        assert sum(len(batch) for batch in store.fleet(grant(), 0, 1 << 60)) == len(second)
        same(store.track(grant(), "taxi/1", 1, 0, 1 << 60), by_time(second, 1))
        same(store.latest(grant(), np.array([1], np.int32)), by_time(second, 1).take(np.array([-1])))
        assert not store.contains(first).any()
        assert store.contains(second).all()
