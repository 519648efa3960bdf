"""Every page in both languages, in the dark and in the light, by the Tab key alone, and looked over by axe-core.

Each role signs in once and goes through its pages; the pages come from the table of the source, so a new one is looked at as well.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.e2e import pages
from tests.web.e2e.conftest import Sit
from tests.web.e2e.seat import Seat
from tests.web.e2e.town import BUTTON, CAMERAS, PEOPLE, Town

#: Names of the town's own, in Chinese whatever the page's language.
NAMES = (
    "第三小学", "王老师", "门卫室", "校门 1 号", "校门 2 号", "包头",
    "id（必需）、kind、name、plate、imei、phone、model、site、gateway、lat、lon、owner_ref、protocol",  # a file's columns are one language
)  # fmt: skip
#: The technician's.
PHONE = {"width": 390, "height": 844}
ROLES = ("operator", "supervisor", "technician", "auditor", "admin")


@dataclass
class Found:
    """What was found, by page."""

    words: list[str] = field(default_factory=list)
    axe: list[str] = field(default_factory=list)
    tab: list[str] = field(default_factory=list)
    asked_why: bool = False

    def fail(self) -> None:
        """Fail with all of it, one line each."""
        lines = self.words + self.axe + self.tab
        if lines:
            pytest.fail("\n".join([f"{len(lines)} findings:", *lines]), pytrace=False)


@pytest.fixture(scope="module")
def lived(town: Town) -> dict[str, list[str]]:
    """Something on every page; an example of every address that has a value in it."""
    town.press("pages")
    alarm = town.alarm(BUTTON)["alarm"]
    town.call("device_add", device="ebike/E77", name="", plate="E77")
    case = town.call("ebike_report", device="ebike/E77", owner_ref="R-77")["case"]
    camera = CAMERAS[0]
    return {
        "/desk/:alarm": [],  # the first goes there
        "/desk/:alarm/report": [f"/desk/{alarm}/report"],
        "/map/*": [],
        "/replay/*": [],
        "/cameras/*": [f"/cameras/{camera}"],
        "/ebikes/:case": [f"/ebikes/{quote(case)}"],
        "/taxi/:device": ["/taxi/B0001"],
        "/technician/*": ["/technician/new", "/technician/import", f"/technician/device/{BUTTON}"],
    }


def test_every_role_and_address_is_looked_at(lived: dict[str, list[str]]) -> None:
    for entry in pages.entries():
        assert set(entry.roles) & set(ROLES), f"{entry.paths} is looked at by nobody here"
        for path in entry.paths:
            assert path in lived or (":" not in path and "*" not in path), f"{path} has no example"


def _need_axe() -> None:
    if not pages.AXE.is_file():
        message = "axe-core is not there; with Node: make web"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)


@pytest.mark.parametrize("role", ROLES)
def test_pages_of(role: str, town: Town, lived: dict[str, list[str]], browser: Browser, sit: Sit) -> None:
    del browser
    _need_axe()
    user = next(name for name, its in PEOPLE.items() if its.value == role)
    more = {"viewport": PHONE} if role == "technician" else {}
    seat = sit(town.url, "zh-CN", "dark", **more)
    seat.context.add_init_script(path=str(pages.AXE))
    found = Found()
    seat.sign_in(user, "/account")
    seats = seat.page
    for address in pages.addresses(role, lived):
        seat.go(address)
        _past_the_gate(seat, seats)
        if seats.locator("form [name=code]").count() and not seats.locator(".purpose-bar").count():
            if not found.asked_why:  # one form, whatever page asks it
                found.asked_why = True
                _look(seat, seats, f"{address} (why)", found, whole=False)
            seats.fill("[name=ref]", "R-1")
            seats.keyboard.press("Enter")
        _look(seat, seats, address, found, whole=True)
    found.fail()


def test_the_door_itself(town: Town, lived: dict[str, list[str]], sit: Sit) -> None:
    del lived
    _need_axe()
    seat = sit(town.url, "zh-CN", "dark")
    seat.context.add_init_script(path=str(pages.AXE))
    page = seat.go("/")
    page.wait_for_selector("[name=user]")
    found = Found()
    missed, dull = pages.tab_through(page)
    found.tab += missed + dull
    for language, theme, button in (
        ("zh", "dark", "English"),
        ("en", "dark", "Switch to light"),
        ("en", "light", "中文"),
    ):
        expect(page).to_have_title(
            "登录 · 鹿城" if language == "zh" else "Sign in · Lucheng"
        )  # turned after it was drawn
        found.words += pages.wrong_words(page, language, NAMES)
        found.axe += [f"{theme}: {one}" for one in pages.findings(page)]
        page.get_by_role("button", name=button, exact=True).click()
    found.fail()
    # what looks for findings finds one that is put there
    page.evaluate("() => { const at = document.createElement('button'); document.querySelector('main').append(at); }")
    assert any(one.startswith("button-name") for one in pages.findings(page))
    page.evaluate("() => { document.querySelector('main').append('nav.desk', 'Wrong words'); }")
    assert pages.wrong_words(page, "zh", NAMES) == ["nav.desk", "Wrong words"]


def _past_the_gate(seat: Seat, page: Page) -> None:
    """The desk begins a shift at its gate."""
    pages.settled(page)
    if page.locator("dialog[open]").count():
        seat.press("Tab", "Enter")
        expect(page.locator("dialog[open]")).to_have_count(0)


def _look(seat: Seat, page: Page, name: str, found: Found, *, whole: bool) -> None:
    pages.settled(page)
    found.words += [f"{name} zh: {text}" for text in pages.wrong_words(page, "zh", NAMES)]
    found.axe += [f"{name} dark: {one}" for one in pages.findings(page)]
    if whole:
        missed, dull = pages.tab_through(page)
        found.tab += [f"{name} not reached: {one}" for one in missed] + [f"{name} not seen: {one}" for one in dull]
    _turn(page, "切换为浅色")
    _turn(page, "English")
    pages.settled(page)
    found.words += [f"{name} en: {text}" for text in pages.wrong_words(page, "en", NAMES)]
    found.axe += [f"{name} light: {one}" for one in pages.findings(page, ["color-contrast"])]
    _turn(page, "Switch to dark")
    _turn(page, "中文")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")


def _turn(page: Page, name: str) -> None:
    """Press one of the two switches of the top line."""
    page.locator("header.top").get_by_role("button", name=name, exact=True).click()
