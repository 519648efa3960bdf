"""The speed limit that each row is under: what the rule `overspeed` and the daily supervision both go by.

The limit is the lowest of the speed fences the device is in and that are in force (their own, or their road class's);
where there is none, `overspeed_kmh` for taxis and no limit for others. Invariants: it depends on the row alone; a speed
fence with no limit of its own and a road class that is not in the table limits nothing. It remembers nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analytics.meaning.context import Context
from analytics.meaning.frame import Frame
from analytics.rules.within import RULE_CODE, FenceTable, hits_of
from analytics.step import group_starts
from model.device import KIND_CODE
from model.fence import FenceRule

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SPEED = RULE_CODE[FenceRule.SPEED]
_TAXI = KIND_CODE["taxi"]


def speed_limits(frame: Frame, context: Context, table: FenceTable | None) -> tuple[Floats, Ints | None]:
    """Limit of each row, km/h, inf for none, and the number of the fence that sets it (0: none; None: no fence sets any).

    `table` is that of `context.fences`.
    """
    limit = np.where(frame.kind == _TAXI, context.limits.overspeed_kmh, np.inf)
    if table is None:
        return limit, None
    speeds = table.rule == SPEED
    if not speeds.any():
        return limit, None
    row, fence = hits_of(frame, context)
    if not len(row):
        return limit, None
    keep = speeds[fence] & np.isfinite(table.limit_kmh[fence])
    row, fence = row[keep], fence[keep]
    keep = table.holds(fence, frame.slot[row], frame.kind[row])
    keep &= table.in_force(fence, frame.time_ms[row])
    row, fence = row[keep], fence[keep]
    if not len(row):
        return limit, None
    # Of one row's fences the one with the lowest limit; of equal ones that with the lowest number.
    by = np.lexsort((table.number[fence], table.limit_kmh[fence], row))
    row, fence = row[by], fence[by]
    first = group_starts(row)
    number = np.zeros(len(frame), np.int64)
    limit[row[first]] = table.limit_kmh[fence[first]]
    number[row[first]] = table.number[fence[first]]
    return limit, number
