"""Objects on a path, as the tracker would give them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from analytics.tracks.tracks import Tracks
from model.camera import OBJECT_CODE, ObjectKind

Place = tuple[float, float]


def tracks_at(
    feet: Sequence[Place],
    *,
    ids: Sequence[int] | None = None,
    kinds: Sequence[ObjectKind] | None = None,
    time_ms: int = 0,
    seen: bool = True,
    first: Sequence[Place] | None = None,
    width: float = 0.05,
    height: float = 0.1,
) -> Tracks:
    """Objects whose feet are there; ids from 1, and first seen there, unless given."""
    at = np.array(feet, np.float64).reshape(-1, 2)
    count = len(at)
    number = np.array(range(1, count + 1) if ids is None else ids, np.int64)
    codes = [OBJECT_CODE[kind] for kind in (kinds or [ObjectKind.PERSON] * count)]

    def boxes(at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.stack((at[:, 0] - width / 2, at[:, 1] - height, at[:, 0] + width / 2, at[:, 1]), axis=1)

    return Tracks(
        time_ms=time_ms,
        id=number,
        box=boxes(at),
        first_box=boxes(at if first is None else np.array(first, np.float64)),
        kind=np.array(codes, np.uint8),
        confirmed=number > 0,
        seen=np.full(count, seen, np.bool_),
        score=np.full(count, 0.9),
        age_s=np.zeros(count),
        unseen_s=np.zeros(count),
    )
