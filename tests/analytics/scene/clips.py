"""The real clips as thumbnails, decoded once; damaged copies of them; and what a bank says of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from analytics.scene.bank import SceneBank, SceneLimits
from tests.analytics.scene.marks import MARKS, Mark

HEIGHT_PX, WIDTH_PX = 108, 192
PROJECT = Path(__file__).resolve().parents[3]

Luma = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
#: Changes the bytes of packet number `at`, or leaves them.
Damage = Callable[[int, bytes], bytes]


@dataclass(frozen=True)
class Pictures:
    """Thumbnails of a clip: times (n,) ms, luma (n, H, W), whether each is a keyframe (n,)."""

    time_ms: npt.NDArray[np.int64]
    luma: Luma
    keyframe: Bools

    def only(self, which: Bools) -> Pictures:
        """Some of them."""
        return Pictures(self.time_ms[which], self.luma[which], self.keyframe[which])

    def every(self, gap_ms: int) -> Pictures:
        """At most one in so long."""
        keep, last_ms = np.zeros(len(self.time_ms), np.bool_), -gap_ms
        for at, now_ms in enumerate(self.time_ms.tolist()):
            if now_ms - last_ms >= gap_ms:
                keep[at], last_ms = True, now_ms
        return self.only(keep)


def _path(name: str) -> Path:
    path = Path(os.environ.get("LUCHENG_TEST_DATA") or PROJECT.parent / "shared" / "data") / "video" / name
    if not path.exists():
        pytest.skip(f"no clip at {path}: set LUCHENG_TEST_DATA")
    return path


def thumbnail(frame: av.VideoFrame) -> Luma:
    """The luma plane, made small."""
    plane = frame.planes[0]
    luma = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
    return np.asarray(cv2.resize(luma, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA), np.uint8)


def decode(name: str, damage: Damage | None = None, *, quarantine: bool = True) -> Pictures:
    """Thumbnails of a clip, its packets damaged on the way.

    With `quarantine`, after a flagged picture or an error nothing counts up to the next keyframe, as the decoder does.
    """
    found: list[tuple[int, Luma, bool]] = []
    with av.open(str(_path(name))) as container:
        stream = container.streams.video[0]
        codec = av.CodecContext.create(stream.codec_context.name, "r")
        codec.extradata = stream.codec_context.extradata
        codec.thread_count = 1
        assert isinstance(codec, av.VideoCodecContext)
        spoilt = False
        for at, packet in enumerate(container.demux(stream)):
            data = bytes(packet)
            sent = av.Packet(damage(at, data) if damage is not None and data else data) if data else None
            if sent is not None:
                sent.pts, sent.dts, sent.time_base = packet.pts, packet.dts, packet.time_base
            try:
                frames = codec.decode(sent)
            except av.FFmpegError:
                spoilt = True
                continue
            for frame in frames:
                assert frame.pts is not None
                assert stream.time_base is not None
                spoilt = (spoilt and not frame.key_frame) or frame.is_corrupt
                if not (spoilt and quarantine):
                    time_ms = round(float(frame.pts * stream.time_base) * 1000)
                    found.append((time_ms, thumbnail(frame), frame.key_frame))
    times, pictures, keys = zip(*found, strict=True)
    return Pictures(np.array(times, np.int64), np.stack(pictures), np.array(keys))


@cache
def clean(name: str) -> Pictures:
    """A clip as it is; decoded once."""
    return decode(name)


@dataclass(frozen=True)
class Seen:
    """What a bank said of one camera, columns of its pictures.

    `events` are (start_s, end_s): the end is the last picture with motion; the quiet time after it is not in it.
    """

    time_s: npt.NDArray[np.float64]
    moving: Bools
    motion: Bools
    motion_px: npt.NDArray[np.int32]
    lighting: Bools
    health: npt.NDArray[np.uint16]
    raised: npt.NDArray[np.uint16]
    events: tuple[tuple[float, float], ...]

    @property
    def said(self) -> int:
        """All health bits that were ever raised."""
        return int(np.bitwise_or.reduce(self.raised))


def watch(
    pictures: Pictures, *, limits: SceneLimits | None = None, sensitivity: float = 0.5, ignore: Bools | None = None
) -> Seen:
    """Show a camera's pictures to a bank, one after the other."""
    bank = SceneBank(1, limits=limits or SceneLimits())
    bank.set_camera(0, sensitivity=sensitivity, zones=None, ignore=ignore)
    row, columns = np.zeros(1, np.int32), []
    events, since_s, last_s = [], 0.0, 0.0
    time_s = pictures.time_ms / 1000
    for at, now_s in enumerate(time_s.tolist()):
        one = bank.step(row, pictures.luma[at : at + 1], pictures.time_ms[at : at + 1])
        columns.append(
            [one.moving[0], one.motion[0], one.motion_px[0], one.lighting[0], one.health[0], one.health_raised[0]]
        )
        if one.started[0]:
            since_s = now_s
        if one.moving[0]:
            last_s = now_s
        if one.ended[0]:
            events.append((since_s, last_s))
    if bank.step(row, pictures.luma[-1:], pictures.time_ms[-1:] + 1).motion[0]:
        events.append((since_s, last_s))
    moving, motion, motion_px, lighting, health, raised = (np.array(column) for column in zip(*columns, strict=True))
    return Seen(time_s, moving, motion, motion_px, lighting, health, raised, tuple(events))


@cache
def watched(name: str) -> Seen:
    """What a bank says of a clip as it is; looked at once."""
    return watch(clean(name))


@dataclass(frozen=True)
class Score:
    """Against the marks of a clip.

    A mark of the kind `moves` is found when events cover half of it; an event is true when marks (of either kind) cover half
    of it. By seconds, in steps of 0.1 s: `moves` has to be covered, `small` counts neither way, all else has to be quiet.
    """

    event_recall: float
    event_precision: float
    second_recall: float
    second_precision: float


def score(name: str, events: tuple[tuple[float, float], ...], until_s: float) -> Score:
    """How good these events of a clip are."""
    marks = MARKS[name]
    grid_s = np.arange(0.0, until_s, 0.1) + 0.05
    said = covered(grid_s, events)
    moves = covered(grid_s, spans_of(marks, "moves"))
    small = covered(grid_s, spans_of(marks, "small")) & ~moves
    found = [_share(grid_s, span, said) >= 0.5 for span in spans_of(marks, "moves")]
    true = [_share(grid_s, span, moves | small) >= 0.5 for span in events]
    hits = (said & moves).sum()
    second_precision = float(hits / max(1, (said & ~small).sum()))
    return Score(float(np.mean(found)), float(np.mean(true)), float(hits / moves.sum()), second_precision)


def spans_of(marks: tuple[Mark, ...], kind: str) -> tuple[tuple[float, float], ...]:
    """From when to when the marks of a kind are."""
    return tuple((mark.start_s, mark.end_s) for mark in marks if mark.kind == kind)


def covered(grid_s: npt.NDArray[np.float64], spans: tuple[tuple[float, float], ...]) -> Bools:
    """Which times lie in one of the spans."""
    inside = np.zeros(len(grid_s), np.bool_)
    for start_s, end_s in spans:
        inside |= (grid_s >= start_s) & (grid_s <= end_s)
    return inside


def _share(grid_s: npt.NDArray[np.float64], span: tuple[float, float], what: Bools) -> float:
    inside = (grid_s >= span[0] - 0.05) & (grid_s <= span[1] + 0.05)
    return float(what[inside].mean()) if inside.any() else 0.0
