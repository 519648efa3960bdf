"""The watching half of cameras: workers, what they notice and record, how each camera is. It needs no desk beside it.

Invariants: what cameras notice goes the durable way before anybody is told; which cameras are watched is said by `watch` alone; what a
worker that died was recording is entered soon after. It binds no alarm and shows nothing: `camera_link` does, and `sharing`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Protocol

import structlog

from lucheng.video.camera_duty import CameraDuty
from lucheng.video.camera_signals import CameraSignals
from lucheng.video.messages import Begin, FromWorker, Made, Noticed, Piece, Recorded, Snapped
from lucheng.video.recorded import RecordingClips
from lucheng.video.requests import Requests
from lucheng.video.supervisor import Supervisor, SupervisorLimits
from lucheng.video.video_values import WORKERS
from lucheng.video.worker_live import WorkerLive
from lucheng.video.worker_process import worker_count
from model.errors import LuchengError

if TYPE_CHECKING:
    from config.sections import Settings
    from devices.cameras import Cameras
    from model.camera import CameraSetup
    from model.clock import Clock
    from model.desk import Desk
    from model.seams import SeriesStore
    from store.audit import AuditLog
    from store.log.committer import Committer
    from store.recordings.folder import Recordings

#: Time between two looks at the retention of recordings.
RETAIN_EVERY_S = 300.0
DAY_MS = 86_400_000
STOP_S = 10.0

_log = structlog.get_logger(__name__)


class WatchRooms(Protocol):
    """What watching needs of the stores; `lucheng.rooms.Rooms` has it."""

    @property
    def settings(self) -> Settings: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def cameras(self) -> Cameras: ...
    @property
    def recordings(self) -> Recordings: ...
    @property
    def series(self) -> SeriesStore: ...
    @property
    def desk(self) -> Desk: ...
    @property
    def audit(self) -> AuditLog: ...


class CameraWatch:
    """Watches cameras, wherever they are shown.

    Args:
        rooms: what it needs of the stores.
        alarms: committer of the alarms' log.
        on_fatal: called when a store failed.
        may_tell: whether what a camera notices may be told by this process now.
        until_s: as `Supervisor`'s.
    """

    def __init__(
        self,
        rooms: WatchRooms,
        alarms: Committer,
        *,
        on_fatal: Callable[[BaseException], None],
        may_tell: Callable[[str], bool] = lambda _device: True,
        until_s: Callable[[], float] | None = None,
    ) -> None:
        self._watch_rooms = rooms
        settings = rooms.settings
        self.signals = CameraSignals(alarms, rooms.clock, may_tell=may_tell)
        self.supervisor = Supervisor(
            Begin(settings.model_dump(mode="json"), str(rooms.recordings.folder), rooms.clock.now_ms() & 0xFFFFFFFF),
            limits=SupervisorLimits(
                max_workers=worker_count(settings.camera.workers),
                max_cameras=settings.camera.max_cameras_per_worker,
                max_deaths=settings.camera.max_deaths,
                silence_s=settings.camera.worker_silence_s,
            ),
            clock=rooms.clock,
            on_message=self._heard,
            on_parked=self._park,
            on_left=self._left,
            until_s=until_s,
        )
        self.max_clip_bytes = min(settings.clips.max_clip_bytes, settings.evidence.max_item_bytes)
        self.requests = Requests(self.supervisor, rooms.clock, max_clip_bytes=self.max_clip_bytes)
        self.live = WorkerLive(self.supervisor)
        self.duty = CameraDuty(
            self.supervisor,
            self.signals,
            rooms.series,
            rooms.desk,
            settings.camera,
            rooms.clock,
            on_fatal=on_fatal,
            every_second=self._every_second,
        )
        self.recorded = RecordingClips(rooms.recordings, max_clip_bytes=self.max_clip_bytes)
        self._retained_s = float("-inf")
        #: Cameras whose worker died: what it was recording lies there without a row.
        self._cut_off: set[str] = set()
        self._watching = threading.Lock()
        #: Segments entered, and those that could not be.
        self.segments = self.segments_refused = 0

    def adopt(self) -> None:
        """Enter what lies there without a row, before anything is recorded."""
        adopted = self._watch_rooms.recordings.adopt()
        if adopted.entered:
            _log.info("recordings adopted", **asdict(adopted))

    def start_watching(self) -> None:
        """Begin; cameras may have been named before."""
        self.supervisor.start()
        self.duty.start()

    def stop_watching(self) -> None:
        """End the workers (what they record is finished), then what hears them."""
        self.supervisor.stop(STOP_S)
        self.duty.stop()
        self.requests.close()

    def watch(
        self, setups: Mapping[str, CameraSetup], parked: Mapping[str, str], *, moved: Collection[str] = ()
    ) -> None:
        """These cameras are watched from now on; of those that go, `moved` ones are watched by somebody else."""
        with self._watching:
            self.supervisor.set_cameras(setups.values(), parked=parked)
            self.duty.set_cameras(setups, parked, moved=moved)

    def close_all(self, within_s: float) -> None:
        """Every connection to a camera is closed within so long; whoever watches them next goes on with their alarms."""
        with self._watching:
            self.duty.set_cameras({}, {}, moved=self.duty.rows().keys())
            self.supervisor.close_all(within_s)

    def _every_second(self) -> None:
        """What is due now and then; on the duty's thread."""
        rooms = self._watch_rooms
        self.requests.expire()
        while self._cut_off:
            rooms.recordings.adopt(self._cut_off.pop())
        now_s = rooms.clock.monotonic_s()
        if now_s - self._retained_s < RETAIN_EVERY_S:
            return
        self._retained_s = now_s
        days = rooms.settings.recording.retention_days
        gone = rooms.recordings.retain(rooms.clock.now_ms() - days * DAY_MS)
        if gone.deleted:
            rooms.audit.append("lucheng", "service", "store.retain", f"{gone.deleted} segments of recordings", "", {})

    def worker_values(self) -> dict[str, float]:
        """What the workers say of themselves, summed, by the names of `video_values`."""
        values = dict.fromkeys((f"video_{name}" for name in WORKERS), 0.0)
        for counts in list(self.supervisor.counts.values()):
            for name, value in counts.items():
                if name in WORKERS and math.isfinite(value):
                    values[f"video_{name}"] += value
        return values

    # -- what workers say ---------------------------------------------------------------------

    def _heard(self, message: FromWorker) -> None:
        match message:
            case Noticed():
                self.signals.put(message)
            case Made() | Snapped():
                self.requests.answer(message)
            case Piece():
                self.live.take(message)
            case Recorded(segment):
                try:
                    self._watch_rooms.recordings.enter(segment)
                    self.segments += 1
                except LuchengError as error:
                    self.segments_refused += 1
                    _log.error("segment not entered", camera=segment.camera, error=str(error), mend=error.mend)
            case _:
                pass

    def _park(self, device: str, why: str) -> None:
        try:
            self._watch_rooms.cameras.park(device, why)
            self._watch_rooms.audit.append("lucheng", "service", "camera.park", device, "", {"why": why})
        except LuchengError as error:
            _log.error("camera not set aside in the registry", camera=device, error=str(error))

    def _left(self, devices: list[str]) -> None:
        self.requests.left(devices)
        self.live.left(devices)
        self.signals.over(devices)
        self._cut_off.update(devices)
