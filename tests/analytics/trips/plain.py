"""What the tests of trips compare with: MovingPandas itself, its stops written plainly, and the real taxis."""

from __future__ import annotations

import gzip
import os
import warnings
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import shapely

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of parts of it that are not installed
    import geopandas
    import movingpandas
    import pandas as pd

from analytics.trips.rectangle import geodesic_m

DATA = Path(os.environ.get("LUCHENG_TEST_DATA") or Path(__file__).parents[4] / "shared" / "data") / "taxi"
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
#: slot, time_ms, lat, lon.
Track = tuple[Ints, Ints, Floats, Floats]
#: slot, start_ms, end_ms.
Span = tuple[int, int, int]


def need(name: str) -> Path:
    """A file of the real data; skips the test when it is absent."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is absent: set LUCHENG_TEST_DATA to the test data")
    return path


def ordered(slot: Any, time_ms: Any, lat: Any, lon: Any) -> Track:
    """The columns in the order (slot, time)."""
    slot, time_ms = np.asarray(slot, np.int64), np.asarray(time_ms, np.int64)
    order = np.lexsort((time_ms, slot))
    return slot[order], time_ms[order], np.asarray(lat, np.float64)[order], np.asarray(lon, np.float64)[order]


@cache
def _cabspotting() -> tuple[Any, Ints]:
    with gzip.open(need("cabspotting-sf-2008-05-30.csv.gz"), "rt") as file:
        rows = pd.read_csv(file)
    return rows, pd.factorize(rows.cab_id, sort=True)[0]


def taken(track: Track, rows: Any) -> Track:
    """Some rows of a track."""
    return track[0][rows], track[1][rows], track[2][rows], track[3][rows]


def cabspotting(every: int) -> tuple[Track, npt.NDArray[np.bool_]]:
    """Every so manieth San Francisco taxi, and whether it was occupied."""
    rows, slot = _cabspotting()
    rows, slot = rows[slot % every == 0], slot[slot % every == 0]
    order = np.lexsort((rows.ts_utc, slot))
    time_ms = rows.ts_utc.to_numpy(np.int64) * 1_000
    track = ordered(slot, time_ms, rows.lat, rows.lon)
    return track, rows.occupied.to_numpy(bool)[order]


def tdrive() -> Track:
    """The 72 Beijing taxis."""
    rows = pd.read_csv(need("tdrive-beijing-72-taxis.csv"))
    time_ms = pd.to_datetime(rows.TimeStamp).to_numpy("datetime64[ms]").astype(np.int64)
    return ordered(rows.TaxiID, time_ms, rows.Latitude, rows.Longitude)


def shenzhen(first_hour: int, hours: int) -> Track:
    """Some hours of the 1 Hz Shenzhen taxi."""
    rows = pd.read_csv(need("shenzhen-taxi-28249-one-day-1hz.csv"), header=None, skipinitialspace=True)
    time_ms = pd.to_timedelta(rows[1]).to_numpy("timedelta64[ms]").astype(np.int64)
    track = ordered(np.zeros(len(rows)), time_ms, rows[3], rows[2])
    kept = (track[1] >= first_hour * 3_600_000) & (track[1] < (first_hour + hours) * 3_600_000)
    return taken(track, kept)


def trajectories(track: Track) -> list[Any]:
    """MovingPandas' trajectories, one of each device with two points or more."""
    slot, time_ms, lat, lon = track
    made = []
    for device in np.unique(slot):
        rows = slot == device
        if len(np.unique(time_ms[rows])) > 1:
            index = pd.DatetimeIndex(time_ms[rows].astype("datetime64[ms]"))
            points = geopandas.GeoDataFrame(
                {"geometry": geopandas.points_from_xy(lon[rows], lat[rows])}, index=index, crs="EPSG:4326"
            )
            made.append(movingpandas.Trajectory(points, int(device)))
    return made


def _ms(moment: Any) -> int:
    return int(np.datetime64(moment, "ms").astype(np.int64))


def stops_of(track: Track, min_stop_ms: int, max_diameter_m: float) -> list[Span]:
    """MovingPandas' stops."""
    return [
        (one.id, _ms(found.t_0), _ms(found.t_n))
        for one in trajectories(track)
        for found in movingpandas.TrajectoryStopDetector(one).get_stop_time_ranges(
            max_diameter=max_diameter_m, min_duration=timedelta(milliseconds=min_stop_ms)
        )
    ]


def split_of(track: Track, splitter: str, **arguments: Any) -> list[Span]:
    """First and last time of the pieces that one of MovingPandas' splitters makes."""
    return [
        (one.id, _ms(piece.df.index[0]), _ms(piece.df.index[-1]))
        for one in trajectories(track)
        for piece in getattr(movingpandas, splitter)(one).split(**arguments)
    ]


def spans(track: Track, found: Any) -> list[Span]:
    """Ours in the same form."""
    slot, time_ms, _, _ = track
    return list(
        zip(slot[found.first].tolist(), time_ms[found.first].tolist(), time_ms[found.last].tolist(), strict=True)
    )


def is_small(lat: Floats, lon: Floats, max_diameter_m: float) -> bool:
    """One window as MovingPandas measures it, with the geodesic that `rectangle` has."""
    south, west, north, east = lat.min(), lon.min(), lat.max(), lon.max()
    if not _far_m(south, west, north, east) < 1.5 * max_diameter_m:
        return False
    if len(lat) == 2:
        return _far_m(lat[0], lon[0], lat[1], lon[1]) < max_diameter_m
    corners = shapely.get_coordinates(shapely.MultiPoint(np.column_stack((lon, lat))).minimum_rotated_rectangle)
    far = corners[2] if len(corners) > 2 else corners[-1]
    return _far_m(corners[0][1], corners[0][0], far[1], far[0]) < max_diameter_m


def _far_m(*place: float) -> float:
    return float(geodesic_m(*(np.array([value]) for value in place))[0])


def plain_stops(track: Track, min_stop_ms: int, max_diameter_m: float) -> list[Span]:
    """MovingPandas' stops point by point, quick enough for random tracks."""
    found: list[Span] = []
    for device in np.unique(track[0]):
        rows = track[0] == device
        time, place = np.unique(track[1][rows], return_index=True)
        lat, lon = track[2][rows][place], track[3][rows][place]
        begin, stands = 0, False
        for at in range(len(time)):
            while not stands and at - begin > 1 and time[at] - time[begin] >= min_stop_ms:
                begin += 1
            stood = stands
            stands = at > begin and is_small(lat[begin : at + 1], lon[begin : at + 1], max_diameter_m)
            if stood and not stands and time[at - 1] - time[begin] >= min_stop_ms:
                found.append((int(device), int(time[begin]), int(time[at - 1])))
                begin = at
        if stands and time[-1] - time[begin] >= min_stop_ms:
            found.append((int(device), int(time[begin]), int(time[-1])))
    return found
