"""Who was in company: near a device along its way, or at a place at the same time.

Invariants: nearness along the way is looked at every `step_ms`, at places between points as `along` tells them, so a silence of
more than five minutes ends it; what is told was near at every step from its first to its last. Pure; it reads no store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.search.along import along
from analytics.search.two_places import Times
from model.batch import PointBatch
from model.errors import Refused, UsageError
from model.geo import haversine_m
from model.presence import Presence

Ints = npt.NDArray[np.int64]

DEFAULT_STEP_MS = 10_000
DEFAULT_NEAR_M = 100.0
DEFAULT_MIN_TOGETHER_MS = 60_000
#: Steps that one question looks at: a week every ten seconds.
DEFAULT_MAX_STEPS = 60_480
DEFAULT_MAX_MEETINGS = 10_000


@dataclass(frozen=True, slots=True)
class Company:
    """Another device that went along.

    Attributes:
        slot: the other device.
        from_ms, to_ms: first and last step at which it was near.
        nearest_m: the least distance at a step.
        points: its own points in that time; 0: its nearness is interpolated throughout.
    """

    slot: int
    from_ms: int
    to_ms: int
    nearest_m: float
    points: int


@dataclass(frozen=True, slots=True)
class Meeting:
    """Two devices at a place at the same time, or nearly.

    Attributes:
        slot, other: the devices; slot is the lower one.
        at_ms: when the later of the two came, at their nearest in time.
        apart_ms: the least time between them; 0 when both were there at once.
    """

    slot: int
    other: int
    at_ms: int
    apart_ms: int


def in_company(
    track: PointBatch,
    others: PointBatch,
    *,
    near_m: float = DEFAULT_NEAR_M,
    min_together_ms: int = DEFAULT_MIN_TOGETHER_MS,
    step_ms: int = DEFAULT_STEP_MS,
    max_steps: int = DEFAULT_MAX_STEPS,
) -> list[Company]:
    """Which devices of `others` went along with the device of `track`, by (from_ms, slot).

    Args:
        track: points of one device in the order of (time, seq).
        others: points of any devices in the order of (slot, time, seq); the device's own are passed over.
        near_m: at most so far away.
        min_together_ms: at least so long, from first to last step.
        step_ms: how often it is looked at.
        max_steps: at most so often, else UsageError.
    """
    if not len(track) or not len(others):
        return []
    first, last = int(track.time_ms[0]), int(track.time_ms[-1])
    if (last - first) // step_ms + 1 > max_steps:
        raise UsageError(
            f"The track is longer than {max_steps * step_ms // 3_600_000} hours.", mend="Ask for a shorter time."
        )
    times = np.arange(first, last + 1, step_ms, dtype=np.int64)
    mine = along(track, times)
    starts = np.flatnonzero(np.diff(others.slot, prepend=-1))
    found: list[Company] = []
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(others)], strict=True):
        slot = int(others.slot[start])
        if slot == int(track.slot[0]) or others.time_ms[end - 1] < first or others.time_ms[start] > last:
            continue
        other = others.take(np.arange(start, end))
        theirs = along(other, times)
        away_m = haversine_m(mine.lat, mine.lon, theirs.lat, theirs.lon)
        near = np.concatenate(([False], away_m <= near_m, [False]))
        edges = np.flatnonzero(near[1:] != near[:-1])
        for begin, after in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            from_ms, to_ms = int(times[begin]), int(times[after - 1])
            if to_ms - from_ms >= min_together_ms:
                points = int(np.count_nonzero((other.time_ms >= from_ms) & (other.time_ms <= to_ms)))
                found.append(Company(slot, from_ms, to_ms, float(away_m[begin:after].min()), points))
    return sorted(found, key=lambda one: (one.from_ms, one.slot))


def meetings(
    there: Sequence[Presence], *, within_ms: int = 0, max_meetings: int = DEFAULT_MAX_MEETINGS
) -> list[Meeting]:
    """Pairs of devices that were at a place within `within_ms` of each other, each pair once, by (at_ms, slot, other).

    `there` is what a search told of the place. Raises Refused when there are more than `max_meetings` pairs.
    """
    times = [Times.of(one) for one in there]
    slots = np.repeat([one.slot for one in there], [len(one.start) for one in times]).astype(np.int64)
    if not len(slots):
        return []
    start = np.concatenate([one.start for one in times])
    end = np.concatenate([one.end for one in times])
    order = np.lexsort((slots, start))
    slots, start, end = slots[order], start[order], end[order]
    # What began up to the longest stay and `within_ms` earlier may still be near.
    longest = int((end - start).max())
    reach = np.searchsorted(start, start - longest - within_ms, side="left")
    best: dict[tuple[int, int], Meeting] = {}
    for row in range(len(slots)):
        first = int(reach[row])
        apart = np.maximum(start[row] - end[first:row], 0)
        near = np.flatnonzero((apart <= within_ms) & (slots[first:row] != slots[row]))
        for at in near.tolist():
            pair = (int(min(slots[row], slots[first + at])), int(max(slots[row], slots[first + at])))
            known = best.get(pair)
            if known is None or int(apart[at]) < known.apart_ms:
                best[pair] = Meeting(*pair, int(start[row]), int(apart[at]))
        if len(best) > max_meetings:
            raise Refused(
                f"More than {max_meetings} pairs of vehicles met there.",
                mend="Search a smaller area or a shorter time.",
            )
    return sorted(best.values(), key=lambda one: (one.at_ms, one.slot, one.other))
