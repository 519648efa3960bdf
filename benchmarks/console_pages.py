"""How fast are the console's pages in a browser without a graphics card: the first load, an update of 7,000 moving taxis, and the time
from a press to the screen?

Real: a data folder, the console's own server, accounts, the live side; points are appended to the log, committed to the series and
told as the pipeline does it, so many a second; presses are handed to the desk as the rules do. Not here: broker and decoding, which
`benchmarks.spine` and `benchmarks.alarms` measure. Chromium draws in software (SwiftShader). An update is measured from the moment the
event of the stream is in the page until a pixel that was drawn with it can be read back, so whatever the drawing costs is in it; long
tasks are those of the browser's own PerformanceObserver. Baseline, in the same browser and run: the same 7,000 places once a second as
a GeoJSON source of the same MapLibre, with a layer of circles, until it is idle again.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from benchmarks.machine import machine
from config.sections import Settings
from config.web import Accounts, Web
from console.device_operations import Caller
from console.web.pages import BUILT
from lucheng.demo_roads import put_roads
from lucheng.live_side import Places, open_live_side
from lucheng.operating import operations_of
from lucheng.rooms import open_rooms
from lucheng.web_side import open_web_side
from model.batch import PointBatch
from model.batch_codec import encode
from model.clock import SystemClock
from model.role import Role
from model.seams import NewRecord, Outcome, RecordKind
from model.signal import Signal

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TAXIS = 7_000
LAT, LON, HALF_CITY_DEG = 40.65, 109.84, 0.05
BATCHES_PER_S = 10
USER, PASSWORD = "bench", "open sesame"
TARGET_UPDATE_MS, TARGET_TASK_MS, TARGET_LOAD_S, TARGET_PRESS_MS = 250.0, 200.0, 2.0, 2_000.0
_MAPLIBRE = Path(__file__).parents[1] / "web" / "node_modules" / "maplibre-gl" / "dist"
_BASELINE = "http://baseline.local"

#: Measures in the page: every update of the fleet, every long task, the first sight of every alarm.
_MEASURE = """
(() => {
  const kept = (window.bench = { updates: [], tasks: [], seen: {}, from: 0, read: false });
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) if (kept.from && !kept.read && one.startTime > kept.from) kept.tasks.push(one.duration);
  }).observe({ type: "longtask", buffered: true });
  let came = 0;
  const add = EventSource.prototype.addEventListener;
  EventSource.prototype.addEventListener = function (kind, take, ...rest) {
    const mine = kind !== "positions" ? take : (event) => { came = performance.now(); take(event); };
    return add.call(this, kind, mine, ...rest);
  };
  const upload = WebGL2RenderingContext.prototype.bufferData;
  WebGL2RenderingContext.prototype.bufferData = function (target, data, ...rest) {
    upload.call(this, target, data, ...rest);
    const floats = data && data.length;
    if (!came || !(floats >= LEAST * 5)) return;
    const began = came;
    came = 0;
    if (!kept.read) return;
    setTimeout(() => {
      this.readPixels(0, 0, 1, 1, this.RGBA, this.UNSIGNED_BYTE, new Uint8Array(4));
      if (kept.from) kept.updates.push(performance.now() - began);
    }, 0);
  };
  new MutationObserver(() => {
    for (const row of document.querySelectorAll(".queue [data-alarm], .row[data-alarm], [data-alarm]")) {
      if (!(row.dataset.alarm in kept.seen)) {
        kept.seen[row.dataset.alarm] = 0;
        requestAnimationFrame(() => setTimeout(() => { kept.seen[row.dataset.alarm] ||= Date.now(); }, 0));
      }
    }
  }).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-alarm"] });
})();
""".replace("LEAST", str(TAXIS // 2))

_PAGE = """<!doctype html><link rel="stylesheet" href="/maplibre-gl.css"><style>#map{position:absolute;inset:0}</style><div id="map"></div>
<script type="module">
import * as gl from "/maplibre-gl.mjs";
gl.setWorkerUrl("/maplibre-gl-worker.mjs");
const map = new gl.Map({ container: "map", center: [LON, LAT], zoom: 11, fadeDuration: 0,
  style: { version: 8, sources: {}, layers: [{ id: "ground", type: "background", paint: { "background-color": "#10171f" } }] } });
const kept = (window.bench = { updates: [], tasks: [], from: 0, read: false });
new PerformanceObserver((list) => { for (const one of list.getEntries()) if (kept.from && !kept.read && one.startTime > kept.from) kept.tasks.push(one.duration); })
  .observe({ type: "longtask" });
map.on("load", () => {
  map.addSource("fleet", { type: "geojson", data: { type: "FeatureCollection", features: [] } });
  map.addLayer({ id: "fleet", type: "circle", source: "fleet", paint: { "circle-color": "#36c5b0", "circle-radius": 4 } });
  (async () => {
    for (let turn = 1; ; turn += 1) {
      const began = performance.now();
      const features = Array.from({ length: TAXIS }, (_, i) => ({ type: "Feature", properties: { d: `taxi/B${i}`, s: i % 3, h: i % 360 },
        geometry: { type: "Point", coordinates: [LON + HALF * (2 * ((i * 0.56984) % 1) - 1) + 0.0005 * Math.sin(turn + i), LAT + HALF * (2 * ((i * 0.75487) % 1) - 1)] } }));
      const drawn = map.once("idle");  // every tile has it, and was drawn
      map.getSource("fleet").setData({ type: "FeatureCollection", features });
      await drawn;
      if (kept.read) {
        const context = map.getCanvas().getContext("webgl2");
        context.readPixels(0, 0, 1, 1, context.RGBA, context.UNSIGNED_BYTE, new Uint8Array(4));
        kept.updates.push(performance.now() - began);
      }
      await new Promise((done) => setTimeout(done, Math.max(1000 - (performance.now() - began), 0)));
    }
  })();
  document.body.dataset.ready = "yes";
});
</script>"""


def fleet_batch(part: int, rows: int, turn: int) -> PointBatch:
    """So many of the fleet, made now, beginning with the `part`-th of its rows."""
    slots = (part * rows + np.arange(rows)) % TAXIS
    lat = LAT + HALF_CITY_DEG * (2 * ((slots * 0.7548776662) % 1.0) - 1) + 0.0005 * np.sin(slots + turn * 0.05)
    lon = LON + HALF_CITY_DEG * (2 * ((slots * 0.5698402910) % 1.0) - 1) + 0.0005 * np.cos(slots + turn * 0.05)
    now_ms = time.time_ns() // 1_000_000
    return PointBatch.of(
        rows,
        {
            "slot": slots, "time_ms": now_ms, "received_ms": now_ms, "seq": turn, "lat": lat, "lon": lon,
            "speed_kmh": 10.0 + slots % 60, "heading_deg": (slots * 7 + turn) % 360, "acc_m": 8.0, "flags": 31,
        },
    )  # fmt: skip


def serve(points_per_s: int) -> None:
    """The service's side: says its address, feeds points, and does what the lines of its input say."""
    with tempfile.TemporaryDirectory(prefix="lucheng-bench-") as folder:
        data = Path(folder) / "data"
        put_roads(data, 1)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        settings = Settings(web=Web(port=port), accounts=Accounts(password_memory_kib=19_456, password_passes=2))
        settings = settings.model_copy(update={"map": settings.map.model_copy(update={"max_vehicles": TAXIS * 2})})
        with open_rooms(data, settings, write=True, clock=SystemClock()) as rooms:
            rooms.registry.ensure([f"taxi/B{number:05d}" for number in range(TAXIS)])
            rooms.registry.refresh(rooms.directory)
            operations = operations_of(rooms)
            positions = Places(rooms, rooms.directory).table
            live = open_live_side(rooms, operations, positions)
            web = open_web_side(rooms, operations, live, None)
            assert web is not None
            rooms.accounts.add(USER, Role.OPERATOR, rooms.passwords.hash(PASSWORD), by="bench", name=USER)
            web.start()
            done = threading.Event()
            feeding = threading.Thread(target=_feed, args=(rooms, positions, points_per_s, done), daemon=True)
            feeding.start()
            print(json.dumps({"url": web.server.url.rstrip("/")}), flush=True)
            for number, line in enumerate(sys.stdin):
                _do(line.split(), number, rooms, operations)
            done.set()
            feeding.join(10)
            live.close()
            web.stop()


def _feed(rooms: Any, positions: Any, points_per_s: int, done: threading.Event) -> None:
    rows = points_per_s // BATCHES_PER_S
    began_s, turn = time.monotonic(), 0
    while not done.is_set():
        batch = fleet_batch(turn, rows, turn)
        position = rooms.points_log.append([NewRecord(RecordKind.POINTS, 1, encode(batch))])
        rooms.series.commit(Outcome(position, batch), stored_ms=time.time_ns() // 1_000_000)
        positions.take(batch)
        turn += 1
        done.wait(max(began_s + turn / BATCHES_PER_S - time.monotonic(), 0))


def _do(words: list[str], number: int, rooms: Any, operations: Any) -> None:
    if words[0] == "press":
        now_ms = time.time_ns() // 1_000_000
        device = f"taxi/B{number % TAXIS:05d}"
        made = Signal(f"b{number}", device, "sos", "bit", now_ms, now_ms, LAT, LON, 1, late=False, note="", log_position=number)  # fmt: skip
        alarm = rooms.desk.take([made])[-1].alarm.alarm.id
        print(json.dumps({"alarm": alarm, "at_ms": now_ms}), flush=True)
        return
    caller = Caller(USER, Role.OPERATOR, "web")
    operations.alarm_ack(caller, words[1])
    operations.alarm_resolve(caller, words[1], "test", "bench")
    operations.alarm_close(caller, words[1], "bench")


class Serving:
    """The service's side in a process of its own; a context manager."""

    def __init__(self, points_per_s: int) -> None:
        command = [sys.executable, "-m", "benchmarks.console_pages", "--serve", str(points_per_s)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url: str = self.answer()["url"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def answer(self) -> Any:
        """The next line that it says."""
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def tell(self, line: str) -> None:
        """Have it do something."""
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)


def opened(browser: Browser, url: str, path: str) -> Page:
    """A fresh browser's page, signed in."""
    page = browser.new_context(viewport={"width": 1366, "height": 768}, locale="en-US").new_page()
    page.add_init_script(_MEASURE)
    page.goto(url + path)
    page.fill("[name=user]", USER)
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector(".frame")
    return page


def loads(browser: Browser, url: str, times: int) -> None:
    """The first load: nothing kept by the browser, by a session that stands already where one is needed."""
    page = opened(browser, url, "/account")
    signed_in = page.context.storage_state()
    page.context.close()
    for name, path, ready, session in (
        ("signing in", "/", "[name=user]", False),
        ("the desk", "/desk", "[data-queue-size]", True),
        ("the map with every taxi", "/map", f'.city-map[data-ready="yes"][data-fleet="{TAXIS}"]', True),
    ):
        took = []
        for _ in range(times):
            state = signed_in if session else None
            context = browser.new_context(viewport={"width": 1366, "height": 768}, locale="en-US", storage_state=state)
            page = context.new_page()
            began_s = time.perf_counter()
            page.goto(url + path, wait_until="commit")
            page.wait_for_selector(ready, timeout=60_000, state="attached")
            took.append(time.perf_counter() - began_s)
            context.close()
        print(
            f"  first load, {name}: median {np.median(took):.2f} s, worst {max(took):.2f} s of {times} (asked: {TARGET_LOAD_S:.0f})"
        )


def told(name: str, found: dict[str, Any], seconds: float) -> float:
    """A line of what a page measured; the median update."""
    updates, tasks = np.array(found["updates"] or [np.nan]), found["tasks"]
    longest, over = max(tasks, default=0.0), sum(one > TARGET_TASK_MS for one in tasks)
    print(
        f"  {name}: {len(found['updates'])} updates in {seconds:.0f} s, median {np.median(updates):.0f} ms, p99"
        f" {np.percentile(updates, 99):.0f} ms, worst {updates.max():.0f} ms (asked: {TARGET_UPDATE_MS:.0f}); tasks over 50 ms:"
        f" {len(tasks)}, longest {longest:.0f} ms, over {TARGET_TASK_MS:.0f} ms: {over} (asked: 0)",
        flush=True,
    )
    return float(np.median(updates))


def measured(page: Page, seconds: float) -> dict[str, Any]:
    """Long tasks for so long, then updates for as long: reading a pixel back waits for the drawing, and would be a long task itself."""
    page.evaluate("() => { bench.from = performance.now(); }")
    page.wait_for_timeout(seconds * 1_000)
    page.evaluate("() => { bench.read = true; }")
    page.wait_for_timeout(seconds * 1_000)
    found: dict[str, Any] = page.evaluate("() => bench")
    return found


def moving(browser: Browser, url: str, seconds: float) -> None:
    """7,000 moving taxis on the map, and as a GeoJSON source."""
    page = opened(browser, url, "/map")
    page.wait_for_selector(f'.city-map[data-ready="yes"][data-fleet="{TAXIS}"]', timeout=60_000)
    page.wait_for_timeout(4_000)
    ours = told("the map", measured(page, seconds), seconds)
    page.context.close()
    if not (_MAPLIBRE / "maplibre-gl.mjs").is_file():
        print("  the baseline needs web/node_modules: `make web`")
        return
    page = browser.new_context(viewport={"width": 1366, "height": 768}).new_page()
    text = _PAGE.replace("LON", str(LON)).replace("LAT", str(LAT)).replace("HALF", str(HALF_CITY_DEG))
    page.route(f"{_BASELINE}/*", lambda route: route.fulfill(path=_MAPLIBRE / route.request.url.rpartition("/")[2]))
    page.route(
        f"{_BASELINE}/", lambda route: route.fulfill(body=text.replace("TAXIS", str(TAXIS)), content_type="text/html")
    )
    page.goto(f"{_BASELINE}/")
    page.wait_for_selector("body[data-ready]", timeout=60_000, state="attached")
    page.wait_for_timeout(4_000)
    theirs = told("baseline, a GeoJSON source", measured(page, seconds), seconds)
    page.context.close()
    print(f"  an update as a GeoJSON source takes {theirs / ours:.1f} × as long")


def presses(browser: Browser, serving: Serving, count: int) -> None:
    """From the hand-over of a press to the desk until its row has been drawn."""
    page = opened(browser, serving.url, "/desk")
    page.wait_for_selector("dialog")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector('[data-link="open"]')
    page.wait_for_timeout(2_000)
    rng = np.random.default_rng(3)
    took = []
    for _ in range(count):
        serving.tell("press")
        made = serving.answer()
        handle = page.wait_for_function("(id) => bench.seen[id] || false", arg=made["alarm"], timeout=30_000)
        took.append(handle.json_value() - made["at_ms"])
        serving.tell(f"close {made['alarm']}")
        page.wait_for_timeout(float(rng.uniform(100, 500)))
    page.context.close()
    print(
        f"  press ▸ on screen, {count} presses: p50 {np.percentile(took, 50):.0f} ms, p99 {np.percentile(took, 99):.0f} ms,"
        f" worst {max(took):.0f} ms (asked: p99 {TARGET_PRESS_MS:.0f})"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--presses", type=int, default=120)
    parser.add_argument("--loads", type=int, default=5)
    given = parser.parse_args(arguments)
    if given.serve:
        serve(given.serve)
        return 0
    from tests.browser import chromium, chromium_program  # noqa: PLC0415 of the tests, used by the run alone

    if chromium_program() is None or not (BUILT / "index.html").is_file():
        print("It needs chromium (Debian: apt-get install chromium) and the pages (make web).")
        return 1
    print(__doc__)
    print(machine())
    with chromium() as browser:
        print(f"{TAXIS:,} taxis, one point a second each:")
        with Serving(TAXIS) as serving:
            loads(browser, serving.url, given.loads)
            moving(browser, serving.url, given.seconds)
        print("20,000 points a second:")
        with Serving(20_000) as serving:
            presses(browser, serving, given.presses)
    return 0


if __name__ == "__main__":
    sys.exit(main())
