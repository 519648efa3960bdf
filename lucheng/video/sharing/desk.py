"""`SharedCameras`: the cameras as a desk sees them where other machines watch them; what `CameraLink` is in the service of one machine.

Invariants: it opens no camera; alarms are bound to cameras by the desk that has the duty and no other; evidence is stored here, once, and taken
out of the streams after that. It joins parts and decides no rule.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from console.live.desk import PieceFacts
from console.live.hub import LiveHub
from console.live.tokens import TOKEN_NAME
from lucheng.logs import logger
from lucheng.nats_choice import open_link
from lucheng.video.binding import AlarmBinding
from lucheng.video.camera_link import SETTLE_S
from lucheng.video.camera_signals import CameraSignals
from lucheng.video.camera_watch import STOP_S
from lucheng.video.clip_queue import Kind, Piece
from lucheng.video.live_pages import camera_page, open_live_server
from lucheng.video.messages import Noticed
from lucheng.video.probing import SettingsNetwork
from lucheng.video.sharing.direct import WakeCamera, said_encoder
from lucheng.video.sharing.far_live import FarLive
from lucheng.video.sharing.far_maker import FarMaker
from lucheng.video.sharing.far_recorded import FarRecorded
from lucheng.video.sharing.known import KnownCameras
from lucheng.video.sharing.rows import UNWATCHED_WHY, FarRows, UnwatchedCameras
from model.camera import CameraState
from model.errors import LuchengError, NotFound, Refused
from store.nats.asking import listen
from store.nats.cameras import VideoNames, set_up_video
from store.nats.files import Files
from store.nats.partitions import partition_of
from store.nats.shares import SharesView

if TYPE_CHECKING:
    from pathlib import Path

    from config.sections import Settings
    from console.camera_seams import CameraRow
    from console.live.server import LiveServer
    from console.operations import Operations
    from devices.cameras import Cameras
    from devices.nearby import Nearby
    from lucheng.rooms import Rooms
    from model.clock import Clock
    from model.desk import Desk
    from model.grant import Grant
    from model.video import Clip
    from store.audit import AuditLog
    from store.evidence.folder import EvidenceFolder
    from store.log.committer import Committer
    from store.nats.link import Link

LOOK_EVERY_S = 1.0
#: A machine that was not heard for so long is not asked for recordings.
HEARD_S = 5.0

_log = logger(__name__)


class DeskRooms(Protocol):
    """What a desk needs of the stores for its cameras; `lucheng.rooms.Rooms` has it."""

    @property
    def data_dir(self) -> Path: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def cameras(self) -> Cameras: ...
    @property
    def nearby(self) -> Nearby: ...
    @property
    def desk(self) -> Desk: ...
    @property
    def evidence(self) -> EvidenceFolder: ...
    @property
    def audit(self) -> AuditLog: ...


class SharedCameras:
    """See the module; also what `console` calls `CameraControl`. Made by `open_shared_cameras`.

    Args:
        rooms: what it needs of the stores.
        alarms: committer of the alarms' stream.
        link: the way to the servers, for what is small.
        bulk: another, for pictures.
    """

    def __init__(self, rooms: DeskRooms, alarms: Committer, link: Link, bulk: Link) -> None:
        self._rooms = rooms
        self._link, self._bulk = link, bulk
        settings = rooms.settings
        self._shares = settings.video.shares
        self._names = names = VideoNames(settings.nats.prefix)
        self.known = KnownCameras(rooms.cameras)
        self.view = SharesView(link, names, self._shares)
        self.rows = FarRows(self.known, rooms.clock)
        self.signals = CameraSignals(alarms, rooms.clock)
        self.maker = FarMaker(
            link,
            names,
            Files(bulk, names.files),
            self.known,
            shares=self._shares,
            max_clip_bytes=min(settings.clips.max_clip_bytes, settings.evidence.max_item_bytes),
            wake=self._wake,
        )
        self.recorded = FarRecorded(self.maker, self._machines)
        self.hub = LiveHub(
            FarLive(bulk, names, self.known, self.machine_of),
            clock=rooms.clock,
            max_viewers=settings.live.max_viewers,
            max_viewers_per_camera=settings.live.max_viewers_per_camera,
            max_viewer_bytes=settings.live.max_viewer_bytes,
        )
        self._network = SettingsNetwork(settings, rooms.clock)
        self._unwatched = UnwatchedCameras(self.rows, settings.camera.offline_after_s, self._tell_unwatched)
        self.live_server: LiveServer | None = None
        self.binding: AlarmBinding | None = None
        self._end_rows: Callable[[], None] = lambda: None
        self._duty = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="cameras", daemon=True)

    # -- its life -----------------------------------------------------------------------------

    def start(self) -> None:
        """See the cameras from now on. Raises StoreError."""
        self.known.start()
        self.maker.start()
        self._end_rows = self._bulk.start(listen(self._bulk, self._names.rows_subject, self.rows.take))
        self._thread.start()

    def begin_duty(self) -> None:
        """This desk binds alarms to cameras from now on; what was pending is taken up. Twice is once."""
        rooms = self._rooms
        with self._duty:
            if self.binding is not None:
                return
            self.binding = AlarmBinding(
                rooms.desk,
                rooms.nearby,
                self.known.settings_of,
                self.maker,
                rooms.evidence,
                rooms.audit,
                clock=rooms.clock,
                limits=rooms.settings.clips,
                recorded=self.recorded,
                settle_s=SETTLE_S,
                on_kept=self._kept,
            )
            self.binding.start()

    def end_duty(self) -> None:
        """Another desk does: what is made is stored still, the rest it finds asked for. Twice is once."""
        with self._duty:
            binding, self.binding = self.binding, None
        if binding is not None:
            binding.stop(drain_s=STOP_S)

    def stop(self) -> None:
        """End everything here; machines go on."""
        self._stop.set()
        self.hub.close()
        if self.live_server is not None:
            self.live_server.stop()
            (self._rooms.data_dir / TOKEN_NAME).unlink(missing_ok=True)
        self.end_duty()
        if self._thread.is_alive():
            self._thread.join()
        self.maker.stop()
        self._end_rows()
        self.view.close()
        self.known.stop()
        self._bulk.close()
        self._link.close()

    def open_live(self, operations: Operations) -> None:
        """Serve the live view, where a port is set for it. Raises as `open_live_server`."""
        rooms: Rooms = self._rooms  # type: ignore[assignment] # of them it takes what `DeskRooms` has
        self.live_server = open_live_server(rooms, operations, self.hub, self.facts)

    def changed(self) -> None:
        """See `CameraControl`: machines notice by themselves, within a second."""
        self.known.refresh()

    def _loop(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            if self.binding is None:
                continue
            try:
                self._unwatched.look()
            except Exception as error:  # the next look may do better
                _log.exception("cameras not looked at", error=type(error).__name__)

    def _tell_unwatched(self, device: str) -> None:
        now_ms = self._rooms.clock.now_ms()
        settings = self.known.settings_of(device)
        alarm = settings is not None and "offline" in settings.health_alarms
        self.signals.put(Noticed(device, "offline", "", cleared=False, alarm=alarm, time_ms=now_ms, note=UNWATCHED_WHY))

    def _kept(self, piece: Piece) -> None:
        if piece.kind is Kind.CLIP:
            self.maker.kept(piece.camera.device, piece.from_ms, piece.to_ms)

    # -- machines -----------------------------------------------------------------------------

    def machine_of(self, device: str) -> str:
        """The lease of the machine that has a camera, "" for none."""
        setup = self.known.now().setups.get(device)
        if setup is None:
            return ""
        run = self.view.table.holders[partition_of(setup.slot, self._shares)]
        return run if run in self.view.machines() else ""

    def _machines(self) -> list[str]:
        now_s = self._rooms.clock.monotonic_s()
        return [run for run, one in self.view.machines().items() if now_s - one.heard_s < HEARD_S]

    def _wake(self, camera: str, until_ms: int) -> None:
        run = self.machine_of(camera)
        if run:
            said = said_encoder.encode(WakeCamera(camera, until_ms))
            self._bulk.start(self._tell(self._names.machine_subject(run), said))

    async def _tell(self, subject: str, said: bytes) -> None:
        try:
            await self._bulk.tell(subject, said)
        except LuchengError:
            return  # a clip has its packets all the same

    # -- what people ask (`console.camera_seams.CameraControl`) -------------------------------

    def states(self) -> Mapping[str, CameraRow]:
        """How each camera is now."""
        return self.rows.states()

    def snapshot(self, device: str, timeout_s: float) -> tuple[bytes, int]:
        """A JPEG of the newest picture and its time."""
        self._check(device)
        return self.maker.wait_snapshot(device, timeout_s)

    def clip(self, device: str, from_ms: int, to_ms: int, timeout_s: float) -> Clip:
        """A clip from the ring, once its end has passed."""
        self._check(device)
        return self.maker.wait_clip(device, from_ms, to_ms, timeout_s)

    def recorded_clip(self, grant: Grant, device: str, from_ms: int, to_ms: int) -> Clip | None:
        """A clip cut out of what was recorded; see `CameraControl`."""
        return self.recorded.clip_for(grant, device, from_ms, to_ms)

    def probe(self, url: str, transport: str, timeout_s: float) -> dict[str, Any]:
        """What a camera sends, as it is measured now, from here."""
        return self._network.probe(url, transport, timeout_s)

    def live_url(self, device: str) -> str:
        """The page of its live view."""
        self._check(device)
        if self.live_server is None:
            raise Refused("There is no live view.", mend="Set live.port, and start the service again.")
        return camera_page(self.live_server, device)

    def _check(self, device: str) -> None:
        known = self.known.now()
        if device not in known.setups:
            raise NotFound(f"{device} is no camera that is watched.", mend="`lucheng camera list` shows them.")
        if device in known.parked:
            raise Refused(f"{device} is set aside.", mend=f"Let it back with `lucheng camera unpark {device}`.")

    # -- what is seen of it -------------------------------------------------------------------

    def facts(self, row: Mapping[str, Any]) -> PieceFacts:
        """What is known of a piece of an alarm's evidence besides its row."""
        binding = self.binding
        notes = binding.notes_of(row["alarm"]) if binding is not None else []
        found = [note.why for note in notes if note.evidence == row["evidence"]]
        settings = self.known.settings_of(row["device"])
        masked = settings is not None and bool(settings.masks)
        return PieceFacts(found[0] if found else "", "h264" if masked else self.rows.codec_of(row["device"]))

    def live_values(self) -> dict[str, float]:
        """State by name, of all cameras; what workers and machines do they tell themselves."""
        states = [row.state for row in self.rows.states().values()]
        values: dict[str, float] = {f"cameras_{state.value}": states.count(state) for state in CameraState}
        if self.binding is not None:
            values |= {f"binding_{name}": count for name, count in self.binding.counts().items()}
        values |= self.hub.live_values()
        if self.live_server is not None:
            values |= self.live_server.live_values()
        return values


def open_shared_cameras(rooms: DeskRooms, alarms: Committer) -> SharedCameras:
    """The cameras of all machines, for a desk; `start` it, and `begin_duty` on the desk that has it.

    Raises:
        SettingsError: the nats-servers in the settings, or what they hold, do not fit. StoreError: they were not reached.
    """
    settings = rooms.settings
    link = open_link(settings, rooms.clock, "lucheng-desk-video")
    try:
        names = VideoNames(settings.nats.prefix)
        replicas = settings.nats.alarm_replicas
        link.call(set_up_video(link, names, replicas=replicas, max_file_bytes=settings.video.max_file_bytes))
        bulk = open_link(settings, rooms.clock, "lucheng-desk-video-bulk")
        try:
            return SharedCameras(rooms, alarms, link, bulk)
        except BaseException:
            bulk.close()
            raise
    except BaseException:
        link.close()
        raise
