"""Real clips re-encoded as cameras do, as sizes of packets and whether something moves; and long streams spliced of them.

A capped variable bitrate whose cap is three times what a still scene takes, and a constant bitrate (x264 without a buffer
to speak of); GOP 2 s at 15 pictures a second, no B-frames unless asked for.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

PROJECT = Path(__file__).resolve().parents[3]
FPS, GOP = 15, 30
CLIPS = {"carpark": "carpark-768x432.mp4", "hall": "hall-768x432.mp4"}
RATES = {
    "vbr": {"crf": "30", "maxrate": "900k", "bufsize": "1800k"},
    "cbr": {"minrate": "900k", "maxrate": "900k", "bufsize": "120k", "nal-hrd": "cbr"},
}
_CBR_BITS_S = 900_000
MAX_FRAMES = 450
_DIFFER, _MOVED_PX, _BACK = 20, 12, 3


@dataclass(frozen=True)
class Group:
    """Sizes of its packets, bytes, the keyframe first; which pictures move."""

    sizes: tuple[int, ...]
    moved: tuple[bool, ...]

    @property
    def still(self) -> bool:
        return not any(self.moved)


def clip_file(name: str) -> Path:
    file = Path(os.environ.get("LUCHENG_TEST_DATA") or PROJECT.parent / "shared" / "data") / "video" / CLIPS[name]
    if not file.exists():
        message = f"no clip at {file}: set LUCHENG_TEST_DATA"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return file


def groups_of(name: str, rate: str, *, b_frames: int = 0) -> list[Group]:
    """A clip's groups as such a camera sends them."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.time_base = Fraction(1, FPS)
    encoder.framerate = Fraction(FPS, 1)
    encoder.bit_rate = _CBR_BITS_S if rate == "cbr" else 0
    options = dict(RATES[rate])
    exact = f"keyint={GOP}:min-keyint={GOP}:scenecut=0:bframes={b_frames}:b-adapt=0:sliced-threads=0:rc-lookahead=0"
    if "nal-hrd" in options:
        exact += f":nal-hrd={options.pop('nal-hrd')}"
    encoder.options = {"preset": "superfast", "x264-params": exact, "threads": "1", **options}
    thumbs, packets = [], []
    with av.open(str(clip_file(name))) as clip:
        for at, frame in enumerate(clip.decode(video=0)):
            if at == MAX_FRAMES:
                break
            if at == 0:
                encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "yuv420p"
            thumbs.append(cv2.resize(frame.to_ndarray(format="gray"), (192, 108), interpolation=cv2.INTER_AREA))
            frame.pts, frame.time_base, frame.pict_type = at, encoder.time_base, 0
            packets += encoder.encode(frame)
    packets += encoder.encode(None)
    moved = np.zeros(len(thumbs), np.bool_)
    for at in range(_BACK, len(thumbs)):
        differ = (cv2.absdiff(thumbs[at], thumbs[at - _BACK]) > _DIFFER).astype(np.uint8)
        moved[at] = cv2.erode(differ, np.ones((2, 2), np.uint8)).sum() >= _MOVED_PX
    starts = [at for at, packet in enumerate(packets) if packet.is_keyframe]
    return [
        Group(tuple(one.size for one in packets[at : at + GOP]), tuple(moved[at : at + GOP].tolist()))
        for at in starts
        if at + GOP <= len(packets)
    ]


def splice(groups: list[Group], count: int, *, moving_share: float, seed: int) -> list[Group]:
    """`count` groups of which about `moving_share` move: runs as they are in the clip, between still ones at random."""
    still = [group for group in groups if group.still]
    runs: list[list[Group]] = []
    for before, group in zip([groups[0], *groups], groups, strict=False):
        if not group.still:
            if before.still or not runs:
                runs.append([])
            runs[-1].append(group)
    chance = random.Random(seed)
    mean_run = sum(map(len, runs)) / len(runs)
    mean_still = mean_run * (1 - moving_share) / moving_share
    made: list[Group] = []
    while len(made) < count:
        made += chance.choices(still, k=3 + int(chance.expovariate(1 / max(mean_still - 3, 1))))
        made += chance.choice(runs)
    return made[:count]
