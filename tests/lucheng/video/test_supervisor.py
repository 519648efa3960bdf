"""Who watches which camera: real worker processes, looked after step by step on a clock that the test moves."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lucheng.video.crumbs import DECODING
from lucheng.video.messages import Drop, Exhausted, Report
from lucheng.video.supervisor import Supervisor, SupervisorLimits
from lucheng.video.worker_process import WorkerProcess
from model.camera import CameraSettings, CameraSetup
from model.clock import FakeClock
from tests.conftest import wait_until
from tests.lucheng.video.test_worker_process import START_S, begin

LIMITS = SupervisorLimits(max_workers=2, max_cameras=2, restart_min_s=1.0)
NOBODY = "rtsp://127.0.0.1:1/1"


class House:
    """A supervisor whose looks the test makes itself."""

    def __init__(self, folder: Path, limits: SupervisorLimits = LIMITS) -> None:
        self.clock = FakeClock()
        self.limits = limits
        self.parked: list[tuple[str, str]] = []
        self.left: list[list[str]] = []
        self.supervisor = Supervisor(
            begin(folder),
            limits=limits,
            clock=self.clock,
            on_message=lambda _message: None,
            on_parked=lambda device, why: self.parked.append((device, why)),
            on_left=self.left.append,
        )

    def want(self, *numbers: int, parked: tuple[int, ...] = ()) -> None:
        """These cameras, and a look."""
        setups = [CameraSetup(camera(number), number, NOBODY, "", CameraSettings(), 1) for number in numbers]
        self.supervisor.set_cameras(setups, parked=[camera(number) for number in parked])
        self.supervisor.look()

    def later(self, seconds: float) -> None:
        """Let time pass, and look."""
        self.clock.advance(seconds)
        self.supervisor.look()

    @property
    def shares(self) -> list[set[str]]:
        """Cameras of each worker."""
        return [set(worker.setups) for worker in self.supervisor._workers]

    def worker(self, number: int) -> WorkerProcess:
        """The worker of a camera."""
        found = self.supervisor._watched[camera(number)].worker
        assert found is not None
        return found

    def end_by(self, number: int) -> None:
        """A camera ends its worker: it is in a decoder when the process dies."""
        worker = self.worker(number)
        worker.crumbs.write(worker._row_of[camera(number)], DECODING, 1.0)
        worker.process.kill()
        worker.process.wait()
        self.supervisor.look()

    def wait_over(self) -> None:
        """Until workers may be started again."""
        self.later(self.limits.restart_max_s)

    def close(self) -> None:
        """End the workers, which need not do so in order."""
        workers = list(self.supervisor._workers)
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.close(5.0)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Two workers at most, of two cameras each."""
    made = House(tmp_path)
    yield made
    made.close()


def camera(number: int) -> str:
    """Its id."""
    return f"camera/{number}"


class TestSharing:
    def test_full_workers_take_no_more_and_it_is_said(self, house: House) -> None:
        house.want(1, 2, 3, 4, 5)
        assert house.shares == [{camera(1), camera(2)}, {camera(3), camera(4)}]
        report = house.supervisor.report(camera(5))
        assert report is not None
        assert report.loss == "no_room"
        assert house.supervisor.worker_of(camera(5)) == 0
        house.want(1, 2, 4, 5)
        assert house.shares == [{camera(1), camera(2)}, {camera(4), camera(5)}]
        assert not house.supervisor.knows(camera(3))
        assert house.supervisor.worker_of(camera(5)) == house.worker(4).number
        assert len(house.supervisor.process_ids()) == 2

    def test_cameras_are_spread_before_a_worker_is_full(self, tmp_path: Path) -> None:
        house = House(tmp_path, replace(LIMITS, max_cameras=10, spread_cameras=1))
        house.want(1, 2, 3)
        assert sorted(map(len, house.shares)) == [1, 2]
        house.close()

    def test_without_a_camera_no_worker_runs(self, house: House) -> None:
        house.want()
        assert house.supervisor.process_ids() == []
        house.want(1, parked=(1,))
        assert house.supervisor.process_ids() == []
        assert house.supervisor.parked(camera(1))
        assert not house.supervisor.send(camera(1), Drop(camera(1)))

    def test_the_age_of_media_counts_on_after_the_last_report(self, house: House) -> None:
        house.supervisor.reports[camera(1)] = (house.clock.monotonic_s(), Report(camera(1), media_age_s=0.5))
        house.clock.advance(7.0)
        report = house.supervisor.report(camera(1))
        assert report is not None
        assert report.media_age_s == pytest.approx(7.5)


class TestDeaths:
    def test_a_camera_that_ends_its_worker_is_watched_alone_then_set_aside_then_let_back(self, house: House) -> None:
        house.want(1, 2)
        house.end_by(1)
        assert house.left == [[camera(1), camera(2)]]
        assert house.supervisor.process_ids() == []  # not at once
        house.wait_over()
        assert house.worker(1).alone
        assert not house.worker(2).alone
        bystander = house.worker(2)
        house.end_by(1)
        assert house.parked == []
        house.wait_over()
        house.end_by(1)
        assert [device for device, _ in house.parked] == [camera(1)]
        assert "3 times" in house.parked[0][1]
        assert house.supervisor.parked(camera(1))
        house.want(1, 2, parked=(1,))
        house.wait_over()
        assert house.worker(2) is bystander
        assert house.shares == [{camera(2)}]
        assert house.supervisor.deaths == 3
        house.want(1, 2)  # a person let it back: it stands as well as the others
        assert house.worker(1) is bystander
        assert not house.supervisor.parked(camera(1))

    def test_waits_grow_and_a_calm_while_makes_them_short_again(self, house: House) -> None:
        house.want(1)
        for wait_s in (1.0, 2.0):
            house.end_by(1)
            house.later(wait_s * 0.9)
            assert house.supervisor.process_ids() == []
            house.later(wait_s * 0.2)
            assert len(house.supervisor.process_ids()) == 1
        # a long while later, before the camera is above suspicion
        house.later(house.limits.restart_max_s + 1)
        house.supervisor._watched[camera(1)].deaths = 1
        house.worker(1).heard_s = house.clock.monotonic_s()
        house.end_by(1)
        house.later(1.1)
        assert len(house.supervisor.process_ids()) == 1

    def test_a_death_that_nobody_was_near_is_nobodys(self, house: House) -> None:
        house.want(1, 2)
        house.worker(1).process.kill()
        house.worker(1).process.wait()
        house.supervisor.look()
        house.wait_over()
        assert house.shares == [{camera(1), camera(2)}]
        assert not house.worker(1).alone

    def test_a_calm_camera_returns_and_its_process_ends(self, house: House) -> None:
        house.want(1, 2)
        house.end_by(1)
        house.wait_over()
        alone, shared = house.worker(1), house.worker(2)
        house.clock.advance(house.limits.calm_s + 1)
        alone.heard_s = shared.heard_s = house.clock.monotonic_s()
        house.supervisor.look()
        assert house.worker(1) is shared
        alone.process.wait(START_S)
        house.supervisor.look()
        assert house.shares == [{camera(1), camera(2)}]
        assert house.supervisor.deaths == 1  # it was asked to end

    def test_a_worker_that_hangs_is_killed_and_replaced(self, house: House) -> None:
        house.want(1)
        hung = house.worker(1)
        os.kill(hung.process.pid, signal.SIGSTOP)
        process = psutil.Process(hung.process.pid)
        wait_until(lambda: process.status() == psutil.STATUS_STOPPED, START_S, "it to stand still")
        said = hung.heard_s != hung.started_s
        house.later(house.limits.silence_s + 1)
        if not said:  # it has longer for its first word
            assert house.worker(1) is hung
            house.later(house.limits.start_s)
        assert hung.exit_status() == -signal.SIGKILL
        house.wait_over()
        assert house.worker(1) is not hung

    def test_one_with_too_many_hung_threads_is_replaced_and_the_camera_named(self, house: House) -> None:
        house.want(1, 2)
        worker = house.worker(1)
        house.supervisor._heard(worker, Exhausted(camera(2)))
        worker.process.wait(START_S)
        house.wait_over()
        assert house.worker(2).alone
        assert not house.worker(1).alone

    def test_a_camera_that_was_taken_away_while_its_worker_died_is_forgotten(self, house: House) -> None:
        house.want(1, 2)
        house.worker(1).process.kill()
        house.want(2)
        house.wait_over()
        assert house.shares == [{camera(2)}]


def test_it_starts_and_stops_by_itself(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.supervisor.start()
    house.supervisor.set_cameras([CameraSetup(camera(1), 1, NOBODY, "", CameraSettings(), 1)])
    wait_until(lambda: house.supervisor.report(camera(1)) is not None, START_S, "a report")
    (pid,) = house.supervisor.process_ids()
    house.supervisor.stop(START_S)
    assert not psutil.pid_exists(pid)
    assert house.supervisor.process_ids() == []
    assert house.supervisor.deaths == 0
