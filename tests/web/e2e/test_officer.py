"""An officer's look into the past: why first, a replay, an export with its hash in the audit; what is wide waits for an approver."""

from __future__ import annotations

import csv
import hashlib
import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import wait_until
from tests.lucheng.service_process import HANG_S
from tests.web.e2e.conftest import Sit
from tests.web.e2e.seat import Seat, until
from tests.web.e2e.town import LAT, Town

MINUTES = 20
POINTS = MINUTES * 6
TAXIS = ("taxi/B0001", "taxi/B0002", "taxi/B0003")


@pytest.fixture(scope="module")
def driven(plain_town: Town) -> Town:
    """Three taxis have sent what they drove an hour ago, as taxis do that come back from a dead zone."""
    for number, taxi in enumerate(TAXIS):
        plain_town.way(taxi, MINUTES, ago_min=55, lat=LAT + 0.002 * number)
    stored = (1 + POINTS) * len(TAXIS)
    wait_until(lambda: plain_town.call("status")["stored"] >= stored, HANG_S, "what was driven to be stored")
    return plain_town


def _why(page: Page, ref: str) -> None:
    """Nothing of a page is there before it is said why."""
    expect(page.locator("[name=code]")).to_be_visible()
    assert page.locator(".replay").count() == 0
    page.select_option("[name=code]", "case")
    page.fill("[name=ref]", ref)
    page.keyboard.press("Enter")
    expect(page.locator(".purpose-bar")).to_contain_text(ref)


def _audit(town: Town, action: str, since: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = town.call("audit_list", limit=200)
    return [row for row in rows if row["action"] == action and int(str(row["number"])) > since]


def _last_audit(town: Town) -> int:
    return int(town.call("audit_list", limit=1)[0]["number"])


def test_an_officers_replay_and_export(driven: Town, sit: Sit, tmp_path: Path) -> None:
    since = _last_audit(driven)
    seat = sit(driven.url, "en-US", "light", accept_downloads=True)
    page = seat.sign_in("sun", "/replay")
    _why(page, "AJ-2026-118")
    page.fill("[name=devices]", "taxi/B0001")
    seat.press("Enter")
    page.wait_for_selector('.city-map[data-ready="yes"]')
    vehicle = page.locator(".side .vehicle")
    expect(vehicle).to_contain_text(
        re.compile(rf"\b({POINTS}|{POINTS + 1}) points")
    )  # with or without the one that came just now
    shown = int(re.findall(r"(\d+) points", vehicle.inner_text())[0])
    expect(page.locator(".purpose-bar")).to_contain_text("AJ-2026-118")
    # it plays, true to time at four times the speed
    now = page.locator(".deck .now")
    page.locator("h1").click()
    seat.press("+", "+")
    began = int(now.get_attribute("data-at-ms") or 0)
    seat.press(" ")
    until(lambda: int(now.get_attribute("data-at-ms") or 0) > began + 4_000, "the replay to go on")
    seat.press(" ")
    reads = [row for row in _audit(driven, "replay.read", since) if row["who"] == "sun"]
    assert [row["purpose"] for row in reads] == ["case:AJ-2026-118"]

    page.locator(".export-open").click()
    with page.expect_download() as coming:
        seat.press("Tab", "Tab", "Enter")  # form, datum, make
    file = tmp_path / coming.value.suggested_filename
    coming.value.save_as(file)
    made = page.locator("dl[data-made]")
    expect(made).to_contain_text(f"{shown}")
    sum_told = made.get_attribute("data-made")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == sum_told
    with file.open(newline="", encoding="utf-8-sig") as lines:
        rows = [row for row in csv.reader(line for line in lines if not line.startswith("#")) if row]
    assert len(rows) == 1 + shown
    assert any(sum_told in str(row) for row in driven.call("audit_list", limit=50)), "the audit does not have the hash"


def test_a_wide_replay_waits_for_an_approver_in_another_session(driven: Town, sit: Sit) -> None:
    officer, approver = sit(driven.url, "en-US", "light"), sit(driven.url)
    page = officer.sign_in("sun", "/replay")
    _why(page, "AJ-2026-119")
    page.select_option("[name=kind]", "taxi")
    page.locator("form .primary").click()
    wide = page.locator(".wide-read")
    expect(wide).to_have_attribute("data-state", "needed")
    wide.locator("[name=reason]").fill("who passed the school between eight and nine")
    wide.get_by_role("button", name=re.compile("Ask|ask")).first.click()
    expect(wide).to_have_attribute("data-state", "asked")
    assert page.locator(".side .vehicle").count() == 0

    _grant(approver)

    expect(wide).to_have_attribute("data-state", "granted")
    expect(wide).to_contain_text("zhou")
    assert officer.focused(".wide-read button.primary")
    officer.press("Enter")
    expect(page.locator('.city-map[data-ready="yes"]')).to_be_visible()
    expect(page.locator(".side")).to_contain_text("zhou")
    steps = [
        (row["action"], row["who"]) for row in driven.call("audit_list", limit=200) if "approval." in row["action"]
    ]
    assert set(steps) >= {("approval.ask", "sun"), ("approval.grant", "zhou"), ("approval.use", "sun")}, steps


def _grant(approver: Seat) -> None:
    """By the approver's own page: exactly what is asked stands there."""
    page = approver.sign_in("zhou", "/approvals")
    request = page.locator('.request[data-state="asked"]')
    expect(request).to_have_count(1)
    expect(request).to_contain_text("sun")
    expect(request).to_contain_text("who passed the school between eight and nine")
    expect(request).to_contain_text("AJ-2026-119")
    request.locator("footer .primary").click()
    page.wait_for_selector("dialog[open]")
    page.keyboard.type("案由属实")
    page.locator("dialog footer .primary").click()
    expect(page.locator("dialog")).to_have_count(0)
    time.sleep(0.1)
