"""How full the disk of the data folder is, and how fast it fills: looked at once a minute, over the last day.

Invariants: nothing is read but the file system's own figures; how fast it fills is what its free space lost since the oldest
look of the last day, whoever took it, and is 0 where it grew. It deletes nothing.
"""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

from model.clock import Clock

DEFAULT_PERIOD_S = 60.0
DEFAULT_WINDOW_S = 86_400.0
_DAY_S = 86_400.0


class DiskWatch:
    """One folder's disk.

    Args:
        folder: it has to be there.
        clock: source of time.
        period_s: between two looks. window_s: over how long its filling is taken.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        period_s: float = DEFAULT_PERIOD_S,
        window_s: float = DEFAULT_WINDOW_S,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._period_s = period_s
        self._window_s = window_s
        self._total_bytes = 0
        self._looks: deque[tuple[float, int]] = deque(maxlen=int(window_s / period_s) + 2)

    def look(self) -> None:
        """Look, where the last look is a period ago. Raises OSError."""
        now_s = self._clock.monotonic_s()
        if self._looks and now_s - self._looks[-1][0] < self._period_s:
            return
        disk = os.statvfs(self._folder)
        self._total_bytes = disk.f_blocks * disk.f_frsize
        self._looks.append((now_s, disk.f_bavail * disk.f_frsize))
        while self._looks[0][0] < now_s - self._window_s:
            self._looks.popleft()

    def values(self) -> dict[str, float]:
        """`disk_free_bytes`, `disk_total_bytes`, `disk_fills_bytes_per_day`, and over how long that was seen, `disk_seen_s`."""
        looks = tuple(self._looks)
        if not looks:
            return {}
        (first_s, first), (last_s, last) = looks[0], looks[-1]
        seen_s = last_s - first_s
        fills = max(first - last, 0) / seen_s * _DAY_S if seen_s > 0 else 0.0
        return {
            "disk_free_bytes": last,
            "disk_total_bytes": self._total_bytes,
            "disk_fills_bytes_per_day": round(fills),
            "disk_seen_s": round(seen_s),
        }
