"""Thumbnails of all cameras of a worker in one array, stepped together a few times a second.

Invariants: a camera's thread puts the newest picture of its camera, one thread steps what has come, all at once; a picture
that comes before the last one was stepped takes its place, so nobody waits and nothing queues. Only who has entered a row
puts anything there. Python runs once a step and once for each camera that was looked at; what a step says is told on the
stepping thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import structlog

from analytics.scene.bank import SceneBank, SceneLimits, StreamColumns
from model.video import THUMB_HEIGHT_PX, THUMB_WIDTH_PX, Luma

if TYPE_CHECKING:
    from analytics.scene.bank import SceneStep
    from ingest.video.decoding import Picture
    from model.clock import Clock

DEFAULT_STEP_S = 0.1
#: A camera that is decoded fully is looked at so often at most.
DEFAULT_LOOK_EVERY_MS = 200

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Looked:
    """What one step says of one camera.

    Attributes:
        time_ms: of the picture.
        moving, started, ended, still, lighting, learning: see `SceneStep`.
        motion_share: of the picture.
        zone_motion: (MAX_ZONES + 1,) whether there is motion in each zone.
        mask: gives (H, W), 255 where there is motion; to be called during the call alone.
        health, health_raised, health_cleared: bits of `Health`.
        picture: the picture itself where the camera keeps it for the detector, else None.
    """

    time_ms: int
    moving: bool
    motion: bool
    started: bool
    ended: bool
    still: bool
    learning: bool
    motion_share: float
    zone_motion: npt.NDArray[np.bool_]
    mask: Callable[[], Luma]
    health: int
    health_raised: int
    health_cleared: int
    picture: Picture | None


class Watcher(Protocol):
    """A camera, as the slab knows it."""

    #: (fps, bitrate_kbps, keyframe_gap_s, corrupt_share) as measured.
    @property
    def rates(self) -> tuple[float, float, float, float]: ...

    def looked(self, seen: Looked) -> None:
        """What a step says; on the slab's thread."""
        ...


class Slab:
    """The array, its bank of scenes, and the thread that steps them.

    Args:
        capacity: cameras at most.
        clock: source of time.
        limits: of the scenes.
        step_s: time between two steps. look_every_ms: see the constant.
    """

    def __init__(
        self,
        capacity: int,
        clock: Clock,
        *,
        limits: SceneLimits | None = None,
        step_s: float = DEFAULT_STEP_S,
        look_every_ms: int = DEFAULT_LOOK_EVERY_MS,
    ) -> None:
        self._clock = clock
        self._step_s = step_s
        self._look_every_ms = look_every_ms
        self._lock = threading.Lock()
        self.bank = SceneBank(capacity, limits=limits or SceneLimits())
        self._luma = np.zeros((capacity, THUMB_HEIGHT_PX, THUMB_WIDTH_PX), np.uint8)
        self._time_ms = np.zeros(capacity, np.int64)
        self._fresh = np.zeros(capacity, np.bool_)
        self._looked_ms = np.full(capacity, np.iinfo(np.int64).min // 2, np.int64)
        self._pictures: list[Picture | None] = [None] * capacity
        self._watchers: list[Watcher | None] = [None] * capacity
        self._settings: list[tuple[int, float, Luma | None, npt.NDArray[np.bool_] | None]] = []
        self._resets: set[int] = set()
        self._stop = threading.Event()
        self._come = threading.Event()
        #: Pictures that gave way to a newer one before they were looked at.
        self.replaced = 0
        self.steps = 0
        self._thread = threading.Thread(target=self._loop, name="scenes", daemon=True)

    def start(self) -> None:
        """Begin to step."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._come.set()
        self._thread.join()

    def enter(
        self,
        row: int,
        watcher: Watcher,
        *,
        sensitivity: float,
        zones: Luma | None,
        ignore: npt.NDArray[np.bool_] | None,
    ) -> None:
        """A camera takes a row (again), with these settings; its scene is learnt anew."""
        with self._lock:
            self._watchers[row] = watcher
            self._fresh[row] = False
            self._looked_ms[row] = np.iinfo(np.int64).min // 2
            self._settings.append((row, sensitivity, zones, ignore))
            self._resets.add(row)

    def leave(self, row: int) -> None:
        """A camera gives its row back."""
        with self._lock:
            self._watchers[row] = None
            self._pictures[row] = None
            self._fresh[row] = False

    def reset(self, row: int, watcher: Watcher) -> None:
        """The camera's pictures are others from now on: learn its scene anew. Nothing happens where the row is not its own."""
        with self._lock:
            if self._watchers[row] is watcher:
                self._resets.add(row)
                self._fresh[row] = False
                self._pictures[row] = None

    def wants(self, row: int, time_ms: int) -> bool:
        """Whether a picture of that time would be looked at."""
        since_ms = time_ms - int(self._looked_ms[row])
        return since_ms >= self._look_every_ms or since_ms < 0

    def put(self, row: int, watcher: Watcher, picture: Picture, *, keep: bool) -> None:
        """A picture has come; with `keep` it is held until it was looked at. On the camera's thread.

        It is passed over where the row is not the camera's own (any more): a thread that hung comes back late.
        """
        small = np.empty((THUMB_HEIGHT_PX, THUMB_WIDTH_PX), np.uint8)
        picture.thumbnail(small)
        with self._lock:
            if self._watchers[row] is not watcher:
                return
            self.replaced += int(self._fresh[row])
            self._luma[row] = small
            self._time_ms[row] = self._looked_ms[row] = picture.time_ms
            self._pictures[row] = picture if keep else None
            self._fresh[row] = True
        self._come.set()

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._come.wait()
            self._come.clear()
            try:
                self.step()
            except Exception as error:  # the next step sees other pictures
                _log.exception("scenes not stepped", error=type(error).__name__)
                self._come.set()  # for what waits still
            self._stop.wait(self._step_s)

    def step(self) -> int:
        """Look at what has come; how many pictures that was."""
        with self._lock:
            while self._settings:
                row, sensitivity, zones, ignore = self._settings.pop(0)
                self.bank.set_camera(row, sensitivity=sensitivity, zones=zones, ignore=ignore)
            for row in self._resets:
                self.bank.reset(row)
            self._resets.clear()
            rows = np.flatnonzero(self._fresh).astype(np.int32)
            if not len(rows):
                return 0
            luma, time_ms = self._luma[rows], self._time_ms[rows]
            self._fresh[rows] = False
            watchers = [self._watchers[row] for row in rows.tolist()]
            pictures = [self._pictures[row] for row in rows.tolist()]
            for row in rows.tolist():
                self._pictures[row] = None
        rates = np.array([one.rates if one is not None else (np.nan,) * 4 for one in watchers], np.float32)
        found = self.bank.step(rows, luma, time_ms, StreamColumns(*rates.T))
        self.steps += 1
        for at, watcher in enumerate(watchers):
            if watcher is not None:
                self._tell(watcher, found, at, int(time_ms[at]), pictures[at])
        return len(rows)

    @staticmethod
    def _tell(watcher: Watcher, found: SceneStep, at: int, time_ms: int, picture: Picture | None) -> None:
        seen = Looked(
            time_ms,
            bool(found.moving[at]),
            bool(found.motion[at]),
            bool(found.started[at]),
            bool(found.ended[at]),
            bool(found.still[at]),
            bool(found.learning[at]),
            float(found.motion_px[at]) / (THUMB_HEIGHT_PX * THUMB_WIDTH_PX),
            found.zone_motion[at],
            partial(found.masks.of, at),
            int(found.health[at]),
            int(found.health_raised[at]),
            int(found.health_cleared[at]),
            picture,
        )
        try:
            watcher.looked(seen)
        except Exception as error:  # one camera's trouble is not its neighbours'
            _log.exception("camera not told", error=type(error).__name__)
