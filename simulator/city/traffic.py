"""Vehicles that drive on the roads, all at once.

Purpose: positions, speeds and stops of many vehicles as arrays; each vehicle is moved only when it is asked where it is.
Invariants: a vehicle is always on an edge; it stands (`hold_until_ms`) or drives towards its destination; randomness comes
from the generator that is handed in. What a trip means (a fare, a parked bike) is the city's affair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.city.roads import Roads

Index = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Junctions one vehicle may pass between two reports; then it waits where it is.
_MAX_HOPS = 64
_MIN_SPEED_MS = 0.5
#: Spread of how fast traffic flows from report to report, about the free speed.
_MOOD_SPREAD = 0.9
#: Share of the road's speed that somebody drives who keeps no limit: the slowest streets and moods still give the top speed.
_RECKLESS_FACTOR = 20.0


@dataclass(frozen=True, slots=True)
class Habits:
    """How a kind of vehicle drives.

    Attributes:
        speed_factor: share of the road's speed, mean and spread between drivers.
        max_kmh: it never goes faster.
        red_share: share of junctions where it has to wait.
        red_s: mean waiting time there.
    """

    speed_factor: tuple[float, float]
    max_kmh: float
    red_share: float
    red_s: float


class Traffic:
    """The vehicles of a city.

    Args:
        roads: where they drive.
        habits: per kind, and `kind` int (n,) names each vehicle's place in it.
        rng: source of randomness.
        start_ms: time at which everything begins.
    """

    def __init__(
        self, roads: Roads, habits: list[Habits], kind: Index, rng: np.random.Generator, start_ms: int
    ) -> None:
        count = len(kind)
        self._roads = roads
        self._rng = rng
        factor = np.array([h.speed_factor for h in habits])[kind]
        self._factor = np.clip(rng.normal(factor[:, 0], factor[:, 1]), 0.2, 2.0)
        self._max_ms = np.array([h.max_kmh for h in habits])[kind] / 3.6
        self._red_share = np.array([h.red_share for h in habits])[kind]
        self._red_s = np.array([h.red_s for h in habits])[kind]
        self.last_ms = np.full(count, start_ms, np.int64)
        self.hold_until_ms = np.full(count, start_ms, np.int64)
        self.destination = rng.integers(0, roads.nodes, count)
        self._from = rng.integers(0, roads.nodes, count)
        self._edge = np.zeros(count, np.int64)
        self._along_m = np.zeros(count)
        self._mood = np.ones(count)
        self._choose(np.arange(count), np.full(count, -1))
        self._along_m = rng.random(count) * roads.length_m[self._from, self._edge]

    def near(self, places: Index, choices: int) -> Index:
        """Destinations for vehicles at these nodes: the nearest of `choices` random nodes each."""
        roads = self._roads
        drawn = self._rng.integers(0, roads.nodes, (len(places), choices))
        x, y = roads.x_m[places][:, None], roads.y_m[places][:, None]
        far = np.abs(roads.x_m[drawn] - x) + np.abs(roads.y_m[drawn] - y)
        far[drawn == places[:, None]] = np.inf
        nearest: Index = drawn[np.arange(len(places)), np.argmin(far, axis=1)]
        return nearest

    def hurry(self, who: Index, kmh: float) -> None:
        """From now on these drive as fast as they can, up to `kmh`, and wait at no light."""
        self._factor[who] = _RECKLESS_FACTOR
        self._max_ms[who] = kmh / 3.6
        self._red_share[who] = 0.0
        self.hold_until_ms[who] = np.minimum(self.hold_until_ms[who], self.last_ms[who])

    def drive(self, who: Index, at_ms: Index) -> tuple[Index, Index]:
        """Move vehicles on to their time.

        Args:
            who: vehicles, each once.
            at_ms: the time of each, not before its last.

        Returns: vehicles that have arrived (they hold from then on until told otherwise), and the node each stands at.
        """
        begin_ms = np.maximum(self.last_ms[who], self.hold_until_ms[who])
        left_s = np.maximum(at_ms - begin_ms, 0) / 1000.0
        self.last_ms[who] = at_ms
        mood = 0.7 * self._mood[who] + 0.3 * self._rng.normal(1.0, _MOOD_SPREAD, len(who))
        self._mood[who] = np.clip(mood, 0.1, 1.9)
        arrived: list[Index] = []
        going = np.flatnonzero(left_s > 0)
        for _ in range(_MAX_HOPS):
            if not len(going):
                break
            cars = who[going]
            speed_ms = self.speed_ms(cars)
            ahead_m = self._roads.length_m[self._from[cars], self._edge[cars]] - self._along_m[cars]
            need_s = ahead_m / speed_ms
            passes = need_s <= left_s[going]
            self._along_m[cars] += np.where(passes, ahead_m, speed_ms * left_s[going])
            left_s[going] -= need_s
            going, cars = going[passes], cars[passes]
            node = self._roads.neighbour[self._from[cars], self._edge[cars]].astype(np.int64)
            there = node == self.destination[cars]
            arrived.append(cars[there])
            going, cars, node = going[~there], cars[~there], node[~there]
            came_from = self._from[cars]
            self._from[cars] = node
            self._along_m[cars] = 0.0
            self._choose(cars, came_from)
            red_s = self._rng.exponential(self._red_s[cars]) * (self._rng.random(len(cars)) < self._red_share[cars])
            left_s[going] -= red_s
            waits = left_s[going] <= 0
            self.hold_until_ms[cars[waits]] = at_ms[going[waits]] + (-left_s[going[waits]] * 1000).astype(np.int64)
            going = going[~waits]
        done = np.concatenate(arrived) if arrived else np.empty(0, np.int64)
        return done, self.destination[done]

    def depart(self, who: Index, places: Index, destination: Index) -> None:
        """Put vehicles at a node, on the way to their next destination."""
        came_from = self._from[who]
        self._from[who] = places
        self._along_m[who] = 0.0
        self.destination[who] = destination
        self._choose(who, came_from)

    def speed_ms(self, who: Index) -> Floats:
        """Metres per second that these vehicles drive where they are, if they drive."""
        road_ms = self._roads.speed_kmh[self._from[who], self._edge[who]] / 3.6
        wanted: Floats = np.minimum(road_ms * self._factor[who] * self._mood[who], self._max_ms[who])
        return np.maximum(wanted, _MIN_SPEED_MS)

    def place(self, who: Index) -> tuple[Floats, Floats, Floats]:
        """Metres east and north of the centre, and the road's direction in degrees."""
        roads = self._roads
        a = self._from[who]
        b = roads.neighbour[a, self._edge[who]]
        share = self._along_m[who] / roads.length_m[a, self._edge[who]]
        dx, dy = roads.x_m[b] - roads.x_m[a], roads.y_m[b] - roads.y_m[a]
        heading = np.degrees(np.arctan2(dx, dy)) % 360.0
        return roads.x_m[a] + share * dx, roads.y_m[a] + share * dy, heading

    def _choose(self, who: Index, came_from: Index) -> None:
        """The next edge of vehicles at a node: towards the destination, with some wilfulness, never straight back."""
        roads = self._roads
        options = roads.neighbour[self._from[who]]
        goal = self.destination[who][:, None]
        far = np.hypot(roads.x_m[options] - roads.x_m[goal], roads.y_m[options] - roads.y_m[goal])
        far *= 1.0 + 0.15 * self._rng.random(far.shape)
        far[options == goal] = -1.0
        far[options == came_from[:, None]] += 1e6
        far[options < 0] = np.inf
        self._edge[who] = np.argmin(far, axis=1)
