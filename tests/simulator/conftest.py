"""A subscriber that keeps everything it gets from a real broker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from simulator.publisher import Broker


class Listener:
    """Subscribed to one filter; `messages` are (topic, payload, retain) in order."""

    def __init__(self, url: str, topics: str) -> None:
        broker = Broker.parse(url)
        self.messages: list[tuple[str, bytes, bool]] = []
        ready = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="listener")
        if broker.user:
            self.client.username_pw_set(broker.user, broker.password)
        self.client.on_message = self._keep
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.on_connect = lambda client, *_: client.subscribe(topics, qos=1)
        self.client.connect(broker.host, broker.port)
        self.client.loop_start()
        assert ready.wait(10)

    def _keep(self, _client: Any, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        self.messages.append((message.topic, bytes(message.payload), message.retain))

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def listen() -> Iterator[Callable[[str, str], Listener]]:
    """Start a listener: `listen(url, topic_filter)`."""
    started: list[Listener] = []

    def start(url: str, topics: str) -> Listener:
        started.append(Listener(url, topics))
        return started[-1]

    yield start
    for listener in started:
        listener.close()
