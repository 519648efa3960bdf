"""`Sockets`: listeners, connections and datagrams of the gateway, read and written without ever waiting.

Invariants: a connection is read and written once a turn at most; what a socket does not take waits, within its limit, and
is written first; a connection beyond the limits is closed. What bytes mean is not known here. Linux: epoll.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ingest.gateway.links import Link
from ingest.gateway.proxy import BadPreface, Network, is_within, read_preface
from model.errors import UsageError

if TYPE_CHECKING:
    from ingest.gateway.core import Core

#: Largest datagram.
_DATAGRAM_BYTES = 65_535


@dataclass(slots=True)
class Read:
    """What one round read, what was left over in front: of the JT port (links and pieces) and of the GT06 port; `ended` were closed."""

    links: list[Link] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    gt06: list[tuple[Link, bytes]] = field(default_factory=list)
    ended: list[Link] = field(default_factory=list)


class Sockets:
    """All sockets of one gateway. One thread, but for `open` and `open_udp` before it runs.

    Args:
        core: what all sides share.
        listen: address to listen on.
        balancers: connections from there begin with the line that says whose they are; without it they end.

    Attributes:
        links: connections by file descriptor; udp_links: senders of datagrams by address.
        reading, writing: epolls of what can be read, and of links that wait for room.
    """

    def __init__(self, core: Core, listen: str, balancers: Sequence[Network] = ()) -> None:
        self._core = core
        self._balancers = balancers
        self._limits = core.limits
        self._listen = listen
        self.links: dict[int, Link] = {}
        self.udp_links: dict[tuple[Any, ...], Link] = {}
        self._listeners: dict[int, tuple[socket.socket, str]] = {}
        self._udp: socket.socket | None = None
        self._spare = socket.socket()
        self.reading = select.epoll()
        self.writing = select.epoll()

    def open(self, port: int, side: str) -> int:
        """Listen; the port. Raises UsageError."""
        family = socket.AF_INET6 if ":" in self._listen else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((self._listen, port))
        except OSError as error:
            sock.close()
            raise UsageError(
                f"Port {port} of {self._listen} cannot be had: {error.strerror}.", mend="Set another port or address."
            ) from error
        sock.listen(self._limits.backlog)
        self._listeners[sock.fileno()] = (sock, side)
        self.reading.register(sock.fileno(), select.EPOLLIN)
        bound: int = sock.getsockname()[1]
        return bound

    def open_udp(self, port: int) -> None:
        """Take datagrams. Raises UsageError."""
        family = socket.AF_INET6 if ":" in self._listen else socket.AF_INET
        self._udp = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._udp.bind((self._listen, port))
        except OSError as error:
            raise UsageError(
                f"UDP port {port} of {self._listen} cannot be had: {error.strerror}.", mend="Switch gateway.jt_udp off."
            ) from error
        self.reading.register(self._udp.fileno(), select.EPOLLIN)

    # -- reading ------------------------------------------------------------------------------

    def read(self, now_s: float) -> Read:
        """Read what is there, up to the limits of one round; take new connections."""
        limits, core, links = self._limits, self._core, self.links
        got = Read()
        left, read_bytes = limits.round_bytes, limits.read_bytes
        for fd, _ in self.reading.poll(0, limits.round_events):
            link = links.get(fd)
            if link is None:
                self._other(fd, got, now_s)
                continue
            sock = link.sock
            assert sock is not None
            try:
                data = sock.recv(read_bytes)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                got.ended.append(link)
                core.end(link)
                continue
            left -= len(data)
            if link.prefaced:
                data = self._after_preface(link, link.rest + data)
                if not data:
                    continue
            if link.side == "jt":
                got.links.append(link)
                got.pieces.append(link.rest + data)
            else:
                got.gt06.append((link, link.rest + data))
            if left <= 0:
                break
        core.stats.received_bytes += limits.round_bytes - left
        core.table.heard_s[[link.index for link in got.links]] = now_s
        core.table.heard_s[[link.index for link, _ in got.gt06]] = now_s
        return got

    def _after_preface(self, link: Link, data: bytes) -> bytes:
        """What a terminal sent behind its balancer's line; b"" before there is any."""
        try:
            found = read_preface(data)
        except BadPreface:
            self._core.stats.bad_prefaces += 1
            self._core.end(link)
            return b""
        if found is None:
            link.rest = data
            return b""
        size_bytes, address = found
        link.prefaced, link.rest = False, b""
        link.address = address or link.address
        return data[size_bytes:]

    def _other(self, fd: int, got: Read, now_s: float) -> None:
        """A socket that is no connection: a listener, or that of datagrams."""
        if self._udp is not None and fd == self._udp.fileno():
            self._datagrams(got, now_s)
        elif fd in self._listeners:
            self._accept(*self._listeners[fd], now_s)

    def _accept(self, listener: socket.socket, side: str, now_s: float) -> None:
        core = self._core
        for _ in range(self._limits.round_events):
            try:
                sock, address = listener.accept()
            except OSError as error:  # no more, or gone again
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self._turn_away(listener)
                return
            if len(self.links) >= self._limits.max_connections or core.table.full:
                core.stats.turned_away += 1
                sock.close()
                continue
            sock.setblocking(False)  # noqa: FBT003 the socket's own call
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = Link(sock, core.table.row(), side, f"{address[0]}:{address[1]}")
            link.prefaced = bool(self._balancers) and is_within(address[0], self._balancers)
            core.table.place(link, now_s)
            self.links[link.fd] = link
            core.stats.accepted += 1
            self.reading.register(link.fd, select.EPOLLIN)

    def _turn_away(self, listener: socket.socket) -> None:
        """The process has no file descriptor left: close one connection with the spare one, or it would wake us for ever."""
        self._core.stats.turned_away += 1
        self._spare.close()
        with contextlib.suppress(OSError):
            listener.accept()[0].close()
        self._spare = socket.socket()

    def _datagrams(self, got: Read, now_s: float) -> None:
        """Datagrams, each with the link of its sender."""
        assert self._udp is not None
        core = self._core
        for _ in range(self._limits.round_events):
            try:
                data, sender = self._udp.recvfrom(_DATAGRAM_BYTES)
            except OSError:  # no more
                return
            core.stats.datagrams += 1
            core.stats.received_bytes += len(data)
            link = self.udp_links.get(sender)
            if link is None:
                if len(self.udp_links) >= self._limits.udp_links or core.table.full:
                    core.stats.turned_away += 1
                    continue
                link = Link(None, core.table.row(), "jt", f"{sender[0]}:{sender[1]}", sender)
                core.table.place(link, now_s)
                self.udp_links[sender] = link
            got.links.append(link)
            got.pieces.append(data)

    # -- writing ------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write to each link what was put since the last turn."""
        core = self._core
        dirty, core.dirty = core.dirty, []
        for link in dirty:
            data = b"".join(link.out)
            link.out = []
            if link.sock is None:
                self._send_datagram(link, data)
            elif not link.open:
                continue
            elif link.unsent:
                link.unsent += data
                self._too_much_unsent(link)
            else:
                self._write(link, data)

    def _write(self, link: Link, data: bytes) -> None:
        assert link.sock is not None
        try:
            count = link.sock.send(data)
        except BlockingIOError:
            count = 0
        except OSError:
            self._core.end(link)
            return
        if count < len(data):
            link.unsent = data[count:]
            self.writing.register(link.fd, select.EPOLLOUT)
            self._too_much_unsent(link)

    def write_more(self) -> None:
        """Go on writing to links whose sockets have room again."""
        for fd, _ in self.writing.poll(0, self._limits.round_events):
            self.writing.unregister(fd)
            link = self.links.get(fd)
            if link is not None:
                data, link.unsent = link.unsent, b""
                self._write(link, data)

    def _too_much_unsent(self, link: Link) -> None:
        if len(link.unsent) > self._limits.max_unsent_bytes:
            self._core.stats.overruns += self._core.end(link)

    def _send_datagram(self, link: Link, data: bytes) -> None:
        if self._udp is not None:
            with contextlib.suppress(OSError):  # as any datagram may be lost
                self._udp.sendto(data, link.sockaddr)

    # -- the end ------------------------------------------------------------------------------

    def close(self, link: Link) -> None:
        """Close one; what was not written is dropped."""
        link.open = False
        self._core.disbelieve(link)
        self._core.table.release(link)
        if link.sock is None:
            self.udp_links.pop(link.sockaddr, None)
            return
        link.out = []
        del self.links[link.fd]
        link.sock.close()  # leaves the epolls by that

    def close_all(self) -> None:
        """Close everything."""
        for link in [*self.links.values(), *self.udp_links.values()]:
            self.close(link)
        for sock, _ in self._listeners.values():
            sock.close()
        if self._udp is not None:
            self._udp.close()
        self._spare.close()
        self.reading.close()
        self.writing.close()
