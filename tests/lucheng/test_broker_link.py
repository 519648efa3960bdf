"""A broker that is not ours, which reads the files that the service keeps in step with its registry."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from devices.broker_files import conf_lines
from tests.conftest import Mosquitto, free_port, need_program, wait_until
from tests.lucheng.service_process import HANG_S, ServiceProcess, answer, lucheng

POINT = b'{"ts":1760000000000,"lat":40.65,"lon":109.84,"buffered":true}'


class Device:
    """A device's own connection, and whether it stands."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self.connected = threading.Event()
        self.ended = threading.Event()
        self.refused = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, user)
        self.client.username_pw_set(user, password)
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = lambda *_: self.ended.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _on_connect(self, _client: object, _data: object, _flags: object, reason: object, _properties: object) -> None:
        (self.refused if getattr(reason, "is_failure", True) else self.connected).set()

    def close(self) -> None:
        self.client.loop_stop()
        self.client.disconnect()


def let_in(broker: Mosquitto, user: str, password: str) -> Device:
    """A device's connection, as soon as the broker has read that it may have one."""
    device: Device | None = None

    def lets_in() -> bool:
        nonlocal device
        if device is not None:
            if device.connected.is_set():
                return True
            if not device.refused.is_set():
                return False
            device.close()
        device = Device(broker.port, user, password)
        return device.connected.wait(0.5)

    wait_until(lets_in, timeout_s=HANG_S)
    assert device is not None
    return device


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[tuple[Mosquitto, ServiceProcess]]:
    """A mosquitto with our files, and a service that keeps them in step."""
    data, files = tmp_path / "data", tmp_path / "files"
    done = lucheng(data, "device", "add", "taxi/first")
    assert done.returncode == 0, done.stderr
    written = answer(data, "broker", "files", "--out", str(files))["files"]
    assert {Path(name).name for name in written} == {"passwords", "acl", "service-password"}
    assert all(Path(name).stat().st_mode & 0o077 == 0 for name in written)
    pid_file = tmp_path / "broker" / "pid"
    lines = tuple(line for line in conf_lines(files) if not line.startswith(("per_listener", "allow_anonymous")))
    broker = Mosquitto(tmp_path / "broker", (*lines, f"pid_file {pid_file}"), anonymous=False)
    broker.start()
    env = {
        "LUCHENG_MQTT__USERNAME": "lucheng",
        "LUCHENG_MQTT__PASSWORD_FILE": str(files / "service-password"),
        "LUCHENG_MQTT__FILES_DIR": str(files),
        "LUCHENG_MQTT__BROKER_PID_FILE": str(pid_file),
    }
    service = ServiceProcess(data, broker.url, env=env)
    try:
        service.start()
        yield broker, service
    finally:
        service.close()
        broker.stop()


@pytest.mark.soak
def test_registering_and_disabling_take_effect_at_a_foreign_broker(foreign: tuple[Mosquitto, ServiceProcess]) -> None:
    broker, service = foreign
    assert lucheng(service.data, "device", "add", "taxi/T1").returncode == 0
    password = answer(service.data, "device", "credentials", "taxi/T1")["password"]
    device = let_in(broker, "taxi/T1", password)
    device.client.publish("lucheng/v1/taxi/T1/up/point", POINT, qos=1).wait_for_publish(HANG_S)
    wait_until(lambda: answer(service.data, "status")["stored"] == 1, timeout_s=HANG_S)
    assert lucheng(service.data, "device", "disable", "taxi/T1").returncode == 0
    assert device.ended.wait(HANG_S), "the broker kept a disabled device's connection"
    device.close()


def test_what_the_own_broker_acknowledges_before_the_service_is_back_is_stored(tmp_path: Path) -> None:
    """It is not told to read its files then: mosquitto forgets at that what a client of before its start may read."""
    need_program("mosquitto")
    data, port = tmp_path / "data", free_port()
    assert lucheng(data, "device", "add", "taxi/first").returncode == 0
    password = answer(data, "device", "credentials", "taxi/first")["password"]
    with ServiceProcess(data, env={"LUCHENG_BROKER__PORT": str(port)}).start() as service:
        service.kill9()
        service.spawn()
        device: Device | None = None
        while device is None:
            with contextlib.suppress(OSError):
                device = Device(port, "taxi/first", password)
        assert device.connected.wait(HANG_S)
        sent = 0
        while "\nready: " not in "\n" + service.said:
            point = POINT.replace(b"1760000000000", str(1_760_000_000_000 + 1000 * sent).encode())
            device.client.publish("lucheng/v1/taxi/first/up/point", point, qos=1).wait_for_publish(HANG_S)
            sent += 1
        service.wait_status(lambda now: now["received"] >= sent, f"{sent} points")
        device.close()


@pytest.mark.soak
def test_the_files_written_again_change_nothing_for_the_running_service(
    foreign: tuple[Mosquitto, ServiceProcess], tmp_path: Path
) -> None:
    _, service = foreign
    before = (tmp_path / "files" / "service-password").read_text()
    answer(service.data, "broker", "files", "--out", str(tmp_path / "files"))
    assert (tmp_path / "files" / "service-password").read_text() == before
    assert answer(service.data, "status")["live"]["mqtt_points_connected"] == 1


@pytest.mark.soak
def test_a_password_the_registry_does_not_know_waits_for_the_service(
    foreign: tuple[Mosquitto, ServiceProcess], tmp_path: Path
) -> None:
    _, service = foreign
    done = lucheng(service.data, "broker", "files", "--out", str(tmp_path / "others"))
    assert done.returncode == os.EX_TEMPFAIL
