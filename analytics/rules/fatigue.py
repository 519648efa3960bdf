"""`fatigue`: a taxi that has been driven for too long without a rest.

Purpose: driving time adds up over the intervals between a taxi's rows: an interval belongs to the row that ends it and
is driving when that row moves at `moving_kmh` or more, else it is rest. Rest adds up until the next row that moves. An
interval longer than `trip_gap_s` is neither and breaks nothing, unless it is as long as a rest: then it is one. A rest
of `fatigue_rest_s` clears and begins anew; driving of `fatigue_drive_s` before that raises, once. Rows that do not say
whether they move (no speed and no leg) are passed over, so that silence about motion is a gap. Invariants: whole
milliseconds throughout, so that no sum depends on how the stream is cut. Who drives is not known: a change of drivers
without a rest of the taxi is not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from analytics.meaning.frame import last_where
from analytics.meaning.rule import Rule
from analytics.slots import Field
from analytics.state import NEVER_MS
from analytics.step import Bools, Rows, group_lasts, group_starts
from model.device import KIND_CODE, Kind

if TYPE_CHECKING:
    from analytics.meaning.context import Context
    from analytics.meaning.events import Events
    from analytics.meaning.frame import Frame
    from analytics.meaning.limits import RuleLimits

Ints = npt.NDArray[np.int64]
_TAXI = KIND_CODE[Kind.TAXI]
_HOUR_MS = 3_600_000.0


@dataclass(frozen=True, slots=True)
class _Intervals:
    """What the interval that each row ends adds, ms; and whether the row moves."""

    drive_ms: Ints
    rest_ms: Ints
    moves: Bools


class Fatigue(Rule):
    """See the module. The value is hours driven."""

    name = "fatigue"
    fields = (
        Field("seen_ms", "<i8", NEVER_MS, "time of the last row that said whether it moves"),
        Field("drive_ms", "<i8", 0, "driven since the last rest"),
        Field("rest_ms", "<i8", 0, "rested since the last row that moved"),
        Field("tired", "|u1", 0, "1 while driving has been too long"),
    )

    def points(self, frame: Frame, context: Context, events: Events) -> None:
        """Add up driving and rest."""
        at = np.flatnonzero((frame.kind == _TAXI) & ~np.isnan(frame.motion_kmh))
        if not len(at):
            return
        slot, time, limits = frame.slot[at], frame.time_ms[at], context.limits
        starts = group_starts(slot)
        lasts = group_lasts(starts, len(at))
        one = self._intervals(time, frame.motion_kmh[at], slot[starts], starts, limits)
        cleared, drive = self._sums(one, slot[starts], starts, lasts, limits)
        before, tired = self._tired(drive >= limits.fatigue_drive_s * 1_000, cleared, slot[starts], starts, lasts)
        self.memory["seen_ms"][slot[starts]] = time[lasts]
        for rises, which in ((False, before & cleared), (True, tired & ~before)):
            rows = np.flatnonzero(which)
            events.add(
                self.name,
                "fatigue",
                rises=rises,
                row=frame.row[at[rows]],
                slot=slot[rows],
                time_ms=time[rows],
                value=drive[rows] / _HOUR_MS if rises else None,
                unit="h" if rises else "",
            )

    def _intervals(
        self, time: Ints, motion_kmh: npt.NDArray[np.float64], of: Ints, starts: Rows, limits: RuleLimits
    ) -> _Intervals:
        took = np.empty(len(time), np.int64)
        np.subtract(time[1:], time[:-1], out=took[1:])
        seen = self.memory["seen_ms"][of]
        took[starts] = np.where(seen == NEVER_MS, 0, time[starts] - seen)
        gap = took > limits.trip_gap_s * 1_000
        moves = motion_kmh >= limits.moving_kmh
        rests = np.where(gap, took >= limits.fatigue_rest_s * 1_000, ~moves)
        return _Intervals(np.where(moves & ~gap, took, 0), np.where(rests, took, 0), moves)

    def _sums(self, one: _Intervals, of: Ints, starts: Rows, lasts: Rows, limits: RuleLimits) -> tuple[Bools, Ints]:
        """Which rows complete a rest or go on with a complete one, and the driving time at each; moves the memory."""
        memory, size = self.memory, lasts - starts + 1
        rest_sum = np.cumsum(one.rest_ms)
        moved = last_where(one.moves, starts, lasts, before=True)
        from_memory = np.repeat(memory["rest_ms"][of] - (rest_sum - one.rest_ms)[starts], size)
        rest = rest_sum + np.where(moved >= 0, -rest_sum[moved], from_memory)
        # A row that drives adds no rest, so it completes none.
        cleared = (rest >= limits.fatigue_rest_s * 1_000) & (one.rest_ms > 0)
        drive_sum = np.cumsum(one.drive_ms)
        began = last_where(cleared, starts, lasts, before=False)
        from_memory = np.repeat(memory["drive_ms"][of] - (drive_sum - one.drive_ms)[starts], size)
        drive = drive_sum + np.where(began >= 0, -drive_sum[began], from_memory)
        memory["rest_ms"][of] = np.where(one.moves[lasts], 0, rest[lasts])
        memory["drive_ms"][of] = drive[lasts]
        return cleared, drive

    def _tired(self, over: Bools, cleared: Bools, of: Ints, starts: Rows, lasts: Rows) -> tuple[Bools, Bools]:
        """Whether each row's taxi was tired before it, and is after it; moves the memory."""
        remembered = self.memory["tired"][of] != 0
        began = last_where(cleared, starts, lasts, before=False)
        # Driving only grows between two rests, so what is over stays over.
        tired = over | ((began < 0) & np.repeat(remembered, lasts - starts + 1))
        before = np.empty_like(tired)
        before[1:] = tired[:-1]
        before[starts] = remembered
        self.memory["tired"][of] = tired[lasts]
        return before, tired
