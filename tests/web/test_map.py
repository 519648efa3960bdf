"""The map in a real browser, over real stores: filters, follow, numbers for many, fences by hand and by coordinates, jurisdictions,
a base map in another datum; and text that would be a script (S7) on map, search and replay.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from config.map import Map
from tests.console.web.test_maps import archive
from tests.web import past
from tests.web.city import LAT, LON, City
from tests.web.conftest import Seat

#: As long as a plate may be.
PLATE = "<b onclick=alert(1)>"
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
SQUARE = [[LON - 0.01, LAT - 0.01], [LON + 0.01, LAT - 0.01], [LON + 0.01, LAT + 0.01], [LON - 0.01, LAT + 0.01], [LON - 0.01, LAT - 0.01]]  # fmt: skip


def put_fence(city: City, fence: str = "market", name: str = "市场", **properties: object) -> None:
    feature = {
        "type": "Feature",
        "properties": {"id": fence, "name": name, "rule": "forbidden", "kinds": ["taxi"], **properties},
        "geometry": {"type": "Polygon", "coordinates": [SQUARE]},
    }
    city.ask("fence_add", feature=feature)


def open_map(seat: Seat, user: str = "chen", more: str = "") -> Page:
    page = seat.sign_in(user, f"/map{more}")
    page.wait_for_selector('.city-map[data-ready="yes"]')
    return page


def pick(page: Page, east: float, south: float, text: str) -> None:
    """Click beside the middle until what lies there has been drawn, and is told."""
    x, y = middle_of(page)
    panel = page.locator(".panel.right")
    for _ in range(20):
        page.mouse.click(x + east, y + south)
        page.wait_for_timeout(400)
        if panel.is_visible() and text in panel.inner_text():
            return
    expect(panel).to_contain_text(text)


def middle_of(page: Page) -> tuple[float, float]:
    box = page.locator(".city-map").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_filters_follow_and_the_age_of_a_place(city: City, seats: list[Seat]) -> None:
    page = open_map(seats[1])
    expect(page.locator('.city-map[data-fleet="4"]')).to_have_count(1)
    page.locator("label.check", has_text="Taxis").locator("input").uncheck()
    expect(page.locator('.city-map[data-fleet="2"]')).to_have_count(1)  # the service sends no taxis then
    page.locator("label.check", has_text="Taxis").locator("input").check()
    page.fill("#map-find", "B0002")
    page.keyboard.press("Enter")
    panel = page.locator(".panel.right")
    expect(panel).to_contain_text("Age of the place")
    expect(panel).to_contain_text("±9 m")
    page.locator("h2").first.click()
    page.keyboard.press("f")
    expect(panel.locator("[aria-pressed=true]")).to_contain_text("Stop following")
    city.drive("taxi/B0002", LAT + 0.05, LON + 0.05, 71.0)
    expect(panel).to_contain_text("71 km/h")
    page.wait_for_timeout(2000)
    # followed: what is clicked in the middle of the map is that taxi
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(page.locator(".map-foot")).to_contain_text("1 in view")
    page.mouse.click(*middle_of(page))
    expect(panel).to_contain_text("taxi/B0002")


def test_a_fence_is_drawn_kept_changed_by_coordinates_and_removed(city: City, seats: list[Seat]) -> None:
    page = open_map(seats[1])
    page.click("[data-fence=polygon]")
    expect(page.locator(".fence-tools")).to_contain_text("0 corners")
    x, y = middle_of(page)
    for n, (east, south) in enumerate(((-80, -60), (80, -60), (80, 60), (-80, 60)), start=1):
        page.mouse.click(x + east, y + south)
        expect(page.locator(".fence-tools")).to_contain_text(f"{n} corners")
    page.keyboard.press("Enter")
    page.fill(".dialog [name=id]", "square")
    page.fill(".dialog [name=name]", "the square")
    page.select_option(".dialog [name=rule]", "speed")
    page.fill(".dialog [name=limit_kmh]", "30")
    page.click(".dialog button.primary")
    expect(page.locator(".dialog")).to_have_count(0)
    kept = city.ask("fence_show", fence="square")
    assert (kept["rule"], kept["limit_kmh"], kept["vertices"], kept["kinds"]) == ("speed", 30.0, 5, ["taxi"])
    pick(page, 40, 40, "the square")
    panel = page.locator(".panel.right")
    expect(panel).to_contain_text("30 km/h")
    # the whole of it by keyboard: coordinates, name
    page.click("[data-fence=properties]")
    page.fill(".dialog [name=name]", "the round one")
    page.fill(".dialog [name=area]", f"{LAT},{LON},750")
    page.click(".dialog button.primary")
    expect(page.locator(".dialog")).to_have_count(0)
    changed = city.ask("fence_show", fence="square")
    assert (changed["name"], changed["shape"], changed["radius_m"]) == ("the round one", "circle", 750.0)
    assert changed["number"] == kept["number"]
    page.click("[data-fence=remove]")
    expect(page.locator(".dialog")).to_contain_text("the round one")
    page.click(".dialog button.danger")
    expect(page.locator(".dialog")).to_have_count(0)
    assert city.ask("fence_list") == []


@pytest.mark.soak
def test_a_corner_is_dragged_and_an_edge_gets_one_more(city: City, seats: list[Seat]) -> None:
    put_fence(city)
    page = open_map(seats[1])
    pick(page, -15, 15, "市场")
    page.click("[data-fence=edit]")
    expect(page.locator(".fence-tools")).to_contain_text("4 corners")
    page.wait_for_timeout(800)
    x, y = middle_of(page)
    canvas = page.locator(".maplibregl-canvas")
    up = 10
    while canvas.evaluate("at => at.style.cursor") != "move" and up < 300:  # the pointer says where it can be dragged
        up += 3
        page.mouse.move(x, y - up)
        page.wait_for_timeout(60)
    page.mouse.down()
    page.mouse.move(x, y - up - 40, steps=3)
    page.mouse.up()
    expect(page.locator(".fence-tools")).to_contain_text("5 corners")
    page.click(".fence-tools .primary")
    page.click(".dialog button.primary")
    expect(page.locator(".dialog")).to_have_count(0)
    assert city.ask("fence_show", fence="market")["vertices"] == 6


def test_a_fence_that_somebody_else_changed_is_not_written_over(city: City, seats: list[Seat]) -> None:
    put_fence(city)
    page = open_map(seats[1])
    pick(page, -15, 15, "市场")
    page.click("[data-fence=properties]")
    expect(page.locator(".dialog [name=name]")).to_have_value("市场")
    feature = city.ask("fence_show", fence="market")["feature"]
    city.ask("fence_add", feature={**feature, "properties": {**feature["properties"], "name": "改过"}}, change=True)
    page.fill(".dialog [name=name]", "mine")
    page.click(".dialog button.primary")
    expect(page.locator(".notice.warn")).to_contain_text("was changed in version")
    assert city.ask("fence_show", fence="market")["name"] == "改过"
    expect(page.locator(".dialog [name=name]")).to_have_value("mine")  # nothing that was typed is lost


def test_an_operator_draws_no_fence(city: City, seats: list[Seat]) -> None:
    page = open_map(seats[1], "wang")
    expect(page.locator(".panel.left")).to_be_visible()
    expect(page.locator(".fence-tools")).to_have_count(0)


def test_jurisdictions_and_cameras(city: City, seats: list[Seat]) -> None:
    area = {
        "type": "Feature",
        "properties": {"id": "donghe", "name": "东河", "level": "city"},
        "geometry": {"type": "Polygon", "coordinates": [SQUARE]},
    }
    city.ask("jurisdiction_import", data=json.dumps({"type": "FeatureCollection", "features": [area]}).encode())
    page = open_map(seats[1])
    with page.expect_response("**/map/jurisdictions*") as told:
        page.locator("label.check", has_text="Jurisdictions").locator("input").check()
    assert told.value.json()["features"][0]["properties"]["name"] == "东河"
    page.click("nav a[href='/search']")
    page.fill("[name=ref]", "AJ-1")
    page.keyboard.press("Enter")
    page.select_option("[name=first-named]", "jurisdiction:donghe")
    expect(page.locator("[name=first]")).to_have_value("jurisdiction:donghe")


@pytest.fixture
def gcj_seat(browser: Browser, tmp_path: Path) -> Seat:
    """A city whose base map is a PMTiles file in GCJ-02."""
    folder = tmp_path / "gcj" / "map"
    folder.mkdir(parents=True)
    (folder / "city.pmtiles").write_bytes(archive(layers=("water", "roads")))
    city = City(folder.parent, map=Map(tiles_file="city.pmtiles", tiles_datum="gcj02"))
    return Seat(browser, city, "en-US", "light")


@pytest.mark.soak
def test_what_is_drawn_on_a_base_map_in_gcj_02_is_kept_in_wgs_84(gcj_seat: Seat) -> None:
    with gcj_seat.city as city:
        page = open_map(gcj_seat)
        expect(page.locator(".map-foot")).to_contain_text("GCJ-02")
        page.fill("#map-find", "taxi/B0001")
        page.keyboard.press("Enter")
        page.wait_for_timeout(1500)
        page.keyboard.press("Escape")
        # the taxi stands in the middle of the map, which is where its place is drawn in that datum: a circle around the middle
        page.click("[data-fence=circle]")
        x, y = middle_of(page)
        page.mouse.click(x, y)
        page.wait_for_timeout(300)
        page.mouse.click(x + 100, y)
        page.wait_for_timeout(300)
        page.click(".fence-tools .primary")
        lat, lon, _ = page.input_value(".dialog [name=area]").split(",")
        (where,) = city.ask("where", devices=["taxi/B0001"])
        assert abs(float(lat) - where["lat"]) < 2e-5
        assert abs(float(lon) - where["lon"]) < 2e-5
        gcj_seat.context.close()
    assert gcj_seat.complaints == []


@pytest.mark.soak
def test_text_that_would_be_a_script_is_shown_as_text(city: City, seats: list[Seat]) -> None:
    """S7: plate, name of a device and of a fence, a camera's name, on the map, in the search and in the replay."""
    start = city.rooms.clock.now_ms() // 1000 * 1000 - 3_600_000
    city.ask("device_add", device="taxi/EVIL", name=HOSTILE[:60], plate=PLATE)
    put_fence(city, "evil", HOSTILE)
    city.ask(
        "camera_set", camera="camera/evil", add=True, url="rtsp://10.0.0.9/main", name=HOSTILE, lat=LAT, lon=LON + 0.004
    )
    city._refresh()
    past.put_way(city, "taxi/EVIL", past.straight(start, LAT, LON - 0.04, LAT, LON + 0.04, minutes=12))
    city.drive("taxi/EVIL", LAT + 0.002, LON + 0.002)
    asked: list[str] = []
    page = open_map(seats[1])
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/x") else None)
    pick(page, -15, 15, "<img src=x onerror=")
    page.click("[data-fence=remove]")
    expect(page.locator(".dialog p").first).to_contain_text("<script>")
    page.keyboard.press("Escape")
    page.goto(f"{city.url}/search?area=fence:evil&from={past.iso(start)}&to={past.iso(start + 3_600_000)}")
    page.fill("[name=ref]", HOSTILE)
    page.keyboard.press("Enter")
    expect(page.locator(".purpose-bar")).to_contain_text("<img src=x onerror=")
    expect(page.locator("[name=first-named] option", has_text="<script>")).to_have_count(1)
    page.click("form button.primary")
    row = page.locator('.results [data-found="taxi/EVIL"]')
    expect(row).to_contain_text(PLATE)
    row.locator("button").nth(1).click()
    expect(page.locator(".side .vehicle h3")).to_contain_text(PLATE)
    page.locator(".side summary", has_text=re.compile("Cameras")).click()
    expect(page.locator(".pass", has_text="<script>").first).to_be_visible()
    page.wait_for_timeout(1000)
    assert page.evaluate("() => window.hacked") is None
    assert page.locator("main img, main script").count() == 0
    assert asked == []
