"""`rise`: alarm bits that rise, per device and bit, lifted out of every row, also of quarantined ones.

Purpose: one entry per rising edge. Invariants: a certain duplicate raises nothing; a row that the
store must answer raises only if it is new, yet moves the state either way; a bit that stays on raises
once. A bit in a row that is older than what is known of the device's bits is raised once, flagged
late, unless it belongs to an episode (rise to fall, padded) of the same bit that is remembered.
When episodes are forgotten (`max_episodes`), a late bit may be raised again: twice rather than never.
Of the late rows of one episode the one that came first is raised. Nothing of it depends on how the stream is cut into batches,
as long as no episode is forgotten.

When a row's time cannot order it (future, stale, out of range, clock ahead), its receive time does.
It does not make signals: that needs the log position and the device's name.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.limits import CleanLimits
from analytics.state import NEVER_MS, OPEN_MS, State
from analytics.step import Bools, Fallen, Risen, Rows, Step, group_lasts, group_starts
from model.codes import Mark, Reason

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
_BITS = 64
_RISE, _FALL, _LATE = range(3)
_WRONG_TIME = (Reason.FUTURE, Reason.STALE_CLOCK)


def rise(step: Step, state: State, limits: CleanLimits) -> None:
    """Fill `step.risen` and `step.fallen`; move `bits`, `bits_ms` and the episodes."""
    bits = step.batch.alarm_bits
    lit = bits != 0
    if not state.any_bits and not lit.any():
        return
    touched = _touched(step, state, lit, limits)
    if not len(touched):
        return
    state.any_bits = True
    state.grow(int(step.batch.slot[touched].max()) + 1)
    when, late = _when(step, limits, touched)
    slot = step.batch.slot[touched].astype(np.int64)
    late |= when < state.bits_ms[slot]
    by = np.lexsort((touched, when, slot))
    row, slot, when, late, word = touched[by], slot[by], when[by], late[by], bits[touched][by]
    now = ~late
    edges = _edges(state, row[now], slot[now], when[now], word[now])
    told = _Told.concat([edges, _late(row[late], slot[late], when[late], word[late])])
    raised = _remember(state, limits, told)
    _forget(state, limits)
    down = edges.how == _FALL
    if down.any():
        down_row, down_bit = edges.row[down], edges.bit[down]
        by = np.lexsort((down_bit, down_row))
        step.fallen = Fallen(down_row[by], down_bit[by], step.batch.time_ms[down_row[by]])
    if not len(raised):
        return
    rows, bit, belated = told.row[raised], told.bit[raised], told.how[raised] == _LATE
    order = np.lexsort((bit, rows))
    step.risen = _described(step, state, limits, rows[order], bit[order], belated[order])


def _touched(step: Step, state: State, lit: Bools, limits: CleanLimits) -> Rows:
    """Rows of devices that have or had a bit on: of these all rows but certain duplicates."""
    slot = step.batch.slot
    use = (slot >= 0) & (slot < limits.max_slots)
    mine = lit & use
    if state.any_bits:
        use &= mine | (state.bits.take(np.clip(slot, 0, state.capacity - 1)) != 0) | np.isin(slot, slot[mine])
    else:
        use &= np.isin(slot, slot[mine])
    if len(step.duplicate_rows):
        use[step.duplicate_rows] = False
    return np.flatnonzero(use)


def _timeless(step: Step, limits: CleanLimits, row: Rows) -> Bools:
    """Whether a row's time cannot order it."""
    time_ms = step.batch.time_ms[row]
    timeless = (time_ms < limits.min_time_ms) | (time_ms >= limits.max_time_ms)
    if step.reason is not None:
        timeless |= np.isin(step.reason[row], _WRONG_TIME)
    if step.marks is not None:
        timeless |= (step.marks[row] & np.uint16(Mark.CLOCK_AHEAD)) != 0
    return timeless


def _when(step: Step, limits: CleanLimits, touched: Rows) -> tuple[Ints, Bools]:
    """The time that orders each touched row, and whether `order` found it late."""
    late = np.zeros(len(step.batch), np.bool_)
    late[step.row[(step.mark & np.uint16(Mark.LATE)) != 0]] = True
    received = np.clip(step.batch.received_ms[touched], 0, limits.max_time_ms)
    return np.where(_timeless(step, limits, touched), received, step.batch.time_ms[touched]), late[touched]


def _split(word: Words) -> tuple[Rows, npt.NDArray[np.uint8]]:
    """Positions and bits: one entry per bit that is set in `word`."""
    where, bits = [np.zeros(0, np.intp)], [np.zeros(0, np.uint8)]
    some = np.flatnonzero(word)
    left = int(np.bitwise_or.reduce(word[some])) if len(some) else 0
    for bit in range(_BITS):
        if left >> bit & 1:
            mine = some[(word[some] >> np.uint64(bit) & np.uint64(1)) != 0]
            where.append(mine)
            bits.append(np.full(len(mine), bit, np.uint8))
    return np.concatenate(where), np.concatenate(bits)


def _edges(state: State, row: Rows, slot: Ints, when: Ints, word: Words) -> _Told:
    """Edges of rows that follow in time, up and down; moves `bits` and `bits_ms`."""
    if not len(row):
        return _Told.concat([])
    starts = group_starts(slot)
    lasts = group_lasts(starts, len(slot))
    of = slot[starts]
    before = np.empty_like(word)
    before[1:] = word[:-1]
    before[starts] = state.bits[of]
    up, up_bit = _split(word & ~before)
    down, down_bit = _split(before & ~word)
    state.bits[of] = word[lasts]
    # Only rows with a bit on, or that end one, tell of bits: alone in a batch the others would not be looked at either.
    told_ms = np.where((word | before) != 0, when, NEVER_MS)
    state.bits_ms[of] = np.maximum(state.bits_ms[of], np.maximum.reduceat(told_ms, starts))
    at, bit = np.concatenate((up, down)), np.concatenate((up_bit, down_bit))
    how = np.repeat(np.array([_RISE, _FALL], np.int8), (len(up), len(down)))
    # Rows of one device are in the order of their times; each has come when all before it have.
    group = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(slot)))
    came = np.maximum.accumulate(group * (int(row.max()) + 1) + row) - group * (int(row.max()) + 1)
    return _Told(row[at], slot[at] << 6 | bit, bit, when[at], came[at], how)


def _late(row: Rows, slot: Ints, when: Ints, word: Words) -> _Told:
    """Bits of rows older than what is known."""
    at, bit = _split(word)
    return _Told(row[at], slot[at] << 6 | bit, bit, when[at], row[at], np.full(len(at), _LATE, np.int8))


@dataclass(slots=True)
class _Told:
    """What rows tell of single bits, columns of shape (n,).

    Attributes:
        row: row of the batch; key: `slot << 6 | bit`; bit.
        when: the time that orders it, ms.
        came: orders the arrival of what is told of one key.
        how: `_RISE`, `_FALL` or `_LATE`.
    """

    row: Rows
    key: Ints
    bit: npt.NDArray[np.uint8]
    when: Ints
    came: Ints
    how: npt.NDArray[np.int8]

    @classmethod
    def concat(cls, parts: Sequence[_Told]) -> _Told:
        empty = np.zeros(0, np.int64)
        made = [cls(empty.astype(np.intp), empty, empty.astype(np.uint8), empty, empty, empty.astype(np.int8)), *parts]
        return cls(*(np.concatenate([getattr(one, name) for one in made]) for name in cls.__slots__))


def _remember(state: State, limits: CleanLimits, told: _Told) -> Rows:
    """Put what was told among the episodes, each key's in the order of arrival; which of it is raised.

    The loop runs over edges, each a signal or a clear in any case, and over runs of late rows near to each other.
    """
    order = np.lexsort((told.when, told.came, told.key))
    key, when, how = told.key[order], told.when[order], told.how[order]
    if not len(order):
        return order
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (key[1:] != key[:-1]) | (how[1:] != _LATE) | (how[:-1] != _LATE)
    begins[1:] |= np.abs(when[1:] - when[:-1]) > limits.episode_pad_ms
    starts = np.flatnonzero(begins)
    lows, highs = np.minimum.reduceat(when, starts), np.maximum.reduceat(when, starts)
    runs = zip(*(column.tolist() for column in (key[starts], how[starts], when[starts], lows, highs)), strict=True)
    raised = [_told_once(state, limits, *run) for run in runs]
    return order[starts[np.array(raised, np.bool_)]]


def _told_once(state: State, limits: CleanLimits, key: int, how: int, first: int, low: int, high: int) -> bool:
    """An edge at `first`, or a run of late rows from `low` to `high` whose first is at `first`; whether it is raised."""
    known, pad_ms = state.episodes.setdefault(key, []), limits.episode_pad_ms
    if how == _RISE:
        known.append([first, OPEN_MS])
        _trim(state, limits, known)
        return True
    if how == _FALL:
        for episode in reversed(known):
            if episode[1] == OPEN_MS:
                episode[1] = first
                break
        return False
    is_new = not any(start - pad_ms <= first <= end + pad_ms for start, end in known)
    near = [episode for episode in known if episode[0] - pad_ms <= high and low <= episode[1] + pad_ms]
    if near:
        # What touches becomes one, so that it does not matter in how many pieces it came.
        joined = [min(low, *(start for start, _ in near)), max(high, *(end for _, end in near))]
        known[:] = [episode for episode in known if episode not in near]
        state.episode_count -= len(near)
        insort(known, joined)
    else:
        insort(known, [low, high])
    _trim(state, limits, known)
    return is_new


def _trim(state: State, limits: CleanLimits, known: list[list[int]]) -> None:
    """Count an episode that was added; the oldest of its bit goes when there are too many."""
    state.episode_count += 1
    if len(known) > limits.max_episodes_per_bit:
        known.pop(0)
        state.episode_count -= 1


def _forget(state: State, limits: CleanLimits) -> None:
    """Drop the oldest episodes when there are too many; an eighth at once, so that it is seldom."""
    if state.episode_count <= limits.max_episodes:
        return
    flat = [(end, key, start) for key, known in state.episodes.items() for start, end in known]
    flat.sort(reverse=True)
    kept = flat[: limits.max_episodes - limits.max_episodes // 8]
    state.episodes = {}
    for end, key, start in kept:
        state.episodes.setdefault(key, []).append([start, end])
    for known in state.episodes.values():
        known.sort()
    state.episode_count = len(kept)


def _described(
    step: Step, state: State, limits: CleanLimits, row: Rows, bit: npt.NDArray[np.uint8], belated: Bools
) -> Risen:
    batch = step.batch
    placed = np.ones(len(row), np.bool_)
    if step.reason is not None:
        placed = (step.reason[row] == 0) | np.isin(step.reason[row], _WRONG_TIME)
    # A clock that is known to be behind makes no alarm old.
    behind = np.minimum(state.offset[batch.slot[row]].astype(np.int64), 0) * -limits.offset_step_ms
    old = batch.received_ms[row] - batch.time_ms[row] - behind > limits.late_alarm_ms
    return Risen(row, bit, belated | (old & ~_timeless(step, limits, row)), placed, batch.time_ms[row])
