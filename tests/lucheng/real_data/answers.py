"""Reading what the command line and the stores answer, and holding it against a judged frame."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from config.settings import load
from console.operations import Caller
from lucheng.operating import operations_of
from lucheng.rooms import open_rooms
from model.batch import PointBatch
from model.codes import Flag, Mark
from tests.lucheng.in_process import answer
from tests.lucheng.real_data.real import MARKS, NOT_SENT, counts, shuffled_ties

WINDOW_MS = (0, 4_000_000_000_000)
RFC3339_MS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
INGEST_KEYS = [
    "received",
    "stored",
    "duplicate",
    "quarantined",
    "in_flight",
    "devices",
    "signals",
    "trips",
    "stops",
    "seconds",
]
POINT_KEYS = {"time", "lat", "lon", "speed_kmh", "heading_deg"}


def track(data: Path, device: str) -> pd.DataFrame:
    """`lucheng track DEVICE --json` as a frame of `real.read`'s columns and marks, its shape checked."""
    found = answer(data, "track", device, "--from", str(WINDOW_MS[0]), "--to", str(WINDOW_MS[1]))
    assert list(found) == ["device", "points"]
    assert found["device"] == device
    points = found["points"]
    times = [point["time"] for point in points]
    assert times == sorted(times)
    for point in points:
        assert set(point) >= POINT_KEYS
        assert RFC3339_MS.fullmatch(point["time"])
        assert RFC3339_MS.fullmatch(point["received"])
        assert point["heading_deg"] is None
        assert set(point["marks"]) <= set(MARKS)
    return pd.DataFrame(
        {
            "time_ms": pd.to_datetime(pd.Series(times, dtype=str))
            .dt.tz_localize(None)
            .astype("datetime64[ms]")
            .astype("int64"),
            "lat": _scaled(points, "lat", 1e6),
            "lon": _scaled(points, "lon", 1e6),
            "occupied": [NOT_SENT if p["occupied"] is None else int(p["occupied"]) for p in points],
            "speed": _scaled(points, "speed_kmh", 10),
            **{mark: [mark in p["marks"] for p in points] for mark in MARKS},
        }
    )


def _scaled(points: list[dict[str, Any]], name: str, scale: float) -> list[int]:
    return [NOT_SENT if point[name] is None else round(point[name] * scale) for point in points]


def of_batch(points: PointBatch) -> pd.DataFrame:
    """The same of a batch of the store."""
    occupied = np.where(points.flags & Flag.OCCUPIED_SENT, (points.flags & Flag.OCCUPIED) != 0, NOT_SENT)
    speed = np.rint(np.nan_to_num(points.speed_kmh.astype(np.float64) * 10, nan=NOT_SENT)).astype(np.int64)
    assert not (points.marks & np.uint16(0xFFFF ^ (Mark.LATE | Mark.SAME_TIME | Mark.JUMP))).any()
    return pd.DataFrame(
        {
            "time_ms": points.time_ms,
            "lat": np.rint(points.lat * 1e6).astype(np.int64),
            "lon": np.rint(points.lon * 1e6).astype(np.int64),
            "occupied": occupied.astype(np.int64),
            "speed": speed,
            **{mark: (points.marks & Mark[mark.upper()]) != 0 for mark in MARKS},
        }
    )


def check_every_track(data: Path, frame: pd.DataFrame) -> None:
    """Every row of every device of the judged frame is in that device's track, and nothing else is."""
    parts: list[pd.DataFrame] = []
    with open_rooms(data, load(None), write=False) as rooms:
        operations = operations_of(rooms)
        caller = Caller("tester", "cli", "process")
        for device in sorted(frame["device"].unique()):
            points = operations.track(caller, device, *WINDOW_MS).points
            assert bool((np.diff(points.time_ms) >= 0).all())
            assert bool(((points.flags & Flag.BUFFERED) != 0).all())
            assert bool(np.isnan(points.heading_deg).all())
            parts.append(of_batch(points).assign(device=device))
    found = pd.concat(parts, ignore_index=True)
    pd.testing.assert_frame_equal(shuffled_ties(found), shuffled_ties(frame))


def check_tracks(data: Path, frame: pd.DataFrame, devices: list[str]) -> None:
    """The same of some devices through the command line."""
    for device in devices:
        mine = shuffled_ties(frame[frame["device"] == device])
        pd.testing.assert_frame_equal(shuffled_ties(track(data, device).assign(device=device)), mine, obj=device)


def check_where(data: Path, frame: pd.DataFrame) -> None:
    """`lucheng where --json` is a list with the newest place of every device."""
    found = answer(data, "where")
    assert isinstance(found, list)
    assert len(found) == frame["device"].nunique()
    newest = frame["time_ms"] == frame.groupby("device")["time_ms"].transform("max")
    rows = frame[newest]
    places = set(zip(rows["device"], rows["time_ms"], rows["lat"], rows["lon"], strict=True))
    for row in found:
        assert {"device", "time", "lat", "lon"} <= set(row)
        assert RFC3339_MS.fullmatch(row["time"])
        time_ms = pd.Timestamp(row["time"]).value // 1_000_000
        assert (row["device"], time_ms, round(row["lat"] * 1e6), round(row["lon"] * 1e6)) in places
    assert {row["device"] for row in found} == set(frame["device"])


def check_totals(totals: dict[str, Any], frame: pd.DataFrame, *, again: bool = False) -> None:
    """What `ingest --json` printed, to the row; `again`: all of it was there before."""
    assert list(totals) == INGEST_KEYS
    duplicate = len(frame) if again else int(frame["duplicate"].sum())
    expected = {
        "received": len(frame),
        "stored": len(frame) - duplicate,
        "duplicate": duplicate,
        "quarantined": {},
        "in_flight": 0,
        "devices": frame["device"].nunique(),
    }
    assert {key: totals[key] for key in expected} == expected
    assert isinstance(totals["seconds"], float)
    if again:
        assert (totals["signals"], totals["trips"], totals["stops"]) == ({}, 0, 0)
    else:
        assert totals["trips"] > 0
        assert totals["stops"] > 0


def check_status(status: dict[str, Any], frame: pd.DataFrame, *, times: int = 1) -> None:
    """The service's counters after the frame came `times` times."""
    stored = len(frame) - int(frame["duplicate"].sum())
    assert status["received"] == times * len(frame)
    assert status["stored"] == stored
    assert status["duplicate"] == times * len(frame) - stored
    assert status["quarantined"] == {}
    assert status["in_flight"] == 0
    assert {name: n for name, n in status["counters"].items() if name.startswith("mark.")} == counts(frame)
    assert not [name for name in status["counters"] if name.startswith("cleared.")]
