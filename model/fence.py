"""`Fence`: a named area with a rule.

Invariants: a shape is one of polygon, multipolygon, circle, corridor; a boundary counts as inside; a number is
permanent and never used again; a fence that changed is a new version of the whole set (`FenceSet`), so that what was
judged by an old one can be judged again. It computes nothing: `analytics.fences` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

#: Weekday bits, Monday is bit 0.
EVERY_DAY = 0b1111111
DAY_MINUTES = 1_440


class FenceRule(StrEnum):
    """What a fence watches for."""

    ENTER = "enter"
    EXIT = "exit"
    FORBIDDEN = "forbidden"
    STAY = "stay"
    SPEED = "speed"
    #: Raises nothing: a line of defence, or a place to look at.
    NONE = "none"


class Shape(StrEnum):
    """How the area is given."""

    POLYGON = "polygon"
    CIRCLE = "circle"
    CORRIDOR = "corridor"


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a fence is in force, local time of the city.

    Attributes:
        days: bit per weekday, Monday is bit 0; the day is that of the start where it runs over midnight.
        from_min, to_min: minutes of the day, 0..1440; from > to runs over midnight; equal is never. The end is not in it.
        utc_offset_min: the city's offset (China has one all year).
    """

    days: int = EVERY_DAY
    from_min: int = 0
    to_min: int = DAY_MINUTES
    utc_offset_min: int = 480

    @property
    def always(self) -> bool:
        """Whether it is in force at any time."""
        return self.days == EVERY_DAY and self.from_min == 0 and self.to_min == DAY_MINUTES


@dataclass(frozen=True, slots=True)
class Post:
    """A check post on a line of defence."""

    name: str
    lat: float
    lon: float


@dataclass(frozen=True, slots=True)
class Fence:
    """One fence.

    Attributes:
        number: permanent, from 1; 0 for one that is not stored yet.
        id: the name by which people and alarms call it (as a site id: A-Z a-z 0-9 _ - .).
        name: what operators read.
        rule: see `FenceRule`.
        shape: how `polygons`, `line`, `center`, `radius_m` are to be read.
        polygons: [polygon][ring][vertex](lon, lat), rings closed, the first of a polygon its outside; for POLYGON.
        line: [vertex](lon, lat), for CORRIDOR; `radius_m` is half its width.
        center: (lon, lat), for CIRCLE.
        radius_m: metres.
        kinds: device kinds it holds for; empty: all.
        devices: device ids it holds for; empty: all of `kinds`.
        limit_kmh: for SPEED; 0: that of `road_class`.
        road_class: name in the settings' table of limits, for SPEED without a limit of its own; "" for none.
        stay_s: for STAY.
        schedule: when it is in force.
        line_of_defence: 1 (inner) to 3 (outer) where it is a ring of defence, else 0.
        posts: check posts on it.
        enabled: False: kept, not in force.
    """

    number: int
    id: str
    name: str
    rule: FenceRule
    shape: Shape
    polygons: tuple[tuple[tuple[tuple[float, float], ...], ...], ...] = ()
    line: tuple[tuple[float, float], ...] = ()
    center: tuple[float, float] = (0.0, 0.0)
    radius_m: float = 0.0
    kinds: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    limit_kmh: float = 0.0
    road_class: str = ""
    stay_s: int = 0
    schedule: Schedule = field(default_factory=Schedule)
    line_of_defence: int = 0
    posts: tuple[Post, ...] = ()
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class FenceSet:
    """All fences as they stood at one version; versions count up by one and stay readable."""

    version: int
    fences: tuple[Fence, ...]
