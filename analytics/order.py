"""`order`: rows in the order (slot, time, arrival), duplicates out, late and same-second rows marked.

Purpose: decide for each trusted row whether it is new, known, or for the store to say (`unsure`).
Invariants:
- The state depends only on the rows, never on the store's answers, so that a replay of the log
  leaves the same state whatever the store holds by then.
- Every key (time, identity) of a device newer than its `floor_ms` is among its `recent` newest
  keys. So a row above the floor is decided here; the floor is the newest key that fell out.
- Among keys of one time the earlier arrival stays. With that, kept rows, marks and state do not
  depend on how the stream is cut into batches, as long as no device sends more than `recent`
  different points with one and the same time. One exception: SAME_TIME of a late row is said only
  when the other row is in the batch or among the recent keys.
- A row whose clock is ahead neither moves the newest time nor enters the recent keys: right
  points after it would be late for a day. It is `unsure`, and so is what comes up to its time.

It does not move `newest_ms`: that moves with the place that belongs to it, in `clean`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.state import NEVER_MS, State
from analytics.step import Bools, Rows, Step, group_lasts, group_starts
from model.batch import identity
from model.codes import Mark

Ints = npt.NDArray[np.int64]
_KEY_BITS = 63


@dataclass(slots=True)
class _Sorted:
    """Trusted rows in order: position in the batch, slot, time, and ties with the row before."""

    row: Rows
    slot: Ints
    time_ms: Ints
    tie: Bools


def order(step: Step, state: State) -> None:
    """Fill `row`, `slot`, `time_ms`, `identity`, `mark`, `chain`, `calm`, `unsure` and `duplicate_rows` of the step."""
    batch = step.batch
    trusted = None if step.reason is None else np.flatnonzero(step.reason == 0)
    rows = len(batch) if trusted is None else len(trusted)
    if not rows:
        return
    done = _sorted(batch.slot, batch.time_ms, trusted)
    ids = identity(batch).take(done.row)
    starts = group_starts(done.slot)
    lasts = group_lasts(starts, rows)
    state.grow(int(done.slot[-1]) + 1)
    rough = _rough_devices(step, state, done, starts)
    step.row, step.slot, step.time_ms, step.identity = done.row, done.slot, done.time_ms, ids
    if step.marks is None:
        step.mark = np.zeros(rows, np.uint16)
    else:
        step.mark = step.marks.take(done.row)
    if rough is None:
        _append(state, done.slot, done.time_ms, ids, starts, lasts)
        return
    step.calm = False
    of_rough = np.repeat(rough, lasts - starts + 1)
    calm = np.flatnonzero(~of_rough)
    if len(calm):
        slot = done.slot[calm]
        starts = group_starts(slot)
        _append(state, slot, done.time_ms[calm], ids[calm], starts, group_lasts(starts, len(calm)))
    _settle_rough(step, state, np.flatnonzero(of_rough))


def _sorted(slot: npt.NDArray[np.int32], time_ms: Ints, trusted: Rows | None) -> _Sorted:
    """Order of the trusted rows: one sort of a composite integer where the bits suffice."""
    if trusted is not None:
        slot, time_ms = slot[trusted], time_ms[trusted]
    rows = len(slot)
    low = int(time_ms.min())
    time_bits = (int(time_ms.max()) - low).bit_length()
    row_bits = (rows - 1).bit_length()
    tie = np.zeros(rows, np.bool_)
    if int(slot.max()).bit_length() + time_bits + row_bits <= _KEY_BITS:
        key = slot.astype(np.int64)
        key <<= time_bits
        key |= time_ms - low
        key <<= row_bits
        key |= np.arange(rows)
        key.sort()
        row = key & ((1 << row_bits) - 1)
        key >>= row_bits
        np.equal(key[1:], key[:-1], out=tie[1:])
        ordered = key >> time_bits
        key &= (1 << time_bits) - 1
        key += low
    else:
        row = np.lexsort((time_ms, slot))
        ordered, key = slot[row].astype(np.int64), time_ms[row]
        tie[1:] = (ordered[1:] == ordered[:-1]) & (key[1:] == key[:-1])
    return _Sorted(row if trusted is None else trusted[row], ordered, key, tie)


def _rough_devices(step: Step, state: State, done: _Sorted, starts: Rows) -> Bools | None:
    """By device of the batch: whether any of its rows is not simply newer than all before; None when no device is."""
    slot = done.slot[starts]
    rough = done.time_ms[starts] <= state.newest_ms.take(slot)
    if state.any_ahead:
        rough |= done.time_ms[starts] <= state.ahead_ms.take(slot)
    odd = done.tie
    disorder = done.row[1:] < done.row[:-1]
    if disorder.any():
        odd = odd.copy()
        odd[1:] |= disorder & (done.slot[1:] == done.slot[:-1])
    if step.marks is not None:
        odd = odd | ((step.marks.take(done.row) & np.uint16(Mark.CLOCK_AHEAD)) != 0)
    if odd.any():
        device = np.searchsorted(starts, np.flatnonzero(odd), side="right") - 1
        rough[device] = True
    return rough if rough.any() else None


def _append(state: State, slot: Ints, time_ms: Ints, ids: npt.NDArray[np.uint64], starts: Rows, lasts: Rows) -> None:
    """Put rows that are strictly newer, device by device, into the rings; the oldest keys fall out."""
    recent, turn = state.recent, state.recent - 1
    ring_ms, ring_id = state.recent_ms.reshape(-1), state.recent_id.reshape(-1)
    of = slot.take(starts)
    at = state.at.take(of).astype(np.int64)
    count = lasts - starts
    count += 1
    # What falls out last is the newest of what falls out.
    out = ring_ms.take(of * recent + ((at + count - 1) & turn))
    many = count > recent
    if many.any():
        out[many] = time_ms[lasts[many] - recent]
    state.floor_ms[of] = np.maximum(state.floor_ms.take(of), out)
    state.at[of] = (at + count) & turn
    if len(starts) == len(slot):
        where = of * recent
        where += at
    else:
        # Position of each row in its ring: rows of a device follow each other.
        where = np.arange(len(slot))
        where += np.repeat(at - starts, count)
        where &= turn
        where += slot * recent
        if many.any():
            kept = np.repeat(lasts, count) - np.arange(len(slot)) < recent
            where, time_ms, ids = where[kept], time_ms[kept], ids[kept]
    ring_ms[where] = time_ms
    ring_id[where] = ids


def _settle_rough(step: Step, state: State, rough: Rows) -> None:
    """The same for devices with ties, late rows, clocks ahead or known keys; `rough` are positions in order."""
    slot, time, ids = step.slot[rough], step.time_ms[rough], step.identity[rough]
    row = step.row[rough]
    ahead = (step.mark[rough] & np.uint16(Mark.CLOCK_AHEAD)) != 0
    newest, floor = state.newest_ms[slot], state.floor_ms[slot]

    ring_ms, ring_id = state.recent_ms[slot], state.recent_id[slot]
    same_time = ring_ms == time[:, None]
    duplicate = (same_time & (ring_id == ids[:, None])).any(axis=1)
    repeated, follows = _repeats(slot, time, ids)
    duplicate |= repeated
    late = _late(slot, time, row, np.where(ahead, NEVER_MS, time), newest) & ~duplicate
    same = (same_time.any(axis=1) | follows) & ~duplicate
    unsure = ((time <= floor) | (time <= state.ahead_ms[slot]) | ahead) & ~duplicate

    step.mark[rough[late & ~ahead]] |= np.uint16(Mark.LATE)
    step.mark[rough[same]] |= np.uint16(Mark.SAME_TIME)
    chained = ~(late | duplicate | ahead)
    enters = ~(duplicate | ahead) & ((time > floor) | (time > newest))
    _merge(state, slot[enters], time[enters], ids[enters], row[enters])
    if ahead.any():
        np.maximum.at(state.ahead_ms, slot[ahead], time[ahead])
        state.any_ahead = True

    _drop(step, rough, duplicate, chained, unsure)


def _drop(step: Step, rough: Rows, duplicate: Bools, chained: Bools, unsure: Bools) -> None:
    rows = len(step.row)
    chain, ask = np.ones(rows, np.bool_), np.zeros(rows, np.bool_)
    chain[rough] = chained
    ask[rough] = unsure
    if duplicate.any():
        keep = np.ones(rows, np.bool_)
        keep[rough[duplicate]] = False
        step.duplicate_rows = step.row[~keep]
        step.row, step.slot, step.time_ms = step.row[keep], step.slot[keep], step.time_ms[keep]
        step.identity, step.mark = step.identity[keep], step.mark[keep]
        chain, ask = chain[keep], ask[keep]
    step.chain = None if chain.all() else chain
    step.unsure = np.flatnonzero(ask)


def _repeats(slot: Ints, time: Ints, ids: npt.NDArray[np.uint64]) -> tuple[Bools, Bools]:
    """In-batch: rows whose key came before in the batch, and rows whose time did. Rows are in order."""
    rows = len(slot)
    follows = np.zeros(rows, np.bool_)
    follows[1:] = (slot[1:] == slot[:-1]) & (time[1:] == time[:-1])
    repeated = np.zeros(rows, np.bool_)
    tied = follows.copy()
    tied[:-1] |= follows[1:]
    among = np.flatnonzero(tied)
    if len(among):
        # Stable, so that of equal keys the first to arrive stays.
        by_key = among[np.lexsort((ids[among], time[among], slot[among]))]
        equal = (slot[by_key[1:]] == slot[by_key[:-1]]) & (time[by_key[1:]] == time[by_key[:-1]])
        equal &= ids[by_key[1:]] == ids[by_key[:-1]]
        repeated[by_key[1:][equal]] = True
    return repeated, follows


def _late(slot: Ints, time: Ints, row: Rows, moving: Ints, newest: Ints) -> Bools:
    """Rows older than the newest that came before them, in the state or in the batch.

    `moving` is the time with which a row moves the newest, NEVER_MS for one that does not.
    """
    by_arrival = np.lexsort((row, slot))
    of, moves = slot[by_arrival], moving[by_arrival]
    starts = group_starts(of)
    # One running maximum for all devices: each device's times are lifted above the one before.
    device = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(of))))
    low = int(time.min())
    span = int(time.max()) - low + 2
    lifted = np.maximum(moves - low + 1, 0) + device * span
    before = np.maximum.accumulate(lifted)
    late = np.zeros(len(of), np.bool_)
    late[by_arrival] = (time[by_arrival] - low + 1 + device * span) < before
    return late | (time < newest)


def _merge(state: State, slot: Ints, time: Ints, ids: npt.NDArray[np.uint64], row: Rows) -> None:
    """Bring keys into the rings of their devices in any order: the newest stay, of one time the first."""
    if not len(slot):
        return
    recent = state.recent
    devices = np.unique(slot)
    turn = (state.at[devices][:, None].astype(np.int64) + np.arange(recent)) & (recent - 1)
    old_ms = np.take_along_axis(state.recent_ms[devices], turn, axis=1)
    old_id = np.take_along_axis(state.recent_id[devices], turn, axis=1)
    of = np.concatenate((np.repeat(devices, recent), slot))
    all_ms = np.concatenate((old_ms.reshape(-1), time))
    all_id = np.concatenate((old_id.reshape(-1), ids))
    # Keys of one time stand with the latest arrival first; in a ring they do already, and came before.
    rank = np.concatenate((np.tile(np.arange(1, recent + 1), len(devices)), -row))
    by = np.lexsort((rank, all_ms, of))
    of, all_ms, all_id = of[by], all_ms[by], all_id[by]
    lasts = group_lasts(group_starts(of), len(of))
    stay = lasts[:, None] - np.arange(recent - 1, -1, -1)
    # A full ring and at least one new key: the newest of what falls out stands right before what stays.
    state.floor_ms[devices] = np.maximum(state.floor_ms[devices], all_ms[lasts - recent])
    state.recent_ms[devices] = all_ms[stay]
    state.recent_id[devices] = all_id[stay]
    state.at[devices] = 0
