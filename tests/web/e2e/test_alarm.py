"""An alarm from a press over MQTT to its end, by the keyboard alone; and two people on one.

The button stands at a school with two cameras, both on a real RTSP server; two patrol units are in the streets.
"""

from __future__ import annotations

import re
import time
from datetime import datetime

from playwright.sync_api import Page, Route, WebSocket, expect

from tests.web.e2e.conftest import Sit
from tests.web.e2e.seat import Seat, until
from tests.web.e2e.town import LAT, LON, UNITS, Town

#: A stream begins at a keyframe, and those of the cameras come once a second.
BEFORE_MS = 10_000
_FILM_HEAD_MS = 1_500


def _first_pictures(page: Page) -> dict[str, int]:
    """When the first picture that each live tile was sent was taken, by address; filled as they come."""
    found: dict[str, int] = {}

    def opened(socket: WebSocket) -> None:
        def said(payload: str | bytes) -> None:
            if isinstance(payload, str) and '"media"' in payload:
                at = re.search(r'"time_ms":\s*(\d+)', payload)
                assert at is not None, payload
                found.setdefault(socket.url, int(at[1]))

        socket.on("framereceived", said)

    page.on("websocket", opened)
    return found


def _playing(page: Page) -> bool:
    """Whether every tile shows pictures, and goes on."""
    look = "() => [...document.querySelectorAll('.tile video')].map((one) => [one.currentTime, one.videoWidth])"
    before = page.evaluate(look)
    time.sleep(0.3)
    after = page.evaluate(look)
    return len(after) == 2 and all(
        now > then and width == 640 for (then, _), (now, width) in zip(before, after, strict=True)
    )


def test_an_operators_whole_alarm_by_the_keyboard_alone(town: Town, sit: Sit) -> None:
    town.wait_watched()
    wang = sit(town.url)
    page = wang.sign_in("wang", "/")
    first = _first_pictures(page)
    # the shift begins at the gate: the sound is tried, then said to be heard
    page.wait_for_selector("dialog[open]")
    assert page.url.endswith("/desk")
    wang.press("Enter")
    until(lambda: wang.heard()["tones"] > 0, "the tone of the test")
    wang.press("Tab", "Enter")
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.locator(".sound")).to_have_text("声音开")
    expect(page.locator('[data-link="open"]')).to_be_visible()
    tried = wang.heard()["tones"]

    town.press("whole")
    alarm = town.alarm()
    row = page.locator(f'.row[data-alarm="{alarm["alarm"]}"]')
    expect(row).to_be_visible()
    details = wang.details(alarm["alarm"])
    expect(details.locator("h1")).to_have_text("一键报警")
    expect(details).to_contain_text("第三小学")
    expect(details).to_contain_text("王老师")
    until(lambda: wang.heard()["tones"] > tried, "the alarm to sound")
    expect(page.locator(".sound.ringing")).to_be_visible()
    # both units, the nearer one first
    units = details.locator("ul.plain").first.locator("li")
    expect(units.nth(0)).to_contain_text(UNITS[0])
    expect(units.nth(1)).to_contain_text(UNITS[1])
    # both cameras live, from ten seconds before the alarm
    expect(page.locator(".tile")).to_have_count(2)
    until(lambda: _playing(page), "both tiles to play")
    rang_ms = datetime.fromisoformat(alarm["time"]).timestamp() * 1000
    assert len(first) == 2, first
    for at_ms in first.values():
        before_ms = rang_ms - at_ms
        assert BEFORE_MS <= before_ms <= BEFORE_MS + _FILM_HEAD_MS, before_ms
    # the map is centred on it
    page.wait_for_selector('#desk-map .city-map[data-ready="yes"]')
    until(lambda: _centre(page) is not None, "the map")
    lat, lon = _centre(page) or (0.0, 0.0)
    assert (round(lat, 3), round(lon, 3)) == (LAT, LON)

    wang.press("a")
    expect(details).to_have_attribute("data-work", "acknowledged")
    expect(page.locator(".sound.ringing")).to_have_count(0)
    wang.press("d")
    expect(page.locator(".unit-list input").first).to_be_checked()
    wang.press("Enter")
    expect(details).to_have_attribute("data-work", "dispatched")
    expect(details).to_contain_text(UNITS[0])
    expect(page.locator("dialog")).to_have_count(0)
    wang.press("s")
    expect(details).to_have_attribute("data-work", "on_scene")
    _hands_over(town, wang, sit(town.url, "en-US", "light"), alarm["alarm"])


def _centre(page: Page) -> tuple[float, float] | None:
    """Where the desk's map stands, as it says."""
    said = page.locator("#desk-map .city-map").get_attribute("data-centre")
    if not said:
        return None
    lat, lon = said.split(",")
    return float(lat), float(lon)


def _hands_over(town: Town, wang: Seat, li: Seat, alarm: str) -> None:
    """The first one hands it over with a note; the second one, in the other language, ends it."""
    li.desk("li")
    wang.press("o")
    wang.page.wait_for_selector("dialog[open]")
    wang.page.keyboard.type("li")
    wang.press("Tab")
    wang.page.keyboard.type("校门口还有家长")
    wang.press("Tab", "Tab", "Enter")
    expect(wang.details(alarm)).to_contain_text("校门口还有家长")
    page, details = li.page, li.details(alarm)
    expect(details).to_have_attribute("data-work", "on_scene")
    expect(details.locator("h1")).to_have_text("one-key alarm button")
    expect(details).to_contain_text("校门口还有家长")
    li.press("c", "ArrowRight")  # real ▸ false alarm
    li.press("Tab")
    page.keyboard.type("pressed by a pupil")
    li.press("Tab", "Tab", "Enter")
    expect(details).to_have_attribute("data-work", "resolved")
    expect(page.locator("dialog")).to_have_count(0)  # the stream may tell before the answer that closes it
    li.press("c")
    page.wait_for_selector("dialog[open]")
    page.keyboard.type("school told")
    li.press("Tab", "Tab", "Enter")
    expect(details).to_have_attribute("data-work", "closed")
    for seat in (wang, li):
        expect(seat.page.locator("[data-queue-size]")).to_have_attribute("data-queue-size", "0")
    kept = town.call("alarm_show", alarm=alarm, purpose="test")
    assert (kept["owner"], kept["outcome"], kept["reason"]) == ("li", "false", "school told")
    assert [step["by"] for step in kept["history"] if step["action"] == "hand_over"] == ["wang"]
    assert kept["shown"] is not None


def test_every_key_of_the_desk_does_what_the_help_says(town: Town, sit: Sit) -> None:
    seat = sit(town.url, "en-US")
    page = seat.desk("wang")
    for number, kind in enumerate(("one_key", "sos", "overspeed"), 1):
        town.press(f"keys-{number}", f"taxi/K{number}", kind)
        town.alarm(f"taxi/K{number}")
    rows = page.locator(".row")
    expect(rows).to_have_count(3)
    expect(page.locator(".row.chosen")).to_have_count(1)
    order = [rows.nth(n).get_attribute("data-alarm") for n in range(3)]
    chosen = page.locator(".row.chosen")
    seat.press("Home")
    for key, at in (("j", 1), ("j", 2), ("j", 2), ("k", 1), ("ArrowUp", 0), ("k", 0), ("ArrowDown", 1)):
        seat.press(key)
        expect(chosen).to_have_attribute("data-alarm", order[at] or "")
    seat.press("/")
    page.keyboard.type("K3")
    expect(rows).to_have_count(1)
    assert seat.focused("#queue-search")
    seat.press("Escape")
    expect(rows).to_have_count(3)
    seat.press("v")
    assert seat.focused("#desk-video")
    page.wait_for_selector('#desk-map .city-map[data-ready="yes"]')
    seat.press("m")
    assert seat.focused("#desk-map canvas")
    seat.press("Escape")
    seat.press("?")
    shown = page.locator("dialog[open]")
    for key in ("j", "a", "s", "d", "c", "v", "m", "/", "?", "Esc", "Ctrl+K"):
        expect(shown.locator("kbd", has_text=re.compile(f"^{re.escape(key)}$")).first).to_be_visible()
    seat.press("Escape")
    expect(shown).to_have_count(0)
    seat.press("Control+k")
    page.keyboard.type("K2")
    expect(shown.locator("[role=option]")).to_have_count(1)
    seat.press("Enter")
    expect(page.locator(".details")).to_contain_text("taxi/K2")
    seat.press("Control+k", "Escape")
    expect(shown).to_have_count(0)
    seat.press("Control+k")
    page.keyboard.type("open map")
    seat.press("Enter")
    page.wait_for_url("**/map")
    for number in (1, 2, 3):
        _end(town, f"taxi/K{number}")


def _end(town: Town, device: str) -> None:
    alarm = town.alarm(device)["alarm"]
    town.call("alarm_ack", alarm=alarm)
    town.call("alarm_resolve", alarm=alarm, outcome="test")
    town.call("alarm_close", alarm=alarm, reason="tried")


def test_of_two_operators_on_one_alarm_the_second_is_told_who_won(town: Town, sit: Sit) -> None:
    first, second = sit(town.url), sit(town.url, "en-US", "light")
    first.desk("wang")
    second.desk("li")
    town.press("both", "button/both")
    alarm = town.alarm("button/both")["alarm"]
    expect(second.details(alarm)).to_have_attribute("data-work", "new")
    expect(first.details(alarm)).to_have_attribute("data-work", "new")

    under_way: list[Route] = []
    second.page.route("**/api/v1/alarms/*/ack", lambda route: under_way.append(route))  # noqa: PLW0108 a builtin is no handler here
    with second.page.expect_request("**/api/v1/alarms/*/ack"):
        second.press("a")
    first.press("a")  # both have pressed; the first one's press arrives first
    expect(first.details(alarm)).to_have_attribute("data-work", "acknowledged")
    under_way[0].continue_()
    told = second.page.locator(".notice.warn")
    expect(told).to_contain_text("wang was first")
    expect(told).to_contain_text("acknowledged")
    expect(second.details(alarm)).to_have_attribute("data-work", "acknowledged")
    expect(second.details(alarm).locator("dl.facts").first).to_contain_text("wang")
    acts = town.call("alarm_show", alarm=alarm, purpose="test")["history"]
    assert [step["by"] for step in acts if step["action"] == "acknowledge"] == ["wang"], acts
    town.call("alarm_resolve", alarm=alarm, outcome="test")
    town.call("alarm_close", alarm=alarm, reason="tried")


def test_a_press_of_the_key_stands_though_the_alarm_rang_once_more_meanwhile(town: Town, sit: Sit) -> None:
    seat = sit(town.url)
    page = seat.desk("wang")
    town.press("once", "button/twice")
    alarm = town.alarm("button/twice")
    expect(seat.details(alarm["alarm"])).to_have_attribute("data-work", "new")
    until(lambda: town.alarm("button/twice")["shown"], "that it was shown is kept")
    under_way: list[Route] = []
    page.route("**/api/v1/alarms/*/ack", lambda route: under_way.append(route), times=1)  # noqa: PLW0108 as above
    with page.expect_request("**/api/v1/alarms/*/ack"):
        seat.press("a")
    town.press("twice", "button/twice")
    until(lambda: town.alarm("button/twice")["signals"] == 2, "the second signal")
    under_way[0].continue_()
    expect(page.locator(".notice.good")).to_contain_text("button/twice")
    expect(seat.details(alarm["alarm"])).to_have_attribute("data-work", "acknowledged")
    expect(page.locator(".notice.warn")).to_have_count(0)
    town.call("alarm_resolve", alarm=alarm["alarm"], outcome="test")
    town.call("alarm_close", alarm=alarm["alarm"], reason="tried")
