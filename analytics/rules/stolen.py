"""`stolen_seen`: an e-bike that is reported stolen reports again, or a tag reader saw it.

Invariants: the first row after the report rises, then one that came at least `stolen_repeat_s` (by our clock) after the one
that rose before; any row counts: with or without a place, live or from the device's own store, its own or a reader's, and
whatever the cleaning thinks of it, since a bike whose clock is wrong was heard all the same. Nothing falls: that a bike is
not seen does not mean that it is back; its case ends the alarm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from analytics.meaning.rule import Rule
from analytics.slots import MAX_SLOTS, Field
from analytics.state import NEVER_MS
from analytics.step import Bools, Rows, group_lasts, group_starts

if TYPE_CHECKING:
    from analytics.meaning.context import Context
    from analytics.meaning.events import Events
    from model.batch import PointBatch

FIELDS: tuple[Field, ...] = (Field("told_ms", "<i8", NEVER_MS, "when the last row that rose came, our clock"),)


class StolenSeen(Rule):
    """See the module. An event's time is the device's, unless that lies ahead of ours: then ours."""

    name = "stolen_seen"
    fields = FIELDS

    def arrived(self, batch: PointBatch, context: Context, events: Events) -> None:
        """Look for rows of stolen bikes."""
        if not len(context.stolen) or not len(batch):
            return
        row = np.flatnonzero(_among(batch.slot, context.stolen))
        if not len(row):
            return
        row = row[np.argsort(batch.slot[row], kind="stable")]
        slot, received_ms = batch.slot[row].astype(np.int64), batch.received_ms[row]
        self.memory.grow(int(slot[-1]) + 1)
        rose = np.sort(row[self._due(slot, received_ms, context.limits.stolen_repeat_s * 1_000)])
        received_ms, time_ms = batch.received_ms[rose], batch.time_ms[rose]
        events.add(
            self.name,
            "stolen_seen",
            rises=True,
            row=rose,
            slot=batch.slot[rose],
            time_ms=np.where((time_ms > 0) & (time_ms <= received_ms), time_ms, received_ms),
        )

    def _due(self, slot: npt.NDArray[np.int64], received_ms: npt.NDArray[np.int64], repeat_ms: int) -> Rows:
        """Which rows (device by device, in the order in which they came) rise; notes them."""
        told = self.memory["told_ms"]
        starts = group_starts(slot)
        lasts = group_lasts(starts, len(slot))
        if repeat_ms <= 0:
            told[slot[starts]] = received_ms[lasts]
            return np.arange(len(slot))
        # Live, nearly every device has nothing that is due; the loop is over those that have, and over what they raise.
        maybe = _apart(received_ms, told[slot], repeat_ms)
        some = np.maximum.reduceat(maybe, starts)
        found: list[int] = []
        for start, last in zip(starts[some].tolist(), lasts[some].tolist(), strict=True):
            at, here = start, int(told[slot[start]])
            while at <= last:
                due = _apart(received_ms[at : last + 1], here, repeat_ms)
                if not due.any():
                    break
                at += int(due.argmax())
                here = int(received_ms[at])
                found.append(at)
                at += 1
            told[slot[start]] = here
        return np.array(found, np.intp)


def _apart(received_ms: npt.NDArray[np.int64], told_ms: npt.NDArray[np.int64] | int, repeat_ms: int) -> Bools:
    """Whether rows came long enough after; or before, when our clock was set back."""
    return np.asarray(np.abs(received_ms - told_ms) >= repeat_ms)


def _among(slot: npt.NDArray[np.int32], stolen: npt.NDArray[np.int64]) -> Bools:
    """Which rows are of a slot that the ascending `stolen` has."""
    at = np.searchsorted(stolen, slot)
    known = stolen.take(np.minimum(at, len(stolen) - 1)) == slot
    return np.asarray(known & (slot >= 0) & (slot < MAX_SLOTS))
