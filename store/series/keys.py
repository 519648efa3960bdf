"""Sorted keys of stored points: answers "is this very point known?" for late rows.

A key is (slot, time_ms, identity). Runs are sorted by a 64-bit mix of the three; what the mix
finds is compared in full, so the answer is exact.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.batch import BoolArray, PointBatch, identity

_MIX_TIME, _MIX_SLOT, _MIX_ID = (np.uint64(p) for p in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93))


@dataclass(slots=True)
class Keys:
    """Keys of some rows, one array each, in the same order."""

    mix: npt.NDArray[np.uint64]
    slot: npt.NDArray[np.int32]
    time_ms: npt.NDArray[np.int64]
    identity: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, batch: PointBatch) -> Keys:
        """Keys of a batch in its order."""
        ident = identity(batch)
        mix = (
            batch.time_ms.view(np.uint64) if batch.time_ms.flags.c_contiguous else batch.time_ms.astype(np.uint64)
        ) * _MIX_TIME
        mix ^= mix >> np.uint64(31)
        mix += batch.slot.astype(np.uint64) * _MIX_SLOT
        mix ^= ident * _MIX_ID
        mix *= _MIX_SLOT
        return cls(mix, batch.slot, batch.time_ms, ident)

    def __len__(self) -> int:
        return len(self.mix)

    def take(self, index: npt.NDArray[np.int64]) -> Keys:
        """Keys by row."""
        return Keys(self.mix[index], self.slot[index], self.time_ms[index], self.identity[index])


@dataclass(slots=True)
class KeyRun:
    """Keys sorted by `mix`, with their time range."""

    keys: Keys
    min_ms: int
    max_ms: int

    @classmethod
    def of(cls, *pieces: Keys) -> KeyRun:
        """One sorted run of all `pieces` (at least one key in all)."""
        joined = pieces[0]
        if len(pieces) > 1:
            joined = Keys(
                np.concatenate([piece.mix for piece in pieces]),
                np.concatenate([piece.slot for piece in pieces]),
                np.concatenate([piece.time_ms for piece in pieces]),
                np.concatenate([piece.identity for piece in pieces]),
            )
        keys = joined.take(np.argsort(joined.mix))
        return cls(keys, int(keys.time_ms.min()), int(keys.time_ms.max()))

    def __len__(self) -> int:
        return len(self.keys)

    def mark(self, wanted: Keys, rows: npt.NDArray[np.int64], found: BoolArray) -> None:
        """Set `found[row]` for those `rows` of `wanted` that this run holds."""
        time_ms = wanted.time_ms[rows]
        rows = rows[(time_ms >= self.min_ms) & (time_ms <= self.max_ms)]
        if not len(rows):
            return
        mine = self.keys
        # in ascending order of the mix a search walks forwards through memory
        rows = rows[np.argsort(wanted.mix[rows])]
        mix = wanted.mix[rows]
        at = np.searchsorted(mine.mix, mix)
        while len(rows):
            inside = at < len(mine)
            inside[inside] = mine.mix[at[inside]] == mix[inside]
            rows, mix, at = rows[inside], mix[inside], at[inside]
            same = (
                (mine.slot[at] == wanted.slot[rows])
                & (mine.time_ms[at] == wanted.time_ms[rows])
                & (mine.identity[at] == wanted.identity[rows])
            )
            found[rows[same]] = True
            rows, mix, at = rows[~same], mix[~same], at[~same] + 1


class RunStack:
    """Runs that double in size, so that adding batch after batch costs a logarithm, not a square."""

    def __init__(self) -> None:
        self._runs: list[KeyRun] = []

    def add(self, keys: Keys) -> None:
        if not len(keys):
            return
        run = KeyRun.of(keys)
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            run = KeyRun.of(self._runs.pop().keys, run.keys)
        self._runs.append(run)

    def clear(self) -> None:
        self._runs.clear()

    def mark(self, wanted: Keys, found: BoolArray) -> None:
        """Set `found` for the rows of `wanted` that are not found yet and are held here."""
        for run in self._runs:
            run.mark(wanted, np.flatnonzero(~found), found)

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs)


class GroupKeys:
    """Keys of one (hour, part): all of its segments, and the chunks of the slots asked for so far."""

    def __init__(self) -> None:
        self.stack = RunStack()
        self.loaded_slots: set[int] = set()
        self.segments_loaded = False


class KeyCache:
    """`GroupKeys` by (hour, part), the ones used last, at most `max_rows` keys in all (but always one)."""

    def __init__(self, max_rows: int) -> None:
        self._max_rows = max_rows
        self._groups: OrderedDict[tuple[int, int], GroupKeys] = OrderedDict()

    def use(self, hour: int, part: int, load: Callable[[GroupKeys], None]) -> GroupKeys:
        """The group, brought up to date by `load`; others go when there are too many keys."""
        group = self._groups.pop((hour, part), None) or GroupKeys()
        load(group)
        self._groups[hour, part] = group
        total = sum(len(held.stack) for held in self._groups.values())
        while total > self._max_rows and len(self._groups) > 1:
            total -= len(self._groups.popitem(last=False)[1].stack)
        return group

    def drop(self, hour: int, part: int) -> None:
        """Forget a group whose segments have changed."""
        self._groups.pop((hour, part), None)

    def clear(self) -> None:
        self._groups.clear()
