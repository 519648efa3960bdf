"""The city: who is in it, what everybody does, and what their devices report.

Purpose: `City.step` gives the position fixes of all taxis, e-bikes and patrol units up to a time, as one batch of columns; `beats` and
`presses` what the one-key buttons do. Invariants: the same seed gives the same bytes, however time is cut into
steps; rows are in the order of time; every device has its own interval, phase and jitter. It knows nothing of what becomes of the data.

The noise is like the real data's; what was measured, and how to measure it again, stands in `simulator.measure` and docs/design/simulator.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.batch import PointBatch
from model.codes import Flag
from simulator.city import roads as road_maps
from simulator.city.traffic import Habits, Index, Traffic

TICK_MS = 1000
DEFAULT_TAXI_INTERVAL_S = 10.0
DEFAULT_BIKE_INTERVAL_S = 10.0
DEFAULT_PARKED_INTERVAL_S = 30.0
DEFAULT_UNIT_INTERVAL_S = 5.0
DEFAULT_BEAT_INTERVAL_S = 60.0
DEFAULT_PRESSES_PER_DAY = 0.05

_TAXI, _BIKE, _UNIT = 0, 1, 2
#: From the measurements: taxis stand 29 % of the time; e-bikes ride at 17 to 23 km/h and hardly stop.
_HABITS = [
    Habits((0.95, 0.15), 117.0, 0.45, 28.0),
    Habits((0.45, 0.06), 25.0, 0.10, 12.0),
    Habits((0.80, 0.15), 110.0, 0.20, 15.0),
]
#: Receiver noise per axis (m): standing cabs whose receiver drifts step 4.5 m rms from fix to fix.
_NOISE_M = 2.2
_NOISE_MEMORY_S = 60.0
#: Share of terminals that hold their place while standing (the 1 Hz terminal does so in 99.8 % of its standing seconds).
_HOLD_SHARE = 0.5
#: Spread of a reporting interval (a minute's interval is 52 to 62 s in half of all cases).
_INTERVAL_SPREAD = 0.05
_STAND_S = {"pick_up": (20.0, 90.0), "set_down": (15.0, 60.0)}
_BREAK_SHARE, _BREAK_S = 0.12, (600.0, 2400.0)
_PARKED_MEAN_S = 10_800.0
_THIEF_KMH = 25.0
_RACER_KMH = 117.0
_UNIT_STAND_S = (60.0, 900.0)
_RIDE_DRAIN_PCT_PER_S = 30 / 3600
_CHARGE_PCT_PER_S = 15 / 3600


@dataclass(frozen=True, slots=True)
class Beats:
    """Heartbeats of buttons: `index` of the device, its time, its battery (all shape (n,), by time)."""

    index: Index
    time_ms: Index
    battery_pct: Index


@dataclass(frozen=True, slots=True)
class Presses:
    """Presses of buttons: `index` of the device and its time (shape (n,), by time)."""

    index: Index
    time_ms: Index


class City:
    """A synthetic Baotou.

    Device `ids` are in the order taxis, e-bikes, units, buttons; a row's `slot` is its device's place there.

    Args:
        seed: of everything random.
        taxis, bikes, buttons, units: how many of each.
        start_ms: time at which it begins, UTC ms.
        taxi_interval_s, bike_interval_s, parked_interval_s, unit_interval_s: seconds between reports of a taxi, an e-bike that
            rides, one that is parked, and a patrol unit.
        beat_interval_s: seconds between heartbeats of a button.
        presses_per_day: presses of one button in a day.
    """

    def __init__(
        self,
        seed: int,
        taxis: int,
        bikes: int,
        buttons: int,
        units: int,
        start_ms: int,
        *,
        taxi_interval_s: float = DEFAULT_TAXI_INTERVAL_S,
        bike_interval_s: float = DEFAULT_BIKE_INTERVAL_S,
        parked_interval_s: float = DEFAULT_PARKED_INTERVAL_S,
        unit_interval_s: float = DEFAULT_UNIT_INTERVAL_S,
        beat_interval_s: float = DEFAULT_BEAT_INTERVAL_S,
        presses_per_day: float = DEFAULT_PRESSES_PER_DAY,
    ) -> None:
        self.ids = (
            [f"taxi/B{k:05d}" for k in range(taxis)]
            + [f"ebike/E{k:06d}" for k in range(bikes)]
            + [f"unit/U{k:03d}" for k in range(units)]
            + [f"button/S{k:04d}" for k in range(buttons)]
        )
        self.movers = taxis + bikes + units
        self.buttons = buttons
        self.start_ms = start_ms
        self.now_ms = start_ms
        rng = np.random.default_rng([seed, 2])
        self._rng = rng
        self._kind = np.repeat(np.array([_TAXI, _BIKE, _UNIT]), [taxis, bikes, units])
        self._roads = road_maps.build(seed)
        self._traffic = Traffic(self._roads, _HABITS, self._kind, rng, start_ms)
        self._interval_ms = np.array([taxi_interval_s, bike_interval_s, unit_interval_s])[self._kind] * 1000
        self._parked_ms = parked_interval_s * 1000
        self._occupied = (rng.random(self.movers) < 0.45) & (self._kind == _TAXI)
        self._parked = (rng.random(self.movers) < 0.95) & (self._kind == _BIKE)
        parked = np.flatnonzero(self._parked)
        self._traffic.hold_until_ms[parked] += (rng.exponential(_PARKED_MEAN_S, len(parked)) * 1000).astype(np.int64)
        phase = np.where(self._parked, self._parked_ms, self._interval_ms)
        self._next_ms = start_ms + (rng.random(self.movers) * phase).astype(np.int64)
        self._noise_m = rng.normal(0, _NOISE_M, (2, self.movers))
        self._holds = rng.random(self.movers) < _HOLD_SHARE
        self._held_deg = np.full((2, self.movers), np.nan)
        self._heading_deg = rng.random(self.movers) * 360
        self._battery_pct = rng.uniform(30, 100, self.movers)
        self._sat = rng.integers(7, 15, self.movers)
        self._seq = np.zeros(self.movers, np.int64)
        self._stolen = np.zeros(self.movers, np.bool_)
        self._racing = np.zeros(self.movers, np.bool_)
        self._button_rng = np.random.default_rng([seed, 3])
        site = self._button_rng.integers(0, self._roads.nodes, buttons)
        self.button_lat, self.button_lon = _degrees(self._roads.x_m[site], self._roads.y_m[site])
        self._beat_ms = beat_interval_s * 1000
        self._next_beat_ms = start_ms + (self._button_rng.random(buttons) * self._beat_ms).astype(np.int64)
        self._press_gap_ms = 86_400_000 / presses_per_day if presses_per_day > 0 else np.inf
        self._next_press_ms = start_ms + self._press_gap_ms * self._button_rng.exponential(1.0, buttons)

    def step(self, to_ms: int) -> PointBatch:
        """Fixes of every device from the last step up to `to_ms`, by time; time goes on in whole ticks of 1 s.

        `slot` is the device's place in `ids`; `received_ms` is the end of the tick in which it was sent.
        """
        batches = []
        while self.now_ms + TICK_MS <= to_ms:
            self.now_ms += TICK_MS
            due = np.flatnonzero(self._next_ms <= self.now_ms)
            if len(due):
                due = due[np.argsort(self._next_ms[due], kind="stable")]
                batches.append(self._report(due))
        return PointBatch.concat(batches)

    def beats(self, to_ms: int) -> Beats:
        """Heartbeats of buttons that are due up to `to_ms`."""
        found = []
        while True:
            due = np.flatnonzero(self._next_beat_ms <= to_ms)
            if not len(due):
                break
            found.append(np.stack((due, self._next_beat_ms[due])))
            self._next_beat_ms[due] += int(self._beat_ms)
        rows = np.concatenate(found, axis=1) if found else np.empty((2, 0), np.int64)
        rows = rows[:, np.argsort(rows[1], kind="stable")]
        battery = 95 - (rows[1] - self.start_ms) // 86_400_000 % 60
        return Beats(rows[0] + self.movers, rows[1], battery)

    def presses(self, to_ms: int) -> Presses:
        """Presses of buttons up to `to_ms`."""
        found = []
        while True:
            due = np.flatnonzero(self._next_press_ms <= to_ms)
            if not len(due):
                break
            found.append(np.stack((due, self._next_press_ms[due].astype(np.int64))))
            self._next_press_ms[due] += self._press_gap_ms * self._button_rng.exponential(1.0, len(due))
        rows = np.concatenate(found, axis=1) if found else np.empty((2, 0), np.int64)
        rows = rows[:, np.argsort(rows[1], kind="stable")]
        return Presses(rows[0] + self.movers, rows[1])

    def steal_bike(self) -> str:
        """A thief takes the first armed bike that has reported, and rides off with it armed; its id, "" when there is none."""
        parked = np.flatnonzero(self._parked & (self._kind == _BIKE) & ~self._stolen & (self._seq > 0))
        if not len(parked):
            return ""
        who = parked[:1]
        self._parked[who] = False
        self._stolen[who] = True
        self._traffic.hurry(who, _THIEF_KMH)
        self._next_ms[who] = np.minimum(self._next_ms[who], self.now_ms + TICK_MS)
        return self.ids[int(who[0])]

    def speed_taxi(self, kmh: float = _RACER_KMH) -> str:
        """The first taxi that has reported drives at `kmh` from now on; its id, "" when there is none."""
        taxis = np.flatnonzero((self._kind == _TAXI) & ~self._racing & (self._seq > 0))
        if not len(taxis):
            return ""
        who = taxis[:1]
        self._racing[who] = True
        self._traffic.hurry(who, kmh)
        return self.ids[int(who[0])]

    def press_button(self) -> str:
        """Somebody presses the first button now; its id, "" when there is none."""
        if not self.buttons:
            return ""
        self._next_press_ms[0] = float(self.now_ms)
        return self.ids[self.movers]

    def _report(self, who: Index) -> PointBatch:
        """One fix of each of these devices at its own time, and when it reports next."""
        at_ms = self._next_ms[who].copy()
        passed_s = (at_ms - self._traffic.last_ms[who]) / 1000
        self._charge(who, passed_s)
        resumes = self._parked[who] & (self._traffic.hold_until_ms[who] < at_ms)
        self._parked[who[resumes]] = False
        arrived, places = self._traffic.drive(who, at_ms)
        if len(arrived):
            self._arrive(arrived, places)
        gap_ms = np.where(self._parked[who], self._parked_ms, self._interval_ms[who])
        gap_ms *= 1 + self._rng.normal(0, _INTERVAL_SPREAD, len(who))
        self._next_ms[who] = at_ms + np.maximum(gap_ms, TICK_MS).astype(np.int64)
        standing = self._traffic.hold_until_ms[who] > at_ms
        lat, lon = self._fix(who, standing, passed_s)
        speed = np.where(standing, 0.0, self._traffic.speed_ms(who) * 3.6)
        seq = self._seq[who]
        self._seq[who] += 1
        kind = self._kind[who]
        columns = {
            "slot": who,
            "time_ms": at_ms // 1000 * 1000,
            "received_ms": self.now_ms,
            "seq": seq,
            "lat": lat,
            "lon": lon,
            # Taxi terminals report whole km/h.
            "speed_kmh": np.where(kind == _TAXI, np.rint(speed), np.round(speed, 1)),
            "heading_deg": np.rint(self._heading_deg[who]) % 360,
            "sat": self._sat[who],
            "battery_pct": np.where(kind == _BIKE, self._battery_pct[who], -1).astype(np.int64),
            "flags": self._flags(who, kind, standing),
        }
        return PointBatch.of(len(who), columns)

    def _fix(
        self, who: Index, standing: npt.NDArray[np.bool_], passed_s: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Latitude and longitude as the receivers see them, to 1e-6°."""
        memory = np.exp(-passed_s / _NOISE_MEMORY_S)
        fresh = self._rng.normal(0, _NOISE_M, (2, len(who)))
        noise = memory * self._noise_m[:, who] + np.sqrt(1 - memory**2) * fresh
        self._noise_m[:, who] = noise
        x, y, road_deg = self._traffic.place(who)
        wobble = self._rng.normal(0, 3.0, len(who))
        self._heading_deg[who] = np.where(standing, self._heading_deg[who], (road_deg + wobble) % 360)
        lat, lon = _degrees(x + noise[0], y + noise[1])
        seen = np.stack((lat, lon))
        held = self._held_deg[:, who]
        keep = standing & self._holds[who] & ~np.isnan(held[0])
        seen = np.where(keep, held, seen)
        # Only a place taken while standing is held.
        self._held_deg[:, who] = np.where(standing, seen, np.nan)
        return seen[0], seen[1]

    def _flags(self, who: Index, kind: Index, standing: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint16]:
        taxi, bike = kind == _TAXI, kind == _BIKE
        parked = self._parked[who]
        flags = np.full(len(who), int(Flag.VALID | Flag.VALID_SENT | Flag.IGNITION_SENT))
        flags |= np.where(~parked & (~standing | ~bike), int(Flag.IGNITION), 0)
        flags |= np.where(taxi, int(Flag.OCCUPIED_SENT), 0) | np.where(self._occupied[who], int(Flag.OCCUPIED), 0)
        flags |= np.where(bike, int(Flag.ARMED_SENT), 0) | np.where(parked | self._stolen[who], int(Flag.ARMED), 0)
        return flags.astype(np.uint16)

    def _charge(self, who: Index, passed_s: npt.NDArray[np.float64]) -> None:
        rate = np.where(self._parked[who], _CHARGE_PCT_PER_S, -_RIDE_DRAIN_PCT_PER_S)
        self._battery_pct[who] = np.clip(self._battery_pct[who] + rate * passed_s, 3, 100)

    def _arrive(self, who: Index, places: Index) -> None:
        """What those do who have come to their destination."""
        rng, kind = self._rng, self._kind[who]
        taxi, bike = kind == _TAXI, kind == _BIKE
        had_fare = self._occupied[who]
        count = len(who)
        stand_s = np.where(
            had_fare, rng.uniform(*_STAND_S["set_down"], count), rng.uniform(*_STAND_S["pick_up"], count)
        )
        rests = had_fare & (rng.random(count) < _BREAK_SHARE)
        stand_s = np.where(rests, rng.uniform(*_BREAK_S, count), stand_s)
        stand_s = np.where(bike, 600 + rng.exponential(_PARKED_MEAN_S, count), stand_s)
        stand_s = np.where(kind == _UNIT, rng.uniform(*_UNIT_STAND_S, count), stand_s)
        flees = self._stolen[who] | self._racing[who]
        stand_s[flees] = 0.0
        self._occupied[who] = taxi & ~had_fare
        self._parked[who] = bike & ~flees
        # A fare goes farther than a taxi looks for one.
        self._traffic.depart(
            who, places, np.where(self._occupied[who], self._traffic.near(places, 3), self._traffic.near(places, 5))
        )
        self._traffic.hold_until_ms[who] = self._traffic.last_ms[who] + (stand_s * 1000).astype(np.int64)


def _degrees(
    x_m: npt.NDArray[np.float64], y_m: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    lat = road_maps.CENTRE_LAT + y_m / road_maps.M_PER_LAT
    lon = road_maps.CENTRE_LON + x_m / road_maps.M_PER_LON
    return np.round(lat, 6), np.round(lon, 6)
