"""YOLOX in arrays: pictures to the tensor that the network takes, and its output to boxes.

Purpose: everything of a YOLOX detector except the network itself. Invariants: nothing leaves that is not one of
`model.camera.ObjectKind`; a candidate counts for its best class of all 80, so a dog is not a poor person; boxes lie
inside their picture and have an area; values that are not finite vanish. It loads and runs no model.

Sources: YOLOX, arXiv 2107.08430, and the exported network's own conventions: letterbox anchored at the top left, filled
with 114, BGR 0..255 in float32; output rows (cx, cy, log w, log h, object, 80 COCO classes), the last 81 after sigmoid.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from analytics.detect.overlap import thin
from model.camera import OBJECT_CODE, ObjectKind
from model.errors import BadInput
from model.video import Bgr, Detections

Floats = npt.NDArray[np.float32]

#: Cells of the three heads, pixels.
STRIDES_PX = (8, 16, 32)
#: Rows of the output before the classes: box and object.
HEAD_COLUMNS = 5
COCO_CLASSES = 80
#: What fills a letterbox, of 255.
FILL = 114
#: Class of COCO (in its order of 80) to object kind.
COCO_KINDS: dict[int, ObjectKind] = {
    0: ObjectKind.PERSON,
    1: ObjectKind.BICYCLE,
    2: ObjectKind.CAR,
    3: ObjectKind.MOTORCYCLE,
    5: ObjectKind.BUS,
    7: ObjectKind.TRUCK,
}
#: Boxes of one picture that go into the thinning; the best are kept.
MAX_CANDIDATES = 300
#: Boxes of one kind that overlap more are one object.
SAME_KIND_IOU = 0.45
#: Boxes of two kinds that overlap more are one object: a pick-up is car and truck to these networks.
OTHER_KIND_IOU = 0.85
#: exp of more is past every picture; it keeps float32 finite.
_MAX_LOG = 20.0
#: A picture's box is at least this wide and high, pixels.
_MIN_BOX_PX = 1.0

_KIND_CODE = np.zeros(COCO_CLASSES, np.uint8)
for _class, _kind in COCO_KINDS.items():
    _KIND_CODE[_class] = OBJECT_CODE[_kind]


def anchors_of(size_px: int) -> int:
    """How many rows the output has for a square input of `size_px`."""
    return sum((size_px // stride) ** 2 for stride in STRIDES_PX)


def grid_of(size_px: int) -> Floats:
    """(anchors, 3) float32: column and row of each output row's cell, and its stride in pixels."""
    parts = []
    for stride in STRIDES_PX:
        cells = size_px // stride
        row, column = np.mgrid[0:cells, 0:cells]
        parts.append(np.stack((column.ravel(), row.ravel(), np.full(cells * cells, stride)), axis=1))
    return np.concatenate(parts).astype(np.float32)


def is_picture(image: Bgr) -> bool:
    """Whether it is (H, W, 3) uint8 with at least one pixel."""
    return image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and 0 not in image.shape


def check_picture(image: Bgr, at: int = 0) -> None:
    """Raise BadInput unless `image` is (H, W, 3) uint8 with at least one pixel; `at` is its number in the batch."""
    if not is_picture(image):
        raise BadInput(
            f"picture {at} of the batch is {image.dtype} {image.shape}.", mend="Give BGR pictures, (H, W, 3) of uint8."
        )


def letterbox(images: Sequence[Bgr], size_px: int) -> tuple[Floats, Floats]:
    """Pictures as the network takes them.

    Args:
        images: each (H, W, 3) uint8 BGR; sizes may differ.
        size_px: of the network's square input.

    Returns:
        (n, 3, size, size) float32, and (n,) float32: pixels of the input for one of the picture.

    Raises:
        BadInput: a picture is none.
    """
    batch = np.full((len(images), size_px, size_px, 3), FILL, np.uint8)
    scale = np.empty(len(images), np.float32)
    for at, image in enumerate(images):
        check_picture(image, at)
        height, width = image.shape[:2]
        scale[at] = ratio = min(size_px / height, size_px / width)
        inner = (max(1, int(width * ratio)), max(1, int(height * ratio)))
        batch[at, : inner[1], : inner[0]] = cv2.resize(image, inner, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(batch.transpose(0, 3, 1, 2), np.float32), scale


def boxes_of(
    output: Floats,
    grid: Floats,
    scale: Floats,
    sizes_px: npt.NDArray[np.int64],
    *,
    min_score: float,
    max_candidates: int = MAX_CANDIDATES,
) -> Detections:
    """Objects from the network's output, overlapping boxes thinned.

    Args:
        output: (n, anchors, 85) float32.
        grid: of `grid_of`.
        scale: (n,), of `letterbox`.
        sizes_px: (n, 2) width and height of each picture.
        min_score: lowest score (object times class) that counts, 0..1.
        max_candidates: see `MAX_CANDIDATES`.
    """
    # Classes are looked at only where the object score alone would do: a few rows in a thousand.
    image, row = np.nonzero(output[..., 4] >= min_score)
    rows = output[image, row]
    best = rows[:, HEAD_COLUMNS:].argmax(axis=1)
    score = rows[:, 4] * rows[np.arange(len(rows)), HEAD_COLUMNS + best]
    kind = _KIND_CODE[best]
    keep = np.flatnonzero((score >= min_score) & (kind > 0) & np.isfinite(rows[:, :4]).all(axis=1))
    image, row, score, kind = image[keep], row[keep], np.minimum(score[keep], 1.0), kind[keep]
    box = _box(rows[keep], grid[row], scale[image], sizes_px[image])
    wide = np.flatnonzero((box[:, 2:] - box[:, :2] >= _MIN_BOX_PX).all(axis=1))
    image, box, score, kind = image[wide], box[wide], score[wide], kind[wide]
    kept = thin(
        image, box, score, kind, same_iou=SAME_KIND_IOU, other_iou=OTHER_KIND_IOU, max_candidates=max_candidates
    )
    return Detections(
        image[kept].astype(np.int32), box[kept].astype(np.float32), score[kept].astype(np.float32), kind[kept]
    )


def _box(rows: Floats, cell: Floats, scale: Floats, size_px: npt.NDArray[np.int64]) -> Floats:
    """(k, 4) left, top, right, bottom in pixels of the picture, cut at its edges."""
    stride = cell[:, 2:3]
    center = (rows[:, :2] + cell[:, :2]) * stride
    half = np.exp(np.minimum(rows[:, 2:4], _MAX_LOG)) * stride / 2
    box = np.concatenate((center - half, center + half), axis=1) / scale[:, None]
    limit = np.concatenate((size_px, size_px), axis=1).astype(np.float32)
    return np.clip(box, 0, limit).astype(np.float32)
