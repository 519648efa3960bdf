"""A tiny platform for each test, closed after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from simulator.terminal.wire import Protocol
from tests.simulator.terminal.tiny_platform import Platform


@pytest.fixture
def platform() -> Iterator[Callable[[Protocol], Platform]]:
    """Start one: `platform(protocol)`."""
    started: list[Platform] = []

    def start(protocol: Protocol) -> Platform:
        started.append(Platform(protocol))
        return started[-1]

    yield start
    for one in started:
        one.close()
