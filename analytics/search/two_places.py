"""Who was in both of two places, and who was in one and then in the other.

Purpose: join what two searches (`SeriesStore.inside`) told. Invariants: a device is at a place at the times of its points inside,
and from the time in to the time out of each crossing leg; times from legs stay told as interpolated. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.presence import Presence

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Times:
    """When a device was at a place, in order; columns of one length.

    Attributes:
        start, end: UTC ms; equal for a point.
        interpolated: whether a leg told it.
    """

    start: Ints
    end: Ints
    interpolated: Bools

    @classmethod
    def of(cls, presence: Presence) -> Times:
        """Of one device; no two overlap."""
        points = presence.points.time_ms
        start = np.concatenate((points, presence.enter_ms))
        end = np.concatenate((points, presence.leave_ms))
        order = np.lexsort((end, start))
        return cls(start[order], end[order], order >= len(points))


@dataclass(frozen=True, slots=True)
class InBoth:
    """A device that was in both places.

    Attributes:
        slot: the device.
        first, second: what was told of it at each place.
        apart_ms: the least time between being at the one and at the other; 0 when at both at once.
    """

    slot: int
    first: Presence
    second: Presence
    apart_ms: int


@dataclass(frozen=True, slots=True)
class Passage:
    """From one place to the other, without being back at the one or at the other before.

    Attributes:
        slot: the device.
        left_ms: last time at the one.
        reached_ms: first time at the other after it.
        left_interpolated, reached_interpolated: whether a crossing leg told that time.
    """

    slot: int
    left_ms: int
    reached_ms: int
    left_interpolated: bool
    reached_interpolated: bool

    @property
    def took_ms(self) -> int:
        """Time between the two places."""
        return self.reached_ms - self.left_ms


def in_both(first: Sequence[Presence], second: Sequence[Presence], *, within_ms: int | None = None) -> list[InBoth]:
    """Devices told of at both places, by slot; with `within_ms` only those that were so soon at the other, in any order."""
    others = {one.slot: one for one in second}
    found = [
        InBoth(one.slot, one, others[one.slot], _apart_ms(Times.of(one), Times.of(others[one.slot])))
        for one in sorted(first, key=lambda one: one.slot)
        if one.slot in others
    ]
    return [one for one in found if within_ms is None or one.apart_ms <= within_ms]


def one_then_other(first: Sequence[Presence], second: Sequence[Presence], *, within_ms: int) -> list[Passage]:
    """Every passage from the first place to the second that took at most `within_ms`, by time reached, then slot."""
    others = {one.slot: one for one in second}
    found: list[Passage] = []
    for one in first:
        if one.slot not in others:
            continue
        here, there = Times.of(one), Times.of(others[one.slot])
        # Of each time there, the last one here before it; of each time here, the first one there after it.
        left = np.searchsorted(here.end, there.start, side="left") - 1
        reached = np.searchsorted(there.start, here.end, side="right")
        rows = np.flatnonzero(left >= 0)
        rows = rows[reached[left[rows]] == rows]
        rows = rows[there.start[rows] - here.end[left[rows]] <= within_ms]
        found.extend(
            Passage(
                one.slot,
                int(here.end[left[row]]),
                int(there.start[row]),
                bool(here.interpolated[left[row]]),
                bool(there.interpolated[row]),
            )
            for row in rows.tolist()
        )
    return sorted(found, key=lambda passage: (passage.reached_ms, passage.slot))


def _apart_ms(one: Times, other: Times) -> int:
    """The least time between two devices' or places' times; neither is empty."""
    after = np.searchsorted(other.start, one.end, side="right")
    before = np.searchsorted(other.end, one.start, side="left")
    if bool((after > before).any()):
        return 0
    later = np.append(other.start, np.iinfo(np.int64).max)[after]
    earlier = np.concatenate(([np.iinfo(np.int64).min // 2], other.end))[before]
    # `before` counts those that ended earlier, so in the longer column it names the last of them.
    ahead = np.where(
        after < len(other.start), later - np.where(after < len(other.start), one.end, 0), np.iinfo(np.int64).max
    )
    behind = np.where(before > 0, one.start - earlier, np.iinfo(np.int64).max)
    return int(min(ahead.min(), behind.min()))
