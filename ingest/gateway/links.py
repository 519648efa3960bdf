"""`Link`: one connection (or one sender of datagrams); `LinkTable`: what a round needs of all of them, as columns.

Invariants: a link's row is its alone until it is released; bytes are written in the order in which they were put; only
the gateway's thread touches either.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ingest.jt.bcd import NO_NUMBER

if TYPE_CHECKING:
    from ingest.gateway.orders import Pending
    from ingest.gateway.seams import Terminal

#: Protocols as the table has them.
UNKNOWN, JT808, JT905, GT06 = 0, 1, 2, 3
PROTOCOL_NAMES = ("", "jt808", "jt905", "gt06")
PROTOCOL_CODES = {name: code for code, name in enumerate(PROTOCOL_NAMES) if name}
#: The table's value of a link that has not said who it is; no header gives it.
NOBODY = NO_NUMBER - 1


class Link:
    """A connection.

    Attributes:
        sock: its socket; None of a sender of datagrams. fd: its number, -1.
        index: its row in the table.
        side: `jt` or `gt06`: which port it came by.
        address: of the other end, `host:port`; sockaddr: as a datagram needs it.
        rest: bytes that are no complete frame yet.
        out: frames to write at the end of the turn; unsent: what the socket did not take.
        open: False once it was closed: nothing is written then.
        ended: closed at the end of the turn, after its last frames were taken.
        number: what it said it is, digits without leading zeros; `code` the protocol it speaks, UNKNOWN before.
        terminal: as registered, from the moment it is believed; `version` of its standard.
        strange: frames quarantined before it was believed.
        zone_offset_ms: how far a tracker's clock is ahead of UTC, by its login.
        orders: orders that wait for an answer, by each of our serials.
        parted: frames of our last messages that went in parts, by the serial of the first.
        session: number of its session on this gateway, growing; 0 before it is believed.
        prefaced: a balancer has to say first whose connection it is.
    """

    __slots__ = (
        "address", "code", "ended", "fd", "index", "number", "open", "orders", "out", "parted", "prefaced", "rest", "session",
        "side", "sock", "sockaddr", "strange", "terminal", "unsent", "version", "zone_offset_ms",
    )  # fmt: skip

    def __init__(
        self, sock: socket.socket | None, index: int, side: str, address: str, sockaddr: tuple[Any, ...] = ()
    ) -> None:
        self.sock = sock
        self.fd = -1 if sock is None else sock.fileno()
        self.index = index
        self.side = side
        self.address = address
        self.sockaddr = sockaddr
        self.rest = b""
        self.out: list[bytes] = []
        self.unsent = b""
        self.open = True
        self.ended = False
        self.number = ""
        self.code = UNKNOWN
        self.terminal: Terminal | None = None
        self.version = 2013
        self.strange = 0
        self.zone_offset_ms = 0
        self.orders: dict[int, Pending] = {}
        self.parted: dict[int, list[bytes]] = {}
        self.session = 0
        self.prefaced = False

    @property
    def source(self) -> str:
        """For quarantine: protocol, number and where it came from."""
        return f"{PROTOCOL_NAMES[self.code] or self.side}/{self.number or '?'} {self.address}"

    @property
    def device(self) -> str:
        """The device's id once it is believed, else ""."""
        return self.terminal.device if self.terminal is not None else ""


class LinkTable:
    """Columns by link: shape (rows,) each.

    Attributes:
        number: terminal number as an integer, uint64; `NOBODY` before it was said.
        slot: registry slot, int32; -1 before the link is believed.
        code: protocol, uint8.
        heard_s, opened_s: when it was last heard and when it came, monotonic seconds; inf in a free row.
        serial: our next serial towards it, int64, to be cut to 16 bits.
    """

    def __init__(self, rows: int) -> None:
        self.number: npt.NDArray[np.uint64] = np.full(rows, NOBODY, np.uint64)
        self.slot: npt.NDArray[np.int32] = np.full(rows, -1, np.int32)
        self.code: npt.NDArray[np.uint8] = np.zeros(rows, np.uint8)
        self.heard_s: npt.NDArray[np.float64] = np.full(rows, np.inf)
        self.opened_s: npt.NDArray[np.float64] = np.full(rows, np.inf)
        self.serial: npt.NDArray[np.int64] = np.zeros(rows, np.int64)
        self.links: list[Link | None] = [None] * rows
        self._free = list(range(rows - 1, -1, -1))

    @property
    def full(self) -> bool:
        """Whether no row is left."""
        return not self._free

    def row(self) -> int:
        """A free row. IndexError when the table is full."""
        return self._free.pop()

    def place(self, link: Link, now_s: float) -> None:
        """Fill the row of `link`."""
        self.links[link.index] = link
        self.heard_s[link.index] = self.opened_s[link.index] = now_s

    def release(self, link: Link) -> None:
        """The link is gone: its row is free."""
        index = link.index
        self.links[index] = None
        self.number[index] = NOBODY
        self.slot[index] = -1
        self.code[index] = UNKNOWN
        self.heard_s[index] = self.opened_s[index] = np.inf
        self.serial[index] = 0
        self._free.append(index)

    def take_serial(self, link: Link, count: int = 1) -> int:
        """Our next serial towards `link`; `count` of them are used up."""
        first = int(self.serial[link.index]) & 0xFFFF
        self.serial[link.index] += count
        return first

    def silent(self, now_s: float, greeting_s: float, idle_s: float) -> tuple[list[Link], list[Link]]:
        """Links that did not say who they are in time; links that say nothing any more."""
        rude = np.flatnonzero((self.slot < 0) & (now_s - self.opened_s >= greeting_s))
        idle = np.flatnonzero((self.slot >= 0) & (now_s - self.heard_s >= idle_s))
        return self._of(rude), self._of(idle)

    def _of(self, rows: npt.NDArray[np.int64]) -> list[Link]:
        return [link for link in (self.links[row] for row in rows.tolist()) if link is not None]
