"""The frame of a stored track: what the rules see of points that are all there, in order, with their trusted places alone.

Invariants: as `analytics.meaning.frame`, but nothing is late or in doubt any more: every row with a trusted place is in
it, the others are not. So a point that came late is judged in its place, which the stream cannot do.
"""

from __future__ import annotations

import numpy as np

from analytics.meaning.context import Context
from analytics.meaning.frame import Frame
from analytics.step import group_lasts, group_starts
from analytics.trips.journeys import Track


def frame_of(track: Track, context: Context) -> Frame:
    """The frame; `row` counts in the track."""
    rows = len(track.slot)
    starts = group_starts(track.slot)
    legs = track.took > 0
    legs &= ~track.impossible
    return Frame(
        row=np.arange(rows),
        slot=track.slot,
        kind=context.kinds(track.slot),
        time_ms=track.time,
        received_ms=track.time,
        lat=track.lat,
        lon=track.lon,
        acc_m=np.full(rows, np.nan, np.float32),
        speed_kmh=track.speed.astype(np.float32),
        flags=track.flags,
        battery_pct=np.full(rows, -1, np.int16),
        placed=np.ones(rows, np.bool_),
        leg_m=np.where(legs, track.far, np.nan),
        leg_ms=np.where(legs, track.took, 0),
        leg_kmh=track.kmh,
        motion_kmh=np.where(np.isnan(track.speed), track.kmh, track.speed),
        starts=starts,
        lasts=group_lasts(starts, rows),
        of=track.slot[starts],
    )
