"""The three real files against an independent reading by pandas: every count and every value."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from ingest.files import FileBatch, open_file
from model.batch import PointBatch
from model.clock import FakeClock
from model.codes import Flag

#: Places are read as text, so that Python's own float is what they are compared with.
TEXT = dict.fromkeys(("lat", "lon", "Latitude", "Longitude"), str)
ZONE = "Asia/Shanghai"
DAY = date(2014, 10, 22)


def everything(path: Path, name: str, **options: Any) -> tuple[PointBatch, npt.NDArray[np.str_], list[FileBatch]]:
    clock = FakeClock()
    batches = list(open_file(path, name, time_zone=ZONE, clock=clock, **options))
    devices = np.concatenate([np.array(batch.devices)[batch.device_index] for batch in batches])
    return PointBatch.concat([batch.points for batch in batches]), devices, batches


def micro(values: Any) -> npt.NDArray[np.int64]:
    return np.rint(np.asarray(values, np.float64) * 1e6).astype(np.int64)


def check_common(points: PointBatch, batches: list[FileBatch], frame: Any, first_line: int) -> None:
    assert sum(len(batch.quarantined) for batch in batches) == 0
    assert len(points) == len(frame)
    lines = np.concatenate([batch.rows for batch in batches])
    assert np.array_equal(lines, np.arange(len(frame)) + first_line)
    for name in ("lat", "lon"):
        exact = frame[name].map(float).to_numpy(dtype=np.float64)
        assert np.array_equal(points.column(name), exact)
        assert np.array_equal(micro(points.column(name)), micro(pd.to_numeric(frame[name])))
    assert bool((points.flags & Flag.BUFFERED != 0).all())
    assert bool((points.received_ms == FakeClock().now_ms()).all())
    assert batches[-1].done_bytes == batches[-1].total_bytes


@pytest.mark.parametrize("block_bytes", [1 << 20, 37_001])
def test_cabspotting_equals_pandas(taxi_data: Path, block_bytes: int) -> None:
    path = taxi_data / "cabspotting-sf-2008-05-30.csv.gz"
    points, devices, batches = everything(path, "cabspotting", block_bytes=block_bytes)
    frame = pd.read_csv(path, dtype=TEXT)
    check_common(points, batches, frame, 2)
    assert len(points) == 506_190
    assert np.array_equal(points.time_ms, frame["ts_utc"].to_numpy() * 1000)
    assert np.array_equal(devices, ("taxi/" + frame["cab_id"]).to_numpy(dtype=str))
    assert np.array_equal(points.flags & Flag.OCCUPIED != 0, frame["occupied"].to_numpy() == 1)
    assert bool((points.flags & Flag.OCCUPIED_SENT != 0).all())
    assert bool(np.isnan(points.speed_kmh).all())


def test_tdrive_equals_pandas(taxi_data: Path) -> None:
    path = taxi_data / "tdrive-beijing-72-taxis.csv"
    points, devices, batches = everything(path, "tdrive")
    frame = pd.read_csv(path, dtype=TEXT).rename(columns={"Latitude": "lat", "Longitude": "lon"})
    check_common(points, batches, frame, 2)
    assert len(points) == 36_677
    stamps = pd.to_datetime(frame["TimeStamp"]).dt.tz_localize(ZONE).dt.tz_convert("UTC").dt.tz_localize(None)
    assert np.array_equal(points.time_ms, stamps.to_numpy(dtype="datetime64[ms]").astype(np.int64))
    assert np.array_equal(devices, ("taxi/" + frame["TaxiID"].astype(str)).to_numpy(dtype=str))
    assert not (points.flags & Flag.OCCUPIED_SENT).any()


def test_shenzhen_equals_pandas(taxi_data: Path) -> None:
    path = taxi_data / "shenzhen-taxi-28249-one-day-1hz.csv"
    points, devices, batches = everything(path, "shenzhen", date=DAY)
    frame = pd.read_csv(
        path,
        header=None,
        skipinitialspace=True,
        names=["id", "time", "lon", "lat", "occupied", "speed_kmh"],
        dtype=TEXT,
    )
    check_common(points, batches, frame, 1)
    assert len(points) == 65_315
    stamps = pd.to_datetime(DAY.isoformat() + " " + frame["time"]).dt.tz_localize(ZONE).dt.tz_convert("UTC")
    assert np.array_equal(points.time_ms, stamps.dt.tz_localize(None).to_numpy(dtype="datetime64[ms]").astype(np.int64))
    assert set(devices.tolist()) == {"taxi/28249"}
    assert np.array_equal(points.flags & Flag.OCCUPIED != 0, frame["occupied"].to_numpy() == 1)
    assert np.array_equal(points.speed_kmh, frame["speed_kmh"].to_numpy(dtype=np.float32))
