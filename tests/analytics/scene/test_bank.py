"""The bank on drawn pictures: each camera alone, time, stopped objects, zones, ignored places, memory, bad input."""

from __future__ import annotations

import tracemalloc
from dataclasses import fields

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.scene.bank import MAX_ZONES, SceneBank, SceneLimits, SceneStep, label_map
from tests.analytics.scene.clips import WIDTH_PX, clean
from tests.analytics.scene.drawn import SHAPE, Luma, noisy, view, with_box
from tests.analytics.scene.marks import CARPARK, HALL

LIMITS = SceneLimits()


def one(bank: SceneBank, picture: Luma, time_ms: int) -> SceneStep:
    """Show one picture to row 0."""
    return bank.step(np.zeros(1, np.int32), picture[None], np.array([time_ms], np.int64))


def learnt(
    *, sensitivity: float = 0.5, ignore: npt.NDArray[np.bool_] | None = None, zones: Luma | None = None
) -> SceneBank:
    """A bank whose row 0 has looked at the still view for 3 s up to 3,000 ms."""
    bank = SceneBank(1)
    bank.set_camera(0, sensitivity=sensitivity, zones=zones, ignore=ignore)
    for at in range(31):
        assert not one(bank, noisy(view(), at), at * 100).motion[0]
    return bank


def drive(bank: SceneBank, *, from_ms: int = 3_100, level: int = 230) -> list[SceneStep]:
    """A box drives through the view at 40 px/s."""
    return [
        one(bank, noisy(with_box(view(), 4 * at - 10, level=level), at + 99), from_ms + at * 100) for at in range(50)
    ]


def test_a_box_that_drives_by_is_one_event() -> None:
    bank = learnt()
    steps = drive(bank)
    assert sum(step.started[0] for step in steps) == 1
    assert next(at for at, step in enumerate(steps) if step.started[0]) <= 6
    assert steps[25].moving[0]
    assert steps[25].motion[0]
    quiet = [one(bank, noisy(view(), 500 + at), 8_200 + at * 100) for at in range(30)]
    assert sum(step.ended[0] for step in quiet) == 1
    assert not quiet[-1].motion[0]


def test_the_mask_is_on_the_box() -> None:
    bank = learnt()
    step = drive(bank)[0]
    for at in range(20):
        step = one(bank, noisy(with_box(view(), 4 * at), at), 9_000 + at * 100)
    rows, columns = np.nonzero(step.masks.of(0))
    assert step.motion_px[0] == len(rows)
    assert rows.min() >= 38
    assert rows.max() <= 53
    assert columns.min() >= 72
    assert columns.max() <= 94


def test_what_stops_is_no_motion_and_becomes_background() -> None:
    bank = learnt()
    drive_in = [one(bank, noisy(with_box(view(), 4 * at), at), 3_100 + at * 100) for at in range(20)]
    assert drive_in[-1].motion[0]
    stopped = with_box(view(), 76)
    steps = [one(bank, noisy(stopped, 700 + at), 5_100 + at * 100) for at in range(400)]
    assert not any(step.motion[0] for step in steps[30:])
    # It drives off: motion, which ends; the place that it left is background again.
    away = [one(bank, noisy(with_box(view(), 76 + 4 * at), at), 45_100 + at * 100) for at in range(40)]
    assert any(step.started[0] for step in away)
    after = [one(bank, noisy(view(), 900 + at), 49_100 + at * 100) for at in range(60)]
    assert not after[-1].motion[0]


def test_stillness_is_said_after_its_time_and_ends_with_motion() -> None:
    bank = learnt()
    steps = [one(bank, noisy(view(), at), 3_100 + at * 500) for at in range(60)]
    first = next(at for at, step in enumerate(steps) if step.still[0])
    assert 3_100 + first * 500 == pytest.approx(LIMITS.still_after_s * 1000, abs=600)
    assert not drive(bank, from_ms=34_000)[25].still[0]


def test_ignored_places_and_blind_cameras_see_nothing() -> None:
    road = label_map([((0.0, 0.3), (1.0, 0.3), (1.0, 0.6), (0.0, 0.6))], *SHAPE) > 0
    assert not any(step.motion_px[0] for step in drive(learnt(ignore=road)))
    assert not any(step.motion_px[0] for step in drive(learnt(sensitivity=0.0)))


def test_more_sensitive_cameras_see_fainter_things() -> None:
    plain = np.full(SHAPE, 120, np.uint8)

    def sees(sensitivity: float) -> bool:
        bank = SceneBank(1)
        bank.set_camera(0, sensitivity=sensitivity, zones=None, ignore=None)
        steps = [one(bank, noisy(plain, at, 0.5), at * 100) for at in range(31)]
        steps += [one(bank, noisy(with_box(plain, 4 * at, level=131), at, 0.5), 3_100 + at * 100) for at in range(40)]
        return any(step.motion[0] for step in steps)

    assert sees(0.9)
    assert not sees(0.5)


def test_zones_have_their_own_motion() -> None:
    halves = label_map(
        [((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)), ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))], *SHAPE
    )
    steps = drive(learnt(zones=halves))
    assert steps[12].zone_motion[0, :3].tolist() == [False, True, False]
    assert steps[-1].zone_motion[0, :3].tolist() == [False, False, True]
    for step in steps:
        assert step.zone_px[0].sum() == step.motion_px[0]
        assert step.zone_px.shape == (1, MAX_ZONES + 1)


def test_without_zones_all_motion_is_outside() -> None:
    step = drive(learnt())[25]
    assert step.zone_motion[0].tolist() == [True] + [False] * MAX_ZONES
    assert step.zone_px[0, 0] == step.motion_px[0]


def test_reset_learns_anew_and_keeps_the_settings() -> None:
    bank = learnt(sensitivity=0.0)
    bank.reset(0)
    step = one(bank, view(9), 5_000)
    assert step.learning[0]
    assert not step.motion[0]
    assert not any(step.motion_px[0] for step in drive(bank, from_ms=6_000))


@pytest.mark.parametrize("jump_ms", [-86_400_000, 86_400_000, 0, -(2**62)])
def test_a_single_picture_stamped_wrongly_moves_nothing(jump_ms: int) -> None:
    bank = learnt()
    drive(bank)
    steps = [one(bank, noisy(with_box(view(), 100 + 2 * at), at), 8_100 + at * 100) for at in range(6)]
    assert steps[-1].motion[0]
    step = one(bank, noisy(with_box(view(), 112), 7), 8_700 + jump_ms)
    assert step.motion[0], "half a second cannot end it"
    assert not step.still[0]
    for at in range(20):
        step = one(bank, noisy(view(), at), 8_800 + at * 100)
    assert not step.motion[0]
    assert not step.still[0]


@pytest.mark.parametrize("gap_ms", [60, 200, 1000, 5000])
def test_time_constants_are_seconds_at_any_rate(gap_ms: int) -> None:
    bank = SceneBank(1)
    bank.set_camera(0, sensitivity=0.5, zones=None, ignore=None)
    time_ms = 0
    for _ in range(max(4, 4000 // gap_ms)):
        one(bank, noisy(view(), time_ms), time_ms)
        time_ms += gap_ms
    stopped = with_box(view(), 76)
    motion = [
        bool(one(bank, noisy(stopped, at), time_ms + at * gap_ms).motion[0]) for at in range(max(8, 12_000 // gap_ms))
    ]
    assert any(motion), "it came"
    assert not motion[-1], "it stands"


def _streams(count: int) -> list[tuple[Luma, npt.NDArray[np.int64]]]:
    found = []
    for camera in range(count):
        clip = clean(CARPARK if camera % 2 else HALL)
        begin = 37 * camera % 200 + 40
        found.append((clip.luma[begin : begin + 60], clip.time_ms[begin : begin + 60]))
    return found


def _columns(step: SceneStep, at: int) -> list[npt.NDArray[np.generic]]:
    names = [field.name for field in fields(SceneStep) if field.name not in {"rows", "masks"}]
    return [np.array(getattr(step, name)[at]) for name in names] + [step.masks.of(at)]


def _alone(stream: tuple[Luma, npt.NDArray[np.int64]]) -> list[list[npt.NDArray[np.generic]]]:
    bank = SceneBank(1)
    bank.set_camera(0, sensitivity=0.5, zones=None, ignore=None)
    row = np.zeros(1, np.int32)
    return [_columns(bank.step(row, stream[0][at][None], stream[1][at : at + 1]), 0) for at in range(40)]


@pytest.mark.parametrize("seed", [1, 2])
def test_neighbours_order_and_chunks_change_nothing(seed: int) -> None:
    print(f"seed {seed}")
    chance = np.random.default_rng(seed)
    count = 70  # more than one chunk
    streams = _streams(count)
    checked = (0, 1, 33, 64, 69)
    alone = {camera: _alone(streams[camera]) for camera in checked}
    bank = SceneBank(count + 3)
    rows_of = chance.permutation(count + 3)[:count]
    for row in rows_of.tolist():
        bank.set_camera(row, sensitivity=0.5, zones=None, ignore=None)
    for at in range(40):
        order = chance.permutation(count) if seed == 2 else np.argsort(rows_of)
        cut = int(chance.integers(0, count))
        for part in (order[:cut], order[cut:]):
            luma = (
                np.stack([streams[camera][0][at] for camera in part]) if len(part) else np.empty((0, *SHAPE), np.uint8)
            )
            time_ms = np.array([streams[camera][1][at] for camera in part], np.int64)
            step = bank.step(rows_of[part].astype(np.int32), luma, time_ms)
            for place, camera in enumerate(part.tolist()):
                if camera in checked:
                    for one_column, other in zip(_columns(step, place), alone[camera][at], strict=True):
                        np.testing.assert_array_equal(one_column, other)


@settings(max_examples=25)
@given(
    pictures=st.lists(
        st.tuples(st.sampled_from(["black", "white", "view", "noise", "box"]), st.integers(-(2**62), 2**62)),
        max_size=12,
    )
)
def test_any_pictures_at_any_times_are_taken(pictures: list[tuple[str, int]]) -> None:
    shown = {
        "black": np.zeros(SHAPE, np.uint8),
        "white": np.full(SHAPE, 255, np.uint8),
        "view": view(),
        "noise": np.random.default_rng(1).integers(0, 256, SHAPE, np.uint8),
        "box": with_box(view(), 70),
    }
    bank = SceneBank(1)
    bank.set_camera(0, sensitivity=1.0, zones=None, ignore=None)
    for name, time_ms in pictures:
        step = one(bank, shown[name], time_ms)
        assert 0 <= step.motion_px[0] <= SHAPE[0] * SHAPE[1]
        assert not (step.started[0] and step.ended[0])
        assert not (step.learning[0] and step.moving[0])


def test_memory_stays_flat() -> None:
    bank = SceneBank(8)
    rows = np.arange(8, dtype=np.int32)
    luma = np.stack([noisy(with_box(view(), 20 * at), at) for at in range(8)])

    def look(begin: int, count: int) -> int:
        for at in range(begin, begin + count):
            bank.step(rows, np.roll(luma, at, axis=0), np.full(8, at * 100, np.int64))
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first = look(0, 100)
        assert look(100, 300) <= first + 20_000
    finally:
        tracemalloc.stop()


def test_bad_input_is_refused() -> None:
    bank = SceneBank(2)
    luma = np.zeros((2, *SHAPE), np.uint8)
    time_ms = np.zeros(2, np.int64)
    for rows in ([0, 0], [0, 2], [-1, 0]):
        with pytest.raises(ValueError, match="twice or is not"):
            bank.step(np.array(rows, np.int32), luma, time_ms)
    with pytest.raises(ValueError, match="rows with pictures"):
        bank.step(np.array([0], np.int32), luma, time_ms)
    with pytest.raises(ValueError, match="a map is"):
        bank.set_camera(0, sensitivity=0.5, zones=np.zeros((10, WIDTH_PX), np.uint8), ignore=None)
    with pytest.raises(ValueError, match="multiples of 6"):
        SceneBank(1, height_px=100)
    assert len(bank.step(np.empty(0, np.int32), luma[:0], time_ms[:0]).rows) == 0
