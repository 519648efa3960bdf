"""A drawn street as a camera sees it: a road, houses, lamps; now and then a car, an e-bike or somebody on foot.

Invariants: the same seed draws the same film; nothing in it is anybody. Sizes are those of the picture, times those of
the film. It draws into BGR pictures and encodes nothing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Bgr = npt.NDArray[np.uint8]
Color = tuple[int, int, int]

#: Standard deviation of the sensor's noise, grey levels.
NOISE_LEVELS = 1.6
_CAR_COLORS: tuple[Color, ...] = ((60, 60, 180), (170, 120, 60), (210, 210, 210), (70, 70, 70), (60, 140, 170))


@dataclass(frozen=True, slots=True)
class Passer:
    """Something that crosses the picture.

    Attributes:
        what: `car`, `ebike` or `walker`.
        from_s, to_s: when it comes in and when it has gone, seconds of the film.
        lane: 0 (far) to 1 (near): its place across the road.
        leftward: whether it comes from the right.
        color: of it.
    """

    what: str
    from_s: float
    to_s: float
    lane: float
    leftward: bool
    color: Color


def passers(seed: int, length_s: float, *, busy: float = 0.3) -> list[Passer]:
    """Who passes in a film of that length; `busy` is about the share of the time in which anybody does."""
    rng = random.Random(seed)
    found: list[Passer] = []
    at_s = rng.uniform(0, 3)
    while at_s < length_s - 2:
        what = rng.choice(("car", "car", "ebike", "walker"))
        takes_s = {"car": rng.uniform(3, 5), "ebike": rng.uniform(5, 8), "walker": rng.uniform(10, 16)}[what]
        end_s = min(at_s + takes_s, length_s)
        lane = rng.uniform(0.85, 1.0) if what == "walker" else rng.uniform(0.1, 0.7)
        found.append(Passer(what, at_s, end_s, lane, rng.random() < 0.5, rng.choice(_CAR_COLORS)))
        at_s = end_s + takes_s * (1 - busy) / max(busy, 0.01) * rng.uniform(0.5, 1.5)
    return found


class Street:
    """The scene of one camera.

    Args:
        seed: of everything that differs from one street to the next.
        width_px, height_px: of the pictures.
        title: written into the picture, as cameras do.
    """

    def __init__(self, seed: int, *, width_px: int, height_px: int, title: str = "") -> None:
        self._rng = np.random.default_rng(seed)
        self._width_px, self._height_px = width_px, height_px
        self._empty = self._draw_empty(random.Random(seed), title)

    def frames(self, crowd: list[Passer], *, fps: float, length_s: float) -> Iterator[Bgr]:
        """The pictures of the film, (height, width, 3) uint8 each, a new array every time."""
        for number in range(round(fps * length_s)):
            yield self.frame(crowd, number / fps)

    def frame(self, crowd: list[Passer], at_s: float) -> Bgr:
        """The picture at a moment."""
        picture = self._empty.copy()
        for passer in sorted(crowd, key=lambda one: one.lane):
            if passer.from_s <= at_s < passer.to_s:
                self._draw(picture, passer, (at_s - passer.from_s) / (passer.to_s - passer.from_s))
        noise = self._rng.standard_normal(picture.shape[:2], np.float32) * NOISE_LEVELS
        noisy: Bgr = np.clip(picture + noise[..., None], 0, 255).astype(np.uint8)
        return noisy

    def _draw_empty(self, rng: random.Random, title: str) -> Bgr:
        width_px, height_px = self._width_px, self._height_px
        picture = np.zeros((height_px, width_px, 3), np.uint8)
        horizon = int(height_px * 0.35)
        sky = np.linspace(205, 165, horizon)[:, None]
        picture[:horizon] = np.stack([sky + 20, sky + 5, sky - 10], -1).clip(0, 255)
        left_px = 0
        while left_px < width_px:
            wide_px = int(width_px * rng.uniform(0.08, 0.2))
            top_px = int(horizon * rng.uniform(0.1, 0.6))
            shade = rng.randint(90, 150)
            color = (shade, shade + rng.randint(-15, 15), shade + rng.randint(-5, 25))
            cv2.rectangle(picture, (left_px, top_px), (left_px + wide_px, int(height_px * 0.5)), color, -1)
            step_px = max(8, wide_px // 5)
            for window_x in range(left_px + step_px // 2, left_px + wide_px - step_px // 2, step_px):
                for window_y in range(top_px + step_px // 2, int(height_px * 0.45), step_px):
                    size = (window_x + step_px // 3, window_y + step_px // 2)
                    cv2.rectangle(picture, (window_x, window_y), size, (60, 55, 50), -1)
            left_px += wide_px
        cv2.rectangle(picture, (0, int(height_px * 0.48)), (width_px, height_px), (95, 98, 100), -1)
        cv2.rectangle(picture, (0, int(height_px * 0.9)), (width_px, height_px), (125, 128, 130), -1)
        for dash_px in range(0, width_px, width_px // 10):
            y_px = int(height_px * 0.7)
            cv2.rectangle(picture, (dash_px, y_px), (dash_px + width_px // 22, y_px + 3), (210, 215, 215), -1)
        texture = np.random.default_rng(rng.randrange(1 << 30)).normal(0, 5, (height_px, width_px, 1))
        rough = picture + cv2.GaussianBlur(texture, (3, 3), 0)[..., None]
        street: Bgr = np.clip(rough, 0, 255).astype(np.uint8)
        if title:
            scale = height_px / 720
            place = (int(16 * scale), int(34 * scale) + 6)
            cv2.putText(street, title, place, cv2.FONT_HERSHEY_SIMPLEX, max(0.4, scale), (250, 250, 250), 1)
        return street

    def _draw(self, picture: Bgr, passer: Passer, done: float) -> None:
        near = 0.5 + 0.5 * passer.lane
        base_px = int(self._height_px * (0.52 + 0.42 * passer.lane))
        size_px = self._height_px * 0.2 * near
        span_px = self._width_px + 4 * size_px
        at_px = -2 * size_px + span_px * (1 - done if passer.leftward else done)
        if passer.what == "car":
            self._car(picture, int(at_px), base_px, size_px, passer.color)
        else:
            self._upright(picture, int(at_px), base_px, size_px, passer, done)

    @staticmethod
    def _car(picture: Bgr, x_px: int, base_px: int, size_px: float, color: Color) -> None:
        long_px, high_px = int(size_px * 1.9), int(size_px * 0.55)
        body = (x_px - long_px // 2, base_px - high_px), (x_px + long_px // 2, base_px - high_px // 4)
        cv2.rectangle(picture, *body, color, -1)
        roof = np.array(
            [
                (x_px - long_px // 3, base_px - high_px),
                (x_px - long_px // 5, base_px - int(high_px * 1.8)),
                (x_px + long_px // 5, base_px - int(high_px * 1.8)),
                (x_px + long_px // 3, base_px - high_px),
            ]
        )
        cv2.fillPoly(picture, [roof], (75, 70, 60))
        for wheel_px in (x_px - long_px // 3, x_px + long_px // 3):
            cv2.circle(picture, (wheel_px, base_px - high_px // 4), max(3, high_px // 3), (25, 25, 25), -1)

    @staticmethod
    def _upright(picture: Bgr, x_px: int, base_px: int, size_px: float, passer: Passer, done: float) -> None:
        sway_px = int(size_px * 0.06 * math.sin(done * 60))
        high_px = int(size_px * (0.9 if passer.what == "walker" else 0.8))
        wide_px = max(3, int(size_px * 0.16))
        if passer.what == "ebike":
            for wheel_px in (x_px - int(size_px * 0.35), x_px + int(size_px * 0.35)):
                cv2.circle(picture, (wheel_px, base_px - int(size_px * 0.16)), int(size_px * 0.16), (30, 30, 30), 3)
            frame = (x_px - int(size_px * 0.35), base_px - int(size_px * 0.3))
            cv2.rectangle(picture, frame, (x_px + int(size_px * 0.35), base_px - int(size_px * 0.16)), (40, 40, 40), -1)
        top = (x_px - wide_px + sway_px, base_px - high_px)
        cv2.rectangle(picture, top, (x_px + wide_px + sway_px, base_px - int(size_px * 0.12)), passer.color, -1)
        head = (x_px + sway_px, base_px - high_px - wide_px)
        cv2.circle(picture, head, wide_px, (120, 150, 180), -1)
