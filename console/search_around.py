"""Everything that was about a track: the points of those that may have gone along with it.

Ten minutes at a time the store is asked who was in the box of that piece of the track (its space-time index answers that), then,
hour by hour, for all points of those who may have been near. Invariants: nobody who was within `near_m` of the track at a
time, by a point or between two that a leg joins, is missing, as long as no leg is longer than `_FAR_DEG`. Points without a
place are not among them, so legs may be seen over these that there are not: who judges has to look at whole tracks at last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.area import Area, Polygon
from model.batch import PointBatch
from model.errors import Refused
from model.geo import METRES_PER_DEGREE
from model.presence import MAX_LEG_MS, Presence

SLICE_MS, HOUR_MS = 600_000, 3_600_000
#: About the track all points of those who may have been near are read so far: no leg is as long (five minutes at 600 km/h).
_FAR_DEG = 0.5
#: A box of places that are all the same still has a size.
_LEAST_DEG = 1e-5
_MAX_LAT_DEG, _MAX_LON_DEG = 89.9, 180.0

Slots = npt.NDArray[np.int32]
Inside = Callable[[Area, tuple[int, int], Slots], list[Presence]]


@dataclass(frozen=True, slots=True)
class Reader:
    """Who was where.

    Attributes:
        inside: (area, window, slots) to who was there; audited, under a grant.
        window: nothing outside of it is asked, half open, UTC ms.
        max_points: points gathered at most.
    """

    inside: Inside
    window: tuple[int, int]
    max_points: int


def around(track: PointBatch, others: Slots, reader: Reader, near_m: float) -> PointBatch:
    """Points of those of `others` that may have been within `near_m` of the track, by (slot, time, seq).

    `track`: one device's, by (time, seq). Raises Refused over the limit.
    """
    placed = np.isfinite(track.lat) & np.isfinite(track.lon)
    track = track if placed.all() else track.take(placed)
    if not len(track) or not len(others):
        return PointBatch.empty()
    near: dict[int, set[int]] = {}
    for start_ms, piece in _slices(track):
        window = _cut((start_ms - MAX_LEG_MS, start_ms + SLICE_MS + MAX_LEG_MS), reader.window)
        found = reader.inside(_box(piece, near_m / METRES_PER_DEGREE), window, others)
        hour = start_ms // HOUR_MS
        for beside in (hour - 1, hour, hour + 1):  # a leg may begin or end there
            near.setdefault(beside, set()).update(one.slot for one in found)
    far = _box(track, _FAR_DEG)
    pieces: list[PointBatch] = []
    left = reader.max_points
    for hour, slots in sorted(near.items()):
        window = _cut((hour * HOUR_MS, (hour + 1) * HOUR_MS), reader.window)
        if not slots or window[0] >= window[1]:
            continue
        read = [one.points for one in reader.inside(far, window, np.array(sorted(slots), np.int32))]
        left -= sum(len(piece) for piece in read)
        if left < 0:
            raise Refused(f"More than {reader.max_points} points lie about the track.", mend="Ask for a shorter time.")
        pieces += read
    points = PointBatch.concat(pieces)
    return points.take(np.lexsort((points.seq, points.time_ms, points.slot)))


def _slices(track: PointBatch) -> Iterator[tuple[int, PointBatch]]:
    """(start, rows) of every ten minutes with a point: the points then, and the ends of the legs that reach in or out.

    A leg is shorter than ten minutes, so none lies in a slice without a point.
    """
    number = track.time_ms // SLICE_MS
    first = np.flatnonzero(np.diff(number, prepend=number[0] - 1))
    for start, end in zip(first.tolist(), [*first[1:].tolist(), len(track)], strict=True):
        rows = np.arange(max(start - 1, 0), min(end + 1, len(track)))
        time_ms = track.time_ms[rows]
        own = track.time_ms[start], track.time_ms[end - 1]
        yield (
            int(number[start]) * SLICE_MS,
            track.take(rows[(time_ms >= own[0] - MAX_LEG_MS) & (time_ms <= own[1] + MAX_LEG_MS)]),
        )


def _box(places: PointBatch, wider_deg: float) -> Polygon:
    """The box of places, wider by so much of a meridian on each side."""
    south, north = float(places.lat.min()), float(places.lat.max())
    west, east = float(places.lon.min()), float(places.lon.max())
    high = wider_deg * 1.01 + _LEAST_DEG
    wide = high / max(np.cos(np.radians(min(max(abs(south), abs(north)) + high, _MAX_LAT_DEG))), 1e-3)
    south, north = max(south - high, -_MAX_LAT_DEG), min(north + high, _MAX_LAT_DEG)
    west, east = max(west - wide, -_MAX_LON_DEG), min(east + wide, _MAX_LON_DEG)
    return Polygon((((west, south), (east, south), (east, north), (west, north)),))


def _cut(window: tuple[int, int], within: tuple[int, int]) -> tuple[int, int]:
    return max(window[0], within[0]), min(window[1], within[1])
