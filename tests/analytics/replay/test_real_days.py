"""On cabspotting's day a replay is the file: its order, its times, its changes of occupancy; and places as a plain loop has them."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analytics.meaning.limits import RuleLimits
from analytics.replay.line import drawn
from analytics.replay.moments import What, moments
from analytics.replay.reel import Reel
from analytics.replay.windows import Windows
from analytics.trips.journeys import journeys
from model.batch import PointBatch
from model.clock import FakeClock
from model.codes import Flag
from model.geo import haversine_m
from model.seams import Outcome
from store.series.embedded import EmbeddedSeries
from tests.analytics.trips.plain import need
from tests.store.series.conformance import HOUR_MS, ListAudit, grant

LEG_MS = 300_000
SEED = 20_080_530


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """The file's rows, each once, in its own order; places at the store's resolution."""
    read = pd.read_csv(need("cabspotting-sf-2008-05-30.csv.gz")).drop_duplicates(["cab_id", "ts_utc"])
    read["slot"] = pd.factorize(read["cab_id"], sort=True)[0]
    return read.assign(lat=read["lat"].round(6), lon=read["lon"].round(6)).reset_index(drop=True)


def batch_of(frame: Any) -> PointBatch:
    flags = np.where(frame["occupied"] == 1, int(Flag.OCCUPIED | Flag.OCCUPIED_SENT), int(Flag.OCCUPIED_SENT))
    columns = {"slot": frame["slot"], "time_ms": frame["ts_utc"] * 1000, "lat": frame["lat"], "lon": frame["lon"]}
    return PointBatch.of(len(frame), {**columns, "flags": flags})


def window_of(frame: Any) -> tuple[int, int]:
    return int(frame["ts_utc"].min()) * 1000, int(frame["ts_utc"].max()) * 1000 + 1


@pytest.fixture(scope="module")
def store(frame: Any, tmp_path_factory: pytest.TempPathFactory) -> EmbeddedSeries:
    """The day as it may have come: every hour's rows in any order, the last hours not sealed."""
    made = EmbeddedSeries(tmp_path_factory.mktemp("replay") / "series.db", audit=ListAudit(), clock=FakeClock())
    came = frame.sort_values("ts_utc", kind="stable")
    chance = np.random.default_rng(SEED)
    points = batch_of(came)
    for position, rows in enumerate(np.array_split(np.arange(len(came)), 24), start=1):
        made.commit(Outcome(position, points.take(chance.permutation(rows))), stored_ms=int(came["ts_utc"].iloc[0]))
    made.seal(window_of(frame)[1] - 3 * HOUR_MS)
    return made


def test_a_replay_has_the_files_order_and_times(frame: Any, store: EmbeddedSeries) -> None:
    """All cabs out of the store, played in steps: every row of the file comes once, in the order of its time."""
    from_ms, to_ms = window_of(frame)
    reel = Reel(PointBatch.concat(list(store.fleet(grant(), from_ms, to_ms))), from_ms, to_ms)
    assert (len(reel), reel.duplicates) == (frame["slot"].nunique(), 0)
    expected = frame.sort_values(["ts_utc", "slot"], kind="stable")
    steps = [*range(from_ms, to_ms, 1_700_000), to_ms]
    played = [reel.points_between(begin, end) for begin, end in pairwise(steps)]
    told = PointBatch.concat(played)
    assert told.time_ms.tolist() == (expected["ts_utc"] * 1000).tolist()
    assert told.slot.tolist() == expected["slot"].tolist()
    assert np.array_equal(told.lat, expected["lat"])
    assert np.array_equal(told.lon, expected["lon"])
    # Of every cab it is the file's own order: it has its rows newest first or oldest first.
    for slot in frame["slot"].unique()[::50].tolist():
        times = (frame.loc[frame["slot"] == slot, "ts_utc"] * 1000).tolist()
        assert told.time_ms[told.slot == slot].tolist() in (times, times[::-1])


def test_one_cab_out_of_the_store_is_its_rows_of_the_file(frame: Any, store: EmbeddedSeries, tmp_path: Path) -> None:
    from_ms, to_ms = window_of(frame)
    for slot in (0, 200, 500):
        rows = frame[frame["slot"] == slot].sort_values("ts_utc")
        reel = Reel(store.track(grant(), f"taxi/{slot}", slot, from_ms, to_ms), from_ms, to_ms)
        told = reel.points_between(from_ms, to_ms)
        assert told.time_ms.tolist() == (rows["ts_utc"] * 1000).tolist()
        for time_ms, lat in zip(told.time_ms[::20].tolist(), rows["lat"][::20].tolist(), strict=True):
            frame_at = reel.frame(time_ms)
            assert (frame_at.lat[0], bool(frame_at.placed[0])) == (lat, True)


def test_changes_of_occupancy_are_the_files(frame: Any) -> None:
    some = frame[frame["slot"] % 8 == 0]
    from_ms, to_ms = window_of(some)
    reel = Reel(batch_of(some), from_ms, to_ms)
    told = [
        (one.time_ms, one.slot, one.what)
        for one in moments(journeys(reel.points, RuleLimits()), reel.gaps())
        if one.what in (What.FREE, What.OCCUPIED)
    ]
    rows = some.sort_values(["slot", "ts_utc"])
    changed = (rows["slot"] == rows["slot"].shift()) & (rows["occupied"] != rows["occupied"].shift())
    flips = rows[changed]
    expected = zip(
        (flips["ts_utc"] * 1000).tolist(),
        flips["slot"].tolist(),
        [What.OCCUPIED if one else What.FREE for one in flips["occupied"]],
        strict=True,
    )
    assert sorted(told) == sorted(expected)
    assert len(told) > 1_000
    assert [one[0] for one in told] == sorted(one[0] for one in told)


def test_the_fleet_out_of_the_store_is_where_a_plain_loop_has_it(frame: Any, store: EmbeddedSeries) -> None:
    from_ms, to_ms = window_of(frame)
    windows = Windows(lambda begin, end: store.fleet(grant(), begin, end), from_ms, to_ms)
    ways = {
        slot: (rows["ts_utc"].tolist(), rows["lat"].tolist(), rows["lon"].tolist())
        for slot, rows in frame.sort_values(["slot", "ts_utc"]).groupby("slot")
    }
    hour = (from_ms + 12 * HOUR_MS) // HOUR_MS * HOUR_MS
    for at in (
        hour - LEG_MS,
        hour - 1_234,
        hour,
        hour + 77_777,
        hour + LEG_MS + 1,
        hour + HOUR_MS // 2,
        hour - 3 * HOUR_MS,
    ):
        expected: dict[int, tuple[float, float, bool]] = {}
        for slot, (times, lats, lons) in ways.items():
            row = bisect_right(times, at / 1000) - 1
            if row < 0:
                continue
            if times[row] * 1000 == at:
                expected[slot] = lats[row], lons[row], False
            elif row + 1 < len(times) and times[row + 1] - times[row] <= LEG_MS // 1000:
                share = (at - times[row] * 1000) / ((times[row + 1] - times[row]) * 1000)
                lat, lon = (way[row] + share * (way[row + 1] - way[row]) for way in (lats, lons))
                expected[slot] = lat, lon, True
        seen = windows.at(at)
        assert seen.slot.tolist() == sorted(expected)
        assert len(seen) > 200
        for row, slot in enumerate(seen.slot.tolist()):
            lat, lon, interpolated = expected[slot]
            assert (seen.lat[row], seen.lon[row]) == pytest.approx((lat, lon), abs=1e-9)
            assert seen.interpolated[row] == interpolated


def test_the_drawn_line_holds_its_bound_and_is_smaller(frame: Any) -> None:
    some = frame[frame["slot"] % 40 == 0]
    from_ms, to_ms = window_of(some)
    reel = Reel(batch_of(some), from_ms, to_ms)
    line = drawn(reel, tolerance_m=100.0)
    assert len(line.row) < 0.6 * len(some)  # a fix a minute leaves little to leave out
    time, lat, lon, slot = (reel.points.column(name) for name in ("time_ms", "lat", "lon", "slot"))
    for piece in range(len(line.device)):
        rows = line.row[line.piece == piece]
        inner = np.arange(rows[0], rows[-1] + 1)
        assert len(set(slot[inner].tolist())) == 1
        assert not len(inner) > 1 or np.diff(time[inner]).max() <= LEG_MS
        there = (np.interp(time[inner], time[rows], column[rows]) for column in (lat, lon))
        assert haversine_m(lat[inner], lon[inner], *there).max() <= 100.0 * 1.001
