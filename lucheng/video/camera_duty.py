"""How every camera is, second by second: states with their signals and alarms, and the time series.

Invariants: a state derives from the age of a camera's media and from what is wrong with it, never from a connection being
up; it lives in the service, so that a worker's death is an interruption like another; each change is a signal, and an
alarm where the settings say so, which goes when the camera is back. Samples are taken for all cameras at once.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import structlog

from analytics.scene.states import CameraStates, StateLimits
from console.camera_seams import CameraRow
from lucheng.video.camera_signals import begins_and_ends
from lucheng.video.messages import Noticed, Report
from model.camera import STATE_NUMBER, CameraState
from model.errors import LuchengError, StoreError
from model.seams import Samples

if TYPE_CHECKING:
    from config.cameras import Camera
    from lucheng.video.camera_signals import CameraSignals
    from lucheng.video.supervisor import Supervisor
    from model.camera import CameraSettings, CameraSetup
    from model.clock import Clock
    from model.desk import Desk
    from model.seams import SeriesStore

LOOK_EVERY_S = 1.0
#: Names of the time series, and the field of a report that each samples.
SERIES = (
    ("camera_fps", "fps"),
    ("camera_bitrate_kbps", "bitrate_kbps"),
    ("camera_motion_share", "motion_share"),
    ("camera_lag_ms", "lag_ms"),
)
STATE_SERIES = "camera_state"
#: States in which there are no pictures.
_DARK = frozenset({CameraState.OFFLINE, CameraState.PARKED})

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Camera:
    """What the duty knows of a camera.

    Attributes:
        row: of the states. entered_s: since when it is watched, or let back. since_ms: since when its state is what it is.
        told_offline, told_parked: its alarm was raised. seen: it was online since it is watched.
    """

    row: int
    entered_s: float
    since_ms: int
    told_offline: bool = False
    told_parked: bool = False
    seen: bool = False


class CameraDuty:
    """Looks at all cameras once a second, on a thread of its own.

    Args:
        supervisor: has their reports.
        signals: takes what changed.
        series: takes the samples.
        desk: knows which cameras have an alarm from before.
        settings: section `camera`.
        clock: source of time.
        on_fatal: called when the series store fails.
        every_second: what else is due about once a second.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        signals: CameraSignals,
        series: SeriesStore,
        desk: Desk,
        settings: Camera,
        clock: Clock,
        *,
        on_fatal: Callable[[BaseException], None],
        every_second: Callable[[], None] = lambda: None,
    ) -> None:
        self._supervisor = supervisor
        self._signals = signals
        self._series = series
        self._desk = desk
        self._settings = settings
        self._clock = clock
        self._on_fatal = on_fatal
        self._every_second = every_second
        self._lock = threading.Lock()
        self._states = CameraStates(
            StateLimits(
                offline_after_s=settings.offline_after_s,
                stalled_after_s=settings.stalled_after_s,
                recover_after_s=settings.recover_after_s,
            )
        )
        self._setups: dict[str, CameraSetup] = {}
        self._parked: dict[str, str] = {}
        self._cameras: dict[str, _Camera] = {}
        self._sampled_s = clock.monotonic_s()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="cameras", daemon=True)

    def start(self) -> None:
        """Look until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def set_cameras(
        self, setups: Mapping[str, CameraSetup], parked: Mapping[str, str], *, moved: Collection[str] = ()
    ) -> None:
        """These cameras are watched from now on; `parked` of them are set aside, and why.

        Of those that go, the alarms of `moved` ones stay: somebody else watches them and goes on with those.
        """
        with self._lock:
            self._setups = dict(setups)
            self._parked = dict(parked)
            before = self._cameras
            now_s, now_ms = self._clock.monotonic_s(), self._clock.now_ms()
            rows = [before[device].row if device in before else -1 for device in setups]
            self._states.rearrange(np.array(rows, np.int32))
            self._cameras = {
                device: before.get(device) or _Camera(row, now_s, now_ms) for row, device in enumerate(setups)
            }
            for row, camera in enumerate(self._cameras.values()):
                camera.row = row
        for device, camera in before.items():
            if device not in setups and device not in moved:  # nobody would ever end them
                for kind, told in (("offline", camera.told_offline), ("camera_fault", camera.told_parked)):
                    if told:
                        self._clear(device, kind, now_ms)

    def settings_of(self, device: str) -> CameraSettings | None:
        """Settings of a camera that is watched and not set aside; None for any other device. From memory."""
        with self._lock:
            found = self._setups.get(device)
            return found.settings if found is not None and device not in self._parked else None

    def rows(self) -> dict[str, CameraRow]:
        """How each camera is now."""
        with self._lock:
            cameras = [(device, self._states.of(one.row), one.since_ms) for device, one in self._cameras.items()]
        return {
            device: _row(device, state, since_ms, self._supervisor.report(device), self._supervisor.worker_of(device))
            for device, state, since_ms in cameras
        }

    def counts(self) -> dict[str, int]:
        """Cameras by state."""
        with self._lock:
            found = Counter(self._states.of(one.row).value for one in self._cameras.values())
        return {state.value: found[state.value] for state in CameraState}

    def _loop(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            try:
                self.look()
                self._every_second()
            except StoreError as error:
                self._on_fatal(error)
                return
            except LuchengError as error:
                _log.error("cameras not looked at", error=str(error), mend=error.mend)
            except Exception as error:  # the next look may do better; a duty that ends unseen is worse
                _log.exception("cameras not looked at", error=type(error).__name__)

    # -- one look -----------------------------------------------------------------------------

    def look(self) -> None:
        """Find out how every camera is; tell what has changed; take samples where it is time."""
        now_s, now_ms = self._clock.monotonic_s(), self._clock.now_ms()
        with self._lock:
            devices = list(self._cameras)
            cameras = list(self._cameras.values())
            parked = np.fromiter((device in self._parked for device in devices), np.bool_, len(devices))
            reports = [self._supervisor.report(device) for device in devices]
            ages_s = np.array([np.inf if one is None else one.media_age_s for one in reports], np.float64)
            changes = self._states.step(
                now_s,
                now_s - ages_s,
                np.array([0 if one is None else one.health for one in reports], np.uint16),
                interval_s=np.array([np.nan if one is None or not one.fps else 1 / one.fps for one in reports]),
                parked=parked,
            )
            for change in changes:
                cameras[change.row].since_ms = now_ms
            states = [self._states.of(one.row) for one in cameras]
            settings = [self._setups[device].settings for device in devices]
        for change in changes:
            note = f"{change.before.value} ▸ {change.after.value}"
            self._tell(devices[change.row], "camera_state", now_ms, alarm=False, note=note)
        for device, camera, state, wanted in zip(devices, cameras, states, settings, strict=True):
            self._follow(device, camera, state, now_s, now_ms, alarm="offline" in wanted.health_alarms)
            if not camera.seen and state not in _DARK:
                camera.seen = True
                self._settle(device, wanted, now_ms)
        if now_s - self._sampled_s >= self._settings.sample_s:
            self._sampled_s = now_s
            self._sample(devices, states, reports, now_ms)

    def _follow(
        self, device: str, camera: _Camera, state: CameraState, now_s: float, now_ms: int, *, alarm: bool
    ) -> None:
        """An alarm for a camera that has gone; it goes when the camera is back."""
        if state is CameraState.PARKED and not camera.told_parked:
            camera.told_parked = True
            self._tell(device, "camera_fault", now_ms, alarm=True, note=self._parked.get(device, ""))
        elif state is not CameraState.PARKED and camera.told_parked:
            camera.told_parked = False
            camera.entered_s = now_s
            self._clear(device, "camera_fault", now_ms)
        if state in _DARK:
            # at its entry a camera has as long as it would have later
            due = now_s - camera.entered_s >= self._settings.offline_after_s
            if state is CameraState.OFFLINE and due and not camera.told_offline:
                camera.told_offline = True
                report = self._supervisor.report(device)
                note = "" if report is None else f"{report.loss} {report.loss_detail}".strip()
                self._tell(device, "offline", now_ms, alarm=alarm, note=note)
        elif camera.told_offline:
            camera.told_offline = False
            self._clear(device, "offline", now_ms)

    def _settle(self, device: str, settings: CameraSettings, now_ms: int) -> None:
        """The camera is seen for the first time: what was told of it before the service ran, and is not so now, is over."""
        now = self._signals.going_on(device)
        for kind, rule in [("offline", ""), ("camera_fault", ""), *begins_and_ends(settings)]:
            if (kind, rule) not in now and self._desk.open_alarm(device, [kind]):
                self._clear(device, kind, now_ms, rule)

    def _tell(self, device: str, kind: str, time_ms: int, *, alarm: bool, note: str) -> None:
        self._signals.put(Noticed(device, kind, "", cleared=False, alarm=alarm, time_ms=time_ms, note=note))

    def _clear(self, device: str, kind: str, time_ms: int, rule: str = "") -> None:
        self._signals.put(Noticed(device, kind, rule, cleared=True, alarm=True, time_ms=time_ms))

    def _sample(self, devices: list[str], states: list[CameraState], reports: list[Report | None], now_ms: int) -> None:
        time_ms = np.array([now_ms], np.int64)
        samples = []
        for device, state, report in zip(devices, states, reports, strict=True):
            samples.append(Samples(STATE_SERIES, device, time_ms, np.array([float(STATE_NUMBER[state])])))
            if report is None or state in _DARK:
                continue
            samples += [
                Samples(series, device, time_ms, np.array([value]))
                for series, name in SERIES
                if math.isfinite(value := float(getattr(report, name)))
            ]
        self._series.put_many_numbers(samples)


def _row(device: str, state: CameraState, since_ms: int, report: Report | None, worker: int) -> CameraRow:
    if report is None:
        return CameraRow(device, state, since_ms, worker=worker)
    return CameraRow(
        device=device,
        state=state,
        since_ms=since_ms,
        mode=report.mode,
        gate=report.gate,
        gate_why=report.gate_why_en,
        gate_why_zh=report.gate_why_zh,
        recall=report.gate_recall if report.gate == "on" and report.gate_recall >= 0 else float("nan"),
        fps=report.fps,
        bitrate_kbps=report.bitrate_kbps,
        keyframe_gap_s=report.keyframe_gap_s,
        lag_ms=report.lag_ms,
        media_age_s=report.media_age_s,
        codec=report.codec,
        width_px=report.width_px,
        height_px=report.height_px,
        health=report.health,
        recording=report.recording,
        loss=report.loss,
        detail=report.loss_detail,
        worker=worker,
    )
