"""From confirmed crossings to what is told: the four rules that a fence may have, each on columns.

Purpose: rises and falls of `enter` and `exit` at crossings, of `forbidden` and `stay` along stretches inside. Invariants:
it falls only what was raised; of one pair (device, fence) each row tells at most one thing. What each rule means stands
in `analytics.rules.fences`, which remembers; this module does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.rules.fence_runs import Fixes, Flips, Pairs
from analytics.rules.within import RULE_CODE, FenceTable
from analytics.step import Bools
from model.fence import FenceRule

Ints = npt.NDArray[np.int64]

_ENTER, _EXIT = RULE_CODE[FenceRule.ENTER], RULE_CODE[FenceRule.EXIT]
_FORBIDDEN, _STAY = RULE_CODE[FenceRule.FORBIDDEN], RULE_CODE[FenceRule.STAY]


@dataclass(slots=True)
class Told:
    """Rises and falls, columns of shape (k,): row (ordinal in `Fixes`), fence (place in the index), which, value."""

    at: Ints
    fence: Ints
    rises: Bools
    value: npt.NDArray[np.float64]


def ended(fixes: Fixes, device: npt.NDArray[np.intp], fence: Ints, which: Bools) -> Told:
    """What falls because its fence does not hold for the device any more."""
    at = fixes.starts[device[which]].astype(np.int64)
    return Told(at, fence[which], np.zeros(len(at), np.bool_), np.full(len(at), np.nan))


def crossings(fixes: Fixes, table: FenceTable, pairs: Pairs, flips: Flips, raised: Bools) -> list[Told]:
    """`enter` and `exit`; moves `raised` (by pair)."""
    rule = table.rule[pairs.fence[flips.pair]]
    which = np.flatnonzero((rule == _ENTER) | (rule == _EXIT))
    if not len(which):
        return []
    pair, at, rule = flips.pair[which], flips.at[which], rule[which]
    fence = pairs.fence[pair]
    on = flips.inside[which] == (rule == _ENTER)
    rises = on & table.in_force(fence, fixes.time_ms[at]) & ~(flips.silent[which] & (rule == _ENTER))
    before = raised[pair]
    again = pair[1:] == pair[:-1]
    before[1:] = np.where(again, rises[:-1], before[1:])
    falls = ~on & before
    # Of more crossings of one pair the last stays.
    raised[pair] = rises
    told = rises | falls
    return [Told(at[told], fence[told], rises[told], np.full(int(np.count_nonzero(told)), np.nan))]


def stretches(fixes: Fixes, table: FenceTable, pairs: Pairs, flips: Flips, raised: Bools) -> list[Told]:
    """`forbidden` and `stay`: what holds at each row of a stretch inside; moves `raised` (by pair)."""
    timed = np.isin(table.rule[pairs.fence], (_FORBIDDEN, _STAY))
    was = np.flatnonzero(timed & pairs.inside)
    came = np.flatnonzero(timed[flips.pair] & flips.inside)
    if not len(was) and not len(came):
        return []
    # Stretches: of a pair that was inside from its first row on, of one that came in from there on.
    pair = np.concatenate((was, flips.pair[came]))
    begins = np.concatenate((fixes.starts[pairs.device[was]], flips.at[came]))
    since = np.concatenate((pairs.since_ms[was], flips.turn_ms[came]))
    carried = np.concatenate((pairs.raised[was], np.zeros(len(came), np.bool_)))
    next_flip = np.concatenate((np.searchsorted(flips.pair, was), came + 1))
    left = next_flip < len(flips.pair)
    left[left] = flips.pair[next_flip[left]] == pair[left]
    ends = fixes.lasts[pairs.device[pair]] + 1
    ends[left] = flips.at[next_flip[left]]
    fence = pairs.fence[pair]
    latches = table.rule[fence] == _STAY

    rows = ends - begins
    stretch = np.repeat(np.arange(len(pair)), rows)
    first = np.cumsum(rows) - rows
    at = np.arange(len(stretch)) - first[stretch] + begins[stretch]
    time, of = fixes.time_ms[at], fence[stretch]
    lasting = time - since[stretch]
    on = table.in_force(of, time) & (~latches[stretch] | (lasting >= table.stay_ms[of]))
    on = _latched(on, stretch, first, latches, carried)
    before = np.empty_like(on)
    before[1:] = on[:-1]
    some = rows > 0
    before[first[some]] = carried[some]
    turns = np.flatnonzero(on != before)
    ends_on = carried.copy()
    ends_on[some] = on[(first + rows - 1)[some]]
    raised[pair[left]] = False
    raised[pair[~left]] = ends_on[~left]
    fell = left & ends_on
    value = np.where(on[turns] & latches[stretch[turns]], lasting[turns] / 1_000, np.nan)
    none = np.zeros(int(np.count_nonzero(fell)))
    return [
        Told(at[turns], of[turns], on[turns], value),
        Told(ends[fell], fence[fell], none.astype(np.bool_), none * np.nan),
    ]


def _latched(on: Bools, stretch: Ints, first: Ints, latches: Bools, carried: Bools) -> Bools:
    """A stay that is raised stays so until the stretch ends."""
    if not latches.any() or not len(on):
        return on
    seen = np.maximum.accumulate(np.where(on, np.arange(len(on)), -1)) >= first[stretch]
    latched: Bools = np.where(latches[stretch], seen | carried[stretch], on)
    return latched
