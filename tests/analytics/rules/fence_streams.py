"""What the tests of fences share: square fences, a rule fed through the real cleaning, and streams of random rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from analytics.fences.index import FenceIndex
from analytics.limits import CleanLimits
from analytics.meaning.events import Events
from analytics.meaning.frame import make_frame
from analytics.meaning.limits import RuleLimits
from analytics.meaning.rule import Rule
from model.batch import PointBatch
from model.codes import ALARM_BY_BIT, Flag
from model.fence import Fence, FenceRule, FenceSet, Schedule, Shape
from tests.analytics.keeper import NOW_MS
from tests.analytics.rules.one_rule import FLEET, OneRule, row

#: Fences lie on a grid of about ten metres; a place of the grid may lie on their boundary.
LAT, LON, GRID_DEG = 40.65, 109.84, 1e-4
#: What a row's number chooses, see `walk_of`.
_BASES = (4, 8, 4, 5, 5, 8, 16)
_CHOICES = math.prod(_BASES)
#: Every device of the fleet is known by its slot, but for the last.
SLOT_OF = {f"{kind}/{slot}": slot for slot, kind in enumerate(FLEET[:-1])}

#: (second, slot, fence, alarm, rises, value or None, number of the row).
Seen = tuple[float, int, int, str, bool, float | None, int]


def place(north: float, east: float) -> tuple[float, float]:
    """Latitude and longitude of a place of the grid."""
    return round(LAT + north * GRID_DEG, 6), round(LON + east * GRID_DEG, 6)


def square(number: int, rule: FenceRule, south: float = 0, west: float = 0, side: float = 2, **more: Any) -> Fence:
    """A square fence on the grid."""
    (lat0, lon0), (lat1, lon1) = place(south, west), place(south + side, west + side)
    ring = ((lon0, lat0), (lon1, lat0), (lon1, lat1), (lon0, lat1), (lon0, lat0))
    return Fence(number, f"f{number}", f"fence {number}", rule, Shape.POLYGON, polygons=((ring,),), **more)


def at(second: float, north: float, east: float, slot: int = 0, **more: Any) -> dict[str, Any]:
    """A row at a place of the grid."""
    lat, lon = place(north, east)
    return row(second, slot, lat=lat, lon=lon, **more)


class Fenced(OneRule):
    """A rule with fences; a row may tell of more than one."""

    def __init__(self, make: Callable[[], Rule], limits: RuleLimits | None = None) -> None:
        super().__init__(make, limits)
        self.told: list[Seen] = []
        self.gauges: dict[str, int] = {}
        self.context.slots_of = slots_of

    def fences(self, fences: Sequence[Fence]) -> Fenced:
        """From here on these are the fences."""
        self.context.fences = FenceIndex(FenceSet(1, tuple(fences)))
        self.rule.fences_changed(self.context)
        return self

    def points(self, rows: Sequence[dict[str, Any]]) -> Fenced:
        """Feed rows as one batch."""
        super().points(rows)
        return self

    def batch(self, given: PointBatch) -> Fenced:
        """Feed a batch of columns."""
        step = self._analysis.begin(given)
        events = Events()
        frame = make_frame(step, self._places, self.context, CleanLimits())
        self.rule.memory.grow(int(given.slot.max()) + 1)
        self.rule.points(frame, self.context, events)
        self._keep(events, len(given))
        return self

    def _keep(self, events: Events, rows: int) -> None:
        for name, number in events.gauges.items():
            self.gauges[name] = self.gauges.get(name, 0) + number
        for part in events.parts:
            assert part.rule == self.rule.name
            columns = (part.row, part.time_ms, part.slot, part.fence, part.value)
            for given, time, slot, fence, value in zip(*(column.tolist() for column in columns), strict=True):
                second = (time - NOW_MS) / 1_000
                alarm = ALARM_BY_BIT[part.bit].name
                shown = None if np.isnan(value) else round(value, 6)
                self.told.append((second, slot, fence, alarm, part.rises, shown, self._first_row + given))
        assert len({(one[-1], one[2], one[4]) for one in self.told}) == len(self.told), "an identity twice"
        self._first_row += rows

    @property
    def happened(self) -> list[Seen]:
        """All that was told, in order of rows."""
        return sorted(self.told, key=lambda one: (one[6], one[2], one[4]))

    @property
    def brief(self) -> list[tuple[float, str, bool]]:
        """Second, alarm, rises."""
        return [(one[0], one[3], one[4]) for one in self.happened]


def slots_of(devices: Sequence[str]) -> npt.NDArray[np.int64]:
    """As the registry says."""
    return np.array([SLOT_OF.get(device, -1) for device in devices], np.int64)


def schedules() -> st.SearchStrategy[Schedule]:
    """Schedules with ends about the time of the tests, 16:53:20 on a Thursday of the city."""
    minutes = st.sampled_from([0, 1_013, 1_014, 1_015, 1_016, 1_440])
    days = st.sampled_from([0b1111111, 0b0001000, 0b0000100, 0b1110111])
    return st.builds(Schedule, days, minutes, minutes, st.sampled_from([480, 480, 0]))


@st.composite
def fence_sets(draw: st.DrawFn, rules: Sequence[FenceRule]) -> list[Fence]:
    """Up to six fences with numbers from 1 to 7."""
    numbers = draw(st.lists(st.integers(1, 7), min_size=1, max_size=6, unique=True))
    fences = []
    for number in numbers:
        more: dict[str, Any] = {}
        if draw(st.integers(0, 3)) == 0:
            more["schedule"] = draw(schedules())
        if draw(st.integers(0, 3)) == 0:
            more["kinds"] = tuple(draw(st.lists(st.sampled_from(["taxi", "ebike"]), min_size=1, max_size=2)))
        if draw(st.integers(0, 3)) == 0:
            more["devices"] = tuple(draw(st.lists(st.sampled_from([*SLOT_OF, "taxi/5"]), max_size=3)))
        if draw(st.integers(0, 5)) == 0:
            more["enabled"] = False
        south, west = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        rule = draw(st.sampled_from(rules))
        if rule is FenceRule.SPEED:
            more["limit_kmh"] = draw(st.sampled_from([0.0, 30.0, 40.0, 100.0]))
            more["road_class"] = draw(st.sampled_from(["", "lane", "street", "no such class"]))
        more["stay_s"] = draw(st.sampled_from([0, 10, 30]))
        fences.append(square(number, rule, south, west, draw(st.integers(1, 2)), **more))
    return fences


def walk_of(
    numbers: Sequence[int], seconds: dict[int, float], places: dict[int, tuple[int, int]]
) -> list[dict[str, Any]]:
    """Rows of a few devices that wander over the grid; some have no fix, some come late or with another's time.

    One number is one row: its digits, to changing bases, choose. Moves `seconds` and `places`.
    """
    rows: list[dict[str, Any]] = []
    for number in numbers:
        left, choice = number, []
        for base in _BASES:
            left, digit = divmod(left, base)
            choice.append(digit)
        slot = (0, 0, 1, 5)[choice[0]]
        seconds[slot] += (0, 1, 2, 5, 5, 5, 10, -3)[choice[1]]
        if choice[2] == 0:
            places[slot] = (choice[3], choice[4])
        speed = (None, 20.0, 35.0, 36.0, 41.0, 60.0, 90.0, 86.0)[choice[5]]
        more: dict[str, Any] = {} if speed is None else {"speed_kmh": speed}
        if choice[6] == 0:
            more["flags"] = int(Flag.VALID_SENT)
        rows.append(at(seconds[slot], *places[slot], slot, **more))
    return rows


@st.composite
def histories(draw: st.DrawFn, rules: Sequence[FenceRule]) -> list[tuple[list[Fence], list[dict[str, Any]]]]:
    """Sets of fences, each with the rows that come while they are in force; times go on from set to set."""
    seconds, places = dict.fromkeys((0, 1, 5), 0.0), dict.fromkeys((0, 1, 5), (0, 0))
    history = []
    for _ in range(draw(st.integers(1, 3))):
        numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).integers(0, _CHOICES, draw(st.integers(0, 80)))
        history.append((draw(fence_sets(rules)), walk_of(numbers.tolist(), seconds, places)))
    return history
