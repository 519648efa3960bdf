"""The page of whoever leads the shift, over a day at the desk that lies behind; and broken glass, told on every page."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from console.device_operations import Caller
from tests.web.city import City
from tests.web.conftest import Seat
from tests.web.shift import Past, a_day, past_of

SUN = Caller("sun", "officer", "web")
DAY_MS = 86_400_000


@pytest.fixture
def past() -> Iterator[Past]:
    """Before the city: whatever it opens has this clock."""
    with pytest.MonkeyPatch.context() as patch:
        yield past_of(patch)


def break_the_glass(city: City, why: str) -> None:
    now_ms = city.rooms.clock.now_ms()
    city.operations.export_tracks(
        SUN,
        from_ms=now_ms - 50 * DAY_MS,
        to_ms=now_ms - 49 * DAY_MS,
        devices=["taxi/B0001"],
        purpose="case:K-7",
        approval=f"break-glass:{why}",
    ).close()


def test_seats_load_times_noise_floods_and_what_is_shelved(past: Past, city: City, seats: list[Seat]) -> None:
    a_day(city, past)
    page = seats[0].sign_in("chen", "/supervisor")
    seat = page.locator('[data-seat="chen"]')
    expect(seat).to_have_attribute("data-state", "open")
    expect(page.locator('[data-seat="li"]')).to_contain_text("刚操作过")
    load = page.locator('[data-table="load"]')
    expect(load.locator("tbody tr")).to_have_count(25)
    expect(load).to_contain_text("很可能不可接受")  # the flood, which nobody took
    expect(page.locator("svg.plot .bar.bad")).to_have_count(1)
    expect(page.locator('[data-table="sla"] tbody tr')).to_have_count(25)
    expect(page.locator("[data-share]")).to_contain_text(re.compile(r"\d+(\.\d)? %"))
    noisy = page.locator('[data-device="taxi/B0001"]')
    expect(noisy).to_contain_text("误报 8")
    expect(noisy).to_contain_text("搁置至修复")
    expect(page.locator('[data-table="floods"]')).to_contain_text("超速 26")
    expect(page.locator('[data-table="shelved"]')).to_contain_text("in the workshop")
    page.select_option("[name=window]", "week")
    expect(load.locator("tbody tr")).to_have_count(8)
    page.select_option("[name=window]", "own")
    page.fill("[name=from]", "2026-11-22T08:00")
    page.fill("[name=to]", "2026-11-21T08:00")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("起止时间不正确")
    found = city.ask("desk_figures")
    assert found["in_all"]["over"] > 0
    assert found["devices"][0]["device"] == "taxi/B0001"


def test_an_empty_desk_says_so_and_an_operator_has_no_such_page(city: City, seats: list[Seat]) -> None:
    page = seats[1].sign_in("chen", "/supervisor")
    expect(page.locator('[data-page="supervisor"]')).to_contain_text("There was no flood")
    expect(page.locator('[data-page="supervisor"]')).to_contain_text("Nothing is shelved")
    other = seats[0].sign_in("wang", "/supervisor")
    expect(other.locator("main")).to_contain_text("不能打开此页面")
    assert other.evaluate("fetch('/api/v1/desk/figures').then((answer) => answer.status)") == 403


@pytest.mark.soak
def test_broken_glass_is_told_at_once_reviewed_and_told_no_more(city: City, seats: list[Seat]) -> None:
    supervisor, operator = seats[0].desk("chen"), seats[1].desk("wang")
    expect(supervisor.locator(".glass-banner")).to_have_count(0)
    break_the_glass(city, "a hostage")
    banner = supervisor.locator(".glass-banner")
    expect(banner).to_contain_text("1 起紧急越权", timeout=5_000)  # by the beat, which comes at once
    expect(operator.locator(".glass-banner")).to_have_count(0)
    banner.get_by_role("link").click()
    request = supervisor.locator('.request[data-state="broken"]')
    expect(request).to_contain_text("a hostage")
    expect(request).to_contain_text("案件 · K-7")
    request.get_by_role("button", name="复核").click()
    supervisor.keyboard.type("called the officer: it was so")
    supervisor.locator("dialog").get_by_role("button", name="复核").click()
    expect(request).to_have_count(0)
    supervisor.goto(city.url + "/supervisor")
    supervisor.wait_for_selector('[data-link="open"]')
    expect(supervisor.locator(".glass-banner")).to_have_count(0)
    (kept,) = city.operations.approval_list(Caller("chen", "supervisor", "web"), all=True)
    assert (kept["state"], kept["reviewed_by"], kept["justified"]) == ("reviewed", "chen", True)


def test_who_asked_waits_and_another_person_grants_or_refuses(city: City, seats: list[Seat]) -> None:
    now_ms = city.rooms.clock.now_ms()
    window = {"devices": ["taxi/B0001"], "from_ms": now_ms - 50 * DAY_MS, "to_ms": now_ms - 49 * DAY_MS}
    city.operations.approval_ask(SUN, "export_tracks", window, "for the court", purpose="case:K-8")
    window["devices"] = ["taxi/B0002"]
    city.operations.approval_ask(SUN, "export_tracks", window, "for my cousin", purpose="case:K-9")
    asker, decider = seats[0].sign_in("sun", "/approvals"), seats[1].sign_in("zhou", "/approvals")
    expect(asker.locator(".request")).to_have_count(2)
    expect(asker.get_by_role("button", name="批准")).to_have_count(0)
    court = decider.locator(".request", has_text="for the court")
    expect(court).to_contain_text("taxi/B0001")
    court.get_by_role("button", name="Grant").click()
    decider.fill("[name=uses]", "1")
    decider.locator("dialog").get_by_role("button", name="Grant").click()
    expect(court).to_have_attribute("data-state", "granted")
    cousin = decider.locator(".request", has_text="for my cousin")
    cousin.get_by_role("button", name="Refuse").click()
    decider.fill("[name=note]", "no case of that number")
    decider.keyboard.press("Tab")
    decider.keyboard.press("Tab")
    decider.keyboard.press("Enter")
    expect(cousin).to_have_count(0)
    asker.get_by_role("button", name="全部").click()
    expect(asker.locator('.request[data-state="refused"]')).to_contain_text("no case of that number")
    expect(asker.locator('.request[data-state="granted"]')).to_contain_text("已用 0 / 1 次")
