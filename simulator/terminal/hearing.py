"""What a terminal heard and sent, for tests and for people who watch.

Invariants: `wait_for` gives each message once, in order; at most so many are kept.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from model.errors import TryAgain
from simulator.terminal.jt_down import Values

#: Messages from the platform that are remembered.
DEFAULT_MAX_HEARD = 10_000


@dataclass(frozen=True, slots=True)
class Heard:
    """A message from the platform: its number, serial and values, and when it had been obeyed (monotonic, s)."""

    message_id: int
    serial: int
    values: Values
    at_s: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """A message as it went up or came down, for those who watch. `note` says what is not in the values."""

    up: bool
    message_id: int
    name: str
    serial: int
    values: Values
    raw: bytes
    note: str = ""


class Ears:
    """Remembers messages from the platform; the reading thread adds, any thread waits."""

    def __init__(self, max_heard: int = DEFAULT_MAX_HEARD) -> None:
        self._heard: deque[Heard] = deque(maxlen=max_heard)
        self._new: dict[int, deque[Heard]] = {}
        self._came_in = threading.Condition()

    def add(self, heard: Heard) -> None:
        """One more."""
        with self._came_in:
            self._heard.append(heard)
            self._new.setdefault(heard.message_id, deque(maxlen=self._heard.maxlen)).append(heard)
            self._came_in.notify_all()

    def all(self) -> list[Heard]:
        """All that are remembered, newest last."""
        with self._came_in:
            return list(self._heard)

    def wait_for(self, message_id: int, timeout_s: float, where: Callable[[Values], bool] | None) -> Heard:
        """The next of that number for which `where` holds; those before it are passed over. TryAgain when none comes."""
        found: list[Heard] = []

        def there() -> bool:
            waiting = self._new.get(message_id, deque())
            while waiting and not found:
                one = waiting.popleft()
                if where is None or where(one.values):
                    found.append(one)
            return bool(found)

        with self._came_in:
            if not self._came_in.wait_for(there, timeout_s):
                came = ", ".join(f"{one.message_id:#06x}" for one in list(self._heard)[-8:])
                raise TryAgain(
                    f"The message {message_id:#06x} did not come in {timeout_s:g} s.",
                    mend=f"What came last: {came}." if came else "Nothing came at all.",
                )
        return found[0]
