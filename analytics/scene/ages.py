"""A clock of its own for each camera that only goes forward, made of time stamps that do not. Pure.

A step back, none at all, or one farther than `max_gap_s` counts as the camera's usual step. So a single picture stamped hours
away moves nothing, and time constants hold in seconds at any frame rate.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]

#: The usual step before there was one.
_FIRST_STEP_MS = 100


class Ages:
    """Ages of all cameras, ms since their reset.

    Attributes:
        age_ms: int64 (capacity,). pictures: int64 (capacity,), so many since the reset.
    """

    def __init__(self, capacity: int, max_gap_ms: int) -> None:
        self._max_gap_ms = max_gap_ms
        self._last_ms = np.zeros(capacity, np.int64)
        self._usual_ms = np.full(capacity, _FIRST_STEP_MS, np.int64)
        self.age_ms = np.zeros(capacity, np.int64)
        self.pictures = np.zeros(capacity, np.int64)

    def reset(self, row: int) -> None:
        """A camera begins anew."""
        self.age_ms[row] = self.pictures[row] = 0
        self._usual_ms[row] = _FIRST_STEP_MS

    def step(self, rows: Rows, time_ms: Ints) -> Ints:
        """How far each of these cameras went on, ms (0 for its first picture)."""
        usual_ms, last_ms, pictures = self._usual_ms[rows], self._last_ms[rows], self.pictures[rows]
        by_ms = time_ms - last_ms
        # The difference of two wild stamps may wrap around: half the distance tells.
        half_ms = (time_ms >> 1) - (last_ms >> 1)
        sane = (by_ms > 0) & (by_ms <= self._max_gap_ms) & (half_ms >= 0) & (half_ms <= self._max_gap_ms)
        sane &= pictures > 0
        went_ms = np.where(sane, by_ms, usual_ms)
        went_ms[pictures == 0] = 0
        self._usual_ms[rows] = np.where(sane, np.maximum((3 * usual_ms + went_ms) >> 2, 1), usual_ms)
        self._last_ms[rows] = time_ms
        self.age_ms[rows] += went_ms
        self.pictures[rows] = pictures + 1
        return went_ms
