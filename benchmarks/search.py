"""How fast is it told who was within 200 m of a place in an hour, out of how many days of a fleet?

Run: `python -m benchmarks.search [--days N] [--taxis N] [--step-s N] [--keep FOLDER]`. A store is filled with taxis that drive
about a city of some 20 km (the model of `benchmarks.series`, a point every `--step-s`), the days copied by moving their times, and
sealed. Then the same searches (200 m around the middle of the city, around a place nearer to its edge; 1 hour, 10 minutes, a day)
through the index and, as the baseline in the same run, by looking at every point of the window (`fleet`). Answers are compared. It
also reads one taxi-day again and again (baseline: the same rows in a plain SQLite table by (taxi, time)), and prints what the
index costs when sealing, and how large it is. Asserts nothing.

30 days of 7,000 taxis are 302 million points: `--keep` fills the store in a folder that stays, goes on there after an
interruption, and only searches the next time. The folder is for one number of taxis and one step.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analytics.search.company import in_company
from benchmarks.machine import machine
from benchmarks.series import GRANT, HOUR_MS, SEED, T0, Fleet, NoAudit, Spent
from console.search_around import Reader, around
from model.area import Area, Circle, Polygon
from model.batch import PointBatch
from model.clock import SystemClock
from model.presence import Presence, presences
from model.seams import Outcome
from store.series import places
from store.series.embedded import EmbeddedSeries
from store.series.rows import IntArray, Rows

BATCH_ROWS = 10_000
DAY_MS = 24 * HOUR_MS
#: The model of the fleet makes a point every ten seconds.
MODEL_STEP_S = 10
MIDDLE_LAT, MIDDLE_LON = 40.65, 109.85
#: Taxi-days read, and taxis of the plain table beside it.
TRACKS, MAX_PLAIN_TAXIS = 300, 700


class Days:
    """One day of the fleet, to be copied to other days."""

    def __init__(self, taxis: int, step_s: int) -> None:
        fleet = Fleet(taxis, SEED)
        every = step_s // MODEL_STEP_S
        self._hours: list[PointBatch] = []
        for _ in range(24):
            time_s, lat, lon, speed, heading = (column[::every] for column in fleet.hour())
            hour = PointBatch.of(
                time_s.size,
                {
                    "slot": np.tile(np.arange(taxis), len(time_s)),
                    "time_ms": T0 + time_s.ravel() * 1000,
                    "lat": lat.ravel() / 1e6,
                    "lon": lon.ravel() / 1e6,
                    "speed_kmh": speed.ravel(),
                    "heading_deg": heading.ravel(),
                },
            )
            # The model's clocks run on; what is beyond the day would lie among the next one's.
            self._hours.append(hour.take(hour.time_ms < T0 + DAY_MS))

    def batches(self, hour: int) -> int:
        """How many `hour` gives."""
        return -(-len(self._hours[hour]) // BATCH_ROWS)

    def hour(self, day: int, hour: int) -> Iterator[PointBatch]:
        """The points of one hour, in order of arrival, in batches."""
        whole = self._hours[hour]
        for start in range(0, len(whole), BATCH_ROWS):
            batch = whole.take(np.arange(start, min(start + BATCH_ROWS, len(whole))))
            batch.time_ms += day * DAY_MS
            yield batch


def fill(store: EmbeddedSeries, source: Days, days: int, hours: int = 24) -> Spent:
    """Commit what is not there yet, and seal; return the time of sealing (the flush of what is open among it)."""
    spent, position, there = Spent(), 0, store.totals().position
    for day in range(days):
        for hour in range(hours):
            if position + source.batches(hour) <= there:
                position += source.batches(hour)
                continue
            for batch in source.hour(day, hour):
                position += 1
                store.commit(Outcome(position, batch), stored_ms=T0 + day * DAY_MS)
            with spent:
                store.seal(T0 + day * DAY_MS + (hour + 1) * HOUR_MS)
    with spent:
        store.seal(T0 + (days + 1) * DAY_MS)
    return spent


def opened(folder: Path) -> EmbeddedSeries:
    folder.mkdir(parents=True, exist_ok=True)
    return EmbeddedSeries(folder / "series.db", audit=NoAudit(), clock=SystemClock())


def report_sealing(folder: Path, source: Days, hours: int) -> None:
    """What of the CPU of committing and sealing some hours the index takes, timed within it."""
    spent = Spent()
    whole = Spent()
    kept = places.note_chunks

    def noted(
        connection: sqlite3.Connection, rows: Rows, starts: IntArray, day: int, known: set[tuple[int, int]]
    ) -> None:
        with spent:
            kept(connection, rows, starts, day, known)

    places.note_chunks = noted
    store = opened(folder / "seal")
    try:
        with whole:
            fill(store, source, 1, hours)
    finally:
        places.note_chunks = kept
    rows = store.totals().stored
    store.close()
    print(
        f"storing {rows:,} points, commit to seal: {whole.cpu_s / rows * 1e9:.0f} ns a point, of it the index"
        f" {spent.cpu_s / rows * 1e9:.1f}: {spent.cpu_s / (whole.cpu_s - spent.cpu_s):.1%} on top of the rest"
    )


def report_size(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        chunks, held = connection.execute("SELECT count(*), sum(length(blob)) FROM chunks").fetchone()
        (index,) = connection.execute("SELECT sum(length(blob)) FROM places").fetchone()
    print(
        f"{chunks:,} chunks of {held / chunks:.0f} bytes, {index / chunks:.1f} bytes of index each: {index / held:.1%}"
    )


def timed(ask: Callable[[], list[Presence]], repeats: int) -> tuple[float, list[Presence]]:
    took = []
    for _ in range(repeats):
        before = time.perf_counter()
        found = ask()
        took.append((time.perf_counter() - before) * 1e3)
    return float(np.median(took)), found


def report_searches(store: EmbeddedSeries, days: int, repeats: int) -> None:
    """Searches and the scans that answer the same."""
    middle, edge = Circle(MIDDLE_LAT, MIDDLE_LON, 200.0), Circle(MIDDLE_LAT + 0.06, MIDDLE_LON + 0.08, 200.0)
    bend = Polygon(
        (((109.80, 40.63), (109.90, 40.63), (109.90, 40.64), (109.81, 40.64), (109.81, 40.66), (109.80, 40.66)),)
    )
    start = T0 + days // 2 * DAY_MS + 8 * HOUR_MS
    asked: list[tuple[str, Area, int, int]] = [
        ("200 m in the middle, 1 h", middle, start, start + HOUR_MS),
        ("200 m in the middle, 1 h from half past", middle, start + HOUR_MS // 2, start + HOUR_MS * 3 // 2),
        ("200 m in the middle, 10 min", middle, start + 600_000, start + 1_200_000),
        ("200 m nearer to the edge, 1 h", edge, start, start + HOUR_MS),
        ("2 km in the middle, 1 h", Circle(MIDDLE_LAT, MIDDLE_LON, 2_000.0), start, start + HOUR_MS),
        ("an L of 8 km, 10 min", bend, start + 600_000, start + 1_200_000),
        ("200 m in the middle, a day", middle, start - 8 * HOUR_MS, start + 16 * HOUR_MS),
    ]
    for name, area, from_ms, to_ms in asked:
        took, found = timed(lambda: store.inside(GRANT, area, from_ms, to_ms, max_vehicles=100_000), repeats)  # noqa: B023 - called at once
        scanned, there = timed(
            lambda: presences(store.fleet(GRANT, from_ms, to_ms), area, max_vehicles=100_000),  # noqa: B023 - called at once
            1,
        )
        same = [(one.slot, one.first_ms, one.last_ms, len(one.points), len(one.legs)) for one in found] == [
            (one.slot, one.first_ms, one.last_ms, len(one.points), len(one.legs)) for one in there
        ]
        print(
            f"{name}: {len(found):,} taxis ({sum(one.interpolated for one in found):,} by legs alone),"
            f" {sum(len(one.points) for one in found):,} points in {took:.1f} ms;"
            f" looking at every point of the window {scanned:.0f} ms, {scanned / took:.0f} x; {'same' if same else 'NOT THE SAME'}"
        )


def plain_rows(path: Path, source: Days, taxis: int) -> Callable[[int], int]:
    """One day of some taxis in a plain table by (taxi, time); what is returned reads a taxi's day and says how many rows it had."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(
        "CREATE TABLE point (slot INTEGER, time_ms INTEGER, lat REAL, lon REAL, speed_kmh REAL, heading_deg REAL,"
        " PRIMARY KEY (slot, time_ms)) WITHOUT ROWID"
    )
    for hour in range(24):
        connection.execute("BEGIN")
        for batch in source.hour(0, hour):
            few = batch.take(batch.slot < taxis)
            columns = (few.slot, few.time_ms, few.lat, few.lon, few.speed_kmh, few.heading_deg)
            rows = zip(*(column.tolist() for column in columns), strict=True)
            connection.executemany("INSERT OR IGNORE INTO point VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")

    def read(slot: int) -> int:
        ask = "SELECT time_ms, lat, lon, speed_kmh, heading_deg FROM point WHERE slot = ? AND time_ms >= ? AND time_ms < ?"
        return len(np.array(connection.execute(ask, (slot, T0, T0 + DAY_MS)).fetchall(), np.float64))

    return read


def report_tracks(store: EmbeddedSeries, folder: Path, source: Days, taxis: int, days: int) -> None:
    """One taxi-day, of any taxi and day, and of a plain table with one day of a few taxis."""
    chance = np.random.default_rng(SEED)
    few = min(taxis, MAX_PLAIN_TAXIS)
    plain = plain_rows(folder / "plain.db", source, few)

    def ours(_: int) -> int:
        first_ms = T0 + int(chance.integers(days)) * DAY_MS
        return len(store.track(GRANT, "taxi/1", int(chance.integers(taxis)), first_ms, first_ms + DAY_MS))

    told = []
    for ask in (ours, plain):
        took, rows = [], 0
        for _ in range(TRACKS):
            slot = int(chance.integers(few))
            before = time.perf_counter()
            rows += ask(slot)
            took.append((time.perf_counter() - before) * 1e3)
        told.append((*np.percentile(took, (50, 99)).tolist(), rows // TRACKS))
    (p50, p99, rows), (plain50, plain99, plain_each) = told
    print(
        f"one taxi-day of {days} days x {taxis:,} taxis: p50 {p50:.2f} ms, p99 {p99:.2f} ms, {rows:,} points each;"
        f" a plain table of {few:,} taxis x 1 day: p50 {plain50:.2f} ms, p99 {plain99:.2f} ms, {plain_each:,} rows each;"
        f" {plain50 / p50:.1f} x"
    )


def report_company(store: EmbeddedSeries, taxis: int, days: int, repeats: int) -> None:
    """Who went along with a taxi for an hour, among those that may have been near, and among all."""
    start = T0 + days // 2 * DAY_MS + 8 * HOUR_MS
    window = (start, start + HOUR_MS)
    slots = np.arange(taxis, dtype=np.int32)
    chance = np.random.default_rng(SEED)
    took, scanned, found, same = [], [], 0, True

    def inside(area: Area, within: tuple[int, int], few: npt.NDArray[np.int32]) -> list[Presence]:
        return store.inside(GRANT, area, *within, max_vehicles=100_000, slots=few)

    for slot in chance.integers(taxis, size=repeats).tolist():
        before = time.perf_counter()
        track = store.track(GRANT, "taxi/1", slot, *window)
        told = in_company(track, around(track, slots, Reader(inside, window, 10_000_000), 100.0))
        between = time.perf_counter()
        whole = PointBatch.concat(list(store.fleet(GRANT, *window)))
        order = np.lexsort((whole.seq, whole.time_ms, whole.slot))
        everybody = in_company(track, whole.take(order))
        took.append((between - before) * 1e3)
        scanned.append((time.perf_counter() - between) * 1e3)
        found += len(told)
        same = same and told == everybody
    print(
        f"who went along with a taxi, 1 h, 100 m, 1 min: {found} found of {repeats} taxis in {np.median(took):.0f} ms each;"
        f" from every point of the hour {np.median(scanned):.0f} ms, {np.median(scanned) / np.median(took):.1f} x;"
        f" {'same' if same else 'NOT THE SAME'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=2)
    parser.add_argument("--taxis", type=int, default=7_000)
    parser.add_argument("--step-s", type=int, default=60, help="seconds between two points of a taxi, a multiple of 10")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument(
        "--seal-hours", type=int, default=3, help="hours in which the cost of sealing is looked at; 0: none"
    )
    parser.add_argument("--keep", type=Path, help="folder of the store, which stays; else a temporary one")
    given = parser.parse_args()
    print("question: who was there, and what the index costs")
    print(machine())
    source = Days(given.taxis, given.step_s)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.seal_hours:
            report_sealing(folder, source, given.seal_hours)
        place: Path = given.keep or folder / "store"
        store = opened(place)
        fill(store, source, given.days)
        store.make_durable()
        print(f"{given.taxis:,} taxis x {given.days} days at {given.step_s} s: {store.totals().stored:,} points")
        report_size(place / "series.db")
        report_tracks(store, folder, source, given.taxis, given.days)
        report_searches(store, given.days, given.repeats)
        report_company(store, given.taxis, given.days, given.repeats)
        store.close()


if __name__ == "__main__":
    main()
