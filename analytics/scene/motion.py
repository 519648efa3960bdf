"""Motion of many cameras at once: planes of a background that follows slowly, one stack of cv2 kernels for up to 64 cameras.

A pixel is in motion when it differs from the background, from the picture of half a second to a second ago (what stands is no
motion, nor the place that something left), by more than its own threshold. Pictures are averaged 2 by 2 first: that removes
noise better than a blur, bleeds across no camera's border, and makes all that follows four times cheaper.

Invariants: the background moves towards the picture by at most so many levels a second, whatever the frame rate: it is a
running median, so what passes leaves no trace and what stays is taken over. The outermost pixels are never in motion, so no
kernel carries anything from one camera of the stack to its neighbour: a camera's outcome does not depend on the others. Nothing
that grows with a step is kept.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from analytics.scene.lighting import fit, keeps_edges
from analytics.scene.limits import SceneLimits

Luma = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]

#: Cameras in one stack: more leave the processor's cache.
CHUNK = 64
#: Every so-many-th pixel of the halved picture is a sample for lighting.
_SAMPLE = 4
_BLIND = 255
#: Fewer than one in so many cameras with motion are cleared of specks one by one, more all together.
_FEW = 4
#: What a pixel in motion counts in a sum of 9 that fits a byte.
_ONE = 255 // 9
#: A pixel outside these levels is flat because it is saturated, not because it is a smear.
_DARK, _BRIGHT = 21, 234


class Masks:
    """Masks of the pictures of one step, good until the next step: kept halved, enlarged when one is asked for."""

    __slots__ = ("_halved",)

    def __init__(self, halved: Luma) -> None:
        self._halved = halved

    def __len__(self) -> int:
        return len(self._halved)

    def of(self, at: int) -> Luma:
        """Mask of one picture, uint8 (H, W), 0 or 255; a copy."""
        return enlarged(self._halved[at])


class Planes:
    """Planes of some cameras, (n, h, w) uint8 each: views of the bank where the rows are neighbours, else copies.

    Attributes:
        background: what is there when nothing moves.
        new, old: pictures of up to `recent_s` ago, and of once to twice that.
        noise: what the pixel's own flicker adds to its threshold.
        base: threshold by sensitivity; 255 where nothing is judged.
    """

    __slots__ = ("background", "base", "new", "noise", "old")

    def __init__(self, background: Luma, new: Luma, old: Luma, noise: Luma, base: Luma) -> None:
        self.background, self.new, self.old, self.noise, self.base = background, new, old, noise, base


class MotionPlanes:
    """The planes of all cameras and the kernels over them.

    Args:
        capacity: cameras. height_px, width_px: of the thumbnails, both even.
    """

    def __init__(self, capacity: int, limits: SceneLimits, height_px: int, width_px: int) -> None:
        self._limits = limits
        self._shape = (height_px // 2, width_px // 2)
        self._all = Planes(*(np.zeros((capacity, *self._shape), np.uint8) for _ in range(5)))
        self._some = Planes(*(np.empty((CHUNK, *self._shape), np.uint8) for _ in range(5)))
        self._scratch = [np.empty((CHUNK, *self._shape), np.uint8) for _ in range(6)]
        for row in range(capacity):
            self.set_threshold(row, limits.change_levels, None)

    def set_threshold(self, row: int, levels: float, ignore: Bools | None) -> None:
        """Threshold of one camera, `inf` for blind; `ignore` (H, W) is where nothing is motion."""
        base = self._all.base[row]
        base[:] = int(min(levels, _BLIND))
        if ignore is not None:
            height, width = self._shape
            base[ignore.reshape(height, 2, width, 2).any(axis=(1, 3))] = _BLIND
        base[[0, -1], :] = _BLIND
        base[:, [0, -1]] = _BLIND

    def judged_px(self, row: int) -> int:
        """How many pixels of the thumbnail are judged."""
        return 4 * int(np.count_nonzero(self._all.base[row] < _BLIND))

    def stack(self, rows: Rows, luma: Luma) -> tuple[Planes, Luma, bool]:
        """Planes of up to CHUNK cameras, their halved pictures, and whether the planes are copies to be put back."""
        n = len(rows)
        height, width = self._shape
        small = self._scratch[0][:n]
        cv2.resize(_flat(luma), (width, n * height), dst=_flat(small), interpolation=cv2.INTER_AREA)
        first = int(rows[0])
        if n == 1 or (int(rows[-1]) - first == n - 1 and bool((np.diff(rows) == 1).all())):
            return Planes(*(getattr(self._all, name)[first : first + n] for name in _ORDER)), small, False
        planes = Planes(*(getattr(self._some, name)[:n] for name in _ORDER))
        for name in _ORDER:
            np.take(getattr(self._all, name), rows, axis=0, out=getattr(planes, name), mode="clip")
        return planes, small, True

    def put_back(self, rows: Rows, planes: Planes) -> None:
        """What `stack` copied goes back to the bank."""
        for name in ("background", "new", "old", "noise"):
            getattr(self._all, name)[rows] = getattr(planes, name)

    @staticmethod
    def begin(planes: Planes, small: Luma, which: Bools) -> None:
        """The cameras `which` begin with this picture."""
        for name in ("background", "new", "old"):
            getattr(planes, name)[which] = small[which]
        planes.noise[which] = 0

    @staticmethod
    def turn(planes: Planes, small: Luma, which: Bools) -> None:
        """For the cameras `which` the new picture is an old one now, and this one is new."""
        if which.all():
            np.copyto(planes.old, planes.new)
            np.copyto(planes.new, small)
        else:
            planes.old[which] = planes.new[which]
            planes.new[which] = small[which]

    def relight(self, planes: Planes, small: Luma) -> Bools:
        """Take over a change of the light where there was one; which cameras had one."""
        limits, n = self._limits, len(small)
        apart = self._scratch[1][:n]
        cv2.absdiff(_flat(small), _flat(planes.background), dst=_flat(apart))
        off = apart[:, 2::_SAMPLE, 2::_SAMPLE].reshape(n, -1) > limits.lighting_levels
        lit: Bools = off.sum(axis=1) >= limits.lighting_share * off.shape[1]
        for at in np.flatnonzero(lit).tolist():
            lit[at] = self._relight_one(planes, small[at], at)
            if lit[at]:
                cv2.absdiff(small[at], planes.background[at], dst=apart[at])
        return lit

    def _relight_one(self, planes: Planes, picture: Luma, at: int) -> bool:
        """Take over the light of one camera's picture if it is the background in another light; whether it is."""
        limits = self._limits
        lit = [planes.background[at], planes.old[at], planes.new[at]]
        was = np.stack([_samples(plane) for plane in lit])
        seen = np.broadcast_to(_samples(picture), was.shape)
        gain, offset, share = fit(was, seen, within_levels=limits.lighting_fit_levels, max_gain=limits.max_gain)
        fits = share >= limits.lighting_fit_share
        same = not fits[0] and keeps_edges(
            lit[0], picture, levels=limits.edge_levels, share=limits.edge_keep_share, count=limits.edge_min_count
        )
        if not fits[0] and not same:
            return False
        levels = np.rint(gain[:, None] * np.arange(256, dtype=np.float32) + offset[:, None]).clip(0, 255)
        for plane, fit_one, table in zip(lit, fits.tolist(), levels.astype(np.uint8), strict=True):
            plane[:] = picture if same or not fit_one else cv2.LUT(plane, table)
        return True

    def find(self, planes: Planes, small: Luma, mask: Luma) -> npt.NDArray[np.int32]:
        """Draw which pixels are in motion, 0 or 255, into `mask` (n, h, w); their count in pixels of the thumbnail (n,).

        After `relight`.
        """
        n = len(small)
        apart, recent, change = (scratch[:n] for scratch in self._scratch[1:4])
        cv2.absdiff(_flat(small), _flat(planes.old), dst=_flat(recent))
        cv2.min(_flat(apart), _flat(recent), dst=_flat(change))
        cv2.add(_flat(planes.base), _flat(planes.noise), dst=_flat(recent))
        cv2.compare(_flat(change), _flat(recent), cv2.CMP_GT, dst=_flat(mask))
        sums = _sums(mask)
        busy = np.flatnonzero(sums)
        if len(busy) * _FEW < n:
            for at in busy.tolist():
                sums[at] = self._clear_specks(mask[at : at + 1])[0]
        elif len(busy):
            sums = self._clear_specks(mask)
        return (sums // 255 * 4).astype(np.int32)

    def _clear_specks(self, mask: Luma) -> npt.NDArray[np.int32]:
        """Take lone pixels, which are noise, out of masks (n, h, w); the sums that are left (n,).

        The sum of 9 says how many changed around. The outermost are never set, so the whole stack is one row of pixels, and
        what a neighbour beyond a border says is always 0.
        """
        wide = mask.shape[2]
        all_of = mask.reshape(1, -1)
        once, some, around = (self._scratch[at].reshape(1, -1)[:, : mask.size] for at in (1, 2, 4))
        cv2.threshold(all_of, 0, _ONE, cv2.THRESH_BINARY, dst=once)
        cv2.add(once[:, :-2], once[:, 1:-1], dst=some[:, :-2])
        cv2.add(some[:, :-2], once[:, 2:], dst=around[:, 1:-1])
        around[0, [0, -1]] = 0
        cv2.add(around[:, : -2 * wide], around[:, wide:-wide], dst=some[:, : -2 * wide])
        cv2.add(some[:, : -2 * wide], around[:, 2 * wide :], dst=once[:, wide:-wide])
        cv2.threshold(once, _ONE * self._limits.min_neighbours - 1, 255, cv2.THRESH_BINARY, dst=once)
        cv2.bitwise_and(all_of, once, dst=all_of)
        return _sums(mask)

    def learn_noise(self, planes: Planes, which: Bools) -> None:
        """The noise of the cameras `which` follows twice the change that `find` saw by one level."""
        n = len(which)
        change, twice, step, some = (self._scratch[at][:n] for at in (3, 1, 2, 5))
        cv2.add(_flat(change), _flat(change), dst=_flat(twice))
        np.copyto(step, np.uint8(self._limits.max_noise_levels))
        cv2.min(_flat(twice), _flat(step), dst=_flat(twice))
        # A plane of its own for what each camera may go: an operand of shape (n, 1, 1) would be twenty times slower.
        np.copyto(step, which.astype(np.uint8)[:, None, None])
        cv2.subtract(_flat(twice), _flat(planes.noise), dst=_flat(some))
        cv2.min(_flat(some), _flat(step), dst=_flat(some))
        cv2.subtract(_flat(planes.noise), _flat(twice), dst=_flat(twice))
        cv2.min(_flat(twice), _flat(step), dst=_flat(twice))
        cv2.add(_flat(planes.noise), _flat(some), dst=_flat(planes.noise))
        cv2.subtract(_flat(planes.noise), _flat(twice), dst=_flat(planes.noise))

    def follow(self, planes: Planes, small: Luma, levels: npt.NDArray[np.uint8]) -> None:
        """The background goes towards the picture by `levels` (n,) at most."""
        n = len(small)
        more, less, most = (self._scratch[at][:n] for at in (1, 2, 5))
        np.copyto(most, levels[:, None, None])
        cv2.subtract(_flat(small), _flat(planes.background), dst=_flat(more))
        cv2.subtract(_flat(planes.background), _flat(small), dst=_flat(less))
        cv2.min(_flat(more), _flat(most), dst=_flat(more))
        cv2.min(_flat(less), _flat(most), dst=_flat(less))
        cv2.add(_flat(planes.background), _flat(more), dst=_flat(planes.background))
        cv2.subtract(_flat(planes.background), _flat(less), dst=_flat(planes.background))

    @staticmethod
    def forget(planes: Planes, which: Bools) -> None:
        """The pictures of the cameras `which` were damaged: compare the next ones with the background."""
        if which.any():
            planes.old[which] = planes.new[which] = planes.background[which]

    def smeared(self, planes: Planes, small: Luma, at: int) -> bool:
        """Whether one camera's picture shows the flat rows of a damaged picture, where the background has none."""
        limits = self._limits
        flat = _flat_share(small[at]) >= limits.smear_pixel_share
        if flat.mean() < limits.smear_row_share:
            return False
        flat &= _flat_share(planes.background[at]) < limits.smear_pixel_share / 2
        return bool(flat.mean() >= limits.smear_row_share)


_ORDER = ("background", "new", "old", "noise", "base")


def enlarged(mask: Luma) -> Luma:
    """A mask (h, w) at the size of the thumbnail (2h, 2w)."""
    high, wide = mask.shape
    return np.asarray(cv2.resize(mask, (2 * wide, 2 * high), interpolation=cv2.INTER_NEAREST), np.uint8)


def _flat(planes: Luma) -> Luma:
    """(n, h, w) as one picture (n·h, w); a view."""
    return planes.reshape(-1, planes.shape[2])


def _sums(masks: Luma) -> npt.NDArray[np.int32]:
    """Sum of each mask (n,)."""
    return np.asarray(cv2.reduce(masks.reshape(len(masks), -1), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[:, 0], np.int32)


def _samples(plane: Luma) -> npt.NDArray[np.float32]:
    """Every so-many-th pixel of a plane."""
    return plane[2::_SAMPLE, 2::_SAMPLE].ravel().astype(np.float32)


def _flat_share(picture: Luma) -> npt.NDArray[np.float64]:
    """Share of each row's pixels (h - 1,) that repeat the one above; saturated ones do not count."""
    same = cv2.compare(picture[1:], picture[:-1], cv2.CMP_EQ)
    cv2.bitwise_and(same, cv2.inRange(picture[1:], _DARK, _BRIGHT), dst=same)
    shares: npt.NDArray[np.float64] = cv2.reduce(same, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[:, 0] / (
        255.0 * picture.shape[1]
    )
    return shares
