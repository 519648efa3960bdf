"""The taxi panel in a real browser, over real stores: live place, what is told to it and its life, listening in, supervision."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from config.desk import Desk
from tests.web.city import City
from tests.web.conftest import Seat
from tests.web.panels import TAXI, answers, goes_out, photo


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    """A city whose desk has a telephone, so that terminals can dial it."""
    with City(tmp_path / "data", desk=Desk(phone_number="110")) as made:
        yield made


def panel(seat: Seat, user: str) -> Page:
    page = seat.sign_in(user, "/taxi/B0001")
    page.wait_for_selector('.said[data-live="yes"]')
    return page


def newest(city: City, name: str) -> str:
    """Id of the last command of that name."""
    rows = city.ask("command_list", device=TAXI)
    return str(next(row["command"] for row in rows if row["name"] == name))


def test_the_live_place_follows_what_comes_in_and_says_how_far_it_can_be_believed(
    city: City, seats: list[Seat]
) -> None:
    page = panel(seats[1], "wang")
    place = page.locator(".taxi-columns > section").first
    expect(place).to_contain_text("fix valid")
    expect(place).to_contain_text("ignition on")
    expect(place).to_contain_text("vacant")
    expect(place).to_contain_text("±9 m")
    expect(place).to_contain_text("90° (east)")
    city.drive(TAXI, 40.66123, 109.85, 63.0)
    expect(place).to_contain_text("40.66123, 109.85000")
    expect(place).to_contain_text("63 km/h")
    assert [row["target"] for row in city.ask("audit_list", limit=200) if row["action"] == "read.live_map"] == [TAXI]


@pytest.mark.soak
def test_it_is_reached_from_the_desk_the_map_and_the_command_line(city: City, seats: list[Seat]) -> None:
    alarm = city.press(TAXI, "sos")
    page = seats[1].desk("wang")
    page.wait_for_selector(f'.details[data-alarm="{alarm}"]')
    page.locator(".details .facts a", has_text=TAXI).click()
    expect(page).to_have_url(re.compile("/taxi/B0001$"))
    expect(page.locator(".taxi")).to_contain_text("emergency button in a vehicle")
    page.keyboard.press("Control+k")
    page.keyboard.type("taxi/B0002")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/taxi/B0002$"))
    page.goto(city.url + "/map")
    page.wait_for_selector('.city-map[data-ready="yes"]')
    page.fill("#map-find", TAXI)
    page.keyboard.press("Enter")
    page.click("text=Open its panel")
    expect(page).to_have_url(re.compile("/taxi/B0001$"))


@pytest.mark.soak
def test_a_text_is_sent_and_its_life_is_seen_to_the_answer(city: City, seats: list[Seat]) -> None:
    page = panel(seats[1], "wang")
    page.keyboard.press("t")
    page.keyboard.type("Please stop at the kerb <b>now</b>")
    page.click("text=Send")
    life = page.locator(".life").first
    expect(life).to_have_attribute("data-state", "queued")
    expect(life).to_contain_text("Please stop at the kerb <b>now</b>")
    expect(page.locator("#taxi-text")).to_have_value("")
    command = newest(city, "text")
    goes_out(city, command)
    expect(life).to_contain_text("sent, no answer yet")
    answers(city, command, detail="read")
    expect(life.locator(".here")).to_contain_text("done")
    kept = city.ask("command_show", command=command)
    assert (kept["by"], kept["args"]["text"]) == ("wang", "Please stop at the kerb <b>now</b>")


def test_a_photo_is_asked_for_fails_or_is_taken_back(city: City, seats: list[Seat]) -> None:
    page = panel(seats[0], "wang")
    page.click("#taxi-photo")
    life = page.locator(".life").first
    expect(life).to_have_attribute("data-state", "queued")
    goes_out(city, newest(city, "snapshot"))
    answers(city, newest(city, "snapshot"), ok=False, detail="no camera on channel 1")
    expect(life).to_have_attribute("data-state", "refused")
    expect(life).to_contain_text("no camera on channel 1")
    page.select_option("select", "2")
    page.click("#taxi-photo")
    expect(page.locator(".life")).to_have_count(2)
    page.locator(".life").first.get_by_role("button", name="撤回").click()
    expect(page.locator(".life").first).to_have_attribute("data-state", "refused")
    assert city.ask("command_show", command=newest(city, "snapshot"))["args"]["channel"] == 2


def test_listening_in_needs_the_taxis_own_open_emergency_a_supervisor_and_a_reason(
    city: City, seats: list[Seat]
) -> None:
    page = panel(seats[1], "chen")
    expect(page.locator(".listen")).to_contain_text("no open emergency")
    expect(page.locator("#taxi-listen")).to_have_count(0)
    city.press("taxi/B0002", "sos", 1)
    city.press(TAXI, "overspeed", 2)
    expect(page.locator(".taxi")).to_contain_text("overspeed")
    expect(page.locator("#taxi-listen")).to_have_count(0)
    city.press(TAXI, "sos", 3)
    page.click("#taxi-listen")
    begin = page.locator("dialog .danger")
    expect(begin).to_be_disabled()
    page.fill("dialog [name=reason]", "the driver cries for help")
    page.fill("dialog [name=minutes]", "3")
    begin.click()
    life = page.locator(".life").first
    expect(life).to_have_attribute("data-state", "queued")
    command = newest(city, "listen_in")
    goes_out(city, command)
    expect(page.locator('.listen[data-listening="yes"]')).to_contain_text(re.compile(r"2:5\d"))
    page.locator(".listen").get_by_role("button", name="Hang up").click()
    expect(page.locator(".listen")).to_contain_text("chen hung up")
    stopped = city.rooms.commands.get(command)
    assert (stopped.stopped_by, stopped.reason) == ("chen", "the driver cries for help")
    assert city.operations.listen_must_end(stopped, city.rooms.clock.now_ms())
    operator = panel(seats[0], "wang")
    expect(operator.locator(".listen").get_by_role("button")).to_have_count(0)


@pytest.mark.soak
def test_evidence_and_supervision_are_read_under_the_alarm_or_a_purpose_that_is_asked(
    city: City, seats: list[Seat]
) -> None:
    page = panel(seats[1], "wang")
    page.locator(".supervision button").click()
    page.locator("dialog [name=ref]").fill("AJ-118")
    page.keyboard.press("Enter")
    expect(page.locator(".because")).to_contain_text("a case · AJ-118")
    page.locator(".supervision button").click()
    expect(page.locator('.supervision[data-read="yes"]')).to_contain_text("Top speed")
    purposes = {row["purpose"] for row in city.ask("audit_list", limit=200) if row["action"] == "report.supervision"}
    assert purposes == {"case:AJ-118"}
    alarm = city.press(TAXI, "sos")
    photo(city)
    other = panel(seats[0], "li")
    expect(other.locator(".because")).to_contain_text(alarm)
    other.locator(".evidence li").get_by_role("button").click()
    picture = other.locator(".evidence img")
    expect(picture).to_be_visible()
    assert picture.evaluate("picture => picture.decode().then(() => picture.naturalWidth)") == 97
    assert {row["purpose"] for row in city.ask("audit_list", limit=200) if row["action"] == "read.evidence_bytes"} == {
        f"alarm:{alarm}"
    }


@pytest.mark.soak
def test_a_place_that_is_not_live_is_read_with_a_purpose_alone(city: City, seats: list[Seat]) -> None:
    city.ask("device_add", device="taxi/OLD", plate="蒙B·OLD")
    page = seats[1].sign_in("wang", "/taxi/OLD")
    page.click("text=Read its last known place")
    page.locator("dialog [name=ref]").fill("AJ-9")
    page.keyboard.press("Enter")
    page.click("text=Read its last known place")
    expect(page.locator(".taxi")).to_contain_text("never told a place")
    assert {
        row["purpose"]
        for row in city.ask("audit_list", limit=200)
        if row["target"] == "taxi/OLD" and row["action"] == "series.latest"
    } == {"case:AJ-9"}


def test_a_taxi_that_is_not_registered_is_said_to_be_none_and_the_finder_finds(city: City, seats: list[Seat]) -> None:
    page = seats[1].sign_in("wang", "/taxi/NOPE")
    expect(page.locator(".failure")).to_contain_text("taxi/NOPE")
    page.goto(city.url + "/taxi")
    page.fill("input[type=search]", "B000")
    page.get_by_role("link", name="taxi/B0002").click()
    expect(page.locator(".taxi")).to_have_attribute("data-device", "taxi/B0002")


def test_who_may_see_no_device_has_no_panel(seats: list[Seat]) -> None:
    page = seats[1].sign_in("zhao", "/taxi/B0001")
    expect(page.locator("main")).to_contain_text("may not open this page")
