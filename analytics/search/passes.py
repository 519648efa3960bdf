"""The cameras that a vehicle passed, with the times at which it was in view: which clips to pull.

What a camera sees is a sector: all within `range_m` of it whose bearing from it is at most half of `field_deg` off its own. A
camera whose bearing is not known sees all around, and what it is told to have seen is marked so. Invariants: a vehicle
is in view at the times of its points in the sector, and on its legs (`model.presence.bridged`) from where they go in to
where they go out, exactly, on the plane that touches the camera's place. Houses are not known, so in view means that it could
be seen. Pure; it pulls no clip.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.batch import PointBatch
from model.errors import Refused
from model.geo import METRES_PER_DEGREE
from model.presence import bridged

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

DEFAULT_RANGE_M = 50.0
DEFAULT_FIELD_DEG = 90.0
DEFAULT_JOIN_MS = 10_000
DEFAULT_BEFORE_MS, DEFAULT_AFTER_MS = 5_000, 5_000
DEFAULT_MAX_PASSES = 1_000
_FULL_TURN_DEG = 360.0


@dataclass(frozen=True, slots=True)
class CameraView:
    """What a camera looks at.

    Attributes:
        device: its id.
        lat, lon: where it hangs, WGS-84 degrees.
        bearing_deg: where it looks, clockwise from north; None when that is not known.
        field_deg: how wide; of no meaning without a bearing.
        range_m: how far a vehicle can be told.
    """

    device: str
    lat: float
    lon: float
    bearing_deg: float | None = None
    field_deg: float = DEFAULT_FIELD_DEG
    range_m: float = DEFAULT_RANGE_M


@dataclass(frozen=True, slots=True)
class PassLimits:
    """How passes are told.

    Attributes:
        join_ms: two times in view that are at most so far apart are one pass.
        before_ms, after_ms: what a clip has beyond the pass.
        max_passes: passes at most.
    """

    join_ms: int = DEFAULT_JOIN_MS
    before_ms: int = DEFAULT_BEFORE_MS
    after_ms: int = DEFAULT_AFTER_MS
    max_passes: int = DEFAULT_MAX_PASSES


@dataclass(frozen=True, slots=True)
class CameraPass:
    """A vehicle in view of a camera.

    Attributes:
        camera: id of the camera.
        from_ms, to_ms: first and last time in view, UTC ms.
        clip_from_ms, clip_to_ms: the clip to pull.
        nearest_ms, nearest_m: when it was nearest while in view, and how near.
        bearing_deg: where it was then as seen from the camera, clockwise from north.
        points: the vehicle's own points in view; 0: told by interpolated legs alone.
        by_range: the camera's bearing is not known, so it may have looked elsewhere.
    """

    camera: str
    from_ms: int
    to_ms: int
    clip_from_ms: int
    clip_to_ms: int
    nearest_ms: int
    nearest_m: float
    bearing_deg: float
    points: int
    by_range: bool

    @property
    def interpolated(self) -> bool:
        """Whether no point of the vehicle was in view."""
        return not self.points


@dataclass(frozen=True, slots=True)
class _Seen:
    """Stretches of time in view, columns; a point's own is of no length."""

    start: Floats
    end: Floats
    nearest_m: Floats
    nearest_ms: Floats
    bearing_deg: Floats
    point: Bools


def camera_passes(
    track: PointBatch, cameras: Sequence[CameraView], limits: PassLimits | None = None
) -> list[CameraPass]:
    """Passes of one device, whose points come in the order of (time, seq), by (from_ms, nearest_m, camera).

    Raises Refused when there are more than `limits.max_passes`.
    """
    limits = limits or PassLimits()
    placed = np.isfinite(track.lat) & np.isfinite(track.lon)
    track = track if placed.all() else track.take(placed)
    found: list[CameraPass] = []
    if not len(track):
        return found
    legs = np.flatnonzero(bridged(track))
    first = np.concatenate((legs, np.arange(len(track))))
    last = np.concatenate((legs + 1, np.arange(len(track))))
    for camera in _near(track, cameras):
        found.extend(_passes(_seen(track, first, last, camera), camera, limits))
        if len(found) > limits.max_passes:
            raise Refused(
                f"The vehicle passed cameras more than {limits.max_passes} times.", mend="Ask for a shorter time."
            )
    return sorted(found, key=lambda one: (one.from_ms, one.nearest_m, one.camera))


def _near(track: PointBatch, cameras: Sequence[CameraView]) -> Iterator[CameraView]:
    """Cameras whose range reaches the box of the track."""
    south, north = float(track.lat.min()), float(track.lat.max())
    west, east = float(track.lon.min()), float(track.lon.max())
    for camera in cameras:
        high = camera.range_m / METRES_PER_DEGREE * 1.01
        wide = high / max(np.cos(np.radians(camera.lat)), 1e-3)
        if south - high <= camera.lat <= north + high and west - wide <= camera.lon <= east + wide:
            yield camera


def _seen(track: PointBatch, first: Ints, last: Ints, camera: CameraView) -> _Seen:
    """Stretches in view of the legs between rows `first` and `last`; a row to itself is its point."""
    east = METRES_PER_DEGREE * np.cos(np.radians(camera.lat))
    x, y = (track.lon - camera.lon) * east, (track.lat - camera.lat) * METRES_PER_DEGREE
    reach = np.hypot(x, y)
    far = np.hypot(x[last] - x[first], y[last] - y[first])
    near = np.flatnonzero(reach[first] <= camera.range_m + far)
    first, last = first[near], last[near]
    ax, ay, bx, by = x[first], y[first], x[last], y[last]
    low, high = _in_range(ax, ay, bx, by, camera.range_m)
    time, took = (
        track.time_ms[first].astype(np.float64),
        (track.time_ms[last] - track.time_ms[first]).astype(np.float64),
    )
    pieces: list[_Seen] = []
    for from_deg, to_deg in _sectors(camera):
        start, end = low, high
        if from_deg is not None and to_deg is not None:
            start, end = _clipped(start, end, *_beside(ax, ay, bx, by, from_deg))
            start, end = _clipped(start, end, *(-side for side in _beside(ax, ay, bx, by, to_deg)))
        at = np.flatnonzero(start <= end)
        dx, dy = bx[at] - ax[at], by[at] - ay[at]
        length2 = dx * dx + dy * dy
        best = -(ax[at] * dx + ay[at] * dy) / np.where(length2 > 0, length2, 1.0)
        best = np.clip(best, start[at], end[at])
        there_x, there_y = ax[at] + best * dx, ay[at] + best * dy
        pieces.append(
            _Seen(
                time[at] + start[at] * took[at],
                time[at] + end[at] * took[at],
                np.hypot(there_x, there_y),
                time[at] + best * took[at],
                np.degrees(np.arctan2(there_x, there_y)) % _FULL_TURN_DEG,
                first[at] == last[at],
            )
        )
    columns = (np.concatenate(column) for column in zip(*(_columns(piece) for piece in pieces), strict=True))
    return _Seen(*columns)


def _columns(seen: _Seen) -> tuple[Floats, Floats, Floats, Floats, Floats, Bools]:
    return seen.start, seen.end, seen.nearest_m, seen.nearest_ms, seen.bearing_deg, seen.point


def _sectors(camera: CameraView) -> list[tuple[float | None, float | None]]:
    """From and to, clockwise, of sectors of at most a half turn, which a leg can be cut with; (None, None) is all around."""
    if camera.bearing_deg is None or camera.field_deg >= _FULL_TURN_DEG:
        return [(None, None)]
    half = camera.field_deg / 2
    return [(camera.bearing_deg - half, camera.bearing_deg), (camera.bearing_deg, camera.bearing_deg + half)]


def _in_range(ax: Floats, ay: Floats, bx: Floats, by: Floats, range_m: float) -> tuple[Floats, Floats]:
    """Shares of each leg within range of 0, 0; low > high where none is."""
    dx, dy = bx - ax, by - ay
    length2 = dx * dx + dy * dy
    moves = length2 > 0
    middle = np.where(moves, -(ax * dx + ay * dy) / np.where(moves, length2, 1.0), 0.0)
    least2 = (ax + middle * dx) ** 2 + (ay + middle * dy) ** 2
    room = range_m * range_m - least2
    half = np.sqrt(np.maximum(room, 0.0) / np.where(moves, length2, 1.0))
    low = np.where(moves, np.maximum(middle - half, 0.0), 0.0)
    high = np.where(moves, np.minimum(middle + half, 1.0), 1.0)
    return np.where(room >= 0, low, 1.0), np.where(room >= 0, high, 0.0)


def _beside(ax: Floats, ay: Floats, bx: Floats, by: Floats, bearing_deg: float) -> tuple[Floats, Floats]:
    """How far the ends of each leg lie clockwise of a bearing."""
    east, north = np.sin(np.radians(bearing_deg)), np.cos(np.radians(bearing_deg))
    return ax * north - ay * east, bx * north - by * east


def _clipped(low: Floats, high: Floats, start: Floats, end: Floats) -> tuple[Floats, Floats]:
    """Shares cut to where a value that goes from `start` to `end` along the leg is not negative."""
    change = end - start
    with np.errstate(divide="ignore", invalid="ignore"):
        at = -start / change
    low = np.where(change > 0, np.maximum(low, at), low)
    high = np.where(change < 0, np.minimum(high, at), high)
    never = (change == 0) & (start < 0)
    return np.where(never, 1.0, low), np.where(never, 0.0, high)


def _passes(seen: _Seen, camera: CameraView, limits: PassLimits) -> Iterator[CameraPass]:
    if not len(seen.start):
        return
    order = np.argsort(seen.start, kind="stable")
    start, end = seen.start[order], seen.end[order]
    until = np.maximum.accumulate(end)
    begins = np.flatnonzero(np.append(True, start[1:] > until[:-1] + limits.join_ms))
    for first, after in zip(begins.tolist(), [*begins[1:].tolist(), len(start)], strict=True):
        rows = order[first:after]
        nearest = int(rows[np.argmin(seen.nearest_m[rows])])
        from_ms, to_ms = round(float(start[first])), round(float(until[after - 1]))
        # A point on the middle line of the sector is in both halves.
        points = len(np.unique(seen.start[rows[seen.point[rows]]]))
        yield CameraPass(
            camera.device,
            from_ms,
            to_ms,
            from_ms - limits.before_ms,
            to_ms + limits.after_ms,
            round(float(seen.nearest_ms[nearest])),
            float(seen.nearest_m[nearest]),
            float(seen.bearing_deg[nearest]),
            points,
            camera.bearing_deg is None,
        )
