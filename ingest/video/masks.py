"""Privacy masks burned into pixels: polygons become black, for ever.

Invariants: every pixel that a polygon touches is black (luma 16 or 0, chroma neutral), and so is a border of two pixels
around it; what a mask covers is computed once for each size of picture. It writes into the planes that it is given and
decodes nothing; a frame of the decoder's own must be copied first, because the next pictures refer to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange

from ingest.video.picture import plane_of
from model.camera import Place

Flags = npt.NDArray[np.bool_]

#: Pixels around a polygon that are black too: corners between pixels, and rounding of every kind, stay inside.
BORDER_PX = 2
#: Sizes of pictures whose maps are kept; a stream has one at a time.
_MAX_SIZES = 4
_NEUTRAL = 128
_SHIFT = 4


class Masks:
    """The masks of one camera. One thread at a time.

    Args:
        polygons: corners as fractions of width and height from the top left; at least three each.
    """

    def __init__(self, polygons: Sequence[Sequence[Place]]) -> None:
        self._polygons = [tuple(polygon) for polygon in polygons if len(polygon) >= 3]
        self._maps: dict[tuple[int, int], tuple[Flags, Flags, tuple[slice, slice], tuple[slice, slice]]] = {}

    def __bool__(self) -> bool:
        return bool(self._polygons)

    def covered(self, width_px: int, height_px: int) -> Flags:
        """(H, W) bool: the pixels that become black."""
        return self._map(width_px, height_px)[0]

    def burn(self, frame: av.VideoFrame) -> None:
        """Fill the masks of a writable 8-bit yuv420p frame in place."""
        if not self._polygons:
            return
        luma, chroma, luma_box, chroma_box = self._map(frame.width, frame.height)
        full = frame.format.name == "yuvj420p" or frame.color_range == ColorRange.JPEG
        np.copyto(plane_of(frame, 0)[: frame.height, : frame.width][luma_box], 0 if full else 16, where=luma[luma_box])
        rows, columns = chroma.shape
        for index in (1, 2):
            np.copyto(plane_of(frame, index)[:rows, :columns][chroma_box], _NEUTRAL, where=chroma[chroma_box])

    def _map(self, width: int, height: int) -> tuple[Flags, Flags, tuple[slice, slice], tuple[slice, slice]]:
        found = self._maps.get((width, height))
        if found is None:
            if len(self._maps) >= _MAX_SIZES:
                del self._maps[next(iter(self._maps))]
            luma = self._drawn(width, height)
            even = np.zeros((-(-height // 2) * 2, -(-width // 2) * 2), np.bool_)
            even[:height, :width] = luma
            chroma = even[::2, ::2] | even[1::2, ::2] | even[::2, 1::2] | even[1::2, 1::2]
            # A chroma sample colours four pixels: all four are masked with it.
            luma |= chroma.repeat(2, 0).repeat(2, 1)[:height, :width]
            found = self._maps[width, height] = (luma, chroma, _box_of(luma), _box_of(chroma))
        return found

    def _drawn(self, width: int, height: int) -> Flags:
        image = np.zeros((height, width), np.uint8)
        scale = np.array([width, height], np.float64)
        for polygon in self._polygons:
            corners = np.clip(np.array(polygon, np.float64), 0.0, 1.0) * scale - 0.5
            fixed = np.round(corners * (1 << _SHIFT)).astype(np.int32)
            cv2.fillPoly(image, [fixed], (255,), shift=_SHIFT)
            cv2.polylines(image, [fixed], True, (255,), 1, shift=_SHIFT)  # noqa: FBT003 OpenCV's own argument
        side = 2 * BORDER_PX + 1
        return cv2.dilate(image, np.ones((side, side), np.uint8)) > 0


def _box_of(flags: Flags) -> tuple[slice, slice]:
    """The smallest box that holds all set flags."""
    rows, columns = np.flatnonzero(flags.any(axis=1)), np.flatnonzero(flags.any(axis=0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
