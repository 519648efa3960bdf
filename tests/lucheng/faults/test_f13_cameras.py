"""F13 in a running service: cameras that are dead, deny, say nothing, send garbage, change, go back in time, crawl, have no
picture, die and come back, all at once beside good ones.

Shown: no tight loop; state and reason are said; one `offline` alarm each, gone when the camera is back, over a restart of
the service as well; the good ones miss no picture; every change is a signal; the series have samples; the password of an
address is nowhere.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import psutil
import pytest

from config.sections import Settings
from lucheng.rooms import open_rooms
from model.camera import STATE_NUMBER, CameraState
from tests.conftest import wait_until
from tests.ingest.video.fake_camera import FakeCamera, Script
from tests.lucheng.faults.camera_side import (
    LOOPBACK,
    add_camera,
    cameras_of,
    longest_gap_s,
    lost,
    online,
    picture_times_s,
    show,
    signals_of,
    wait_camera,
    wait_signals,
)
from tests.lucheng.faults.desk_side import alarms_of, wait_alarm
from tests.lucheng.faults.judge import END_MS, GRANT
from tests.lucheng.in_process import answer, lucheng
from tests.lucheng.service_process import HANG_S, ServiceProcess
from tests.rtsp import RtspServer, encoded, pictures

CANARY = "canary-zX81-password"
LOGIN = f"operator:{CANARY}"
FPS = 10.0
BACK_OFF_S = 0.5
#: Connections of one try: one asks whether it may, one plays.
PER_OPEN = 2
CLIP_S = 12.0
ENV = LOOPBACK | {
    "LUCHENG_CAMERA__WORKERS": "1",
    "LUCHENG_CAMERA__OPEN_TIMEOUT_S": "3",
    "LUCHENG_CAMERA__READ_TIMEOUT_S": "7",
    "LUCHENG_CAMERA__STUCK_AFTER_S": "12",
    "LUCHENG_CAMERA__BACK_OFF_MIN_S": str(BACK_OFF_S),
    "LUCHENG_CAMERA__BACK_OFF_MAX_S": "1",
    "LUCHENG_CAMERA__STALLED_AFTER_S": "2",
    "LUCHENG_CAMERA__OFFLINE_AFTER_S": "4",
    "LUCHENG_CAMERA__RECOVER_AFTER_S": "1",
    "LUCHENG_CAMERA__SAMPLE_S": "5",
}
GOOD = ("camera/good-1", "camera/good-2")
#: Cameras that never have a picture, and why.
ALWAYS = ("dead", "denied", "sound")
NEVER = {"dead": "unreachable", "denied": "unauthorized", "hole": "timed_out", "sound": "audio_only"}
#: Cameras whose connection lasts, whatever they do.
LASTING = ("changes", "back", "slow")
#: Cameras that are lost again and again.
FAILING = ("hole", "garbage", "closes")


@dataclass
class Street:
    """The cameras of the tests and the service that watches them.

    Attributes:
        service: it. server: GStreamer's, for the good ones. mortal: the same, of the one that dies.
        fakes: of plain sockets, by name. added_s: when the service was told of them (monotonic).
        starts: how often the service was started again.
        seen: all that a person could read while it ran.
    """

    service: ServiceProcess
    server: RtspServer
    mortal: RtspServer
    fakes: dict[str, FakeCamera]
    added_s: float = 0.0
    starts: int = 0
    seen: list[str] = field(default_factory=list)

    def opens(self, name: str) -> int:
        """Connections that a fake camera has seen."""
        return self.fakes[name].connections

    def wait_opens(self, name: str, least: int) -> None:
        """Wait until a fake camera has seen so many connections."""
        wait_until(lambda: self.opens(name) >= least, HANG_S, f"{name} to be opened again")

    def most_opens(self) -> float:
        """So many connections at most, two a try, when there is a wait between any two tries."""
        return PER_OPEN * (2 + self.starts + (time.monotonic() - self.added_s) / BACK_OFF_S)


def _fakes() -> dict[str, FakeCamera]:
    coded = [data for data, _ in encoded(fps=FPS)]
    bigger = [data for data, _ in encoded(width_px=256, height_px=144, fps=FPS, frames=10)]
    back = [9_000_000 + n * 9_000 for n in range(10)] + [4_500 + n * 9_000 for n in range(10)]
    scripts = {
        "denied": Script(status={"DESCRIBE": 401}),
        "hole": Script(silent=True),
        "garbage": Script(coded, then="garbage", then_after=8, gap_s=0.1),
        "closes": Script(coded, then="close", then_after=8, gap_s=0.1),
        "changes": Script([*coded[:10], *bigger], gap_s=0.1),
        "back": Script(coded, stamps=back, gap_s=0.1),
        "slow": Script([coded[0], coded[10]], gap_s=5.0),
    }
    return {name: FakeCamera(script) for name, script in scripts.items()}


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """All the cameras, and a service that has just been told of them."""
    folder = tmp_path_factory.mktemp("street")
    film = pictures(folder / "film", fps=FPS, frames=40)
    login = {"operator": CANARY}
    server = RtspServer(folder / "server", users=login).add("/1", film).add("/sound", None, audio=True)
    server.add("/2", pictures(folder / "hevc", fps=FPS, frames=40, codec="hevc"))
    mortal = RtspServer(folder / "mortal", users=login).add("/1", film)
    with contextlib.ExitStack() as stack:
        dead = stack.enter_context(socket.socket())
        dead.bind(("127.0.0.1", 0))  # taken, and nobody listens
        for one in (server, mortal):
            stack.callback(one.stop)
            one.start()
        made = Street(stack.enter_context(ServiceProcess(folder / "data", env=ENV).start()), server, mortal, _fakes())
        for fake in made.fakes.values():
            stack.enter_context(fake)
        made.added_s = time.monotonic()
        add_camera(made.service, "camera/dead", f"rtsp://{LOGIN}@127.0.0.1:{dead.getsockname()[1]}/1")
        add_camera(made.service, "camera/mortal", mortal.url("/1", "operator", CANARY))
        add_camera(made.service, "camera/sound", server.url("/sound", "operator", CANARY))
        for number, camera in enumerate(GOOD, 1):
            add_camera(made.service, camera, server.url(f"/{number}", "operator", CANARY))
        for name, fake in made.fakes.items():
            add_camera(made.service, f"camera/{name}", fake.url(login=LOGIN))
        yield made


@pytest.mark.soak
def test_f13(street: Street) -> None:
    _each_is_said_and_the_good_ones_go_on(street)
    _one_comes_back_after_a_restart_of_the_service(street)
    _every_change_is_a_signal(street)
    _look_at_everything(street)
    street.service.terminate()
    _the_series_have_samples(street)
    _the_password_is_nowhere(street)


def _each_is_said_and_the_good_ones_go_on(street: Street) -> None:
    service = street.service
    for camera in (*GOOD, "camera/mortal"):
        wait_camera(service, camera, lambda row: online(row) and FPS - 2 < row["fps"] < FPS + 2, "online at its rate")
    good_s = time.monotonic()
    street.mortal.kill()
    for name, why in NEVER.items():
        row = wait_camera(service, f"camera/{name}", lost(why), why)
        assert row["state"] == "offline"
        assert row["detail"]
    for name in (*NEVER, "mortal"):
        wait_alarm(service, f"camera/{name}", "offline", lambda row: row["condition"] == "active")
    row = wait_camera(service, "camera/mortal", lost("unreachable"), "unreachable")
    assert row["state"] == "offline"
    assert {row["camera"] for row in answer(service.data, "camera", "list", "--state", "offline")} >= {
        f"camera/{name}" for name in (*NEVER, "mortal")
    }
    for name in FAILING:
        street.wait_opens(name, PER_OPEN + 1)
        assert street.opens(name) <= street.most_opens(), name
    _one_comes_back(street)
    for name in LASTING:
        wait_camera(service, f"camera/{name}", online, "online")
    lasting = {name: street.opens(name) for name in LASTING}
    # while all that went on, the good ones missed nothing
    wait_until(lambda: time.monotonic() - good_s > CLIP_S / 2, HANG_S, "some seconds of pictures")
    for camera in GOOD:
        times_s = picture_times_s(service, camera, CLIP_S)
        assert times_s[-1] - times_s[0] > CLIP_S / 3
        assert longest_gap_s(times_s) < 1.5 / FPS
        wait_camera(service, camera, online, "online still")
    assert {name: street.opens(name) for name in LASTING} == lasting
    assert show(service, "camera/slow")["fps"] == pytest.approx(0.2, abs=0.05)
    assert street.opens("denied") <= PER_OPEN  # an account is not tried out


def _one_comes_back(street: Street) -> None:
    street.fakes["hole"].script = street.fakes["back"].script
    row = wait_camera(street.service, "camera/hole", online, "online")
    assert row["loss"] == ""
    wait_alarm(street.service, "camera/hole", "offline", lambda row: row["condition"] == "cleared", "the end")


def _one_comes_back_after_a_restart_of_the_service(street: Street) -> None:
    service = street.service
    told = {name: len(signals_of(service, f"camera/{name}", "offline")) for name in ALWAYS}
    assert service.terminate()[0] == 0
    service.start()
    street.starts += 1
    street.mortal.start()
    row = wait_camera(service, "camera/mortal", online, "online")
    assert row["loss"] == ""
    wait_alarm(service, "camera/mortal", "offline", lambda row: row["condition"] == "cleared", "the end")
    # it found out anew about those that are off still, and raised no other alarm for it
    for name, before in told.items():
        camera = f"camera/{name}"
        wait_signals(service, camera, "offline", before + 1)
        wait_alarm(service, camera, "offline", lambda row: row["condition"] == "active")
    assert street.opens("denied") <= PER_OPEN * 2


def _every_change_is_a_signal(street: Street) -> None:
    service = street.service
    seen = set()
    for camera, row in cameras_of(service).items():
        notes = [one["note"] for one in signals_of(service, camera, "camera_state") if " ▸ " in one["note"]]
        steps = [tuple(note.split(" ▸ ")) for note in notes]
        seen |= {after for _, after in steps}
        # each begins where the one before ended; a service that starts knows of none
        assert [one[0] for one in steps].count("disabled") == 1 + street.starts
        assert all(after[0] in {before[1], "disabled"} for before, after in pairwise(steps)), (camera, steps)
        assert row["state"] in {after for _, after in steps}
        assert {one["source"] for one in signals_of(service, camera, "camera_state")} == {"note"}
        assert alarms_of(service, camera, "camera_state") == []
    assert seen >= {"online", "stalled", "offline"}


def _look_at_everything(street: Street) -> None:
    """Keep all that a person, another program or another user of the machine could read."""
    service, data = street.service, street.service.data
    client = service.client()
    street.seen += [client.metrics(), json.dumps(service.status())]
    for camera in cameras_of(service):
        street.seen.append(json.dumps([show(service, camera), alarms_of(service, camera)]))
        street.seen.append(json.dumps([signals_of(service, camera, kind) for kind in ("camera_state", "offline")]))
    street.seen.append(json.dumps(client.call("audit_list", limit=10_000)))
    commands = (
        ("camera", "list"),
        ("camera", "show", "camera/denied"),
        ("camera", "probe", "camera/denied"),
        ("camera", "probe", f"rtsp://{LOGIN}@127.0.0.1:1/a", "--timeout", "3"),
        ("camera", "snapshot", "camera/dead", "-o", str(data.parent / "none.jpg")),
        ("camera", "add", "camera/dead", "--url", f"rtsp://{LOGIN}@10.255.255.1/a"),
        ("camera", "add", "camera/outside", "--url", f"rtsp://{LOGIN}@8.8.8.8/a"),
        ("doctor",),
    )
    for parts in commands:
        done = lucheng(data, *parts)
        assert done.stdout + done.stderr, parts
        street.seen += [done.stdout, done.stderr]
    for process in psutil.Process(service.pid).children(recursive=True):
        street.seen += [str(process.cmdline()), str(process.environ())]


def _the_series_have_samples(street: Street) -> None:
    with open_rooms(street.service.data, Settings(), write=False) as rooms:
        for camera in (*GOOD, "camera/dead"):
            times_ms, states = rooms.series.numbers(GRANT, "camera_state", camera, 0, END_MS)
            _, rates = rooms.series.numbers(GRANT, "camera_fps", camera, 0, END_MS)
            assert len(states) >= 2
            assert np.all(np.diff(times_ms) > 0)
            if camera == "camera/dead":
                assert set(states.tolist()) == {STATE_NUMBER[CameraState.OFFLINE]}
                assert len(rates) == 0
            else:
                assert {STATE_NUMBER[CameraState.ONLINE], STATE_NUMBER[CameraState.DEGRADED]} & set(states.tolist())
                assert len(rates)
                assert np.all(np.abs(rates - FPS) < 2)


def _the_password_is_nowhere(street: Street) -> None:
    street.seen.append(street.service.said_file.read_text(errors="replace"))
    assert not [text[:300] for text in street.seen if CANARY in text]
    sealed = CANARY.encode()
    assert not [path for path in street.service.data.rglob("*") if path.is_file() and sealed in path.read_bytes()]
