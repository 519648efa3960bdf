"""From motion to objects: the part of a picture that moves goes to the worker's one detector, and back to the camera's rules.

Invariants: only what moves is converted and looked at, with some room around it; a camera that is gone is told nothing;
without a model there is none of this, and a model that cannot be opened is said and leaves the rest running.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
import structlog

from analytics.scene.bank import motion_boxes
from lucheng.video.detecting import DetectQueue, Found
from lucheng.video.detectors import open_detector
from model.errors import LuchengError
from model.video import THUMB_HEIGHT_PX, THUMB_WIDTH_PX

if TYPE_CHECKING:
    from config.cameras import Detect
    from lucheng.video.slab import Looked
    from lucheng.video.watched_camera import WatchedCamera
    from model.clock import Clock
    from model.video import Detector

#: Of the moving part, in thumbnail pixels: the smallest that counts, and the room that is left around it.
MIN_MOVING_PX = 8
ROOM_PX = 12
MAX_BOXES = 8
LEAST_CROP_PX = 416

_log = structlog.get_logger(__name__)


def crop_of(boxes: npt.NDArray[np.int32], width_px: int, height_px: int) -> tuple[int, int, int, int]:
    """The part of a picture that the detector is shown for what moves in it: all of that, and enough around it.

    Args:
        boxes: int32 (k, 4) of `motion_boxes`, k at least 1, pixels of the thumbnail.
        width_px: of the picture.
        height_px: likewise.

    Returns: left, top, right, bottom, pixels, even; no side shorter than `LEAST_CROP_PX`, where the picture is as large:
        of a close crop a network takes a car for a bus.
    """
    across, down = width_px / THUMB_WIDTH_PX, height_px / THUMB_HEIGHT_PX
    sides = (boxes[:, 0].min() * across, boxes[:, 1].min() * down, boxes[:, 2].max() * across, boxes[:, 3].max() * down)
    left, right = _widened(sides[0], sides[2], width_px)
    top, bottom = _widened(sides[1], sides[3], height_px)
    return left, top, right, bottom


def _widened(start: float, end: float, most: int) -> tuple[int, int]:
    short = max(0.0, LEAST_CROP_PX - (end - start))
    start, end = start - short / 2, end + short / 2
    start, end = start - max(0.0, end - most), end - min(0.0, start)
    return max(0, math.floor(start / 2) * 2), min(most & ~1, math.ceil(end / 2) * 2)


class ObjectLooks:
    """The detector of a worker and its queue.

    Args:
        detector: what looks. settings: its limits. clock: source of time.
        camera_of: a camera of this worker, None when it has gone.
    """

    def __init__(
        self, detector: Detector, settings: Detect, clock: Clock, camera_of: Callable[[str], WatchedCamera | None]
    ) -> None:
        self._camera_of = camera_of
        self._queue = DetectQueue(
            detector,
            clock=clock,
            on_result=self._found,
            max_queued=settings.max_queued,
            min_interval_ms=settings.min_interval_ms,
            min_score=settings.min_score,
        )
        self._queue.start()

    @classmethod
    def open(cls, settings: Detect, clock: Clock, camera_of: Callable[[str], WatchedCamera | None]) -> Self | None:
        """The detector that is set; None where none is, or it cannot be opened."""
        try:
            detector = open_detector(settings)
        except LuchengError as error:
            _log.error("no detector", error=str(error), mend=error.mend)
            return None
        return cls(detector, settings, clock, camera_of) if detector is not None else None

    def look(self, camera: WatchedCamera, seen: Looked) -> None:
        """A picture with motion in it; on the slab's thread."""
        device = camera.setup.device
        if seen.picture is None or not self._queue.wants(device):
            return
        boxes = motion_boxes(seen.mask(), min_px=MIN_MOVING_PX, max_boxes=MAX_BOXES, grow_px=ROOM_PX)
        if not len(boxes):
            return
        picture = seen.picture
        box = crop_of(boxes, picture.width_px, picture.height_px)
        self._queue.offer(
            device,
            seen.time_ms,
            picture.bgr(box),
            left_px=box[0],
            top_px=box[1],
            width_px=picture.width_px,
            height_px=picture.height_px,
        )

    def _found(self, found: Found) -> None:
        camera = self._camera_of(found.camera)
        if camera is None:
            self._queue.forget(found.camera)
        else:
            camera.rules.found(found.time_ms, found.objects, found.looked)

    def forget(self, device: str) -> None:
        """The camera has gone."""
        self._queue.forget(device)

    def counts(self) -> dict[str, float]:
        """Numbers by name."""
        state = self._queue.state()
        counts = {f"detector_{name}": float(count) for name, count in asdict(self._queue.counts()).items()}
        return counts | {"detector_on": float(state.on), "detector_waiting": float(state.waiting)}

    def close(self) -> None:
        """Look no more."""
        self._queue.stop()
