"""On cabspotting's day a search finds what a scan of the file by pandas and shapely finds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely

from model.area import Area, Circle, Polygon
from model.batch import PointBatch
from model.clock import FakeClock
from model.geo import haversine_m
from model.seams import Outcome
from store.series.embedded import EmbeddedSeries
from tests.store.series.conformance import HOUR_MS, ListAudit, grant

#: Union Square; a street corner near the airport; the Golden Gate bridge's deck, a long and slanted strip.
PLACES: dict[str, Area] = {
    "square": Circle(37.78794, -122.40744, 200.0),
    "airport": Circle(37.61560, -122.39010, 300.0),
    "bridge": Polygon((((-122.4789, 37.8105), (-122.4780, 37.8105), (-122.4783, 37.8320), (-122.4792, 37.8320)),)),
}
WINDOWS_H = ((0, 24), (7, 8), (17.5, 18.25))


@pytest.fixture(scope="module")
def frame() -> Any:
    root = Path(__file__).resolve().parents[4]
    path = (
        Path(os.environ.get("LUCHENG_TEST_DATA") or root / "shared" / "data")
        / "taxi"
        / "cabspotting-sf-2008-05-30.csv.gz"
    )
    if not path.exists():
        pytest.skip(f"{path} is absent: set LUCHENG_TEST_DATA to the test data")
    read = pd.read_csv(path).drop_duplicates(["cab_id", "ts_utc"])
    read["slot"] = read["cab_id"].astype("category").cat.codes.astype("int64") * 5
    read["x"] = (read["lon"] * 1e6).round().astype("int64")
    read["y"] = (read["lat"] * 1e6).round().astype("int64")
    return read.sort_values(["slot", "ts_utc"], kind="stable").reset_index(drop=True)


@pytest.fixture(scope="module")
def store(frame: Any, tmp_path_factory: pytest.TempPathFactory) -> EmbeddedSeries:
    """The day as it came, hour after hour; its last two hours are not sealed."""
    made = EmbeddedSeries(
        tmp_path_factory.mktemp("cabs") / "series.db", audit=ListAudit(), clock=FakeClock(), max_open_rows=20_000
    )
    came = frame.sort_values("ts_utc", kind="stable")
    day = int(came["ts_utc"].iloc[0]) * 1000
    points = PointBatch.of(
        len(came),
        {"slot": came["slot"], "time_ms": came["ts_utc"] * 1000, "lat": came["y"] / 1e6, "lon": came["x"] / 1e6},
    )
    for position, rows in enumerate(np.array_split(np.arange(len(came)), 60), start=1):
        made.commit(Outcome(position, points.take(rows)), stored_ms=day)
        if position % 10 == 0 and position < 60:
            made.seal(int(points.time_ms[rows[-1]]) - HOUR_MS)
    return made


def scanned(frame: Any, area: Area, from_ms: int, to_ms: int) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    """(slot, time_ms) of the points inside, and of the ends of the legs across, by pandas and shapely."""
    part = frame[(frame["ts_utc"] * 1000 >= from_ms) & (frame["ts_utc"] * 1000 < to_ms)]
    if isinstance(area, Circle):
        inside = haversine_m(area.lat, area.lon, part["y"] / 1e6, part["x"] / 1e6) <= area.radius_m
        # A ring of 720 corners outside the circle by 1e-5 of its radius: grazes of legs are told within that.
        turn = np.arange(720) / 720 * 2 * np.pi
        high = area.radius_m / 111_195.08 * 1e6 * (1 + 1e-5)
        wide = high / np.cos(np.radians(area.lat))
        shape = shapely.Polygon(
            np.stack((area.lon * 1e6 + wide * np.cos(turn), area.lat * 1e6 + high * np.sin(turn)), axis=1)
        )
    else:
        shape = shapely.Polygon([(round(lon * 1e6), round(lat * 1e6)) for lon, lat in area.rings[0]])
        shapely.prepare(shape)
        inside = shapely.intersects_xy(shape, part["x"].to_numpy(), part["y"].to_numpy())
    part = part.assign(inside=np.asarray(inside))
    before = part.shift()
    took = part["ts_utc"] - before["ts_utc"]
    out = ~part["inside"] & before["inside"].eq(other=False)
    legs = part[(part["slot"] == before["slot"]) & (took > 0) & (took <= 300) & out]
    start = before.loc[legs.index]
    lines = shapely.linestrings(
        np.stack((np.stack((start["x"], start["y"]), axis=1), np.stack((legs["x"], legs["y"]), axis=1)), axis=1).astype(
            float
        )
    )
    crossed = legs[shapely.intersects(lines, shape)]
    seen = part[part["inside"]]
    return (
        set(zip(seen["slot"].tolist(), (seen["ts_utc"] * 1000).tolist(), strict=True)),
        set(zip(crossed["slot"].tolist(), (crossed["ts_utc"] * 1000).tolist(), strict=True)),
    )


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.soak
def test_a_search_equals_a_scan_of_the_file(frame: Any, store: EmbeddedSeries, place: str) -> None:
    area = PLACES[place]
    day = int(frame["ts_utc"].min()) * 1000 // HOUR_MS * HOUR_MS
    for from_h, to_h in WINDOWS_H:
        from_ms, to_ms = day + round(from_h * HOUR_MS), day + round(to_h * HOUR_MS)
        told = store.inside(grant(), area, from_ms, to_ms, max_vehicles=600)
        points, legs = scanned(frame, area, from_ms, to_ms)
        assert {(one.slot, at) for one in told for at in one.points.time_ms.tolist()} == points
        found = {(one.slot, at) for one in told for at in one.legs.time_ms[1::2].tolist()}
        if isinstance(area, Polygon):
            assert found == legs
        else:  # a leg that only just touches the circle
            assert len(found ^ legs) <= len(legs) // 500
        assert [one.slot for one in told] == sorted({slot for slot, _ in points | found})
        if to_h - from_h == 24:
            assert len(told) > 20
            assert legs
