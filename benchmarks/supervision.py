"""How long does the daily supervision of 7,000 taxis take on one core, and how does that compare with a loop over vehicles?

Run: `python -m benchmarks.supervision [--taxis N] [--baseline-taxis N] [--every-s N]`. Work: the real San Francisco day
(489 taxis, a fix a minute) tiled to 7,000 taxis, moved in place so that no two drive the same streets, with 50 fences of
200 corners in force (forbidden, left and speed by turns); with `--every-s` also the same taxis with fixes filled in along
their legs every so many seconds, as terminals in China send them. First from columns in memory, then the whole way: read
hour by hour from the embedded store, gathered, judged. Baseline in the same run, named: pandas `groupby` over the vehicles
of a sample, for each the way, time, occupancy, overspeed, spells, gaps and rates by pandas' own columns; it finds no
stops, trips or fences, so it does less: what the stops would cost it by MovingPandas is measured on three taxis. CPU seconds of this process; prints its report, asserts nothing.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import movingpandas
import numpy as np
import pandas as pd

from analytics.fences.index import FenceIndex
from analytics.limits import CleanLimits
from analytics.meaning.context import Context
from analytics.meaning.limits import RuleLimits
from analytics.supervision.day import DayPoints
from analytics.supervision.rows import Supervision, grouped
from analytics.supervision.supervise import supervise
from benchmarks.machine import machine
from benchmarks.trips import trajectories
from model.batch import PointBatch
from model.clock import SystemClock
from model.codes import Flag
from model.fence import Fence, FenceRule, FenceSet, Shape
from model.geo import haversine_m
from model.grant import Grant, Purpose
from model.seams import Outcome
from store.series.embedded import EmbeddedSeries

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
SEED = 20_261_122
FENCES, CORNERS = 50, 200
STOPS_TAXIS = 3
FROM_MS = 1_760_000_000_000 // DAY_MS * DAY_MS
GRANT = Grant("benchmark", "cli", Purpose("test"), None, 0, 1 << 60)
_FILE = "taxi/cabspotting-sf-2008-05-30.csv.gz"


class NoAudit:
    """Reads of the benchmark are nobody's."""

    def append(self, *_args: Any) -> int:
        return 1


def real_day(data: Path, every_s: int) -> pd.DataFrame:
    """The file's day as columns by taxi and time; with `every_s` fixes are filled in along legs up to five minutes long."""
    rows = pd.read_csv(data / _FILE)
    slot = pd.factorize(rows.cab_id, sort=True)[0]
    frame = pd.DataFrame({"slot": slot, "time_ms": rows.ts_utc * 1_000, "lat": rows.lat, "lon": rows.lon})
    frame["occupied"] = rows.occupied
    frame["time_ms"] = FROM_MS + (frame.time_ms - frame.time_ms.min()) % DAY_MS
    frame = frame.sort_values(["slot", "time_ms"], kind="stable").reset_index(drop=True)
    if not every_s:
        return frame
    took = frame.time_ms.shift(-1) - frame.time_ms
    near = (frame.slot == frame.slot.shift(-1)) & (took > 0) & (took <= 300_000)
    fixes = np.where(near, np.maximum(took.fillna(0) // (every_s * 1_000), 1), 1).astype(np.int64)
    at = np.repeat(np.arange(len(frame)), fixes)
    part = (np.arange(len(at)) - np.repeat(np.cumsum(fixes) - fixes, fixes)) / fixes[at]
    filled = frame.iloc[at].reset_index(drop=True)
    for name in ("time_ms", "lat", "lon"):
        step = (frame[name].shift(-1) - frame[name]).fillna(0).to_numpy()[at]
        value = filled[name] + np.where(near.to_numpy()[at], part * step, 0)
        filled[name] = value.astype(np.int64) if name == "time_ms" else value
    return filled


def batch_of(frame: pd.DataFrame, slot: Any, shift: float) -> PointBatch:
    flags = np.where(frame.occupied == 1, int(Flag.OCCUPIED | Flag.OCCUPIED_SENT), int(Flag.OCCUPIED_SENT))
    columns = {"slot": slot, "time_ms": frame.time_ms, "received_ms": frame.time_ms, "flags": flags}
    return PointBatch.of(len(frame), {**columns, "lat": frame.lat + shift, "lon": frame.lon + shift})


def fleet(frame: pd.DataFrame, taxis: int) -> list[PointBatch]:
    """The day as often as it takes, one batch each time."""
    real = int(frame.slot.max()) + 1
    made = []
    for round_ in range(-(-taxis // real)):
        batch = batch_of(frame, frame.slot + round_ * real, round_ * 0.001)
        made.append(batch.take(batch.slot < taxis))
    return made


def fences(frame: pd.DataFrame) -> FenceIndex:
    """Round fences of 100 to 400 m where the taxis are."""
    chance = np.random.default_rng(SEED)
    turn = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    rules = (FenceRule.FORBIDDEN, FenceRule.EXIT, FenceRule.SPEED)
    made = []
    for number, at in enumerate(chance.integers(0, len(frame), FENCES), 1):
        radius = chance.uniform(0.001, 0.004)
        lon = frame.lon[at] + radius * np.cos(turn)
        lat = frame.lat[at] + radius * np.sin(turn)
        ring = tuple(zip(lon.tolist(), lat.tolist(), strict=True))
        rule = rules[number % len(rules)]
        limit = 40.0 if rule is FenceRule.SPEED else 0.0
        shape = ((*ring, ring[0]),)
        made.append(Fence(number, f"f{number}", "", rule, Shape.POLYGON, polygons=(shape,), limit_kmh=limit))
    return FenceIndex(FenceSet(1, tuple(made)))


def pandas_loop(frame: pd.DataFrame, taxis: int) -> float:
    """CPU seconds a taxi-day of a `groupby` loop that does what can be done without stops and fences."""
    some = frame[frame.slot < taxis]
    limits = CleanLimits()
    began = time.process_time()
    rows = []
    for slot, one in some.groupby("slot"):
        one = one.sort_values("time_ms")  # noqa: PLW2901 the group in order
        took = one.time_ms.diff().fillna(0)
        lat, lon = one.lat.to_numpy(np.float64), one.lon.to_numpy(np.float64)
        far = pd.Series(np.append(0.0, haversine_m(lat[:-1], lon[:-1], lat[1:], lon[1:])), index=one.index)
        wrong = (took > 0) & (far > np.maximum(took * limits.max_jump_speed_kmh / 3_600, limits.jump_min_m))
        far = far.where(~wrong & (took > 0), 0)
        kmh = (far / took * 3_600).where(took > 0)
        near = took <= 300_000
        moves = near & (kmh >= 5)
        over = kmh > 85
        stretch = (over != over.shift()).cumsum()[over]
        spans = one.time_ms[over].groupby(stretch).agg(["min", "max"])
        rest = took.where(~moves & near, 0)
        rested = (rest.groupby(moves.cumsum()).cumsum() >= 1_200_000) | (took >= 1_200_000)
        spells = took.where(moves, 0).groupby(rested.cumsum()).sum()
        was = one.occupied.shift() == 1
        told = took.where(near, 0)
        rows.append(
            {
                "slot": slot,
                "points": len(one),
                "drift": wrong.sum(),
                "distance_m": far[moves].sum(),
                "occupied_m": far[moves & was].sum(),
                "driving_ms": took[moves].sum(),
                "told_ms": told.sum(),
                "occupied_ms": told[was].sum(),
                "flips": (one.occupied.diff().fillna(0) != 0).sum(),
                "overspeed": ((spans["max"] - spans["min"]) >= 10_000).sum(),
                "tired": (spells >= 4 * HOUR_MS).sum(),
                "gaps": (took >= 600_000).sum(),
                "complete_m": far[near].sum(),
                "broken_m": far[~near].sum(),
                "max_kmh": kmh.max(),
            }
        )
    pd.DataFrame(rows)
    return (time.process_time() - began) / taxis


def moving_pandas_stops(frame: pd.DataFrame, taxis: int) -> float:
    """CPU seconds a taxi-day of finding the stops, which the loop above leaves out."""
    some = frame[frame.slot < taxis]
    columns = tuple(some[name].to_numpy() for name in ("slot", "time_ms", "lat", "lon"))
    made, _ = trajectories(columns, taxis)  # type: ignore[arg-type]
    began = time.process_time()
    for one in made:
        movingpandas.TrajectoryStopDetector(one).get_stop_time_ranges(
            max_diameter=RuleLimits().stop_diameter_m, min_duration=timedelta(seconds=RuleLimits().stop_min_s)
        )
    return (time.process_time() - began) / taxis


def judged(day: DayPoints, taxis: int, index: FenceIndex) -> Supervision:
    return supervise(day, Context(kind_of_slot=np.zeros(taxis, np.int8), fences=index))


def report(data: Path, taxis: int, baseline_taxis: int, every_s: int) -> None:
    frame = real_day(data, every_s)
    index = fences(frame)
    batches = fleet(frame, taxis)
    points = sum(len(batch) for batch in batches)
    began = time.process_time()
    day = DayPoints(np.arange(taxis), FROM_MS, FROM_MS + DAY_MS)
    for batch in batches:
        day.add(batch)
    found = judged(day, taxis, index)
    took = time.process_time() - began
    city = grouped(found.vehicles, np.zeros(taxis, np.int64), 1)
    print(
        f"{'a fix a minute' if not every_s else f'a fix every {every_s} s'}: {taxis:,} taxi-days, {points:,} points, "
        f"{len(found.overspeed):,} overspeeds, {len(found.areas):,} fences broken, {int(city.trips[0]):,} trips"
    )
    print(f"  from columns: {took:.1f} CPU-s, {points / took / 1e6:.2f} M points/CPU-s")
    each = pandas_loop(frame, baseline_taxis)
    print(
        f"  pandas groupby loop, {baseline_taxis} of them: {each * taxis:.0f} CPU-s for {taxis:,}, {each * taxis / took:.1f} x"
    )
    stops = moving_pandas_stops(frame, STOPS_TAXIS)
    print(
        f"  and its stops by MovingPandas, {STOPS_TAXIS} of them: {stops * taxis:.0f} CPU-s for {taxis:,}; together"
        f" {(each + stops) * taxis / took:.0f} x"
    )
    print(f"  peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    report_store(batches, taxis, index, found.digest)


def report_store(batches: list[PointBatch], taxis: int, index: FenceIndex, digest: str) -> None:
    """The whole way from the store; written hour by hour, as points come."""
    with tempfile.TemporaryDirectory() as folder:
        series = EmbeddedSeries(Path(folder) / "series.db", audit=NoAudit(), clock=SystemClock())
        for hour in range(24):
            first = FROM_MS + hour * HOUR_MS
            for number, one in enumerate(batches, 1):
                part = one.take((one.time_ms >= first) & (one.time_ms < first + HOUR_MS))
                series.commit(Outcome(hour * len(batches) + number, part), stored_ms=FROM_MS)
            series.seal(first + HOUR_MS)
        began = time.process_time()
        day = DayPoints(np.arange(taxis), FROM_MS, FROM_MS + DAY_MS)
        for batch in series.fleet(GRANT, FROM_MS, FROM_MS + DAY_MS):
            day.add(batch)
        read = time.process_time() - began
        found = judged(day, taxis, index)
        took = time.process_time() - began
        same = "the same" if found.digest == digest else "NOT the same"
        print(f"  from the store: {took:.1f} CPU-s, of it {read:.1f} reading and gathering; {same} points")
        series.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taxis", type=int, default=7_000)
    parser.add_argument("--baseline-taxis", type=int, default=60)
    parser.add_argument("--every-s", type=int, nargs="*", default=[0, 15])
    given = parser.parse_args()
    data = Path(os.environ.get("LUCHENG_TEST_DATA", "../shared/data"))
    print("question: CPU seconds for the daily supervision of a fleet; asked: 7,000 taxi-days in 60 s on one core")
    print(machine())
    if not data.exists():
        print(f"no data at {data}: set LUCHENG_TEST_DATA")
        return
    warnings.simplefilter("ignore")  # of parts of MovingPandas that are not installed
    for every_s in given.every_s:
        report(data, given.taxis, given.baseline_taxis, every_s)


if __name__ == "__main__":
    main()
