"""`Fleet`: thousands of terminals on one thread, for load and for reconnecting all at once.

Purpose: a closed loop: each connection keeps so many messages unanswered and sends the next as answers come. Invariants:
`ledger` has exactly what the platform answered with 0; what was not answered when a connection broke is sent again, same
bytes, when it is back; memory is bounded by connections × (`outstanding` + `block`). Linux (epoll). Answers are matched by
serial; their checksum is not looked at (`terminal.Terminal` does that).
"""

from __future__ import annotations

import errno
import random
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model.errors import TryAgain, UsageError
from simulator.terminal import jt
from simulator.terminal.fleet_link import Connected, FleetLink, Load, State, need_files
from simulator.terminal.identity import DEFAULT_IDENTITY
from simulator.terminal.stock import Stock
from simulator.terminal.wire import Protocol, pack, unescape

DEFAULT_OUTSTANDING = 10
#: Connections that are being opened at a time.
DEFAULT_AT_ONCE = 1_024
#: Messages of one connection that are made at a time; with batches, fewer.
DEFAULT_BLOCK = 64
_BLOCK_PLACES = 160
#: How far in the past device times begin: what is sent faster than real time must not run into the future.
DEFAULT_PAST_MS = 6 * 86_400_000
DEFAULT_RETRY_S = 0.1
DEFAULT_MAX_RETRY_S = 2.0
#: Messages that the platform may refuse before the run is given up.
DEFAULT_MAX_REFUSED = 100_000
#: Result of 8001 that says "taken, and the alarm in it is being handled".
ALARM_HANDLED = 4
_READ_BYTES = 1 << 16
_EVENTS = 4_096


class Fleet:
    """Terminals that send as fast as they are answered.

    Args:
        host, port: of the gateway.
        numbers: terminal numbers, one connection each.
        protocol: JT/T 808 or 905; GT06 does not answer places.
        outstanding: unanswered messages of one connection.
        batch: 0 sends places one by one, n sends n in one message.
        rate_per_s: places a second of all together; None: as fast as they are answered.
        tokens: of terminals that are registered already.
        plate_of: plate of a number, when it registers.
        start_ms, step_ms: device time of the first place, and from place to place; whole seconds.
        seed: of the retries.
        items: whether places have additional items, see `Stock`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        numbers: Sequence[str],
        *,
        protocol: Protocol = Protocol.JT808,
        outstanding: int = DEFAULT_OUTSTANDING,
        batch: int = 0,
        rate_per_s: float | None = None,
        tokens: dict[str, str] | None = None,
        plate_of: Callable[[str], str] | None = None,
        start_ms: int | None = None,
        step_ms: int = 1_000,
        seed: int = 0,
        items: bool = False,
    ) -> None:
        self.protocol = Protocol(protocol)
        if self.protocol is Protocol.GT06:
            raise UsageError("GT06 does not answer places, so there is no closed loop.", mend="Use jt808 or jt905.")
        need_files(len(numbers))
        begin_ms = int(time.time() * 1000) - DEFAULT_PAST_MS if start_ms is None else start_ms
        places = max(batch, 1)
        self._where = (host, port)
        self._outstanding, self._rate_per_s = outstanding, rate_per_s
        self._places, self._block = places, max(1, min(DEFAULT_BLOCK, _BLOCK_PLACES // places))
        self._plate_of = plate_of or (lambda number: "蒙B" + number[-5:])
        self._random = random.Random(seed)
        known = tokens or {}
        self._links = [
            FleetLink(
                at,
                number,
                Stock(
                    self.protocol,
                    number,
                    start_ms=begin_ms // 1000 * 1000,
                    step_ms=step_ms,
                    places=places,
                    seed=at,
                    items=items,
                ),
                known.get(number, ""),
            )
            for at, number in enumerate(numbers)
        ]
        self._by_file: dict[int, FleetLink] = {}
        self._epoll = select.epoll()
        self._waiting: deque[FleetLink] = deque(self._links)
        self._opening = self._up = 0
        self._wanted = self._sending = False
        self._limit_each: int | None = None
        self._thirsty: deque[FleetLink] = deque()
        self._sent = self._answered = self._refused = self._retries = 0
        self._sent_places, self._began_s = 0, 0.0
        #: Frames of the platform that are no answer.
        self.other = 0
        #: Connections that `lose` left open.
        self.lost: list[socket.socket] = []

    # -- coming and going ----------------------------------------------------------------------

    @property
    def up(self) -> int:
        """Connections that may send."""
        return self._up

    def tokens(self) -> dict[str, str]:
        """What the platform gave each terminal at its registration."""
        return {link.number: link.token for link in self._links if link.token}

    def connect(self, timeout_s: float) -> Connected:
        """Bring all online that are not: connect, register, authenticate. TryAgain when some are not in time."""
        self._wanted = True
        began_s, retries = time.monotonic(), self._retries
        self._waiting = deque(link for link in self._links if link.state is State.DOWN)
        fresh = list(self._waiting)
        while self._up < len(self._links):
            if time.monotonic() - began_s > timeout_s:
                raise TryAgain(
                    f"{self._up} of {len(self._links)} terminals are online after {timeout_s:g} s.",
                    mend="Give it longer, or look at what the gateway refuses.",
                )
            self._turn(0.01)
        took = np.array([link.up_s - began_s for link in fresh] or [0.0])
        p50_s, p99_s = np.percentile(took, [50, 99]).tolist()
        return Connected(len(fresh), float(took.max()), p50_s, p99_s, self._retries - retries)

    def drop(self, *, abrupt: bool = True) -> int:
        """End all connections at once, with a reset as when the network goes; how many that were."""
        self._wanted = False
        ended = 0
        for link in self._links:
            if link.sock is not None:
                if abrupt:
                    link.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                ended += 1
                self._down(link)
        return ended

    def lose(self) -> int:
        """The network goes without a word: neither side is told, nothing is read or sent any more; how many that were.

        To the platform they are half open. They stay in `lost` until `close`.
        """
        self._wanted = False
        gone = [link for link in self._links if link.sock is not None]
        need_files(len(self.lost) + len(gone) + len(self._links))
        for link in gone:
            assert link.sock is not None
            self._epoll.unregister(link.sock)
            self.lost.append(link.sock)
            self._forget(link)
        return len(gone)

    def reconnect(self, timeout_s: float) -> Connected:
        """Drop all and bring them back, with what was never answered."""
        self.drop()
        return self.connect(timeout_s)

    def close(self) -> None:
        """End everything."""
        self.drop(abrupt=False)
        for sock in self.lost:
            sock.close()
        self.lost.clear()
        self._epoll.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- load ----------------------------------------------------------------------------------

    def run(self, seconds: float, *, messages_each: int | None = None) -> Load:
        """Send for so long, or until each connection has sent and been answered `messages_each` messages in all."""
        self._began_s, self._sent_places, self._limit_each = time.monotonic(), 0, messages_each
        sent, answered, refused, cpu_s = self._sent, self._answered, self._refused, time.process_time()
        self._sending, self._wanted = True, True
        for link in self._links:
            self._top_up(link)
        while time.monotonic() - self._began_s < seconds:
            self._turn(0.01)
            if messages_each is not None and self._answered + self._refused >= messages_each * len(self._links):
                break
        self._sending = False
        took_s = time.monotonic() - self._began_s
        done = self._answered - answered
        return Load(
            self._sent - sent, done, done * self._places, self._refused - refused, took_s,
            time.process_time() - cpu_s,
        )  # fmt: skip

    def drain(self, timeout_s: float) -> bool:
        """Wait for all answers; whether they came."""
        until_s = time.monotonic() + timeout_s
        while any(link.open for link in self._links) and time.monotonic() < until_s:
            self._turn(0.01)
        return not any(link.open for link in self._links)

    def ledger(self) -> Iterator[tuple[str, NDArray[np.int64]]]:
        """Each terminal with the device times (UTC ms, ascending) of all places that were answered with 0."""
        for link in self._links:
            yield link.number, link.answered_ms()

    # -- one turn ------------------------------------------------------------------------------

    def _turn(self, timeout_s: float) -> None:
        if self._wanted:
            self._open_some()
        if self._sending and self._thirsty:
            timeout_s = 0.001
            for _ in range(len(self._thirsty)):
                self._top_up(self._thirsty.popleft())
        for number, event in self._epoll.poll(timeout_s, _EVENTS):
            link = self._by_file.get(number)
            if link is None:
                continue
            if link.state is State.CONNECTING:
                self._opened(link)
                continue
            if event & select.EPOLLOUT:
                self._write(link, b"")
            if event & ~select.EPOLLOUT:
                self._readable(link)

    def _open_some(self) -> None:
        now_s = time.monotonic()
        for _ in range(len(self._waiting)):
            if self._opening >= DEFAULT_AT_ONCE:
                return
            link = self._waiting.popleft()
            if link.retry_at_s > now_s:
                self._waiting.append(link)
                continue
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            made.settimeout(0)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.sock, link.state = made, State.CONNECTING
            self._by_file[made.fileno()] = link
            self._opening += 1
            if made.connect_ex(self._where) not in (0, errno.EINPROGRESS):
                self._lost(link)
                continue
            self._epoll.register(made, select.EPOLLIN | select.EPOLLOUT)

    def _opened(self, link: FleetLink) -> None:
        assert link.sock is not None
        if link.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._lost(link)
            return
        self._opening -= 1
        self._epoll.modify(link.sock, select.EPOLLIN)
        if self.protocol is Protocol.JT905:
            self._online(link)
        elif link.token:
            self._authenticate(link)
        else:
            link.state = State.REGISTERING
            one = DEFAULT_IDENTITY
            plate = self._plate_of(link.number)
            self._say(link, 0x0100, jt.register(
                self.protocol, maker=one.maker, model=one.model, terminal_id=link.number[-7:], plate=plate
            ))  # fmt: skip

    def _authenticate(self, link: FleetLink) -> None:
        link.state = State.AUTHENTICATING
        self._say(link, 0x0102, jt.authenticate(self.protocol, link.token, imei="", software="S1.0"))

    def _say(self, link: FleetLink, message_id: int, body: bytes) -> None:
        (frame,) = pack(self.protocol, message_id, body, number=link.number, serial=link.serial)
        link.serial = (link.serial + 1) & 0xFFFF
        link.made.clear()  # their serials are no longer the next ones
        self._write(link, frame)

    def _online(self, link: FleetLink) -> None:
        link.state, link.up_s, link.tries = State.UP, time.monotonic(), 0
        self._up += 1
        if link.open:
            self._write(link, b"".join(frame for _, frame in link.open.values()))
        self._top_up(link)

    def _down(self, link: FleetLink) -> None:
        sock = link.sock
        if sock is not None:
            self._forget(link)
            sock.close()  # epoll forgets it by itself

    def _forget(self, link: FleetLink) -> None:
        assert link.sock is not None
        if link.state is State.UP:
            self._up -= 1
        elif link.state is State.CONNECTING:
            self._opening -= 1
        self._by_file.pop(link.sock.fileno(), None)
        link.sock, link.state, link.left, link.out = None, State.DOWN, b"", b""

    def _lost(self, link: FleetLink) -> None:
        """It broke without our doing: try again, a little later each time."""
        self._down(link)
        self._retries += 1
        wait_s = min(DEFAULT_RETRY_S * 2**link.tries, DEFAULT_MAX_RETRY_S)
        link.tries = min(link.tries + 1, 10)
        link.retry_at_s = time.monotonic() + wait_s * self._random.uniform(0.5, 1.5)
        self._waiting.append(link)

    # -- bytes ---------------------------------------------------------------------------------

    def _write(self, link: FleetLink, data: bytes) -> None:
        if link.sock is None:
            return
        waiting, link.out = bool(link.out), link.out + data
        try:
            sent = link.sock.send(link.out) if link.out else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._lost(link)
            return
        link.out = link.out[sent:]
        if bool(link.out) != waiting:
            self._epoll.modify(link.sock, select.EPOLLIN | (select.EPOLLOUT if link.out else 0))

    def _top_up(self, link: FleetLink) -> None:
        """Send as many messages as may be unanswered, the rate and the limit allow."""
        if not self._sending or link.state is not State.UP:
            return
        room = self._outstanding - len(link.open)
        if self._limit_each is not None:
            room = min(room, self._limit_each - link.next_message)
        if room > 0 and self._rate_per_s is not None:
            due = self._rate_per_s * (time.monotonic() - self._began_s) - self._sent_places
            allowed = max(int(due // self._places), 0)
            if allowed < room:
                self._thirsty.append(link)
                room = allowed
        if room <= 0:
            return
        self._sent += room
        self._sent_places += room * self._places
        self._write(link, link.take(room, self._block))

    def _readable(self, link: FleetLink) -> None:
        if link.sock is None:
            return
        try:
            data = link.sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost(link)
            return
        pieces = (link.left + data).split(b"\x7e")
        link.left = pieces.pop()
        settled = self._answered + self._refused
        for piece in pieces:
            if piece:
                self._heard(link, unescape(piece) if b"\x7d" in piece else piece)
        if self._answered + self._refused != settled:
            self._top_up(link)

    def _heard(self, link: FleetLink, plain: bytes) -> None:
        at = 17 if plain[2] & 0x40 and self.protocol is not Protocol.JT905 else 12
        kind = plain[:2]
        if kind == b"\x80\x01" and len(plain) >= at + 5:
            self._settled(link, plain[at] << 8 | plain[at + 1], plain[at + 2 : at + 4], plain[at + 4])
        elif kind == b"\x81\x00" and len(plain) >= at + 3:
            if plain[at + 2] == 0:
                link.token = plain[at + 3 : -1].decode("gbk", "replace")
                self._authenticate(link)
            else:
                self._lost(link)
        else:
            self.other += 1

    def _settled(self, link: FleetLink, serial: int, message_id: bytes, result: int) -> None:
        if message_id == b"\x01\x02":
            if result == 0:
                self._online(link)
            else:
                link.token = ""
                self._lost(link)
            return
        found = link.open.pop(serial, None)
        if found is None:
            return
        message = found[0]
        if result in (0, ALARM_HANDLED):
            self._answered += 1
        else:
            self._refused += 1
            link.refused.add(message)
            if self._refused > DEFAULT_MAX_REFUSED:
                raise TryAgain(f"The platform refused {self._refused} messages.", mend="Look at its quarantine.")
        link.settle(message)
