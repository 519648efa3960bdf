"""`illegal_move`: a taxi that moves with its ignition off: towed, or driven with the terminal tricked.

Purpose: the first fix with the ignition off whose place can be trusted is where it stands; fixes with the ignition
still off beyond `illegal_move_m` of there, `illegal_move_points` of them in a row, raise once; it is over when the
ignition is on. Rows that do not say how the ignition is, and rows with it off and no trusted place, are passed over.
Invariants: those of `meaning.rule`. E-bikes have a rule of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from analytics.meaning.frame import last_where
from analytics.meaning.rule import Rule
from analytics.slots import Field
from analytics.step import Bools, Rows, group_lasts, group_starts
from model.codes import Flag
from model.device import KIND_CODE, Kind
from model.geo import METRES_PER_DEGREE, haversine_m

if TYPE_CHECKING:
    from analytics.meaning.context import Context
    from analytics.meaning.events import Events
    from analytics.meaning.frame import Frame

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_TAXI = KIND_CODE[Kind.TAXI]
_MOST_POINTS = 255


@dataclass(frozen=True, slots=True)
class _Told:
    """Rows that tell something, ordered by (slot, time, arrival).

    Attributes:
        on: the ignition is on.
        starts, lasts: first and last row of each device; of: its slot.
        carries: the row belongs to a stand that began before the batch.
        stand: first row of the row's stand, -1 where it carries.
        lat, lon: place of the row.
    """

    on: Bools
    starts: Rows
    lasts: Rows
    of: Ints
    carries: Bools
    stand: Rows
    lat: Floats
    lon: Floats


class IllegalMove(Rule):
    """See the module. The value is metres from where it stood."""

    name = "illegal_move"
    fields = (
        Field("lat", "<f8", np.nan, "where it stands with the ignition off"),
        Field("lon", "<f8", np.nan, "where it stands with the ignition off"),
        Field("out_points", "|u1", 0, "fixes in a row beyond the limit of there, saturating"),
        Field("moved", "|u1", 0, "1 while it counts as moved"),
    )

    def points(self, frame: Frame, context: Context, events: Events) -> None:
        """Look at how far from its stand each row with the ignition off is."""
        ignition = frame.flags & np.uint16(Flag.IGNITION | Flag.IGNITION_SENT)
        on = ignition == np.uint16(Flag.IGNITION | Flag.IGNITION_SENT)
        off = (ignition == np.uint16(Flag.IGNITION_SENT)) & frame.placed
        at = np.flatnonzero((frame.kind == _TAXI) & (on | off))
        if not len(at):
            return
        limits, slot = context.limits, frame.slot[at]
        told = self._told(on[at], slot, frame.lat[at], frame.lon[at])
        far_m = self._far_m(told, limits.illegal_move_m)
        points = self._in_a_row(told, far_m > limits.illegal_move_m)
        before, rises = self._moved(told, points >= limits.illegal_move_points)
        self._remember(told, points)
        for rising, which in ((False, before & told.on), (True, rises)):
            rows = np.flatnonzero(which)
            events.add(
                self.name,
                "illegal_move",
                rises=rising,
                row=frame.row[at[rows]],
                slot=slot[rows],
                time_ms=frame.time_ms[at[rows]],
                value=far_m[rows] if rising else None,
                unit="m" if rising else "",
            )

    def _told(self, on: Bools, slot: Ints, lat: Floats, lon: Floats) -> _Told:
        starts = group_starts(slot)
        lasts = group_lasts(starts, len(slot))
        of = slot[starts]
        lit = last_where(on, starts, lasts, before=False)
        size = lasts - starts + 1
        carries = ~on & (lit < 0) & np.repeat(~np.isnan(self.memory["lat"][of]), size)
        stand = np.where(lit >= 0, lit + 1, np.repeat(starts, size))
        return _Told(on, starts, lasts, of, carries, np.where(carries, -1, stand), lat, lon)

    def _far_m(self, told: _Told, limit_m: float) -> Floats:
        """Metres from the stand; 0 where the ignition is on and where a cheap bound shows that it is within the limit."""
        off = np.flatnonzero(~told.on)
        far_m = np.zeros(len(told.on))
        carries, stand = told.carries[off], told.stand[off]
        slot = np.repeat(told.of, told.lasts - told.starts + 1)[off]
        lat, lon = (
            np.where(carries, self.memory[name][slot], column[stand])
            for name, column in (("lat", told.lat), ("lon", told.lon))
        )
        # No way is longer than the one along the meridian and then along the parallel.
        bound = (np.abs(told.lat[off] - lat) + np.abs(told.lon[off] - lon)) * METRES_PER_DEGREE
        maybe = np.flatnonzero(bound > limit_m)
        row = off[maybe]
        far_m[row] = haversine_m(lat[maybe], lon[maybe], told.lat[row], told.lon[row])
        return far_m

    def _in_a_row(self, told: _Told, out: Bools) -> Ints:
        """How many rows in a row, up to each, are out; a row with the ignition on is not, so it ends any run."""
        within = last_where(~out, told.starts, told.lasts, before=False)
        size = told.lasts - told.starts + 1
        first = np.repeat(told.starts, size)
        remembered = np.repeat(self.memory["out_points"][told.of].astype(np.int64), size)
        points = np.arange(len(out)) - np.where(within >= 0, within, first - 1)
        return np.where(out, points + np.where((within < 0) & told.carries, remembered, 0), 0)

    def _moved(self, told: _Told, confirmed: Bools) -> tuple[Bools, Bools]:
        """Whether each row's taxi counted as moved before it, and where that begins; moves the memory."""
        size = told.lasts - told.starts + 1
        carried = told.carries & np.repeat(self.memory["moved"][told.of] != 0, size)
        last = last_where(confirmed, told.starts, told.lasts, before=False)
        # Of the row's own stand: one that carries may have it from any row of the batch so far.
        moved = ~told.on & (((last >= 0) & (last >= told.stand)) | carried)
        before = np.empty_like(moved)
        before[1:] = moved[:-1]
        before[told.starts] = self.memory["moved"][told.of] != 0
        self.memory["moved"][told.of] = moved[told.lasts]
        return before, moved & ~before

    def _remember(self, told: _Told, points: Ints) -> None:
        on, stand, carries = told.on[told.lasts], told.stand[told.lasts], told.carries[told.lasts]
        for name, column in (("lat", told.lat), ("lon", told.lon)):
            there = np.where(carries, self.memory[name][told.of], column[np.minimum(stand, len(column) - 1)])
            self.memory[name][told.of] = np.where(on, np.nan, there)
        self.memory["out_points"][told.of] = np.minimum(points[told.lasts], _MOST_POINTS)
