"""The newest events in memory, and the sleep until there is another.

Invariants: events lie in the order of their numbers without a gap; what is older than the ring is the file's. One that
was posted was durable before.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from model.desk import Event


class EventRing:
    """The last `size` events. Any thread may call anything."""

    def __init__(self, size: int) -> None:
        self._condition = threading.Condition()
        self._events: deque[Event] = deque(maxlen=max(size, 1))
        #: Number of the newest event, also of one that was posted before this process began.
        self.last = 0
        self._told: tuple[Callable[[], None], ...] = ()

    def tell(self, told: Callable[[], None]) -> Callable[[], None]:
        """Call `told` after every post, on the thread that posted: it must be quick and not raise. What it returns ends that."""
        with self._condition:
            self._told = (*self._told, told)

        def end() -> None:
            with self._condition:
                self._told = tuple(one for one in self._told if one is not told)

        return end

    def post(self, events: Sequence[Event]) -> None:
        """Events that were committed just now."""
        if not events:
            return
        with self._condition:
            self._events.extend(events)
            self.last = events[-1].number
            self._condition.notify_all()
            told = self._told
        for one in told:
            one()

    def skip_to(self, number: int) -> None:
        """Forget everything up to that event, which was never posted here."""
        with self._condition:
            if number > self.last:
                self._events.clear()
                self.last = number

    def after(self, number: int, limit: int) -> list[Event] | None:
        """Events with a greater number, in order; None where the ring does not reach back to them."""
        with self._condition:
            if number >= self.last:
                return []
            if not self._events or number < self._events[0].number - 1:
                return None
            skip = number + 1 - self._events[0].number
            return list(islice(self._events, skip, skip + limit))

    def wait(self, number: int, timeout_s: float) -> bool:
        """Sleep until there is an event with a greater number; False when the time is over."""
        until = time.monotonic() + timeout_s  # a real sleep: no other clock ends a condition's wait
        with self._condition:
            while self.last <= number:
                left_s = until - time.monotonic()
                if left_s <= 0:
                    return False
                self._condition.wait(left_s)
            return True
