"""Where a device was at a time: between two of its points, straight on, and nowhere where they are too far apart.

Invariants: a leg is what `model.presence.bridged` says, so a silence of more than five minutes, a jump or a place that cannot
be trusted is never bridged; at the time of a point the place is the point's own. Pure columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.batch import PointBatch
from model.presence import bridged

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Along:
    """Places at some times, columns of shape (times,).

    Attributes:
        lat, lon: degrees; NaN where it is not known.
        interpolated: whether the place is known and no point's own.
    """

    lat: Floats
    lon: Floats
    interpolated: Bools


def along(track: PointBatch, times_ms: Ints) -> Along:
    """Places of one device, whose points come in the order of (time, seq), at `times_ms`; of equal times the last point's."""
    count = len(track)
    if not count:
        nowhere = np.full(len(times_ms), np.nan)
        return Along(nowhere, nowhere.copy(), np.zeros(len(times_ms), np.bool_))
    before = np.searchsorted(track.time_ms, times_ms, side="right") - 1
    first = np.clip(before, 0, count - 1)
    after = np.minimum(first + 1, count - 1)
    exact = (before >= 0) & (track.time_ms[first] == times_ms)
    legs = np.append(bridged(track), False)
    between = ~exact & (before >= 0) & legs[first]
    took = np.maximum(track.time_ms[after] - track.time_ms[first], 1)
    share = np.where(between, (times_ms - track.time_ms[first]) / took, 0.0)
    known = exact | between
    lat = track.lat[first] + share * (track.lat[after] - track.lat[first])
    lon = track.lon[first] + share * (track.lon[after] - track.lon[first])
    return Along(np.where(known, lat, np.nan), np.where(known, lon, np.nan), between)
