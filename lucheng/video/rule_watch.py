"""What a camera's zones and lines make of motion and of objects: events, as the service is told of them.

Invariants: zones of motion and faults of the picture tell their beginning, and their end at the latest when the camera is
watched no more; but a fault that was found by comparison with the view before ends only where the view is as before: one
that is learnt anew, covered as it is, says nothing. What objects do is over as soon as it is told, so each of those is
raised and cleared in one; nothing here says who. Any thread may call anything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from analytics.scene.bank import label_map
from analytics.tracks.lines import LineWatch
from analytics.tracks.tracker import Tracker
from analytics.tracks.zones import ZoneWatch
from lucheng.video.messages import Noticed
from model.camera import HEALTH_ALARMS, CameraSettings, Health, ZoneRule, health_names
from model.video import THUMB_HEIGHT_PX, THUMB_WIDTH_PX, Luma

if TYPE_CHECKING:
    from analytics.tracks.events import RuleEvent
    from lucheng.video.slab import Looked
    from model.video import Detections

Bools = npt.NDArray[np.bool_]


#: Found by comparison with the view before; see the module.
BY_COMPARISON = Health.COVERED | Health.DEFOCUSED | Health.MOVED


class RuleWatch:
    """The rules of one camera.

    Args:
        device: its id.
        settings: of it.
        tell: called with what was noticed.
    """

    def __init__(self, device: str, settings: CameraSettings, tell: Callable[[Noticed], None]) -> None:
        self._device = device
        self._settings = settings
        self._tell = tell
        self._motion_zones = [zone for zone in settings.zones if zone.rule is ZoneRule.MOTION]
        objects = [zone for zone in settings.zones if zone.rule is not ZoneRule.MOTION]
        self._zones = ZoneWatch(objects)
        self._lines = LineWatch(settings.lines)
        self._tracker = Tracker()
        #: Objects are followed by the detector's thread, and by the one that lets time pass.
        self._following = threading.Lock()
        self._waits = any(zone.rule is ZoneRule.STAY for zone in objects)
        #: What goes on and is wrong is told by the slab's thread, and ended by those that stop.
        self._lock = threading.Lock()
        self._in_motion = np.zeros(len(self._motion_zones), np.bool_)
        self._health = Health(0)
        self._paused = False
        #: Whether a detector has anything to do for this camera.
        self.wants_objects = settings.objects or bool(objects) or bool(settings.lines)

    @property
    def zone_labels(self) -> Luma | None:
        """Label map of the zones of motion, 1.. in their order; None without any."""
        rings = [zone.ring for zone in self._motion_zones]
        return label_map(rings, THUMB_HEIGHT_PX, THUMB_WIDTH_PX) if rings else None

    @property
    def ignored(self) -> Bools | None:
        """Where nothing is judged: what the settings ignore, and what is masked."""
        rings = [*self._settings.ignore, *self._settings.masks]
        return label_map(rings, THUMB_HEIGHT_PX, THUMB_WIDTH_PX) > 0 if rings else None

    def looked(self, seen: Looked) -> None:
        """Motion in zones, and what is wrong with the picture."""
        with self._lock:
            if self._paused:
                return
            self._zones_now(seen.zone_motion[1 : len(self._motion_zones) + 1], seen.time_ms)
            self._health_now(Health(seen.health), seen.time_ms, Health(seen.health_cleared))

    def resumed(self) -> None:
        """Pictures come (again)."""
        with self._lock:
            self._paused = False

    def stopped(self, time_ms: int) -> None:
        """No picture comes until `resumed`: what went on in zones is over, what was wrong may be so still."""
        with self._lock:
            self._paused = True
            self._zones_now(np.zeros(len(self._motion_zones), np.bool_), time_ms)

    def left(self, time_ms: int) -> None:
        """The camera is watched no more, or with other settings."""
        self.stopped(time_ms)
        with self._lock:
            self._health_now(Health(0), time_ms, Health(0))

    def found(self, time_ms: int, objects: Detections, looked: tuple[float, float, float, float]) -> None:
        """What the detector found in one picture, boxes as fractions of it; `looked` is the part that it saw."""
        with self._following:
            tracks = self._tracker.update(time_ms, objects.box, objects.score, objects.kind, looked=looked)
            events = [("object_in_zone", event) for event in self._zones.step(tracks)]
            events += [("line_crossed", event) for event in self._lines.step(tracks)]
        for kind, event in events:
            self._say_event(kind, event)

    def pass_time(self, time_ms: int) -> None:
        """Nothing was looked at up to now: who stays in a zone stays there all the same. To be called about once a second."""
        if not self._waits:
            return
        with self._following:
            events = self._zones.step(self._tracker.now(time_ms))
        for event in events:
            self._say_event("object_in_zone", event)

    def _zones_now(self, now: Bools, time_ms: int) -> None:
        for at in np.flatnonzero(now != self._in_motion).tolist():
            zone = self._motion_zones[at]
            self._say("motion_in_zone", zone.name, time_ms, cleared=not now[at], alarm=zone.alarm)
        self._in_motion = now.copy()

    def _health_now(self, now: Health, time_ms: int, cleared: Health) -> None:
        # by what holds, not by what a step says has changed: a scene that is learnt anew tells no end
        for flag in now & ~self._health:
            self._say_health(flag, time_ms, cleared=False)
        for flag in self._health & ~now & (cleared | ~BY_COMPARISON):
            self._say_health(flag, time_ms, cleared=True)
        self._health = now

    def _say_event(self, kind: str, event: RuleEvent) -> None:
        words = f"{event.kind} {event.what}"
        if event.count:
            words += f" {event.count}"
        if event.stay_s:
            words += f" {event.stay_s:.0f} s"
        self._say(kind, event.rule, event.time_ms, cleared=False, alarm=event.alarm, note=words)
        if event.alarm:
            self._say(kind, event.rule, event.time_ms, cleared=True, alarm=True)

    def _say_health(self, flag: Health, time_ms: int, *, cleared: bool) -> None:
        (name,) = health_names(flag)
        kind = HEALTH_ALARMS.get(flag)
        wanted = kind is not None and name in self._settings.health_alarms
        if kind is None or not wanted:
            note = f"{name} {'over' if cleared else 'begins'}"
            self._say("camera_state", "", time_ms, cleared=False, alarm=False, note=note)
        else:
            self._say(kind, "", time_ms, cleared=cleared, alarm=True)

    def _say(self, kind: str, rule: str, time_ms: int, *, cleared: bool, alarm: bool, note: str = "") -> None:
        self._tell(Noticed(self._device, kind, rule, cleared=cleared, alarm=alarm, time_ms=time_ms, note=note))
