"""What the detector is shown: all that moves, with room, never beyond the picture; a model that is not there ends nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from config.cameras import Detect
from lucheng.video.objects import LEAST_CROP_PX, ObjectLooks, crop_of
from model.clock import SystemClock
from model.video import THUMB_HEIGHT_PX, THUMB_WIDTH_PX

SIDES = st.integers(16, 8_192)


@st.composite
def boxes(draw: st.DrawFn) -> list[tuple[int, int, int, int]]:
    found = []
    for _ in range(draw(st.integers(1, 8))):
        left, top = draw(st.integers(0, THUMB_WIDTH_PX - 1)), draw(st.integers(0, THUMB_HEIGHT_PX - 1))
        right, bottom = draw(st.integers(left + 1, THUMB_WIDTH_PX)), draw(st.integers(top + 1, THUMB_HEIGHT_PX))
        found.append((left, top, right, bottom))
    return found


@settings(max_examples=150)
@given(boxes(), SIDES, SIDES)
def test_the_crop_holds_all_that_moves(given_boxes: list[tuple[int, int, int, int]], width: int, height: int) -> None:
    found = np.array(given_boxes, np.int32)
    left, top, right, bottom = crop_of(found, width, height)
    assert not (left | top | right | bottom) & 1
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    across, down = width / THUMB_WIDTH_PX, height / THUMB_HEIGHT_PX
    slack = 1e-6
    assert left <= found[:, 0].min() * across + slack
    assert top <= found[:, 1].min() * down + slack
    # an odd last row or column is left out: chroma has none of it
    assert right >= min(width & ~1, found[:, 2].max() * across - slack)
    assert bottom >= min(height & ~1, found[:, 3].max() * down - slack)
    assert right - left >= min(LEAST_CROP_PX, width & ~1)
    assert bottom - top >= min(LEAST_CROP_PX, height & ~1)


def test_a_small_thing_in_the_middle_gets_room_on_all_sides() -> None:
    crop = crop_of(np.array([[95, 53, 97, 55]], np.int32), 1920, 1080)
    assert crop == (752, 332, 1168, 748)


def test_without_a_model_or_with_one_that_cannot_be_opened_nothing_is_looked_at(tmp_path: Path) -> None:
    clock = SystemClock()
    assert ObjectLooks.open(Detect(), clock, lambda _device: None) is None
    missing = Detect(model=tmp_path / "none.onnx")
    assert ObjectLooks.open(missing, clock, lambda _device: None) is None
    (tmp_path / "rubbish.onnx").write_bytes(b"rubbish")
    assert ObjectLooks.open(Detect(model=tmp_path / "rubbish.onnx"), clock, lambda _device: None) is None
