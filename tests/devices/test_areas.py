"""Jurisdictions: what is refused at the import, and which area has a point."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.areas import Areas
from devices.registry import Registry
from model.errors import BadInput, LuchengError, NotFound


def square(west: float, south: float, east: float, north: float) -> list[list[list[float]]]:
    return [[[west, south], [east, south], [east, north], [west, north], [west, south]]]


def feature(area: str, level: str, parent: str, coordinates: Any, kind: str = "Polygon") -> dict[str, Any]:
    return {
        "type": "Feature",
        "properties": {"id": area, "name": f"name of {area}", "level": level, "parent": parent, "other": 1},
        "geometry": {"type": kind, "coordinates": coordinates},
    }


def collection(*features: Any) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


CITY = feature("city", "city", "", square(109, 40, 111, 42))
TREE = (
    CITY,
    feature("west", "branch", "city", square(109, 40, 110, 42)),
    feature("east", "branch", "city", square(110, 40, 111, 42)),
    feature("west-1", "station", "west", square(109, 40, 109.5, 41)),
    feature("a", "community", "west-1", square(109, 40, 109.2, 40.2)),
    feature("b", "community", "west-1", square(109.2, 40, 109.4, 40.2)),
)


@pytest.fixture
def areas(registry: Registry) -> Areas:
    return Areas(registry.file)


def test_a_point_belongs_to_the_deepest_area_that_contains_it(areas: Areas) -> None:
    assert areas.import_geojson(collection(*TREE)) == 6
    index = areas.index()
    cases = {
        (40.1, 109.1): "a",
        (40.1, 109.3): "b",
        (40.1, 109.2): "a",  # on the boundary of both: the smaller id
        (40.0, 109.0): "a",  # on a corner of everything
        (40.1, 109.45): "west-1",
        (41.5, 109.5): "west",
        (41.0, 110.0): "east",
        (42.0, 111.0): "east",
        (42.1, 111.0): None,
        (float("nan"), 109.1): None,
        (float("inf"), 109.1): None,
    }
    for (lat, lon), expected in cases.items():
        assert index.leaf_of(lat, lon) == expected, (lat, lon)
    places = np.array(list(cases))
    found = [index.ids[i] if i >= 0 else None for i in index.leaves_of(places[:, 0], places[:, 1])]
    assert found == list(cases.values())
    assert [area.id for area in areas.tree()] == ["city", "east", "west", "west-1", "a", "b"]
    assert areas.get("a").parent == "west-1"
    with pytest.raises(NotFound):
        areas.get("zzz")


def test_an_empty_tree_has_no_leaf(areas: Areas) -> None:
    assert areas.index().leaf_of(40.0, 109.0) is None
    assert len(areas.index().leaves_of(np.zeros(0), np.zeros(0))) == 0


def test_many_points_agree_with_one_polygon_at_a_time(areas: Areas) -> None:
    seed = 20_260_101
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    areas.import_geojson(collection(*TREE))
    index = areas.index()
    lat, lon = random.uniform(39.5, 42.5, 3_000).round(1), random.uniform(108.5, 111.5, 3_000).round(1)
    depth = {"city": 0, "branch": 1, "station": 2, "community": 3}
    shapes = [(depth[area.level], area.id, shapely.Polygon(area.rings[0][0])) for area in areas.tree()]
    shapes.sort(key=lambda item: (-item[0], item[1]))
    for found, y, x in zip(index.leaves_of(lat, lon).tolist(), lat.tolist(), lon.tolist(), strict=True):
        expected = next((area for _, area, shape in shapes if shape.intersects(shapely.Point(x, y))), None)
        assert (index.ids[found] if found >= 0 else None) == expected


def test_holes_and_several_parts(areas: Areas) -> None:
    holed = [square(109, 40, 110, 41)[0], square(109.4, 40.4, 109.6, 40.6)[0]]
    areas.import_geojson(collection(feature("c", "city", "", [holed, square(111, 40, 112, 41)], "MultiPolygon")))
    index = areas.index()
    assert index.leaf_of(40.5, 109.5) is None
    assert index.leaf_of(40.4, 109.5) == "c"
    assert index.leaf_of(40.5, 111.5) == "c"


BOWTIE = [[[109, 40], [110, 41], [110, 40], [109, 41], [109, 40]]]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (feature("x", "station", "city", BOWTIE), r"Feature 2: self-intersection at lon 109\.5, lat 40\.5"),
        (
            feature("x", "station", "city", [square(109, 40, 110, 41)[0][:-1]]),
            r"Feature 2: polygon 1, ring 1: the ring is not closed at lon 109, lat 41",
        ),
        (
            feature("x", "station", "city", [[[109, 40], [110, 41], [109, 40]]]),
            r"Feature 2: .*3 vertices.* at lon 109, lat 40",
        ),
        (
            feature("x", "station", "city", square(109, 40, 1100, 41)),
            r"Feature 2: .*not a lon, lat on the earth at lon 1100",
        ),
        (feature("x", "station", "city", [[]]), "Feature 2: .*0 vertices"),
        (feature("x", "station", "city", []), "Feature 2: it has no ring"),
        (feature("x", "station", "city", [[[109], [110], [110], [109]]]), "Feature 2: .*not a lon, lat"),
        (feature("x", "station", "city", "text"), "Feature 2: its coordinates"),
        (feature("x", "station", "city", [1, 2], "Point"), "Feature 2: 'Point' is no area"),
        (feature("x", "station", "nobody", square(109, 40, 110, 41)), "Feature 2: there is no parent nobody"),
        (feature("x", "station", "", square(109, 40, 110, 41)), "Feature 2: a station needs a parent"),
        (feature("x", "city", "city", square(109, 40, 110, 41)), "Feature 2: a city cannot be under the city city"),
        (feature("x", "town", "city", square(109, 40, 110, 41)), "Feature 2: 'town' is no level"),
        (feature("../x", "station", "city", square(109, 40, 110, 41)), "Feature 2: '../x' is not an id"),
        (feature("city", "station", "city", square(109, 40, 110, 41)), "Feature 2: city is feature 1 already"),
    ],
)
def test_a_wrong_feature_is_named_and_nothing_is_taken(
    areas: Areas, registry: Registry, wrong: Any, words: str
) -> None:
    areas.import_geojson(collection(*TREE))
    before = areas.tree()
    with pytest.raises(BadInput, match=words):
        areas.import_geojson(collection(CITY, wrong))
    assert areas.tree() == before


def test_an_import_updates_or_replaces(areas: Areas, registry: Registry) -> None:
    areas.import_geojson(collection(*TREE))
    version = registry.version()
    areas.import_geojson(collection(feature("b", "community", "west-1", square(109.2, 40, 109.3, 40.2))))
    assert registry.version() == version + 1
    assert len(areas.tree()) == 6
    assert areas.index().leaf_of(40.1, 109.35) == "west-1"
    with pytest.raises(BadInput, match="Area a, which is not in the file: a community cannot be under"):
        areas.import_geojson(collection(feature("west-1", "community", "west", square(109, 40, 109.5, 41))))
    areas.import_geojson(collection(CITY), replace=True)
    assert [area.id for area in areas.tree()] == ["city"]


def test_limits(registry: Registry) -> None:
    for wrong in (
        Areas(registry.file, max_bytes=10),
        Areas(registry.file, max_areas=1),
        Areas(registry.file, max_vertices=9),
    ):
        with pytest.raises(BadInput):
            wrong.import_geojson(collection(CITY, TREE[1]))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff\xfe",
        b'{"type":"Feature"}',
        b'{"type":"FeatureCollection"}',
        b"[" * 100_000,
        b'{"type":"FeatureCollection","features":[' + b"[" * 100_000,
    ],
)
def test_what_is_no_geojson(areas: Areas, raw: bytes) -> None:
    with pytest.raises(BadInput, match="Not a GeoJSON"):
        areas.import_geojson(raw)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.lists(st.lists(st.floats(allow_nan=False) | st.integers(-200, 200), max_size=3), max_size=6), max_size=3
    )
)
def test_no_rings_raise_anything_but_a_lucheng_error(shared_areas: Areas, rings: list[list[list[float]]]) -> None:
    raw = json.dumps(
        {"type": "FeatureCollection", "features": [feature("c", "city", "", rings)]}, allow_nan=True
    ).encode()
    try:
        shared_areas.import_geojson(raw)
    except LuchengError as error:
        assert str(error)  # noqa: PT017  # most examples are refused, none must be


@pytest.fixture(scope="module")
def shared_areas(tmp_path_factory: pytest.TempPathFactory) -> Areas:
    """A tree that the examples of a property share."""
    from model.clock import FakeClock

    return Areas(Registry(tmp_path_factory.mktemp("areas") / "registry.db", clock=FakeClock()).file)
