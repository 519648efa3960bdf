"""`Viewer`: what one viewer of a camera gets next, and what it does not get because it was too slow.

Invariants: see `console.live.hub`, of whose state this is a part, under the hub's lock. What waits is bounded in bytes and in
pieces; a piece is either whole in the queue or not; after anything was left out the next piece begins with a keyframe, behind
the `init` that it needs.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from model.video import Fragment


@dataclass(frozen=True, slots=True)
class Told:
    """What a viewer is told between the pieces.

    Attributes:
        what: `skipped` (pieces were dropped, the next one begins with a keyframe), `ended` (there is no feed now; it is asked
            for again), `closed` (the hub ends: the last thing).
        detail: why, in plain text.
    """

    what: str
    detail: str = ""


@dataclass(slots=True)
class Dropped:
    """What all viewers did not get, since the start."""

    skips: int = 0
    pieces: int = 0
    size_bytes: int = 0

    def add(self, pieces: int, size_bytes: int) -> None:
        """Count pieces that were left out."""
        self.pieces += pieces
        self.size_bytes += size_bytes


class Waiting:
    """What waits for one viewer; guarded by the hub's lock.

    Args:
        max_bytes, max_pieces: at most.
        dropped: where what is left out is counted.

    Attributes:
        skips: how often everything was dropped to a keyframe.
    """

    def __init__(self, max_bytes: int, max_pieces: int, dropped: Dropped) -> None:
        self.skips = 0
        self.size_bytes = 0
        self._max_bytes = max_bytes
        self._max_pieces = max_pieces
        self._dropped = dropped
        self._queue: deque[Fragment | Told] = deque()
        #: The pieces go on only with a keyframe; `init` goes before it.
        self._wants_key = True
        self._wants_init = True
        #: It was too slow, and the pieces until the next keyframe are not for it.
        self._skipping = False

    def __len__(self) -> int:
        return len(self._queue)

    def next(self) -> Fragment | Told | None:
        """Take the first, None when nothing waits."""
        if not self._queue:
            return None
        found = self._queue.popleft()
        if isinstance(found, Fragment):
            self.size_bytes -= len(found.data)
        return found

    def clear(self) -> None:
        """Forget what waits."""
        self._queue.clear()
        self.size_bytes = 0

    def want_key(self) -> None:
        """What comes until the next keyframe cannot be played."""
        self._wants_key = True

    def want_init(self) -> None:
        """What comes is played after another `init`, and from a keyframe."""
        self._wants_key = self._wants_init = True

    def tell(self, told: Told) -> None:
        """Say it once: the last one of its kind stands, so what is told cannot pile up."""
        if self._queue and isinstance(self._queue[-1], Told) and self._queue[-1].what == told.what:
            self._queue.pop()
        self._queue.append(told)

    def put(self, init: Fragment, fragment: Fragment) -> None:
        """The next piece of video, and the `init` that it belongs to."""
        if self._wants_key and not fragment.keyframe:
            if self._skipping:
                self._dropped.add(1, len(fragment.data))
            return
        if not self._fits(init, fragment):
            self._skip()
            if not fragment.keyframe or not self._fits(init, fragment):
                self._dropped.add(1, len(fragment.data))
                return
        for piece in (init, fragment) if self._wants_init else (fragment,):
            self._queue.append(piece)
            self.size_bytes += len(piece.data)
        self._wants_key = self._wants_init = self._skipping = False

    def put_picture(self, fragment: Fragment) -> None:
        """The next single picture: the newest wins, at most one waits."""
        if len(fragment.data) > self._max_bytes:
            self._dropped.add(1, len(fragment.data))
            return
        gone = sum(isinstance(piece, Fragment) for piece in self._queue)
        self._dropped.add(gone, self.size_bytes)
        told = [piece for piece in self._queue if isinstance(piece, Told)]
        self._queue = deque([*told[-1:], fragment])
        self.size_bytes = len(fragment.data)

    def _fits(self, init: Fragment, fragment: Fragment) -> bool:
        more = len(init.data) if self._wants_init else 0
        fits = self.size_bytes + more + len(fragment.data) <= self._max_bytes
        return fits and len(self._queue) + 2 <= self._max_pieces

    def _skip(self) -> None:
        """Drop what waits; it goes on with a keyframe, and with an `init` where that was among it."""
        gone = [piece for piece in self._queue if isinstance(piece, Fragment)]
        self._wants_init = self._wants_init or any(piece.kind == "init" for piece in gone)
        self._wants_key = self._skipping = True
        self._dropped.add(len(gone), self.size_bytes)
        self._dropped.skips += 1
        self.skips += 1
        self.clear()
        self.tell(Told("skipped"))


class Viewer:
    """One viewer. `next` belongs to one task of its loop; the hub fills `waiting` from any thread.

    Args:
        camera, mode: what it looks at.
        waiting: what it gets. lock: the hub's.
        loop: on which it is woken; None: it is polled with `take`.
        leave: takes it out of the hub.
    """

    def __init__(
        self,
        camera: str,
        mode: str,
        waiting: Waiting,
        lock: threading.Lock,
        loop: asyncio.AbstractEventLoop | None,
        leave: Callable[[Viewer], None],
    ) -> None:
        self.camera = camera
        self.mode = mode
        self.waiting = waiting
        self.open = True
        self._lock = lock
        self._loop = loop
        self._leave = leave
        self._woken = asyncio.Event()
        self._waking = False

    def take(self) -> Fragment | Told | None:
        """What comes next, None when nothing waits."""
        with self._lock:
            return self.waiting.next()

    async def next(self) -> Fragment | Told | None:
        """What comes next, as soon as there is something; None after the viewer is closed."""
        while True:
            self._woken.clear()
            found = self.take()
            if found is not None or not self.open:
                return found
            await self._woken.wait()

    def wake(self) -> None:
        """There is something; one call waits for the loop at most, however much is delivered."""
        if self._loop is None or self._waking:
            return
        self._waking = True
        try:
            self._loop.call_soon_threadsafe(self._rouse)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self.open = False

    def _rouse(self) -> None:
        self._waking = False  # before the task looks, so that nothing delivered after that is missed
        self._woken.set()

    def close(self) -> None:
        """It looks no more; twice is once."""
        self._leave(self)
