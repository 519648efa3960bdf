"""Which cameras see an alarm: its own first, then those of its site, then the nearest that are set up.

Invariants: an alarm whose place may not be given out (an e-bike's without an open case) has no camera, whatever site or
area it names; a camera that is not set up, not enabled or set aside is none; answers come from memory, but for the cases
of an e-bike.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from console.ebikes import shows_alarm_place
from devices.nearby import NearCamera

if TYPE_CHECKING:
    from devices.nearby import Nearby
    from lucheng.video.seams import SettingsOf
    from model.camera import CameraSettings
    from model.desk import Desk, DeskAlarm

#: So many cameras are looked at, in turn, as long as too few of them are set up and farther ones may be near enough.
LOOK_AT = (8, 64)


#: What a camera saw: its own clip comes with the alarm, however severe that is.
SEEN_KINDS = frozenset({"motion_in_zone", "line_crossed", "object_in_zone"})


class AlarmCameras:
    """See the module.

    Args:
        nearby: where cameras are.
        settings_of: which of them are set up, and how.
        desk: knows the cases of e-bikes.
        max_cameras: of one alarm.
        max_distance_m: cameras farther away are left out, unless they are bound to the site.
        max_severity: of what a camera saw itself, and that is less severe, the camera alone is of use.
    """

    def __init__(
        self,
        nearby: Nearby,
        settings_of: SettingsOf,
        desk: Desk,
        *,
        max_cameras: int,
        max_distance_m: float,
        max_severity: int = 3,
    ) -> None:
        self._nearby = nearby
        self._settings_of = settings_of
        self._desk = desk
        self._max_cameras = max_cameras
        self._max_distance_m = max_distance_m
        self._max_severity = max_severity

    def shown(self, device: str) -> bool:
        """Whether the place of an alarm of this device may be given out. Raises StoreError."""
        return shows_alarm_place(device, lambda ebike: self._desk.cases(device=ebike))

    def of(self, alarm: DeskAlarm) -> list[tuple[NearCamera, CameraSettings]]:
        """Cameras of the alarm with their settings, the most wanted first. Raises StoreError."""
        device, located = alarm.alarm.device, alarm.located
        if not self.shown(device):
            return []
        found: list[tuple[NearCamera, CameraSettings]] = []
        own = self._settings_of(device)
        if own is not None:
            found.append(
                (
                    NearCamera(device, bound=True, lat=located.lat, lon=located.lon, distance_m=0.0, bearing_deg=None),
                    own,
                )
            )
        if found and alarm.alarm.severity > self._max_severity:
            return found
        lat = math.nan if located.lat is None else located.lat
        lon = math.nan if located.lon is None else located.lon
        for limit in LOOK_AT:
            looked_at = self._nearby.cameras(lat, lon, site=located.site, device=device, limit=limit)
            near = [one for one in looked_at if one.device != device and (one.bound or self._close(one))]
            others = [(one, settings) for one in near if (settings := self._settings_of(one.device)) is not None]
            enough = len(found) + len(others) >= self._max_cameras
            if enough or len(looked_at) < limit or not self._close(looked_at[-1]):
                break
        return (found + others)[: self._max_cameras]

    def _close(self, camera: NearCamera) -> bool:
        return camera.distance_m is not None and camera.distance_m <= self._max_distance_m
