"""Packets for the tests of this room: of the real clips, and encoded here.

Nothing is mocked: what comes out is what a demuxer would hand over.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import cast

import av
import numpy as np
import numpy.typing as npt
import pytest

from ingest.video import nal
from ingest.video.parameters import parameters_of
from model.video import TICKS_PER_S, Packet, StreamInfo

START_MS = 1_760_000_000_000
PROJECT = Path(__file__).resolve().parents[3]
CARPARK, HALL, STREET = "carpark-768x432.mp4", "hall-768x432.mp4", "street-640x360-vfr.mp4"
DEFOCUS, MOVED = "tamper-defocus-720p.mp4", "tamper-moved-720p.mp4"


def clip_path(name: str) -> Path:
    """One of the real clips; skips the test, or fails it with CI=true, where it is not there."""
    path = Path(os.environ.get("LUCHENG_TEST_DATA") or PROJECT.parent / "shared" / "data") / "video" / name
    if not path.exists():
        message = f"no clip at {path}: set LUCHENG_TEST_DATA"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path


@lru_cache(maxsize=16)
def real_packets(name: str, limit: int = 10_000) -> tuple[Packet, ...]:
    """The packets of a real clip, its first picture at `START_MS`."""
    with av.open(str(clip_path(name)), "r") as container:
        return tuple(demuxed(container, limit=limit))


def demuxed(container: av.container.InputContainer, *, limit: int = 10_000, epoch: int = 1) -> list[Packet]:
    """Packets of the first video stream, ticks from the first presentation at 0."""
    stream = container.streams.video[0]
    context = stream.codec_context
    info = StreamInfo(context.name, context.width, context.height, context.extradata or b"", 25.0, epoch)
    found: list[Packet] = []
    base = Fraction(stream.time_base or 1) * TICKS_PER_S
    first: int | None = None
    for packet in container.demux(stream):
        if packet.size and packet.pts is not None and packet.dts is not None:
            pts, dts = round(packet.pts * base), round(packet.dts * base)
            first = pts if first is None else first
            at_ms = START_MS + (pts - first) // 90
            found.append(
                Packet(
                    bytes(packet), pts - first, dts - first, at_ms, at_ms, packet.is_keyframe, packet.is_corrupt, info
                )
            )
            if len(found) == limit:
                break
    return found


def moving(count: int, width: int, height: int, *, seed: int = 1) -> list[npt.NDArray[np.uint8]]:
    """BGR pictures of a textured ground with a bright square that moves; the same for the same seed."""
    generator = np.random.default_rng(seed)
    ground = generator.integers(40, 120, (height, width, 3), np.uint8)
    ground = np.repeat(np.repeat(ground[::8, ::8], 8, 0), 8, 1)[:height, :width]
    pictures = []
    for index in range(count):
        picture = ground.copy()
        side = max(8, height // 6)
        left = (index * 5) % (width - side)
        picture[height // 3 : height // 3 + side, left : left + side] = 230
        pictures.append(picture)
    return pictures


def encoded(
    pictures: Iterable[npt.NDArray[np.uint8]],
    *,
    codec: str = "libx264",
    gop: int = 10,
    fps: int = 15,
    b_frames: int = 0,
    pixel: str = "yuv420p",
    annexb: bool = True,
    in_band: bool = True,
    options: dict[str, str] | None = None,
    epoch: int = 1,
    start_ticks: int = 0,
    start_ms: int = START_MS,
) -> list[Packet]:
    """Pictures encoded as a camera does.

    `pictures` are BGR; `annexb` says start codes, as over RTSP, else lengths, as in a file; with `in_band` every keyframe
    brings its parameter sets; `start_ticks` and `start_ms` are of the first picture; the others are of the encoder.
    """
    context: av.VideoCodecContext | None = None
    made: list[av.Packet[av.VideoStream]] = []
    tunes = {"preset": "ultrafast", "x265-params": "log-level=none:pools=1:frame-threads=1", **(options or {})}
    if codec == "libx264":
        tunes.pop("x265-params")
    for index, picture in enumerate(pictures):
        if context is None:
            context = cast("av.VideoCodecContext", av.CodecContext.create(codec, "w"))
            context.height, context.width = picture.shape[:2]
            context.pix_fmt = pixel
            context.time_base, context.framerate = Fraction(1, TICKS_PER_S), Fraction(fps)
            context.gop_size, context.max_b_frames, context.thread_count = gop, b_frames, 1
            extra = f":bframes={b_frames}:keyint={gop}:repeat-headers={int(in_band)}"
            if codec == "libx265":
                tunes["x265-params"] += extra
            else:
                tunes["x264-params"] = f"repeat-headers={int(in_band)}:b-adapt=0"
            context.options = tunes
            if not in_band or codec == "libx265":
                context.flags |= 1 << 22  # global header
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format=pixel)
        frame.pts, frame.time_base = index * TICKS_PER_S // fps, Fraction(1, TICKS_PER_S)
        made += cast("list[av.Packet[av.VideoStream]]", context.encode(frame))
    assert context is not None
    made += cast("list[av.Packet[av.VideoStream]]", context.encode(None))
    extradata = context.extradata or b""
    info = StreamInfo("hevc" if codec == "libx265" else "h264", context.width, context.height, extradata, fps, epoch)
    packets = []
    for packet in made:
        pts, dts = (packet.pts or 0) + start_ticks, (packet.dts or 0) + start_ticks
        at_ms = start_ms + (packet.pts or 0) // 90
        packets.append(Packet(bytes(packet), pts, dts, at_ms, at_ms, packet.is_keyframe, False, info))
    return packets if annexb else with_lengths(packets)


def with_lengths(packets: Sequence[Packet]) -> list[Packet]:
    """The same stream as a file holds it: avcC or hvcC, and units with lengths."""
    info = packets[0].info
    config = parameters_of(info, packets[0]).config
    told = replace(info, extradata=config)
    return [replace(packet, data=nal.with_lengths(packet.data, 0), info=told) for packet in packets]


def decoded(data: bytes) -> list[npt.NDArray[np.uint8]]:
    """Luma of each picture that PyAV shows of a file."""
    with av.open(io.BytesIO(data), "r") as container:
        return [luma_of(frame) for frame in container.decode(video=0)]


def luma_of(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    """A copy of the luma plane."""
    plane = frame.planes[0]
    rows = np.frombuffer(cast("memoryview", plane), np.uint8).reshape(plane.height, plane.line_size)
    return np.array(rows[:, : plane.width], np.uint8)


def samples_in(data: bytes) -> list[tuple[bytes, int, int, bool]]:
    """(bytes, pts, dts, keyframe) of each packet that PyAV finds in a file; ticks as they stand in it."""
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.video[0]
        assert stream.time_base == Fraction(1, TICKS_PER_S)
        return [
            (bytes(packet), packet.pts or 0, packet.dts or 0, packet.is_keyframe)
            for packet in container.demux(stream)
            if packet.size
        ]
