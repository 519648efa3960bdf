"""`probe`: what a camera sends, measured over a few seconds; for a person who sets it up."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import Any

import av

from ingest.video.address import PinnedAddress
from ingest.video.lost import StreamLost
from ingest.video.muxing import av_packet
from ingest.video.seams import LossReason
from ingest.video.source import Source
from model.clock import Clock
from model.video import TICKS_PER_S, Packet, StreamInfo

#: How long a probe measures once pictures come, and in all.
MEASURE_S = 4.0
TIMEOUT_S = 20.0
#: Least time to say a frame rate and a bit rate of.
_LEAST_S = 0.5
_KEYFRAME_GAPS = 2


@dataclass(slots=True)
class _Measured:
    info: StreamInfo | None = None
    audio: bool = False
    first_s: float | None = None
    keyframe_s: float | None = None
    size: tuple[int, int] = (0, 0)
    packets: int = 0
    size_bytes: int = 0
    corrupt: int = 0
    reordered: bool = False
    keyframe_pts: list[int] = field(default_factory=list)
    pts: list[int] = field(default_factory=list)
    received_s: list[float] = field(default_factory=list)

    def add(self, packet: Packet, now_s: float) -> None:
        self.info = packet.info
        self.packets += 1
        self.corrupt += packet.corrupt
        self.reordered = self.reordered or (bool(self.pts) and packet.pts < self.pts[-1])
        self.pts.append(packet.pts)
        self.received_s.append(now_s)
        if self.packets > 1:
            self.size_bytes += len(packet.data)
        if packet.keyframe:
            self.keyframe_pts.append(packet.pts)


def probe(
    address: PinnedAddress,
    timeout_s: float = TIMEOUT_S,
    *,
    clock: Clock,
    transport: str = "tcp",
    measure_s: float = MEASURE_S,
) -> dict[str, Any]:
    """Open a camera, measure, and say what it sends; never raises for what a camera does.

    Args:
        address: checked (`check_address`).
        timeout_s: for all of it; where FFmpeg hangs beyond it, its thread is left.
        clock: real time.
        transport: `tcp` or `udp`.
        measure_s: how long pictures are counted; longer, within `timeout_s`, where two keyframes have not come.

    Returns keys: `address` (without credentials), `ok`, `reason` and `detail` ("" when ok), `codec`, `width_px`,
    `height_px`, `declared_fps`, `fps`, `bitrate_kbps`, `keyframe_gap_s` (None: one keyframe alone), `audio`, `b_frames`,
    `corrupt_packets`, `packets`, `opened_in_s`, `first_packet_in_s` and `first_picture_in_s` (decoded; None: none came).
    """
    measured = _Measured()
    source = Source(
        address, transport=transport, open_timeout_s=timeout_s, read_timeout_s=timeout_s, clock=clock, loop=True
    )
    start_s = clock.monotonic_s()
    outcome: dict[str, Any] = {"reason": LossReason.STUCK.value, "detail": "opening or reading hung"}
    done = threading.Event()

    def run() -> None:
        try:
            outcome["opened_in_s"] = _measure(source, measured, clock, start_s, timeout_s, measure_s)
            outcome.update(reason="", detail="")
        except StreamLost as lost:
            outcome.update(reason=lost.reason.value, detail=lost.detail)
        finally:
            source.close()
            done.set()

    threading.Thread(target=run, name=f"probe-{random.randrange(10**6)}", daemon=True).start()  # noqa: S311 a name
    if not done.wait(timeout_s):
        source.interrupt()
        done.wait(1.0)
    if outcome["reason"] == LossReason.STOPPED.value:
        outcome.update(reason=LossReason.TIMED_OUT.value, detail="the camera said nothing in time")
    return _report(address, measured, outcome, start_s, timed_out=not done.is_set())


def _measure(
    source: Source, measured: _Measured, clock: Clock, start_s: float, timeout_s: float, measure_s: float
) -> float:
    measured.info = source.open()
    opened_in_s = clock.monotonic_s() - start_s
    measured.audio = source.audio
    decoder: av.VideoCodecContext | None = None
    for packet in source.packets():
        now_s = clock.monotonic_s()
        measured.add(packet, now_s)
        if measured.first_s is None:
            measured.first_s = now_s
        if measured.keyframe_s is None and (decoder is not None or packet.keyframe):
            decoder = decoder or _decoder(packet.info)
            if _decoded(decoder, packet, measured):
                measured.keyframe_s = clock.monotonic_s()
        enough = now_s - measured.first_s >= measure_s
        if enough and (len(measured.keyframe_pts) >= _KEYFRAME_GAPS or now_s - start_s > timeout_s - measure_s):
            break
    return opened_in_s


def _decoder(info: StreamInfo) -> av.VideoCodecContext:
    decoder = av.CodecContext.create(info.codec, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    if info.extradata:
        decoder.extradata = info.extradata
    return decoder


def _decoded(decoder: av.VideoCodecContext, packet: Packet, measured: _Measured) -> bool:
    try:
        frames = decoder.decode(av_packet(packet))
    except av.FFmpegError:
        return False
    for frame in frames:
        measured.size = (frame.width, frame.height)
    return bool(frames)


def _report(
    address: PinnedAddress, measured: _Measured, outcome: dict[str, Any], start_s: float, *, timed_out: bool
) -> dict[str, Any]:
    info = measured.info
    span_s = measured.received_s[-1] - measured.received_s[0] if measured.packets > 1 else 0.0
    ticks = max(measured.pts) - min(measured.pts) if measured.packets > 1 else 0
    # By the camera's own clock where that ran as long as ours: what was buffered at first came faster than it was taken.
    media_s = max(span_s, ticks / TICKS_PER_S)
    keys = measured.keyframe_pts
    known = media_s >= _LEAST_S

    def since(moment_s: float | None) -> float | None:
        return None if moment_s is None else round(moment_s - start_s, 3)

    return {
        "address": address.shown,
        "ok": not outcome["reason"] and not timed_out and measured.packets > 0,
        "reason": outcome["reason"],
        "detail": outcome["detail"],
        "codec": info.codec if info else "",
        "width_px": measured.size[0] or (info.width_px if info else 0),
        "height_px": measured.size[1] or (info.height_px if info else 0),
        "declared_fps": round(info.declared_fps, 2) if info else 0.0,
        "fps": round((measured.packets - 1) / media_s, 2) if known else 0.0,
        "bitrate_kbps": round(measured.size_bytes * 8 / media_s / 1000, 1) if known else 0.0,
        "keyframe_gap_s": round((keys[-1] - keys[0]) / (len(keys) - 1) / TICKS_PER_S, 2) if len(keys) > 1 else None,
        "audio": measured.audio,
        "b_frames": measured.reordered,
        "corrupt_packets": measured.corrupt,
        "packets": measured.packets,
        "opened_in_s": round(outcome.get("opened_in_s", 0.0), 3),
        "first_packet_in_s": since(measured.first_s),
        "first_picture_in_s": since(measured.keyframe_s),
    }
