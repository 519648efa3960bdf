"""`Frame`: the rows of one step that rules look at, device by device in order, with the leg that led to each.

Purpose: prepare once what every rule needs. Invariants: only rows of the chain are in it (trusted, newer than all
before them, clock not ahead, certainly no duplicate), in the order (slot, time, arrival); late rows are not: their
alarm bits are lifted by `rise`, their meaning is told by replay. A leg joins two rows whose place can be trusted (no
jump, fix valid, not sighted by a reader) and is reckoned by cleaned points only; a leg faster than a vehicle drives is
none. The frame does not depend on how the stream is cut into batches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.limits import CleanLimits
from analytics.meaning.context import Context
from analytics.slots import Field, Slots
from analytics.state import NEVER_MS
from analytics.step import Bools, Rows, Step, group_lasts, group_starts
from model.codes import Flag, Mark
from model.geo import haversine_m

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: What a frame remembers of each device: its last row with a trusted place.
FIELDS: tuple[Field, ...] = (
    Field("placed_ms", "<i8", NEVER_MS, "time of the last row whose place can be trusted"),
    Field("lat", "<f8", np.nan, "its place"),
    Field("lon", "<f8", np.nan, "its place"),
)
_UNPLACED = np.uint16(Mark.JUMP | Mark.NO_FIX)
_KMH_PER_M_PER_MS = 3_600.0


@dataclass(slots=True)
class Frame:
    """Columns of shape (n,) in the order (slot, time, arrival); n may be 0.

    Attributes:
        row: int64, row of the batch as it was given.
        slot, kind: int64; int8, index into `KINDS`, -1 unknown.
        time_ms, received_ms: int64.
        lat, lon: float64.
        acc_m, speed_kmh: float32, NaN when not sent.
        flags: uint16, `Flag`. battery_pct: int16, -1 when not sent.
        placed: the place can be trusted.
        leg_m, leg_ms: float64 and int64: from the device's last placed row to this one; NaN and 0 where there is no leg
            (the first placed row, a row not placed, one faster than a vehicle drives).
        leg_kmh: float64: speed over that leg, NaN where there is none or it took no time.
        motion_kmh: float64: the device's own speed where it sent one, else `leg_kmh`.
        starts, lasts: first and last row of each device, intp; of: its slot, int64.
        fence_hits: pairs (row, place in the index of fences), int64, once a rule has looked them up (`rules.within`).
    """

    row: Ints
    slot: Ints
    kind: npt.NDArray[np.int8]
    time_ms: Ints
    received_ms: Ints
    lat: Floats
    lon: Floats
    acc_m: npt.NDArray[np.float32]
    speed_kmh: npt.NDArray[np.float32]
    flags: npt.NDArray[np.uint16]
    battery_pct: npt.NDArray[np.int16]
    placed: Bools
    leg_m: Floats
    leg_ms: Ints
    leg_kmh: Floats
    motion_kmh: Floats
    starts: Rows
    lasts: Rows
    of: Ints
    fence_hits: tuple[Ints, Ints] | None = None

    def __len__(self) -> int:
        return len(self.slot)


def make_frame(step: Step, memory: Slots, context: Context, limits: CleanLimits) -> Frame:
    """The frame of a step after `clean`; moves `memory` (of `FIELDS`)."""
    at = _certain(step)
    row, slot, time = step.row[at], step.slot[at], step.time_ms[at]
    batch = step.batch
    starts = group_starts(slot)
    lasts = group_lasts(starts, len(slot))
    of = slot[starts]
    lat, lon, flags = batch.lat.take(row), batch.lon.take(row), batch.flags.take(row)
    placed = ((step.mark[at] & _UNPLACED) == 0) & ((flags & np.uint16(Flag.SIGHTED)) == 0)
    if len(slot):
        memory.grow(int(slot[-1]) + 1)
    before_ms, before_lat, before_lon = _before(memory, placed, time, lat, lon, starts, lasts, of)
    leg_m, leg_ms, leg_kmh = _legs(placed, time, lat, lon, before_ms, before_lat, before_lon, limits)
    speed = batch.speed_kmh.take(row)
    return Frame(
        row=row.astype(np.int64),
        slot=slot,
        kind=context.kinds(slot),
        time_ms=time,
        received_ms=batch.received_ms.take(row),
        lat=lat,
        lon=lon,
        acc_m=batch.acc_m.take(row),
        speed_kmh=speed,
        flags=flags,
        battery_pct=batch.battery_pct.take(row),
        placed=placed,
        leg_m=leg_m,
        leg_ms=leg_ms,
        leg_kmh=leg_kmh,
        motion_kmh=np.where(np.isnan(speed), leg_kmh, speed),
        starts=starts,
        lasts=lasts,
        of=of,
    )


def _certain(step: Step) -> Rows:
    """Positions in the step's order of rows of the chain that no store has to be asked about."""
    if step.chain is None and not len(step.unsure):
        return np.arange(len(step.row))
    use = np.ones(len(step.row), np.bool_) if step.chain is None else step.chain.copy()
    use[step.unsure] = False
    return np.flatnonzero(use)


def last_where(which: Bools, starts: Rows, lasts: Rows, *, before: bool) -> Rows:
    """For each row the position of the last row of its device with `which`, up to it or (`before`) before it; -1 for none.

    The building stone of every "since when" and "the one before" within a batch; what was before the batch is the
    caller's memory.
    """
    rows = len(which)
    at = np.where(which, np.arange(rows), -1)
    if before:
        shifted = np.empty_like(at)
        shifted[1:] = at[:-1]
        shifted[starts] = -1
        at = shifted
    found = np.maximum.accumulate(at) if rows else at
    first = np.repeat(starts, lasts - starts + 1)
    return np.where(found >= first, found, -1)


def _before(
    memory: Slots, placed: Bools, time: Ints, lat: Floats, lon: Floats, starts: Rows, lasts: Rows, of: Ints
) -> tuple[Ints, Floats, Floats]:
    """Time and place of each row's last placed row before it; moves the memory on."""
    device = np.repeat(np.arange(len(starts)), lasts - starts + 1)
    if placed.all():
        found = np.arange(-1, len(placed) - 1)
        found[starts] = -1
        end = lasts
    else:
        found = last_where(placed, starts, lasts, before=True)
        end = last_where(placed, starts, lasts, before=False)[lasts]
    here = found >= 0
    remembered = of[device]
    before = tuple(
        np.where(here, column[found], memory[name][remembered])
        for name, column in (("placed_ms", time), ("lat", lat), ("lon", lon))
    )
    has = end >= 0
    for name, column in (("placed_ms", time), ("lat", lat), ("lon", lon)):
        memory[name][of[has]] = column[end[has]]
    return before[0], before[1], before[2]


def _legs(
    placed: Bools,
    time: Ints,
    lat: Floats,
    lon: Floats,
    before_ms: Ints,
    before_lat: Floats,
    before_lon: Floats,
    limits: CleanLimits,
) -> tuple[Floats, Ints, Floats]:
    has = placed & (before_ms != NEVER_MS)
    took = np.where(has, time - before_ms, 0)
    far = haversine_m(before_lat, before_lon, lat, lon)
    with np.errstate(divide="ignore", invalid="ignore"):
        kmh = far / took * _KMH_PER_M_PER_MS
    # A row after a jump is marked once; the leg back over the wrong place is reckoned from the last trusted one.
    real = has & (far <= np.maximum(took * (limits.max_jump_speed_kmh / _KMH_PER_M_PER_MS), limits.jump_min_m))
    return (
        np.where(real, far, np.nan),
        np.where(real, took, 0),
        np.where(real & (took > 0), kmh, np.nan),
    )
