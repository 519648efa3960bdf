"""F8: device clocks that are off, and our own wall clock stepped while the service runs.

Devices: what lies in the future is quarantined, a constant offset is found, taken off where that is certain, and named;
right clocks beside wrong ones are not touched. Ours: time-outs are measured on the monotonic clock, so everything goes
on flowing, and nothing that is stored goes with a step.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from config.settings import load
from lucheng.runner import DEFAULT_HOUSEKEEPING_EVERY_S
from lucheng.service import Service
from model.clock import SystemClock
from simulator.publisher import Publisher
from tests.conftest import Mosquitto, wait_until
from tests.lucheng.in_process import answer
from tests.lucheng.service_process import ServiceProcess

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
YEAR_MS = 365 * DAY_MS
WEEKS_1024_MS = 1024 * 7 * DAY_MS
POINTS = 5
#: How far apart the time of a corrected point may be from when it was sent: within the analytics' tolerance.
TOLERANCE_MS = 120_000


@dataclass(frozen=True)
class Off:
    """A clock that is off: what becomes of `POINTS` points in a row.

    Attributes:
        ms: how far the device's clock is ahead.
        shift_ms: how far from the true time its points are kept; None: they are quarantined.
        marks: of the points, in order.
        reason: of the quarantine.
    """

    ms: int
    shift_ms: int | None
    marks: tuple[str, ...] = ()
    reason: str = ""


CORRECTED, BEHIND = ("clock_corrected",) * POINTS, ("", "") + ("clock_behind",) * (POINTS - 2)
OFF = {
    "right": Off(0, 0, ("",) * POINTS),
    "ahead-8h": Off(8 * HOUR_MS, 0, CORRECTED),
    "ahead-1h": Off(HOUR_MS, 0, CORRECTED),
    "behind-1h": Off(-HOUR_MS, -HOUR_MS, BEHIND),
    "rollover": Off(-WEEKS_1024_MS, 0, ("week_rollover",) * POINTS),
    "ahead-2d": Off(2 * DAY_MS, None, reason="future"),
    "ahead-10y": Off(10 * YEAR_MS, None, reason="future"),
    "behind-10y": Off(-10 * YEAR_MS, None, reason="stale_clock"),
}


def now_ms() -> int:
    """The true time."""
    return time.time_ns() // 1_000_000


def send(publisher: Publisher, device: str, time_ms: int, step: int) -> None:
    point = {"ts": time_ms, "lat": 40.65 + step * 1e-5, "lon": 109.84, "speed_kmh": 3.0}
    publisher.publish(device, f"lucheng/v1/{device}/up/point", json.dumps(point).encode())


def track(data: Path, device: str) -> list[dict[str, Any]]:
    points: list[dict[str, Any]] = answer(data, "track", device, "--from", "2000-01-01", "--to", "2050-01-01")["points"]
    return points


def millis(rfc3339: str) -> int:
    return round(datetime.fromisoformat(rfc3339).timestamp() * 1000)


@pytest.mark.soak
def test_device_clocks_that_are_off_are_corrected_marked_or_quarantined(tmp_path: Path, mosquitto: Mosquitto) -> None:
    env = {"LUCHENG_DEVICES__UNKNOWN": "register"}
    with ServiceProcess(tmp_path / "data", mosquitto.url, env=env).start() as service:
        data = service.data
        sent: dict[str, list[int]] = {name: [] for name in OFF}
        frozen_ms = now_ms()
        with Publisher(mosquitto.url, clock=SystemClock()) as publisher:
            for step in range(POINTS):
                for name, off in OFF.items():
                    at = now_ms()
                    sent[name].append(at)
                    send(publisher, f"taxi/{name}", at + off.ms, step)
                send(publisher, "taxi/frozen", frozen_ms, step)
                time.sleep(0.7)
            assert publisher.drain(20)
        status = service.wait_quiet()
        reasons = [off.reason for off in OFF.values() if off.reason]
        assert status["received"] == POINTS * (len(OFF) + 1)
        assert status["quarantined"] == {reason: POINTS * reasons.count(reason) for reason in set(reasons)}
        assert status["stored"] == POINTS * (len(OFF) + 1 - len(reasons))
        marks = [mark for off in OFF.values() for mark in off.marks if mark]
        for mark in set(marks):
            assert status["counters"][f"mark.{mark}"] == marks.count(mark)

        listed = answer(data, "quarantine", "list")
        for name, off in OFF.items():
            points = track(data, f"taxi/{name}")
            if off.shift_ms is None:
                assert points == []
                mine = [row for row in listed if row["device"] == f"taxi/{name}"]
                assert [row["reason"] for row in mine] == [off.reason] * POINTS
                continue
            assert [" ".join(point["marks"]) for point in points] == list(off.marks), name
            for point, at in zip(points, sent[name], strict=True):
                # What is taken off is exactly the offset, not "about now".
                assert millis(point["time"]) == at + off.shift_ms, name
        frozen = track(data, "taxi/frozen")
        assert [millis(point["time"]) for point in frozen] == [frozen_ms] * POINTS
        assert "frozen_clock" in frozen[-1]["marks"]
        assert all("frozen_clock" not in point["marks"] for point in frozen[:2])

        newest = {row["device"]: row for row in answer(data, "where")}
        assert abs(millis(newest["taxi/ahead-8h"]["time"]) - now_ms()) < TOLERANCE_MS
        service.wait_status(lambda now: now["live"]["devices_clock_off"] == 3, "the offsets to be named")
        wait_until(lambda: service.said.count("device clock is off") == 3, what="the offsets in the log")
        said = [json.loads(line) for line in service.said.splitlines() if "device clock is off" in line]
        assert {line["device"]: line["ahead_s"] for line in said} == {
            "taxi/ahead-8h": 8 * 3600,
            "taxi/ahead-1h": 3600,
            "taxi/behind-1h": -3600,
        }


class SteppedClock(SystemClock):
    """The machine's clocks, and a wall clock that an operator sets wrong."""

    def __init__(self) -> None:
        self.step_ms = 0

    def now_ms(self) -> int:
        """The wall clock, wrong by `step_ms`."""
        return super().now_ms() + self.step_ms


Flow = Callable[[str, int], dict[str, Any]]


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def service(tmp_path: Path, mosquitto: Mosquitto, clock: SteppedClock) -> Iterator[Service]:
    """A service in this process, on a wall clock that the test sets."""
    settings = load(None, {"mqtt.url": mosquitto.url, "devices.unknown": "register"})
    made = Service(tmp_path / "data", settings, clock=clock)
    made.open()
    assert made.wait_ready(20)
    yield made
    made.close()
    assert made.failure is None


@pytest.fixture
def flow(service: Service, mosquitto: Mosquitto) -> Iterator[Flow]:
    """Send points of a device with right clock and wait until they are accounted for; gives the status."""
    sent = 0
    with Publisher(mosquitto.url, clock=SystemClock()) as publisher:

        def send_some(device: str, count: int) -> dict[str, Any]:
            nonlocal sent
            for step in range(count):
                send(publisher, device, now_ms() - (count - step), sent + step)
            assert publisher.drain(20)
            sent += count
            wait_until(lambda: answered()["received"] >= sent and answered()["in_flight"] == 0, what="the points")
            return answered()

        def answered() -> dict[str, Any]:
            found: dict[str, Any] = answer(service.rooms.data_dir, "status")
            return found

        yield send_some


#: How our clock is set wrong, and the reason for which right points are then quarantined.
STEPS = (
    (HOUR_MS, ""),
    (-HOUR_MS, ""),
    (2 * DAY_MS, ""),
    (-2 * DAY_MS, "future"),
    (10 * YEAR_MS, "stale_clock"),
    (-10 * YEAR_MS, "future"),
)


@pytest.mark.soak
def test_steps_of_our_own_wall_clock_stop_nothing_and_lose_nothing(
    service: Service, flow: Flow, clock: SteppedClock
) -> None:
    data = service.rooms.data_dir
    assert flow("taxi/before", 20)["stored"] == 20
    for number, (step_ms, reason) in enumerate(STEPS):
        before = sum(answer(data, "status")["quarantined"].values())
        clock.step_ms = step_ms
        during = flow(f"taxi/during-{number}", 20)
        assert sum(during["quarantined"].values()) - before == (20 if reason else 0), step_ms
        if reason:
            listed = answer(data, "quarantine", "list", "--limit", "20")
            assert {(row["device"], row["reason"]) for row in listed} == {(f"taxi/during-{number}", reason)}
        if step_ms > YEAR_MS:
            # Housekeeping comes every 5 s: it must not take the wrong date for a reason to delete.
            time.sleep(DEFAULT_HOUSEKEEPING_EVERY_S + 1)
        assert len(track(data, "taxi/before")) == 20
        clock.step_ms = 0
        flow(f"taxi/after-{number}", 20)
        healed = track(data, f"taxi/after-{number}")
        assert len(healed) == 20
        assert all(point["marks"] == [] for point in healed)
    live = service.live_values()
    assert live["mqtt_points_connects"] == live["mqtt_alarms_connects"] == 1
    assert 0 < live["uptime_s"] < 600
    status = answer(data, "status")
    assert status["received"] == 20 * (1 + 2 * len(STEPS))
    assert status["counters"].get("expired", 0) == 0
    assert status["received"] == status["stored"] + status["duplicate"] + sum(status["quarantined"].values())
    assert answer(data, "store", "check")["ok"] is True
