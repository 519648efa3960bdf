"""Pictures on their way out of a running service: masked ones everywhere they go, and the live view in a real browser."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from simulator.camera.film import Film, nal_units
from simulator.camera.rtsp import Channel
from tests.conftest import wait_until
from tests.console.live.film import make_film as make_mp4
from tests.lucheng.video.camera_city import (
    FPS,
    PURPOSE,
    WORKER_S,
    Bgr,
    CameraCity,
    LiveFilm,
    frames_of,
    make_film,
    pictures,
)

MASKED, OPEN, DYING, FAST, RARE, HEVC = (
    f"camera/{name}" for name in ("masked", "open", "dying", "fast", "rare", "hevc")
)
#: Half of the picture, and within it what the mask has to hide.
MASK = [[0.5, 0.0], [1.0, 0.0], [1.0, 0.6], [0.5, 0.6]]
WIDTH_PX, HEIGHT_PX = 320, 180
#: What lies between the mask and the rest may be soft; further away it may not.
SOFT_PX = 4
#: A shade of red and blue that no street has.
SECRET = (255, 0, 255)
#: What somebody may put into a name, hoping that it runs.
EVIL = '<img src=x onerror="window.ran=1"><script>window.ran=1</script>'
MAX_VIEWER_BYTES = 512 << 10


@pytest.fixture(scope="module")
def originals() -> list[Bgr]:
    """What the masked camera sees: a street, and something bright that nobody may see."""
    found = pictures(7, length_s=4)
    for number, picture in enumerate(found):
        left = 190 + number * 3 % 90
        cv2.rectangle(picture, (left, 20), (left + 30, 90), SECRET, -1)
        cv2.putText(picture, f"{number:03d}", (180, 60), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 2)
    return found


@pytest.fixture(scope="module")
def films(originals: list[Bgr]) -> dict[str, Film]:
    """What each camera sends."""
    noise = np.random.default_rng(5)
    rough = [noise.integers(0, 255, (HEIGHT_PX, WIDTH_PX, 3), np.uint8) for _ in range(2 * FPS)]
    street = pictures(8, length_s=4)
    return {
        MASKED: make_film(originals),
        OPEN: make_film(street),
        DYING: make_film(street),
        FAST: make_film(rough, bitrate_kbps=8_000),
        # one keyframe in eight seconds: whoever has to wait for the next one sees nothing for long
        RARE: make_film(street * 2, gop_s=8),
    }


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory, films: dict[str, Film]) -> Iterator[CameraCity]:
    """All of them behind one service; H.265 is a file, so no other server is needed."""
    folder = tmp_path_factory.mktemp("pictures")
    files = folder / "films"
    files.mkdir()
    (files / "hevc.mp4").write_bytes(make_mp4("libx265", name="hvc1").whole)
    settings = {
        "LUCHENG_CAMERA__FILES_DIR": str(files),
        "LUCHENG_RECORDING__SEGMENT_S": "5",
        "LUCHENG_LIVE__MAX_VIEWER_BYTES": str(MAX_VIEWER_BYTES),
    }
    with CameraCity(folder, {f"/{name}": Channel(film) for name, film in films.items()}, settings=settings) as made:
        made.add(MASKED, f"/{MASKED}", masks=[MASK], record="continuous")
        made.add(OPEN, f"/{OPEN}", name=EVIL, record="continuous")
        for name in (DYING, FAST, RARE):
            made.add(name, f"/{name}")
        made.add(HEVC, url="file:hevc.mp4")
        made.wait_online(*films, HEVC)
        yield made


# -- masks ----------------------------------------------------------------------------------------


def hides(found: Sequence[Bgr], originals: Sequence[Bgr]) -> None:
    """Each picture is black under the mask and else as the camera sent it; nothing of what is hidden is anywhere."""
    assert found
    top, bottom = 0, round(HEIGHT_PX * 0.6)
    beside = np.stack(originals)[:, :, : WIDTH_PX // 2 - SOFT_PX].astype(np.int16)
    below = np.stack(originals)[:, bottom + SOFT_PX :].astype(np.int16)
    for picture in found:
        assert picture.shape == (HEIGHT_PX, WIDTH_PX, 3)
        assert picture[top : bottom - SOFT_PX, WIDTH_PX // 2 + SOFT_PX :].max() < 24
        blue, green, red = (picture[..., place].astype(int) for place in range(3))
        assert not ((blue > green + 60) & (red > green + 60)).any()
        left_diff = np.abs(beside - picture[:, : WIDTH_PX // 2 - SOFT_PX]).mean((1, 2, 3))
        below_diff = np.abs(below - picture[bottom + SOFT_PX :]).mean((1, 2, 3))
        assert left_diff.min() < 6
        assert below_diff.min() < 6


def needles(film: Film) -> list[bytes]:
    """Bytes out of the middle of every picture as the camera sent it; no other stream has them."""
    slices = [max(nal_units(unit), key=len) for unit in film.units]
    return [one[len(one) // 2 : len(one) // 2 + 24] for one in slices if len(one) > 100]


def mjpeg(city: CameraCity, camera: str, count: int) -> list[bytes]:
    """The first single pictures of a camera's other live view."""
    with socket.create_connection(("127.0.0.1", city.live_port), timeout=WORKER_S) as line:
        head = f"GET /camera/{camera}/mjpeg?purpose={PURPOSE} HTTP/1.1\r\nHost: 127.0.0.1:{city.live_port}\r\n"
        line.sendall(f"{head}Authorization: Bearer {city.token}\r\n\r\n".encode())
        told = b""
        while told.count(b"\xff\xd9") < count:
            piece = line.recv(65_536)
            assert piece, told[-500:]
            told += piece
    found = [part[: part.index(b"\xff\xd9") + 2] for part in told.split(b"\xff\xd8")[1:] if b"\xff\xd9" in part]
    return [b"\xff\xd8" + part for part in found]


def test_nothing_under_a_mask_is_shown_or_kept_anywhere(
    city: CameraCity, films: dict[str, Film], originals: list[Bgr]
) -> None:
    client = city.service.client()
    with city.socket(MASKED) as line:
        live = LiveFilm(line)
        live.media(FPS)
    assert next(head for head in live.heads if head["t"] == "init")["transcoded"]
    hides(frames_of(live.data), originals)
    for picture in mjpeg(city, MASKED, 2):
        hides(frames_of(picture), originals)
    hides(frames_of(client.blob("camera_snapshot", camera=MASKED, purpose=PURPOSE)), originals)
    made = city.call("camera_clip", camera=MASKED, seconds=4, purpose=PURPOSE)
    assert made["transcoded"]
    hides(frames_of(client.blob("evidence_read", evidence=made["evidence"], purpose=PURPOSE)), originals)

    def recorded(camera: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = city.call("camera_recordings", camera=camera, purpose=PURPOSE)["segments"]
        return found

    wait_until(lambda: recorded(MASKED) and recorded(OPEN), WORKER_S, "a segment of both")
    segment = recorded(MASKED)[0]
    assert segment["masked"]
    data = client.blob("camera_recording_read", camera=MASKED, recording=segment["recording"], purpose=PURPOSE)
    hides(frames_of(data), originals)
    kept = b"".join(path.read_bytes() for path in sorted(city.data.rglob("*")) if path.is_file())
    assert any(needle in kept for needle in needles(films[OPEN])), "the search finds nothing at all"
    for bytes_, where in ((kept, "the data folder"), (live.data, "the live view")):
        assert not any(needle in bytes_ for needle in needles(films[MASKED])), f"the original is in {where}"


# -- live view ------------------------------------------------------------------------------------

VIDEO = "document.getElementById('video')"
STAGE = "document.getElementById('stage')"
COVER = "document.getElementById('cover')"
OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(city: CameraCity, browser: Browser) -> Iterator[OpenPage]:
    """Opens a camera's page with the token of the data folder; no page may throw, nor run what stands in a name."""
    faults: list[str] = []
    context = browser.new_context(locale="en-GB")

    def open_(camera: str, *, script: str = "") -> Page:
        page = context.new_page()
        page.set_default_timeout(WORKER_S * 1000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        if script:
            page.add_init_script(script)
        page.goto(city.page(f"camera/{camera}?purpose={PURPOSE}" if camera else ""))
        return page

    yield open_
    assert [page.evaluate("window.ran") for page in context.pages] == [None] * len(context.pages)
    context.close()
    assert faults == []


def wait(page: Page, condition: str) -> None:
    page.wait_for_function(f"() => {condition}", polling=50)


def plays(page: Page) -> None:
    """Live video goes on, and nothing lies over it."""
    wait(page, f"{VIDEO}.readyState >= 2 && {COVER}.hidden && +{STAGE}.dataset.ageS < 4")
    at_s = page.evaluate(f"{VIDEO}.currentTime")
    wait(page, f"{VIDEO}.currentTime > {at_s} + 0.5 || {VIDEO}.currentTime < {at_s}")


@pytest.mark.soak
def test_live_video_plays_h265_is_re_encoded_and_single_pictures_stand_in(
    city: CameraCity, open_page: OpenPage
) -> None:
    page = open_page(OPEN)
    hevc = open_page(HEVC)
    still = open_page(OPEN, script="delete window.MediaSource;")
    plays(page)
    assert page.evaluate(f"[{VIDEO}.videoWidth, {VIDEO}.videoHeight]") == [WIDTH_PX, HEIGHT_PX]
    assert page.locator("#mark").is_hidden()
    assert EVIL in page.locator("h1").inner_text()
    plays(hevc)
    assert hevc.locator("#mark").inner_text() == "re-encoded for viewing"
    wait(still, f"document.getElementById('still').naturalWidth === {WIDTH_PX} && {COVER}.hidden")
    assert still.locator("#mode").inner_text() == "single pictures"
    front = open_page("")
    assert EVIL in front.locator("table").last.inner_text()
    assert city.show(HEVC)["codec"] == "hevc"


def test_the_first_picture_is_there_before_the_next_keyframe(city: CameraCity) -> None:
    wait_until(lambda: city.show(RARE)["media_age_s"] is not None, WORKER_S, "the rare camera")
    for _ in range(2):  # the second viewer is served by the hub
        before_ms = time.time_ns() // 1_000_000
        with city.socket(RARE) as line:
            live = LiveFilm(line)
            first = live.until("media")
            assert first["key"]
            assert first["time_ms"] < before_ms, "it waited for a keyframe"
            live.media(3)
        assert len(frames_of(live.data)) >= 4


def covered(page: Page) -> None:
    """Nothing on the page looks as if it were live, and it is said why."""
    wait(page, f"!{COVER}.hidden && ({STAGE}.classList.contains('stale') || {STAGE}.classList.contains('bare'))")
    assert page.locator("#cover").inner_text() != ""


@pytest.mark.soak
def test_a_dead_camera_does_not_look_alive_and_views_outlive_their_worker(
    city: CameraCity, open_page: OpenPage
) -> None:
    channel = city.cameras.channels[f"/{DYING}"]
    dying, other = open_page(DYING), open_page(OPEN)
    plays(dying)
    plays(other)
    channel.muted = True
    try:
        late = open_page(DYING)  # who comes now is shown its last picture, and that it is old
        covered(dying)
        covered(late)
        assert "Not live" in late.locator("#cover").inner_text()
        city.wait(DYING, "state", "stalled")
        plays(other)
        (worker,) = city.workers()
        worker.kill()
        wait(other, f"!{COVER}.hidden")
        plays(other)
        assert worker.pid not in [one.pid for one in city.workers()]
        covered(dying)
        covered(late)
    finally:
        channel.muted = False
    plays(dying)
    plays(late)


@pytest.mark.soak
def test_a_slow_viewer_goes_on_at_a_keyframe_and_no_other_waits(city: CameraCity) -> None:
    before = city.service.status()["live"]["live_skips"]
    narrow = socket.create_connection(("127.0.0.1", city.live_port))
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 10)
    with city.socket(FAST, sock=narrow, max_queue=1) as slow, city.socket(FAST) as quick:
        behind, ahead = LiveFilm(slow), LiveFilm(quick)
        behind.until("media")
        while city.service.status()["live"]["live_skips"] == before:
            ahead.media(5)
        told = behind.until("told")
        assert told["what"] == "skipped"
        after = next(head for head in iter(behind.next, None) if head["t"] != "init")
        assert after["t"] == "media"
        assert after["key"]
        ahead.media(5)
    media = [head for head in ahead.heads if head["t"] == "media"]
    assert all(head["t"] != "told" for head in ahead.heads)
    assert all(0 < later["time_ms"] - one["time_ms"] <= 3 * 1000 / FPS for one, later in pairwise(media))
    assert len(frames_of(ahead.data)) == len(media)
