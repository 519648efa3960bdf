"""Driving spells: how long a vehicle was driven from one rest to the next.

Purpose: what the rule `fatigue` raises alarms for, told whole, and by its very definition: an interval between two fixes
belongs to the one that ends it and is driving when that one moves at `moving_kmh` or more, else rest; one longer than
`trip_gap_s` is neither, unless it is as long as a rest (`fatigue_rest_s`): then it is one. Rest adds up until the next fix
that moves; when it reaches `fatigue_rest_s` a spell ends. Invariants: whole milliseconds; no loop over points; who drives is
not known, and what was driven before the window is not either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.meaning.frame import Frame, last_where
from analytics.meaning.limits import RuleLimits
from analytics.step import group_lasts, group_starts
from analytics.supervision.rows import SpellRows

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Driving:
    """Spells of a frame.

    Attributes:
        slot, drive_ms: int64, shape (all spells,), in order of (slot, time).
        tired: those that were too long.
    """

    slot: Ints
    drive_ms: Ints
    tired: SpellRows


def driving(frame: Frame, limits: RuleLimits) -> Driving:
    """The spells of a frame."""
    rows = np.flatnonzero(~np.isnan(frame.motion_kmh))
    slot, time = frame.slot[rows], frame.time_ms[rows]
    starts = group_starts(slot)
    took = np.diff(time, prepend=0)
    took[starts] = 0
    gap = took > limits.trip_gap_s * 1_000
    moves = frame.motion_kmh[rows] >= limits.moving_kmh
    drive_ms = np.where(moves & ~gap, took, 0)
    rest_ms = np.where(np.where(gap, took >= limits.fatigue_rest_s * 1_000, ~moves), took, 0)
    rested = _rested(rest_ms, moves, starts, limits.fatigue_rest_s * 1_000)
    rested[starts] = True
    spell = np.cumsum(rested, dtype=np.int64)
    drives = np.flatnonzero(drive_ms > 0)
    first = group_starts(spell[drives])
    last = group_lasts(first, len(drives))
    begin, end = drives[first], drives[last]
    driven = np.cumsum(drive_ms)
    before = driven[begin] - drive_ms[begin]
    total = driven[end] - before
    least = limits.fatigue_drive_s * 1_000
    long = np.flatnonzero(total >= least)
    # Only rows that drive make the sum grow, so the first that reaches it is one of them.
    over = np.searchsorted(driven, before[long] + least)
    return Driving(
        slot[begin],
        total,
        SpellRows(
            slot=slot[begin[long]],
            start_ms=time[begin[long]] - took[begin[long]],
            end_ms=time[end[long]],
            drive_ms=total[long],
            over_ms=time[over],
            over_lat=frame.lat[rows[over]],
            over_lon=frame.lon[rows[over]],
        ),
    )


def _rested(
    rest_ms: Ints, moves: npt.NDArray[np.bool_], starts: npt.NDArray[np.intp], least_ms: int
) -> npt.NDArray[np.bool_]:
    """Which rows complete a rest or go on with a complete one."""
    lasts = group_lasts(starts, len(rest_ms))
    total = np.cumsum(rest_ms)
    moved = last_where(moves, starts, lasts, before=True)
    since = np.where(moved >= 0, total[moved], np.repeat(total[starts], lasts - starts + 1)) if len(total) else total
    return (total - since >= least_ms) & (rest_ms > 0)
