"""One connection of a fleet, and what is told of all of them.

Invariants: a message is open, settled (below `prefix` or in `ahead`) or not sent yet; the memory for what is settled does
not grow while answers come in order.
"""

from __future__ import annotations

import resource
import socket
from collections import deque
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from model.errors import UsageError
from simulator.terminal.stock import Stock

_SPARE_FILES = 64


class State(Enum):
    """How far a connection is."""

    DOWN = 0
    CONNECTING = 1
    REGISTERING = 2
    AUTHENTICATING = 3
    UP = 4


@dataclass(frozen=True, slots=True)
class Connected:
    """How coming online went: seconds from the start until all were up, and the same for single terminals."""

    connections: int
    seconds: float
    p50_s: float
    p99_s: float
    retries: int


@dataclass(frozen=True, slots=True)
class Load:
    """What a run did. Messages and the places in them; CPU is this process's own."""

    messages_sent: int
    messages_answered: int
    places_answered: int
    refused: int
    seconds: float
    cpu_s: float

    @property
    def places_per_s(self) -> float:
        """Answered places a second."""
        return self.places_answered / self.seconds if self.seconds else 0.0


@dataclass(slots=True, eq=False)
class FleetLink:
    """One connection. `open` is serial to (message, frame); all messages below `prefix` are settled, as those in `ahead`."""

    index: int
    number: str
    stock: Stock
    token: str = ""
    state: State = State.DOWN
    sock: socket.socket | None = None
    left: bytes = b""
    out: bytes = b""
    serial: int = 0
    next_message: int = 0
    made: deque[bytes] = field(default_factory=deque)
    open: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    prefix: int = 0
    ahead: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    up_s: float = 0.0
    retry_at_s: float = 0.0
    tries: int = 0

    def settle(self, message: int) -> None:
        """That message needs no answer any more."""
        if message != self.prefix:
            self.ahead.add(message)
            return
        self.prefix += 1
        while self.prefix in self.ahead:
            self.ahead.discard(self.prefix)
            self.prefix += 1

    def take(self, count: int, block: int) -> bytes:
        """The next `count` frames, now unanswered; they are made `block` at a time."""
        frames = []
        for _ in range(count):
            if not self.made:
                self.made.extend(self.stock.make(self.next_message, block, self.serial))
            frame = self.made.popleft()
            self.open[self.serial] = (self.next_message, frame)
            self.serial = (self.serial + 1) & 0xFFFF
            self.next_message += 1
            frames.append(frame)
        return b"".join(frames)

    def answered_ms(self) -> NDArray[np.int64]:
        """Device times of all places that were answered with 0, UTC ms, ascending."""
        settled = np.concatenate((np.arange(self.prefix), np.array(sorted(self.ahead), np.int64)))
        if self.refused:
            settled = settled[~np.isin(settled, list(self.refused))]
        return self.stock.times_ms(settled)


def need_files(connections: int) -> None:
    """Raise the limit of open files as far as it goes. UsageError when that is not far enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _SPARE_FILES
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise UsageError(
            f"{connections} connections need {wanted} open files; the limit is {hard}.", mend=f"ulimit -n {wanted}"
        )
    if soft != resource.RLIM_INFINITY and wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
