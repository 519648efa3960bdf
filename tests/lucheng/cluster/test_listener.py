"""Ingestors and desks on the nats-servers' own MQTT listener: points stored past the death of an ingestor, the desk's answers heard once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from config.nats import Nats
from config.sections import Mqtt, Settings
from config.settings import load
from devices.credentials import Credentials
from devices.registry import Registry
from devices.secrets import SealedSecrets
from lucheng.cluster.roles import Role, check_roles
from lucheng.database_choice import place_of, server_of
from lucheng.nats_mqtt import KEY_LABEL
from lucheng.rooms import REGISTRY_FILE
from model.clock import SystemClock
from model.errors import SettingsError
from simulator.payloads import alarm
from store.nats.nkeys import key_of, text_of
from tests.conftest import free_port, wait_until
from tests.lucheng.cluster.processes import Processes
from tests.lucheng.ingestors.mqtt_side import FILES, Device
from tests.nats import NatsServer

PASSWORD, DESK_PASSWORD = "nats-pass", "desk-pass"


def secret_file(path: Path, text: str) -> str:
    path.write_text(text + "\n")
    path.chmod(0o600)
    return str(path)


def send(taxi: Device, began_ms: int, numbers: range) -> None:
    for number in numbers:
        point = {"seq": number, "ts": began_ms + number * 1_000, "lat": 40.65, "lon": 109.84}
        taxi.client.publish("lucheng/v1/taxi/1/up/point", json.dumps(point), qos=1)


@pytest.mark.soak
def test_an_ingestor_dies_and_the_desk_answers_once(
    processes: Callable[..., Processes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    nats = NatsServer(tmp_path / "nats", extra=["include mqtt.conf"])
    shipped = (FILES / "nats" / "mqtt.conf").read_text()
    (nats.folder / "mqtt.conf").write_text(shipped.replace("0.0.0.0:1883", f"127.0.0.1:{port}"))
    city = processes(
        nats,
        **{
            "nats.mqtt": True,
            "nats.username": "lucheng",
            "nats.password_file": secret_file(tmp_path / "nats.password", PASSWORD),
            "nats.take_over_s": 1.5,
            "mqtt.url": f"mqtt://127.0.0.1:{port}",
            "mqtt.username": "lucheng-desk",
            "mqtt.password_file": secret_file(tmp_path / "desk.password", DESK_PASSWORD),
        },
    )
    city.broker = city.values["mqtt.url"]
    server = server_of(city.settings())
    assert server is not None
    registry = Registry(place_of(tmp_path, REGISTRY_FILE, server), clock=SystemClock())
    registry.add("taxi/1")
    (issued,) = Credentials(registry.file).issue_many(["taxi/1"])
    issuer = text_of(key_of(SealedSecrets(registry.file, tmp_path / "keys" / "secret.key").derived_key(KEY_LABEL)))
    registry.close()
    server.close()
    with monkeypatch.context() as environment:  # of nats-server alone
        environment.setenv("LUCHENG_NATS_PASSWORD", PASSWORD)
        environment.setenv("LUCHENG_DESK_PASSWORD", DESK_PASSWORD)
        environment.setenv("LUCHENG_MQTT_ISSUER", issuer)
        nats.start()
    city.stack.callback(nats.kill)
    for name, roles in (("i1", "ingest"), ("i2", "ingest"), ("d1", "desk,analyze")):
        city.node(name, roles)
    taxi = Device(port, "taxi/1", issued.password)
    city.stack.callback(taxi.close)
    taxi.listen()
    assert taxi.listening.wait(20)
    began_ms = SystemClock().now_ms() - 600_000
    send(taxi, began_ms, range(100))

    def stored() -> int:
        return int(city.nodes["d1"].status()["stored"])

    wait_until(lambda: stored() > 0, 60, "the first points")
    received = {name: city.nodes[name].status()["live"]["mqtt_points_received"] for name in ("i1", "i2")}
    reading, left = sorted(received, key=lambda name: -received[name])
    city.nodes[reading].kill9()
    send(taxi, began_ms, range(100, 200))
    wait_until(lambda: stored() == 200, 60, "the points after the death of who read them")
    live = city.nodes[left].status()["live"]
    assert live["mqtt_points_connected"] == 1
    assert {"mqtt_door_let_in", "mqtt_door_turned_away"} <= live.keys()
    told = alarm("a-1", SystemClock().now_ms(), "one_key", lat=40.65, lon=109.84)
    taxi.client.publish("lucheng/v1/taxi/1/up/alarm", told, qos=1)
    wait_until(lambda: taxi.heard, 60, "the desk's answer")
    time.sleep(2.0)
    assert [(topic, json.loads(payload)) for topic, payload in taxi.heard] == [
        ("lucheng/v1/taxi/1/down/alarm_state", {"id": "a-1", "state": "received"})
    ]


def test_settings_that_do_not_fit_are_refused_in_words(tmp_path: Path) -> None:
    nats = Nats(mode="log", urls="nats://127.0.0.1:1", require_sync=False, mqtt=True, partitions=1)
    for role in (Role.INGEST, Role.DESK):
        with pytest.raises(SettingsError, match="MQTT listener"):
            check_roles(Settings(nats=nats), frozenset({role, Role.ANALYZE}))
    check_roles(
        Settings(nats=nats, mqtt=Mqtt(url="mqtt://127.0.0.1:1")),
        frozenset(Role),
    )
    with pytest.raises(SettingsError, match="nothing goes through nats-servers"):
        load(None, {"nats.mqtt": True})
    given = {"nats.mqtt": True, "nats.mode": "log", "nats.urls": "nats://127.0.0.1:1", "nats.require_sync": False}
    with pytest.raises(SettingsError, match="is for a broker"):
        load(None, {**given, "mqtt.url": "mqtt://127.0.0.1:1", "mqtt.files_dir": str(tmp_path)})
