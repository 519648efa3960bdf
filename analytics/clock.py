"""`clock`: device clocks of live points against the receive time.

Purpose: name and take off constant offsets (a device that sends local time as UTC is 8 h ahead),
undo the 1024-week rollover of old GPS receivers, mark clocks that are ahead or behind, quarantine
what lies in the future or far in the past. Invariants: the time of a buffered point (a file's, a
replayed or a stored one) is taken as it is, only what is ahead of the receive time is marked or
quarantined as for any other; the result does not depend on how the stream is cut into batches.
It does not judge frozen clocks: that needs points without duplicates, see `clean`.

Ahead is certain, behind is not: a point can be delayed, but it cannot come before it was made. So a
single point that is ahead by a whole step is corrected at once, while an offset behind needs
`offset_points` in a row to be named, and the time is kept. Points in a row also establish the
device's offset, which is then taken off its delayed points too, which fit no step by themselves.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analytics.limits import ROLLOVER_MS, CleanLimits
from analytics.state import State
from analytics.step import Step, group_lasts, group_starts
from model.codes import Flag, Mark, Reason

#: A step of an offset that fits no multiple.
_NO_FIT = 127
_MAX_ROLLOVERS = 2

Ints = npt.NDArray[np.int64]


def set_clocks(step: Step, state: State, limits: CleanLimits) -> None:
    """Correct, mark or quarantine live rows whose clock differs from the receive time."""
    batch = step.batch
    live = (batch.flags & np.uint16(Flag.BUFFERED)) == 0
    ahead = batch.time_ms - batch.received_ms
    odd = ahead > limits.clock_tolerance_ms
    if odd.any() and not live.all():
        _buffered(step, ahead, odd & ~live, limits)
    odd |= ahead < -limits.clock_tolerance_ms
    odd &= live
    if state.any_offset:
        slot = np.clip(batch.slot, 0, max(state.capacity - 1, 0))
        odd |= live & ((state.offset[slot] != 0) | (state.offset_next[slot] != 0))
    elif not odd.any():
        return
    if step.reason is not None:
        odd &= step.reason == 0
        live &= step.reason == 0
    if odd.any():
        # With one odd row of a device all its rows count: a right one in between ends a run.
        row = np.flatnonzero(live & np.isin(batch.slot, batch.slot[odd]))
        state.grow(int(batch.slot[row].max()) + 1)
        _judge(step, state, limits, row[np.argsort(batch.slot[row], kind="stable")])


def _buffered(step: Step, ahead: Ints, odd: npt.NDArray[np.bool_], limits: CleanLimits) -> None:
    """Buffered rows ahead of the receive time: nothing comes off, yet they must not hold the newest time for a day."""
    step.reject(odd & (ahead > limits.max_ahead_ms), Reason.FUTURE)
    step.mark_rows(odd & (ahead <= limits.max_ahead_ms), Mark.CLOCK_AHEAD)


def clock_offsets(state: State, limits: CleanLimits) -> tuple[npt.NDArray[np.int32], Ints]:
    """Devices whose clock has an established offset: slots int32, and the offset, ms, ahead positive."""
    slots = np.flatnonzero(state.offset[: state.slots])
    return slots.astype(np.int32), state.offset[slots].astype(np.int64) * limits.offset_step_ms


def _judge(step: Step, state: State, limits: CleanLimits, row: npt.NDArray[np.intp]) -> None:
    """Judge `row`, live rows of the batch in the order (slot, arrival)."""
    batch, step_ms, tolerance = step.batch, limits.offset_step_ms, limits.clock_tolerance_ms
    time = batch.time_ms[row]
    received = batch.received_ms[row]
    ahead = time - received
    weeks = _rollovers(ahead, limits)
    time = time + weeks * ROLLOVER_MS
    ahead = time - received

    near = (ahead + step_ms // 2) // step_ms
    fits = (np.abs(ahead - near * step_ms) <= tolerance) & (np.abs(near) <= limits.max_offset_ms // step_ms)
    steps = np.where(fits, near, _NO_FIT)
    steps[weeks != 0] = 0
    established, run = _establish(state, limits, batch.slot[row].astype(np.int64), steps)

    is_ahead = ahead > tolerance
    kept = is_ahead & (established > 0) & (ahead <= established * step_ms + tolerance)
    off = np.where(kept, established, np.where(is_ahead & fits, near, 0))
    behind = fits & (near < 0) & (run >= limits.offset_points)
    corrected = off > 0
    future = is_ahead & ~corrected & (ahead > limits.max_ahead_ms)
    stale = -ahead > limits.max_live_age_ms

    time -= off * step_ms
    if weeks.any() or corrected.any():
        batch.time_ms = batch.time_ms.copy()
        batch.time_ms[row] = time
    for where, mark in (
        (weeks != 0, Mark.WEEK_ROLLOVER),
        (corrected, Mark.CLOCK_CORRECTED),
        (is_ahead & ~corrected & ~future, Mark.CLOCK_AHEAD),
        (behind, Mark.CLOCK_BEHIND),
    ):
        if where.any():
            step.mark_rows(row[where], mark)
    for where, reason in ((future, Reason.FUTURE), (stale, Reason.STALE_CLOCK)):
        if where.any():
            bad = np.zeros(len(batch), np.bool_)
            bad[row[where]] = True
            step.reject(bad, reason)


def _rollovers(ahead: Ints, limits: CleanLimits) -> Ints:
    """How many times 1024 weeks the clock is behind, 0 where it is not, within a day."""
    weeks = np.zeros(len(ahead), np.int64)
    for times in range(1, _MAX_ROLLOVERS + 1):
        weeks[np.abs(ahead + times * ROLLOVER_MS) <= limits.max_ahead_ms] = times
    return weeks


def _establish(state: State, limits: CleanLimits, slot: Ints, steps: Ints) -> tuple[Ints, Ints]:
    """The established offset at each row, and how many rows in a row had the row's own; moves the state.

    A run of `offset_points` equal offsets establishes it; 0 is one too: a clock that came right.
    """
    rows = len(slot)
    at = np.arange(rows)
    first = np.zeros(rows, np.bool_)
    starts = group_starts(slot)
    first[starts] = True
    fresh = first.copy()
    fresh[1:] |= steps[1:] != steps[:-1]
    run_start = np.maximum.accumulate(np.where(fresh, at, 0))
    run = at - run_start + 1
    # A device's first run goes on where the state's left off.
    carried = np.where(state.offset_next[slot[starts]] == steps[starts], state.offset_run[slot[starts]], 0)
    device = np.cumsum(first) - 1
    run += np.where(run_start == starts[device], carried[device], 0)

    telling = (run >= limits.offset_points) & (steps != _NO_FIT)
    # Position of the last telling row of the same device so far; the device's start where there is none.
    last_telling = np.maximum.accumulate(np.where(telling | first, at, 0))
    established = np.where(telling[last_telling], steps[last_telling], state.offset[slot].astype(np.int64))

    lasts = group_lasts(starts, rows)
    of = slot[lasts]
    state.offset[of] = established[lasts]
    state.offset_next[of] = steps[lasts]
    # A device without an offset has no run: its rows are not looked at, so they must not count.
    plain = (established[lasts] == 0) & (steps[lasts] == 0)
    state.offset_run[of] = np.where(plain, 0, np.minimum(run[lasts], 255))
    state.any_offset = True
    return established, run
