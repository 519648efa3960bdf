"""HTTP/1.1 with its patience bounded: what uvicorn leaves open to a client that never finishes.

Invariants: a connection that has not sent a whole head within `header_s`, be it the first or a later one, is cut; one
beyond `max_connections` is cut at once; nothing is logged of what a client sent, so no token is. It knows no application.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

#: uvicorn warns of every request that is no HTTP: anybody could fill the log with that. Faults of ours come through.
_QUIET = logging.getLogger("osmand.http")
_QUIET.setLevel(logging.ERROR)


class BoundedProtocol(H11Protocol):
    """Base of `bounded`; the class attributes are set there."""

    header_s: float = 10.0
    max_connections: int = 1_000
    _head_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        self.logger = _QUIET
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            transport.abort()
            return
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        self._wait_for_head()
        cycle = self.cycle
        super().data_received(data)
        if self.cycle is not cycle:
            self._forget_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_head()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        """Begin to wait unless that is being done, or a request is under way (its body has a limit of its own)."""
        if self._head_due is None and not self._busy():
            self._head_due = self.loop.call_later(self.header_s, self._too_slow)

    def _forget_head(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _too_slow(self) -> None:
        self._head_due = None
        if not self._busy():
            self.transport.abort()

    def _busy(self) -> bool:
        """Whether a request is being answered."""
        cycle: Any = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete


def bounded(header_s: float, max_connections: int) -> type[BoundedProtocol]:
    """The protocol with these limits."""
    return type("Bounded", (BoundedProtocol,), {"header_s": header_s, "max_connections": max_connections})
