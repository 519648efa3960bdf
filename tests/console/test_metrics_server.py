"""The metrics on loopback: Prometheus reads them, browsers do not, nobody else does."""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Iterator

import pytest

from config.metrics import Metrics
from console.metrics import exposition
from console.metrics_server import MetricsServer
from model.errors import Conflict, UsageError
from tests.console.conftest import House


@pytest.fixture
def server(house: House) -> Iterator[MetricsServer]:
    with MetricsServer(
        lambda: exposition(house.operations.metric_values()), 0, max_connections=4, timeout_s=0.5
    ) as made:
        yield made


def ask(server: MetricsServer, path: str = "/metrics", verb: str = "GET", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request(verb, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_what_prometheus_reads_has_numbers_and_no_device(house: House, server: MetricsServer) -> None:
    house.put("taxi/B0001", [1_795_334_400_000])
    house.alarm("button/school-3")
    status, body = ask(server)
    assert status == 200
    assert b"lucheng_points_received_total 1.0" in body
    assert b'lucheng_signals_total{kind="one_key"}' in body
    assert b"B0001" not in body
    assert b"school-3" not in body


def test_pages_of_a_browser_and_other_paths_get_nothing(server: MetricsServer) -> None:
    assert ask(server, Origin="https://evil.example")[0] == 403
    assert ask(server, Sec_Fetch_Site="cross-site")[0] == 403
    assert ask(server, Host="evil.example")[0] == 403
    assert ask(server, "/")[0] == 404
    assert ask(server, "/metrics/../etc/passwd")[0] == 404
    assert ask(server, verb="POST")[0] == 501
    assert ask(server, Host="localhost:9")[0] == 200


def test_connections_that_say_nothing_are_closed_and_hold_nobody_up_for_long(server: MetricsServer) -> None:
    held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(4)]
    fifth = socket.create_connection(("127.0.0.1", server.port))
    fifth.settimeout(5)
    fifth.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    with contextlib.suppress(ConnectionResetError):
        assert fifth.recv(16) == b""  # one too many
    for one in (*held, fifth):
        one.settimeout(5)
        assert one.recv(16) == b""
        one.close()
    assert ask(server)[0] == 200


def test_it_listens_on_this_machine_alone_and_says_when_the_port_is_taken(server: MetricsServer) -> None:
    with pytest.raises(UsageError, match="this machine"):
        MetricsServer(bytes, 0, listen="0.0.0.0")
    with pytest.raises(ValueError, match="this machine"):
        Metrics(listen="10.0.0.1")
    with pytest.raises(Conflict):
        MetricsServer(bytes, server.port).start()
    assert Metrics().port == 0
