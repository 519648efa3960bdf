"""The e-bike panel in a real browser, over real stores: report, places under the case alone, hand-over, arming, closing."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.web.city import City
from tests.web.conftest import Seat
from tests.web.panels import BIKE, QUIET, answers, bikes, goes_out, sighted


@pytest.fixture(autouse=True)
def two_bikes(city: City) -> None:
    bikes(city)


@pytest.fixture
def case(city: City) -> str:
    made: str = city.ask("ebike_report", "wang", device=BIKE, owner_ref="R-17", note="gone from the gate")["case"]
    return made


def purposes(city: City, action: str) -> set[str]:
    return {
        row["purpose"] for row in city.ask("audit_list", limit=500) if row["action"] == action and row["target"] == BIKE
    }


def opened(seat: Seat, user: str, case: str) -> Page:
    page = seat.sign_in(user, f"/ebikes/{case}")
    page.wait_for_selector(f'.case-pane[data-case="{case}"]')
    return page


def test_a_theft_is_reported_by_the_keyboard_alone(city: City, seats: list[Seat]) -> None:
    page = seats[1].sign_in("wang", "/ebikes")
    expect(page.locator(".case-list")).to_contain_text("No open case")
    page.keyboard.press("n")
    page.keyboard.type("包A·77")
    expect(page.locator("[name=device]")).to_be_checked()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type("R-17")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/ebikes/C20\d\d-000001$"))
    expect(page.locator(".case-pane")).to_have_attribute("data-state", "reported")
    (kept,) = city.ask("ebike_cases")
    assert (kept["device"], kept["owner_ref"], kept["steps"][0]["by"]) == (BIKE, "R-17", "wang")


def test_without_an_open_case_no_place_is_shown_nor_asked_for(city: City, seats: list[Seat], case: str) -> None:
    page = seats[1].sign_in("wang", f"/ebikes?bike={QUIET}")
    pane = page.locator(f'.case-pane[data-bike="{QUIET}"]')
    expect(pane.locator('[data-hidden="yes"]')).to_contain_text("its owner's")
    assert not re.search(r"\d\d\.\d{5}", pane.inner_text())
    city.ask("ebike_step", case=case, state="closed")
    before = len(purposes(city, "series.track"))
    page.goto(f"{city.url}/ebikes/{case}")
    expect(page.locator('[data-hidden="yes"]')).to_contain_text("its owner's")
    assert not re.search(r"\d\d\.\d{5}", page.locator(".case-pane").inner_text())
    assert len(purposes(city, "series.track")) == before


def test_the_last_places_and_sightings_are_read_for_the_case(city: City, seats: list[Seat], case: str) -> None:
    sighted(city)
    page = opened(seats[1], "sun", case)
    expect(page.locator("[data-places]")).to_contain_text("40.65600, 109.84400")
    expect(page.locator('[data-sightings="1"]')).to_contain_text("within 36 m")
    expect(page.locator(".note-table tbody tr").first).to_contain_text("a reader")
    expect(page.locator(".note-table tbody tr").nth(1)).to_contain_text("its own fix")
    expect(page.locator(".case-pane")).to_contain_text("battery 61 %")
    sighted(city, lat=40.66, lon=109.85)
    expect(page.locator("[data-places]")).to_contain_text("40.66000, 109.85000")
    expect(page.locator("[data-places]")).to_contain_text("live")
    for action in ("series.track", "series.latest", "read.live_map"):
        assert purposes(city, action) == {f"case:{case}"}, action


def test_a_case_goes_to_an_officer_with_a_note_and_the_officer_goes_on(
    city: City, seats: list[Seat], case: str
) -> None:
    page = opened(seats[0], "wang", case)
    page.click('[data-step="hand"]')
    expect(page.locator("dialog [name=officer]")).to_have_value("sun")
    page.fill("dialog [name=note]", "最后在东河路口")
    page.locator("dialog .primary").click()
    expect(page.locator(".case-pane .history")).to_contain_text("移交给 sun")
    officer = opened(seats[1], "sun", case)
    officer.get_by_role("radio", name="Mine").click()
    expect(officer.locator(".case-row")).to_have_count(1)
    officer.click('[data-step="stolen"]')
    officer.keyboard.type("checked with the owner")
    officer.locator("dialog .primary").click()
    expect(officer.locator(".case-pane")).to_have_attribute("data-state", "stolen")
    kept = city.ask("ebike_case", case=case)
    assert [(step["by"], step["state"], step["to"]) for step in kept["steps"]] == [
        ("wang", "reported", ""),
        ("wang", "reported", "sun"),
        ("sun", "stolen", ""),
    ]
    assert kept["steps"][1]["note"] == "最后在东河路口"


def test_of_two_on_one_case_the_second_is_told_and_sees_it_as_it_is(city: City, seats: list[Seat], case: str) -> None:
    page = opened(seats[1], "wang", case)
    page.click('[data-step="stolen"]')

    def late(route: Route) -> None:
        city.ask("ebike_step", "sun", case=case, state="recovered", version=1)
        route.continue_()

    page.route("**/api/v1/cases/*/step", late)
    page.locator("dialog .primary").click()
    expect(page.locator(".notice.warn")).to_contain_text("sun was first")
    expect(page.locator(".case-pane")).to_have_attribute("data-state", "recovered")


def test_arming_is_asked_once_more_and_its_life_stands_with_what_was_done(
    city: City, seats: list[Seat], case: str
) -> None:
    page = opened(seats[1], "wang", case)
    page.click('[data-deed="disarm"]')
    page.fill("dialog [name=reason]", "the owner asked")
    page.locator("dialog .primary").click()
    expect(page.locator(".life").first).to_have_attribute("data-state", "queued")
    (row,) = city.ask("command_list", device=BIKE)
    goes_out(city, row["command"], "gt06")
    answers(city, row["command"])
    expect(page.locator(".life").first).to_have_attribute("data-state", "accepted")
    done = page.locator('.history [data-done="command"]')
    expect(done).to_contain_text("Disarm")
    expect(done).to_contain_text("the owner asked")
    expect(done).to_contain_text("wang")


def test_a_case_that_another_closes_takes_its_place_off_the_screen(city: City, seats: list[Seat], case: str) -> None:
    sighted(city)
    page = opened(seats[1], "sun", case)
    expect(page.locator("[data-places]")).to_contain_text("live")
    city.ask("ebike_step", "wang", case=case, state="closed", note="given back")
    expect(page.locator(".case-pane")).to_have_attribute("data-state", "closed", timeout=15_000)
    expect(page.locator('[data-hidden="yes"]')).to_contain_text("its owner's")
    expect(page.locator("[data-places]")).to_have_count(0)


def test_who_may_see_no_case_has_no_page_and_a_case_that_is_none_is_said(city: City, seats: list[Seat]) -> None:
    page = seats[1].sign_in("zhao", "/ebikes")
    expect(page.locator("main")).to_contain_text("may not open this page")
    operator = seats[0].sign_in("wang", "/ebikes/C2026-999999")
    expect(operator.locator(".failure")).to_contain_text("C2026-999999")
