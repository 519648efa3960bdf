"""How fast are tracks of many vehicles written to each form, and how much memory does it take?

Run: `python -m benchmarks.export [--taxis N] [--every-s N]`. Work: taxis that drive for a day with a fix every so many seconds,
stored in the embedded store and sealed, then exported through the operation itself: read taxi by taxi, audited, converted to
GCJ-02, written to the unnamed file, hashed twice, given out. Baseline in the same run, named: pandas `to_csv` and
`to_parquet` of the same points from one table in memory, without datum, heading, hash or audit; and what `lucheng track` does
of one taxi's day at a time (CSV, GeoJSON, GPX, KML). CPU seconds of this process; memory is what the peak grew by in a
process of its own. Also the datums' own speed. Prints its report, asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.machine import machine
from config.approvals import Approvals
from config.export import Export
from config.sections import Settings
from console.operations import Caller
from console.track_formats import FORMATS
from lucheng.operating import operations_of
from lucheng.rooms import open_rooms
from model.batch import PointBatch
from model.datum import from_wgs84, to_wgs84
from model.seams import Outcome

DAY_MS = 86_400_000
START_MS = 1_795_305_600_000
SEED = 20_261_122
FORMS = ("csv", "geojson", "gpx", "kml", "parquet")
CALLER = Caller("benchmark", "cli", "process")
MANY = 1_000_000


def settings() -> Settings:
    """Nothing of this size waits for a second person here."""
    return Settings(
        approvals=Approvals(wide_vehicles=MANY, bulk_vehicle_days=MANY, wide_age_days=0),
        export=Export(min_free_bytes=0),
    )


def store(folder: Path, taxis: int, every_s: int) -> int:
    """Put a day of every taxi in; the number of points."""
    rng, rows = np.random.default_rng(SEED), DAY_MS // 1_000 // every_s
    with open_rooms(folder, settings(), write=True) as rooms:
        slots = rooms.registry.ensure([f"taxi/{at}" for at in range(taxis)])
        for at, slot in enumerate(slots.tolist()):
            turns = np.cumsum(rng.normal(0, 0.1, rows))
            columns = {
                "slot": slot,
                "time_ms": START_MS + every_s * 1_000 * np.arange(rows),
                "received_ms": START_MS,
                "lat": 40.65 + np.cumsum(np.sin(turns)) * 1e-4,
                "lon": 109.84 + np.cumsum(np.cos(turns)) * 1e-4,
                "speed_kmh": rng.uniform(0, 60, rows),
                "heading_deg": np.degrees(turns) % 360,
            }
            rooms.series.commit(Outcome(at + 1, PointBatch.of(rows, columns)), stored_ms=START_MS)
        rooms.series.seal(START_MS + 2 * DAY_MS)
    return taxis * rows


def peak_kib() -> int:
    """The most memory this process has had (`ru_maxrss` would be that of the one it was forked from)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def export(folder: Path, form: str, out: Any) -> None:
    """One export, given out; `out` is told CPU seconds, bytes and MiB."""
    with open_rooms(folder, settings(), write=False) as rooms:
        operations = operations_of(rooms)
        window: dict[str, Any] = {
            "from_ms": START_MS,
            "to_ms": START_MS + DAY_MS,
            "purpose": "test",
            "datum": "gcj02",
            "form": form,
        }
        operations.export_tracks(CALLER, devices=["taxi/0"], **window).close()  # imports and caches
        before, start = peak_kib(), time.process_time()
        size = sum(len(piece) for piece in operations.export_tracks(CALLER, kind="taxi", **window).pieces())
        cpu_s = time.process_time() - start
        grown = peak_kib() - before
    out.put((cpu_s, size, grown / 1_024))


def as_track(folder: Path, form: str, taxis: int) -> float:
    """CPU seconds of `lucheng track --format` for each taxi."""
    with open_rooms(folder, settings(), write=False) as rooms:
        operations, start = operations_of(rooms), time.process_time()
        for at in range(taxis):
            track = operations.track(CALLER, f"taxi/{at}", START_MS, START_MS + DAY_MS, "test")
            rows = json.loads(b"".join(track.json_pieces()))["points"]
            for piece in FORMATS[form](f"taxi/{at}", rows):
                piece.encode()
        return time.process_time() - start


def as_pandas(folder: Path, taxis: int, target: Path) -> dict[str, float]:
    """CPU seconds of pandas' own writers, from a table that is in memory."""
    frames = []
    with open_rooms(folder, settings(), write=False) as rooms:
        operations = operations_of(rooms)
        for at in range(taxis):
            points = operations.track(CALLER, f"taxi/{at}", START_MS, START_MS + DAY_MS, "test").points
            names = ("time_ms", "lat", "lon", "speed_kmh", "heading_deg", "flags", "alarm_bits", "marks", "received_ms")
            frames.append(pd.DataFrame({"device": f"taxi/{at}", **{name: points.column(name) for name in names}}))
    table = pd.concat(frames)
    for name in ("time_ms", "received_ms"):
        table[name] = pd.to_datetime(table[name], unit="ms", utc=True)
    return {
        "csv": cpu(lambda: table.to_csv(target / "x.csv", index=False)),
        "parquet": cpu(lambda: table.to_parquet(target / "x.parquet", compression="zstd")),
    }


def cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def datums() -> None:
    rng = np.random.default_rng(SEED)
    lat, lon = rng.uniform(18, 53, 1_000_000), rng.uniform(74, 135, 1_000_000)
    for datum in ("gcj02", "bd09"):
        there, back = cpu(lambda d=datum: from_wgs84(d, lat, lon)), cpu(lambda d=datum: to_wgs84(d, lat, lon))  # type: ignore[misc]
        print(f"{datum}: {1 / there:.1f} M places/CPU-s there, {1 / back:.2f} M back")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taxis", type=int, default=200)
    parser.add_argument("--every-s", type=int, default=10)
    given = parser.parse_args()
    print(__doc__.partition("\n")[0])
    print(machine())
    datums()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        points = store(folder, given.taxis, given.every_s)
        few = max(1, given.taxis // 10)
        pandas_s = as_pandas(folder, few, Path(name))
        print(f"{points} points of {given.taxis} taxis; k points per CPU-second (baselines on {few} taxis)")
        for form in FORMS:
            told = multiprocessing.get_context("spawn")
            queue: Any = told.Queue()
            process = told.Process(target=export, args=(folder, form, queue))
            process.start()
            cpu_s, size, grown = queue.get()
            process.join()
            share = points * few / given.taxis
            line = f"{form}: {points / cpu_s / 1e3:.0f}, {size / points:.1f} bytes a point, peak + {grown:.0f} MiB"
            if form in FORMATS:
                line += f"; as `track` writes it {share / as_track(folder, form, few) / 1e3:.0f}"
            if form in pandas_s:
                line += f"; pandas' writer {share / pandas_s[form] / 1e3:.0f}"
            print(line)


if __name__ == "__main__":
    main()
