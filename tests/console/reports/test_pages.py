"""The HTML of a report: escaped, self-contained, cut where it says so, and as a page in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from playwright.sync_api import Browser, ConsoleMessage

from analytics.meaning.context import Context
from analytics.supervision.day import DayPoints
from analytics.supervision.supervise import supervise
from console.reports.as_html import html_bytes
from console.reports.charts import bars, columns, histogram
from console.reports.document import Asked, Vehicle, document
from console.reports.texts import LANGUAGES, TEXTS, band_text
from model.batch import PointBatch

FROM_MS = 1_795_276_800_000 - 1_795_276_800_000 % 86_400_000
SEED = 20_261_122
EVIL = "<script>alert(1)</script>"
LIMITS = {
    "trip_gap_s": 300, "stop_min_s": 120, "stop_diameter_m": 50.0, "overspeed_kmh": 80.0, "overspeed_over_kmh": 5.0,
    "overspeed_min_s": 10, "fatigue_drive_s": 14_400, "fatigue_rest_s": 1_200, "overspeed_bands_pct": [10, 20, 50],
    "drift_points": 5, "offline_s": 600, "max_speed_kmh": 180.0, "jump_min_m": 50.0,
}  # fmt: skip


def report(vehicles: int = 40) -> dict[str, Any]:
    """Some taxis that drive about at random for a day, with gaps."""
    chance = np.random.default_rng(SEED)
    rows = 600
    slot = np.repeat(np.arange(vehicles), rows)
    time = (
        FROM_MS + np.tile(np.arange(rows) * 60_000, vehicles) + (np.tile(np.arange(rows), vehicles) // 200) * 3_600_000
    )
    speed = np.abs(np.cumsum(chance.normal(0, 12, vehicles * rows)) % 140)
    lat = 40.6 + np.cumsum(speed / 60 / 111 * chance.choice([-1, 1], vehicles * rows))
    day = DayPoints(np.arange(vehicles + 1), FROM_MS, FROM_MS + 86_400_000)
    day.add(
        PointBatch.of(
            len(slot), {"slot": slot, "time_ms": time, "lat": lat % 60, "lon": 109.8, "speed_kmh": speed, "flags": 24}
        )
    )
    found = supervise(day, Context(kind_of_slot=np.zeros(vehicles + 1, np.int8)))
    companies = ("滨河出租汽车有限公司", EVIL, "", "A company with a name that is longer than any column should be")
    named = [Vehicle(f"taxi/{at}", f"蒙B·{at:05}", companies[at % 4]) for at in range(vehicles + 1)]
    asked = Asked("包头", "Asia/Shanghai", "2026-11-22", False, 3, {}, LIMITS)
    return document(found, named, asked)


def test_nothing_of_the_registry_is_markup_and_nothing_is_fetched() -> None:
    page = html_bytes(report(), "zh").decode()
    assert EVIL not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"<script|<img|<link|url\(|@import|https?://|\son\w+=", page)
    assert "default-src 'none'" in page


def test_long_lists_are_cut_and_say_so() -> None:
    made = report()
    assert len(made["overspeed"]) > 20
    page = html_bytes(made, "en", evidence_rows=10).decode()
    assert f"10 of {len(made['overspeed']):,} rows are shown" in page
    assert (
        page.count("<tr><td>taxi/") == 10 * sum(len(made[name]) > 0 for name in ("overspeed", "fatigue", "gaps")) + 41
    )


def test_a_day_of_nothing_is_a_page() -> None:
    day = DayPoints(np.arange(2), FROM_MS, FROM_MS + 86_400_000)
    found = supervise(day, Context(kind_of_slot=np.zeros(2, np.int8)))
    asked = Asked("包头", "Asia/Shanghai", "2026-11-22", True, 0, {}, {**LIMITS, "overspeed_bands_pct": [10, 20, 50]})
    made = document(found, [Vehicle("taxi/1", "", ""), Vehicle("taxi/2", "", "")], asked)
    for language in LANGUAGES:
        page = html_bytes(made, language).decode()
        assert "nan" not in page.lower().replace("nanp", "")
        assert "0.0 %" in page


def test_every_text_is_there_in_both_languages() -> None:
    assert all(word.en.strip() and word.zh.strip() for word in TEXTS.values())
    assert [band_text("en", [10, 20], band) for band in range(3)] == ["below 10 %", "10–20 %", "20 % and more"]
    assert band_text("zh", [], 0) == "超过限速"


def test_charts_are_fixed_and_escaped() -> None:
    drawn = columns(["<a>", "b", "c"], [1.0, None, 3.0], title="<t>")
    assert drawn.count("<rect") == 2
    assert "<a>" not in drawn
    assert drawn == columns(["<a>", "b", "c"], [1.0, None, 3.0], title="<t>")
    assert columns(["a"], [None], title="").count("<rect") == 0
    assert "–" in bars(["a"], [None], title="")
    assert histogram([], 3) == (["0", "1", "2"], [0.0, 0.0, 0.0])
    assert histogram([0.0, 10.0, 299.0, 300.0], 3) == (["0", "100", "200"], [2.0, 0.0, 2.0])


def _noting(said: list[str]) -> Callable[[ConsoleMessage], None]:
    return lambda message: said.append(message.text)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_page_fits_1366_px_in_light_dark_and_print(browser: Browser, tmp_path: Path, language: Any) -> None:
    file = tmp_path / "report.html"
    file.write_bytes(html_bytes(report(), language))
    grounds: dict[str, str] = {}
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        context = browser.new_context(viewport={"width": 1366, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        said: list[str] = []
        page.on("console", _noting(said))
        page.goto(file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == 1366
        assert page.evaluate("[...document.querySelectorAll('.table')].every(t => t.scrollWidth <= t.clientWidth)")
        assert page.evaluate("[...document.querySelectorAll('.card b')].every(b => b.scrollWidth <= b.clientWidth)")
        assert said == []
        grounds[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.emulate_media(media="print")
        grounds[f"{scheme} on paper"] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        context.close()
    assert grounds["light"] != grounds["dark"]
    assert grounds["light on paper"] == grounds["dark on paper"] == "rgb(255, 255, 255)"
