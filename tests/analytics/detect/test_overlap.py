"""Thinning against the plain greedy walk, whatever the batch."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.detect.overlap import overlap, thin


def test_overlap_is_shared_by_joint_area() -> None:
    one = np.array([[0, 0, 2, 2], [5, 5, 5, 5]], np.float64)
    other = np.array([[1, 0, 3, 2], [0, 0, 2, 2], [9, 9, 10, 10], [5, 5, 5, 5]], np.float64)
    assert overlap(one, other).round(4).tolist() == [[0.3333, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    assert overlap(one, other[:0]).shape == (2, 0)


@settings(max_examples=150)
@given(st.integers(0, 40), st.integers(1, 3), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_what_stays_is_what_the_plain_walk_leaves(count: int, images: int, most: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    low = random.random((count, 2)) * 10
    box = np.concatenate((low, low + 1 + random.random((count, 2)) * 10), axis=1)
    image, kind = random.integers(0, images, count), random.integers(1, 3, count).astype(np.uint8)
    score = random.integers(0, 20, count) / 20  # equal ones among them
    kept = thin(image, box, score, kind, same_iou=0.4, other_iou=0.7, max_candidates=most)

    plain: list[int] = []
    for number in range(images):
        mine = sorted((at for at in range(count) if image[at] == number), key=lambda at: (-score[at], at))[:most]
        stay: list[int] = []
        for at in mine:
            limits = [0.4 if kind[at] == kind[other] else 0.7 for other in stay]
            shared = [overlap(box[[at]], box[[other]])[0, 0] for other in stay]
            if all(iou <= limit for iou, limit in zip(shared, limits, strict=True)):
                stay.append(at)
        plain += stay
    assert kept.tolist() == plain
