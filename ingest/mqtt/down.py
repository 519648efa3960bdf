"""`DownLink`: messages to devices, each told about when the broker has it.

Purpose: the one connection that writes `down` topics. Invariants: at most `max_inflight_messages` are on their way; a message
that the broker has not acknowledged when the connection ends is forgotten here, and its sender, who keeps it until it
is acknowledged, sends it again; nothing blocks its caller. It keeps no queue of its own and reads nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from paho.mqtt.client import MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from ingest.mqtt.broker_url import BrokerUrl
from ingest.mqtt.polling import PollingClient

DEFAULT_MAX_INFLIGHT_MESSAGES = 1_000
DEFAULT_KEEPALIVE_S = 30
RECONNECT_MIN_S, RECONNECT_MAX_S = 1, 30

_log = structlog.get_logger(__name__)


class DownLink:
    """A connection to the broker that publishes at QoS 1.

    Args:
        broker: where, and as whom.
        client_id: MQTT client id.
        ca_file: certificate authority for TLS (PEM); None: the system's.
        max_inflight_messages: more than these are refused by `send` until some are acknowledged.
    """

    def __init__(
        self,
        broker: BrokerUrl,
        client_id: str,
        *,
        ca_file: Path | None = None,
        max_inflight_messages: int = DEFAULT_MAX_INFLIGHT_MESSAGES,
        keepalive_s: int = DEFAULT_KEEPALIVE_S,
    ) -> None:
        self._broker = broker
        self._keepalive_s = keepalive_s
        self._limit = max_inflight_messages
        self._lock = threading.Lock()
        self._open: dict[int, Callable[[], None]] = {}
        self._early: set[int] = set()
        self.sent = 0
        client = PollingClient(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTv311)
        if broker.user:
            client.username_pw_set(broker.user, broker.password)
        if broker.tls:
            client.tls_set(ca_certs=str(ca_file) if ca_file else None)
        client.max_inflight_messages_set(max_inflight_messages)
        client.reconnect_delay_set(RECONNECT_MIN_S, RECONNECT_MAX_S)
        client.on_publish = self._acknowledged
        client.on_disconnect = self._lost
        self._client = client

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us."""
        return self._client.is_connected()

    def start(self) -> None:
        """Connect in the background, again and again until `stop`."""
        self._client.connect_async(self._broker.host, self._broker.port, self._keepalive_s)
        self._client.loop_start()

    def stop(self) -> None:
        """Say goodbye."""
        self._client.disconnect()
        self._client.loop_stop()

    def send(self, topic: str, payload: bytes, done: Callable[[], None]) -> bool:
        """Publish; `done` is called from another thread once the broker has it. False: not now, try again later."""
        with self._lock:
            if len(self._open) >= self._limit or not self._client.is_connected():
                return False
        info = self._client.publish(topic, payload, qos=1)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        with self._lock:
            if info.mid not in self._early:
                self._open[info.mid] = done
                return True
            self._early.discard(info.mid)
        self.sent += 1
        done()
        return True

    def _acknowledged(self, _client: Any, _data: Any, mid: int, _reason: Any, _properties: Any) -> None:
        with self._lock:
            done = self._open.pop(mid, None)
            if done is None:
                self._early.add(mid)  # the network thread was faster than `send` could note the number
                return
        self.sent += 1
        done()

    def _lost(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        with self._lock:
            forgotten = len(self._open)
            self._open.clear()
            self._early.clear()
        if forgotten:
            _log.warning("answers to devices will be sent again", messages=forgotten, reason=str(reason))
