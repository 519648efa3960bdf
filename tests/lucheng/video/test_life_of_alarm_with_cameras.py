"""An alarm and its cameras through real processes: press ▸ snapshots ▸ clips with pre-roll ▸ played in a browser.

Also what stays of it when the service is killed in between, and when two hundred alarms come at once.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from simulator.camera.film import Film
from simulator.camera.rtsp import Channel
from tests.conftest import Mosquitto, wait_until
from tests.lucheng.faults.desk_side import Device, millis
from tests.lucheng.in_process import answer
from tests.lucheng.video.camera_city import (
    FPS,
    GOP_S,
    WORKER_S,
    CameraCity,
    frames_of,
    make_film,
    pictures,
    place_in,
    shots_of,
)

SITE = "school"
LAT, LON = 40.65, 109.82
#: The site's own hang farther away than two that are nobody's: the site goes first.
BOUND = ("camera/gate", "camera/hall", "camera/yard")
NEAR, LEFT_OUT = "camera/near", "camera/next"
OF_SITE = {*BOUND, NEAR}
PRE_MS = POST_MS = 4_000
GOP_MS = round(GOP_S * 1000)
#: Times of single pictures may be a picture off: a camera's clock is mapped to ours.
PICTURE_MS = 1000 // FPS
BUTTONS = ("button/1", "button/2", "button/3", "button/4")
STORM = 200
#: Of severity 2: they want clips, and give way.
LESSER = "tamper"


@pytest.fixture(scope="module")
def films() -> dict[str, Film]:
    """Of each camera; no two are alike."""
    return {name: make_film(pictures(seed)) for seed, name in enumerate((*BOUND, NEAR, LEFT_OUT))}


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory, films: dict[str, Film]) -> Iterator[CameraCity]:
    """A school with three cameras of its own and two beside it, and buttons; the gate is recorded all the time."""
    folder = tmp_path_factory.mktemp("life")
    broker = Mosquitto(folder / "mosquitto").start()
    channels = {f"/{name}": Channel(film, offset_s=0.7 * number) for number, (name, film) in enumerate(films.items())}
    settings = {"LUCHENG_RECORDING__SEGMENT_S": "5"}
    with CameraCity(folder, channels, settings=settings, broker=broker.url) as made:
        made.call("site_add", site=SITE, lat=LAT, lon=LON)
        for number, name in enumerate(BOUND):
            # the yard is blind to motion: what it records it records for alarms
            more: dict[str, dict[str, Any]] = {
                "camera/gate": {"record": "continuous"},
                "camera/yard": {"record": "events", "sensitivity": 0.0},
            }
            made.add(name, f"/{name}", site=SITE, lat=LAT + 0.002 + number * 1e-4, lon=LON, **more.get(name, {}))
        made.add(NEAR, f"/{NEAR}", lat=LAT + 1e-4, lon=LON)
        made.add(LEFT_OUT, f"/{LEFT_OUT}", lat=LAT + 3e-4, lon=LON)
        for button in BUTTONS:
            made.call("device_add", device=button, site=SITE, lat=LAT, lon=LON)
        rows = "".join(f"button/storm{number},{SITE},{LAT},{LON}\n" for number in range(STORM))
        counts = made.call("device_import", data=f"id,site,lat,lon\n{rows}".encode())["counts"]
        assert counts["added"] == STORM
        made.wait_online(*OF_SITE, LEFT_OUT)
        yield made
    broker.stop()


def press(city: CameraCity, button: str, kind: str = "one_key") -> dict[str, Any]:
    """The alarm that a press has raised."""
    with Device(city.broker, button) as device:
        device.press("press-1", time.time_ns() // 1_000_000, kind)
    return city.alarm_of(button, kind)


def begins_at_its_keyframe(piece: dict[str, Any], data: bytes, wanted_ms: int) -> None:
    """The clip's first picture is the last keyframe before `wanted_ms`, so the next keyframe comes after it."""
    from_ms = millis(piece["time"])
    assert from_ms is not None
    shots = shots_of(data)
    assert shots[0].keyframe
    assert shots[0].at_s == 0
    assert from_ms <= wanted_ms
    second = next(shot for shot in shots[1:] if shot.keyframe)
    assert from_ms + second.at_s * 1000 > wanted_ms - PICTURE_MS


def test_a_press_brings_four_snapshots_and_four_clips_that_play(
    city: CameraCity, films: dict[str, Film], browser: Browser
) -> None:
    for camera in OF_SITE:
        city.wait_ring(camera, (PRE_MS + GOP_MS) / 1000)
    alarm = press(city, BUTTONS[0])
    at_ms = millis(alarm["received"])
    assert at_ms is not None
    city.wait_evidence(alarm["alarm"], clips=4, snapshots=4)
    rows: list[dict[str, Any]] = answer(city.data, "evidence", "list", "--alarm", alarm["alarm"])
    assert {row["device"] for row in rows if row["kind"] == "video"} == OF_SITE
    assert {row["device"] for row in rows if row["kind"] == "image"} == OF_SITE
    assert city.missing(alarm["alarm"]) == []
    for row in rows:
        data = city.bytes_of(row)
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
        if row["kind"] == "image":
            assert data.startswith(b"\xff\xd8")
            continue
        shots = shots_of(data)
        assert place_in(shots, films[row["device"]]) >= 0, f"{row['device']}: other packets than it sent"
        begins_at_its_keyframe(row, data, at_ms - PRE_MS)
        from_ms = millis(row["time"])
        assert from_ms is not None
        assert from_ms + shots[-1].at_s * 1000 >= at_ms + POST_MS - 2 * PICTURE_MS
        assert all(0 < later.at_s - shot.at_s < 2 / FPS for shot, later in pairwise(shots)), "a picture is missing"
    plays_in_the_browser(city, browser, alarm["alarm"], rows)
    wait_until(lambda: recorded(city, "camera/yard"), WORKER_S, "what a camera recorded for the alarm")
    first_ms = millis(recorded(city, "camera/yard")[0]["from"])
    assert first_ms is not None
    assert at_ms - PRE_MS - GOP_MS - PICTURE_MS < first_ms <= at_ms - PRE_MS


def recorded(city: CameraCity, camera: str) -> list[dict[str, Any]]:
    """The segments of a camera's recording, the earliest first."""
    found: dict[str, Any] = answer(city.data, "camera", "recordings", camera, "--purpose", "test")
    return found["segments"]  # type: ignore[no-any-return]


def recordings_are_whole(city: CameraCity, films: dict[str, Film], camera: str) -> None:
    """Every segment plays and has what the camera sent, and the store has nothing to say of any."""
    for segment in recorded(city, camera):
        data = city.service.client().blob(
            "camera_recording_read", camera=camera, recording=segment["recording"], purpose="test"
        )
        assert hashlib.sha256(data).hexdigest() == segment["sha256"]
        shots = shots_of(data)
        assert shots[0].keyframe
        assert place_in(shots, films[camera]) >= 0
        assert len(frames_of(data)) == len(shots)
    problems = city.call("store_check")["problems"]
    # a picture whose row was on its way when the service was killed is asked for again; its file harms nobody
    assert [one for one in problems if not one["place"].startswith("evidence/")] == []


def plays_in_the_browser(city: CameraCity, browser: Browser, alarm: str, rows: list[dict[str, Any]]) -> None:
    """Every clip of the alarm's page plays to its end, and every snapshot is seen."""
    lengths = {row["sha256"]: shots_of(city.bytes_of(row))[-1].at_s + 1 / FPS for row in rows if row["kind"] == "video"}
    page = browser.new_page()
    page.set_default_timeout(WORKER_S * 1000)
    page.goto(city.page(f"alarm/{alarm}"))
    wait_in(page, "[...document.querySelectorAll('.pieces video')].filter(one => one.readyState >= 1).length === 4")
    cards = page.locator(".pieces article:has(video)")
    for number in range(4):
        card = cards.nth(number)
        sha = card.locator(".sha").inner_text().split()[-1]
        assert card.locator("video").evaluate("one => one.duration") == pytest.approx(lengths.pop(sha), abs=0.15)
        assert card.locator(".note").count() == 0
    assert lengths == {}
    start = "one => { one.muted = true; one.playbackRate = 8; one.play(); }"
    page.evaluate(f"document.querySelectorAll('.pieces video').forEach({start})")
    wait_in(page, "[...document.querySelectorAll('.pieces video')].every(one => one.ended)")
    assert page.evaluate("[...document.querySelectorAll('.pieces video')].every(one => !one.error)")
    page.evaluate("document.querySelectorAll('.pieces img').forEach(one => { one.loading = 'eager'; })")
    wait_in(page, "[...document.querySelectorAll('.pieces img')].filter(one => one.naturalWidth === 320).length === 4")
    page.close()


def wait_in(page: Page, condition: str) -> None:
    """Wait for something on a page; a function, since its policy lets no text be run."""
    page.wait_for_function(f"() => {condition}", polling=50)


@pytest.mark.soak
def test_two_hundred_alarms_at_once_stay_bounded_and_severity_1_has_its_clips(city: CameraCity) -> None:
    before = city.service.status()["live"]
    for camera in OF_SITE:
        city.wait_ring(camera, (PRE_MS + GOP_MS) / 1000)
    with Device(city.broker, "button/gateway") as sender:
        for number in range(STORM):
            now_ms = time.time_ns() // 1_000_000
            kind = "one_key" if number == STORM - 1 else LESSER
            send_as(sender, f"button/storm{number}", f"storm-{number}", now_ms, kind)
    urgent = city.alarm_of(f"button/storm{STORM - 1}")
    lesser = [city.alarm_of(f"button/storm{number}", LESSER) for number in (0, STORM // 2, STORM - 2)]
    city.wait_evidence(urgent["alarm"], clips=4, snapshots=4)
    assert city.missing(urgent["alarm"]) == []

    def settled() -> bool:
        live = city.service.status()["live"]
        return all(
            live[f"binding_{kind}_{how}"] == 0 for kind in ("clips", "snapshots") for how in ("waiting", "being_made")
        )

    wait_until(settled, WORKER_S, "the storm's clips")
    after = city.service.status()["live"]
    made = {kind: after[f"binding_{kind}_kept"] - before[f"binding_{kind}_kept"] for kind in ("clips", "snapshots")}
    print(f"made in the storm: {made}")
    assert after["binding_alarms"] - before["binding_alarms"] == STORM
    # alarms of the same moment share their clips: a few of each camera, not two hundred
    assert 4 <= made["clips"] <= 40
    assert after["binding_failed"] == before["binding_failed"]
    for alarm in lesser:
        wait_until(partial(accounted, city, alarm["alarm"]), WORKER_S, "each to have its clips or to be told why")
    assert len(city.workers()) == 1
    assert city.service.status()["live"]["video_worker_deaths"] == before["video_worker_deaths"]


def accounted(city: CameraCity, alarm: str) -> bool:
    """Whether the alarm has a clip and a snapshot of each of its cameras, or it is written down which it lacks."""
    has = Counter((row["device"], {"video": "clip", "image": "snapshot"}[row["kind"]]) for row in city.evidence(alarm))
    for lack in city.missing(alarm):
        if lack["what"] in ("clip", "snapshot"):
            has.update((camera, lack["what"]) for camera in lack["cameras"])
    assert max(has.values(), default=1) == 1, has
    return len(has) == 2 * len(OF_SITE)


def said_in_part(city: CameraCity, alarm: str) -> set[str]:
    """Cameras of whose clip it is written down that it is not whole."""
    return {one for lack in city.missing(alarm) if lack["what"] == "part of the clip" for one in lack["cameras"]}


def send_as(sender: Device, device: str, name: str, time_ms: int, kind: str) -> None:
    """One connection sends for many devices; the broker is anonymous."""
    sender.id, mine = device, sender.id
    sender.press(name, time_ms, kind)
    sender.id = mine


@pytest.mark.soak
def test_a_kill_between_the_press_and_the_clips_end_loses_nothing_unsaid(
    city: CameraCity, films: dict[str, Film]
) -> None:
    for camera in OF_SITE:
        city.wait_ring(camera, (PRE_MS + GOP_MS) / 1000)
    alarm = press(city, BUTTONS[1])
    at_ms = millis(alarm["received"])
    assert at_ms is not None
    city.service.kill9()
    city.service.start()
    city.wait_online(*OF_SITE)
    wait_until(lambda: accounted(city, alarm["alarm"]), WORKER_S, f"{alarm['alarm']} to have all or to be told why")
    rows = {(row["device"], row["kind"]): row for row in city.evidence(alarm["alarm"])}
    gate = rows["camera/gate", "video"]
    data = city.bytes_of(gate)
    begins_at_its_keyframe(gate, data, at_ms - PRE_MS)
    lacks = city.missing(alarm["alarm"])
    assert {camera for camera, kind in rows if kind == "image"} == OF_SITE, lacks
    in_part = {"camera/gate"}  # nobody recorded while no service ran
    for camera in OF_SITE - {"camera/gate", "camera/yard"}:  # those of which nothing was recorded
        row = rows.get((camera, "video"))
        if row is not None:  # the restart was quicker than the post-roll
            from_ms = millis(row["time"])
            assert from_ms is not None
            assert from_ms > at_ms
            in_part.add(camera)
    # what a clip lacks is written down right after the clip itself
    wait_until(lambda: in_part <= said_in_part(city, alarm["alarm"]), WORKER_S, f"{in_part} to be called parts")
    recordings_are_whole(city, films, "camera/gate")


@pytest.mark.soak
def test_a_recording_outlives_its_worker_and_shows_the_gap(city: CameraCity, films: dict[str, Film]) -> None:
    wait_until(lambda: recorded(city, "camera/gate"), WORKER_S, "a first segment")
    city.wait_online("camera/gate")
    channel = city.cameras.channels["/camera/gate"]
    whole = sum(map(len, films["camera/gate"].units))
    wait_until(lambda: written(city) > whole / 2, WORKER_S, "the middle of a segment")
    known = {segment["recording"] for segment in recorded(city, "camera/gate")}
    (worker,) = city.workers()
    silent_ms = time.time_ns() // 1_000_000
    channel.muted = True
    worker.kill()
    try:
        wait_until(lambda: set_of(city) - known, WORKER_S, "what the dead worker was recording to be taken in")
        cut_off = set_of(city) - known
        # longer than the pause that is none
        wait_until(lambda: time.time_ns() // 1_000_000 > silent_ms + 3_000, WORKER_S, "the gap to be one")
        heard_ms = time.time_ns() // 1_000_000
    finally:
        channel.muted = False
    wait_until(lambda: set_of(city) - known - cut_off, WORKER_S, "a segment of the next worker")
    spans = answer(city.data, "camera", "recordings", "camera/gate", "--purpose", "test")["coverage"]
    times = [(millis(span["from"]) or 0, millis(span["to"]) or 0) for span in spans]
    gaps = [(one[1], later[0]) for one, later in pairwise(times)]
    slack_ms = GOP_MS + 5 * PICTURE_MS
    assert any(start <= silent_ms + slack_ms and heard_ms - slack_ms <= end for start, end in gaps), (
        silent_ms,
        heard_ms,
        gaps,
    )
    recordings_are_whole(city, films, "camera/gate")


def written(city: CameraCity) -> int:
    """Bytes of the segment of the gate that is being recorded."""
    found = 0
    for part in (city.data / "recordings" / "camera.gate").rglob("*.part"):
        with suppress(FileNotFoundError):  # it is whole by now
            found += part.stat().st_size
    return found


def set_of(city: CameraCity) -> set[str]:
    """Ids of the gate's segments."""
    return {segment["recording"] for segment in recorded(city, "camera/gate")}


@pytest.mark.soak
def test_recordings_over_their_limit_give_way_the_oldest_first(tmp_path: Path) -> None:
    noise = np.random.default_rng(5)
    rough = make_film([noise.integers(0, 255, (180, 320, 3), np.uint8) for _ in range(2 * FPS)], bitrate_kbps=4_000)
    settings = {"LUCHENG_RECORDING__SEGMENT_S": "5", "LUCHENG_RECORDING__MAX_TOTAL_BYTES": str(5 << 20)}
    with CameraCity(tmp_path, {"/gate": Channel(rough)}, settings=settings) as city:
        city.add("camera/gate", "/gate", record="continuous")
        wait_until(lambda: recorded(city, "camera/gate"), WORKER_S, "a segment")
        first = recorded(city, "camera/gate")[0]["recording"]
        wait_until(lambda: first not in set_of(city) and set_of(city), WORKER_S, "the oldest to give way")
        kept = recorded(city, "camera/gate")
        assert sum(segment["size_bytes"] for segment in kept) <= 5 << 20
        files = list((city.data / "recordings").rglob("*.mp4"))
        assert sum(path.stat().st_size for path in files) <= (5 << 20) + max(path.stat().st_size for path in files)
        recordings_are_whole(city, {"camera/gate": rough}, "camera/gate")
