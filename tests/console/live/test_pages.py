"""The pages in a real Chromium: live video plays, a dead camera does not look alive, clips play, nothing breaks the policy."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from model.clock import SystemClock
from tests.console.conftest import House
from tests.console.live.conftest import CAMERA, PATROL, TOKEN, View, keep_evidence
from tests.console.live.film import Film, FilmFeeds, fragmented, jpeg, make_film

WAIT_MS = 20_000
#: Where pictures of the pages go for a person to look at; nowhere when it is not set.
PICTURES = os.environ.get("LUCHENG_TEST_PICTURES", "")


@pytest.fixture(scope="module")
def feeds(film: Film) -> Iterator[FilmFeeds]:
    made = FilmFeeds(fragmented(film), cameras=(CAMERA,))
    yield made
    made.close()


@pytest.fixture(scope="module")
def hevc() -> Film:
    """What Chromium does not play."""
    return make_film("libx265", name="hvc1.1.6.L60.90")


@pytest.fixture(scope="module")
def view(shared_house: House, feeds: FilmFeeds, film: Film) -> Iterator[View]:
    made = View(shared_house, feeds, SystemClock(), view_copy=lambda _data: film.whole)
    yield made
    made.server.stop()


@pytest.fixture
def feed_runs(view: View, feeds: FilmFeeds, film: Film) -> Iterator[None]:
    """A feed of playable video, alive, and an operator, whatever the test does to them."""
    yield
    feeds.film = fragmented(film)
    feeds.dead.clear()
    view.become("operator")


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, view: View, feed_runs: None) -> Iterator[Open]:
    """Opens a path as a browser that was given the token; no page may break the policy or throw."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def open_(path: str, *, script: str = "", **options: object) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1366, "height": 768}, "locale": "en-GB", **options})  # type: ignore[arg-type]
        contexts.append(context)
        if script:
            context.add_init_script(script)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto(view.server.page_url(path))
        return page

    yield open_
    for context in contexts:
        context.close()
    assert faults == []


def wait(page: Page, condition: str) -> None:
    page.wait_for_function(f"() => {condition}", polling=50, timeout=60_000)


def photograph(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png")


VIDEO = "document.getElementById('video')"
STAGE = "document.getElementById('stage')"
COVER = "document.getElementById('cover')"
LIVE_PAGE = f"camera/{CAMERA}?{PATROL}"


def test_live_video_plays_and_goes_on_over_the_films_end(open_page: Open, view: View) -> None:
    page = open_page(LIVE_PAGE)
    assert "token" not in page.url
    wait(page, f"{VIDEO}.readyState >= 2 && {COVER}.hidden")
    first = page.evaluate(f"{VIDEO}.currentTime")
    wait(page, f"{VIDEO}.currentTime > {first} + 1")
    assert page.evaluate(f"[{VIDEO}.videoWidth, {VIDEO}.videoHeight]") == [320, 180]
    assert page.locator("#mark").inner_text() == "re-encoded for viewing"
    wait(page, f"+{STAGE}.dataset.ageS < 2.5")
    photograph(page, "live-en")
    wait(page, f"{VIDEO}.currentTime > {first} + 3.5")  # the film has three seconds, then its own times begin anew
    assert page.evaluate(f"{STAGE}.dataset.mode") == "mp4"
    assert ("watch.live", CAMERA, "patrol") in view.house.actions()


def test_a_dead_cameras_last_picture_does_not_look_live(open_page: Open, feeds: FilmFeeds, view: View) -> None:
    page = open_page(LIVE_PAGE, locale="zh-CN", color_scheme="dark")
    wait(page, f"{VIDEO}.readyState >= 2 && {COVER}.hidden")
    feeds.dead.set()
    # Who comes now has a picture at once, though the camera sends nothing: what was kept since the last keyframe.
    starts = feeds.starts
    late = open_page(LIVE_PAGE)
    wait(late, f"{VIDEO}.readyState >= 2 && {STAGE}.dataset.ageS !== ''")
    assert feeds.starts == starts
    for one in (page, late):
        wait(one, f"{STAGE}.classList.contains('stale') && !{COVER}.hidden")
    assert "非实时画面" in page.locator("#cover").inner_text()
    assert "Not live" in late.locator("#cover").inner_text()
    photograph(page, "stale-zh-dark")
    feeds.dead.clear()
    for one in (page, late):
        wait(one, f"{COVER}.hidden && +{STAGE}.dataset.ageS < 2.5")


@pytest.mark.parametrize("why", ["no media source", "codec"])
def test_single_pictures_where_video_cannot_be_played(
    open_page: Open, feeds: FilmFeeds, hevc: Film, view: View, why: str
) -> None:
    if why == "codec":
        feeds.film = hevc
    page = open_page(LIVE_PAGE, script="delete window.MediaSource;" if why == "no media source" else "")
    wait(page, "document.getElementById('still').naturalWidth === 320")
    wait(page, f"{COVER}.hidden && +{STAGE}.dataset.ageS < 5")
    assert page.evaluate(f"{STAGE}.dataset.mode") == "jpeg"
    assert page.locator("#mode").inner_text() == "single pictures"
    assert page.locator("#mark").is_visible()
    photograph(page, f"pictures-{why.replace(' ', '-')}")


def test_single_pictures_after_the_socket_failed(open_page: Open) -> None:
    broken = "const Real = WebSocket; window.WebSocket = class extends Real { constructor(u) { super(u.replace('/live?', '/nothing?')); } };"
    page = open_page(LIVE_PAGE, script=broken)
    wait(page, "document.getElementById('still').naturalWidth === 320")
    wait(page, f"{COVER}.hidden")


def test_a_role_that_is_lowered_ends_the_picture_and_says_so(open_page: Open, view: View) -> None:
    page = open_page(LIVE_PAGE)
    wait(page, f"{VIDEO}.readyState >= 2 && {COVER}.hidden")
    view.become("technician")
    wait(page, f"!{COVER}.hidden && {VIDEO}.readyState === 0")
    assert "You may not look" in page.locator("#cover").inner_text()
    photograph(page, "refused")


def test_an_alarms_clips_play_and_what_cannot_be_played_is_shown_as_a_copy(
    open_page: Open, view: View, film: Film, hevc: Film
) -> None:
    house = view.house
    alarm = house.alarm("button/1")
    keep_evidence(house, alarm, film.whole)
    keep_evidence(house, alarm, hevc.whole)
    keep_evidence(house, alarm, jpeg(7), "image", "jpg")
    page = open_page(f"alarm/{alarm}", locale="zh-CN")
    plays = "[...document.querySelectorAll('.pieces video')].every(one => one.readyState >= 1 && one.duration > 2.5)"
    wait(page, plays)
    assert page.locator(".said").all_inner_texts().count("此为转码后的查看副本，原始文件为证据。") == 1
    page.evaluate(
        "document.querySelector('.pieces video').currentTime = 1; document.querySelector('.pieces video').play()"
    )
    wait(page, "document.querySelector('.pieces video').currentTime > 1.3")
    page.locator(".pieces img").scroll_into_view_if_needed()
    wait(page, "document.querySelector('.pieces img').naturalWidth === 320")
    page.evaluate("scrollTo(0, 0)")
    photograph(page, "alarm-zh")


def test_the_way_from_the_list_through_the_purpose_to_the_picture_by_keyboard(open_page: Open, view: View) -> None:
    view.house.alarm("button/2", number=2)
    page = open_page("", locale="zh-CN")
    photograph(page, "list-zh")
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    page.get_by_role("link", name="English").click()
    assert page.locator("h2").first.inner_text() == "Open alarms"
    page.get_by_role("link", name="Gate").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Purpose").select_option("patrol")
    photograph(page, "purpose-en")
    page.get_by_label("Note").fill('the "gate" & <door>')
    page.keyboard.press("Enter")
    wait(page, f"{VIDEO}.readyState >= 2 && {COVER}.hidden")
    assert 'the "gate" & <door>' in page.locator("main").inner_text()


def test_the_form_is_the_way_in_without_a_link(browser: Browser, view: View) -> None:
    page = browser.new_context(color_scheme="dark", viewport={"width": 1366, "height": 768}).new_page()
    page.goto(view.server.url)
    photograph(page, "sign-in-dark")
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Gate").wait_for()
    page.context.close()
