"""A technician with a phone: a registration to a green live test over broker and RTSP, a queue without a network, mending, swapping, a file."""

from __future__ import annotations

import re
import struct
import zlib
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.web.e2e.conftest import Sit
from tests.web.e2e.seat import Seat, until
from tests.web.e2e.town import CAMERAS, LAT, LON, Town

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
    "geolocation": {"latitude": LAT, "longitude": LON, "accuracy": 6},
    "permissions": ["geolocation"],
}
IMEIS = iter(("490154203237518", "356938035643809", "352099001761481", "358240051111110", "353918052107063"))


def photo() -> bytes:
    """A PNG as a file of a phone, with a place in its texts."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + b"".join(bytes((x * 4 % 256, y * 5 % 256, 90)) for x in range(64)) for y in range(48))
    head = struct.pack(">IIBBBBB", 64, 48, 8, 2, 0, 0, 0)
    text = chunk(b"tEXt", b"GPS\0" + b"40.65,109.84")
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + text + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def technician(sit: Sit, town: Town, path: str = "/technician", **options: Any) -> tuple[Seat, Page]:
    seat = sit(town.url, **{**PHONE, **options})
    page = seat.sign_in("wu", path)
    page.wait_for_selector(".tech")
    return seat, page


def fill(page: Page, kind: str, imei: str, **fields: str) -> None:
    """The form of a registration."""
    page.get_by_role("radio", name=kind).check()
    page.fill("#imei", imei)
    for name, value in fields.items():
        page.fill(f"[name={name}]", value)


def save(page: Page) -> None:
    page.click(".tech-form .primary")
    page.wait_for_url(re.compile("/technician$"))


def test_a_registration_becomes_a_green_live_test(town: Town, sit: Sit) -> None:
    imei = next(IMEIS)
    device = f"button/{imei}"
    li = sit(town.url).desk("li")
    _, page = technician(sit, town)
    page.click("text=登记新设备")
    fill(page, "报警按钮", imei[:-1] + "9", cameras=CAMERAS[0], name="门卫室 2")
    expect(page.locator("#imei-says")).to_contain_text("校验位应为 8")
    page.click(".tech-form .primary")
    expect(page.locator(".tech-form .failure")).to_contain_text("校验位")
    page.fill("#imei", imei)
    expect(page.locator("#imei-says")).to_have_class(re.compile("good"))
    page.click("text=用手机定位")
    expect(page.locator(".tech-place")).to_contain_text("±6 m")
    page.set_input_files("input[type=file]", {"name": "wall.png", "mimeType": "image/png", "buffer": photo()})
    page.wait_for_selector(".tech-shots img")
    save(page)
    expect(page.locator('[data-kind="register"]')).to_have_attribute("data-state", "done")
    expect(page.locator('[data-kind="photo"]')).to_have_attribute("data-state", "done")
    page.locator('[data-kind="register"]').get_by_role("link", name="现场测试").click()
    expect(page.locator(".tech-ticks li")).to_have_count(3)
    expect(page.locator('[data-step="report"]')).to_contain_text("尚未收到任何数据")

    page.get_by_role("button", name="我要按按钮了").click()
    page.wait_for_selector(".tech-armed")
    town.press("first", device)
    expect(page.locator('[data-step="report"]')).to_have_attribute("data-state", "seen")
    expect(page.locator('[data-step="button"]')).to_have_attribute("data-state", "seen")
    alarm = town.alarm(device)["alarm"]
    # the desk sees it, marked and quiet
    row = li.locator(f'[data-alarm="{alarm}"]').first
    expect(row.locator(".test-mark")).to_contain_text("wu")
    page.get_by_role("button", name="是我按的").click()
    expect(page.locator(".notice.good").last).to_contain_text("已作为测试结案")
    expect(li.locator(f'#queue [data-alarm="{alarm}"]')).to_have_count(0)
    page.get_by_role("button", name="取一张画面").click()
    expect(page.locator('[data-step="picture"]')).to_have_attribute("data-state", "seen")
    expect(page.locator(".tech-done")).to_be_visible()
    page.locator(".tech-live .primary", has_text="完成安装").click()
    page.locator("dialog .primary").click()
    expect(page.locator(".tech-live > header")).to_contain_text("安装已完成")

    ended = town.call("alarm_show", alarm=alarm, purpose="test")
    assert (ended["work"], ended["outcome"], ended["owner"]) == ("closed", "test", "wu")
    kept = town.call("device_bound", device=device)
    assert (kept["lat"], kept["lon"], kept["cameras"]) == (LAT, LON, [CAMERAS[0]])
    page.click("summary:has-text('变更历史')")
    expect(page.locator(".tech-history")).to_contain_text("完成安装")


def test_what_was_registered_without_a_network_is_sent_when_it_is_back(town: Town, sit: Sit) -> None:
    imei = next(IMEIS)
    seat, page = technician(sit, town)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    seat.context.set_offline(True)
    # the page itself opens from the phone
    page.goto(town.url + "/technician/new")
    page.wait_for_selector("#imei")
    fill(page, "出租车终端", imei, plate="蒙B·T1001", owner_ref="张三")
    page.set_input_files("input[type=file]", {"name": "a.png", "mimeType": "image/png", "buffer": photo()})
    page.wait_for_selector(".tech-shots img")
    save(page)
    expect(page.locator('[data-kind="register"]')).to_have_attribute("data-state", "waiting")
    expect(page.locator(".tech-bar")).to_contain_text("离线")
    page.reload()
    expect(page.locator('[data-kind="photo"]')).to_have_attribute("data-state", "waiting")
    assert town.call("device_list", text="T1001") == []
    seat.context.set_offline(False)
    expect(page.locator('[data-kind="register"]')).to_have_attribute("data-state", "done", timeout=60_000)
    expect(page.locator('[data-kind="photo"]')).to_have_attribute("data-state", "done", timeout=60_000)
    (row,) = town.call("device_list", text="T1001")
    assert (row["device"], row["owner_ref"]) == (f"taxi/{imei}", "张三")
    entries = town.call("device_history", device=f"taxi/{imei}")
    assert sorted(entry["action"] for entry in entries) == ["add", "install", "photo"]
    # no answer of the service is among what is kept
    kept = page.evaluate(
        "caches.keys().then((names) => Promise.all(names.map((name) => caches.open(name).then((one) => one.keys()))))"
        ".then((lists) => lists.flat().map((one) => new URL(one.url).pathname))"
    )
    assert "/technician" in kept
    assert [path for path in kept if path.startswith("/api")] == []


def test_what_was_refused_says_why_and_is_mended(town: Town, sit: Sit) -> None:
    imei, other = next(IMEIS), next(IMEIS)
    town.call("device_add", device="taxi/there", imei=imei)
    _, page = technician(sit, town, "/technician/new")
    fill(page, "出租车终端", imei, plate="蒙B·T2002")
    save(page)
    entry = page.locator('[data-kind="register"][data-state="failed"]')
    expect(entry).to_contain_text("belongs to taxi/there")
    entry.get_by_role("link", name="改正").click()
    assert page.input_value("[name=plate]") == "蒙B·T2002"
    page.fill("#imei", other)
    save(page)
    expect(page.locator('[data-kind="register"]').first).to_have_attribute("data-state", "done")
    assert town.call("device_bound", device=f"taxi/{other}")["plate"] == "蒙B·T2002"


def test_a_file_is_tried_then_taken(town: Town, sit: Sit) -> None:
    _, page = technician(sit, town, "/technician/import")
    raw = "id,name,imei\ntaxi/c1,=HYPERLINK(1),\ntaxi/c2,<img src=x onerror=alert(1)>,490154203237519\ntaxi/c3,x\n"
    page.set_input_files("input[type=file]", {"name": "fleet.csv", "mimeType": "text/csv", "buffer": raw.encode()})
    expect(page.locator(".tech-counts .added")).to_contain_text("2")
    expect(page.locator(".tech-rows tbody tr")).to_have_count(1)  # the refused ones first
    page.get_by_role("radio", name="存疑").click()
    expect(page.locator(".tech-rows")).to_contain_text("check digit 8")
    assert town.call("device_list", text="taxi/c") == []
    page.click("text=导入 2 台设备")
    expect(page.locator(".tech-import .good-text")).to_contain_text("fleet.csv")
    assert [row["name"] for row in town.call("device_list", text="taxi/c")] == [
        "=HYPERLINK(1)",
        "<img src=x onerror=alert(1)>",
    ]
    with page.expect_download() as saved:
        page.click("text=保存结果")
    assert b"refused" in saved.value.path().read_bytes()


@pytest.mark.parametrize("language", ["zh-CN", "en-US"])
def test_two_change_one_device_and_it_is_swapped_and_retired(town: Town, sit: Sit, language: str) -> None:
    device = f"taxi/s-{language[:2]}"
    town.call("device_add", device=device, plate=f"蒙B·S{language[:2]}")
    _, page = technician(sit, town, f"/technician/device/{device}", language=language)
    zh = language == "zh-CN"
    page.click("text=修改与绑定" if zh else "text=Change and bind")
    town.call("device_update", device=device, name="first")
    page.fill("dialog [name=name]", "second")
    page.click("dialog .primary")
    expect(page.locator("dialog .failure")).to_contain_text("先改了" if zh else "changed it first")
    page.keyboard.press("Escape")
    page.reload()
    page.click(".tech-deeds >> text=更换设备" if zh else ".tech-deeds >> text=Swap")
    page.fill("dialog [name=new]", f"s2-{language[:2]}")
    page.fill("dialog [name=reason]", "dead")
    page.click("dialog .primary")
    page.wait_for_url(re.compile(f"/technician/device/taxi/s2-{language[:2]}"))
    expect(page.locator(".tech-ticks li").first).to_be_visible()
    assert town.call("device_bound", device=device)["retired"]["successor"] == f"taxi/s2-{language[:2]}"
    page.click(".tech-deeds .danger")
    page.fill("dialog [name=reason]", "sold")
    page.click("dialog footer .danger")
    expect(page.locator(".tech-device > .failure")).to_contain_text("sold")
    until(lambda: not town.call("device_bound", device=f"taxi/s2-{language[:2]}")["enabled"], "the retirement")


#: Code 39, by its table: bars and gaps in turn, 1 wide.
CODE39 = {
    "0": "000110100", "1": "100100001", "2": "001100001", "3": "101100000", "4": "000110001", "5": "100110000",
    "6": "001110000", "7": "000100101", "8": "100100100", "9": "001100100", "*": "010010100",
}  # fmt: skip
#: A camera that looks at a label: a canvas on which the bars are drawn.
LABEL = """(widths) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [1280, 720];
  const brush = canvas.getContext("2d");
  const draw = () => {
    brush.fillStyle = "#fff"; brush.fillRect(0, 0, 1280, 720); brush.fillStyle = "#000";
    let x = 60;
    widths.forEach((wide, i) => { if (i % 2 === 0) brush.fillRect(x, 200, wide, 320); x += wide; });
  };
  draw(); setInterval(draw, 50);
  window.looking = 0;
  navigator.mediaDevices.getUserMedia = async () => { window.looking += 1; return (window.film = canvas.captureStream(20)); };
}"""


def test_a_label_is_read_by_the_camera_and_the_camera_let_go(town: Town, sit: Sit) -> None:
    imei = "490154203237518"
    _, page = technician(sit, town, "/technician/new")
    widths = [n for letter in f"*{imei}*" for n in [*(9 if bit == "1" else 3 for bit in CODE39[letter]), 3]]
    page.evaluate(LABEL, widths)
    page.get_by_role("button", name="扫码").first.click()
    expect(page.locator("#imei")).to_have_value(imei)
    expect(page.locator("#imei-says")).to_have_class(re.compile("good"))
    expect(page.locator("dialog")).to_have_count(0)
    assert page.evaluate("window.looking") == 1
    assert page.evaluate("window.film.getTracks().map((one) => one.readyState)") == ["ended"]


def test_another_role_has_no_such_page(town: Town, sit: Sit) -> None:
    page = sit(town.url).sign_in("zhao", "/technician")
    expect(page.locator(".narrow")).to_contain_text("不能打开此页面")
