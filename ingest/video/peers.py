"""Whom this process's sockets are connected to: the look after FFmpeg has opened a stream (S11).

A server that answered `preflight` properly may still send FFmpeg elsewhere in the next second, by the `source` of a UDP
transport, or by a redirect where FFmpeg follows it (see there). FFmpeg says nothing of it; but the kernel knows where its sockets lead. So each open stream
claims one connected socket of its pinned address, by the socket's inode, and a stream for which none is left has gone
elsewhere and is closed before one byte of it is used. With the claim a hung read can be ended: `Claim.end`.

Channels of one recorder are connections to one address, and FFmpeg does not say which of them is whose. So of opens at one address the next
begins when the one before has its connection (a few milliseconds: the server has just answered `preflight`): what is there then, and was not
before, is the earlier one's. Where that takes longer than `TELL_APART_S`, they may be taken for one another.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from ingest.video.lost import StreamLost
from ingest.video.seams import LossReason

#: How long an open waits until the one before it, at the same address, has its connection; and how often it looks.
TELL_APART_S, _LOOK_S = 0.5, 0.005
_FDS = Path("/proc/self/fd")
_PREFIX = "socket:["
_MAPPED = "::ffff:"


class Claim:
    """The control connection of one open stream.

    Attributes:
        doubted: another stream of the same address has no connection there, so it may be this one that was led away.
    """

    def __init__(self, peers: Peers, inode: int, place: tuple[str, int], own: socket.socket) -> None:
        self.doubted = False
        self.place = place
        self._peers = peers
        self._inode = inode
        self._own: socket.socket | None = own
        self._lock = threading.Lock()

    def end(self) -> None:
        """Have whoever reads from it told that it has ended; from any thread."""
        with self._lock:
            if self._own is not None:
                with contextlib.suppress(OSError):
                    self._own.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """The stream is being closed; any number of times."""
        with self._lock:
            if self._own is not None:
                self._own.close()
                self._own = None
                self._peers.release(self._inode, self)


class Opening:
    """A stream that is being opened.

    Attributes:
        place: where. before: sockets that were there when it began. inode: of its connection, 0 while that is not known.
        left: whether nobody waits any more to learn it.
    """

    def __init__(self, peers: Peers, place: tuple[str, int], before: frozenset[int]) -> None:
        self.place, self.before = place, before
        self.inode = 0
        self.left = False
        self._peers = peers

    def claim(self) -> Claim:
        """Claim its connection; StreamLost (REFUSED) where there is none at the address."""
        return self._peers.claim(self)


class Peers:
    """Which sockets belong to which stream; one object for a process, any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._openings: list[Opening] = []
        self._taken: set[int] = set()
        self._claims: set[Claim] = set()

    def own(self, mine: socket.socket) -> int:
        """`mine` belongs to no stream, until `release` of what this returns."""
        inode = os.fstat(mine.fileno()).st_ino
        with self._lock:
            self._taken.add(inode)
        return inode

    @contextlib.contextmanager
    def opening(self, ip: str, port: int) -> Iterator[Opening]:
        """To be held while FFmpeg opens a stream at `ip`:`port`; may wait for a moment, see the module."""
        opening = self._begun((ip, port))
        try:
            yield opening
        finally:
            with self._lock:
                self._openings.remove(opening)

    def _begun(self, place: tuple[str, int]) -> Opening:
        until_s = time.monotonic() + TELL_APART_S
        while True:
            with self._lock:
                open_now = _sockets()
                earlier = next(
                    (one for one in self._openings if one.place == place and not one.inode and not one.left), None
                )
                if earlier is not None:
                    earlier.inode = next(self._fresh(earlier, open_now), (0, None))[0]
                    earlier.left = time.monotonic() > until_s
                if earlier is None or earlier.inode or earlier.left:
                    opening = Opening(self, place, frozenset(inode for inode, _ in open_now))
                    self._openings.append(opening)
                    return opening
            time.sleep(_LOOK_S)

    def _fresh(self, opening: Opening, open_now: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Connections to its address that are no other stream's and were not there before it."""
        others = {one.inode for one in self._openings if one is not opening}
        for inode, fd in open_now:
            if inode in self._taken or inode in others or inode in opening.before:
                continue
            own = _connected(fd, inode, socket.SOCK_STREAM, *opening.place)
            if own is not None:
                own.close()
                yield inode, fd

    def claim(self, opening: Opening) -> Claim:
        """Claim the TCP connection of `opening`; StreamLost (REFUSED) where there is none at its address."""
        ip, port = opening.place
        with self._lock:
            fresh = sorted(self._fresh(opening, _sockets()), key=lambda one: one[0] != opening.inode)
            for inode, fd in fresh:
                own = _connected(fd, inode, socket.SOCK_STREAM, ip, port)
                if own is not None:
                    opening.inode = inode
                    claim = Claim(self, inode, (ip, port), own)
                    self._taken.add(inode)
                    self._claims.add(claim)
                    return claim
            for claim in self._claims:
                claim.doubted = claim.doubted or claim.place == (ip, port)
        raise StreamLost(LossReason.REFUSED, "the server sent the reader to another address")

    def release(self, inode: int, claim: Claim | None = None) -> None:
        """That socket is being closed."""
        with self._lock:
            self._taken.discard(inode)
            if claim is not None:
                self._claims.discard(claim)

    def check_datagrams(self, ip: str) -> None:
        """Raise StreamLost (REFUSED) where a connected UDP socket leads neither to `ip` nor to another stream's server."""
        with self._lock:
            allowed = {ip, *(claim.place[0] for claim in self._claims)}
        for inode, fd in _sockets():
            own = _connected(fd, inode, socket.SOCK_DGRAM, "", 0)
            if own is None:
                continue
            with own:
                try:
                    led_to = _peer(own)[0]
                except OSError:
                    continue
                if led_to not in allowed:
                    raise StreamLost(LossReason.REFUSED, "the server names another source of its pictures")


#: The claims of this process.
PEERS = Peers()


def _sockets() -> list[tuple[int, int]]:
    found = []
    for name in os.listdir(_FDS):  # noqa: PTH208 names alone, of a thousand entries
        with contextlib.suppress(OSError, ValueError):
            target = os.readlink(f"{_FDS}/{name}")  # noqa: PTH115 a Path a descriptor is ten times as slow
            if target.startswith(_PREFIX):
                found.append((int(target[len(_PREFIX) : -1]), int(name)))
    # The newest first: it is most likely the one that was opened just now.
    return sorted(found, reverse=True)


def _peer(own: socket.socket) -> tuple[str, int]:
    place = own.getpeername()
    ip = str(place[0]).partition("%")[0]
    return ip.removeprefix(_MAPPED) if "." in ip else ip, int(place[1])


def _connected(fd: int, inode: int, kind: socket.SocketKind, ip: str, port: int) -> socket.socket | None:
    """A duplicate of a socket of that kind that leads to `ip`:`port` ("": anywhere), else None."""
    try:
        own = socket.socket(fileno=os.dup(fd))
    except OSError:
        return None
    try:
        if (
            own.family in (socket.AF_INET, socket.AF_INET6)
            and own.type == kind
            and os.fstat(own.fileno()).st_ino == inode
            and (not ip or _peer(own) == (ip, port))
        ):
            return own
    except OSError:
        pass
    own.close()
    return None
