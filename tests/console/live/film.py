"""A drawn film as fragmented MP4, H.264 and H.265, and feeds that play it as a camera would; real bytes for the live view."""

from __future__ import annotations

import io
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import cast

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.container import OutputContainer
from av.video.stream import VideoStream

from ingest.video.fragments import Fragmenter
from model.errors import NotFound
from model.video import TICKS_PER_MS, TICKS_PER_S, Fragment, Packet, StreamInfo

WIDTH_PX, HEIGHT_PX = 320, 180
FPS = 10
GOP = 10
FRAMES = 30


@dataclass(frozen=True)
class Film:
    """`init`, then one piece a picture with whether it is a keyframe; `whole` is a plain MP4 of the same."""

    init: bytes
    pieces: tuple[tuple[bytes, bool], ...]
    codec: str
    whole: bytes


def picture(number: int) -> npt.NDArray[np.uint8]:
    """A bar that moves over a grey ramp, and the number."""
    made = np.tile(np.linspace(40, 200, WIDTH_PX).astype(np.uint8), (HEIGHT_PX, 1))
    at = number * 5 % WIDTH_PX
    made[:, at : at + 12] = 255
    cv2.putText(made, f"{number}", (20, 100), cv2.FONT_HERSHEY_SIMPLEX, 2, 0, 4)
    return np.ascontiguousarray(np.repeat(made[:, :, None], 3, axis=2))


def jpeg(number: int) -> bytes:
    done, data = cv2.imencode(".jpg", picture(number))
    assert done
    return data.tobytes()


def make_film(codec: str = "libx264", *, name: str = "") -> Film:
    """Encode it; `name` is the codec for the player where it is not to be read from the stream."""
    options = {"preset": "ultrafast", "tune": "zerolatency"}
    if codec == "libx265":
        options["x265-params"] = f"log-level=none:keyint={GOP}:min-keyint={GOP}:bframes=0"
    flags = "frag_every_frame+empty_moov+default_base_moof"
    pieces = io.BytesIO()
    whole = io.BytesIO()
    keys: list[bool] = []
    with (
        av.open(pieces, "w", "mp4", options={"movflags": flags}) as live,
        av.open(whole, "w", "mp4") as file,
    ):
        streams: list[tuple[OutputContainer, VideoStream]] = []
        for target in (live, file):
            stream = cast("VideoStream", target.add_stream(codec, rate=FPS, options=options))
            stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
            stream.gop_size, stream.max_b_frames = GOP, 0
            stream.thread_count = 1
            if codec == "libx265":
                stream.codec_tag = "hvc1"
            streams.append((target, stream))
        for target, stream in streams:
            for number in range(FRAMES):
                frame = av.VideoFrame.from_ndarray(picture(number), "bgr24")
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                for packet in stream.encode(frame):
                    if target is live:
                        keys.append(packet.is_keyframe)
                    target.mux(packet)
            for packet in stream.encode():
                if target is live:
                    keys.append(packet.is_keyframe)
                target.mux(packet)
    boxes = split_boxes(pieces.getvalue())
    init = b"".join(data for kind, data in boxes if kind in ("ftyp", "moov"))
    media = [data for kind, data in boxes if kind in ("moof", "mdat")]
    joined = [media[at] + media[at + 1] for at in range(0, len(media), 2)]
    assert len(joined) == len(keys) == FRAMES
    return Film(init, tuple(zip(joined, keys, strict=True)), name or avc_codec(init), whole.getvalue())


def split_boxes(data: bytes) -> list[tuple[str, bytes]]:
    """The boxes of an MP4, outermost only (ISO/IEC 14496-12, 4.2)."""
    found = []
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        found.append((data[at + 4 : at + 8].decode("latin-1"), data[at : at + size]))
        at += size
    return found


def avc_codec(init: bytes) -> str:
    """`avc1.PPCCLL` of the first H.264 track (RFC 6381, 3.3)."""
    at = init.index(b"avcC") + 4
    return f"avc1.{init[at + 1 : at + 4].hex()}"


@dataclass
class FilmFeeds:
    """Plays the film over and over, in real time, to everybody who asks: a `LiveFeeds`."""

    film: Film
    cameras: tuple[str, ...]
    fps: float = FPS
    #: While it is set nothing is delivered: the camera is dead and has not said so.
    dead: threading.Event = field(default_factory=threading.Event)
    starts: int = 0
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self, camera: str, *, mode: str, deliver: Callable[[Fragment], None]) -> Callable[[], None]:
        if camera not in self.cameras:
            raise NotFound(f"There is no {camera}.")
        self.starts += 1
        ended = threading.Event()
        thread = threading.Thread(target=self._play, args=(camera, mode, deliver, ended), daemon=True)
        self.threads.append(thread)
        thread.start()
        return ended.set

    def _play(self, camera: str, mode: str, deliver: Callable[[Fragment], None], ended: threading.Event) -> None:
        if mode == "mp4":
            deliver(Fragment(camera, "init", False, self.film.init, _now_ms(), self.film.codec, transcoded=True))
        number = 0
        while not ended.wait(1 / self.fps):
            if self.dead.is_set():
                continue
            data, key = self.film.pieces[number % FRAMES]
            if mode == "jpeg":
                deliver(Fragment(camera, "jpeg", True, jpeg(number), _now_ms(), transcoded=True))
            else:
                deliver(Fragment(camera, "media", key, data, _now_ms()))
            number += 1

    def close(self) -> None:
        for thread in self.threads:
            thread.join(5)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def fragmented(film: Film) -> Film:
    """The same film, cut as the video workers do it."""
    pieces: list[tuple[bytes, bool]] = []
    init, name = b"", ""
    with av.open(io.BytesIO(film.whole), "r") as file:
        stream = file.streams.video[0]
        info = StreamInfo("h264", WIDTH_PX, HEIGHT_PX, stream.codec_context.extradata or b"", FPS, 1)
        fragmenter = Fragmenter("camera/film", info)
        for packet in file.demux(stream):
            if packet.pts is None or packet.dts is None or packet.time_base is None:
                continue
            ticks = int(packet.pts * packet.time_base * TICKS_PER_S)
            now_ms = 1_000_000 + ticks // TICKS_PER_MS
            made = fragmenter.push(
                Packet(bytes(packet), ticks, ticks, now_ms, now_ms, packet.is_keyframe, corrupt=False, info=info)
            )
            for one in made:
                if one.kind == "init":
                    init, name = one.data, one.codec
                else:
                    pieces.append((one.data, one.keyframe))
    return Film(init, tuple(pieces), name, film.whole)
