"""`Meaning`: all rules over one step: its points, its statuses, its tick.

Purpose: run the table's rules in order with what they remember, and keep and restore that memory. Invariants: what
comes out depends on what came in, in its order, alone; points come before statuses, statuses before the tick (a step
ends with its tick). It reads no file and no clock: fences and thefts are given to it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from analytics.limits import CleanLimits
from analytics.meaning.context import Context
from analytics.meaning.events import Events
from analytics.meaning.frame import FIELDS, make_frame
from analytics.meaning.limits import RuleLimits
from analytics.rules.table import RULES, RuleEntry
from analytics.slots import Slots
from analytics.step import Step
from model.errors import Corrupt, UsageError
from model.status_batch import StatusBatch, Tick

_MAGIC = b"LCM1"
_HEAD = struct.Struct("<4sH")
_PART = struct.Struct("<HI")
_PLACES = "frame"


class Meaning:
    """The rules and what they remember.

    Args:
        limits: thresholds of the rules.
        clean: thresholds of cleaning, for what no vehicle can drive.
        entries: the table of rules.

    Attributes:
        context: what the rules go by; its kinds, fences and thefts are set from outside.

    Raises UsageError for a name in `limits.off` that is no rule.
    """

    def __init__(self, limits: RuleLimits, clean: CleanLimits, entries: Sequence[RuleEntry] = RULES) -> None:
        self.context = Context(limits=limits)
        self._clean = clean
        self._places = Slots(FIELDS)
        ours = [entry for entry in entries if entry.make is not None]
        unknown = sorted(set(limits.off) - {entry.name for entry in ours})
        if unknown:
            raise UsageError(
                f"There is no rule {unknown[0][:40]!r} to turn off.",
                mend="Use names of `lucheng rules list` that are rules of the analytics: "
                + ", ".join(entry.name for entry in ours),
            )
        self.rules = [entry.make() for entry in ours if entry.make is not None and entry.name not in limits.off]

    def run(self, step: Step | None, statuses: StatusBatch | None, tick: Tick | None) -> Events:
        """Everything that one step means; `step` is at the point after `clean` and `rise`."""
        events = Events()
        if step is not None and self.rules:
            frame = make_frame(step, self._places, self.context, self._clean)
            slots = int(step.batch.slot.max()) + 1 if len(step.batch) else 0
            for rule in self.rules:
                rule.memory.grow(slots)
                rule.arrived(step.given, self.context, events)
                rule.points(frame, self.context, events)
        if statuses is not None and len(statuses):
            slots = int(statuses.slot.max()) + 1
            for rule in self.rules:
                rule.memory.grow(slots)
                rule.statuses(statuses, self.context, events)
        if tick is not None:
            for rule in self.rules:
                rule.tick(tick, self.context, events)
        return events

    def last_places(self, slot: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Latitude and longitude of the last trusted place of each slot, NaN where there is none."""
        lat, lon = np.full(len(slot), np.nan), np.full(len(slot), np.nan)
        known = slot < self._places.capacity
        lat[known], lon[known] = self._places["lat"][slot[known]], self._places["lon"][slot[known]]
        return lat, lon

    def fences_changed(self) -> None:
        """`context.fences` is another one."""
        for rule in self.rules:
            rule.fences_changed(self.context)

    def to_bytes(self) -> bytes:
        """What is remembered, for a snapshot."""
        parts = [(_PLACES, self._places.to_bytes()), *((rule.name, rule.to_bytes()) for rule in self.rules)]
        made = [_HEAD.pack(_MAGIC, len(parts))]
        for name, raw in parts:
            made += [_PART.pack(len(name), len(raw)), name.encode(), raw]
        return b"".join(made)

    def restore(self, raw: bytes | memoryview) -> None:
        """Take over what `to_bytes` wrote.

        A rule that is new since then begins without memory; one that is gone is passed over.
        Raises Corrupt when it is none; memories that were read before are taken over then.
        """
        view = memoryview(raw)
        targets = {rule.name: rule for rule in self.rules}
        try:
            magic, count = _HEAD.unpack_from(view, 0)
            if magic != _MAGIC:
                raise ValueError("bad magic")
            at = _HEAD.size
            for _ in range(count):
                name_bytes, raw_bytes = _PART.unpack_from(view, at)
                at += _PART.size
                name = bytes(view[at : at + name_bytes]).decode()
                part = view[at + name_bytes : at + name_bytes + raw_bytes]
                at += name_bytes + raw_bytes
                if at > len(view):
                    raise ValueError("cut short")
                if name == _PLACES:
                    self._places.restore(part)
                elif name in targets:
                    targets[name].restore(part)
            if at != len(view):
                raise ValueError("trailing bytes")
        except (struct.error, ValueError) as error:
            raise Corrupt(f"Not a memory of rules: {error}.", mend="It is made anew from what comes in.") from error
