"""What cameras notice, as signals and clears in the alarms' log.

Invariants: everything goes the durable way of alarm messages, before anybody is told; an id derives from the camera, the
kind, the rule, the time and the words, so that the same again is the same; what the settings ask no alarm for is a signal
alone. It knows which alarms of what cameras see are open, so that they end with the worker that would have ended them.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

from lucheng.video.messages import Noticed
from lucheng.video.rule_watch import BY_COMPARISON
from model.camera import HEALTH_ALARMS, CameraSettings, ZoneRule, health_names
from model.codes import ALARM_BY_NAME
from model.seams import NewRecord, RecordKind
from model.signal import Clear, Signal

if TYPE_CHECKING:
    from model.clock import Clock
    from store.log.committer import Committer

#: Longest note, characters.
MAX_NOTE_CHARS = 200

#: What a camera sees begin and end, and judges by the picture alone: who watches it next would say it again.
_FAULTS = {flag: kind for flag, kind in HEALTH_ALARMS.items() if not flag & BY_COMPARISON}
SEEN_KINDS = frozenset({"motion_in_zone", *_FAULTS.values()})

_packer = msgspec.msgpack.Encoder()


def camera_signal_id(noticed: Noticed) -> str:
    """The id of what a camera noticed: the same whenever it is told, another for anything else in the same picture."""
    text = "\0".join((noticed.device, noticed.kind, noticed.rule, str(noticed.time_ms), noticed.note))
    return "c" + hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def begins_and_ends(settings: CameraSettings) -> list[tuple[str, str]]:
    """Alarms of that kind which these settings can raise: kind, and rule."""
    faults = [(kind, "") for flag, kind in _FAULTS.items() if health_names(flag)[0] in settings.health_alarms]
    zones = [zone for zone in settings.zones if zone.rule is ZoneRule.MOTION and zone.alarm]
    return faults + [("motion_in_zone", zone.name) for zone in zones]


class CameraSignals:
    """Writes to the alarms' log. Any thread.

    Args:
        alarms: its committer.
        clock: for the receive time.
        may_tell: whether this process speaks for that camera now; what it would say otherwise is left out and counted.
    """

    def __init__(
        self, alarms: Committer, clock: Clock, *, may_tell: Callable[[str], bool] = lambda _device: True
    ) -> None:
        self._may_tell = may_tell
        self._alarms = alarms
        self._clock = clock
        self._lock = threading.Lock()
        self._going_on: dict[str, set[tuple[str, str]]] = {}
        #: Signals and clears written.
        self.written = 0
        #: Those that somebody else has to say.
        self.left_out = 0

    def put(self, noticed: Noticed) -> None:
        """Write it down; durable when this returns or soon after."""
        if noticed.cleared and not noticed.alarm:
            return
        if noticed.alarm:
            self._remember(noticed)
        if not self._may_tell(noticed.device):
            self.left_out += 1
            return
        if noticed.cleared:
            clear = Clear(noticed.kind, noticed.device, noticed.rule, noticed.time_ms, 0)
            record = NewRecord(RecordKind.CLEAR, 0, _packer.encode([clear]))
        else:
            record = NewRecord(RecordKind.ALARM, 1, _packer.encode([self._signal(noticed)]))
        self.written += 1
        self._alarms.submit([record], lambda _position: None, urgent=True)

    def over(self, devices: Iterable[str]) -> None:
        """Nobody watches these cameras just now: what they saw begin is over, as far as anybody can say."""
        with self._lock:
            found = [(device, key) for device in devices for key in self._going_on.pop(device, ())]
        for device, (kind, rule) in found:
            self.put(Noticed(device, kind, rule, cleared=True, alarm=True, time_ms=self._clock.now_ms()))

    def going_on(self, device: str) -> set[tuple[str, str]]:
        """Alarms of what the camera sees that are open: kind, and rule."""
        with self._lock:
            return set(self._going_on.get(device, ()))

    def _remember(self, noticed: Noticed) -> None:
        if noticed.kind not in SEEN_KINDS:
            return
        with self._lock:
            keys = self._going_on.setdefault(noticed.device, set())
            if noticed.cleared:
                keys.discard((noticed.kind, noticed.rule))
            else:
                keys.add((noticed.kind, noticed.rule))
            if not keys:
                del self._going_on[noticed.device]

    def _signal(self, noticed: Noticed) -> Signal:
        return Signal(
            id=camera_signal_id(noticed),
            device=noticed.device,
            kind=noticed.kind,
            source="camera" if noticed.alarm else "note",
            time_ms=noticed.time_ms,
            received_ms=self._clock.now_ms(),
            lat=None,
            lon=None,
            severity=ALARM_BY_NAME[noticed.kind].severity,
            late=False,
            note=noticed.note[:MAX_NOTE_CHARS],
            log_position=0,
            fence=noticed.rule,
        )
