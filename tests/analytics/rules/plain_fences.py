"""The fence rules fix by fix, as one would explain them: the oracle of the rules' tests."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from analytics.meaning.frame import Frame
from analytics.meaning.limits import RuleLimits
from model.device import KINDS, Kind
from model.fence import Fence, FenceRule, Schedule
from model.geo import METRES_PER_DEGREE
from tests.analytics.keeper import NOW_MS
from tests.analytics.rules.fence_streams import SLOT_OF, Seen

WATCHED = (FenceRule.ENTER, FenceRule.EXIT, FenceRule.FORBIDDEN, FenceRule.STAY)


def in_force(schedule: Schedule, time_ms: int) -> bool:
    """Whether a schedule holds, by the calendar."""
    local = datetime.fromtimestamp(time_ms / 1_000, UTC) + timedelta(minutes=schedule.utc_offset_min)
    for days_ago in (0, 1):
        day = (local - timedelta(days=days_ago)).replace(hour=0, minute=0, second=0, microsecond=0)
        ends = schedule.to_min + (1_440 if schedule.from_min > schedule.to_min else 0)
        begins_at, ends_at = day + timedelta(minutes=schedule.from_min), day + timedelta(minutes=ends)
        if schedule.days >> day.weekday() & 1 and begins_at <= local < ends_at:
            return True
    assert not schedule.always
    return False


def holds(fence: Fence, slot: int, kind: int) -> bool:
    """Whether a fence is there for a device."""
    if fence.devices:
        return fence.enabled and slot in [SLOT_OF.get(device, -1) for device in fence.devices]
    return fence.enabled and (not fence.kinds or (kind >= 0 and KINDS[kind].value in fence.kinds))


def covers(fence: Fence, lat: float, lon: float, margin_m: float = 0.0) -> bool:
    """Whether a square, and so many metres about it, has a place, its boundary too."""
    ring = fence.polygons[0][0]
    lons, lats = [vertex[0] for vertex in ring], [vertex[1] for vertex in ring]
    north = margin_m / METRES_PER_DEGREE
    east = north / math.cos(math.radians((min(lats) + max(lats)) / 2))
    return min(lons) - east <= lon <= max(lons) + east and min(lats) - north <= lat <= max(lats) + north


@dataclass
class Pair:
    """A device and a fence."""

    inside: bool = False
    raised: bool = False
    silent: bool = False
    count: int = 0
    turn_ms: int = 0
    since_ms: int = 0


class PlainFences:
    """The rules, one fix after the other."""

    def __init__(self, limits: RuleLimits) -> None:
        self.limits = limits
        self.told: list[Seen] = []
        self.beyond = 0
        self._fences: list[Fence] = []
        self._pairs: dict[tuple[int, int], Pair] = {}
        self._new_at: dict[int, int] = {}
        self._looked_at: dict[int, int] = {}
        self._sets = 0

    def fences(self, fences: Sequence[Fence]) -> None:
        """From here on these are the fences."""
        self._sets += 1
        before = {fence.number: fence.rule for fence in self._fences}
        self._fences = sorted(fences, key=lambda fence: fence.number)
        now = {fence.number: fence.rule for fence in fences if fence.rule in WATCHED}
        for number, rule in before.items():
            if now.get(number) is not rule:
                self._new_at.pop(number, None)
                self._pairs = {pair: state for pair, state in self._pairs.items() if pair[1] != number}
        for fence in fences:
            if not fence.enabled:
                self._new_at.pop(fence.number, None)
            elif fence.rule in WATCHED:
                self._new_at.setdefault(fence.number, self._sets)

    def frame(self, frame: Frame, first_row: int) -> None:
        """Every placed row."""
        for at in range(len(frame)):
            if frame.placed[at]:
                slot, time = int(frame.slot[at]), int(frame.time_ms[at])
                where = (float(frame.lat[at]), float(frame.lon[at]))
                said = self._fix(slot, time, int(frame.kind[at]), *where)
                for number, alarm, rises, value in said:
                    row = first_row + int(frame.row[at])
                    self.told.append(((time - NOW_MS) / 1_000, slot, number, alarm, rises, value, row))

    def _fix(
        self, slot: int, time: int, kind: int, lat: float, lon: float
    ) -> Iterator[tuple[int, str, bool, float | None]]:
        watched = [fence for fence in self._fences if fence.rule in WATCHED]
        hit = [fence for fence in watched if holds(fence, slot, kind) and covers(fence, lat, lon)]
        hit.sort(key=lambda fence: fence.rule is not FenceRule.FORBIDDEN)
        admitted = [fence.number for fence in hit[: self.limits.fence_max_inside]]
        self.beyond += len(hit) - len(admitted)
        for fence in watched:
            key = (slot, fence.number)
            alarm = {
                FenceRule.ENTER: "entered_area",
                FenceRule.EXIT: "left_fence" if KINDS[kind] is Kind.EBIKE else "left_area",
                FenceRule.FORBIDDEN: "forbidden_area",
                FenceRule.STAY: "stayed_in_area",
            }[fence.rule]
            if not holds(fence, slot, kind):
                gone = self._pairs.pop(key, None)
                if gone is not None and gone.raised:
                    yield fence.number, alarm, False, None
                continue
            pair = self._pairs.setdefault(key, Pair())
            was = pair.raised
            # Who is inside stays so in the margin too.
            here = covers(fence, lat, lon, self.limits.fence_margin_m) if pair.inside else fence in hit
            value = self._judge(pair, fence, slot, time, here, fence.number in admitted)
            if pair.raised != was:
                yield fence.number, alarm, pair.raised, value if pair.raised else None
        self._looked_at[slot] = self._sets

    def _judge(self, pair: Pair, fence: Fence, slot: int, time: int, inside: bool, admitted: bool) -> float | None:
        """Moves the pair; the value of a stay."""
        crossed, silent = self._crosses(pair, fence, slot, time, inside, admitted)
        force = in_force(fence.schedule, time)
        if fence.rule in {FenceRule.ENTER, FenceRule.EXIT}:
            if crossed and pair.inside == (fence.rule is FenceRule.ENTER):
                pair.raised = force and not (silent and fence.rule is FenceRule.ENTER)
            elif crossed:
                pair.raised = False
        elif fence.rule is FenceRule.FORBIDDEN:
            pair.raised = pair.inside and force
        elif not pair.inside:
            pair.raised = False
        elif force and time - pair.since_ms >= fence.stay_s * 1_000:
            pair.raised = True
            return (time - pair.since_ms) / 1_000
        return None

    def _crosses(
        self, pair: Pair, fence: Fence, slot: int, time: int, inside: bool, admitted: bool
    ) -> tuple[bool, bool]:
        if inside == pair.inside:
            pair.count, pair.silent = 0, False
            return False, False
        if pair.count == 0:
            if inside and not admitted:
                return False, False
            pair.turn_ms = time
            pair.silent = inside and self._looked_at.get(slot, 0) < self._new_at[fence.number]
        pair.count += 1
        enough = pair.count >= self.limits.fence_confirm_points
        if not enough or time - pair.turn_ms < self.limits.fence_confirm_s * 1_000:
            return False, False
        silent = pair.silent
        pair.inside, pair.count, pair.silent, pair.since_ms = inside, 0, False, pair.turn_ms
        return True, silent
