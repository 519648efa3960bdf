"""The incident report in a real browser, over real stores: what it says, the sketch without a map, and the paper it prints."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.web.city import City
from tests.web.conftest import Seat
from tests.web.panels import BIKE, TAXI, answers, bikes, goes_out, photo


def whole(city: City) -> str:
    """An alarm from press to close, by several people."""
    alarm = city.press()
    city.ask("alarm_shown", "wang", alarms=[alarm])
    city.ask("alarm_ack", "wang", alarm=alarm)
    city.ask("alarm_hand_over", "wang", alarm=alarm, to="li", note="保安 <script>已到</script>")
    city.ask("alarm_dispatch", "li", alarm=alarm, unit="unit/P1", eta_minutes=3)
    city.ask("alarm_arrive", "li", alarm=alarm)
    city.ask("alarm_resolve", "li", alarm=alarm, outcome="real", reason="两人争执，已劝离")
    city.ask("alarm_close", "chen", alarm=alarm, reason="已复核")
    return alarm


def report(seat: Seat, alarm: str, user: str = "wang") -> Page:
    page = seat.sign_in(user, f"/desk/{alarm}/report")
    page.wait_for_selector(f'.paper[data-alarm="{alarm}"]')
    return page


def test_it_says_who_did_what_when_and_where(city: City, seats: list[Seat]) -> None:
    alarm = whole(city)
    page = report(seats[0], alarm)
    expect(page.locator("h1")).to_have_text("处警单 · 一键报警")
    expect(page.locator(".verdict")).to_have_class(re.compile("kept"))
    expect(page.locator(".paper-facts")).to_contain_text("第三小学 · 王老师 · 04725551234")
    times = page.locator(".time-table tbody tr")
    assert [row.split("\t")[0] for row in times.all_inner_texts()] == [
        "设备时间", "接收时间", "已显示", "已接警", "已派警", "已到场", "已处置", "已结案",
    ]  # fmt: skip
    assert [row.split("\t")[-1] for row in times.all_inner_texts()][3:] == ["wang", "li", "li", "li", "chen"]
    expect(page.locator(".who-table")).to_contain_text("保安 <script>已到</script>")
    expect(page.locator(".near-table tbody tr")).to_have_count(5)
    expect(page.locator(".signs")).to_contain_text("chen")
    assert ("alarm.report", alarm, "wang", f"alarm:{alarm}") in {
        (row["action"], row["target"], row["who"], row["purpose"]) for row in city.ask("audit_list", limit=500)
    }


def test_the_sketch_is_made_of_the_citys_roads_and_of_nothing_else(city: City, seats: list[Seat]) -> None:
    alarm = city.press()
    asked: list[str] = []
    seats[1].page.on("request", lambda request: asked.append(request.url))
    page = report(seats[1], alarm)
    expect(page.locator('[data-sketch="roads"] svg.sketch')).to_be_visible()
    assert page.locator(".sketch .road").count() > 5
    assert page.locator(".sketch .camera").count() == 3
    assert page.locator(".sketch .unit").count() == 2
    assert all(url.startswith((city.url, "data:", "blob:")) for url in asked)
    page.route(
        "**/api/v1/map/roads", lambda route: route.fulfill(status=404, json={"code": "not_found", "status": 404})
    )
    page.reload()
    expect(page.locator('[data-sketch="plain"] figcaption')).to_contain_text("No roads are known")


def test_evidence_stands_with_its_sha_256_and_commands_with_what_became_of_them(city: City, seats: list[Seat]) -> None:
    alarm = city.press(TAXI, "sos")
    number = photo(city)
    command = city.ask("command_send", "wang", device=TAXI, name="text", args={"text": "请靠边停车"}, alarm=alarm)[
        "command"
    ]
    goes_out(city, command)
    answers(city, command, detail="read")
    page = report(seats[1], alarm)
    (row,) = city.ask("evidence_list", alarm=alarm)
    assert row["evidence"] == number
    expect(page.locator(".evidence-table")).to_contain_text(row["sha256"])
    expect(page.locator(".command-table")).to_contain_text("请靠边停车")
    expect(page.locator(".command-table")).to_contain_text("done")
    expect(page.locator(".verdict")).to_contain_text("Still running")


@pytest.mark.soak
def test_an_ebikes_report_hides_its_place_without_an_open_case(city: City, seats: list[Seat]) -> None:
    bikes(city)
    alarm = city.press(BIKE, "vibration")
    page = report(seats[1], alarm)
    expect(page.locator('[data-sketch="none"]')).to_contain_text("its owner's")
    expect(page.locator("svg.sketch")).to_have_count(0)
    assert "40.65" not in page.locator(".paper").inner_text()
    case = city.ask("ebike_report", device=BIKE, owner_ref="R-1")["case"]
    page.reload()
    expect(page.locator("svg.sketch")).to_be_visible()
    expect(page.locator(".paper-facts")).to_contain_text(case)


def test_it_prints_on_a4_with_the_heads_of_tables_again_and_no_row_cut(city: City, seats: list[Seat]) -> None:
    alarm = city.press(TAXI, "sos")
    for number in range(40):
        photo(city, number=number)
    page = report(seats[0], alarm)
    expect(page.locator(".evidence-table tbody tr")).to_have_count(40)
    pdf = page.pdf(prefer_css_page_size=True)
    pages = re.findall(rb"/Type\s*/Page\b", pdf)
    assert pdf.startswith(b"%PDF")
    assert 2 <= len(pages) <= 5
    assert {tuple(map(float, box)) for box in re.findall(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", pdf)} <= {
        (595.0, 842.0), (594.95996, 841.91998), (595.91998, 842.88), (595.2, 841.92),
    }, "not A4"  # fmt: skip
    page.emulate_media(media="print")
    for selector, rule, wanted in (
        (".evidence-table tbody tr", "breakInside", "avoid"),
        (".evidence-table thead", "display", "table-header-group"),
        (".top", "display", "none"),
        (".incident-bar", "display", "none"),
        ("main", "overflowY", "visible"),
        (".paper", "backgroundColor", "rgb(255, 255, 255)"),
        (".paper", "color", "rgb(17, 17, 17)"),
    ):
        style = page.locator(selector).first.evaluate(f"element => getComputedStyle(element).{rule}")
        assert style == wanted, (selector, rule)


def test_it_is_reached_from_the_desk_and_an_alarm_that_is_none_is_said(city: City, seats: list[Seat]) -> None:
    alarm = city.press()
    page = seats[1].desk("wang")
    page.wait_for_selector(f'.details[data-alarm="{alarm}"]')
    page.keyboard.press("Control+k")
    page.keyboard.type("incident")
    page.keyboard.press("Enter")
    expect(page.locator(".paper")).to_be_visible()
    page.get_by_role("link", name="Back to the alarm").click()
    expect(page.locator(".details")).to_be_visible()
    page.goto(city.url + "/desk/A2026-999999/report")
    expect(page.locator(".failure")).to_contain_text("A2026-999999")
