"""GeoJSON of fences: what each wrong feature is told, and datums."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.fence_checks import DEFAULT_FENCE_LIMITS, checked_fence
from devices.fences_geojson import read_collection, read_feature
from model.datum import gcj02_to_bd09, wgs84_to_gcj02
from model.errors import BadInput, LuchengError
from model.fence import Fence, FenceRule, Schedule, Shape
from tests.devices.fence_examples import ROAD_CLASSES, collection, feature, square

BOWTIE = [[[109, 40], [110, 41], [110, 40], [109, 41], [109, 40]]]


def check(fence: Fence) -> Fence:
    return checked_fence(fence, DEFAULT_FENCE_LIMITS, ROAD_CLASSES)


def read(*features: Any) -> list[Fence]:
    return read_collection(collection(*features), check, max_fences=9, max_vertices=99, utc_offset_min=480)


def test_every_property() -> None:
    (found,) = read(
        feature(
            "a.b",
            "LineString",
            [[109.8, 40.6, 1_070.0], [109.8, 40.6], [109.9, 40.6]],
            name="  钢铁大街 ",
            rule="speed",
            road_class="arterial",
            radius_m=15,
            kinds=["unit", "taxi"],
            devices=["unit/2", "taxi/1", "taxi/1"],
            days=["sat", "mon"],
            posts=[{"name": "gate", "lat": 40.6, "lon": 109.8}],
            enabled=None,
            **{"from": "22:00", "to": "06:30"},
        )
    )
    assert (found.name, found.rule, found.road_class, found.shape) == (
        "钢铁大街",
        FenceRule.SPEED,
        "arterial",
        Shape.CORRIDOR,
    )
    assert found.line == ((109.8, 40.6), (109.9, 40.6))
    assert found.schedule == Schedule(0b0100001, 22 * 60, 6 * 60 + 30, 480)
    assert (found.kinds, found.devices, found.enabled) == (("taxi", "unit"), ("taxi/1", "unit/2"), True)


def test_holes_and_parts_wind_as_the_rfc_asks() -> None:
    outside, hole, other = square(0, 0, 9, 9), square(1, 1, 2, 2), square(20, 0, 21, 1)
    (found,) = read(feature("m", "MultiPolygon", [[outside[::-1], hole], [other]]))
    assert found.polygons == ((outside, hole[::-1]), (other,))
    for polygon in found.polygons:
        assert [shapely.LinearRing(ring).is_ccw for ring in polygon] == [True, False][: len(polygon)]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (feature("x", coordinates=BOWTIE), r"self-intersection at lon 109\.5, lat 40\.5"),
        (
            feature("x", coordinates=[square(109, 40, 110, 41)[:-1]]),
            "ring 1: the ring is not closed at lon 109, lat 41",
        ),
        (feature("x", coordinates=[square(109, 40, 1100, 41)]), "not a lon, lat on the earth at lon 1100, lat 40"),
        (feature("x", coordinates=[[[109, 40], [110, 41], [109, 40]]]), "3 vertices"),
        (
            feature("x", coordinates=[square(109.8123, 40, 110, 41), square(111.1234567, 40, 112, 41)]),
            r"hole lies outside shell at lon 111\.123457, lat 40",
        ),
        (feature("x", coordinates=[]), "it has no ring"),
        (feature("x", coordinates=[[109, 40]]), "its coordinates are not those of a Polygon"),
        (feature("x", "Point", [109, 400], radius_m=1), "not a lon, lat on the earth at lon 109, lat 400"),
        (feature("x", "Point", [109], radius_m=1), "not a lon, lat"),
        (feature("x", "Point", "text", radius_m=1), "not those of a Point"),
        (feature("x", "Point", [109, 40]), "a Point without radius_m has no area"),
        (feature("x", "Point", [109, 40], radius_m=-1), "A radius of -1 m"),
        (feature("x", "Point", [109, 40], radius_m=1e9), "A radius of 1e"),
        (feature("x", "LineString", [[109, 40], [109, 40]], radius_m=9), "the line has no length at lon 109, lat 40"),
        (feature("x", "LineString", [], radius_m=9), "the line has no length"),
        (feature("x", "LineString", [[109, 40], [110, 40]], radius_m=9, line_of_defence=1), "no corridor"),
        (feature("x", "Line", []), "'Line' is no fence"),
        (feature("../x"), "'../x' is not an id"),
        (feature("x", rule="loiter"), r"not a fence: .*rule"),
        (feature("x", limit_kmh="60", rule="speed"), r"not a fence: Expected `float \| null`, got `str`.*limit_kmh"),
        (feature("x", rule="speed"), "There is no speed limit"),
        (feature("x", rule="speed", limit_kmh=-3), "-3 km/h is no limit"),
        (feature("x", rule="speed", road_class="runway"), "'runway' is no road class"),
        (feature("x", limit_kmh=60), "rule enter has no speed limit"),
        (feature("x", rule="stay"), "A stay of 0 s"),
        (feature("x", stay_s=60), "rule enter has no stay"),
        (feature("x", kinds=["ship"]), "'ship' is no kind of device"),
        (feature("x", devices=["ship/1"]), "'ship/1' is not a device id"),
        (feature("x", devices=["taxi/1"], kinds=["ebike"]), "taxi/1 is of none of the fence's kinds"),
        (feature("x", devices=[f"taxi/{n}" for n in range(1_001)]), "It names 1001 devices"),
        (feature("x", days=["monday"]), "'monday' is no day"),
        (feature("x", days=[]), "The fence has no day"),
        (feature("x", **{"from": "8:00"}), "'8:00' is no time of day"),
        (feature("x", **{"from": "24:00", "to": "06:00"}), "hours are not of a day"),
        (feature("x", **{"from": "08:00", "to": "08:00"}), "end where they begin"),
        (feature("x", utc_offset_min=9999), "no offset from UTC"),
        (feature("x", line_of_defence=4), "4 is no line of defence"),
        (feature("x", posts=[{"name": "p", "lat": 400, "lon": 0}]), "is no place"),
        (feature("x", posts=[{"name": "p", "lat": 40}]), "not a fence: .*posts"),
        (feature("x", posts=[{"name": "p", "lat": 40, "lon": 0}] * 101), "It has 101 posts"),
        (feature("x", name="n" * 101), "name has 101 characters"),
        (feature("x", name="\u202e"), r"U\+202E"),
        (feature("x", datum="mars"), "'mars' is no datum"),
        (feature("x", coordinates=BOWTIE, datum="gcj02"), r"at lon 109\.5, lat 40\.5"),
        (feature("first"), "first is feature 1 already"),
        ({"type": "Feature", "properties": {"id": "x"}}, "not a fence: .*geometry|not a fence: .*rule"),
        ({"type": "Polygon"}, "not a fence"),
        (None, "not a fence"),
    ],
)
def test_a_wrong_feature_is_named(wrong: Any, words: str) -> None:
    with pytest.raises(BadInput, match=rf"^Feature 2: .*(?:{words})"):
        read(feature("first"), wrong)


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
def test_what_is_no_geojson(raw: bytes) -> None:
    with pytest.raises(BadInput, match="Not a GeoJSON"):
        read_collection(raw, check, max_fences=9, max_vertices=99, utc_offset_min=480)


def test_deep_nesting_within_a_feature_is_bad_input() -> None:
    raw = b'{"type":"Feature","properties":{"id":"x","rule":"none"},"geometry":{"type":"Polygon","coordinates":'
    with pytest.raises(BadInput):
        read_feature(raw + b"[" * 5_000 + b"]" * 5_000 + b"}}", check, utc_offset_min=480)


@pytest.mark.parametrize("datum", ["gcj02", "bd09"])
def test_a_datum_is_converted_on_the_way_in(datum: str) -> None:
    true = [square(109.8, 40.6, 109.9, 40.7), square(109.82, 40.62, 109.83, 40.63)[::-1]]

    def shown(vertices: Any) -> list[list[float]]:
        lon, lat = np.array(vertices).T
        lat, lon = wgs84_to_gcj02(lat, lon)
        if datum == "bd09":
            lat, lon = gcj02_to_bd09(lat, lon)
        return np.stack((lon, lat), axis=1).tolist()  # type: ignore[no-any-return]

    ((post_lon, post_lat),) = shown([(109.85, 40.65)])
    posts = [{"name": "gate", "lat": post_lat, "lon": post_lon}]
    area, line, circle = read(
        feature("area", coordinates=[shown(ring) for ring in true], datum=datum, posts=posts),
        feature("line", "LineString", shown(true[0][:3]), radius_m=5, datum=datum),
        feature("circle", "Point", shown(true[0][:1])[0], radius_m=5, datum=datum),
    )
    for found, wanted in zip((*area.polygons[0], line.line), (*true, true[0][:3]), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-7)
    np.testing.assert_allclose(circle.center, true[0][0], rtol=0, atol=1e-7)
    np.testing.assert_allclose((area.posts[0].lon, area.posts[0].lat), (109.85, 40.65), rtol=0, atol=1e-7)
    assert all(ring[0] == ring[-1] for ring in area.polygons[0])


_ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-400, 400)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=100)
@given(
    st.sampled_from(("Polygon", "MultiPolygon", "Point", "LineString")),
    _ODD | st.lists(st.lists(st.lists(st.floats(-1e3, 1e3), max_size=3), max_size=6), max_size=3),
    st.dictionaries(st.sampled_from(("radius_m", "days", "from", "posts", "kinds", "stay_s", "datum", "name")), _ODD),
)
def test_nothing_odd_raises_anything_but_a_lucheng_error(kind: str, coordinates: Any, properties: Any) -> None:
    try:
        found = read(json.loads(json.dumps(feature("x", kind, coordinates, **properties))))
    except LuchengError as error:
        assert error.message.startswith("Feature 1: ")  # noqa: PT017  # most examples are refused, none must be
    else:
        assert [fence.id for fence in found] == ["x"]
