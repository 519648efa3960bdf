"""`validate`: impossible values. A bad place or time sends the row to quarantine, a bad secondary value is set to missing.

Purpose: after it, trusted rows have a slot in range, a finite place on Earth that is not 0/0, and a
time that can be reckoned with. Invariants: a row gets one reason, the first in the order of the
code; the given arrays are never written. It judges no clock against the receive time (see `clock`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from analytics.limits import CleanLimits
from analytics.step import Step
from model.codes import Reason

Bools = npt.NDArray[np.bool_]


def validate(step: Step, limits: CleanLimits) -> None:
    """Give impossible rows their reason, and set impossible secondary values to missing (`cleared.*` gauges)."""
    _places(step, limits)
    _secondary(step, limits)


def _places(step: Step, limits: CleanLimits) -> None:
    batch = step.batch
    lat, lon = np.abs(batch.lat), np.abs(batch.lon)
    # A NaN compares False everywhere, so it is caught here too.
    placed = (lat <= 90.0) & (lon <= 180.0)
    timed = (batch.time_ms >= limits.min_time_ms) & (batch.time_ms < limits.max_time_ms)
    known = (batch.slot >= 0) & (batch.slot < limits.max_slots)
    if not (placed & timed & known).all():
        step.reject(~known, Reason.UNKNOWN_DEVICE)
        step.reject(~(np.isfinite(lat) & np.isfinite(lon)), Reason.NOT_A_NUMBER)
        step.reject(~placed | ~timed, Reason.OUT_OF_RANGE)
    null_island = (lat <= limits.null_island_deg) & (lon <= limits.null_island_deg)
    if null_island.any():
        step.reject(null_island, Reason.NULL_ISLAND)


def _secondary(step: Step, limits: CleanLimits) -> None:
    batch = step.batch
    checks: tuple[tuple[str, float, float, float], ...] = (
        ("speed_kmh", 0.0, limits.max_speed_kmh, np.nan),
        ("heading_deg", 0.0, 360.0, np.nan),
        ("alt_m", limits.min_alt_m, limits.max_alt_m, np.nan),
        ("acc_m", 0.0, limits.max_acc_m, np.nan),
        ("sat", -1, limits.max_sat, -1),
        ("battery_pct", -1, 100, -1),
        ("seq", -1, np.iinfo(np.int64).max, -1),
    )
    for name, low, high, missing in checks:
        values: npt.NDArray[Any] = getattr(batch, name)
        # Missing values pass: NaN compares False, -1 is the lower bound.
        impossible = values < low
        if name != "seq":
            impossible |= values > high
        if impossible.any():
            repaired = values.copy()
            repaired[impossible] = missing
            setattr(batch, name, repaired)
            step.count(f"cleared.{name}", int(np.count_nonzero(impossible)))
