"""Which devices cannot be told apart by their numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.details import DeviceDetails
from devices.numbers import look_at_numbers
from devices.registry import Registry
from model.clock import FakeClock


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    made = Registry(tmp_path / "registry.db", clock=FakeClock())
    yield made
    made.close()


def test_terminals_that_can_be_told_apart(registry: Registry) -> None:
    registry.add("taxi/1", DeviceDetails(phone="13800000001", protocol="jt808"))
    registry.add("taxi/2", DeviceDetails(phone="13800000002", imei="860000000000001", protocol="gt06"))
    registry.add("taxi/3", DeviceDetails(protocol="mqtt"))
    registry.add("ebike/1", DeviceDetails(protocol="osmand"))
    found = look_at_numbers(registry.file)
    assert (found.taxis, found.protocols) == (3, frozenset({"jt808", "gt06", "osmand"}))
    assert (found.numberless, found.shared) == ((), {})


def test_what_is_doubtful_is_named(registry: Registry) -> None:
    registry.add("taxi/1", DeviceDetails(phone="13800000001", protocol="jt808"))
    registry.add("taxi/2", DeviceDetails(phone="013800000001"))  # the same on the wire: zeros fill a number up
    registry.add("taxi/3", DeviceDetails(imei="13800000001"))
    registry.add("taxi/4", DeviceDetails(protocol="jt905"))
    registry.add("taxi/5", DeviceDetails(protocol="jt808"))
    registry.add("taxi/6", DeviceDetails(phone="13900000001", protocol="jt808"))
    registry.disable("taxi/5")
    registry.disable("taxi/6")
    found = look_at_numbers(registry.file)
    assert found.taxis == 4
    assert found.numberless == ("taxi/4",)
    assert found.shared == {"13800000001": ("taxi/1", "taxi/2", "taxi/3")}
