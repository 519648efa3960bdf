"""Thresholds of the rules, units in their names; the settings section `rules` has the same names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: km/h by road class for fences that name a class and no limit of their own (Road Traffic Safety Law of the PRC,
#: implementing regulations, art. 45 and 78, the upper ends).
DEFAULT_ROAD_LIMITS_KMH: Mapping[str, float] = {
    "expressway": 120.0,
    "urban_expressway": 80.0,
    "arterial": 60.0,
    "street": 50.0,
    "lane": 30.0,
}


@dataclass(frozen=True, slots=True)
class RuleLimits:
    """What the rules go by.

    Attributes:
        moving_kmh: a leg at or above this speed is movement.
        trip_gap_s: so long without a fix ends a trip.
        stop_min_s: so long without movement is a stop.
        stop_diameter_m: within so much, for that long, a track has a stop.
        trip_min_s: so long movement (with pauses shorter than stop_min_s) is a trip.
        overspeed_kmh: limit of a taxi where no fence has one.
        overspeed_over_kmh: tolerance above any limit.
        overspeed_min_s: so long above it at a stretch.
        road_limits_kmh: limits of road classes.
        fatigue_drive_s: driving time that is too long; fatigue_rest_s: a rest so long begins it anew.
        illegal_move_m: moved farther than this with the ignition off; illegal_move_points: so many fixes in a row.
        taxi_offline_s, ebike_offline_s, unit_offline_s: silence that is `offline`; 0: never.
        button_silent_s: missed heartbeat of a button; 0: never.
        tick_gap_s: ticks farther apart than this: the service was away, and silence counts anew.
        moved_min_m, moved_acc_factor: moved beyond max(moved_min_m, moved_acc_factor × accuracy) of where it was armed.
        moved_acc_m: accuracy of a tracker that sends none.
        moved_confirm_points, moved_confirm_s: fixes in a row out there, over so long at least, while it goes on: the last
            is farther than the first by moved_on_factor × that distance; moved_stay_s: so long where it does not go on
            (at that distance; half as long twice as far).
        low_battery_pct, low_battery_clear_pct: raised at or below the first, gone at or above the second.
        stolen_repeat_s: a reported-stolen e-bike that reports again is told again after so long.
        fence_confirm_points, fence_confirm_s: fixes in a row on the other side, over so long at least, until a device
            has crossed a fence.
        fence_margin_m: who is farther than this outside has left a fence; nearer he is still inside when he was.
        fence_max_inside: fences in which one device is remembered to be at a time.
        off: names of rules that do not run.
        late_signal_s: what happened longer ago than this when it came is flagged late.
    """

    moving_kmh: float = 5.0
    trip_gap_s: int = 300
    stop_min_s: int = 120
    stop_diameter_m: float = 50.0
    trip_min_s: int = 60
    overspeed_kmh: float = 80.0
    overspeed_over_kmh: float = 5.0
    overspeed_min_s: int = 10
    road_limits_kmh: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_ROAD_LIMITS_KMH))
    fatigue_drive_s: int = 4 * 3600
    fatigue_rest_s: int = 20 * 60
    illegal_move_m: float = 100.0
    illegal_move_points: int = 2
    taxi_offline_s: int = 600
    ebike_offline_s: int = 86_400
    unit_offline_s: int = 600
    button_silent_s: int = 180
    tick_gap_s: int = 5
    moved_min_m: float = 30.0
    moved_acc_factor: float = 3.0
    moved_acc_m: float = 10.0
    moved_confirm_points: int = 2
    moved_confirm_s: int = 10
    moved_on_factor: float = 1.0
    moved_stay_s: int = 1_200
    low_battery_pct: int = 20
    low_battery_clear_pct: int = 30
    stolen_repeat_s: int = 600
    fence_confirm_points: int = 2
    fence_confirm_s: int = 5
    fence_margin_m: float = 20.0
    fence_max_inside: int = 8
    late_signal_s: int = 600
    off: tuple[str, ...] = ()
