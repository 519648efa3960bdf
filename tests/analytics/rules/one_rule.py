"""One rule at work: rows through the real cleaning and framing, cut anywhere, with statuses and ticks in between."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from analytics.limits import CleanLimits
from analytics.meaning.context import Context
from analytics.meaning.events import Events, Part
from analytics.meaning.frame import FIELDS, Frame, make_frame
from analytics.meaning.limits import RuleLimits
from analytics.meaning.rule import Rule
from analytics.pipeline import Analysis
from analytics.slots import Slots
from analytics.state import State
from model.device import KIND_CODE, Kind
from model.status_batch import StatusBatch, Tick
from tests.analytics.keeper import NOW_MS, batch

#: Slot 0 is a taxi, 1 an e-bike, and so on.
FLEET = (Kind.TAXI, Kind.EBIKE, Kind.UNIT, Kind.BUTTON, Kind.TAXI, Kind.TAXI)

#: (rises, second of the event, slot, value or None): what a test compares.
Seen = tuple[bool, float, int, float | None]


class OneRule:
    """A rule with all that stands before it; keeps what it said."""

    def __init__(self, make: Callable[[], Rule], limits: RuleLimits | None = None) -> None:
        self.make = make
        self.rule = make()
        kinds = np.array([KIND_CODE[kind] for kind in FLEET], np.int8)
        self.context = Context(kinds, limits or RuleLimits())
        self.parts: list[Part] = []
        self._places = Slots(FIELDS)
        self._analysis = Analysis(CleanLimits(), State())
        self._first_row = 0
        #: Numbers of the rows (or statuses) that each event names, counted over all that was fed.
        self.rows: list[int] = []
        self.frames: list[Frame] = []

    def points(self, rows: Sequence[dict[str, Any]]) -> OneRule:
        """Feed rows as one batch."""
        if rows:
            step = self._analysis.begin(batch(list(rows)))
            events = Events()
            self.rule.arrived(step.given, self.context, events)
            frame = make_frame(step, self._places, self.context, CleanLimits())
            self.rule.memory.grow(max(row.get("slot", 0) for row in rows) + 1)
            self.rule.points(frame, self.context, events)
            self.frames.append(frame)
            self._keep(events, len(rows))
        return self

    def statuses(self, rows: Sequence[tuple[int, int, int, int, int]]) -> OneRule:
        """Feed statuses as one batch."""
        if rows:
            events = Events()
            self.rule.memory.grow(max(row[0] for row in rows) + 1)
            self.rule.statuses(StatusBatch.of(rows), self.context, events)
            self._keep(events, len(rows))
        return self

    def tick(self, second: float, *, listening: bool = True) -> OneRule:
        """A tick at so many seconds after NOW_MS."""
        events = Events()
        self.rule.tick(Tick(NOW_MS + round(second * 1_000), listening), self.context, events)
        self._keep(events, 0)
        return self

    def ticks(self, first: int, last: int) -> OneRule:
        """A tick at every second."""
        for second in range(first, last + 1):
            self.tick(second)
        return self

    def restart(self) -> OneRule:
        """Go on with a rule that has read the memory of this one."""
        again = self.make()
        again.restore(memoryview(self.rule.to_bytes()))
        assert again.to_bytes() == self.rule.to_bytes()
        self.rule = again
        return self

    def _keep(self, events: Events, rows: int) -> None:
        for part in events.parts:
            assert part.rule == self.rule.name
            assert len({*part.row.tolist()}) == len(part.row) or part.source == "tick"
            self.rows += [self._first_row + row for row in part.row.tolist() if row >= 0]
        self.parts += events.parts
        self._first_row += rows

    @property
    def seen(self) -> list[Seen]:
        """All events, by time, then slot, falls first."""
        return sorted(
            (
                (part.rises, (time - NOW_MS) / 1_000, slot, None if math.isnan(value) else round(value, 6))
                for part in self.parts
                for time, slot, value in zip(
                    part.time_ms.tolist(), part.slot.tolist(), part.value.tolist(), strict=True
                )
            ),
            key=lambda one: (one[1], one[2], one[0]),
        )


def row(second: float, slot: int = 0, **more: Any) -> dict[str, Any]:
    """A live row at so many seconds after NOW_MS."""
    time_ms = NOW_MS + round(second * 1_000)
    return {"slot": slot, "time_ms": time_ms, "received_ms": time_ms, **more}


def cut(rows: Sequence[Any], places: Sequence[int]) -> list[Sequence[Any]]:
    """Rows cut at places (any numbers; taken modulo the length)."""
    at = sorted({0, len(rows), *(place % (len(rows) + 1) for place in places)})
    return [rows[start:end] for start, end in pairwise(at)]
