"""Cameras, as the service sees them: workers, what they notice, the clips of alarms, recordings, live view.

Invariants: what cameras notice goes the durable way before anybody is told; a change in the registry reaches the workers
within a second; without a camera no worker runs. It joins parts and decides no rule.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from console.camera_seams import CameraRow
from console.live.desk import PieceFacts
from console.live.hub import LiveHub
from console.live.tokens import TOKEN_NAME
from lucheng.video.binding import AlarmBinding
from lucheng.video.camera_watch import STOP_S, CameraWatch
from lucheng.video.live_pages import camera_page, open_live_server
from lucheng.video.probing import SettingsNetwork
from lucheng.video.video_values import VIDEO_VALUES
from model.errors import NotFound, Refused

if TYPE_CHECKING:
    from console.live.server import LiveServer
    from console.operations import Operations
    from lucheng.rooms import Rooms
    from model.camera import CameraSetup
    from model.grant import Grant
    from model.video import Clip
    from store.log.committer import Committer

#: After a start cameras have so long to come back: until then an alarm's snapshot is asked for again.
SETTLE_S = 30.0


class CameraLink(CameraWatch):
    """Everything of cameras that runs while the service runs; also what `console` calls `CameraControl`.

    Args:
        rooms: the open data folder.
        alarms: committer of the alarms' log.
        on_fatal: called when a store failed.
    """

    def __init__(self, rooms: Rooms, alarms: Committer, *, on_fatal: Callable[[BaseException], None]) -> None:
        super().__init__(rooms, alarms, on_fatal=on_fatal)
        self._rooms = rooms
        settings = rooms.settings
        #: One for everything that shows live pictures: a camera has one feed, however it is looked at.
        self.hub = LiveHub(
            self.live,
            clock=rooms.clock,
            max_viewers=settings.live.max_viewers,
            max_viewers_per_camera=settings.live.max_viewers_per_camera,
            max_viewer_bytes=settings.live.max_viewer_bytes,
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
            recorded=self.recorded,
            settle_s=SETTLE_S,
        )
        self._network = SettingsNetwork(settings, rooms.clock)
        self.live_server: LiveServer | None = None
        self._version = -1
        self._setups: dict[str, CameraSetup] = {}
        self._parked: dict[str, str] = {}
        self._changing = threading.Lock()

    # -- its life -----------------------------------------------------------------------------

    def start(self) -> None:
        """Take the cameras in and begin to watch."""
        self.adopt()
        self.changed()
        self.start_watching()
        self.binding.start()

    def stop(self) -> None:
        """End the workers (what they record is finished), then what hears them."""
        self.hub.close()
        if self.live_server is not None:
            self.live_server.stop()
            (self._rooms.data_dir / TOKEN_NAME).unlink(missing_ok=True)
        self.binding.stop(drain_s=STOP_S)
        self.stop_watching()

    def open_live(self, operations: Operations) -> None:
        """Serve the live view, where a port is set for it. Raises as `open_live_server`."""
        self.live_server = open_live_server(self._rooms, operations, self.hub, self.facts)

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
            self.watch(self._setups, self._parked)

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

    def recorded_clip(self, grant: Grant, device: str, from_ms: int, to_ms: int) -> Clip | None:
        """A clip cut out of what was recorded; see `CameraControl`."""
        return self.recorded.clip_for(grant, device, from_ms, to_ms)

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
        values |= self.hub.live_values()
        if self.live_server is not None:
            values |= self.live_server.live_values()
        values |= self.worker_values()
        return values
