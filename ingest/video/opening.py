"""When streams are opened: a few at a time and not in step (`OpenTurns`), and how long after a loss (`BackOff`).

Why: hundreds of opens at once time out together and begin again together. Invariants: at most `max_opening` places are
held; a place can be given back by whoever notices that its holder hangs; nothing waits without an end that its caller sets.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable

from ingest.video.seams import LossReason
from model.clock import Clock

MAX_OPENING = 8
#: Mean time between the starts of two opens of one process.
STAGGER_S = 0.02
#: How long a wait goes on before its caller's wish to stop is looked at.
_LOOK_S = 0.05

BACK_OFF_MIN_S = 1.0
BACK_OFF_MAX_S = 60.0
#: First and longest wait after wrong credentials: cameras lock an account after a few wrong ones.
UNAUTHORIZED_MIN_S = 60.0
UNAUTHORIZED_MAX_S = 900.0
#: A stream held so long was a good one: the next wait is short again.
STEADY_AFTER_S = 30.0
_MAX_DOUBLINGS = 30


class Turn:
    """A place among those that open; given back once, whoever does it first."""

    def __init__(self, turns: OpenTurns) -> None:
        self._turns: OpenTurns | None = turns
        self._lock = threading.Lock()

    def give_back(self) -> None:
        """Somebody else may open; any thread, any number of times."""
        with self._lock:
            turns, self._turns = self._turns, None
        if turns is not None:
            turns.free()


class OpenTurns:
    """Who may open now, in the order in which they asked; one object for a process.

    Args:
        max_opening: how many open at a time.
        clock: time between starts.
        seed: of the jitter.
        stagger_s: mean time between two starts.
    """

    def __init__(
        self, max_opening: int = MAX_OPENING, *, clock: Clock, seed: int, stagger_s: float = STAGGER_S
    ) -> None:
        self._free = max_opening
        self._clock = clock
        self._random = random.Random(seed)  # noqa: S311 jitter, no secret
        self._stagger_s = stagger_s
        self._next_start_s = clock.monotonic_s()
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._waiting)

    @property
    def places(self) -> int:
        """How many places are free."""
        return self._free

    def take(self, is_over: Callable[[], bool]) -> Turn | None:
        """Wait for a place; None once `is_over()` says that nobody wants it any more."""
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                while not self._may_start(ticket):
                    if is_over():
                        return None
                    self._changed.wait(_LOOK_S)
                self._free -= 1
                now_s = self._clock.monotonic_s()
                self._next_start_s = now_s + self._random.uniform(0, 2 * self._stagger_s)
                return Turn(self)
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()

    def _may_start(self, ticket: object) -> bool:
        first = self._waiting[0] is ticket
        return first and self._free > 0 and self._clock.monotonic_s() >= self._next_start_s

    def free(self) -> None:
        """A place is free; for `Turn`."""
        with self._changed:
            self._free += 1
            self._changed.notify_all()


class BackOff:
    """How long one connection waits after a loss: exponential with full jitter, so that many do not come back in step.

    Args:
        min_s, max_s: least and longest wait.
        rng: of the jitter.
        steady_after_s: a stream held so long begins anew with a short wait.
        unauthorized_min_s, unauthorized_max_s: waits after wrong credentials.
    """

    def __init__(
        self,
        min_s: float = BACK_OFF_MIN_S,
        max_s: float = BACK_OFF_MAX_S,
        *,
        rng: random.Random,
        steady_after_s: float = STEADY_AFTER_S,
        unauthorized_min_s: float = UNAUTHORIZED_MIN_S,
        unauthorized_max_s: float = UNAUTHORIZED_MAX_S,
    ) -> None:
        self._min_s = min_s
        self._max_s = max(min_s, max_s)
        self._rng = rng
        self._steady_after_s = steady_after_s
        self._unauthorized = (unauthorized_min_s, max(unauthorized_min_s, unauthorized_max_s))
        self._losses = 0
        self._refusals = 0

    def next_s(self, reason: LossReason, held_s: float = 0.0) -> float:
        """How long to wait after a loss; 0.0: until the address changes.

        Args:
            reason: why it was lost.
            held_s: how long there was a stream.
        """
        if reason is LossReason.REFUSED:
            return 0.0
        if held_s >= self._steady_after_s:
            self.reset()
        if reason is LossReason.UNAUTHORIZED:
            self._refusals += 1
            return self._wait_s(*self._unauthorized, self._refusals, half=True)
        self._losses += 1
        return self._wait_s(self._min_s, self._max_s, self._losses, half=False)

    def reset(self) -> None:
        """The next wait is a short one: the stream was good, or its address is another."""
        self._losses = self._refusals = 0

    def _wait_s(self, min_s: float, max_s: float, number: int, *, half: bool) -> float:
        top_s = min(max_s, min_s * 2.0 ** min(number, _MAX_DOUBLINGS))
        # Never under `min_s`: no loop is tight. After wrong credentials never under half of the top either.
        return self._rng.uniform(max(min_s, top_s / 2) if half else min_s, top_s)
