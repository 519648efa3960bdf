"""`Watchdog`: one thread that looks at every connection of a process and gives up those whose thread hangs in a library.

A thread that hangs in C cannot be ended, only left: its later calls are kept from the sink, a new thread takes its work, and
the hung one is counted. Invariants: it never waits for a connection's thread; how many threads are left is bounded, and at
the bound `on_exhausted` is called once, so that the process can be started anew.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Protocol

from model.clock import Clock

#: How often it looks.
LOOK_EVERY_S = 0.25
MAX_ABANDONED = 16


class Watched(Protocol):
    """What the watchdog looks after."""

    def look(self, now_s: float) -> threading.Thread | None:
        """Act on a hang; the thread that was left just now, else None. Must not block."""
        ...

    def begin_again(self) -> None:
        """Start another thread in the place of the one that was left."""
        ...


class Watchdog:
    """Looks after connections until `stop`.

    Args:
        clock: what time-outs are measured with.
        look_every_s: how often it looks, real seconds.
        max_abandoned: threads that may be left hanging at a time.
        on_exhausted: called once, on the watchdog's thread, when so many hang; connections that hang then stay lost.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        look_every_s: float = LOOK_EVERY_S,
        max_abandoned: int = MAX_ABANDONED,
        on_exhausted: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._look_every_s = look_every_s
        self._max_abandoned = max_abandoned
        self._on_exhausted = on_exhausted
        self._exhausted = False
        self._watched: set[Watched] = set()
        self._left: list[threading.Thread] = []
        self._total = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def abandoned(self) -> int:
        """Threads that were left and hang still."""
        with self._lock:
            self._left = [thread for thread in self._left if thread.is_alive()]
            return len(self._left)

    @property
    def abandoned_total(self) -> int:
        """Threads that were ever left."""
        return self._total

    def add(self, watched: Watched) -> None:
        """Look after `watched` from now on."""
        with self._lock:
            self._watched.add(watched)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="video-watchdog", daemon=True)
                self._thread.start()

    def remove(self, watched: Watched) -> None:
        """Look after it no more."""
        with self._lock:
            self._watched.discard(watched)

    def leave(self, thread: threading.Thread) -> bool:
        """Count a thread that was left; False where there are now too many."""
        with self._lock:
            self._total += 1
            self._left = [other for other in self._left if other.is_alive()]
            self._left.append(thread)
            too_many = len(self._left) >= self._max_abandoned
            first, self._exhausted = too_many and not self._exhausted, self._exhausted or too_many
        if first:
            with contextlib.suppress(Exception):
                self._on_exhausted()
        return not too_many

    def look(self) -> None:
        """Look at all once; `run` does so for ever."""
        with self._lock:
            watched = tuple(self._watched)
        now_s = self._clock.monotonic_s()
        for one in watched:
            with contextlib.suppress(Exception):
                left = one.look(now_s)
                if left is not None and self.leave(left):
                    one.begin_again()

    def stop(self) -> None:
        """End its thread."""
        self._stopping.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._look_every_s):
            self.look()
