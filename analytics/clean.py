"""`clean`: jumps, frozen clocks and fixes that the device itself calls invalid; marks, never drops.

Purpose: judge each leg of a device's chain (rows that follow each other in time as they came; late
rows and rows whose clock is ahead are not part of it) and move the newest time and place on.
Invariants: the reference moves on with every row of the chain, also after a jump, so that one wrong
place marks the leg to it and the leg back, and a real change of place marks one leg. A leg within
one millisecond has no speed and is no jump: such rows are marked SAME_TIME already. Marks and state
do not depend on how the stream is cut into batches. The row that is marked is the one the leg leads to.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analytics.limits import CleanLimits
from analytics.state import State
from analytics.step import Bools, Rows, Step, group_lasts, group_starts
from model.codes import Flag, Mark
from model.geo import METRES_PER_DEGREE, haversine_m

Ints = npt.NDArray[np.int64]
_KMH_TO_M_PER_MS = 1.0 / 3600.0
_FIX_FLAGS = np.uint16(Flag.VALID | Flag.VALID_SENT)


def clean(step: Step, state: State, limits: CleanLimits) -> None:
    """Mark JUMP, FROZEN_CLOCK and NO_FIX in `step.mark`; move `newest_ms`, `lat`, `lon` and `same_*`."""
    if not len(step.row):
        return
    no_fix = (step.batch.flags.take(step.row) & _FIX_FLAGS) == Flag.VALID_SENT
    if no_fix.any():
        step.mark[no_fix] |= np.uint16(Mark.NO_FIX)
    if step.chain is None:
        _judge(step, state, limits, None)
    elif step.chain.any():
        _judge(step, state, limits, np.flatnonzero(step.chain))


def _judge(step: Step, state: State, limits: CleanLimits, chain: Rows | None) -> None:
    """Judge the legs between rows at `chain` (positions in order; None: all of them)."""
    slot = step.slot if chain is None else step.slot[chain]
    time = step.time_ms if chain is None else step.time_ms[chain]
    row = step.row if chain is None else step.row[chain]
    lat, lon = step.batch.lat.take(row), step.batch.lon.take(row)
    starts = group_starts(slot)
    lasts = group_lasts(starts, len(slot))
    of = slot.take(starts)
    newest = state.newest_ms.take(of)

    took = np.empty(len(slot), np.int64)
    np.subtract(time[1:], time[:-1], out=took[1:])
    took[starts] = time.take(starts) - newest
    jump = _jumps(lat, lon, took, starts, state.lat.take(of), state.lon.take(of), limits)
    if len(jump):
        step.mark[jump if chain is None else chain[jump]] |= np.uint16(Mark.JUMP)

    received = step.batch.received_ms.take(row)
    same = took == 0
    if same.any():
        count, since = _same_time(state, of, starts, lasts, same, received)
        live = (step.batch.flags.take(row) & np.uint16(Flag.BUFFERED)) == 0
        frozen = live & (count >= limits.frozen_points) & (received - since >= limits.frozen_span_ms)
        if frozen.any():
            step.mark[frozen if chain is None else chain[frozen]] |= np.uint16(Mark.FROZEN_CLOCK)
        state.same_count[of] = np.minimum(count[lasts], 255)
        state.same_since_ms[of] = since[lasts]
    else:
        state.same_count[of] = 1
        state.same_since_ms[of] = received.take(lasts)
    state.newest_ms[of] = time.take(lasts)
    state.lat[of] = lat.take(lasts)
    state.lon[of] = lon.take(lasts)


def _jumps(
    lat: npt.NDArray[np.float64],
    lon: npt.NDArray[np.float64],
    took_ms: Ints,
    starts: Rows,
    lat_before: npt.NDArray[np.float64],
    lon_before: npt.NDArray[np.float64],
    limits: CleanLimits,
) -> Rows:
    """Which legs are jumps. A cheap upper bound of the distance clears nearly all before any sine is taken."""
    leg_lat, leg_lon = np.empty_like(lat), np.empty_like(lon)
    np.subtract(lat[1:], lat[:-1], out=leg_lat[1:])
    np.subtract(lon[1:], lon[:-1], out=leg_lon[1:])
    leg_lat[starts] = lat.take(starts) - lat_before
    leg_lon[starts] = lon.take(starts) - lon_before
    # No way is longer than the one along the meridian and then along the parallel.
    bound = np.abs(leg_lat)
    bound += np.abs(leg_lon)
    bound *= METRES_PER_DEGREE
    allowed = took_ms * (limits.max_jump_speed_kmh * _KMH_TO_M_PER_MS)
    np.maximum(allowed, limits.jump_min_m, out=allowed)
    # A device without a place yet has NaN here, which is never greater.
    maybe = np.flatnonzero((bound > allowed) & (took_ms > 0))
    if not len(maybe):
        return maybe
    far = haversine_m(lat[maybe] - leg_lat[maybe], lon[maybe] - leg_lon[maybe], lat[maybe], lon[maybe])
    return maybe[far > allowed[maybe]]


def _same_time(state: State, of: Ints, starts: Rows, lasts: Rows, same: Bools, received: Ints) -> tuple[Ints, Ints]:
    """How many rows of the chain with its time each row is, and when the first of them was received."""
    rows = len(same)
    at = np.arange(rows)
    first = np.zeros(rows, np.bool_)
    first[starts] = True
    began = np.maximum.accumulate(np.where(first | ~same, at, 0))
    count = at - began + 1
    since = received[began]
    # Rows at the device's newest time go on where the state's left off.
    carries = np.repeat(same[starts], lasts - starts + 1) & first[began]
    device = np.repeat(np.arange(len(starts)), lasts - starts + 1)
    count += np.where(carries, state.same_count[of][device], 0)
    since = np.where(carries, state.same_since_ms[of][device], since)
    return count, since
