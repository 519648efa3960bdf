"""The end of a connection: what was sent last arrives, however much was left unread, and a mute peer holds nobody up."""

from __future__ import annotations

import socket
import threading

import pytest

from ingest.mqtt.goodbye import wait_for_end

UNREAD_BYTES = 300_000
HANG_S = 30.0


def connected() -> tuple[socket.socket, socket.socket]:
    """Two ends of a TCP connection on loopback: ours and the broker's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        return ours, listener.accept()[0]


def test_what_was_sent_last_arrives_although_much_is_unread() -> None:
    ours, broker = connected()
    got: list[bytes] = []

    def serve() -> None:
        broker.sendall(b"x" * UNREAD_BYTES)
        while piece := broker.recv(4_096):
            got.append(piece)
        broker.close()

    serving = threading.Thread(target=serve)
    ours.sendall(b"the last word")
    serving.start()
    wait_for_end(ours)
    ours.close()
    serving.join(HANG_S)
    assert not serving.is_alive()
    assert b"".join(got) == b"the last word"


def test_a_peer_that_neither_ends_nor_speaks_holds_nobody_up() -> None:
    ours, broker = connected()
    wait_for_end(ours)
    assert broker.recv(1) == b""
    ours.close()
    broker.close()


@pytest.mark.parametrize("who", ["ours", "theirs"])
def test_a_connection_that_has_ended_already(who: str) -> None:
    ours, broker = connected()
    (ours if who == "ours" else broker).close()
    wait_for_end(ours)
    ours.close()
    broker.close()
