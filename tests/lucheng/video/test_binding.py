"""Alarms bring their cameras: which, how soon, how many; storms, restarts, and that the desk is never waited on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lucheng.video.seams import RecordedClips
from model.alarm import Outcome
from model.camera import CameraSettings
from model.device import Kind as DeviceKind
from model.errors import TryAgain
from model.video import Clip
from tests.conftest import wait_until
from tests.lucheng.video.binding_house import GRANT, GRID, PLACE, T0, House, clip_of, settings, with_limits


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.close()


def cameras(house: House, alarm: str, kind: str = "video") -> list[str]:
    return [one.device for one in house.evidence_of(alarm) if one.kind == kind]


def test_the_four_nearest_give_a_snapshot_now_and_a_clip_with_pre_roll(house: House) -> None:
    house.settings["camera/2"] = settings(pre_roll_s=5.0, post_roll_s=15.0)
    del house.settings["camera/1"]  # registered, not set up
    (alarm,) = house.press()
    house.until_asked(4)
    asked = {one.camera: (one.from_ms - T0, one.to_ms - T0) for one in house.maker.asked}
    assert asked == {
        "camera/0": (-10_000, 30_000),
        "camera/2": (-5_000, 15_000),
        "camera/3": (-10_000, 30_000),
        "camera/4": (-10_000, 30_000),
    }
    assert house.maker.woken == {camera: T0 + to_ms for camera, (_, to_ms) in asked.items()}
    house.until("snapshots_kept", 4)
    assert [one.time_ms for one in house.evidence_of(alarm)] == [T0] * 4
    assert {note.state for note in house.binding.notes_of(alarm) if note.kind == "clip"} == {"waiting"}
    house.until_quiet()
    found = [one for one in house.evidence_of(alarm) if one.kind == "video"]
    assert [one.device for one in found] == sorted(asked)
    assert {(one.format, one.event, one.source) for one in found} == {("mp4", "alarm", f"clip:{alarm}:1")}
    assert found[0].lat == pytest.approx(PLACE[0] + 0.0005)
    assert found[0].time_ms == T0 - 10_000
    assert {note.state for note in house.binding.notes_of(alarm)} == {"kept"}
    assert house.missing() == []


def test_the_sites_camera_first_then_those_within_reach(house: House) -> None:
    house.settings = {name: CameraSettings() for name in ("camera/hall", "camera/away", "camera/0", "camera/5")}
    house.close()
    house.open()
    (alarm,) = house.press("button/1", "one_key", at=None)
    house.until_quiet()
    assert cameras(house, alarm) == ["camera/0", "camera/5", "camera/hall"]  # `away` is farther than 500 m
    assert house.maker.snapshots == ["camera/hall", "camera/0", "camera/5"]


def test_a_cameras_own_alarm_takes_that_camera_first(tmp_path: Path) -> None:
    house = House(tmp_path, limits=with_limits(max_severity=3, cameras=2))
    (alarm,) = house.press("camera/4", "line_crossed", at=None)
    house.until_quiet()
    assert sorted(house.maker.snapshots[:1]) == ["camera/4"]
    assert len(cameras(house, alarm)) == 2
    house.close()


def test_what_brings_no_clip(house: House) -> None:
    house.press(kind="overspeed")
    house.press("taxi/9", at=None)
    house.press("taxi/8", at=(10.0, 10.0))
    house.until("no_camera", 2)
    assert house.maker.asked == []
    counts = house.binding.counts()
    assert (counts["alarms"], counts["failed"]) == (0, 0)


def test_an_ebike_whose_place_is_hidden_brings_no_camera(house: House) -> None:
    device = f"{DeviceKind.EBIKE}/1"
    house.press(device, "moved_while_armed")
    house.until("hidden", 1)
    assert house.maker.woken == {}
    assert house.maker.snapshots == []
    assert house.missing() == []  # a note of it would name cameras near it
    house.desk.report_stolen(device, "P-1", "li")
    (alarm,) = house.press(device, "detached")
    house.until_quiet()
    assert len(cameras(house, alarm)) == 4


def test_a_new_lap_brings_new_clips_and_another_signal_none(house: House) -> None:
    (alarm,) = house.press()
    house.until_quiet()
    house.press()
    house.press("taxi/2", at=None)  # handled after the one before
    house.until("no_camera", 1)
    assert house.binding.counts()["alarms"] == 1
    found = house.desk.acknowledge(alarm, house.desk.get(GRANT, alarm).alarm.version, "li")
    house.desk.resolve(alarm, found.alarm.version, "li", Outcome.FALSE)
    house.press()
    house.until("alarms", 2)
    house.until_quiet()
    assert sorted({one.source for one in house.evidence_of(alarm)}) == [f"clip:{alarm}:1", f"clip:{alarm}:2"]


def test_several_alarms_share_one_clip(house: House) -> None:
    (first,) = house.press()
    house.until_asked(4)
    house.clock.advance(8)
    (second,) = house.press("taxi/2")
    house.until("alarms", 2)
    house.clock.advance(10)
    (third,) = house.press("taxi/3")  # too little of its window would be in the first clip
    house.until_asked(8)
    house.until_quiet()
    one, two, three = (
        {found.sha256 for found in house.evidence_of(alarm) if found.kind == "video"}
        for alarm in (first, second, third)
    )
    assert one == two
    assert not one & three
    assert len(house.maker.snapshots) == 12  # each has a picture of its own moment
    counts = house.binding.counts()
    assert (counts["clips_kept"], counts["clips_shared"]) == (8, 4)
    assert len({found.id for alarm in (first, second) for found in house.evidence_of(alarm)}) == 16
    assert house.evidence.check() == []


def test_what_cannot_be_made_is_noted_once_and_seen(house: House) -> None:
    house.maker.dead.add("camera/0")
    (alarm,) = house.press()
    house.until_quiet()
    assert sorted(house.missing()) == [
        (alarm, "clip", "there is no picture of that time"),
        (alarm, "snapshot", "no picture"),
    ]
    states = {(note.camera, note.kind): (note.state, note.why) for note in house.binding.notes_of(alarm)}
    assert states["camera/0", "clip"] == ("missing", "there is no picture of that time")
    assert cameras(house, alarm) == ["camera/1", "camera/2", "camera/3"]


def test_a_maker_that_does_not_answer_or_cannot_be_asked(house: House) -> None:
    house.maker.silent.add("camera/0")

    def refuses(camera: str, from_ms: int, to_ms: int, done: object) -> None:
        raise TryAgain("no video worker")

    (alarm,) = house.press()
    house.until_asked(4)
    house.until_quiet()
    assert [why for _, _, why in house.missing()] == ["it was not answered in time"] * 2
    late = next(one for one in house.maker.asked if one.camera == "camera/0")
    late.done(clip_of("camera/0", 1, 2), "")  # nobody waits for it any more
    assert house.binding.counts()["late_answers"] == 1
    assert cameras(house, alarm) == ["camera/1", "camera/2", "camera/3"]
    house.maker.clip = refuses  # type: ignore[method-assign]  # as a service without workers
    house.press("taxi/2")
    house.until_quiet()
    assert [why for _, _, why in house.missing()].count("no video worker") == 4


def test_a_suppressed_alarm_gives_its_place_up(tmp_path: Path) -> None:
    house = House(tmp_path, limits=with_limits(max_at_once=1))
    (first,) = house.press(kind="power_cut")
    house.until_asked(1)
    house.clock.advance(60)
    (second,) = house.press("taxi/2", kind="power_cut")
    house.until("alarms", 2)
    house.desk.suppress(second, "a test")
    house.until("withdrawn", 1)
    house.until_quiet()
    assert cameras(house, second) == []
    assert len(cameras(house, first)) == 4
    house.close()


@pytest.mark.soak
def test_a_storm_is_bounded_and_severity_1_comes_through(tmp_path: Path) -> None:
    """2,000 alarms at once along a row of cameras, and two of severity 1: one before them all, one behind."""
    house = House(tmp_path, limits=with_limits(max_waiting=40, max_at_once=16, max_distance_m=200.0), grid=GRID)
    serious = house.press("taxi/first")
    alarms = house.press("taxi/", "power_cut", many=2_000)
    serious += house.press("taxi/last", at=(PLACE[0], PLACE[1] + 0.1))
    house.until("alarms", 2_002)
    for alarm in serious:  # asked for already, whatever waits
        wanted = {note.camera for note in house.binding.notes_of(alarm)}
        assert wanted
        wait_until(lambda wanted=wanted: wanted <= {one.camera for one in house.maker.asked}, what="its clips")  # type: ignore[misc]
    house.until_quiet()
    counts = house.binding.counts()
    for alarm in serious:
        made = {(note.state, note.why) for note in house.binding.notes_of(alarm)}
        assert made == {("kept", "")}
    assert house.maker.most_open <= 16
    assert counts["failed"] == counts["not_noted"] == 0
    assert counts["too_many_waiting"] > 0
    assert counts["clips_kept"] < GRID  # many alarms, few clips
    lacking, having = house.lacking(), house.having()
    assert lacking | having >= set(alarms)  # no alarm of them all is forgotten
    assert not lacking & set(serious)
    assert house.evidence.check() == []
    house.close()


class Recorded:
    """Recordings of some cameras."""

    def __init__(self, *cameras: str) -> None:
        self.cameras = cameras

    def clip(self, camera: str, from_ms: int, to_ms: int, *, alarm: str) -> Clip | None:
        assert alarm
        return clip_of(camera, from_ms, to_ms) if camera in self.cameras else None


def crash(house: House, after_s: float) -> None:
    """Stop without finishing anything, and start again so much later."""
    house.close()
    house.clock.advance(after_s)
    house.open()


def test_after_a_restart_what_was_pending_is_known_again(tmp_path: Path) -> None:
    recorded: RecordedClips = Recorded("camera/0")
    house = House(tmp_path, recorded=recorded)
    (alarm,) = house.press()
    house.until("snapshots_kept", 4)
    crash(house, 5)
    house.until("recovered", 1)
    house.pass_time(20)
    assert house.maker.asked == []  # until the end of the window the ring fills again
    house.pass_time(10)
    house.until_asked(3)
    house.until_quiet()
    assert [one.camera for one in house.maker.asked] == ["camera/1", "camera/2", "camera/3"]  # the other was recorded
    assert len(cameras(house, alarm)) == 4
    assert len(cameras(house, alarm, "image")) == 4
    crash(house, 5)
    house.until("recovered", 1)
    house.until_quiet()
    assert house.maker.asked == []
    assert house.maker.snapshots == []
    house.close()


def test_what_is_gone_is_noted_once_over_restarts(tmp_path: Path) -> None:
    house = House(tmp_path)
    (alarm,) = house.press()
    house.until("snapshots_kept", 4)
    for _ in range(3):
        house.close()
        house.clock.advance(400)
        house.open(start=False)
        house.maker.dead |= {f"camera/{n}" for n in range(6)}
        house.binding.start()
        house.until("recovered", 1)
        house.until_quiet()
    assert house.missing() == [(alarm, "clip", "there is no picture of that time")] * 4
    house.close()


def test_an_alarm_that_came_while_nobody_followed(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.close()
    house.open(start=False)
    (alarm,) = house.press()
    house.binding.start()
    house.until("recovered", 1)
    house.until_quiet()
    assert len(cameras(house, alarm)) == 4
    house.close()


def test_without_an_audit_clips_are_made_all_the_same(house: House) -> None:
    house.until_quiet()
    house.maker.dead.add("camera/0")
    house.audit.close()
    house.press()
    house.until_asked(4)

    def kept() -> bool:
        house.clock.advance(1)
        house.maker.tick()
        counts = house.binding.counts()
        return counts["clips_kept"] == 3 and counts["clips_missing"] == 1

    wait_until(kept, what="three clips")
    assert house.binding.counts()["notes_waiting"] > 0


def test_a_full_store_of_evidence_is_said(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.evidence._max_total_bytes = 10
    (alarm,) = house.press()
    house.until_quiet()
    assert {why.partition(":")[0] for _, _, why in house.missing()} == {"it cannot be kept"}
    assert house.evidence_of(alarm) == []
    house.close()


def test_following_ends_with_stop(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.binding.stop(drain_s=10)
    house.press()
    assert house.maker.asked == []
    house.close()
