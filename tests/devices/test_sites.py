"""Sites and the cameras bound to them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from devices.details import DeviceDetails
from devices.registry import Registry
from devices.sites import Sites
from model.device import Site
from model.errors import Conflict, LuchengError, NotFound, UsageError

SCHOOL = Site("school-3", "Third school", "Wang", "0472-1234567", 40.65, 109.84, ("camera/2", "camera/1"))


@pytest.fixture
def sites(registry: Registry) -> Sites:
    registry.ensure(["camera/1", "camera/2", "camera/3", "button/1"])
    return Sites(registry.file, max_cameras=2)


def test_a_site_keeps_its_cameras_in_order(sites: Sites, registry: Registry) -> None:
    before = registry.version()
    assert sites.add(SCHOOL) == SCHOOL
    assert sites.get("school-3") == SCHOOL
    assert sites.bind("school-3", ["camera/3"]).cameras == ("camera/3",)
    assert registry.version() == before + 2
    assert sites.update(replace(SCHOOL, name="New name")).cameras == SCHOOL.cameras
    registry.delete("camera/2")
    assert sites.get("school-3").cameras == ("camera/1",)


def test_what_cannot_be_bound(sites: Sites) -> None:
    sites.add(replace(SCHOOL, cameras=()))
    with pytest.raises(NotFound, match="camera/9"):
        sites.bind("school-3", ["camera/1", "camera/9"])
    for cameras in (["button/1"], ["camera/1", "camera/1"], ["camera/1", "camera/2", "camera/3"], ["../camera"]):
        with pytest.raises(UsageError):
            sites.bind("school-3", cameras)
    assert sites.get("school-3").cameras == ()
    with pytest.raises(NotFound):
        sites.bind("bank-1", [])
    with pytest.raises(NotFound):
        sites.update(replace(SCHOOL, id="bank-1"))
    with pytest.raises(Conflict):
        sites.add(SCHOOL)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "../x"},
        {"id": ""},
        {"id": "a/b"},
        {"lat": 91.0},
        {"lon": float("nan")},
        {"name": "x" * 101},
        {"contact": "a\nb"},
    ],
)
def test_a_wrong_site_is_refused(sites: Sites, change: dict[str, str | float]) -> None:
    with pytest.raises(LuchengError):
        sites.add(replace(SCHOOL, **change))  # type: ignore[arg-type]  # a table of wrong values
    assert sites.list() == []


def test_pages(sites: Sites) -> None:
    for number in range(5):
        sites.add(Site(f"s{number}", "", "", "", 40.0, 109.0))
    assert [site.id for site in sites.list(limit=2)] == ["s0", "s1"]
    assert [site.id for site in sites.list(after="s3", limit=2)] == ["s4"]
    for limit in (0, 10_001):
        with pytest.raises(UsageError):
            sites.list(limit=limit)


def test_a_device_stands_at_a_site_that_is_there(sites: Sites, registry: Registry) -> None:
    with pytest.raises(NotFound, match="school-3"):
        registry.update("button/1", DeviceDetails(site="school-3"))
    sites.add(SCHOOL)
    assert registry.update("button/1", DeviceDetails(site="school-3")).site == "school-3"
