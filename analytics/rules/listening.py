"""`Listening`: the base of rules about silence: who was heard when, and since when we could have heard anybody.

Purpose: an outage of ours must make no device silent. Invariants: silence is judged at ticks alone, by our clock, and
all of it comes from records of the log, so that a replay judges alike; silence never counts from before `since_ms`; a
device that was never heard is never silent; no memory depends on which devices are disabled, which only keeps them from
being told. What a sign of life is, and of which kinds, the rules say.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from analytics.meaning.rule import Rule
from analytics.slots import Field
from analytics.state import NEVER_MS
from model.device import KIND_CODE, Kind
from model.errors import Corrupt

if TYPE_CHECKING:
    from analytics.meaning.context import Context
    from analytics.meaning.events import Events
    from model.status_batch import Tick

_HEAD = struct.Struct("<qq")
#: "Not heard yet": above every time, so that no border is ever beyond it.
UNHEARD_MS = 1 << 60


class Listening(Rule):
    """See the module.

    Attributes:
        since_ms: from when on silence counts. tick_ms: the last tick. Both NEVER_MS before the first.
    """

    #: Kind of alarm that silence is.
    kind = ""
    fields = (
        Field("heard_ms", "<i8", UNHEARD_MS, "receive time of its last sign of life"),
        Field("silent", "|u1", 0, "1 while it counts as silent"),
    )

    def __init__(self) -> None:
        super().__init__()
        self.since_ms = NEVER_MS
        self.tick_ms = NEVER_MS

    def heard(self, slot: npt.NDArray[np.integer], received_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        """Note signs of life in the order in which they came; returns the positions that ended a silence, ascending."""
        if not len(slot):
            return np.zeros(0, np.intp)
        self.memory.grow(int(slot.max()) + 1)
        # Of a slot that stands there more than once, the last assignment stays.
        self.memory["heard_ms"][slot] = received_ms
        silent = self.memory["silent"]
        again = np.flatnonzero(silent.take(slot))
        if len(again):
            again = again[np.sort(np.unique(slot[again], return_index=True)[1])]
            silent[slot[again]] = 0
        return again

    def listen(self, tick: Tick, watched: Iterable[tuple[Kind, int]], context: Context, events: Events) -> None:
        """A tick: report who fell silent, by kind; the value is the silence in seconds.

        Args:
            tick: the time, and whether we listened.
            watched: kinds and their limits in seconds; 0: never silent.
            context: kinds by slot, who is disabled, `tick_gap_s`.
            events: where to report.
        """
        self._take(tick, context.limits.tick_gap_s)
        for kind, limit_s in watched:
            slot = self._fallen_silent(context.kind_of_slot, KIND_CODE[kind], limit_s)
            if not len(slot):
                continue
            slot = slot[~np.isin(slot, context.disabled)]
            events.add(
                self.name,
                self.kind,
                rises=True,
                source="tick",
                row=np.full(len(slot), -1),
                slot=slot,
                time_ms=np.full(len(slot), tick.time_ms),
                value=(tick.time_ms - self.memory["heard_ms"][slot]) / 1_000,
                unit="s",
            )

    def _take(self, tick: Tick, gap_s: int) -> None:
        gap_ms = tick.time_ms - self.tick_ms
        if not tick.listening or abs(gap_ms) > gap_s * 1_000:
            self.since_ms = tick.time_ms
        if gap_ms < 0:
            # Our clock was set back: signs of life that lie ahead now are of now.
            heard_ms = self.memory["heard_ms"]
            heard_ms[(heard_ms > tick.time_ms) & (heard_ms != UNHEARD_MS)] = tick.time_ms
        self.tick_ms = tick.time_ms

    def _fallen_silent(self, kind_of_slot: npt.NDArray[np.int8], kind: int, limit_s: int) -> npt.NDArray[np.intp]:
        border_ms = self.tick_ms - limit_s * 1_000
        if limit_s <= 0 or self.since_ms > border_ms:
            return np.zeros(0, np.intp)
        known = min(self.memory.capacity, len(kind_of_slot))
        silent = self.memory["silent"]
        over = self.memory["heard_ms"][:known] <= border_ms
        over &= kind_of_slot[:known] == kind
        over &= silent[:known] == 0
        slot = np.flatnonzero(over)
        silent[slot] = 1
        return slot

    def to_bytes(self) -> bytes:
        """since_ms and tick_ms as int64, little-endian; then the memory."""
        return _HEAD.pack(self.since_ms, self.tick_ms) + super().to_bytes()

    def restore(self, raw: memoryview) -> None:
        """Take over what `to_bytes` wrote; raises Corrupt, and then nothing has changed."""
        if len(raw) < _HEAD.size:
            raise Corrupt("Not the memory of a rule about silence.", mend="It is made anew from what comes in.")
        super().restore(raw[_HEAD.size :])
        self.since_ms, self.tick_ms = _HEAD.unpack_from(raw, 0)
