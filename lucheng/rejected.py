"""A rejected row of a batch as an entry of the quarantine: what it said, in words that JSON has."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from model.batch import COLUMNS, PointBatch
from model.codes import Flag, Reason, alarm_names
from model.quarantine import Quarantined


def rejected_row(batch: PointBatch, row: int, reason: Reason, ids: list[str]) -> Quarantined:
    """A row that the stages rejected, as it is kept."""
    device = ids[int(batch.slot[row])]
    return Quarantined(
        reason=reason,
        rows=1,
        received_ms=int(batch.received_ms[row]),
        source="file" if int(batch.flags[row]) & Flag.BUFFERED else "live",
        device=device,
        detail=f"time_ms={int(batch.time_ms[row])} lat={float(batch.lat[row])} lon={float(batch.lon[row])}",
        raw=msgspec.json.encode(_row(batch, row)),
    )


def _row(batch: PointBatch, row: int) -> dict[str, Any]:
    """One row as JSON-ready values; what was not sent, and what JSON has no number for, is text or null."""
    made: dict[str, Any] = {}
    for column in COLUMNS:
        value = batch.column(column.name)[row].item()
        if isinstance(value, float) and not np.isfinite(value):
            value = None if np.isnan(value) else str(value)
        made[column.name] = value
    made["alarms"] = alarm_names(made.pop("alarm_bits"))
    return made
