"""A broker that is not there yet, or refuses the password: the service stays up, says so, and recovers by itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import Mosquitto, need_program
from tests.lucheng.faults.conftest import REGISTER
from tests.lucheng.faults.judge import fresh, judge
from tests.lucheng.faults.sender import SenderProcess
from tests.lucheng.service_process import ServiceProcess, answer, lucheng


@pytest.mark.soak
def test_a_broker_that_comes_later(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "mosquitto")
    with ServiceProcess(tmp_path / "data", broker.url, env=REGISTER).spawn() as service:
        service.wait_api()
        state = service.wait_status(lambda now: now["live"]["mqtt_points_failures"] > 0, "a first try")
        assert not state["live"]["mqtt_points_connected"]
        assert not state["live"]["mqtt_alarms_connected"]
        assert "ready:" not in service.said
        assert "cannot connect" in service.said
        # What needs no broker works meanwhile.
        assert lucheng(service.data, "device", "add", "taxi/early").returncode == 0
        broker.start()
        try:
            service.wait_ready()
            with SenderProcess(broker.url, tmp_path / "ledger", rate=300) as sender:
                fresh(service, service.status())
                sent = sender.stop()
            service.wait_quiet()
            assert service.terminate()[0] == 0
        finally:
            broker.stop()
    print(judge(service.data, sent, at_least=10))


@pytest.mark.soak
def test_a_service_without_a_broker_stops_when_it_is_told_to(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "data", Mosquitto(tmp_path / "mosquitto").url).spawn() as service:
        service.wait_api()
        status, _ = service.terminate()
        assert status == 0, service.said


@pytest.mark.soak
def test_a_wrong_password_is_told_and_mended(secured_mosquitto: Mosquitto, tmp_path: Path) -> None:
    url = f"mqtt://desk:not-the-password@127.0.0.1:{secured_mosquitto.port}"
    with ServiceProcess(tmp_path / "data", url, env=REGISTER).spawn() as service:
        service.wait_api()
        service.wait_status(lambda now: now["live"]["mqtt_points_failures"] > 1, "some refusals")
        assert service.alive
        assert "refused the connection" in service.said
        assert "not-the-password" not in service.said
        assert not answer(service.data, "status")["live"]["mqtt_points_connected"]
        # The broker learns that password: nobody has to touch the service.
        subprocess.run(
            [
                need_program("mosquitto_passwd"),
                "-b",
                str(secured_mosquitto.folder / "passwords"),
                "desk",
                "not-the-password",
            ],
            check=True,
            capture_output=True,
        )
        secured_mosquitto.stop()
        secured_mosquitto.start()
        service.wait_ready()
        with SenderProcess(url, tmp_path / "ledger", rate=300) as sender:
            fresh(service, service.status())
            sent = sender.stop()
        service.wait_quiet()
        assert service.terminate()[0] == 0
    print(judge(service.data, sent, at_least=10))
