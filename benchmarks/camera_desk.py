"""What a video worker does for its cameras, without its processes: ring, planner, decoder, thumbnails in a slab, scene core.

`Desk` is fed packets by whoever has them (memory, connections) and steps the scene core over all new thumbnails. `Seen`
is the same with thumbnails that were decoded before, so that hours of policy cost seconds; it decodes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.gate import Decode, DecodePlanner
from analytics.scene.bank import SceneBank
from benchmarks.camera_streams import FPS, Encoded, Group
from ingest.video.decoding import Picture, PictureDecoder
from ingest.video.ring import PacketRing
from model.video import THUMB_HEIGHT_PX, THUMB_WIDTH_PX, TICKS_PER_S, Packet, StreamInfo

START_MS = 1_760_000_000_000
#: The scene core steps four times a second.
STEP_MS = 250
_PIXELS = THUMB_WIDTH_PX * THUMB_HEIGHT_PX
Luma = npt.NDArray[np.uint8]


def frame_ms(at: int) -> int:
    """When picture `at` of a stream was taken."""
    return START_MS + at * 1000 // FPS


def info_of(source: Encoded) -> StreamInfo:
    """The stream's parameters."""
    return StreamInfo("h264", 1920, 1080, source.extradata, float(FPS), 1)


def packet_of(info: StreamInfo, data: bytes, at: int, *, keyframe: bool) -> Packet:
    """Packet `at` of a stream."""
    ticks = at * TICKS_PER_S // FPS
    time_ms = frame_ms(at)
    return Packet(data, ticks, ticks, time_ms, time_ms, keyframe, corrupt=False, info=info)


class Desk:
    """Cameras of one worker.

    Args:
        planners: one for each camera.
        info: of all streams.
        ring_s: seconds in a ring.
    """

    def __init__(self, planners: Sequence[DecodePlanner], info: StreamInfo, *, ring_s: float = 10.0) -> None:
        self.planners = list(planners)
        self.decoded = [0] * len(self.planners)
        self.keyframes = 0
        self._rings = [PacketRing(max_s=ring_s) for _ in self.planners]
        self._decoders = [PictureDecoder(info) for _ in self.planners]
        self._bank = SceneBank(len(self.planners))
        self._slab = np.zeros((len(self.planners), THUMB_HEIGHT_PX, THUMB_WIDTH_PX), np.uint8)
        self._time_ms = np.zeros(len(self.planners), np.int64)
        self._fresh = np.zeros(len(self.planners), np.bool_)
        self._lock = threading.Lock()

    def packet(self, camera: int, packet: Packet) -> None:
        """The camera's next packet, on its thread."""
        ring = self._rings[camera]
        ring.append(packet)
        action = self.planners[camera].decide(
            len(packet.data), keyframe=packet.keyframe, time_ms=packet.time_ms, corrupt=packet.corrupt
        )
        if action is Decode.SKIP:
            return
        decoder = self._decoders[camera]
        pictures: list[Picture] = []
        if action is Decode.KEYFRAME:
            picture = decoder.keyframe_only(packet)
            pictures = [picture] if picture else []
            self.keyframes += 1
        elif action is Decode.CATCH_UP:
            for one in ring.from_last_keyframe():
                pictures += decoder.decode(one)
                self.decoded[camera] += 1
        else:
            pictures = decoder.decode(packet)
        self.decoded[camera] += action is not Decode.CATCH_UP
        if pictures:
            self._show(camera, pictures[-1])

    def reconnected(self, camera: int) -> None:
        """The camera's stream begins again."""
        self.planners[camera].interrupted()
        with self._lock:
            self._fresh[camera] = False
            self._bank.reset(camera)

    def _show(self, camera: int, picture: Picture) -> None:
        picture.thumbnail(self._slab[camera])
        with self._lock:
            self._time_ms[camera] = picture.time_ms
            self._fresh[camera] = True

    def step(self) -> int:
        """Step the scene core over what is new; how many pictures that was."""
        with self._lock:
            rows = np.flatnonzero(self._fresh).astype(np.int32)
            self._fresh[rows] = False
            luma, time_ms = self._slab[rows], self._time_ms[rows]
        if not len(rows):
            return 0
        found = self._bank.step(rows, luma, time_ms)
        for at, row in enumerate(rows.tolist()):
            self.planners[row].saw(
                int(time_ms[at]),
                moved=bool(found.moving[at]),
                still=bool(found.still[at]),
                share=float(found.motion_px[at] / _PIXELS),
            )
        return len(rows)


class Thumbs:
    """Thumbnails of every picture of groups, each decoded once."""

    def __init__(self, source: Encoded) -> None:
        self._info = info_of(source)
        self._decoder = PictureDecoder(self._info)
        self._known: dict[int, Luma] = {}

    def of(self, group: Group) -> Luma:
        """(pictures, 108, 192) uint8."""
        known = self._known.get(id(group.packets))
        if known is None:
            pictures: list[Luma] = []
            for at, data in enumerate(group.packets):
                packet = packet_of(self._info, data, at, keyframe=at == 0)
                pictures += [_thumb(picture) for picture in self._decoder.decode(packet)]
            pictures += [_thumb(picture) for picture in self._decoder.drain()]
            known = self._known[id(group.packets)] = np.stack(pictures)
        return known


def _thumb(picture: Picture) -> Luma:
    made = np.empty((THUMB_HEIGHT_PX, THUMB_WIDTH_PX), np.uint8)
    picture.thumbnail(made)
    return made


@dataclass(frozen=True, slots=True)
class Event:
    """A run of motion: first and last picture of it, and the largest share of the picture that moved."""

    first: int
    last: int
    share: float


def events_of(stream: Sequence[Group], thumbs: Thumbs) -> list[Event]:
    """Motion events of a stream, every picture decoded: where the scene core says that one is on."""
    bank, row = SceneBank(1), np.zeros(1, np.int32)
    found: list[Event] = []
    at = 0
    for group in stream:
        if group.cut:
            bank.reset(0)
        for luma in thumbs.of(group):
            step = bank.step(row, luma[None], np.array([frame_ms(at)]))
            share = float(step.motion_px[0] / _PIXELS)
            if step.started[0]:
                found.append(Event(at, at, share))
            elif step.motion[0] and found:
                found[-1] = Event(found[-1].first, at, max(found[-1].share, share))
            at += 1
    return found


@dataclass(frozen=True, slots=True)
class Watched:
    """What a policy did with a stream.

    Attributes:
        moving: pictures that it decoded and found moving. stirred: pictures at which packets alone said so.
        decoded: pictures decoded. looks: pictures that analysis saw. pictures: all of the stream.
        awake: pictures while which the gate said that the scene stirs.
    """

    moving: tuple[int, ...]
    stirred: tuple[int, ...]
    decoded: int
    looks: int
    pictures: int


def watch(stream: Sequence[Group], thumbs: Thumbs, planner: DecodePlanner, *, from_picture: int = 0) -> Watched:
    """Run a policy over a stream, with the thumbnails that its decoder would have given.

    Args:
        stream: groups.
        thumbs: of them.
        planner: of the camera.
        from_picture: number of the first picture, where the planner has seen others before.
    """
    bank, row = SceneBank(1), np.zeros(1, np.int32)
    moving, stirred = [], []
    decoded = looks = 0
    at = from_picture
    for group in stream:
        pictures = thumbs.of(group)
        if group.cut:
            planner.interrupted()
            bank.reset(0)
        for place, data in enumerate(group.packets):
            time_ms = frame_ms(at)
            action = planner.decide(len(data), keyframe=place == 0, time_ms=time_ms)
            if planner.stirs:
                stirred.append(at)
            if action is not Decode.SKIP:
                decoded += place + 1 if action is Decode.CATCH_UP else 1
                looks += 1
                step = bank.step(row, pictures[place][None], np.array([time_ms]))
                planner.saw(
                    time_ms,
                    moved=bool(step.moving[0]),
                    still=bool(step.still[0]),
                    share=float(step.motion_px[0] / _PIXELS),
                )
                if step.moving[0]:
                    moving.append(at)
            at += 1
    return Watched(tuple(moving), tuple(stirred), decoded, looks, at - from_picture)
