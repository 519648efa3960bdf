"""An outage of the service makes no device offline; a device that really falls silent is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.clock import SystemClock
from simulator import payloads
from simulator.publisher import Publisher
from tests.conftest import Mosquitto
from tests.lucheng.faults.conftest import REGISTER
from tests.lucheng.faults.desk_side import alarms_of, wait_alarm
from tests.lucheng.service_process import ServiceProcess

OFFLINE_S = 5
#: Longer than a device may be silent, and, once it is over, than the service takes to notice.
OUTAGE_S = 6.0
EVERY_S = 0.5
TAXIS = ("taxi/talks", "taxi/pauses")
BUTTON = "button/beats"
SILENT = "taxi/silent"
QUICK = {
    "LUCHENG_RULES__TAXI_OFFLINE_S": str(OFFLINE_S),
    "LUCHENG_RULES__BUTTON_SILENT_S": str(OFFLINE_S),
    "LUCHENG_RULES__TICK_GAP_S": "2",
}


class City:
    """Devices that report on and on; `pause` silences one of them, `stop` all."""

    def __init__(self, broker: str) -> None:
        self.talking = {*TAXIS, BUTTON, SILENT}
        self._stop = threading.Event()
        self._broker = broker
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        with Publisher(self._broker, clock=SystemClock()) as publisher:
            while not self._stop.wait(EVERY_S):
                now_ms = time.time_ns() // 1_000_000
                for device in sorted(self.talking):
                    if device == BUTTON:
                        payload, stream = payloads.status(now_ms, online=True), "status"
                    else:
                        payload, stream = json.dumps({"ts": now_ms, "lat": 40.6, "lon": 109.8}).encode(), "point"
                    publisher.publish(device, payloads.topic(device, stream), payload)
            publisher.drain(20)

    def __enter__(self) -> City:  # noqa: PYI034 not meant to be derived from
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)


@pytest.fixture
def service(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[ServiceProcess]:
    """A service that waits seconds, not minutes, for a device."""
    with ServiceProcess(tmp_path / "data", mosquitto.url, env=REGISTER | QUICK).start() as made:
        yield made


@pytest.mark.soak
def test_an_outage_makes_nobody_offline(service: ServiceProcess, mosquitto: Mosquitto) -> None:
    with City(mosquitto.url) as city:
        service.wait_status(lambda now: now["devices"].get("taxi") == 3 and now["stored"] > 8, "all to report")
        service.kill9()
        city.talking.discard("taxi/pauses")  # says nothing while we are away either, and comes back after us
        time.sleep(OUTAGE_S)
        service.start()
        city.talking.discard(SILENT)
        city.talking.add("taxi/pauses")
        told = wait_alarm(service, SILENT, "offline")  # who falls silent while we listen is told
        assert told["condition"] == "active"
        for device in TAXIS:
            assert alarms_of(service, device) == []
        assert [row for row in alarms_of(service, BUTTON) if row["kind"] == "button_silent"] == []
        city.talking.add(SILENT)
        wait_alarm(service, SILENT, "offline", lambda row: row["condition"] == "cleared", "the end of its silence")
