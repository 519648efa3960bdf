"""F17: video workers that are killed, that hang, that one camera ends again and again; and the service killed above them.

Shown: a worker that has gone is started again and its cameras come back, another one's cameras go on; a camera
that ends its worker three times is set aside with an alarm, and let back by a person; a worker that stands still is found
by its silence and replaced; the service killed, no worker stays; points are taken in all the while and none is lost.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from model.errors import LuchengError
from simulator.camera.film import film
from simulator.camera.rtsp import Channel, RtspCameras
from simulator.camera.scene import Street, passers
from tests.conftest import Mosquitto, wait_until
from tests.lucheng.faults.camera_side import (
    LOOPBACK,
    Started,
    add_camera,
    cameras_of,
    longest_gap_s,
    picture_times_s,
    show,
    started,
    wait_camera,
    worker_of,
)
from tests.lucheng.faults.conftest import REGISTER
from tests.lucheng.faults.desk_side import PURPOSE, audit_of, wait_alarm
from tests.lucheng.faults.judge import judge
from tests.lucheng.faults.sender import SenderProcess
from tests.lucheng.in_process import lucheng
from tests.lucheng.service_process import HANG_S, ServiceProcess

FPS = 10.0
MAX_DEATHS = 3
CAMERAS = tuple(f"camera/{number}" for number in range(4))
JPEG = b"\xff\xd8"
RATE = 200
ENV = (
    LOOPBACK
    | REGISTER
    | {
        "LUCHENG_CAMERA__WORKERS": "2",
        "LUCHENG_CAMERA__MAX_CAMERAS_PER_WORKER": "2",
        "LUCHENG_CAMERA__WORKER_SILENCE_S": "6",
        "LUCHENG_CAMERA__MAX_DEATHS": str(MAX_DEATHS),
        "LUCHENG_CAMERA__BACK_OFF_MIN_S": "0.2",
        "LUCHENG_CAMERA__BACK_OFF_MAX_S": "1",
        "LUCHENG_CAMERA__RECOVER_AFTER_S": "1",
    }
)


@dataclass
class Desk:
    """The service with four cameras, two a worker, and a fleet that reports to it."""

    service: ServiceProcess
    sender: SenderProcess


@pytest.fixture
def desk(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Desk]:
    """All of it, every camera watched."""
    crowd = passers(17, 6, busy=0.5)
    reel = film(Street(17, width_px=320, height_px=180).frames(crowd, fps=FPS, length_s=6), fps=FPS, gop_s=1)
    with (
        RtspCameras({f"/{camera}": Channel(reel) for camera in CAMERAS}) as server,
        ServiceProcess(tmp_path / "data", mosquitto.url, env=ENV).start() as service,
        SenderProcess(mosquitto.url, tmp_path / "ledger", rate=RATE) as sender,
    ):
        for camera in CAMERAS:
            add_camera(service, camera, server.url(f"/{camera}"))
        for camera in CAMERAS:
            wait_back(service, camera)
        yield Desk(service, sender)


def wait_back(service: ServiceProcess, camera: str, gone: Started | None = None) -> Started:
    """Wait until a camera is with a worker, another than `gone`, and there is a picture of it; return the worker.

    Of the picture the worker keeps a note, as of everything that it decodes: it is known from then on who may end it.
    """
    before = 0 if gone is None else gone.worker
    wait_camera(service, camera, lambda row: row["worker"] not in {None, before}, "with another worker")
    wait_until(lambda: _picture(service, camera).startswith(JPEG), HANG_S, f"a picture of {camera}")
    return worker_of(service, camera)


def _picture(service: ServiceProcess, camera: str) -> bytes:
    try:
        return service.client().blob("camera_snapshot", camera=camera, purpose=PURPOSE)
    except LuchengError:
        return b""


def deaths(service: ServiceProcess) -> int:
    """Workers that ended and were not asked to."""
    return int(service.status()["live"]["video_worker_deaths"])


def runs(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def kill(one: Started) -> None:
    """End a worker as the kernel does when memory runs out."""
    os.kill(one.pid, signal.SIGKILL)


@pytest.mark.soak
def test_f17(desk: Desk) -> None:
    service = desk.service
    suspect = _a_killed_worker_is_replaced(service)
    _a_camera_that_ends_its_worker_again_and_again_is_set_aside(service, suspect)
    _a_worker_that_hangs_is_replaced(service)
    _the_service_killed_leaves_no_worker(service)
    _a_person_lets_the_camera_back(service, suspect)
    sent = desk.sender.stop()
    service.wait_quiet()
    assert service.terminate()[0] == 0
    print(judge(service.data, sent, at_least=RATE))


def _a_killed_worker_is_replaced(service: ServiceProcess) -> str:
    """Returns the camera that is under suspicion now."""
    first, other = worker_of(service, CAMERAS[0]), worker_of(service, CAMERAS[3])
    assert [worker_of(service, camera) for camera in CAMERAS] == [first, first, other, other]
    assert deaths(service) == 0
    killed_s = time.monotonic()
    kill(first)
    now = {camera: wait_back(service, camera, first) for camera in CAMERAS[:2]}
    assert deaths(service) == 1
    # those of the other worker did not notice
    for camera in CAMERAS[2:]:
        assert worker_of(service, camera) == other
        since_s = time.monotonic() - killed_s
        times_s = picture_times_s(service, camera, since_s + 2)
        assert times_s[-1] - times_s[0] > since_s / 2
        assert longest_gap_s(times_s) < 2.5 / FPS  # a worker that starts again takes a second and more
    alone = [camera for camera, worker in now.items() if worker.alone]
    assert alone, "nobody is under suspicion"
    return alone[0]


def _a_camera_that_ends_its_worker_again_and_again_is_set_aside(service: ServiceProcess, suspect: str) -> None:
    others = {camera: worker_of(service, camera) for camera in CAMERAS if camera != suspect}
    for number in range(1, MAX_DEATHS):
        assert show(service, suspect)["state"] != "parked"
        alone = worker_of(service, suspect)
        assert alone.alone
        kill(alone)
        if number < MAX_DEATHS - 1:
            wait_back(service, suspect, alone)
    row = wait_camera(service, suspect, lambda row: row["state"] == "parked", "set aside")
    assert row["worker"] is None
    assert f"{MAX_DEATHS} times" in row["detail"]
    wait_alarm(service, suspect, "camera_fault", lambda row: row["condition"] == "active")
    assert [row["action"] for row in audit_of(service, suspect)].count("camera.park") == 1
    assert {camera: worker_of(service, camera) for camera in others} == others
    assert deaths(service) == MAX_DEATHS
    # nothing is asked of it meanwhile
    refused = lucheng(
        service.data, "camera", "snapshot", suspect, "-o", str(service.data.parent / "x"), "--purpose", "test"
    )
    assert refused.returncode != 0
    assert "unpark" in refused.stderr


def _a_worker_that_hangs_is_replaced(service: ServiceProcess) -> None:
    hung = worker_of(service, CAMERAS[3])
    os.kill(hung.pid, signal.SIGSTOP)
    received = service.status()["received"]
    wait_until(lambda: not runs(hung.pid), HANG_S, "the worker that hangs to be ended")
    assert service.status()["received"] > received
    assert "video worker silent" in service.said
    for camera in CAMERAS[2:]:
        wait_back(service, camera, hung)
    assert deaths(service) == MAX_DEATHS + 1


def _the_service_killed_leaves_no_worker(service: ServiceProcess) -> None:
    workers = [one.pid for one in started(service).values() if runs(one.pid)]
    assert len(workers) >= 2
    service.kill9()
    wait_until(lambda: not any(runs(pid) for pid in workers), HANG_S, "the workers to end")
    service.start()


def _a_person_lets_the_camera_back(service: ServiceProcess, suspect: str) -> None:
    for camera in CAMERAS:
        if camera != suspect:
            wait_back(service, camera)
    assert cameras_of(service)[suspect]["state"] == "parked"
    wait_alarm(service, suspect, "camera_fault", lambda row: row["condition"] == "active")
    done = lucheng(service.data, "camera", "unpark", suspect)
    assert done.returncode == 0, done.stderr
    assert not wait_back(service, suspect).alone
    wait_alarm(service, suspect, "camera_fault", lambda row: row["condition"] == "cleared", "the end")
    assert lucheng(service.data, "camera", "unpark", suspect).returncode != 0
