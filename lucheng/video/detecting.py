"""`DetectQueue`: one detector on one thread for all cameras of a worker.

Purpose: pictures wait here for the detector, and what it finds goes back as fractions of the whole picture. Invariants:
- A camera has at most one picture waiting; a newer one takes its place. All together wait at most `max_queued`, of at most
  `max_side_px` a side, so that memory is bounded whatever the cameras send.
- Fair: whose last look is longest ago comes first, and who was looked at most recently gives way when it is full.
- Every picture that is offered is looked at, or counted under the reason why not.
- A picture that the detector cannot take ends nothing; after `max_failures` in a row the detector is off for `off_s`.
- `on_result` is called on the queue's thread; what it raises is counted and ends nothing.
It decides neither what moves nor what an object means.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from analytics.detect.yolox import is_picture
from model.video import Bgr, Detections

if TYPE_CHECKING:
    from model.clock import Clock
    from model.video import Detector

MAX_QUEUED = 64
MIN_INTERVAL_MS = 200
#: A larger crop is shrunk when it is offered: no detector here looks at more.
MAX_SIDE_PX = 640
MAX_FAILURES = 3
OFF_S = 60.0
#: Of the text of an error.
MAX_REASON_CHARS = 200
#: How long `stop` waits for a look that is going on, seconds.
STOP_WAIT_S = 10.0
WHOLE = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Found:
    """What the detector found in one picture.

    Attributes:
        camera: device id.
        time_ms: when the picture was taken, UTC ms.
        objects: boxes as fractions of the whole picture (not pixels); `image` is 0.
        looked: the part that was looked at, left, top, right, bottom, fractions of the whole picture.
    """

    camera: str
    time_ms: int
    objects: Detections
    looked: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class DetectState:
    """How the detector is.

    Attributes:
        detector: its name.
        on: whether it takes pictures.
        reason: why it is off, or what its last failure was; "" for none. One line.
        busy_s: how long the look that is going on has taken; 0 while it waits.
        waiting: pictures that wait.
    """

    detector: str
    on: bool
    reason: str
    busy_s: float
    waiting: int


@dataclass(slots=True)
class DetectCounts:
    """Pictures since the start, by what became of them, and what was found.

    Attributes:
        offered: all.
        too_soon: within `min_interval_ms` of the camera's last one.
        replaced: a newer one of its camera came while it waited.
        gave_way: the queue was full.
        while_off: the detector was off, or the queue had ended.
        no_picture: not (H, W, 3) of uint8, or without a pixel.
        forgotten: its camera went away.
        looked: looked at; failed: … and the detector raised.
        objects: found in them.
        result_errors: `on_result` raised.
        turned_off: times that the detector was turned off.
    """

    offered: int = 0
    too_soon: int = 0
    replaced: int = 0
    gave_way: int = 0
    while_off: int = 0
    no_picture: int = 0
    forgotten: int = 0
    looked: int = 0
    failed: int = 0
    objects: int = 0
    result_errors: int = 0
    turned_off: int = 0


@dataclass(frozen=True, slots=True)
class _Waiting:
    camera: str
    time_ms: int
    picture: Bgr
    looked: tuple[float, float, float, float]


class DetectQueue:
    """The detector of one worker; any thread may offer.

    Args:
        detector: what looks.
        max_queued: pictures that wait at most, of all cameras.
        min_interval_ms: shortest time between two pictures of one camera.
        min_score: lowest score that counts, 0..1.
        clock: source of time.
        on_result: called with what was found in each picture, also when that is nothing.
        max_side_px, max_failures, off_s: see their defaults.
    """

    def __init__(
        self,
        detector: Detector,
        *,
        clock: Clock,
        on_result: Callable[[Found], None],
        max_queued: int = MAX_QUEUED,
        min_interval_ms: int = MIN_INTERVAL_MS,
        min_score: float = 0.35,
        max_side_px: int = MAX_SIDE_PX,
        max_failures: int = MAX_FAILURES,
        off_s: float = OFF_S,
    ) -> None:
        self._detector = detector
        self._clock = clock
        self._on_result = on_result
        self._max_queued = max_queued
        self._min_interval_s = min_interval_ms / 1000
        self._min_score = min_score
        self._max_side_px = max_side_px
        self._max_failures = max_failures
        self._off_s = off_s
        self._change = threading.Condition()
        self._waiting: dict[str, _Waiting] = {}
        #: When a camera's last picture was taken in, and the number of its last look.
        self._taken_s: dict[str, float] = {}
        self._turn: dict[str, int] = {}
        self._turns = 0
        self._failures = 0
        self._off_until_s = 0.0
        self._reason = ""
        self._busy_since_s: float | None = None
        self._stopping = False
        self._counts = DetectCounts()
        self._thread = threading.Thread(target=self._run, name="detector", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; a look that is going on is waited for, `STOP_WAIT_S` at most."""
        with self._change:
            self._stopping = True
            self._counts.while_off += len(self._waiting)
            self._waiting.clear()
            self._change.notify_all()
        if self._thread.ident is not None:
            self._thread.join(STOP_WAIT_S)

    def wants(self, camera: str) -> bool:
        """Whether a picture of this camera would be taken in now: asked before one is cropped and converted."""
        with self._change:
            return self._open() and self._due(camera)

    def offer(
        self,
        camera: str,
        time_ms: int,
        crop: Bgr,
        *,
        left_px: int = 0,
        top_px: int = 0,
        width_px: int | None = None,
        height_px: int | None = None,
    ) -> bool:
        """Let the detector look at a picture or a part of it; never waits. Whether it was taken in.

        Args:
            camera: device id.
            time_ms: when it was taken, UTC ms.
            crop: (H, W, 3) uint8 BGR; not to be changed any more unless it is larger than `max_side_px`.
            left_px: where the crop begins in the whole picture.
            top_px: likewise.
            width_px: of the whole picture; the crop's own unless given.
            height_px: likewise.
        """
        with self._change:
            self._counts.offered += 1
            if not self._open():
                self._counts.while_off += 1
                return False
            if not is_picture(crop):
                self._counts.no_picture += 1
                return False
            if not self._due(camera):
                self._counts.too_soon += 1
                return False
        height, width = crop.shape[:2]
        full_width, full_height = width_px or width, height_px or height
        looked = (
            left_px / full_width,
            top_px / full_height,
            (left_px + width) / full_width,
            (top_px + height) / full_height,
        )
        # Shrunk on the caller's thread, outside of the lock.
        return self._take_in(_Waiting(camera, time_ms, _shrunk(crop, self._max_side_px), looked))

    def forget(self, camera: str) -> None:
        """A camera goes away."""
        with self._change:
            self._counts.forgotten += self._waiting.pop(camera, None) is not None
            self._taken_s.pop(camera, None)
            self._turn.pop(camera, None)

    def state(self) -> DetectState:
        """How the detector is now."""
        with self._change:
            now_s = self._clock.monotonic_s()
            busy_s = 0.0 if self._busy_since_s is None else now_s - self._busy_since_s
            return DetectState(self._detector.name, self._open(), self._reason, busy_s, len(self._waiting))

    def counts(self) -> DetectCounts:
        """A copy of the counts."""
        with self._change:
            counts = self._counts
            return DetectCounts(**{name: getattr(counts, name) for name in DetectCounts.__slots__})

    def _open(self) -> bool:
        return not self._stopping and self._clock.monotonic_s() >= self._off_until_s

    def _due(self, camera: str) -> bool:
        """A picture that would take the place of one that waits is no further look."""
        last_s = self._taken_s.get(camera)
        return camera in self._waiting or last_s is None or self._clock.monotonic_s() - last_s >= self._min_interval_s

    def _take_in(self, picture: _Waiting) -> bool:
        with self._change:
            if not self._open():
                self._counts.while_off += 1
                return False
            if picture.camera in self._waiting:
                self._counts.replaced += 1
            else:
                if len(self._waiting) >= self._max_queued and not self._make_room(picture.camera):
                    self._counts.gave_way += 1
                    return False
                self._taken_s[picture.camera] = self._clock.monotonic_s()
            self._waiting[picture.camera] = picture
            self._change.notify_all()
            return True

    def _make_room(self, camera: str) -> bool:
        """Let the camera that was looked at last give way, unless that is the one that asks."""
        last = max(self._waiting, key=lambda name: self._turn.get(name, 0))
        if self._turn.get(last, 0) <= self._turn.get(camera, 0):
            return False
        del self._waiting[last]
        self._counts.gave_way += 1
        return True

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._stopping or self._waiting)
                if self._stopping:
                    return
                batch = self._next()
                self._busy_since_s = self._clock.monotonic_s()
            found = self._look(batch)
            with self._change:
                self._busy_since_s = None
            for picture, objects in found:
                self._tell(picture, objects)

    def _next(self) -> list[_Waiting]:
        """Whose turn it is: whose last look is longest ago, by the order of coming among those."""
        turns = sorted(self._waiting, key=lambda name: self._turn.get(name, 0))
        batch = [self._waiting.pop(name) for name in turns[: max(1, self._detector.best_batch)]]
        for picture in batch:
            self._turns += 1
            self._turn[picture.camera] = self._turns
        return batch

    def _look(self, batch: list[_Waiting]) -> list[tuple[_Waiting, Detections]]:
        """The pictures of the batch that could be looked at, with what is in them; boxes in pixels."""
        try:
            objects = self._detector.detect([picture.picture for picture in batch], min_score=self._min_score)
        except Exception as error:
            if len(batch) == 1:
                self._failed(error)
                return []
            # One bad picture must not take the others along.
            return [seen for picture in batch for seen in self._look([picture])]
        with self._change:
            self._failures = 0
            self._counts.looked += len(batch)
            self._counts.objects += len(objects)
        return [(picture, _of(objects, at)) for at, picture in enumerate(batch)]

    def _failed(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        with self._change:
            self._counts.looked += 1
            self._counts.failed += 1
            self._failures += 1
            self._reason = text[:MAX_REASON_CHARS]
            if self._failures >= self._max_failures:
                self._failures = 0
                self._off_until_s = self._clock.monotonic_s() + self._off_s
                self._counts.turned_off += 1
                self._counts.while_off += len(self._waiting)
                self._waiting.clear()

    def _tell(self, picture: _Waiting, objects: Detections) -> None:
        left, top, right, bottom = picture.looked
        height, width = picture.picture.shape[:2]
        scale = np.array([(right - left) / width, (bottom - top) / height] * 2)
        box = objects.box * scale + np.array([left, top, left, top])
        whole = Detections(
            np.zeros(len(objects), np.int32), np.clip(box, 0, 1).astype(np.float32), objects.score, objects.kind
        )
        try:
            self._on_result(Found(picture.camera, picture.time_ms, whole, picture.looked))
        except Exception:
            with self._change:
                self._counts.result_errors += 1


def _of(objects: Detections, image: int) -> Detections:
    mine = objects.image == image
    return Detections(objects.image[mine], objects.box[mine], objects.score[mine], objects.kind[mine])


def _shrunk(picture: Bgr, max_side_px: int) -> Bgr:
    """The picture itself, or a smaller copy whose longer side is `max_side_px`."""
    height, width = picture.shape[:2]
    longer = max(height, width)
    if longer <= max_side_px:
        return picture
    size = (max(1, round(width * max_side_px / longer)), max(1, round(height * max_side_px / longer)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)
