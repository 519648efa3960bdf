"""Jumps and invalid fixes: on made legs, and on the real data against counts of pandas."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from model.batch import PointBatch
from model.codes import Flag, Mark
from tests.analytics.keeper import BUFFERED, NOW_MS, Keeper, batch, marks

DATA = Path(os.environ.get("LUCHENG_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
#: 100 m to the north, degrees.
HUNDRED_M = 100 / 111_195.08


def _leg(second: float, metres: float, **more: Any) -> dict[str, Any]:
    time_ms = NOW_MS + round(second * 1_000)
    return {"time_ms": time_ms, "received_ms": time_ms, "lat": 40.0 + metres / 100 * HUNDRED_M, "lon": 110.0, **more}


@pytest.mark.parametrize("cut", [1, 10])
def test_one_wrong_place_marks_the_way_there_and_back_and_a_move_marks_one_leg(keeper: Keeper, cut: int) -> None:
    rows = [_leg(0, 0), _leg(10, 90), _leg(20, 9_000), _leg(30, 200), _leg(40, 50_000), _leg(50, 50_100)]
    results = keeper.feed_all(batch(rows[at : at + cut]) for at in range(0, 6, cut))
    found = [mark for one in results for mark in marks(one)]
    assert found == [Mark(0), Mark(0), Mark.JUMP, Mark.JUMP, Mark.JUMP, Mark(0)]


@pytest.mark.parametrize(
    ("seconds", "metres", "jump"),
    [(10, 499.9, False), (10, 500.1, True), (0.1, 49.9, False), (0.1, 50.1, True), (1, 49.9, False), (1, 50.1, True)],
)
def test_the_border_is_180_kmh_and_50_m(keeper: Keeper, seconds: float, metres: float, jump: bool) -> None:
    assert (Mark.JUMP in marks(keeper.feed(batch([_leg(0, 0), _leg(seconds, metres)])))[1]) is jump


def test_the_date_line_is_no_jump(keeper: Keeper) -> None:
    rows = [_leg(0, 0, lon=179.9999), _leg(10, 0, lon=-179.9999)]
    assert marks(keeper.feed(batch(rows))) == [Mark(0), Mark(0)]


def test_a_late_row_is_not_judged_and_does_not_move_the_reference(keeper: Keeper) -> None:
    results = keeper.feed_all([batch([_leg(0, 0)]), batch([_leg(20, 100)]), batch([_leg(10, 90_000)])])
    assert marks(results[2]) == [Mark.LATE]
    assert marks(keeper.feed(batch([_leg(30, 200)]))) == [Mark(0)]


def test_a_fix_that_the_device_calls_invalid_is_kept_and_marked(keeper: Keeper) -> None:
    flags = [int(Flag.VALID_SENT), int(Flag.VALID_SENT | Flag.VALID), 0]
    rows = [_leg(at, 0, flags=flag) for at, flag in enumerate(flags)]
    assert marks(keeper.feed(batch(rows))) == [Mark.NO_FIX, Mark(0), Mark(0)]


def _speeds(frame: pd.DataFrame) -> pd.DataFrame:
    """Legs of each device in file order by pandas and the spherical law of cosines, not our formula."""
    lat, lon = np.radians(frame["lat"]), np.radians(frame["lon"])
    by = frame["device"]
    lat0, lon0 = lat.groupby(by).shift(), lon.groupby(by).shift()
    cosine = np.sin(lat0) * np.sin(lat) + np.cos(lat0) * np.cos(lat) * np.cos(lon - lon0)
    frame["metres"] = 6_371_008.8 * np.arccos(cosine.clip(-1, 1))
    frame["took_s"] = frame["second"].groupby(by).diff()
    frame["kmh"] = frame["metres"] / frame["took_s"] * 3.6
    return frame


def _fed(frame: pd.DataFrame, rows_at_once: int) -> dict[str, int]:
    codes, _ = pd.factorize(frame["device"])
    whole = PointBatch.of(
        len(frame),
        {
            "slot": codes,
            "time_ms": frame["second"].to_numpy() * 1_000 + 1,
            "received_ms": NOW_MS,
            "lat": frame["lat"].to_numpy(),
            "lon": frame["lon"].to_numpy(),
            "speed_kmh": frame.get("kmh_sent", np.nan),
            "flags": BUFFERED | int(Flag.OCCUPIED_SENT) | frame["occupied"].to_numpy() * int(Flag.OCCUPIED),
        },
    )
    keeper = Keeper()
    total: dict[str, int] = {"points": 0, "duplicate": 0}
    for at in range(0, len(frame), rows_at_once):
        result = keeper.feed(whole.take(np.arange(at, min(at + rows_at_once, len(frame)))))
        assert result.rejected == []
        total["points"] += len(result.points)
        total["duplicate"] += result.duplicate
        for name, count in result.gauges.items():
            total[name] = total.get(name, 0) + count
    assert keeper.asked == 0
    return total


def _file(name: str) -> Path:
    path = DATA / "taxi" / name
    if not path.exists():
        pytest.skip(f"{path} is absent: set LUCHENG_TEST_DATA to the test data")
    return path


@pytest.mark.parametrize("rows_at_once", [997, 10_000])
def test_shenzhen_repeated_seconds_and_jumps(rows_at_once: int) -> None:
    frame = pd.read_csv(
        _file("shenzhen-taxi-28249-one-day-1hz.csv"),
        names=["device", "clock", "lon", "lat", "occupied", "kmh_sent"],
        skipinitialspace=True,
    )
    frame["second"] = pd.to_timedelta(frame["clock"]).dt.total_seconds().astype("int64")
    frame = _speeds(frame)
    repeated = int(frame.duplicated("second").sum())
    jumps = int(((frame["took_s"] > 0) & (frame["kmh"] > 180)).sum())
    assert (repeated, jumps) == (16_539, 1_327)
    assert _fed(frame, rows_at_once) == {
        "points": len(frame),
        "duplicate": 0,
        "mark.same_time": repeated,
        "mark.jump": jumps,
    }


def test_cabspotting_jumps() -> None:
    frame = pd.read_csv(_file("cabspotting-sf-2008-05-30.csv.gz"))
    frame = _speeds(frame.rename(columns={"cab_id": "device", "ts_utc": "second"}))
    jumps = int(((frame["kmh"] > 180) & (frame["metres"] > 50)).sum())
    share = jumps / int(frame["took_s"].notna().sum())
    assert 0.006 < share < 0.010
    assert _fed(frame, 20_000) == {"points": len(frame), "duplicate": 0, "mark.jump": jumps}
