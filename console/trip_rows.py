"""Trips, stops, occupancy and their totals as JSON-ready rows, and the limits that the settings set for them.

Purpose: the one shape in which `trips` and `replay` tell them. `None` for what the device did not tell. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from console.track_rows import rfc3339

if TYPE_CHECKING:
    from analytics.trips.journeys import Flips, Journeys, StopRows, TripRows
    from config.sections import Settings
    from model.batch import PointBatch


def journeys_of(points: PointBatch, settings: Settings) -> Journeys:
    """Trips, stops and occupancy of points, by the rules in force."""
    from analytics.limits import CleanLimits  # noqa: PLC0415 the stops need shapely, which costs 0.2 s
    from analytics.meaning.limits import RuleLimits  # noqa: PLC0415 as above
    from analytics.trips.journeys import journeys  # noqa: PLC0415 as above

    rules, clean = settings.rules, settings.clean
    return journeys(
        points,
        RuleLimits(
            moving_kmh=rules.moving_kmh,
            trip_gap_s=rules.trip_gap_s,
            trip_min_s=rules.trip_min_s,
            stop_min_s=rules.stop_min_s,
            stop_diameter_m=rules.stop_diameter_m,
        ),
        CleanLimits(max_jump_speed_kmh=clean.max_speed_kmh, jump_min_m=clean.jump_min_m),
    )


def trip_rows(trips: TripRows) -> Iterator[dict[str, Any]]:
    """Trips, in order."""
    start, end = rfc3339(trips.start_ms), rfc3339(trips.end_ms)
    for at in range(len(trips)):
        distance, occupied = float(trips.distance_m[at]), _number(trips.occupied_m[at])
        yield {
            "start": start[at],
            "end": end[at],
            "duration_s": _seconds(trips.end_ms[at] - trips.start_ms[at]),
            "distance_m": round(distance, 1),
            "points": int(trips.points[at]),
            "mean_kmh": _number(trips.mean_kmh[at]),
            "max_kmh": _number(trips.max_kmh[at]),
            "occupied_m": occupied,
            "occupied_share": _share(occupied, distance),
        }


def stop_rows(stops: StopRows) -> Iterator[dict[str, Any]]:
    """Stops, in order."""
    start, end = rfc3339(stops.start_ms), rfc3339(stops.end_ms)
    for at in range(len(stops)):
        yield {
            "start": start[at],
            "end": end[at],
            "duration_s": _seconds(stops.end_ms[at] - stops.start_ms[at]),
            "lat": round(float(stops.lat[at]), 6),
            "lon": round(float(stops.lon[at]), 6),
            "points": int(stops.points[at]),
        }


def flip_rows(flips: Flips) -> Iterator[dict[str, Any]]:
    """Changes between free and occupied, in order."""
    for time, occupied in zip(rfc3339(flips.time_ms), flips.occupied.tolist(), strict=True):
        yield {"time": time, "occupied": occupied}


def totals(trips: TripRows, stops: StopRows) -> dict[str, Any]:
    """Of the whole window; the occupied share is of the trips that tell."""
    told = ~np.isnan(trips.occupied_m)
    occupied = float(trips.occupied_m[told].sum()) if told.any() else None
    return {
        "trips": len(trips),
        "stops": len(stops),
        "distance_m": round(float(trips.distance_m.sum()), 1),
        "driving_s": _seconds((trips.end_ms - trips.start_ms).sum()),
        "standing_s": _seconds((stops.end_ms - stops.start_ms).sum()),
        "occupied_m": None if occupied is None else round(occupied, 1),
        "occupied_share": _share(occupied, float(trips.distance_m[told].sum())),
    }


def _number(value: np.float64) -> float | None:
    return None if np.isnan(value) else round(float(value), 1)


def _share(part_m: float | None, whole_m: float) -> float | None:
    return None if part_m is None or whole_m <= 0 else round(min(part_m / whole_m, 1.0), 3)


def _seconds(took_ms: npt.NDArray[np.int64] | np.int64) -> float:
    return float(took_ms) / 1_000
