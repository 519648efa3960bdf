"""A service with its gateway, and the terminals of vehicles on real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import Mosquitto
from tests.lucheng.service_process import ServiceProcess
from tests.lucheng.terminals.town import Town


@pytest.fixture
def town(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Town]:
    """Not started: a test says first as what it works."""
    with ExitStack() as stack, ServiceProcess(tmp_path / "data", mosquitto.url) as service:
        yield Town(service, mosquitto.url, stack)
