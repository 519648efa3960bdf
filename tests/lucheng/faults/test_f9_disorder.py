"""F9: every point three times, out of order by up to 10 minutes, and some 48 hours late: stored once, no alarm twice."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import pytest

from model.clock import SystemClock
from model.codes import Mark
from simulator.publisher import Publisher
from tests.conftest import Mosquitto
from tests.lucheng.faults.judge import Stored, judge, seeded
from tests.lucheng.faults.ledger import Point, Sent
from tests.lucheng.service_process import ServiceProcess, answer

COPIES = 3
STEP_MS = 20_000
OUT_OF_ORDER_MS = 10 * 60_000
LATE_MS = 48 * 3_600_000
LATE_POINTS, NEW_POINTS = 30, 90
SOS_POINTS = range(12, 15)


def _points(device: int, first_seq: int, count: int, start_ms: int, *, sos: bool) -> list[Point]:
    """A stretch of a taxi's points; with `sos` three of them raise it."""
    return [
        Point(
            f"taxi/{device}",
            first_seq + at,
            start_ms + at * STEP_MS,
            round(40.6 + device / 1e3 + at / 1e5, 6),
            round(109.8 + at / 1e5, 6),
            at / 10,
            sos and at in SOS_POINTS,
        )
        for at in range(count)
    ]


def _disordered(points: list[Point], random: Random) -> list[Point]:
    """Each point `COPIES` times, every copy moved by up to ±10 minutes of its time."""
    moved = [
        (point.time_ms + random.uniform(-1, 1) * OUT_OF_ORDER_MS, point) for point in points for _ in range(COPIES)
    ]
    return [point for _, point in sorted(moved, key=lambda pair: pair[0])]


def _publish(mosquitto: Mosquitto, points: list[Point]) -> None:
    with Publisher(mosquitto.url, clock=SystemClock()) as publisher:
        for point in points:
            publisher.publish(point.device, point.topic, point.payload)
        assert publisher.drain(60)


def _run(service: ServiceProcess, mosquitto: Mosquitto, devices: int) -> None:
    random = seeded("disorder")
    now_ms = time.time_ns() // 1_000_000
    new: list[Point] = []
    late: list[Point] = []
    for device in range(devices):
        late += _points(device, 1, LATE_POINTS, now_ms - LATE_MS, sos=device % 2 == 1)
        start_ms = now_ms - NEW_POINTS * STEP_MS
        new += _points(device, 1 + LATE_POINTS, NEW_POINTS, start_ms, sos=device % 2 == 0)
    everything = _disordered(new, random) + _disordered(late, random)
    _publish(mosquitto, everything)
    service.wait_status(lambda now: now["received"] >= len(everything), "all of it to be received")
    first = service.wait_quiet()
    assert first["stored"] == len(new) + len(late)
    assert first["duplicate"] == len(everything) - first["stored"]
    assert sum(first["signals"].values()) == devices

    # All of it again, to a service that was killed in between: nothing new, and no alarm a second time.
    service.kill9()
    service.start()
    _publish(mosquitto, everything)
    service.wait_status(lambda now: now["received"] >= 2 * len(everything), "all of it to be received again")
    second = service.wait_quiet()
    assert second["stored"] == first["stored"]
    assert sum(second["signals"].values()) == devices
    assert service.terminate()[0] == 0

    keys = {point.key: point for point in new + late}
    print(judge(service.data, Sent(points=keys, acknowledged=set(keys)), at_least=len(keys)))
    held = Stored.read(service.data)
    assert all(held.marks[point.key] & Mark.LATE for point in late)
    # An alarm that comes 48 hours late is raised and says that it is late; the others are news.
    for raised in held.signals:
        if int(raised.device.removeprefix("taxi/")) % 2:
            assert raised.late
    last = late[-1]
    shown = answer(service.data, "track", last.device, "--from", "2020-01-01", "--to", "2100-01-01")["points"]
    assert len(shown) == LATE_POINTS + NEW_POINTS
    assert [row["seq"] for row in shown] == list(range(1, LATE_POINTS + NEW_POINTS + 1))


@pytest.mark.soak
def test_three_copies_out_of_order_and_late(service: ServiceProcess, mosquitto: Mosquitto, tmp_path: Path) -> None:
    _run(service, mosquitto, 20)


@pytest.mark.soak
def test_three_copies_out_of_order_and_late_of_a_fleet(
    service: ServiceProcess, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    _run(service, mosquitto, 1_000)
