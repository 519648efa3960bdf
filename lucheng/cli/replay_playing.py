"""Playing a replay on a terminal: media time, frames that are there in time, keys.

Invariants: what is shown is the frame of the media time, which `analytics.replay.clock` tells, so a slow terminal drops frames and
never falls behind; the next page of frames is fetched while this one is shown. It draws nothing: `replay_screen` does.
"""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from analytics.replay.clock import RATES, MediaClock
from console.client import Client
from lucheng.cli.replay_lines import Line, named
from model.clock import Clock

#: Pictures a second.
FRAMES_PER_S = 5
#: Frames of one page: ten seconds of playing.
PAGE_FRAMES = 50
SEEK_MS = 300_000
MIN_STEP_MS = 100
#: Newest events on the screen.
SHOWN_EVENTS = 6
_KEYS = {"\x1b[C": "right", "\x1b[D": "left", " ": "space", "+": "+", "=": "+", "-": "-", "q": "q", "\x03": "q"}


@dataclass(frozen=True, slots=True)
class Picture:
    """What is shown.

    Attributes:
        at_ms: media time. from_ms, to_ms: the window.
        rate, playing: of the clock.
        frame: the frame at or just before it, devices by their ids.
        events: what happened last, oldest first.
    """

    at_ms: int
    from_ms: int
    to_ms: int
    rate: float
    playing: bool
    frame: Mapping[str, Any]
    events: Sequence[Line]


class Frames:
    """Frames of a replay by media time; a context manager.

    Args:
        client: what is asked.
        replay: id of the replay.
    """

    def __init__(self, client: Client, replay: str) -> None:
        self._client, self._replay = client, replay
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="replay")
        self._page: dict[str, Any] = {"frames": []}
        self._at_ms, self._step_ms = 0, 0
        self._coming: tuple[int, Future[dict[str, Any]]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ahead.shutdown(wait=True, cancel_futures=True)

    def at(self, media_ms: int, step_ms: int) -> Mapping[str, Any]:
        """The frame at or less than `step_ms` before `media_ms`."""
        if step_ms != self._step_ms:
            self._coming = None
        if step_ms != self._step_ms or not 0 <= media_ms - self._at_ms < step_ms * len(self._page["frames"]):
            self._turn(media_ms, step_ms)
        row = (media_ms - self._at_ms) // step_ms
        if self._coming is None and self._page["next"] is not None and row * 2 >= len(self._page["frames"]):
            self._coming = self._page["next"], self._ahead.submit(self._fetched, self._page["next"], step_ms)
        return named(self._page["frames"][row], self._page["devices"])

    def _turn(self, media_ms: int, step_ms: int) -> None:
        """Take the page that holds the moment: the one that was fetched ahead, or one that begins there."""
        coming, self._coming = self._coming, None
        if coming is not None and coming[0] <= media_ms:
            page = coming[1].result()
            if media_ms - coming[0] < step_ms * len(page["frames"]):
                self._page, self._at_ms, self._step_ms = page, coming[0], step_ms
                return
        self._page, self._at_ms, self._step_ms = self._fetched(media_ms, step_ms), media_ms, step_ms

    def _fetched(self, at_ms: int, step_ms: int) -> dict[str, Any]:
        found: dict[str, Any] = self._client.call(
            "replay_frames", replay=self._replay, at_ms=at_ms, step_ms=step_ms, frames=PAGE_FRAMES
        )
        return found


class Keys:
    """Keys pressed on the terminal; a context manager. Elsewhere there are none."""

    def __init__(self, fd: int | None = None) -> None:
        self._fd = sys.stdin.fileno() if fd is None else fd
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        if os.isatty(self._fd):
            self._before = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def __call__(self) -> list[str]:
        """Those pressed since it was last asked: space, +, -, left, right, q; without waiting."""
        if self._before is None or not select.select([self._fd], [], [], 0)[0]:
            return []
        given = os.read(self._fd, 64).decode("utf-8", "replace")
        found: list[str] = []
        while given:
            size = 3 if given.startswith("\x1b[") else 1
            if (key := _KEYS.get(given[:size])) is not None:
                found.append(key)
            given = given[size:]
        return found


def play(
    clock: Clock,
    media: MediaClock,
    window: tuple[int, int],
    frames: Frames,
    events: Sequence[Line],
    times_ms: Sequence[int],
    keys: Callable[[], Sequence[str]],
    show: Callable[[Picture], None],
) -> None:
    """Show picture after picture until the end of the window, or until somebody quits.

    `events` in order with their times in `times_ms`, UTC ms; `window` half open.
    """
    while True:
        for key in keys():
            if key == "q":
                return
            _obey(media, key, clock.monotonic_s())
        now_s = clock.monotonic_s()
        at_ms = min(media.at_ms(now_s), window[1] - 1)
        step_ms = max(round(media.rate * 1_000 / FRAMES_PER_S), MIN_STEP_MS)
        happened = bisect_right(times_ms, at_ms)
        show(
            Picture(
                at_ms,
                *window,
                media.rate,
                media.playing,
                frames.at(at_ms, step_ms),
                events[max(happened - SHOWN_EVENTS, 0) : happened],
            )
        )
        if media.ended(now_s) and media.playing:
            return
        clock.sleep(1 / FRAMES_PER_S)


def _obey(media: MediaClock, key: str, now_s: float) -> None:
    if key == "space":
        (media.pause if media.playing else media.play)(now_s)
    elif key in "+-":
        # The next of the usual rates, from whatever it is.
        others = [rate for rate in RATES if (rate > media.rate if key == "+" else rate < media.rate)]
        if others:
            media.set_rate(now_s, others[0] if key == "+" else others[-1])
    else:
        media.seek(now_s, media.at_ms(now_s) + (SEEK_MS if key == "right" else -SEEK_MS))
