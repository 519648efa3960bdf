"""The operations on fences on a real registry: what they keep, tell the rules and audit, and what they refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest

from config.sections import Fences as FenceSettings
from config.sections import Settings
from console.fence_operations import open_fences
from model.errors import AuditUnwritable, BadInput, Conflict, NotFound, UsageError
from tests.console.conftest import House

SQUARE = [[[109.8, 40.6], [109.9, 40.6], [109.9, 40.7], [109.8, 40.7], [109.8, 40.6]]]
#: START_MS is Sunday 2026-11-22, 16:00 in the city.


@pytest.fixture
def told(house: House) -> list[int]:
    """The versions that the rules were told."""
    versions: list[int] = []
    house.operations._on_fence_change = versions.append
    return versions


def feature(fence: str, geometry: Any = None, **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "properties": {"id": fence, "rule": "forbidden", **properties},
        "geometry": geometry or {"type": "Polygon", "coordinates": SQUARE},
    }


def collection(*features: dict[str, Any]) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def test_a_fence_is_added_shown_changed_and_removed(house: House, told: list[int]) -> None:
    added = house.ask("fence_add", feature=feature("a", name="market", kinds=["taxi"]))
    assert (added["fence"], added["number"], added["kinds"], added["version"]) == ("a", 1, ["taxi"], 1)
    with pytest.raises(Conflict):
        house.ask("fence_add", feature=feature("a"))
    shown = json.loads(json.dumps(house.ask("fence_show", fence="a")))
    assert shown["feature"]["geometry"] == {"type": "Polygon", "coordinates": SQUARE}
    changed = house.ask("fence_add", feature=feature("a", rule="enter"), change=True)
    assert (changed["rule"], changed["number"], changed["version"]) == ("enter", 1, 2)
    with pytest.raises(NotFound):
        house.ask("fence_add", feature=feature("b"), change=True)
    assert [row["fence"] for row in house.ask("fence_list")] == ["a"]
    assert house.ask("fence_remove", fence="a") == {"fence": "a", "version": 3}
    with pytest.raises(NotFound):
        house.ask("fence_show", fence="a")
    assert told == [1, 2, 3]
    assert [(action, target) for action, target, _ in house.actions()] == [
        ("fence.add", "a"),
        ("fence.add", "a"),
        ("fence.change", "a"),
        ("fence.change", "b"),
        ("fence.remove", "a"),
    ]


def test_a_fence_that_was_changed_since_is_not_written_over(house: House) -> None:
    house.ask("fence_add", feature=feature("a", name="market"))
    house.ask("fence_add", feature=feature("b"))
    looked_at = house.ask("fence_show", fence="a")["version"]
    house.ask("fence_add", feature=feature("b", rule="enter"), change=True)  # another one: no matter
    assert house.ask("fence_add", feature=feature("a", name="mine"), change=True, version=looked_at)["version"] == 4
    with pytest.raises(Conflict) as late:
        house.ask("fence_add", feature=feature("a", name="theirs"), change=True, version=looked_at)
    assert late.value.current == {"fence": "a", "version": 4}
    with pytest.raises(Conflict):
        house.ask("fence_remove", fence="a", version=looked_at)
    assert house.ask("fence_show", fence="a")["name"] == "mine"
    house.ask("fence_remove", fence="a", version=4)
    assert [row["fence"] for row in house.ask("fence_list")] == ["b"]


def test_import_and_export(house: House, told: list[int]) -> None:
    circle = {"type": "Point", "coordinates": [109.84, 40.65]}
    raw = collection(feature("a"), feature("b", circle, radius_m=50))
    assert house.ask("fence_import", data=raw) == {"fences": 2, "version": 1}
    exported = house.ask("fence_export")
    assert [one["properties"]["id"] for one in exported["features"]] == ["a", "b"]
    assert house.ask("fence_import", data=json.dumps(exported).encode(), replace=True) == {"fences": 2, "version": 1}
    with pytest.raises(BadInput, match="Feature 2"):
        house.ask("fence_import", data=collection(feature("c"), feature("../d")))
    assert house.ask("fence_import", data=collection(feature("b")), replace=True) == {"fences": 1, "version": 2}
    assert told == [1, 2]  # what changed nothing is no news
    assert [row["fence"] for row in house.ask("fence_list")] == ["b"]


def test_which_fences_a_place_is_in_and_which_are_in_force(house: House) -> None:
    near = {"type": "Point", "coordinates": [109.84, 40.65]}
    house.ask(
        "fence_import",
        data=collection(
            feature("area"),
            feature("circle", near, radius_m=100),
            feature("corridor", {"type": "LineString", "coordinates": [[109.84, 40.0], [109.84, 41.0]]}, radius_m=20),
            feature("off", enabled=False),
            feature("saturday", days=["sat"]),
            feature("evening", **{"from": "18:00", "to": "06:00"}),
            feature("afternoon", days=["sun"], **{"from": "12:00", "to": "18:00"}),
            feature("elsewhere", {"type": "Point", "coordinates": [0, 0]}, radius_m=100),
        ),
    )

    def found(lat: float, lon: float) -> dict[str, bool]:
        return {row["fence"]: row["in_force"] for row in house.ask("fence_test", lat=lat, lon=lon)}

    inside = {"area": True, "off": False, "saturday": False, "evening": False, "afternoon": True}
    assert found(40.65, 109.84) == {**inside, "circle": True, "corridor": True}
    assert found(40.6, 109.8) == inside  # a corner is inside
    assert found(40.5, 109.84) == {"corridor": True}
    assert found(41.5, 109.84) == {}
    house.clock.advance(3 * 3_600)
    assert found(40.6, 109.8) == {**inside, "evening": True, "afternoon": False}
    house.ask("fence_remove", fence="area")
    assert "area" not in found(40.6, 109.8)
    assert not {row["enabled"] for row in house.ask("fence_test", lat=40.6, lon=109.8) if row["fence"] == "off"} - {
        False
    }
    for lat, lon in ((float("nan"), 109.0), (91.0, 109.0)):
        with pytest.raises(UsageError):
            house.ask("fence_test", lat=lat, lon=lon)


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Polygon", "coordinates": [[[-179, 0], [179, 0], [179, 1], [-179, 0]]]},
        {"type": "Point", "coordinates": [0, 89.99]},
        {"type": "Point", "coordinates": [179.9999, 0]},
    ],
)
def test_what_could_not_be_put_in_force_is_not_kept(house: House, told: list[int], geometry: Any) -> None:
    with pytest.raises(BadInput, match="Feature 1: fence odd: "):
        house.ask("fence_import", data=collection(feature("odd", geometry, radius_m=5_000)))
    assert (told, house.ask("fence_list")) == ([], [])


@pytest.mark.parametrize(
    "odd", [{}, {"type": "Feature"}, {"type": "Feature", "properties": "\ud800", "geometry": None}]
)
def test_an_odd_feature_is_bad_input(house: House, odd: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        house.ask("fence_add", feature=odd)


def test_nothing_changes_when_the_audit_cannot_be_written(house: House, told: list[int]) -> None:
    house.ask("fence_add", feature=feature("a"))
    house.rooms.audit.close()
    for operation, arguments in (
        ("fence_add", {"feature": feature("b")}),
        ("fence_remove", {"fence": "a"}),
        ("fence_import", {"data": collection(), "replace": True}),
    ):
        with pytest.raises(AuditUnwritable):
            house.ask(operation, **arguments)
    assert ([row["fence"] for row in house.ask("fence_list")], told) == (["a"], [1])


def test_limits_zone_and_road_classes_are_those_of_the_settings(house: House) -> None:
    given = Settings(fences=FenceSettings(max_fences=1, max_vertices=5, max_fence_vertices=5))
    fences = open_fences(house.rooms.registry, given, house.clock)
    speed = feature("a", rule="speed", road_class="expressway", **{"from": "08:00"})
    kept = fences.add(fences.read_feature(json.dumps(speed).encode()))
    assert (kept.schedule.utc_offset_min, kept.road_class) == (480, "expressway")
    with pytest.raises(BadInput):
        fences.import_geojson(collection(feature("a"), feature("b")))
    with pytest.raises(UsageError, match="no road class"):
        fences.read_feature(json.dumps(feature("b", rule="speed", road_class="runway")).encode())
