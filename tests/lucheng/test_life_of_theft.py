"""A stolen e-bike, end to end through real processes: report ▸ sighting by a reader ▸ alarm ▸ tracked ▸ recovered ▸ closed.

With a kill -9 after the report, the sighting and the finding: what the rules watch for survives it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.errors import Conflict, Refused
from tests.conftest import Mosquitto, wait_until
from tests.lucheng.faults.conftest import REGISTER
from tests.lucheng.faults.desk_side import PURPOSE, Device, alarms_of, audit_of, wait_alarm
from tests.lucheng.service_process import HANG_S, ServiceProcess

BIKE, READER, OTHER = "ebike/77", "reader/gate", "ebike/88"
PLACE = (40.65, 109.84)
DAY_MS = 86_400_000
REPEAT_S = 10
#: A sighting so long after the one before is told again.
REPEAT = {"LUCHENG_RULES__STOLEN_REPEAT_S": str(REPEAT_S)}


@pytest.fixture
def service(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[ServiceProcess]:
    with ServiceProcess(tmp_path / "data", mosquitto.url, env=REGISTER | REPEAT).start() as made:
        client = made.client()
        client.call("device_add", device=BIKE)
        client.call("device_add", device=OTHER)
        client.call("device_add", device=READER, lat=PLACE[0], lon=PLACE[1])
        yield made


def _track(service: ServiceProcess, purpose: str | None, device: str = BIKE) -> list[dict[str, Any]]:
    now_ms = time.time_ns() // 1_000_000
    pieces = service.client().track(device=device, from_ms=now_ms - DAY_MS, to_ms=now_ms + DAY_MS, purpose=purpose)
    found: list[dict[str, Any]] = json.loads(b"".join(pieces))["points"]
    return found


def _seen(reader: Device, tag: str = BIKE) -> None:
    said = {"ts": time.time_ns() // 1_000_000, "tag": tag, "rssi_dbm": -70}
    reader.send("sighting", json.dumps(said).encode())


def _again(service: ServiceProcess) -> None:
    service.kill9()
    service.start()


def _case(service: ServiceProcess, case: str) -> dict[str, Any]:
    found: dict[str, Any] = service.client().call("ebike_case", case=case)
    return found


def _seen_signals(service: ServiceProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.client().call("signal_list", device=BIKE, kind="stolen_seen", purpose=PURPOSE)
    return found


def test_reported_seen_tracked_recovered_closed(service: ServiceProcess, mosquitto: Mosquitto) -> None:
    with Device(mosquitto.url, READER) as reader:
        _seen(reader)  # before the report it is nobody's business
        _seen(reader, OTHER)
        service.wait_status(lambda now: now["stored"] == 2, "two sightings")
        assert alarms_of(service, BIKE) == []
        with pytest.raises(Refused, match="owner"):
            _track(service, "case:C2026-000001")

        case = service.client().call("ebike_report", device=BIKE, owner_ref="R-17", note="gone from the gate")
        assert case["state"] == "reported"
        with pytest.raises(Conflict):
            service.client().call("ebike_report", device=BIKE, owner_ref="R-18")
        _again(service)
        assert _case(service, case["case"]) == case

        seen_s = time.monotonic()
        _seen(reader)
        row = wait_alarm(service, BIKE, "stolen_seen")
        assert (row["severity"], row["work"], row["late"]) == (2, "new", False)
        assert (row["lat"], row["lon"]) == PLACE, "the alarm of an open case says where"
        wait_until(lambda: _case(service, case["case"])["state"] == "tracked", HANG_S, "the case to be tracked")
        _again(service)
        tracked = _case(service, case["case"])
        assert [step["state"] for step in tracked["steps"]] == ["reported", "tracked"]
        assert tracked["steps"][-1]["by"] == "system"
        assert len(_seen_signals(service)) == 1, "told a second time within its interval, or at a replay"

        _the_track_is_the_cases(service, case["case"])
        _recovered_and_closed(service, reader, case["case"], row["alarm"], seen_s)


def _the_track_is_the_cases(service: ServiceProcess, case: str) -> None:
    """The track is read for this case alone, and says honestly how coarse it is."""
    points = _track(service, f"case:{case}")
    assert len(points) == 2
    for point in points:
        assert (point["lat"], point["lon"]) == PLACE
        assert point["acc_m"] is not None
        assert point["acc_m"] > 0
    for purpose in (None, "case", "case:C2026-999999", "alarm:A2026-000001", "patrol"):
        with pytest.raises(Refused, match="owner"):
            _track(service, purpose)
    with pytest.raises(Refused, match="owner"):
        _track(service, f"case:{case}", OTHER)
    rows = audit_of(service, BIKE)
    assert [row["purpose"] for row in rows if row["action"] == "series.track"] == [f"case:{case}"]
    assert len([row for row in rows if row["action"] == "read.refused"]) == 6


def _recovered_and_closed(service: ServiceProcess, reader: Device, case: str, alarm: str, seen_s: float) -> None:
    """Found: nothing more is told of it; closed: its place is its owner's again."""
    recovered = service.client().call("ebike_recover", case=case, note="at the station")
    assert recovered["state"] == "recovered"
    _again(service)
    # A sighting after this would be told if it were still watched for.
    time.sleep(max(0.0, REPEAT_S + 1 - (time.monotonic() - seen_s)))
    before = service.status()["stored"]
    _seen(reader)
    service.wait_status(lambda now: now["stored"] == before + 1, "the sighting")
    service.wait_quiet()
    assert len(_seen_signals(service)) == 1, "told although it is found"

    closed = service.client().call("ebike_step", case=case, state="closed", note="handed over")
    assert [step["state"] for step in closed["steps"]] == ["reported", "tracked", "recovered", "closed"]
    with pytest.raises(Refused):
        service.client().call("ebike_step", case=case, state="tracked")
    with pytest.raises(Refused, match="owner"):
        _track(service, f"case:{case}")
    shown = service.client().call("alarm_show", alarm=alarm, purpose=PURPOSE)
    assert (shown["lat"], shown["lon"], shown["place_hidden"]) == (None, None, True)
    assert all(kept["lat"] is None for kept in shown["signals_kept"])
    # A new theft is a new case, and it is watched for again.
    again = service.client().call("ebike_report", device=BIKE, owner_ref="R-19")
    assert again["case"] != case
    _seen(reader)
    wait_until(lambda: len(_seen_signals(service)) == 2, HANG_S, "the second theft's sighting")
    wait_until(lambda: _case(service, again["case"])["state"] == "tracked", HANG_S, "the new case to be tracked")
    assert _case(service, case) == closed
