"""`motion`: how far each device has driven, whether it is on a trip or stands, and changes of a taxi's occupancy, as they come.

It raises nothing. It goes by legs between trusted places (`Frame.leg_m`), so a place that jumped moves nothing. A leg of
`moving_kmh` or more is movement. A trip begins with the first leg of movement after a stop, a gap or the device's first
row, and counts (gauge `trips`) once, when movement with its pauses has lasted `trip_min_s`. Standing counts (gauge
`stops`) once, when no leg moved for `stop_min_s`; that ends the trip. A gap longer than `trip_gap_s` ends both and
counts nothing: what happened in it is not known. `occupancy_flips` counts the rows at which a device says another
occupancy than before. Invariants: whole milliseconds and millimetres throughout, so that no sum depends on how the
stream is cut. The rows of `lucheng trips` come from `analytics.trips`, which sees the whole track and measures stops by
their diameter; so the two counts are near to each other, not equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from analytics.meaning.frame import last_where
from analytics.meaning.rule import Rule
from analytics.slots import Field
from analytics.state import NEVER_MS
from analytics.step import Bools, Rows, group_lasts, group_starts
from model.codes import Flag

if TYPE_CHECKING:
    from analytics.meaning.context import Context
    from analytics.meaning.events import Events
    from analytics.meaning.frame import Frame
    from analytics.meaning.limits import RuleLimits

Ints = npt.NDArray[np.int64]
_TOLD = np.uint16(Flag.OCCUPIED_SENT)


@dataclass(frozen=True, slots=True)
class _Legs:
    """Rows with a leg, and each device's first placed row; columns of shape (n,) in the frame's order.

    Attributes:
        slot, time, begin: int64; when the leg began.
        far_mm: int64, length of the leg, 0 where it is no movement.
        moves, resets: bool; the leg is movement; it is none because of a gap or because nothing came before.
        starts, lasts, of: as in `Frame`.
    """

    slot: Ints
    time: Ints
    begin: Ints
    far_mm: Ints
    moves: Bools
    resets: Bools
    starts: Rows
    lasts: Rows
    of: Ints

    def last(self, which: Bools, *, before: bool) -> Rows:
        """Position of the last row of the device with `which`, up to each row or before it; -1 for none."""
        return last_where(which, self.starts, self.lasts, before=before)

    def spread(self, remembered: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What is remembered of each row's device."""
        return np.repeat(remembered, self.lasts - self.starts + 1)


class Motion(Rule):
    """See the module."""

    name = "motion"
    fields = (
        Field("seen_ms", "<i8", NEVER_MS, "time of the last row with a leg"),
        Field("odometer_mm", "<i8", 0, "driven in all"),
        Field("trip_ms", "<i8", NEVER_MS, "when the trip began that is running"),
        Field("trip_counted", "|u1", 0, "1 when it was counted"),
        Field("stand_ms", "<i8", NEVER_MS, "end of the last leg of movement, or where knowing began"),
        Field("stopped", "|u1", 0, "1 when standing since then was counted"),
        Field("occupied", "|i1", -1, "what was last told of passengers, -1 nothing yet"),
    )

    def points(self, frame: Frame, context: Context, events: Events) -> None:
        """Follow trips, standing and occupancy."""
        legs = self._legs(frame, context.limits)
        if len(legs.slot):
            stands = self._stand(legs, context.limits, events)
            self._drive(legs, stands, context.limits, events)
        self._occupancy(frame, events)

    def driving(self, slot: Ints) -> Bools:
        """Whether each device is on a trip, by what is remembered."""
        on: Bools = self.memory["trip_ms"][slot] != NEVER_MS
        return on

    def _legs(self, frame: Frame, limits: RuleLimits) -> _Legs:
        seen = self.memory["seen_ms"]
        fresh = np.zeros(len(frame), np.bool_)
        if len(frame):
            new = seen[frame.of] == NEVER_MS
            if new.any():
                placed = last_where(frame.placed, frame.starts, frame.lasts, before=True) < 0
                fresh = placed & frame.placed & np.repeat(new, frame.lasts - frame.starts + 1)
        at = np.flatnonzero(~np.isnan(frame.leg_kmh) | fresh)
        slot, time = frame.slot[at], frame.time_ms[at]
        starts = group_starts(slot)
        lasts, of = group_lasts(starts, len(at)), slot[starts]
        took = np.zeros(len(at), np.int64)
        np.subtract(time[1:], time[:-1], out=took[1:])
        known = seen[of]
        took[starts] = np.where(known == NEVER_MS, 0, time[starts] - known)
        resets = (took > limits.trip_gap_s * 1_000) | fresh[at]
        moves = (frame.leg_kmh[at] >= limits.moving_kmh) & ~resets
        far_mm = np.where(moves, np.rint(frame.leg_m[at] * 1_000), 0).astype(np.int64)
        seen[of] = time[lasts]
        return _Legs(slot, time, time - frame.leg_ms[at], far_mm, moves, resets, starts, lasts, of)

    def _stand(self, legs: _Legs, limits: RuleLimits, events: Events) -> Bools:
        """At which rows a device has stood long enough."""
        memory, of, lasts = self.memory, legs.of, legs.lasts
        since = legs.moves | legs.resets
        at = legs.last(since, before=False)
        stand = np.where(at >= 0, legs.time[at], legs.spread(memory["stand_ms"][of]))
        remembered = memory["stopped"][of] != 0
        stands: Bools = ~since & (
            (legs.time - stand >= limits.stop_min_s * 1_000) | ((at < 0) & legs.spread(remembered))
        )
        already = np.empty_like(stands)
        already[1:] = stands[:-1]
        already[legs.starts] = remembered
        events.count("stops", int(np.count_nonzero(stands & ~already)))
        memory["stand_ms"][of] = stand[lasts]
        memory["stopped"][of] = stands[lasts]
        return stands

    def _drive(self, legs: _Legs, stands: Bools, limits: RuleLimits, events: Events) -> None:
        """Follow the trips, and add up the way."""
        memory, of, lasts = self.memory, legs.of, legs.lasts
        ends = legs.resets | stands
        on_trip = legs.spread(memory["trip_ms"][of] != NEVER_MS)
        ended, moved = legs.last(ends, before=True), legs.last(legs.moves, before=True)
        begins = legs.moves & ~np.where((ended < 0) & (moved < 0), on_trip, moved > ended)
        began = legs.last(begins, before=False)
        trip = np.where(began >= 0, legs.begin[began], legs.spread(memory["trip_ms"][of]))
        # A device's place in a trip is certain at rows that move; longer trips stay long.
        long = legs.moves & (legs.time - trip >= limits.trip_min_s * 1_000)
        remembered = legs.spread(memory["trip_counted"][of] != 0)
        counted = _counted(legs.last(long, before=True), began, remembered)
        events.count("trips", int(np.count_nonzero(long & ~counted)))
        ended, moved = legs.last(ends, before=False)[lasts], legs.last(legs.moves, before=False)[lasts]
        on = np.where((ended < 0) & (moved < 0), on_trip[lasts], moved > ended)
        told = _counted(legs.last(long, before=False)[lasts], began[lasts], remembered[lasts])
        memory["trip_ms"][of] = np.where(on, trip[lasts], NEVER_MS)
        memory["trip_counted"][of] = on & told
        memory["odometer_mm"][of] += np.add.reduceat(legs.far_mm, legs.starts)

    def _occupancy(self, frame: Frame, events: Events) -> None:
        told = np.flatnonzero(frame.flags & _TOLD)
        if not len(told):
            return
        slot = frame.slot[told]
        occupied = ((frame.flags[told] & np.uint16(Flag.OCCUPIED)) != 0).astype(np.int8)
        starts = group_starts(slot)
        of = slot[starts]
        before = np.empty_like(occupied)
        before[1:] = occupied[:-1]
        before[starts] = self.memory["occupied"][of]
        events.count("occupancy_flips", int(np.count_nonzero((before != occupied) & (before >= 0))))
        self.memory["occupied"][of] = occupied[group_lasts(starts, len(told))]


def _counted(long: Rows, began: Rows, remembered: Bools) -> Bools:
    """Whether the trip that began at row `began` (-1: before these rows) was counted, its last long row being `long`."""
    counted: Bools = np.where(began >= 0, long >= began, remembered | (long >= 0))
    return counted
