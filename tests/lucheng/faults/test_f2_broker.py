"""F2: the broker is killed, restarted again and again, and wiped: what we acknowledged is there, and what was lost is counted.

A killed mosquitto loses what it acknowledged to devices and had not saved, and what came before we subscribed again
is delivered to nobody. Neither can be had back by the service; it has to say how much it is.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import Mosquitto, free_port, need_program
from tests.lucheng.faults.judge import Verdict, enough, fresh, judge, seeded
from tests.lucheng.faults.sender import SenderProcess, registered
from tests.lucheng.service_process import ServiceProcess

CALM_S = (0.2, 1.0)
DOWN_S = (0.0, 0.4)
AWAY_S = 0.4


def _connected(service: ServiceProcess) -> None:
    service.wait_status(
        lambda now: now["live"]["mqtt_points_connected"] and now["live"]["mqtt_alarms_connected"],
        "the broker to be connected again",
    )


def _broker_ends(service: ServiceProcess, mosquitto: Mosquitto, times: int) -> None:
    """End the broker `times` times, by SIGKILL or SIGTERM, under a service that stays."""
    random = seeded("broker ends")
    for _ in range(times):
        time.sleep(random.uniform(*CALM_S))
        random.choice((mosquitto.kill, mosquitto.stop))()
        time.sleep(random.uniform(*DOWN_S))
        mosquitto.start()
        before = service.status()
        _connected(service)
        fresh(service, before)
    assert service.starts == 1
    assert service.status()["live"]["mqtt_points_connects"] >= times + 1


def _wiped(service: ServiceProcess, mosquitto: Mosquitto) -> None:
    """The broker is killed and loses its data, with what it acknowledged to the fleet while we were away."""
    service.kill9()
    time.sleep(AWAY_S)
    mosquitto.kill()
    for saved in mosquitto.folder.glob("mosquitto.db*"):
        saved.unlink()
    mosquitto.start()
    service.start()
    fresh(service, service.status())


def _verdict(service: ServiceProcess, mosquitto: Mosquitto, folder: Path, at_least: int) -> Verdict:
    """What was lost at a device's very end shows with its next point: one more round of all of them, then judge."""
    with SenderProcess(mosquitto.url, folder / "ledger") as sender:
        fresh(service, service.status())
        time.sleep(0.5)
        sent = sender.stop()
    service.wait_quiet()
    assert service.terminate()[0] == 0
    return judge(service.data, sent, at_least=at_least, may_lose=True)


def test_killed_restarted_and_wiped_broker(service: ServiceProcess, mosquitto: Mosquitto, tmp_path: Path) -> None:
    with SenderProcess(mosquitto.url, tmp_path / "ledger") as sender:
        _broker_ends(service, mosquitto, 3)
        _wiped(service, mosquitto)
        sender.stop()
    verdict = _verdict(service, mosquitto, tmp_path, 600)
    print(verdict)
    assert verdict.lost_upstream, "the broker lost nothing, so nothing was proved"


@pytest.mark.soak
def test_20_broker_restarts(service: ServiceProcess, mosquitto: Mosquitto, tmp_path: Path) -> None:
    with SenderProcess(mosquitto.url, tmp_path / "ledger") as sender:
        _broker_ends(service, mosquitto, 20)
        sender.stop()
    print(_verdict(service, mosquitto, tmp_path, 4_000))


@pytest.mark.soak
def test_a_broker_that_lost_nothing_leaves_no_gap(
    service: ServiceProcess, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Ended in order while we are away, it keeps what it acknowledged: not one point is missing."""
    with SenderProcess(mosquitto.url, tmp_path / "ledger", rate=500) as sender:
        fresh(service, service.status())
        service.kill9()
        time.sleep(0.3)
        mosquitto.stop()
        mosquitto.start()
        service.start()
        fresh(service, service.status())
        enough(service, 500)
        sent = sender.stop()
    assert service.wait_quiet()["counters"].get("points_missing", 0) == 0
    assert service.terminate()[0] == 0
    print(judge(service.data, sent, at_least=300))


@pytest.mark.soak
def test_the_embedded_broker_is_killed_and_comes_back(tmp_path: Path) -> None:
    """It is part of the service, which starts it again on the same port."""
    need_program("mosquitto")
    data, port = tmp_path / "data", free_port()
    credentials = registered(data, tmp_path / "credentials.json")
    service = ServiceProcess(data, env={"LUCHENG_BROKER__PORT": str(port)})
    with (
        service.start(),
        SenderProcess(f"mqtt://127.0.0.1:{port}", tmp_path / "ledger", rate=400, credentials=credentials) as sender,
    ):
        fresh(service, service.status())
        os.kill(int((data / "broker" / "broker.pid").read_text()), signal.SIGKILL)
        service.wait_status(lambda now: now["live"]["mqtt_points_connects"] >= 2, "the broker to be back")
        _connected(service)
        fresh(service, service.status())
        sender.stop()
        sender.start()
        enough(service, 400)
        sent = sender.stop()
        service.wait_quiet()
        assert service.terminate()[0] == 0
    print(judge(data, sent, at_least=200, may_lose=True))
