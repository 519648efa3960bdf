"""What travels between the parts of the video path: packets, fragments, segments, detections. Immutable; it opens nothing.

Time: `time_ms` is when the picture was taken, mapped to our clock (UTC ms); `pts` and `dts` are ticks of 1/90,000 s that
go on across an unbroken connection. A connection has an `epoch`, one more with each time it was opened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

TICKS_PER_S = 90_000
TICKS_PER_MS = 90

#: The size of every thumbnail, pixels: a sixteenth of 16:9 pictures of 1080p is 1/10 in each direction.
THUMB_WIDTH_PX = 192
THUMB_HEIGHT_PX = 108

Luma = npt.NDArray[np.uint8]
Bgr = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One video stream as it is sent; another object whenever its parameters change.

    Attributes:
        codec: FFmpeg's name, `h264` or `hevc`.
        width_px, height_px: of the picture; 0 not known yet.
        extradata: parameter sets as FFmpeg keeps them (Annex B or avcC/hvcC); b"" where they come in band alone.
        declared_fps: what the camera says; 0 unknown. Never trusted.
        epoch: number of the connection, from 1.
    """

    codec: str
    width_px: int
    height_px: int
    extradata: bytes
    declared_fps: float
    epoch: int


@dataclass(slots=True)
class Packet:
    """One compressed picture. Never changed once it is made.

    Attributes:
        data: the bytes as demuxed, without padding.
        pts, dts: presentation and decoding time, ticks; `dts` grows within an epoch.
        time_ms: presentation time on our clock, UTC ms.
        received_ms: when it came, our clock, UTC ms.
        keyframe: decoding may begin here.
        corrupt: damaged on the way (flagged by the demuxer, or packets lost before it).
        info: the stream it belongs to.
    """

    data: bytes
    pts: int
    dts: int
    time_ms: int
    received_ms: int
    keyframe: bool
    corrupt: bool
    info: StreamInfo


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of a live view.

    Attributes:
        camera: device id.
        kind: `init` (what a player needs first), `media` (a piece of fragmented MP4), `jpeg` (one whole picture) or `end`.
        keyframe: a player may begin here (`media`).
        data: the bytes.
        time_ms: of its first picture, our clock, UTC ms.
        codec: for the player, RFC 6381, e.g. `avc1.64001f` (`init` alone).
        transcoded: the pictures were re-encoded for viewing (or masking) and are not the camera's own.
    """

    camera: str
    kind: str
    keyframe: bool
    data: bytes
    time_ms: int
    codec: str = ""
    transcoded: bool = False


@dataclass(frozen=True, slots=True)
class NewSegment:
    """A finished piece of a recording, its file complete and durable.

    Attributes:
        camera: device id. file: its name inside the recordings' folder.
        from_ms, to_ms: presentation time of its first picture, and of the end of its last, our clock, UTC ms.
        size_bytes, sha256: of the file.
        codec, width_px, height_px: of its pictures.
        motion_ms: how long there was motion in it.
        masked: its pictures were re-encoded with masks burned in.
    """

    camera: str
    file: str
    from_ms: int
    to_ms: int
    size_bytes: int
    sha256: str
    codec: str
    width_px: int
    height_px: int
    motion_ms: int = 0
    masked: bool = False


@dataclass(frozen=True, slots=True)
class Clip:
    """A finished clip: an MP4 in memory.

    Attributes:
        data: the file. sha256: of it.
        from_ms, to_ms: of its first picture (a keyframe) and of the end of its last, our clock, UTC ms.
        codec, width_px, height_px: of its pictures; frames: how many.
        transcoded: re-encoded (masked cameras alone, or a copy for viewing).
        note: what is missing, "" for nothing: e.g. `starts 4.0 s late`, `parameters changed`.
    """

    data: bytes
    sha256: str
    from_ms: int
    to_ms: int
    codec: str
    width_px: int
    height_px: int
    frames: int
    transcoded: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Detections:
    """Objects of a batch of pictures, as columns of one length.

    Attributes:
        image: int32, which picture of the batch.
        box: float32 (n, 4), left, top, right, bottom, pixels of that picture.
        score: float32, 0..1.
        kind: uint8, codes of `model.camera.OBJECT_CODE`.
    """

    image: npt.NDArray[np.int32]
    box: npt.NDArray[np.float32]
    score: npt.NDArray[np.float32]
    kind: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.image)

    @classmethod
    def empty(cls) -> Detections:
        """No object."""
        return cls(np.empty(0, np.int32), np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.uint8))


class Detector(Protocol):
    """Finds objects in pictures; pictures in, columns out. Not to be called by two threads at once."""

    #: What it is, e.g. `onnx:yolox_nano`.
    name: str
    #: Pictures that it takes at a time most cheaply.
    best_batch: int

    def detect(self, images: Sequence[Bgr], *, min_score: float) -> Detections:
        """Objects of the kinds of `model.camera.ObjectKind` in each of `images` (H, W, 3 uint8 BGR, sizes may differ)."""
        ...


class LiveFeeds(Protocol):
    """Where live fragments come from, as the live view asks for them. Any thread may call anything; nothing blocks."""

    def start(self, camera: str, *, mode: str, deliver: Callable[[Fragment], None]) -> Callable[[], None]:
        """Begin to deliver fragments of a camera; what it returns ends that.

        Args:
            camera: device id.
            mode: `mp4` (an `init`, then `media` from the last keyframe of the ring on) or `jpeg`.
            deliver: called on another thread with each fragment, in order; it must be quick. An `end` fragment, whose
                `data` says why in UTF-8, is the last.

        Raises NotFound (no such camera), Refused (disabled or parked), TryAgain (its worker is starting).
        """
        ...
