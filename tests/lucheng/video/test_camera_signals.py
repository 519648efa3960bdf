"""What cameras notice, on its way to the desk: each thing once, and no alarm of motion that nobody could ever end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lucheng.video.camera_signals import MAX_NOTE_CHARS, begins_and_ends, camera_signal_id
from lucheng.video.messages import Noticed
from model.camera import CameraSettings, Zone, ZoneRule
from model.clock import FakeClock
from model.desk import AlarmFilter
from tests.lucheng.house import GRANT
from tests.lucheng.video.test_camera_duty import CAMERA, House

RING = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
SETTINGS = CameraSettings(zones=(Zone("gate", RING), Zone("yard", RING), Zone("path", RING, alarm=False)))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "data", FakeClock())
    made.want(settings=SETTINGS)
    made.look(5, media=True)
    yield made
    made.close()


def noticed(
    house: House, kind: str, rule: str = "", *, cleared: bool = False, alarm: bool = True, note: str = ""
) -> None:
    """The camera notices something now."""
    house.signals.put(
        Noticed(CAMERA, kind, rule, cleared=cleared, alarm=alarm, time_ms=house.clock.now_ms(), note=note)
    )


def test_an_alarm_begins_and_ends_and_a_note_is_none(house: House) -> None:
    noticed(house, "motion_in_zone", "gate", note="x" * 1_000)
    noticed(house, "motion_in_zone", "path", alarm=False)
    noticed(house, "motion_in_zone", "path", alarm=False, cleared=True)
    house.look(1, media=True)
    assert house.alarms() == [("motion_in_zone", "active")]
    noticed(house, "motion_in_zone", "gate", cleared=True)
    house.look(1, media=True)
    assert house.alarms() == [("motion_in_zone", "cleared")]
    kept = [one.signal for one in house.rooms.signals.list(GRANT, limit=100) if one.signal.kind == "motion_in_zone"]
    assert sorted((one.fence, one.source, len(one.note)) for one in kept) == [
        ("gate", "camera", MAX_NOTE_CHARS),
        ("path", "note", 0),
    ]


def test_two_things_of_one_picture_are_two_signals_and_the_same_again_is_one(house: House) -> None:
    for note in ("car left", "person left", "car left"):
        noticed(house, "line_crossed", "line", note=note)
    house.look(1, media=True)
    kept = [one.signal.note for one in house.rooms.signals.list(GRANT, limit=100) if one.signal.kind == "line_crossed"]
    assert sorted(kept) == ["car left", "person left"]
    one = Noticed(CAMERA, "line_crossed", "line", cleared=False, alarm=True, time_ms=1, note="a")
    others = [replace_(one, device="b"), replace_(one, rule="r"), replace_(one, time_ms=2), replace_(one, note="b")]
    assert len({camera_signal_id(other) for other in (one, *others)}) == 5


def replace_(one: Noticed, **changed: object) -> Noticed:
    """Another of them."""
    values = {name: getattr(one, name) for name in one.__struct_fields__} | changed
    return Noticed(**values)


def test_motion_ends_with_the_worker_that_would_have_ended_it(house: House) -> None:
    noticed(house, "motion_in_zone", "gate")
    noticed(house, "camera_frozen")
    noticed(house, "camera_covered")
    house.signals.over([CAMERA, "camera/9"])
    house.signals.over([CAMERA])
    house.look(1, media=True)
    assert sorted(house.alarms()) == [
        ("camera_covered", "active"),  # who watches next knows only the covered view
        ("camera_frozen", "cleared"),
        ("motion_in_zone", "cleared"),
    ]
    assert house.signals.going_on(CAMERA) == set()


def test_what_began_before_a_restart_ends_when_the_camera_is_seen_and_it_is_not_so_any_more(tmp_path: Path) -> None:
    clock = FakeClock()
    house = House(tmp_path / "data", clock)
    house.want(settings=SETTINGS)
    house.look(5, media=True)
    noticed(house, "motion_in_zone", "gate")
    noticed(house, "motion_in_zone", "yard")
    noticed(house, "camera_covered")
    house.look(1, media=True)
    house.close()
    house = House(tmp_path / "data", clock)
    house.want(settings=SETTINGS)
    house.look(3, media=False)
    assert {condition for _, condition in house.alarms()} == {"active"}
    noticed(house, "motion_in_zone", "yard")  # still, or again
    house.look(5, media=True)
    conditions = {
        (one.alarm.kind, one.alarm.fence): one.alarm.condition.value
        for one in house.rooms.desk.list_alarms(GRANT, everything(), limit=100)
    }
    assert conditions == {
        ("motion_in_zone", "gate"): "cleared",
        ("motion_in_zone", "yard"): "active",
        ("camera_covered", ""): "active",
    }
    house.close()


def everything() -> AlarmFilter:
    """All alarms."""
    return AlarmFilter(open_only=False, listed_only=False)


@pytest.mark.parametrize(("parked", "kind"), [("", "offline"), ("it ended its worker", "camera_fault")])
def test_who_is_watched_no_more_is_not_missed_any_more(house: House, parked: str, kind: str) -> None:
    house.want(parked, settings=SETTINGS)
    house.look(40, media=False)
    assert (kind, "active") in house.alarms()
    house.duty.set_cameras({}, {})
    house.look(1, media=False)
    assert (kind, "cleared") in house.alarms()
    assert not house.duty.rows()


def test_what_settings_can_raise() -> None:
    assert begins_and_ends(CameraSettings(health_alarms=())) == []
    found = begins_and_ends(replace(SETTINGS, zones=(*SETTINGS.zones, Zone("in", RING, ZoneRule.ENTER))))
    assert found == [
        ("camera_black", ""),
        ("camera_frozen", ""),
        ("motion_in_zone", "gate"),
        ("motion_in_zone", "yard"),
    ]
