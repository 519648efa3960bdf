"""`camera` as people type it: in this process and through a service; what it prints, and what it never prints."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from config.settings import load
from console.api import make_app
from console.camera_seams import CameraRow
from console.server import ApiServer
from lucheng.cli.camera_lines import Changes, change_line, table_row
from lucheng.cli.camera_texts import CAMERA_TEXTS, HEALTH_WORDS
from lucheng.operating import operations_of
from lucheng.rooms import Rooms, open_rooms, operating_system_user
from model.camera import STATE_WORDS, CameraState, Health, health_names
from tests.console.test_camera_operations import JPEG, Watched, recorded
from tests.lucheng.cli.test_alarm_commands import columns, take
from tests.lucheng.cli.test_commands import Result

ME = operating_system_user()
CANARY = "canary-1b90"
URL = f"rtsp://admin:{CANARY}@10.0.0.9:554/ch1?key={CANARY}"
SHOWN = "rtsp://10.0.0.9:554/ch1"
SETTINGS = """
record = "events"
objects = true
masks = [[[0, 0], [0.2, 0], [0.2, 0.2]]]

[[zones]]
name = "校门"
ring = [[0.1, 0.5], [0.9, 0.5], [0.9, 0.9], [0.1, 0.9]]
rule = "stay"
stay_s = 30
kinds = ["person"]
"""


class Service:
    """What runs beside a command: nothing, or a service with the cameras of `watched`."""

    def __init__(self, folder: Path, rooms: Rooms | None, watched: Watched) -> None:
        self.folder = folder
        self.rooms = rooms
        self.watched = watched


@contextmanager
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, served: bool) -> Iterator[Service]:
    """A data folder, with a service on it or without one; whoever runs this is a supervisor."""
    monkeypatch.setenv("LUCHENG_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LUCHENG_OPERATORS__USERS", json.dumps({ME: "supervisor"}))
    monkeypatch.setenv("LUCHENG_CAMERA__FILES_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    watched = Watched()
    with open_rooms(tmp_path / "data", load(), write=True) as rooms:
        if served:
            with ApiServer(make_app(operations_of(rooms, camera_control=watched)), rooms.socket_path):
                yield Service(tmp_path / "data", rooms, watched)
            return
    yield Service(tmp_path / "data", None, watched)


@pytest.fixture(params=["in process", "through the service"])
def house(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with opened(tmp_path, monkeypatch, served=request.param != "in process") as made:
        yield made


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The house with a service: there alone are pictures."""
    with opened(tmp_path, monkeypatch, served=True) as made:
        yield made


def film(path: Path) -> None:
    """Two seconds of a small H.264 film."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.gop_size = 10
        for number in range(20):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * number, np.uint8), format="bgr24")
            picture.pts, picture.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def add(camera: str = "camera/1", *more: str) -> Result:
    return Result("camera", "add", camera, "--url", "-", *more, stdin=URL.encode() + b"\n")


# -- setting up -------------------------------------------------------------------------------


def test_a_camera_from_its_adding_to_its_removal(house: Service, tmp_path: Path) -> None:
    assert Result("site", "add", "school", "--lat", "40.65", "--lon", "109.84").status == 0
    (tmp_path / "gate.toml").write_text(SETTINGS, encoding="utf-8")
    made = add(
        "camera/1", "--site", "school", "--name", "north gate", "--settings", "gate.toml", "--policy", "keyframes"
    )
    assert (made.status, made.err) == (0, "")
    assert made.out == f"camera/1 is set up: {SHOWN}\n"
    (line,) = columns("camera", "list")
    assert (line["camera"], line["name"], line["policy"], line["record"], line["masked"]) == (
        "camera/1", "north gate", "keyframes", "events", "yes",
    )  # fmt: skip
    shown = Result("camera", "show", "camera/1", "--json").json()
    assert shown["settings"]["zones"][0] == {
        "name": "校门", "ring": [[0.1, 0.5], [0.9, 0.5], [0.9, 0.9], [0.1, 0.9]], "rule": "stay", "kinds": ["person"],
        "stay_s": 30.0, "max_count": 0, "alarm": True,
    }  # fmt: skip
    assert "settings.policy\tkeyframes" in Result("camera", "show", "camera/1").out
    assert add().status == 1
    changed = Result("camera", "set", "camera/1", "--record", "off", "--transport", "udp", "--json").json()
    assert (changed["record"], changed["settings"]["transport"], changed["policy"]) == ("off", "udp", "keyframes")
    assert [row["camera"] for row in Result("camera", "list", "--site", "school", "--json").json()] == ["camera/1"]
    assert Result("camera", "list", "--state", "parked", "--json").json() == []
    assert "removed" in Result("camera", "remove", "camera/1").out
    assert Result("camera", "show", "camera/1").status == 1
    assert [row["device"] for row in Result("device", "list", "--json").json()] == ["camera/1"]


def test_an_address_from_the_command_line_a_file_and_standard_input(house: Service, tmp_path: Path) -> None:
    seen = Result("camera", "add", "camera/1", "--url", URL)
    assert seen.status == 0
    assert "others can see" in seen.err
    assert CANARY not in seen.out + seen.err
    (tmp_path / "url").write_text(f"{URL}\nrtsp://10.0.0.9/sub\n")
    from_file = Result("camera", "add", "camera/2", "--url-file", "url", "--policy", "substream", "--json")
    assert (from_file.err, from_file.json()["sub_address"]) == ("", "rtsp://10.0.0.9/sub")
    two = f"{URL}\nrtsp://u:{CANARY}@10.0.0.9/2\n".encode()
    piped = Result("camera", "add", "camera/3", "--url", "-", "--sub-url", "-", "--json", stdin=two)
    assert piped.json()["sub_address"] == "rtsp://10.0.0.9/2"
    assert Result("camera", "set", "camera/3", "--sub-url", "", "--json").json()["sub_address"] == ""
    without = Result("camera", "add", "camera/4", stdin=URL.encode())
    assert without.status == 0
    for wrong in (("--url", URL, "--url-file", "url"), ("--url-file", "nothing"), ("--url", ""), ("--url-file", "/")):
        assert Result("camera", "add", "camera/9", *wrong).status in (1, 2)
    with open_rooms(house.folder, load(), write=False) as rooms:
        assert {setup.url for setup in rooms.cameras.setups()} == {URL}


WRONG_CALLS = [
    (("add", "camera"), "is not a device id"),
    (("add", "taxi/1", "--url", "rtsp://10.0.0.9/"), "no camera"),
    (("add", "camera/9", "--url", "http://169.254.169.254/"), "scheme"),
    (("add", "camera/9", "--url", "rtsp://169.254.169.254/"), "no network that cameras may be in"),
    (("add", "camera/9", "--url", "rtsp://127.0.0.1/"), "no network that cameras may be in"),
    (("add", "camera/9", "--url", "file:../data/keys/secret.key"), "no plain file"),
    (("add", "camera/9", "--url", "file:nothing.mp4"), "no file nothing.mp4"),
    (("add", "camera/9", "--url", "rtsp://10.0.0.9/", "--policy", "all"), "auto, off, keyframes"),
    (("add", "camera/9", "--url", "rtsp://10.0.0.9/", "--site", "nowhere"), "no site"),
    (("add", "camera/9", "--url", "rtsp://10.0.0.9/", "--settings", "nothing.toml"), "cannot be read"),
    (("add", "camera/9", "--url", "rtsp://10.0.0.9/", "--settings", "bad.toml"), "not TOML"),
    (("add", "camera/9", "--url", "rtsp://10.0.0.9/", "--settings", "wrong.toml"), "zones[0].ring[1][0]"),
    (("set", "camera/9", "--record", "off"), "camera add"),
    (("set", "camera/9"), "Nothing is to be set"),
    (("remove", "camera/9"), "not set up"),
    (("unpark", "camera/9"), "not set up"),
    (("list", "--state", "asleep"), "online, degraded"),
    (("recordings", "camera/9"), "no device camera/9"),
    (("recordings", "camera/9", "--save", "R1"), "--save and -o"),
    (("watch", "--live"), "which camera"),
    (("snapshot", "camera/9", "-o", "bad.toml"), "there already"),
]


def test_calls_that_are_none(service: Service, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("zones = [")
    (tmp_path / "wrong.toml").write_text('[[zones]]\nname = "z"\nring = [[0, 0], [2, 0], [1, 1]]\n')
    for arguments, word in WRONG_CALLS:
        done = Result("camera", *arguments)
        assert done.status in (1, 2), arguments
        assert (done.out, word in done.err) == ("", True), (arguments, done.err)
    assert Result("camera", "list", "--json").json() == []


def test_a_csv_of_devices_and_the_address_of_a_device_go_on_working(house: Service, tmp_path: Path) -> None:
    (tmp_path / "devices.csv").write_text("id,name,lat,lon\ncamera/5,yard,40.65,109.84\ncamera/6,hall,,\n")
    assert Result("device", "import", "devices.csv").status == 0
    assert Result("camera", "list", "--json").json() == []
    assert add("camera/5", "--record", "continuous").status == 0
    assert Result("camera", "show", "camera/5", "--json").json()["name"] == "yard"
    given = Result("device", "add", "camera/7", "--rtsp-file", "-", stdin=URL.encode())
    assert given.status == 0
    assert [row["camera"] for row in Result("camera", "list", "--json").json()] == ["camera/5", "camera/7"]


def test_a_camera_that_was_set_aside(house: Service) -> None:
    add()
    if house.rooms is not None:
        house.rooms.cameras.park("camera/1", "it ended its worker")
    else:
        with open_rooms(house.folder, load(), write=True) as rooms:
            rooms.cameras.park("camera/1", "it ended its worker")
    (line,) = columns("camera", "list", "--state", "parked")
    assert line["state"] == "set aside: it ended its worker too often"
    assert "let back in" in Result("camera", "unpark", "camera/1").out
    assert Result("camera", "unpark", "camera/1").status == 1


# -- probing ----------------------------------------------------------------------------------


def test_a_probe_without_a_service_opens_the_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also before there is any data: it is audited, in a folder that is made for that."""
    film(tmp_path / "street.mp4")
    monkeypatch.setenv("LUCHENG_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LUCHENG_CAMERA__FILES_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    found = Result("camera", "probe", "file:street.mp4", "--timeout", "6", "--json").json()
    assert (found["ok"], found["address"], found["codec"]) == (True, "file:street.mp4", "h264")
    assert (found["width_px"], found["height_px"]) == (64, 48)
    assert [row["action"] for row in Result("audit", "list", "--json").json()] == ["read.audit", "camera.probe"]
    refused = Result("camera", "probe", "-", stdin=f"rtsp://u:{CANARY}@127.0.0.1/".encode())
    assert (refused.status, refused.out) == (1, "")
    assert "camera.allow_networks" in refused.err
    monkeypatch.setenv("LUCHENG_CAMERA__ALLOW_NETWORKS", '["127.0.0.0/8"]')
    nobody = Result("camera", "probe", f"rtsp://u:{CANARY}@127.0.0.1:9/x?key={CANARY}", "--timeout", "3")
    assert nobody.status == 1
    assert "no stream: unreachable" in nobody.err
    assert CANARY not in nobody.out + nobody.err + refused.err


def test_a_probe_of_a_camera_that_is_set_up(service: Service) -> None:
    add()
    assert Result("camera", "probe", "camera/1", "--json").json() == {
        "ok": True, "codec": "h264", "address": SHOWN, "camera": "camera/1",
    }  # fmt: skip
    assert service.watched.asked[-1][:2] == ("probe", URL)


# -- pictures ---------------------------------------------------------------------------------


def test_pictures_are_saved_to_new_files_of_ones_own(service: Service, tmp_path: Path) -> None:
    add()
    assert (
        Result("camera", "snapshot", "camera/1", "-o", "now.jpg", "--purpose", "case:C-1").out
        == f"now.jpg, {len(JPEG)} bytes\n"
    )
    assert (tmp_path / "now.jpg").read_bytes() == JPEG
    assert (tmp_path / "now.jpg").stat().st_mode & 0o777 == 0o600
    assert Result("camera", "snapshot", "camera/1", "-o", "now.jpg").status == 1
    clip = Result("camera", "clip", "camera/1", "--seconds", "12", "-o", "clip.mp4", "--purpose", "case:C-1")
    assert clip.status == 0, clip.err
    assert clip.out.splitlines()[0].startswith("E")
    assert "-000001: 12.0 s, " in clip.out
    assert clip.out.endswith("starts 4.0 s late\n")
    evidence = Result("evidence", "list", "--json").json()
    assert [row["device"] for row in evidence] == ["camera/1"]
    assert len((tmp_path / "clip.mp4").read_bytes()) == evidence[0]["size_bytes"]
    window = ("--from", "2026-11-22T08:00:00Z", "--to", "2026-11-22T08:00:09Z")
    made = Result("camera", "clip", "camera/1", *window, "--json")
    assert made.json()["seconds"] == 9.0
    for wrong in ((), ("--seconds", "5", *window), ("--from", window[1]), ("--seconds", "1000")):
        assert Result("camera", "clip", "camera/1", *wrong).status == 2


def test_a_clip_for_an_alarm_is_read_under_that_alarm(service: Service, tmp_path: Path) -> None:
    assert service.rooms is not None
    add("camera/1", "--lat", "40.65", "--lon", "109.84")
    service.rooms.registry.ensure(["taxi/1"])
    alarm = take(service.rooms, "taxi/1", "sos")
    done = Result("camera", "clip", "camera/1", "--seconds", "5", "--alarm", alarm, "-o", "clip.mp4")
    assert done.status == 0, done.err
    assert [row["alarm"] for row in Result("evidence", "list", "--json").json()] == [alarm]
    purposes = {row.purpose for row in service.rooms.audit.rows(limit=1_000) if row.action == "read.evidence_bytes"}
    assert purposes == {f"alarm:{alarm}"}


def test_recordings(service: Service, tmp_path: Path) -> None:
    add()
    assert service.rooms is not None
    now_ms = service.rooms.clock.now_ms()
    recording = recorded(service, "camera/1", now_ms - 300_000)  # type: ignore[arg-type]  # it has rooms, too
    (line,) = columns("camera", "recordings", "camera/1")
    assert (line["recording"], line["seconds"], line["codec"], line["motion_s"]) == (recording, "60.0", "h264", "1.5")
    assert not line["from"].endswith("Z")
    (span,) = columns("camera", "recordings", "camera/1", "--coverage")
    assert (span["seconds"], span["segments"]) == ("60.0", "1")
    assert Result("camera", "recordings", "camera/1", "--save", recording, "-o", "r.mp4").status == 0
    assert (tmp_path / "r.mp4").read_bytes() == b"segment"
    none = Result("camera", "recordings", "camera/1", "--to", "2026-01-01", "--from", "2025-12-31", "--json").json()
    assert none == {"camera": "camera/1", "coverage": [], "segments": []}


def test_without_a_service_there_is_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUCHENG_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    add()
    for command in (("snapshot", "-o", "x.jpg"), ("clip", "--seconds", "5"), ("watch", "--live"), ("watch",)):
        done = Result("camera", command[0], "camera/1", *command[1:])
        assert (done.status, done.out) == (75, ""), done.err
        assert "lucheng run" in done.err
    assert not (tmp_path / "x.jpg").exists()


# -- watching ---------------------------------------------------------------------------------


def test_watching_prints_each_change_once(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    add("camera/1", "--name", "gate")
    add("camera/2")
    rows = service.watched.rows
    rows["camera/1"] = CameraRow("camera/1", CameraState.ONLINE, mode="keyframes", fps=15.0)
    looks: Iterator[Callable[[], object]] = iter(
        [
            lambda: None,
            lambda: rows.update({"camera/1": CameraRow("camera/1", CameraState.ONLINE, mode="keyframes", fps=14.0)}),
            lambda: rows.update({"camera/1": CameraRow("camera/1", CameraState.OFFLINE, loss="timed_out", health=4)}),
            lambda: Result("camera", "remove", "camera/1"),
        ]
    )
    monkeypatch.setattr("lucheng.cli.camera_watching.time.sleep", lambda _s: next(looks, _stop)())
    done = Result("camera", "watch", "camera/1")
    assert done.status == 130
    lines = [line.split(" ", 1)[1] for line in done.out.splitlines()]
    assert lines == [
        "camera/1 gate online mode=keyframes fps=15.0",
        "camera/1 gate offline covered timed_out",
        "camera/1 is not set up any more",
    ]
    once = [json.loads(line) for line in Result("camera", "watch", "--seconds", "0", "--json").out.splitlines()]
    assert [row["camera"] for row in once] == ["camera/2"]
    missing = Result("camera", "watch", "camera/1", "camera/77")
    assert missing.status == 1
    assert "camera/1 camera/77" in missing.err


def _stop() -> None:
    raise KeyboardInterrupt


def test_where_a_camera_is_watched_live(service: Service) -> None:
    add()
    (line,) = columns("camera", "watch", "camera/1", "--live")
    assert line["url"] == "http://127.0.0.1:8899/live/camera/1#token"
    assert Result("camera", "watch", "camera/1", "--live", "--json").json()[0]["camera"] == "camera/1"


def test_changes_between_two_looks() -> None:
    row: dict[str, Any] = {"camera": "camera/1", "name": "a\x1b[31m\nb", "state": "online", "health": ["frozen"], "loss": "",
           "mode": "full", "recording": None, "fps": None, "bitrate_kbps": 3.0, "lag_ms": None, "detail": "\x00"}  # fmt: skip
    changes = Changes()
    assert changes.look([row]) == ([row], [])
    assert changes.look([{**row, "fps": 9.0}]) == ([], [])
    other = {**row, "health": []}
    assert changes.look([other]) == ([other], [])
    assert changes.look([]) == ([], ["camera/1"])
    line = change_line(row, "08:00:00")
    assert line.isprintable()
    assert line.startswith("08:00:00 camera/1 a")
    assert table_row(row)["health"] == ["frozen"]


# -- texts and secrets ------------------------------------------------------------------------


def test_everything_has_words_in_both_languages() -> None:
    assert set(HEALTH_WORDS) == set(health_names(sum(Health)))
    assert set(STATE_WORDS) == set(CameraState)
    for key, word in {**CAMERA_TEXTS, **HEALTH_WORDS}.items():
        assert word.en, key
        assert word.zh, key
        assert word.en != word.zh, key


def test_s17_a_password_is_printed_and_kept_nowhere(house: Service, tmp_path: Path) -> None:
    said = [add(), add("camera/2", "--sub-url", URL), Result("camera", "add", "camera/3", "--url", URL + "#")]
    said += [Result("camera", "set", "camera/1", "--url", URL.replace("rtsp", "gopher"))]
    for command in (
        ("camera", "list"),
        ("camera", "list", "--json"),
        ("camera", "show", "camera/2"),
        ("camera", "show", "camera/2", "--json"),
        ("device", "show", "camera/1"),
        ("audit", "list", "--json"),
        ("status",),
        ("store", "check"),
        ("camera", "remove", "camera/2"),
    ):
        said.append(Result(*command))
    assert [done.status for done in said] == [0, 0, 2, 2] + [0] * 9
    for done in said:
        assert CANARY not in done.out + done.err
    for path in house.folder.rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path
