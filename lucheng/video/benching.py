"""`lucheng camera bench`: how many cameras one core of this machine watches, by policy, on a film drawn here or on a file.

Invariants: the parts that a worker runs for each packet and picture are run on packets in memory, and CPU time is what is
counted; the network is not in it. It stores nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from analytics.gate.planner import DecodePlanner
from analytics.scene.bank import SceneBank
from ingest.video.address import PinnedAddress
from ingest.video.decoding import PictureDecoder
from ingest.video.ring import PacketRing
from ingest.video.source import Source
from model.camera import CameraSettings, DecodePolicy
from model.errors import BadInput
from model.video import THUMB_HEIGHT_PX, THUMB_WIDTH_PX, TICKS_PER_MS, Packet, StreamInfo

if TYPE_CHECKING:
    from model.clock import Clock

#: The film that is drawn where no file is given.
FILM_WIDTH_PX, FILM_HEIGHT_PX, FILM_FPS, FILM_S, FILM_KBPS = 1920, 1080, 15.0, 6.0, 3_000
#: CPU seconds for which each part is run.
DEFAULT_MEASURE_S = 2.0
#: Packets of a file that are read at most.
MAX_PACKETS = 3_000
#: Cameras whose thumbnails are stepped together.
STACKED = 64


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU seconds of each part, and the stream that they were measured on."""

    info: StreamInfo
    fps: float
    keyframe_gap_s: float
    bitrate_kbps: float
    packet_s: float
    keyframe_s: float
    full_s: float
    look_s: float

    def as_json(self) -> dict[str, Any]:
        """Costs, and cameras a core by policy, as JSON values."""
        packets = self.fps * self.packet_s
        keyframes = packets + (self.keyframe_s + self.look_s) / self.keyframe_gap_s
        # analysis looks at five pictures a second at most, whatever is decoded
        full = packets + self.fps * self.full_s + min(self.fps, 5.0) * self.look_s
        return {
            "codec": self.info.codec,
            "width_px": self.info.width_px,
            "height_px": self.info.height_px,
            "fps": round(self.fps, 2),
            "bitrate_kbps": round(self.bitrate_kbps),
            "keyframe_gap_s": round(self.keyframe_gap_s, 2),
            "packet_us": round(self.packet_s * 1e6, 1),
            "keyframe_ms": round(self.keyframe_s * 1e3, 2),
            "picture_ms": round(self.full_s * 1e3, 2),
            "look_us": round(self.look_s * 1e6, 1),
            "cameras_per_core": {
                "packets alone": round(1 / packets),
                "keyframes": round(1 / keyframes, 1),
                "full": round(1 / full, 1),
            },
        }


def measure(file: Path | None, clock: Clock, *, measure_s: float = DEFAULT_MEASURE_S) -> Costs:
    """Measure each part for `measure_s` CPU seconds on the packets of `file`, or of a film drawn here.

    Raises what opening the file raises, and BadInput where there is too little in it.
    """
    cv2.setNumThreads(1)
    packets = _read(file, clock) if file is not None else _drawn()
    if len(packets) < 2 or not any(packet.keyframe for packet in packets):
        raise BadInput("There are not two pictures in the file.", mend="Name a longer one.")
    info = packets[0].info
    keyframes = [packet for packet in packets if packet.keyframe]
    length_s = (packets[-1].dts - packets[0].dts) / TICKS_PER_MS / 1000
    fps = (len(packets) - 1) / length_s
    gap_s = length_s
    if len(keyframes) > 1:
        gap_s = (keyframes[-1].pts - keyframes[0].pts) / TICKS_PER_MS / 1000 / (len(keyframes) - 1)
    bitrate_kbps = sum(len(packet.data) for packet in packets) * 8 / length_s / 1000
    luma = np.zeros((STACKED, THUMB_HEIGHT_PX, THUMB_WIDTH_PX), np.uint8)
    rows = np.arange(STACKED, dtype=np.int32)
    quick, full = (PictureDecoder(info, fast=fast) for fast in (True, False))
    pictures = [picture for packet in keyframes if (picture := quick.keyframe_only(packet)) is not None]
    if not pictures:
        raise BadInput("None of its keyframes can be decoded.", mend="Name a file that is whole.")
    planner = DecodePlanner(CameraSettings(policy=DecodePolicy.AUTO))
    ring = PacketRing()
    bank = SceneBank(STACKED)
    at_ms = np.zeros(STACKED, np.int64)

    def pass_on(packet: Packet) -> None:
        ring.append(packet)
        planner.decide(len(packet.data), keyframe=packet.keyframe, time_ms=packet.time_ms)

    def look(first: int) -> None:
        for row in range(STACKED):
            pictures[(first + row) % len(pictures)].thumbnail(luma[row])
        np.add(at_ms, 200, out=at_ms)
        bank.step(rows, luma, at_ms)

    return Costs(
        info,
        fps,
        gap_s,
        bitrate_kbps,
        packet_s=_each(packets, pass_on, measure_s),
        keyframe_s=_each(keyframes, quick.keyframe_only, measure_s),
        full_s=_each(packets, full.decode, measure_s),
        look_s=_each(range(len(pictures)), look, measure_s) / STACKED,
    )


def _each(items: Sequence[Any], run: Callable[[Any], object], measure_s: float) -> float:
    """CPU seconds of one call, over as many rounds of all items as take `measure_s`."""
    begun_s, count = time.process_time(), 0
    while time.process_time() - begun_s < measure_s:
        for item in items:
            run(item)
        count += len(items)
    return (time.process_time() - begun_s) / count


def _read(file: Path, clock: Clock) -> list[Packet]:
    source = Source(
        PinnedAddress("file", "", "", 0, file.name, file.name, file=file), clock=clock, pace=False, loop=False
    )
    source.open()
    try:
        found: list[Packet] = []
        for packet in source.packets():
            found.append(packet)
            if len(found) >= MAX_PACKETS:
                break
        return found
    finally:
        source.close()


def _drawn() -> list[Packet]:
    from simulator.camera.film import film  # noqa: PLC0415 only where no file is given
    from simulator.camera.scene import Street, passers  # noqa: PLC0415

    street = Street(1, width_px=FILM_WIDTH_PX, height_px=FILM_HEIGHT_PX, title="1080p")
    crowd = passers(1, FILM_S, busy=1.0)
    made = film(street.frames(crowd, fps=FILM_FPS, length_s=FILM_S), fps=FILM_FPS, bitrate_kbps=FILM_KBPS)
    info = StreamInfo("h264", made.width_px, made.height_px, b"", FILM_FPS, 1)
    step = round(TICKS_PER_MS * 1000 / FILM_FPS)
    return [
        Packet(unit, at * step, at * step, at * step // TICKS_PER_MS, 0, made.keyframe[at], corrupt=False, info=info)
        for at, unit in enumerate(made.units)
    ]
