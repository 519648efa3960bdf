"""A clip and a live view in real Chromium: what a player says of them, not what we think of them."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Page

from ingest.video.clip import make_clip, viewing_copy
from ingest.video.fragments import Fragmenter
from ingest.video.transcoding import MaskedStream
from model.video import Fragment, Packet
from tests.ingest.video.material import CARPARK, encoded, moving, real_packets

PAGE = """<!doctype html><video id=v muted></video><script>
const v = document.getElementById("v");
async function clip() { v.src = "/clip.mp4"; await v.play(); }
async function live(parts) {
  const source = new MediaSource();
  v.src = URL.createObjectURL(source);
  await new Promise(done => source.addEventListener("sourceopen", done, {once: true}));
  let buffer = null;
  for (const part of parts) {
    const data = await (await fetch(part.path)).arrayBuffer();
    if (part.kind == "init") {
      const type = 'video/mp4; codecs="' + part.codec + '"';
      if (buffer) buffer.changeType(type); else buffer = source.addSourceBuffer(type);
    }
    await new Promise((done, failed) => {
      buffer.addEventListener("updateend", done, {once: true});
      buffer.addEventListener("error", () => failed(new Error("append")), {once: true});
      buffer.appendBuffer(data);
    });
  }
  source.endOfStream();
  const ranges = [];
  for (let i = 0; i < buffer.buffered.length; i++) ranges.push([buffer.buffered.start(i), buffer.buffered.end(i)]);
  v.currentTime = ranges[0][0];
  v.play();
  return ranges;
}
function state() {
  const quality = v.getVideoPlaybackQuality();
  return {ended: v.ended, error: v.error && v.error.message, width: v.videoWidth, duration: v.duration,
          frames: quality.totalVideoFrames, corrupt: quality.corruptedVideoFrames};
}
</script>"""


@contextmanager
def _served(files: dict[str, bytes]) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = files.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "video/mp4" if self.path.endswith("mp4") else "text/html")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class names it so
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context() as context:
        yield context.new_page()


def _ended(page: Page) -> dict[str, object]:
    page.wait_for_function("() => v.ended || v.error", timeout=20_000)
    state: dict[str, object] = page.evaluate("() => state()")
    assert state["error"] is None
    assert state["ended"]
    assert state["corrupt"] == 0
    return state


def _played(page: Page, data: bytes) -> dict[str, object]:
    with _served({"/": PAGE.encode(), "/clip.mp4": data}) as url:
        page.goto(url)
        page.evaluate("() => clip()")
        return _ended(page)


@pytest.mark.soak
def test_clips_play(page: Page) -> None:
    real = real_packets(CARPARK, limit=12)
    state = _played(page, make_clip(real).data)
    assert (state["width"], state["frames"]) == (768, 12)
    reordered = encoded(moving(20, 320, 180), b_frames=2)
    after = encoded(moving(8, 320, 180), b_frames=2, epoch=2, start_ms=reordered[-1].time_ms + 300)
    clip = make_clip([*reordered, *after])
    state = _played(page, clip.data)
    assert state["duration"] == pytest.approx((clip.to_ms - clip.from_ms) / 1000, abs=0.02)
    assert state["frames"] == 28
    hevc = viewing_copy(make_clip(encoded(moving(12, 320, 180), codec="libx265")))
    assert _played(page, hevc.data)["frames"] == 12


def _live(page: Page, fragments: list[Fragment]) -> tuple[list[list[float]], dict[str, object]]:
    files = {"/": PAGE.encode()}
    parts = []
    for number, fragment in enumerate(fragments):
        files[f"/{number}.mp4"] = fragment.data
        parts.append({"path": f"/{number}.mp4", "kind": fragment.kind, "codec": fragment.codec})
    with _served(files) as url:
        page.goto(url)
        ranges: list[list[float]] = page.evaluate(f"() => live({json.dumps(parts)})")
        return ranges, _ended(page)


def test_live_view_plays_without_a_hole_over_jitter_a_gap_and_other_parameters(page: Page) -> None:
    first = encoded(moving(20, 320, 180), gop=10)
    wild = [0, 40, -35, 60, 5, -20, 0, 50, -30, 10]
    jittery: list[Packet] = []
    for index, packet in enumerate(first):
        ticks = packet.pts + wild[index % 10] * 90 + (900_000 if index >= 13 else 0)
        jittery.append(replace(packet, pts=ticks, dts=ticks))
    reordered = encoded(moving(10, 640, 360), b_frames=2, epoch=2)
    stream = MaskedStream(reordered[0].info, [((0.1, 0.1), (0.5, 0.1), (0.3, 0.6))])
    masked = [made for packet in reordered for made in stream.push(packet)] + stream.finish()
    fragmenter = Fragmenter("camera/1", first[0].info)
    packets = [*jittery, *reordered, *(replace(packet, info=replace(packet.info, epoch=3)) for packet in masked)]
    fragments = [fragment for packet in packets for fragment in fragmenter.push(packet)]
    assert sum(fragment.kind == "init" for fragment in fragments) == 3
    ranges, state = _live(page, fragments)
    assert len(ranges) == 1, ranges
    assert ranges[0][1] - ranges[0][0] == pytest.approx(40 / 15, abs=0.3)
    assert state["width"] == 640
    assert isinstance(state["frames"], int)
    assert state["frames"] >= 38, "a frame or two may be dropped where another size begins"


def test_a_viewer_who_begins_in_the_middle_of_a_real_stream(page: Page) -> None:
    packets = real_packets(CARPARK)
    fragmenter = Fragmenter("camera/1", packets[0].info)
    made = [fragment for packet in packets for fragment in fragmenter.push(packet)]
    keyframes = [index for index, fragment in enumerate(made) if fragment.keyframe]
    ranges, state = _live(page, [made[0], *made[keyframes[2] : keyframes[2] + 12]])
    assert len(ranges) == 1
    assert state["frames"] == 12
