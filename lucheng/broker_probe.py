"""Measures a broker that is not ours: whether it answers, its window, and whether it drops.

One connection publishes to a private topic and subscribes to it, so that it works where an account
is one session. Nothing is acknowledged until nothing more comes: what has come by then is the
window. Then everything is acknowledged: what never comes was dropped. It leaves no session behind.
It must not run under the service's own account: the broker may take that for the same client.
"""

from __future__ import annotations

import secrets
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from lucheng.broker import answers_mqtt, connect_answer
from model.clock import Clock
from model.errors import TryAgain

#: More than mosquitto's default queue of 1,000 and its default window of 20 together.
DEFAULT_MESSAGES = 2_000
#: So long without a message counts as "nothing more comes".
DEFAULT_QUIET_S = 1.5
DEFAULT_TIMEOUT_S = 30.0
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where a broker is, and how to get in; `user` None is anonymous."""

    host: str
    port: int
    tls: bool = False
    ca_file: Path | None = None
    user: str | None = None
    password: str | None = None

    def tls_context(self) -> ssl.SSLContext:
        """What a TLS connection to it trusts."""
        return ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)


@dataclass(frozen=True, slots=True)
class Measured:
    """What `measure` saw.

    Attributes:
        sent: messages published.
        window: messages on their way at once without an acknowledgement, at most `sent`.
        received: different messages that came at all.
    """

    sent: int
    window: int
    received: int


def reachable(address: BrokerAddress, timeout_s: float = 3.0) -> str:
    """What went wrong, in a few words; nothing when it answers MQTT, be it with a refusal."""
    if not address.tls:
        return "" if answers_mqtt(address.host, address.port, timeout_s) else "no MQTT answer"
    try:
        with (
            socket.create_connection((address.host, address.port), timeout=timeout_s) as plain,
            address.tls_context().wrap_socket(plain, server_hostname=address.host) as secure,
        ):
            return "" if connect_answer(secure) else "no MQTT answer"
    except OSError as error:
        return str(error.strerror or error)[:200]


class _Meter:
    """One client that sends to itself."""

    def __init__(self, address: BrokerAddress, clock: Clock) -> None:
        token = secrets.token_hex(6)
        self.topic = f"lucheng/v1/doctor/{token}/up/test"
        self.clock = clock
        self.got: list[MQTTMessage] = []
        self.seen: set[bytes] = set()
        self.acknowledging = False
        self.refused = ""
        self.subscribed = threading.Event()
        self.last_s = clock.monotonic_s()
        self.client = Client(CallbackAPIVersion.VERSION2, f"lucheng-doctor-{token}", manual_ack=True)
        if address.user is not None:
            self.client.username_pw_set(address.user, address.password)
        if address.tls:
            self.client.tls_set_context(address.tls_context())
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = self._on_message

    def _on_connect(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self.refused = str(reason)
        else:
            client.subscribe(self.topic, 1)

    def _on_subscribe(self, _client: Client, _data: Any, _mid: int, codes: Any, _properties: Any) -> None:
        if any(code.is_failure for code in codes):
            self.refused = "the account may not subscribe to lucheng/v1/doctor/#"
        self.subscribed.set()

    def _on_message(self, client: Client, _data: Any, message: MQTTMessage) -> None:
        self.got.append(message)
        self.seen.add(bytes(message.payload))
        self.last_s = self.clock.monotonic_s()
        if self.acknowledging:
            client.ack(message.mid, message.qos)

    def wait(self, true: Callable[[], bool], end_s: float) -> bool:
        while not true() and not self.refused and self.clock.monotonic_s() < end_s:
            self.clock.sleep(_POLL_S)
        return true()


def measure(
    address: BrokerAddress,
    clock: Clock,
    *,
    messages: int = DEFAULT_MESSAGES,
    quiet_s: float = DEFAULT_QUIET_S,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> Measured:
    """Publish `messages` at QoS 1 to ourselves and watch what comes.

    Raises TryAgain when the broker refuses us or does not answer in time.
    """
    meter = _Meter(address, clock)
    client = meter.client
    client.max_inflight_messages_set(messages)
    client.max_queued_messages_set(messages)
    end_s = clock.monotonic_s() + timeout_s
    try:
        client.connect(address.host, address.port, keepalive=30)
        client.loop_start()
        if not meter.wait(meter.subscribed.is_set, end_s) or meter.refused:
            raise TryAgain(f"The broker let nobody in to measure it: {meter.refused or 'no answer'}.")
        meter.last_s = clock.monotonic_s()
        sent = [client.publish(meter.topic, str(number).encode(), 1) for number in range(messages)]

        def quiet() -> bool:
            return len(meter.seen) == messages or clock.monotonic_s() - meter.last_s > quiet_s

        published = meter.wait(lambda: all(info.is_published() for info in sent), end_s)
        meter.wait(quiet, end_s)
        window = len(meter.seen)
        if not published or window == 0:
            raise TryAgain("The broker did not bring back what we published: may the account use lucheng/v1/doctor/#?")
        meter.acknowledging = True
        meter.last_s = clock.monotonic_s()
        for message in list(meter.got):
            client.ack(message.mid, message.qos)
        meter.wait(quiet, end_s)
        client.unsubscribe(meter.topic)
        return Measured(messages, window, len(meter.seen))
    except OSError as error:
        raise TryAgain(f"The broker cannot be reached: {error}.") from error
    finally:
        client.disconnect()
        client.loop_stop()
