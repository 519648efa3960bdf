"""`rise`: alarm bits that rise, per device and bit, lifted out of every row, also of quarantined ones.

Purpose: one entry per rising edge. Invariants: a certain duplicate raises nothing; a row that the
store must answer raises only if it is new, yet moves the state either way; a bit that stays on raises
once. A bit in a row that is older than what is known of the device's bits is raised once, flagged
late, unless it belongs to an episode (rise to fall, padded) of the same bit that is remembered.
When episodes are forgotten (`max_episodes`), a late bit may be raised again: twice rather than never.
How late bits are joined into episodes may depend on how the stream is cut into batches; a rise in time does not.

When a row's time cannot order it (future, stale, out of range, clock ahead), its receive time does.
It does not make signals: that needs the log position and the device's name.
"""

from __future__ import annotations

from bisect import insort

import numpy as np
import numpy.typing as npt

from analytics.limits import CleanLimits
from analytics.state import NEVER_MS, OPEN_MS, State
from analytics.step import Bools, Fallen, Risen, Rows, Step, group_lasts, group_starts
from model.codes import Mark, Reason

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
_BITS = 64
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
    up, up_bit, down, down_bit = _edges(state, limits, row[now], slot[now], when[now], word[now])
    found = [(up, up_bit), _belated(state, limits, row[late], slot[late], when[late], word[late])]
    _forget(state, limits)
    if len(down):
        by = np.lexsort((down_bit, down))
        step.fallen = Fallen(down[by], down_bit[by], step.batch.time_ms[down[by]])
    rows = np.concatenate([one[0] for one in found])
    if not len(rows):
        return
    bit = np.concatenate([one[1] for one in found])
    belated = np.concatenate([np.zeros(len(found[0][0]), np.bool_), np.ones(len(found[1][0]), np.bool_)])
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


def _edges(
    state: State, limits: CleanLimits, row: Rows, slot: Ints, when: Ints, word: Words
) -> tuple[Rows, npt.NDArray[np.uint8], Rows, npt.NDArray[np.uint8]]:
    """Edges of rows that follow in time, up and down; opens and closes episodes."""
    if not len(row):
        return row, np.zeros(0, np.uint8), row, np.zeros(0, np.uint8)
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
    # A loop over edges, not over points: each rise becomes a signal in any case.
    at = np.concatenate((up, down))
    rises = np.repeat((True, False), (len(up), len(down)))
    keys = slot[at] << 6 | np.concatenate((up_bit, down_bit))
    order = np.argsort(at, kind="stable")
    for key, time, is_rise in zip(keys[order].tolist(), when[at][order].tolist(), rises[order].tolist(), strict=True):
        known = state.episodes.setdefault(key, [])
        if is_rise:
            known.append([time, OPEN_MS])
            _trim(state, limits, known)
        elif known and known[-1][1] == OPEN_MS:
            known[-1][1] = time
    return row[up], up_bit, row[down], down_bit


def _belated(
    state: State, limits: CleanLimits, row: Rows, slot: Ints, when: Ints, word: Words
) -> tuple[Rows, npt.NDArray[np.uint8]]:
    """Bits of rows older than what is known: those that belong to no remembered episode; remembers them."""
    at, bit = _split(word)
    keys, times = slot[at] << 6 | bit, when[at]
    order = np.lexsort((times, keys))
    at, bit, keys, times = at[order], bit[order], keys[order], times[order]
    if not len(at):
        return row[at], bit
    # Rows near to each other are one episode: the loop runs over these.
    begins = np.ones(len(at), np.bool_)
    begins[1:] = (keys[1:] != keys[:-1]) | (times[1:] - times[:-1] > limits.episode_pad_ms)
    starts = np.flatnonzero(begins)
    ends = times[np.append(starts[1:], len(at)) - 1]
    raised = [
        _remember(state, limits, key, start, end)
        for key, start, end in zip(keys[starts].tolist(), times[starts].tolist(), ends.tolist(), strict=True)
    ]
    new = starts[np.array(raised, np.bool_)]
    return row[at[new]], bit[new]


def _remember(state: State, limits: CleanLimits, key: int, start: int, end: int) -> bool:
    """Put a late episode among the known ones of its bit; False when it belongs to one of them."""
    known, pad_ms = state.episodes.setdefault(key, []), limits.episode_pad_ms
    for episode in known:
        if start <= episode[1] + pad_ms and end >= episode[0] - pad_ms:
            episode[0] = min(episode[0], start)
            episode[1] = max(episode[1], end)
            return False
    insort(known, [start, end])
    _trim(state, limits, known)
    return True


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
