"""What a worker has to say, on its way to the service: nothing of importance is lost, and nobody waits for live view.

Invariants: one thread sends, in order; pieces of live views are bounded in bytes, and where they are too many those of a
camera are left out up to its next keyframe, so that what arrives can be played; everything else waits until it has gone,
and whoever brings more than the limit waits with it. When the service has gone, `on_broken` is called once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from lucheng.video.messages import Broken, FromWorker, Piece, Reports

if TYPE_CHECKING:
    from lucheng.video.messages import ToWorker, Wire

DEFAULT_MAX_WAITING = 1_000
DEFAULT_MAX_LIVE_BYTES = 32 << 20


class Outbox:
    """The sending side of a worker.

    Args:
        wire: to the service.
        on_broken: called when the service has gone.
        max_waiting: messages that wait, live pieces aside.
        max_live_bytes: of live pieces that wait.
    """

    def __init__(
        self,
        wire: Wire[ToWorker],
        *,
        on_broken: Callable[[], None],
        max_waiting: int = DEFAULT_MAX_WAITING,
        max_live_bytes: int = DEFAULT_MAX_LIVE_BYTES,
    ) -> None:
        self._wire = wire
        self._on_broken = on_broken
        self._max_waiting = max_waiting
        self._max_live_bytes = max_live_bytes
        self._changed = threading.Condition()
        self._waiting: deque[FromWorker] = deque()
        self._live: deque[Piece] = deque()
        self._live_bytes = 0
        self._skipping: set[tuple[str, str]] = set()
        self._closed = False
        self._sending = False
        #: Live pieces left out because the service took them too slowly.
        self.live_dropped = 0
        self._thread = threading.Thread(target=self._loop, name="outbox", daemon=True)
        self._thread.start()

    def put(self, message: FromWorker) -> None:
        """Send it when its turn comes; waits while too many are waiting."""
        with self._changed:
            if isinstance(message, Reports):  # only the newest matters
                self._waiting = deque(one for one in self._waiting if not isinstance(one, Reports))
            while len(self._waiting) >= self._max_waiting and not self._closed:
                self._changed.wait()
            self._waiting.append(message)
            self._changed.notify_all()

    def put_live(self, piece: Piece) -> None:
        """Send a piece of a live view, or leave it out where too much waits already; never waits."""
        one = (piece.fragment.camera, piece.mode)
        size = len(piece.fragment.data)
        begins = piece.fragment.keyframe or piece.fragment.kind in {"init", "jpeg", "end"}
        with self._changed:
            if one in self._skipping and not begins:
                self.live_dropped += 1
                return
            if self._live_bytes + size > self._max_live_bytes and piece.fragment.kind in {"media", "jpeg"}:
                self._skipping.add(one)
                self.live_dropped += 1
                return
            self._skipping.discard(one)
            self._live.append(piece)
            self._live_bytes += size
            self._changed.notify_all()

    def close(self, timeout_s: float) -> None:
        """Send what waits, live pieces aside, then end."""
        with self._changed:
            self._live.clear()
            self._changed.wait_for(lambda: (not self._waiting and not self._sending) or self._closed, timeout_s)
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout_s)

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._sending = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._closed or self._waiting or self._live)
                if self._closed:
                    return
                message: FromWorker
                if self._waiting:
                    message = self._waiting.popleft()
                else:
                    message = self._live.popleft()
                    self._live_bytes -= len(message.fragment.data)
                self._sending = True
                self._changed.notify_all()
            try:
                self._wire.send(message)
            except Broken:
                with self._changed:
                    self._closed = True
                    self._changed.notify_all()
                self._on_broken()
                return
