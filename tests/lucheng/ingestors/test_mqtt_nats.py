"""nats-server's own MQTT listener, on the shipped file: who comes in, what reaches an ingestor, and what survives which death."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from devices.credentials import Credentials
from devices.registry import Registry
from devices.secrets import SealedSecrets
from ingest.mqtt.broker_url import parse_broker_url
from ingest.mqtt.down import DownLink
from lucheng.nats_mqtt import KEY_LABEL
from model.clock import SystemClock
from store.nats.link import Link
from store.nats.mqtt_inbox import STREAM, subject_of, topic_of
from store.nats.nkeys import ACCOUNT, SERVER, BadClaims, key_of, read_signed, signed, text_of
from store.nats.streams import key_value_stream, log_stream, made
from store.nats.terms import Servers
from tests.conftest import free_port, wait_until
from tests.lucheng.ingestors.mqtt_side import FILES, Device, Process, first_of_each, stored_in
from tests.nats import NatsServer, names_of

DEVICES = ("taxi/1", "taxi/2", "taxi/a.b")
PASSWORD, DESK_PASSWORD = "nats-pass", "desk-pass"


class Land:
    """One nats-server with the shipped listener, and who is registered."""

    def __init__(self, folder: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.stack = folder, stack
        self.names = names_of(folder)
        self.registry = Registry(folder / "registry.db", clock=SystemClock())
        stack.callback(self.registry.close)
        for device in DEVICES:
            self.registry.add(device)
        self.passwords = {one.user: one.password for one in Credentials(self.registry.file).issue_many(DEVICES)}
        directory = self.registry.directory()
        self.slot = {device: directory.slot_of[device] for device in DEVICES}
        self.key_file = folder / "secret.key"
        secret = SealedSecrets(self.registry.file, self.key_file).derived_key(KEY_LABEL)
        monkeypatch.setenv("LUCHENG_NATS_PASSWORD", PASSWORD)
        monkeypatch.setenv("LUCHENG_DESK_PASSWORD", DESK_PASSWORD)
        monkeypatch.setenv("LUCHENG_MQTT_ISSUER", text_of(key_of(secret)))
        self.port = free_port()
        self.nats = NatsServer(folder / "nats", extra=["include mqtt.conf"])
        shipped = (FILES / "nats" / "mqtt.conf").read_text()
        assert "0.0.0.0:1883" in shipped
        (self.nats.folder / "mqtt.conf").write_text(shipped.replace("0.0.0.0:1883", f"127.0.0.1:{self.port}"))
        self.nats.start()
        stack.callback(self.nats.kill)
        self.link = self.open()
        for config in (
            log_stream(self.names.alarms, self.names.alarms_subject, 1, 1 << 30),
            key_value_stream(self.names.marks, 1),
        ):
            self.link.call(made(self.link, config))

    def open(self) -> Link:
        link = Link(Servers((self.nats.url,), "lucheng", PASSWORD), clock=SystemClock(), name="test")
        self.stack.callback(link.close)
        return link

    def desk(self) -> DownLink:
        """What writes to devices; its connection also makes the servers' own streams."""
        down = DownLink(parse_broker_url(f"mqtt://lucheng-desk:{DESK_PASSWORD}@127.0.0.1:{self.port}"), "lucheng-desk")
        down.start()
        self.stack.callback(down.stop)
        wait_until(lambda: down.connected, what="the desk's connection")
        return down

    def ingestor(self) -> Process:
        registry = str(self.folder / "registry.db")
        made = Process("nats_ingestor.py", self.nats.url, PASSWORD, self.names.prefix, registry, str(self.key_file))
        self.stack.callback(made.kill)
        return made

    def device(self, name: str, password: str = "", *, client_id: str = "", wait: bool = True) -> Device:
        made = Device(self.port, name, password or self.passwords[name], client_id=client_id, wait=wait)
        self.stack.callback(made.close)
        return made

    def times(self, device: str) -> list[int]:
        with contextlib.closing(Link(Servers((self.nats.url,), "lucheng", PASSWORD), clock=SystemClock())) as link:
            return stored_in(link, self.names).get(self.slot[device], [])


@pytest.fixture
def land(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Land]:
    with ExitStack() as stack:
        yield Land(tmp_path, stack, monkeypatch)


@pytest.mark.soak
def test_ingestors_killed_one_after_the_other_lose_nothing_and_keep_the_order(land: Land) -> None:
    land.desk()
    standing = [land.ingestor(), land.ingestor()]
    taxi = land.device("taxi/1")
    for _ in range(3):
        taxi.send(200)
        wait_until(lambda: land.times("taxi/1"), 60, "the first points")
        taxi.send(100)
        standing.pop(0).kill()
        taxi.send(100)
        standing.append(land.ingestor())
    wait_until(lambda: len(taxi.acknowledged) == taxi.sent, 60, "every PUBACK")
    wait_until(lambda: len(set(land.times("taxi/1"))) == taxi.sent, 90, "every point in the log")
    times = first_of_each(land.times("taxi/1"))
    assert times == sorted(times), "another ingestor goes on where the dead one was"
    wait_until(
        lambda: land.link.call(land.link.api(f"STREAM.INFO.{STREAM}"))["state"]["messages"] == 0,
        60,
        "nothing is kept for ever",
    )


@pytest.mark.soak
def test_what_the_server_acknowledged_survives_its_kill(land: Land) -> None:
    land.desk()
    ingestor = land.ingestor()
    taxi = land.device("taxi/1")
    taxi.send(300)
    wait_until(lambda: len(taxi.acknowledged) > 50, 60, "some PUBACKs")
    ingestor.kill()
    land.nats.kill()
    acknowledged = set(taxi.acknowledged)
    land.nats.start()
    land.ingestor()
    wait_until(lambda: acknowledged <= set(land.times("taxi/1")), 90, "whatever was acknowledged")
    wait_until(lambda: len(set(land.times("taxi/1"))) == taxi.sent, 90, "the device sends the rest again")


@pytest.mark.soak
def test_nobody_is_let_in_before_somebody_keeps_what_he_says(land: Land) -> None:
    taxi = land.device("taxi/1", wait=False)
    wait_until(lambda: taxi.reasons or taxi.refused, 60, "a refusal")
    assert not taxi.up
    land.desk()
    land.ingestor()
    wait_until(lambda: taxi.up, 60, "it is let in")
    taxi.send(10)
    wait_until(lambda: len(set(land.times("taxi/1"))) == 10, 60, "all its points")


@pytest.mark.soak
def test_a_device_is_itself_and_nobody_else(land: Land) -> None:
    land.desk()
    land.ingestor()
    one, two = land.device("taxi/1"), land.device("taxi/2")
    one.send(5, topic="lucheng/v1/taxi/2/up/point")
    one.send(1)
    two.send(1)
    wait_until(lambda: land.times("taxi/1") and land.times("taxi/2"), 60, "their own points")
    assert len(land.times("taxi/2")) == 1
    for bad in (
        land.device("taxi/1", "wrong", client_id="taxi/1", wait=False),
        land.device("taxi/2", client_id="taxi/1", wait=False),
        land.device("taxi/a.b", wait=False),
    ):
        wait_until(lambda bad=bad: bad.reasons or bad.refused, 60, "a refusal")  # type: ignore[misc] # a default binds it
        assert not bad.up
        bad.close()
    assert one.up


@pytest.mark.soak
def test_what_a_device_is_told_waits_for_it(land: Land) -> None:
    down = land.desk()
    land.ingestor()
    taxi = land.device("taxi/1")
    taxi.listen()
    assert taxi.listening.wait(20)
    assert down.send("lucheng/v1/taxi/1/down/command", b"1", lambda: None)
    wait_until(lambda: taxi.heard, what="it hears it")
    taxi.client.disconnect()
    assert down.send("lucheng/v1/taxi/1/down/command", b"2", lambda: None)
    wait_until(lambda: down.sent == 2, what="the server has it")
    taxi.client.loop_stop()
    taxi.client.reconnect()
    taxi.client.loop_start()
    wait_until(lambda: [payload for _, payload in taxi.heard] == [b"1", b"2"], 60, "what waited")


def test_the_newer_connection_of_a_device_takes_its_session(land: Land) -> None:
    land.desk()
    land.ingestor()
    old = land.device("taxi/1")
    old.client.reconnect_delay_set(60, 60)
    new = land.device("taxi/1")
    wait_until(lambda: not old.client.is_connected(), 60, "the older one is cut off")
    assert new.client.is_connected()


def test_topics_are_subjects_and_back() -> None:
    for topic, subject in (
        ("lucheng/v1/taxi/a.b/up/point", "lucheng.v1.taxi.a//b.up.point"),
        ("owntracks/taxi/1", "owntracks.taxi.1"),
    ):
        assert subject_of(topic) == subject
        assert topic_of(subject) == topic
    assert subject_of("owntracks/+/+") == "owntracks.*.*"


def test_claims_are_believed_of_their_signer_alone() -> None:
    key = key_of(bytes(range(32)))
    assert text_of(key).startswith("A")
    assert text_of(key, SERVER).startswith("N")
    text = signed({"sub": "x"}, key)
    assert read_signed(text, ACCOUNT)["sub"] == "x"
    head, body, signature = text.split(".")
    other = signed({"sub": "y"}, key).split(".")
    for bad in (f"{head}.{other[1]}.{signature}", f"{head}.{body}", "", "a.b.c", f"{head}.{body}.AAAA"):
        with pytest.raises(BadClaims):
            read_signed(bad, ACCOUNT)
    with pytest.raises(BadClaims):
        read_signed(text, SERVER)
