"""How much comes from each source now, and for how long nothing has: looked at once a second, over the last minute.

Invariants: it counts nothing itself, it looks at the sources' own counters, so it costs them nothing; a source is silent since
its counter last grew, seen to a second, and since the start where it never did.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from model.clock import Clock

#: Over how long a rate is taken, and how many looks are kept for it at most.
DEFAULT_WINDOW_S = 60.0
DEFAULT_MAX_LOOKS = 120


class SourceWatch:
    """The rates of several counters.

    Args:
        clock: source of time.
        window_s: over how long.
    """

    def __init__(self, clock: Clock, *, window_s: float = DEFAULT_WINDOW_S) -> None:
        self._clock = clock
        self._window_s = window_s
        self._began_s = clock.monotonic_s()
        self._looks: deque[tuple[float, dict[str, float]]] = deque(maxlen=DEFAULT_MAX_LOOKS)
        self._grew_s: dict[str, float] = {}

    def look(self, counters: Mapping[str, float]) -> None:
        """Take the counters as they are now; one that fell began anew."""
        now_s = self._clock.monotonic_s()
        before = self._looks[-1][1] if self._looks else {}
        for name, count in counters.items():
            if count > before.get(name, 0):
                self._grew_s[name] = now_s
        self._looks.append((now_s, dict(counters)))
        while self._looks[0][0] < now_s - self._window_s:
            self._looks.popleft()

    def values(self) -> dict[str, float]:
        """`NAME_per_s` and `NAME_silent_s` of each counter; empty before the first look."""
        looks = tuple(self._looks)
        if not looks:
            return {}
        now_s = self._clock.monotonic_s()
        (first_s, first), (last_s, last) = looks[0], looks[-1]
        span_s = last_s - first_s
        made: dict[str, float] = {}
        for name, count in last.items():
            grown = count - first.get(name, 0)
            made[f"{name}_per_s"] = round(max(grown, 0) / span_s, 2) if span_s > 0 else 0.0
            made[f"{name}_silent_s"] = round(max(now_s - self._grew_s.get(name, self._began_s), 0.0), 1)
        return made
