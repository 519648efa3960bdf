"""`ZoneWatch`: objects that come into zones, stay there, or are too many.

Purpose: the zone rules that need objects (`enter`, `stay`, `count`); `motion` is the scene's and is left out here.
Invariants:
- An object is where its foot is (middle of its lower edge); on the boundary is inside.
- It is in once it is clearly in, and out once it is clearly out (`settling`); out needs a distance from the zone, in does
  not: a zone that ends at the picture's edge holds those who stand on the edge.
- Once told, `enter` and `stay` are told again only after the object was out; `count` only after there was room again.
- Nobody enters who was never seen outside and has not moved: a parked car does not come in when a camera starts.
- What has no id is nobody. An object that is not seen for a moment stays where it was; its time goes on.
State is a row of columns per object; it goes with the object.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import shapely

from analytics.detect.overlap import overlap_of
from analytics.tracks.events import RuleEvent
from analytics.tracks.lines import box_of, kind_table
from analytics.tracks.settling import DEFAULT_HYSTERESIS, Hysteresis, Sides, settle
from analytics.tracks.tracks import Floats, Ints, Tracks, carry, confirmed_rows, feet_of
from model.camera import OBJECT_BY_CODE, Zone, ZoneRule

IN, OUT = 1, -1
#: An object that was never seen outside has moved when its box overlaps its first one less than this.
MOVED_IOU = 0.5
#: Zone rules that need objects.
RULES = (ZoneRule.ENTER, ZoneRule.STAY, ZoneRule.COUNT)

#: Dimensions of a geometry that encloses something.
_PLANE = 2

_Bools = npt.NDArray[np.bool_]


class ZoneWatch:
    """The zones of one camera. One thread.

    Args:
        zones: as set; those of `motion` are left out.
        hysteresis: when an object is in or out.
    """

    def __init__(self, zones: Sequence[Zone], *, hysteresis: Hysteresis = DEFAULT_HYSTERESIS) -> None:
        self._zones = tuple(zone for zone in zones if zone.rule in RULES)
        self._hysteresis = hysteresis
        self._kinds = kind_table([zone.kinds for zone in self._zones])
        self._areas = [_area(zone) for zone in self._zones]
        self._stay_ms = np.array([zone.stay_s * 1000 for zone in self._zones])
        self._most = np.array([zone.max_count for zone in self._zones], np.int64)
        self._is = {rule: np.array([zone.rule is rule for zone in self._zones], np.bool_) for rule in RULES}
        many = (0, len(self._zones))
        self._id = np.empty(0, np.int64)
        self._side = np.zeros(many, np.int8)
        self._row = np.zeros(many, np.int64)
        #: Since when it is in, UTC ms.
        self._since_ms = np.zeros(many, np.int64)
        self._was_out = np.zeros(many, np.bool_)
        self._told = np.zeros(many, np.bool_)
        self._crowded = np.full(len(self._zones), OUT, np.int8)
        self._crowd_row = np.zeros(len(self._zones), np.int64)

    def step(self, tracks: Tracks) -> list[RuleEvent]:
        """Take where the objects are now; what is to tell, by zone and then by object."""
        if not self._zones:
            return []
        rows = confirmed_rows(tracks)
        self._follow(tracks, rows)
        seen = np.flatnonzero(tracks.seen[rows])
        if len(seen):
            self._move(tracks, rows[seen], seen)
        within = (self._side == IN) & self._kinds[:, tracks.kind[rows]].T
        return (
            self._entered(tracks, rows, within) + self._stayed(tracks, rows, within) + self._many(tracks, rows, within)
        )

    def _follow(self, tracks: Tracks, rows: Ints) -> None:
        """Rows for these objects and no others; where a new one was seen first counts as well."""
        old_id, new_id = self._id, tracks.id[rows]
        self._side = carry(old_id, self._side, new_id, 0)
        self._row = carry(old_id, self._row, new_id, 0)
        self._since_ms = carry(old_id, self._since_ms, new_id, 0)
        self._was_out = carry(old_id, self._was_out, new_id, fill=False)
        self._told = carry(old_id, self._told, new_id, fill=False)
        self._id = new_id
        new = np.flatnonzero(~np.isin(new_id, old_id))
        if len(new):
            self._was_out[new] = self._places(feet_of(tracks.first_box[rows[new]]))[0] == OUT

    def _move(self, tracks: Tracks, rows: Ints, seen: Ints) -> None:
        now, distance = self._places(tracks.feet()[rows])
        old = self._side[seen]
        side, self._row[seen] = settle(old, self._row[seen], now, distance, self._hysteresis)
        self._side[seen] = side
        came = (side == IN) & (old != IN)
        self._since_ms[seen] = np.where(came, tracks.time_ms, self._since_ms[seen])
        self._told[seen] &= ~came
        self._was_out[seen] |= now == OUT

    def _places(self, feet: Floats) -> tuple[Sides, Floats]:
        """(k, zones): in, clearly out or neither, and the distance from the boundary."""
        inside = np.empty((len(feet), len(self._areas)), np.bool_)
        distance = np.empty(inside.shape)
        points = shapely.points(feet)
        for at, (area, edge) in enumerate(self._areas):
            inside[:, at] = shapely.intersects_xy(area, feet[:, 0], feet[:, 1])
            distance[:, at] = shapely.distance(edge, points)
        clear = distance >= self._hysteresis.margin
        return np.where(inside, IN, np.where(clear, OUT, 0)).astype(np.int8), distance

    def _entered(self, tracks: Tracks, rows: Ints, within: _Bools) -> list[RuleEvent]:
        moved = overlap_of(tracks.box[rows], tracks.first_box[rows]) < MOVED_IOU
        came = within & ~self._told & (self._was_out | moved[:, None]) & self._is[ZoneRule.ENTER]
        return self._tell(tracks, rows, came)

    def _stayed(self, tracks: Tracks, rows: Ints, within: _Bools) -> list[RuleEvent]:
        long = tracks.time_ms - self._since_ms >= self._stay_ms
        return self._tell(tracks, rows, within & ~self._told & long & self._is[ZoneRule.STAY])

    def _tell(self, tracks: Tracks, rows: Ints, whom: _Bools) -> list[RuleEvent]:
        self._told |= whom
        events = []
        for zone_at, at in np.argwhere(whom.T):
            zone = self._zones[zone_at]
            stayed_s = (tracks.time_ms - int(self._since_ms[at, zone_at])) / 1000
            events.append(_event(zone, tracks, rows[at], stay_s=stayed_s if zone.rule is ZoneRule.STAY else 0.0))
        return events

    def _many(self, tracks: Tracks, rows: Ints, within: _Bools) -> list[RuleEvent]:
        """Zones that have just become too full; the event is of the object that came last."""
        count = within.sum(axis=0)
        now = np.where(count > self._most, IN, OUT).astype(np.int8)
        old = self._crowded
        self._crowded, self._crowd_row = settle(old, self._crowd_row, now, np.zeros(len(now)), self._hysteresis)
        events = []
        for zone_at in np.flatnonzero((self._crowded == IN) & (old != IN) & self._is[ZoneRule.COUNT] & (count > 0)):
            last = int(np.where(within[:, zone_at], self._since_ms[:, zone_at], -1).argmax())
            events.append(_event(self._zones[zone_at], tracks, rows[last], count=int(count[zone_at])))
        return events


def _area(zone: Zone) -> tuple[object, object]:
    """The zone as a prepared geometry, and its boundary; a ring that crosses itself is what it encloses."""
    area = shapely.Polygon(zone.ring)
    if not shapely.is_valid(area):
        parts = shapely.get_parts(shapely.make_valid(area))
        area = shapely.union_all(parts[shapely.get_dimensions(parts) == _PLANE])
    edge = shapely.boundary(area)
    shapely.prepare(area)
    shapely.prepare(edge)
    return area, edge


def _event(zone: Zone, tracks: Tracks, row: int, *, count: int = 0, stay_s: float = 0.0) -> RuleEvent:
    return RuleEvent(
        rule=zone.name,
        what=zone.rule.value,
        kind=OBJECT_BY_CODE[int(tracks.kind[row])],
        track=int(tracks.id[row]),
        time_ms=tracks.time_ms,
        box=box_of(tracks, row),
        count=count,
        stay_s=stay_s,
        alarm=zone.alarm,
    )
