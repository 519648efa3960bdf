"""F1: `kill -9` of each process at random moments under 1,000 events/s: nothing acknowledged is lost."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import pytest

from tests.conftest import Mosquitto, free_port, need_program
from tests.lucheng.faults.judge import enough, fresh, judge, seeded
from tests.lucheng.faults.sender import SenderProcess, registered
from tests.lucheng.service_process import ServiceProcess

#: Least and most time between two kills.
CALM_S = (0.1, 1.2)


def _kill_and_restart(
    service: ServiceProcess, sender: SenderProcess, random: Random, moments: int, sender_share: float = 0.25
) -> list[float]:
    """Kill the service or the sender `moments` times; return how long each restart of the service took."""
    restarts_s: list[float] = []
    for _ in range(moments):
        time.sleep(random.uniform(*CALM_S))
        if random.random() < sender_share:
            sender.kill9()
            sender.start()
            continue
        service.kill9()
        began_s = time.monotonic()
        service.start()
        restarts_s.append(time.monotonic() - began_s)
    return restarts_s


def _kill_at_random_moments(service: ServiceProcess, mosquitto: Mosquitto, folder: Path, moments: int) -> None:
    random = seeded("kill -9 of service and sender")
    with SenderProcess(mosquitto.url, folder / "ledger") as sender:
        restarts_s = _kill_and_restart(service, sender, random, moments)
        fresh(service, service.status())
        enough(service, 550 * moments)
        sent = sender.stop()
    service.wait_quiet()
    status, drain_s = service.terminate()
    assert status == 0
    verdict = judge(service.data, sent, at_least=500 * moments)
    worst_s = max(restarts_s, default=0.0)
    print(f"{len(restarts_s)} restarts, slowest {worst_s:.2f} s; drained in {drain_s:.2f} s; {verdict}")


def test_kill9_of_service_and_sender_loses_nothing(
    service: ServiceProcess, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    _kill_at_random_moments(service, mosquitto, tmp_path, 3)


@pytest.mark.soak
def test_50_kills_of_service_and_sender_lose_nothing(
    service: ServiceProcess, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    _kill_at_random_moments(service, mosquitto, tmp_path, 50)


def _embedded(folder: Path, moments: int) -> None:
    """The service with its own broker: a kill takes the broker along, which saves what it has first."""
    need_program("mosquitto")
    random = seeded("kill -9 of the service with its embedded broker")
    data, port = folder / "data", free_port()
    credentials = registered(data, folder / "credentials.json")
    service = ServiceProcess(data, env={"LUCHENG_BROKER__PORT": str(port)})
    with (
        service.start(),
        SenderProcess(f"mqtt://127.0.0.1:{port}", folder / "ledger", credentials=credentials) as sender,
    ):
        restarts_s = _kill_and_restart(service, sender, random, moments, sender_share=0)
        fresh(service, service.status())
        enough(service, 220 * moments)
        sent = sender.stop()
        service.wait_quiet()
        assert service.terminate()[0] == 0
    verdict = judge(data, sent, at_least=200 * moments)
    print(f"restarts with the embedded broker: {[round(one, 2) for one in restarts_s]} s; {verdict}")


@pytest.mark.soak
def test_kill9_of_the_service_with_its_embedded_broker_loses_nothing(tmp_path: Path) -> None:
    _embedded(tmp_path, 2)


@pytest.mark.soak
def test_20_kills_of_the_service_with_its_embedded_broker_lose_nothing(tmp_path: Path) -> None:
    _embedded(tmp_path, 20)
