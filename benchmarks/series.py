"""How fast does the embedded series store take a fleet's day, how small is it, how fast is a taxi-day back?

Run: `python -m benchmarks.series [--days-fleet N] [--soak-minutes N]`. Work: 70, 700 and 7,000 taxis for a
day at 10 s (time, latitude, longitude, speed, heading), committed in batches of 10,000 rows in order of
arrival and sealed hour by hour, `make_durable` at the end, all counted. Baseline in the same run, on one
hour of the same points: sort by (taxi, time) with `np.lexsort`, zlib level 6 of the raw columns (time int64,
place int32 of 1e-6°, speed and heading uint16) per taxi-hour, one insert each into SQLite. Then one
taxi-day out of 30 days, the same file looked up again as duplicates, and memory with 300,000 devices.

The noise is modelled on the real data in ../shared/data, which the report compares with what was made:

- Shenzhen taxi 28249 (1 Hz, looked at every 10 s): speed is 0 in 38 % of rows and its place then
  repeats to the last digit (99.8 %); 35 % of speed steps are 0, half are below 5 km/h, 90 % below 24;
  the second difference of latitude has median 84e-6°, 75 % below 280e-6°, 90 % below 515e-6°. Speeds are whole km/h.
- Headings are whole degrees, as JT/T 808 terminals send them: straight on with sigma 3°, 12 % of steps a
  turn of 90° (sigma 12°); a standing taxi keeps its last one.
- Position noise: sigma 2 m in each direction when driving (e-bike rides at 1 Hz have second
  differences of 0.3 m median: receivers smooth); distance driven differs from the speed by sigma 25 %.
- Standing: a stop begins in 6 % of steps; 88 % of stops last 30 s on average (lights), 12 % ten minutes (ranks).
  cabspotting: 18 % of legs below 1 km/h, 14 % below 5 m.
- Time: whole seconds; 3 % of steps are 9 or 11 s; 0.3 % leave a gap of 100 s on average.

The 7,000 taxis are the 700 ten times over, moved in place and time; no chunk sees another, so this
does not flatter. Prints its report; asserts nothing.
"""

from __future__ import annotations

import argparse
import os
import resource
import sqlite3
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.machine import machine
from model.batch import PointBatch
from model.clock import SystemClock
from model.grant import Grant, Purpose
from model.seams import Outcome
from store.series.embedded import EmbeddedSeries

SEED = 20_251_009
BATCH_ROWS = 10_000
TICKS_PER_HOUR = 360
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
T0 = 1_760_000_000_000 // DAY_MS * DAY_MS
GRANT = Grant("benchmark", "cli", Purpose("test"), None, 0, 1 << 60)
IntArray = npt.NDArray[np.int64]


class NoAudit:
    """Reads are timed without the audit: it has a benchmark and a disk sync of its own."""

    def append(self, who: str, role: str, action: str, target: str, purpose: str, detail: Mapping[str, Any]) -> int:  # noqa: ARG002 - the seam's
        return 1


class Fleet:
    """Taxis that drive by the noise model, hour by hour; columns have shape (ticks, taxis)."""

    def __init__(self, taxis: int, seed: int) -> None:
        self._chance = np.random.default_rng(seed)
        self.taxis = taxis
        self._left = np.zeros(taxis, np.int64)
        self._speed = self._chance.uniform(5, 60, taxis)
        self._heading = self._chance.uniform(0, 360, taxis)
        self._lat = 40.65 + self._chance.normal(0, 0.03, taxis)
        self._lon = 109.85 + self._chance.normal(0, 0.05, taxis)
        self._time_s = self._chance.integers(0, 10, taxis)

    def hour(self) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray]:
        """Time (s since the start), latitude and longitude (1e-6°), speed (km/h), heading (°)."""
        made = tuple(np.empty((TICKS_PER_HOUR, self.taxis), np.int64) for _ in range(5))
        for tick in range(TICKS_PER_HOUR):
            self._step()
            made[0][tick] = self._time_s
            made[1][tick] = np.rint(self._lat * 1e6)
            made[2][tick] = np.rint(self._lon * 1e6)
            made[3][tick] = np.rint(self._speed)
            made[4][tick] = np.rint(self._heading) % 360
        return made[0], made[1], made[2], made[3], made[4]

    def _step(self) -> None:
        chance, taxis = self._chance, self.taxis
        before = self._speed
        stopped = self._left > 1
        self._left -= 1
        begins = ~stopped & (chance.random(taxis) < 0.06)
        short = chance.random(taxis) < 0.88
        lasts = np.where(short, chance.geometric(1 / 3, taxis), chance.geometric(1 / 60, taxis))
        self._left[begins] = lasts[begins]
        stopped |= begins
        change = chance.laplace(0, 16, taxis) * (chance.random(taxis) > 0.08)
        driving = np.clip(np.abs(before + change + 0.08 * (42 - before) * (change != 0)), 3, 115)
        speed = np.where(stopped, 0.0, np.where(before == 0, chance.uniform(5, 45, taxis), driving))
        turn = np.where(
            chance.random(taxis) < 0.12,
            chance.choice((-90, 90), taxis) + chance.normal(0, 12, taxis),
            chance.normal(0, 3, taxis),
        )
        self._heading = np.where(stopped, self._heading, (self._heading + turn) % 360)
        moves = (before > 0) | (speed > 0)
        metres = (before + speed) / 7.2 * 10 * (1 + chance.normal(0, 0.25, taxis))
        angle = np.radians(self._heading)
        metres_per_degree = 111_200.0
        self._lat += (metres * np.cos(angle) + chance.normal(0, 2, taxis) * moves) / metres_per_degree
        self._lon += (metres * np.sin(angle) + chance.normal(0, 2, taxis) * moves) / (metres_per_degree * 0.759)
        self._speed = speed
        gap = np.where(chance.random(taxis) < 0.003, 10 * chance.geometric(0.1, taxis), 0)
        self._time_s += 10 + np.where(chance.random(taxis) < 0.03, chance.choice((-1, 1), taxis), 0) + gap


def batches(fleet: Fleet, copies: int, day: int = 0, *, all_columns: bool = False) -> Iterator[PointBatch]:
    """One hour of `copies` times the fleet, in order of arrival, in batches."""
    time_s, lat, lon, speed, heading = fleet.hour()
    rows = time_s.size * copies
    copy = np.arange(copies)[None, :, None]
    chance = np.random.default_rng(day)

    def spread(values: IntArray, move: int = 0) -> IntArray:
        spread_out: IntArray = (values[:, None, :] + copy * move).reshape(rows)
        return spread_out

    time_ms = T0 + day * DAY_MS + spread(time_s, 1) * 1000
    columns: dict[str, Any] = {
        "slot": np.tile(np.arange(fleet.taxis * copies), TICKS_PER_HOUR),
        "time_ms": time_ms,
        "lat": spread(lat, 7919) / 1e6,
        "lon": spread(lon, 6007) / 1e6,
        "speed_kmh": spread(speed),
        "heading_deg": spread(heading),
    }
    if all_columns:
        columns["received_ms"] = time_ms + chance.integers(80, 1800, rows)
        columns["seq"] = np.repeat(np.arange(TICKS_PER_HOUR) + (time_s[0, 0] // 10), rows // TICKS_PER_HOUR)
        columns["flags"] = 0x1FF & ~0x80
        columns["sat"] = 9 + chance.integers(0, 3, rows)
    hour = PointBatch.of(rows, columns)
    for start in range(0, rows, BATCH_ROWS):
        yield hour.take(np.arange(start, min(start + BATCH_ROWS, rows)))


@dataclass
class Spent:
    """CPU and wall seconds spent in `with`."""

    cpu_s: float = 0.0
    wall_s: float = 0.0
    _cpu: float = 0.0
    _wall: float = 0.0

    def __enter__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.cpu_s += time.process_time() - self._cpu
        self.wall_s += time.perf_counter() - self._wall


def opened(folder: Path) -> EmbeddedSeries:
    return EmbeddedSeries(folder / "series.db", audit=NoAudit(), clock=SystemClock())


def fill(
    store: EmbeddedSeries, fleet: Fleet, copies: int, hours: int, *, all_columns: bool = False
) -> tuple[int, Spent, Spent, list[float]]:
    """Commit and seal some hours; return rows, time of the commits, of the seals, and CPU ns a row of each commit."""
    commits, seals, each = Spent(), Spent(), []
    position = rows = 0
    for hour in range(hours):
        for batch in batches(fleet, copies, all_columns=all_columns):
            position += 1
            before = commits.cpu_s
            with commits:
                store.commit(Outcome(position, batch), stored_ms=T0)
            each.append((commits.cpu_s - before) / len(batch) * 1e9)
            rows += len(batch)
        with seals:
            store.seal(T0 + (hour + 1) * HOUR_MS)
    with seals:
        store.seal(T0 + 2 * DAY_MS)
        store.make_durable()
    return rows, commits, seals, each


def baseline(path: Path, fleet: Fleet, copies: int) -> tuple[float, float, float]:
    """(points per wall second, per CPU second, bytes a point) of plain zlib per taxi-hour."""
    pieces = list(batches(fleet, copies))
    spent = Spent()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE chunk (slot INTEGER PRIMARY KEY, blob BLOB)")
        with spent:
            hour = PointBatch.concat(pieces)
            order = np.lexsort((hour.time_ms, hour.slot))
            columns: list[npt.NDArray[Any]] = [
                hour.time_ms[order],
                np.rint(hour.lat[order] * 1e6).astype(np.int32),
                np.rint(hour.lon[order] * 1e6).astype(np.int32),
                (hour.speed_kmh[order] * 10).astype(np.uint16),
                (hour.heading_deg[order] * 10).astype(np.uint16),
            ]
            slot = hour.slot[order]
            edges = [0, *(np.flatnonzero(np.diff(slot)) + 1).tolist(), len(slot)]
            connection.execute("BEGIN")
            size = 0
            for start, end in pairwise(edges):
                blob = zlib.compress(b"".join(column[start:end].tobytes() for column in columns), 6)
                size += len(blob)
                connection.execute("INSERT INTO chunk VALUES (?, ?)", (int(slot[start]), blob))
            connection.execute("COMMIT")
    return len(hour) / spent.wall_s, len(hour) / spent.cpu_s, size / len(hour)


def report_writes(folder: Path, taxis: int, *, all_columns: bool = False) -> None:
    """One line for a fleet of `taxis` for a day, one for the baseline."""
    copies = max(taxis // 700, 1)
    folder.mkdir()
    store = opened(folder)
    rows, commits, seals, each = fill(store, Fleet(taxis // copies, SEED), copies, 24, all_columns=all_columns)
    wall, cpu = commits.wall_s + seals.wall_s, commits.cpu_s + seals.cpu_s
    with closing(sqlite3.connect(folder / "series.db")) as connection:
        blobs, chunks = connection.execute("SELECT sum(length(blob)), count(*) FROM chunks").fetchone()
        free = connection.execute("PRAGMA freelist_count").fetchone()[0] * 16_384
    size = os.path.getsize(folder / "series.db")  # noqa: PTH202 - one call
    store.close()
    extra = " (+ received_ms, seq, flags, sat)" if all_columns else ""
    print(
        f"{taxis:>6,} taxis x 1 day{extra}: {rows:,} points in {wall:.1f} s:"
        f" {rows / wall / 1e6:.2f} M points/s wall, {rows / cpu / 1e6:.2f} M per CPU-second;"
        f" commit+flush {commits.cpu_s / rows * 1e9:.0f} ns/row, of it commit {np.median(each):.0f},"
        f" seal {seals.cpu_s / rows * 1e9:.0f} ns/row CPU;"
        f" {blobs / rows:.2f} B/point in {chunks:,} chunks, {(size - free) / rows:.2f} B/point of file in use"
    )
    if not all_columns:
        per_wall, per_cpu, zlib_size = baseline(folder / "baseline.db", Fleet(taxis // copies, SEED), copies)
        print(
            f"        baseline zlib per taxi-hour: {per_wall / 1e6:.2f} M points/s wall, {per_cpu / 1e6:.2f} M per"
            f" CPU-second, {zlib_size:.2f} B/point; ratio {rows / wall / per_wall:.1f} x wall,"
            f" {rows / cpu / per_cpu:.1f} x CPU, {zlib_size / (blobs / rows):.1f} x smaller"
        )


def report_reads(folder: Path, taxis: int, days: int) -> None:
    """One taxi-day with `days` days there."""
    folder.mkdir()
    store = opened(folder)
    fleet = Fleet(taxis, SEED)
    fill(store, fleet, 1, 24 * days)
    chance = np.random.default_rng(SEED)
    for name, fresh in (("same process", False), ("a second, read-only connection", True)):
        reader = (
            EmbeddedSeries(folder / "series.db", audit=NoAudit(), clock=SystemClock(), read_only=True)
            if fresh
            else store
        )
        times_ms, rows = [], 0
        for _ in range(200):
            slot, day = int(chance.integers(taxis)), int(chance.integers(days))
            before = time.perf_counter()
            rows += len(reader.track(GRANT, "taxi/1", slot, T0 + day * DAY_MS, T0 + (day + 1) * DAY_MS))
            times_ms.append((time.perf_counter() - before) * 1e3)
        p50, p99 = np.percentile(times_ms, (50, 99))
        print(
            f"one taxi-day of {days} days x {taxis} taxis ({store.totals().stored:,} points), {name}:"
            f" p50 {p50:.2f} ms, p99 {p99:.2f} ms, {rows // 200:,} points each"
        )
    store.close()


def report_again(folder: Path) -> None:
    """A whole day of 489 taxis at a minute looked up again, all of it duplicates, from each level."""
    fleet = Fleet(489, SEED)
    pieces = [batch for hour in range(3) for batch in batches(fleet, 1, day=0)]
    rows = sum(len(batch) for batch in pieces)
    for level in ("open", "segments", "sealed"):
        place = folder / level
        place.mkdir(parents=True)
        store = opened(place)
        for position, batch in enumerate(pieces, start=1):
            store.commit(Outcome(position, batch), stored_ms=T0)
        if level == "segments":
            store.flush()
        elif level == "sealed":
            store.seal(T0 + 2 * DAY_MS)
        spent = Spent()
        with spent:
            found = sum(int(store.contains(batch).sum()) for batch in pieces)
        print(f"{found:,} of {rows:,} duplicates found at level {level}: {spent.wall_s:.2f} s, {spent.cpu_s:.2f} s CPU")
        store.close()


def report_soak(folder: Path, minutes: int) -> None:
    """300,000 devices, 13,700 points a second, as fast as it goes; resident memory on the way."""
    devices, per_second = 300_000, 13_700
    folder.mkdir()
    store = opened(folder)
    chance = np.random.default_rng(SEED)
    order = chance.permutation(devices)
    spent, rows = Spent(), 0
    told = []
    for second in range(60 * minutes):
        slot = np.take(order, np.arange(rows, rows + per_second), mode="wrap")
        batch = PointBatch.of(
            per_second,
            {
                "slot": slot,
                "time_ms": T0 + second * 1000 + chance.integers(0, 900, per_second),
                "received_ms": T0 + second * 1000 + 950,
                "lat": 40.65 + chance.normal(0, 0.03, per_second),
                "lon": 109.85 + chance.normal(0, 0.05, per_second),
                "speed_kmh": chance.integers(0, 80, per_second),
                "heading_deg": chance.integers(0, 360, per_second),
            },
        )
        rows += per_second
        with spent:
            store.commit(Outcome(second + 1, batch), stored_ms=T0)
        if second % max(60 * minutes // 6, 1) == max(60 * minutes // 6, 1) - 1:
            told.append(_resident_mib())
    with spent:
        store.seal(T0 + DAY_MS)
    print(
        f"300,000 devices, {rows:,} points: {spent.cpu_s / rows * 1e9:.0f} ns/row CPU with the seal; resident MiB on"
        f" the way {', '.join(f'{mib:.0f}' for mib in told)}, after the seal {_resident_mib():.0f}"
    )
    store.close()


def _resident_mib() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def report_noise(data: Path) -> None:
    """What was measured on the Shenzhen taxi beside what the model makes; latitudes, at 10 s."""
    time_s, lat, _, speed, _ = Fleet(500, SEED).hour()
    _tell_noise("made", time_s.T.ravel(), lat.T.ravel(), speed.T.ravel())
    path = data / "taxi" / "shenzhen-taxi-28249-one-day-1hz.csv"
    if not path.exists():
        print("noise real: not compared, the data is not there")
        return
    rows = [line.split(",") for line in path.read_text().splitlines()]
    clock = np.array([[int(part) for part in row[1].split(":")] for row in rows])
    seconds = clock @ np.array([3600, 60, 1])
    kept = np.unique(seconds, return_index=True)[1]
    kept = kept[seconds[kept] % 10 == 0]
    places = np.rint(np.array([float(rows[row][3]) for row in kept]) * 1e6).astype(np.int64)
    _tell_noise("real", seconds[kept], places, np.array([int(float(rows[row][5])) for row in kept]))


def _tell_noise(name: str, time_s: IntArray, places: IntArray, speeds: IntArray) -> None:
    near = np.diff(time_s) == 10
    steps = np.abs(np.diff(speeds))[near]
    second = np.abs(np.diff(places, 2))[near[1:] & near[:-1]]
    percentiles = (25, 50, 75, 90)
    print(
        f"noise {name}: speed 0 in {np.mean(speeds == 0):.0%}, step 0 in {np.mean(steps == 0):.0%}, steps"
        f" {np.percentile(steps, percentiles).astype(int).tolist()} km/h, second difference of latitude"
        f" {np.percentile(second, percentiles).astype(int).tolist()} e-6 deg (25, 50, 75, 90 %)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taxis", type=int, nargs="*", default=[70, 700, 7000])
    parser.add_argument("--days-fleet", type=int, default=70, help="taxis of the 30-day store (7,000 take an hour)")
    parser.add_argument("--soak-minutes", type=int, default=10, help="minutes of data of the 300,000-device run")
    given = parser.parse_args()
    print("question: points per second in (commit, flush, seal, durable), bytes per point, one taxi-day back")
    print(machine())
    report_noise(Path(os.environ.get("LUCHENG_TEST_DATA", "../shared/data")))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.soak_minutes:  # first: memory that another run left behind would hide its own
            report_soak(folder / "soak", given.soak_minutes)
        for taxis in given.taxis:
            report_writes(folder / f"writes-{taxis}", taxis)
        report_writes(folder / "all-columns", 700, all_columns=True)
        report_reads(folder / "reads", given.days_fleet, 30)
        report_again(folder / "again")


if __name__ == "__main__":
    main()
