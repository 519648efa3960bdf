"""The map over HTTP: base maps by setting, tiles by range, cameras in clusters that lose none, outlines, sites, units."""

import gzip
import json
import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import zstandard
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from config.map import Map
from config.sections import Settings
from console.web.base_map import BaseMap
from console.web.map_points import points_in
from console.web.maps import MAP_ROUTES
from console.web.plane import Box, within
from console.web.tile_file import TileFile
from devices.areas import Areas
from devices.details import DeviceDetails
from lucheng.demo_roads import put_roads, roads_geojson
from lucheng.live_side import LiveSide, Places, open_live_side
from model.datum import wgs84_to_gcj02
from model.device import Jurisdiction, Site
from model.errors import BadInput, LuchengError, NotFound, UsageError
from tests.console.conftest import START_MS, House
from tests.console.web.live_house import People, Serving, _problem, ask

BAOTOU = "109.7,40.5,110.0,40.8"


class MapHouse:
    """The routes of the live side of a house, served."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.people = People()
        self.people.routes["operator"] = MAP_ROUTES
        self.side: LiveSide = open_live_side(
            house.rooms, house.operations, Places(house.rooms, house.rooms.directory).table
        )
        app = FastAPI()
        for router in self.side.routes(self.people.visitor):
            app.include_router(router, prefix="/api/v1")
        app.add_exception_handler(LuchengError, _problem)
        self.serving = Serving(app)

    def get(self, path: str, **more: str) -> tuple[int, Any]:
        return ask(self.serving.port, "GET", f"/api/v1/map/{path}", **more)

    def base(self, **settings: Any) -> BaseMap:
        return BaseMap(Map(**settings), self.house.rooms.data_dir)


@pytest.fixture
def settings() -> Settings:
    return Settings(map=Map(max_points=40))


@pytest.fixture
def maps(house: House) -> Iterator[MapHouse]:
    made = MapHouse(house)
    with made.serving:
        yield made
    made.side.close()


def put_file(house: House, name: str, data: bytes) -> Path:
    folder = house.rooms.data_dir / "map"
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(data)
    return path


def archive(
    tile_type: int = 1, layers: tuple[str, ...] = ("water", "roads"), compression: int = 2, **more: Any
) -> bytes:
    """A PMTiles archive of no tiles: header and description."""
    metadata = json.dumps(
        {"vector_layers": [{"id": one} for one in layers], "attribution": "<b>x</b>", **more}
    ).encode()
    packed = {1: lambda: metadata, 2: lambda: gzip.compress(metadata), 4: lambda: zstandard.compress(metadata)}
    data = packed[compression]()
    e7 = [int(value * 1e7) for value in (109.0, 40.0, 110.5, 41.0)]
    numbers = (127, 0, 127, len(data), 0, 0, 127 + len(data), 1000, 0, 0, 0)
    header = struct.pack("<7sB11Q6B4iB2i", b"PMTiles", 3, *numbers, 1, compression, 2, tile_type, 5, 14, *e7, 10, 0, 0)
    assert len(header) == 127
    return header + data + bytes(range(256)) * 4


# -- base maps --------------------------------------------------------------------------------


def test_where_there_is_nothing_the_map_has_a_ground(maps: MapHouse) -> None:
    status, style = maps.get("style")
    assert (status, style["version"], style["sources"]) == (200, 8, {})
    assert style["metadata"] == {"lucheng:datum": "wgs84", "lucheng:base": "none"}
    assert style["center"] == [109.84, 40.65]
    assert maps.get("roads")[0] == 404
    assert maps.get("tiles", range="bytes=0-9")[0] == 404


def test_the_demo_citys_roads_are_the_base_map_in_either_datum(maps: MapHouse) -> None:
    path = put_roads(maps.house.rooms.data_dir, seed=1)
    status, style = maps.get("style?datum=gcj02&theme=dark")
    assert status == 200
    assert style["metadata"] == {"lucheng:datum": "gcj02", "lucheng:base": "roads"}
    assert style["sources"]["base"] == {"type": "geojson", "data": "/api/v1/map/roads?datum=gcj02"}
    assert {layer["id"] for layer in style["layers"]} >= {"ground", "road-street", "road-avenue", "road-ring"}
    plain, turned = maps.get("roads")[1], maps.get("roads?datum=gcj02")[1]
    assert {road["properties"]["class"] for road in plain["features"]} == {"street", "avenue", "ring"}
    assert len(plain["features"]) == len(turned["features"]) > 600
    here, there = (np.array(one["features"][7]["geometry"]["coordinates"]) for one in (plain, turned))
    lat, lon = wgs84_to_gcj02(here[:, 1], here[:, 0])
    assert np.abs(there - np.stack((lon, lat), axis=1)).max() < 2e-6
    path.write_bytes(b"mine")
    assert put_roads(maps.house.rooms.data_dir, seed=1).read_bytes() == b"mine"
    assert maps.get("roads")[0] == 400


def test_a_style_is_asked_after_and_not_sent_twice(maps: MapHouse) -> None:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", maps.serving.port)
    connection.request("GET", "/api/v1/map/style", headers={"x-user": "wang"})
    answer = connection.getresponse()
    answer.read()
    etag = answer.headers["etag"]
    connection.request("GET", "/api/v1/map/style", headers={"x-user": "wang", "if-none-match": etag})
    again = connection.getresponse()
    assert (again.status, again.read()) == (304, b"")
    connection.close()


def test_roads_given_otherwise_stand_for_a_file(house: House) -> None:
    base = BaseMap(Map(), house.rooms.data_dir, roads=lambda: roads_geojson(2))
    assert base.style()["metadata"]["lucheng:base"] == "roads"
    assert len(msgspec.json.decode(base.roads())["features"]) > 600


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b'{"type":"FeatureCollection","features":[{"geometry":{"type":"LineString","coordinates":[[1]]}}]}',
        b'{"type":"FeatureCollection","features":[{"geometry":{"type":"LineString","coordinates":[[1,2],[999,2]]}}]}',
        b'{"type":"FeatureCollection","features":[{"geometry":{"type":"LineString","coordinates":"x"}}]}',
        b"[" * 100_000,
    ],
)
def test_a_file_of_roads_that_is_none_is_said_to_be_none(house: House, text: bytes) -> None:
    put_file(house, "roads.geojson", text)
    with pytest.raises(BadInput):
        BaseMap(Map(), house.rooms.data_dir).roads()


def test_a_file_of_roads_over_its_limit_is_not_read(house: House) -> None:
    put_file(house, "roads.geojson", b" " * 2048)
    with pytest.raises(BadInput, match="max_roads_bytes"):
        BaseMap(Map(max_roads_bytes=1024), house.rooms.data_dir).roads()


def test_points_and_areas_in_a_file_of_roads_are_passed_over_and_texts_stay_data(house: House) -> None:
    features = [
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": None},
        {
            "type": "Feature",
            "geometry": {"type": "MultiLineString", "coordinates": [[[1, 2], [3, 4, 5]], [[5, 6], [7, 8]]]},
            "properties": {"class": "</script>" * 20, "name": "x"},
        },
    ]
    put_file(house, "roads.geojson", json.dumps({"type": "FeatureCollection", "features": features}).encode())
    roads = msgspec.json.decode(BaseMap(Map(), house.rooms.data_dir).roads())["features"]
    assert [road["geometry"]["coordinates"] for road in roads] == [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]
    assert all(len(road["properties"]["class"]) == 40 for road in roads)


def test_a_tile_server_goes_first_and_its_origin_is_named_for_the_policy(maps: MapHouse) -> None:
    base = maps.base(
        tiles_url="https://tiles.city.local:8443/m/{z}/{x}/{y}.png", tiles_datum="gcj02", tiles_file="a.pmtiles"
    )
    style = base.style(theme="dark")
    assert style["metadata"] == {"lucheng:datum": "gcj02", "lucheng:base": "server"}
    assert style["sources"]["base"]["tiles"] == ["https://tiles.city.local:8443/m/{z}/{x}/{y}.png"]
    assert style["center"] != [109.84, 40.65]
    assert base.origins == ["https://tiles.city.local:8443"]
    assert maps.base().origins == []


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/{z}/{x}/{y}",
        "https://x/{z}/{x}",
        "https://user:secret@x/{z}/{x}/{y}",
        "https://x;script-src *//{z}/{x}/{y}",
        "https://x/{z}/{x}/{y}\n",
        "javascript:alert(1)/{z}/{x}/{y}",
        "https:///{z}/{x}/{y}",
        "https://x:99999/{z}/{x}/{y}",
    ],
)
def test_what_is_no_tile_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="tiles_url"):
        Map(tiles_url=url)


# -- a file of tiles --------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [1, 2, 4])
def test_a_pmtiles_file_says_what_is_in_it(house: House, compression: int) -> None:
    put_file(house, "city.pmtiles", archive(compression=compression, layers=("water", "roads", "pois", "earth")))
    style = BaseMap(Map(tiles_file="city.pmtiles"), house.rooms.data_dir).style()
    source = style["sources"]["base"]
    assert source == {
        "type": "vector",
        "url": "pmtiles:///api/v1/map/tiles",
        "bounds": [109.0, 40.0, 110.5, 41.0],
        "minzoom": 5,
        "maxzoom": 14,
        "attribution": "<b>x</b>",
    }
    assert [layer["id"] for layer in style["layers"]] == [
        "ground",
        "fill-earth",
        "fill-water",
        "casing-roads",
        "line-roads",
    ]


def test_tiles_that_are_pictures_are_shown_as_such(house: House) -> None:
    put_file(house, "city.pmtiles", archive(tile_type=2, layers=()))
    style = BaseMap(Map(tiles_file="city.pmtiles", attribution="城市"), house.rooms.data_dir).style()
    assert style["sources"]["base"]["type"] == "raster"
    assert style["sources"]["base"]["attribution"] == "城市"


@pytest.mark.parametrize(
    "data",
    [b"", b"PMTiles\x03", b"PMTiles\x02" + archive()[8:], archive(tile_type=9), archive()[:130] + b"\0" * 100],
)
def test_a_file_that_is_no_archive_is_refused(house: House, data: bytes) -> None:
    put_file(house, "city.pmtiles", data)
    with pytest.raises(BadInput):
        TileFile(house.rooms.data_dir / "map", "city.pmtiles").archive()


def test_a_description_that_unpacks_to_gigabytes_is_cut(house: House) -> None:
    data = gzip.compress(b'{"x":"' + b" " * (20 << 20) + b'"}')
    header = bytearray(archive()[:127])
    struct.pack_into("<Q", header, 32, len(data))
    put_file(house, "city.pmtiles", bytes(header) + data)
    with pytest.raises(BadInput):
        TileFile(house.rooms.data_dir / "map", "city.pmtiles").archive()


def test_any_range_is_the_very_bytes_or_refused(house: House) -> None:
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    data = chance.randbytes(5_000)
    put_file(house, "city.pmtiles", data)
    tiles = TileFile(house.rooms.data_dir / "map", "city.pmtiles", max_range_bytes=1_000)
    for _ in range(300):
        start, end = chance.randrange(6_000), chance.randrange(6_000)
        last = min(end, len(data) - 1)
        if start <= last and last - start < 1_000:
            piece = tiles.piece(f"bytes={start}-{end}")
            assert (piece.data, piece.start, piece.size) == (data[start : last + 1], start, 5_000)
        else:
            with pytest.raises(UsageError):
                tiles.piece(f"bytes={start}-{end}")


@pytest.mark.parametrize(
    "asked",
    [None, "", "bytes=", "bytes=-5", "bytes=0-1,3-4", "bytes=5-2", "items=0-5", "bytes=0-" + "9" * 30, "bytes=x-y"],
)
def test_s16_odd_and_huge_ranges_are_refused(house: House, asked: str | None) -> None:
    put_file(house, "city.pmtiles", archive())
    with pytest.raises(UsageError):
        TileFile(house.rooms.data_dir / "map", "city.pmtiles").piece(asked)


@pytest.mark.parametrize(
    "name", ["../audit.db", "/etc/passwd", "a/b", "..", ".hidden", "a\0b", "", "x" * 300, "a b", "é"]
)
def test_s5_no_name_leads_out_of_the_folder(house: House, name: str) -> None:
    with pytest.raises(UsageError):
        TileFile(house.rooms.data_dir / "map", name)
    if name:
        with pytest.raises(ValueError, match="tiles_file"):
            Map(tiles_file=name)


def test_s5_links_folders_and_pipes_are_no_files(house: House) -> None:
    folder = put_file(house, "city.pmtiles", archive()).parent
    (folder / "link").symlink_to(house.rooms.data_dir / "audit.db")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    for name in ("link", "folder", "pipe", "none"):
        with pytest.raises(NotFound):
            TileFile(folder, name).piece("bytes=0-10")


def test_tiles_come_by_range_over_http(house: House) -> None:
    put_file(house, "city.pmtiles", archive())
    given = house.rooms.settings.model_copy(update={"map": Map(tiles_file="city.pmtiles")})
    house.rooms.settings = given
    maps = MapHouse(house)
    with maps.serving:
        assert maps.get("tiles", range="bytes=0-6") == (206, b"PMTiles")
        assert maps.get("tiles")[0] == 422
        assert maps.get("style")[1]["metadata"]["lucheng:base"] == "pmtiles"
    maps.side.close()


# -- cameras and sites ------------------------------------------------------------------------


def add_cameras(house: House, count: int) -> None:
    rng = np.random.default_rng(5)
    for number in range(count):
        lat, lon = 40.65 + rng.uniform(-0.1, 0.1), 109.84 + rng.uniform(-0.1, 0.1)
        house.rooms.registry.add(f"camera/{number}", DeviceDetails(name=f"<b>门 {number}</b>", lat=lat, lon=lon))


def test_cameras_come_one_by_one_where_they_are_few_and_as_clusters_where_they_are_many(maps: MapHouse) -> None:
    add_cameras(maps.house, 100)
    maps.house.rooms.registry.disable("camera/7")
    status, many = maps.get(f"cameras?bbox={BAOTOU}&zoom=11")
    assert (status, many["clustered"], many["total"]) == (200, True, 99)
    assert len(many["features"]) <= 40
    assert sum(one["properties"].get("count", 1) for one in many["features"]) == 99
    few = maps.get("cameras?bbox=109.80,40.63,109.86,40.67&zoom=15")[1]
    assert few["clustered"] is False
    assert 0 < len(few["features"]) < 40
    first = few["features"][0]
    assert first["id"].startswith("camera/")
    assert first["properties"] == {"name": f"<b>门 {first['id'][7:]}</b>", "site": "", "state": None}
    assert maps.get("cameras?bbox=0,0,1,1&zoom=11")[1]["features"] == []


@pytest.mark.parametrize(
    "query", ["", "bbox=1,2,3&zoom=1", "bbox=1,2,3,4&zoom=99", "bbox=1,2,3,4&zoom=nan", "bbox=' OR 1=1&zoom=3"]
)
def test_a_question_that_is_none_is_refused(maps: MapHouse, query: str) -> None:
    assert maps.get(f"cameras?{query.replace(' ', '%20')}")[0] == 422


def test_sites_are_shown_without_anybodys_name_or_number(maps: MapHouse) -> None:
    add_cameras(maps.house, 2)
    from devices.sites import Sites

    sites = Sites(maps.house.rooms.registry.file)
    sites.add(Site("school-1", "一小", "张三", "13800000000", 40.65, 109.84, ("camera/0", "camera/1")))
    found = maps.get(f"sites?bbox={BAOTOU}&zoom=12")[1]["features"]
    assert [(one["id"], one["properties"]) for one in found] == [("school-1", {"name": "一小", "cameras": 2})]
    sites.add(Site("bank-1", "", "", "", 40.66, 109.85))
    assert len(maps.get(f"sites?bbox={BAOTOU}&zoom=12")[1]["features"]) == 2


PLACES = st.lists(st.tuples(st.floats(-85, 85), st.floats(-180, 180)), max_size=80)


@given(
    PLACES, st.tuples(st.floats(-180, 180), st.floats(0, 360), st.floats(-85, 85), st.floats(-85, 85)), st.floats(0, 24)
)
def test_no_answer_is_over_its_limit_and_none_loses_a_place(
    places: list[tuple[float, float]], bounds: tuple[float, float, float, float], zoom: float
) -> None:
    west, wide, one, other = bounds
    box = Box.of([west, min(one, other), west + wide, max(one, other)])
    places.sort()
    lat, lon = (np.array([place[axis] for place in places], np.float64) for axis in (0, 1))
    expected = int(within(box, lat, lon).sum())
    for sorted_by in (False, True):
        text = points_in(
            box, zoom, lat, lon, lambda rows: [(str(row), {}) for row in rows], max_points=20, by_latitude=sorted_by
        )
        found = msgspec.json.decode(text)
        assert found["total"] == expected
        assert sum(point["properties"].get("count", 1) for point in found["features"]) == expected
        assert len(found["features"]) <= 20
        assert found["clustered"] == (expected > 20)


# -- outlines and units -----------------------------------------------------------------------

SQUARE = [[[109.8, 40.6], [109.9, 40.6], [109.9, 40.7], [109.8, 40.7], [109.8, 40.6]]]


def fence(fence_id: str, **properties: Any) -> dict[str, Any]:
    shape = properties.pop("geometry", {"type": "Polygon", "coordinates": SQUARE})
    return {"type": "Feature", "properties": {"id": fence_id, "rule": "enter", **properties}, "geometry": shape}


def test_fences_are_drawn_as_they_are_judged_and_those_of_an_ebike_are_not(maps: MapHouse) -> None:
    house = maps.house
    house.ask("device_add", device="ebike/1")
    house.ask("device_add", device="taxi/1")
    house.ask("fence_add", feature=fence("square", name="<script>"))
    round_one = {"type": "Point", "coordinates": [109.84, 40.65]}
    house.ask("fence_add", feature=fence("round", radius_m=500, geometry=round_one))
    house.ask("fence_add", feature=fence("home", devices=["ebike/1"]))
    house.ask("fence_add", feature=fence("bikes", kinds=["ebike"]))
    house.ask("fence_add", feature=fence("both", devices=["ebike/1", "taxi/1"]))
    status, found = maps.get("fences?zoom=16")
    shown = {one["id"]: one for one in found["features"]}
    assert status == 200
    assert set(shown) == {"square", "round", "both"}
    assert shown["square"]["properties"]["name"] == "<script>"
    assert shown["square"]["geometry"]["coordinates"] == SQUARE
    ring = np.array(shown["round"]["geometry"]["coordinates"][0])
    assert len(ring) > 30
    assert 0.004 < ring[:, 1].max() - 40.65 < 0.005
    assert [one["id"] for one in maps.get("fences?bbox=109.7,40.5,109.801,40.61&zoom=16")[1]["features"]] == [
        "square",
        "both",
    ]
    house.ask("fence_remove", fence="square")
    assert {one["id"] for one in maps.get("fences")[1]["features"]} == {"round", "both"}


def test_jurisdictions_keep_their_common_borders_when_they_are_drawn_coarsely(maps: MapHouse) -> None:
    rng = np.random.default_rng(2)
    y = np.linspace(40.5, 40.8, 200)
    border = [(float(x), float(at)) for x, at in zip(109.85 + rng.uniform(-0.0005, 0.0005, 200), y, strict=True)]
    west = [(109.7, 40.5), *border, (109.7, 40.8), (109.7, 40.5)]
    east = [(110.0, 40.5), (110.0, 40.8), *reversed(border), (110.0, 40.5)]
    whole = [(109.7, 40.5), (110.0, 40.5), (110.0, 40.8), (109.7, 40.8), (109.7, 40.5)]
    features = [
        {
            "type": "Feature",
            "properties": {"id": name, "name": name, "level": level, "parent": "" if level == "city" else "all"},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }
        for name, level, ring in (("all", "city", whole), ("west", "branch", west), ("east", "branch", east))
    ]
    Areas(maps.house.rooms.registry.file).import_geojson(
        json.dumps({"type": "FeatureCollection", "features": features}).encode()
    )
    fine, coarse = (maps.get(f"jurisdictions?zoom={zoom}")[1]["features"][1:] for zoom in (18, 8))
    size = [sum(len(ring) for ring in rings_of(one)) for one in (*fine, *coarse)]
    assert min(size[:2]) > 150
    assert max(size[2:]) < 100
    one, other = ({tuple(place) for ring in rings_of(area) for place in ring} for area in coarse)
    shared = one & other
    # every vertex of the one that lies between the corners is one of the other's, too
    assert {place for place in one if 109.8 < place[0] < 109.9} == shared
    assert coarse[0]["properties"]["level"] == "branch"


def rings_of(feature: dict[str, Any]) -> list[list[list[float]]]:
    coordinates = feature["geometry"]["coordinates"]
    if feature["geometry"]["type"] == "Polygon":
        return list(coordinates)
    return [ring for polygon in coordinates for ring in polygon]


def test_outlines_get_coarser_until_they_fit(house: House) -> None:
    from console.web.map_shapes import area_outlines

    turn = np.linspace(0, 2 * np.pi, 5_000, endpoint=False)
    rng = np.random.default_rng(4)
    far = 0.1 * (1 + 0.02 * rng.standard_normal(5_000))
    ring = [
        (109.84 + r * float(np.cos(t)), 40.65 + r * float(np.sin(t))) for r, t in zip(far.tolist(), turn, strict=True)
    ]
    made = Jurisdiction("city", "", "city", "", [[[*ring, ring[0]]]])
    areas = Areas(house.rooms.registry.file)
    areas.tree = lambda: [made]  # type: ignore[method-assign]
    text, _ = area_outlines(areas, house.rooms.registry.file, max_vertices=1_000).geojson(None, 20)
    drawn = msgspec.json.decode(text)["features"]
    assert 10 < sum(len(one) for feature in drawn for one in rings_of(feature)) <= 1_000


def test_units_come_with_their_state_and_their_place_while_it_is_live_and_the_look_is_noted_once(
    maps: MapHouse,
) -> None:
    house = maps.house
    for unit in ("unit/1", "unit/2", "unit/3"):
        house.ask("device_add", device=unit)
        house.ask("unit_set", unit=unit, level=2, state="free")
    house.rooms.registry.refresh(house.rooms.directory)
    house.put("unit/1", [START_MS - 2_500])
    house.put("unit/2", [START_MS - 3_600_000])
    side = maps.side
    side.positions.take(open_batch(house))
    found = {one["id"]: one for one in maps.get("units")[1]["features"]}
    assert found["unit/1"]["geometry"] == {"type": "Point", "coordinates": [109.84, 40.65]}
    assert found["unit/1"]["properties"] == {"state": "free", "level": 2, "alarm": None, "age_s": 2.5}
    assert found["unit/2"]["geometry"] is None
    assert found["unit/3"]["geometry"] is None
    maps.get("units")
    assert [row for row in house.actions() if row[1] == "unit/*"] == [("read.live_map", "unit/*", "")]


def open_batch(house: House) -> Any:
    """What the store has of every device."""
    from console.track_rows import FIRST_MS, LAST_MS
    from model.grant import Grant, Purpose

    return house.rooms.series.latest(Grant("t", "cli", Purpose("test"), None, FIRST_MS, LAST_MS), None)


def test_the_table_of_places_begins_with_what_the_store_has(house: House) -> None:
    house.put("taxi/1", [START_MS - 1_000])
    house.rooms.registry.refresh(house.rooms.directory)
    positions = Places(house.rooms, house.rooms.directory).table
    assert [house.rooms.directory.ids[slot] for slot in positions.picture().slot.tolist()] == ["taxi/1"]
    assert ("series.latest", "*", "maintenance::the live map begins") in house.actions() or "series.latest" in [
        action for action, _, _ in house.actions()
    ]


def test_s6_a_role_without_the_route_gets_nothing(maps: MapHouse) -> None:
    for name in MAP_ROUTES:
        path = name.removeprefix("map_")
        assert maps.get(f"{path}?bbox=1,1,2,2&zoom=3", user="zhao")[0] == 403
