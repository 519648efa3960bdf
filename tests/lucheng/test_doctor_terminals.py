"""The doctor on terminals: real ports, a real registry, a real service."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.settings import load
from devices.details import DeviceDetails
from devices.registry import Registry
from lucheng.doctor_terminals import open_files, terminals
from lucheng.finding import Finding, State
from lucheng.open_files import most_files
from model.clock import FakeClock, SystemClock
from simulator.terminal.terminal import Terminal
from tests.conftest import Mosquitto, free_port
from tests.lucheng.service_process import ServiceProcess

LOOPBACK = {"LUCHENG_GATEWAY__LISTEN": "127.0.0.1"}


def looked(data: Path, env: dict[str, str]) -> dict[str, Finding]:
    found = list(terminals(data, load(env=env), SystemClock()))
    for finding in found:
        assert finding.found.en, finding
        assert finding.found.zh, finding
        assert (finding.state == State.OK) == (finding.mend == ""), finding
    return {finding.check: finding for finding in found}


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen(1)
        yield holder


def register(data: Path, **devices: DeviceDetails) -> None:
    data.mkdir(exist_ok=True)
    registry = Registry(data / "registry.db", clock=FakeClock())
    for name, details in devices.items():
        registry.add(name.replace("_", "/"), details)
    registry.close()


def test_where_there_are_no_terminals_nothing_is_said(tmp_path: Path) -> None:
    assert looked(tmp_path / "none", {}) == {}
    assert not (tmp_path / "none").exists()
    register(tmp_path, ebike_1=DeviceDetails(protocol="mqtt"))
    assert looked(tmp_path, {}) == {}


def test_ports(tmp_path: Path, taken: socket.socket) -> None:
    port = taken.getsockname()[1]
    env = LOOPBACK | {"LUCHENG_GATEWAY__JT_PORT": str(free_port()), "LUCHENG_GATEWAY__GT06_PORT": str(port)}
    found = looked(tmp_path, env)
    assert found["gateway.jt_port"].state == State.OK
    assert found["gateway.gt06_port"].failed
    assert f"sport = :{port}" in found["gateway.gt06_port"].mend
    assert "gateway.osmand_port" not in found
    found = looked(tmp_path, env | {"LUCHENG_GATEWAY__LISTEN": "203.0.113.7"})  # a documentation address: nobody's
    assert found["gateway.jt_port"].failed
    assert "gateway.listen" in found["gateway.jt_port"].mend


def test_a_port_that_datagrams_cannot_have(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        env = LOOPBACK | {"LUCHENG_GATEWAY__JT_PORT": str(holder.getsockname()[1])}
        found = looked(tmp_path, env)
        assert found["gateway.jt_port"].failed
        assert "gateway.jt_udp = false" in found["gateway.jt_port"].mend
        assert looked(tmp_path, env | {"LUCHENG_GATEWAY__JT_UDP": "false"})["gateway.jt_port"].state == State.OK


def test_registered_terminals_without_a_port(tmp_path: Path) -> None:
    register(tmp_path, taxi_1=DeviceDetails(phone="13800000001", protocol="jt808"))
    found = looked(tmp_path, {})
    assert found["gateway.jt_port"].state == State.WARN
    assert "jt808" in found["gateway.jt_port"].found.en
    assert "gateway.gt06_port" not in found
    assert found["terminal numbers"].state == State.OK


def test_numbers_that_cannot_be_told_apart(tmp_path: Path) -> None:
    register(
        tmp_path,
        taxi_1=DeviceDetails(phone="13800000001"),
        taxi_2=DeviceDetails(phone="013800000001"),
        taxi_3=DeviceDetails(protocol="jt905"),
    )
    found = list(terminals(tmp_path, load(env={}), SystemClock()))
    doubtful = [one for one in found if one.check == "terminal numbers"]
    assert [one.state for one in doubtful] == [State.WARN, State.WARN]
    assert "taxi/3" in doubtful[0].found.en
    assert "taxi/1, taxi/2" in doubtful[1].found.en
    assert "lucheng device disable taxi/2" in doubtful[1].mend


def test_a_registry_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "registry.db").write_bytes(b"no database" * 100)
    assert looked(tmp_path, {})["registry"].state == State.WARN


def test_the_desks_telephone_and_its_people(tmp_path: Path) -> None:
    register(tmp_path, taxi_1=DeviceDetails())
    me = getpass.getuser()
    found = looked(tmp_path, {})
    assert found["desk.phone_number"].state == State.WARN
    assert "nobody" in found["operators"].found.en
    env = {"LUCHENG_DESK__PHONE_NUMBER": "04721234567", "LUCHENG_OPERATORS__USERS": f'{{"{me}":"supervisor"}}'}
    found = looked(tmp_path, env)
    assert found["desk.phone_number"].state == State.OK
    assert "second person" in found["operators"].found.en
    env["LUCHENG_OPERATORS__USERS"] = f'{{"{me}":"supervisor","nobody-of-that-name":"approver"}}'
    found = looked(tmp_path, env)
    assert found["operators"].state == State.OK
    assert "nobody-of-that-name" in found["operators.users"].found.en
    assert looked(tmp_path, {"LUCHENG_OPERATORS__DEFAULT_ROLE": "supervisor"})["operators"].state == State.OK


def test_open_files() -> None:
    allowed = most_files()
    (enough,) = open_files(16)
    assert enough.state == State.OK
    (short,) = open_files(allowed + 1)
    assert short.state == State.WARN
    assert f"LimitNOFILE={allowed + 1}" in short.mend


def test_the_citys_time(tmp_path: Path) -> None:
    env = LOOPBACK | {"LUCHENG_GATEWAY__JT_PORT": str(free_port())}
    assert looked(tmp_path, env)["time zone"].state == State.OK
    found = looked(tmp_path, env | {"LUCHENG_CITY__TIME_ZONE": "Asia/Urumqi"})
    assert "UTC+8" in found["time zone"].found.en


def test_a_running_service_is_asked(tmp_path: Path, mosquitto: Mosquitto) -> None:
    data, port = tmp_path / "data", free_port()
    env = LOOPBACK | {"LUCHENG_GATEWAY__JT_PORT": str(port)}
    with ServiceProcess(data, mosquitto.url, env=env).start() as service:
        assert "served by the running service" in looked(data, env)["gateway.jt_port"].found.en
        assert "strangers" not in looked(data, env)
        with Terminal("127.0.0.1", port, number="13900000009").connect() as stranger:
            assert stranger.register() == 4
        service.wait_status(lambda status: status["quarantined"], "the stranger in quarantine")
        assert looked(data, env)["strangers"].state == State.WARN
        other = LOOPBACK | {"LUCHENG_GATEWAY__JT_PORT": str(free_port())}
        assert "start the service again" in looked(data, other)["gateway.jt_port"].mend
