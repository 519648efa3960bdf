"""`Picture`: one decoded picture, looked at without copying it: its luma, its thumbnail, BGR of a crop.

Invariants: `luma` is a view into the decoder's own memory, which lives as long as the view does; nothing here writes into
it. Only what is asked for is converted. Pixel formats other than 8-bit 4:2:0 are converted once, by the scaler that the
decoder of this stream owns: a scaler of its own for each picture grows by megabytes.
"""

from __future__ import annotations

import threading
from typing import cast

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from model.video import THUMB_HEIGHT_PX, THUMB_WIDTH_PX, Bgr, Luma

#: Formats whose first plane is 8-bit luma.
_LUMA_FORMATS = frozenset(
    {"yuv420p", "yuvj420p", "nv12", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "gray", "nv16", "nv24"}
)
#: Formats whose planes are 8-bit 4:2:0.
_PLANE_FORMATS = frozenset({"yuv420p", "yuvj420p"})
#: Pictures without a word on their colours: BT.709 from this height on, as players do.
_HD_HEIGHT_PX = 720
_BT709 = 1
_UNSPECIFIED = 2
#: Full-range luma and chroma to limited range, which OpenCV's conversion takes.
_LIMIT_LUMA = np.round(np.arange(256) * 219 / 255 + 16).astype(np.uint8)
_LIMIT_CHROMA = np.round((np.arange(256) - 128) * 224 / 255 + 128).astype(np.uint8)


class Scaler:
    """One scaler, shared by the pictures of a stream; any thread."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._lock = threading.Lock()

    def planes(self, frame: av.VideoFrame, width_px: int, height_px: int) -> av.VideoFrame:
        """The frame as 8-bit limited-range yuv420p of a size."""
        with self._lock:
            return self._reformatter.reformat(
                frame, width_px, height_px, "yuv420p", interpolation="AREA", dst_color_range=ColorRange.MPEG, threads=1
            )

    def bgr(self, frame: av.VideoFrame, width_px: int, height_px: int) -> Bgr:
        """The frame as BGR of a size, by the colour space that it names."""
        hd = frame.colorspace == _BT709 or (frame.colorspace == _UNSPECIFIED and frame.height >= _HD_HEIGHT_PX)
        with self._lock:
            made = self._reformatter.reformat(
                frame,
                width_px,
                height_px,
                "bgr24",
                src_colorspace=Colorspace.ITU709 if hd else Colorspace.ITU601,
                interpolation="BICUBIC",
                threads=1,
            )
        plane = plane_of(made, 0)
        return np.ascontiguousarray(plane[:, : width_px * 3]).reshape(height_px, width_px, 3)


def plane_of(frame: av.VideoFrame, index: int) -> npt.NDArray[np.uint8]:
    """One plane as (H, line size) uint8: a view, writable where the frame's memory is."""
    plane = frame.planes[index]
    return np.frombuffer(cast("memoryview", plane), np.uint8).reshape(plane.height, plane.line_size)


def halved(image: Luma, width_px: int, height_px: int) -> Luma:
    """The image, or its halves by the mean of 2x2 pixels as long as they are not smaller than the size given.

    OpenCV has SIMD code for exactly this step: 1080p to 240x135 so takes a fifth of `INTER_AREA` in one step.
    """
    while image.shape[0] >= 2 * height_px and image.shape[1] >= 2 * width_px:
        rows, columns = image.shape[0] // 2, image.shape[1] // 2
        even = image[: rows * 2, : columns * 2]
        image = cast("Luma", cv2.resize(even, (columns, rows), interpolation=cv2.INTER_AREA))
    return image


class Picture:
    """One decoded picture.

    Attributes:
        frame: PyAV's; it is not written to.
        time_ms: presentation time, our clock, UTC ms.
        pts: presentation time, ticks.
        keyframe: decoded from a keyframe.
        corrupt: the decoder flagged it, or concealed a fault in it.
        width_px, height_px: of the picture.
    """

    __slots__ = (
        "_luma", "_planes", "_scaler", "corrupt", "frame", "height_px", "keyframe", "pts", "time_ms", "width_px",
    )  # fmt: skip

    def __init__(self, frame: av.VideoFrame, scaler: Scaler, *, time_ms: int, pts: int) -> None:
        self.frame = frame
        self.time_ms = time_ms
        self.pts = pts
        self.keyframe = frame.key_frame
        self.corrupt = frame.is_corrupt
        self.width_px = frame.width
        self.height_px = frame.height
        self._scaler = scaler
        self._luma: Luma | None = None
        self._planes: av.VideoFrame | None = None

    @property
    def luma(self) -> Luma:
        """(H, W) uint8: a view of the luma plane; a picture of more than 8 bits is converted once."""
        if self._luma is None:
            direct = self.frame.format.name in _LUMA_FORMATS
            plane = plane_of(self.frame if direct else self.planes(), 0)
            self._luma = plane[: self.height_px, : self.width_px]
        return self._luma

    def planes(self) -> av.VideoFrame:
        """The picture as 8-bit yuv420p: the decoder's own frame, or converted once. Not to be written to."""
        if self._planes is None:
            direct = self.frame.format.name in _PLANE_FORMATS
            self._planes = self.frame if direct else self._scaler.planes(self.frame, self.width_px, self.height_px)
        return self._planes

    def thumbnail(self, out: Luma) -> None:
        """The whole picture into `out`, (108, 192) uint8, by halves of 2x2 means and one bilinear step to the rest."""
        small = halved(self.luma, THUMB_WIDTH_PX, THUMB_HEIGHT_PX)
        if small.shape == out.shape:
            out[:] = small
        else:
            cv2.resize(small, (THUMB_WIDTH_PX, THUMB_HEIGHT_PX), dst=out, interpolation=cv2.INTER_LINEAR)

    def bgr(self, box: tuple[int, int, int, int] | None = None, *, max_side_px: int | None = None) -> Bgr:
        """(h, w, 3) uint8 BGR of a crop; only the crop is converted, by BT.601, which is near enough for a detector.

        Args:
            box: left, top, right, bottom, pixels; what lies outside is cut off, odd edges grow by one to even ones.
                None: all of it.
            max_side_px: the crop is made smaller, its shape kept, until no side is longer.

        An empty box gives an empty array.
        """
        frame = self.planes()
        width, height = self.width_px & ~1, self.height_px & ~1
        left, top, right, bottom = box or (0, 0, width, height)
        left, top = max(0, left) & ~1, max(0, top) & ~1
        right, bottom = min(width, right + 1 & ~1), min(height, bottom + 1 & ~1)
        if right <= left or bottom <= top:
            return np.empty((0, 0, 3), np.uint8)
        target_w, target_h = _within(right - left, bottom - top, max_side_px)
        packed = np.empty((target_h * 3 // 2, target_w), np.uint8)
        full = frame.format.name == "yuvj420p" or frame.color_range == ColorRange.JPEG
        _place(plane_of(frame, 0)[top:bottom, left:right], packed[:target_h], _LIMIT_LUMA if full else None)
        chroma = packed[target_h:].reshape(2, target_h // 2, target_w // 2)
        for index in (1, 2):
            crop = plane_of(frame, index)[top // 2 : bottom // 2, left // 2 : right // 2]
            _place(crop, chroma[index - 1], _LIMIT_CHROMA if full else None)
        return cast("Bgr", cv2.cvtColor(packed, cv2.COLOR_YUV2BGR_I420))

    def colours(self, *, max_width_px: int | None = None) -> Bgr:
        """(h, w, 3) uint8 BGR of the whole picture by the colour space that it names: for a person to look at."""
        width, height = self.width_px, self.height_px
        if max_width_px is not None and width > max_width_px:
            width, height = max_width_px, max(1, round(height * max_width_px / width))
        return self._scaler.bgr(self.frame, width, height)


def _within(width: int, height: int, max_side_px: int | None) -> tuple[int, int]:
    longest = max(width, height)
    if max_side_px is None or longest <= max_side_px:
        return width, height
    scale = max_side_px / longest
    return max(2, int(width * scale) & ~1), max(2, int(height * scale) & ~1)


def _place(plane: Luma, out: Luma, table: npt.NDArray[np.uint8] | None) -> None:
    if plane.shape != out.shape:
        plane = halved(plane, out.shape[1], out.shape[0])
    if plane.shape == out.shape:
        out[:] = plane
    else:
        out[:] = cv2.resize(plane, (out.shape[1], out.shape[0]), interpolation=cv2.INTER_LINEAR)
    if table is not None:
        out[:] = cv2.LUT(out, table)
