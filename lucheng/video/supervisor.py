"""Which worker watches which camera, and what happens when one dies.

Invariants: every camera that is wanted is with exactly one worker, is waiting for one to start, or is parked; a worker
that ends or falls silent is started anew, later and later; a camera that may have ended its worker is watched in a
process of its own from then on, so that the next end tells for certain; at `max_deaths` ends it is parked until a person
lets it back. After a calm while it returns among the others. It knows nothing of alarms and stores.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from msgspec.structs import replace

from lucheng.video.messages import Begin, Exhausted, FromWorker, Report, Reports, ToWorker
from lucheng.video.worker_process import WorkerProcess

if TYPE_CHECKING:
    from model.camera import CameraSetup
    from model.clock import Clock

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SupervisorLimits:
    """Limits of the supervisor.

    Attributes:
        max_workers: processes among which the cameras are shared.
        max_cameras: of one process.
        spread_cameras: so many are given to one process before another is started.
        max_alone: further processes, each for one camera under suspicion.
        max_deaths: see `config.cameras.Camera`.
        calm_s: a camera that ran alone so long without a death is above suspicion.
        silence_s: a worker that says nothing for so long is killed.
        start_s: … but after its start it has so long.
        restart_min_s, restart_max_s: waits before a worker is started again.
        look_s: how often all this is looked at.
    """

    max_workers: int = 2
    max_cameras: int = 500
    spread_cameras: int = 8
    max_alone: int = 8
    max_deaths: int = 3
    calm_s: float = 600.0
    silence_s: float = 20.0
    start_s: float = 60.0
    restart_min_s: float = 0.2
    restart_max_s: float = 30.0
    look_s: float = 0.1


#: How often it is looked whether a worker has let go of its cameras, and how long it may take to end after that.
CLOSING_LOOK_S = 0.01
CLOSED_END_S = 20.0
#: How often workers are told until when their cameras are ours, where machines share them.
TELL_UNTIL_S = 0.5


@dataclass(slots=True)
class _Watched:
    """One wanted camera: its setup, its worker, how often it was present at a death, and since when it is alone."""

    setup: CameraSetup
    worker: WorkerProcess | None = None
    deaths: int = 0
    alone_since_s: float = 0.0
    parked: bool = False


@dataclass(slots=True)
class _Wait:
    """When workers may be started again."""

    failures: int = 0
    until_s: float = 0.0
    last_death_s: float = field(default=float("-inf"))


class Supervisor:
    """Runs the workers; `set_cameras` says what is wanted.

    Args:
        begin: first message of each worker.
        limits: see `SupervisorLimits`.
        clock: source of time.
        on_message: called with everything the workers say, on their readers' threads.
        on_parked: called with a camera that was parked, and why.
        on_left: called with cameras whose worker has gone: what was asked of it will not be answered.
        until_s: where machines share cameras: monotonic time until which the cameras are ours as things stand. A worker that
            is not told a later one in time ends by itself. None: they are ours alone.
    """

    def __init__(
        self,
        begin: Begin,
        *,
        limits: SupervisorLimits,
        clock: Clock,
        on_message: Callable[[FromWorker], None],
        on_parked: Callable[[str, str], None] = lambda _device, _why: None,
        on_left: Callable[[list[str]], None] = lambda _devices: None,
        until_s: Callable[[], float] | None = None,
    ) -> None:
        self._begin = begin
        self._limits = limits
        self._clock = clock
        self._on_message = on_message
        self._on_parked = on_parked
        self._on_left = on_left
        self._until_s = until_s
        self._told_until_s = float("-inf")
        self._lock = threading.RLock()
        self._watched: dict[str, _Watched] = {}
        self._workers: list[WorkerProcess] = []
        self._wait = _Wait()
        self._number = 0
        self._ending: list[threading.Thread] = []  # they wait for workers that finish what they record
        self._stop = threading.Event()
        self._look = threading.Event()
        self.reports: dict[str, tuple[float, Report]] = {}
        #: Numbers of each worker by name, as it last said.
        self.counts: dict[int, dict[str, float]] = {}
        #: Ends of workers that nobody asked for.
        self.deaths = 0
        self._thread = threading.Thread(target=self._loop, name="video-supervisor", daemon=True)

    # -- what is asked ------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look after workers."""
        self._thread.start()

    def set_cameras(self, setups: Iterable[CameraSetup], *, parked: Iterable[str] = ()) -> None:
        """These cameras are wanted from now on, and no others; `parked` ones are known and not watched."""
        aside = set(parked)
        wanted = {setup.device: setup for setup in setups}
        with self._lock:
            for device in self._watched.keys() - wanted.keys():
                self._forget(device)
            for device, setup in wanted.items():
                known = self._watched.get(device)
                if known is None:
                    self._watched[device] = _Watched(setup, parked=device in aside)
                    continue
                if known.parked and device not in aside:  # a person let it back in
                    known.parked, known.deaths, known.alone_since_s = False, 0, 0.0
                if known.setup != setup:
                    known.setup = setup
                    if known.worker is not None:
                        known.worker.watch(setup)
        self._look.set()

    def send(self, device: str, message: ToWorker) -> bool:
        """Tell the worker of a camera something; False when it has none now."""
        with self._lock:
            watched = self._watched.get(device)
            worker = watched.worker if watched is not None else None
        return worker is not None and worker.send(message)

    def knows(self, device: str) -> bool:
        """Whether the camera is wanted."""
        with self._lock:
            return device in self._watched

    def parked(self, device: str) -> bool:
        """Whether the camera was set aside."""
        with self._lock:
            watched = self._watched.get(device)
            return watched is not None and watched.parked

    def worker_of(self, device: str) -> int:
        """Number of the worker that watches a camera now, as the log has it; 0: none."""
        with self._lock:
            watched = self._watched.get(device)
            return watched.worker.number if watched is not None and watched.worker is not None else 0

    def process_ids(self) -> list[int]:
        """Process ids of the workers now."""
        with self._lock:
            return [worker.process.pid for worker in self._workers]

    def report(self, device: str) -> Report | None:
        """The newest report of a camera, its media's age counted on to now; None before the first."""
        found = self.reports.get(device)
        if found is None:
            return None
        at_s, report = found
        return _aged(report, self._clock.monotonic_s() - at_s)

    # -- the workers --------------------------------------------------------------------------

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                self._tell_until()
                self.look()
            except Exception as error:  # the cameras stay as they are until the next look
                _log.exception("video supervisor", error=type(error).__name__)
            self._look.wait(self._limits.look_s)
            self._look.clear()

    def _tell_until(self) -> None:
        now_s = self._clock.monotonic_s()
        if self._until_s is None or now_s - self._told_until_s < TELL_UNTIL_S:
            return
        self._told_until_s = now_s
        with self._lock:
            for worker in self._workers:
                worker.crumbs.until_s = self._until_s()

    def look(self) -> None:
        """Find workers that have gone or hang, start what is missing, give cameras out."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            for worker in list(self._workers):
                silent_s = now_s - worker.heard_s
                patience_s = self._limits.silence_s
                if worker.heard_s == worker.started_s:
                    patience_s = self._limits.start_s
                if silent_s > patience_s:
                    _log.error("video worker silent", worker=worker.number, seconds=round(silent_s, 1))
                    worker.kill()
                    worker.process.wait()
                if worker.exit_status() is not None or worker.gone.is_set():
                    self._bury(worker, worker.suspects(), now_s)
            self._calm_down(now_s)
            if now_s >= self._wait.until_s:
                self._give_out(now_s)

    def _give_out(self, now_s: float) -> None:
        for device, watched in self._watched.items():
            if watched.worker is not None or watched.parked:
                continue
            worker = self._worker_for(watched, now_s)
            if worker is None:
                self.reports[device] = (now_s, Report(device, loss="no_room", loss_detail="every video worker is full"))
                continue
            watched.worker = worker
            worker.watch(watched.setup)

    def _worker_for(self, watched: _Watched, now_s: float) -> WorkerProcess | None:
        limits = self._limits
        if watched.deaths and sum(worker.alone for worker in self._workers) < limits.max_alone:
            watched.alone_since_s = now_s
            return self._start(alone=True)
        shared = [worker for worker in self._workers if not worker.alone and not worker.stopping]
        emptiest = min(shared, key=lambda worker: len(worker.setups), default=None)
        crowded = emptiest is None or not emptiest.room or len(emptiest.setups) >= limits.spread_cameras
        if crowded and len(shared) < limits.max_workers:
            return self._start(alone=False)
        return emptiest if emptiest is not None and emptiest.room else None

    def _start(self, *, alone: bool) -> WorkerProcess:
        self._number += 1
        worker = WorkerProcess(
            self._number,
            self._begin,
            max_cameras=1 if alone else self._limits.max_cameras,
            clock=self._clock,
            on_message=self._heard,
            alone=alone,
            until_s=self._until_s() if self._until_s is not None else 0.0,
        )
        self._workers.append(worker)
        _log.info("video worker started", worker=self._number, pid=worker.process.pid, alone=alone)
        return worker

    def _heard(self, worker: WorkerProcess, message: FromWorker) -> None:
        if isinstance(message, Reports):
            at_s = self._clock.monotonic_s()
            for report in message.cameras:
                self.reports[report.device] = (at_s, report)
            self.counts[worker.number] = {**message.counts, "load": message.load}
        elif isinstance(message, Exhausted):
            with self._lock:
                if worker in self._workers:
                    self._bury(worker, [message.device], self._clock.monotonic_s())
            self._look.set()
            return
        self._on_message(message)

    def _bury(self, worker: WorkerProcess, suspects: list[str], now_s: float) -> None:
        """A worker has gone: its cameras wait for another, and who may have done it is remembered."""
        self._workers.remove(worker)
        self.counts.pop(worker.number, None)
        worker.kill()
        devices = [device for device in worker.setups if device in self._watched]
        for device in devices:
            self._watched[device].worker = None
        status = worker.process.wait()
        threading.Thread(target=worker.close, args=(1.0,), name="video-bury", daemon=True).start()
        if worker.stopping:
            return
        self.deaths += 1
        _log.error("video worker died", worker=worker.number, status=status, suspects=suspects)
        if now_s - self._wait.last_death_s > self._limits.restart_max_s:
            self._wait.failures = 0
        self._wait.last_death_s = now_s
        self._wait.failures += 1
        wait_s = min(self._limits.restart_min_s * 2 ** (self._wait.failures - 1), self._limits.restart_max_s)
        self._wait.until_s = now_s + wait_s
        for device in suspects:
            watched = self._watched.get(device)
            if watched is None:
                continue
            watched.deaths += 1
            if watched.deaths >= self._limits.max_deaths and not watched.parked:
                watched.parked = True
                _log.error("camera parked", camera=device, deaths=watched.deaths)
                self._on_parked(device, f"it ended its worker {watched.deaths} times (last status {status})")
        self._on_left(devices)

    def _calm_down(self, now_s: float) -> None:
        """Cameras that were alone and calm for long return among the others; empty processes of theirs end."""
        for worker in self._workers:
            if not worker.alone or worker.stopping:
                continue
            for device in list(worker.setups):
                watched = self._watched.get(device)
                if watched is not None and now_s - watched.alone_since_s > self._limits.calm_s:
                    watched.deaths, watched.worker = 0, None
                    worker.drop(device)
            if not worker.setups and now_s - worker.started_s > self._limits.restart_min_s:
                worker.ask_to_stop()

    def _forget(self, device: str) -> None:
        watched = self._watched.pop(device)
        self.reports.pop(device, None)
        if watched.worker is not None:
            watched.worker.drop(device)

    def ready(self) -> bool:
        """Whether a worker runs that takes cameras at once; one is started where there is none."""
        with self._lock:
            shared = [worker for worker in self._workers if not worker.alone and not worker.stopping]
            if not shared and self._clock.monotonic_s() >= self._wait.until_s:
                self._start(alone=False)
            return any(worker.heard_s != worker.started_s for worker in shared)

    def closing(self) -> set[str]:
        """Cameras that are not wanted any more and to which a worker may still be connected."""
        with self._lock:
            return {device for worker in self._workers for device in worker.closing()}

    def end_closing(self) -> None:
        """End the workers that do not let go of a camera: what they hang on goes with them."""
        with self._lock:
            for worker in self._workers:
                if worker.closing():
                    _log.error("video worker does not let go", worker=worker.number, cameras=len(worker.closing()))
                    worker.kill()

    def close_all(self, within_s: float) -> None:
        """No camera is wanted any more: every connection to one is closed within so long, by force at the end."""
        with self._lock:
            workers, self._workers = self._workers, []
            for known in (self._watched, self.reports, self.counts):
                known.clear()
        end_s = self._clock.monotonic_s() + within_s
        for worker in workers:
            worker.ask_to_stop()
        for worker in workers:
            while worker.closing() and not worker.gone.is_set() and self._clock.monotonic_s() < end_s:
                self._stop.wait(CLOSING_LOOK_S)
            if worker.closing():
                worker.kill()
            thread = threading.Thread(target=self._end, args=(worker,), name="video-close", daemon=True)
            self._ending = [*(one for one in self._ending if one.is_alive()), thread]
            thread.start()

    def _end(self, worker: WorkerProcess) -> None:
        """What it records is finished before anybody else looks at it."""
        devices = list(worker.setups)
        worker.close(CLOSED_END_S)
        self._on_left(devices)

    def stop(self, timeout_s: float) -> None:
        """Ask every worker to end, and wait so long at most."""
        self._stop.set()
        self._look.set()
        self._thread.join(timeout_s)
        with self._lock:
            workers, self._workers = self._workers, []
        for worker in workers:
            worker.ask_to_stop()
        end_s = self._clock.monotonic_s() + timeout_s
        for worker in workers:
            worker.close(max(0.1, end_s - self._clock.monotonic_s()))
        for thread in self._ending:
            thread.join(max(0.1, end_s - self._clock.monotonic_s()))


def _aged(report: Report, seconds: float) -> Report:
    return replace(report, media_age_s=report.media_age_s + max(0.0, seconds))
