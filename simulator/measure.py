"""Measure the real data that the city imitates: `python -m simulator.measure FOLDER` (the folder that holds taxi/ and ebike/).

Purpose: the numbers in docs/design/simulator.md, made again by anyone who has the data. It prints one line of JSON and
changes nothing. What it measures: intervals, repeated seconds, standing, speeds, steps while standing, fares.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.city.roads import M_PER_LAT

Floats = npt.NDArray[np.float64]
_QUANTILES = (5, 25, 50, 75, 95, 99)


def _quantiles(values: Floats, wanted: tuple[int, ...] = _QUANTILES) -> list[float]:
    return [round(float(v), 2) for v in np.percentile(values, wanted)] if len(values) else []


def _steps_m(lat: Floats, lon: Floats) -> Floats:
    """Length of each step (m), on a plane at the mean latitude."""
    east = np.diff(lon) * M_PER_LAT * np.cos(np.radians(lat.mean()))
    length: Floats = np.hypot(np.diff(lat) * M_PER_LAT, east)
    return length


def one_hz_taxi(path: Path) -> dict[str, Any]:
    """The terminal that reports every second (rows id, time, lon, lat, occupied, speed)."""
    with path.open(newline="") as lines:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines) if row]
    hms = np.array([[int(part) for part in row[1].split(":")] for row in rows])
    second = hms @ np.array([3600, 60, 1])
    lon, lat, occupied, speed = (np.array([float(row[k]) for row in rows]) for k in (2, 3, 4, 5))
    gap, step = np.diff(second), _steps_m(lat, lon)
    standing = (speed[1:] == 0) & (speed[:-1] == 0) & (gap == 1)
    turns = np.flatnonzero(np.diff(occupied))
    lasts = np.diff(second[turns])
    edges = np.flatnonzero(np.diff((speed == 0).astype(np.int8), prepend=0, append=0))
    return {
        "rows": len(rows),
        "same_second_share": round(float((gap == 0).mean()), 3),
        "standing_share": round(float((speed == 0).mean()), 3),
        "standing_steps_of_zero": round(float((step[standing] == 0).mean()), 4),
        "moving_kmh": _quantiles(speed[speed > 0]),
        "max_kmh": float(speed.max()),
        "stop_rows": _quantiles((edges[1::2] - edges[0::2]).astype(np.float64), (50, 90, 99)),
        "fares": int((np.diff(occupied) == 1).sum()),
        "occupied_share": round(float(occupied.mean()), 3),
        "occupied_s_median": float(np.median(lasts[0::2])),
        "free_s_median": float(np.median(lasts[1::2])),
    }


def minute_taxis(path: Path) -> dict[str, Any]:
    """The fleet that reports every minute (columns ts_utc, cab_id, lat, lon, occupied)."""
    with gzip.open(path, "rt", newline="") as lines:
        rows = [row for row in csv.reader(lines) if row][1:]
    _, cab = np.unique(np.array([row[1] for row in rows]), return_inverse=True)
    time_s, lat, lon, occupied = (np.array([float(row[k]) for row in rows]) for k in (0, 2, 3, 4))
    order = np.lexsort((time_s, cab))
    same = np.diff(cab[order]) == 0
    gap, step = np.diff(time_s[order])[same], _steps_m(lat[order], lon[order])[same]
    near = step[(step > 0) & (step < 10)]
    return {
        "rows": len(rows),
        "interval_s": _quantiles(gap),
        "occupied_share": round(float(occupied.mean()), 3),
        "steps_of_zero": round(float((step == 0).mean()), 3),
        "steps_below_10_m": round(float((step < 10).mean()), 3),
        "rms_of_those_m": round(float(np.sqrt((near**2).mean())), 2),
    }


def rides(folder: Path) -> dict[str, Any]:
    """The e-bike rides (a header; timestamp, position_lat, position_long, speed among the columns)."""
    gaps, speeds = [], []
    for path in sorted(folder.glob("trip_*.csv")):
        with path.open(newline="") as lines:
            rows = list(csv.DictReader(lines))
        time_s = np.array([row["timestamp"] for row in rows], "datetime64[s]").astype(np.float64)
        gaps.append(np.diff(time_s))
        speeds.append(np.array([float(row["speed"] or 0) for row in rows]))
    gap, speed = np.concatenate(gaps), np.concatenate(speeds)
    return {
        "rows": len(speed),
        "one_second_share": round(float((gap == 1).mean()), 3),
        "standing_share": round(float((speed < 0.5).mean()), 3),
        "moving_kmh": _quantiles(speed[speed >= 0.5]),
    }


def main(arguments: list[str]) -> int:
    """Measure the folder named on the command line."""
    if len(arguments) != 1 or not Path(arguments[0], "taxi").is_dir():
        sys.stderr.write("usage: python -m simulator.measure FOLDER (the folder that holds taxi/ and ebike/)\n")
        return 2
    data = Path(arguments[0])
    found = {
        "one_hz_taxi": one_hz_taxi(data / "taxi" / "shenzhen-taxi-28249-one-day-1hz.csv"),
        "minute_taxis": minute_taxis(data / "taxi" / "cabspotting-sf-2008-05-30.csv.gz"),
        "ebike_rides": rides(data / "ebike"),
    }
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
