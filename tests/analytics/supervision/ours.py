"""The supervision in the form of the oracle, and days to judge."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from analytics.meaning.context import Context
from analytics.supervision.day import DayPoints
from analytics.supervision.limits import SupervisionLimits
from analytics.supervision.rows import Supervision
from analytics.supervision.supervise import supervise
from model.batch import PointBatch
from model.codes import Flag

FREE, TAKEN = int(Flag.OCCUPIED_SENT), int(Flag.OCCUPIED | Flag.OCCUPIED_SENT)
DAY_MS = 86_400_000
FROM_MS = 1_760_000_000_000 // DAY_MS * DAY_MS
WINDOW = (FROM_MS, FROM_MS + DAY_MS)


def context(vehicles: int = 1_000, **more: Any) -> Context:
    """Taxis alone."""
    return Context(kind_of_slot=np.zeros(vehicles, np.int8), **more)


def judged(
    batches: Iterable[PointBatch],
    slots: Iterable[int],
    window: tuple[int, int] = WINDOW,
    limits: SupervisionLimits | None = None,
    by: Context | None = None,
) -> Supervision:
    """The supervision of what came in these batches."""
    day = DayPoints(np.array(sorted(slots), np.int64), *window)
    for batch in batches:
        day.add(batch)
    return supervise(day, by or context(), limits)


def batch_of(frame: pd.DataFrame) -> PointBatch:
    """A batch of a frame of the oracle's columns."""
    flags = np.where(frame.occupied == 1, TAKEN, np.where(frame.occupied == 0, FREE, 0))
    columns = {"slot": frame.slot, "time_ms": frame.time_ms, "lat": frame.lat, "lon": frame.lon}
    return PointBatch.of(len(frame), {**columns, "speed_kmh": frame.speed, "flags": flags})


def as_frame(found: Supervision) -> pd.DataFrame:
    """Vehicles as the oracle has them, by slot, those with points."""
    one = found.vehicles
    plain: tuple[str, ...] = (
        "points",
        "drift",
        "driving_ms",
        "trips",
        "standing_ms",
        "stops",
        "told_ms",
        "occupied_ms",
        "flips",
    )
    plain += ("gaps", "offline_ms", "overspeed_ms", "tired", "longest_drive_ms")
    metres = ("distance", "occupied", "complete", "broken")
    columns = {name: getattr(one, name) for name in plain}
    columns |= {f"{name}_m": getattr(one, f"{name}_mm") / 1_000 for name in metres}
    columns |= {f"overspeed_{band}": one.overspeed[:, band] for band in range(one.overspeed.shape[1])}
    return pd.DataFrame(columns, index=found.slot)[one.points > 0]
