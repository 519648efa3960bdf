"""Replays that somebody has begun: what was allowed once, so that each page of frames need not be allowed anew.

Invariants: a session is its opener's alone, for one window and the devices that were allowed; it tells no more than was
asked. It lives in memory: it ends with the service, when nobody has used it for a while, or when its opener has too many. Any
thread may ask. It decides nothing about who may read.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass

from model.clock import Clock
from model.device import Device
from model.errors import NotFound
from model.grant import Purpose

#: Sessions of one person, and of all; the one used longest ago ends.
DEFAULT_MAX_OF_ONE = 16
DEFAULT_MAX_OPEN = 512
DEFAULT_IDLE_S = 8 * 3_600.0


@dataclass(frozen=True, slots=True)
class Session:
    """What was allowed.

    Attributes:
        id: what the pages name.
        who: whose it is.
        purpose: why it is read.
        from_ms, to_ms: the window, half open, UTC ms.
        devices: the named ones; None: all of `kind` that may be in a list of all.
        kind: "" every kind.
        allowed_by: as `console.wide_gate` said.
    """

    id: str
    who: str
    purpose: Purpose
    from_ms: int
    to_ms: int
    devices: tuple[Device, ...] | None
    kind: str
    allowed_by: str


class Sessions:
    """See the module.

    Args:
        clock: for the time without use.
        max_of_one, max_open: sessions of one person, and of all.
        idle_s: so long without use, and it ends.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        max_of_one: int = DEFAULT_MAX_OF_ONE,
        max_open: int = DEFAULT_MAX_OPEN,
        idle_s: float = DEFAULT_IDLE_S,
    ) -> None:
        self._clock = clock
        self._max_of_one, self._max_open, self._idle_s = max_of_one, max_open, idle_s
        self._lock = threading.Lock()
        #: By id, the one used longest ago first, with when that was.
        self._open: dict[str, tuple[Session, float]] = {}

    def open(
        self,
        who: str,
        purpose: Purpose,
        window: tuple[int, int],
        devices: tuple[Device, ...] | None,
        kind: str,
        allowed_by: str,
    ) -> Session:
        """A new one."""
        made = Session(secrets.token_hex(16), who, purpose, *window, devices, kind, allowed_by)
        with self._lock:
            self._end_idle()
            own = [one for one, (session, _) in self._open.items() if session.who == who]
            for old in own[: max(len(own) - self._max_of_one + 1, 0)] or list(self._open)[: self._over()]:
                del self._open[old]
            self._open[made.id] = made, self._clock.monotonic_s()
        return made

    def get(self, session: str, who: str) -> Session:
        """One that is still open. Raises NotFound, another person's too."""
        with self._lock:
            self._end_idle()
            found, _ = self._open.get(session, (None, 0.0))
            if found is None or found.who != who:
                raise NotFound("There is no such replay, or it has ended.", mend="Begin it anew: `replay`.")
            del self._open[session]
            self._open[session] = found, self._clock.monotonic_s()
            return found

    def _over(self) -> int:
        return max(len(self._open) - self._max_open + 1, 0)

    def _end_idle(self) -> None:
        before_s = self._clock.monotonic_s() - self._idle_s
        for one in [one for one, (_, used_s) in self._open.items() if used_s < before_s]:
            del self._open[one]
