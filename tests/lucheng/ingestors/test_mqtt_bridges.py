"""mosquitto bridges, on the shipped files: a device's publish reaches an ingestor, survives its kill, and finds the next machine."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from devices.broker_files import BrokerFiles
from devices.credentials import Credentials
from devices.registry import Registry
from ingest.mqtt.broker_url import parse_broker_url
from ingest.mqtt.down import DownLink
from model.clock import SystemClock
from store.nats.streams import key_value_stream, log_stream, made
from tests.conftest import free_port, need_program, wait_until
from tests.lucheng.ingestors.mqtt_side import FILES, Device, Process, Shipped, first_of_each, stored
from tests.nats import NatsServer, link_to, names_of

INGESTORS = 2
DEVICES = ("taxi/1", "taxi/2")


class Land:
    """One edge, two ingestors with a broker each, and who is registered."""

    def __init__(self, nats: NatsServer, folder: Path, stack: ExitStack) -> None:
        self.nats, self.folder, self.stack = nats, folder, stack
        self.names = names_of(folder)
        link = link_to([nats.url])
        stack.callback(link.close)
        for config in (
            log_stream(self.names.alarms, self.names.alarms_subject, 1, 1 << 30),
            key_value_stream(self.names.marks, 1),
        ):
            link.call(made(link, config))
        self.registry = Registry(folder / "registry.db", clock=SystemClock())
        stack.callback(self.registry.close)
        for device in DEVICES:
            self.registry.add(device)
        credentials = Credentials(self.registry.file)
        self.passwords = {one.user: one.password for one in credentials.issue_many(DEVICES)}
        self.accounts = {name: credentials.renew_account(name).password for name in ("lucheng", "lucheng-desk")}
        self.files = folder / "files"
        BrokerFiles(self.registry.file, self.files).write()
        directory = self.registry.directory()
        self.slot = {device: directory.slot_of[device] for device in DEVICES}
        self.ports = [(free_port(), free_port()) for _ in range(INGESTORS)]
        self.brokers = [self._ingest_broker(count) for count in range(INGESTORS)]
        self.edge = self._edge()

    def _ingest_broker(self, count: int) -> Shipped:
        own, bridges = self.ports[count]
        secrets = self.folder / "bridges"
        secrets.mkdir(exist_ok=True)
        passwords = secrets / "passwords"
        passwords.touch(mode=0o600)
        program = need_program("mosquitto_passwd")
        subprocess.run(
            [program, "-b", str(passwords), "lucheng-bridge", "bridge-pass"], check=True, capture_output=True
        )
        acl = secrets / "acl"
        acl.write_text((FILES / "mqtt_cluster" / "bridges.acl").read_text())
        acl.chmod(0o600)
        broker = Shipped(
            self.folder / f"ingest{count}",
            "ingest.conf",
            own,
            {
                "listener 1883": f"listener {own}",
                "listener 1884 0.0.0.0": f"listener {bridges} 127.0.0.1",
                "/etc/mosquitto/lucheng-bridges": str(secrets),
                "/etc/mosquitto/lucheng/": f"{self.files}/",
            },
        )
        broker.start()
        self.stack.callback(broker.kill)
        return broker

    def _edge(self) -> Shipped:
        port = free_port()
        addresses = " ".join(f"127.0.0.1:{bridges}" for _, bridges in self.ports)
        edge = Shipped(
            self.folder / "edge",
            "edge.conf",
            port,
            {
                "listener 1883": f"listener {port}",
                "/etc/mosquitto/lucheng/": f"{self.files}/",
                "10.0.0.11:1884 10.0.0.12:1884 10.0.0.13:1884": addresses,
                "CHANGE-ME": "bridge-pass",
            },
        )
        edge.start()
        self.stack.callback(edge.kill)
        return edge

    def ingestor(self, count: int) -> Process:
        url = f"mqtt://lucheng:{self.accounts['lucheng']}@127.0.0.1:{self.ports[count][0]}"
        made = Process("mqtt_ingestor.py", url, self.nats.url, self.names.prefix, str(self.folder / "registry.db"))
        self.stack.callback(made.kill)
        return made

    def device(self, name: str) -> Device:
        made = Device(self.edge.port, name, self.passwords[name])
        self.stack.callback(made.close)
        return made

    def times(self, device: str) -> list[int]:
        return stored(self.nats.url, self.names).get(self.slot[device], [])


@pytest.fixture
def land(nats_server: NatsServer, tmp_path: Path) -> Iterator[Land]:
    with ExitStack() as stack:
        yield Land(nats_server, tmp_path, stack)


@pytest.mark.soak
def test_an_ingestor_killed_again_and_again_loses_nothing_and_keeps_the_order(land: Land) -> None:
    taxi = land.device("taxi/1")
    ingestor = land.ingestor(0)
    for _ in range(3):
        taxi.send(200)
        wait_until(lambda: land.times("taxi/1"), what="the first points")
        ingestor.kill()
        taxi.send(100)  # while nobody reads: the broker beside the ingestor keeps them
        ingestor = land.ingestor(0)
    wait_until(lambda: len(taxi.acknowledged) == taxi.sent, what="every PUBACK")
    wait_until(lambda: len(set(land.times("taxi/1"))) == taxi.sent, 60, "every point in the log")
    times = first_of_each(land.times("taxi/1"))
    assert times == sorted(times), "what came again came behind what it repeats"


@pytest.mark.soak
def test_an_edge_whose_ingestor_is_gone_goes_to_the_next_machine(land: Land) -> None:
    taxi = land.device("taxi/1")
    land.ingestor(1)
    first = land.ingestor(0)
    taxi.send(50)
    wait_until(lambda: len(set(land.times("taxi/1"))) == 50, 60, "they came by the first machine")
    first.kill()
    land.brokers[0].kill()
    taxi.send(50)
    wait_until(lambda: len(set(land.times("taxi/1"))) == taxi.sent, 90, "they come by the second")
    assert len(taxi.acknowledged) == taxi.sent


@pytest.mark.soak
def test_a_device_may_publish_its_own_topics_alone(land: Land) -> None:
    one, two = land.device("taxi/1"), land.device("taxi/2")
    land.ingestor(0)
    one.send(5, topic="lucheng/v1/taxi/2/up/point")
    one.send(1)
    two.send(1)
    wait_until(lambda: land.times("taxi/1") and land.times("taxi/2"), 60, "their own points")
    assert len(land.times("taxi/2")) == 1
    assert len(land.times("taxi/1")) == 1


def test_what_a_device_is_told_reaches_it_by_its_edge(land: Land) -> None:
    taxi = land.device("taxi/1")
    taxi.listen()
    down = DownLink(
        parse_broker_url(f"mqtt://lucheng-desk:{land.accounts['lucheng-desk']}@127.0.0.1:{land.ports[0][0]}"), "d"
    )
    down.start()
    land.stack.callback(down.stop)
    wait_until(lambda: down.connected, what="a connection")

    def told() -> bool:
        # The subscription of the edge passes on with its bridge: until then nobody hears.
        down.send("lucheng/v1/taxi/1/down/command", b"{}", lambda: None)
        return bool(taxi.heard)

    wait_until(told, 60, "the device hears it")
    assert taxi.heard[0] == ("lucheng/v1/taxi/1/down/command", b"{}")


@pytest.mark.soak
def test_a_shared_subscription_would_deal_one_devices_points_to_several_readers(land: Land) -> None:
    """Why ingestors do not share one broker: each would have half of a device's points, and what the dead had would wait for it."""
    got: list[list[bytes]] = [[], []]
    readers = []
    for count in range(2):
        reader = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"reader{count}", clean_session=False)
        reader.username_pw_set("lucheng-bridge", "bridge-pass")
        reader.on_message = lambda _c, _d, message, count=count: got[count].append(message.topic.encode())
        ready = threading.Event()
        reader.on_subscribe = lambda *_, ready=ready: ready.set()
        reader.connect("127.0.0.1", land.ports[0][1])
        reader.loop_start()
        land.stack.callback(reader.loop_stop)
        reader.subscribe("$share/ingestors/lucheng/v1/+/+/down/+", 1)
        assert ready.wait(20)
        readers.append(reader)
    sender = DownLink(
        parse_broker_url(f"mqtt://lucheng-desk:{land.accounts['lucheng-desk']}@127.0.0.1:{land.ports[0][0]}"), "d"
    )
    sender.start()
    land.stack.callback(sender.stop)
    wait_until(lambda: sender.connected, what="a connection")
    for _ in range(20):
        assert sender.send("lucheng/v1/taxi/1/down/command", b"{}", lambda: None)
    wait_until(lambda: len(got[0]) + len(got[1]) == 20, what="all of them")
    assert min(len(got[0]), len(got[1])) >= 5, "one device's messages go to both"
    readers[1].disconnect()  # its session stays, as that of an ingestor that died
    before = len(got[0])
    for _ in range(20):
        assert sender.send("lucheng/v1/taxi/1/down/command", b"{}", lambda: None)
    wait_until(lambda: sender.sent == 40, what="all are taken")
    wait_until(lambda: len(got[0]) - before >= 5, what="the living has its share")
    readers[1].loop_stop()
    readers[1].reconnect()
    readers[1].loop_start()
    wait_until(lambda: len(got[0]) + len(got[1]) == 40, what="the other has what waited for it alone")
