"""Label maps and boxes."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.scene.areas import label_map, motion_boxes

LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
ALL = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


def test_a_ring_labels_its_half() -> None:
    labels = label_map([LEFT], 108, 192)
    assert labels.shape == (108, 192)
    assert labels.dtype == np.uint8
    assert (labels[:, :95] == 1).all()
    assert (labels[:, 98:] == 0).all()


def test_the_later_ring_has_the_pixel() -> None:
    assert (label_map([ALL, LEFT], 10, 20)[:, :9] == 2).all()
    assert (label_map([LEFT, ALL], 10, 20) == 2).all()


def test_strange_rings_do_no_harm() -> None:
    assert not label_map([((0.1, 0.1), (0.2, 0.2))], 10, 20).any()
    assert (label_map([((-3.0, -3.0), (9.0, -3.0), (9.0, 9.0), (-3.0, 9.0))], 10, 20) == 1).all()
    assert label_map([((float("nan"), 0.0), (1.0, 0.0), (1.0, 1.0))], 10, 20).max() == 1
    assert label_map([ALL] * 300, 10, 20).max() == 255


def test_boxes_are_around_the_motion_the_largest_first() -> None:
    mask = np.zeros((108, 192), np.uint8)
    mask[10:20, 10:14] = 255
    mask[60:90, 100:150] = 255
    boxes = motion_boxes(mask, min_px=8, max_boxes=8, grow_px=2)
    assert boxes.tolist() == [[98, 58, 152, 92], [8, 8, 16, 22]]
    assert motion_boxes(mask, min_px=8, max_boxes=1, grow_px=2).tolist() == [[98, 58, 152, 92]]
    assert len(motion_boxes(mask, min_px=41, max_boxes=8, grow_px=2)) == 1


@pytest.mark.parametrize("max_boxes", [0, 8])
def test_nothing_makes_no_box(max_boxes: int) -> None:
    boxes = motion_boxes(np.zeros((108, 192), np.uint8), min_px=1, max_boxes=max_boxes, grow_px=4)
    assert boxes.shape == (0, 4)
    assert boxes.dtype == np.int32


def test_pieces_near_each_other_and_boxes_that_overlap_are_one() -> None:
    mask = np.zeros((108, 192), np.uint8)
    mask[10:20, 10:20] = mask[10:20, 26:36] = 255
    assert len(motion_boxes(mask, min_px=1, max_boxes=8, grow_px=2)) == 2
    assert motion_boxes(mask, min_px=1, max_boxes=8, grow_px=4).tolist() == [[6, 6, 40, 24]]
    mask[:] = 0
    mask[10:80, 10:12] = mask[78:80, 10:80] = 255  # an L, and a spot in its corner
    mask[20:24, 60:64] = 255
    assert motion_boxes(mask, min_px=1, max_boxes=8, grow_px=1).tolist() == [[9, 9, 81, 81]]
