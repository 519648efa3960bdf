"""`Gateway`: the sockets of terminals and the one thread that serves them.

Purpose: each turn reads what has come on all connections, has it decoded as one batch, hands it on, and writes what is
owed: answers of rounds that have become durable by then, and whatever needs no commit. Invariants: a position is answered
only after its round is durable; a connection is read and written once a turn; the thread never waits for a terminal; no
buffer grows beyond its limit; reading pauses while too much is on its way. What bytes mean is for `jt` and `gt06`.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from ingest.decode.decoder import Decoded
from ingest.gateway import orders
from ingest.gateway.core import Core, Round
from ingest.gateway.dialects import DIALECTS
from ingest.gateway.gt06 import Gt06Side
from ingest.gateway.jt import JtSide
from ingest.gateway.limits import DEFAULT_LIMITS, GatewayLimits
from ingest.gateway.links import PROTOCOL_NAMES, Link
from ingest.gateway.sending import send_step
from ingest.wire.orders import Out
from model.batch import PointBatch
from model.command import Reply
from model.errors import UsageError

if TYPE_CHECKING:
    from ingest.gateway.seams import GatewayEvents, Order, Take, Terminals
    from ingest.gateway.stats import GatewayStats
    from model.clock import Clock

#: Largest datagram.
_DATAGRAM_BYTES = 65_535
_STOP_TURN_S = 0.05
_EMPTY = PointBatch.empty()


class Gateway:
    """Serves terminals until `stop`.

    Args:
        limits: see `GatewayLimits`.
        clock: for receive times and time-outs.
        terminals: who is registered.
        take: takes each round's points, quarantine and signals.
        events: told of sessions, replies, media and reports.
        listen: address to listen on.
        jt_port, gt06_port: TCP ports; 0 any free one, None not at all.
        jt_udp: whether the JT port is also a UDP port.
        require_auth: whether a JT/T 808 terminal has to authenticate before its data counts.
        phone_number: what a terminal dials for `listen_in` and `call` (`desk.phone_number`).

    Attributes:
        jt_port, gt06_port: where it listens, once started; 0 where it does not.
        failure: what ended the thread, None while all is well.
    """

    def __init__(
        self,
        limits: GatewayLimits = DEFAULT_LIMITS,
        *,
        clock: Clock,
        terminals: Terminals,
        take: Take,
        events: GatewayEvents,
        listen: str = "127.0.0.1",
        jt_port: int | None = None,
        jt_udp: bool = False,
        gt06_port: int | None = None,
        require_auth: bool = True,
        phone_number: str = "",
    ) -> None:
        self._limits = limits
        self._phone_number = phone_number
        self._clock = clock
        self._take = take
        self._listen = listen
        self._asked = (jt_port, gt06_port)
        self._jt_udp = jt_udp
        self.jt_port = self.gt06_port = 0
        self.failure: BaseException | None = None
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._core = Core(limits, clock, terminals, events, require_auth=require_auth, wake=self._wake)
        self._jt = JtSide(self._core)
        self._gt06 = Gt06Side(self._core)
        self._links: dict[int, Link] = {}
        self._listeners: dict[int, tuple[socket.socket, str]] = {}
        self._udp: socket.socket | None = None
        self._udp_links: dict[tuple[Any, ...], Link] = {}
        self._durable: deque[Round] = deque()
        self._under_way = 0
        self._paused = False
        self._stopping = threading.Event()
        self._woken = select.epoll()
        self._reading = select.epoll()
        self._writing = select.epoll()
        self._thread: threading.Thread | None = None
        self._next_tick_s = 0.0

    # -- any thread ---------------------------------------------------------------------------

    def start(self) -> Gateway:
        """Listen and serve on a thread of its own. Raises UsageError where an address cannot be had."""
        jt_port, gt06_port = self._asked
        if jt_port is not None:
            self.jt_port = self._open(jt_port, "jt")
            if self._jt_udp:
                self._open_udp(self.jt_port)
        if gt06_port is not None:
            self.gt06_port = self._open(gt06_port, "gt06")
        self._woken.register(self._wake_fd, select.EPOLLIN)
        self._woken.register(self._reading.fileno(), select.EPOLLIN)
        self._woken.register(self._writing.fileno(), select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop reading, wait for what is under way (`stop_s` at most), write what is owed, close everything."""
        self._stopping.set()
        self._wake()
        if self._thread is not None:
            self._thread.join(self._limits.stop_s + 5.0)
            self._thread = None

    def send(self, order: Order) -> bool:
        """Send an order to a connected terminal; False when it is not connected. Raises Refused where its protocol cannot.

        What is written is at the terminal's mercy: an answer comes as `events.reply`, or never. An order that could not
        be written because the terminal left meanwhile comes back as a `Reply` that is not ok.
        """
        link = self._core.by_slot.get(order.slot)
        if link is None or not link.open:
            return False
        outs = DIALECTS[link.code].orders(order.name, order.args, version=link.version, phone_number=self._phone_number)
        self._core.later(partial(self._begin, link, order, outs))
        return True

    def connected(self, slot: int) -> str:
        """The protocol that the device in `slot` is connected by, "" when it is not."""
        link = self._core.by_slot.get(slot)
        return PROTOCOL_NAMES[link.code] if link is not None and link.open else ""

    @property
    def stats(self) -> GatewayStats:
        """Counters; see `GatewayStats`."""
        stats = self._core.stats
        stats.connections, stats.sessions = len(self._links), len(self._core.by_number)
        return stats

    def look(self) -> None:
        """Look at time-outs now rather than at the next tick; from any thread."""
        self._core.later(self._tick)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # closed already, or awake anyway
            os.eventfd_write(self._wake_fd, 1)

    # -- listening ----------------------------------------------------------------------------

    def _open(self, port: int, side: str) -> int:
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
        self._reading.register(sock.fileno(), select.EPOLLIN)
        bound: int = sock.getsockname()[1]
        return bound

    def _open_udp(self, port: int) -> None:
        family = socket.AF_INET6 if ":" in self._listen else socket.AF_INET
        self._udp = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._udp.bind((self._listen, port))
        except OSError as error:
            raise UsageError(
                f"UDP port {port} of {self._listen} cannot be had: {error.strerror}.", mend="Switch gateway.jt_udp off."
            ) from error
        self._reading.register(self._udp.fileno(), select.EPOLLIN)

    # -- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                busy = self._turn(self._limits.tick_ms / 1000)
                if busy and self._limits.nap_ms:
                    self._clock.sleep(self._limits.nap_ms / 1000)
            self._finish()
        except BaseException as error:
            self.failure = error
            raise
        finally:
            self._close_all()

    def _turn(self, wait_s: float) -> bool:
        """One turn; whether it read from many connections."""
        ready = {fd for fd, _ in self._woken.poll(wait_s)}
        pieces = 0
        if self._wake_fd in ready:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake_fd)
        self._settle()
        if self._reading.fileno() in ready and not self._paused:
            pieces = self._read()
        if self._writing.fileno() in ready:
            self._write_more()
        if self._clock.monotonic_s() >= self._next_tick_s:
            self._tick()
        self._flush()
        self._end_links()
        self._pause()
        return pieces >= self._limits.nap_above

    def _settle(self) -> None:
        """Write what is owed for rounds that are durable; run what other threads left."""
        core = self._core
        put, stats = core.put, core.stats
        while self._durable:
            round_ = self._durable.popleft()
            self._under_way -= 1
            stats.unanswered -= round_.frames
            for link, frames in round_.answers:
                stats.answers += len(frames)
                put(link, frames)
            for call in round_.then:
                call()
        core.run_later()

    def _pause(self) -> None:
        """Stop reading while too much is on its way."""
        paused = self._core.stats.unanswered >= self._limits.max_unanswered_frames or self._stopping.is_set()
        if paused != self._paused:
            self._paused = paused
            self._core.stats.paused += paused
            if paused:
                self._woken.unregister(self._reading.fileno())
            else:
                self._woken.register(self._reading.fileno(), select.EPOLLIN)

    # -- reading ------------------------------------------------------------------------------

    def _read(self) -> int:
        """One round; from how many connections something came."""
        limits, core = self._limits, self._core
        round_ = Round(core.clock.monotonic_s(), core.clock.now_ms())
        jt_links: list[Link] = []
        jt_pieces: list[bytes] = []
        gt06: list[tuple[Link, bytes]] = []
        left, read_bytes, links = limits.round_bytes, limits.read_bytes, self._links
        for fd, _ in self._reading.poll(0, limits.round_events):
            link = links.get(fd)
            if link is None:
                self._other(fd, round_)
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
                core.end(link)
                continue
            left -= len(data)
            if link.side == "jt":
                jt_links.append(link)
                jt_pieces.append(link.rest + data)
            else:
                gt06.append((link, link.rest + data))
            if left <= 0:
                break
        core.stats.received_bytes += limits.round_bytes - left
        core.table.heard_s[[link.index for link in jt_links]] = round_.now_s
        if jt_links:
            self._jt.take(jt_links, jt_pieces, round_)
            for link in jt_links:
                if len(link.rest) > limits.max_buffer_bytes:
                    self._jt.rest_too_long(link, round_)
                    core.end(link)
        if gt06:
            core.table.heard_s[[link.index for link, _ in gt06]] = round_.now_s
            self._gt06.take(gt06, round_)
        self._hand_over(round_)
        return len(jt_links) + len(gt06)

    def _other(self, fd: int, round_: Round) -> None:
        """A socket that is no connection: a listener, or that of datagrams."""
        if self._udp is not None and fd == self._udp.fileno():
            self._datagrams(round_)
        elif fd in self._listeners:
            self._accept(*self._listeners[fd], round_.now_s)

    def _accept(self, listener: socket.socket, side: str, now_s: float) -> None:
        core = self._core
        for _ in range(self._limits.round_events):
            try:
                sock, address = listener.accept()
            except OSError:  # no more, or gone again
                return
            if len(self._links) >= self._limits.max_connections or core.table.full:
                core.stats.turned_away += 1
                sock.close()
                continue
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = Link(sock, core.table.row(), side, f"{address[0]}:{address[1]}")
            core.table.place(link, now_s)
            self._links[link.fd] = link
            core.stats.accepted += 1
            self._reading.register(link.fd, select.EPOLLIN)

    def _datagrams(self, round_: Round) -> None:
        """Datagrams of JT/T 808 terminals: a link for each sender that the registry knows."""
        assert self._udp is not None
        core = self._core
        links: list[Link] = []
        pieces: list[bytes] = []
        for _ in range(self._limits.round_events):
            try:
                data, sender = self._udp.recvfrom(_DATAGRAM_BYTES)
            except OSError:
                break
            core.stats.datagrams += 1
            core.stats.received_bytes += len(data)
            link = self._udp_links.get(sender)
            if link is None:
                if len(self._udp_links) >= self._limits.udp_links or core.table.full:
                    core.stats.turned_away += 1
                    continue
                link = Link(None, core.table.row(), "jt", f"{sender[0]}:{sender[1]}", sender)
                core.table.place(link, round_.now_s)
                self._udp_links[sender] = link
            core.table.heard_s[link.index] = round_.now_s
            links.append(link)
            pieces.append(data)
        if links:
            self._jt.take(links, pieces, round_)
        for link in links:
            link.rest = b""  # a datagram ends where it ends
            if link.terminal is None:
                core.end(link)

    def _hand_over(self, round_: Round) -> None:
        """Give the round to be made durable; what it owes waits for that."""
        core = self._core
        core.stats.rounds += 1
        core.stats.frames += round_.frames
        core.stats.unanswered += round_.frames
        self._under_way += 1
        batch = PointBatch.concat(round_.batches) if round_.batches else _EMPTY
        core.stats.positions += len(batch)
        if not round_.durable_needed:
            self._durable.append(round_)
            self._settle()
            return
        urgent = len(batch) > 0 and core.rising.rose(batch)
        decoded = Decoded(batch, round_.quarantined, round_.signals, urgent=urgent)
        self._take(decoded, partial(self._done, round_))

    def _done(self, round_: Round) -> None:
        """The round is durable; from any thread."""
        self._durable.append(round_)
        self._wake()

    # -- writing ------------------------------------------------------------------------------

    def _flush(self) -> None:
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
            self._writing.register(link.fd, select.EPOLLOUT)
            self._too_much_unsent(link)

    def _write_more(self) -> None:
        """Go on writing to links whose sockets have room again."""
        for fd, _ in self._writing.poll(0, self._limits.round_events):
            self._writing.unregister(fd)
            link = self._links.get(fd)
            if link is not None:
                data, link.unsent = link.unsent, b""
                self._write(link, data)

    def _too_much_unsent(self, link: Link) -> None:
        if len(link.unsent) > self._limits.max_unsent_bytes:
            self._core.stats.overruns += 1
            self._core.end(link)

    def _send_datagram(self, link: Link, data: bytes) -> None:
        if self._udp is not None:
            with contextlib.suppress(OSError):  # as any datagram may be lost
                self._udp.sendto(data, link.sockaddr)

    # -- time-outs, orders, the end -----------------------------------------------------------

    def _tick(self) -> None:
        """Time-outs."""
        limits, core = self._limits, self._core
        now_s = core.clock.monotonic_s()
        self._next_tick_s = now_s + limits.tick_ms / 1000
        rude, idle = core.table.silent(now_s, limits.greeting_s, limits.idle_s)
        core.stats.greeting_timeouts += len(rude)
        core.stats.idle_timeouts += len(idle)
        for link in (*rude, *idle):
            core.end(link)
        round_ = Round(now_s, core.clock.now_ms())
        self._jt.tick(round_)
        if round_.durable_needed or round_.then:
            self._hand_over(round_)
        for link in core.by_number.values():
            if link.orders:
                orders.expire(link, now_s - limits.order_s)
        core.check_again()

    def _begin(self, link: Link, order: Order, outs: list[Out]) -> None:
        """Send the first message of an order."""
        core = self._core
        if link.terminal is None or not link.open or link.ended:
            core.events.reply(Reply(order.command, ok=False, detail="the terminal left before it was sent"))
            return
        now_s = core.clock.monotonic_s()
        send_step(core, link, orders.begin(link, order, outs, now_s, self._limits.orders_per_terminal), now_s)

    def _end_links(self) -> None:
        """Close the links that ended this turn."""
        ending, self._core.ending = self._core.ending, []
        for link in ending:
            self._close(link)

    def _close(self, link: Link) -> None:
        link.open = False
        self._core.disbelieve(link)
        self._core.table.release(link)
        link.out = []
        if link.sock is None:
            self._udp_links.pop(link.sockaddr, None)
            return
        del self._links[link.fd]
        if link.unsent:
            with contextlib.suppress(OSError):
                self._writing.unregister(link.fd)
        link.sock.close()  # leaves the epoll by that

    def _finish(self) -> None:
        """Wait for what is under way, and write what is owed for it."""
        self._pause()
        round_ = Round(self._clock.monotonic_s(), self._clock.now_ms())
        self._jt.stop(round_)
        if round_.durable_needed:
            self._hand_over(round_)
        for _ in range(int(self._limits.stop_s / _STOP_TURN_S)):
            if not self._under_way:
                break
            self._turn(_STOP_TURN_S)
        self._settle()
        self._flush()

    def _close_all(self) -> None:
        for link in [*self._links.values(), *self._udp_links.values()]:
            self._close(link)
        for sock, _ in self._listeners.values():
            sock.close()
        if self._udp is not None:
            self._udp.close()
        for epoll in (self._woken, self._reading, self._writing):
            epoll.close()
        os.close(self._wake_fd)
