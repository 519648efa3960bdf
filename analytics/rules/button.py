"""`button`: a button that misses its heartbeat, and one whose battery runs low.

Purpose: the link of a one-key alarm button is supervised by its statuses. Invariants: only a status that says
"connected" is a heartbeat; a button that never sent one is never silent; silence is judged at ticks alone, by our
clock, and an outage of ours makes no button silent (`listening`); memory is kept for every slot and only buttons are
told of. What is pressed or opened (one_key, duress, tamper) the device says itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analytics.meaning.rule import Rule
from analytics.rules.listening import Listening
from analytics.slots import Field
from model.device import KIND_CODE, Kind

if TYPE_CHECKING:
    from analytics.meaning.context import Context
    from analytics.meaning.events import Events
    from model.status_batch import StatusBatch, Tick

_BUTTON = KIND_CODE[Kind.BUTTON]


class ButtonSilent(Listening):
    """`button_silent`: rises at a tick, falls at the next heartbeat. Times of its events are ours, not the button's."""

    name = "button_silent"
    kind = "button_silent"

    def statuses(self, batch: StatusBatch, context: Context, events: Events) -> None:
        """Note heartbeats."""
        rows = np.flatnonzero(batch.online == 1)
        slot, received_ms = batch.slot[rows], batch.received_ms[rows]
        again = self.heard(slot, received_ms)
        again = again[context.kinds(slot[again]) == _BUTTON]
        events.add(
            self.name,
            self.kind,
            rises=False,
            source="status",
            row=rows[again],
            slot=slot[again],
            time_ms=received_ms[again],
        )

    def tick(self, tick: Tick, context: Context, events: Events) -> None:
        """Report which heartbeats have not come."""
        self.listen(tick, ((Kind.BUTTON, context.limits.button_silent_s),), context, events)


class ButtonBattery(Rule):
    """`low_battery` of buttons, with hysteresis: up at `low_battery_pct`, gone at `low_battery_clear_pct`. The value is in %."""

    name = "button_battery"
    fields = (Field("low", "|u1", 0, "1 while the battery counts as low"),)

    def statuses(self, batch: StatusBatch, context: Context, events: Events) -> None:
        """Look at the batteries of any status, in the order in which they came."""
        limits, battery = context.limits, batch.battery_pct
        low = battery <= limits.low_battery_pct
        rows = np.flatnonzero((battery >= 0) & (low | (battery >= limits.low_battery_clear_pct)))
        if not len(rows):
            return
        rows = rows[np.argsort(batch.slot[rows], kind="stable")]
        slot, low = batch.slot[rows], low[rows]
        before = np.empty(len(rows), np.bool_)
        before[1:] = low[:-1]
        first = np.ones(len(rows), np.bool_)
        first[1:] = slot[1:] != slot[:-1]
        memory = self.memory["low"]
        before[first] = memory[slot[first]] != 0
        # The last of a slot stays.
        memory[slot] = low
        changed = (low != before) & (context.kinds(slot) == _BUTTON)
        for rises in (True, False):
            at = np.flatnonzero(changed & (low == rises))
            row = rows[at]
            events.add(
                self.name,
                "low_battery",
                rises=rises,
                source="status",
                row=row,
                slot=slot[at],
                time_ms=batch.time_ms[row],
                value=battery[row].astype(np.float64),
                unit="%",
            )
