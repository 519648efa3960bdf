"""A real registry with credentials, its directory and a decoder, for trackers of every protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.directory import Directory
from devices.registry import Registry
from ingest.decode.decoder import Decoder
from model.clock import FakeClock

DEVICES = ("taxi/1", "ebike/2", "taxi/off", "button/b")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    made = Registry(tmp_path / "registry.db", clock=FakeClock())
    made.ensure(DEVICES)
    made.disable("taxi/off")
    yield made
    made.close()


@pytest.fixture
def directory(registry: Registry) -> Directory:
    return registry.directory()


@pytest.fixture
def decoder(directory: Directory) -> Decoder:
    return Decoder(directory)
