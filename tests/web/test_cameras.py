"""The camera page in a real browser, against a running service, its workers and a real RTSP server."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from devices.cameras import Cameras
from devices.schema import RegistryFile
from lucheng.rooms import REGISTRY_FILE, SECRET_KEY_FILE
from model.clock import SystemClock
from tests.web.city import PASSWORD
from tests.web.filmed_city import FAR, GATE, HALL, SITE, YARD, FilmedCity, films

#: A worker's start, and a browser's first picture, on a busy machine.
PATIENCE_MS = 60_000
CASE = "2026-77"
_TIME = "document.querySelector('{tile} video')?.currentTime"
#: Mean brightness of the left and of the right half of a picture.
_HALVES = """(tile) => {
  const video = document.querySelector(tile + ' video');
  const [w, h] = [video.videoWidth, video.videoHeight];
  const canvas = document.createElement('canvas');
  canvas.width = w; canvas.height = h;
  const pen = canvas.getContext('2d');
  pen.drawImage(video, 0, 0);
  const mean = (x, n) => { const d = pen.getImageData(x, 0, n, h).data; let s = 0; for (let i = 0; i < d.length; i += 4) s += d[i] + d[i+1] + d[i+2]; return s / (d.length / 4) / 3; };
  return [mean(0, w / 2 - 8), mean(w / 2 + 8, w / 2 - 8)];
}"""


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilmedCity]:
    with FilmedCity(tmp_path_factory.mktemp("cameras"), films()) as city:
        city.fill()
        city.wait_online(GATE, YARD, HALL)
        city.recorded(GATE, 2)
        city.recorded(YARD, 1)
        yield city


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1366, "height": 768}, locale="zh-CN", accept_downloads=True)
    yield made
    made.close()


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture
def page(context: BrowserContext, complaints: list[str]) -> Iterator[Page]:
    made = context.new_page()
    made.set_default_timeout(PATIENCE_MS)
    made.on("pageerror", lambda error: complaints.append(str(error)))
    made.on("console", lambda said: complaints.append(said.text) if "Security" in said.text else None)
    yield made
    assert complaints == []


expect.set_options(timeout=PATIENCE_MS)


def enter(city: FilmedCity, page: Page, user: str, path: str = "/cameras") -> Page:
    """Sign in and go to a page of cameras."""
    page.goto(city.url + path)
    page.fill("[name=user]", user)
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector(".cameras")
    return page


def say_why(page: Page) -> None:
    """Answer the question for the purpose."""
    page.select_option("select[name=code]", "case")
    page.fill("input[name=ref]", CASE)
    page.click("form.narrow button.primary")
    expect(page.locator(".purpose-bar")).to_contain_text(CASE)


def until(page: Page, expression: str) -> None:
    """Wait until it is true in the page; the pages' policy lets nothing be evaluated from within."""
    deadline_s = time.monotonic() + PATIENCE_MS / 1_000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline_s, expression
        page.wait_for_timeout(50)


def plays(page: Page, tile: str) -> None:
    """Pictures come, one after the other."""
    now = _TIME.format(tile=tile)
    until(page, f"{now} > 0 && document.querySelector('{tile} video').videoWidth > 0")
    before = page.evaluate(now)
    until(page, f"{now} > {before} + 1")


def stands(page: Page) -> int:
    """The time of the picture that is shown, once it changes no more."""
    found: list[int] = []
    until(page, "document.querySelector('.cam-film').dataset.trouble === ''")
    while len(found) < 3 or len(set(found[-3:])) > 1:
        page.wait_for_timeout(250)
        found.append(int(page.locator(".cam-film").get_attribute("data-at") or 0))
        assert len(found) < 200, found
    return found[-1]


def audited(city: FilmedCity, who: str) -> list[tuple[str, str, str]]:
    """(action, target, purpose) of what somebody did, the newest first."""
    rows = city.call("audit_list", limit=1_000)
    return [(row["action"], row["target"], row["purpose"]) for row in rows if row["who"] == who]


def test_the_tree_leads_to_a_camera_that_plays_live_for_a_purpose(filmed: FilmedCity, page: Page) -> None:
    enter(filmed, page, "wang")
    tree = page.locator(".cam-tree")
    expect(page.locator('[data-node="area:east"]')).to_contain_text("3")
    tree.focus()
    page.keyboard.press("End")  # the west branch
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    expect(page.locator(f'[data-node="site:{SITE}"]')).to_be_visible()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator(f'[data-camera="{GATE}"]')).to_contain_text("校门")
    page.keyboard.press("ArrowRight")
    for _ in range(5):
        if page.locator('.cam-row.current[data-camera="camera/gate"]').count():
            break
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector("select[name=code]")
    assert "watch.live" not in [action for action, _, _ in audited(filmed, "wang")]
    say_why(page)
    plays(page, ".tile")
    expect(page.locator(".tile .mark-live")).to_be_visible()
    assert ("watch.live", GATE, f"case:{CASE}") in audited(filmed, "wang")


def test_a_search_finds_by_id_and_says_where_and_that_it_is_dark(filmed: FilmedCity, page: Page) -> None:
    enter(filmed, page, "wang")
    page.keyboard.press("/")
    page.keyboard.type("FAR")
    found = page.locator(".cam-row")
    expect(found).to_have_count(1)
    expect(found).to_contain_text("昆都仑分局")
    filmed.wait(FAR, "state", "offline")
    expect(found).to_have_attribute("data-state", "offline")
    expect(found).to_contain_text("离线")
    page.select_option(".cam-find select", "online")
    expect(page.locator(".cam-tree .empty")).to_be_visible()


def test_the_wall_plays_what_is_put_on_it_and_a_mask_is_burned_in(filmed: FilmedCity, page: Page) -> None:
    enter(filmed, page, "sun", f"/cameras/{YARD}")
    say_why(page)
    plays(page, ".tile")
    left, right = page.evaluate(_HALVES, ".tile")
    assert left < 12
    assert right > 40
    page.keyboard.press("w")
    page.locator(f'[data-camera="{GATE}"] .cam-add').click()
    page.keyboard.press("g")
    expect(page.locator(".wall-cell")).to_have_count(2)
    for camera in (YARD, GATE):
        plays(page, f'.tile[data-camera="{camera}"]')
    page.keyboard.press("1")  # one picture: the other one is not played any more
    expect(page.locator(".wall-cell")).to_have_count(1)
    page.keyboard.press("PageDown")
    plays(page, f'.tile[data-camera="{GATE}"]')
    page.keyboard.press("Delete")
    expect(page.locator(f'.tile[data-camera="{GATE}"]')).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page.locator(".cam-head h1")).to_have_text("操场")


def test_a_recording_is_played_from_a_point_and_a_clip_of_it_downloaded(
    filmed: FilmedCity, page: Page, tmp_path: Path
) -> None:
    enter(filmed, page, "sun", f"/cameras/{GATE}?tab=recordings")
    say_why(page)
    film = page.locator(".cam-film")
    expect(film).to_have_attribute("data-trouble", "")
    expect(film).to_have_attribute("data-at", re.compile(r"^\d{13}$"))
    page.keyboard.press("k")
    plays(page, ".cam-film")
    page.keyboard.press("k")
    expect(film).to_have_attribute("data-playing", "false")
    paused = stands(page)
    page.keyboard.press("ArrowLeft")  # ten seconds back, or to the beginning
    until(page, f"Number(document.querySelector('.cam-film').dataset.at) < {paused} - 500")
    back = stands(page)
    page.keyboard.press(".")
    until(page, f"Number(document.querySelector('.cam-film').dataset.at) > {back}")
    assert 0 < stands(page) - back < 1_000
    page.keyboard.press("[")
    begin = datetime.fromisoformat(page.locator("[name=clip_from]").input_value())
    page.fill("[name=clip_to]", (begin + timedelta(seconds=3)).isoformat())
    page.locator("[name=clip_to]").blur()
    page.click(".cam-clip button.primary")
    made = page.locator(".cam-made")
    expect(made).to_be_visible()
    with page.expect_download() as waited:
        made.locator("button").click()
    path = tmp_path / "clip.mp4"
    shutil.copy(waited.value.path(), path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    expect(made.locator("code")).to_have_text(sha256)
    done = audited(filmed, "sun")
    assert ("read.camera_clip", GATE, f"case:{CASE}") in done
    assert any(action == "read.recording_bytes" and purpose == f"case:{CASE}" for action, _, purpose in done)


def test_masks_are_drawn_by_the_keyboard_and_made_smaller_by_a_supervisor_alone(
    filmed: FilmedCity, page: Page, context: BrowserContext
) -> None:
    enter(filmed, page, "wang", f"/cameras/{HALL}?tab=settings")
    page.get_by_role("button", name="增加遮挡").click()
    page.locator(".cam-mask circle").nth(2).focus()
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    page.get_by_label("角 1 横 %").fill("10")
    page.get_by_label("角 1 横 %").blur()
    page.get_by_role("button", name="保存").click()
    expect(page.locator(".notice.good")).to_be_visible()
    (mask,) = filmed.show(HALL)["settings"]["masks"]
    assert mask == [[0.1, 0.3], [0.5, 0.3], [0.65, 0.5], [0.3, 0.5]]
    page.locator(".cam-corners legend button").click()
    page.get_by_role("button", name="保存").click()
    expect(page.locator(".notice.bad")).to_be_visible()
    assert filmed.show(HALL)["settings"]["masks"] == [mask]
    context.clear_cookies()
    enter(filmed, page, "chen", f"/cameras/{HALL}?tab=settings")
    page.locator(".cam-corners legend button").click()
    page.get_by_role("button", name="保存").click()
    expect(page.locator(".notice.good")).to_be_visible()
    assert filmed.show(HALL)["settings"]["masks"] == []
    assert ("camera.unmask", HALL, "") in audited(filmed, "chen")


def test_s6_who_may_not_see_pictures_sees_none(filmed: FilmedCity, page: Page, context: BrowserContext) -> None:
    enter(filmed, page, "zheng", f"/cameras/{GATE}")
    expect(page.locator(".cam-head h1")).to_have_text("校门")
    expect(page.locator(".cam-head .cam-tabs a")).to_have_text(["状态", "设置"])
    expect(page.locator(".tile, video, .cam-add")).to_have_count(0)
    asked = {
        "live": f"/cameras/{GATE}/mjpeg?purpose=test",
        "snapshot": f"/cameras/{GATE}/snapshot?purpose=test",
        "recordings": f"/recordings?camera={GATE}&purpose=test",
        "timeline": f"/timeline/cameras?camera={GATE}&purpose=test",
    }
    recording = filmed.recorded(GATE, 1)[0]["recording"]
    asked["bytes"] = f"/recordings/{recording}/bytes?camera={GATE}&start=0&purpose=test"
    for what, where in asked.items():
        assert page.evaluate("(where) => fetch('/api/v1' + where).then((one) => one.status)", where) == 403, what
    context.clear_cookies()
    page.goto(filmed.url + "/cameras")
    page.fill("[name=user]", "zhao")  # an auditor has no page of cameras
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("main .narrow")).to_be_visible()
    expect(page.locator(".cameras")).to_have_count(0)


@pytest.mark.soak
def test_how_a_camera_is_and_what_it_sends_and_one_that_was_set_aside(filmed: FilmedCity, page: Page) -> None:
    enter(filmed, page, "wu", f"/cameras/{GATE}?tab=about")
    about = page.locator(".cam-about")
    expect(about).to_contain_text("320 × 180")
    about.get_by_role("button", name="探测码流").click()
    expect(page.locator(".cam-probe")).to_contain_text("有码流")
    expect(page.locator(".cam-probe")).not_to_contain_text("rtsp://admin")
    with closing(RegistryFile(filmed.data / REGISTRY_FILE, clock=SystemClock())) as file:
        Cameras(file, filmed.data / SECRET_KEY_FILE).park(FAR, "it ended its worker three times")
    filmed.wait(FAR, "state", "parked")
    page.goto(f"{filmed.url}/cameras/{FAR}?tab=about")
    expect(page.locator(".cam-about [role=alert]")).to_contain_text("it ended its worker three times")
    page.get_by_role("button", name="恢复").click()
    expect(page.locator(".cam-about [role=alert]")).to_have_count(0)
    assert filmed.show(FAR)["state"] != "parked"
