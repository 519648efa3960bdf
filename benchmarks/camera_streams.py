"""Streams as cameras send them, made of real clips: 1080p15 H.264, GOP 2 s, no B-frames, at a capped or a constant bitrate.

Each clip is scaled to 1080p and re-encoded once for each rate and phase (where in the clip it begins) into the cache:
`LUCHENG_CACHE_DIR` or `~/.cache/lucheng`, folder `bench-video`. Where nothing moves for a second the clip stands still: its
last two seconds, with their noise, are played backwards and forwards for 10 s before it goes on, and the encoder sees
one video without a cut. Every group of pictures begins with an IDR picture, so a long stream is made of the groups: the clip
in order, each stand-still as long as chance says, drawn from its own groups. The frames of the clips are taken as they
come, whatever their rate was. Where the clip begins again there is a cut: it counts as a new connection.

What is still and what moves is told apart here by the difference of luma thumbnails 0.2 s apart, only to choose groups;
what the benchmark judges by is the scene core on every picture.
"""

from __future__ import annotations

import itertools
import os
import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from model.video import THUMB_HEIGHT_PX, THUMB_WIDTH_PX

WIDTH_PX, HEIGHT_PX, FPS, GOP = 1920, 1080, 15, 30
FRAME_MS = 1000 / FPS
PROJECT = Path(__file__).resolve().parents[1]
CLIPS = {"carpark": "carpark-768x432.mp4", "hall": "hall-768x432.mp4", "street": "street-640x360-vfr.mp4"}
#: Constant over a group of pictures, as cameras count it: with a smaller buffer keyframes, whose bytes are what decoding
#: costs, would be a third of the 150 to 180 kB that cameras send at 3 Mb/s.
#: At this quality a still scene takes a fifth of the 3 Mb/s cap, as where a camera suppresses noise. At CRF 24 the noise of
#: these clips alone reaches the cap, and a capped stream is then a constant one.
RATES = {
    "vbr": {"crf": "30", "maxrate": "3M", "bufsize": "6M"},
    "cbr": {"minrate": "3M", "maxrate": "3M", "bufsize": "6M"},
}
_CBR_BITS_S, _PRESET = 3_000_000, "veryfast"
_TICK = Fraction(1, FPS)
MAX_CLIP_FRAMES = 700
#: Where the clip begins, frames: one stream to learn on, another to be measured on.
LEARN_PHASE, MEASURE_PHASE = 0, 7
#: A quiet stretch of the clip at least; how much of its end is played there and back, and for how long, frames.
_STRETCH, _WINDOW, _STAND = 15, 30, 150
#: A picture moves when so many pixels of the thumbnail differ by more than so much from 0.2 s before.
_DIFFER, _MOVED_PX, _BACK = 20, 12, 3


def data_folder() -> Path:
    """Where the real clips are."""
    return Path(os.environ.get("LUCHENG_TEST_DATA") or PROJECT.parent / "shared" / "data") / "video"


def cache_folder() -> Path:
    """Where re-encoded streams are kept."""
    root = os.environ.get("LUCHENG_CACHE_DIR") or Path.home() / ".cache" / "lucheng"
    folder = Path(root) / "bench-video"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass(frozen=True, slots=True)
class Group:
    """One group of pictures.

    Attributes:
        packets: bytes, a keyframe first.
        stand: number of the stand-still that it is part of; -1: of none.
        cut: the clip begins (again) with it.
    """

    packets: tuple[bytes, ...]
    stand: int
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Encoded:
    """One re-encoded clip: its parameter sets, its groups, the file it is kept in."""

    file: Path
    extradata: bytes
    groups: tuple[Group, ...]

    @property
    def keyframe_bytes(self) -> float:
        """Mean size of a keyframe: what decoding it costs goes with that."""
        return sum(len(group.packets[0]) for group in self.groups) / len(self.groups)

    @property
    def bits_s(self) -> float:
        """Its bitrate."""
        size_bytes = sum(len(packet) for group in self.groups for packet in group.packets)
        return size_bytes * 8 * FPS / sum(len(group.packets) for group in self.groups)


def encoded(clip: str, rate: str, phase: int = LEARN_PHASE, *, max_frames: int = MAX_CLIP_FRAMES) -> Encoded:
    """A clip re-encoded, from the cache or into it."""
    recipe = zlib.crc32(repr((RATES[rate], _PRESET, _CBR_BITS_S, _STRETCH, _WINDOW, _STAND, max_frames)).encode())
    file = cache_folder() / f"{clip}-{rate}-{phase}-{recipe:08x}.mp4"
    stands_file = file.with_suffix(".npy")
    if not (file.exists() and stands_file.exists()):
        print(f"  re-encoding {clip} at 1080p, {rate}, once", flush=True)
        unfinished = file.with_suffix(f".{os.getpid()}.mp4")
        frames, stand = _script(data_folder() / CLIPS[clip], phase, max_frames)
        _encode(frames, unfinished, RATES[rate])
        np.save(stands_file, stand)
        unfinished.replace(file)
    return _read(file, np.load(stands_file))


def _script(source: Path, phase: int, max_frames: int) -> tuple[list[av.VideoFrame], npt.NDArray[np.int32]]:
    """Frames in the order in which they are sent, and the number of the stand-still that each is part of, or -1."""
    with av.open(str(source)) as clip:
        frames = list(itertools.islice(clip.decode(video=0), phase, phase + max_frames))
    moved = _moved(frames)
    order: list[int] = []
    stands: list[int] = []
    at = number = 0
    while at < len(frames):
        end = at
        while end < len(frames) and moved[end] == moved[at]:
            end += 1
        stretch = list(range(at, end))
        if moved[at] or len(stretch) < _STRETCH:
            order += stretch
            stands += [-1] * len(stretch)
        else:
            # The last two seconds alone: in longer ones the light changes, and groups drawn from them would jump.
            there = stretch[-_WINDOW:]
            played = [*there[-2::-1], *there[1:]] * (1 + _STAND // (2 * len(there)))
            order += stretch + played
            stands += [-1] * len(stretch) + [number] * len(played)
            number += 1
        at = end
    return [frames[at] for at in order], np.array(stands, np.int32)


def _moved(frames: Sequence[av.VideoFrame]) -> npt.NDArray[np.bool_]:
    """Which pictures move."""
    size = (THUMB_WIDTH_PX, THUMB_HEIGHT_PX)
    thumbs = [cv2.resize(one.to_ndarray(format="gray"), size, interpolation=cv2.INTER_AREA) for one in frames]
    moved = np.zeros(len(thumbs), np.bool_)
    for at in range(_BACK, len(thumbs)):
        differ = (cv2.absdiff(thumbs[at], thumbs[at - _BACK]) > _DIFFER).astype(np.uint8)
        # From the frame that it is compared with on, or the difference would begin late.
        moved[at - _BACK : at + 1] |= cv2.erode(differ, np.ones((2, 2), np.uint8)).sum() >= _MOVED_PX
    return moved


def _encode(frames: Sequence[av.VideoFrame], target: Path, rate: dict[str, str]) -> None:
    """Scale and re-encode."""
    reformatter = VideoReformatter()
    with av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        stream.time_base = _TICK
        stream.bit_rate = _CBR_BITS_S if "minrate" in rate else 0
        exact = f"keyint={GOP}:min-keyint={GOP}:scenecut=0:bframes=0:sliced-threads=0"
        stream.options = {"preset": _PRESET, "tune": "zerolatency", "x264-params": exact, "threads": "1", **rate}
        for at, frame in enumerate(frames):
            scaled = reformatter.reformat(frame, WIDTH_PX, HEIGHT_PX, "yuv420p")
            scaled.pts, scaled.time_base, scaled.pict_type = at, _TICK, 0
            out.mux(stream.encode(scaled))
        out.mux(stream.encode(None))


def _read(file: Path, stands: npt.NDArray[np.int32]) -> Encoded:
    """The groups of a file, the last one only if it is whole."""
    groups: list[list[bytes]] = []
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        extradata = bytes(stream.codec_context.extradata or b"")
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if packet.is_keyframe:
                groups.append([])
            groups[-1].append(bytes(packet))
    whole = []
    for at, packets in enumerate(groups):
        stand = stands[at * GOP : (at + 1) * GOP]
        if len(packets) == GOP:
            whole.append(Group(tuple(packets), int(stand[0]) if (stand == stand[0]).all() else -1, cut=at == 0))
    return Encoded(file, extradata, tuple(whole))


def splice(source: Encoded, seconds: float, *, moving_share: float, seed: int) -> list[Group]:
    """A long stream: the clip over and over, standing still between what moves until that is `moving_share` of the time."""
    chance = random.Random(seed)
    parts = [list(part) for _, part in itertools.groupby(source.groups, key=lambda group: group.stand)]
    moving = sum(len(part) for part in parts if part[0].stand < 0)
    standing = sum(part[0].stand >= 0 for part in parts)
    if not moving or not standing:
        raise SystemExit(f"{source.file.name} has nothing that moves, or nothing that stands still")
    mean = moving * (1.0 - moving_share) / moving_share / standing
    made: list[Group] = []
    while len(made) * GOP < seconds * FPS:
        for part in parts:
            if part[0].stand < 0:
                made += part
                continue
            # Its ends as they are, so that there is no cut; at least four groups, so that one event ends before the next.
            drawn = chance.choices(part, k=4 + int(chance.expovariate(1.0 / max(mean - 4.0, 1.0))))
            made += [part[0], *(Group(one.packets, one.stand) for one in drawn), part[-1]]
    return made[: int(seconds * FPS / GOP)]
