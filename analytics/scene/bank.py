"""The scene core: thumbnails of many cameras in, motion, lighting, stillness and health out, all cameras in one step.

Invariants: a camera's outcome depends on its own pictures and their times alone, bit for bit, and not on who is stepped
beside it, in which order or in how many steps. Time constants are seconds of the pictures' own time at any frame rate; its
jumps move nothing. No size but the given capacity: memory does not grow. It keeps no picture for others and decodes nothing.
Not to be called by two threads at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.scene.ages import Ages
from analytics.scene.areas import label_map, motion_boxes
from analytics.scene.events import Events
from analytics.scene.health import HealthBank, StreamColumns
from analytics.scene.limits import SceneLimits
from analytics.scene.motion import CHUNK, Masks, MotionPlanes, Planes, enlarged

__all__ = ["MAX_ZONES", "SceneBank", "SceneLimits", "SceneStep", "StreamColumns", "label_map", "motion_boxes"]

Luma = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]

#: Zones of one camera that are told apart.
MAX_ZONES = 32
DEFAULT_LIMITS = SceneLimits()
_NEVER_MS = np.iinfo(np.int64).min // 4


@dataclass(frozen=True, slots=True)
class SceneStep:
    """What a step says; columns of the step's order. `masks` are overwritten by the next step.

    Attributes:
        rows: int32 (n,), as given.
        motion_px: int32 (n,), pixels of the thumbnail in motion.
        moving: bool (n,), whether they are enough, in this picture.
        motion: bool (n,), whether a motion event is on; started, ended: bool (n,), whether it changed with this picture.
        lighting: bool (n,), the light changed with this picture.
        still: bool (n,), no motion for `still_after_s`.
        zone_px: int32 (n, MAX_ZONES + 1), pixels in motion by label; 0 is outside of zones.
        zone_motion: bool (n, MAX_ZONES + 1), whether a motion event is on there; by the same times as `motion`.
        masks: gives uint8 (H, W) of each picture, 255 where there is motion, else 0.
        health, health_raised, health_cleared: uint16 (n,), bits of `model.camera.Health` that hold, that began to with this
            picture, that ended.
        learning: bool (n,), the background is not known yet; no motion is told.
    """

    rows: Rows
    motion_px: npt.NDArray[np.int32]
    moving: Bools
    motion: Bools
    started: Bools
    ended: Bools
    lighting: Bools
    still: Bools
    zone_px: npt.NDArray[np.int32]
    zone_motion: Bools
    masks: Masks
    health: npt.NDArray[np.uint16]
    health_raised: npt.NDArray[np.uint16]
    health_cleared: npt.NDArray[np.uint16]
    learning: Bools


class SceneBank:
    """Scenes of up to `capacity` cameras, one a row.

    Args:
        capacity: rows, all reserved now (about 46 KiB each at 192 by 108).
        limits: thresholds.
        height_px, width_px: of the thumbnails, multiples of 6.

    Raises:
        ValueError: a size that is no multiple of 6, or no row.
    """

    def __init__(
        self, capacity: int, *, limits: SceneLimits = DEFAULT_LIMITS, height_px: int = 108, width_px: int = 192
    ) -> None:
        if capacity < 1 or height_px < 24 or width_px < 24 or height_px % 6 or width_px % 6:
            raise ValueError("a bank has at least 1 row, and thumbnails whose sides are multiples of 6 from 24 px on")
        self._limits = limits
        self._shape = (height_px, width_px)
        self._motion = MotionPlanes(capacity, limits, height_px, width_px)
        self._health = HealthBank(capacity, limits, height_px, width_px)
        self._ages = Ages(capacity, round(limits.max_gap_s * 1000))
        self._masks = np.zeros((capacity, height_px // 2, width_px // 2), np.uint8)
        self._labels: list[Luma | None] = [None] * capacity
        self._zoned = np.zeros(capacity, np.bool_)
        self._zone_area = np.zeros((capacity, MAX_ZONES + 1), np.int64)
        self._min_px = np.full(capacity, limits.min_motion_px, np.int64)
        self._smear_px = max(4, round(limits.smear_min_share * height_px * width_px))
        self._smeared = np.zeros(capacity, np.bool_)
        self._last_px = np.zeros(capacity, np.int32)
        self._begun = np.zeros(capacity, np.bool_)
        self._turned_ms = np.zeros(capacity, np.int64)
        self._lit_ms = np.full(capacity, _NEVER_MS, np.int64)
        self._credit = np.zeros(capacity, np.float64)
        self._events = Events((capacity,), limits)
        self._zone_events = Events((capacity, MAX_ZONES + 1), limits)

    @property
    def capacity(self) -> int:
        """Rows."""
        return len(self._begun)

    def set_camera(self, row: int, *, sensitivity: float, zones: Luma | None, ignore: Bools | None) -> None:
        """Settings of one camera; what was learnt of it stays.

        Args:
            row: which.
            sensitivity: 0 (blind) to 1; beyond that it is taken to the nearer end.
            zones: uint8 (H, W), 0 none, 1..MAX_ZONES (others count as none); None: no zones. See `label_map`.
            ignore: bool (H, W), where nothing is motion and nothing is judged.

        Raises:
            ValueError: a map of another shape.
        """
        for plane in (zones, ignore):
            if plane is not None and plane.shape != self._shape:
                raise ValueError(f"a map is {plane.shape}, not {self._shape}")
        given = 0.5 if math.isnan(sensitivity) else min(1.0, max(0.0, sensitivity))
        span = self._limits.sensitivity_span ** (1 - 2 * given)
        levels = self._limits.change_levels * span if given > 0 else math.inf
        self._motion.set_threshold(row, levels, ignore)
        self._health.set_ignored(row, ignore)
        self._min_px[row] = max(4, round(self._limits.min_motion_px * span))
        labels = None
        if zones is not None:
            labels = np.where(zones <= MAX_ZONES, zones, 0).astype(np.uint8)
            self._zone_area[row] = np.bincount(labels.ravel(), minlength=MAX_ZONES + 1)
        self._labels[row], self._zoned[row] = labels, labels is not None

    def reset(self, row: int) -> None:
        """Learn a camera anew: it has come back with other parameters, or the row has another camera. Its settings stay."""
        self._ages.reset(row)
        self._health.reset(row)
        self._begun[row] = False
        self._smeared[row] = False
        self._last_px[row] = 0
        self._turned_ms[row] = 0
        self._lit_ms[row] = _NEVER_MS
        self._credit[row] = 0
        self._events.reset(row)
        self._zone_events.reset(row)

    def step(self, rows: Rows, luma: Luma, time_ms: Ints, stream: StreamColumns | None = None) -> SceneStep:
        """Look at one new picture of each of these cameras.

        Args:
            rows: int32 (n,), each row at most once.
            luma: uint8 (n, H, W), their thumbnails.
            time_ms: int64 (n,), when they were taken, UTC ms.
            stream: what is known of their streams; None: nothing.

        Raises:
            ValueError: columns that do not fit together, or a row twice or out of range.
        """
        rows = np.ascontiguousarray(rows, np.int32)
        luma = np.ascontiguousarray(luma, np.uint8)
        n = len(rows)
        if luma.shape != (n, *self._shape) or time_ms.shape != (n,):
            raise ValueError(f"{n} rows with pictures {luma.shape} and times {time_ms.shape}")
        if n and (rows.min() < 0 or rows.max() >= self.capacity or not _once(rows)):
            raise ValueError("a row is there twice or is not in the bank")
        went_ms = self._ages.step(rows, time_ms.astype(np.int64))
        motion_px, lighting = np.zeros(n, np.int32), np.zeros(n, np.bool_)
        zone_px = np.zeros((n, MAX_ZONES + 1), np.int32)
        smeared = np.zeros(n, np.bool_)
        for first in range(0, n, CHUNK):
            part = slice(first, min(n, first + CHUNK))
            found = self._look(rows[part], luma[part], went_ms[part], self._masks[part])
            motion_px[part], lighting[part], zone_px[part], smeared[part] = found
        age_ms = self._ages.age_ms[rows]
        learning = (age_ms < self._limits.learn_s * 1000) | (self._ages.pictures[rows] < self._limits.learn_pictures)
        moving = (motion_px >= self._min_px[rows]) & ~learning
        was = self._events.on[rows]
        on = self._events.step(rows, age_ms, moving)
        health, raised, cleared = self._health.step(rows, luma, age_ms, smeared, stream)
        return SceneStep(
            rows=rows,
            motion_px=motion_px,
            moving=moving,
            motion=on,
            started=on & ~was,
            ended=was & ~on,
            lighting=lighting,
            still=self._events.quiet_for_ms(rows, age_ms) >= self._limits.still_after_s * 1000,
            zone_px=zone_px,
            zone_motion=self._by_zone(rows, age_ms, moving, on, zone_px),
            masks=Masks(self._masks[:n]),
            health=health,
            health_raised=raised,
            health_cleared=cleared,
            learning=learning,
        )

    def _look(
        self, rows: Rows, luma: Luma, went_ms: Ints, mask: Luma
    ) -> tuple[npt.NDArray[np.int32], Bools, npt.NDArray[np.int32], Bools]:
        """Pixels in motion, lighting changes, pixels by zone, smears of up to CHUNK cameras; draws their masks."""
        core, limits = self._motion, self._limits
        planes, small, copied = core.stack(rows, luma)
        fresh = ~self._begun[rows]
        if fresh.any():
            core.begin(planes, small, fresh)
            self._begun[rows] = True
        age_ms = self._ages.age_ms[rows]
        turns = age_ms - self._turned_ms[rows] >= limits.recent_s * 1000
        if turns.any():
            core.turn(planes, small, turns)
            self._turned_ms[rows[turns]] = age_ms[turns]
        lit = core.relight(planes, small)
        motion_px = core.find(planes, small, mask)
        if turns.any():
            core.learn_noise(planes, turns)
        self._lit_ms[rows[lit]] = age_ms[lit]
        smeared, zone_px = np.zeros(len(rows), np.bool_), np.zeros((len(rows), MAX_ZONES + 1), np.int32)
        # Damage comes all at once, and stays.
        sudden = motion_px - self._last_px[rows] >= self._smear_px
        for at in np.flatnonzero(sudden | self._smeared[rows]).tolist():
            smeared[at] = core.smeared(planes, small, at)
        self._smeared[rows], self._last_px[rows] = smeared, motion_px
        core.forget(planes, smeared)
        self._follow(rows, planes, small, went_ms, age_ms, smeared)
        mask[smeared], motion_px[smeared] = 0, 0
        zone_px[:, 0] = motion_px
        for at in np.flatnonzero(motion_px).tolist():
            labels = self._labels[rows[at]]
            if labels is not None:
                zone_px[at] = np.bincount(labels[enlarged(mask[at]) > 0], minlength=MAX_ZONES + 1)
        if copied:
            core.put_back(rows, planes)
        return motion_px, lit, zone_px, smeared

    def _follow(self, rows: Rows, planes: Planes, small: Luma, went_ms: Ints, age_ms: Ints, smeared: Bools) -> None:
        """Let the background follow by what time allows; parts of a level are kept for the next time."""
        limits = self._limits
        fast = (age_ms <= limits.learn_s * 1000) | (self._ages.pictures[rows] <= limits.learn_pictures)
        fast |= age_ms - self._lit_ms[rows] <= limits.lighting_hold_s * 1000
        rate = np.where(fast, limits.follow_fast_levels_per_s, limits.follow_levels_per_s)
        credit = np.minimum(self._credit[rows] + rate * went_ms / 1000, float(limits.follow_max_levels))
        credit[smeared] = 0.0
        whole = np.floor(credit)
        self._credit[rows] = credit - whole
        if whole.any():
            self._motion.follow(planes, small, whole.astype(np.uint8))

    def _by_zone(self, rows: Rows, age_ms: Ints, moving: Bools, motion: Bools, zone_px: npt.NDArray[np.int32]) -> Bools:
        """Whether motion events are on, (n, MAX_ZONES + 1); without zones all motion is outside of them."""
        on = np.zeros(zone_px.shape, np.bool_)
        on[:, 0] = motion
        at = np.flatnonzero(self._zoned[rows])
        if len(at):
            some = rows[at]
            # A zone smaller than the least motion is full of it at a quarter of its area.
            least = np.minimum(self._min_px[some, None], np.maximum(4, self._zone_area[some] // 4))
            now = moving[at, None] & (zone_px[at] >= least)
            on[at] = self._zone_events.step(some, age_ms[at, None], now)
        return on


def _once(rows: Rows) -> bool:
    """Whether no row is there twice; quick where they ascend."""
    return bool((rows[1:] > rows[:-1]).all()) or len(np.unique(rows)) == len(rows)
