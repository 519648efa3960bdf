"""Attacks by way of cameras, on a running service with its video workers and its live view.

S5 names that reach a disk, S6 forbidden cameras by id, S7 script in names, S11 addresses that lead elsewhere, S17 a
camera's password in any place, S21 pictures for another alarm's sake.
"""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import psutil
import pytest

from model.errors import LuchengError, Refused
from simulator.camera.film import Film
from simulator.camera.rtsp import Channel, RtspCameras
from tests.conftest import Mosquitto, wait_until
from tests.lucheng.faults.desk_side import Device, audit_of
from tests.lucheng.in_process import lucheng
from tests.lucheng.video.camera_city import PURPOSE, WORKER_S, CameraCity, LiveFilm, make_film, pictures

NEAR, FAR, SECRET, WRONG = "camera/near", "camera/far", "camera/secret", "camera/wrong"
LAT, LON = 40.65, 109.82
#: In no word of ours, and not the same when a part of it is cut off.
CANARY = "canary9731Qx"
USER = "keeper5512"
EVIL = '"><script>window.ran=1</script><img src=x onerror=window.ran=1>'
#: What somebody may hope is joined to a path.
NAMES = ("..", "../x", "camera/..", "camera/../x", "camera/a/../../x", "/etc/passwd", "camera/.x", "camera/a/b", "camera/a\\b", "camera/a\0b", "camera/\uff0e\uff0e\uff0fx")  # fmt: skip


class Trap:
    """A listener on the loopback interface that counts who connects, and answers each with `says`.

    Args:
        says: made of a request's CSeq and the trap's own port.
    """

    def __init__(self, says: str = "") -> None:
        self._says = says
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.came = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._socket.accept()
            except OSError:
                return
            self.came += 1
            with line:
                line.settimeout(5)
                try:
                    while self._says and (asked := line.recv(4_096).decode("latin-1")):
                        cseq = asked.partition("CSeq:")[2].partition("\r\n")[0].strip()
                        line.sendall(self._says.format(cseq=cseq).encode())
                except OSError:
                    continue

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


@pytest.fixture(scope="module")
def film() -> Film:
    return make_film(pictures(3, length_s=4))


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, film: Film) -> Iterator[CameraCity]:
    """Two places ten kilometres apart, each with a button and a camera; and two cameras that want a password."""
    folder = tmp_path_factory.mktemp("town")
    (folder / "films").mkdir()
    broker = Mosquitto(folder / "mosquitto").start()
    settings = {"LUCHENG_CAMERA__FILES_DIR": str(folder / "films"), "LUCHENG_RECORDING__SEGMENT_S": "5"}
    guarded = RtspCameras({"/main": Channel(film)}, user=USER, password=CANARY)
    channels = {f"/{NEAR}": Channel(film), f"/{FAR}": Channel(film)}
    with guarded, CameraCity(folder, channels, settings=settings, broker=broker.url) as made:
        zone = {"name": EVIL, "ring": [[0, 0], [1, 0], [1, 1], [0, 1]]}
        made.add(NEAR, f"/{NEAR}", name=EVIL, lat=LAT, lon=LON, zones=[zone], record="continuous")
        made.add(FAR, f"/{FAR}", lat=LAT + 0.1, lon=LON)
        host = f"127.0.0.1:{guarded.port}"
        made.add(SECRET, url=f"rtsp://{USER}:{CANARY}@{host}/main?pass={CANARY}", record="continuous", lat=LAT, lon=LON)
        made.add(WRONG, url=f"rtsp://{USER}:{CANARY}wrong@{host}/main", sub_url=f"rtsp://{USER}:{CANARY}@{host}/sub")
        for number, lat in enumerate((LAT, LAT + 0.1)):
            made.call("device_add", device=f"button/{number}", lat=lat, lon=LON)
        made.wait_online(NEAR, FAR, SECRET)
        yield made
    broker.stop()


@pytest.fixture(autouse=True)
def at_work(town: CameraCity) -> None:
    """An operator, and networks that hold the cameras, whatever another test left behind."""
    if "LUCHENG_OPERATORS__DEFAULT_ROLE" in town.service.env:
        town.service.terminate()
        town.service.env |= {"LUCHENG_CAMERA__ALLOW_NETWORKS": '["127.0.0.0/8"]'}
        del town.service.env["LUCHENG_OPERATORS__DEFAULT_ROLE"]
        town.service.start()
        town.call("camera_remove", camera="camera/trap")
        town.wait_online(NEAR, FAR, SECRET)


@pytest.fixture(scope="module")
def alarms(town: CameraCity) -> tuple[str, str]:
    """Alarms beside the near camera and beside the far one."""
    for number in range(2):
        with Device(town.broker, f"button/{number}") as device:
            device.press("press", time.time_ns() // 1_000_000)
    near, far = (town.alarm_of(f"button/{number}")["alarm"] for number in range(2))
    return near, far


def refusals(town: CameraCity, target: str) -> list[dict[str, Any]]:
    """What the audit says was refused about a camera."""
    return [row for row in audit_of(town.service, target) if row["action"] == "read.refused"]


# -- S21 ------------------------------------------------------------------------------------------


def test_an_alarm_opens_no_other_alarms_camera(town: CameraCity, alarms: tuple[str, str]) -> None:
    near, far = alarms
    client = town.service.client()
    before = len(refusals(town, NEAR))
    for purpose in (f"alarm:{far}", "alarm", "alarm:A1999-000001", "case", "subject_request"):
        for operation, more in (
            ("camera_clip", {"seconds": 2}),
            ("camera_live", {}),
            ("camera_recordings", {}),
            ("camera_recording_read", {"recording": "R1"}),
        ):
            with pytest.raises(LuchengError):
                client.call(operation, camera=NEAR, purpose=purpose, **more)
        with pytest.raises(LuchengError):
            client.blob("camera_snapshot", camera=NEAR, purpose=purpose)
        asked = quote(purpose)
        assert town.get(f"/camera/{NEAR}/mjpeg?purpose={asked}")[0] in (400, 403, 404), purpose
        with town.socket(NEAR, purpose) as line:
            said = json.loads(line.recv(WORKER_S))
            assert said["t"] == "refused", said
    tried = [row["detail"]["tried"] for row in refusals(town, NEAR)[before:]]
    assert {"camera_snapshot", "camera_clip", "camera_live", "camera_recordings", "camera_recording_read"} <= set(tried)
    assert tried.count("camera_live") >= 15  # each purpose: the command, the stream of pictures, the WebSocket
    # its own alarm opens it, by every way
    assert client.blob("camera_snapshot", camera=NEAR, purpose=f"alarm:{near}").startswith(b"\xff\xd8")
    with town.socket(NEAR, f"alarm:{near}") as line:
        assert LiveFilm(line).until("media")["key"]
    assert town.get(f"/camera/{NEAR}/state?purpose=alarm:{near}")[0] == 200


def test_an_alarms_pictures_are_not_read_under_another_alarm(town: CameraCity, alarms: tuple[str, str]) -> None:
    near, far = alarms
    wait_until(lambda: town.evidence(near), WORKER_S, "a picture of the alarm")
    piece = town.evidence(near)[0]
    path = f"/evidence/{piece['evidence']}?purpose=alarm:"
    assert town.get(path + far)[0] == 403
    with pytest.raises(Refused):
        town.service.client().blob("evidence_read", evidence=piece["evidence"], purpose=f"alarm:{far}")
    assert len(refusals(town, piece["evidence"])) == 2
    assert town.get(path + near)[0] == 200


def test_without_the_token_nothing_is_told(town: CameraCity) -> None:
    for path in ("/", f"/camera/{NEAR}?purpose=test", f"/camera/{NEAR}/mjpeg?purpose=test", "/evidence/E2026-000001"):
        status, body = town.get(path, token=False)
        assert status == 401
        assert b"near" not in body
        assert town.get(path, token=False, Authorization="Bearer " + "x" * 43)[0] in (401, 429)


# -- S7 -------------------------------------------------------------------------------------------


class Elements(HTMLParser):
    """Scripts and handlers of a page, as a browser would see them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if (tag == "script" and given.get("src") != "/static/live.js") or any(name.startswith("on") for name in given):
            self.found.append(f"{tag} {attrs}")


def test_no_name_becomes_script_on_a_page(town: CameraCity) -> None:
    alarm = town.alarm_of(NEAR, "motion_in_zone")["alarm"]
    for path in (
        "/",
        f"/camera/{NEAR}",
        f"/camera/{NEAR}?purpose=test:x:{quote(EVIL)}",
        f"/alarm/{alarm}",
        f"/camera/{quote(EVIL)}",
    ):
        for language in ("en", "zh"):
            joined = f"{path}{'&' if '?' in path else '?'}lang={language}"
            status, page = town.get(joined, Accept="text/html")
            assert status in (200, 404), path
            assert Elements(page.decode()).found == [], path
    status, told = town.get(f"/camera/{NEAR}/state?purpose=test")
    assert status == 200
    json.loads(told)
    assert EVIL in [row["name"] for row in town.call("camera_list", purpose=PURPOSE)]


# -- S5 -------------------------------------------------------------------------------------------


def test_no_name_of_a_camera_or_a_recording_leads_out_of_its_folder(town: CameraCity, tmp_path: Path) -> None:
    def tree() -> set[str]:
        folder = town.data / "recordings"
        return {str(path.relative_to(folder)).split("/")[0] for path in folder.rglob("*")}

    before = tree()
    (town.data.parent / "outside.mp4").write_bytes(b"a film")
    (town.data.parent / "films" / "link.mp4").symlink_to(town.data.parent / "outside.mp4")
    for name in NAMES:
        with pytest.raises(LuchengError):
            town.add(name, f"/{NEAR}")
        with pytest.raises(LuchengError):
            town.call("camera_recording_read", camera=NEAR, recording=name, purpose=PURPOSE)
        for path in (
            f"/camera/{quote(name, safe='')}/mjpeg?purpose=test",
            f"/evidence/{quote(name, safe='')}?purpose=test",
        ):
            status, told = town.get(path)
            assert 400 <= status < 500, (path, told)
            assert b"root:" not in told
    for number, name in enumerate((
        "../outside.mp4", "/etc/passwd", "//etc/passwd", "..%2foutside.mp4", "link.mp4", ".hidden.mp4", "list.m3u8", "a.sdp", "a\0.mp4",
    )):  # fmt: skip
        with pytest.raises(LuchengError):
            town.add(f"camera/file{number}", url=f"file:{name}")
    for target in ("/static/../app.py", "/static/%2e%2e/tokens.py", "/static/..%2f..%2fapp.py"):
        assert town.get(target)[0] == 404
    done = lucheng(
        town.data, "camera", "recordings", NEAR, "--save", "../R1", "-o", str(tmp_path / "x.mp4"), "--purpose", "test"
    )
    assert done.returncode != 0
    assert list(tmp_path.iterdir()) == []
    assert tree() == before
    assert {row["camera"] for row in town.call("camera_list", purpose=PURPOSE)} == {NEAR, FAR, SECRET, WRONG}


# -- S11 ------------------------------------------------------------------------------------------


def test_no_address_leads_where_no_camera_may_be(town: CameraCity) -> None:
    with Trap() as trap:
        for url in (
            f"http://127.0.0.1:{trap.port}/x.m3u8",
            f"rtsp+http://127.0.0.1:{trap.port}/",
            f"rtspu://127.0.0.1:{trap.port}/",
            f"tcp://127.0.0.1:{trap.port}",
            f"concat:rtsp://127.0.0.1:{trap.port}/|file:/etc/passwd",
            f"rtsp://127.0.0.1:{trap.port}/?tcp",
            f"rtsp://127.0.0.1:{trap.port}/?listen=1",
            f"rtsp://[::ffff:10.0.0.1%25lo]:{trap.port}/",
            f"rtsp://[::1]:{trap.port}/",
            f"rtsp://0.0.0.0:{trap.port}/",
            f"rtsp://a@b@127.0.0.1:{trap.port}/",
            "rtsp://169.254.169.254/latest/meta-data",
            "http://169.254.169.254/latest/meta-data",
            "rtsp://[fd00:ec2::254]/",
            "file:///etc/passwd",
            "/etc/passwd",
            "pipe:0",
            "-i",
        ):
            for call in ("add", "probe"):
                with pytest.raises(LuchengError) as told:
                    town.add("camera/x", url=url) if call == "add" else town.call("camera_probe", url=url)
                assert "root:" not in str(told.value)
        assert trap.came == 0
    assert town.call("camera_list", after=-1, purpose=PURPOSE, limit=1_000)[-1]["camera"] != "camera/x"


def test_a_server_that_sends_its_reader_on_is_not_followed(town: CameraCity) -> None:
    with Trap() as trap:
        redirect = f"RTSP/1.0 302 Found\r\nCSeq: {{cseq}}\r\nLocation: rtsp://127.0.0.1:{trap.port}/main\r\n\r\n"
        with Trap(redirect) as server:
            town.add("camera/sent-on", url=f"rtsp://127.0.0.1:{server.port}/main")
            try:
                wait_until(lambda: town.show("camera/sent-on")["loss"] == "refused", WORKER_S, "it to be refused")
                assert server.came
                probed = town.call("camera_probe", camera="camera/sent-on")
                assert (probed["ok"], probed["reason"]) == (False, "refused")
            finally:
                town.call("camera_remove", camera="camera/sent-on")
        assert trap.came == 0


# -- S17 ------------------------------------------------------------------------------------------


def forms(secret: str) -> list[bytes]:
    """How a text may stand somewhere."""
    plain = [
        secret,
        quote(secret, safe=""),
        secret.encode().hex(),
        base64.b64encode(secret.encode()).decode().rstrip("=")[:-1],
    ]
    login = base64.b64encode(f"{USER}:{secret}".encode()).decode()
    return [one.encode() for one in (*plain, login)] + [secret.encode("utf-16-le")]


def test_a_cameras_password_is_nowhere(town: CameraCity, alarms: tuple[str, str]) -> None:
    wait_until(lambda: town.show(WRONG)["loss"], WORKER_S, "the wrong password to be refused")
    wait_until(
        lambda: town.call("camera_recordings", camera=SECRET, purpose=PURPOSE)["segments"], WORKER_S, "a recording"
    )
    said = [str(lucheng(town.data, *command)) for command in (
        ("camera", "list", "--purpose", "test", "--json"), ("camera", "show", SECRET, "--purpose", "test"), ("camera", "show", WRONG, "--purpose", "test", "--json"),
        ("camera", "probe", SECRET), ("camera", "probe", WRONG, "--json"), ("camera", "recordings", SECRET, "--purpose", "test"),
        ("camera", "watch", "--live", SECRET, "--purpose", "test"), ("audit", "list", "--json"), ("status", "--json"), ("device", "show", SECRET),
        ("camera", "add", SECRET, "--url", f"rtsp://{USER}:{CANARY}@127.0.0.1/x"), ("camera", "add", "camera/x", "--url", f"rtsp://{USER}:{CANARY}@10.9.9.9/x"),
        ("camera", "probe", f"rtsp://{USER}:{CANARY}@10.9.9.9/x"), ("camera", "probe", f"http://{USER}:{CANARY}@127.0.0.1/x"),
        ("alarm", "show", alarms[0], "--json"), ("signal", "list", "--json"),
    )]  # fmt: skip
    assert "401" in said[4] or "password" in said[4] or "auth" in said[4].lower(), said[4]
    said.append(town.service.client().metrics())
    pages = [
        town.get(path)[1]
        for path in (
            "/",
            f"/camera/{SECRET}?purpose=test",
            f"/camera/{SECRET}/state?purpose=test",
            f"/alarm/{alarms[0]}",
        )
    ]
    places: dict[str, bytes] = {f"command {place}": text.encode() for place, text in enumerate(said)}
    places |= {f"page {place}": page for place, page in enumerate(pages)}
    places["what the service said"] = town.service.said.encode()
    places |= {str(path): path.read_bytes() for path in town.data.rglob("*") if path.is_file()}
    for process in (psutil.Process(town.service.pid), *town.workers()):
        places[f"arguments of {process.pid}"] = " ".join(process.cmdline()).encode()
        places[f"environment of {process.pid}"] = " ".join(process.environ().values()).encode()
    for where, found in places.items():
        # what was given on a command line is in this test's own process alone
        assert not any(form in found for form in forms(CANARY)), f"the password is in {where}"
    assert b"rtsp://127.0.0.1" in places["command 0"]


# -- S6, and S11 once more: another role, and networks that no longer hold the cameras -----------------------

#: Whom pictures are closed to, whatever the camera; each costs two starts of the service.
CLOSED_TO = ("admin", "auditor", "technician")


@pytest.mark.soak
@pytest.mark.parametrize("role", CLOSED_TO)
def test_a_role_that_may_see_no_pictures_has_none_and_a_network_that_was_closed_is_left_alone(
    town: CameraCity, alarms: tuple[str, str], role: str
) -> None:
    with Trap() as trap:
        town.add("camera/trap", url=f"rtsp://127.0.0.1:{trap.port}/x")
        wait_until(lambda: trap.came, WORKER_S, "the trap to be tried while it may be")
        town.service.terminate()
        wait_until(lambda: not town.cameras.playing, WORKER_S, "every camera to be left")
        came = trap.came
        town.service.env |= {
            "LUCHENG_CAMERA__ALLOW_NETWORKS": '["10.0.0.0/8"]',
            "LUCHENG_OPERATORS__DEFAULT_ROLE": role,
        }
        town.service.start()
        if role != "auditor":  # who may not even see how cameras are
            for camera in ("camera/trap", NEAR):
                town.wait(camera, "loss", "refused")
        refused_everywhere(town, alarms[0], role)
        assert trap.came == came
        assert town.cameras.playing == 0


def refused_everywhere(town: CameraCity, alarm: str, role: str) -> None:
    """Snapshot, clip, live view and recordings of a camera by id, by command and by the live server: refused, audited."""
    client = town.service.client()
    before = len(refusals(town, NEAR))
    calls: dict[str, dict[str, Any]] = {
        "camera_clip": {"seconds": 2},
        "camera_live": {},
        "camera_recordings": {},
        "camera_recording_read": {"recording": "R1"},
    }
    purposes = ("test", "patrol", f"alarm:{alarm}")
    for purpose in purposes:
        for operation, more in calls.items():
            with pytest.raises(Refused):
                client.call(operation, camera=NEAR, purpose=purpose, **more)
        assert town.get(f"/camera/{NEAR}/mjpeg?purpose={quote(purpose)}")[0] == 403
        with town.socket(NEAR, purpose) as line:
            assert json.loads(line.recv(WORKER_S))["t"] == "refused"
    for purpose in purposes[role == "technician" :]:  # one who has just installed it may see that it works
        with pytest.raises(Refused):
            client.blob("camera_snapshot", camera=NEAR, purpose=purpose)
    tried = [row["detail"]["tried"] for row in refusals(town, NEAR)[before:]]
    assert {*calls, "camera_snapshot"} <= set(tried)
    assert tried.count("camera_live") == 3 * len(purposes)
    with pytest.raises(Refused):  # and does not learn which cameras there are
        client.call("camera_live", camera="camera/none", purpose="patrol")
    piece = "E2026-000001"
    assert town.get(f"/evidence/{piece}?purpose=test")[0] == 403
