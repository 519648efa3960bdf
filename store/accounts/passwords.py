"""Passwords as argon2id. Source: RFC 9106, 4 (second recommended option).

Invariants: no more than `max_at_a_time` are worked on, so that a flood of wrong ones costs a bounded amount of memory; a
password that is wrong and one of nobody take as long. Nothing is kept, and no password is in an error.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from model.errors import TryAgain

DEFAULT_MEMORY_KIB = 65_536
DEFAULT_PASSES = 3
DEFAULT_LANES = 4
DEFAULT_MAX_AT_A_TIME = 2
#: Those that wait for their turn; more are turned away.
DEFAULT_MAX_WAITING = 16
DEFAULT_WAIT_S = 10.0


class Passwords:
    """Makes and tries hashes. Any thread.

    Args:
        memory_kib, passes, lanes: costs of one.
        max_at_a_time: worked on together; max_waiting: for their turn; wait_s: for how long.
    """

    def __init__(
        self,
        *,
        memory_kib: int = DEFAULT_MEMORY_KIB,
        passes: int = DEFAULT_PASSES,
        lanes: int = DEFAULT_LANES,
        max_at_a_time: int = DEFAULT_MAX_AT_A_TIME,
        max_waiting: int = DEFAULT_MAX_WAITING,
        wait_s: float = DEFAULT_WAIT_S,
    ) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=lanes)
        self._turns = threading.BoundedSemaphore(max_at_a_time)
        self._room = threading.BoundedSemaphore(max_at_a_time + max_waiting)
        self._wait_s = wait_s
        self._nobody = ""

    def hash(self, password: str) -> str:
        """The password's hash (`$argon2id$…`) with a salt of its own. Raises TryAgain."""
        with self._turn():
            return self._hasher.hash(password)

    def fits(self, kept: str, password: str) -> bool:
        """Whether `password` is that of the hash; "" is nobody's, takes as long, and fits nothing. Raises TryAgain."""
        with self._turn():
            if not self._nobody:
                self._nobody = self._hasher.hash("nobody")
            try:
                self._hasher.verify(kept or self._nobody, password)
            except (Argon2Error, InvalidHashError):
                return False
            return bool(kept)

    def outdated(self, kept: str) -> bool:
        """Whether the hash was made with other costs."""
        return self._hasher.check_needs_rehash(kept)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._room.acquire(blocking=False):
            raise TryAgain("Too many people sign in right now.", mend="Try again in a moment.")
        try:
            if not self._turns.acquire(timeout=self._wait_s):
                raise TryAgain("Too many people sign in right now.", mend="Try again in a moment.")
            try:
                yield
            finally:
                self._turns.release()
        finally:
            self._room.release()
