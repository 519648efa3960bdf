"""What searches found as JSON-ready rows. Pure; decides nothing but the shape.

Invariants: what is interpolated is said so; times are RFC 3339 UTC; `None` for what is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from console.track_rows import point_rows, time_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analytics.search.company import Company
    from analytics.search.passes import CameraPass
    from analytics.search.two_places import Passage
    from model.batch import PointBatch
    from model.presence import Presence
    from store.recordings.rows import Span


def presence_row(one: Presence, *, evidence: bool) -> dict[str, Any]:
    """When somebody was there; with `evidence` the points inside, and the legs across with both ends."""
    row: dict[str, Any] = {
        "first": time_text(one.first_ms),
        "last": time_text(one.last_ms),
        "first_interpolated": one.first_interpolated,
        "last_interpolated": one.last_interpolated,
        "interpolated": one.interpolated,
        "points": len(one.points),
        "legs": len(one.enter_ms),
    }
    if evidence:
        ends = _rows(one.legs)
        row["evidence"] = {
            "points": _rows(one.points),
            "legs": [
                {
                    "enter": time_text(enter),
                    "leave": time_text(leave),
                    "before": ends[2 * at],
                    "after": ends[2 * at + 1],
                }
                for at, (enter, leave) in enumerate(zip(one.enter_ms.tolist(), one.leave_ms.tolist(), strict=True))
            ],
        }
    return row


def evidence_points(found: Sequence[Presence]) -> int:
    """Points that would be given out as evidence."""
    return sum(len(one.points) + len(one.legs) for one in found)


def passage_row(one: Passage) -> dict[str, Any]:
    """From one place to the other."""
    return {
        "left": time_text(one.left_ms),
        "reached": time_text(one.reached_ms),
        "took_s": seconds(one.took_ms),
        "left_interpolated": one.left_interpolated,
        "reached_interpolated": one.reached_interpolated,
    }


def company_row(one: Company) -> dict[str, Any]:
    """A stretch of way together."""
    return {
        "from": time_text(one.from_ms),
        "to": time_text(one.to_ms),
        "seconds": seconds(one.to_ms - one.from_ms),
        "nearest_m": round(one.nearest_m, 1),
        "points": one.points,
        "interpolated": not one.points,
    }


def pass_row(one: CameraPass, name: str, spans: Sequence[Span] | None, max_clip_ms: int) -> dict[str, Any]:
    """A pass by a camera: when in view and how near, what is recorded of it, and how to pull it.

    `spans`: what is recorded of the camera; None where that may not be told. A pass longer than a clip may be is pulled as
    recordings.
    """
    window = {"from_ms": one.clip_from_ms, "to_ms": one.clip_to_ms}
    whole = one.clip_to_ms - one.clip_from_ms <= max_clip_ms
    within = None if spans is None else _within(spans, one.clip_from_ms, one.clip_to_ms)
    return {
        "camera": one.camera,
        "name": name,
        "from": time_text(one.from_ms),
        "to": time_text(one.to_ms),
        "seconds": seconds(one.to_ms - one.from_ms),
        "nearest": time_text(one.nearest_ms),
        "range_m": round(one.nearest_m, 1),
        "bearing_deg": round(one.bearing_deg, 1) % 360.0,
        "points": one.points,
        "interpolated": one.interpolated,
        "by_range": one.by_range,
        "recorded": None
        if within is None
        else [
            {"from": time_text(start), "to": time_text(end), "seconds": seconds(end - start)} for start, end in within
        ],
        "pull": {"operation": "camera_clip" if whole else "camera_recordings", "camera": one.camera, **window},
    }


def seconds(took_ms: int) -> float:
    """Milliseconds as seconds."""
    return took_ms / 1_000


def _within(spans: Sequence[Span], from_ms: int, to_ms: int) -> list[tuple[int, int]]:
    cut = ((max(span.from_ms, from_ms), min(span.to_ms, to_ms)) for span in spans)
    return [(start, end) for start, end in cut if start < end]


def _rows(points: PointBatch) -> list[dict[str, Any]]:
    return [row for rows in point_rows(points) for row in rows]


def slots_in(found: Sequence[Presence]) -> np.typing.NDArray[np.int32]:
    """Their slots, ascending."""
    return np.array([one.slot for one in found], np.int32)
