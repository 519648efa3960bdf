"""Whether a picture is the background in another light: one gain and offset, or its edges where they were. Pure functions.

Robust: up to half of the bright and half of the dark samples may be something else.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

#: A background whose bright and dark halves are nearer than this, levels, says nothing of the gain.
_MIN_RANGE_LEVELS = 8.0


def fit(reference: Floats, picture: Floats, *, within_levels: float, max_gain: float) -> tuple[Floats, Floats, Floats]:
    """Gain and offset that take `reference` to `picture`, for each row.

    Args:
        reference: float32 (n, k), samples.
        picture: float32 (n, k), at the same places.
        within_levels: a sample fits that is no farther off.
        max_gain: gains are held to 1/max_gain..max_gain.

    Returns: gain (n,), offset (n,), share of the samples that fit (n,).
    """
    half = reference.shape[1] // 2
    middle = half // 2
    order = np.argsort(reference, axis=1)
    ranked, seen = np.take_along_axis(reference, order, 1), np.take_along_axis(picture, order, 1)
    low, high = ranked[:, middle], ranked[:, half + middle]
    low_seen, high_seen = np.sort(seen[:, :half], axis=1)[:, middle], np.sort(seen[:, half:], axis=1)[:, middle]
    wide = (high - low) >= _MIN_RANGE_LEVELS
    gain = np.where(wide, (high_seen - low_seen) / np.where(wide, high - low, 1), 1).clip(1 / max_gain, max_gain)
    offset = (low_seen + high_seen - gain * (low + high)) / 2
    for _ in range(2):
        gain, offset = _refined(reference, picture, gain, offset, 2 * within_levels, max_gain, wide)
    fits = np.abs(picture - (gain[:, None] * reference + offset[:, None])) <= within_levels
    return gain.astype(np.float32), offset.astype(np.float32), fits.mean(axis=1, dtype=np.float32)


def _refined(
    reference: Floats, picture: Floats, gain: Floats, offset: Floats, within: float, max_gain: float, wide: Bools
) -> tuple[Floats, Floats]:
    """Least squares over the samples that fit so far."""
    weight = (np.abs(picture - (gain[:, None] * reference + offset[:, None])) <= within).astype(np.float32)
    total = np.maximum(weight.sum(axis=1), 1)
    mean_ref, mean_pic = (weight * reference).sum(axis=1) / total, (weight * picture).sum(axis=1) / total
    apart = weight * (reference - mean_ref[:, None])
    spread = (apart * (reference - mean_ref[:, None])).sum(axis=1)
    sloped = wide & (spread > total)
    slope = (apart * (picture - mean_pic[:, None])).sum(axis=1) / np.where(sloped, spread, 1)
    better = np.where(sloped, slope, gain).clip(1 / max_gain, max_gain)
    enough = weight.mean(axis=1) > 0.25
    return np.where(enough, better, gain), np.where(enough, mean_pic - better * mean_ref, offset)


def keeps_edges(
    background: npt.NDArray[np.uint8], picture: npt.NDArray[np.uint8], *, levels: int, share: float, count: int
) -> bool:
    """Whether the background's edges are still there, whatever the light: both (H, W).

    An edge is a step of at least `levels` between neighbours; it is kept where the picture steps the same way. At least
    `count` edges are needed, and `share` of them kept.
    """
    kept = edges = 0
    for axis in (0, 1):
        was = np.diff(background.astype(np.int16), axis=axis)
        now = np.diff(picture.astype(np.int16), axis=axis)
        edge = np.abs(was) >= levels
        edges += int(edge.sum())
        same = np.where(was > 0, now > 1, now < -1)
        kept += int((edge & same).sum())
    return edges >= count and kept >= share * edges
