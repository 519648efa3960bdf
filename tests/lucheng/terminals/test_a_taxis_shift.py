"""A taxi's shift in JT/T 905 through a real service: sign-on, trip, inspection and sign-off stand in `lucheng terminal reports`."""

from __future__ import annotations

import time
from typing import Any

import pytest

from simulator.terminal import taxi
from simulator.terminal.fix import Fix, loop_fix
from simulator.terminal.wire import Protocol
from tests.conftest import wait_until
from tests.lucheng.faults.desk_side import PURPOSE
from tests.lucheng.in_process import lucheng
from tests.lucheng.service_process import HANG_S
from tests.lucheng.terminals.town import HOUR_MS, Town

TAXI, NUMBER = "taxi/1", "108000000316"
INSPECTED = 0x0B11
TRIP, GOOD = 41, 1
SHIFT = taxi.Shift(distance=2_345, trips=17, income=6_780)


def _reports(town: Town, *options: str) -> list[dict[str, Any]]:
    """Oldest first."""
    found: list[dict[str, Any]] = town.cli("terminal", "reports", "--device", TAXI, "--purpose", PURPOSE, *options)
    return found[::-1]


def _place(said: dict[str, Any]) -> tuple[float, float]:
    return round(said["lat"], 5), round(said["lon"], 5)


def _of(fix: Fix) -> tuple[float, float]:
    return round(fix.lat, 5), round(fix.lon, 5)


@pytest.mark.soak
def test_a_shift_is_reported_and_answered_when_it_is_kept(town: Town) -> None:
    town.start()
    terminal = town.add(TAXI, NUMBER, Protocol.JT905).connect()
    now_ms = time.time_ns() // 1_000_000_000 * 1_000
    on, hired, vacant, off = (loop_fix(now_ms - hours * HOUR_MS) for hours in (8, 5, 4, 0))
    serials = [
        terminal.sign_on(fix=on),
        terminal.trip_record(hired, vacant, trip=TRIP, rating=GOOD),
        terminal.send(INSPECTED, taxi.inspected(NUMBER[-10:], 1 << 8, 0)),
        terminal.sign_off(SHIFT, fix=off),
    ]
    assert terminal.wait_answers([serials[0], serials[1], serials[3]], HANG_S) == [0, 0, 0]
    town.service.kill9()  # what was answered is kept
    town.start()
    rows = _reports(town)
    assert [row["message"] for row in rows] == ["sign_on", "trip", "inspected", "sign_off"]
    assert {(row["device"], row["protocol"]) for row in rows} == {(TAXI, "jt905")}
    signed_on, trip, inspected, signed_off = (row["fields"] for row in rows)
    driver = terminal.identity.driver
    for said in (signed_on, signed_off):
        who = said["company_licence"], said["driver_licence"], said["plate"]
        assert who == (driver.company, driver.licence, driver.plate)
    assert _place(signed_on["position"]) == _of(on)
    assert (_place(trip["hired_at"]), _place(trip["vacant_at"])) == (_of(hired), _of(vacant))
    assert trip["trip"] == TRIP
    counted = signed_off["shift_mileage_km"], signed_off["shift_trips"], signed_off["shift_income_cny"]
    assert counted == (234.5, 17, 678.0)
    (device,) = inspected["devices"]
    assert (device["name"], device["value"]["serial"]) == ("isu", NUMBER[-10:])
    _found_by_people(town, terminal.number)

    terminal.reconnect()
    terminal.wait_answer(terminal.heartbeat(), HANG_S)  # only a frame says who has come
    asked = town.wait_command(town.give(TAXI, "query", what="inspection"), "accepted")
    assert asked["reply"]["devices"][0]["name"] == "isu", "what was asked for comes with its command"
    assert len(_reports(town)) == 4


def _found_by_people(town: Town, number: str) -> None:
    """By message, by time, as a table; and who read them."""
    assert [row["message"] for row in _reports(town, "--message", "trip")] == ["trip"]
    assert _reports(town, "--to", "2026-01-01") == []
    shown = lucheng(town.service.data, "terminal", "reports", "--device", TAXI)
    assert shown.returncode == 0
    assert len(shown.stdout.splitlines()) == 5
    assert f"trip={TRIP}" in shown.stdout
    wait_until(lambda: len(town.audited(TAXI, "read.reports")) >= 4, HANG_S, "the reads in the audit")
    assert number not in shown.stderr
