"""F14 without the screen: a flood of alarms from thousands of devices with one real panic among them.

Half of the flood comes as alarm messages, half as alarm bits in points. Everything is kept, each on exactly one alarm; the list
has a hundred rows at most and the panic on top of them, also while the flood lasts; a reader of the feed is given every alarm.
How long the panic took to him is printed.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter

import pytest

from model.clock import SystemClock
from simulator import payloads
from simulator.publisher import Publisher
from tests.conftest import Mosquitto, wait_until
from tests.lucheng.faults.desk_side import ALL_ROWS, PURPOSE, Device, Watching, audit_of
from tests.lucheng.faults.judge import Stored, judge_desk
from tests.lucheng.service_process import HANG_S, ServiceProcess

#: Severity 2 and 3, so that the panic alone is of severity 1; one device sends some of them, one after the other.
KINDS = ("vibration", "detached", "antenna_cut", "camera_fault")
PANIC = "button/panic"
MAX_ROWS = 100
TICK_S = 0.02


def _flood(devices: int, alarms: int, start_ms: int) -> list[tuple[str, str, bytes]]:
    """(device, topic, payload) of each alarm: of device after device, kind after kind."""
    made: list[tuple[str, str, bytes]] = []
    for number in range(alarms):
        at, turn = number % devices, number // devices
        device, kind, time_ms = f"ebike/{at}", KINDS[turn], start_ms + turn * 1_000
        if at % 2:
            payload, stream = payloads.alarm(f"{turn}", time_ms, kind), "alarm"
        else:
            bits = list(KINDS[: turn + 1])  # those that rose before are still on
            point = {"ts": time_ms, "seq": turn + 1, "lat": 40.6 + at / 1e5, "lon": 109.8, "alarms": bits}
            payload, stream = json.dumps(point).encode(), "point"
        made.append((device, payloads.topic(device, stream), payload))
    return made


class Sending:
    """Sends the flood evenly over a time, on a thread of its own."""

    def __init__(self, broker: str, flood: list[tuple[str, str, bytes]], over_s: float) -> None:
        self._broker, self._flood, self._over_s = broker, flood, over_s
        self.sent = 0
        self.acknowledged = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        began_s = time.monotonic()
        with Publisher(self._broker, clock=SystemClock()) as publisher:
            while self.sent < len(self._flood):
                due = min(len(self._flood), int((time.monotonic() - began_s) / self._over_s * len(self._flood)) + 1)
                for device, topic, payload in self._flood[self.sent : due]:
                    publisher.publish(device, topic, payload)
                self.sent = due
                time.sleep(TICK_S)
            self.acknowledged = publisher.drain(HANG_S)

    def wait(self) -> None:
        self._thread.join(HANG_S + self._over_s * 2)
        assert self.acknowledged, "the broker did not acknowledge the flood"


def _look(service: ServiceProcess) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = service.client().call("alarm_list", purpose=PURPOSE)
    assert len(rows) <= MAX_ROWS
    return rows


def _run(service: ServiceProcess, mosquitto: Mosquitto, *, devices: int, alarms: int, over_s: float) -> None:
    flood = _flood(devices, alarms, time.time_ns() // 1_000_000)
    with Device(mosquitto.url, PANIC) as button, Watching(service) as reader:
        sending = Sending(mosquitto.url, flood, over_s)
        wait_until(lambda: sending.sent >= alarms // 2, HANG_S + over_s, "the middle of the flood")
        pressed_s = time.monotonic()
        button.press("panic", time.time_ns() // 1_000_000)
        told_s = time.monotonic()

        def panic() -> list[float]:
            return [at_s for at_s, event in list(reader.events) if event["alarm"]["device"] == PANIC]

        wait_until(panic, HANG_S, "the panic in the feed")
        rows = _look(service)
        assert rows[0]["device"] == PANIC, "the panic is not on top while the flood lasts"
        acknowledged_ms, pushed_ms = (1000 * (at_s - pressed_s) for at_s in (told_s, panic()[0]))
        print(f"panic: acknowledged by the broker after {acknowledged_ms:.0f} ms, pushed after {pushed_ms:.0f} ms")
        sending.wait()
        service.wait_quiet()
        wait_until(lambda: len(reader.raised()) >= alarms + 1, HANG_S * 2, "every alarm in the feed")
        numbers = [event["number"] for _, event in list(reader.events)]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "an event is missing, or came twice"
        button.wait_answers("panic", {"received"})
    print(f"flood: {alarms} alarms of {devices} devices, {len(numbers)} events")

    rows = _look(service)
    assert (rows[0]["device"], rows[0]["kind"], rows[0]["folded"]) == (PANIC, "one_key", 0)
    assert [row["severity"] for row in rows].count(1) == 1
    listed = service.client().call("alarm_list", all=True, purpose=PURPOSE, limit=ALL_ROWS)
    assert len(listed) == min(alarms + 1, ALL_ROWS)
    stood_for = sum(int(str(row["folded"])) + 1 for row in rows)
    assert stood_for == min(alarms + 1, ALL_ROWS), "a row says nothing of some that it stands for"
    stats = service.client().call("alarm_stats")
    assert stats["open"] == alarms + 1
    assert stats["flood"]
    assert audit_of(service, "*"), "reading the list is not audited"
    assert service.terminate()[0] == 0

    stored = Stored.read(service.data)
    wanted = Counter((device, KINDS[at // devices]) for at, (device, _, _) in enumerate(flood))
    wanted[PANIC, "one_key"] += 1
    assert Counter((signal.device, signal.kind) for signal in stored.signals) == wanted
    assert Counter((alarm.device, alarm.kind) for alarm in stored.alarms.values()) == wanted
    judge_desk(stored)


@pytest.mark.soak
def test_a_thousand_alarms_in_five_seconds_and_a_panic(service: ServiceProcess, mosquitto: Mosquitto) -> None:
    _run(service, mosquitto, devices=300, alarms=1_000, over_s=5)


@pytest.mark.soak
def test_ten_thousand_alarms_in_a_minute_and_a_panic(service: ServiceProcess, mosquitto: Mosquitto) -> None:
    _run(service, mosquitto, devices=3_000, alarms=10_000, over_s=60)
