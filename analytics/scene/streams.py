"""What is wrong with streams: too few pictures, too few bits, keyframes too far apart, damaged ones. Columns; nothing grows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.scene.limits import SceneLimits
from model.camera import Health

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class StreamColumns:
    """What is measured of streams; float32 (n,) each, NaN where it is not known. What is normal is learnt.

    Attributes:
        fps, bitrate_kbps: as received, over some seconds.
        keyframe_gap_s: between the last two keyframes, or since the last one if that is longer.
        corrupt_share: of the pictures of the last seconds that were damaged, 0..1.
    """

    fps: Floats
    bitrate_kbps: Floats
    keyframe_gap_s: Floats
    corrupt_share: Floats

    def take(self, at: npt.NDArray[np.intp]) -> StreamColumns:
        """The columns at these positions."""
        return StreamColumns(self.fps[at], self.bitrate_kbps[at], self.keyframe_gap_s[at], self.corrupt_share[at])


class StreamBank:
    """What is normal for the streams of up to `capacity` cameras."""

    def __init__(self, capacity: int, limits: SceneLimits) -> None:
        self._limits = limits
        self._fps = np.full(capacity, np.nan)
        self._kbps = np.full(capacity, np.nan)
        self._known_ms = np.zeros(capacity, np.int64)

    def reset(self, row: int) -> None:
        """Another stream: learn anew."""
        self._fps[row] = self._kbps[row] = np.nan
        self._known_ms[row] = 0

    def judge(
        self, rows: Rows, since_ms: Ints, stream: StreamColumns | None, raw: Bools, column: Mapping[Health, int]
    ) -> Floats:
        """Write the streams' flags into their columns of `raw` (n, flags); returns the keyframe gaps, s, NaN unknown."""
        if stream is None:
            return np.full(len(rows), np.nan, np.float32)
        limits = self._limits
        self._known_ms[rows] += since_ms
        ready = self._known_ms[rows] >= limits.normal_learn_s * 1000
        for now, normal, share, floor, flag in (
            (stream.fps, self._fps, limits.low_fps_share, limits.min_fps, Health.LOW_FPS),
            (stream.bitrate_kbps, self._kbps, limits.low_bitrate_share, limits.min_bitrate_kbps, Health.LOW_BITRATE),
        ):
            usual = normal[rows]
            raw[:, column[flag]] = (ready & (now < share * usual)) | (now < floor)
            normal[rows] = self._learnt(usual, now.astype(np.float64), since_ms)
        raw[:, column[Health.LONG_KEYFRAME_GAP]] = stream.keyframe_gap_s > limits.max_keyframe_gap_s
        raw[:, column[Health.CORRUPTED]] = stream.corrupt_share > limits.max_corrupt_share
        return stream.keyframe_gap_s

    def _learnt(
        self, usual: npt.NDArray[np.float64], now: npt.NDArray[np.float64], since_ms: Ints
    ) -> npt.NDArray[np.float64]:
        """What is usual after it was `now` for so long: quick to rise, slow to fall, unmoved by what is not known."""
        over_s = np.where(now > usual, self._limits.normal_rise_s, self._limits.normal_fall_s)
        moved = usual + (now - usual) * -np.expm1(-since_ms / (1000 * over_s))
        return np.where(np.isfinite(now), np.where(np.isfinite(usual), moved, now), usual)
