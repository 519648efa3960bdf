"""Clips and snapshots that were asked of the workers, until they are made.

Invariants: every request is answered exactly once, at last by the words why not: its worker ended, it has none, or it
said nothing in time; the answer is handed over on a thread of this room's own, so that no worker waits for a disk.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import structlog

from lucheng.video.messages import Made, MakeClip, Snapped, TakeSnapshot, Wake
from model.errors import TryAgain

if TYPE_CHECKING:
    from lucheng.video.seams import ClipDone, SnapshotDone
    from lucheng.video.supervisor import Supervisor
    from model.clock import Clock
    from model.video import Clip

#: So long after its end a clip, and after its asking a snapshot, has to be there.
DEFAULT_PATIENCE_S = 20.0
#: Requests that wait for workers.
DEFAULT_MAX_OPEN = 2_000
DEFAULT_HAND_OVER_THREADS = 4

Answer = TypeVar("Answer")

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Open:
    """A request under way: of which camera, until when, and who is told (by the message, or by why there is none)."""

    device: str
    until_s: float
    tell: Callable[[Made | Snapped | None, str], None]


class Requests:
    """What was asked and is not answered yet; implements `lucheng.video.seams.ClipMaker`. Any thread may ask.

    Args:
        supervisor: reaches the workers.
        clock: source of time.
        max_clip_bytes: largest clip.
        patience_s, max_open: see the constants.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        clock: Clock,
        *,
        max_clip_bytes: int,
        patience_s: float = DEFAULT_PATIENCE_S,
        max_open: int = DEFAULT_MAX_OPEN,
    ) -> None:
        self._supervisor = supervisor
        self._clock = clock
        self._max_clip_bytes = max_clip_bytes
        self._patience_s = patience_s
        self._max_open = max_open
        self._lock = threading.Lock()
        self._open: dict[int, _Open] = {}
        self._number = 0
        self._handing_over = ThreadPoolExecutor(DEFAULT_HAND_OVER_THREADS, "video-answers")

    def wake(self, camera: str, until_ms: int) -> None:
        """Decode the camera fully until then."""
        self._supervisor.send(camera, Wake(camera, until_ms))

    def clip(self, camera: str, from_ms: int, to_ms: int, done: ClipDone) -> None:
        """A clip of a camera; `done(clip or None, note)` once its end has passed."""
        wait_s = max(0.0, (to_ms - self._clock.now_ms()) / 1000)

        def tell(message: Made | Snapped | None, why: str) -> None:
            clip, note = (message.clip, message.note) if isinstance(message, Made) else (None, why)
            done(clip, note)

        number = self._enter(camera, wait_s, tell)
        if number:
            self._ask(number, camera, MakeClip(number, camera, from_ms, to_ms, self._max_clip_bytes))

    def snapshot(self, camera: str, done: SnapshotDone) -> None:
        """A JPEG of a camera's newest picture; `done(bytes or None, its time, note)`."""

        def tell(message: Made | Snapped | None, why: str) -> None:
            if isinstance(message, Snapped):
                done(message.jpeg or None, message.time_ms, message.note)
            else:
                done(None, 0, why)

        number = self._enter(camera, 0.0, tell)
        if number:
            self._ask(number, camera, TakeSnapshot(number, camera))

    def wait_clip(self, device: str, from_ms: int, to_ms: int, timeout_s: float) -> Clip:
        """As `clip`, waiting for it. Raises TryAgain saying why there is none."""
        future: Future[tuple[Clip | None, str]] = Future()
        self.clip(device, from_ms, to_ms, lambda clip, note: future.set_result((clip, note)))
        clip, note = result_of(future, timeout_s)
        if clip is None:
            raise TryAgain(f"There is no clip of {device}: {note}.", mend="See `lucheng camera show`.")
        return clip

    def wait_snapshot(self, device: str, timeout_s: float) -> tuple[bytes, int]:
        """As `snapshot`, waiting for it. Raises TryAgain saying why there is none."""
        future: Future[tuple[tuple[bytes | None, int], str]] = Future()
        self.snapshot(device, lambda jpeg, time_ms, note: future.set_result(((jpeg, time_ms), note)))
        (jpeg, time_ms), note = result_of(future, timeout_s)
        if jpeg is None:
            raise TryAgain(f"There is no picture of {device}: {note}.", mend="See `lucheng camera show`.")
        return jpeg, time_ms

    def answer(self, message: Made | Snapped) -> None:
        """A worker has answered."""
        with self._lock:
            found = self._open.pop(message.request, None)
        if found is not None:
            self._hand_over(found, message, "")

    def left(self, devices: list[str]) -> None:
        """The worker of these cameras has gone, and what was asked of it with it."""
        gone = set(devices)
        self._give_up(lambda one: one.device in gone, "its video worker ended")

    def expire(self) -> None:
        """Answer what is overdue; to be called now and then."""
        now_s = self._clock.monotonic_s()
        self._give_up(lambda one: now_s > one.until_s, "the video worker did not answer in time")

    def close(self) -> None:
        """Answer everything that is open: the service ends."""
        self._give_up(lambda _one: True, "the service ends")
        self._handing_over.shutdown(wait=True)

    def _give_up(self, which: Callable[[_Open], bool], why: str) -> None:
        with self._lock:
            numbers = [number for number, one in self._open.items() if which(one)]
            found = [self._open.pop(number) for number in numbers]
        for one in found:
            self._hand_over(one, None, why)

    def _enter(self, device: str, wait_s: float, tell: Callable[[Made | Snapped | None, str], None]) -> int:
        one = _Open(device, self._clock.monotonic_s() + wait_s + self._patience_s, tell)
        with self._lock:
            if len(self._open) < self._max_open:
                self._number += 1
                self._open[self._number] = one
                return self._number
        self._hand_over(one, None, f"{self._max_open} requests are waiting")
        return 0

    def _ask(self, number: int, device: str, message: MakeClip | TakeSnapshot) -> None:
        if self._supervisor.send(device, message):
            return
        with self._lock:
            found = self._open.pop(number, None)
        if found is not None:
            self._hand_over(found, None, "no video worker watches it now")

    def _hand_over(self, one: _Open, message: Made | Snapped | None, why: str) -> None:
        def tell() -> None:
            try:
                one.tell(message, why)
            except Exception as error:  # who asked has failed; others still wait for their answers
                _log.exception("clip not handed over", camera=one.device, error=type(error).__name__)

        try:
            self._handing_over.submit(tell)
        except RuntimeError:  # closed: nobody waits any more
            return


def result_of(future: Future[tuple[Answer, str]], timeout_s: float) -> tuple[Answer, str]:
    """What a camera answered. Raises TryAgain: nothing, in time."""
    try:
        return future.result(timeout_s)
    except TimeoutError:
        raise TryAgain("The camera did not answer in time.", mend="Ask again.") from None
