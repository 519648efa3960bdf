"""The operation `report_supervision` on real stores: what it tells, who may ask, that it is audited and repeats itself."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import numpy as np
import pytest

from config.approvals import Approvals
from config.gateway import Operators
from config.sections import Settings
from config.supervision import Supervision
from console.blob import Blob
from console.device_operations import Caller
from console.report_operations import day_of
from console.reports.as_csv import TABLES
from model.codes import Flag
from model.errors import ApprovalNeeded, AuditUnwritable, NotFound, Refused, UsageError
from tests.console.conftest import START_MS, House

#: The city's day is 8 hours ahead of UTC: it is 16:00 when the house opens.
DATE = "2026-11-22"
STEP = 100 / 111_195.08
FREE, TAKEN = int(Flag.OCCUPIED_SENT), int(Flag.OCCUPIED | Flag.OCCUPIED_SENT)
RIDE_MS = START_MS - 4 * 3_600_000


@pytest.fixture
def settings() -> Settings:
    return Settings(operators=Operators(users={"tester": "supervisor", "op": "operator"}))


@pytest.fixture
def fleet(house: House) -> House:
    """Two taxis that drove the same 6 km at 36 and at 120 km/h, one that said nothing, and an e-bike."""
    moves = np.concatenate(([0.0], np.zeros(30), np.ones(60), np.zeros(30)))
    flags = np.where((np.arange(121) >= 40) & (np.arange(121) < 70), TAKEN, FREE)
    times = (RIDE_MS + np.arange(121) * 10_000).tolist()
    house.ask("device_add", device="taxi/1", plate="蒙B·T0001", owner_ref="滨河出租")
    house.ask("device_add", device="taxi/2", plate='=HYPERLINK("x")', owner_ref="<script>alert(1)</script>")
    house.ask("device_add", device="taxi/3", owner_ref="滨河出租")
    house.put("taxi/1", times, lat=40.65 + np.cumsum(moves) * STEP, flags=flags)
    house.put("taxi/2", times, lat=40.65 + np.cumsum(moves) * STEP * 120 / 36)
    house.put("ebike/1", times)
    return house


def asked(house: House, **arguments: Any) -> Blob:
    made = house.ask("report_supervision", **{"date": DATE, "purpose": "supervision::daily", **arguments})
    assert isinstance(made, Blob)
    return made


def told(house: House, **arguments: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(asked(house, **arguments).data)
    return found


def test_vehicles_companies_and_city(fleet: House) -> None:
    found = told(fleet)
    assert [row["device"] for row in found["vehicles"]] == ["taxi/1", "taxi/2", "taxi/3"]
    one, fast, silent = found["vehicles"]
    assert one["distance_km"] == pytest.approx(6.0, abs=0.001)
    assert (one["driving_s"], one["standing_s"], one["trips"], one["hires"]) == (600.0, 600.0, 1, 1)
    assert (one["occupied_distance_share"], one["occupied_time_share"]) == (pytest.approx(0.5, abs=1e-3), 0.25)
    assert (one["first"], one["last"]) == ("2026-11-22T04:00:00.000Z", "2026-11-22T04:20:00.000Z")
    assert (fast["overspeed_bands"], fast["hires"], fast["occupied_km"]) == ([0, 0, 0, 1], None, None)
    assert (silent["online"], silent["first"], silent["valid_rate"]) == (0, None, None)
    companies = {row["company"]: row for row in found["companies"]}
    assert companies["滨河出租"]["online_rate"] == 0.5
    assert found["city_totals"]["vehicles"] == 3
    assert found["city_totals"]["online_rate"] == round(2 / 3, 4)
    (over,) = found["overspeed"]
    assert (over["device"], over["band"], over["peak"]["kmh"]) == ("taxi/2", 3, pytest.approx(120, abs=0.2))
    assert over["first"]["lat"] < over["last"]["lat"]


def test_totals_are_those_of_the_trips(fleet: House) -> None:
    trips = fleet.ask("trips", device="taxi/1", from_ms=RIDE_MS, to_ms=START_MS)["totals"]
    (one,) = told(fleet, devices=["taxi/1"])["vehicles"]
    assert one["distance_km"] * 1_000 == pytest.approx(trips["distance_m"], abs=1)
    assert [one[name] for name in ("trips", "stops", "driving_s", "standing_s")] == [
        trips[name] for name in ("trips", "stops", "driving_s", "standing_s")
    ]


def test_the_report_and_the_read_are_audited_before_anything_is_given_out(fleet: House) -> None:
    asked(fleet)
    assert fleet.actions()[-2:] == [
        ("report.supervision", DATE, "supervision::daily"),
        ("series.fleet", "every device", "supervision::daily"),
    ]
    asked(fleet, devices=["taxi/2", "taxi/1", "taxi/2"])
    assert [row[:2] for row in fleet.actions()[-3:]] == [
        ("report.supervision", DATE),
        ("series.track", "taxi/1"),
        ("series.track", "taxi/2"),
    ]
    fleet.rooms.audit.close()
    with pytest.raises(AuditUnwritable):
        asked(fleet)


class TestWide:
    """The wide read end to end: asked, refused with an id, granted by another, read, audited, and no more often than that."""

    @pytest.fixture
    def settings(self) -> Settings:
        users = {"tester": "supervisor", "boss": "supervisor", "op": "operator"}
        return Settings(
            operators=Operators(users=users), approvals=Approvals(wide_vehicles=2, max_uses=2, valid_s=3_600)
        )

    def test_many_vehicles_need_two_persons(self, fleet: House) -> None:
        with pytest.raises(ApprovalNeeded, match="3 vehicles are more than 2"):
            asked(fleet)
        assert fleet.actions()[-1] == ("read.refused", "3 vehicles", "supervision::daily")
        assert len(told(fleet, devices=["taxi/1", "taxi/2"])["vehicles"]) == 2
        with pytest.raises(ApprovalNeeded, match="waits") as waits:
            asked(fleet, approval="ask:the yearly audit")
        name = waits.value.approval
        assert f"--approval {name}" in waits.value.mend
        assert f"approval grant {name}" in waits.value.mend
        with pytest.raises(ApprovalNeeded):
            asked(fleet, approval=name)
        with pytest.raises(Refused, match="nobody may approve"):
            fleet.ask("approval_grant", approval=name)
        boss = Caller("boss", "cli", "socket")
        assert fleet.operations.approval_grant(boss, name)["state"] == "granted"
        assert len(told(fleet, approval=name)["vehicles"]) == 3
        rows = fleet.rooms.audit.rows(limit=1000)[-3:]
        assert [row.action for row in rows] == ["approval.use", "report.supervision", "series.fleet"]
        assert (rows[0].target, rows[0].detail["granted_by"], rows[0].detail["uses"]) == (name, "boss", 1)
        assert (rows[1].who, rows[1].detail["allowed_by"]) == ("tester", f"{name} granted by boss")
        with pytest.raises(Refused, match="for another read"):
            asked(fleet, date="2026-11-21", approval=name)
        with pytest.raises(Refused, match="for another read"):
            asked(fleet, devices=["taxi/1", "taxi/2", "taxi/3"], approval=name)
        with pytest.raises(Refused, match="given to tester"):
            fleet.operations.report_supervision(boss, DATE, purpose="supervision::daily", approval=name)
        with pytest.raises(Refused, match="for the purpose"):
            asked(fleet, approval=name, purpose="test")
        assert asked(fleet, form="html", language="en", approval=name).data.startswith(b"<!doctype html>")
        with pytest.raises(Refused, match="used up"):
            asked(fleet, approval=name)
        assert fleet.actions()[-1][:2] == ("read.refused", "3 vehicles")

    def test_in_an_emergency_it_is_read_at_once_and_reviewed(self, fleet: House) -> None:
        assert len(told(fleet, approval="break-glass:a child is missing")["vehicles"]) == 3
        assert fleet.rooms.audit.rows(limit=1000)[-2].detail["allowed_by"] == "W2026-000001 break-glass"
        assert fleet.ask("status")["approvals"] == {"waiting": 0, "unreviewed": 1, "overdue": 0}
        fleet.clock.advance(86_400)
        assert fleet.ask("status")["approvals"]["overdue"] == 1
        with pytest.raises(Refused, match="not reviewed in time"):
            asked(fleet, approval="break-glass:again")
        boss = Caller("boss", "cli", "socket")
        fleet.operations.approval_review(boss, "W2026-000001", "it was found", justified=True)
        assert asked(fleet, approval="break-glass:again").data


@pytest.mark.parametrize(("form", "language"), [("json", "zh"), ("html", "zh"), ("html", "en"), ("csv", "zh")])
def test_the_same_data_gives_the_same_bytes(fleet: House, form: str, language: str) -> None:
    first = asked(fleet, form=form, language=language)
    fleet.rooms.series.seal(START_MS)
    fleet.rooms.series.flush()
    again = asked(fleet, form=form, language=language, purpose="test")
    assert first == again
    assert len(first.data) > 1_000


def test_csv_is_safe_and_has_every_table(fleet: House) -> None:
    for table in TABLES:
        data = asked(fleet, form="csv", table=table).data.decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(data)))
        assert all(None not in row and None not in row.values() for row in rows)
        if table == "vehicles":
            assert [row["level"] for row in rows] == ["city", "company", "company", *["vehicle"] * 3]
            assert rows[4]["plate"] == '\'=HYPERLINK("x")'
            assert rows[4]["overspeed_bands.3"] == "1"
        if table == "overspeed":
            assert [row["device"] for row in rows] == ["taxi/2"]
            assert float(rows[0]["peak.kmh"]) == pytest.approx(120, abs=0.2)
        if table == "hours":
            assert [row["online"] for row in rows].count("2") == 1


def test_fences_are_those_in_force(fleet: House) -> None:
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [109.84, 40.65 + 60 * STEP]},
        "properties": {"id": "yard", "name": "yard", "rule": "forbidden", "radius_m": 500, "devices": ["taxi/1"]},
    }
    fleet.ask("fence_add", feature=feature)
    found = told(fleet)
    assert [(row["device"], row["kind"], row["fence"]) for row in found["areas"]] == [
        ("taxi/1", "forbidden_area", "yard")
    ]
    assert found["fences"] == 1


def test_a_day_that_goes_on_is_told_up_to_now(fleet: House) -> None:
    found = told(fleet)
    assert (found["complete"], found["to"]) == (False, "2026-11-22T08:00:00.000Z")
    fleet.clock.advance(86_400)
    found = told(fleet)
    assert (found["complete"], found["to"]) == (True, "2026-11-22T16:00:00.000Z")
    assert len(found["hours"]) == 24
    assert told(fleet, date="2026-11-21")["city_totals"]["points"] == 0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"date": "2026-11-23"}, UsageError),
        ({"date": "2026-13-01"}, UsageError),
        ({"date": "today"}, UsageError),
        ({"date": "0001-01-01"}, UsageError),
        ({"date": "9999-12-31"}, UsageError),
        ({"form": "pdf"}, UsageError),
        ({"table": "../x"}, UsageError),
        ({"language": "fr"}, UsageError),
        ({"devices": ["ebike/1"]}, UsageError),
        ({"devices": ["taxi/9"]}, NotFound),
        ({"devices": ["../x"]}, UsageError),
        ({"devices": [f"taxi/{at}" for at in range(1_001)]}, UsageError),
        ({"purpose": "curiosity"}, UsageError),
    ],
)
def test_what_cannot_be_told(fleet: House, arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        asked(fleet, **arguments)


def test_a_city_without_taxis(house: House) -> None:
    with pytest.raises(UsageError, match="no taxis"):
        asked(house)


class TestTooMuch:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(supervision=Supervision(max_points=10_000))

    def test_a_day_with_too_many_points_is_refused(self, house: House) -> None:
        house.put("taxi/1", (RIDE_MS + np.arange(10_001)).tolist())
        with pytest.raises(Refused, match="10000 points"):
            asked(house)


def test_a_day_is_as_long_as_the_clocks_of_the_city_say() -> None:
    hours = [
        (end - start) / 3_600_000
        for start, end in (day_of(day, "Europe/Berlin") for day in ("2026-03-29", "2026-10-25"))
    ]
    assert hours == [23.0, 25.0]
