"""`low_battery` of e-bikes and taxis, by the charge that their points say.

Purpose: rise at or below `low_battery_pct`, fall at or above `low_battery_clear_pct`; between the two, and where a row
says nothing, it stays as it was, so that a charge that flickers by a per cent rings once. Invariant: any row of the chain
counts, with or without a place. What buttons say in their status is another rule's.
"""

from __future__ import annotations

import numpy as np

from analytics.meaning.context import Context
from analytics.meaning.events import Events
from analytics.meaning.frame import Frame
from analytics.meaning.rule import Rule
from analytics.slots import Field
from analytics.step import Rows, group_lasts, group_starts
from model.device import KIND_CODE, Kind

FIELDS: tuple[Field, ...] = (Field("low", "|u1", 0, "1: risen"),)
_EBIKE, _TAXI = KIND_CODE[Kind.EBIKE], KIND_CODE[Kind.TAXI]


class PointBattery(Rule):
    """See the module. The value is the charge, %."""

    name = "point_battery"
    fields = FIELDS

    def points(self, frame: Frame, context: Context, events: Events) -> None:
        """Look at the charges."""
        limits = context.limits
        pct = frame.battery_pct
        tells_low = (pct >= 0) & (pct <= limits.low_battery_pct)
        told = tells_low | (pct >= max(limits.low_battery_clear_pct, limits.low_battery_pct + 1))
        told &= (frame.kind == _EBIKE) | (frame.kind == _TAXI)
        # Only rows that decide are looked at: the others change nothing.
        row = np.flatnonzero(told)
        if not len(row):
            return
        slot, now = frame.slot[row], tells_low[row]
        starts = group_starts(slot)
        before = np.empty_like(now)
        before[1:] = now[:-1]
        before[starts] = self.memory["low"][slot[starts]] != 0
        self._report(frame, row[now & ~before], events, rises=True)
        self._report(frame, row[before & ~now], events, rises=False)
        lasts = group_lasts(starts, len(slot))
        self.memory["low"][slot[lasts]] = now[lasts]

    def _report(self, frame: Frame, row: Rows, events: Events, *, rises: bool) -> None:
        events.add(
            self.name,
            "low_battery",
            rises=rises,
            row=frame.row[row],
            slot=frame.slot[row],
            time_ms=frame.time_ms[row],
            value=frame.battery_pct[row].astype(np.float64),
            unit="%",
        )
