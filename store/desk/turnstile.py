"""The turnstile before the desk's one writer: who is urgent goes first, and nobody waits for ever.

Invariants: one at a time; those of one class in the order in which they came; after `max_urgent_in_a_row` urgent ones
somebody else goes, when somebody waits. It is handed over, never raced for.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

DEFAULT_MAX_URGENT_IN_A_ROW = 64


class Turnstile:
    """A fair lock with two classes of waiters."""

    def __init__(self, *, max_urgent_in_a_row: int = DEFAULT_MAX_URGENT_IN_A_ROW) -> None:
        self._max_in_a_row = max_urgent_in_a_row
        self._lock = threading.Lock()
        self._busy = False
        self._urgent: deque[threading.Lock] = deque()
        self._others: deque[threading.Lock] = deque()
        self._in_a_row = 0

    @contextmanager
    def through(self, *, urgent: bool) -> Iterator[None]:
        """Be the only one inside; `urgent` ones are let in before the others."""
        self._enter(urgent=urgent)
        try:
            yield
        finally:
            self._leave()

    def waiting(self) -> int:
        """How many wait."""
        with self._lock:
            return len(self._urgent) + len(self._others)

    def _enter(self, *, urgent: bool) -> None:
        queue = self._urgent if urgent else self._others
        ticket = threading.Lock()
        with self._lock:
            if not self._busy:
                self._busy = True
                return
            ticket.acquire()
            queue.append(ticket)
        try:
            ticket.acquire()
        except BaseException:  # the interpreter was interrupted: give the place back, or hand the turn on
            with self._lock:
                waited = ticket in queue
                if waited:
                    queue.remove(ticket)
            if not waited:
                self._leave()
            raise

    def _leave(self) -> None:
        with self._lock:
            others_turn = self._others and (not self._urgent or self._in_a_row >= self._max_in_a_row)
            if others_turn:
                self._in_a_row = 0
                self._others.popleft().release()
            elif self._urgent:
                self._in_a_row += 1
                self._urgent.popleft().release()
            else:
                self._busy = False
