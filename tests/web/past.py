"""A city's past for the pages: ways driven an hour ago, stored as the pipeline stores them; real ones where the data is there."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.batch import PointBatch
from model.batch_codec import encode
from model.codes import Flag, Mark
from model.seams import NewRecord, Outcome, RecordKind

DATA = Path(os.environ.get("LUCHENG_TEST_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
SHENZHEN = DATA / "taxi" / "shenzhen-taxi-28249-one-day-1hz.csv"
_BITS = Flag.VALID | Flag.VALID_SENT | Flag.IGNITION | Flag.IGNITION_SENT | Flag.OCCUPIED_SENT
_M_PER_DEG = 111_320.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Way:
    """Points of one vehicle, in order of time; columns of one length."""

    time_ms: npt.NDArray[np.int64]
    lat: Floats
    lon: Floats
    speed_kmh: Floats
    occupied: npt.NDArray[np.bool_]


def iso(time_ms: int) -> str:
    """A moment as an address of a page has it."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat().replace("+00:00", "Z")


def put_way(city: Any, device: str, way: Way) -> None:
    """Store a way; what jumps is marked as the pipeline marks it."""
    (slot,) = city.rooms.registry.ensure([device]).tolist()
    flags = np.where(way.occupied, int(_BITS | Flag.OCCUPIED), int(_BITS)).astype(np.uint16)
    legs_m = np.hypot(np.diff(way.lat), np.diff(way.lon) * np.cos(np.radians(way.lat[:-1]))) * _M_PER_DEG
    kmh = np.zeros(len(way.lat))
    kmh[1:] = legs_m / np.maximum(np.diff(way.time_ms) / 1000.0, 0.5) * 3.6
    marks = np.where(kmh > 250.0, int(Mark.JUMP), 0).astype(np.uint16)
    heading = np.degrees(np.arctan2(np.gradient(way.lon) * np.cos(np.radians(way.lat)), np.gradient(way.lat))) % 360.0
    batch = PointBatch.of(
        len(way.time_ms),
        {
            "slot": slot, "time_ms": way.time_ms, "received_ms": way.time_ms + 400, "lat": way.lat, "lon": way.lon,
            "speed_kmh": way.speed_kmh.astype(np.float32), "heading_deg": heading.astype(np.float32), "acc_m": 8.0,
            "flags": flags, "marks": marks, "seq": np.arange(len(way.time_ms)),
        },
    )  # fmt: skip
    position = city.rooms.points_log.append([NewRecord(RecordKind.POINTS, 1, encode(batch))])
    city.rooms.series.commit(Outcome(position, batch), stored_ms=city.rooms.clock.now_ms())


def around_blocks(start_ms: int, lat: float, lon: float, *, minutes: int = 50, seed: int = 1) -> Way:
    """A taxi's way every ten seconds: along streets, a stop of six minutes, a silence of eight, passengers now and then."""
    rng = np.random.default_rng(seed)
    step_s = 10.0
    lats, lons, times, speeds, occupied = [lat], [lon], [start_ms], [0.0], [False]
    heading, now_s, busy = int(rng.integers(4)), 0.0, False
    while now_s < minutes * 60:
        now_s += step_s
        stands = 900 <= now_s < 1_260
        silent = 1_800 <= now_s < 2_280
        kmh = 0.0 if stands else 18.0 + 60.0 * abs(np.sin(now_s / 97.0))
        if rng.random() < 0.08:
            heading = (heading + int(rng.choice([1, 3]))) % 4
        if rng.random() < 0.02:
            busy = not busy
        moved_m = kmh / 3.6 * step_s
        north, east = ((1, 0), (0, 1), (-1, 0), (0, -1))[heading]
        if abs(lats[-1] + north * moved_m / _M_PER_DEG - lat) > 0.02 or abs(lons[-1] - lon) > 0.03:
            heading = (heading + 2) % 4
            north, east = -north, -east
        lats.append(lats[-1] + north * moved_m / _M_PER_DEG)
        lons.append(lons[-1] + east * moved_m / (_M_PER_DEG * np.cos(np.radians(lat))))
        if silent:
            lats[-1], lons[-1] = lats[-2], lons[-2]
            del lats[-1], lons[-1]
            continue
        times.append(start_ms + int(now_s * 1000))
        speeds.append(kmh)
        occupied.append(busy)
    n = len(times)
    return Way(
        np.array(times, np.int64),
        np.array(lats[:n]),
        np.array(lons[:n]),
        np.array(speeds),
        np.array(occupied, np.bool_),
    )


def straight(start_ms: int, lat: float, lon: float, to_lat: float, to_lon: float, *, minutes: int = 10) -> Way:
    """From one place to another at one speed, every ten seconds."""
    n = minutes * 6 + 1
    share = np.linspace(0.0, 1.0, n)
    north_m, east_m = (to_lat - lat) * _M_PER_DEG, (to_lon - lon) * _M_PER_DEG * float(np.cos(np.radians(lat)))
    kmh = float(np.hypot(north_m, east_m)) / (minutes * 60.0) * 3.6
    return Way(
        start_ms + (share * minutes * 60_000).astype(np.int64),
        lat + (to_lat - lat) * share,
        lon + (to_lon - lon) * share,
        np.full(n, kmh),
        np.ones(n, np.bool_),
    )


def shenzhen(start_ms: int, lat: float, lon: float, *, from_s: int = 8 * 3600, seconds: int = 3600) -> Way:
    """An hour of the real Shenzhen taxi, laid over another city and another day; its jumps and repeated seconds stay."""
    rows = []
    with SHENZHEN.open(newline="") as file:
        for _, clock, at_lon, at_lat, occupied, speed in csv.reader(file):
            h, m, s = (int(part) for part in clock.split(":"))
            at_s = h * 3600 + m * 60 + s
            if from_s <= at_s < from_s + seconds:
                rows.append((at_s - from_s, float(at_lat), float(at_lon), occupied == "1", float(speed)))
    rows.sort(key=lambda row: row[0])
    secs, lats, lons, hired, speeds = (np.array(column) for column in zip(*rows, strict=True))
    return Way(
        start_ms + secs.astype(np.int64) * 1000,
        lats - float(np.median(lats)) + lat,
        lons - float(np.median(lons)) + lon,
        speeds.astype(np.float64),
        hired.astype(np.bool_),
    )
