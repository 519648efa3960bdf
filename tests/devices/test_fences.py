"""Fences kept: versions, numbers, limits, and the way through GeoJSON and back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.fence_checks import FenceLimits
from devices.fences import Fences
from devices.registry import Registry
from model.clock import FakeClock
from model.errors import BadInput, Conflict, Corrupt, NotFound, Refused, StoreError, UsageError
from model.fence import Fence, FenceRule, FenceSet, Post, Shape
from tests.devices.fence_examples import ROAD_CLASSES, area, collection, feature, fences, square

HERE = square(109.8, 40.6, 109.9, 40.7)
THERE = square(109.9, 40.6, 110.0, 40.7)


@pytest.fixture
def kept(registry: Registry) -> Fences:
    return Fences(registry.file, road_classes=ROAD_CLASSES)


def test_every_change_is_a_version_that_stays(kept: Fences, registry: Registry) -> None:
    assert kept.load() == FenceSet(0, ())
    before = registry.version()
    one = kept.add(area("one", HERE))
    two = kept.add(area("two", THERE))
    moved = kept.update(replace(one, number=0, polygons=((THERE,),)))
    kept.remove("two")
    assert (one.number, two.number, moved.number) == (1, 2, 1)
    assert [kept.load(version).fences for version in range(5)] == [(), (one,), (one, two), (moved, two), (moved,)]
    assert [kept.load(version).version for version in (None, 99, -1)] == [4, 4, 4]
    assert kept.version() == 4
    assert registry.version() == before + 4
    assert kept.update(moved) == moved
    assert kept.version() == 4  # nothing changed, so no version


def test_a_number_is_never_used_again(kept: Fences) -> None:
    first = kept.add(area("one", HERE))
    kept.remove("one")
    assert kept.add(area("one", HERE)).number == first.number + 1
    kept.import_geojson(collection(feature("two"), feature("one")))
    assert [(fence.id, fence.number) for fence in kept.load().fences] == [("one", 2), ("two", 3)]
    kept.import_geojson(collection(feature("two")), replace=True)
    kept.import_geojson(collection(feature("one")))
    assert [(fence.id, fence.number) for fence in kept.load().fences] == [("two", 3), ("one", 4)]


def test_ids(kept: Fences) -> None:
    kept.add(area("b", HERE))
    kept.add(area("a", HERE))
    assert [fence.id for fence in kept.list()] == ["a", "b"]
    assert [fence.id for fence in kept.list(after="a", limit=1)] == ["b"]
    assert kept.get("a").number == 2
    with pytest.raises(Conflict):
        kept.add(area("a", THERE))
    for call in (lambda: kept.get("c"), lambda: kept.remove("c"), lambda: kept.update(area("c", HERE))):
        with pytest.raises(NotFound):
            call()
    with pytest.raises(UsageError):
        kept.get("../a")
    with pytest.raises(UsageError):
        kept.list(limit=0)
    assert kept.version() == 2


def test_old_versions_go_by_number_and_by_size(registry: Registry) -> None:
    few = Fences(registry.file, limits=FenceLimits(kept_versions=3))
    for place in range(5):
        few.add(area(f"f{place}", HERE))
    few.remove("f0")
    assert [few.load(version).version for version in range(7)] == [6, 6, 6, 6, 4, 5, 6]
    assert [len(few.load(version).fences) for version in (4, 5, 6)] == [4, 5, 4]
    small = Fences(registry.file, limits=FenceLimits(kept_versions=100, max_kept_vertices=9))
    small.update(area("f1", THERE))
    assert [small.load(version).version for version in (5, 6, 7)] == [7, 6, 7]  # 5 held f0, which went first
    small.update(area("f1", HERE))
    assert [small.load(version).version for version in (6, 7, 8)] == [8, 7, 8]
    with registry.file.reading() as connection:
        assert connection.execute("SELECT count(*) FROM fence").fetchone() == (5,)


def test_an_import_writes_what_changed_alone(kept: Fences) -> None:
    raw = collection(
        feature("one", name="n"), feature("two", "Point", [109.8, 40.6], radius_m=30, rule="stay", stay_s=9)
    )
    assert kept.import_geojson(raw) == 2
    assert kept.import_geojson(raw, replace=True) == 2
    assert kept.version() == 1
    one, two = kept.load().fences
    assert (one.name, one.polygons, one.shape) == ("n", ((HERE,),), Shape.POLYGON)
    assert (two.center, two.radius_m, two.stay_s, two.rule) == ((109.8, 40.6), 30.0, 9, FenceRule.STAY)
    kept.import_geojson(collection(feature("one", name="m")))
    assert kept.load().fences == (replace(one, name="m"), two)
    kept.import_geojson(collection(), replace=True)
    assert kept.load() == FenceSet(3, ())


def test_an_import_is_taken_whole_or_not_at_all(kept: Fences) -> None:
    kept.add(area("one", HERE))
    bowtie = [[[109, 40], [110, 41], [110, 40], [109, 41], [109, 40]]]
    with pytest.raises(BadInput, match=r"Feature 2: self-intersection at lon 109\.5, lat 40\.5"):
        kept.import_geojson(collection(feature("two"), feature("x", coordinates=bowtie)), replace=True)
    assert [fence.id for fence in kept.load().fences] == ["one"]
    assert kept.version() == 1


def test_limits(registry: Registry) -> None:
    two = collection(feature("one"), feature("two"))
    for limits in (
        FenceLimits(max_import_bytes=10),
        FenceLimits(max_fences=1),
        FenceLimits(max_vertices=9),
        FenceLimits(max_fence_vertices=4),
    ):
        with pytest.raises(BadInput):
            Fences(registry.file, limits=limits).import_geojson(two)
    for limits in (FenceLimits(max_fences=1), FenceLimits(max_vertices=9)):
        full = Fences(registry.file, limits=limits)
        full.import_geojson(collection(feature("one")), replace=True)
        with pytest.raises(Refused):
            full.add(area("two", HERE))
        with pytest.raises(Refused):
            full.import_geojson(collection(feature("two")))
        assert [fence.id for fence in full.load().fences] == ["one"]
    with pytest.raises(BadInput):
        Fences(registry.file, limits=FenceLimits(max_import_bytes=10)).read_feature(b" " * 11)


def test_a_reader_changes_nothing_and_sees_everything(registry: Registry) -> None:
    Fences(registry.file).add(area("one", HERE))
    beside = Registry(registry.file.path, clock=FakeClock(), read_only=True)
    assert [fence.id for fence in Fences(beside.file).load().fences] == ["one"]
    with pytest.raises(StoreError):
        Fences(beside.file).remove("one")
    beside.close()


def test_a_damaged_fence_is_named(kept: Fences, registry: Registry) -> None:
    kept.add(area("one", HERE))
    with registry.file.changing() as change:
        change.connection.execute("UPDATE fence SET body = ?", (b"\x81",))
    with pytest.raises(Corrupt, match="Fence 1"):
        kept.load()
    kept.remove("one")
    assert kept.load().fences == ()


def test_an_older_file_is_brought_up_to_date(tmp_path: Path) -> None:
    from devices.schema import MIGRATIONS
    from store.database import connect, migrate

    path = tmp_path / "registry.db"
    old = connect(path)
    migrate(old, MIGRATIONS[:1], path)
    old.close()
    registry = Registry(path, clock=FakeClock())
    assert Fences(registry.file).add(area("one", HERE)).number == 1
    registry.close()


def test_what_is_exported_is_geojson(kept: Fences) -> None:
    kept.add(area("one", tuple(reversed(HERE)), line_of_defence=2, posts=(Post("gate", 40.6, 109.8),), enabled=False))
    found = json.loads(kept.export_geojson())
    assert found["type"] == "FeatureCollection"
    (only,) = found["features"]
    assert only["geometry"] == {"type": "Polygon", "coordinates": [[list(vertex) for vertex in HERE]]}
    assert only["properties"] == {
        "id": "one",
        "name": "",
        "rule": "enter",
        "line_of_defence": 2,
        "posts": [{"name": "gate", "lat": 40.6, "lon": 109.8}],
        "enabled": False,
    }


@pytest.fixture(scope="module")
def two_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fences, Fences]:
    """Two registries that the examples of a property share."""
    folder = tmp_path_factory.mktemp("fences")
    return tuple(  # type: ignore[return-value]  # two of them
        Fences(Registry(folder / name, clock=FakeClock()).file, road_classes=ROAD_CLASSES) for name in ("a.db", "b.db")
    )


@settings(max_examples=60)
@given(st.integers(0, 4).flatmap(lambda count: st.tuples(*(fences(f"f{place}") for place in range(count)))))
def test_export_and_import_give_the_same_set(two_files: tuple[Fences, Fences], given_fences: tuple[Fence, ...]) -> None:
    here, there = two_files
    here.import_geojson(collection(), replace=True)
    added = [here.add(fence) for fence in given_fences]
    for fence, wanted in zip(added, given_fences, strict=True):
        assert replace(fence, number=0, polygons=()) == replace(wanted, polygons=())
    raw = here.export_geojson()
    version = here.version()
    here.import_geojson(raw, replace=True)
    assert here.version() == version
    assert here.load().fences == tuple(added)
    there.import_geojson(raw, replace=True)
    found = sorted(there.load().fences, key=lambda fence: fence.id)
    assert [replace(fence, number=0) for fence in found] == [replace(fence, number=0) for fence in added]
    assert there.export_geojson() == raw or len(added) > 1  # numbers, and so the order, may be others
