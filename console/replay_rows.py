"""Frames, lines, gaps and moments of a replay as JSON-ready rows. Pure; decides nothing but the shape.

A frame and a line have columns, not a row for each place: thousands of devices, several times a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from console.track_rows import rfc3339, time_text
from model.codes import Flag

if TYPE_CHECKING:
    from analytics.replay.line import Line
    from analytics.replay.moments import Moment
    from analytics.replay.reel import Gaps, Reel
    from analytics.replay.windows import Seen


def frame_row(seen: Seen, device: npt.NDArray[np.integer]) -> dict[str, Any]:
    """One frame: columns of one length; `device` says which each is, as whoever reads it has agreed.

    `interpolated` is 0 or 1; the others are what the point at or before the moment told, whole numbers and -1 for nothing:
    `age_s` how long ago it was, `speed_kmh`, `heading_deg`, `occupied`.
    """
    told = (seen.flags & np.uint16(Flag.OCCUPIED_SENT)) != 0
    occupied = (seen.flags & np.uint16(Flag.OCCUPIED)) != 0
    return {
        "time": time_text(seen.time_ms),
        "device": device.tolist(),
        "lat": np.round(seen.lat, 6).tolist(),
        "lon": np.round(seen.lon, 6).tolist(),
        "interpolated": seen.interpolated.astype(np.int8).tolist(),
        "age_s": ((seen.time_ms - seen.point_ms) // 1_000).tolist(),
        "speed_kmh": _whole(seen.speed_kmh),
        "heading_deg": _whole(seen.heading_deg),
        "occupied": np.where(told, occupied.astype(np.int8), np.int8(-1)).tolist(),
    }


def _whole(values: npt.NDArray[np.float32]) -> list[int]:
    made: list[int] = np.where(np.isnan(values), -1, np.rint(values)).astype(np.int16).tolist()
    return made


def line_pieces(reel: Reel, line: Line, device: int) -> list[dict[str, list[Any]]]:
    """The drawn line of one device (its place in `Reel.slots`): pieces with gaps between them, columns of one length."""
    pieces = np.flatnonzero(line.device == device)
    made = []
    for piece in pieces.tolist():
        rows = line.row[np.searchsorted(line.piece, piece) : np.searchsorted(line.piece, piece, side="right")]
        made.append(
            {
                "time": rfc3339(reel.points.time_ms[rows]),
                "lat": np.round(reel.points.lat[rows], 6).tolist(),
                "lon": np.round(reel.points.lon[rows], 6).tolist(),
            }
        )
    return made


def gap_rows(gaps: Gaps, slot: int) -> Iterator[dict[str, Any]]:
    """The silences of one device; `begins_before` and `goes_on`: it is the window that begins or ends there."""
    at = np.flatnonzero(gaps.slot == slot)
    for start, end, row in zip(rfc3339(gaps.from_ms[at]), rfc3339(gaps.to_ms[at]), at.tolist(), strict=True):
        yield {
            "from": start,
            "to": end,
            "duration_s": int(gaps.to_ms[row] - gaps.from_ms[row]) / 1_000,
            "begins_before": bool(gaps.begins_before[row]),
            "goes_on": bool(gaps.goes_on[row]),
        }


def moment_rows(found: Sequence[Moment], ids: Mapping[int, str]) -> list[dict[str, Any]]:
    """What happens, in order: `index` is that of the device's own list of its kind."""
    times = rfc3339(np.array([one.time_ms for one in found], np.int64))
    return [
        {"time": time, "device": ids[one.slot], "what": one.what.value, "index": one.index}
        for time, one in zip(times, found, strict=True)
    ]
