"""A real registry and its directory: what decoding is checked against."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.directory import Directory
from devices.registry import Registry
from ingest.decode.decoder import Decoder
from model.clock import FakeClock

#: In order of slot. Slot 3 is disabled; 0 and 2 are bound to the gateway in slot 4, 3 too.
DEVICES = ("taxi/1", "taxi/2", "ebike/b-7", "taxi/off", "gateway/g1", "gateway/g2", "button/school.3")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    made = Registry(tmp_path / "registry.db", clock=FakeClock())
    made.ensure(DEVICES)
    for device in ("taxi/1", "ebike/b-7", "taxi/off"):
        made.bind_gateway(device, "gateway/g1")
    made.disable("taxi/off")
    yield made
    made.close()


@pytest.fixture
def directory(registry: Registry) -> Directory:
    return registry.directory()


@pytest.fixture
def decoder(directory: Directory) -> Decoder:
    return Decoder(directory)
