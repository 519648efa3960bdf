"""Chromium, and the pages as `make web` built them, over a real city."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.web.city import BUILT, PASSWORD, City


def _missing(message: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="module")
def browser(browser: Browser) -> Browser:
    """That of all tests; the pages have to be built too."""
    if not (BUILT / "index.html").is_file():
        _missing("the pages are not built; with Node: make web")
    return browser


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    with City(tmp_path / "data") as made:
        yield made


class Seat:
    """One person at a browser; what the browser complains about is kept."""

    def __init__(self, browser: Browser, city: City, language: str = "zh-CN", theme: str = "dark") -> None:
        self.context = browser.new_context(
            viewport={"width": 1366, "height": 768},
            locale=language,
            color_scheme="light" if theme == "light" else "dark",
        )
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: self.complaints.append(said.text) if "Security" in said.text else None)
        self.city = city

    def sign_in(self, user: str, path: str = "/") -> Page:
        """Sign in by the form; the desk's gate is passed without sound."""
        self.page.goto(self.city.url + path)
        self.page.fill("[name=user]", user)
        self.page.fill("[name=password]", PASSWORD)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector(".frame")
        return self.page

    def desk(self, user: str) -> Page:
        """Sign in and begin a shift by the keyboard alone."""
        page = self.sign_in(user)
        page.wait_for_selector("dialog")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog", state="detached")
        page.wait_for_selector('[data-link="open"]')
        return page


@pytest.fixture
def seats(browser: Browser, city: City) -> Iterator[list[Seat]]:
    """Two seats at one city."""
    made = [Seat(browser, city), Seat(browser, city, "en-US", "light")]
    yield made
    for seat in made:
        seat.context.close()
        assert seat.complaints == []
