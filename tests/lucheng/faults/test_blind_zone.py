"""A panic from where there is no network: positions with an old sos bit arrive hours later, and raise it, once, as late."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from random import Random
from typing import Any

import pytest

from tests.conftest import Mosquitto
from tests.lucheng.faults.desk_side import PURPOSE, Device, alarms_of, wait_alarm
from tests.lucheng.faults.judge import seeded
from tests.lucheng.service_process import ServiceProcess

HOUR_MS = 3_600_000
STEP_MS = 20_000
BLIND_POINTS = 90
#: Rows with the bit on, all within `clean.episode_pad_ms` (60 s) of each other: shuffled, a row farther from what is
#: known than that is a second signal of the same alarm, by design (twice rather than never).
SOS = range(30, 33)
#: Hours between the blind zone and now.
HOURS_AGO = 3


Row = dict[str, Any]


def _point(seq: int, time_ms: int, *, sos: bool = False, buffered: bool = False) -> Row:
    said: Row = {"ts": time_ms, "seq": seq, "lat": round(40.6 + seq / 1e5, 6), "lon": 109.8, "speed_kmh": 20.0}
    if buffered:
        said["buffered"] = True
    if sos:
        said["alarms"] = ["sos"]
    return said


def _blind(start_ms: int) -> list[Row]:
    """What the device could not send: hours old, and the sos for three points of it."""
    return [_point(10 + at, start_ms + at * STEP_MS, sos=at in SOS, buffered=True) for at in range(BLIND_POINTS)]


def _send(device: Device, points: list[Row], random: Random) -> None:
    """As terminals upload: some points to a message."""
    while points:
        size = random.randint(1, 20)
        device.send("point", json.dumps(points[:size]).encode())
        points = points[size:]


#: Which comes first when the device is back: every order ends the same.
ORDERS = ("the present", "the past", "shuffled")


def _back(device: Device, order: str, old: list[Row], fresh: list[Row], random: Random) -> None:
    """It has a network again."""
    if order == "shuffled":
        mixed = old + fresh
        random.shuffle(mixed)
        _send(device, mixed, random)
        return
    for points in (fresh, old) if order == "the present" else (old, fresh):
        _send(device, points, random)


@pytest.mark.soak
def test_an_old_sos_is_raised_once_and_late(service: ServiceProcess, mosquitto: Mosquitto) -> None:
    random = seeded("blind zone")
    now_ms = time.time_ns() // 1_000_000
    before = [_point(at, now_ms - 4 * HOUR_MS + at * STEP_MS, buffered=True) for at in range(3)]
    old = _blind(now_ms - HOURS_AGO * HOUR_MS)
    fresh = [_point(200 + at, now_ms - 2_000 + at * 500) for at in range(3)]
    with ExitStack() as stack:
        taxis = [stack.enter_context(Device(mosquitto.url, f"taxi/{number}")) for number in range(len(ORDERS))]
        for taxi, order in zip(taxis, ORDERS, strict=True):
            _send(taxi, before, random)
            _back(taxi, order, old, fresh, random)
        rows = [wait_alarm(service, taxi.id, "sos") for taxi in taxis]
        service.wait_quiet()
        # All of it again, after a crash: the devices did not hear our acknowledgement.
        service.kill9()
        service.start()
        for taxi in taxis:
            _send(taxi, old + fresh, random)
        again = len(taxis) * (len(old) + len(fresh))
        service.wait_status(lambda now: now["duplicate"] >= again, "all of it to be known")
        assert service.wait_quiet()["duplicate"] == again
        for taxi, row in zip(taxis, rows, strict=True):
            taxi.wait_answers(_signal(service, row["alarm"])["id"], {"received"})
    for taxi, row, order in zip(taxis, rows, ORDERS, strict=True):
        _judge(service, taxi.id, row["alarm"], order)
    listed = service.client().call("alarm_list", purpose=PURPOSE)
    shown = sorted(one["alarm"] for one in listed if one["kind"] == "sos")
    assert shown == sorted(row["alarm"] for row in rows), "it is not on the operators' list"


def _judge(service: ServiceProcess, device: str, alarm: str, order: str) -> None:
    assert [one["alarm"] for one in alarms_of(service, device, "sos")] == [alarm], order
    row = service.client().call("alarm_show", alarm=alarm, purpose=PURPOSE)
    assert (row["late"], row["signals"], row["work"]) == (True, 1, "new"), order
    assert row["remaining_s"] is None, "old news has no 300-second clock"
    signal = _signal(service, alarm)
    assert (signal["late"], signal["source"]) == (True, "bit"), order


def _signal(service: ServiceProcess, alarm: str) -> Row:
    shown = service.client().call("alarm_show", alarm=alarm, purpose=PURPOSE)
    (signal,) = shown["signals_kept"]
    found: Row = signal
    return found
