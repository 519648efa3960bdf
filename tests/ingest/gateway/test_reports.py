"""Reports: the time that a message names, if it can be one."""

from __future__ import annotations

from typing import Any

import pytest

from ingest.gateway.reports import report_of
from simulator.terminal.fix import Fix
from simulator.terminal.identity import DEFAULT_IDENTITY
from simulator.terminal.taxi import sign_on
from tests.ingest.gateway.conftest import House

RECEIVED_MS = 1_760_000_000_000
HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("values", "zone_ms", "time_ms"),
    [
        ({"time": "2025-10-09T16:53:20+08:00"}, 0, RECEIVED_MS),
        ({"time": "2025-10-09T08:53:20"}, 0, RECEIVED_MS),
        ({"time": "2025-10-09T16:53:20"}, 8 * HOUR_MS, RECEIVED_MS),
        ({"card": "out", "position": {"time": "2025-10-09T15:53:20+08:00"}}, 0, RECEIVED_MS - HOUR_MS),
        ({"hired_at": {"lat": 1}, "vacant_at": {"time": "2025-10-09T15:53:20+08:00"}}, 0, RECEIVED_MS - HOUR_MS),
        # What is no time of a clock: before 2000, more than a day ahead, no time at all.
        ({"time": "1999-12-31T23:59:59+00:00"}, 0, RECEIVED_MS),
        ({"time": "2025-10-11T16:53:20+08:00"}, 0, RECEIVED_MS),
        ({"time": "0000235959"}, 0, RECEIVED_MS),
        ({"time": None}, 0, RECEIVED_MS),
        ({"time": 5}, 0, RECEIVED_MS),
        ({}, 0, RECEIVED_MS),
    ],
)
def test_its_time(values: dict[str, Any], zone_ms: int, time_ms: int) -> None:
    report = report_of(
        "taxi/1", "jt905", "trip", values, b"body", serial=3, received_ms=RECEIVED_MS, zone_offset_ms=zone_ms
    )
    assert report.time_ms == time_ms
    assert (report.received_ms, report.serial, report.fields, report.raw) == (RECEIVED_MS, 3, values, b"body")


def test_the_gateway_gives_serial_and_time(house: House) -> None:
    phone = house.authenticated()
    phone.send(phone.frame(0x0301, b"\x03", serial=77))
    assert phone.general() == (77, 0x0301, 0)
    taxi = house.phone("108000000316", protocol="jt905")
    at_ms = RECEIVED_MS - HOUR_MS
    taxi.send(taxi.frame(0x0B03, sign_on(Fix(at_ms, 40.65, 109.84), DEFAULT_IDENTITY.driver, at_ms), serial=78))
    assert taxi.general() == (78, 0x0B03, 0)
    event, signed_on = house.events.reports
    assert (event.serial, event.time_ms) == (77, event.received_ms)
    assert (signed_on.message, signed_on.serial, signed_on.time_ms) == ("sign_on", 78, at_ms)
