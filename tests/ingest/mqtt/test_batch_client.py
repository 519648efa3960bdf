"""`BatchClient` on one end of a socket pair: arbitrary bytes, acknowledgements, wakes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paho.mqtt.enums import MQTTErrorCode

from ingest.mqtt.batch_client import BatchClient, missing_private_name
from ingest.mqtt.messages import Messages
from tests.ingest.mqtt.conftest import CONNACK

PUBLISH = b"\x32\x06\x00\x01a\x00\x09p"


class Wired:
    """A client and the broker's end of its socket."""

    def __init__(self) -> None:
        self.got: list[Messages] = []
        self.client = BatchClient("test", self.got.append, max_packet_bytes=200, oversize_keep_bytes=8)
        ours, self.peer = socket.socketpair()
        self.peer.settimeout(5)
        self.client._create_socket = lambda: ours  # type: ignore[method-assign]
        self.client.connect("127.0.0.1")
        self.peer.recv(4096)

    def close(self) -> None:
        self.client.close()
        self.peer.close()


@pytest.fixture
def wired() -> Iterator[Wired]:
    made = Wired()
    yield made
    made.close()


def test_pahos_names_are_where_we_think(wired: Wired) -> None:
    assert missing_private_name(wired.client) == ""
    assert wired.client.buffered


PACKET = st.tuples(st.integers(0, 255), st.binary(max_size=40)).map(
    lambda packet: bytes((packet[0], len(packet[1]))) + packet[1]
)


@given(st.lists(st.lists(PACKET | st.binary(max_size=30), max_size=4).map(b"".join), max_size=6))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_stream_raises(chunks: list[bytes]) -> None:
    wired = Wired()
    try:
        wired.peer.sendall(CONNACK)
        assert wired.client.step(5) == MQTTErrorCode.MQTT_ERR_SUCCESS
        for chunk in filter(None, chunks):
            wired.peer.sendall(chunk)
            if wired.client.step(5) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                assert wired.client.socket() is None
                break
    finally:
        wired.close()


def test_acknowledgements_go_out_in_one_piece_and_only_on_their_connection(wired: Wired) -> None:
    wired.peer.sendall(CONNACK + PUBLISH)
    wired.client.step(5)
    assert [made.payloads for made in wired.got] == [[b"p"]]
    generation = wired.client.generation
    threads = [
        threading.Thread(target=wired.client.acknowledge, args=(generation, [number, number + 100]))
        for number in range(1, 20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wired.client.acknowledge(generation - 1, [7, 8])
    wired.client.step(5)
    sent = wired.peer.recv(4096)
    acked = sorted(sent[at + 2] << 8 | sent[at + 3] for at in range(0, len(sent), 4))
    assert acked == sorted([*range(1, 20), *range(101, 120)])
    assert (wired.client.acknowledged, wired.client.stale_acks) == (38, 2)


@pytest.mark.soak
def test_every_wake_is_seen(wired: Wired) -> None:
    """The pipe holds a byte whenever the flag says so: after any number of wakes and steps a wake still wakes."""
    wired.peer.sendall(CONNACK)
    wired.client.step(5)
    stop = threading.Event()

    def pester() -> None:
        while not stop.is_set():
            wired.client.wake()

    threads = [threading.Thread(target=pester) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(2_000):
        wired.client.step(1)
    stop.set()
    for thread in threads:
        thread.join()
    wired.client.step(0)
    wired.client.step(0)
    assert not wired.client._wake_pending
    wired.client.acknowledge(wired.client.generation, [5])
    waker = threading.Timer(0.05, wired.client.acknowledge, (wired.client.generation, [6]))
    waker.start()
    wired.client.step(0)
    wired.client.step(5)  # were the wake lost, it would end without having sent the second one
    waker.join()
    assert wired.peer.recv(4096) == b"\x40\x02\x00\x05\x40\x02\x00\x06"


def test_a_closed_peer_ends_the_step(wired: Wired) -> None:
    wired.peer.sendall(CONNACK)
    wired.client.step(5)
    wired.peer.close()
    assert wired.client.step(5) == MQTTErrorCode.MQTT_ERR_CONN_LOST
    assert wired.client.step(5) == MQTTErrorCode.MQTT_ERR_NO_CONN
