"""What a video worker does, from its first message to its last: cameras come and go, are woken, viewed, clipped.

Invariants: a message that cannot be carried out ends neither the worker nor another camera; when the service goes, the
worker ends by itself; at the end what is being recorded is finished. The cameras' own work is in `watched_camera`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from analytics.gate.limits import PlanLimits
from config.sections import Settings
from ingest.video.address import check_address
from ingest.video.opening import OpenTurns
from ingest.video.recording_disk import RecordingDisk
from ingest.video.watchdog import Watchdog
from lucheng.video.clip_jobs import ClipJobs
from lucheng.video.messages import (
    Begin,
    Broken,
    Closed,
    Drop,
    Exhausted,
    Made,
    MakeClip,
    Recorded,
    Report,
    Reports,
    Setup,
    Snapped,
    StartLive,
    Stop,
    StopLive,
    TakeSnapshot,
    ToWorker,
    Wake,
    Wire,
)
from lucheng.video.objects import ObjectLooks
from lucheng.video.outbox import Outbox
from lucheng.video.slab import Slab
from lucheng.video.surroundings import Surroundings
from lucheng.video.watched_camera import WatchedCamera
from model.errors import LuchengError

if TYPE_CHECKING:
    from ingest.video.address import PinnedAddress
    from lucheng.video.crumbs import Crumbs
    from model.camera import CameraSetup
    from model.clock import Clock
    from model.video import Clip, NewSegment

DEFAULT_REPORT_EVERY_S = 1.0
#: Snapshots under way at a time; a decoder that hangs keeps its place for good, and the others go on.
MAX_SNAPSHOTS = 8
#: How long one camera may take to end.
STOP_CAMERA_S = 3.0
DRAIN_S = 5.0
#: How often it is looked whether the cameras are still this machine's.
UNTIL_LOOK_S = 0.1
#: How long the end may take when the service has gone.
DESERTED_S = 20.0

_log = structlog.get_logger(__name__)


class WorkerHost:
    """The inside of a worker.

    Args:
        wire: to the service.
        crumbs: shared with it.
        begin: its first message.
        clock: source of time.
        exit_now: ends the process at once.
        report_every_s: time between two reports.
    """

    def __init__(
        self,
        wire: Wire[ToWorker],
        crumbs: Crumbs,
        begin: Begin,
        clock: Clock,
        *,
        exit_now: Callable[[int], None],
        report_every_s: float = DEFAULT_REPORT_EVERY_S,
    ) -> None:
        self._wire = wire
        self._clock = clock
        self.settings = settings = Settings.model_validate(begin.settings)
        self._cameras: dict[str, WatchedCamera] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._crumbs = crumbs
        self._last_hung = ""
        self._snapshots = threading.BoundedSemaphore(MAX_SNAPSHOTS)
        self._exit_now = exit_now
        self._report_every_s = report_every_s
        self._outbox = Outbox(wire, on_broken=self._deserted)
        self._watchdog = Watchdog(clock=clock, on_exhausted=self._exhausted)
        self._slab = Slab(crumbs.rows, clock)
        self._disk = RecordingDisk(
            Path(begin.recordings_dir),
            clock=clock,
            finished=self._recorded,
            said=_say,
            segment_s=settings.recording.segment_s,
            min_free_bytes=settings.recording.min_free_bytes,
        )
        self._clips = ClipJobs(clock, self._made)
        self._objects = ObjectLooks.open(settings.detect, clock, self._camera)
        self._around = Surroundings(
            limits=settings.camera,
            plan=PlanLimits(still_keyframe_ms=round(settings.camera.still_keyframe_s * 1000)),
            clock=clock,
            turns=OpenTurns(settings.camera.max_opening, clock=clock, seed=begin.seed),
            watchdog=self._watchdog,
            crumbs=crumbs,
            slab=self._slab,
            outbox=self._outbox,
            disk=self._disk,
            address=self._address,
            look=self._objects.look if self._objects is not None else None,
            hung=self._hung,
            seed=begin.seed,
        )

    def run(self) -> None:
        """Carry out what the service says until it says stop, or has gone."""
        self._disk.start()
        self._slab.start()
        reporting = threading.Thread(target=self._report, name="reports", daemon=True)
        reporting.start()
        if self._crumbs.until_s:  # machines share cameras
            threading.Thread(target=self._keep_time, name="until", daemon=True).start()
        try:
            while True:
                message = self._wire.receive()
                if isinstance(message, Stop):
                    break
                try:
                    self._carry_out(message)
                except Exception as error:  # one message, one camera: the others go on
                    _log.exception("not carried out", message=type(message).__name__, error=type(error).__name__)
        except Broken:
            pass
        self._close()
        reporting.join(self._report_every_s)

    def _close(self) -> None:
        self._stopping.set()
        with self._lock:
            cameras, self._cameras = list(self._cameras.values()), {}
        ending = [threading.Thread(target=self._end, args=(camera,), daemon=True) for camera in cameras]
        for thread in ending:
            thread.start()
        for thread in ending:
            thread.join(STOP_CAMERA_S)
        self._clips.close()
        self._slab.stop()
        if self._objects is not None:
            self._objects.close()
        self._disk.stop(drain_s=DRAIN_S)
        self._watchdog.stop()
        self._outbox.close(DRAIN_S)

    def _end(self, camera: WatchedCamera) -> None:
        if camera.stop(STOP_CAMERA_S):
            self._outbox.put(Closed(camera.setup.device))

    def _keep_time(self) -> None:
        """Where the service is silent for too long, another machine may take the cameras: end, as if it had gone."""
        over = False
        while not self._stopping.wait(UNTIL_LOOK_S):
            before, over = over, self._clock.monotonic_s() > self._crumbs.until_s
            if before and over:  # twice: one look may fall into the middle of a word
                _log.error("cameras let go: the service said nothing for too long")
                self._deserted()
                return

    def _deserted(self) -> None:
        """The service has gone: what is being recorded is finished, unless that hangs."""
        self._wire.close()
        over = threading.Timer(DESERTED_S, self._exit_now, (1,))
        over.daemon = True
        over.start()

    # -- messages -----------------------------------------------------------------------------

    def _carry_out(self, message: ToWorker) -> None:
        match message:
            case Setup(setup, row):
                self._watch(setup, row)
            case Drop(device):
                if self._drop(device):
                    self._outbox.put(Closed(device))
            case MakeClip():
                self._clip(message)
            case TakeSnapshot():
                self._snapshot(message)
            case Begin() | Stop():
                pass
            case _:
                self._show(message)

    def _show(self, message: Wake | StartLive | StopLive) -> None:
        match message:
            case Wake(device, until_ms):
                camera_woken = self._camera(device)
                if camera_woken is not None:
                    camera_woken.wake(until_ms)
            case StartLive(device, mode):
                viewed = self._camera(device)
                if viewed is not None:
                    viewed.start_live(mode)
            case StopLive(device, mode):
                left = self._camera(device)
                if left is not None:
                    left.stop_live(mode)

    def _watch(self, setup: CameraSetup, row: int) -> None:
        before = self._camera(setup.device)
        self._drop(setup.device)
        same = before is not None and before.setup.url == setup.url and not before.masked and not setup.settings.masks
        gate = before.planner.gate if before is not None and same else None
        camera = WatchedCamera(setup, row, self._around, gate)
        with self._lock:
            self._cameras[setup.device] = camera
        camera.start()

    def _camera(self, device: str) -> WatchedCamera | None:
        with self._lock:
            return self._cameras.get(device)

    def _drop(self, device: str) -> bool:
        """Watch it no more; False where it hangs and was left."""
        with self._lock:
            camera = self._cameras.pop(device, None)
        if camera is None:
            return True
        clean = camera.stop(STOP_CAMERA_S)
        if self._objects is not None:
            self._objects.forget(device)
        return clean

    def _address(self, url: str) -> PinnedAddress:
        camera = self.settings.camera
        return check_address(url, allow_networks=camera.allow_networks, files_dir=camera.files_dir)

    def _clip(self, message: MakeClip) -> None:
        camera = self._camera(message.device)
        if camera is None:
            self._outbox.put(Made(message.request, None, "the camera has just left this worker"))
            return
        self._clips.ask(message, camera.ring, masked=camera.masked)

    def _snapshot(self, message: TakeSnapshot) -> None:
        camera = self._camera(message.device)
        if camera is None:
            self._outbox.put(Snapped(message.request, b"", 0, "the camera has just left this worker"))
            return
        if not self._snapshots.acquire(blocking=False):
            self._outbox.put(Snapped(message.request, b"", 0, f"{MAX_SNAPSHOTS} snapshots are under way"))
            return

        def take() -> None:
            note = "it has sent no picture yet"
            jpeg, time_ms = b"", 0
            try:
                jpeg, time_ms = camera.snapshot()
            except LuchengError as error:
                note = str(error)
            except Exception as error:  # asked for by a person, who is told
                _log.exception("no snapshot", camera=message.device, error=type(error).__name__)
                note = "its newest picture cannot be decoded"
            finally:
                self._snapshots.release()
            self._outbox.put(Snapped(message.request, jpeg, time_ms, "" if jpeg else note))

        threading.Thread(target=take, name="snapshot", daemon=True).start()

    # -- what it tells ------------------------------------------------------------------------

    def _made(self, request: int, clip: Clip | None, note: str) -> None:
        self._outbox.put(Made(request, clip, note))

    def _recorded(self, segment: NewSegment) -> None:
        self._outbox.put(Recorded(segment))

    def _hung(self, device: str) -> None:
        self._last_hung = device

    def _exhausted(self) -> None:
        _log.error("too many threads hang", last=self._last_hung)
        self._outbox.put(Exhausted(self._last_hung))

    def _report(self) -> None:
        cpu_s, at_s = _cpu_s(), self._clock.monotonic_s()
        while not self._stopping.wait(self._report_every_s):
            now_cpu_s, now_s = _cpu_s(), self._clock.monotonic_s()
            load = (now_cpu_s - cpu_s) / max(now_s - at_s, 1e-3)
            cpu_s, at_s = now_cpu_s, now_s
            with self._lock:
                cameras = list(self._cameras.values())
            self._outbox.put(
                Reports([report for one in cameras if (report := self._looked_at(one, load))], self._counts(), load)
            )

    def _looked_at(self, camera: WatchedCamera, load: float) -> Report | None:
        """What is due for a camera each second, and its report; None where that fails: its silence tells."""
        try:
            camera.planner.load = load
            camera.renew_demand()
            camera.rules.pass_time(self._clock.now_ms())
            return camera.report()
        except Exception as error:  # without reports the service would end the worker
            _log.exception("camera not reported", camera=camera.setup.device, error=type(error).__name__)
            return None

    def _counts(self) -> dict[str, float]:
        counts: dict[str, float] = {
            "pictures_replaced": self._slab.replaced,
            "live_dropped": self._outbox.live_dropped,
            "threads_hung": self._watchdog.abandoned,
            "threads_hung_total": self._watchdog.abandoned_total,
            "recording_stopped": int(bool(self._disk.why_stopped)),
        }
        counts |= {f"recording_{name}": count for name, count in self._disk.counts.items()}
        if self._objects is not None:
            counts |= self._objects.counts()
        return counts


def _say(camera: str, why: str) -> None:
    """What keeps a camera ("": all) from being recorded, "" when that is over."""
    _log.warning("recording" if why else "recording again", camera=camera or "all", why=why)


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system
