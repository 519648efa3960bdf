"""Times off-line: no point of any kind for `offline_ms` or longer, by the device's clock.

Invariants: a silence between two points of the window is told one by one, those at its ends only add to the time; a
point without a place breaks a silence too, since the device was heard.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.supervision.rows import GapRows
from analytics.trips.journeys import Track
from model.geo import haversine_m

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Silence:
    """Of some vehicles.

    Attributes:
        offline_ms: int64, shape (vehicles,), the ends of the window included.
        gaps: those between two points.
    """

    offline_ms: Ints
    gaps: GapRows


def silence(
    slot: Ints, time_ms: Ints, first: Ints, end: Ints, track: Track, window: tuple[int, int], least_ms: int
) -> Silence:
    """Times off-line of at least `least_ms` in a window (half open, UTC ms).

    `slot` and `time_ms`, shape (n,), are every point in order of (slot, time); `first` and `end`, shape (vehicles,), the
    rows of each vehicle, half open; `track` its trusted places.
    """
    from_ms, to_ms = window
    some = end > first
    begins = np.full(len(first), to_ms)
    begins[some] = time_ms[first[some]]
    ends = np.full(len(first), to_ms)
    ends[some] = time_ms[end[some] - 1]
    before, after = begins - from_ms, to_ms - ends
    offline = np.where(before >= least_ms, before, 0) + np.where(after >= least_ms, after, 0)
    took = time_ms[1:] - time_ms[:-1]
    at = np.flatnonzero((took >= least_ms) & (slot[1:] == slot[:-1]))
    within = np.zeros(len(slot) + 1, np.int64)
    within[at + 1] = took[at]
    total = np.cumsum(within)
    offline[some] += total[end[some] - 1] - total[first[some]]
    return Silence(offline, _gaps(slot[at], time_ms[at], time_ms[at + 1], track, window))


def _gaps(slot: Ints, start_ms: Ints, end_ms: Ints, track: Track, window: tuple[int, int]) -> GapRows:
    """The gaps with the places before and after them."""
    span = window[1] - window[0]
    key = track.slot * span + (track.time - window[0])
    before = np.searchsorted(key, slot * span + (start_ms - window[0]), side="right") - 1
    after = np.searchsorted(key, slot * span + (end_ms - window[0]), side="left")
    lat, lon = _place(track, before, slot)
    to_lat, to_lon = _place(track, after, slot)
    return GapRows(slot, start_ms, end_ms, lat, lon, haversine_m(lat, lon, to_lat, to_lon))


def _place(
    track: Track, row: npt.NDArray[np.intp], slot: Ints
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Place of each row of the track; NaN where it is none of the vehicle's."""
    lat, lon = np.full(len(row), np.nan), np.full(len(row), np.nan)
    there = np.flatnonzero((row >= 0) & (row < len(track.slot)))
    there = there[track.slot[row[there]] == slot[there]]
    lat[there], lon[there] = track.lat[row[there]], track.lon[row[there]]
    return lat, lon
