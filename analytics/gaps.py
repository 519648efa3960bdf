"""`gaps`: points that a device counted and that did not come, by its own seq.

Purpose: the gauge `points_missing`: up by what a step of seq leaves out, down by 1 for each that
comes after all. Of the last 64 of a run the state knows which came; whether an older one is new
only the store can say, when it has answered (`Step.fills`). Invariants: a seq is counted once; a
lower seq with a newer time begins a new run and misses nothing, and so does a step larger than
`max_seq_gap_points`; quarantined rows were not lost, so they fill gaps too. It changes no point.
It reads `newest_ms` as it was before the batch, so it stands before `clean`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.limits import CleanLimits
from analytics.state import State
from analytics.step import Bools, Rows, Step, group_lasts, group_starts

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
    by: slice | Ints = slice(None)
    if not (step.calm and chained.all()):
        by = np.flatnonzero(chained)
        by = by[np.lexsort((seq[by], step.time_ms[by], slot[by]))]
    missing = 0
    beside: tuple[Ints, Ints] | None = None
    if step.reason is not None or aside.any():
        beside_slot, beside_seq = _asides(step, state, seq, aside)
        step.fills = _long_ago(step, state, seq, aside)
        behind = beside_seq <= state.seq[beside_slot]
        missing += _fill(state, beside_slot[behind], beside_seq[behind])
        beside = beside_slot[~behind], beside_seq[~behind]
    run = _advance(state, limits, slot[by], seq[by])
    missing += run.missing
    if beside is not None:
        missing += _fill_between(state, run, *beside) + _pass(state, *beside)
    step.count(GAUGE, missing)


@dataclass(frozen=True, slots=True)
class _Run:
    """What the chain of a batch did.

    Attributes:
        missing: what its steps left out.
        slot, seq: its rows, by slot.
        of, base: its devices, ascending, and where the run that lasts began, or stood before the batch.
    """

    missing: int
    slot: Ints
    seq: Ints
    of: Ints
    base: Ints


def _advance(state: State, limits: CleanLimits, slot: Ints, seq: Ints) -> _Run:
    """Walk the chain, rows ordered by (slot, time, seq)."""
    if not len(slot):
        return _Run(0, slot, seq, slot, seq)
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
    state.seq_span[of] = _span(np.where(goes_on, state.seq_span.take(of), 0) + top - base)
    state.seq[of] = top
    return _Run(missing, slot, seq, of, base)


def _span(points: Ints) -> npt.NDArray[np.uint32]:
    return np.minimum(points, np.iinfo(np.uint32).max).astype(np.uint32)


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
    by = np.lexsort((value, slot))
    slot, value = slot[by], value[by]
    once = np.ones(len(slot), np.bool_)
    once[1:] = (slot[1:] != slot[:-1]) | (value[1:] != value[:-1])
    return slot[once], value[once]


def _long_ago(step: Step, state: State, seq: Ints, aside: Bools) -> Rows:
    """Positions of rows of the run that are older than what the state knows of it, each seq once."""
    at = np.flatnonzero(aside)
    of = step.slot[at]
    behind = state.seq[of] - seq[at]
    at = at[(behind >= WINDOW_POINTS) & (behind < state.seq_span[of])]
    if len(at) > 1:
        at = at[np.lexsort((seq[at], step.slot[at]))]
        once = np.ones(len(at), np.bool_)
        once[1:] = (step.slot[at[1:]] != step.slot[at[:-1]]) | (seq[at[1:]] != seq[at[:-1]])
        at = at[once]
    return at


def _fill(state: State, slot: Ints, seq: Ints) -> int:
    """Rows beside the chain at or below the top: each fills the gap that it left. Returns the change."""
    behind = state.seq[slot] - seq
    inside = (behind >= 0) & (behind < WINDOW_POINTS)
    at, bit = slot[inside], _bits(behind[inside], np.ones(int(inside.sum()), np.bool_))
    new = (state.seq_seen[at] & bit) == 0
    np.bitwise_or.at(state.seq_seen, at[new], bit[new])
    return -int(np.count_nonzero(new))


def _fill_between(state: State, run: _Run, slot: Ints, seq: Ints) -> int:
    """Rows beside the chain that its steps left out in this very batch, however far the top is by now."""
    if not len(slot) or not len(run.of):
        return 0
    at = np.minimum(np.searchsorted(run.of, slot), len(run.of) - 1)
    inside = (run.of[at] == slot) & (seq > run.base[at]) & (seq < state.seq[slot])
    slot, seq = slot[inside], seq[inside]
    # Those that are in the chain too were not left out: in order, such a row follows its twin.
    rows = np.flatnonzero(np.isin(run.slot, slot))
    of, value = np.concatenate((run.slot[rows], slot)), np.concatenate((run.seq[rows], seq))
    mine = np.concatenate((np.zeros(len(rows), np.bool_), np.ones(len(slot), np.bool_)))
    by = np.lexsort((mine, value, of))
    twin = np.zeros(len(by), np.bool_)
    twin[1:] = (of[by[1:]] == of[by[:-1]]) & (value[by[1:]] == value[by[:-1]])
    new = by[mine[by] & ~twin] - len(rows)
    np.bitwise_or.at(state.seq_seen, slot[new], _bits(state.seq[slot[new]] - seq[new], np.ones(len(new), np.bool_)))
    return -len(new)


def _pass(state: State, slot: Ints, seq: Ints) -> int:
    """Rows beside the chain and beyond the top move it, when they are near: a quarantined row may carry any seq."""
    behind = state.seq[slot] - seq
    near = (behind < 0) & (behind > -WINDOW_POINTS) & (state.seq[slot] >= 0)
    slot, seq = slot[near], seq[near]
    if not len(slot):
        return 0
    starts = group_starts(slot)
    lasts = group_lasts(starts, len(slot))
    of, top = slot[starts], seq[lasts]
    change = int((top - state.seq[of]).sum()) - len(slot)
    window = _shifted(state.seq_seen[of], top - state.seq[of])
    behind = np.repeat(top, lasts - starts + 1) - seq
    state.seq_seen[of] = window | np.bitwise_or.reduceat(_bits(behind, np.ones(len(seq), np.bool_)), starts)
    state.seq_span[of] = _span(state.seq_span[of] + top - state.seq[of])
    state.seq[of] = top
    return change
