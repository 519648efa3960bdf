"""`CameraConnection`: keeps one camera's stream open for ever, on a thread of its own, and hands its packets to a sink.

Invariants: the address is checked and resolved anew at each open; a camera that fails is tried again after a wait, never in
a tight loop; after a thread was given up not one more call of it reaches the sink; whatever a camera or a sink does, the
thread goes on or is replaced. States: `waiting` (for the time or a turn), `opening`, `open`, `ended`.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from ingest.video.address import PinnedAddress
from ingest.video.lost import StreamLost, lost_from
from ingest.video.opening import (
    BACK_OFF_MAX_S,
    BACK_OFF_MIN_S,
    STEADY_AFTER_S,
    UNAUTHORIZED_MAX_S,
    UNAUTHORIZED_MIN_S,
    BackOff,
    OpenTurns,
    Turn,
)
from ingest.video.seams import Loss, LossReason, PacketSink
from ingest.video.source import MAX_PACKET_BYTES, OPEN_TIMEOUT_S, READ_TIMEOUT_S, Source
from ingest.video.watchdog import Watchdog
from model.clock import Clock
from model.video import Packet, StreamInfo

#: How long a wait goes on before a wish to stop is looked at.
_LOOK_S = 0.5
#: A thread that was asked to end its read gets so long before it is given up.
_GRACE_S = 1.0


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of one connection; the settings of `[camera]` have the same names.

    Attributes:
        open_timeout_s, read_timeout_s: silence that ends opening and reading.
        stuck_after_s: an open or a read that takes longer hangs, and its thread is given up.
        decode_timeout_s: the same of one call of the sink.
        back_off_min_s, back_off_max_s: waits before opening again.
        unauthorized_min_s, unauthorized_max_s: the same after wrong credentials.
        steady_after_s: a stream held so long makes the next wait short.
        max_packet_bytes: a larger packet is dropped.
    """

    open_timeout_s: float = OPEN_TIMEOUT_S
    read_timeout_s: float = READ_TIMEOUT_S
    stuck_after_s: float = 20.0
    decode_timeout_s: float = 5.0
    back_off_min_s: float = BACK_OFF_MIN_S
    back_off_max_s: float = BACK_OFF_MAX_S
    unauthorized_min_s: float = UNAUTHORIZED_MIN_S
    unauthorized_max_s: float = UNAUTHORIZED_MAX_S
    steady_after_s: float = STEADY_AFTER_S
    max_packet_bytes: int = MAX_PACKET_BYTES


class _Given(Exception):
    """This thread was given up, or its work is over."""


@dataclass(slots=True)
class _Run:
    """One thread's time on the connection, seen by the watchdog under the connection's lock."""

    thread: threading.Thread | None = None
    phase: str = ""
    since_s: float = 0.0
    source: Source | None = None
    turn: Turn | None = None
    opened_s: float | None = None
    asked_to_end: bool = False


class CameraConnection:
    """One camera's stream.

    Args:
        name: device id, for the thread's name.
        make_address: checks and resolves the address at each open; may raise errors of `check_address`.
        sink: who takes the packets.
        turns, watchdog: of the process.
        clock: for receive times, waits and time-outs.
        transport: `tcp` or `udp`.
        limits: see `ConnectionLimits`.
        seed: of the jitter.

    Attributes:
        opens: how often opening was tried. epoch: how often it succeeded.
        packets, packet_bytes: handed to the sink. dropped: packets over the limit.
        last_packet_s: monotonic time of the last packet, None before the first.
        last_loss: the last loss, None before the first. losses: how many by reason.
        abandoned: threads that were given up.
        lag_ms: how long the last picture was under way (`MediaClock`).
    """

    def __init__(
        self,
        name: str,
        make_address: Callable[[], PinnedAddress],
        sink: PacketSink,
        *,
        turns: OpenTurns,
        watchdog: Watchdog,
        clock: Clock,
        transport: str = "tcp",
        limits: ConnectionLimits | None = None,
        seed: int,
    ) -> None:
        self.name = name
        self.opens = self.epoch = self.packets = self.packet_bytes = self.dropped = self.abandoned = 0
        self.lag_ms = 0
        self.last_packet_s: float | None = None
        self.last_loss: Loss | None = None
        self.losses: Counter[LossReason] = Counter()
        self._make_address = make_address
        self._sink = sink
        self._turns = turns
        self._watchdog = watchdog
        self._clock = clock
        self._transport = transport
        self._limits = limits = limits or ConnectionLimits()
        self._back_off = BackOff(
            limits.back_off_min_s,
            limits.back_off_max_s,
            rng=random.Random(seed),  # noqa: S311 jitter, no secret
            steady_after_s=limits.steady_after_s,
            unauthorized_min_s=limits.unauthorized_min_s,
            unauthorized_max_s=limits.unauthorized_max_s,
        )
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._run: _Run | None = None
        self._wait_until_s: float | None = 0.0

    # -- any thread ---------------------------------------------------------------------------

    def start(self) -> CameraConnection:
        """Begin; once."""
        self._watchdog.add(self)
        self.begin_again()
        return self

    @property
    def state(self) -> str:
        """`waiting`, `opening`, `open` or `ended`."""
        with self._lock:
            run = self._run
            if run is None:
                return "ended"
            if run.opened_s is not None:
                return "open"
            return "opening" if run.phase == "open" else "waiting"

    @property
    def busy_since_s(self) -> float | None:
        """Since when (monotonic) the thread has been in its present open, read or call of the sink; None: it waits."""
        with self._lock:
            return self._run.since_s if self._run is not None and self._run.phase else None

    def retry_now(self) -> None:
        """Open without further waiting; the way out of REFUSED, once the address or the settings have changed."""
        with self._lock:
            self._wait_until_s = 0.0
            self._back_off.reset()
        self._wake.set()

    def restart(self) -> None:
        """End the stream, if any, and open it again at once: its address has changed."""
        self.retry_now()
        with self._lock:
            source = self._run.source if self._run is not None else None
        if source is not None:
            source.interrupt()

    def stop(self, timeout_s: float) -> bool:
        """End it; False where its thread hung and was left. `on_lost(STOPPED)` is the last call of the sink."""
        with self._lock:
            self._stopping = True
            run = self._run
            source = run.source if run is not None else None
        self._wake.set()
        if source is not None:
            source.interrupt()
        if run is not None and run.thread is not None and run.thread is not threading.current_thread():
            run.thread.join(timeout_s)
        self._watchdog.remove(self)
        with self._lock:
            left, self._run = self._run, None
        if left is None:
            return True
        self._count_left(left)
        if left.thread is not None:
            self._watchdog.leave(left.thread)
        self._tell_lost(Loss(LossReason.STOPPED, "its thread hung and was left"))
        return False

    # -- the watchdog's thread ------------------------------------------------------------------

    def look(self, now_s: float) -> threading.Thread | None:
        """See `Watched`."""
        limits = self._limits
        with self._lock:
            run = self._run
            if run is None or not run.phase or self._stopping:
                return None
            busy_s = now_s - run.since_s
            if run.phase == "sink":
                limit_s = limits.decode_timeout_s
            else:
                limit_s = limits.stuck_after_s if run.phase == "open" else self._read_limit_s(run, busy_s)
            if busy_s <= limit_s:
                return None
            self._run = None
        self._count_left(run)
        reason = LossReason.DECODE if run.phase == "sink" else LossReason.STUCK
        words = {"sink": "decoding one picture", "open": "opening", "read": "reading"}[run.phase]
        self._after_loss(reason, f"{words} hung for {busy_s:.0f} s", run)
        return run.thread

    def _read_limit_s(self, run: _Run, busy_s: float) -> float:
        """A read past its time-out is ended through its socket; only where that does not help the thread is given up."""
        if busy_s > self._limits.read_timeout_s and not run.asked_to_end and run.source is not None:
            run.asked_to_end = True
            run.source.end_read()
        return max(self._limits.stuck_after_s, self._limits.read_timeout_s + _GRACE_S)

    def begin_again(self) -> None:
        """See `Watched`."""
        run = _Run()
        run.thread = threading.Thread(target=self._keep_open, args=(run,), name=f"camera-{self.name}", daemon=True)
        with self._lock:
            if self._stopping:
                return
            self._run = run
        run.thread.start()

    def _count_left(self, run: _Run) -> None:
        self.abandoned += 1
        if run.turn is not None:
            run.turn.give_back()
        if run.source is not None:
            run.source.interrupt()

    # -- the connection's thread ----------------------------------------------------------------

    def _keep_open(self, run: _Run) -> None:
        try:
            while True:
                self._wait_for_time(run)
                try:
                    self._stream(run)
                except StreamLost as lost:
                    self._lose(run, lost)
        except _Given:
            pass

    def _check(self, run: _Run) -> None:
        """Raise where the thread has nothing more to do here."""
        with self._lock:
            given_up = self._run is not run
            over = self._stopping and not given_up
            if over:
                self._run = None
        if over:
            self._tell_lost(Loss(LossReason.STOPPED, "it was stopped"))
        if over or given_up:
            raise _Given

    def _is_over(self, run: _Run) -> bool:
        return self._stopping or self._run is not run

    def _wait_for_time(self, run: _Run) -> None:
        while True:
            self._check(run)
            with self._lock:
                until_s = self._wait_until_s
                self._wake.clear()
            left_s = _LOOK_S if until_s is None else until_s - self._clock.monotonic_s()
            if left_s <= 0:
                return
            self._wake.wait(min(left_s, _LOOK_S))

    def _enter(self, run: _Run, phase: str) -> None:
        with self._lock:
            if self._run is not run:
                raise _Given
            run.phase = phase
            run.since_s = self._clock.monotonic_s()
            run.asked_to_end = False

    def _stream(self, run: _Run) -> None:
        turn = self._turns.take(lambda: self._is_over(run))
        self._check(run)
        with self._lock:
            run.turn = turn
        source: Source | None = None
        try:
            self._enter(run, "open")
            self.opens += 1
            try:
                address = self._make_address()
            except Exception as error:
                raise lost_from(error) from None
            source = self._source(address, run)
            info = source.open()
            if turn is not None:
                turn.give_back()
            self._read(run, source, info)
        finally:
            if turn is not None:
                turn.give_back()
            if source is not None:
                source.close()

    def _source(self, address: PinnedAddress, run: _Run) -> Source:
        source = Source(
            address,
            transport=self._transport,
            open_timeout_s=self._limits.open_timeout_s,
            read_timeout_s=self._limits.read_timeout_s,
            max_packet_bytes=self._limits.max_packet_bytes,
            clock=self._clock,
            epoch=self.epoch + 1,
        )
        with self._lock:
            if self._run is not run:
                raise _Given
            run.source = source
            if self._stopping:
                source.interrupt()
        return source

    def _read(self, run: _Run, source: Source, info: StreamInfo) -> None:
        self._enter(run, "sink")
        self.epoch = info.epoch
        with self._lock:
            run.opened_s = self._clock.monotonic_s()
        self._call(lambda: self._sink.on_open(info))
        self._enter(run, "read")
        for packet in source.packets():
            if packet.info is not info:
                info = packet.info
                self._enter(run, "sink")
                self._tell_info(info)
            self._enter(run, "sink")
            self._take(packet, source)
            self._enter(run, "read")
        raise StreamLost(LossReason.ENDED, "the stream ended")

    def _tell_info(self, info: StreamInfo) -> None:
        self._call(lambda: self._sink.on_open(info))

    def _take(self, packet: Packet, source: Source) -> None:
        self.packets += 1
        self.packet_bytes += len(packet.data)
        self.dropped += source.take_dropped()
        self.lag_ms = source.media_clock.lag_ms
        self.last_packet_s = self._clock.monotonic_s()
        try:
            self._sink.on_packet(packet)
        except Exception as error:
            raise StreamLost(LossReason.DECODE, f"a picture could not be taken: {_kind_and_place(error)}") from error

    def _call(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:
            raise StreamLost(LossReason.DECODE, f"a stream could not be taken: {_kind_and_place(error)}") from error

    def _lose(self, run: _Run, lost: StreamLost) -> None:
        with self._lock:
            if self._run is not run:
                raise _Given
            if self._stopping:
                run.phase = ""
                run.source = run.turn = None
                return
            timed_out = run.asked_to_end
            run_before = _Run(opened_s=run.opened_s)
            run.phase = ""
            run.source = run.turn = run.opened_s = None
        if timed_out:
            lost = StreamLost(LossReason.TIMED_OUT, "the camera said nothing in time")
        self._after_loss(lost.reason, lost.detail, run_before)

    def _after_loss(self, reason: LossReason, detail: str, run: _Run) -> None:
        now_s = self._clock.monotonic_s()
        held_s = now_s - run.opened_s if run.opened_s is not None else 0.0
        if reason is LossReason.STOPPED:
            # It was asked to begin anew (`restart`): the wait is already set.
            wait_s = 0.0
        else:
            wait_s = self._back_off.next_s(reason, held_s)
            with self._lock:
                self._wait_until_s = None if reason is LossReason.REFUSED else now_s + wait_s
        self._tell_lost(Loss(reason, detail, wait_s))

    def _tell_lost(self, loss: Loss) -> None:
        self.losses[loss.reason] += 1
        self.last_loss = loss
        try:
            self._sink.on_lost(loss)
        except Exception:  # a sink that fails here must not end the connection
            self.losses[LossReason.DECODE] += 1


def _kind_and_place(error: Exception) -> str:
    """What an error of a sink is and where, without its text: that might hold an address."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_globals.get('__name__', '')}:{trace.tb_lineno}" if trace is not None else ""
    return type(error).__name__ + place
