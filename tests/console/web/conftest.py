"""A house whose console is served, for whatever asks it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.web.web_house import WebHouse


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebHouse]:
    """Served, with an account for each role."""
    with WebHouse(tmp_path / "data") as made:
        yield made


@pytest.fixture(scope="module")
def shared_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebHouse]:
    """The same for tests that only look; one for a module."""
    with WebHouse(tmp_path_factory.mktemp("web") / "data") as made:
        yield made
