"""How the service does, as its page is told: from the counters of `status`, with what is not as it should be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from console.device_operations import Caller
from console.system_operations import FINDINGS, SOURCES
from lucheng.live_values import LIVE_VALUES
from lucheng.operating import operations_of
from model.codes import Reason
from tests.console.conftest import START_MS, House

ADMIN = Caller("root", "admin", "web")
GIB = 1 << 30
WELL = {
    "uptime_s": 4000.0,
    "lag_ms": 12,
    "alarms_position": 0,
    "mqtt_points_connected": 1,
    "mqtt_points_received": 100,
    "source_mqtt_points_per_s": 3.5,
    "source_mqtt_points_silent_s": 0.4,
    "mqtt_alarms_connected": 1,
    "mqtt_alarms_received": 0,
    "disk_free_bytes": 500 * GIB,
    "disk_total_bytes": 1000 * GIB,
    "disk_fills_bytes_per_day": 5 * GIB,
    "disk_seen_s": 7200,
    "clock_synchronised": 1,
}


def system(house: House, **changed: float) -> dict[str, Any]:
    found: dict[str, Any] = operations_of(house.rooms, live=lambda: {**WELL, **changed}).system(ADMIN)
    return found


def test_the_counters_of_the_invariant_are_those_of_status(house: House) -> None:
    house.put("taxi/B0001", [START_MS, START_MS + 1000])
    house.quarantine("taxi/B0002", next(iter(Reason)), b"{}")
    told = system(house)
    points = told["points"]
    assert (points["received"], points["stored"], points["quarantined"], points["in_flight"]) == (3, 2, 1, 0)
    assert points["received"] == points["stored"] + points["duplicate"] + points["quarantined"] + points["in_flight"]
    assert (points["holds"], points["behind"], told["findings"]) == (True, 0, [])
    assert [(one["rows"], bool(one["words"]["zh"])) for one in told["rejected"]] == [(1, True)]
    json.dumps(told)


def test_a_source_says_how_much_comes_and_for_how_long_nothing_has(house: House) -> None:
    told = {one["source"]: one for one in system(house)["sources"]}
    assert set(told) == {"mqtt_points", "mqtt_alarms"}  # what is not open is not told
    assert (told["mqtt_points"]["per_s"], told["mqtt_points"]["silent_s"]) == (3.5, 0.4)
    assert told["mqtt_points"]["connected"] is True
    assert told["mqtt_alarms"]["per_s"] is None


def test_days_left_are_told_once_the_disk_was_seen_for_an_hour(house: House) -> None:
    assert system(house)["disk"]["days_left"] == 100.0
    assert system(house, disk_seen_s=1800)["disk"]["days_left"] is None
    assert system(house, disk_fills_bytes_per_day=0)["disk"]["days_left"] is None


@pytest.mark.parametrize(
    ("finding", "changed"),
    [
        ("mqtt_points_away", {"mqtt_points_connected": 0}),
        ("mqtt_alarms_away", {"mqtt_alarms_connected": 0}),
        ("points_lag", {"lag_ms": 60_001}),
        ("mirror_missed", {"series_mirror_missed": 3}),
        ("disk_low", {"disk_free_bytes": 50 * GIB}),
        ("disk_fills", {"disk_fills_bytes_per_day": 100 * GIB}),
        ("clock_free", {"clock_synchronised": 0}),
        ("workers_died", {"video_worker_deaths": 1}),
        ("recording_stopped", {"video_recording_stopped": 1}),
    ],
)
def test_what_is_not_as_it_should_be_is_named(house: House, finding: str, changed: dict[str, float]) -> None:
    found = [one["finding"] for one in system(house, **changed)["findings"]]
    assert finding in found
    assert set(found) <= set(FINDINGS)


def test_points_that_neither_lie_anywhere_nor_wait_break_the_invariant(house: House) -> None:
    house.put("taxi/B0001", [START_MS])
    kept = house.rooms.points_log.received_rows
    house.rooms.points_log.received_rows = lambda: kept() + 1  # type: ignore[method-assign]
    told = system(house)
    assert (told["points"]["holds"], told["points"]["in_flight"]) == (False, 1)
    assert [one["finding"] for one in told["findings"]] == ["invariant_broken"]


def test_a_service_that_says_nothing_of_itself_is_told_without_guesses(house: House) -> None:
    told = operations_of(house.rooms, live=dict).system(ADMIN)
    assert (told["sources"], told["disk"]["free_bytes"], told["clock"]["synchronised"]) == ([], None, None)
    assert told["findings"] == []


def test_every_value_that_it_reads_is_in_the_table(house: House) -> None:
    known = {one.name for one in LIVE_VALUES}
    assert {counter for _, counter, _, _ in SOURCES} | {there for _, _, there, _ in SOURCES if there} <= known
    assert {f"source_{name}_{what}" for name, *_ in SOURCES for what in ("per_s", "silent_s")} <= known
    assert set(WELL) <= known
