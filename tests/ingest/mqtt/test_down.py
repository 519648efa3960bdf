"""The connection that writes to devices, in a process that has more files open than select(2) can name."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from paho.mqtt.client import Client

from ingest.mqtt.broker_url import parse_broker_url
from ingest.mqtt.down import DownLink
from ingest.mqtt.polling import PollingClient
from tests.conftest import Mosquitto, wait_until

#: Descriptors below this are the ones that select(2) knows.
SELECT_FILES = 1_024
_SPARE = 256


@pytest.fixture
def many_files() -> Iterator[None]:
    """Every new descriptor is beyond what select(2) knows."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = SELECT_FILES + _SPARE
    if before[1] != resource.RLIM_INFINITY and before[1] < wanted:
        pytest.skip(f"this machine allows {before[1]} open files")
    if before[0] != resource.RLIM_INFINITY and before[0] < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, before[1]))
    with ExitStack() as stack:
        while (one := os.open(os.devnull, os.O_RDONLY)) <= SELECT_FILES:
            stack.callback(os.close, one)
        stack.callback(os.close, one)
        yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_it_writes_and_comes_back_beyond_what_select_knows(many_files: None, mosquitto: Mosquitto) -> None:
    link = DownLink(parse_broker_url(mosquitto.url), "down")
    link.start()
    try:
        for _ in range(2):
            wait_until(lambda: link.connected, what="a connection")
            before = link.sent
            wait_until(lambda: link.send("to/nobody", b"x", lambda: None), what="the client to take it")
            wait_until(lambda: link.sent > before, 60, "the broker to have it")  # noqa: B023 called before the next turn
            mosquitto.kill()
            wait_until(lambda: not link.connected, 60, "the connection to be lost")
            mosquitto.start()
        assert link.sent == 2
    finally:
        link.stop()


def test_paho_still_has_the_name_that_is_overridden() -> None:
    assert PollingClient._loop is not Client._loop
    assert callable(Client._loop)
