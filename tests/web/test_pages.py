"""The pages in a real browser, over real stores: an alarm from press to close, two people on one, a line that breaks off."""

from __future__ import annotations

import re

from playwright.sync_api import Route, expect

from tests.web.city import City
from tests.web.conftest import Seat

BURST = 25


def test_a_wrong_password_is_told_and_the_right_one_opens_the_desk(city: City, seats: list[Seat]) -> None:
    page = seats[0].page
    page.goto(city.url + "/")
    page.fill("[name=user]", "wang")
    page.fill("[name=password]", "sesame")
    page.keyboard.press("Enter")
    expect(page.locator(".failure")).to_have_text(re.compile("用户名或密码错误"))
    page.fill("[name=password]", "open sesame")
    page.keyboard.press("Enter")
    expect(page.locator(".desk")).to_be_visible()
    assert page.title().startswith("接警台")


def test_an_alarm_from_press_to_close_by_the_keyboard_alone(city: City, seats: list[Seat]) -> None:
    page = seats[0].desk("wang")
    alarm = city.press()
    details = page.locator(f'.details[data-alarm="{alarm}"]')
    expect(details.locator("h1")).to_have_text("一键报警")
    expect(details).to_contain_text("第三小学")
    expect(details).to_contain_text("unit/P1")
    expect(page.locator(".tile")).to_have_count(3)
    page.keyboard.press("a")
    expect(details).to_have_attribute("data-work", "acknowledged")
    page.keyboard.press("d")
    expect(page.locator(".unit-list input").first).to_be_checked()
    page.keyboard.press("Enter")
    expect(details).to_have_attribute("data-work", "dispatched")
    expect(page.locator("dialog")).to_have_count(0)
    page.keyboard.press("s")
    expect(details).to_have_attribute("data-work", "on_scene")
    expect(page.locator(".big-clock .clock")).to_have_class(re.compile("kept"))
    page.keyboard.press("c")
    page.wait_for_selector("dialog :focus")
    page.keyboard.press("ArrowRight")  # real ▸ false alarm
    page.keyboard.press("Tab")
    page.keyboard.type("学生误按")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(details).to_have_attribute("data-work", "resolved")
    expect(page.locator("dialog")).to_have_count(0)  # the stream may tell before the answer that closes it
    page.keyboard.press("c")
    page.wait_for_selector("dialog :focus")
    page.keyboard.type("已核实")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(details).to_have_attribute("data-work", "closed")
    expect(page.locator("[data-queue-size]")).to_have_attribute("data-queue-size", "0")
    kept = city.ask("alarm_show", alarm=alarm)
    assert (kept["owner"], kept["outcome"], kept["reason"]) == ("wang", "false", "已核实")
    assert kept["shown"] is not None


def test_of_two_people_on_one_alarm_the_second_is_told_who_was_first(city: City, seats: list[Seat]) -> None:
    first, second = seats[0].desk("wang"), seats[1].desk("li")
    city.press()
    second.wait_for_selector('.details[data-work="new"]')
    # the second one's screen stands still while the first acts

    def late(route: Route) -> None:
        first.keyboard.press("a")
        first.wait_for_selector('.details[data-work="acknowledged"]')
        route.continue_()

    second.route("**/api/v1/alarms/*/ack", late)
    second.keyboard.press("a")
    expect(second.locator(".notice.warn")).to_contain_text("wang was first")
    expect(second.locator(".details")).to_have_attribute("data-work", "acknowledged")
    expect(second.locator(".details")).to_contain_text("wang")


def test_a_line_that_breaks_off_is_said_and_no_alarm_is_missing_after_it(city: City, seats: list[Seat]) -> None:
    page = seats[0].desk("wang")
    city.press("taxi/B0001", "overspeed")
    size = page.locator("[data-queue-size]")
    expect(size).to_have_attribute("data-queue-size", "1")
    city.cut = True
    for stream in list(city.live.hub._streams.values()):
        stream.end("ending")
    expect(page.locator(".banner")).to_be_visible()
    for number in range(BURST):
        city.press(f"taxi/X{number}", "overspeed", number)
    city.cut = False
    expect(size).to_have_attribute("data-queue-size", str(BURST + 1), timeout=30_000)
    expect(page.locator(".banner")).to_have_count(0)


def test_the_map_shows_what_moves_where_it_is_now(city: City, seats: list[Seat]) -> None:
    page = seats[1].sign_in("chen", "/map")
    page.wait_for_selector('.city-map[data-ready="yes"]')
    expect(page.locator('.city-map[data-fleet="4"]')).to_have_count(1)
    page.fill("#map-find", "taxi/B0001")
    page.keyboard.press("Enter")
    panel = page.locator(".panel.right")
    expect(panel).to_contain_text("40 km/h")
    expect(panel).to_contain_text("±9 m")
    city.drive("taxi/B0001", 40.66, 109.85, 63.0)
    expect(panel).to_contain_text("63 km/h")


def test_both_languages_and_themes_are_switched_where_one_stands(city: City, seats: list[Seat]) -> None:
    page = seats[1].desk("li")
    city.press()
    expect(page.locator("#alarm-title")).to_have_text("one-key alarm button")
    assert page.locator("html").get_attribute("data-theme") == "light"
    page.keyboard.press("Control+k")
    page.keyboard.type("language")
    page.keyboard.press("Enter")
    expect(page.locator("#alarm-title")).to_have_text("一键报警")
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    page.reload()
    expect(page.locator("#alarm-title")).to_have_text("一键报警")


def test_a_replay_asks_why_before_anything_else(city: City, seats: list[Seat]) -> None:
    page = seats[1].sign_in("chen", "/replay?devices=taxi/B0001")
    expect(page.locator("[name=code]")).to_be_visible()
    expect(page.locator("[name=devices]")).to_have_count(0)
    page.fill("[name=ref]", "AJ-118")
    page.keyboard.press("Enter")
    expect(page.locator(".purpose-bar")).to_contain_text("a case · AJ-118")
    expect(page.locator("[name=devices]")).to_have_value("taxi/B0001")


def test_who_may_see_no_alarm_has_no_desk(city: City, seats: list[Seat]) -> None:
    page = seats[1].sign_in("zhao", "/desk")
    expect(page.locator("main")).to_contain_text("may not open this page")
    expect(page.locator('nav a[href="/desk"]')).to_have_count(0)
