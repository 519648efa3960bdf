"""Searches on real stores: what they tell, who may ask, what is audited, and what cannot be asked."""

from __future__ import annotations

import json
import math
import sqlite3
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from config.approvals import Approvals
from config.gateway import Operators
from config.search import Search
from config.sections import Settings
from console.operations import Caller
from lucheng.series_choice import SERIES_FILE
from model.batch import PointBatch
from model.codes import Mark
from model.errors import AuditUnwritable, BadInput, LuchengError, NotFound, Refused, UsageError
from model.video import NewSegment
from tests.console.conftest import START_MS, House

HOUR_MS = 3_600_000
T0 = START_MS - 4 * HOUR_MS
#: 100 m along a meridian, and along the parallel of 40.65.
NORTH = 100 / 111_195.08
EAST = NORTH / math.cos(math.radians(40.65))
LAT, LON = 40.65, 109.84
HERE, THERE = f"{LAT},{LON},150", f"{LAT + 30 * NORTH},{LON},150"
WINDOW = {"from_ms": T0, "to_ms": T0 + HOUR_MS}


def drive(
    house: House, device: str, *, start_min: float = 0.0, east: float = 0.0, step_s: int = 60, **columns: Any
) -> None:
    """Ten hundred metres a minute to the north for half an hour, from 1 km south of the first place."""
    count = 30 * 60 // step_s + 1
    minutes = np.arange(count) * step_s / 60
    times = T0 + ((start_min + minutes) * 60_000).astype(np.int64)
    house.put(device, times.tolist(), lat=LAT + (minutes * 2 - 10) * NORTH, lon=LON + east * EAST, **columns)


@pytest.fixture
def city(house: House) -> House:
    """Three taxis on one road, one on another, a unit that stands, a disabled taxi, and an e-bike among them."""
    house.ask("device_add", device="taxi/1", plate="蒙B·T0001")
    drive(house, "taxi/1")
    drive(house, "taxi/2", start_min=0.5, east=0.3)
    drive(house, "taxi/3", start_min=20)
    drive(house, "taxi/4", east=30)
    drive(house, "taxi/5", start_min=3)
    house.ask("device_disable", device="taxi/5")
    house.put("unit/1", (T0 + np.arange(60) * 60_000).tolist(), lat=LAT, lon=LON)
    drive(house, "ebike/1")
    return house


def ids(found: dict[str, Any], name: str = "vehicles") -> list[str]:
    return [row["device"] for row in found[name]]


class TestInside:
    def test_who_was_there_when_and_how_it_is_known(self, city: House) -> None:
        found = city.ask("search_inside", area=HERE, **WINDOW)
        assert ids(found) == ["unit/1", "taxi/1", "taxi/2", "taxi/5", "taxi/3"]
        unit, taxi = found["vehicles"][:2]
        assert (unit["points"], unit["legs"], unit["interpolated"]) == (60, 0, False)
        # 200 m a minute: one point in the middle, and nobody saw it cross the edge.
        assert taxi == {
            "device": "taxi/1",
            "plate": "蒙B·T0001",
            "first": "2026-11-22T04:05:00.000Z",
            "last": "2026-11-22T04:05:00.000Z",
            "first_interpolated": False,
            "last_interpolated": False,
            "interpolated": False,
            "points": 1,
            "legs": 0,
        }
        assert (found["searched"], found["allowed_by"]) == (6, "")
        assert found["area"] == {"name": "", "simplified_m": 0.0, "center": [LON, LAT], "radius_m": 150.0}

    def test_evidence_has_the_points_and_both_ends_of_what_was_interpolated(self, city: House) -> None:
        narrow = f"{LAT + NORTH},{LON},20"
        found = city.ask("search_inside", area=narrow, devices=["taxi/1"], evidence=True, **WINDOW)
        (one,) = found["vehicles"]
        assert (one["points"], one["legs"], one["interpolated"], one["first_interpolated"]) == (0, 1, True, True)
        (leg,) = one["evidence"]["legs"]
        assert (leg["before"]["time"], leg["after"]["time"]) == ("2026-11-22T04:05:00.000Z", "2026-11-22T04:06:00.000Z")
        assert (leg["enter"], leg["leave"]) == (one["first"], one["last"])
        assert leg["before"]["lat"] < LAT + NORTH < leg["after"]["lat"]
        (seen,) = city.ask("search_inside", area=HERE, devices=["taxi/1"], evidence=True, **WINDOW)["vehicles"]
        assert [point["time"] for point in seen["evidence"]["points"]] == ["2026-11-22T04:05:00.000Z"]

    def test_kinds_names_and_the_window_narrow_it(self, city: House) -> None:
        assert ids(city.ask("search_inside", area=HERE, kinds=["unit"], **WINDOW)) == ["unit/1"]
        assert ids(city.ask("search_inside", area=HERE, devices=["taxi/3", "taxi/4"], **WINDOW)) == ["taxi/3"]
        early = {"from_ms": T0, "to_ms": T0 + 5 * 60_000 + 1}
        assert ids(city.ask("search_inside", area=HERE, kinds=["taxi"], **early)) == ["taxi/1"]
        assert ids(city.ask("search_inside", area=HERE, from_ms=T0 - HOUR_MS, to_ms=T0)) == []

    def test_a_polygon_is_the_same_however_it_is_given(self, city: House) -> None:
        corners = [
            (LAT - NORTH, LON - EAST),
            (LAT - NORTH, LON + EAST),
            (LAT + NORTH, LON + EAST),
            (LAT + NORTH, LON - EAST),
        ]
        ring = [[lon, lat] for lat, lon in [*corners, corners[0]]]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        ways: list[Any] = [
            " ".join(f"{lat},{lon}" for lat, lon in corners),
            geometry,
            json.dumps(geometry),
            {"type": "Feature", "geometry": geometry, "properties": {"name": "; DROP TABLE chunks"}},
            {"type": "MultiPolygon", "coordinates": [[ring]]},
        ]
        told = [ids(city.ask("search_inside", area=way, **WINDOW)) for way in ways]
        assert told == [["unit/1", "taxi/1", "taxi/2", "taxi/5", "taxi/3"]] * len(ways)

    def test_what_is_sealed_is_told_the_same(self, city: House) -> None:
        before = city.ask("search_inside", area=HERE, evidence=True, **WINDOW)
        city.rooms.series.flush()
        city.rooms.series.seal(START_MS)
        assert city.ask("search_inside", area=HERE, evidence=True, **WINDOW) == before

    def test_a_deleted_device_is_not_found_and_not_counted(self, city: House) -> None:
        city.rooms.registry.delete("taxi/2")
        found = city.ask("search_inside", area=HERE, kinds=["taxi"], **WINDOW)
        assert ids(found) == ["taxi/1", "taxi/5", "taxi/3"]
        assert found["searched"] == 4


class TestOutlinesOfTheRegistry:
    def add(self, house: House, name: str, geometry: dict[str, Any], **properties: Any) -> None:
        feature = {"type": "Feature", "geometry": geometry, "properties": {"id": name, "rule": "none", **properties}}
        house.ask("fence_add", feature=feature)

    def test_a_fence_of_any_shape(self, city: House) -> None:
        self.add(city, "round", {"type": "Point", "coordinates": [LON, LAT]}, radius_m=150)
        line = [[LON - 5 * EAST, LAT], [LON + 40 * EAST, LAT]]
        self.add(city, "road", {"type": "LineString", "coordinates": line}, radius_m=20)
        found = city.ask("search_inside", area="fence:round", **WINDOW)
        assert ids(found) == ids(city.ask("search_inside", area=HERE, **WINDOW))
        assert found["area"]["name"] == "fence:round"
        assert "taxi/4" in ids(city.ask("search_inside", area="fence:road", **WINDOW))

    def test_a_jurisdiction_with_too_many_corners_is_simplified_and_it_is_said(self, city: House) -> None:
        turn = np.linspace(0, 2 * np.pi, 4_001)
        rough = 5 * NORTH + 0.02 * NORTH * np.cos(400 * turn)
        ring = np.stack((LON + rough * np.cos(turn), LAT + rough * np.sin(turn)), axis=1)
        ring[-1] = ring[0]
        feature = {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [ring.tolist()]},
            "properties": {"id": "east", "name": "East", "level": "city", "parent": ""},
        }
        city.ask("jurisdiction_import", data=json.dumps({"type": "FeatureCollection", "features": [feature]}).encode())
        found = city.ask("search_inside", area="jurisdiction:east", **WINDOW)
        assert found["area"]["name"] == "jurisdiction:east"
        assert 0 < found["area"]["simplified_m"] <= 100
        assert 3 <= len(found["area"]["rings"][0]) <= 500
        assert ids(found) == ids(city.ask("search_inside", area=f"{LAT},{LON},400", **WINDOW))

    @pytest.mark.parametrize("name", ["fence:none", "jurisdiction:none"])
    def test_one_that_is_not_there(self, city: House, name: str) -> None:
        with pytest.raises(NotFound):
            city.ask("search_inside", area=name, **WINDOW)


class TestTwoPlaces:
    def test_in_both(self, city: House) -> None:
        found = city.ask("search_both", first=HERE, second=THERE, **WINDOW)
        assert ids(found) == ["taxi/1", "taxi/2", "taxi/3", "taxi/5"]
        one = found["vehicles"][0]
        assert (one["first"]["first"], one["second"]["first"]) == (
            "2026-11-22T04:05:00.000Z",
            "2026-11-22T04:20:00.000Z",
        )
        assert one["apart_s"] == 900.0
        assert ids(city.ask("search_both", first=HERE, second=THERE, within_s=899, **WINDOW)) == []

    def test_each_place_has_its_window(self, city: House) -> None:
        later = {"second_from_ms": T0 + 30 * 60_000, "second_to_ms": T0 + HOUR_MS}
        found = city.ask("search_both", first=HERE, second=THERE, **WINDOW, **later)
        assert ids(found) == ["taxi/3"]
        assert found["second"]["from"] == "2026-11-22T04:30:00.000Z"
        with pytest.raises(UsageError, match="Half of"):
            city.ask("search_both", first=HERE, second=THERE, **WINDOW, second_from_ms=T0)

    def test_in_one_and_then_in_the_other(self, city: House) -> None:
        found = city.ask("search_then", first=HERE, second=THERE, within_s=1_000, **WINDOW)
        assert ids(found, "passages") == ["taxi/1", "taxi/2", "taxi/5", "taxi/3"]
        assert found["passages"][0] == {
            "device": "taxi/1",
            "plate": "蒙B·T0001",
            "left": "2026-11-22T04:05:00.000Z",
            "reached": "2026-11-22T04:20:00.000Z",
            "took_s": 900.0,
            "left_interpolated": False,
            "reached_interpolated": False,
        }
        assert city.ask("search_then", first=THERE, second=HERE, **WINDOW)["passages"] == []


class TestCompany:
    def test_who_went_along(self, city: House) -> None:
        found = city.ask("search_company", device="taxi/1", near_m=150, together_s=120, **WINDOW)
        (one,) = found["company"]
        assert one["device"] == "taxi/2"
        assert (one["from"], one["to"]) == ("2026-11-22T04:00:30.000Z", "2026-11-22T04:30:00.000Z")
        assert one["nearest_m"] == pytest.approx(np.hypot(100, 30), abs=0.5)
        assert (one["points"], found["points"], found["searched"]) == (30, 31, 5)
        assert city.ask("search_company", device="taxi/1", near_m=90, **WINDOW)["company"] == []
        assert city.ask("search_company", device="taxi/1", near_m=150, devices=["taxi/3"], **WINDOW)["company"] == []
        assert city.ask("search_company", device="taxi/4", near_m=150, **WINDOW)["company"] == []

    def test_it_is_what_every_step_of_everybody_says(self, house: House) -> None:
        from analytics.search.company import in_company

        seed = 7
        chance = np.random.default_rng(seed)
        for number in range(8):
            count = 300
            times = T0 + np.cumsum(chance.integers(10, 200, count)) * 1_000
            steps = chance.normal(0, 0.3, (2, count)).cumsum(axis=1)
            lost = chance.random(count) < 0.1  # no place, and no leg over it
            steps[:, lost] = np.nan
            away = np.where(chance.random(count) < 0.03, 3_000.0, 0.0)  # far off, marked as a jump
            marks = np.where(lost, int(Mark.NO_FIX), np.where(away > 0, int(Mark.JUMP), 0))
            places = {"lat": LAT + (steps[0] + away) * NORTH, "lon": LON + steps[1] * EAST}
            house.put(f"taxi/{number}", times.tolist(), **places, marks=marks)
        window = {"from_ms": T0 + HOUR_MS, "to_ms": T0 + 6 * HOUR_MS}
        told = house.ask("search_company", device="taxi/0", near_m=300, together_s=30, **window)["company"]
        everything = PointBatch.concat(
            [house.ask("track", device=f"taxi/{number}", **window).points for number in range(8)]
        )
        (slot,) = house.rooms.registry.ensure(["taxi/0"]).tolist()
        expected = in_company(everything.take(everything.slot == slot), everything, near_m=300, min_together_ms=30_000)
        assert len(told) == len(expected) > 5
        assert [row["nearest_m"] for row in told] == [round(one.nearest_m, 1) for one in expected]
        assert [row["points"] for row in told] == [one.points for one in expected]

    def test_who_met_at_a_place(self, city: House) -> None:
        found = city.ask("search_met", area=HERE, kinds=["taxi"], within_s=120, **WINDOW)
        assert [(row["device"], row["other"], row["apart_s"]) for row in found["pairs"]] == [("taxi/1", "taxi/2", 30.0)]
        assert found["pairs"][0]["time"] == "2026-11-22T04:05:30.000Z"


class TestCameras:
    def add(self, house: House, name: str, *, north: float, **settings: Any) -> None:
        settings = {key: value for key, value in settings.items() if value is not None}
        house.ask(
            "camera_set", camera=name, add=True, url="rtsp://10.0.0.9/1", settings=settings, lat=LAT + north * NORTH,
            lon=LON + 0.2 * EAST, name=f"at {north}",
        )  # fmt: skip

    @pytest.fixture
    def seen(self, city: House) -> House:
        self.add(city, "camera/1", north=1)
        self.add(city, "camera/2", north=10, bearing_deg=270.0, field_deg=90.0, range_m=60.0)
        self.add(city, "camera/3", north=12, bearing_deg=90.0, field_deg=90.0, range_m=60.0)
        return city

    def record(self, house: House, camera: str, from_ms: int, to_ms: int) -> None:
        from store.recordings.names import segment_file

        name = segment_file(camera, from_ms, masked=False)
        path = house.rooms.recordings.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 100)
        house.rooms.recordings.enter(
            NewSegment(
                camera=camera,
                file=name,
                from_ms=from_ms,
                to_ms=to_ms,
                size_bytes=100,
                sha256="0" * 64,
                codec="h264",
                width_px=1,
                height_px=1,
                motion_ms=0,
                masked=False,
            )
        )

    def test_times_in_view_with_bearing_and_range(self, seen: House) -> None:
        found = seen.ask("search_cameras", device="taxi/1", **WINDOW)
        assert [row["camera"] for row in found["passes"]] == ["camera/1", "camera/2"]
        around, aimed = found["passes"]
        assert (around["by_range"], aimed["by_range"]) == (True, False)
        assert (around["range_m"], around["bearing_deg"]) == (20.0, 270.0)
        # 45 degrees to either side of a road 20 m away: 40 m of it, at 200 m a minute.
        assert aimed["seconds"] == pytest.approx(12.0, abs=0.05)
        assert aimed["nearest"].startswith("2026-11-22T04:10:00.0")
        assert (aimed["points"], aimed["interpolated"], around["interpolated"]) == (1, False, True)
        assert (aimed["recorded"], aimed["name"]) == ([], "at 10")
        pull = aimed["pull"]
        assert (pull["operation"], pull["camera"]) == ("camera_clip", "camera/2")
        assert pull["to_ms"] - pull["from_ms"] == pytest.approx(22_000, abs=50)

    def test_what_is_recorded_of_a_pass(self, seen: House) -> None:
        at_ms = T0 + 10 * 60_000
        self.record(seen, "camera/2", at_ms - 60_000, at_ms)
        (aimed,) = seen.ask("search_cameras", device="taxi/1", from_ms=at_ms - 60_000, to_ms=at_ms + 60_001)["passes"]
        (span,) = aimed["recorded"]
        assert span["to"] == "2026-11-22T04:10:00.000Z"
        assert span["seconds"] == pytest.approx(11.0, abs=0.05)
        assert ("read.recordings", "camera/2", "maintenance") in seen.actions()

    def test_a_long_stay_is_pulled_as_recordings(self, seen: House) -> None:
        self.add(seen, "camera/4", north=0)
        (one,) = seen.ask("search_cameras", device="unit/1", **WINDOW)["passes"]
        assert (one["seconds"], one["pull"]["operation"]) == (59 * 60.0, "camera_recordings")

    def test_a_role_that_sees_no_recordings_is_told_of_none(self, seen: House) -> None:
        technician = Caller("somebody", "cli", "process")
        seen.operations._settings = Settings.model_validate({"operators": {"users": {"somebody": "technician"}}})
        found = seen.operations.search_cameras(technician, "taxi/1", T0, T0 + HOUR_MS)
        assert [row["recorded"] for row in found["passes"]] == [None, None]


class TestTrust:
    def test_the_search_is_audited_before_and_whom_it_told_of_after(self, city: House) -> None:
        city.ask("search_inside", area=HERE, purpose="case:C-1", **WINDOW)
        assert city.actions()[-3:] == [
            ("search.inside", "every device", "case:C-1"),
            ("series.inside", "6 slots", "case:C-1"),
            ("search.found", "5 devices", "case:C-1"),
        ]
        rows = city.rooms.audit.rows(limit=1000)
        assert rows[-3].detail["area"]["radius_m"] == 150.0
        assert rows[-3].detail["kinds"] == sorted(["taxi", "button", "camera", "reader", "unit", "gateway"])
        assert sorted(rows[-1].detail["devices"]) == ["taxi/1", "taxi/2", "taxi/3", "taxi/5", "unit/1"]
        city.ask("search_inside", area=HERE, devices=["taxi/3"], **WINDOW)
        assert city.actions()[-3:-1] == [
            ("search.inside", "taxi/3", "maintenance"),
            ("series.inside", "taxi/3", "maintenance"),
        ]

    def test_what_is_long_is_audited_whole_all_the_same(self, city: House) -> None:
        city.rooms.registry.ensure([f"taxi/many-{at}" for at in range(990)])
        turn = np.arange(500) * 2 * np.pi / 500
        corners = zip(LAT + 9 * NORTH * np.sin(turn), LON + 9 * EAST * np.cos(turn), strict=True)
        area = " ".join(f"{lat},{lon}" for lat, lon in corners)
        names = [*(f"taxi/many-{at}" for at in range(990)), "taxi/1"]
        settings = {"approvals": {"wide_vehicles": 2_000}, "search": {"max_vehicles": 300}}
        city.operations._settings = Settings.model_validate(settings)
        assert ids(city.ask("search_both", first=area, second=area, devices=names, **WINDOW)) == ["taxi/1"]
        rows = city.rooms.audit.rows(limit=10_000)
        assert (rows[-4].action, rows[-4].detail["first"]["corners"]) == ("search.both", 500)
        assert rows[-3].detail["slots_left_out"] == 991 - 400
        assert len(rows[-3].detail["area"]["rings"][0]) == 500
        for at in range(250):
            city.put(f"taxi/many-{at}", [T0], lat=LAT, lon=LON)
        found = city.ask("search_inside", area=HERE, kinds=["taxi"], **WINDOW)
        rows = [row for row in city.rooms.audit.rows(limit=10_000) if row.action == "search.found"][-3:]
        assert sorted(name for row in rows for name in row.detail["devices"]) == sorted(ids(found))
        assert len(ids(found)) == 254

    def test_without_an_audit_nothing_is_told(self, city: House) -> None:
        city.rooms.audit.close()
        for operation, arguments in every_search().items():
            with pytest.raises(AuditUnwritable):
                city.ask(operation, **arguments)

    def test_e_bikes_are_in_no_search_of_all_and_by_name_only_by_their_rule(self, city: House) -> None:
        for operation, arguments in every_search().items():
            assert "ebike/1" not in json.dumps(city.ask(operation, **arguments))
        with pytest.raises(UsageError, match="in no search of all"):
            city.ask("search_inside", area=HERE, kinds=["ebike"], **WINDOW)
        for operation, arguments in every_search(devices=["taxi/1", "ebike/1"]).items():
            if operation != "search_cameras":
                with pytest.raises(Refused, match="its owner's"):
                    city.ask(operation, **arguments)
        for operation in ("search_company", "search_cameras"):
            with pytest.raises(Refused, match="its owner's"):
                city.ask(operation, device="ebike/1", **WINDOW)
        assert city.actions()[-1][0] == "read.refused"
        found = city.ask("search_inside", area=HERE, devices=["ebike/1"], purpose="subject_request:R-1", **WINDOW)
        assert ids(found) == ["ebike/1"]

    @pytest.fixture
    def wide(self, city: House) -> House:
        city.operations._settings = Settings.model_validate({"approvals": {"wide_vehicles": 2}})
        return city

    def test_a_search_that_names_nobody_counts_everybody(self, wide: House) -> None:
        for operation, arguments in every_search().items():
            if operation == "search_cameras":
                continue
            with pytest.raises(Refused, match="6 vehicles"):
                wide.ask(operation, **arguments)
            with pytest.raises(Refused, match="5 vehicles"):
                wide.ask(operation, **arguments, kinds=["taxi"])
            wide.ask(operation, **arguments, devices=["taxi/1", "taxi/2"])
            with pytest.raises(Refused, match="3 vehicles"):
                wide.ask(operation, **arguments, devices=["taxi/1", "taxi/2", "taxi/3"])
        assert not [
            row for row in wide.actions() if row[1] in {"6 slots", "5 slots", "3 devices"} and row[0] == "series.inside"
        ]
        wide.ask("search_cameras", device="taxi/1", **WINDOW)


class TestApproved:
    @pytest.fixture
    def settings(self) -> Settings:
        users = {"tester": "officer", "boss": "supervisor"}
        return Settings(operators=Operators(users=users), approvals=Approvals(wide_vehicles=2, wide_age_days=1))

    def test_another_person_lets_one_question_be_asked_and_no_other(self, city: House) -> None:
        boss = Caller("boss", "cli", "process")
        for operation, arguments in every_search().items():
            if operation == "search_cameras":
                continue
            read = [row for row in city.actions() if row[0].startswith("series.")]
            asked = city.ask("approval_ask", operation=operation, arguments=arguments, reason="hit and run")
            assert [row for row in city.actions() if row[0].startswith("series.")] == read
            with pytest.raises(Refused):
                city.ask(operation, **arguments, approval=asked["approval"])
            city.operations.approval_grant(boss, asked["approval"], uses=3)
            found = city.ask(operation, **arguments, approval=asked["approval"])
            assert found["allowed_by"] == f"{asked['approval']} granted by boss"
            for other in (
                {"to_ms": T0 + HOUR_MS - 1},
                {"kinds": ["taxi"]},
                {"devices": ["taxi/1", "taxi/2", "taxi/3"]},
            ):
                with pytest.raises(Refused):
                    city.ask(operation, **{**arguments, **other}, approval=asked["approval"])
            rows = [row for row in city.rooms.audit.rows(limit=10_000) if row.action == operation.replace("_", ".", 1)]
            assert rows[-1].detail["allowed_by"] == found["allowed_by"]

    def test_what_is_long_ago_is_wide_even_of_one(self, city: House) -> None:
        city.clock.advance(2 * 86_400)
        with pytest.raises(Refused, match="more than 1 days"):
            city.ask("search_cameras", device="taxi/1", **WINDOW)
        with pytest.raises(Refused, match="more than 1 days"):
            city.ask("search_company", device="taxi/1", devices=["taxi/2"], **WINDOW)
        assert city.actions()[-1][0] == "read.refused"


def every_search(**arguments: Any) -> dict[str, dict[str, Any]]:
    """One question of each operation."""
    both = {"first": HERE, "second": THERE, **WINDOW, **arguments}
    return {
        "search_inside": {"area": HERE, **WINDOW, **arguments},
        "search_both": both,
        "search_then": both,
        "search_company": {"device": "taxi/1", **WINDOW, **arguments},
        "search_met": {"area": HERE, **WINDOW, **arguments},
        "search_cameras": {"device": "taxi/1", **WINDOW},
    }


_HOSTILE = "'; DROP TABLE chunks; --"


REFUSED: list[tuple[dict[str, Any], type[LuchengError]]] = [
    ({"area": ""}, UsageError),
    ({"area": "here"}, UsageError),
    ({"area": "40.65,109.84"}, UsageError),
    ({"area": "40.65,109.84,0"}, UsageError),
    ({"area": "40.65,109.84,-5"}, UsageError),
    ({"area": "40.65,109.84,5001"}, UsageError),
    ({"area": "40.65,109.84,nan"}, UsageError),
    ({"area": "nan,109.84,50"}, UsageError),
    ({"area": "inf,109.84,50"}, UsageError),
    ({"area": "95,109.84,50"}, UsageError),
    ({"area": "1,1 2,2"}, UsageError),
    ({"area": "0,0 1,1 0,1 1,0"}, UsageError),
    ({"area": "0,179 0,-179 1,-179"}, UsageError),
    ({"area": " ".join(f"{40 + at / 1e4},{109 + at * at / 1e7}" for at in range(501))}, UsageError),
    ({"area": "1,1 " * 30_000}, UsageError),
    ({"area": f"fence:{_HOSTILE}"}, UsageError),
    ({"area": "fence:../../etc/passwd"}, UsageError),
    ({"area": "fence:a\nb"}, UsageError),
    ({"area": "jurisdiction:"}, UsageError),
    ({"area": _HOSTILE}, UsageError),
    ({"area": "\ud800,1,1"}, UsageError),
    ({"area": "{"}, BadInput),
    ({"area": "[" * 60_000}, UsageError),
    ({"area": '{"type":' + "[" * 60_000}, BadInput),
    ({"area": {"type": "Point", "coordinates": [1, 2]}}, BadInput),
    ({"area": {"type": "Polygon", "coordinates": []}}, BadInput),
    ({"area": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0]]]}}, BadInput),
    ({"area": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], ["x", 0]]]}}, BadInput),
    ({"area": {"type": "FeatureCollection", "features": []}}, BadInput),
    ({"area": {"type": "Polygon", "coordinates": [[[0, 0], [0, 1]]] * 40_000}}, UsageError),
    ({"from_ms": T0, "to_ms": T0}, UsageError),
    ({"from_ms": T0, "to_ms": T0 - 1}, UsageError),
    ({"from_ms": -(1 << 62), "to_ms": 1 << 62}, UsageError),
    ({"to_ms": T0 + 32 * 24 * HOUR_MS}, UsageError),
    ({"kinds": ["taxi", _HOSTILE]}, UsageError),
    ({"kinds": ["taxi"], "devices": ["taxi/1"]}, UsageError),
    ({"devices": [_HOSTILE]}, UsageError),
    ({"devices": ["taxi/1\n"]}, UsageError),
    ({"devices": ["taxi/9"]}, NotFound),
    ({"devices": [f"taxi/{at}" for at in range(1_001)]}, UsageError),
    ({"purpose": "curiosity"}, UsageError),
]


def test_what_cannot_be_asked(city: House) -> None:
    for arguments, error in REFUSED:
        with pytest.raises(error):
            city.ask("search_inside", **{"area": HERE, **WINDOW, **arguments})
    assert city.rooms.series.check() == []


REFUSED_OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("search_both", {"within_s": -1}),
    ("search_both", {"within_s": float("nan")}),
    ("search_then", {"within_s": 1e18}),
    ("search_met", {"within_s": float("inf")}),
    ("search_company", {"near_m": 0}),
    ("search_company", {"near_m": 1e9}),
    ("search_company", {"near_m": float("nan")}),
    ("search_company", {"together_s": 0}),
    ("search_company", {"to_ms": T0 + 25 * HOUR_MS}),
    ("search_company", {"device": _HOSTILE}),
    ("search_cameras", {"device": "taxi/1 "}),
    ("search_cameras", {"to_ms": 1 << 62}),
]


def test_what_else_cannot_be_asked(city: House) -> None:
    for operation, arguments in REFUSED_OTHERS:
        with pytest.raises(UsageError):
            city.ask(operation, **{**every_search()[operation], **arguments})


class TestTooMany:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(search=Search(max_vehicles=2, max_evidence_points=5, max_compared=3, max_points=100))

    def test_more_than_may_be_told_tell_nobodys_name(self, city: House) -> None:
        for operation, arguments in every_search().items():
            if operation in {"search_inside", "search_both", "search_then", "search_met"}:
                with pytest.raises(Refused, match=r"vehicles were") as caught:
                    city.ask(operation, **arguments)
                assert "taxi" not in str(caught.value)
        with pytest.raises(Refused, match="has 60 points"):
            city.ask("search_inside", area=HERE, kinds=["unit"], evidence=True, **WINDOW)

    def test_points_about_a_track_are_limited(self, city: House) -> None:
        drive(city, "taxi/6", step_s=10, east=0.2)
        with pytest.raises(Refused, match="More than 100 points"):
            city.ask("search_company", device="taxi/1", devices=["taxi/6"], **WINDOW)


def test_an_older_folder_is_indexed_on_request(city: House) -> None:
    city.rooms.series.flush()
    city.rooms.series.seal(START_MS)
    before = city.ask("search_inside", area=HERE, evidence=True, **WINDOW)
    with closing(sqlite3.connect(city.rooms.data_dir / SERIES_FILE)) as connection, connection:
        connection.execute("DELETE FROM places")
    assert city.ask("store_index", again=True) == {"points": 60 + 6 * 31}
    assert city.actions()[-1] == ("store.index", "", "")
    assert city.ask("store_index", again=True) == {"points": 0}
    assert city.ask("search_inside", area=HERE, evidence=True, **WINDOW) == before
