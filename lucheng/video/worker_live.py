"""Live fragments from the workers, to whoever views them in the service.

Invariants: one taker for each (camera, mode); a new one takes the place of the one before, which is told the end; when a
worker goes, its takers are told so. It keeps no fragment: `console.live` does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from lucheng.video.messages import Piece, StartLive, StopLive
from model.errors import NotFound, Refused, TryAgain
from model.video import Fragment

if TYPE_CHECKING:
    from lucheng.video.supervisor import Supervisor

MODES = ("mp4", "jpeg")
_Taker = Callable[[Fragment], None]


class WorkerLive:
    """Implements `model.video.LiveFeeds` over the workers. Any thread may call anything.

    Args:
        supervisor: reaches the workers.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._lock = threading.Lock()
        #: What a worker is told comes in the order of who takes: an end never after the beginning that replaced it.
        self._telling = threading.Lock()
        self._takers: dict[tuple[str, str], _Taker] = {}

    def start(self, camera: str, *, mode: str, deliver: _Taker) -> Callable[[], None]:
        """See `LiveFeeds.start`."""
        if mode not in MODES:
            raise Refused(f"{mode[:20]!r} is no kind of live view.", mend="Use one of " + ", ".join(MODES) + ".")
        if not self._supervisor.knows(camera):
            raise NotFound(f"{camera} is no camera that is watched.", mend="`lucheng camera list` shows them.")
        if self._supervisor.parked(camera):
            raise Refused(f"{camera} is set aside.", mend=f"Let it back with `lucheng camera unpark {camera}`.")
        key = (camera, mode)
        with self._telling:
            with self._lock:
                before = self._takers.get(key)
                self._takers[key] = deliver
            told = self._supervisor.send(camera, StartLive(camera, mode))
            if not told:
                with self._lock:
                    self._takers.pop(key, None)
        if before is not None:
            before(_end(camera, "another view took over"))
        if not told:
            raise TryAgain(f"The video worker of {camera} is starting.", mend="Try again in a moment.")

        def stop() -> None:
            with self._telling:
                with self._lock:
                    if self._takers.get(key) is not deliver:
                        return
                    del self._takers[key]
                self._supervisor.send(camera, StopLive(camera, mode))

        return stop

    def take(self, piece: Piece) -> None:
        """A fragment has come."""
        key = (piece.fragment.camera, piece.mode)
        with self._lock:
            taker = self._takers.get(key)
            if taker is not None and piece.fragment.kind == "end":
                del self._takers[key]
        if taker is not None:
            taker(piece.fragment)

    def left(self, devices: list[str]) -> None:
        """The worker of these cameras has gone."""
        gone = set(devices)
        with self._lock:
            found = [(key, taker) for key, taker in self._takers.items() if key[0] in gone]
            for key, _ in found:
                del self._takers[key]
        for (camera, _), taker in found:
            taker(_end(camera, "its video worker ended"))


def _end(camera: str, why: str) -> Fragment:
    return Fragment(camera, "end", keyframe=False, data=why.encode(), time_ms=0)
