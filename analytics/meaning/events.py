"""`Events`: what the rules found in one step, as columns: causes that rose, and causes that have gone.

Invariants: a rise is reported once, when it is certain, by the row (or tick) that made it so; a fall only for a cause
that had risen. An event's identity is (record of the log, row in it, rule, fence), so a rule reports at most one rise
and one fall per row and fence. It makes no signals: that needs the log position and the device's name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from model.codes import ALARM_BY_NAME

Source = Literal["points", "status", "tick"]


@dataclass(frozen=True, slots=True)
class Part:
    """Events of one rule and one direction; columns of shape (n,).

    Attributes:
        rule: name of the rule.
        bit: of the alarm kind.
        rises: True: the cause began to hold; False: it has gone.
        source: what `row` counts in: rows of the step's batch as it was given, rows of its statuses, or nothing (-1).
        row: int64.
        slot: int64.
        time_ms: int64, when, device clock (the tick's time for a tick).
        fence: int64, number of the fence, 0 for none.
        value: float64, what was measured (km/h, m, s, %), NaN for nothing; goes into the signal's note with `unit`.
        unit: of `value`.
    """

    rule: str
    bit: int
    rises: bool
    source: Source
    row: npt.NDArray[np.int64]
    slot: npt.NDArray[np.int64]
    time_ms: npt.NDArray[np.int64]
    fence: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    unit: str


@dataclass(slots=True)
class Events:
    """What one step left.

    Attributes:
        parts: in the order in which the rules ran.
        gauges: counters to add to, by name (`trips`, `stops`, `occupancy_flips`).
    """

    parts: list[Part] = field(default_factory=list)
    gauges: dict[str, int] = field(default_factory=dict)

    def add(
        self,
        rule: str,
        kind: str,
        *,
        rises: bool,
        row: npt.NDArray[np.integer],
        slot: npt.NDArray[np.integer],
        time_ms: npt.NDArray[np.integer],
        source: Source = "points",
        fence: npt.NDArray[np.integer] | None = None,
        value: npt.NDArray[np.floating] | None = None,
        unit: str = "",
    ) -> None:
        """Report events; nothing is noted for none. `kind` is a name in `ALARM_KINDS`."""
        rows = len(slot)
        if not rows:
            return
        self.parts.append(
            Part(
                rule=rule,
                bit=ALARM_BY_NAME[kind].bit,
                rises=rises,
                source=source,
                row=np.asarray(row, np.int64),
                slot=np.asarray(slot, np.int64),
                time_ms=np.asarray(time_ms, np.int64),
                fence=np.zeros(rows, np.int64) if fence is None else np.asarray(fence, np.int64),
                value=np.full(rows, np.nan) if value is None else np.asarray(value, np.float64),
                unit=unit,
            )
        )

    def count(self, gauge: str, number: int) -> None:
        """Add to a gauge; nothing is noted for 0."""
        if number:
            self.gauges[gauge] = self.gauges.get(gauge, 0) + number
