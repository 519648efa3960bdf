"""A publisher, a collector of what arrives, and a scripted peer for what a real broker never sends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from ingest.mqtt.messages import Messages
from tests.conftest import wait_until

CONNACK = b"\x20\x02\x00\x00"


class Collector:
    """A handler that keeps what comes; `hold` True leaves it un-acknowledged until `release`."""

    def __init__(self, *, hold: bool = False) -> None:
        self.hold = hold
        self.lock = threading.Lock()
        self.payloads: list[bytes] = []
        self.topics: list[bytes] = []
        self.heads: list[int] = []
        self.batches: list[int] = []
        self.oversized: list[int] = []
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, messages: Messages, done: Callable[[], None]) -> None:
        with self.lock:
            self.payloads += messages.payloads
            self.topics += messages.topics
            self.heads += messages.heads
            self.batches.append(len(messages))
            self.oversized += messages.oversized.values()
            if self.hold:
                self.waiting.append(done)
                return
        done()

    def release(self) -> None:
        with self.lock:
            self.hold = False
            waiting, self.waiting = self.waiting, []
        for done in waiting:
            done()


class Publisher:
    """A stock client that publishes at QoS 1 and waits until the broker has everything."""

    def __init__(self, port: int, user: str = "", password: str = "") -> None:
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        self.client.max_inflight_messages_set(2_000)
        if user:
            self.client.username_pw_set(user, password)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        wait_until(self.client.is_connected, what="the publisher's connection")

    def publish(self, topic: str, payloads: list[bytes], *, qos: int = 1, retain: bool = False) -> None:
        sent = [self.client.publish(topic, payload, qos, retain) for payload in payloads]
        for info in sent:
            info.wait_for_publish(30)
            assert info.is_published()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class ScriptedPeer:
    """Accepts connections and runs `script(connection, number)` on each; for broken brokers alone."""

    def __init__(self, script: Callable[[socket.socket, int], None]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.connections = 0
        self.script = script
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                connection.settimeout(5)
                try:
                    self.script(connection, self.connections)
                except OSError:
                    continue

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)


@pytest.fixture
def scripted() -> Iterator[Callable[[Callable[[socket.socket, int], None]], ScriptedPeer]]:
    made: list[ScriptedPeer] = []

    def make(script: Callable[[socket.socket, int], None]) -> ScriptedPeer:
        made.append(ScriptedPeer(script))
        return made[-1]

    yield make
    for peer in made:
        peer.close()
