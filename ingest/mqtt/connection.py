"""`MqttSource`: one supervised connection to the broker, in its own thread.

Purpose: keep a persistent session subscribed at QoS 1, hand over batches, acknowledge a batch once its
handler says it is durable. Invariants: what is not acknowledged is bounded (`max_unacked_messages`,
`max_unacked_bytes`, plus one read), and beyond that the socket is left unread, so that the broker waits;
an acknowledgement is sent only on the connection that brought the message; the password is in no log and
no `repr`; an exception of the handler ends the connection (the broker sends again), never the thread.
It decodes nothing and stores nothing.
"""

from __future__ import annotations

import random
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import structlog
from paho.mqtt.enums import MQTTErrorCode

from ingest.mqtt.batch_client import DEFAULT_READ_BYTES, BatchClient
from ingest.mqtt.broker_url import BrokerUrl
from ingest.mqtt.messages import Messages
from ingest.mqtt.packets import DEFAULT_MAX_PACKET_BYTES
from model.clock import Clock, SystemClock

#: Called with the messages of one read and a function to be called (from any thread, once) when they are durable.
Handler = Callable[[Messages, Callable[[], None]], None]

_LOG = structlog.get_logger(__name__)
#: Longest wait for the socket: how late a stop, a pause or a time-out may be noticed without a wake.
_STEP_S = 0.5


class Phase(StrEnum):
    """What the connection is doing."""

    STOPPED = "stopped"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class MqttLimits:
    """Named limits of one connection.

    Attributes:
        max_unacked_messages, max_unacked_bytes: beyond either nothing more is read until the handler is done with some.
        read_bytes: most that one read takes.
        max_packet_bytes: a longer packet is skipped, and handed over cut and marked.
        keepalive_s: MQTT keep-alive.
        connect_timeout_s: for TCP, and again for TLS, CONNACK and SUBACK together.
        backoff_first_s, backoff_max_s: wait before reconnecting, doubled each time, times 0.5 to 1.
        stable_s: a connection that lasted as long starts the back-off anew.
        nap_ms: pause after a small read while traffic is dense, so that the next read brings more; 0 never.
        nap_below_bytes: a read at least as large is followed by no nap.
        nap_gap_ms: traffic is dense when two reads are closer together.
        drain_s: how long `stop` waits for the handler to be done.
    """

    max_unacked_messages: int = 20_000
    max_unacked_bytes: int = 32 * 1024 * 1024
    read_bytes: int = DEFAULT_READ_BYTES
    max_packet_bytes: int = DEFAULT_MAX_PACKET_BYTES
    keepalive_s: int = 30
    connect_timeout_s: float = 5.0
    backoff_first_s: float = 0.5
    backoff_max_s: float = 30.0
    stable_s: float = 10.0
    nap_ms: float = 2.0
    nap_below_bytes: int = 64 * 1024
    nap_gap_ms: float = 8.0
    drain_s: float = 7.0


DEFAULT_LIMITS = MqttLimits()


@dataclass(frozen=True, slots=True)
class SourceState:
    """A connection as metrics and people see it.

    Attributes:
        phase: what it is doing.
        reason: why it is not connected, in words; "" when it is.
        since_ms: when the phase began, our clock, UTC ms.
        subscribed: the broker has acknowledged the subscription.
        paused: the socket is left unread because too much is un-acknowledged.
        buffered: False when the client fell back to one message at a time.
        connects: connections that were accepted and subscribed.
        failures: connections that were refused, lost or never made.
        sessions_lost: reconnections at which the broker had forgotten our session.
        received, received_bytes: messages handed over, and their payload bytes.
        oversized: messages over `max_packet_bytes`, handed over cut.
        malformed: connections ended because of a malformed packet.
        handler_failures: batches whose handler raised.
        acknowledged: messages acknowledged.
        stale_acks: acknowledgements dropped because their connection was gone.
        unacked_messages, unacked_bytes: handed over, and the handler not done with them yet.
    """

    phase: Phase = Phase.STOPPED
    reason: str = ""
    since_ms: int = 0
    subscribed: bool = False
    paused: bool = False
    buffered: bool = True
    connects: int = 0
    failures: int = 0
    sessions_lost: int = 0
    received: int = 0
    received_bytes: int = 0
    oversized: int = 0
    malformed: int = 0
    handler_failures: int = 0
    acknowledged: int = 0
    stale_acks: int = 0
    unacked_messages: int = 0
    unacked_bytes: int = 0


class MqttSource:
    """One connection to the broker.

    Args:
        broker: where, and with which credentials.
        client_id: fixed: it names our session on the broker. One per connection and installation.
        topics: subscription filters, at QoS 1.
        on_batch: called in the connection's thread with `Messages` and `done`. It must return well within
            1.5 keep-alives; being slow is said by not calling `done` yet.
        limits: see `MqttLimits`.
        clock: for time-outs and `since_ms`.
        name: for logs and the thread's name.
        ca_file: PEM certificates to trust for `mqtts`; None trusts the system's.
        cert_file, key_file: client certificate for `mqtts`, where the broker asks for one.
        clean_session: have the broker forget us between connections (benchmarks and tests).
    """

    def __init__(
        self,
        broker: BrokerUrl,
        client_id: str,
        topics: Sequence[str],
        on_batch: Handler,
        *,
        limits: MqttLimits = DEFAULT_LIMITS,
        clock: Clock | None = None,
        name: str = "mqtt",
        ca_file: str | None = None,
        cert_file: str | None = None,
        key_file: str | None = None,
        clean_session: bool = False,
    ) -> None:
        self._broker = broker
        self._topics = tuple(topics)
        self._on_batch = on_batch
        self._limits = limits
        self._clock = clock or SystemClock()
        self._name = name
        self._mutex = threading.Lock()
        self._state = SourceState()
        self._unacked_messages = 0
        self._unacked_bytes = 0
        self._stopping = threading.Event()
        self._stop_by_s = 0.0
        self._subscribed = threading.Event()
        self._handler_error = ""
        self._refused = ""
        self._had_session = False
        self._last_read_s = 0.0
        self._jitter = random.Random()  # noqa: S311 - spreads reconnections, guards nothing
        self._client = BatchClient(
            client_id,
            self._deliver,
            clean_session=clean_session,
            read_bytes=limits.read_bytes,
            max_packet_bytes=limits.max_packet_bytes,
        )
        self._client.connect_timeout = limits.connect_timeout_s
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        if broker.user:
            self._client.username_pw_set(broker.user, broker.password or None)
        if broker.tls:
            context = ssl.create_default_context(cafile=ca_file)
            if cert_file:
                context.load_cert_chain(cert_file, key_file)
            self._client.tls_set_context(context)
        self._thread = threading.Thread(target=self._run, name=f"mqtt-{name}", daemon=True)

    def __repr__(self) -> str:
        return f"MqttSource({self._broker.shown}, {self._name}, {self.state.phase})"

    # -- any thread ------------------------------------------------------------------------

    @property
    def state(self) -> SourceState:
        """What it is doing and has done."""
        with self._mutex:
            return replace(
                self._state,
                buffered=self._client.buffered,
                acknowledged=self._client.acknowledged,
                stale_acks=self._client.stale_acks,
                unacked_messages=self._unacked_messages,
                unacked_bytes=self._unacked_bytes,
            )

    def start(self) -> None:
        """Begin to connect, and go on until `stop`; returns at once."""
        self._thread.start()

    def wait_subscribed(self, timeout_s: float) -> bool:
        """Wait until the broker has acknowledged the subscription; False when it has not in time."""
        return self._subscribed.wait(timeout_s)

    def stop(self) -> bool:
        """Stop reading, wait up to `drain_s` for what is un-acknowledged, say goodbye.

        Returns whether everything handed over was acknowledged. Takes at most `drain_s` and a second: a thread
        that still hangs in connecting then is left to end with the process. Calling it again does nothing more.
        """
        if not self._stopping.is_set():
            self._stop_by_s = self._clock.monotonic_s() + self._limits.drain_s
            self._stopping.set()
            if self._thread.ident is not None:
                self._client.wake()
        if self._thread.ident is not None:
            self._thread.join(self._limits.drain_s + 2 * _STEP_S)
        else:
            self._client.close()
        return self._unacked_messages == 0

    def _release(self, messages: int, payload_bytes: int) -> None:
        with self._mutex:
            self._unacked_messages -= messages
            self._unacked_bytes -= payload_bytes

    # -- the connection's thread -----------------------------------------------------------

    def _change(self, **fields: Any) -> None:
        with self._mutex:
            if fields.get("phase", self._state.phase) != self._state.phase:
                fields["since_ms"] = self._clock.now_ms()
            self._state = replace(self._state, **fields)

    def _deliver(self, messages: Messages) -> None:
        client, count = self._client, len(messages)
        size_bytes = sum(map(len, messages.payloads))
        generation = client.generation
        mids = [mid for mid in messages.mids if mid] if 0 in messages.mids else messages.mids
        with self._mutex:
            state = self._state
            self._unacked_messages += count
            self._unacked_bytes += size_bytes
            self._state = replace(
                state,
                received=state.received + count,
                received_bytes=state.received_bytes + size_bytes,
                oversized=state.oversized + len(messages.oversized),
            )
        once = threading.Lock()

        def done() -> None:
            if once.acquire(blocking=False):
                # In this order: whoever sees nothing un-acknowledged sees these waiting to be sent.
                client.acknowledge(generation, mids, wake=False)
                self._release(count, size_bytes)
                client.wake()

        try:
            self._on_batch(messages, done)
        except Exception as error:  # the thread must live: nothing was acknowledged, so the broker sends it again
            _LOG.exception("mqtt_handler_failed", source=self._name, messages=count)
            self._handler_error = f"the handler failed: {type(error).__name__}"
            if once.acquire(blocking=False):
                self._release(count, size_bytes)

    def _on_connect(self, _client: Any, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._refused = f"the broker refused the connection: {reason}"
            return
        if self._had_session and not flags.session_present:
            self._change(sessions_lost=self._state.sessions_lost + 1)
            _LOG.warning("mqtt_session_lost", source=self._name, broker=self._broker.shown)
        self._client.subscribe([(topic, 1) for topic in self._topics])

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, codes: Any, _properties: Any) -> None:
        refused = [topic for topic, code in zip(self._topics, codes, strict=False) if code.value != 1]
        if refused or len(codes) != len(self._topics):
            self._refused = f"the broker refused the subscription to {(refused or ['?'])[0]} at QoS 1"
            return
        self._had_session = True
        self._change(phase=Phase.CONNECTED, reason="", subscribed=True, connects=self._state.connects + 1)
        self._subscribed.set()
        _LOG.info("mqtt_subscribed", source=self._name, broker=self._broker.shown)

    def _run(self) -> None:
        failed_in_a_row = 0
        while not self._stopping.is_set():
            began_s = self._clock.monotonic_s()
            self._change(phase=Phase.CONNECTING)
            reason = self._connection()
            self._subscribed.clear()
            if self._stopping.is_set():
                break
            stable = self._clock.monotonic_s() - began_s >= self._limits.stable_s
            failed_in_a_row = 0 if stable and self._state.subscribed else failed_in_a_row + 1
            wait_s = self._backoff_s(failed_in_a_row)
            self._change(
                phase=Phase.WAITING,
                reason=reason,
                subscribed=False,
                paused=False,
                failures=self._state.failures + 1,
                malformed=self._state.malformed + bool(self._client.malformed),
            )
            where = {"source": self._name, "broker": self._broker.shown}
            _LOG.warning("mqtt_disconnected", **where, reason=reason, retry_s=round(wait_s, 2))
            until_s = self._clock.monotonic_s() + wait_s
            while not self._stopping.is_set() and (left_s := until_s - self._clock.monotonic_s()) > 0:
                self._client.wait(min(left_s, _STEP_S))
        self._client.close()
        self._change(phase=Phase.STOPPED, reason="", subscribed=False, paused=False)

    def _backoff_s(self, failed_in_a_row: int) -> float:
        """Exponential, with half of it jitter, so that many clients of a restarted broker spread out."""
        limits = self._limits
        doublings = min(max(failed_in_a_row - 1, 0), 16)
        longest_s = min(limits.backoff_max_s, limits.backoff_first_s * float(1 << doublings))
        return longest_s * self._jitter.uniform(0.5, 1.0)

    def _connection(self) -> str:
        """Connect and stay connected until lost or stopped; return why it ended."""
        self._refused = self._handler_error = ""
        try:
            self._client.connect(self._broker.host, self._broker.port, self._limits.keepalive_s)
        except (OSError, ValueError) as error:
            return f"cannot connect: {type(error).__name__}: {error}"
        accept_by_s = self._clock.monotonic_s() + self._limits.connect_timeout_s
        ping_s = self._clock.monotonic_s()
        while True:
            unread = self._unread()
            if unread and self._clock.monotonic_s() - ping_s >= self._limits.keepalive_s / 2:
                self._client.ping_unread()
                ping_s = self._clock.monotonic_s()
            self._client.last_read_bytes = 0
            rc = self._client.step(_STEP_S, read=not unread)
            if self._refused or self._handler_error:
                self._client.close_connection()
                return self._refused or self._handler_error
            if rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return f"malformed packet: {self._client.malformed}" if self._client.malformed else _words(rc)
            if self._stopping.is_set() and self._drained():
                return "stopped"
            if not self._subscribed.is_set() and self._clock.monotonic_s() > accept_by_s:
                self._client.close_connection()
                return "the broker did not accept connection and subscription in time"
            self._nap()

    def _drained(self) -> bool:
        self._change(phase=Phase.DRAINING)
        # Nothing un-acknowledged is not enough: what was just released is sent by the next step.
        quiet = self._unacked_messages == 0 and not self._client.acks_waiting
        return quiet or self._clock.monotonic_s() >= self._stop_by_s

    def _unread(self) -> bool:
        """Whether the socket is to be left unread: too much is un-acknowledged, or we are stopping."""
        limits = self._limits
        full = self._unacked_messages >= limits.max_unacked_messages or self._unacked_bytes >= limits.max_unacked_bytes
        if full != self._state.paused:
            if not full:
                self._client.forget_silence()
            self._change(paused=full)
        return full or self._stopping.is_set()

    def _nap(self) -> None:
        """After a small read in dense traffic, let some more come in: fewer, larger reads."""
        limits, read_bytes = self._limits, self._client.last_read_bytes
        if not read_bytes or not limits.nap_ms:
            return
        now_s = self._clock.monotonic_s()
        dense = (now_s - self._last_read_s) * 1000 < limits.nap_gap_ms
        self._last_read_s = now_s
        if dense and read_bytes < limits.nap_below_bytes:
            self._clock.sleep(limits.nap_ms / 1000)


def _words(rc: MQTTErrorCode) -> str:
    if rc == MQTTErrorCode.MQTT_ERR_CONN_LOST:
        return "the connection was lost"
    if rc == MQTTErrorCode.MQTT_ERR_PROTOCOL:
        return "the broker broke the protocol"
    return f"the connection ended: {rc.name}"
