"""F3 with the series in InfluxDB: its server is killed, hangs and is away while a city reports, and so is the service.

Nothing acknowledged is lost and nothing is stored twice; alarms ring while the server is away; what the log held is caught up
with at five times the live rate or more.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.errors import TryAgain
from tests.conftest import Mosquitto
from tests.influx import Influxd
from tests.lucheng.faults.conftest import REGISTER
from tests.lucheng.faults.desk_side import PURPOSE
from tests.lucheng.faults.judge import enough, fresh, judge, seeded
from tests.lucheng.faults.ledger import Sent
from tests.lucheng.faults.sender import SenderProcess
from tests.lucheng.influx_house import influx_env, settings_of
from tests.lucheng.service_process import HANG_S, ServiceProcess, lucheng

RATE = 500
SHORT_OUTAGE_S = 10
LIVE_RATE = 1_000
OUTAGE_S = 600
KILLS = 30
#: The year 2100.
LATER_MS = 4_102_444_800_000


@pytest.fixture
def env(own_influxd: Influxd, tmp_path: Path) -> dict[str, str]:
    """Settings of the service."""
    return {**REGISTER, **influx_env(own_influxd, tmp_path)}


@pytest.fixture
def service(tmp_path: Path, mosquitto: Mosquitto, env: dict[str, str]) -> Iterator[ServiceProcess]:
    """A service whose series are in InfluxDB."""
    made = ServiceProcess(tmp_path / "data", mosquitto.url, env=env).start()
    yield made
    made.close()


def _signals(found: dict[str, Any]) -> int:
    return sum(found["signals"].values())


def _alarms_go_on(service: ServiceProcess, more: int = 3) -> None:
    """Panic buttons ring, those of taxis (a bit of their points) among them, while nothing is stored."""
    before = service.status()
    sos = before["signals"].get("sos", 0)
    found = service.wait_status(lambda now: now["signals"].get("sos", 0) >= sos + more, "alarms during the outage")
    assert found["series"]["away"]
    assert found["stored"] == before["stored"]


def _away(service: ServiceProcess) -> None:
    service.wait_status(lambda now: now["series"]["away"], "the service to notice that the server is away")


def _back(service: ServiceProcess) -> None:
    service.wait_status(lambda now: not now["series"]["away"], "the service to notice that the server is back")


def _tracks_out(service: ServiceProcess, sent: Sent) -> None:
    """What one taxi sent comes out by the API, in order."""
    mine = sorted((point for point in sent.points.values() if point.device == "taxi/1"), key=lambda one: one.seq)
    pieces = service.client().track(device="taxi/1", from_ms=0, to_ms=LATER_MS, purpose="test")
    text = b"".join(pieces).decode()
    assert text.count('"lat"') == len(mine) > 0


def test_an_outage_loses_nothing_and_alarms_ring_all_the_time(
    service: ServiceProcess, mosquitto: Mosquitto, own_influxd: Influxd, env: dict[str, str], tmp_path: Path
) -> None:
    """Ten seconds without the server; in the middle of it the service is killed, too, and starts with nobody there."""
    with SenderProcess(mosquitto.url, tmp_path / "ledger", rate=RATE) as sender:
        enough(service, RATE)
        own_influxd.kill()
        began_s = time.monotonic()
        _away(service)
        _alarms_go_on(service)
        with pytest.raises(TryAgain):
            list(service.client().track(device="taxi/1", from_ms=0, to_ms=LATER_MS, purpose="test"))
        (shown,) = service.client().call("alarm_list", kind="sos", purpose=PURPOSE, limit=1)
        brought = service.client().call("alarm_show", alarm=shown["alarm"], purpose=PURPOSE)["context"]
        assert (brought["place_hidden"], brought["track"]["points"]) == (False, None)
        assert "series_away_s" in service.client().metrics()
        found = lucheng(service.data, "doctor", env=env).stdout
        assert "points wait in the log" in found
        service.kill9()
        service.start()
        _away(service)
        _alarms_go_on(service)
        time.sleep(max(0.0, SHORT_OUTAGE_S - (time.monotonic() - began_s)))
        own_influxd.start()
        times = _caught_up(service, RATE, SHORT_OUTAGE_S)
        fresh(service, service.status())
        sent = sender.stop()
    service.wait_quiet()
    _tracks_out(service, sent)
    assert service.terminate()[0] == 0
    print(f"caught up at {times:.1f} times the live rate")
    print(judge(service.data, sent, at_least=SHORT_OUTAGE_S * RATE // 2, settings=settings_of(env)))


@pytest.mark.soak
def test_30_kills_of_service_and_influxd_lose_nothing(
    service: ServiceProcess, mosquitto: Mosquitto, own_influxd: Influxd, env: dict[str, str], tmp_path: Path
) -> None:
    random = seeded("kill -9 of service and influxd")
    with SenderProcess(mosquitto.url, tmp_path / "ledger", rate=RATE) as sender:
        for _ in range(KILLS):
            time.sleep(random.uniform(0.1, 1.0))
            what = random.randrange(4)
            if what == 0:
                service.kill9()
            elif what == 1:
                own_influxd.kill()
                time.sleep(random.uniform(0.0, 1.0))
            elif what == 2:  # the answer to a write is lost, and then the service that waits for it dies
                own_influxd.pause()
                time.sleep(random.uniform(0.1, 1.0))
                service.kill9()
                own_influxd.go_on()
            else:
                own_influxd.kill()
                service.kill9()
            if own_influxd.process is None:
                own_influxd.start()
            if service.process is None:
                service.start()
        fresh(service, service.status())
        enough(service, RATE * KILLS // 2)
        sent = sender.stop()
    service.wait_quiet()
    assert service.terminate()[0] == 0
    print(judge(service.data, sent, at_least=RATE * KILLS // 3, settings=settings_of(env)))


def _caught_up(service: ServiceProcess, rate: int, away_s: float) -> float:
    """Wait until what the log held is stored; how many times the live rate that was."""
    _back(service)
    before, began_s = service.status(), time.monotonic()
    after = service.wait_status(
        lambda now: now["in_flight"] < rate, "the log to be caught up with", timeout_s=HANG_S + away_s
    )
    took_s = time.monotonic() - began_s
    live = (after["received"] - before["received"]) / took_s
    stored = (after["stored"] - before["stored"]) / took_s
    print(
        f"{before['in_flight']} points waited; {live:.0f} points/s came in meanwhile; stored at {stored:.0f} points/s"
    )
    return float(stored / max(live, 1.0))


@pytest.mark.soak
def test_ten_minutes_without_influxd(
    service: ServiceProcess, mosquitto: Mosquitto, own_influxd: Influxd, env: dict[str, str], tmp_path: Path
) -> None:
    """1,000 points a second, as of 7,000 taxis one every seven seconds."""
    with SenderProcess(mosquitto.url, tmp_path / "ledger", rate=LIVE_RATE) as sender:
        enough(service, LIVE_RATE)
        own_influxd.kill()
        _away(service)
        time.sleep(OUTAGE_S)
        _alarms_go_on(service)
        own_influxd.start()
        times = _caught_up(service, LIVE_RATE, OUTAGE_S)
        fresh(service, service.status())
        sent = sender.stop()
    service.wait_quiet()
    assert service.terminate()[0] == 0
    print(f"caught up at {times:.1f} times the live rate")
    assert times >= 5
    print(judge(service.data, sent, at_least=OUTAGE_S * LIVE_RATE // 2, settings=settings_of(env)))


@pytest.mark.soak
def test_a_service_stops_and_starts_while_influxd_hangs(
    service: ServiceProcess, mosquitto: Mosquitto, own_influxd: Influxd, env: dict[str, str], tmp_path: Path
) -> None:
    with SenderProcess(mosquitto.url, tmp_path / "ledger", rate=RATE) as sender:
        enough(service, RATE)
        own_influxd.pause()
        _away(service)
        status, drain_s = service.terminate()
        assert status == 0
        print(f"stopped in {drain_s:.1f} s")
        service.start()
        _away(service)
        _alarms_go_on(service)
        own_influxd.go_on()
        _back(service)
        sent = sender.stop()
    service.wait_quiet()
    assert service.terminate()[0] == 0
    judge(service.data, sent, at_least=RATE, settings=settings_of(env))
