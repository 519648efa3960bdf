"""`lucheng camera analyze`: what the core sees in a file, picture by picture; and `lucheng camera bench`.

Purpose: the same decoder, scene core, detector and rules as in a worker, on a file and as fast as it goes, so that
settings can be tried out. Invariants: each decoded picture gives one row, in order of presentation; a damaged part gives
none, and is counted in the summary. It stores nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analytics.scene.bank import SceneBank, StreamColumns, motion_boxes
from ingest.video.address import PinnedAddress
from ingest.video.decoding import PictureDecoder
from ingest.video.source import Source
from lucheng.video.messages import Noticed
from lucheng.video.objects import MAX_BOXES, MIN_MOVING_PX, ROOM_PX, crop_of
from lucheng.video.rates import StreamRates
from lucheng.video.rule_watch import RuleWatch
from lucheng.video.slab import Looked
from model.camera import OBJECT_BY_CODE, CameraSettings, health_names
from model.clock import Clock
from model.video import THUMB_HEIGHT_PX, THUMB_WIDTH_PX, TICKS_PER_MS, Detections

if TYPE_CHECKING:
    from analytics.scene.bank import SceneStep
    from ingest.video.decoding import Picture
    from model.video import Detector

ROW = 0


@dataclass(slots=True)
class Summary:
    """What a file was as a whole.

    Attributes:
        frames: pictures looked at. damaged: packets that were left out because of damage.
        motion_events: how often motion began. motion_s: how long it lasted.
        health: seconds that each flag held, by name. objects: most seen at once, by kind.
        noticed: what zones and lines told. took_s: how long it took. length_s: of the file.
    """

    frames: int = 0
    damaged: int = 0
    motion_events: int = 0
    motion_s: float = 0.0
    health: Counter[str] = field(default_factory=Counter)
    objects: Counter[str] = field(default_factory=Counter)
    noticed: list[Noticed] = field(default_factory=list)
    took_s: float = 0.0
    length_s: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The summary as JSON values."""
        return {
            "summary": True,
            "frames": self.frames,
            "damaged": self.damaged,
            "length_s": round(self.length_s, 3),
            "motion_events": self.motion_events,
            "motion_s": round(self.motion_s, 3),
            "health_s": {name: round(held_s, 3) for name, held_s in sorted(self.health.items())},
            "objects": dict(sorted(self.objects.items())),
            "noticed": [
                {"kind": one.kind, "rule": one.rule, "pts_s": one.time_ms / 1000, "note": one.note}
                for one in self.noticed
                if not one.cleared
            ],
            "took_s": round(self.took_s, 3),
        }


class Analyzer:
    """Looks at one file.

    Args:
        file: the video.
        settings: zones, lines, what to ignore, sensitivity.
        clock: for the source.
        detector: finds objects where there is motion; None: none.
        min_score: lowest score that counts.
        keyframes: look at keyframes alone.
        max_pixels: largest picture that is decoded.
    """

    def __init__(
        self,
        file: Path,
        settings: CameraSettings,
        clock: Clock,
        *,
        detector: Detector | None = None,
        min_score: float = 0.35,
        keyframes: bool = False,
        max_pixels: int = 8192 * 4320,
    ) -> None:
        self.summary = Summary()
        self._source = Source(
            PinnedAddress("file", "", "", 0, file.name, file.name, file=file),
            clock=clock,
            epoch=1,
            pace=False,
            loop=False,
        )
        self._settings = settings
        self._detector = detector
        self._min_score = min_score
        self._keyframes = keyframes
        self._max_pixels = max_pixels
        self._rules = RuleWatch("camera/file", settings, self.summary.noticed.append)
        self._bank = SceneBank(1)
        self._bank.set_camera(
            ROW, sensitivity=settings.sensitivity, zones=self._rules.zone_labels, ignore=self._rules.ignored
        )
        self._rates = StreamRates()
        self._last_ms: int | None = None
        self._first_pts = 0

    def rows(self) -> Iterator[dict[str, Any]]:
        """One JSON-ready row a decoded picture: `frame`, `pts_s`, `motion_px`, `motion`, `health`, `objects`.

        `frame` counts from 0, `pts_s` from the first picture. `motion_px` is pixels of the 192x108 thumbnail. Raises
        what opening the file raises (`ingest.video.lost.StreamLost`).
        """
        begun_s = time.monotonic()
        info = self._source.open()
        decoder = PictureDecoder(info, fast=self._keyframes, max_pixels=self._max_pixels)
        try:
            for packet in self._source.packets():
                self._rates.take(replace(packet, time_ms=packet.pts // TICKS_PER_MS))
                if self._keyframes:
                    one = decoder.keyframe_only(packet)
                    pictures = [one] if one is not None else []
                else:
                    pictures = decoder.decode(packet)
                for picture in pictures:
                    yield self._row(picture)
            for picture in decoder.drain():
                yield self._row(picture)
        finally:
            self.summary.damaged = decoder.quarantined
            self.summary.took_s = time.monotonic() - begun_s
            decoder.close()
            self._source.close()

    def _row(self, picture: Picture) -> dict[str, Any]:
        # Read as fast as it goes, only the file's own time means anything.
        if self._last_ms is None:
            self._first_pts = picture.pts
        at_ms = (picture.pts - self._first_pts) // TICKS_PER_MS
        luma = np.empty((1, THUMB_HEIGHT_PX, THUMB_WIDTH_PX), np.uint8)
        picture.thumbnail(luma[0])
        rates = self._rates
        columns = StreamColumns(
            *(
                np.array([value], np.float32)
                for value in (rates.fps, rates.bitrate_kbps, rates.keyframe_gap_s, rates.corrupt_share)
            )
        )
        if self._keyframes:  # pictures are as far apart as they are by choice
            columns = StreamColumns(*(np.array([np.nan], np.float32) for _ in range(4)))
        found = self._bank.step(np.array([ROW], np.int32), luma, np.array([at_ms], np.int64), columns)
        seen = _looked(found, at_ms, picture)
        self._rules.looked(seen)
        objects = self._objects(seen, picture)
        self._sum(seen, at_ms, objects)
        row = {
            "frame": self.summary.frames - 1,
            "pts_s": round(at_ms / 1000, 3),
            "motion_px": int(found.motion_px[0]),
            "motion": seen.motion,
            "health": health_names(seen.health),
            "objects": objects,
        }
        self._last_ms = at_ms
        return row

    def _sum(self, seen: Looked, at_ms: int, objects: list[dict[str, Any]]) -> None:
        summary = self.summary
        step_s = (at_ms - self._last_ms) / 1000 if self._last_ms is not None else 0.0
        summary.frames += 1
        summary.length_s = at_ms / 1000
        summary.motion_events += seen.started
        summary.motion_s += step_s * seen.motion
        for name in health_names(seen.health):
            summary.health[name] += step_s  # type: ignore[assignment]  # seconds, not a count
        for kind, count in Counter(one["kind"] for one in objects).items():
            summary.objects[kind] = max(summary.objects[kind], count)

    def _objects(self, seen: Looked, picture: Picture) -> list[dict[str, Any]]:
        if self._detector is None or not seen.motion:
            return []
        boxes = motion_boxes(seen.mask(), min_px=MIN_MOVING_PX, max_boxes=MAX_BOXES, grow_px=ROOM_PX)
        if not len(boxes):
            return []
        left, top, right, bottom = crop_of(boxes, picture.width_px, picture.height_px)
        crop = picture.bgr((left, top, right, bottom))
        found = self._detector.detect([crop], min_score=self._min_score)
        size = np.array([picture.width_px, picture.height_px] * 2, np.float32)
        box = (found.box + np.array([left, top] * 2, np.float32)) / size
        height, width = crop.shape[:2]
        looked = (left / size[0], top / size[1], (left + width) / size[0], (top + height) / size[1])
        self._rules.found(seen.time_ms, Detections(found.image, box, found.score, found.kind), looked)
        return [
            {"kind": OBJECT_BY_CODE[kind].value, "score": round(score, 3), "box": [round(side, 4) for side in sides]}
            for kind, score, sides in zip(found.kind.tolist(), found.score.tolist(), box.tolist(), strict=True)
        ]


def _looked(found: SceneStep, time_ms: int, picture: Picture) -> Looked:
    return Looked(
        time_ms,
        bool(found.moving[0]),
        bool(found.motion[0]),
        bool(found.started[0]),
        bool(found.ended[0]),
        bool(found.still[0]),
        bool(found.learning[0]),
        float(found.motion_px[0]) / (THUMB_HEIGHT_PX * THUMB_WIDTH_PX),
        found.zone_motion[0],
        partial(found.masks.of, 0),
        int(found.health[0]),
        int(found.health_raised[0]),
        int(found.health_cleared[0]),
        picture,
    )
