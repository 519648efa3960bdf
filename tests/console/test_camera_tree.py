"""The tree of cameras and a camera's time, over real stores."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config.gateway import Operators
from config.sections import Settings
from console.camera_seams import CameraRow
from console.camera_tree import MAX_PAGE_ROWS, CameraTree, state_codes
from console.device_operations import Caller
from devices.camera_index import CameraIndex, read_index, reading_order
from lucheng.operating import operations_of
from model.camera import CameraState
from model.errors import NotFound, Refused, UsageError
from model.video import NewSegment
from store.recordings.names import segment_file
from tests.console.conftest import START_MS, House
from tests.console.test_camera_operations import Watched

MINUTE_MS = 60_000
URL = "rtsp://10.0.0.9/1"
LAT, LON = 40.65, 109.84


def square(area: str, level: str, parent: str, west: float, east: float) -> dict[str, Any]:
    ring = [[west, 40.0], [east, 40.0], [east, 41.0], [west, 41.0], [west, 40.0]]
    return {
        "type": "Feature",
        "properties": {"id": area, "name": f"name of {area}", "level": level, "parent": parent},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }


AREAS = [
    square("city", "city", "", 109.0, 111.0),
    square("west", "branch", "city", 109.0, 109.9),
    square("east", "branch", "city", 109.9, 111.0),
    square("west-1", "station", "west", 109.0, 109.5),
]


@pytest.fixture
def settings() -> Settings:
    users = {"op": "operator", "aud": "auditor", "tech": "technician"}
    return Settings(operators=Operators(users=users))


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def town(house: House, watched: Watched) -> House:
    """A city with two branches, a school in the west one, cameras with and without a site, and one far outside."""
    house.operations = operations_of(house.rooms, on_registry_change=house._tell, camera_control=watched)
    raw = json.dumps({"type": "FeatureCollection", "features": AREAS}).encode()
    house.ask("jurisdiction_import", data=raw)
    house.ask("site_add", site="school", name="School 3", lat=LAT, lon=LON)
    for name, lat, lon, site in (
        ("s2", None, None, "school"),
        ("s10", LAT, 110.5, "school"),  # stands in the east, belongs to the school
        ("w", LAT, 109.2, None),
        ("e", LAT, 110.0, None),
        ("away", 10.0, 10.0, None),
        ("lost", None, None, None),
    ):
        house.ask(
            "camera_set", camera=f"camera/{name}", add=True, url=URL, name=f"cam {name}", lat=lat, lon=lon, site=site
        )
    return house


def asked(house: House, who: str = "op", **arguments: Any) -> dict[str, Any]:
    made: dict[str, Any] = house.operations.camera_tree(Caller(who, "cli", "socket"), **arguments)
    return made


def names(answer: dict[str, Any]) -> list[str]:
    return [one.get("node") or one["camera"] for one in answer["items"]]


def test_one_level_at_a_time_with_counts_that_sum(town: House, watched: Watched) -> None:
    watched.rows["camera/w"] = CameraRow("camera/w", CameraState.ONLINE)
    watched.rows["camera/s2"] = CameraRow("camera/s2", CameraState.DEGRADED)
    town.rooms.cameras.park("camera/s10", "it died")
    top = asked(town)
    assert names(top) == ["area:city", "none"]
    assert [(one["cameras"], one["states"]) for one in top["items"]] == [
        (4, {"online": 1, "degraded": 1, "parked": 1, "unknown": 1}),
        (2, {"unknown": 2}),
    ]
    assert (top["cameras"], top["total"]) == (6, 2)
    city = asked(town, node="area:city")
    assert names(city) == ["area:east", "area:west"]
    assert sum(one["cameras"] for one in city["items"]) == city["cameras"] == 4
    west = asked(town, node="area:west")
    assert names(west) == ["area:west-1", "site:school"]
    assert [one["cameras"] for one in west["items"]] == [1, 2]
    assert [one["name"] for one in west["path"]] == ["name of city", "name of west"]
    school = asked(town, node="site:school")
    assert names(school) == ["camera/s2", "camera/s10"]  # numbers as numbers
    assert [one["state"] for one in school["items"]] == ["degraded", "parked"]
    assert names(asked(town, node="area:west-1")) == ["camera/w"]
    assert names(asked(town, node="none")) == ["camera/away", "camera/lost"]
    for wrong in ("area:nowhere", "site:nowhere"):
        with pytest.raises(NotFound):
            asked(town, node=wrong)
    with pytest.raises(UsageError):
        asked(town, node="camera/w")


def test_a_search_finds_by_name_and_id_and_state_below_a_node(town: House, watched: Watched) -> None:
    watched.rows["camera/e"] = CameraRow("camera/e", CameraState.OFFLINE)
    found = asked(town, search="CAM S")
    assert names(found) == ["camera/s2", "camera/s10"]
    where = found["items"][0]["where"]
    assert [one["name"] for one in where] == ["name of city", "name of west", "School 3"]
    assert [one["node"] for one in where] == ["area:city", "area:west", "site:school"]
    assert asked(town, search="camera/away")["items"][0]["where"] == [{"node": "none", "name": ""}]
    assert names(asked(town, search="camera/e")) == ["camera/e"]
    assert names(asked(town, state="offline")) == ["camera/e"]
    assert names(asked(town, state="offline", node="area:west")) == []
    assert names(asked(town, search="s", node="area:east")) == []
    assert names(asked(town, search="a", offset=1, limit=2)) == ["camera/e", "camera/lost"]


def test_what_changes_is_seen_and_what_does_not_is_kept(town: House) -> None:
    asked(town)
    kept = town.operations._indexes
    assert kept is not None
    before = kept.now()
    town.ask("device_add", device="taxi/9")
    assert kept.now() is before
    town.ask("camera_set", camera="camera/w", name="renamed")
    assert kept.now() is not before
    assert [one["name"] for one in asked(town, node="area:west-1")["items"]] == ["renamed"]
    town.ask("camera_remove", camera="camera/w")
    assert names(asked(town, node="area:west")) == ["site:school"]


def test_without_jurisdictions_sites_and_cameras_stand_at_the_top(house: House) -> None:
    assert asked(house)["items"] == []
    house.ask("site_add", site="bank", name="Bank", lat=LAT, lon=LON)
    house.ask("camera_set", camera="camera/1", add=True, url=URL, site="bank")
    house.ask("camera_set", camera="camera/2", add=True, url=URL)
    assert names(asked(house)) == ["site:bank", "camera/2"]


def test_who_may_and_what_is_noted(town: House) -> None:
    with pytest.raises(Refused):
        asked(town, who="aud")
    assert names(asked(town, who="tech")) == ["area:city", "none"]
    asked(town, who="tech", node="area:city")
    rows = [(row.who, row.action) for row in town.rooms.audit.rows(limit=10_000) if row.who in ("aud", "tech")]
    assert rows == [("aud", "read.refused"), ("tech", "read.cameras")]
    for wrong in ({"limit": MAX_PAGE_ROWS + 1}, {"offset": -1}, {"state": "fine"}, {"search": "x" * 65}):
        with pytest.raises(UsageError):
            asked(town, **wrong)


def test_names_are_in_the_order_in_which_people_read_them() -> None:
    shown = ["门 10", "门 9", "门 2", "B", "a"]
    assert sorted(shown, key=lambda one: reading_order(one, one)) == ["a", "B", "门 2", "门 9", "门 10"]


def test_a_page_of_a_hundred_thousand_is_a_page(house: House) -> None:
    """Columns made by hand: the levels of a city of 100,000 cameras are cut to what is asked for."""
    count, sites = 100_000, 2_000
    number = np.arange(count)
    index = CameraIndex(
        slot=number,
        device=[f"camera/{one}" for one in range(count)],
        name=[""] * count,
        found_by=[f"\ncamera/{one}" for one in range(count)],
        enabled=np.ones(count, np.bool_),
        parked=np.zeros(count, np.bool_),
        area=np.zeros(count, np.int64),
        site=np.where(number < count // 2, number % sites, -1),
        area_ids=["city"],
        area_names=["city"],
        area_levels=["city"],
        area_parent=np.array([-1]),
        site_ids=[f"site{one}" for one in range(sites)],
        site_names=[""] * sites,
        site_area=np.zeros(sites, np.int64),
    )
    tree = CameraTree(index, state_codes(index, {}))
    level = tree.level("area:city")
    assert level.total == sites + count // 2
    page = tree.page("area:city", level, sites - 1, 3, lambda row: {"camera": index.device[row]})
    assert [one.get("node") or one["camera"] for one in page] == ["site:site1999", "camera/50000", "camera/50001"]
    assert page[0]["cameras"] == 25
    assert len(tree.found("area:city", "camera/9999", "").rows) == 11
    assert read_index(house.rooms.registry.file).device == []


# -- a camera's time ----------------------------------------------------------------------------


def record(house: House, from_ms: int, motion_ms: int, data: bytes = b"segment" * 100) -> str:
    file = segment_file("camera/w", from_ms, 0, masked=False)
    path = Path(house.rooms.recordings.folder) / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    new = NewSegment("camera/w", file, from_ms, from_ms + MINUTE_MS, len(data), sha256, "h264", 640, 360, motion_ms)
    return house.rooms.recordings.enter(new).id


def timeline(house: House, **arguments: Any) -> dict[str, Any]:
    made: dict[str, Any] = house.operations.camera_timeline(
        Caller("op", "cli", "socket"), **{"camera": "camera/w", "purpose": "case:7", **arguments}
    )
    return made


def test_a_cameras_time_has_recordings_motion_health_and_alarms(town: House) -> None:
    start = START_MS - 10 * MINUTE_MS
    record(town, start, 30_000)
    record(town, start + MINUTE_MS, 0)
    record(town, start + 5 * MINUTE_MS, 6_000)
    for name, values in (
        ("camera_motion_share", [0.1, 0.4]),
        ("camera_fps", [10.0, 20.0]),
        ("camera_state", [0.0, 3.0]),
    ):
        times = np.array([start + 1_000, start + 2_000])
        town.rooms.series.put_numbers(name, "camera/w", times, np.array(values))
    own = town.alarm("camera/w", "offline")
    found = timeline(town, from_ms=start, to_ms=START_MS + 1_000, buckets=60)
    assert [one["seconds"] for one in found["coverage"]] == [120.0, 60.0]
    assert len(found["motion_s"]) == len(found["state"]) <= 60
    assert sum(found["motion_s"]) == pytest.approx(36.0, abs=0.5)
    width = found["bucket_ms"]
    assert found["motion_s"][0] == pytest.approx(30 * width / MINUTE_MS, abs=0.01)
    assert (found["motion"][0], found["fps"][0], found["state"][0]) == (0.4, 15.0, "offline")
    assert found["bitrate_kbps"][0] is None
    assert [(one["alarm"], one["distance_m"]) for one in found["alarms"]] == [(own, 0.0)]
    assert not found["alarms_cut"]


def test_alarms_near_a_camera_are_told_but_no_hidden_place(town: House) -> None:
    town.ask("camera_set", camera="camera/w", lat=LAT, lon=LON)  # where the house's signals are
    town.rooms.registry.ensure(["button/1", "ebike/1"])
    town.rooms.registry.refresh(town.rooms.directory)
    near = town.alarm("button/1")
    hidden = town.alarm("ebike/1", "vibration", 2)
    told = [one["alarm"] for one in timeline(town, from_ms=START_MS - MINUTE_MS, to_ms=START_MS + MINUTE_MS)["alarms"]]
    assert near in told
    assert hidden not in told


def test_a_purpose_opens_its_own_time_alone(town: House) -> None:
    town.ask("camera_set", camera="camera/w", lat=LAT, lon=LON)
    town.rooms.registry.ensure(["button/1"])
    town.rooms.registry.refresh(town.rooms.directory)
    alarm = town.alarm("button/1")
    day = {"from_ms": START_MS - 86_400_000, "to_ms": START_MS + MINUTE_MS}
    found = timeline(town, purpose=f"alarm:{alarm}", **day)
    assert found["from"] == "2026-11-22T07:49:59.500Z"  # ten minutes before it
    with pytest.raises(Refused):
        timeline(town, purpose=f"alarm:{alarm}", from_ms=START_MS - 86_400_000, to_ms=START_MS - 80_000_000)
    with pytest.raises(Refused):
        timeline(town, purpose=f"alarm:{alarm}", camera="camera/away", **day)
    for wrong in (
        {"buckets": 0},
        {"buckets": 1_441},
        {"from_ms": START_MS, "to_ms": START_MS},
        {"from_ms": START_MS - 32 * 86_400_000},
    ):
        with pytest.raises(UsageError):
            timeline(town, **wrong)


# -- a recording in pieces ----------------------------------------------------------------------


def opened(house: House) -> list[str]:
    return [row.target for row in house.rooms.audit.rows(limit=10_000) if row.action == "read.recording_bytes"]


def piece(house: House, recording: str, start: int, length: int = 100, **arguments: Any) -> bytes:
    call = {"camera": "camera/w", "recording": recording, "purpose": "case:7", **arguments}
    data: bytes = house.operations.camera_recording_read(
        Caller("op", "cli", "socket"), start=start, length=length, **call
    ).data
    return data


def test_a_reading_in_pieces_is_audited_once(town: House) -> None:
    data = bytes(range(250))
    recording = record(town, START_MS - 5 * MINUTE_MS, 0, data)
    assert b"".join(piece(town, recording, start) for start in (0, 100, 200)) == data
    assert opened(town) == [recording]
    piece(town, recording, 100, purpose="case:8")  # another purpose is another reading
    assert opened(town) == [recording, recording]
    town.clock.advance(601)
    piece(town, recording, 200)
    assert len(opened(town)) == 3
    for wrong in ({"start": 250}, {"start": -1}, {"start": 0, "length": 0}, {"start": 0, "length": 9 << 20}):
        with pytest.raises(UsageError):
            piece(town, recording, **wrong)


def test_a_reading_ends_with_its_alarm_and_with_its_file(town: House) -> None:
    town.ask("camera_set", camera="camera/w", lat=LAT, lon=LON)
    town.rooms.registry.ensure(["button/1"])
    town.rooms.registry.refresh(town.rooms.directory)
    recording = record(town, START_MS - 5 * MINUTE_MS, 0, bytes(250))
    alarm = town.alarm("button/1")
    why = f"alarm:{alarm}"
    piece(town, recording, 0, purpose=why)
    town.clock.advance(300)
    piece(town, recording, 100, purpose=why)
    assert opened(town) == [recording]
    town.ask("alarm_ack", alarm=alarm)
    town.ask("alarm_resolve", alarm=alarm, outcome="false", reason="a mistake")
    town.ask("alarm_close", alarm=alarm, reason="closed")
    piece(town, recording, 100, purpose=why)
    for _ in range(4):
        town.clock.advance(300)
        if _ < 2:
            piece(town, recording, 100, purpose=why)
    with pytest.raises(Refused):
        piece(town, recording, 100, purpose=why)
    piece(town, recording, 0)
    (path,) = Path(town.rooms.recordings.folder).rglob("*.mp4")
    path.write_bytes(bytes(249) + b"x")
    with pytest.raises(Exception, match="changed"):
        piece(town, recording, 100)
