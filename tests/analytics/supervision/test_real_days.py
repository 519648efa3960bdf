"""Totals of the real taxis' days against an independent calculation with pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analytics.supervision.rows import grouped
from tests.analytics.supervision.oracle import DAY_MS, supervised
from tests.analytics.supervision.ours import as_frame, batch_of, judged
from tests.analytics.trips.plain import cabspotting, tdrive


def of_track(track: tuple[np.ndarray, ...], occupied: np.ndarray | float) -> pd.DataFrame:
    """A frame of the oracle's columns, places at the store's resolution."""
    slot, time_ms, lat, lon = track
    return pd.DataFrame(
        {
            "slot": slot,
            "time_ms": time_ms,
            "lat": np.rint(lat * 1e6) / 1e6,
            "lon": np.rint(lon * 1e6) / 1e6,
            "occupied": occupied,
            "speed": np.nan,
        }
    )


def check(frame: pd.DataFrame, window: tuple[int, int]) -> pd.DataFrame:
    """Ours equals the oracle's: counts and times exactly, ways to a millimetre a leg."""
    frame = frame[(frame.time_ms >= window[0]) & (frame.time_ms < window[1])]
    slots = np.unique(frame.slot)
    found = as_frame(judged([batch_of(frame)], slots.tolist(), window))
    expected = supervised(frame, window)
    assert found.index.tolist() == expected.index.tolist()
    for name in expected.columns.astype(str):
        if name.endswith("_m"):
            off = (found[name] - expected[name]).abs()
            assert (off <= 0.001 * expected.points).all(), (name, off.max())
        else:
            pd.testing.assert_series_equal(
                found[name].astype(np.int64), expected[name].astype(np.int64), check_names=False, obj=name
            )
    return expected


@pytest.mark.parametrize("every", [160, pytest.param(8, marks=pytest.mark.soak)])
def test_a_day_of_san_franciscos_taxis(every: int) -> None:
    track, occupied = cabspotting(every=every)
    start = int(track[1].min()) // DAY_MS * DAY_MS
    expected = check(of_track(track, occupied.astype(int)), (start, start + 2 * DAY_MS))
    assert expected.trips.sum() > 20
    assert expected.flips.sum() > 100
    assert expected[[f"overspeed_{band}" for band in range(4)]].to_numpy().sum() > 5
    assert expected.tired.sum() > 0 or every > 8


@pytest.mark.parametrize("every", [18, pytest.param(1, marks=pytest.mark.soak)])
def test_a_day_of_beijings_taxis(every: int) -> None:
    """Sparse fixes, no word of passengers: nothing is told of them."""
    track = tdrive()
    start = int(track[1].min()) // DAY_MS * DAY_MS
    track = tuple(column[track[0] % every == 0] for column in track)
    frame = of_track(track, 0.0)
    check(frame, (start, start + DAY_MS))
    frame["occupied"] = np.nan
    found = judged([batch_of(frame)], np.unique(frame.slot).tolist(), (start, start + DAY_MS))
    city = grouped(found.vehicles, np.zeros(len(found.slot), np.int64), 1)
    assert (city.told_ms[0], city.told_mm[0], city.flips[0]) == (0, 0, 0)
    assert city.broken_mm[0] > 0


def test_flips_of_the_day_are_the_files() -> None:
    track, occupied = cabspotting(every=10)
    start = int(track[1].min()) // DAY_MS * DAY_MS
    frame = of_track(track, occupied.astype(int))
    found = judged([batch_of(frame)], np.unique(frame.slot).tolist(), (start, start + 2 * DAY_MS))
    same = np.diff(frame.slot) == 0
    changes = same & (np.diff(frame.occupied) != 0)
    assert found.vehicles.flips.sum() == changes.sum() > 1_000
    assert found.vehicles.hires.sum() == (changes & (frame.occupied.to_numpy()[1:] == 1)).sum()
