"""Which fences each row of a frame is in, and which of them hold for it: what the rules about places share.

Purpose: one look-up in the fence index per frame, whatever number of rules ask, and the fences' rules, kinds, devices
and schedules as columns. Invariants: only rows whose place can be trusted are looked up; a fence that is not enabled
holds for nobody; naming devices goes before naming kinds. It remembers nothing: the rules do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from analytics.step import Bools
from model.device import KIND_CODE
from model.fence import DAY_MINUTES, Fence, FenceRule, Schedule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analytics.fences.index import FenceIndex
    from analytics.meaning.context import Context
    from analytics.meaning.frame import Frame

Ints = npt.NDArray[np.int64]

#: Codes of `FenceRule` in arrays and memories; the order is permanent.
RULE_CODE: dict[FenceRule, int] = {
    FenceRule.NONE: 0,
    FenceRule.ENTER: 1,
    FenceRule.EXIT: 2,
    FenceRule.FORBIDDEN: 3,
    FenceRule.STAY: 4,
    FenceRule.SPEED: 5,
}
_MINUTE_MS = 60_000
#: 1 January 1970 was a Thursday; Monday is 0.
_FIRST_WEEKDAY = 3
_WEEK_DAYS = 7
_SLOT_BITS = 32


@dataclass(frozen=True, slots=True)
class FenceTable:
    """What the fences of one index say, by their place in it: columns of shape (m,).

    After those that are indexed come the set's others, which are not enabled: what is remembered of them must end.

    Attributes:
        index: whose fences these are.
        number: int64.
        rule: int8, `RULE_CODE`.
        enabled: whether it is in force at all.
        kinds: int16, bit k + 1 per kind k in `KINDS`, bit 0 for a device whose kind is not known.
        named: whether it holds for named devices alone.
        named_keys: int64, ascending: place of the fence << 32 | slot of a device that it names.
        unknown_devices: devices that fences name and the registry did not know.
        everyone: whether every fence holds for every device.
        always: whether a schedule is "at any time"; all_always: whether every one is.
        days, from_min, to_min, offset_min: int64, as in `Schedule`.
        stay_ms: int64.
        limit_kmh: float64, its own limit or its road class's; inf where it has neither.
    """

    index: FenceIndex
    number: Ints
    rule: npt.NDArray[np.int8]
    enabled: Bools
    kinds: npt.NDArray[np.int16]
    named: Bools
    named_keys: Ints
    unknown_devices: int
    everyone: bool
    always: Bools
    all_always: bool
    days: Ints
    from_min: Ints
    to_min: Ints
    offset_min: Ints
    stay_ms: Ints
    limit_kmh: npt.NDArray[np.float64]

    @classmethod
    def of(cls, index: FenceIndex, context: Context) -> FenceTable:
        """The table of an index; asks `context.slots_of` for the devices that fences name."""
        fences = (*index.fences, *(fence for fence in index.set.fences if not fence.enabled))
        keys, unknown = _named(fences, context)
        schedules = [fence.schedule for fence in fences]
        return cls(
            index=index,
            number=np.array([fence.number for fence in fences], np.int64),
            rule=np.array([RULE_CODE[fence.rule] for fence in fences], np.int8),
            enabled=np.array([fence.enabled for fence in fences], np.bool_),
            kinds=np.array([_kind_bits(fence.kinds) for fence in fences], np.int16),
            named=np.array([bool(fence.devices) for fence in fences], np.bool_),
            named_keys=keys,
            unknown_devices=unknown,
            everyone=all(fence.enabled and not fence.kinds and not fence.devices for fence in fences),
            always=np.array([schedule.always for schedule in schedules], np.bool_),
            all_always=all(schedule.always for schedule in schedules),
            days=_column(schedules, "days"),
            from_min=_column(schedules, "from_min"),
            to_min=_column(schedules, "to_min"),
            offset_min=_column(schedules, "utc_offset_min"),
            stay_ms=np.array([fence.stay_s * 1_000 for fence in fences], np.int64),
            limit_kmh=np.array([_limit(fence, context) for fence in fences], np.float64),
        )

    def places(self, number: Ints) -> Ints:
        """Place of each fence by its number; every number must be there."""
        by = np.argsort(self.number)
        place: Ints = by[np.searchsorted(self.number, number, sorter=by)]
        return place

    def holds(self, fence: Ints, slot: Ints, kind: npt.NDArray[np.int8]) -> Bools:
        """Whether each fence (its place in the index) is enabled and holds for the device beside it."""
        if self.everyone:
            return np.ones(len(fence), np.bool_)
        held: Bools = self.enabled[fence] & ((self.kinds[fence] >> (kind + 1)) & 1).astype(np.bool_)
        by_name = np.flatnonzero(self.named[fence])
        if len(by_name):
            key = fence[by_name] << _SLOT_BITS | slot[by_name]
            at = np.searchsorted(self.named_keys, key)
            found = at < len(self.named_keys)
            found[found] = self.named_keys[at[found]] == key[found]
            held[by_name] = found & self.enabled[fence[by_name]]
        return held

    def in_force(self, fence: Ints, time_ms: Ints) -> Bools:
        """Whether each fence's schedule holds at the time beside it; the end of a schedule is not in it."""
        if self.all_always:
            return np.ones(len(fence), np.bool_)
        minutes = time_ms // _MINUTE_MS + self.offset_min[fence]
        day, minute = minutes // DAY_MINUTES, minutes % DAY_MINUTES
        begins, ends, days = self.from_min[fence], self.to_min[fence], self.days[fence]
        over_midnight = begins > ends
        # After midnight it is the day before that counts.
        morning = over_midnight & (minute < ends)
        weekday = (day - morning + _FIRST_WEEKDAY) % _WEEK_DAYS
        within = (minute >= begins) & ((minute < ends) | over_midnight)
        held: Bools = ((days >> weekday & 1) == 1) & (within | morning)
        return held


def hits_of(frame: Frame, context: Context) -> tuple[Ints, Ints]:
    """Pairs (row of the frame, place of the fence in the index), ascending; the first that asks looks them up."""
    if frame.fence_hits is None:
        frame.fence_hits = _looked_up(frame, context.fences)
    return frame.fence_hits


def _looked_up(frame: Frame, index: FenceIndex | None) -> tuple[Ints, Ints]:
    if index is None or not len(frame) or not len(index.number):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    if frame.placed.all():
        return index.hits(frame.lat, frame.lon)
    placed = np.flatnonzero(frame.placed)
    row, fence = index.hits(frame.lat[placed], frame.lon[placed])
    return placed[row], fence


def _column(schedules: Sequence[Schedule], name: str) -> Ints:
    return np.array([getattr(schedule, name) for schedule in schedules], np.int64)


def _kind_bits(kinds: Sequence[str]) -> int:
    if not kinds:
        return -1
    return sum(1 << KIND_CODE[kind] + 1 for kind in set(kinds))


def _limit(fence: Fence, context: Context) -> float:
    if fence.limit_kmh > 0:
        return fence.limit_kmh
    return float(context.limits.road_limits_kmh.get(fence.road_class, np.inf))


def _named(fences: Sequence[Fence], context: Context) -> tuple[Ints, int]:
    """Keys of the named devices that are known, and how many are not."""
    place = [at for at, fence in enumerate(fences) for _ in fence.devices]
    if not place:
        return np.zeros(0, np.int64), 0
    slot = np.asarray(context.slots_of([device for fence in fences for device in fence.devices]), np.int64)
    known = slot >= 0
    return np.sort(np.array(place, np.int64)[known] << _SLOT_BITS | slot[known]), int(np.count_nonzero(~known))
