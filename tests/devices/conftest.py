"""A registry in a fresh folder, and a real mosquitto that runs with the files made from it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devices.broker_files import BrokerFiles
from devices.credentials import Credentials
from devices.registry import Registry
from model.clock import FakeClock
from store.database import Where
from tests.devices.live_broker import Broker


@pytest.fixture
def registry(where: Callable[[str], Where]) -> Iterator[Registry]:
    made = Registry(where("registry"), clock=FakeClock())
    yield made
    made.close()


@pytest.fixture
def credentials(registry: Registry) -> Credentials:
    return Credentials(registry.file)


@pytest.fixture
def start_broker(
    tmp_path: Path, registry: Registry, request: pytest.FixtureRequest
) -> Iterator[Callable[[], tuple[Broker, BrokerFiles]]]:
    """Start mosquitto with the registry's files as they are now."""
    if shutil.which("mosquitto") is None and not Path("/usr/sbin/mosquitto").exists():
        if os.environ.get("CI") == "true":
            pytest.fail("mosquitto is not installed")
        pytest.skip("mosquitto is not installed")
    started: list[Broker] = []

    def start() -> tuple[Broker, BrokerFiles]:
        files = BrokerFiles(registry.file, tmp_path / "broker")
        files.write()
        broker = Broker(tmp_path / "broker", per_listener=getattr(request, "param", False))
        started.append(broker)
        broker.wait()
        return broker, files

    yield start
    for broker in started:
        broker.close()
