"""How cameras are, second by second, with a real desk behind it: one alarm an outage, gone with its cause, over restarts too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from config.sections import Settings
from lucheng.alarm_path import AlarmPath
from lucheng.rooms import Rooms, open_rooms
from lucheng.video.camera_duty import CameraDuty
from lucheng.video.camera_signals import CameraSignals
from lucheng.video.messages import Begin, Report
from lucheng.video.supervisor import Supervisor, SupervisorLimits
from model.camera import STATE_NUMBER, CameraSettings, CameraSetup, CameraState
from model.clock import FakeClock
from model.desk import AlarmFilter
from store.log.committer import Committer
from tests.conftest import wait_until
from tests.lucheng.house import END_MS, GRANT

CAMERA = "camera/1"
SETTINGS = Settings.model_validate(
    {"camera": {"offline_after_s": 10, "stalled_after_s": 3, "recover_after_s": 2, "sample_s": 5}}
)
HANG_S = 30.0


class House:
    """A data folder, and the duty over one camera whose reports the test writes."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        self.clock = clock
        self.rooms: Rooms = open_rooms(folder, SETTINGS, write=True, clock=clock)
        self.rooms.registry.ensure([CAMERA])
        log = self.rooms.alarms_log
        self._before = log.last_position()
        self.fatal: list[BaseException] = []
        self.committer = Committer(log, clock=clock, on_fatal=self.fatal.append, max_delay_ms=0, name="test")
        self.path = AlarmPath(log, self.committer, self.rooms.desk, on_fatal=self.fatal.append)
        self.supervisor = Supervisor(
            Begin({}, "", 1), limits=SupervisorLimits(), clock=clock, on_message=lambda _message: None
        )
        self.signals = CameraSignals(self.committer, clock)
        self.duty = CameraDuty(
            self.supervisor,
            self.signals,
            self.rooms.series,
            self.rooms.desk,
            SETTINGS.camera,
            clock,
            on_fatal=self.fatal.append,
        )

    def want(self, why_parked: str = "", settings: CameraSettings | None = None) -> None:
        """Watch the camera, or know it as set aside."""
        setup = CameraSetup(CAMERA, 0, "", "", settings or CameraSettings(), 1)
        self.duty.set_cameras({CAMERA: setup}, {CAMERA: why_parked} if why_parked else {})

    def look(self, seconds: int, *, media: bool, loss: str = "") -> None:
        """So many seconds pass, with pictures or without; a look each second."""
        for _ in range(seconds):
            self.clock.advance(1.0)
            if media:
                report = Report(CAMERA, media_age_s=0.1, fps=10.0, loss=loss)
                self.supervisor.reports[CAMERA] = (self.clock.monotonic_s(), report)
            self.duty.look()
        written = self._before + self.signals.written
        wait_until(lambda: self.rooms.alarms_log.last_position() >= written, HANG_S, "the signals to be durable")
        while self.path.run_once():
            pass

    @property
    def state(self) -> str:
        """How the camera is."""
        return self.duty.rows()[CAMERA].state.value

    def alarms(self) -> list[tuple[str, str]]:
        """Kind and condition of every alarm."""
        wanted = AlarmFilter(open_only=False, listed_only=False)
        return [
            (one.alarm.kind, one.alarm.condition.value) for one in self.rooms.desk.list_alarms(GRANT, wanted, limit=100)
        ]

    def notes(self) -> list[str]:
        """Of the changes, in order."""
        kept = [one.signal for one in self.rooms.signals.list(GRANT, limit=1_000)]
        return [signal.note for signal in kept if signal.kind == "camera_state"]

    def close(self) -> None:
        """Release everything; what is known in memory alone is lost."""
        self.committer.close(timeout_s=HANG_S)
        self.rooms.close()
        assert self.fatal == []


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def house(tmp_path: Path, clock: FakeClock) -> Iterator[House]:
    made = House(tmp_path / "data", clock)
    yield made
    made.close()


def test_an_outage_is_one_alarm_that_goes_with_it(house: House) -> None:
    house.want()
    house.look(5, media=True)
    assert house.state == "online"
    house.look(5, media=False)
    assert house.state == "stalled"
    assert house.alarms() == []
    house.look(30, media=False)
    assert house.alarms() == [("offline", "active")]
    house.look(5, media=True)
    assert house.alarms() == [("offline", "cleared")]
    assert house.notes() == [
        "disabled ▸ offline",
        "offline ▸ online",
        "online ▸ stalled",
        "stalled ▸ offline",
        "offline ▸ online",
    ]


def test_a_new_camera_has_time_before_it_is_told(house: House) -> None:
    house.want()
    house.look(8, media=False)
    assert house.state == "offline"
    assert house.alarms() == []
    house.look(5, media=False)
    assert house.alarms() == [("offline", "active")]


def test_without_the_setting_it_is_a_signal_alone(house: House) -> None:
    house.want(settings=CameraSettings(health_alarms=()))
    house.look(20, media=False)
    assert house.alarms() == []
    assert [one.signal.kind for one in house.rooms.signals.list(GRANT)] == ["camera_state", "offline"]


def test_one_that_was_set_aside_is_told_and_let_back(house: House) -> None:
    house.want()
    house.look(5, media=True)
    house.want("it ended its worker 3 times")
    house.look(20, media=False)
    assert house.state == "parked"
    assert house.alarms() == [("camera_fault", "active")]
    assert house.duty.settings_of(CAMERA) is None
    house.want()
    house.look(5, media=True)
    assert house.alarms() == [("camera_fault", "cleared")]
    assert house.state == "online"


@pytest.mark.parametrize(("parked", "kind"), [("", "offline"), ("it ended its worker", "camera_fault")])
def test_what_was_mended_while_the_service_was_away_is_cleared(
    parked: str, kind: str, tmp_path: Path, clock: FakeClock
) -> None:
    house = House(tmp_path / "data", clock)
    house.want(parked)
    house.look(15, media=False)
    assert house.alarms() == [(kind, "active")]
    house.close()
    house = House(tmp_path / "data", clock)
    house.want()
    house.look(5, media=True)
    assert house.alarms() == [(kind, "cleared")]
    house.close()


def test_what_goes_on_over_a_restart_is_the_same_alarm(tmp_path: Path, clock: FakeClock) -> None:
    for _ in range(2):
        house = House(tmp_path / "data", clock)
        house.want("it ended its worker")
        house.look(15, media=False)
        assert house.alarms() == [("camera_fault", "active")]
        house.close()


def test_samples(house: House) -> None:
    house.want()
    house.look(30, media=True)
    house.look(30, media=False)

    def numbers(series: str) -> list[float]:
        times_ms, values = house.rooms.series.numbers(GRANT, series, CAMERA, 0, END_MS)
        assert np.all(np.diff(times_ms) == 5_000)
        return [float(value) for value in values]

    states = numbers("camera_state")
    assert len(states) == 12
    assert states[-1] == STATE_NUMBER[CameraState.OFFLINE]
    assert set(numbers("camera_fps")) == {10.0}
    assert len(numbers("camera_fps")) < len(states)  # a camera that is away has no rate
    assert house.duty.counts()["offline"] == 1
