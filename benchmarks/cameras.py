"""How many cameras does one core watch?

`python -m benchmarks.cameras [--part packets|still|rtsp|memory] [--scale 1|10|100] [--seconds 20] [--runs 3] [--clip carpark|hall]`

Streams: 1080p15 H.264, GOP 2 s, no B-frames, of real clips (`benchmarks.camera_streams`). Work of a camera: packet into the
ring, gate and planner, decoding, thumbnail, scene core; one thread, CPU = user + system time of this process. A camera
per core is a camera-second of stream over CPU-seconds. 1×, 10× and 100× are 2, 20 and 200 cameras.

packets  3 Mb/s, every keyframe, from memory; beside it every picture decoded to BGR (what most do), and keyframes decoded
         and nothing else (what no program can pass); gate and planner alone for each packet.
still    scenes still 90 % of the time, capped VBR and CBR: the gate learns on one half of the material and is measured on
         the other. Recall: of the motion events that the scene core finds in every picture, those that the policy saw
         moving in what it decoded; events that never reach half a per cent of the picture are told apart.
rtsp     connections to GStreamer's RTSP server in another process, at their own pace.
memory   RSS over an hour of pictures of one camera as fast as possible, and over 1,000 reconnects.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import psutil

from analytics.gate import DecodePlanner, GateLimits, PacketGate, PlanLimits
from benchmarks.camera_desk import STEP_MS, Desk, Event, Thumbs, events_of, frame_ms, info_of, packet_of, watch
from benchmarks.camera_network import report_memory, report_rtsp
from benchmarks.camera_streams import FPS, GOP, LEARN_PHASE, MEASURE_PHASE, Encoded, Group, encoded, splice
from benchmarks.machine import machine
from ingest.video.decoding import PictureDecoder
from model.camera import CameraSettings

SCALES = {1: 2, 10: 20, 100: 200}
TARGETS = {"packets": 80, "still": 200, "rtsp": 50}
MOVING_SHARE = 0.1
#: Camera-seconds that the baselines decode.
_BASELINE_S, _KEYFRAMES_S = 6.0, 120.0
_LEARN_S, _MEASURE_S = 3_600.0, 3_600.0
#: An event counts as seen from so long before the scene core says that it began to so long after it ended, pictures.
_BEFORE, _AFTER = FPS, 2 * FPS


def cpu_of(work: Callable[[], None]) -> float:
    """CPU seconds of this process for it."""
    gc.collect()
    before_s = time.process_time()
    work()
    return time.process_time() - before_s


def feed(desk: Desk, streams: Sequence[Sequence[Group]], source: Encoded, seconds: float, *, first: int = 0) -> None:
    """So many seconds of each stream into the desk, camera by camera at each picture, with its steps."""
    info = info_of(source)
    each = max(1, STEP_MS * FPS // 1000)
    for at in range(int(seconds * FPS)):
        group, place = divmod(at, GOP)
        for camera, stream in enumerate(streams):
            sent = stream[group % len(stream)]
            if sent.cut and place == 0:
                desk.reconnected(camera)
            data = sent.packets[place]
            desk.packet(camera, packet_of(info, data, first + at, keyframe=place == 0))
        if at % each == 0:
            desk.step()
    desk.step()


# -- keyframes from memory --------------------------------------------------------------------


def decode_everything(source: Encoded, seconds: float) -> None:
    """What most programs do: every picture, to BGR."""
    context = av.CodecContext.create("h264", "r")
    assert isinstance(context, av.VideoCodecContext)
    context.thread_count, context.extradata = 1, source.extradata
    for at in range(int(seconds * FPS)):
        group, place = divmod(at, GOP)
        for frame in context.decode(av.Packet(source.groups[group % len(source.groups)].packets[place])):
            frame.to_ndarray(format="bgr24")


def decode_keyframes(source: Encoded, seconds: float, *, fast: bool) -> None:
    """The upper bound: keyframes decoded, and nothing else; `fast` without deblocking, as for analysis."""
    info = info_of(source)
    decoder = PictureDecoder(info, fast=fast)
    for at in range(0, int(seconds * FPS), GOP):
        decoder.keyframe_only(
            packet_of(info, source.groups[at // GOP % len(source.groups)].packets[0], at, keyframe=True)
        )


def gate_us(source: Encoded) -> float:
    """CPU of gate and planner for one packet, µs."""
    planner = DecodePlanner(CameraSettings())
    sizes = [[len(data) for data in group.packets] for group in source.groups]

    def work() -> None:
        at = 0
        for _ in range(1 + 60_000 // (len(sizes) * GOP)):
            for group in sizes:
                for place, size in enumerate(group):
                    planner.decide(size, keyframe=place == 0, time_ms=frame_ms(at))
                    at += 1

    return cpu_of(work) * 1e6 / ((1 + 60_000 // (len(sizes) * GOP)) * len(sizes) * GOP)


def report_packets(clip: str, scale: int, seconds: float, runs: int) -> dict[str, Any]:
    """Every keyframe of 3 Mb/s streams, and the baselines."""
    source, cameras = encoded(clip, "cbr", MEASURE_PHASE), SCALES[scale]
    streams = [[*source.groups[at % len(source.groups) :], *source.groups] for at in range(cameras)]
    found: dict[str, list[float]] = {"lucheng": [], "everything": [], "keyframes": [], "keyframes_deblocked": []}
    for _ in range(runs):
        desk = Desk([DecodePlanner(CameraSettings()) for _ in range(cameras)], info_of(source))
        feed(desk, streams, source, 2.0)
        cpu_s = cpu_of(partial(feed, desk, streams, source, seconds, first=2 * FPS))
        found["lucheng"].append(cameras * seconds / cpu_s)
        found["everything"].append(_BASELINE_S / cpu_of(lambda: decode_everything(source, _BASELINE_S)))
        for name, fast in (("keyframes", True), ("keyframes_deblocked", False)):
            cpu_s = cpu_of(partial(decode_keyframes, source, _KEYFRAMES_S, fast=fast))
            found[name].append(_KEYFRAMES_S / cpu_s)
    rate = {name: statistics.median(some) for name, some in found.items()}
    each_us = gate_us(source)
    print(
        f"packets {clip} {scale}× ({cameras} cameras, {source.bits_s / 1e6:.1f} Mb/s, keyframes of {source.keyframe_bytes / 1e3:.0f} kB): {rate['lucheng']:.0f} cameras per core,"
        f" every picture to BGR {rate['everything']:.1f}, keyframes decoded and nothing else {rate['keyframes']:.0f},"
        f" with deblocking as FFmpeg does by itself {rate['keyframes_deblocked']:.0f};"
        f" gate and planner {each_us:.2f} µs a packet; asked {TARGETS['packets']}",
        flush=True,
    )
    return {"part": "packets", "clip": clip, "scale": scale, "rate": rate, "gate_us": each_us, "runs": found}


# -- still scenes -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Still:
    """What is known of one clip at one rate before CPU is measured."""

    source: Encoded
    stream: list[Group]
    gate: PacketGate
    told: dict[str, Any]


def recall_of(events: Sequence[Event], marks: Sequence[int]) -> float:
    """Share of events during which there is a mark."""
    met = sum(any(event.first - _BEFORE <= at <= event.last + _AFTER for at in marks) for event in events)
    return met / len(events) if events else 0.0


def prepare_still(clip: str, rate: str, *, still_keyframe_ms: int, seed: int) -> Still:
    """Have the gate learn on one stream, and see what policy and gate find in another."""
    learn, measure = encoded(clip, rate, LEARN_PHASE), encoded(clip, rate, MEASURE_PHASE)
    limits = PlanLimits(still_keyframe_ms=still_keyframe_ms)
    planner = DecodePlanner(CameraSettings(), limits=limits, seed=seed)
    watch(splice(learn, _LEARN_S, moving_share=MOVING_SHARE, seed=seed), Thumbs(learn), planner)
    learnt = planner.gate.status
    gate = copy.deepcopy(planner.gate)
    stream, thumbs = splice(measure, _MEASURE_S, moving_share=MOVING_SHARE, seed=seed + 1), Thumbs(measure)
    events = events_of(stream, thumbs)
    planner = DecodePlanner(CameraSettings(), limits=limits, gate=planner.gate, seed=seed + 1)
    thinned = watch(stream, thumbs, planner, from_picture=int(_LEARN_S) * FPS)
    shift = int(_LEARN_S) * FPS
    every = watch(stream, thumbs, DecodePlanner(CameraSettings()))
    large = [event for event in events if event.share >= GateLimits().min_share]
    asleep = sum(1 for at in thinned.stirred if not _near(events, at - shift))
    quiet = thinned.pictures - sum(event.last - event.first + _BEFORE + _AFTER for event in events)
    status = planner.gate.status
    told = {
        "bits_s": measure.bits_s,
        "keyframe_bytes": measure.keyframe_bytes,
        "events": len(large),
        "events_small": len(events) - len(large),
        "state_learnt": learnt.state,
        "state": status.state,
        "why": status.why.en,
        "auc": status.auc,
        "recall_believed": status.recall,
        "recall_gate": recall_of(large, [at - shift for at in thinned.stirred]),
        "recall": recall_of(large, [at - shift for at in thinned.moving]),
        "recall_all_keyframes": recall_of(large, every.moving),
        "recall_with_small": recall_of(events, [at - shift for at in thinned.moving]),
        "recall_with_small_all_keyframes": recall_of(events, every.moving),
        "moving_share": sum(event.last - event.first + 1 for event in events) / thinned.pictures,
        "looks_a_s": thinned.looks * FPS / thinned.pictures,
        "false_wakes_believed": status.false_wake_share,
        "false_wakes": asleep / max(quiet, 1),
        "decoded_share_of_keyframes": thinned.decoded / (thinned.pictures / GOP),
    }
    return Still(measure, stream, gate, told)


def _near(events: Sequence[Event], at: int) -> bool:
    return any(event.first - _BEFORE <= at <= event.last + _AFTER for event in events)


def report_still(clip: str, rate: str, scales: Sequence[int], seconds: float, runs: int, seed: int) -> dict[str, Any]:
    """Cameras per core, and at what recall."""
    still_keyframe_ms = 10_000
    ready = prepare_still(clip, rate, still_keyframe_ms=still_keyframe_ms, seed=seed)
    told = ready.told
    believed = "unknown" if told["recall_believed"] is None else f"{told['recall_believed']:.3f}"
    print(
        f"still {clip} {rate} ({told['bits_s'] / 1e6:.1f} Mb/s; {told['events']} events and {told['events_small']} small ones,"
        f" {told['moving_share']:.2f} of the time): gate {told['state']}"
        f" ({told['why']}), AUC {told['auc']:.2f}; recall {told['recall']:.3f} of full decode's events, the gate by itself"
        f" {told['recall_gate']:.3f}, it believes {believed}; every keyframe {told['recall_all_keyframes']:.3f}; with the small ones"
        f" {told['recall_with_small']:.3f}, every keyframe {told['recall_with_small_all_keyframes']:.3f};"
        f" stirs for nothing {told['false_wakes']:.3f} of quiet time, it believes {told['false_wakes_believed']:.3f} of looks;"
        f" {told['looks_a_s']:.2f} looks a second, pictures decoded {told['decoded_share_of_keyframes']:.2f} of the keyframes' number",
        flush=True,
    )
    rates: dict[int, list[float]] = {}
    for scale in scales:
        cameras = SCALES[scale]
        # Each camera somewhere else in the stream.
        step = max(1, len(ready.stream) // cameras)
        streams = [[*ready.stream[at * step :], *ready.stream[: at * step]] for at in range(cameras)]
        for _ in range(runs):
            limits = PlanLimits(still_keyframe_ms=still_keyframe_ms)
            planners = [
                DecodePlanner(CameraSettings(), limits=limits, gate=copy.deepcopy(ready.gate), seed=seed + at)
                for at in range(cameras)
            ]
            desk = Desk(planners, info_of(ready.source))
            # Until the scene is known to be still.
            feed(desk, streams, ready.source, 30.0)
            before = sum(desk.decoded)
            later = [stream[15:] for stream in streams]
            cpu_s = cpu_of(partial(feed, desk, later, ready.source, seconds, first=30 * FPS))
            rates.setdefault(scale, []).append(cameras * seconds / cpu_s)
        decoded = (sum(desk.decoded) - before) / (cameras * seconds)
        print(
            f"  {scale}× ({cameras} cameras): {statistics.median(rates[scale]):.0f} cameras per core,"
            f" {decoded:.2f} pictures decoded a camera-second; asked {TARGETS['still']} where the gate is on",
            flush=True,
        )
    return {"part": "still", "clip": clip, "rate": rate, **told, "runs": rates}


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("packets", "still", "rtsp", "memory"), action="append")
    parser.add_argument("--clip", choices=("carpark", "hall"), action="append")
    parser.add_argument("--scale", type=int, choices=sorted(SCALES), action="append")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each stream; 120 for figures to be kept")
    parser.add_argument("--runs", type=int, default=1, help="of which the median counts; 3 for figures to be kept")
    parser.add_argument("--hours", type=float, default=1.0, help="of pictures for `memory`")
    parser.add_argument("--reconnects", type=int, default=1_000, help="for `memory`")
    parser.add_argument("--connections", type=int, default=20, help="for `rtsp`")
    parser.add_argument("--seed", type=int, default=20_260, help="of streams and audits")
    parser.add_argument("--json", type=Path, help="append the results to this file, a JSON object a line")
    given = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    parts = given.part or ["packets", "still", "rtsp", "memory"]
    clips, scales = given.clip or ["carpark", "hall"], given.scale or [1, 10]
    print(__doc__)
    print(f"{machine()}; seed {given.seed}; load of the last minute {os.getloadavg()[0]:.1f}")
    results: list[dict[str, Any]] = []
    if "packets" in parts:
        results += [report_packets(clip, scale, given.seconds, given.runs) for clip in clips for scale in scales]
    if "still" in parts:
        for clip in clips:
            for rate in ("vbr", "cbr"):
                results.append(report_still(clip, rate, scales, given.seconds, given.runs, given.seed))
    with tempfile.TemporaryDirectory(prefix="lucheng-bench-") as folder:
        file = encoded(clips[0], "cbr", MEASURE_PHASE).file
        if "rtsp" in parts:
            results.append(report_rtsp(file, Path(folder), given.connections, given.seconds))
        if "memory" in parts:
            results.append(report_memory(file, Path(folder), given.hours, given.reconnects))
    print(f"RSS of this process at the end: {psutil.Process().memory_info().rss / 2**20:.0f} MiB")
    if given.json:
        with given.json.open("a") as out:
            out.writelines(json.dumps(result) + "\n" for result in results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
