"""Cameras over RTSP, and memory over many pictures and many reconnects: with the real connections of the video intake."""

from __future__ import annotations

import gc
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from analytics.gate import DecodePlanner
from benchmarks.camera_desk import STEP_MS, Desk, frame_ms
from ingest.video.address import make_addresses
from ingest.video.connection import CameraConnection, ConnectionLimits
from ingest.video.opening import OpenTurns
from ingest.video.seams import Loss
from ingest.video.source import Source
from ingest.video.watchdog import Watchdog
from model.camera import CameraSettings
from model.clock import SystemClock
from model.video import Packet, StreamInfo
from tests.rtsp import RtspServer, pictures_of_clip

_LOOPBACK = ["127.0.0.0/8"]
_OPEN_S = 120.0
_SETTLE_S = 4.0
#: Connections that reconnect at a time.
_RECONNECTING = 8
#: Of the pictures of `memory`, so many are taken before RSS is looked at: rings fill, pools grow.
_WARM_SHARE = 0.1


class Sink:
    """One camera of a desk, fed by its connection."""

    def __init__(self, desk: Desk, camera: int) -> None:
        self._desk = desk
        self._camera = camera
        self.packets = 0
        self.last_ms = 0
        self.first = threading.Event()

    def on_open(self, info: StreamInfo) -> None:  # noqa: ARG002 of `PacketSink`
        """A stream is there."""
        self._desk.planners[self._camera].interrupted()

    def on_packet(self, packet: Packet) -> None:
        """The next packet."""
        self.packets += 1
        self._desk.packet(self._camera, packet)
        self.first.set()

    def on_lost(self, loss: Loss) -> None:
        """No stream now."""


class Network:
    """So many cameras over RTSP, their analysis thread, their server."""

    def __init__(self, file: Path, folder: Path, cameras: int) -> None:
        clock = SystemClock()
        prepared = pictures_of_clip(folder / "pictures", file, max_s=40.0)
        self.server = RtspServer(folder / "server").add("/camera", prepared).start()
        info = StreamInfo("h264", 0, 0, b"", 0.0, 1)
        self.desk = Desk([DecodePlanner(CameraSettings()) for _ in range(cameras)], info)
        self.sinks = [Sink(self.desk, camera) for camera in range(cameras)]
        self._watchdog = Watchdog(clock=clock)
        turns = OpenTurns(clock=clock, seed=1)
        make = make_addresses(self.server.url("/camera"), allow_networks=_LOOPBACK, files_dir=None)
        self._over = threading.Event()
        self._analysis = threading.Thread(target=self._analyse, name="analysis", daemon=True)
        self._analysis.start()
        self.connections = [
            CameraConnection(
                f"camera/{camera}",
                make,
                sink,
                turns=turns,
                watchdog=self._watchdog,
                clock=clock,
                limits=ConnectionLimits(back_off_min_s=0.05, back_off_max_s=0.1),
                seed=camera,
            ).start()
            for camera, sink in enumerate(self.sinks)
        ]

    def _analyse(self) -> None:
        while not self._over.wait(STEP_MS / 1000):
            self.desk.step()

    def wait_open(self) -> None:
        """Until every camera has sent something. Raises SystemExit where one does not."""
        deadline_s = time.monotonic() + _OPEN_S
        for connection, sink in zip(self.connections, self.sinks, strict=True):
            if not sink.first.wait(max(0.0, deadline_s - time.monotonic())):
                raise SystemExit(f"{connection.name} is not there: {connection.last_loss}")

    def close(self) -> None:
        """End everything."""
        for connection in self.connections:
            connection.stop(5.0)
        self._over.set()
        self._analysis.join()
        self._watchdog.stop()
        self.server.stop()


def rss_mib() -> float:
    """Of this process."""
    gc.collect()
    return float(psutil.Process().memory_info().rss / 2**20)


def report_rtsp(file: Path, folder: Path, cameras: int, seconds: float) -> dict[str, Any]:
    """Cameras per core over RTSP: CPU of this process alone, while every keyframe is decoded."""
    before_mib = rss_mib()
    network = Network(file, folder / "rtsp", cameras)
    try:
        network.wait_open()
        time.sleep(_SETTLE_S)
        packets, keyframes = sum(sink.packets for sink in network.sinks), network.desk.keyframes
        began_s, cpu_s = time.monotonic(), time.process_time()
        time.sleep(seconds)
        cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - began_s
        packets = sum(sink.packets for sink in network.sinks) - packets
        keyframes = network.desk.keyframes - keyframes
        each_mib = (rss_mib() - before_mib) / cameras
    finally:
        network.close()
    # What came counts, not what should have: a starved server sends less.
    served_s = packets / 15
    rate = served_s / cpu_s
    print(
        f"rtsp: {cameras} cameras for {wall_s:.0f} s, {packets:,} packets ({packets / wall_s / cameras:.1f} a second each),"
        f" {keyframes:,} keyframes: {rate:.0f} cameras per core, {cpu_s / wall_s:.2f} cores in use,"
        f" {each_mib:.1f} MiB a camera with rings of 10 s; asked 50",
        flush=True,
    )
    return {
        "part": "rtsp",
        "cameras": cameras,
        "rate": rate,
        "packets": packets,
        "keyframes": keyframes,
        "cpu_s": cpu_s,
    }


def report_memory(file: Path, folder: Path, hours: float, reconnects: int) -> dict[str, Any]:
    """RSS over hours of pictures of one camera, and over reconnects."""
    frames = _hours_of_pictures(file, hours)
    opens = _reconnects(file, folder, reconnects)
    print(
        f"memory: RSS {frames[0]:.0f} MiB after the first tenth of {hours:g} h of pictures, {frames[-1]:.0f} MiB at the end"
        f" (between them {', '.join(f'{one:.0f}' for one in frames[1:-1])}); {opens[0]:.0f} MiB after the first tenth of"
        f" {reconnects:,} reconnects, {opens[-1]:.0f} MiB at the end (between them {', '.join(f'{one:.0f}' for one in opens[1:-1])})",
        flush=True,
    )
    return {"part": "memory", "hours": hours, "reconnects": reconnects, "rss_frames": frames, "rss_reconnects": opens}


def _hours_of_pictures(file: Path, hours: float) -> list[float]:
    """RSS at ten times, the first after a tenth; the file over and over, as fast as it can be taken."""
    make = make_addresses(f"file:{file.name}", allow_networks=[], files_dir=file.parent)
    source = Source(make(), clock=SystemClock(), pace=False, loop=True)
    info = source.open()
    desk = Desk([DecodePlanner(CameraSettings())], info)
    total = int(hours * 3_600 * 15)
    seen: list[float] = []
    for at, packet in enumerate(source.packets(), 1):
        # At the times that the camera would have sent them, not at those at which the disk gives them.
        desk.packet(0, replace(packet, time_ms=frame_ms(at)))
        if packet.keyframe:
            desk.step()
        if at % max(1, int(total * _WARM_SHARE)) == 0:
            seen.append(rss_mib())
        if at >= total:
            break
    source.close()
    return seen


def _reconnects(file: Path, folder: Path, reconnects: int) -> list[float]:
    """The same over reconnects, several at a time, each after the first packet."""
    network = Network(file, folder / "reconnects", _RECONNECTING)
    seen: list[float] = []
    try:
        network.wait_open()
        for done in range(_RECONNECTING, reconnects + _RECONNECTING, _RECONNECTING):
            for connection, sink in zip(network.connections, network.sinks, strict=True):
                sink.first.clear()
                connection.restart()
            network.wait_open()
            if len(seen) < int(done / (reconnects * _WARM_SHARE)):
                seen.append(rss_mib())
    finally:
        network.close()
    return seen
