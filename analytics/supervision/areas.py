"""Fences broken on a day: the rule `fences` itself, run over the stored track with a memory of its own.

Purpose: the same crossings, margins and schedules by which alarms are raised, for points that may have come late.
Invariants: a vehicle's first state of the window is taken in silence where the rule does so (`enter`, `exit`), and told at
once for `forbidden`; what each vehicle did depends on its own points alone. Which version of the fences is in force is
the caller's choice.
"""

from __future__ import annotations

import numpy as np

from analytics.meaning.context import Context
from analytics.meaning.events import Events
from analytics.meaning.frame import Frame
from analytics.rules.fences import FencesRule
from analytics.supervision.rows import AreaRows
from model.codes import ALARM_BY_NAME

_NONE = -1
#: A crossing into an ordinary area is no breach; what the report tells of.
_TOLD = tuple(ALARM_BY_NAME[name].bit for name in ("forbidden_area", "left_area", "left_fence", "stayed_in_area"))


class Areas:
    """Looks at frames of different vehicles one after another."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._rule = FencesRule()

    def look(self, frame: Frame) -> AreaRows:
        """What the vehicles of a frame did, each frame with vehicles that were in none before."""
        events = Events()
        if len(frame) and self._context.fences is not None:
            self._rule.memory.grow(int(frame.slot[-1]) + 1)
            self._rule.points(frame, self._context, events)
        parts = [part for part in events.parts if part.bit in _TOLD]
        none = np.zeros(0, np.int64)
        slot = np.concatenate([none, *(part.slot for part in parts)])
        fence = np.concatenate([none, *(part.fence for part in parts)])
        bit = np.concatenate([none, *(np.full(len(part.slot), part.bit) for part in parts)])
        rises = np.concatenate([none, *(np.full(len(part.slot), int(part.rises)) for part in parts)])
        row = np.concatenate([none, *(part.row for part in parts)])
        # A rise and the fall after it are neighbours.
        by = np.lexsort((row, bit, fence, slot))
        slot, fence, bit, rises, row = slot[by], fence[by], bit[by], rises[by], row[by]
        up = np.flatnonzero(rises == 1)
        after = np.minimum(up + 1, len(rises) - 1)
        ends = (after > up) & (rises[after] == 0) & (slot[after] == slot[up]) & (fence[after] == fence[up])
        ends &= bit[after] == bit[up]
        at = row[up]
        found = AreaRows(
            slot=slot[up],
            fence=fence[up],
            bit=bit[up],
            start_ms=frame.time_ms[at],
            end_ms=np.where(ends, frame.time_ms[row[after]], _NONE),
            lat=frame.lat[at],
            lon=frame.lon[at],
        )
        order = np.lexsort((found.bit, found.fence, found.start_ms, found.slot))
        return AreaRows(*(getattr(found, name)[order] for name in AreaRows.__dataclass_fields__))
