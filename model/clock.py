"""Time enters the program through a `Clock`; nothing else reads it.

`now_ms` is the wall clock (UTC, may step); `monotonic_s` never goes back and is what every
time-out is measured with.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Source of time for everything that needs it."""

    def now_ms(self) -> int:
        """Wall clock, UTC milliseconds since 1970; may step backwards."""
        ...

    def monotonic_s(self) -> float:
        """Seconds on a clock that never steps; only differences mean anything."""
        ...

    def sleep(self, duration_s: float) -> None:
        """Return after `duration_s` seconds of this clock."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()

    def sleep(self, duration_s: float) -> None:
        time.sleep(duration_s)


class FakeClock:
    """A clock that moves only when a test moves it; safe to share between threads."""

    def __init__(self, now_ms: int = 1_760_000_000_000) -> None:
        self._lock = threading.Lock()
        self._now_ms = now_ms
        self._monotonic_s = 0.0

    def now_ms(self) -> int:
        with self._lock:
            return self._now_ms

    def monotonic_s(self) -> float:
        with self._lock:
            return self._monotonic_s

    def sleep(self, duration_s: float) -> None:
        self.advance(duration_s)

    def advance(self, duration_s: float) -> None:
        """Let both clocks run on by `duration_s` seconds."""
        with self._lock:
            self._monotonic_s += duration_s
            self._now_ms += round(duration_s * 1000)

    def step_wall(self, step_ms: int) -> None:
        """Set the wall clock forwards or back, as an operator or NTP would; monotonic time stays."""
        with self._lock:
            self._now_ms += step_ms
