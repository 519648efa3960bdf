"""Pictures of every page for the README and the documents: `make pictures`, or `python -m tests.web.e2e.pictures [NAME …]`.

Starts `lucheng demo` as a person would, signs in as each role, puts something on every page, and takes it in Chinese and in
English, in the light; the desk and the map in the dark as well. Written as PNG with a palette into `docs/pictures`, each of at
most `MAX_BYTES`. The demo is a synthetic city: nobody's real place is in a picture. It asserts nothing; look at what it made.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page
from playwright.sync_api import TimeoutError as TooLong

from console.client import RemoteClient
from console.socket_path import SOCKET_NAME
from model.clock import SystemClock
from simulator import payloads
from simulator.publisher import Publisher
from tests.browser import chromium, chromium_program

PROJECT = Path(__file__).resolve().parents[3]
OUT = PROJECT / "docs" / "pictures"
MAX_BYTES = 150_000
COLOURS = (256, 128, 64, 32)
DESK = {"width": 1366, "height": 768}
PHONE = {"width": 390, "height": 844}
#: The city drives, the cameras are watched and its first alarms have had their lives after so long.
LIVED_S = 75.0
START_S = 120.0
WAIT_MS = 20_000
_URL = re.compile(r"http://127\.0\.0\.1:\d+")
_PASSWORD = re.compile(r"\b(?:[a-z2-9]{4}-){2}[a-z2-9]{4}\b")


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo."""

    url: str
    password: str
    client: RemoteClient

    def press(self, name: str) -> str:
        """The button with the cameras is pressed; the id of its alarm."""
        button = self.button
        port = int(self.client.call("status")["live"]["broker_port"])
        with Publisher(f"mqtt://127.0.0.1:{port}", clock=SystemClock(), client_id=f"pictures-{name}") as publisher:
            now_ms = time.time_ns() // 1_000_000
            publisher.publish(button, payloads.topic(button, "alarm"), payloads.alarm(name, now_ms, "one_key"))
            publisher.drain(10.0)
        end_s = time.monotonic() + 20
        while time.monotonic() < end_s:
            for row in self.client.call("alarm_list", device=button, purpose="test"):
                if row["work"] == "new":
                    return str(row["alarm"])
            time.sleep(0.2)
        raise SystemExit("the press made no alarm")

    @property
    def button(self) -> str:
        """The one that has cameras beside it."""
        done = self.client.call("alarm_list", kind="one_key", all=True, purpose="test", limit=1)
        if done:
            return str(done[0]["device"])
        return str(self.client.call("device_list", kind="button", limit=1)[0]["device"])


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: who looks where, and what is done before it is taken."""

    name: str
    user: str
    address: Callable[[Demo], str]
    prepare: Callable[[Page, Demo], None] = lambda _page, _demo: None
    dark: bool = False
    viewport: dict[str, int] | None = None


@contextmanager
def _demo() -> Iterator[Demo]:
    folder = Path(tempfile.mkdtemp(prefix="lucheng-pictures-"))
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "lucheng", "--data", str(folder / "data"), "demo"],
        cwd=PROJECT,
        stdout=(folder / "said").open("wb"),
        stderr=subprocess.STDOUT,
    )
    try:
        said = ""
        end_s = time.monotonic() + START_S
        while not (_URL.search(said) and _PASSWORD.search(said)):
            if process.poll() is not None or time.monotonic() > end_s:
                raise SystemExit(f"the demo did not start: {said[-2000:]}")
            time.sleep(0.5)
            said = (folder / "said").read_text(errors="replace")
        url, password = _URL.search(said), _PASSWORD.search(said)
        assert url is not None
        assert password is not None
        yield Demo(url[0], password[0], RemoteClient(folder / "data" / SOCKET_NAME))
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


# -- what is done before a picture ----------------------------------------------------------------


def _map_drawn(page: Page) -> None:
    with suppress(TooLong):
        page.wait_for_selector('.city-map[data-ready="yes"]', timeout=WAIT_MS)
    page.wait_for_timeout(2_500)


def _why(page: Page) -> None:
    """Say why, where it is asked."""
    with suppress(TooLong):
        page.wait_for_selector("[name=ref]", timeout=3_000)
        page.select_option("[name=code]", "case")
        page.fill("[name=ref]", "AJ-2026-118")
        page.keyboard.press("Enter")


def _desk(page: Page, _demo: Demo) -> None:
    with suppress(TooLong):
        page.wait_for_selector(".tile video", timeout=WAIT_MS)
    page.wait_for_timeout(5_000)
    _map_drawn(page)


def _map(page: Page, _demo: Demo) -> None:
    _map_drawn(page)
    page.wait_for_timeout(3_000)


def _replay(page: Page, _demo: Demo) -> None:
    _why(page)
    _map_drawn(page)
    page.locator("h1").first.click()
    page.keyboard.press("End")
    page.wait_for_timeout(1_500)


def _search(page: Page, _demo: Demo) -> None:
    _why(page)
    _map_drawn(page)
    with suppress(TooLong):
        page.locator("form.stack .primary").click(timeout=5_000)
    page.wait_for_timeout(4_000)


def _camera(page: Page, _demo: Demo) -> None:
    _why(page)
    with suppress(TooLong):
        page.wait_for_selector("video", timeout=WAIT_MS)
    page.wait_for_timeout(6_000)


def _slowly(page: Page, _demo: Demo) -> None:
    page.wait_for_timeout(2_500)


def _with_map(page: Page, _demo: Demo) -> None:
    _why(page)
    _map_drawn(page)


def _open_alarm(demo: Demo) -> str:
    return f"/desk/{demo.press(f'picture-{time.time_ns()}')}"


def _ended(demo: Demo, kind: str) -> str:
    rows = demo.client.call("alarm_list", kind=kind, all=True, purpose="test", limit=50)
    closed = [row for row in rows if row["work"] in ("resolved", "closed")] or rows
    return str(closed[0]["alarm"])


def _taxi(demo: Demo) -> str:
    rows = demo.client.call("alarm_list", kind="sos", all=True, purpose="test", limit=5)
    return str(rows[0]["device"]) if rows else str(demo.client.call("where", purpose="test")[0]["device"])


def _hour(demo: Demo, device: str) -> str:
    now_s = int(time.time())
    times = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s)) for at_s in (now_s - 900, now_s)]
    return f"/replay?devices={device}&from={times[0]}&to={times[1]}"


def _around(demo: Demo) -> str:
    rows = demo.client.call("where", devices=[_taxi(demo)], purpose="test")
    place = f"{rows[0]['lat']:.4f},{rows[0]['lon']:.4f}"
    taxis = [
        str(row["device"]) for row in demo.client.call("where", purpose="test") if row["device"].startswith("taxi/")
    ]
    return f"/search?area={place},2500&devices={','.join(taxis[:40])}"


def _case(demo: Demo) -> str:
    rows = demo.client.call("ebike_cases")
    return f"/ebikes/{rows[0]['case']}" if rows else "/ebikes"


def _camera_page(demo: Demo) -> str:
    rows = demo.client.call("camera_list", limit=1)
    return f"/cameras/{rows[0].get('camera') or rows[0]['device']}" if rows else "/cameras"


SHOTS = (
    Shot("sign-in", "", lambda _demo: "/"),
    Shot("desk", "operator", _open_alarm, _desk, dark=True),
    Shot("map", "operator", lambda _demo: "/map", _map, dark=True),
    Shot("cameras", "operator", _camera_page, _camera),
    Shot("taxi", "operator", lambda demo: f"/{_taxi(demo)}", _with_map),
    Shot("ebikes", "operator", _case, _with_map),
    Shot("incident", "operator", lambda demo: f"/desk/{_ended(demo, 'one_key')}/report", _slowly),
    Shot("replay", "officer", lambda demo: _hour(demo, _taxi(demo)), _replay),
    Shot("search", "officer", _around, _search),
    Shot("approvals", "approver", lambda _demo: "/approvals", _slowly),
    Shot("supervisor", "supervisor", lambda _demo: "/supervisor", _slowly),
    Shot("audit", "auditor", lambda _demo: "/audit", _slowly),
    Shot("technician", "technician", lambda _demo: "/technician", _slowly, viewport=PHONE),
    Shot("register", "technician", lambda _demo: "/technician/new", _slowly, viewport=PHONE),
    Shot("system", "admin", lambda _demo: "/system", _slowly),
    Shot("accounts", "admin", lambda _demo: "/accounts", _slowly),
    Shot("account", "supervisor", lambda _demo: "/account", _slowly),
)


# -- taking them ----------------------------------------------------------------------------------


def _saved(png: bytes, path: Path) -> int:
    """Write it with as many colours as fit into `MAX_BYTES`; its size."""
    whole = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in COLOURS:
        file = io.BytesIO()
        whole.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
            file, "PNG", optimize=True
        )
        if file.tell() <= MAX_BYTES:
            break
    path.write_bytes(file.getvalue())
    return file.tell()


def _sign_in(page: Page, demo: Demo, user: str) -> None:
    page.goto(demo.url + "/account")
    page.fill("[name=user]", user)
    page.fill("[name=password]", demo.password)
    page.keyboard.press("Enter")
    page.wait_for_selector(".frame")


def _take(browser: Browser, demo: Demo, shots: list[Shot], language: str, out: Path) -> None:
    """All pictures of one person in one language."""
    first = shots[0]
    for theme in ("light", "dark"):
        wanted = [shot for shot in shots if theme == "light" or shot.dark]
        if not wanted:
            continue
        context = browser.new_context(
            viewport=first.viewport or DESK,  # type: ignore[arg-type]
            locale="zh-CN" if language == "zh" else "en-US",
            timezone_id="Asia/Shanghai",
            color_scheme="dark" if theme == "dark" else "light",
        )
        page = context.new_page()
        if first.user:
            _sign_in(page, demo, first.user)
        for shot in wanted:
            page.goto(demo.url + shot.address(demo))
            page.wait_for_timeout(600)
            if page.locator("dialog[open]").count():  # the desk's gate: without sound
                page.keyboard.press("Tab")
                page.keyboard.press("Enter")
            shot.prepare(page, demo)
            name = f"{shot.name}{'-dark' if theme == 'dark' else ''}-{language}.png"
            size = _saved(page.screenshot(), out / name)
            print(f"{name}: {size / 1000:.0f} kB", flush=True)
        context.close()


def _wide_request(browser: Browser, demo: Demo) -> None:
    """An officer asks for something wide, so that there is something to decide."""
    now_ms = time.time_ns() // 1_000_000
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    _sign_in(page, demo, "officer")
    given: dict[str, Any] = {
        "operation": "replay", "arguments": {"kind": "taxi", "from_ms": now_ms - 3_600_000, "to_ms": now_ms},
        "reason": "谁在八点到九点之间经过学校", "purpose": "case:AJ-2026-118",
    }  # fmt: skip
    asked = context.request.post(
        f"{demo.url}/api/v1/approvals",
        data=given,
        headers={"Origin": demo.url, "Idempotency-Key": f"pictures-{now_ms}"},
    )
    if not asked.ok:
        print(f"no request to decide: {asked.status} {asked.text()[:200]}", file=sys.stderr)
    context.close()


def main() -> int:
    """Take all pictures, or those that are named."""
    parser = argparse.ArgumentParser(description="Take the pictures of the pages.")
    parser.add_argument("names", nargs="*", help="of pictures, e.g. desk; all without any")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    if chromium_program() is None:
        raise SystemExit("chromium is not installed: make chromium")
    shots = [shot for shot in SHOTS if not given.names or shot.name in given.names]
    given.out.mkdir(parents=True, exist_ok=True)
    with _demo() as demo, chromium() as browser:
        time.sleep(LIVED_S)
        _wide_request(browser, demo)
        for language in ("zh", "en"):
            for user, viewport in dict.fromkeys((shot.user, id(shot.viewport)) for shot in shots):
                mine = [shot for shot in shots if (shot.user, id(shot.viewport)) == (user, viewport)]
                _take(browser, demo, mine, language, given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
