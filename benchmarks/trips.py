"""How many points a second become trips and stops, against MovingPandas on the same taxis?

Run: `python -m benchmarks.trips [--scale N ...] [--oracle-taxis N]`. Work: the 506,190 real fixes of 489 San Francisco
taxis, 1, 10 and 100 times over, each copy as taxis of its own (the same places and times; no taxi sees another, so this
does not flatter, nor does the processor's cache hold a hundredth of it). Times are CPU seconds of this process
(`time.process_time`), the best of three at scale 1 and 10, one at 100 (stops: with our defaults alone); the columns are
there already. Baseline in the same
run, on the first so many taxis, trajectories made beforehand and not counted: `TrajectoryStopDetector`'s time ranges
and `ObservationGapSplitter`; its points per second are taken to hold for all taxis, since it goes taxi by taxi. What both
found on those taxis is compared. Also told: the 1 Hz Shenzhen taxi alone, where one device is all there is, and what
`count_trips` costs a file. Prints its report; asserts nothing.
"""

from __future__ import annotations

import argparse
import gzip
import os
import time
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of parts of it that are not installed
    import geopandas
    import movingpandas
    import pandas as pd

from analytics.meaning.limits import RuleLimits
from analytics.trips.journeys import count_trips
from analytics.trips.split import runs_by_gap, trips_by_gap
from analytics.trips.stops import stops
from benchmarks.machine import machine
from model.batch import PointBatch

#: (min_stop_ms, max_diameter_m): our own defaults, and two others.
STOPS = ((120_000, 50.0), (120_000, 100.0), (300_000, 100.0))
GAP_MS = 300_000
ROUNDS_UP_TO = 10
Columns = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]


def ordered(slot: Any, time_ms: Any, lat: Any, lon: Any) -> Columns:
    """Columns in the order (slot, time), one point of each time."""
    order = np.lexsort((time_ms, slot))
    columns = (np.asarray(slot)[order], np.asarray(time_ms)[order], np.asarray(lat)[order], np.asarray(lon)[order])
    kept = np.append(True, (np.diff(columns[0]) != 0) | (np.diff(columns[1]) != 0))
    return columns[0][kept], columns[1][kept], columns[2][kept], columns[3][kept]


def cabspotting(data: Path) -> Columns:
    """The San Francisco taxis."""
    with gzip.open(data / "taxi" / "cabspotting-sf-2008-05-30.csv.gz", "rt") as file:
        rows = pd.read_csv(file)
    slot = pd.factorize(rows.cab_id, sort=True)[0].astype(np.int64)
    return ordered(slot, rows.ts_utc.to_numpy(np.int64) * 1_000, rows.lat, rows.lon)


def shenzhen(data: Path) -> Columns:
    """The 1 Hz taxi."""
    rows = pd.read_csv(data / "taxi" / "shenzhen-taxi-28249-one-day-1hz.csv", header=None, skipinitialspace=True)
    time_ms = pd.to_timedelta(rows[1]).to_numpy("timedelta64[ms]").astype(np.int64)
    return ordered(np.zeros(len(rows), np.int64), time_ms, rows[3], rows[2])


def tiled(columns: Columns, scale: int) -> Columns:
    """The taxis so many times over."""
    slot, time_ms, lat, lon = columns
    copies = np.repeat(np.arange(scale, dtype=np.int64), len(slot)) * (int(slot[-1]) + 1)
    return np.tile(slot, scale) + copies, np.tile(time_ms, scale), np.tile(lat, scale), np.tile(lon, scale)


def cpu_s(work: Callable[[], Any], rounds: int) -> float:
    """CPU seconds of the best of some rounds."""
    least = np.inf
    for _ in range(rounds):
        before = time.process_time()
        work()
        least = min(least, time.process_time() - before)
    return least


def trajectories(columns: Columns, taxis: int) -> tuple[list[Any], int]:
    """MovingPandas' trajectories of the first taxis that have two points, and how many points they have."""
    slot, time_ms, lat, lon = columns
    made, points = [], 0
    for taxi in np.unique(slot)[:taxis]:
        rows = slot == taxi
        if rows.sum() < 2:
            continue
        index = pd.DatetimeIndex(time_ms[rows].astype("datetime64[ms]"))
        geometry = geopandas.points_from_xy(lon[rows], lat[rows])
        frame = geopandas.GeoDataFrame({"geometry": geometry}, index=index, crs="EPSG:4326")
        made.append(movingpandas.Trajectory(frame, int(taxi)))
        points += int(rows.sum())
    return made, points


def _ms(moment: Any) -> int:
    return int(np.datetime64(moment, "ms").astype(np.int64))


def oracle_stops(made: list[Any], min_stop_ms: int, max_diameter_m: float) -> list[tuple[int, int, int]]:
    """What MovingPandas finds."""
    arguments = {"max_diameter": max_diameter_m, "min_duration": timedelta(milliseconds=min_stop_ms)}
    return [
        (one.id, _ms(found.t_0), _ms(found.t_n))
        for one in made
        for found in movingpandas.TrajectoryStopDetector(one).get_stop_time_ranges(**arguments)
    ]


def report_oracle(name: str, columns: Columns, taxis: int, limits: tuple[int, float]) -> float:
    """Points per CPU second of MovingPandas' stops; says whether ours are the same."""
    made, points = trajectories(columns, taxis)
    found: list[tuple[int, int, int]] = []
    took = cpu_s(lambda: found.extend(oracle_stops(made, *limits)), 1)
    slot, time_ms = columns[:2]
    ours = stops(*columns, min_stop_ms=limits[0], max_diameter_m=limits[1])
    mine = set(zip(slot[ours.first].tolist(), time_ms[ours.first].tolist(), time_ms[ours.last].tolist(), strict=True))
    known = {one.id for one in made}
    differ = len({one for one in mine if one[0] in known} ^ set(found))
    print(
        f"  MovingPandas, {len(made)} of {len(np.unique(slot))} {name} taxis: {points / took:,.0f} points/CPU-s"
        f" ({took:.2f} s), {len(found)} stops, {differ} differ"
    )
    return points / took


def report_stops(columns: Columns, scales: list[int], taxis: int) -> None:
    """Stops at each scale, against the oracle of the same limits."""
    for limits in STOPS:
        print(f"stops of {limits[0] // 1000} s within {limits[1]:.0f} m:")
        base = report_oracle("San Francisco", columns, taxis, limits)
        for scale in scales if limits == STOPS[0] else [scale for scale in scales if scale <= ROUNDS_UP_TO]:
            work = tiled(columns, scale)
            took = cpu_s(
                lambda work=work, limits=limits: stops(*work, min_stop_ms=limits[0], max_diameter_m=limits[1]),  # type: ignore[misc]
                3 if scale <= ROUNDS_UP_TO else 1,
            )
            rate = len(work[0]) / took
            print(
                f"  {scale:>3} x: {len(work[0]):,} points, {rate / 1e6:.2f} M points/CPU-s, {rate / base:,.0f} x MovingPandas"
            )


def report_gaps(columns: Columns, scales: list[int], taxis: int) -> None:
    """Trips by gap and standing, and cutting at gaps alone against `ObservationGapSplitter`."""
    made, points = trajectories(columns, taxis)
    gap = timedelta(milliseconds=GAP_MS)
    took = cpu_s(lambda: [movingpandas.ObservationGapSplitter(one).split(gap=gap) for one in made], 1)
    base = points / took
    print(f"trips by gap and standing (MovingPandas cuts at gaps alone: {base:,.0f} points/CPU-s):")
    for scale in scales:
        work = tiled(columns, scale)
        rounds = 3 if scale <= ROUNDS_UP_TO else 1
        trips = len(work[0]) / cpu_s(lambda work=work: trips_by_gap(*work), rounds)  # type: ignore[misc]
        gaps = len(work[0]) / cpu_s(lambda work=work: runs_by_gap(*work[:2]), rounds)  # type: ignore[misc]
        print(
            f"  {scale:>3} x: trips {trips / 1e6:.0f} M points/CPU-s ({trips / base:,.0f} x), gaps alone {gaps / 1e6:.0f} M"
            f" ({gaps / base:,.0f} x)"
        )


def report_rest(columns: Columns, one: Columns) -> None:
    """One device at 1 Hz, and what a file's totals cost."""
    print("stops of one taxi at 1 Hz (120 s, 50 m):")
    hours = one[1] < 3 * 3_600_000
    few = (one[0][hours], one[1][hours], one[2][hours], one[3][hours])
    base = report_oracle("1 Hz", few, 1, STOPS[0])
    rate = len(one[0]) / cpu_s(lambda: stops(*one, min_stop_ms=STOPS[0][0], max_diameter_m=STOPS[0][1]), 3)
    print(f"    1 x: {len(one[0]):,} points, {rate / 1e6:.2f} M points/CPU-s, {rate / base:,.0f} x MovingPandas")
    names = ("slot", "time_ms", "lat", "lon")
    batch = PointBatch.of(len(columns[0]), dict(zip(names, columns, strict=True)))
    took = cpu_s(lambda: count_trips(batch, RuleLimits()), 3)
    print(f"count_trips of a file of {len(batch):,} points: {took / len(batch) * 1e6:.2f} us of CPU a point")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=int, nargs="*", default=[1, 10, 100])
    parser.add_argument("--oracle-taxis", type=int, default=20, help="taxis that MovingPandas is given")
    given = parser.parse_args()
    data = Path(os.environ.get("LUCHENG_TEST_DATA", "../shared/data"))
    print("question: points per CPU-second into trips and stops, against MovingPandas on the same points")
    print(machine())
    if not data.exists():
        print(f"no data at {data}: set LUCHENG_TEST_DATA")
        return
    warnings.simplefilter("ignore")
    columns = cabspotting(data)
    print(f"numpy and GEOS in one thread; MovingPandas {movingpandas.__version__}")
    report_gaps(columns, given.scale, given.oracle_taxis)
    report_stops(columns, given.scale, given.oracle_taxis)
    report_rest(columns, shenzhen(data))


if __name__ == "__main__":
    main()
