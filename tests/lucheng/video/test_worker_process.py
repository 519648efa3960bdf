"""A worker's process as the service holds it: real ones, told, killed, stopped, left alone."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from config.sections import Settings
from lucheng.video.messages import Begin, FromWorker, Report, Reports
from lucheng.video.worker_process import WorkerProcess, worker_count
from model.camera import CameraSettings, CameraSetup
from model.clock import SystemClock
from tests.conftest import free_port, wait_until

#: A worker imports much before it says its first word, and the machine may be busy.
START_S = 60.0
DEAD = "rtsp://127.0.0.1:{}/1"


def setup_of(device: str, url: str = "") -> CameraSetup:
    """A camera where nobody answers."""
    return CameraSetup(device, 0, url or DEAD.format(free_port()), "", CameraSettings(), 1)


def begin(folder: Path) -> Begin:
    """The first message to a worker that may connect to this machine."""
    settings = Settings.model_validate({"camera": {"allow_networks": ["127.0.0.0/8"], "back_off_min_s": 0.1}})
    return Begin(settings.model_dump(mode="json"), str(folder), 1)


class Held:
    """A worker, and what it said."""

    def __init__(self, folder: Path) -> None:
        self.reports: dict[str, Report] = {}
        self.rounds = 0
        self._lock = threading.Lock()
        self.worker = WorkerProcess(
            1,
            begin(folder),
            max_cameras=2,
            clock=SystemClock(),
            on_message=lambda _worker, message: self._heard(message),
        )

    def _heard(self, message: FromWorker) -> None:
        if isinstance(message, Reports):
            with self._lock:
                self.rounds += 1
                self.reports = {report.device: report for report in message.cameras}

    def wait_up(self) -> None:
        """Wait for its first word."""
        wait_until(lambda: self.rounds, START_S, "the worker's first word")


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    """A worker that has just been started; ended by force whatever the test did."""
    made = Held(tmp_path)
    yield made
    made.worker.kill()
    made.worker.close(5.0)


def test_it_watches_what_it_is_given_and_ends_when_it_is_told(held: Held) -> None:
    worker = held.worker
    worker.watch(setup_of("camera/1"))
    worker.watch(setup_of("camera/2"))
    assert worker.room == 0
    wait_until(lambda: {one.loss for one in held.reports.values()} == {"unreachable"}, START_S, "both to be tried")
    assert set(held.reports) == {"camera/1", "camera/2"}
    assert worker.heard_s > worker.started_s
    worker.drop("camera/1")
    worker.drop("camera/1")
    worker.watch(setup_of("camera/2"))  # new settings take no other row
    assert worker.room == 1
    worker.watch(setup_of("camera/3"))
    wait_until(lambda: set(held.reports) == {"camera/2", "camera/3"}, START_S, "the other cameras")
    worker.ask_to_stop()
    worker.close(START_S)
    assert worker.exit_status() == 0
    assert worker.gone.is_set()


def test_one_that_was_killed_is_found_and_told_nothing_more(held: Held) -> None:
    worker = held.worker
    worker.watch(setup_of("camera/1"))
    worker.crumbs.write(0, 1, 5.0)  # as if it were decoding
    os.kill(worker.process.pid, signal.SIGKILL)
    assert worker.gone.wait(START_S)
    wait_until(lambda: worker.exit_status() == -signal.SIGKILL, START_S, "its end")
    assert worker.suspects() == ["camera/1"]
    worker.drop("camera/1")
    assert worker.suspects() == []
    wait_until(lambda: not worker.send(begin(Path())), START_S, "the socket to be broken")


def test_one_that_hangs_is_ended_by_force(held: Held) -> None:
    os.kill(held.worker.process.pid, signal.SIGSTOP)
    held.worker.ask_to_stop()
    held.worker.close(0.2)
    assert held.worker.exit_status() == -signal.SIGKILL


def test_one_whose_service_has_gone_ends_by_itself(held: Held) -> None:
    held.worker.watch(setup_of("camera/1"))
    held.wait_up()
    process = psutil.Process(held.worker.process.pid)
    held.worker._wire.close()
    held.worker.process.wait(START_S)
    assert not process.is_running()


def test_as_many_workers_as_cores_unless_it_is_set() -> None:
    assert worker_count(3) == 3
    assert worker_count(0) == len(os.sched_getaffinity(0))
