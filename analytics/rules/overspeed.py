"""`overspeed`: faster than the limit for a while.

Purpose: each row's limit, and stretches above it. The limit is the lowest of the speed fences the device is in and that
are in force (their own, or their road class's); where there is none, `overspeed_kmh` for taxis and no limit for
others. It rises at the first fix `overspeed_min_s` or more after the first of a stretch of fixes in a row, each more
than `overspeed_over_kmh` above its limit; a silence longer than `trip_gap_s` ends the stretch. It tells the highest
speed so far and the fence that set the limit of the fix that made it certain (0: none). It is gone at the first fix at
or below its limit, whatever silence lay between.

Invariants: fences have no hysteresis here, since only a stretch counts; rows whose place cannot be trusted, or with no
speed, are passed over. A raised alarm keeps the fence it was raised with, so that its end finds it; when that fence is
gone it is forgotten. A speed fence with no limit of its own and a road class that is not in the table limits nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analytics.meaning.context import Context
from analytics.meaning.events import Events
from analytics.meaning.frame import Frame
from analytics.meaning.limits import RuleLimits
from analytics.meaning.rule import Rule
from analytics.rules.speed_limits import SPEED, speed_limits
from analytics.rules.within import FenceTable
from analytics.slots import Field
from analytics.state import NEVER_MS
from analytics.step import Bools, Rows, group_lasts, group_starts

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NAME = "overspeed"
FIELDS: tuple[Field, ...] = (
    Field("since_ms", "<i8", NEVER_MS, "first fix of the stretch above the limit"),
    Field("last_ms", "<i8", NEVER_MS, "last fix of that stretch"),
    Field("peak_kmh", "<f8", 0, "highest speed of that stretch"),
    Field("raised", "|u1", 0, "1 while the alarm is raised"),
    Field("fence", "<i8", 0, "number of the fence it was raised with, 0 for none"),
)


class OverspeedRule(Rule):
    """See the module."""

    name = NAME
    fields = FIELDS

    def __init__(self) -> None:
        super().__init__()
        self._table: FenceTable | None = None
        self._speeds = np.zeros(0, np.bool_)
        self._devices_known = 0

    def points(self, frame: Frame, context: Context, events: Events) -> None:
        """Look at the rows of a frame."""
        if not len(frame):
            return
        self._prepare(context)
        limits, memory = context.limits, self.memory
        limit, fence = speed_limits(frame, context, self._table)
        use = frame.placed & ~np.isnan(frame.motion_kmh)
        over = use & (frame.motion_kmh > limit + limits.overspeed_over_kmh)
        told = (memory["since_ms"][frame.of] != NEVER_MS) | (memory["raised"][frame.of] != 0)
        if not (told.any() or over.any()):
            return
        some = _of_some(frame, told, over, use)
        self._stretches(frame, some, over[some], limit, fence, limits, events)

    def fences_changed(self, context: Context) -> None:
        """Forget alarms of fences that are gone."""
        index = context.fences
        self._table = None if index is None else FenceTable.of(index, context)
        self._devices_known = len(context.kind_of_slot)
        self._speeds = np.zeros(0, np.bool_) if self._table is None else self._table.rule == SPEED
        numbers = np.zeros(1, np.int64)
        if self._table is not None:
            numbers = np.append(numbers, self._table.number[self._speeds])
        memory = self.memory
        gone = ~np.isin(memory["fence"], numbers)
        memory["raised"][gone] = 0
        memory["fence"][gone] = 0

    def _prepare(self, context: Context) -> None:
        """Have the table of the fences that are in force, with the devices that they name."""
        table = self._table
        if (None if table is None else table.index) is not context.fences or (
            table is not None and table.unknown_devices and self._devices_known != len(context.kind_of_slot)
        ):
            self.fences_changed(context)

    def _stretches(
        self,
        frame: Frame,
        some: Rows,
        over: Bools,
        limit: Floats,
        fence: Ints | None,
        limits: RuleLimits,
        events: Events,
    ) -> None:
        """Look at rows `some` of the frame: all that count of the devices that are, or were, above a limit."""
        slot, time, speed = frame.slot[some], frame.time_ms[some], frame.motion_kmh[some]
        starts = group_starts(slot)
        lasts = group_lasts(starts, len(slot))
        of = slot[starts]
        begins, since, carried = self._since(over, time, starts, of, limits.trip_gap_s * 1_000)
        sure = over & (time - since >= limits.overspeed_min_s * 1_000)
        slow = speed <= limit[some]
        rises, falls, raised = _edges(sure, slow, starts, lasts, self.memory["raised"][of] != 0)

        number = np.zeros(len(some), np.int64) if fence is None else fence[some]
        before = self.memory["peak_kmh"][of]
        device = np.searchsorted(starts, rises, side="right") - 1
        peak = _highest(speed, begins[rises], rises, carried[rises], before[device])
        row = some[rises]
        events.add(
            NAME,
            NAME,
            rises=True,
            row=frame.row[row],
            slot=slot[rises],
            time_ms=time[rises],
            fence=number[rises],
            value=peak,
            unit="km/h",
        )
        self._fall(frame, some, falls, rises, number, starts, of, events)
        last_rise = np.searchsorted(rises, lasts, side="right") - 1
        fresh = last_rise >= 0
        fresh[fresh] = rises[last_rise[fresh]] >= starts[fresh]
        kept = self.memory["fence"][of]
        kept[fresh] = number[rises[last_rise[fresh]]]
        on = over[lasts]
        self.memory["raised"][of] = raised
        self.memory["fence"][of] = np.where(raised, kept, 0)
        self.memory["since_ms"][of] = np.where(on, since[lasts], NEVER_MS)
        self.memory["last_ms"][of] = np.where(on, time[lasts], NEVER_MS)
        open_peak = np.zeros(len(of))
        open_peak[on] = _highest(speed, begins[lasts[on]], lasts[on], carried[lasts[on]], before[on])
        self.memory["peak_kmh"][of] = open_peak

    def _since(self, over: Bools, time: Ints, starts: Rows, of: Ints, gap_ms: int) -> tuple[Rows, Ints, Bools]:
        """For each row above the limit: first row of its stretch in the batch, when it began, whether it was before."""
        rows = len(over)
        opens = np.zeros(rows, np.bool_)
        opens[starts] = True
        goes_on = np.zeros(rows, np.bool_)
        goes_on[1:] = over[1:] & over[:-1] & (time[1:] - time[:-1] <= gap_ms)
        last_ms = self.memory["last_ms"][of]
        goes_on[starts] = over[starts] & (last_ms != NEVER_MS) & (time[starts] - last_ms <= gap_ms)
        begins = np.maximum.accumulate(np.where(~goes_on | opens, np.arange(rows), 0))
        carried = (opens & goes_on)[begins]
        since = np.where(
            carried, np.repeat(self.memory["since_ms"][of], np.diff(np.append(starts, rows))), time[begins]
        )
        return begins, since, carried

    def _fall(
        self,
        frame: Frame,
        some: Rows,
        falls: Rows,
        rises: Rows,
        number: Ints,
        starts: Rows,
        of: Ints,
        events: Events,
    ) -> None:
        """Each fall names the fence of the rise before it: of this batch, else the remembered one."""
        if not len(falls):
            return
        device = np.searchsorted(starts, falls, side="right") - 1
        fence = self.memory["fence"][of[device]]
        before = np.searchsorted(rises, falls) - 1
        here = before >= 0
        here[here] = rises[before[here]] >= starts[device[here]]
        fence[here] = number[rises[before[here]]]
        row = some[falls]
        events.add(
            NAME,
            NAME,
            rises=False,
            row=frame.row[row],
            slot=frame.slot[row],
            time_ms=frame.time_ms[row],
            fence=fence,
        )


def _of_some(frame: Frame, told: Bools, over: Bools, use: Bools) -> Rows:
    """The rows that count of devices that are remembered or have a row above a limit."""
    concerned = told | np.logical_or.reduceat(over, frame.starts)
    if len(frame.starts) == len(frame):
        return np.flatnonzero(use & concerned)
    return np.flatnonzero(use & np.repeat(concerned, frame.lasts - frame.starts + 1))


def _edges(sure: Bools, slow: Bools, starts: Rows, lasts: Rows, raised: Bools) -> tuple[Rows, Rows, Bools]:
    """Rows that rise, rows that fall, and whether each device is raised at its end (`raised`: at its beginning)."""
    rows = len(sure)
    tells = sure | slow
    last = np.maximum.accumulate(np.where(tells, np.arange(rows), -1)) if rows else np.zeros(0, np.int64)
    counts = lasts - starts + 1
    after = np.where(last >= np.repeat(starts, counts), sure[last], np.repeat(raised, counts))
    before = np.empty_like(after)
    before[1:] = after[:-1]
    before[starts] = raised
    return np.flatnonzero(after & ~before), np.flatnonzero(~after & before), after[lasts]


def _highest(speed: Floats, begins: Rows, ends: Rows, carried: Bools, before: Floats) -> Floats:
    """Highest of each slice of rows, ends included, and of what was `before` where it is `carried` on."""
    if not len(ends):
        return np.zeros(0)
    edges = np.stack((begins, ends + 1), axis=1).reshape(-1)
    padded = np.append(speed, -np.inf)
    highest = np.maximum.reduceat(padded, edges)[::2]
    return np.where(carried, np.maximum(highest, before), highest)
