"""What do all the rules cost a point, on the whole way from a real broker into the stores?

`python -m benchmarks.rules [--seconds 30] [--runs 3] [--scale 100]`

The spine's first benchmark (`benchmarks.spine --mode json1`: single JSON points that wait in mosquitto, `lucheng run` takes
them, CPU of its process from the first to the last one stored) with every rule on and 200 fences of 200 vertices in force,
and in turn, as the baseline of the same run, with every rule off. The fences cover half of the places where the taxis drive;
half of them limit the speed, most others watch how long a taxi stays, a few raise an alarm for each one that comes in.
The difference of the medians is what the rules cost: fences, trips, memory, ticks, and the alarms that were raised.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from analytics.rules.table import RULES
from benchmarks.fences import ring
from benchmarks.machine import machine
from benchmarks.spine import CITY_DEVICES, SIZED_FOR_PER_S, Measured, run_once
from config.settings import load
from console.fence_operations import open_fences
from devices.fences_geojson import DAYS
from lucheng.rooms import open_rooms

TARGET_US = 4.0
FENCES = 200
VERTICES = 200
#: Fences that raise an alarm for each taxi that comes in: what an alarm costs is measured elsewhere.
ALARMING = 4
#: Where the firehose's taxis drive, degrees.
SOUTH, WEST, HIGH, WIDE = 40.4, 109.8, 0.5, 0.1
COVERED = 0.5
ALL_OFF = {"LUCHENG_RULES__OFF": json.dumps([entry.name for entry in RULES if entry.make is not None])}


def fences() -> bytes:
    """The fences as GeoJSON."""
    chance = np.random.default_rng(4)
    far_deg = float(np.sqrt(HIGH * WIDE * np.cos(np.radians(SOUTH + HIGH / 2)) * COVERED / FENCES / np.pi))
    features = []
    for number in range(FENCES):
        lon, lat = WEST + WIDE * chance.random(), SOUTH + HIGH * chance.random()
        if number < ALARMING:
            rule: dict[str, object] = {"rule": "enter"}
        elif number % 2:
            rule = {"rule": "speed", "limit_kmh": 80}
        else:
            rule = {"rule": "stay", "stay_s": 86_400, "days": list(DAYS)}
        shape = {"type": "Polygon", "coordinates": [ring(chance, lon, lat, far_deg, VERTICES)]}
        features.append({"type": "Feature", "properties": {"id": f"f{number}", **rule}, "geometry": shape})
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def furnish(data_dir: Path) -> None:
    """Put the fences in the registry; the service takes them over at its start."""
    settings = load(env={})
    with open_rooms(data_dir, settings, write=True) as rooms:
        kept = open_fences(rooms.registry, settings, rooms.clock).import_geojson(fences())
        if kept != FENCES:
            raise SystemExit(f"{kept} fences were kept, not {FENCES}")


def us_a_point(runs: list[Measured]) -> float:
    """Median CPU of a point, microseconds."""
    return statistics.median(run.cpu_s / run.points * 1e6 for run in runs)


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=int, choices=sorted(CITY_DEVICES), action="append")
    parser.add_argument("--seconds", type=float, default=30.0, help="least wall time of a run")
    parser.add_argument("--runs", type=int, default=3, help="of each kind, in turn")
    parser.add_argument("--json", type=Path, help="append the results to this file, a JSON object a line")
    given = parser.parse_args(arguments)
    print(__doc__)
    print(machine())
    for scale in given.scale or [100]:
        messages = round(SIZED_FOR_PER_S["json1"] * given.seconds)
        found: dict[str, list[Measured]] = {"off": [], "on": []}
        for _ in range(given.runs):
            for kind, env in (("off", ALL_OFF), ("on", {})):
                with tempfile.TemporaryDirectory(prefix="lucheng-bench-") as folder:
                    run = run_once("json1", CITY_DEVICES[scale], messages, Path(folder), furnish=furnish, env=env)
                found[kind].append(run)
                told = f"{run.cpu_s / run.points * 1e6:.2f} µs of CPU a point, {run.signals} signals, {asdict(run)}"
                print(f"  {scale}x, rules {kind}: {told}", flush=True)
        off_us, on_us = us_a_point(found["off"]), us_a_point(found["on"])
        print(
            f"{scale}× ({CITY_DEVICES[scale]:,} devices): rules off {off_us:.2f} µs of CPU a point, all on {on_us:.2f} µs:"
            f" {on_us - off_us:.2f} µs more (asked: at most {TARGET_US})",
            flush=True,
        )
        if given.json:
            with given.json.open("a") as out:
                runs = {kind: [asdict(run) for run in several] for kind, several in found.items()}
                out.write(json.dumps({"scale": scale, "off_us": off_us, "on_us": on_us, "runs": runs}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
