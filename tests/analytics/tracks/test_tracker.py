"""The tracker: ids that stay with their objects, at any frame rate, and are never used again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.tracks.tracker import Tracker, TrackLimits, _pairs
from analytics.tracks.tracks import Tracks
from model.camera import OBJECT_CODE, ObjectKind

PERSON, CAR, TRUCK = (OBJECT_CODE[kind] for kind in (ObjectKind.PERSON, ObjectKind.CAR, ObjectKind.TRUCK))


def see(tracker: Tracker, time_ms: int, *boxes: tuple[float, float, float, float], **more: Any) -> Tracks:
    """One picture with these boxes (left, top, width, height)."""
    box = np.array(boxes, np.float32).reshape(-1, 4)
    box[:, 2:] += box[:, :2]
    kind = np.array(more.pop("kinds", [PERSON] * len(boxes)), np.uint8)
    score = np.array(more.pop("scores", [0.8] * len(boxes)), np.float32)
    return tracker.update(time_ms, box, score, kind, **more)


def test_an_object_is_nobody_until_it_was_seen_often_enough() -> None:
    tracker = Tracker()
    ids = [see(tracker, at * 100, (0.1 + at * 0.01, 0.3, 0.1, 0.3)).id.tolist() for at in range(4)]
    assert ids == [[-1], [-1], [1], [1]]
    slow = Tracker()
    assert see(slow, 0, (0.1, 0.3, 0.1, 0.3)).id.tolist() == [-1]
    assert see(slow, 2000, (0.15, 0.3, 0.1, 0.3)).id.tolist() == [1]


@pytest.mark.parametrize("fps", [0.5, 1, 4, 15])
def test_a_walker_keeps_the_id_at_any_frame_rate(fps: float) -> None:
    tracker = Tracker()
    seen: set[int] = set()
    for at in range(int(8 * fps) + 3):
        second = at / fps
        tracks = see(tracker, round(second * 1000), (0.05 + 0.07 * second, 0.3, 0.1, 0.3))
        assert len(tracks) == 1
        seen.update(tracks.id.tolist())
    assert seen <= {-1, 1}
    assert 1 in seen


def test_two_who_pass_each_other_keep_their_ids_by_their_velocity() -> None:
    tracker = Tracker()
    # One goes right, one left, on two lanes that overlap a little.
    for at in range(30):
        tracks = see(tracker, at * 200, (0.1 + 0.02 * at, 0.30, 0.08, 0.3), (0.8 - 0.02 * at, 0.38, 0.08, 0.3))
        if at == 5:
            first = dict(zip(tracks.id.tolist(), tracks.box[:, 1].round(2).tolist(), strict=True))
    last = dict(zip(tracks.id.tolist(), tracks.box[:, 1].round(2).tolist(), strict=True))
    assert first == last
    assert sorted(last) == [1, 2]


def test_lost_is_a_matter_of_time_and_ids_are_not_used_again() -> None:
    tracker = Tracker()
    for at in range(5):
        see(tracker, at * 200, (0.4, 0.4, 0.1, 0.3))
    assert see(tracker, 3600).id.tolist() == [1]  # 2.0 s of a long gap count
    assert see(tracker, 4400).id.tolist() == [1]
    assert see(tracker, 4900).id.tolist() == []
    for at in range(5):
        tracks = see(tracker, 5000 + at * 200, (0.4, 0.4, 0.1, 0.3))
    assert tracks.id.tolist() == [2]


def test_who_was_seen_once_is_forgotten_soon() -> None:
    tracker = Tracker()
    see(tracker, 0, (0.4, 0.4, 0.1, 0.3))
    assert len(see(tracker, 900)) == 1
    assert len(see(tracker, 1100)) == 0


def test_what_is_not_looked_at_is_not_lost() -> None:
    tracker = Tracker()
    for at in range(5):
        see(tracker, at * 200, (0.1, 0.4, 0.1, 0.3), (0.7, 0.4, 0.1, 0.3))
    for at in range(50):
        tracks = see(tracker, 1000 + at * 200, (0.7, 0.4, 0.1, 0.3), looked=(0.5, 0.0, 1.0, 1.0))
    assert tracks.id.tolist() == [1, 2]
    assert tracks.seen.tolist() == [False, True]
    assert tracks.unseen_s.tolist() == pytest.approx([10.0, 0.0])
    assert tracker.now(60_700).id.tolist() == [1, 2]
    assert tracker.now(61_000).id.tolist() == [2]


def test_a_person_never_becomes_a_car_but_a_car_may_be_called_a_truck_for_once() -> None:
    tracker = Tracker()
    for at in range(4):
        see(tracker, at * 200, (0.4, 0.4, 0.2, 0.2), kinds=[CAR])
    tracks = see(tracker, 800, (0.4, 0.4, 0.2, 0.2), kinds=[TRUCK])
    assert (tracks.id.tolist(), tracks.kind.tolist()) == ([1], [CAR])
    tracks = see(tracker, 1000, (0.4, 0.4, 0.2, 0.2), kinds=[PERSON])
    assert tracks.id.tolist() == [1, -1]


def test_a_second_box_on_one_object_is_no_second_object() -> None:
    tracker = Tracker()
    for at in range(6):
        tracks = see(
            tracker, at * 200, (0.4, 0.4, 0.2, 0.2), (0.41, 0.4, 0.2, 0.2), kinds=[CAR, TRUCK], scores=[0.8, 0.5]
        )
        assert len(tracks) == 1
    assert tracks.id.tolist() == [1]


def test_time_that_goes_back_a_little_is_no_time_and_a_lot_begins_anew() -> None:
    tracker = Tracker()
    for at in range(5):
        see(tracker, 10_000 + at * 200, (0.4, 0.4, 0.1, 0.3))
    assert see(tracker, 10_500, (0.4, 0.4, 0.1, 0.3)).id.tolist() == [1]
    for at in range(5):
        tracks = see(tracker, at * 200, (0.4, 0.4, 0.1, 0.3))
    assert tracks.id.tolist() == [2]
    assert np.isfinite(tracks.box).all()


def test_boxes_that_are_none_and_more_than_there_is_room_for_are_left_out() -> None:
    tracker = Tracker(TrackLimits(max_tracks=3))
    nan = float("nan")
    many = [(0.1 * at, 0.1, 0.02, 0.02) for at in range(8)]
    tracks = see(tracker, 0, (nan, 0.1, 0.1, 0.1), *many, scores=[0.99] + [0.1 * at for at in range(8)])
    assert len(tracks) == 3
    assert sorted(tracks.score.round(1).tolist()) == [0.5, 0.6, 0.7]
    assert len(see(Tracker(), 0, (0.1, 0.1, 0.1, 0.1), kinds=[200])) == 0


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_whatever_comes_ids_are_one_each_and_grow(seed: int) -> None:
    random = np.random.default_rng(seed)
    tracker = Tracker(TrackLimits(max_tracks=20))
    newest, time_ms = 0, 0
    for _ in range(25):
        count = int(random.integers(0, 12))
        low = random.random((count, 2)) * 0.8
        box = np.concatenate((low, low + random.random((count, 2)) * 0.2), axis=1).astype(np.float32)
        kind = random.integers(0, 9, count).astype(np.uint8)
        time_ms += int(random.integers(-50, 3000))
        tracks = tracker.update(time_ms, box, random.random(count).astype(np.float32), kind)
        ids = tracks.id[tracks.id > 0]
        assert len(set(ids.tolist())) == len(ids) <= len(tracks) <= 20
        assert ((tracks.id == -1) | (tracks.id >= 1)).all()
        new = ids[ids > newest]
        newest = max([newest, *ids.tolist()])
        assert new.tolist() == sorted(new.tolist())
        assert (tracks.age_s >= 0).all()


@settings(max_examples=100)
@given(st.integers(0, 7), st.integers(0, 7), st.integers(0, 2**32 - 1))
def test_pairs_are_those_of_the_plain_greedy_walk(rows: int, columns: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    affinity = np.where(random.random((rows, columns)) < 0.3, -np.inf, random.random((rows, columns)))
    if not rows or not columns:
        return
    left, plain = affinity.copy(), set()
    while left.max() > -np.inf:
        row, column = np.unravel_index(left.argmax(), left.shape)
        plain.add((int(row), int(column)))
        left[row], left[:, column] = -np.inf, -np.inf
    assert set(zip(*(side.tolist() for side in _pairs(affinity)), strict=True)) == plain
