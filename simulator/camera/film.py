"""A film: pictures encoded once as a camera encodes them, kept as compressed pictures that can be sent over and over.

Invariants: it begins with a keyframe, has one every `gop_s`, no B-frames, and parameter sets before each keyframe; the
bytes are Annex B. It sends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt

DEFAULT_GOP_S = 2.0
DEFAULT_BITRATE_KBPS = 800
_SPS, _PPS = 7, 8


@dataclass(frozen=True, slots=True)
class Film:
    """Compressed pictures.

    Attributes:
        units: the bytes of each picture, Annex B.
        keyframe: of each, whether decoding may begin there.
        fps: pictures a second.
        sps, pps: parameter sets without start codes.
        width_px, height_px: of the pictures.
    """

    units: tuple[bytes, ...]
    keyframe: tuple[bool, ...]
    fps: float
    sps: bytes
    pps: bytes
    width_px: int
    height_px: int

    @property
    def length_s(self) -> float:
        """How long it runs."""
        return len(self.units) / self.fps


def film(
    pictures: Iterable[npt.NDArray[np.uint8]],
    *,
    fps: float,
    gop_s: float = DEFAULT_GOP_S,
    bitrate_kbps: int = DEFAULT_BITRATE_KBPS,
) -> Film:
    """Encode pictures, (H, W, 3) uint8 BGR, with a capped bitrate as cameras do (H.264, baseline of tools, no B-frames)."""
    encoder: av.VideoCodecContext | None = None
    packets: list[av.Packet[av.VideoStream]] = []
    for number, picture in enumerate(pictures):
        if encoder is None:
            height_px, width_px = picture.shape[:2]
            encoder = _encoder(width_px, height_px, fps, gop_s, bitrate_kbps)
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format="yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    if encoder is None:
        raise ValueError("a film of no pictures")
    packets += encoder.encode(None)
    units = [bytes(packet) for packet in packets]
    sets = {unit[0] & 31: unit for unit in nal_units(units[0]) if unit[0] & 31 in {_SPS, _PPS}}
    return Film(
        tuple(units),
        tuple(packet.is_keyframe for packet in packets),
        fps,
        sets[_SPS],
        sets[_PPS],
        encoder.width,
        encoder.height,
    )


def _encoder(width_px: int, height_px: int, fps: float, gop_s: float, bitrate_kbps: int) -> av.VideoCodecContext:
    made = av.CodecContext.create("libx264", "w")
    assert isinstance(made, av.VideoCodecContext)
    made.width, made.height, made.pix_fmt = width_px, height_px, "yuv420p"
    made.time_base = Fraction(1) / Fraction(fps).limit_denominator(1000)
    made.framerate = Fraction(fps).limit_denominator(1000)
    made.gop_size = max(1, round(gop_s * fps))
    made.max_b_frames = 0
    made.thread_count = 1
    made.options = {
        "preset": "veryfast",
        "tune": "zerolatency",
        "crf": "26",
        "maxrate": f"{bitrate_kbps}k",
        "bufsize": f"{bitrate_kbps}k",
        "sc_threshold": "0",
        "x264-params": "repeat-headers=1:annexb=1",
    }
    return made


def nal_units(data: bytes) -> Iterator[bytes]:
    """The NAL units of an Annex B stream, without start codes. Source: ITU-T H.264, Annex B."""
    at = data.find(b"\x00\x00\x01")
    while at >= 0:
        after = data.find(b"\x00\x00\x01", at + 3)
        end = len(data) if after < 0 else after
        unit = data[at + 3 : end].rstrip(b"\x00") if after >= 0 else data[at + 3 : end]
        if unit:
            yield unit
        at = after
