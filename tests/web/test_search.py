"""The search by place and time in a real browser, over real stores: drawn, typed, chosen; approved by another; opened in a replay;
given out as a file.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from console.device_operations import Caller
from model.role import Role
from tests.web import past
from tests.web.city import LAT, LON, City
from tests.web.conftest import Seat

HOUR_MS = 3_600_000
WIDE = 60


@pytest.fixture
def start_ms(city: City) -> int:
    """An hour ago; two taxis went from west to east together since, two others drove around the middle."""
    start = city.rooms.clock.now_ms() - HOUR_MS
    past.put_way(city, "taxi/E0001", past.straight(start, LAT, LON - 0.04, LAT, LON + 0.04, minutes=12))
    past.put_way(city, "taxi/E0002", past.straight(start + 20_000, LAT, LON - 0.04, LAT, LON + 0.04, minutes=12))
    past.put_way(city, "taxi/N0001", past.straight(start, LAT + 0.01, LON, LAT + 0.012, LON, minutes=12))
    past.put_way(city, "taxi/N0002", past.around_blocks(start, LAT + 0.1, LON, seed=3))
    city._refresh()
    return start


def open_search(seat: Seat, start_ms: int, user: str = "sun", more: str = "") -> Page:
    """The search page with its window, after the purpose."""
    page = seat.sign_in(user, f"/search?from={past.iso(start_ms)}&to={past.iso(start_ms + HOUR_MS)}{more}")
    expect(page.locator("[name=question]")).to_have_count(0)  # nothing before it is said why
    page.fill("[name=ref]", "AJ-118")
    page.keyboard.press("Enter")
    page.wait_for_selector('.city-map[data-ready="yes"]')
    return page


def as_approver(city: City, operation: str, **arguments: Any) -> Any:
    """What the second person does on his own page."""
    return getattr(city.operations, operation)(Caller("zhou", Role.APPROVER, "web"), **arguments)


def found(page: Page) -> list[str]:
    page.wait_for_selector(".results tbody tr")
    names: list[str] = page.locator(".results tbody tr").evaluate_all("rows => rows.map(row => row.dataset.found)")
    return names


def test_an_area_is_typed_and_who_was_there_is_listed_drawn_and_replayed(
    city: City, seats: list[Seat], start_ms: int
) -> None:
    page = open_search(seats[0], start_ms)
    page.fill("[name=first]", f"{LAT}，{LON}，500")  # with the commas of a Chinese keyboard
    page.keyboard.press("Control+k")
    page.keyboard.press("Escape")
    page.click("form button.primary")
    assert sorted(found(page)) == ["taxi/E0001", "taxi/E0002"]
    expect(page.locator(".purpose-bar")).to_contain_text("案件 · AJ-118")
    assert int(page.locator(".city-map").get_attribute("data-found") or 0) > 0
    page.locator(".results th button").first.click()
    page.locator(".results th button").first.click()
    assert found(page) == ["taxi/E0002", "taxi/E0001"]
    page.locator('[data-found="taxi/E0001"] button').first.click()
    expect(page.locator('.city-map[data-way="1"]')).to_have_count(1)
    page.locator('[data-found="taxi/E0001"] button').nth(1).click()
    expect(page).to_have_url(re.compile(r"/replay\?devices=taxi%2FE0001"))
    # the purpose goes along, and the track is read at once
    expect(page.locator(".vehicle h3").first).to_contain_text("taxi/E0001")
    expect(page.locator(".purpose-bar")).to_contain_text("案件 · AJ-118")


@pytest.mark.soak
def test_an_area_is_drawn_by_hand(city: City, seats: list[Seat], start_ms: int) -> None:
    page = open_search(seats[1], start_ms)
    box = page.locator(".stage .city-map").bounding_box()
    assert box is not None
    page.click("[data-draw=first-polygon]")
    expect(page.locator(".map-foot")).to_be_visible()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for n, (east, south) in enumerate(((-60, -50), (60, -50), (60, 50), (-60, 50)), start=1):
        page.mouse.click(middle[0] + east, middle[1] + south)
        if n >= 3:
            expect(page.locator("[name=first]")).to_have_value(re.compile(rf"^(\S+ ){{{n - 1}}}\S+$"))
        else:
            page.wait_for_timeout(150)
    before = page.input_value("[name=first]").split()
    # a corner is dragged
    page.mouse.move(middle[0] + 60, middle[1] + 50)
    page.mouse.down()
    page.mouse.move(middle[0] + 90, middle[1] + 80, steps=4)
    page.mouse.up()
    expect(page.locator("[name=first]")).not_to_have_value(" ".join(before))
    after = page.input_value("[name=first]").split()
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, True, False, True]
    page.keyboard.press("Backspace")
    expect(page.locator("[name=first]")).to_have_value(" ".join(after[:3]))
    page.keyboard.press("Enter")
    expect(page.locator(".map-foot")).to_have_count(0)
    page.click("[data-draw=first-circle]")
    expect(page.locator(".map-foot")).to_be_visible()
    page.mouse.click(*middle)
    page.wait_for_timeout(150)
    page.mouse.click(middle[0] + 40, middle[1])
    expect(page.locator("[name=first]")).to_have_value(re.compile(r"^40\.\d+,109\.\d+,\d+$"))
    page.keyboard.press("Enter")
    page.click("form button.primary")
    assert {"taxi/E0001", "taxi/E0002"} <= set(found(page))


@pytest.mark.soak
def test_two_places_company_and_meetings(city: City, seats: list[Seat], start_ms: int) -> None:
    page = open_search(seats[1], start_ms)
    west, east = f"{LAT},{LON - 0.03},400", f"{LAT},{LON + 0.03},400"
    for question, first, second in (("both", east, west), ("then", west, east)):
        page.select_option("[name=question]", question)
        page.fill("[name=first]", first)
        page.fill("[name=second]", second)
        page.click("form button.primary")
        assert sorted(found(page)) == ["taxi/E0001", "taxi/E0002"]
    page.fill("[name=first]", east)
    page.fill("[name=second]", west)
    page.click("form button.primary")
    expect(page.locator(".found .empty")).to_contain_text("Nobody was found")
    page.select_option("[name=question]", "company")
    page.fill("[name=device]", "taxi/E0001")
    page.fill("[name=near]", "300")
    page.click("form button.primary")
    assert found(page) == ["taxi/E0002"]
    page.select_option("[name=question]", "met")
    page.fill("[name=first]", f"{LAT},{LON},300")
    page.fill("[name=within]", "60")
    page.click("form button.primary")
    expect(page.locator(".results tbody tr")).to_contain_text(["taxi/E0002"])


def test_what_is_wrong_is_said_before_anything_is_asked(city: City, seats: list[Seat], start_ms: int) -> None:
    page = open_search(seats[1], start_ms)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/search/" in request.url else None)
    page.fill("[name=first]", "40.65,109.84,9999")
    page.click("form button.primary")
    expect(page.locator("[role=alert]")).to_contain_text("no such area")
    page.fill("[name=first]", "fence:none")
    page.fill("[name=from]", "2026-01-02T10:00:00")
    page.fill("[name=to]", "2026-01-02T09:00:00")
    page.click("form button.primary")
    expect(page.locator("[role=alert]")).to_contain_text("must lie before")
    assert asked == []
    page.fill("[name=to]", "2026-01-02T11:00:00")
    page.click("form button.primary")
    expect(page.locator(".failure")).to_contain_text("none")  # the service's own words


def test_what_is_wide_waits_for_another_person(city: City, seats: list[Seat], start_ms: int) -> None:
    city.rooms.registry.ensure([f"taxi/W{n:03}" for n in range(WIDE)])
    city._refresh()
    page = open_search(seats[1], start_ms)
    page.fill("[name=first]", f"{LAT},{LON},500")
    page.click("form button.primary")
    wide = page.locator(".wide-read")
    expect(wide).to_contain_text("more than 50")
    page.fill("[name=reason]", "hit and run")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(wide).to_have_attribute("data-state", "asked")
    approval = wide.locator("dd").first.inner_text()
    as_approver(city, "approval_grant", approval=approval, note="looked at")
    expect(wide).to_have_attribute("data-state", "granted")
    expect(wide).to_contain_text("zhou")
    page.keyboard.press("Enter")  # the focus lies on it
    assert sorted(found(page)) == ["taxi/E0001", "taxi/E0002"]
    expect(page.locator(".results-bar")).to_contain_text(f"{approval} granted by zhou")


def test_in_an_emergency_the_glass_is_broken_after_its_warning(city: City, seats: list[Seat], start_ms: int) -> None:
    city.rooms.registry.ensure([f"taxi/W{n:03}" for n in range(WIDE)])
    city._refresh()
    page = open_search(seats[0], start_ms)
    page.fill("[name=first]", f"{LAT},{LON},500")
    page.click("form button.primary")
    page.click(".glass summary")
    expect(page.locator(".glass .warn-text")).to_contain_text("24 小时内复核")
    page.fill("[name=glass]", "孩子走失")
    broken = page.locator(".glass button.danger")
    expect(broken).to_be_disabled()
    page.check(".glass input[type=checkbox]")
    broken.click()
    assert sorted(found(page)) == ["taxi/E0001", "taxi/E0002"]
    expect(page.locator(".results-bar")).to_contain_text("break-glass")
    (kept,) = as_approver(city, "approval_list")
    assert (kept["state"], kept["by"], kept["reason"]) == ("broken", "sun", "孩子走失")


@pytest.mark.parametrize(("form", "datum"), [("csv", "wgs84"), ("geojson", "gcj02"), ("gpx", "wgs84"), ("kml", "gcj02"), ("parquet", "wgs84")])  # fmt: skip
def test_what_was_found_is_given_out_as_a_file_with_its_sha256(
    city: City, seats: list[Seat], start_ms: int, tmp_path: Path, form: str, datum: str
) -> None:
    page = open_search(seats[1], start_ms)
    page.fill("[name=first]", f"{LAT},{LON},500")
    page.click("form button.primary")
    page.wait_for_selector(".results tbody tr")
    page.check(".results thead input")
    page.click("text=Export the chosen (2)")
    page.select_option(".export [name=form]", form)
    page.select_option(".export [name=datum]", datum)
    with page.expect_download() as download:
        page.click(".export button.primary")
    path = tmp_path / "given"
    download.value.save_as(path)
    made = page.locator("[data-made]")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    expect(made).to_have_attribute("data-made", sha256)
    expect(made).to_contain_text("as it came")
    expect(page.locator("[data-file]")).to_have_text(download.value.suggested_filename)
    assert download.value.suggested_filename.endswith(f"{datum}.{form}")
    (noted,) = (row for row in city.ask("audit_list", who="zhao") if row["action"] == "export.made")
    assert noted["detail"]["sha256"] == sha256
    assert noted["purpose"].startswith("case:AJ-118")
