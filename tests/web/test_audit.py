"""The auditor's page: rows looked for and shown, the chain verified, a file made."""

from __future__ import annotations

import csv
import io
import sqlite3
from pathlib import Path

from playwright.sync_api import expect

from lucheng.rooms import AUDIT_FILE
from tests.web.city import City
from tests.web.conftest import Seat


def fill(city: City) -> None:
    for number in range(230):
        who, action = ("li", "alarm.acknowledge") if number % 2 else ("wang", "series.track")
        city.rooms.audit.append(who, "operator", action, f"taxi/B{number:04d}", f"case:K-{number % 3}", {"n": number})
    city.rooms.audit.append("=evil()", "operator", "site.add", "<img src=x onerror=alert(1)>", "", {"note": "<b>"})


def test_rows_are_found_shown_and_gone_through_page_by_page(city: City, seats: list[Seat]) -> None:
    fill(city)
    page = seats[0].sign_in("zhao", "/audit")
    rows = page.locator('[data-table="audit"] tbody tr')
    expect(rows).to_have_count(100)
    expect(page.locator('[data-table="audit"]')).to_contain_text("<img src=x onerror=alert(1)>")  # as text
    page.fill("[name=who]", "li")
    page.select_option("[name=action]", "alarm.")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(100)
    expect(rows.first).to_contain_text("接警")
    page.get_by_role("button", name="继续向前查找").click()
    expect(rows).to_have_count(115)
    expect(page.locator("main")).to_contain_text("已到最早一条")
    page.fill("[name=target]", "B0007")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    rows.first.get_by_role("button").focus()
    page.keyboard.press("Enter")
    shown = page.locator("dialog [data-row]")
    expect(shown).to_have_attribute("data-holds", "yes")
    expect(page.locator("dialog")).to_contain_text('"n": 7')
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    page.fill("[name=why]", "K-2")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_contain_text("没有符合的记录")
    newest = city.rooms.audit.rows(limit=1, newest_first=True)[0]
    assert (newest.who, newest.action, newest.detail["sought"]["purpose"]) == ("zhao", "read.audit", "K-2")


def test_the_chain_is_verified_and_the_first_bad_row_is_named(city: City, seats: list[Seat]) -> None:
    fill(city)
    page = seats[1].sign_in("zhao", "/audit")
    page.get_by_role("button", name="Verify the chain").click()
    chain = page.locator("[data-chain]")
    expect(chain).to_have_attribute("data-chain", "ok")
    expect(chain).to_contain_text("Newest checkpoint")
    with sqlite3.connect(city.rooms.data_dir / AUDIT_FILE) as other:
        (number,) = other.execute("SELECT max(n) FROM audit WHERE target = 'taxi/B0100'").fetchone()
        other.execute("UPDATE audit SET who = 'nobody' WHERE n = ?", (number,))
    other.close()
    page.get_by_role("button", name="Verify the chain").click()
    expect(chain).to_have_attribute("data-chain", "bad")
    expect(chain.locator("[data-bad-row]")).to_contain_text(f"row {number}")


def test_an_export_runs_no_formula_and_is_in_the_audit(city: City, seats: list[Seat], tmp_path: Path) -> None:
    fill(city)
    page = seats[0].sign_in("zhao", "/audit")
    page.fill("[name=from]", "2020-01-01T00:00")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="导出 CSV").click()
    file = tmp_path / "audit.csv"
    waiting.value.save_as(file)
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8-sig"))))
    assert len(rows) > 230
    assert [row["who"] for row in rows if "evil" in row["who"]] == ["'=evil()"]
    assert rows[0]["action"] == "audit.export"
    exports = [row for row in city.rooms.audit.rows(limit=10_000) if row.action == "audit.export"]
    assert [(row.who, row.role) for row in exports] == [("zhao", "auditor")]


def test_nobody_else_may_look(city: City, seats: list[Seat]) -> None:
    page = seats[0].sign_in("zheng", "/audit")
    expect(page.locator("main")).to_contain_text("不能打开此页面")
    for route in ("search", "actions", "1"):
        assert page.evaluate(f"fetch('/api/v1/audit/{route}').then((answer) => answer.status)") == 403
