"""How far boxes overlap, and the thinning of boxes that are one object; for a whole batch at once.

Invariants: the result of `thin` is that of the textbook's greedy walk by falling score, whatever the batch; equal scores
are told apart by their order. Nothing is remembered.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]


def overlap(first: Boxes, second: Boxes) -> Boxes:
    """(n, m) intersection over union of boxes (n, 4) and (m, 4), each left, top, right, bottom; 0 where both are empty."""
    return overlap_of(first[:, None], second[None])


def overlap_of(first: Boxes, second: Boxes) -> Boxes:
    """(...) intersection over union of each box (..., 4) with its partner; 0 where both are empty."""
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    shared = np.maximum(high - low, 0).prod(axis=-1)
    area = np.maximum(first[..., 2:] - first[..., :2], 0).prod(axis=-1)
    other = np.maximum(second[..., 2:] - second[..., :2], 0).prod(axis=-1)
    union = area + other - shared
    iou: Boxes = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return iou


def thin(
    image: Ints,
    box: Boxes,
    score: Boxes,
    kind: npt.NDArray[np.uint8],
    *,
    same_iou: float,
    other_iou: float,
    max_candidates: int,
) -> Ints:
    """Places of the boxes that stay, by picture and falling score.

    Args:
        image: (n,) picture of each box.
        box: (n, 4).
        score: (n,) 0..1.
        kind: (n,) codes.
        same_iou: boxes of one kind that overlap more are one object.
        other_iou: boxes of two kinds that overlap more are one object.
        max_candidates: boxes of a picture that are looked at, the best ones.
    """
    order = np.lexsort((np.arange(len(score)), -score, image))
    starts = np.searchsorted(image[order], image[order])
    order = order[np.arange(len(order)) - starts < max_candidates]
    kept = []
    for part in np.split(order, np.flatnonzero(np.diff(image[order])) + 1):
        shared = overlap(box[part], box[part])
        alike = kind[part, None] == kind[None, part]
        # beats[i, j]: box i is better than box j and the same object.
        beats = np.triu(shared > np.where(alike, same_iou, other_iou), 1)
        kept.append(part[_stand(beats)])
    return np.concatenate(kept) if kept else np.empty(0, np.int64)


def _stand(beats: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which boxes no standing box beats: each round settles at least one more of the chain."""
    standing = np.ones(len(beats), np.bool_)
    while True:
        again: npt.NDArray[np.bool_] = np.logical_not(np.any(beats & standing[:, None], axis=0))
        if (again == standing).all():
            return again
        standing = again
