"""What is wrong with the pictures and streams of many cameras: cells of each view against a slow reference of it.

The picture is cut into cells of 6 by 6 pixels; of each the mean and the detail (mean of the positive Laplacian) are compared
with the reference after gain and offset. Which share of the textured cells lost its detail, gained some, and which share of the
means changed tells a turned lens, a turned camera and a covered one apart.

Invariants: judged every `health_every_s` (`suspect_every_s` in doubt) of the camera's own time; a condition is said once it has held (`*_hold_s`), and is
gone once it has been gone (`clear_after_s`). The reference follows only a view that is not suspect. Nothing grows.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from analytics.scene.lighting import fit
from analytics.scene.limits import SceneLimits
from analytics.scene.motion import CHUNK
from analytics.scene.streams import StreamBank, StreamColumns
from model.camera import Health

__all__ = ["HealthBank", "StreamColumns"]

Luma = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Bits = npt.NDArray[np.uint16]
Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]

CELL_PX = 6
_FLAGS = tuple(Health)
_BIT = np.array([int(flag) for flag in _FLAGS], np.uint16)
_AT = {flag: at for at, flag in enumerate(_FLAGS)}
_STREAM = (Health.CORRUPTED, Health.LOW_FPS, Health.LOW_BITRATE, Health.LONG_KEYFRAME_GAP)
#: A cell of which less is judged is left out.
_JUDGED_SHARE = 0.9
_NEVER_MS = np.iinfo(np.int64).min // 4


@dataclass(frozen=True, slots=True)
class Compared:
    """Views against their references; float32 (n,), shares of the judged cells.

    Attributes:
        textured: cells of the reference with detail.
        lost, gained: textured cells without their detail; cells with detail that had none, both by the textured ones.
        soft: textured cells with clearly less detail, by the textured ones.
        changed: cells whose mean is another.
        detail: all detail by the reference's.
        alike: correlation of the means with the reference's, -1..1; it does not depend on the light.
    """

    textured: Floats
    lost: Floats
    soft: Floats
    gained: Floats
    changed: Floats
    detail: Floats
    alike: Floats


class HealthBank:
    """Health of up to `capacity` cameras.

    Args:
        capacity: rows. height_px, width_px: of the thumbnails, multiples of 6.
    """

    def __init__(self, capacity: int, limits: SceneLimits, height_px: int, width_px: int) -> None:
        self._limits = limits
        self._cells = (height_px // CELL_PX, width_px // CELL_PX)
        cells = self._cells[0] * self._cells[1]
        self._streams = StreamBank(capacity, limits)
        self._judged = np.ones((capacity, cells), np.bool_)
        self._mean = np.zeros((capacity, cells), np.float32)
        self._detail = np.zeros((capacity, cells), np.float32)
        self._samples = np.zeros(capacity, np.int64)
        self._sampled_ms = np.full(capacity, _NEVER_MS, np.int64)
        self._suspect_ms = np.full(capacity, _NEVER_MS, np.int64)
        self._hash = np.zeros((capacity, 2), np.uint64)
        self._same_ms = np.zeros(capacity, np.int64)
        self._same = np.zeros(capacity, np.int64)
        self._smeared = np.zeros(capacity, np.bool_)
        self._raw = np.zeros((capacity, len(_FLAGS)), np.bool_)
        self._since_ms = np.zeros((capacity, len(_FLAGS)), np.int64)
        self._held = np.zeros((capacity, len(_FLAGS)), np.bool_)
        hold_s = [limits.stream_hold_s if flag in _STREAM else limits.picture_hold_s for flag in _FLAGS]
        hold_s[_AT[Health.FROZEN]] = 0.0  # has its own time
        self._hold_ms = np.array([round(one * 1000) for one in hold_s], np.int64)
        self._luma = np.empty((CHUNK, height_px, width_px), np.uint8)
        self._edges = np.empty((CHUNK, height_px, width_px), np.uint8)
        self._wide = np.empty((CHUNK, height_px, width_px), np.uint16)

    def set_ignored(self, row: int, ignore: Bools | None) -> None:
        """Where (H, W) nothing of a camera is judged."""
        self._judged[row] = True
        if ignore is not None:
            high, wide = self._cells
            share = ignore.reshape(high, CELL_PX, wide, CELL_PX).mean(axis=(1, 3))
            self._judged[row] = (share <= 1 - _JUDGED_SHARE).ravel()

    def reset(self, row: int) -> None:
        """Learn a view anew; what was wrong is forgotten."""
        self._streams.reset(row)
        self._samples[row] = self._same_ms[row] = self._same[row] = 0
        self._sampled_ms[row] = self._suspect_ms[row] = _NEVER_MS
        self._smeared[row] = False
        self._raw[row] = self._held[row] = False
        self._since_ms[row] = 0

    def step(
        self, rows: Rows, luma: Luma, age_ms: Ints, smeared: Bools, stream: StreamColumns | None
    ) -> tuple[Bits, Bits, Bits]:
        """Bits that hold, that were raised, that were cleared, uint16 (n,); see `SceneBank.step`."""
        raised, cleared = np.zeros(len(rows), np.uint16), np.zeros(len(rows), np.uint16)
        self._smeared[rows] |= smeared
        limits = self._limits
        calm = ~self._raw[rows].any(axis=1) & (self._suspect_ms[rows] == _NEVER_MS)
        calm &= self._samples[rows] >= limits.reference_samples
        every_ms = np.where(calm, limits.health_every_s, limits.suspect_every_s) * 1000
        due = np.flatnonzero(age_ms - self._sampled_ms[rows] >= every_ms)
        for first in range(0, len(due), CHUNK):
            at = due[first : first + CHUNK]
            columns = stream.take(at) if stream is not None else None
            raised[at], cleared[at] = self._judge(rows[at], luma, at, age_ms[at], columns)
        return self._held[rows] @ _BIT, raised, cleared

    def _judge(
        self, rows: Rows, luma: Luma, at: npt.NDArray[np.intp], age_ms: Ints, stream: StreamColumns | None
    ) -> tuple[Bits, Bits]:
        """Judge the pictures `luma[at]` of up to CHUNK cameras."""
        pictures = self._luma[: len(rows)]
        np.take(luma, at, axis=0, out=pictures, mode="clip")
        since_ms = np.where(self._sampled_ms[rows] == _NEVER_MS, 0, age_ms - self._sampled_ms[rows])
        self._sampled_ms[rows] = age_ms
        mean, detail = self._measure(pictures)
        raw = np.zeros((len(rows), len(_FLAGS)), np.bool_)
        judged = self._judged[rows]  # where nothing is, nothing is black
        black: Bools = np.all((mean <= self._limits.black_levels) | ~judged, axis=1) & judged.any(axis=1)
        raw[:, _AT[Health.BLACK]] = black
        gap_s = self._streams.judge(rows, since_ms, stream, raw, _AT)
        raw[:, _AT[Health.FROZEN]] = self._frozen(rows, pictures, age_ms, gap_s) & ~black
        raw[:, _AT[Health.CORRUPTED]] |= self._smeared[rows]
        self._smeared[rows] = False
        self._view(rows, mean, detail, age_ms, since_ms, raw, black)
        return self._persist(rows, raw, age_ms)

    def _measure(self, pictures: Luma) -> tuple[Floats, Floats]:
        """Mean and detail of the cells, float32 (n, cells)."""
        n, (high, wide) = len(pictures), self._cells
        edges, widened = self._edges[:n], self._wide[:n]
        flat = pictures.reshape(-1, pictures.shape[2])
        cv2.Laplacian(flat, cv2.CV_8U, dst=edges.reshape(flat.shape))
        edges[:, (0, -1)] = 0  # what the kernel saw of the neighbours in the stack
        np.multiply(edges, np.uint16(64), out=widened, dtype=np.uint16)
        size = (wide, n * high)
        mean = cv2.resize(flat, size, interpolation=cv2.INTER_AREA)
        detail = cv2.resize(widened.reshape(flat.shape), size, interpolation=cv2.INTER_AREA)
        return mean.reshape(n, -1).astype(np.float32), detail.reshape(n, -1).astype(np.float32) / np.float32(64)

    def _frozen(self, rows: Rows, pictures: Luma, age_ms: Ints, gap_s: Floats) -> Bools:
        """Whether the pictures are the same as those of so long ago, bit for bit."""
        limits = self._limits
        words = pictures.reshape(len(rows), -1)
        words = words[:, : words.shape[1] // 8 * 8].view(np.uint64)
        now = np.stack((np.bitwise_xor.reduce(words, axis=1), words.sum(axis=1, dtype=np.uint64)), axis=1)
        same = (now == self._hash[rows]).all(axis=1) & (self._samples[rows] > 0)
        self._hash[rows] = now
        self._same_ms[rows] = np.where(same, self._same_ms[rows], age_ms)
        self._same[rows] = np.where(same, self._same[rows] + 1, 0)
        least_ms = 1000 * np.maximum(limits.frozen_after_s, limits.frozen_keyframe_gaps * np.nan_to_num(gap_s))
        frozen: Bools = (age_ms - self._same_ms[rows] >= least_ms) & (self._same[rows] >= limits.frozen_samples - 1)
        return frozen

    def compare(self, rows: Rows, mean: Floats, detail: Floats) -> Compared:
        """Cells (n, cells) against the references of these rows."""
        limits, judged = self._limits, self._judged[rows]
        was_mean, was_detail = self._mean[rows], self._detail[rows]
        gain, offset, _ = fit(was_mean, mean, within_levels=limits.cell_changed_levels, max_gain=limits.view_max_gain)
        alike = _alike(was_mean, mean, judged)
        # The gain between two views that are not alike is the light of neither.
        strange = alike < limits.same_view_alike
        gain = np.where(strange, 1, gain).astype(np.float32)
        offset = np.where(strange, np.median(mean - was_mean, axis=1), offset).astype(np.float32)
        expected = np.clip(gain[:, None] * was_mean + offset[:, None], 0, 255)
        cells = np.maximum(judged.sum(axis=1), 1).astype(np.float32)
        textured = judged & (was_detail >= limits.texture_levels)
        least = gain[:, None] * was_detail
        lost = textured & (detail < limits.detail_lost_ratio * least)
        soft = textured & (detail < limits.detail_soft_ratio * least)
        gained = judged & ~textured & (detail >= limits.texture_levels) & (detail > 2 * least)
        changed = judged & (np.abs(mean - expected) > limits.cell_changed_levels)
        of_texture = np.maximum(textured.sum(axis=1), 1).astype(np.float32)
        all_detail = (judged * detail).sum(axis=1) / np.maximum((judged * least).sum(axis=1), 1)
        return Compared(
            textured.sum(axis=1) / cells,
            lost.sum(axis=1) / of_texture,
            soft.sum(axis=1) / of_texture,
            gained.sum(axis=1) / of_texture,
            changed.sum(axis=1) / cells,
            all_detail.astype(np.float32),
            alike,
        )

    def _view(
        self, rows: Rows, mean: Floats, detail: Floats, age_ms: Ints, since_ms: Ints, raw: Bools, black: Bools
    ) -> None:
        """Defocused, covered, moved into `raw`; the reference learns."""
        limits = self._limits
        learnt = (age_ms >= limits.reference_s * 1000) & (self._samples[rows] >= limits.reference_samples)
        seen = self.compare(rows, mean, detail)
        known = learnt & (seen.textured >= limits.min_textured_share) & ~black
        rich = seen.textured >= limits.rich_textured_share
        covered = (
            (seen.lost >= limits.covered_lost_share)
            & (seen.gained <= limits.covered_gained_share)
            & (seen.detail <= limits.covered_detail_ratio)
            & (seen.alike <= limits.covered_alike)
        )
        defocused = (
            rich
            & (seen.soft >= limits.defocus_soft_share)
            & (seen.detail <= limits.defocus_detail_ratio)
            & (seen.changed <= limits.defocus_changed_share)
            & (seen.gained <= limits.defocus_gained_share)
        )
        moved = (
            rich
            & (seen.lost >= limits.moved_lost_share)
            & (seen.changed >= limits.moved_changed_share)
            & (seen.alike <= limits.moved_alike)
            & (seen.detail >= limits.moved_detail_ratio)
        )
        raw[:, _AT[Health.COVERED]] = known & covered
        raw[:, _AT[Health.DEFOCUSED]] = known & defocused & ~covered
        raw[:, _AT[Health.MOVED]] = known & moved & ~covered & ~defocused
        # What is on the way to be one of them must not be learnt either.
        on_the_way = (seen.soft >= limits.defocus_soft_share / 2) | (seen.changed >= limits.moved_changed_share)
        suspect = (known & on_the_way) | black
        suspect |= raw[:, _AT[Health.CORRUPTED]]
        began_ms = np.where(self._suspect_ms[rows] == _NEVER_MS, age_ms, self._suspect_ms[rows])
        accept = suspect & (age_ms - began_ms >= limits.accept_after_s * 1000) & ~black
        self._suspect_ms[rows] = np.where(suspect & ~accept, began_ms, _NEVER_MS)
        self._samples[rows] = np.where(accept, 0, self._samples[rows])
        self._learn(rows, mean, detail, since_ms, learnt & ~accept, ~suspect | accept)

    def _learn(self, rows: Rows, mean: Floats, detail: Floats, since_ms: Ints, learnt: Bools, which: Bools) -> None:
        """The references of `which` take in these cells: their mean while they are young, then slowly."""
        samples = self._samples[rows]
        slow = -np.expm1(-since_ms / (1000 * self._limits.reference_follow_s))
        weight = np.where(which, np.where(learnt, slow, 1 / (samples + 1)), 0.0).astype(np.float32)[:, None]
        self._mean[rows] += weight * (mean - self._mean[rows])
        self._detail[rows] += weight * (detail - self._detail[rows])
        self._samples[rows] = samples + which

    def _persist(self, rows: Rows, raw: Bools, age_ms: Ints) -> tuple[Bits, Bits]:
        """What has held or has been gone for long enough; bits raised and cleared."""
        changed = raw != self._raw[rows]
        since_ms = np.where(changed, age_ms[:, None], self._since_ms[rows])
        self._raw[rows], self._since_ms[rows] = raw, since_ms
        held, for_ms = self._held[rows], age_ms[:, None] - since_ms
        up = raw & ~held & (for_ms >= self._hold_ms)
        down = ~raw & held & (for_ms >= self._limits.clear_after_s * 1000)
        self._held[rows] = (held | up) & ~down
        return up @ _BIT, down @ _BIT


def _alike(was: Floats, now: Floats, judged: Bools) -> Floats:
    """Correlation of each row's cells (n, cells), over the judged ones; 0 where one of them is flat."""
    count = np.maximum(judged.sum(axis=1, keepdims=True), 1)
    one = np.where(judged, was - (judged * was).sum(axis=1, keepdims=True) / count, 0)
    other = np.where(judged, now - (judged * now).sum(axis=1, keepdims=True) / count, 0)
    both = np.sqrt((one * one).sum(axis=1) * (other * other).sum(axis=1))
    return np.where(both > 0, (one * other).sum(axis=1) / np.where(both > 0, both, 1), 0).astype(np.float32)
