"""Towns and seats. A town is started once for a module; seats are a test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.web.e2e.seat import HANG_MS, Seat
from tests.web.e2e.town import Town

expect.set_options(timeout=HANG_MS)
Sit = Callable[..., Seat]


@pytest.fixture(scope="module")
def town(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Cameras beside the button, people with accounts."""
    del browser  # without one nothing is started
    with Town(tmp_path_factory.mktemp("town"), cameras=True) as made:
        yield made


@pytest.fixture(scope="module")
def plain_town(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Without cameras; what concerns three vehicles is wide already."""
    del browser
    settings = {"LUCHENG_APPROVALS__WIDE_VEHICLES": "2"}
    with Town(tmp_path_factory.mktemp("town"), settings=settings) as made:
        yield made


@pytest.fixture
def sit(browser: Browser) -> Iterator[Sit]:
    """`sit(url, language, theme)`: a seat, closed at the end of the test."""
    made: list[Seat] = []

    def sit_down(url: str, language: str = "zh-CN", theme: str = "dark", **options: object) -> Seat:
        made.append(Seat(browser, url, language, theme, **options))
        return made[-1]

    yield sit_down
    for seat in made:
        seat.close()
