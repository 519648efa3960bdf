"""`OsmandServer` over real sockets: what is answered when, what is stored, and what a hostile client gets."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest

from devices.credentials import Credentials
from devices.password_check import PasswordCheck
from devices.registry import Registry
from ingest.decode.decoder import Decoded
from ingest.trackers.http import OsmandLimits, OsmandServer
from model.clock import FakeClock
from model.codes import Reason, alarm_names
from model.errors import StoreError, TryAgain

#: How long a test waits before it says that something did not happen.
WAIT_S = 10.0
PHONE = "13800138000"


@dataclass
class Store:
    """Takes rounds; tells them durable at once, or when the test says so."""

    at_once: bool = True
    fail: bool = False
    rounds: queue.Queue[tuple[Decoded, Callable[[], None]]] = field(default_factory=queue.Queue)

    def take(self, decoded: Decoded, done: Callable[[], None]) -> None:
        if self.fail:
            raise StoreError("The disk is full.", mend="Make room.")
        self.rounds.put((decoded, done))
        if self.at_once:
            done()

    def next(self) -> tuple[Decoded, Callable[[], None]]:
        return self.rounds.get(timeout=WAIT_S)


@dataclass
class House:
    """A server and what stands behind it."""

    server: OsmandServer
    store: Store
    token: str

    def ask(
        self, method: str = "GET", *, body: bytes | None = None, headers: dict[str, str] | None = None, **fields: object
    ) -> tuple[int, str]:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=WAIT_S)
        try:
            connection.request(method, f"/?{urlencode(fields)}", body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def place(self, **more: object) -> tuple[int, str]:
        """A good request of taxi/1, but for `more`."""
        given = {"id": "taxi/1", "token": self.token, "timestamp": 1_760_000_000, "lat": 40.65, "lon": 109.84, **more}
        return self.ask(
            "GET", body=None, headers=None, **{key: value for key, value in given.items() if value is not None}
        )

    def open(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=WAIT_S)


def status(line: socket.socket) -> int:
    """Status of the next answer, which is read whole."""
    answer = http.client.HTTPResponse(line)
    answer.begin()
    answer.read()
    return answer.status


Start = Callable[..., House]


@pytest.fixture
def start(registry: Registry) -> Iterator[Start]:
    credentials = Credentials(registry.file)
    token = credentials.issue("taxi/1").password
    credentials.issue("ebike/2")
    check = PasswordCheck(credentials, registry.file)
    directory = registry.directory()
    names = {"taxi/1": "taxi/1", PHONE: "taxi/1", "ebike/2": "ebike/2"}

    def resolve(said: str) -> tuple[int, str] | None:
        device = names.get(said, "")
        slot = directory.slot_of.get(device)
        return None if slot is None else (slot, device)

    running: list[OsmandServer] = []

    def begin(*, store: Store | None = None, **more: Any) -> House:
        kept = store or Store()
        server = OsmandServer(
            "127.0.0.1", 0, resolve=resolve, check_token=check.check, take=kept.take, clock=FakeClock(), **more
        )
        server.start()
        running.append(server)
        return House(server, kept, token)

    yield begin
    for server in running:
        server.stop()
        assert not server.running


def test_200_comes_only_after_everything_is_durable(start: Start) -> None:
    house = start(store=Store(at_once=False))
    with ThreadPoolExecutor(1) as other:
        asked = other.submit(house.place, speed=10)
        decoded, done = house.store.next()
        assert not asked.done()
        assert decoded.batch.time_ms.tolist() == [1_760_000_000_000]
        assert decoded.batch.slot.tolist() == [0]
        assert not asked.done()
        done()
        assert asked.result(WAIT_S) == (200, "")


def test_every_way_to_say_who_and_prove_it(start: Start) -> None:
    house = start()
    assert house.place() == (200, "")
    assert house.place(id=None, deviceid=PHONE)[0] == 200
    assert house.place(token=None)[0] == 401
    bearer = {"Authorization": f"Bearer {house.token}"}
    assert house.ask(headers=bearer, id="taxi/1", lat=1, lon=2)[0] == 200
    form = urlencode({"id": "taxi/1", "token": house.token, "lat": 1, "lon": 2}).encode()
    assert house.ask("POST", body=form)[0] == 200
    location = {"timestamp": "2025-10-09T08:53:20Z", "coords": {"latitude": 1, "longitude": 2}}
    body = json.dumps({"device_id": "taxi/1", "token": house.token, "location": [location, location]}).encode()
    assert house.ask("POST", body=body)[0] == 200
    rounds = [house.store.next()[0] for _ in range(5)]
    assert [len(decoded.batch) for decoded in rounds] == [1, 1, 1, 1, 2]
    assert {slot for decoded in rounds for slot in decoded.batch.slot.tolist()} == {0}
    assert house.server.answers == {200: 5, 401: 1}


def test_strangers_leave_nothing_but_a_count(start: Start) -> None:
    house = start()
    assert house.place(id="taxi/9") == (404, "no such device")
    assert house.place(id="x" * 101) == (404, "no such device")
    assert house.place(id="taxi/off")[0] == 404
    for wrong in ("", "guess", house.token[:-1]):
        assert house.place(token=wrong) == (401, "token is missing or wrong")
    # the token of another device
    assert house.place(id="ebike/2")[0] == 401
    assert house.place(id=None) == (400, "id is missing")
    assert house.ask("PUT")[0] == 405
    assert house.ask("DELETE")[0] == 405
    # bad forms of strangers are not kept either
    assert house.place(token=None, lat="north")[0] == 401
    assert house.store.rounds.empty()


def test_without_tokens_where_that_is_the_setting(start: Start) -> None:
    house = start(require_token=False)
    assert house.place(token=None)[0] == 200
    assert house.place(id="taxi/9")[0] == 404


def test_a_bad_form_of_a_known_device_is_answered_and_kept_without_its_token(start: Start) -> None:
    house = start()
    code, text = house.place(lat="north", alarm="sos")
    assert (code, "lat" in text) == (400, True)
    decoded, _ = house.store.next()
    (entry,) = decoded.quarantined
    assert (entry.reason, entry.device, entry.source) == (Reason.NOT_A_NUMBER, "taxi/1", "osmand")
    assert house.token.encode() not in entry.raw
    assert b"north" in entry.raw
    (signal,) = decoded.signals
    assert (signal.kind, signal.device) == ("sos", "taxi/1")
    assert house.ask("POST", body=b'{"device_id":"taxi/1"', id="taxi/1", token=house.token)[0] == 400
    assert house.store.next()[0].quarantined[0].reason == Reason.NOT_JSON


def test_one_bad_place_of_many_costs_only_itself(start: Start) -> None:
    house = start()
    good = {"timestamp": "2025-10-09T08:53:20Z", "coords": {"latitude": 1, "longitude": 2}}
    body = json.dumps({"device_id": "taxi/1", "location": [good, {}, good]}).encode()
    assert house.ask("POST", body=body, token=house.token)[0] == 200
    decoded, _ = house.store.next()
    assert (len(decoded.batch), len(decoded.quarantined)) == (2, 1)


def test_an_alarm_is_urgent(start: Start) -> None:
    house = start()
    assert house.place(alarm="sos")[0] == 200
    decoded, _ = house.store.next()
    assert decoded.urgent
    assert alarm_names(int(decoded.batch.alarm_bits[0])) == ["sos"]


def test_requests_under_way_are_stored_together_in_order(start: Start) -> None:
    house = start(store=Store(at_once=False), limits=OsmandLimits(gather_ms=200.0, gather_requests=10))
    sockets = [house.open() for _ in range(12)]
    for number, line in enumerate(sockets):
        query = urlencode(
            {"id": "taxi/1", "token": house.token, "timestamp": number + 1, "lat": 1, "lon": 2, "n": number}
        )
        line.sendall(f"GET /?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    seen: list[int] = []
    while len(seen) < len(sockets):
        decoded, done = house.store.next()
        assert len(decoded.batch) <= 10
        for row, time_ms in enumerate(decoded.batch.time_ms.tolist()):
            assert json.loads(decoded.batch.extra[row]) == {"n": time_ms / 1_000 - 1}
            seen.append(time_ms // 1_000)
        done()
    for line in sockets:
        assert status(line) == 200
        line.close()
    assert sorted(seen) == list(range(1, 13))


def test_what_could_not_be_stored_is_asked_for_again(start: Start) -> None:
    house = start(store=Store(fail=True))
    assert house.place() == (503, "try again")
    house.store.fail = False
    assert house.place()[0] == 200


def test_a_store_that_never_answers_ends_in_503(start: Start) -> None:
    house = start(store=Store(at_once=False), limits=OsmandLimits(answer_s=0.1))
    assert house.place() == (503, "try again")
    _, done = house.store.next()
    done()  # too late for that request; nobody minds
    house.store.at_once = True
    assert house.place()[0] == 200


def test_large_bodies_and_heads_are_refused(start: Start) -> None:
    house = start(limits=OsmandLimits(body_bytes=1_000, header_bytes=2_000))
    assert house.ask("POST", body=b"x" * 1_001)[0] == 413
    with house.open() as line:  # nothing says how long it is
        line.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        line.sendall(b"400\r\n" + b"x" * 1_024 + b"\r\n")
        assert status(line) == 413
    with house.open() as line:  # announced, never sent
        line.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        assert status(line) == 413
    with house.open() as line:
        line.sendall(b"GET /?" + b"x" * 5_000)
        assert status(line) == 400
    assert house.place()[0] == 200


def ended(line: socket.socket) -> bool:
    """Wait for the other side to end the connection; whether nothing was said before."""
    try:
        return line.recv(1_000) == b""
    except ConnectionResetError:
        return True


def test_slow_heads_and_bodies_are_cut(start: Start) -> None:
    house = start(limits=OsmandLimits(header_s=1.5, body_s=0.3))
    silent, slow, slow_again, slow_body = (house.open() for _ in range(4))
    slow.sendall(b"GET / HTTP/1.1\r\nHo")
    slow_again.sendall(b"GET /?id=x HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status(slow_again) == 404
    slow_again.sendall(b"GET / HTTP/1.1\r\nHo")
    slow_body.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nid=")
    assert status(slow_body) == 408
    slow_body.sendall(b"x")  # goes on, and is not listened to
    for line in (silent, slow, slow_again):
        assert ended(line)
    for line in (silent, slow, slow_again, slow_body):
        line.close()
    assert house.place()[0] == 200


def test_a_head_that_drips_does_not_live_longer(start: Start) -> None:
    house = start(limits=OsmandLimits(header_s=0.3))
    cut = threading.Event()
    with house.open() as line:

        def drip() -> None:
            try:
                while not cut.wait(0.02):
                    line.sendall(b"x")
            except OSError:
                return

        dripping = threading.Thread(target=drip)
        line.sendall(b"GET / HTTP/1.1\r\nX: ")
        dripping.start()
        assert ended(line)
        cut.set()
        dripping.join(WAIT_S)
        assert not dripping.is_alive()


def test_more_connections_than_allowed_are_cut(start: Start) -> None:
    house = start(limits=OsmandLimits(connections=3))
    held = [house.open() for _ in range(3)]
    for line in held:
        line.sendall(b"GET /?id=x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status(line) == 404
    with house.open() as over:
        assert ended(over)
    held[0].sendall(b"GET /?id=x HTTP/1.1\r\nHost: x\r\n\r\n")  # those that were there stay
    assert status(held[0]) == 404
    for line in held:
        line.close()


def test_pipelined_requests_are_answered_in_order(start: Start) -> None:
    house = start()
    query = urlencode({"id": "taxi/1", "token": house.token, "lat": 1, "lon": 2})
    with house.open() as line:
        line.sendall(f"GET /?{query} HTTP/1.1\r\nHost: x\r\n\r\nGET /?id=x HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        got = b""
        while got.count(b"HTTP/1.1") < 2:
            got += line.recv(1_000)
    assert got.index(b"200 OK") < got.index(b"404 Not Found")


def test_nonsense_on_the_socket_costs_nobody_anything(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    house = start()
    for nonsense in (
        b"\x00\xff" * 50,
        b"\x78\x78\x0d\x01",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ):
        with house.open() as line:
            line.sendall(nonsense)
            line.shutdown(socket.SHUT_WR)
            while line.recv(1_000):
                pass
    assert house.place()[0] == 200
    assert house.token not in caplog.text
    assert "Invalid HTTP" not in caplog.text


def test_a_port_that_is_taken_says_so(start: Start, registry: Registry) -> None:
    house = start()
    second = OsmandServer(
        "127.0.0.1",
        house.server.port,
        resolve=lambda _said: None,
        check_token=lambda _device, _token: False,
        take=house.store.take,
        clock=FakeClock(),
    )
    with pytest.raises(TryAgain, match="cannot be listened on"):
        second.start()


def test_a_registry_that_cannot_be_read_is_our_fault(start: Start, registry: Registry) -> None:
    house = start()
    registry.close()
    assert house.place() == (503, "try again")
