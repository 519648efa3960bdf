"""Samples of numeric series on their way to the server; in an outage they wait here, up to a limit.

Invariants: `put` waits for nothing, for alarms depend on whoever samples; they are sent in order, by a thread of its own. What
waits here at a crash is lost: samples are in no log.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from model.errors import StoreError, TryAgain
from model.seams import Samples
from store.series.influx.line_protocol import number_lines
from store.series.influx.sending import Sender

DEFAULT_MAX_PENDING_NUMBERS = 200_000
#: How long the thread waits before it tries a server again that was away.
RETRY_S = 1.0


class PendingNumbers:
    """What was put and is not on the server yet, in order.

    Args:
        sender: the way to the server.
        bucket: where they go.
        max_samples: kept while the server is away; the oldest puts are dropped beyond it.
    """

    def __init__(self, sender: Sender, bucket: str, max_samples: int) -> None:
        self._sender = sender
        self._bucket = bucket
        self._max_samples = max_samples
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._waiting: deque[list[Samples]] = deque()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        #: Samples that wait now, and those that were dropped or that the server would not take.
        self.waiting = self.dropped = 0

    def put(self, samples: Sequence[Samples]) -> None:
        """Take them; they are written soon, or when the server is back."""
        given = list(samples)
        if not given:
            return
        with self._lock:
            self._waiting.append(given)
            self.waiting += _count(given)
            while self.waiting > self._max_samples:
                gone = _count(self._waiting.popleft())
                self.waiting -= gone
                self.dropped += gone
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="numbers", daemon=True)
                self._thread.start()
        self._wake.set()

    def flush(self) -> None:
        """Write what waits, on the caller's thread, as far as the server takes it now."""
        while self.waiting and self._send_first():
            pass

    def close(self, *, there: bool) -> None:
        """End the thread; what waits is written once more where the server is `there`."""
        self._stop.set()
        self._wake.set()
        if there:
            if self._thread is not None:
                self._thread.join()
            self.flush()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait()
            self._wake.clear()
            while self.waiting and not self._stop.is_set():
                if not self._send_first():
                    self._stop.wait(RETRY_S)

    def _send_first(self) -> bool:
        """Whether the oldest put is done with."""
        with self._sending:
            with self._lock:
                if not self._waiting:
                    return False
                first = self._waiting[0]
            try:
                lost = len(self._sender.send(self._bucket, number_lines(first), wait=False))
            except TryAgain:
                return False
            except StoreError:
                lost = _count(first)
            with self._lock:
                if self._waiting and self._waiting[0] is first:  # else it was dropped meanwhile, and counted so
                    self._waiting.popleft()
                    self.waiting -= _count(first)
                    self.dropped += lost
            return True


def _count(samples: Sequence[Samples]) -> int:
    return sum(len(one.time_ms) for one in samples)
