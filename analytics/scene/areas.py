"""Areas of a thumbnail: label maps of polygons, boxes around motion. Pure functions; nothing is remembered."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from model.camera import Place

Luma = npt.NDArray[np.uint8]

#: The highest label; rings beyond it share it.
MAX_LABEL = 255


def label_map(rings: Sequence[Sequence[Place]], height_px: int, width_px: int) -> Luma:
    """Label of each pixel: 0 in no ring, else the number (from 1) of the ring that it lies in.

    A pixel belongs to a ring when its centre or the ring's outline does. Where rings overlap, the later one has the pixel.
    Places beyond the picture are taken to its edge, a ring of fewer than 3 places has no pixel. From the 255th ring on the
    label is 255.

    Args:
        rings: corners as fractions of the picture, not closed.
        height_px: of the map.
        width_px: of the map.

    Returns: uint8 (height_px, width_px).
    """
    labels = np.zeros((height_px, width_px), np.uint8)
    for number, ring in enumerate(rings, 1):
        if len(ring) < 3:
            continue
        places = np.nan_to_num(np.asarray(ring, np.float64)[:, :2], nan=0.0).clip(0.0, 1.0)
        corners = np.rint(places * (width_px, height_px) - 0.5).clip(0, (width_px - 1, height_px - 1)).astype(np.int32)
        cv2.fillPoly(labels, [corners], min(number, MAX_LABEL))
    return labels


def motion_boxes(mask: Luma, *, min_px: int = 8, max_boxes: int = 8, grow_px: int = 6) -> npt.NDArray[np.int32]:
    """Boxes around the motion of one picture, for the detector's crops.

    Pixels nearer to each other than twice `grow_px` make one box; boxes that overlap are joined until none does.

    Args:
        mask: uint8 (H, W), not 0 where there is motion.
        min_px: a piece with fewer pixels of motion is left out.
        max_boxes: the largest so many.
        grow_px: room around the motion.

    Returns: int32 (k, 4): left, top, right, bottom in pixels of the mask, right and bottom exclusive; the one with the most
        motion first.
    """
    none = np.empty((0, 4), np.int32)
    if max_boxes < 1 or not cv2.countNonZero(mask):
        return none
    grow_px = max(0, grow_px)
    grown = cv2.dilate(mask, np.ones((2 * grow_px + 1, 2 * grow_px + 1), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(grown, connectivity=8)
    motion_px = np.bincount(labels[mask > 0], minlength=count)
    order = [at for at in np.argsort(-motion_px[1:], kind="stable") + 1 if motion_px[at] >= max(1, min_px)]
    boxes = stats[order][:, :4].astype(np.int32)
    boxes[:, 2:] += boxes[:, :2]
    return _joined(boxes)[:max_boxes] if len(boxes) else none


def _joined(boxes: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Boxes (k, 4) with those that overlap put together, in the order of their first."""
    kept: list[npt.NDArray[np.int32]] = []
    for box in boxes:
        one = box
        while True:
            meets = [b for b in kept if (b[:2] < one[2:]).all() and (one[:2] < b[2:]).all()]
            if not meets:
                break
            kept = [b for b in kept if not any(b is met for met in meets)]
            together = np.stack([one, *meets])
            one = np.concatenate((together[:, :2].min(axis=0), together[:, 2:].max(axis=0))).astype(np.int32)
        kept.append(one)
    return np.stack(kept)
