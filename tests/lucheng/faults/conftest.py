"""A service on a broker of its own, and a fleet that reports to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Mosquitto
from tests.lucheng.service_process import ServiceProcess

#: Takes in every device that reports, so that a test need not register its fleet.
REGISTER = {"LUCHENG_DEVICES__UNKNOWN": "register"}


@pytest.fixture
def service(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[ServiceProcess]:
    """A service, ready, on a mosquitto that keeps its own life."""
    made = ServiceProcess(tmp_path / "data", mosquitto.url, env=REGISTER).start()
    yield made
    made.close()
