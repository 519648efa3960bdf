"""Cameras, as the service sees them: workers, what they notice, the clips of alarms, recordings, live view.

Invariants: what cameras notice goes the durable way before anybody is told; a change in the registry reaches the workers
within a second; without a camera no worker runs. It joins parts and decides no rule.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import structlog

from console.camera_seams import CameraRow
from console.live.desk import PieceFacts
from console.live.tokens import TOKEN_NAME
from lucheng.video.binding import AlarmBinding
from lucheng.video.camera_duty import CameraDuty
from lucheng.video.camera_signals import CameraSignals
from lucheng.video.live_pages import camera_page, open_live_server
from lucheng.video.messages import Begin, FromWorker, Made, Noticed, Piece, Recorded, Snapped
from lucheng.video.probing import SettingsNetwork
from lucheng.video.recorded import RecordingClips
from lucheng.video.requests import Requests
from lucheng.video.supervisor import Supervisor, SupervisorLimits
from lucheng.video.video_values import VIDEO_VALUES, WORKERS
from lucheng.video.worker_live import WorkerLive
from lucheng.video.worker_process import worker_count
from model.errors import LuchengError, NotFound, Refused

if TYPE_CHECKING:
    from console.live.server import LiveServer
    from console.operations import Operations
    from lucheng.rooms import Rooms
    from model.camera import CameraSetup
    from model.video import Clip
    from store.log.committer import Committer

#: Time between two looks at the retention of recordings.
RETAIN_EVERY_S = 300.0
DAY_MS = 86_400_000
STOP_S = 10.0
#: After a start cameras have so long to come back: until then an alarm's snapshot is asked for again.
SETTLE_S = 30.0

_log = structlog.get_logger(__name__)


class CameraLink:
    """Everything of cameras that runs while the service runs; also what `console` calls `CameraControl`.

    Args:
        rooms: the open data folder.
        alarms: committer of the alarms' log.
        on_fatal: called when a store failed.
    """

    def __init__(self, rooms: Rooms, alarms: Committer, *, on_fatal: Callable[[BaseException], None]) -> None:
        self._rooms = rooms
        self._on_fatal = on_fatal
        settings = rooms.settings
        self.signals = CameraSignals(alarms, rooms.clock)
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
        )
        max_clip_bytes = min(settings.clips.max_clip_bytes, settings.evidence.max_item_bytes)
        self.requests = Requests(self.supervisor, rooms.clock, max_clip_bytes=max_clip_bytes)
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
        self.binding = AlarmBinding(
            rooms.desk,
            rooms.nearby,
            self.duty.settings_of,
            self.requests,
            rooms.evidence,
            rooms.audit,
            clock=rooms.clock,
            limits=settings.clips,
            recorded=RecordingClips(rooms.recordings, max_clip_bytes=max_clip_bytes),
            settle_s=SETTLE_S,
        )
        self._network = SettingsNetwork(settings, rooms.clock)
        self.live_server: LiveServer | None = None
        self._version = -1
        self._setups: dict[str, CameraSetup] = {}
        self._parked: dict[str, str] = {}
        self._changing = threading.Lock()
        self._retained_s = float("-inf")
        #: Cameras whose worker died: what it was recording lies there without a row.
        self._cut_off: set[str] = set()
        #: Segments entered, and those that could not be.
        self.segments = self.segments_refused = 0

    # -- its life -----------------------------------------------------------------------------

    def start(self) -> None:
        """Take the cameras in and begin to watch."""
        adopted = self._rooms.recordings.adopt()
        if adopted.entered:
            _log.info("recordings adopted", **asdict(adopted))
        self.changed()
        self.supervisor.start()
        self.duty.start()
        self.binding.start()

    def stop(self) -> None:
        """End the workers (what they record is finished), then what hears them."""
        if self.live_server is not None:
            self.live_server.stop()
            (self._rooms.data_dir / TOKEN_NAME).unlink(missing_ok=True)
        self.binding.stop(drain_s=STOP_S)
        self.supervisor.stop(STOP_S)
        self.duty.stop()
        self.requests.close()

    def open_live(self, operations: Operations) -> None:
        """Serve the live view, where a port is set for it. Raises as `open_live_server`."""
        self.live_server = open_live_server(self._rooms, operations, self.live, self.facts)

    def changed(self) -> None:
        """See `CameraControl`: take over what has changed in the registry; cheap when nothing has."""
        with self._changing:
            found = self._rooms.cameras.changed_since(self._version)
            if found.version == self._version:
                return
            self._version = found.version
            if not found:
                return
            for device in found.gone.values():
                self._setups.pop(device, None)
            self._setups |= {setup.device: setup for setup in found.setups}
            self._parked = self._rooms.cameras.parked()
            self.supervisor.set_cameras(self._setups.values(), parked=self._parked)
            self.duty.set_cameras(self._setups, self._parked)

    def _every_second(self) -> None:
        """What is due now and then; on the duty's thread."""
        self.requests.expire()
        while self._cut_off:
            self._rooms.recordings.adopt(self._cut_off.pop())
        now_s = self._rooms.clock.monotonic_s()
        if now_s - self._retained_s < RETAIN_EVERY_S:
            return
        self._retained_s = now_s
        days = self._rooms.settings.recording.retention_days
        gone = self._rooms.recordings.retain(self._rooms.clock.now_ms() - days * DAY_MS)
        if gone.deleted:
            self._rooms.audit.append(
                "lucheng", "service", "store.retain", f"{gone.deleted} segments of recordings", "", {}
            )

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
                    self._rooms.recordings.enter(segment)
                    self.segments += 1
                except LuchengError as error:
                    self.segments_refused += 1
                    _log.error("segment not entered", camera=segment.camera, error=str(error), mend=error.mend)
            case _:
                pass

    def _park(self, device: str, why: str) -> None:
        try:
            self._rooms.cameras.park(device, why)
            self._rooms.audit.append("lucheng", "service", "camera.park", device, "", {"why": why})
        except LuchengError as error:
            _log.error("camera not set aside in the registry", camera=device, error=str(error))

    def _left(self, devices: list[str]) -> None:
        self.requests.left(devices)
        self.live.left(devices)
        self.signals.over(devices)
        self._cut_off.update(devices)

    # -- what people ask (`console.camera_seams.CameraControl`) -------------------------------

    def states(self) -> Mapping[str, CameraRow]:
        """How each camera is now."""
        return self.duty.rows()

    def snapshot(self, device: str, timeout_s: float) -> tuple[bytes, int]:
        """A JPEG of the newest picture and its time."""
        self._known(device)
        return self.requests.wait_snapshot(device, timeout_s)

    def clip(self, device: str, from_ms: int, to_ms: int, timeout_s: float) -> Clip:
        """A clip from the ring, once its end has passed."""
        self._known(device)
        return self.requests.wait_clip(device, from_ms, to_ms, timeout_s)

    def probe(self, url: str, transport: str, timeout_s: float) -> dict[str, Any]:
        """What a camera sends, as it is measured now."""
        return self._network.probe(url, transport, timeout_s)

    def live_url(self, device: str) -> str:
        """The page of its live view."""
        self._known(device)
        if self.live_server is None:
            raise Refused("There is no live view.", mend="Set live.port, and start the service again.")
        return camera_page(self.live_server, device)

    def _known(self, device: str) -> None:
        if not self.supervisor.knows(device):
            raise NotFound(f"{device} is no camera that is watched.", mend="`lucheng camera list` shows them.")
        if self.supervisor.parked(device):
            raise Refused(f"{device} is set aside.", mend=f"Let it back with `lucheng camera unpark {device}`.")

    # -- what is seen of it -------------------------------------------------------------------

    def facts(self, row: Mapping[str, Any]) -> PieceFacts:
        """What is known of a piece of an alarm's evidence besides its row: what is missing of it, and its codec."""
        notes = [note.why for note in self.binding.notes_of(row["alarm"]) if note.evidence == row["evidence"]]
        report = self.supervisor.report(row["device"])
        codec = "" if report is None else "h264" if report.masked else report.codec  # masks are burned in as H.264
        return PieceFacts(notes[0] if notes else "", codec)

    def live_values(self) -> dict[str, float]:
        """State by name, for `status` and the metrics."""
        values: dict[str, float] = dict.fromkeys((name for name, _, _ in VIDEO_VALUES), 0)
        values |= {
            "video_workers": len(self.supervisor.process_ids()),
            "video_worker_deaths": self.supervisor.deaths,
            "camera_signals": self.signals.written,
            "recording_segments": self.segments,
            "recording_segments_refused": self.segments_refused,
            "recording_bytes": self._rooms.recordings.total_bytes,
        }
        values |= {f"binding_{name}": count for name, count in self.binding.counts().items()}
        values |= {f"cameras_{state}": count for state, count in self.duty.counts().items()}
        if self.live_server is not None:
            values |= self.live_server.live_values()
        for counts in list(self.supervisor.counts.values()):
            for name, value in counts.items():
                if name in WORKERS and math.isfinite(value):
                    values[f"video_{name}"] += value
        return values
