"""What zones, lines and faults of a picture tell: each beginning has its end, and nothing ends that did not begin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.scene.bank import MAX_ZONES
from lucheng.video.messages import Noticed
from lucheng.video.rule_watch import BY_COMPARISON, RuleWatch
from lucheng.video.slab import Looked
from model.camera import HEALTH_ALARMS, CameraSettings, Health, Line, ObjectKind, Zone, ZoneRule
from model.codes import ALARM_BY_NAME
from model.video import THUMB_HEIGHT_PX, THUMB_WIDTH_PX, Detections

CAMERA = "camera/1"
LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
RIGHT = ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))
FINE = Health(0)
WHOLE = (0.0, 0.0, 1.0, 1.0)
ZONES = CameraSettings(zones=(Zone("gate", LEFT), Zone("yard", RIGHT, alarm=False)))


def looked(time_ms: int, *zones: int, health: Health = FINE, cleared: Health = FINE) -> Looked:
    """What a step says: motion in zones of those numbers, what is wrong, and what is so no more."""
    motion = np.zeros(MAX_ZONES + 1, np.bool_)
    motion[list(zones)] = True
    mask = np.zeros((THUMB_HEIGHT_PX, THUMB_WIDTH_PX), np.uint8)
    flags = {"moving": False, "motion": False, "started": False, "ended": False, "still": False, "learning": False}
    return Looked(
        time_ms, **flags, motion_share=0.0, zone_motion=motion, mask=lambda: mask, health=int(health), health_raised=0,
        health_cleared=int(cleared), picture=None,
    )  # fmt: skip


def watch(given_settings: CameraSettings) -> tuple[RuleWatch, list[Noticed]]:
    told: list[Noticed] = []
    return RuleWatch(CAMERA, given_settings, told.append), told


def short(told: list[Noticed]) -> list[tuple[str, str, bool, bool, int]]:
    return [(one.kind, one.rule, one.cleared, one.alarm, one.time_ms) for one in told]


def test_motion_in_a_zone_begins_and_ends() -> None:
    rules, told = watch(ZONES)
    rules.looked(looked(1))
    rules.looked(looked(2, 1))
    rules.looked(looked(3, 1, 2))
    rules.looked(looked(4, 2))
    rules.stopped(5)
    assert short(told) == [
        ("motion_in_zone", "gate", False, True, 2),
        ("motion_in_zone", "yard", False, False, 3),
        ("motion_in_zone", "gate", True, True, 4),
        ("motion_in_zone", "yard", True, False, 5),
    ]


def test_a_look_that_was_under_way_when_the_stream_was_lost_begins_nothing() -> None:
    rules, told = watch(ZONES)
    rules.stopped(1)
    rules.looked(looked(2, 1))
    assert not told
    rules.resumed()
    rules.looked(looked(3, 1))
    assert short(told) == [("motion_in_zone", "gate", False, True, 3)]


def test_a_fault_is_an_alarm_where_the_settings_say_so_and_a_signal_else() -> None:
    rules, told = watch(CameraSettings(health_alarms=("covered",)))
    rules.looked(looked(1, health=Health.COVERED | Health.DEFOCUSED | Health.LOW_FPS))
    rules.looked(looked(2, health=Health.DEFOCUSED, cleared=Health.COVERED | Health.LOW_FPS))
    assert [(one.kind, one.cleared, one.alarm, one.note) for one in told] == [
        ("camera_covered", False, True, ""),
        ("camera_state", False, False, "defocused begins"),
        ("camera_state", False, False, "low_fps begins"),
        ("camera_covered", True, True, ""),
        ("camera_state", False, False, "low_fps over"),
    ]


def test_faults_outlast_an_interruption_and_end_when_the_scene_is_learnt_anew_or_left() -> None:
    rules, told = watch(CameraSettings())
    rules.looked(looked(1, health=Health.BLACK))
    rules.stopped(2)
    rules.resumed()
    rules.looked(looked(3, health=Health.BLACK))
    assert len(told) == 1
    rules.looked(looked(4))  # another resolution: the bank has forgotten, and tells no end
    assert short(told)[1:] == [("camera_black", "", True, True, 4)]
    rules.looked(looked(5, health=Health.FROZEN))
    rules.left(6)
    assert short(told)[2:] == [("camera_frozen", "", False, True, 5), ("camera_frozen", "", True, True, 6)]
    rules.left(7)
    assert len(told) == 4


@pytest.mark.parametrize("fault", [Health.COVERED, Health.MOVED, Health.DEFOCUSED])
def test_a_camera_that_is_covered_is_not_said_to_be_free_because_it_began_anew(fault: Health) -> None:
    rules, told = watch(CameraSettings())
    rules.looked(looked(1, health=fault))
    rules.looked(looked(2))  # learnt anew, covered as it is
    assert [one.cleared for one in told] == [False]
    rules.looked(looked(3, health=fault))
    rules.left(4)
    assert [one.cleared for one in told] == [False, False]
    again, told = watch(CameraSettings())
    again.looked(looked(1, health=fault))
    again.looked(looked(2, cleared=fault))  # the view is as before
    assert [one.cleared for one in told] == [False, True]


@settings(max_examples=60)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("look"), st.sets(st.sampled_from([1, 2])), st.integers(0, 511)),
            st.tuples(st.sampled_from(["stopped", "resumed", "left"]), st.just(set()), st.just(0)),
        ),
        max_size=30,
    )
)
def test_each_beginning_has_one_end(steps: list[tuple[str, set[int], int]]) -> None:
    rules, told = watch(ZONES)
    for time_ms, (what, zones, health) in enumerate(steps):
        match what:
            case "look":
                rules.looked(looked(time_ms, *zones, health=Health(health)))
            case "resumed":
                rules.resumed()
            case _:
                getattr(rules, what)(time_ms)
    rules.left(len(steps))
    open_now: set[tuple[str, str]] = set()
    for one in told:
        key = (one.kind, one.rule)
        if one.kind == "camera_state":
            assert one.note
        elif one.kind in {HEALTH_ALARMS[flag] for flag in BY_COMPARISON}:
            continue  # no end is told of them here
        elif one.cleared:
            open_now.remove(key)
        else:
            assert key not in open_now
            open_now.add(key)
    assert not open_now
    assert {one.kind for one in told} <= ALARM_BY_NAME.keys()


def objects(*boxes: tuple[float, float, float, float]) -> Detections:
    count = len(boxes)
    box = np.array(boxes, np.float32).reshape(count, 4)
    return Detections(np.zeros(count, np.int32), box, np.full(count, 0.9, np.float32), np.full(count, 4, np.uint8))


def at(x: float) -> tuple[float, float, float, float]:
    """A car with its foot at (x, 0.5)."""
    return (x - 0.05, 0.4, x + 0.05, 0.5)


def test_what_an_object_does_is_over_as_soon_as_it_is_told() -> None:
    zone = Zone("yard", RIGHT, ZoneRule.ENTER, kinds=(ObjectKind.CAR,))
    line = Line("middle", (0.5, 0.0), (0.5, 1.0), alarm=False)
    rules, told = watch(CameraSettings(zones=(zone,), lines=(line,)))
    assert rules.wants_objects
    for step in range(30):
        rules.found(1_000 + 200 * step, objects(at(0.1 + 0.027 * step)), WHOLE)
    entered = [one for one in told if one.kind == "object_in_zone"]
    assert [(one.cleared, one.alarm, one.rule) for one in entered] == [(False, True, "yard"), (True, True, "yard")]
    assert entered[0].note == "car enter"
    (crossed,) = (one for one in told if one.kind == "line_crossed")
    assert (crossed.rule, crossed.alarm, crossed.cleared) == ("middle", False, False)
    assert crossed.note.startswith("car ")


def test_who_stays_is_told_also_when_nothing_moves_any_more() -> None:
    rules, told = watch(CameraSettings(zones=(Zone("yard", RIGHT, ZoneRule.STAY, stay_s=5.0),)))
    for step in range(20):
        rules.found(1_000 + 200 * step, objects(at(0.3 + 0.02 * step)), WHOLE)
    assert not told
    for time_ms in range(5_000, 12_000, 1_000):
        rules.pass_time(time_ms)
    assert [one.cleared for one in told] == [False, True]
    assert told[0].note.startswith("car stay")


@pytest.mark.parametrize(
    ("given_settings", "wanted"),
    [
        (CameraSettings(), False),
        (CameraSettings(objects=True), True),
        (ZONES, False),
        (CameraSettings(zones=(Zone("z", LEFT, ZoneRule.COUNT, max_count=2),)), True),
        (CameraSettings(lines=(Line("l", (0, 0), (1, 1)),)), True),
    ],
)
def test_whether_a_detector_has_anything_to_do(given_settings: CameraSettings, *, wanted: bool) -> None:
    assert watch(given_settings)[0].wants_objects is wanted


def test_maps_of_zones_and_of_what_is_not_judged() -> None:
    rules, _ = watch(replace(ZONES, ignore=(LEFT,), masks=(RIGHT,)))
    labels, ignored = rules.zone_labels, rules.ignored
    assert labels is not None
    assert ignored is not None
    assert labels.shape == ignored.shape == (THUMB_HEIGHT_PX, THUMB_WIDTH_PX)
    assert (labels[50, 10], labels[50, 180]) == (1, 2)
    assert ignored[50, 10]
    assert ignored[50, 180]
    plain, _ = watch(CameraSettings())
    assert plain.zone_labels is None
    assert plain.ignored is None
