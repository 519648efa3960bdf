"""The replay in a real browser, over real stores: true to time, several vehicles, by the keyboard alone, a whole fleet by frames."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from console.device_operations import Caller
from model.role import Role
from tests.web import past
from tests.web.city import LAT, LON, City
from tests.web.conftest import Seat

HOUR_MS = 3_600_000
FLEET = 60


def hour_ago(city: City) -> int:
    """A whole second, as the fields of the page hold it."""
    return city.rooms.clock.now_ms() // 1000 * 1000 - HOUR_MS


def open_replay(seat: Seat, devices: str, start_ms: int, user: str = "sun") -> Page:
    """The replay of an hour, read at once as an address that says everything is."""
    page = seat.sign_in(user, f"/replay?devices={devices}&from={past.iso(start_ms)}&to={past.iso(start_ms + HOUR_MS)}")
    page.fill("[name=ref]", "AJ-118")
    page.keyboard.press("Enter")
    page.wait_for_selector('.city-map[data-ready="yes"]')
    return page


def at_ms(page: Page) -> int:
    return int(page.locator(".deck .now").get_attribute("data-at-ms") or 0)


def stands_at(page: Page, time_ms: int) -> None:
    expect(page.locator(".deck .now")).to_have_attribute("data-at-ms", str(time_ms))


def stands_beyond(page: Page, time_ms: int) -> None:
    page.wait_for_function("(ms) => Number(document.querySelector('.deck .now')?.dataset.atMs ?? 0) > ms", arg=time_ms)


def test_a_replay_by_the_keyboard_alone(city: City, seats: list[Seat]) -> None:
    start = hour_ago(city)
    past.put_way(city, "taxi/B0001", past.around_blocks(start, LAT, LON, seed=1))
    page = open_replay(seats[1], "taxi/B0001", start)
    expect(page.locator(".now-panel")).to_contain_text("measured")
    page.locator("h1").click()
    began = at_ms(page)
    page.keyboard.press("ArrowRight")
    stands_at(page, began + 10_000)
    page.keyboard.press("ArrowLeft")
    stands_at(page, began)
    for _ in range(3):
        page.keyboard.press("+")
    expect(page.locator('.chips [aria-checked="true"]')).to_have_text("8×")
    page.keyboard.press("-")
    expect(page.locator('.chips [aria-checked="true"]')).to_have_text("4×")
    page.keyboard.press(" ")
    expect(page.locator(".deck .primary")).to_have_attribute("aria-label", "Pause")
    page.wait_for_timeout(1500)
    page.keyboard.press(" ")
    expect(page.locator(".deck .primary")).to_have_attribute("aria-label", "Play")
    stands_beyond(page, began + 4_000)  # four times as fast
    page.keyboard.press("]")  # the stop of six minutes
    stands_beyond(page, start + 840_000)
    assert at_ms(page) < start + 960_000
    page.keyboard.press("f")
    expect(page.locator("[name=follow]")).not_to_be_checked()
    page.keyboard.press("End")
    stands_at(page, start + HOUR_MS)
    page.keyboard.press("Home")
    stands_at(page, start)


def test_in_a_silence_the_last_place_is_held_and_said_to_be_that(city: City, seats: list[Seat]) -> None:
    start = hour_ago(city)
    past.put_way(city, "taxi/B0001", past.around_blocks(start, LAT, LON, seed=1))
    page = open_replay(seats[1], "taxi/B0001", start)
    page.click("summary:has-text('What happened')")
    page.locator(".pieces button", has_text="gap").first.click()
    page.locator("h1").click()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".now-panel")).to_contain_text("in a gap (last place)")
    page.locator(".pieces button", has_text="stop").first.click()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".now-panel .vehicle p")).to_have_text(re.compile(r"^0 km/h"))


def test_several_vehicles_cameras_on_the_way_and_alarms(city: City, seats: list[Seat]) -> None:
    start = hour_ago(city)
    past.put_way(city, "taxi/B0001", past.around_blocks(start, LAT, LON, seed=1))
    past.put_way(city, "taxi/E0001", past.straight(start, LAT, LON - 0.04, LAT, LON + 0.04, minutes=12))
    city.press("taxi/E0001", "overspeed", ago_ms=30_000)  # within the hour that began an hour ago
    page = open_replay(seats[1], "taxi/B0001,taxi/E0001", start)
    expect(page.locator(".now-panel .vehicle")).to_have_count(2)
    page.locator(".now-panel button", has_text="taxi/E0001").click()
    expect(page.locator(".now-panel button", has_text="taxi/E0001")).to_have_attribute("aria-pressed", "true")
    east = page.locator(".side .vehicle", has_text="taxi/E0001")
    east.locator("summary", has_text="Cameras").click()
    first = east.locator(".pass").first
    expect(first).to_contain_text(re.compile(r"\d\d:\d\d:\d\d – \d\d:\d\d:\d\d"))  # when it was in view
    expect(first.locator("a")).to_have_attribute("href", re.compile(r"^/cameras/camera/gate-\d\?from=.+&to=.+"))
    before = at_ms(page)
    first.locator("button").first.click()
    stands_beyond(page, before)
    east.locator("summary", has_text="What happened").click()
    expect(east.locator(".pieces").first).to_contain_text("alarm")


@pytest.mark.skipif(not past.SHENZHEN.is_file(), reason="the real taxi's day is not there (LUCHENG_TEST_DATA)")
def test_a_real_taxi_with_its_jumps(city: City, seats: list[Seat]) -> None:
    start = hour_ago(city)
    way = past.shenzhen(start, LAT, LON)
    past.put_way(city, "taxi/28249", way)
    page = open_replay(seats[1], "taxi/28249", start)
    kept = city.ask("replay", devices=["taxi/28249"], from_ms=start, to_ms=start + HOUR_MS, purpose="test")["tracks"][0]
    odd = sum("jump" in point["marks"] for point in kept["points"])
    facts = page.locator(".side .vehicle")
    expect(facts).to_contain_text(f"{len(kept['points']) - odd} points")
    if odd:
        expect(facts).to_contain_text(f"{odd} places that cannot be trusted")
    expect(facts).to_contain_text(f"{kept['totals']['distance_m'] / 1000:.1f} km")


@pytest.mark.soak
def test_a_whole_fleet_by_frames_once_another_person_allowed_it(city: City, seats: list[Seat]) -> None:
    start = hour_ago(city)
    for number in range(FLEET):
        past.put_way(city, f"taxi/F{number:03}", past.around_blocks(start, LAT, LON, seed=number))
    city._refresh()
    page = open_replay(seats[1], "taxi/F000", start)
    page.select_option("[name=kind]", "taxi")
    page.click("form button.primary")
    page.fill("[name=reason]", "the evening of the fire")
    page.click(".wide-read form button")
    approval = page.locator(".wide-read dd").first.inner_text()
    zhou = Caller("zhou", Role.APPROVER, "web")
    city.operations.approval_grant(zhou, approval)
    page.click(".wide-read button.primary")
    expect(page.locator(".side")).to_contain_text(f"{approval} granted by zhou")
    page.locator(".deck button", has_text="+10 s").click()
    expect(page.locator(f'.city-map[data-fleet="{FLEET}"]')).to_have_count(1)  # the others came later
    page.locator(".chips [role=radio]", has_text="64").click()
    page.click(".deck .primary")
    stands_beyond(page, start + 60_000)
    page.click(".deck .primary")
    assert any(row["action"] == "replay.frames" for row in city.ask("audit_list", who="zhao"))


def test_an_empty_hour_and_an_unknown_vehicle_are_said(city: City, seats: list[Seat]) -> None:
    page = open_replay(seats[1], "taxi/B0001", city.rooms.clock.now_ms() - 40 * HOUR_MS)
    expect(page.locator(".notice")).to_contain_text("taxi/B0001: no point in that time")
    page.fill("[name=devices]", "taxi/NOBODY")
    page.click("form button.primary")
    expect(page.locator(".failure")).to_contain_text("taxi/NOBODY")


def test_who_signs_in_next_is_asked_why_again(city: City, seats: list[Seat]) -> None:
    page = open_replay(seats[1], "taxi/B0001", city.rooms.clock.now_ms() - HOUR_MS)
    expect(page.locator(".purpose-bar")).to_contain_text("AJ-118")
    page.click("text=Sign out")
    page.fill("[name=user]", "li")
    page.fill("[name=password]", "open sesame")
    page.keyboard.press("Enter")
    page.wait_for_selector(".frame")
    expect(page.locator("[name=ref]")).to_have_value("")
    expect(page.locator(".purpose-bar")).to_have_count(0)
