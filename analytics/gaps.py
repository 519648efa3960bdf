"""`gaps`: points that a device counted and that did not come, by its own seq.

Purpose: the gauge `points_missing`: up by what a step of seq leaves out, down by 1 for each that
comes after all, as long as it is within the last 64 of the run. Invariants: a seq is counted once; a
lower seq with a newer time begins a new run and misses nothing, and so does a step larger than
`max_seq_gap_points`; quarantined rows were not lost, so they fill gaps too. It changes no point.
It reads `newest_ms` as it was before the batch, so it stands before `clean`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analytics.limits import CleanLimits
from analytics.state import State
from analytics.step import Bools, Step, group_lasts, group_starts

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
WINDOW_POINTS = 64
GAUGE = "points_missing"
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


def count_gaps(step: Step, state: State, limits: CleanLimits) -> None:
    """Add to the gauge `points_missing`; move `seq` and `seq_seen`."""
    if not (step.batch.seq >= 0).any():
        return
    slot, seq = step.slot, step.batch.seq.take(step.row)
    chained = seq >= 0
    if not step.calm:
        if step.chain is not None:
            chained &= step.chain
        # Of the newest time, but counted before it: no new run.
        chained &= (step.time_ms > state.newest_ms.take(slot)) | (seq >= state.seq.take(slot))
    aside = (seq >= 0) & ~chained
    if step.calm and chained.all():
        missing = _advance(state, limits, slot, seq)
    else:
        by = np.flatnonzero(chained)
        by = by[np.lexsort((seq[by], step.time_ms[by], slot[by]))]
        missing = _advance(state, limits, slot[by], seq[by])
    if step.reason is not None or aside.any():
        missing += _fill(state, *_asides(step, state, seq, aside))
    step.count(GAUGE, missing)


def _advance(state: State, limits: CleanLimits, slot: Ints, seq: Ints) -> int:
    """Walk the chain, rows ordered by (slot, time, seq); what its steps leave out."""
    if not len(slot):
        return 0
    starts = group_starts(slot)
    lasts = group_lasts(starts, len(slot))
    of = slot.take(starts)
    known = state.seq.take(of)
    top = seq.take(lasts)
    step_by = np.empty(len(slot), np.int64)
    np.subtract(seq[1:], seq[:-1], out=step_by[1:])
    step_by[starts] = np.where(known < 0, -1, seq.take(starts) - known)
    reset = (step_by < 0) | (step_by > limits.max_seq_gap_points)
    step_by -= 1
    step_by[reset] = 0
    missing = int(np.maximum(step_by, 0, out=step_by).sum())

    # The run that lasts: it began with the last reset of the device in the batch, or before the batch.
    resets = np.maximum.accumulate(np.where(reset, np.arange(len(slot)), -1))[lasts]
    goes_on = resets < starts
    base = np.where(goes_on, known, seq[np.maximum(resets, 0)])
    # What was before a run is not missing from it.
    window = _shifted(np.where(goes_on, state.seq_seen.take(of), _ALL), top - base)
    if len(starts) == len(slot):
        window |= np.uint64(1)
    else:
        size = lasts - starts + 1
        behind = np.repeat(top, size) - seq
        counted = np.arange(len(slot)) >= np.repeat(resets, size)
        window |= np.bitwise_or.reduceat(_bits(behind, counted), starts)
    state.seq_seen[of] = window
    state.seq[of] = top
    return missing


def _bits(behind: Ints, counted: Bools) -> Words:
    """The window's bit of a seq so far behind the top; 0 where it is outside or not counted."""
    inside = counted & (behind >= 0) & (behind < WINDOW_POINTS)
    return np.where(inside, np.uint64(1) << np.where(inside, behind, 0).astype(np.uint64), np.uint64(0))


def _shifted(window: Words, by: Ints) -> Words:
    """The window after its top moved on by `by` points."""
    inside = (by >= 0) & (by < WINDOW_POINTS)
    return np.where(inside, window << np.where(inside, by, 0).astype(np.uint64), np.uint64(0))


def _asides(step: Step, state: State, seq: Ints, aside: Bools) -> tuple[Ints, Ints]:
    """(slot, seq) of rows outside the chain and of quarantined rows, each once and in order."""
    slots, seqs = [step.slot[aside]], [seq[aside]]
    if step.reason is not None:
        batch = step.batch
        bad = (step.reason != 0) & (batch.seq >= 0) & (batch.slot >= 0) & (batch.slot < state.slots)
        slots.append(batch.slot[bad].astype(np.int64))
        seqs.append(batch.seq[bad])
    slot, value = np.concatenate(slots), np.concatenate(seqs)
    known = state.seq[slot] >= 0
    slot, value = slot[known], value[known]
    by = np.lexsort((value, slot))
    slot, value = slot[by], value[by]
    once = np.ones(len(slot), np.bool_)
    once[1:] = (slot[1:] != slot[:-1]) | (value[1:] != value[:-1])
    return slot[once], value[once]


def _fill(state: State, slot: Ints, seq: Ints) -> int:
    """Rows beside the chain: each fills the gap that it left; one beyond the top moves it. Returns the change."""
    if not len(slot):
        return 0
    behind = state.seq[slot] - seq
    inside = (behind >= 0) & (behind < WINDOW_POINTS)
    at, bit = slot[inside], _bits(behind[inside], np.ones(int(inside.sum()), np.bool_))
    new = (state.seq_seen[at] & bit) == 0
    np.bitwise_or.at(state.seq_seen, at[new], bit[new])
    change = -int(np.count_nonzero(new))

    # A quarantined row may carry any seq: only one that is near moves the top.
    near = (behind < 0) & (behind > -WINDOW_POINTS)
    slot, seq = slot[near], seq[near]
    if len(slot):
        starts = group_starts(slot)
        lasts = group_lasts(starts, len(slot))
        of, top = slot[starts], seq[lasts]
        change += int((top - state.seq[of]).sum()) - len(slot)
        window = _shifted(state.seq_seen[of], top - state.seq[of])
        behind = np.repeat(top, lasts - starts + 1) - seq
        state.seq_seen[of] = window | np.bitwise_or.reduceat(_bits(behind, np.ones(len(seq), np.bool_)), starts)
        state.seq[of] = top
    return change
