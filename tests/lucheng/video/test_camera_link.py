"""The service's side of cameras without a camera or a process: what is known, refused, entered and measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from config.sections import Settings
from lucheng.rooms import Rooms, open_rooms
from lucheng.video.camera_link import CameraLink
from lucheng.video.clip_counts import COUNTS
from lucheng.video.detecting import DetectCounts
from lucheng.video.messages import Made, Noticed, Piece, Recorded, Report, Snapped
from lucheng.video.video_values import VIDEO_VALUES, WORKERS
from model.camera import CameraSettings, CameraState
from model.clock import FakeClock
from model.errors import NotFound, Refused, TryAgain
from model.video import Fragment, NewSegment
from store.log.committer import Committer
from tests.conftest import wait_until

CAMERA = "camera/1"
SETTINGS = Settings.model_validate({"camera": {"allow_networks": ["127.0.0.0/8"]}})


class House:
    """A data folder with one camera in its registry, and the link; nothing is started."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.fatal: list[BaseException] = []
        self.rooms: Rooms = open_rooms(folder, SETTINGS, write=True, clock=self.clock)
        self.rooms.registry.ensure([CAMERA, "button/1"])
        self.rooms.cameras.put(CAMERA, CameraSettings(), url="rtsp://127.0.0.1:9/1")
        self.committer = Committer(
            self.rooms.alarms_log, clock=self.clock, on_fatal=self.fatal.append, max_delay_ms=0, name="test"
        )
        self.link = CameraLink(self.rooms, self.committer, on_fatal=self.fatal.append)

    def again(self) -> CameraLink:
        """The service has been started again."""
        self.link.requests.close()
        self.link = CameraLink(self.rooms, self.committer, on_fatal=self.fatal.append)
        return self.link

    def close(self) -> None:
        """Release everything."""
        self.link.requests.close()
        self.committer.close(timeout_s=30)
        self.rooms.close()
        assert not self.fatal


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "data")
    yield made
    made.close()


def test_changes_of_the_registry_reach_it(house: House) -> None:
    link = house.link
    assert not link.supervisor.knows(CAMERA)
    link.changed()
    assert link.supervisor.knows(CAMERA)
    assert link.duty.settings_of(CAMERA) == CameraSettings()
    assert link.duty.settings_of("button/1") is None
    assert [(one.device, one.state) for one in link.states().values()] == [(CAMERA, CameraState.DISABLED)]
    link._park(CAMERA, "it ended its worker 3 times")  # as the supervisor does
    link._park("camera/9", "it is gone")
    assert [row.target for row in house.rooms.audit.rows(limit=100) if row.action == "camera.park"] == [CAMERA]
    link.changed()
    assert link.duty.settings_of(CAMERA) is None
    link = house.again()
    link.changed()
    assert link.supervisor.parked(CAMERA)
    assert link.duty.settings_of(CAMERA) is None
    house.rooms.cameras.unpark(CAMERA)
    house.rooms.cameras.put(CAMERA, CameraSettings(objects=True))
    link.changed()
    assert not link.supervisor.parked(CAMERA)
    assert link.duty.settings_of(CAMERA) == CameraSettings(objects=True)
    house.rooms.cameras.remove(CAMERA)
    link.changed()
    assert not link.supervisor.knows(CAMERA)
    assert not link.states()


def test_what_people_ask_of_a_camera_that_cannot_answer(house: House) -> None:
    link = house.link
    for ask in (
        lambda device: link.snapshot(device, 1.0),
        lambda device: link.clip(device, 0, 1, 1.0),
        link.live_url,
    ):
        with pytest.raises(NotFound):
            ask("camera/9")
    link.changed()
    with pytest.raises(TryAgain, match="no video worker"):
        link.snapshot(CAMERA, 30.0)
    with pytest.raises(Refused, match="no live view"):
        link.live_url(CAMERA)
    house.rooms.cameras.park(CAMERA, "why")
    link = house.again()
    link.changed()
    with pytest.raises(Refused, match="set aside"):
        link.snapshot(CAMERA, 1.0)


def test_a_segment_that_cannot_be_entered_costs_itself_alone(house: House) -> None:
    segment = NewSegment(CAMERA, "../../etc/passwd", 0, 1, 1, "00", "h264", 320, 180)
    house.link._heard(Recorded(segment))
    house.link._heard(Noticed(CAMERA, "camera_covered", "", cleared=False, alarm=True, time_ms=1))
    house.link._heard(Made(7, None, "late"))
    house.link._heard(Snapped(8, b"", 0, "late"))
    house.link._heard(Piece("mp4", Fragment(CAMERA, "media", keyframe=True, data=b"", time_ms=1)))
    assert (house.link.segments, house.link.segments_refused) == (0, 1)
    wait_until(lambda: house.rooms.alarms_log.last_position() == 1, what="the signal to be durable")


def test_a_masked_camera_s_clips_are_h264_whatever_it_sends(house: House) -> None:
    row = {"alarm": "a", "evidence": "e", "device": CAMERA}
    assert house.link.facts(row).codec == ""
    for masked, codec in ((False, "hevc"), (True, "h264")):
        house.link.supervisor.reports[CAMERA] = (0.0, Report(CAMERA, codec="hevc", masked=masked))
        assert house.link.facts(row).codec == codec


def test_every_value_has_its_words_and_every_word_its_value(house: House) -> None:
    names = [name for name, _, _ in VIDEO_VALUES]
    assert len(names) == len(set(names))
    for _, unit, words in VIDEO_VALUES:
        assert unit
        assert words.en
        assert words.zh
        assert words.en != words.zh
    house.link.changed()
    house.link.supervisor.counts[1] = dict.fromkeys(WORKERS, 1.0) | {"load": float("nan"), "unheard_of": 3.0}
    house.link.supervisor.counts[2] = dict.fromkeys(WORKERS, 2.0)
    values = house.link.live_values()
    assert values.keys() == set(names)
    assert values["video_load"] == 2.0
    assert values["video_detector_looked"] == 3.0
    assert values["cameras_disabled"] == 1
    assert {f"binding_{name}" for name in COUNTS} <= values.keys()
    assert {f"detector_{name}" for name in asdict(DetectCounts())} <= WORKERS.keys()
