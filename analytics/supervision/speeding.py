"""Stretches above the limit, with the fixes that show it.

Purpose: what the rule `overspeed` raises alarms for, told whole: a stretch is a run of fixes of a vehicle, each more than
`overspeed_over_kmh` above the limit it is under (`analytics.rules.speed_limits`), with no silence longer than
`trip_gap_s` in it, that spans `overspeed_min_s` from its first to its last fix. Fixes without any speed, their own or
their leg's, are passed over. Its band is told by the fix that is farthest above its limit, in percent. Invariants: no
loop over points; nothing is remembered: a stretch that began before the window begins with it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analytics.meaning.context import Context
from analytics.meaning.frame import Frame
from analytics.rules.speed_limits import speed_limits
from analytics.rules.within import FenceTable
from analytics.step import group_lasts, group_starts
from analytics.supervision.rows import OverspeedRows

Ints = npt.NDArray[np.int64]


def overspeed(
    frame: Frame, context: Context, table: FenceTable | None, band_edges_pct: tuple[int, ...]
) -> OverspeedRows:
    """The stretches of a frame; `table` is that of `context.fences`."""
    limits = context.limits
    limit, fence = speed_limits(frame, context, table)
    rows = np.flatnonzero(~np.isnan(frame.motion_kmh))
    # The place among the rows that tell a speed: one below the limit between two ends a stretch.
    at = np.flatnonzero(frame.motion_kmh[rows] > limit[rows] + limits.overspeed_over_kmh)
    rows = rows[at]
    slot, time = frame.slot[rows], frame.time_ms[rows]
    goes_on = (np.diff(at) == 1) & (slot[1:] == slot[:-1]) & (np.diff(time) <= limits.trip_gap_s * 1_000)
    stretch = np.cumsum(np.append(True, ~goes_on))[: len(rows)] - 1 if len(rows) else np.zeros(0, np.int64)
    first = group_starts(stretch)
    last = group_lasts(first, len(rows))
    long = time[last] - time[first] >= limits.overspeed_min_s * 1_000
    worst = _worst(frame.motion_kmh[rows] / limit[rows], stretch, first)[long]
    first, last = first[long], last[long]
    above_pct = (frame.motion_kmh[rows[worst]] / limit[rows[worst]] - 1.0) * 100.0
    begin, peak, end = rows[first], rows[worst], rows[last]
    return OverspeedRows(
        slot=slot[first],
        start_ms=time[first],
        end_ms=time[last],
        points=(last - first + 1).astype(np.int64),
        band=np.searchsorted(np.array(band_edges_pct, np.float64), above_pct, side="right").astype(np.int64),
        fence=np.zeros(len(peak), np.int64) if fence is None else fence[peak],
        first_lat=frame.lat[begin],
        first_lon=frame.lon[begin],
        first_kmh=frame.motion_kmh[begin],
        peak_ms=frame.time_ms[peak],
        peak_lat=frame.lat[peak],
        peak_lon=frame.lon[peak],
        peak_kmh=frame.motion_kmh[peak],
        limit_kmh=limit[peak],
        last_lat=frame.lat[end],
        last_lon=frame.lon[end],
        last_kmh=frame.motion_kmh[end],
    )


def _worst(share: npt.NDArray[np.float64], stretch: Ints, first: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Of each stretch the first row with the greatest share."""
    if not len(first):
        return first
    greatest = np.maximum.reduceat(share, first)
    candidates = np.flatnonzero(share == greatest[stretch])
    return candidates[group_starts(stretch[candidates])]
