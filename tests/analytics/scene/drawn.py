"""Pictures that are drawn: a textured view with a little noise, and boxes that move over it."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]
SHAPE = (108, 192)
#: So many different noises; a stream begins anew with them.
NOISES = 29


@cache
def view(seed: int = 1) -> Luma:
    """A view full of edges: blocks of many sizes, softened a little as a lens does."""
    chance = np.random.default_rng(seed)
    picture = np.full(SHAPE, 120, np.uint8)
    for _ in range(160):
        top, left = int(chance.integers(0, 100)), int(chance.integers(0, 184))
        high, wide = (int(part) for part in chance.integers(3, 18, 2))
        picture[top : top + high, left : left + wide] = chance.integers(60, 190)
    return np.asarray(cv2.GaussianBlur(picture, (3, 3), 0), np.uint8)


@cache
def _noise(number: int, levels: float) -> npt.NDArray[np.int16]:
    return np.rint(np.random.default_rng(number).normal(0.0, levels, SHAPE)).astype(np.int16)


def noisy(picture: Luma, number: int, levels: float = 0.6) -> Luma:
    """The picture as a sensor sees it (a thumbnail has averaged most noise away); picture `number` of a stream."""
    return np.asarray(np.clip(picture + _noise(number % NOISES, levels), 0, 255), np.uint8)


def with_box(picture: Luma, left: int, top: int = 40, level: int = 230, size: tuple[int, int] = (16, 12)) -> Luma:
    """A bright box over the picture; size (width, height), px."""
    drawn = picture.copy()
    drawn[top : top + size[1], max(0, left) : max(0, left + size[0])] = level
    return drawn
