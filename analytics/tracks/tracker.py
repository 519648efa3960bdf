"""`Tracker`: which box is which object, for the pictures of one camera as they come, from 0.5 to 15 a second.

Purpose: ids that stay with an object. Invariants: an id is given when an object is confirmed, and never again; a box is
of at most one object and an object has at most one box; all limits are of time, not of pictures; memory is bounded by
`max_tracks`. What is not looked at does not get lost: where the detector sees crops alone, an object outside of the crop
waits for `hidden_s`. It keeps columns and no object per track, so that thousands of cameras cost their rows.

Boxes go to objects by falling affinity (overlap, nearness, being confirmed), which is the greedy walk; it is walked in
rounds of pairs that are each other's best, many at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.detect.overlap import overlap, thin
from analytics.tracks.tracks import NO_ID, Bools, Codes, Floats, Ints, Tracks
from model.camera import OBJECT_CODE, ObjectKind

#: The whole picture, as fractions.
WHOLE = (0.0, 0.0, 1.0, 1.0)
#: Kinds that one object may be taken for by turns. A person never becomes a car.
GROUPS: tuple[tuple[ObjectKind, ...], ...] = (
    (ObjectKind.PERSON,),
    (ObjectKind.BICYCLE, ObjectKind.MOTORCYCLE),
    (ObjectKind.CAR, ObjectKind.BUS, ObjectKind.TRUCK),
)
_GROUP = np.zeros(max(OBJECT_CODE.values()) + 1, np.int8)
for _number, _kinds in enumerate(GROUPS, 1):
    _GROUP[[OBJECT_CODE[_kind] for _kind in _kinds]] = _number

#: What nearness is worth beside overlap, and being confirmed beside both.
_NEAR_WORTH, _CONFIRMED_WORTH = 0.5, 0.2
#: Boxes of one group that overlap more are one object: car and truck at once.
_TWIN_IOU = 0.7
#: How much of a new velocity counts.
_VELOCITY_SHARE = 0.5
#: Time going back by more starts anew: a file that begins again, a clock that was set.
_BACK_MS = 1_000


@dataclass(frozen=True, slots=True)
class TrackLimits:
    """When a box is the same object, and when an object is one.

    Attributes:
        confirm_hits: boxes after which it is confirmed; two do once they are `confirm_s` apart.
        confirm_s: see there.
        lost_s: looked at for so long and not found: gone. tentative_s: … before it was confirmed.
        max_step_s: the most that one look counts for in these: a detector misses now and then.
        hidden_s: neither found nor looked at for so long: gone.
        near: centres farther apart than this many mean diagonals are not the same object, at once; near_per_s: and after
            a second without a picture; near_max: and at most.
        min_iou: overlap that is enough by itself.
        max_predict_s: how far its velocity is trusted.
        max_tracks: objects at a time; the rest of the boxes is left out, lowest scores first.
        aspect: width of the picture by its height.
    """

    confirm_hits: int = 3
    confirm_s: float = 1.0
    lost_s: float = 3.0
    tentative_s: float = 1.0
    max_step_s: float = 2.0
    hidden_s: float = 60.0
    near: float = 0.5
    near_per_s: float = 1.0
    near_max: float = 2.0
    min_iou: float = 0.1
    max_predict_s: float = 1.0
    max_tracks: int = 256
    aspect: float = 16 / 9


class Tracker:
    """The objects of one camera. One thread.

    Args:
        limits: see there.
    """

    def __init__(self, limits: TrackLimits = TrackLimits()) -> None:
        self._limits = limits
        self._next_id = 1
        self._time_ms: int | None = None
        self._clear()

    def update(
        self,
        time_ms: int,
        box: npt.NDArray[np.float32],
        score: npt.NDArray[np.float32],
        kind: Codes,
        *,
        looked: tuple[float, float, float, float] = WHOLE,
    ) -> Tracks:
        """Take what the detector found in one picture.

        Args:
            time_ms: when it was taken, UTC ms. An older one than the last counts as of the same time.
            box: (n, 4) left, top, right, bottom, fractions of the whole picture.
            score: (n,) 0..1.
            kind: (n,) codes of `OBJECT_CODE`; others are left out.
            looked: the part of the picture that the detector saw, fractions.
        """
        step_s = self._pass(time_ms)
        places, scores = box.astype(np.float64), score.astype(np.float64)
        good = np.flatnonzero(np.isfinite(places).all(axis=1) & (kind > 0) & (kind < len(_GROUP)))
        good = good[_single(places[good], scores[good], kind[good], self._limits.max_tracks)]
        found, found_score, found_kind = places[good], scores[good], kind[good]
        track, detection = self._match(found, found_kind)
        self._take(track, found[detection], found_score[detection], found_kind[detection])
        self._miss(track, step_s, looked)
        self._begin(found, found_score, found_kind, detection)
        self._confirm()
        return self._tracks()

    def now(self, time_ms: int) -> Tracks:
        """The objects at a later time at which nothing was looked at: for rules that wait."""
        self._pass(time_ms)
        self._seen[:] = False
        self._miss(np.empty(0, np.int64), 0.0, None)
        return self._tracks()

    def _clear(self) -> None:
        self._id = np.empty(0, np.int64)
        self._box = np.empty((0, 4))
        self._first_box = np.empty((0, 4))
        self._velocity = np.empty((0, 2))
        self._votes = np.empty((0, len(_GROUP)), np.float32)
        self._group = np.empty(0, np.int8)
        self._hits = np.empty(0, np.int64)
        self._first_ms = np.empty(0, np.int64)
        self._seen_ms = np.empty(0, np.int64)
        self._missed_s = np.empty(0)
        self._score = np.empty(0)
        self._seen = np.empty(0, np.bool_)

    def _pass(self, time_ms: int) -> float:
        """Let time go on; seconds since the last picture."""
        last_ms = time_ms if self._time_ms is None else self._time_ms
        if time_ms < last_ms - _BACK_MS:
            self._clear()
            last_ms = time_ms
        self._time_ms = max(time_ms, last_ms)
        return (self._time_ms - last_ms) / 1000

    def _match(self, found: Floats, kind: Codes) -> tuple[Ints, Ints]:
        """Places of objects and of the boxes that are theirs, pair by pair."""
        limits = self._limits
        if not len(found) or not len(self._box):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        unseen_s = (self._now_ms() - self._seen_ms) / 1000
        shift = self._velocity * np.minimum(unseen_s, limits.max_predict_s)[:, None]
        expected = self._box + np.tile(shift, 2)
        iou = overlap(expected, found)
        apart = _apart(expected, found, limits.aspect)
        gate = np.minimum(limits.near + limits.near_per_s * unseen_s, limits.near_max)[:, None]
        may = (self._group[:, None] == _GROUP[kind][None, :]) & ((iou >= limits.min_iou) | (apart <= gate))
        affinity = iou + _NEAR_WORTH * np.maximum(1 - apart / gate, 0)
        affinity += _CONFIRMED_WORTH * (self._id > 0)[:, None]
        return _pairs(np.where(may, affinity, -np.inf))

    def _take(self, track: Ints, found: Floats, score: Floats, kind: Codes) -> None:
        passed_s = (self._now_ms() - self._seen_ms[track]) / 1000
        moved = (found[:, :2] + found[:, 2:] - self._box[track, :2] - self._box[track, 2:]) / 2
        # Two pictures of one time say nothing of speed.
        timed = passed_s > 0
        share = np.where(self._hits[track] > 1, _VELOCITY_SHARE, 1.0)[:, None]
        speed = moved / np.where(timed, passed_s, 1.0)[:, None]
        old = self._velocity[track]
        self._velocity[track] = np.where(timed[:, None], old + share * (speed - old), old)
        self._box[track] = found
        self._votes[track, kind] += score.astype(np.float32)
        self._hits[track] += 1
        self._seen_ms[track] = self._now_ms()
        self._missed_s[track] = 0.0
        self._score[track] = score
        self._seen[:] = False
        self._seen[track] = True

    def _miss(self, track: Ints, step_s: float, looked: tuple[float, float, float, float] | None) -> None:
        """Objects that are not among `track` were looked for in `looked`, or not at all; drop those that are gone."""
        limits = self._limits
        missing = np.ones(len(self._id), np.bool_)
        missing[track] = False
        if looked is not None:
            center = (self._box[:, :2] + self._box[:, 2:]) / 2
            within = (center >= np.array(looked[:2])).all(axis=1) & (center <= np.array(looked[2:])).all(axis=1)
            self._missed_s[missing & within] += min(step_s, limits.max_step_s)
        patience_s = np.where(self._id > 0, limits.lost_s, limits.tentative_s)
        hidden_s = (self._now_ms() - self._seen_ms) / 1000
        self._keep(~missing | ((self._missed_s <= patience_s) & (hidden_s <= limits.hidden_s)))

    def _begin(self, found: Floats, score: Floats, kind: Codes, taken: Ints) -> None:
        """New objects, of the boxes that are nobody's."""
        new = np.ones(len(found), np.bool_)
        new[taken] = False
        rows = np.flatnonzero(new)[: max(0, self._limits.max_tracks - len(self._id))]
        count, now_ms = len(rows), self._now_ms()
        votes = np.zeros((count, len(_GROUP)), np.float32)
        votes[np.arange(count), kind[rows]] = score[rows]
        self._id = np.append(self._id, np.full(count, NO_ID, np.int64))
        self._box = np.concatenate((self._box, found[rows]))
        self._first_box = np.concatenate((self._first_box, found[rows]))
        self._velocity = np.concatenate((self._velocity, np.zeros((count, 2))))
        self._votes = np.concatenate((self._votes, votes))
        self._group = np.append(self._group, _GROUP[kind[rows]])
        self._hits = np.append(self._hits, np.ones(count, np.int64))
        self._first_ms = np.append(self._first_ms, np.full(count, now_ms, np.int64))
        self._seen_ms = np.append(self._seen_ms, np.full(count, now_ms, np.int64))
        self._missed_s = np.append(self._missed_s, np.zeros(count))
        self._score = np.append(self._score, score[rows])
        self._seen = np.append(self._seen, np.ones(count, np.bool_))

    def _confirm(self) -> None:
        limits = self._limits
        age_s = (self._seen_ms - self._first_ms) / 1000
        often = (self._hits >= limits.confirm_hits) | ((self._hits > 1) & (age_s >= limits.confirm_s))
        new = np.flatnonzero(often & (self._id == NO_ID))
        self._id[new] = self._next_id + np.arange(len(new))
        self._next_id += len(new)

    def _keep(self, rows: Bools) -> None:
        if rows.all():
            return
        self._id, self._box, self._velocity = self._id[rows], self._box[rows], self._velocity[rows]
        self._first_box = self._first_box[rows]
        self._votes, self._group, self._hits = self._votes[rows], self._group[rows], self._hits[rows]
        self._first_ms, self._seen_ms = self._first_ms[rows], self._seen_ms[rows]
        self._missed_s, self._score, self._seen = self._missed_s[rows], self._score[rows], self._seen[rows]

    def _now_ms(self) -> int:
        assert self._time_ms is not None
        return self._time_ms

    def _tracks(self) -> Tracks:
        now_ms = self._now_ms()
        return Tracks(
            time_ms=now_ms,
            id=self._id.copy(),
            box=self._box.copy(),
            first_box=self._first_box.copy(),
            kind=self._votes.argmax(axis=1).astype(np.uint8),
            confirmed=self._id > 0,
            seen=self._seen.copy(),
            score=self._score.copy(),
            age_s=(now_ms - self._first_ms) / 1000,
            unseen_s=(now_ms - self._seen_ms) / 1000,
        )


def _single(box: Floats, score: Floats, kind: Codes, most: int) -> Ints:
    """Places of the boxes, best first, without second boxes on one object."""
    one = np.zeros(len(box), np.int64)
    group = _GROUP[kind].astype(np.uint8)
    return thin(one, box, score, group, same_iou=_TWIN_IOU, other_iou=1.0, max_candidates=most)


def _apart(first: Floats, second: Floats, aspect: float) -> Floats:
    """(n, m) distance of the centres of boxes in mean diagonals of the two, both as long as they are in the picture."""
    square = np.array([aspect, 1.0, aspect, 1.0])
    one, other = first * square, second * square
    between = (one[:, None, :2] + one[:, None, 2:] - other[None, :, :2] - other[None, :, 2:]) / 2
    diagonal = np.hypot(*(one[:, 2:] - one[:, :2]).T)
    other_diagonal = np.hypot(*(other[:, 2:] - other[:, :2]).T)
    mean = (diagonal[:, None] + other_diagonal[None, :]) / 2
    apart: Floats = np.hypot(between[..., 0], between[..., 1]) / np.maximum(mean, 1e-9)
    return apart


def _pairs(affinity: Floats) -> tuple[Ints, Ints]:
    """Rows and columns of the greedy assignment by falling affinity; -inf may not be paired."""
    rows, columns = [], []
    left = affinity.copy()
    while True:
        best = left.argmax(axis=1)
        mine = np.arange(len(left))
        mutual = np.flatnonzero((left[mine, best] > -np.inf) & (left.argmax(axis=0)[best] == mine))
        if not len(mutual):
            break
        rows.append(mutual)
        columns.append(best[mutual])
        left[mutual] = -np.inf
        left[:, best[mutual]] = -np.inf
    empty = [np.empty(0, np.int64)]
    return np.concatenate(rows or empty), np.concatenate(columns or empty)
