"""Stays of one camera's threads in libraries, as one crumb."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from lucheng.video.crumbs import DECODING, IDLE

if TYPE_CHECKING:
    from types import TracebackType

    from lucheng.video.crumbs import Crumbs
    from model.clock import Clock


class Stays:
    """For a `with` around every call that enters a decoder; the crumb is gone when the last of them is back. Any thread.

    Args:
        crumbs: of the worker.
        row: of the camera.
        clock: source of time.
    """

    def __init__(self, crumbs: Crumbs, row: int, clock: Clock) -> None:
        self._crumbs = crumbs
        self._row = row
        self._clock = clock
        self._lock = threading.Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            self._crumbs.write(self._row, DECODING, self._clock.monotonic_s())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._crumbs.write(self._row, IDLE, self._clock.monotonic_s())
