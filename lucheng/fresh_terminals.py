"""Terminals as an ingestor among several knows them: what another one has just written is asked for before anybody is refused.

A terminal registers at one ingestor and authenticates at the next, a moment later and before the directory there was brought up to date.
Invariants: whoever is unknown, or whose token fails, is looked up in the database once more, at most every `min_gap_s`, so that strangers
cost no more than that; whoever is known costs nothing. It decides nothing: `devices.terminals` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from model.errors import LuchengError

if TYPE_CHECKING:
    from devices.terminals import RegisterAnswer, Registering, Terminal, Terminals
    from model.clock import Clock

#: Between two looks into the database for those who would be refused, seconds.
DEFAULT_MIN_GAP_S = 0.1


class FreshTerminals:
    """In the place of `Terminals` for the gateway (`ingest.gateway.seams.Terminals`).

    Args:
        terminals: the process's own, over a database that others write too.
        clock: source of time.
        min_gap_s: see `DEFAULT_MIN_GAP_S`.
    """

    def __init__(self, terminals: Terminals, clock: Clock, *, min_gap_s: float = DEFAULT_MIN_GAP_S) -> None:
        self._terminals = terminals
        self._clock = clock
        self._min_gap_s = min_gap_s
        self._looked_s = -min_gap_s

    def find(self, number: str) -> Terminal | None:
        """See `Terminals.find`."""
        found = self._terminals.find(number)
        if (found is None or not found.enabled) and self._look():
            found = self._terminals.find(number)
        return found

    def register_all(self, asked: Sequence[Registering]) -> Sequence[RegisterAnswer]:
        """See `Terminals.register_all`; what was bound or released elsewhere a moment ago counts."""
        self._look()
        return self._terminals.register_all(asked)

    def check(self, number: str, token: str) -> bool:
        """See `Terminals.check`."""
        return self._terminals.check(number, token) or (self._look() and self._terminals.check(number, token))

    def bound(self, device_slot: int) -> bool:
        """See `Terminals.bound`."""
        return self._terminals.bound(device_slot) or (self._look() and self._terminals.bound(device_slot))

    def _look(self) -> bool:
        """Take over what others have written; whether there was anything, and it was time to look."""
        now_s = self._clock.monotonic_s()
        if now_s - self._looked_s < self._min_gap_s:
            return False
        self._looked_s = now_s
        try:
            return self._terminals.refresh()
        except LuchengError:
            return False  # what was known a moment ago
