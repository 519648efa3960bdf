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
import threading
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from ingest.decode.decoder import Decoded
from ingest.gateway import orders
from ingest.gateway.core import Core, Round
from ingest.gateway.dialects import DIALECTS
from ingest.gateway.gt06 import Gt06Side
from ingest.gateway.jt import JtSide
from ingest.gateway.limits import DEFAULT_LIMITS, GatewayLimits
from ingest.gateway.links import PROTOCOL_NAMES, Link
from ingest.gateway.sending import send_step
from ingest.gateway.sockets import Sockets
from ingest.wire.orders import Out
from model.batch import PointBatch
from model.codes import Reason
from model.command import Reply
from model.errors import TryAgain

if TYPE_CHECKING:
    from ingest.gateway.proxy import Network
    from ingest.gateway.seams import Claims, GatewayEvents, Order, Take, Terminals
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
        balancers: networks of TCP balancers, see `Sockets`.
        claims: sessions across several gateways; None where this is the only one.

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
        balancers: Sequence[Network] = (),
        claims: Claims | None = None,
    ) -> None:
        self._limits = limits
        self._phone_number = phone_number
        self._clock = clock
        self._take = take
        self._asked = (jt_port, gt06_port)
        self._jt_udp = jt_udp
        self.jt_port = self.gt06_port = 0
        self.failure: BaseException | None = None
        self._wake_lock = threading.Lock()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._core = Core(limits, clock, terminals, events, require_auth=require_auth, wake=self._wake, claims=claims)
        self._jt = JtSide(self._core)
        self._gt06 = Gt06Side(self._core)
        self._sockets = Sockets(self._core, listen, balancers)
        self._durable: deque[Round] = deque()
        self._under_way = 0
        self._paused = False
        self._stopping = threading.Event()
        self._woken = select.epoll()
        self._thread: threading.Thread | None = None
        self._next_tick_s = self._next_check_s = 0.0

    # -- any thread ---------------------------------------------------------------------------

    def start(self) -> Gateway:
        """Listen and serve on a thread of its own. Raises UsageError where an address cannot be had."""
        jt_port, gt06_port = self._asked
        if jt_port is not None:
            self.jt_port = self._sockets.open(jt_port, "jt")
            if self._jt_udp:
                self._sockets.open_udp(self.jt_port)
        if gt06_port is not None:
            self.gt06_port = self._sockets.open(gt06_port, "gt06")
        self._woken.register(self._wake_fd, select.EPOLLIN)
        self._woken.register(self._sockets.reading.fileno(), select.EPOLLIN)
        self._woken.register(self._sockets.writing.fileno(), select.EPOLLIN)
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
        """Send an order to a connected terminal; False when it is not connected. Raises Refused where its
        protocol cannot, TryAgain where too many orders wait.

        What is written is at the terminal's mercy: an answer comes as `events.reply`, or never. An order that could not
        be written because the terminal left meanwhile comes back as a `Reply` that is not ok.
        """
        link = self._core.by_slot.get(order.slot)
        if link is None or not link.open:
            return False
        outs = DIALECTS[link.code].orders(order.name, order.args, version=link.version, phone_number=self._phone_number)
        if self._core.waiting_calls >= self._limits.max_orders:
            raise TryAgain(f"{self._limits.max_orders} orders wait already.", mend="Try again in a moment.")
        self._core.later(partial(self._begin, link, order, outs))
        return True

    def connected(self, slot: int) -> str:
        """The protocol that the device in `slot` is connected by, "" when it is not."""
        link = self._core.by_slot.get(slot)
        return PROTOCOL_NAMES[link.code] if link is not None and link.open else ""

    def sessions(self) -> list[dict[str, str]]:
        """The terminals that have a session now: `device`, `protocol`, `number`, `address`."""
        return [
            {
                "device": link.device,
                "protocol": PROTOCOL_NAMES[link.code],
                "number": link.number,
                "address": link.address,
            }
            for link in list(self._core.by_slot.values())
            if link.open
        ]

    def taken(self, number: str, session: int) -> None:
        """That terminal connected to another gateway since its session here; from any thread, never waits."""
        self._core.later(partial(self._core.taken, number, session))

    @property
    def stats(self) -> GatewayStats:
        """Counters; see `GatewayStats`."""
        stats = self._core.stats
        stats.connections, stats.sessions = len(self._sockets.links), len(self._core.by_number)
        return stats

    def look(self) -> None:
        """Look at time-outs now rather than at the next tick; from any thread."""
        self._core.later(self._tick)

    def _wake(self) -> None:
        with self._wake_lock:
            if self._wake_fd >= 0:
                with contextlib.suppress(BlockingIOError):  # it is awake anyway
                    os.eventfd_write(self._wake_fd, 1)

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
        if self._sockets.reading.fileno() in ready and not self._paused:
            pieces = self._read()
        if self._sockets.writing.fileno() in ready:
            self._sockets.write_more()
        if self._clock.monotonic_s() >= self._next_tick_s:
            self._tick()
        self._sockets.flush()
        self._end_links()
        self._pause()
        return pieces >= self._limits.nap_above

    def _settle(self) -> None:
        """Write what is owed for rounds that are durable; run what other threads left."""
        while self._durable:
            self._owed(self._durable.popleft())
        self._core.run_later()

    def _owed(self, round_: Round) -> None:
        """Write what the round owes."""
        put, stats = self._core.put, self._core.stats
        self._under_way -= 1
        stats.unanswered -= round_.frames
        for link, frames in round_.answers:
            stats.answers += len(frames)
            put(link, frames)
        for call in round_.then:
            call()

    def _pause(self) -> None:
        """Stop reading while too much is on its way."""
        paused = self._core.stats.unanswered >= self._limits.max_unanswered_frames or self._stopping.is_set()
        if paused != self._paused:
            self._paused = paused
            self._core.stats.paused += paused
            if paused:
                self._woken.unregister(self._sockets.reading.fileno())
            else:
                self._woken.register(self._sockets.reading.fileno(), select.EPOLLIN)

    # -- reading ------------------------------------------------------------------------------

    def _read(self) -> int:
        """One round; from how many connections something came."""
        limits, core = self._limits, self._core
        round_ = Round(core.clock.monotonic_s(), core.clock.now_ms())
        got = self._sockets.read(round_.now_s)
        if got.links:
            self._jt.take(got.links, got.pieces, round_)
            for link in got.links:
                if link.sock is None:
                    self._end_datagram(link, round_)
        if got.gt06:
            self._gt06.take(got.gt06, round_)
        for link in (*got.links, *[link for link, _ in got.gt06]):
            if len(link.rest) > limits.max_buffer_bytes:
                core.stats.overruns += 1
                core.refuse(round_, link, Reason.TOO_LARGE, f"{len(link.rest)} bytes without an end", link.rest)
                link.rest = b""
                core.end(link)
        for link in got.ended:
            if len(link.rest) > 1:
                core.refuse(round_, link, Reason.BAD_FRAME, "the connection ended within a frame", link.rest)
        self._hand_over(round_)
        return len(got.links) + len(got.gt06)

    def _end_datagram(self, link: Link, round_: Round) -> None:
        """A datagram ends where it ends, and one whose sender is not known leaves nothing behind."""
        if len(link.rest) > 1:
            self._core.refuse(round_, link, Reason.BAD_FRAME, "the datagram ended within a frame", link.rest)
        link.rest = b""
        if link.terminal is None:
            self._core.end(link)

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
            self._owed(round_)
            return
        urgent = len(batch) > 0 and core.rising.rose(batch)
        decoded = Decoded(batch, round_.quarantined, round_.signals, urgent=urgent)
        self._take(decoded, partial(self._done, round_))

    def _done(self, round_: Round) -> None:
        """The round is durable; from any thread."""
        self._durable.append(round_)
        self._wake()

    # -- time-outs, orders, the end -----------------------------------------------------------

    def _tick(self) -> None:
        """Time-outs."""
        limits, core = self._limits, self._core
        now_s = core.clock.monotonic_s()
        self._next_tick_s = now_s + limits.tick_ms / 1000
        rude, idle = core.table.silent(now_s, limits.greeting_s, limits.idle_s)
        core.stats.greeting_timeouts += sum(map(core.end, rude))
        core.stats.idle_timeouts += sum(map(core.end, idle))
        round_ = Round(now_s, core.clock.now_ms())
        self._jt.tick(round_)
        if round_.durable_needed or round_.then:
            self._hand_over(round_)
        if now_s >= self._next_check_s:
            self._next_check_s = now_s + limits.check_s
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
            self._sockets.close(link)

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
        self._sockets.flush()

    def _close_all(self) -> None:
        self._sockets.close_all()
        self._woken.close()
        with self._wake_lock:  # a number that is closed may be another file's the next moment
            os.close(self._wake_fd)
            self._wake_fd = -1
