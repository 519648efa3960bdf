"""What an alarm brings with it, over a real registry and a real series."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from console.alarm_context import next_line, read_context, track_window
from console.track_rows import time_text
from devices.areas import Areas
from devices.details import DeviceDetails
from devices.nearby import Nearby
from devices.sites import Sites
from model.alarm import raised
from model.desk import DeskAlarm, Located, Unit, UnitState
from model.device import Site
from model.fence import Fence, FenceRule, FenceSet, Post, Shape
from model.geo import haversine_m
from model.signal import Signal
from tests.console.conftest import START_MS, House

LAT, LON = 40.65, 109.84
MINUTE_MS = 60_000


def ring(line: int, half_deg: float, *, posts: Sequence[Post] = (), **fields: Any) -> Fence:
    """A line of defence: a square around the place."""
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]
    outline = tuple((LON + x * half_deg, LAT + y * half_deg) for x, y in corners)
    made = Fence(
        number=line,
        id=f"line-{line}",
        name="",
        rule=FenceRule.NONE,
        shape=Shape.POLYGON,
        polygons=((outline,),),
        line_of_defence=line,
        posts=tuple(posts),
    )
    return replace(made, **fields)


POSTS = (Post("north", LAT + 0.02, LON), Post("east", LAT, LON + 0.02), Post("south", LAT - 0.021, LON))
RINGS = FenceSet(7, (ring(1, 0.02, posts=POSTS), ring(2, 0.1, posts=(Post("bridge", LAT + 0.1, LON),)), ring(3, 0.5)))


def alarm_of(device: str, kind: str = "one_key", *, located: bool = True, site: str = "", **fields: Any) -> DeskAlarm:
    signal = Signal("s1", device, kind, "message", START_MS, START_MS + 100, LAT, LON, 1, False, "", 1)
    where = Located("community", site, (), LAT if located else None, LON if located else None)
    return DeskAlarm(replace(raised("A2026-000001", signal), **fields), where)


@pytest.fixture
def city(house: House) -> House:
    """A school with a button and cameras, areas, units with places, a taxi with a track."""
    registry = house.rooms.registry
    for number in range(10):
        registry.add(f"camera/{number}", DeviceDetails(name=f"camera {number}", lat=LAT + number / 1e3, lon=LON))
    registry.add("camera/hall", DeviceDetails(name="hall"))
    Sites(registry.file).add(Site("school", "School", "Ms Li", "0472-1", LAT, LON, ("camera/hall",)))
    registry.add("button/1", DeviceDetails(name="gate", site="school"))
    features = [
        {
            "type": "Feature",
            "properties": {"id": area, "name": area.title(), "level": area, "parent": parent},
            "geometry": {"type": "Polygon", "coordinates": [[[109, 40], [111, 40], [111, 42], [109, 42], [109, 40]]]},
        }
        for area, parent in (("city", ""), ("branch", "city"), ("station", "branch"), ("community", "station"))
    ]
    Areas(registry.file).import_geojson(json.dumps({"type": "FeatureCollection", "features": features}).encode())
    for number in range(8):
        house.put(f"unit/{number}", [START_MS - number * 1000], lat=LAT + number / 100, lon=LON)
    house.put("taxi/1", [START_MS - 31 * MINUTE_MS, START_MS - 10 * MINUTE_MS, START_MS])
    house.put("ebike/1", [START_MS])
    registry.add("unit/silent")
    return house


UNITS = [
    Unit("unit/0", 1, UnitState.ON_SCENE, "A2026-000009"),
    Unit("unit/7", 3, UnitState.FREE),
    *(Unit(f"unit/{number}", 1 + number % 2, UnitState.FREE) for number in (3, 1, 2)),
    Unit("unit/4", 2, UnitState.OFF_DUTY),
    Unit("unit/silent", 1, UnitState.FREE),
    Unit("unit/gone", 0, UnitState.FREE),
]


def context_of(house: House, alarm: DeskAlarm, *, place: bool = True, units: Sequence[Unit] = UNITS) -> dict[str, Any]:
    found = read_context(
        alarm,
        series=house.rooms.series,
        registry=house.rooms.registry,
        nearby=Nearby(house.rooms.registry),
        units=units,
        fences=RINGS,
        now_ms=START_MS + MINUTE_MS,
        who="tester",
        role="cli",
        place=place,
    )
    assert json.loads(json.dumps(found)).keys() == found.keys()
    return found


def test_an_alarm_brings_everything_with_it(city: House) -> None:
    found = context_of(city, alarm_of("button/1", site="school"))
    assert (found["device"]["device"], found["device"]["name"]) == ("button/1", "gate")
    assert (found["site"]["site"], found["site"]["contact"], found["site"]["phone"]) == ("school", "Ms Li", "0472-1")
    assert [area["area"] for area in found["jurisdiction"]] == ["community", "station", "branch", "city"]
    assert found["jurisdiction"][-1] == {"area": "city", "name": "City", "level": "city"}
    assert found["place"] == {"lat": LAT, "lon": LON}
    assert [camera["camera"] for camera in found["cameras"]] == ["camera/hall", *(f"camera/{n}" for n in range(7))]
    assert found["cameras"][3] == {
        "camera": "camera/2",
        "name": "camera 2",
        "bound": False,
        "lat": 40.652,
        "lon": LON,
        "distance_m": round(float(haversine_m(LAT, LON, LAT + 0.002, LON)), 1),
        "bearing_deg": 0.0,
    }


def test_the_nearest_free_units_come_first(city: House) -> None:
    found = context_of(city, alarm_of("button/1"))
    assert [unit["unit"] for unit in found["units"]] == ["unit/1", "unit/2", "unit/3", "unit/7", "unit/gone"]
    near = found["units"][0]
    assert near["distance_m"] == pytest.approx(haversine_m(LAT, LON, LAT + 0.01, LON), abs=0.1)
    assert (near["fix"], near["fix_age_s"]) == (time_text(START_MS - 1000), 61)
    assert (found["units"][4]["distance_m"], found["units"][4]["fix"]) == (None, None)
    nowhere = context_of(city, alarm_of("button/1", located=False))
    assert {unit["distance_m"] for unit in nowhere["units"]} == {None}
    assert (nowhere["place"], nowhere["cameras"], nowhere["defence"]["posts"]) == (None, [], [])


def test_severity_one_brings_the_patrol_levels_and_the_posts(city: House) -> None:
    defence = context_of(city, alarm_of("button/1"))["defence"]
    assert defence["next_line"] == 1
    assert [post["name"] for post in defence["posts"]] == ["east", "north", "south"]
    assert defence["posts"][0]["bearing_deg"] == pytest.approx(90, abs=0.1)
    assert {row["level"]: [unit["unit"] for unit in row["units"]] for row in defence["levels"]} == {
        1: ["unit/0", "unit/2", "unit/silent"],
        2: ["unit/1", "unit/3", "unit/4"],
        3: ["unit/7"],
    }
    busy = defence["levels"][0]["units"][0]
    assert (busy["state"], busy["alarm"], busy["distance_m"]) == ("on_scene", "A2026-000009", 0.0)
    assert context_of(city, alarm_of("taxi/1", "overspeed"))["defence"] is None


@pytest.mark.parametrize(
    ("lat", "line", "names"),
    [
        (LAT, 1, ["line-1"]),
        (LAT + 0.02, 1, ["line-1"]),  # on the boundary is inside
        (LAT + 0.05, 2, ["line-2"]),
        (LAT + 0.3, 3, ["line-3"]),
        (LAT + 0.6, None, []),
    ],
)
def test_the_next_line_outward_is_that_of_the_innermost_ring_around(lat: float, line: int, names: list[str]) -> None:
    found, rings = next_line((lat, LON), RINGS)
    assert (found, [ring.id for ring in rings]) == (line, names)


def test_lines_that_are_off_or_missing_are_passed_over() -> None:
    assert next_line((LAT, LON), FenceSet(1, (ring(1, 0.02, enabled=False), ring(3, 0.5))))[0] == 3
    assert next_line((LAT, LON), FenceSet(1, (ring(2, 0.5, line_of_defence=0),))) == (None, [])
    assert next_line(None, RINGS) == (None, [])
    two = FenceSet(1, (ring(2, 0.1), ring(2, 0.2, number=9, id="other")))
    assert [fence.id for fence in next_line((LAT, LON), two)[1]] == ["line-2", "other"]


def test_the_track_is_told_by_its_window_and_its_length(city: House) -> None:
    found = context_of(city, alarm_of("taxi/1", "sos"))
    assert found["track"] == {
        "device": "taxi/1",
        "from": time_text(START_MS - 30 * MINUTE_MS),
        "to": time_text(START_MS + MINUTE_MS + 1),
        "points": 2,
        "first": time_text(START_MS - 10 * MINUTE_MS),
        "last": time_text(START_MS),
    }
    assert context_of(city, alarm_of("button/1"))["track"]["points"] == 0
    closed = alarm_of("taxi/1", "sos", closed_ms=START_MS + 5 * MINUTE_MS)
    assert track_window(closed, START_MS + 600 * MINUTE_MS)[1] == START_MS + 20 * MINUTE_MS + 1
    early = alarm_of("taxi/1", "sos", device_ms=-(1 << 60))
    assert track_window(early, START_MS)[0] < track_window(early, START_MS)[1]


def test_an_ebike_without_a_case_shows_nothing_that_tells_its_place(city: House) -> None:
    alarm = alarm_of("ebike/1", "moved_while_armed")
    hidden = context_of(city, alarm, place=False)
    assert [area["area"] for area in hidden["jurisdiction"]] == ["community", "station", "branch", "city"]
    assert hidden["place_hidden"]
    assert (hidden["place"], hidden["cameras"], hidden["units"], hidden["site"]) == (None, [], [], None)
    assert hidden["track"]["points"] is None
    assert "40.6" not in json.dumps(hidden)
    assert not [target for action, target, _ in city.actions() if action == "series.track"]
    open_case = context_of(city, alarm)
    assert (open_case["place"], open_case["track"]["points"]) == ({"lat": LAT, "lon": LON}, 1)
    severe = context_of(city, replace(alarm, alarm=replace(alarm.alarm, severity=1)), place=False)["defence"]
    assert (severe["next_line"], severe["posts"]) == (None, [])
    assert {unit["distance_m"] for level in severe["levels"] for unit in level["units"]} == {None}


def test_reads_are_audited_for_the_alarm(city: House) -> None:
    context_of(city, alarm_of("taxi/1", "sos"))
    noted = [(action, target, purpose) for action, target, purpose in city.actions() if action.startswith("series.")]
    assert noted == [
        ("series.latest", "7 devices", "alarm:A2026-000001"),
        ("series.track", "taxi/1", "alarm:A2026-000001"),
    ]


def test_what_is_gone_breaks_nothing(city: House) -> None:
    gone = context_of(city, alarm_of("taxi/99", "sos", site="nowhere"), units=[])
    assert (gone["device"], gone["site"], gone["units"]) == ({"device": "taxi/99"}, None, [])
    assert gone["track"]["points"] is None


def test_an_alarm_is_shown_with_its_context(city: House) -> None:
    pressed = Signal("s1", "button/1", "one_key", "message", START_MS, START_MS, LAT, LON, 1, False, "", 1)
    city.rooms.desk.take([pressed])
    city.rooms.desk.set_unit("unit/1", "tester", level=2)
    (listed,) = city.ask("alarm_list")
    shown = city.ask("alarm_show", alarm=listed["alarm"])
    around = shown["context"]
    assert (around["device"]["device"], around["place"]) == ("button/1", {"lat": LAT, "lon": LON})
    assert [unit["unit"] for unit in around["defence"]["levels"][1]["units"]] == ["unit/1"]
    assert len(around["cameras"]) == 8
    moved = Signal("s2", "ebike/1", "moved_while_armed", "message", START_MS, START_MS, LAT, LON, 2, False, "", 2)
    city.rooms.desk.take([moved])
    (listed,) = city.ask("alarm_list", kind="moved_while_armed")
    around = city.ask("alarm_show", alarm=listed["alarm"])["context"]
    assert (around["place_hidden"], around["cameras"], around["track"]["points"]) == (True, [], None)
    city.ask("ebike_report", device="ebike/1", owner_ref="R-1")
    assert city.ask("alarm_show", alarm=listed["alarm"])["context"]["track"]["points"] == 1
