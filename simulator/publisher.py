"""Publishing through MQTT as devices do: QoS 1, with a bounded number of unacknowledged messages.

Purpose: one connection for all devices, or one per device where the broker wants each device's own credentials.
Invariants: never more than `window` messages are unacknowledged on a connection; `acknowledged` counts PUBACKs, nothing
else; `close` leaves no thread behind. It is a well-behaved client, not a fast one: `simulator.firehose` is.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from model.clock import Clock
from model.errors import BadInput, TryAgain, UsageError

#: Unacknowledged messages on one connection.
DEFAULT_WINDOW = 1000
#: Connections of one publisher, when each device has its own.
DEFAULT_MAX_CONNECTIONS = 1000
DEFAULT_CONNECT_TIMEOUT_S = 10.0
#: How long a publish waits for room in the window before it gives up.
DEFAULT_STALL_TIMEOUT_S = 60.0
DEFAULT_KEEPALIVE_S = 30
_POLL_S = 0.25
_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a broker is, and who we are there. The password is not part of its `repr`."""

    host: str
    port: int
    tls: bool = False
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Broker:
        """Read `mqtt://user:password@host:port` or `mqtts://…`. Raises UsageError without repeating the password."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UsageError("The broker's address cannot be read.", mend="Write mqtt://host:1883.") from error
        if parts.scheme not in _PORTS or not parts.hostname or parts.path not in {"", "/"}:
            raise UsageError("The broker's address cannot be read.", mend="Write mqtt://user:password@host:port.")
        return cls(
            parts.hostname,
            port or _PORTS[parts.scheme],
            parts.scheme == "mqtts",
            unquote(parts.username or ""),
            unquote(parts.password or ""),
        )


def read_credentials(path: Path) -> dict[str, tuple[str, str]]:
    """Read a credentials map: a JSON object `{device id: [user, password]}` or `{device id: password}`.

    With a password alone the user name is the device id. Raises BadInput when the file is not one.
    """
    mend = 'Give a JSON object such as {"taxi/1": ["taxi/1", "password"]}.'
    try:
        raw = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is no credentials map: {error}.", mend=mend) from error
    if not isinstance(raw, dict):
        raise BadInput(f"{path} is no credentials map: it is not an object.", mend=mend)
    found: dict[str, tuple[str, str]] = {}
    for device, entry in raw.items():
        pair = [device, entry] if isinstance(entry, str) else entry
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise BadInput(f"{path}: the entry of {device[:80]!r} is no [user, password].", mend=mend)
        found[device] = (pair[0], pair[1])
    return found


class _Connection:
    """One paho client with its window."""

    def __init__(self, broker: Broker, user: str, password: str, client_id: str, window: int, keepalive_s: int) -> None:
        self._room = threading.Condition()
        self._window = window
        self._open: set[int] = set()
        self._early: set[int] = set()
        self.acknowledged = 0
        self.refused = ""
        self.up = threading.Event()
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv311)
        if user:
            client.username_pw_set(user, password)
        if broker.tls:
            client.tls_set()
        client.max_inflight_messages_set(window)
        client.reconnect_delay_set(1, 30)
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        self._client = client
        try:
            client.connect(broker.host, broker.port, keepalive_s)
        except OSError as error:
            raise TryAgain(
                f"The broker at {broker.host}:{broker.port} does not answer: {error}.",
                mend="Start it, or check --broker.",
            ) from error
        client.loop_start()

    def _on_connect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.refused = str(reason) if reason.is_failure else ""
        self.up.set()

    def _on_publish(self, _client: Any, _userdata: Any, mid: int, _reason: Any, _properties: Any) -> None:
        with self._room:
            if mid in self._open:
                self._open.discard(mid)
                self.acknowledged += 1
            else:
                # The network thread was faster than `publish` could note the number.
                self._early.add(mid)
            self._room.notify_all()

    def publish(self, topic: str, payload: bytes, *, retain: bool, stall_timeout_s: float) -> None:
        with self._room:
            if not self._room.wait_for(lambda: len(self._open) < self._window, stall_timeout_s):
                raise TryAgain(
                    "The broker acknowledges nothing any more.", mend="Check the broker and its queue limits."
                )
        mid = self._client.publish(topic, payload, qos=1, retain=retain).mid
        with self._room:
            if mid in self._early:
                self._early.discard(mid)
                self.acknowledged += 1
            else:
                self._open.add(mid)

    def drain(self, timeout_s: float) -> bool:
        with self._room:
            return self._room.wait_for(lambda: not self._open, timeout_s)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Publisher:
    """Publishes messages of devices.

    Args:
        broker_url: `mqtt[s]://user:password@host:port`.
        clock: for time-outs.
        client_id: client id of the one connection, or its beginning where each device has one.
        credentials: user and password by device id; each device then has its own connection.
        window: unacknowledged messages per connection.
        max_connections: connections at most.
        connect_timeout_s: how long a connection may take.
        stall_timeout_s: how long a publish waits for room.
        keepalive_s: MQTT keep-alive.

    Raises TryAgain when the broker does not answer, UsageError when it refuses us.
    """

    def __init__(
        self,
        broker_url: str,
        *,
        clock: Clock,
        client_id: str = "lucheng-publish",
        credentials: Mapping[str, tuple[str, str]] | None = None,
        window: int = DEFAULT_WINDOW,
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
        connect_timeout_s: float = DEFAULT_CONNECT_TIMEOUT_S,
        stall_timeout_s: float = DEFAULT_STALL_TIMEOUT_S,
        keepalive_s: int = DEFAULT_KEEPALIVE_S,
    ) -> None:
        self._broker = Broker.parse(broker_url)
        self._clock = clock
        self._client_id = client_id
        self._credentials = credentials
        self._window = window
        self._max_connections = max_connections
        self._connect_timeout_s = connect_timeout_s
        self._stall_timeout_s = stall_timeout_s
        self._keepalive_s = keepalive_s
        self._connections: dict[str, _Connection] = {}
        self.sent = 0
        if credentials is None:
            self._connect("", self._broker.user, self._broker.password, client_id)

    @property
    def acknowledged(self) -> int:
        """Messages the broker has acknowledged."""
        return sum(connection.acknowledged for connection in self._connections.values())

    def publish(self, device: str, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Send one message of a device, waiting for room in its window.

        Raises TryAgain when there is no room for too long, UsageError when the device has no credentials.
        """
        connection = self._connections.get("" if self._credentials is None else device)
        if connection is None:
            connection = self._connect_device(device)
        connection.publish(topic, payload, retain=retain, stall_timeout_s=self._stall_timeout_s)
        self.sent += 1

    def drain(self, timeout_s: float) -> bool:
        """Wait until everything is acknowledged; False when it is not after `timeout_s`."""
        end_s = self._clock.monotonic_s() + timeout_s
        return all(c.drain(max(0.0, end_s - self._clock.monotonic_s())) for c in self._connections.values())

    def close(self) -> None:
        """Disconnect."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def __enter__(self) -> Publisher:  # noqa: PYI034 not meant to be derived from
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect_device(self, device: str) -> _Connection:
        entry = (self._credentials or {}).get(device)
        if entry is None:
            raise UsageError(f"There are no credentials for {device}.", mend="Add it to the credentials map.")
        if len(self._connections) >= self._max_connections:
            raise UsageError(
                f"More than {self._max_connections} devices want a connection of their own.",
                mend="Publish fewer devices, or with one user that may publish for all.",
            )
        return self._connect(device, entry[0], entry[1], f"{self._client_id}-{device.replace('/', '-')}")

    def _connect(self, device: str, user: str, password: str, client_id: str) -> _Connection:
        connection = _Connection(self._broker, user, password, client_id, self._window, self._keepalive_s)
        self._connections[device] = connection
        if not connection.up.wait(self._connect_timeout_s) or connection.refused:
            why = connection.refused or "no answer"
            self.close()
            place = f"{self._broker.host}:{self._broker.port}"
            raise UsageError(f"The broker at {place} refuses {user or 'us'}: {why}.", mend="Check user and password.")
        return connection
