"""Which cameras a place has, and where a signal belongs."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.areas import Areas
from devices.details import DeviceDetails
from devices.nearby import Nearby
from devices.registry import Registry
from devices.sites import Sites
from model.clock import FakeClock
from model.desk import Located
from model.device import Site
from model.geo import bearing_deg, haversine_m
from model.signal import Signal

PLACE = (40.65, 109.84)


def signal(device: str, lat: float | None = None, lon: float | None = None) -> Signal:
    return Signal("s", device, "sos", "bit", 0, 0, lat, lon, 1, False, "", 0)


def areas_of(registry: Registry, *areas: tuple[str, str, str, float]) -> None:
    """Squares around `PLACE`: (id, level, parent, half a side in degrees)."""
    lat, lon = PLACE
    features = [
        {
            "type": "Feature",
            "properties": {"id": area, "name": f"name of {area}", "level": level, "parent": parent},
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    [[lon + x * half, lat + y * half] for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))]
                ],
            },
        }
        for area, level, parent, half in areas
    ]
    Areas(registry.file).import_geojson(json.dumps({"type": "FeatureCollection", "features": features}).encode())


@pytest.fixture
def school(registry: Registry) -> Registry:
    """A school with two cameras of its own and a button, three cameras in the street, a gateway, a taxi behind it."""
    lat, lon = PLACE
    for camera, north in (("near", 0.001), ("far", 0.2), ("middle", 0.01)):
        registry.add(f"camera/{camera}", DeviceDetails(lat=lat + north, lon=lon))
    registry.add("camera/gate", DeviceDetails(lat=lat, lon=lon + 0.001))
    registry.add("camera/hall")
    Sites(registry.file).add(Site("school", "School", "Ms Li", "123", lat, lon, ("camera/hall", "camera/gate")))
    registry.add("button/1", DeviceDetails(site="school"))
    registry.add("gateway/1")
    registry.add("taxi/1", DeviceDetails(gateway="gateway/1"))
    registry.add("reader/1", DeviceDetails(site="school", gateway="gateway/1", lat=41.0, lon=110.0))
    areas_of(registry, ("city", "city", "", 2.0), ("east", "branch", "city", 0.3), ("one", "community", "east", 0.05))
    return registry


def test_the_sites_cameras_come_first_then_the_nearest(school: Registry) -> None:
    nearby = Nearby(school)
    found = nearby.cameras(*PLACE, site="school")
    assert [(one.device, one.bound) for one in found] == [
        ("camera/hall", True),
        ("camera/gate", True),
        ("camera/near", False),
        ("camera/middle", False),
        ("camera/far", False),
    ]
    hall, gate, near = found[:3]
    assert (hall.distance_m, hall.lat) == (0.0, PLACE[0])  # it has no place of its own: the site's
    assert gate.distance_m == pytest.approx(haversine_m(*PLACE, PLACE[0], PLACE[1] + 0.001))
    assert gate.bearing_deg == pytest.approx(90, abs=0.01)
    assert near.bearing_deg == pytest.approx(0)
    assert [one.device for one in nearby.cameras(*PLACE, site="school", limit=3)] == [one.device for one in found[:3]]
    assert [one.device for one in nearby.cameras(*PLACE, limit=2)] == ["camera/hall", "camera/gate"]
    assert nearby.cameras(*PLACE, limit=0) == []
    nowhere = nearby.cameras(float("nan"), 109.0, site="school")
    assert [(one.device, one.distance_m) for one in nowhere] == [("camera/hall", None), ("camera/gate", None)]


def test_a_signal_is_located(school: Registry) -> None:
    nearby = Nearby(school)
    lat, lon = PLACE
    assert nearby.locate(signal("taxi/1", lat, lon)) == Located("one", "", ("gateway/1",), lat, lon)
    assert nearby.locate(signal("taxi/1", lat + 0.2, lon)) == Located("east", "", ("gateway/1",), lat + 0.2, lon)
    assert nearby.locate(signal("taxi/1")) == Located("", "", ("gateway/1",), None, None)
    assert nearby.locate(signal("button/1")) == Located("one", "school", (), lat, lon)
    assert nearby.locate(signal("reader/1")) == Located("city", "school", ("gateway/1", "button/1"), 41.0, 110.0)
    assert nearby.locate(signal("taxi/9", lat, lon)) == Located("one", "", (), lat, lon)
    assert nearby.locate(signal("button/1", 10.0, 10.0)).area == ""
    assert [area.id for area in nearby.area_path("one")] == ["one", "east", "city"]
    assert nearby.area_path("one")[0].name == "name of one"
    assert nearby.area_path("nowhere") == []
    assert nearby.slots_of(["camera/near", "taxi/9"]).tolist() == [0, -1]


def test_what_changes_in_the_registry_is_seen_at_once(school: Registry) -> None:
    nearby = Nearby(school)
    lat, lon = PLACE
    assert not nearby.refresh()
    school.add("taxi/2", DeviceDetails(site="school"))
    assert nearby.locate(signal("taxi/2")) == Located("one", "school", ("button/1",), lat, lon)
    school.disable("button/1")
    assert nearby.locate(signal("taxi/2")).parents == ()
    school.enable("button/1")
    school.add("button/2", DeviceDetails(site="school"))
    assert nearby.locate(signal("taxi/2")).parents == ("button/1", "button/2")
    assert Nearby(school, max_parents=1).locate(signal("taxi/2")).parents == ("button/1",)
    Sites(school.file).add(Site("bank", "", "", "", 40.9, lon))
    school.update("button/2", DeviceDetails(site="bank"))
    assert nearby.locate(signal("taxi/2")).parents == ("button/1",)
    school.delete("button/1")
    assert nearby.locate(signal("taxi/2")).parents == ()
    school.bind_gateway("taxi/2", "gateway/1")
    assert nearby.locate(signal("taxi/2")).parents == ("gateway/1",)
    areas_of(school, ("one", "community", "east", 0.001))
    assert nearby.locate(signal("taxi/2", lat + 0.01, lon)).area == "east"
    school.disable("camera/near")
    school.update("camera/far", DeviceDetails(lat=lat, lon=lon - 0.002))
    Sites(school.file).bind("school", ["camera/gate"])
    found = [one.device for one in nearby.cameras(lat, lon, site="school")]
    assert found == ["camera/gate", "camera/far", "camera/middle"]  # the hall's camera has no place any more
    school.enable("camera/near")
    assert nearby.cameras(lat, lon)[1].device == "camera/near"


def test_a_directory_is_shared(school: Registry) -> None:
    directory = school.directory()
    nearby = Nearby(school, directory=directory)
    school.add("taxi/2", DeviceDetails(site="school"))
    school.refresh(directory)  # somebody else was first
    assert nearby.locate(signal("taxi/2")).site == "school"


def test_no_signal_waits_for_who_changes_the_registry(school: Registry) -> None:
    nearby = Nearby(school)
    before = nearby.locate(signal("button/1"))
    inside, done = threading.Event(), threading.Event()

    def change() -> None:
        with school.file.changing() as change:
            change.connection.execute("UPDATE site SET lat = 41")
            change.connection.execute("UPDATE device SET changed = ? WHERE id = 'button/1'", (change.version,))
            change.mark_places()
            inside.set()
            assert done.wait(20)

    thread = threading.Thread(target=change)
    thread.start()
    assert inside.wait(20)
    assert nearby.locate(signal("button/1")) == before
    done.set()
    thread.join()
    assert nearby.locate(signal("button/1")).lat == 41.0


def test_a_registry_that_cannot_be_read_leaves_what_was_known(school: Registry) -> None:
    nearby = Nearby(school)
    before = nearby.locate(signal("button/1"))
    school.close()
    assert nearby.locate(signal("button/1")) == before
    assert nearby.cameras(*PLACE)


_odd = st.none() | st.floats() | st.sampled_from((90.0, -90.0, 180.0, -180.0, 0.0, 1e308, 40.65, 109.84))


@given(st.text(max_size=12) | st.sampled_from(("button/1", "taxi/1", "camera/hall")), _odd, _odd)
def test_no_odd_signal_raises(shared: Nearby, device: str, lat: float | None, lon: float | None) -> None:
    found = shared.locate(signal(device, lat, lon))
    if found.lat is not None and found.lon is not None:
        assert abs(found.lat) <= 90
        assert abs(found.lon) <= 180


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Nearby:
    """A registry that the examples of a property share."""
    registry = Registry(tmp_path_factory.mktemp("nearby") / "registry.db", clock=FakeClock())
    registry.add("camera/hall")
    Sites(registry.file).add(Site("school", "", "", "", *PLACE, ("camera/hall",)))
    registry.add("button/1", DeviceDetails(site="school"))
    registry.add("taxi/1")
    areas_of(registry, ("city", "city", "", 2.0))
    return Nearby(registry)


@pytest.mark.parametrize(
    ("middle", "spread"),
    [
        (PLACE, 0.2),
        (PLACE, 30.0),
        ((0.0, 180.0), 1.0),
        ((-89.5, 10.0), 0.6),
        ((89.9, -100.0), 0.1),
        ((60.0, -179.9), 5.0),
    ],
)
def test_nearest_cameras_are_those_of_a_whole_search(
    registry: Registry, middle: tuple[float, float], spread: float
) -> None:
    seed = 20_261_122
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    lat = np.clip(middle[0] + random.uniform(-spread, spread, 300), -90, 90).round(6)
    lon = ((middle[1] + random.uniform(-spread, spread, 300) + 180) % 360 - 180).round(6)
    lat[:20], lon[:20] = lat[20:40], lon[20:40]  # twice at one place
    ids = [f"camera/{number}" for number in range(len(lat))]
    slots = registry.ensure(ids)
    with registry.file.changing() as change:
        change.connection.executemany(
            "UPDATE device SET lat = ?, lon = ?, changed = ? WHERE slot = ?",
            [
                (y, x, change.version, slot)
                for y, x, slot in zip(lat.tolist(), lon.tolist(), slots.tolist(), strict=True)
            ],
        )
    nearby = Nearby(registry)
    for _ in range(40):
        here = (
            float(np.clip(middle[0] + random.uniform(-spread, spread), -90, 90)),
            float((middle[1] + random.uniform(-spread, spread) + 180) % 360 - 180),
        )
        limit = int(random.integers(1, 30))
        far_m = haversine_m(*here, lat, lon)
        order = np.lexsort((slots, far_m))[:limit]
        found = nearby.cameras(*here, limit=limit)
        assert [one.device for one in found] == [ids[at] for at in order.tolist()]
        far, turn = np.array([(one.distance_m, one.bearing_deg) for one in found], np.float64).T
        np.testing.assert_allclose(far, far_m[order], rtol=1e-12)
        expected = bearing_deg(*here, lat[order], lon[order])
        np.testing.assert_allclose(turn, expected, rtol=1e-12)
    assert len(nearby.cameras(0.0, 0.0, limit=1_000)) == len(ids)
