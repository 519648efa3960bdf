"""From hits to crossings: runs of fixes on one side of a fence, and the run that is long enough to be believed.

Purpose: the hysteresis of fences, for all pairs (device, fence) of a frame at once. Invariants: a run counts after
`points` fixes in a row spanning at least `span_ms`, so one outlier is never a crossing; what a run needs is reckoned
from its ends, so the cost goes with the number of crossings, not with rows times fences; a run goes on from batch to
batch. A fix in the margin of a fence, outside but near, is no part of a run in or out: it ends both. It does not know what a crossing means: `analytics.rules.fences` does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.rules.fence_memory import MAX_COUNT
from analytics.rules.within import RULE_CODE, FenceTable
from analytics.step import Bools, Rows, group_lasts, group_starts
from model.fence import FenceRule

Ints = npt.NDArray[np.int64]


@dataclass(slots=True)
class Fixes:
    """The rows of a frame that have a place, by their ordinal: columns of shape (n,) in the order (device, time).

    Attributes:
        slot, time_ms: int64. kind: int8. lat, lon: float64.
        starts, lasts: first and last row of each device; of: its slot; device: which device each row is of.
        low_ms, span: earliest time, and a length of time longer than all times differ.
        lifted: int64, ascending: the time, each device's above those of the device before.
    """

    slot: Ints
    time_ms: Ints
    kind: npt.NDArray[np.int8]
    lat: npt.NDArray[np.float64]
    lon: npt.NDArray[np.float64]
    starts: Rows
    lasts: Rows
    of: Ints
    device: Ints
    low_ms: int
    span: int
    lifted: Ints

    @classmethod
    def of_rows(
        cls,
        slot: Ints,
        time_ms: Ints,
        kind: npt.NDArray[np.int8],
        lat: npt.NDArray[np.float64],
        lon: npt.NDArray[np.float64],
    ) -> Fixes:
        """From the columns of at least one row."""
        starts = group_starts(slot)
        lasts = group_lasts(starts, len(slot))
        device = np.repeat(np.arange(len(starts)), lasts - starts + 1)
        low = int(time_ms.min())
        span = int(time_ms.max()) - low + 2
        lifted = time_ms - low
        lifted += device * span
        return cls(slot, time_ms, kind, lat, lon, starts, lasts, slot[starts], device, low, span, lifted)

    def __len__(self) -> int:
        return len(self.slot)

    def reached(self, device: Ints, time_ms: Ints) -> Ints:
        """The first row of each device at or after a time; one past its last where there is none."""
        since = np.clip(time_ms - self.low_ms, 0, self.span - 1)
        return np.searchsorted(self.lifted, device * self.span + since).astype(np.int64)


@dataclass(slots=True)
class Pairs:
    """Pairs (device, fence) with something to tell, in the order (device, place of the fence): columns of shape (p,).

    Attributes:
        key: int64: device ordinal times the number of fences, and the place of the fence.
        device: ordinal in `Fixes`; fence: place in the index.
        at: which of the entries found is its own, -1 for none.
        inside, raised, silent, count, turn_ms, since_ms: as remembered, see `fence_memory.ENTRY`.
        fresh: the fence is new to the device: its first state is taken in silence.
    """

    key: Ints
    device: Ints
    fence: Ints
    at: Ints
    inside: Bools
    raised: Bools
    silent: Bools
    count: Ints
    turn_ms: Ints
    since_ms: Ints
    fresh: Bools

    def __len__(self) -> int:
        return len(self.key)


@dataclass(slots=True)
class Runs:
    """Fixes in a row on one side, pair by pair in the order of time: columns of shape (r,).

    Attributes:
        pair: ordinal in `Pairs`. inside: the side. margin: it lies in the margin and tells no side.
        first, last: ordinals in `Fixes`.
        counted: from which of its rows on it counts; one past `last` for none.
    """

    pair: Ints
    inside: Bools
    margin: Bools
    first: Ints
    last: Ints
    counted: Ints


@dataclass(slots=True)
class Flips:
    """Confirmed crossings in the order (pair, time), columns of shape (f,), and how it stands with each pair afterwards.

    Attributes:
        pair: ordinal in `Pairs`; at: ordinal in `Fixes` of the row that made it certain; inside: to which side.
        turn_ms: when the run began. silent: it is the device's first state in a fence that is new to it.
        inside_after, silent_after, count_after, turn_after_ms: by pair, as to be remembered.
    """

    pair: Ints
    at: Ints
    inside: Bools
    turn_ms: Ints
    silent: Bools
    inside_after: Bools
    silent_after: Bools
    count_after: Ints
    turn_after_ms: Ints


@dataclass(slots=True)
class Hits:
    """Fixes in a fence or its margin, in the order (key, row), each once: columns of shape (h,).

    Attributes:
        key: of the pair, as in `Pairs`. row: ordinal in `Fixes`.
        inside: in the fence itself.
        admitted: it may begin a run that counts.
    """

    key: Ints
    row: Ints
    inside: Bools
    admitted: Bools

    def __len__(self) -> int:
        return len(self.key)

    def take(self, which: Bools | Rows | slice) -> Hits:
        """Some of them."""
        return Hits(self.key[which], self.row[which], self.inside[which], self.admitted[which])

    def with_margin(self, key: Ints, row: Ints) -> Hits:
        """With fixes of the margin; those that are in the fence itself stay what they are."""
        none = np.zeros(len(key), np.bool_)
        columns = zip((self.key, self.row, self.inside, self.admitted), (key, row, none, none), strict=True)
        both = Hits(*(np.concatenate(pair) for pair in columns))
        both = both.take(np.lexsort((~both.inside, both.row, both.key)))
        once = np.ones(len(both), np.bool_)
        once[1:] = (both.key[1:] != both.key[:-1]) | (both.row[1:] != both.row[:-1])
        return both.take(once)


def first_admitted(row: Ints, fence: Ints, table: FenceTable, most: int) -> Bools:
    """Which hits may begin something: at each row the first `most`, those of forbidden areas before others."""
    hits = len(row)
    if hits <= most or not (row[most:] == row[:-most]).any():
        return np.ones(hits, np.bool_)
    by = np.lexsort((table.number[fence], table.rule[fence] != RULE_CODE[FenceRule.FORBIDDEN], row))
    ordered = row[by]
    first = np.searchsorted(ordered, ordered)
    admitted = np.zeros(hits, np.bool_)
    admitted[by] = np.arange(hits) - first < most
    return admitted


def runs_of(fixes: Fixes, pairs: Pairs, hits: Hits) -> Runs:
    """Runs of all pairs; the keys of the hits are among theirs."""
    begins = np.ones(len(hits), np.bool_)
    begins[1:] = (hits.key[1:] != hits.key[:-1]) | (hits.row[1:] != hits.row[:-1] + 1)
    begins[1:] |= hits.inside[1:] != hits.inside[:-1]
    starts = np.flatnonzero(begins)
    ends = group_lasts(starts, len(hits))
    pair = np.searchsorted(pairs.key, hits.key[starts])
    first, last = hits.row[starts], hits.row[ends]
    counted = first if hits.admitted.all() else _counted_from(hits.admitted, hits.row, starts, ends)
    first_row, last_row = fixes.starts[pairs.device], fixes.lasts[pairs.device]

    # Each run of hits follows one outside, and each pair ends with one outside; those without rows are taken out.
    hit_at = 2 * np.arange(len(pair)) + pair + 1
    of_pair = np.bincount(pair, minlength=len(pairs))
    end_at = 2 * np.cumsum(of_pair) + np.arange(len(pairs))
    total = 2 * len(pair) + len(pairs)
    run_pair, run_first, run_last, run_counted = (np.zeros(total, np.int64) for _ in range(4))
    inside, margin = np.zeros(total, np.bool_), np.zeros(total, np.bool_)
    inside[hit_at] = hits.inside[starts]
    margin[hit_at] = ~hits.inside[starts]
    run_pair[hit_at] = run_pair[hit_at - 1] = pair
    run_pair[end_at] = np.arange(len(pairs))
    run_first[hit_at], run_last[hit_at], run_counted[hit_at] = first, last, counted
    run_last[hit_at - 1], run_first[hit_at + 1] = first - 1, last + 1
    begin_at = end_at - 2 * of_pair
    run_first[begin_at], run_last[end_at] = first_row, last_row
    run_counted[~inside] = run_first[~inside]
    real = run_first <= run_last
    return Runs(run_pair[real], inside[real], margin[real], run_first[real], run_last[real], run_counted[real])


def flips_of(fixes: Fixes, pairs: Pairs, runs: Runs, *, points: int, span_ms: int) -> Flips:
    """Which runs are crossings: those of at least `points` fixes that span at least `span_ms`."""
    pair, inside = runs.pair, runs.inside
    starts = group_starts(pair)
    lasts = group_lasts(starts, len(pair))
    opens = np.zeros(len(pair), np.bool_)
    opens[starts] = True
    carried = opens & (inside != pairs.inside[pair]) & (pairs.count[pair] > 0)
    before = np.where(carried, pairs.count[pair], 0)
    counted = np.where(carried, runs.first, runs.counted)
    turn = np.where(carried, pairs.turn_ms[pair], fixes.time_ms[np.minimum(counted, len(fixes) - 1)])
    at = np.maximum(
        counted + np.maximum(points - 1 - before, 0), fixes.reached(pairs.device[pair], turn + max(span_ms, 0))
    )
    sure = (at <= runs.last) & ~runs.margin
    anew = (counted == fixes.starts[pairs.device[pair]]) & pairs.fresh[pair]
    silent = opens & inside & np.where(carried, pairs.silent[pair], anew)

    was = _side_before(pairs, pair, inside, sure, starts)
    flip = np.flatnonzero(sure & (inside != was))
    side = np.where(sure, inside, was)[lasts]
    pends = (inside[lasts] != side) & ~runs.margin[lasts]
    count = np.where(pends, np.minimum(before + runs.last - counted + 1, MAX_COUNT)[lasts], 0)
    pends &= count > 0
    return Flips(
        pair=pair[flip],
        at=at[flip],
        inside=inside[flip],
        turn_ms=turn[flip],
        silent=silent[flip],
        inside_after=side,
        silent_after=silent[lasts] & pends,
        count_after=count,
        turn_after_ms=np.where(pends, turn[lasts], 0),
    )


def _counted_from(admitted: Bools, hit_row: Ints, starts: Rows, ends: Rows) -> Ints:
    """Row of the first admitted hit of each run, one past its last where there is none."""
    hits = len(admitted)
    at = np.where(admitted, np.arange(hits), hits)
    next_at = np.minimum.accumulate(at[::-1])[::-1][starts]
    return np.where(next_at <= ends, hit_row[np.minimum(next_at, hits - 1)], hit_row[ends] + 1)


def _side_before(pairs: Pairs, pair: Ints, inside: Bools, sure: Bools, starts: Rows) -> Bools:
    """The confirmed side before each run: that of the last sure run before it, else the remembered one."""
    last_sure = np.empty(len(pair), np.int64)
    last_sure[0] = -1
    np.maximum.accumulate(np.where(sure, np.arange(len(pair)), -1)[:-1], out=last_sure[1:])
    here = last_sure >= np.repeat(starts, np.diff(np.append(starts, len(pair))))
    side: Bools = np.where(here, inside[last_sure], pairs.inside[pair])
    return side
