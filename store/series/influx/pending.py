"""Samples of numeric series on their way to the server; in an outage they wait here, up to a limit."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from model.errors import StoreError, TryAgain
from model.seams import Samples
from store.series.influx.line_protocol import number_lines
from store.series.influx.sending import Sender

DEFAULT_MAX_PENDING_NUMBERS = 200_000


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
        self._waiting: deque[list[Samples]] = deque()
        self._samples = 0
        #: Samples that were dropped, or that the server would not take.
        self.dropped = 0

    def put(self, samples: Sequence[Samples]) -> None:
        """Write them, or keep them when the server is away."""
        given = list(samples)
        if not given:
            return
        with self._lock:
            self._waiting.append(given)
            self._samples += _count(given)
            self._write()
            while self._samples > self._max_samples:
                gone = _count(self._waiting.popleft())
                self._samples -= gone
                self.dropped += gone

    def flush(self) -> None:
        """Write what waits, if the server is there."""
        if self._waiting:
            with self._lock:
                self._write()

    def _write(self) -> None:
        while self._waiting:
            first = self._waiting[0]
            try:
                self.dropped += len(self._sender.send(self._bucket, number_lines(first), wait=False))
            except TryAgain:
                return
            except StoreError:
                self.dropped += _count(first)
            self._waiting.popleft()
            self._samples -= _count(first)


def _count(samples: Sequence[Samples]) -> int:
    return sum(len(one.time_ms) for one in samples)
