"""`MqttSource` against a real mosquitto; a scripted peer only for what a real broker never sends."""

from __future__ import annotations

import datetime as dt
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt import client as paho_client

from ingest.mqtt import batch_client
from ingest.mqtt.broker_url import parse_broker_url
from ingest.mqtt.connection import DEFAULT_LIMITS, MqttSource, Phase
from ingest.mqtt.messages import Messages
from tests.conftest import Mosquitto, free_port, wait_until
from tests.ingest.mqtt.conftest import CONNACK, Collector, Publisher

TOPIC = "lucheng/v1/taxi/1/up/point"
FILTER = ("lucheng/v1/+/+/up/point",)
#: Quick to reconnect, so that tests are.
QUICK = replace(DEFAULT_LIMITS, backoff_first_s=0.05, backoff_max_s=0.2)
SUBACK = b"\x90\x03\x00\x01\x01"

Sources = Callable[..., MqttSource]


@pytest.fixture
def sources() -> Iterator[Sources]:
    made: list[MqttSource] = []

    def make(url: str, handler: Any, **options: Any) -> MqttSource:
        options.setdefault("limits", QUICK)
        source = MqttSource(parse_broker_url(url), options.pop("client_id", "desk"), FILTER, handler, **options)
        made.append(source)
        source.start()
        return source

    yield make
    for source in made:
        source.stop()


def numbered(count: int, start: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(start, start + count)]


@pytest.mark.soak
def test_twenty_thousand_messages_once_each(mosquitto: Mosquitto, sources: Sources) -> None:
    collector = Collector()
    source = sources(mosquitto.url, collector)
    assert source.wait_subscribed(10)
    publisher = Publisher(mosquitto.port)
    publisher.publish(TOPIC, numbered(20_000))
    publisher.close()
    wait_until(lambda: source.state.acknowledged == 20_000, what="all acknowledgements")
    assert collector.payloads == numbered(20_000)
    assert set(collector.topics) == {TOPIC.encode()}
    state = source.state
    assert (state.received, state.unacked_messages, state.unacked_bytes, state.failures) == (20_000, 0, 0, 0)
    assert state.buffered
    assert max(collector.batches) > 10, "messages should come in batches"
    assert source.stop()
    assert source.state.phase is Phase.STOPPED

    # acknowledged means: the broker has forgotten them
    again = Collector()
    source = sources(mosquitto.url, again)
    assert source.wait_subscribed(10)
    publisher = Publisher(mosquitto.port)
    publisher.publish(TOPIC, [b"end"])
    publisher.close()
    wait_until(lambda: again.payloads)
    assert again.payloads == [b"end"]


def test_unacknowledged_messages_survive_the_killed_broker(mosquitto: Mosquitto, sources: Sources) -> None:
    collector = Collector(hold=True)
    source = sources(mosquitto.url, collector)
    assert source.wait_subscribed(10)
    publisher = Publisher(mosquitto.port)
    publisher.publish(TOPIC, numbered(500))
    publisher.close()
    wait_until(lambda: source.state.unacked_messages == 500, what="500 messages")
    database = mosquitto.folder / "mosquitto.db"
    mosquitto.send_signal(signal.SIGUSR1)
    wait_until(lambda: database.exists() and database.stat().st_size > 500 * 20, what="the broker's own save")
    mosquitto.kill()
    wait_until(lambda: source.state.phase is not Phase.CONNECTED, what="the loss to be noticed")
    assert source.state.reason
    mosquitto.start()
    wait_until(lambda: source.state.connects == 2, what="the reconnection")
    wait_until(lambda: source.state.received == 1_000, what="the redelivery")
    assert source.state.sessions_lost == 0
    assert sorted(collector.payloads) == sorted(numbered(500) * 2)
    collector.release()
    wait_until(lambda: source.state.unacked_messages == 0)
    wait_until(lambda: source.state.acknowledged == 500, what="acknowledgements of the new connection")
    assert source.state.stale_acks == 500


def test_a_wiped_broker_is_a_lost_session(mosquitto: Mosquitto, sources: Sources) -> None:
    source = sources(mosquitto.url, Collector())
    assert source.wait_subscribed(10)
    mosquitto.kill()
    (mosquitto.folder / "mosquitto.db").unlink(missing_ok=True)
    mosquitto.start()
    wait_until(lambda: source.state.connects == 2)
    assert source.state.sessions_lost == 1


def test_back_pressure_leaves_the_socket_unread_and_the_connection_alive(
    mosquitto: Mosquitto, sources: Sources
) -> None:
    limits = replace(QUICK, max_unacked_messages=50, read_bytes=4096, keepalive_s=1)
    collector = Collector(hold=True)
    source = sources(mosquitto.url, collector, limits=limits)
    assert source.wait_subscribed(10)
    publisher = Publisher(mosquitto.port)
    publisher.publish(TOPIC, [payload.rjust(200) for payload in numbered(5_000)])
    publisher.close()
    wait_until(lambda: source.state.paused, what="the pause")
    held = source.state.unacked_messages
    assert 50 <= held <= 50 + 4096 // 200 + 1
    # longer than the broker and paho would put up with, were there no PINGREQ
    threading.Event().wait(3.5)
    state = source.state
    assert (state.phase, state.paused, state.failures, state.unacked_messages) == (Phase.CONNECTED, True, 0, held)
    collector.release()
    wait_until(lambda: source.state.acknowledged == 5_000, what="the rest")
    assert [int(payload) for payload in collector.payloads] == list(range(5_000))
    assert source.state.failures == 0


def test_bytes_are_bounded_too(mosquitto: Mosquitto, sources: Sources) -> None:
    limits = replace(QUICK, max_unacked_bytes=10_000, read_bytes=4096)
    collector = Collector(hold=True)
    source = sources(mosquitto.url, collector, limits=limits)
    assert source.wait_subscribed(10)
    publisher = Publisher(mosquitto.port)
    publisher.publish(TOPIC, [b"x" * 1_000] * 100)
    publisher.close()
    wait_until(lambda: source.state.paused)
    assert 10_000 <= source.state.unacked_bytes <= 10_000 + 2 * 4096
    collector.release()
    wait_until(lambda: source.state.acknowledged == 100)


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "constant inbound traffic at QoS 0"])
def test_keepalive(mosquitto: Mosquitto, sources: Sources, busy: bool) -> None:
    source = sources(mosquitto.url, Collector(), limits=replace(QUICK, keepalive_s=1))
    assert source.wait_subscribed(10)
    publisher = Publisher(mosquitto.port)
    for _ in range(35):
        if busy:
            publisher.publish(TOPIC, [b"x"] * 20, qos=0)
        threading.Event().wait(0.1)
    publisher.close()
    assert source.state.failures == 0
    assert source.state.phase is Phase.CONNECTED
    assert not busy or source.state.received > 500


def test_a_silent_broker_is_noticed(mosquitto: Mosquitto, sources: Sources) -> None:
    source = sources(mosquitto.url, Collector(), limits=replace(QUICK, keepalive_s=1, connect_timeout_s=1))
    assert source.wait_subscribed(10)
    mosquitto.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: source.state.failures, what="the keep-alive to fail")
    finally:
        mosquitto.send_signal(signal.SIGCONT)
    wait_until(lambda: source.state.connects >= 2, what="the reconnection")


def test_bad_credentials_say_so_and_are_tried_again(
    secured_mosquitto: Mosquitto, sources: Sources, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    where = f"127.0.0.1:{secured_mosquitto.port}"
    source = sources(f"mqtt://desk:canary-wrong@{where}", Collector())
    wait_until(lambda: source.state.failures >= 2, what="two attempts")
    wait_until(lambda: source.state.phase is Phase.WAITING)
    assert "refused the connection" in source.state.reason
    anonymous = sources(f"mqtt://{where}", Collector(), client_id="other")
    wait_until(lambda: anonymous.state.failures)
    good = sources(f"mqtt://desk:desk-pass@{where}", Collector(), client_id="good")
    assert good.wait_subscribed(10)
    shown = caplog.text + "".join(capsys.readouterr()) + repr(source) + repr(source.state) + repr(good)
    assert "canary" not in shown
    assert "desk-pass" not in shown


def test_a_device_cannot_publish_as_another(secured_mosquitto: Mosquitto, sources: Sources) -> None:
    """S2: the broker's ACL drops it; what arrives under a device's topic is that device's."""
    collector = Collector()
    source = sources(f"mqtt://desk:desk-pass@127.0.0.1:{secured_mosquitto.port}", collector)
    assert source.wait_subscribed(10)
    thief = Publisher(secured_mosquitto.port, "taxi/2", "two-pass")
    denied = thief.client.publish("lucheng/v1/taxi/1/up/point", b"stolen", 1)
    # Some brokers acknowledge and drop it, some end the connection: either has seen it.
    wait_until(lambda: denied.is_published() or not thief.client.is_connected(), what="the broker's answer")
    thief.close()
    honest = Publisher(secured_mosquitto.port, "taxi/2", "two-pass")
    honest.publish("lucheng/v1/taxi/2/up/point", [b"own"])
    honest.close()
    wait_until(lambda: collector.payloads)
    assert (collector.topics, collector.payloads) == ([b"lucheng/v1/taxi/2/up/point"], [b"own"])


def test_no_broker_at_all(sources: Sources) -> None:
    source = sources(f"mqtt://127.0.0.1:{free_port()}", Collector())
    wait_until(lambda: source.state.failures >= 3)
    wait_until(lambda: source.state.phase is Phase.WAITING)
    assert "cannot connect" in source.state.reason
    assert source.stop()


def test_a_handler_that_fails_gets_it_again(mosquitto: Mosquitto, sources: Sources) -> None:
    seen: list[bytes] = []

    def handler(messages: Messages, done: Callable[[], None]) -> None:
        seen.extend(messages.payloads)
        if len(seen) <= 1:
            raise RuntimeError("not this time")
        done()
        done()  # a second call changes nothing

    source = sources(mosquitto.url, handler)
    assert source.wait_subscribed(10)
    publisher = Publisher(mosquitto.port)
    publisher.publish(TOPIC, [b"a"])
    wait_until(lambda: source.state.acknowledged == 1)
    publisher.close()
    assert seen == [b"a", b"a"]
    assert source.state.unacked_messages == 0
    assert source.state.failures == 1


def test_stop_drains(mosquitto: Mosquitto, sources: Sources) -> None:
    collector = Collector(hold=True)
    source = sources(mosquitto.url, collector)
    assert source.wait_subscribed(10)
    publisher = Publisher(mosquitto.port)
    publisher.publish(TOPIC, numbered(100))
    wait_until(lambda: source.state.unacked_messages == 100)
    result: list[bool] = []
    stopper = threading.Thread(target=lambda: result.append(source.stop()))
    stopper.start()
    wait_until(lambda: source.state.phase is Phase.DRAINING)
    publisher.publish(TOPIC, [b"late"])
    collector.release()
    stopper.join(10)
    assert result == [True]
    publisher.close()
    again = Collector()
    sources(mosquitto.url, again)
    wait_until(lambda: again.payloads)
    assert again.payloads == [b"late"]


def test_stop_gives_up_on_a_handler_that_never_ends(mosquitto: Mosquitto, sources: Sources) -> None:
    source = sources(mosquitto.url, Collector(hold=True), limits=replace(QUICK, drain_s=0.3))
    assert source.wait_subscribed(10)
    publisher = Publisher(mosquitto.port)
    publisher.publish(TOPIC, [b"a"])
    publisher.close()
    wait_until(lambda: source.state.unacked_messages == 1)
    assert not source.stop()
    assert source.state.phase is Phase.STOPPED


def test_oversized_message_is_cut_acknowledged_and_counted(mosquitto: Mosquitto, sources: Sources) -> None:
    collector = Collector()
    source = sources(mosquitto.url, collector, limits=replace(QUICK, max_packet_bytes=2_000))
    assert source.wait_subscribed(10)
    publisher = Publisher(mosquitto.port)
    publisher.publish(TOPIC, [b"a", b"x" * 1_000_000, b"b"])
    publisher.close()
    wait_until(lambda: source.state.acknowledged == 3)
    assert collector.payloads == [b"a", b"x" * 1024, b"b"]
    assert source.state.oversized == 1
    assert source.state.failures == 0


def read_packet(connection: socket.socket) -> bytes:
    data = connection.recv(4096)
    if not data:
        raise ConnectionError
    return data


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\x32\xff\xff\xff\xff\xff",
        b"\x34\x05\x00\x01a\x00\x01",
        b"\x30\x02\x00\x00",
        b"\x00\x00",
        b"\xf0\x00",
        b"\x90\x00",
        b"\x20\x00",
        b"\x40\x01\x00",
        b"\xd0\x01\x00",
        b"GET / HTTP/1.1\r\n\r\n" * 5,
    ],
)
def test_rubbish_ends_the_connection_and_nothing_else(scripted: Any, sources: Sources, rubbish: bytes) -> None:
    def script(connection: socket.socket, number: int) -> None:
        read_packet(connection)
        connection.sendall(CONNACK)
        read_packet(connection)
        connection.sendall(SUBACK + b"\x32\x07\x00\x01a\x00\x01ok" + (rubbish if number == 1 else b""))
        while True:
            read_packet(connection)

    collector = Collector()
    peer = scripted(script)
    source = sources(peer.url, collector)
    wait_until(lambda: source.state.connects == 2, what="the second connection")
    assert source.state.failures == 1
    wait_until(lambda: len(collector.payloads) == 2)
    assert collector.payloads == [b"ok", b"ok"]
    source.stop()


def test_publish_before_the_connection_is_accepted(scripted: Any, sources: Sources) -> None:
    def script(connection: socket.socket, number: int) -> None:
        read_packet(connection)
        connection.sendall(b"\x32\x07\x00\x01a\x00\x01ok")
        read_packet(connection)

    collector = Collector()
    source = sources(scripted(script).url, collector)
    wait_until(lambda: source.state.malformed >= 1)
    source.stop()
    assert collector.payloads == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [(b"\x90\x03\x00\x01\x80", "refused the subscription"), (b"\x90\x03\x00\x01\x00", "refused the subscription")],
    ids=["refused", "granted QoS 0 only"],
)
def test_refused_subscription(scripted: Any, sources: Sources, answer: bytes, words: str) -> None:
    def script(connection: socket.socket, number: int) -> None:
        read_packet(connection)
        connection.sendall(CONNACK)
        read_packet(connection)
        connection.sendall(answer)
        read_packet(connection)

    source = sources(scripted(script).url, Collector())
    wait_until(lambda: source.state.phase is Phase.WAITING)
    assert words in source.state.reason
    assert FILTER[0] in source.state.reason
    assert not source.wait_subscribed(0)
    wait_until(lambda: source.state.failures >= 2, what="another attempt")
    source.stop()


def test_a_peer_that_never_answers(scripted: Any, sources: Sources) -> None:
    def script(connection: socket.socket, number: int) -> None:
        while read_packet(connection):
            pass

    source = sources(scripted(script).url, Collector(), limits=replace(QUICK, connect_timeout_s=0.3))
    wait_until(lambda: source.state.failures >= 2)
    assert "in time" in source.state.reason or source.state.phase is Phase.CONNECTING
    source.stop()


@pytest.mark.parametrize("name", ["_packet_handle", "_sock_recv", "_last_bytes_received"])
def test_fallback_when_pahos_names_move(
    mosquitto: Mosquitto, sources: Sources, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name == "_packet_handle":
        # still there for paho itself, but with another signature
        original = paho_client.Client._packet_handle
        monkeypatch.setattr(paho_client.Client, name, lambda self, extra=None: original(self))
    elif name == "_last_bytes_received":
        monkeypatch.setattr(batch_client, "_RECEIVED_NAMES", ("_moved_elsewhere",))
    else:
        monkeypatch.setattr(batch_client, "_METHODS", {**batch_client._METHODS, f"{name}_moved": []})
    collector = Collector()
    with pytest.warns(batch_client.FallbackWarning, match="one by one"):
        source = sources(mosquitto.url, collector, limits=replace(QUICK, max_packet_bytes=2_000))
    assert source.wait_subscribed(10)
    publisher = Publisher(mosquitto.port)
    publisher.publish(TOPIC, [*numbered(300), b"x" * 5_000])
    publisher.close()
    wait_until(lambda: source.state.acknowledged == 301)
    assert collector.payloads == [*numbered(300), b"x" * 1024]
    assert set(collector.batches) == {1}
    assert not source.state.buffered
    assert source.state.oversized == 1
    assert source.stop()


def certificate(folder: Path) -> tuple[Path, Path, Path]:
    """A certificate authority and a server certificate of 127.0.0.1, as PEM files: (ca, certificate, key)."""
    now = dt.datetime.now(dt.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])

    def builder(subject: x509.Name, public: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
        )

    ca = (
        builder(ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    own = builder(name, key.public_key()).add_extension(address, critical=False).sign(ca_key, hashes.SHA256())
    paths = folder / "ca.pem", folder / "server.pem", folder / "server.key"
    paths[0].write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(own.public_bytes(serialization.Encoding.PEM))
    paths[2].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def test_tls(tmp_path: Path, sources: Sources) -> None:
    ca, own, key = certificate(tmp_path)
    port = free_port()
    lines = (f"listener {port} 127.0.0.1", "allow_anonymous true", f"certfile {own}", f"keyfile {key}")
    broker = Mosquitto(tmp_path / "broker", lines).start()
    try:
        collector = Collector()
        source = sources(f"mqtts://127.0.0.1:{port}", collector, ca_file=str(ca))
        assert source.wait_subscribed(10)
        publisher = Publisher(broker.port)
        publisher.publish(TOPIC, [payload.rjust(300) for payload in numbered(5_000)])
        publisher.publish(TOPIC, [b"y" * 200_000])
        publisher.close()
        wait_until(lambda: source.state.acknowledged == 5_001, what="everything over TLS")
        assert [int(payload) for payload in collector.payloads[:-1]] == list(range(5_000))
        assert collector.payloads[-1] == b"y" * 200_000
        assert source.state.failures == 0
        distrustful = sources(f"mqtts://127.0.0.1:{port}", Collector(), client_id="other")
        wait_until(lambda: distrustful.state.phase is Phase.WAITING)
        assert "CERTIFICATE_VERIFY_FAILED" in distrustful.state.reason
        source.stop()
        distrustful.stop()
    finally:
        broker.stop()


def test_retain_and_dup_bits_arrive(mosquitto: Mosquitto, sources: Sources) -> None:
    publisher = Publisher(mosquitto.port)
    publisher.publish(TOPIC, [b"kept"], retain=True)
    collector = Collector()
    source = sources(mosquitto.url, collector)
    assert source.wait_subscribed(10)
    publisher.publish(TOPIC, [b"fresh"])
    publisher.close()
    wait_until(lambda: len(collector.payloads) == 2)
    assert [(payload, head & 1) for payload, head in zip(collector.payloads, collector.heads, strict=True)] == [
        (b"kept", 1),
        (b"fresh", 0),
    ]
