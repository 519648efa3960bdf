"""Health on drawn pictures and streams: each flag raised by what it names, in time, cleared when it is over, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from analytics.scene.bank import SceneBank, SceneLimits, StreamColumns, label_map
from model.camera import Health
from tests.analytics.scene.drawn import SHAPE, Luma, noisy, view, with_box

LIMITS = SceneLimits()
ROW = np.zeros(1, np.int32)


def stream(fps: float = 15.0, kbps: float = 1000.0, gap_s: float = 2.0, corrupt: float = 0.0) -> StreamColumns:
    """One camera's stream."""
    return StreamColumns(*(np.array([value], np.float32) for value in (fps, kbps, gap_s, corrupt)))


class Camera:
    """Row 0 of a bank with its own clock, `gap_ms` from picture to picture."""

    def __init__(self, gap_ms: int = 200) -> None:
        self.bank = SceneBank(1)
        self.bank.set_camera(0, sensitivity=0.5, zones=None, ignore=None)
        self.gap_ms = gap_ms
        self.now_ms = 0
        self.raised: list[tuple[int, int]] = []
        self.cleared: list[tuple[int, int]] = []
        self.health = 0

    def look(self, seconds: float, picture: Callable[[int], Luma], columns: StreamColumns | None = None) -> None:
        """Show `picture(number)` for so long."""
        for _ in range(round(seconds * 1000 / self.gap_ms)):
            step = self.bank.step(
                ROW, picture(self.now_ms // self.gap_ms)[None], np.array([self.now_ms], np.int64), columns
            )
            for bits, told in ((step.health_raised[0], self.raised), (step.health_cleared[0], self.cleared)):
                if bits:
                    told.append((self.now_ms, int(bits)))
            self.health = int(step.health[0])
            self.now_ms += self.gap_ms


def calm(number: int) -> Luma:
    """The view as it is."""
    return noisy(view(), number)


def soft(number: int) -> Luma:
    """Out of focus."""
    return noisy(np.asarray(cv2.GaussianBlur(view(), (0, 0), 3.0), np.uint8), number, 0.5)


def elsewhere(number: int) -> Luma:
    """Turned to something else."""
    return noisy(view(77), number)


def hand(number: int) -> Luma:
    """Something dark and near before the lens, lighter towards the right."""
    shade = np.broadcast_to(np.linspace(30, 60, SHAPE[1]), SHAPE).astype(np.uint8)
    return noisy(shade, number, 0.7)


def dark(number: int) -> Luma:
    """No light at all."""
    return noisy(np.full(SHAPE, 16, np.uint8), number, 0.7)


@pytest.mark.parametrize("gap_ms", [100, 1000, 2000])
@pytest.mark.parametrize(
    ("picture", "flag"),
    [(soft, Health.DEFOCUSED), (elsewhere, Health.MOVED), (hand, Health.COVERED), (dark, Health.BLACK)],
)
def test_tampering_is_named_and_ends(picture: Callable[[int], Luma], flag: Health, gap_ms: int) -> None:
    camera = Camera(gap_ms)
    camera.look(10, calm)
    assert camera.raised == []
    camera.look(12, picture)
    assert [bits for _, bits in camera.raised] == [flag]
    assert camera.raised[0][0] - 10_000 <= 1000 * (LIMITS.picture_hold_s + LIMITS.health_every_s) + 2 * gap_ms
    assert camera.health == flag
    camera.look(12, calm)
    assert [bits for _, bits in camera.cleared] == [flag]
    assert camera.health == 0


@pytest.mark.parametrize("picture", [soft, elsewhere, hand, dark])
def test_what_passes_is_not_told(picture: Callable[[int], Luma]) -> None:
    camera = Camera()
    camera.look(10, calm)
    camera.look(1.4, picture)
    camera.look(10, calm)
    assert camera.raised == []


def test_a_darker_room_and_a_large_lorry_are_no_tampering() -> None:
    camera = Camera()
    camera.look(5, calm)
    camera.look(5, lambda number: noisy((view() * 0.5).astype(np.uint8), number))
    camera.look(5, lambda number: noisy(with_box(view(), 60, 20, 90, (70, 70)), number))
    assert camera.raised == []


def test_a_view_that_stays_is_taken_over() -> None:
    camera = Camera(5000)
    camera.look(30, calm)
    camera.look(LIMITS.accept_after_s + 60, elsewhere)
    assert [bits for _, bits in camera.raised] == [Health.MOVED]
    assert [bits for _, bits in camera.cleared] == [Health.MOVED]


def test_frozen_needs_seconds_and_ends_at_once_told() -> None:
    camera = Camera()
    camera.look(5, calm)
    camera.look(6, lambda _: calm(3))
    camera.look(2, calm)
    assert camera.raised == [], "healthy streams repeat pictures"
    camera.look(15, lambda _: calm(3))
    assert [bits for _, bits in camera.raised] == [Health.FROZEN]
    camera.look(8, calm)
    assert [bits for _, bits in camera.cleared] == [Health.FROZEN]


def test_between_keyframes_far_apart_pictures_may_be_the_same() -> None:
    camera = Camera()
    camera.look(5, calm, stream(gap_s=8.0))
    camera.look(18, lambda _: calm(3), stream(gap_s=8.0))
    assert camera.raised == []
    camera.look(6, lambda _: calm(3), stream(gap_s=8.0))
    assert [bits for _, bits in camera.raised] == [Health.FROZEN]


@pytest.mark.parametrize("level", [128, None])
def test_a_smear_is_corruption_and_no_motion(level: int | None) -> None:
    def smear(number: int) -> Luma:
        picture = calm(number).copy()
        picture[40:] = level if level is not None else picture[40]
        return picture

    camera = Camera()
    camera.look(5, calm)
    for number in range(40):
        step = camera.bank.step(ROW, smear(number)[None], np.array([5_000 + number * 200], np.int64))
        assert step.motion_px[0] == 0
        assert not step.masks.of(0).any()
        camera.health |= int(step.health[0])
    assert camera.health & Health.CORRUPTED
    for number in range(20):
        step = camera.bank.step(ROW, calm(number)[None], np.array([13_000 + number * 200], np.int64))
        assert step.motion_px[0] == 0, "the next keyframe is no motion either"


@pytest.mark.parametrize(
    ("columns", "flag"),
    [
        (stream(fps=5.0), Health.LOW_FPS),
        (stream(kbps=20.0), Health.LOW_BITRATE),
        (stream(gap_s=20.0), Health.LONG_KEYFRAME_GAP),
        (stream(corrupt=0.2), Health.CORRUPTED),
    ],
)
def test_streams_are_judged_by_what_is_normal_for_them(columns: StreamColumns, flag: Health) -> None:
    camera = Camera(500)
    camera.look(60, calm, stream())
    assert camera.raised == []
    camera.look(4, calm, columns)
    assert camera.raised == []
    camera.look(6, calm, columns)
    assert [bits for _, bits in camera.raised] == [flag]
    camera.look(10, calm, stream())
    assert [bits for _, bits in camera.cleared] == [flag]


def test_what_is_not_known_is_not_judged() -> None:
    camera = Camera(500)
    camera.look(60, calm, stream())
    camera.look(60, calm, stream(*(float("nan"),) * 4))
    camera.look(20, calm)
    assert camera.raised == []


def test_a_slow_camera_is_not_low() -> None:
    camera = Camera(5000)
    camera.look(300, calm, stream(fps=0.2, kbps=12.0))
    assert camera.raised == []


def test_ignored_places_are_not_judged() -> None:
    left = label_map([((0.0, 0.0), (0.9, 0.0), (0.9, 1.0), (0.0, 1.0))], *SHAPE) > 0

    def half(number: int) -> Luma:
        picture = calm(number).copy()
        picture[:, : round(0.88 * SHAPE[1])] = elsewhere(number)[:, : round(0.88 * SHAPE[1])]
        return picture

    camera = Camera()
    camera.bank.set_camera(0, sensitivity=0.5, zones=None, ignore=left)
    camera.look(10, calm)
    camera.look(10, half)
    assert camera.raised == []


def test_reset_forgets() -> None:
    camera = Camera()
    camera.look(10, calm)
    camera.look(6, elsewhere)
    assert camera.health == Health.MOVED
    camera.bank.reset(0)
    camera.look(6, elsewhere)
    assert camera.health == 0
