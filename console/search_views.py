"""The cameras about a track: what they look at, and what is recorded of them as far as the caller may know it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from console.device_operations import Caller
from console.search_asking import SearchHouse
from model.errors import NotFound, Refused
from model.grant import Purpose
from model.role import Role

if TYPE_CHECKING:
    from analytics.search.passes import CameraPass, CameraView
    from model.batch import PointBatch
    from store.recordings.rows import Span

#: Farther from the box of a track no camera is looked at more closely.
_MAX_SIGHT_DEG = 0.05


def camera_views(house: SearchHouse, points: PointBatch) -> list[CameraView]:
    """What the cameras about a track look at."""
    from analytics.search.passes import CameraView  # noqa: PLC0415 used by this alone

    placed = np.isfinite(points.lat) & np.isfinite(points.lon)
    if not placed.any():
        return []
    lat, lon = points.lat[placed], points.lon[placed]
    south, north = float(lat.min()) - _MAX_SIGHT_DEG, float(lat.max()) + _MAX_SIGHT_DEG
    west, east = float(lon.min()) - _MAX_SIGHT_DEG, float(lon.max()) + _MAX_SIGHT_DEG
    views: list[CameraView] = []
    for camera, at_lat, at_lon in house._nearby_places().placed_cameras():  # noqa: SLF001 a mixin's own
        if not (south <= at_lat <= north and west <= at_lon <= east):
            continue
        record = house._camera_or_none(camera)  # noqa: SLF001 as above
        if record is None:
            views.append(CameraView(camera, at_lat, at_lon))
            continue
        set_up = record.settings
        views.append(CameraView(camera, at_lat, at_lon, set_up.bearing_deg, set_up.field_deg, set_up.range_m))
    return views


def recorded_of(
    house: SearchHouse, caller: Caller, why: Purpose, passes: Sequence[CameraPass]
) -> dict[str, list[Span]]:
    """What is recorded of each camera about its passes; those of which the caller may not know it are absent."""
    recordings = house._recordings  # noqa: SLF001 a mixin's own
    if recordings is None:
        return {}
    who = house._as_role(caller)  # noqa: SLF001 as above
    windows: dict[str, tuple[int, int]] = {}
    for one in passes:
        first, last = windows.get(one.camera, (one.clip_from_ms, one.clip_to_ms))
        windows[one.camera] = min(first, one.clip_from_ms), max(last, one.clip_to_ms)
    found: dict[str, list[Span]] = {}
    for camera, window in windows.items():
        record = house._camera_or_none(camera)  # noqa: SLF001 as above
        set_ms = record.set_ms if record is not None else 0
        try:
            grant = house._camera_gate.admit(  # noqa: SLF001 as above
                "recordings", camera, who=who.who, role=Role(who.role), why=why, set_ms=set_ms, window=window
            )
        except (Refused, NotFound):
            continue  # nothing of it is told; what he may see of cameras is not this search's to refuse
        found[camera] = recordings.coverage(grant, camera, *window)
    return found
