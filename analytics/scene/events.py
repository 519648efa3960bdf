"""Motion events: on once there was motion for so long, off once there was none for so long. Columns; nothing grows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analytics.scene.limits import SceneLimits

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]

_NEVER_MS = np.iinfo(np.int64).min // 4


class Events:
    """Whether events are on, for rows of `shape`.

    Attributes:
        on: bool, `shape`.
    """

    def __init__(self, shape: tuple[int, ...], limits: SceneLimits) -> None:
        self._start_ms = round(limits.start_after_s * 1000)
        self._quiet_ms = round(limits.quiet_after_s * 1000)
        self._moved_at_ms = np.full(shape, _NEVER_MS, np.int64)
        self._quiet_at_ms = np.zeros(shape, np.int64)
        self.on = np.zeros(shape, np.bool_)

    def reset(self, row: int) -> None:
        """Begin a row anew at age 0, with nothing on."""
        self._moved_at_ms[row] = _NEVER_MS
        self._quiet_at_ms[row] = 0
        self.on[row] = False

    def step(self, rows: Rows, age_ms: Ints, moving: Bools) -> Bools:
        """Whether each event is on at `age_ms` (broadcast to `moving`), now that there is motion or not."""
        moved_at_ms = np.where(moving, age_ms, self._moved_at_ms[rows])
        quiet_at_ms = np.where(moving, self._quiet_at_ms[rows], age_ms)
        on: Bools = moving & (age_ms - quiet_at_ms >= self._start_ms)
        on |= self.on[rows] & (age_ms - moved_at_ms < self._quiet_ms)
        self._moved_at_ms[rows], self._quiet_at_ms[rows], self.on[rows] = moved_at_ms, quiet_at_ms, on
        return on

    def quiet_for_ms(self, rows: Rows, age_ms: Ints) -> Ints:
        """How long there was no motion, at most since age 0."""
        return age_ms - np.maximum(self._moved_at_ms[rows], 0)
