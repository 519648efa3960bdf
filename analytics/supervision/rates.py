"""The rates by which the state's supervision of commercial vehicles judges data, for vehicles, companies and cities alike.

Source of the names and of what is divided by what: "Measures for assessing the national networked control system of key
commercial vehicles" (全国重点营运车辆联网联控系统考核管理办法, Ministry of Transport, 交运发〔2016〕160号): 车辆上线率 (on-line
vehicles / vehicles on the network), 轨迹完整率 (complete distance of tracks / whole distance of tracks), 数据合格率
(conforming data / all data), 卫星定位漂移车辆率 (vehicles that drift / on-line vehicles). The measures leave open from when on
a track is broken and a vehicle drifts: those thresholds are the settings named here. They count months; here the window
is a day. A group's rate is made of its sums, not of its vehicles' rates. Where nothing can be divided by, a rate is NaN.

- on-line rate = vehicles with one valid fix in the window / registered and enabled vehicles.
- on-line time rate = time not off-line / time of the window, over the same vehicles. Ours: the measures have no such.
- track completeness = complete way / (complete way + broken way). The way is the sum of the legs outside of stops, from one
  trusted place to the next; a leg is broken when it takes longer than `trip_gap_s`, and counts its straight line.
- valid-fix rate = valid fixes / points that came. A fix is valid when it has a place and the device does not call it
  invalid. It is that part of 数据合格率 that can be told from stored points: what was quarantined has no device's day.
- drift rate = valid fixes that jump / valid fixes. A fix jumps when it is farther from the one before than a vehicle drives
  in that time (`clean.max_speed_kmh`, from `clean.jump_min_m` on): it is marked JUMP, or its leg is impossible. After one
  wrong place, the leg back jumps as well. Ours, by fix, where the measures count vehicles:
- drifting-vehicle rate = vehicles with `drift_points` or more such fixes / on-line vehicles.
- occupied shares = way (time) with a passenger / way (time) for which the device told of passengers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.supervision.rows import Sums

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rates:
    """See the module; columns of shape (n,), float64 in 0..1, NaN where there is nothing to divide by."""

    online: Floats
    online_time: Floats
    completeness: Floats
    valid: Floats
    drift: Floats
    drifting: Floats
    occupied_distance: Floats
    occupied_time: Floats


def rates(sums: Sums, window_ms: int) -> Rates:
    """The rates of sums over a window so long."""
    time = sums.vehicles * window_ms
    return Rates(
        online=_share(sums.online, sums.vehicles),
        online_time=_share(time - sums.offline_ms, time),
        completeness=_share(sums.complete_mm, sums.complete_mm + sums.broken_mm),
        valid=_share(sums.valid, sums.points),
        drift=_share(sums.drift, sums.valid),
        drifting=_share(sums.drifting, sums.online),
        occupied_distance=_share(sums.occupied_mm, sums.told_mm),
        occupied_time=_share(sums.occupied_ms, sums.told_ms),
    )


def _share(part: Ints, whole: Ints) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole > 0, part / whole, np.nan)
