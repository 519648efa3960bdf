"""The page of the service itself: what is not as it should be, sources, the counters that add up, disk, clock."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.web.city import City
from tests.web.conftest import Seat

GIB = 1 << 30
SAID = {
    "uptime_s": 93_000.0, "lag_ms": 38, "alarms_position": 0, "devices_online": 4, "broker_port": 1883, "broker_embedded": 1,
    "mqtt_points_connected": 1, "mqtt_points_received": 184_233, "source_mqtt_points_per_s": 312.4,
    "source_mqtt_points_silent_s": 0.2, "mqtt_alarms_connected": 1, "mqtt_alarms_received": 88,
    "source_mqtt_alarms_silent_s": 640, "source_points_per_s": 318.2, "disk_free_bytes": 410 * GIB,
    "disk_total_bytes": 500 * GIB, "disk_fills_bytes_per_day": 7 * GIB, "disk_seen_s": 86_000, "clock_synchronised": 1,
    "cameras_online": 91, "cameras_offline": 2,
}  # fmt: skip


@pytest.mark.soak
def test_what_is_well_is_said_and_what_is_not_is_named_a_moment_later(city: City, seats: list[Seat]) -> None:
    city.said |= SAID
    page = seats[0].sign_in("zheng", "/system")
    expect(page.locator("[data-findings]")).to_have_attribute("data-findings", "0")
    expect(page.locator(".well")).to_contain_text("一切正常")
    points = page.locator('[data-source="mqtt_points"]')
    expect(points).to_contain_text("312")
    expect(points).to_contain_text("已连接")
    expect(page.locator("main")).to_contain_text("约可用 58 天")
    expect(page.locator("[data-holds]")).to_have_attribute("data-holds", "yes")
    expect(page.locator("main")).to_contain_text("SQLite")
    city.said["mqtt_alarms_connected"] = 0
    city.said["disk_free_bytes"] = 20 * GIB
    expect(page.locator('[data-finding="mqtt_alarms_away"]')).to_be_visible(timeout=10_000)
    expect(page.locator('[data-finding="disk_low"]')).to_be_visible()
    expect(page.locator('[data-source="mqtt_alarms"]')).to_contain_text("已断开")


def test_a_service_that_does_not_answer_is_said_and_the_last_figures_stay(city: City, seats: list[Seat]) -> None:
    city.said |= SAID
    page = seats[1].sign_in("wu", "/system")
    expect(page.locator('[data-source="mqtt_points"]')).to_be_visible()
    page.route("**/api/v1/system", lambda route: route.abort())
    expect(page.locator(".failure")).to_contain_text("does not answer", timeout=10_000)
    expect(page.locator('[data-source="mqtt_points"]')).to_be_visible()
    page.unroute("**/api/v1/system")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".failure")).to_have_count(0)


def test_an_operator_has_no_such_page(city: City, seats: list[Seat]) -> None:
    page = seats[0].sign_in("wang", "/system")
    expect(page.locator("main")).to_contain_text("不能打开此页面")
    assert page.evaluate("fetch('/api/v1/system').then((answer) => answer.status)") == 403
