"""What a search must find, told plainly: one point after the other, shapely for polygons, the haversine for circles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from model.area import Area, Circle, Polygon
from model.batch import PointBatch
from model.codes import Flag, Mark
from model.geo import haversine_m
from model.presence import Presence

MAX_GAP_MS = 300_000
#: A leg's nearest place is that near the circle's edge, relative to its radius: then either answer is right.
GRAZES = 1e-4
#: Places looked at along a leg, and how well the times in and out are then known, as a share of the leg.
STEPS, SHARE = 4000, 1e-3
#: Interpolated times are whole milliseconds, and shapely's own places are rounded.
TIME_TOLERANCE_MS = 2

#: slot, time_ms, seq, lat and lon in 1e-6 degree.
Key = tuple[int, int, int, int, int]


@dataclass
class Found:
    """Of one device: its points inside, and its crossing legs with the times in and out."""

    points: list[Key]
    legs: list[tuple[Key, Key, float, float]]


def micro(degrees: float) -> int:
    return round(degrees * 1e6)


def keys(batch: PointBatch) -> list[Key]:
    lat, lon = (np.rint(column * 1e6).astype(np.int64).tolist() for column in (batch.lat, batch.lon))
    return list(zip(batch.slot.tolist(), batch.time_ms.tolist(), batch.seq.tolist(), lat, lon, strict=True))


class Oracle:
    """One area. `grazed` is set when a leg was so near a circle's edge that both answers are right."""

    def __init__(self, area: Area) -> None:
        self.area = area
        self.grazed = False
        self._shape: Any = None
        if isinstance(area, Polygon):
            rings = [[(micro(lon), micro(lat)) for lon, lat in ring] for ring in area.rings]
            self._shape = shapely.Polygon(rings[0], rings[1:])
            shapely.prepare(self._shape)

    def inside(self, lat: int, lon: int) -> bool:
        if self._shape is not None:
            return bool(self._shape.covers(shapely.Point(lon, lat)))
        return self._away_m(lat, lon) <= self._radius_m

    def crossing(self, one: Key, other: Key) -> tuple[float, float] | None:
        """Fractions of the leg at which it goes in and out, None when it does not."""
        (_, _, _, lat1, lon1), (_, _, _, lat2, lon2) = one, other
        if self._shape is not None:
            leg = shapely.LineString([(lon1, lat1), (lon2, lat2)])
            if not self._shape.intersects(leg):
                return None
            far = math.dist((lon1, lat1), (lon2, lat2))
            met = shapely.get_coordinates(self._shape.intersection(leg)).tolist()
            if not met:  # a place touched so barely that rounding loses it
                met = [shapely.shortest_line(leg, self._shape).coords[0]]
            shares = [math.dist((lon1, lat1), place) / far for place in met]
            return min(shares), max(shares)
        assert isinstance(self.area, Circle)
        if min(self._away_m(lat1, lon1), self._away_m(lat2, lon2)) > self._radius_m + _long_m(one, other):
            return None  # the leg is too short to get there
        at: npt.NDArray[np.float64] = np.linspace(0.0, 1.0, STEPS + 1)
        away = haversine_m(
            self.area.lat, self.area.lon, (lat1 + (lat2 - lat1) * at) / 1e6, (lon1 + (lon2 - lon1) * at) / 1e6
        )
        if abs(float(away.min()) - self._radius_m) < max(GRAZES * self._radius_m, _long_m(one, other) / STEPS):
            self.grazed = True
        within = at[away <= self._radius_m]
        return (float(within[0]), float(within[-1])) if len(within) else None

    def search(self, points: PointBatch, from_ms: int, to_ms: int) -> dict[int, Found]:
        """Of all points of a store, those inside and the legs across, by slot."""
        order = np.lexsort((points.seq, points.time_ms, points.slot))
        found: dict[int, Found] = {}
        before: tuple[Key, bool, bool] | None = None
        rows = points.take(order)
        unplaced = (rows.marks & np.uint16(Mark.JUMP | Mark.NO_FIX)) != 0
        unplaced |= (rows.flags & np.uint16(Flag.SIGHTED)) != 0
        for key, lost in zip(keys(rows), unplaced.tolist(), strict=True):
            if not from_ms <= key[1] < to_ms:
                continue
            inside = self.inside(key[3], key[4])
            if inside:
                found.setdefault(key[0], Found([], [])).points.append(key)
            elif before is not None and before[0][0] == key[0] and not (before[1] or before[2] or lost):
                took = key[1] - before[0][1]
                crossed = self.crossing(before[0], key) if 0 < took <= MAX_GAP_MS else None
                if crossed is not None:
                    times = [before[0][1] + share * took for share in crossed]
                    found.setdefault(key[0], Found([], [])).legs.append((before[0], key, times[0], times[1]))
            before = key, inside, lost
        return found

    @property
    def _radius_m(self) -> float:
        assert isinstance(self.area, Circle)
        return self.area.radius_m

    def _away_m(self, lat: float, lon: float) -> float:
        assert isinstance(self.area, Circle)
        phi1, phi2 = math.radians(self.area.lat), math.radians(lat / 1e6)
        turn = math.radians(lon / 1e6 - self.area.lon)
        half = math.sin((phi2 - phi1) / 2) ** 2 + math.cos(phi1) * math.cos(phi2) * math.sin(turn / 2) ** 2
        return 2 * 6_371_008.8 * math.asin(math.sqrt(half))


def _long_m(one: Key, other: Key) -> float:
    """At least the length of a leg."""
    return 0.112 * (abs(one[3] - other[3]) + abs(one[4] - other[4]))


def check(told: list[Presence], expected: dict[int, Found]) -> None:
    """What a store told is what must be found."""
    assert [one.slot for one in told] == sorted(expected)
    for one in told:
        found = expected[one.slot]
        assert keys(one.points) == sorted(found.points, key=lambda key: (key[1], key[2]))
        ends = keys(one.legs)
        assert list(zip(ends[::2], ends[1::2], strict=True)) == [(leg[0], leg[1]) for leg in found.legs]
        for at, (start, end, enter, leave) in enumerate(found.legs):
            slack_ms = TIME_TOLERANCE_MS + SHARE * (end[1] - start[1])
            assert abs(int(one.enter_ms[at]) - enter) <= slack_ms
            assert abs(int(one.leave_ms[at]) - leave) <= slack_ms
        assert one.interpolated == (not found.points)
        times = [key[1] for key in found.points]
        slack_ms = TIME_TOLERANCE_MS + SHARE * MAX_GAP_MS
        assert abs(one.first_ms - min([*times, *(leg[2] for leg in found.legs)])) <= slack_ms
        assert abs(one.last_ms - max([*times, *(leg[3] for leg in found.legs)])) <= slack_ms
        assert one.first_interpolated == (one.first_ms not in times)
        assert one.last_interpolated == (one.last_ms not in times)
