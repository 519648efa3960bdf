"""`silence`: `offline` for devices that send points and have not been heard for too long.

Purpose: a sign of life is any live row of a device, whatever the cleaning says of it: a row that is late, known or
quarantined was sent all the same. Rows from a device's own store or a file are none, nor is a sighting by a tag reader,
which says nothing about the tracker. Invariants: those of `listening`. A device that was silent while disabled is
judged again from its next sign of life on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analytics.rules.listening import Listening
from analytics.slots import MAX_SLOTS
from model.codes import Flag
from model.device import Kind

if TYPE_CHECKING:
    from analytics.meaning.context import Context
    from analytics.meaning.events import Events
    from analytics.step import Rows
    from model.batch import PointBatch
    from model.status_batch import Tick

_NOT_LIVE = np.uint16(Flag.BUFFERED | Flag.SIGHTED)


class Silence(Listening):
    """See the module. Times of its events are ours, not the device's."""

    name = "silence"
    kind = "offline"

    def arrived(self, batch: PointBatch, context: Context, events: Events) -> None:  # noqa: ARG002 every kind is noted
        """Note who was heard; a silence ends with the first live row."""
        slot, received_ms = batch.slot, batch.received_ms
        rows: Rows | None = None
        live = (batch.flags & _NOT_LIVE) == 0
        if not live.all() or (len(slot) and not 0 <= int(slot.min()) <= int(slot.max()) < MAX_SLOTS):
            rows = np.flatnonzero(live & (slot >= 0) & (slot < MAX_SLOTS))
            slot, received_ms = slot[rows], received_ms[rows]
        again = self.heard(slot, received_ms)
        row = again if rows is None else rows[again]
        events.add(self.name, self.kind, rises=False, row=row, slot=slot[again], time_ms=received_ms[again])

    def tick(self, tick: Tick, context: Context, events: Events) -> None:
        """Report who has been silent for too long."""
        limits = context.limits
        watched = (
            (Kind.TAXI, limits.taxi_offline_s),
            (Kind.EBIKE, limits.ebike_offline_s),
            (Kind.UNIT, limits.unit_offline_s),
        )
        self.listen(tick, watched, context, events)
