"""A camera's pictures and sinks for the tests of the video intake."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.video.address import PinnedAddress, make_addresses
from ingest.video.connection import CameraConnection, ConnectionLimits
from ingest.video.opening import OpenTurns
from ingest.video.seams import Loss
from ingest.video.watchdog import Watchdog
from model.clock import SystemClock
from model.video import Packet, StreamInfo
from tests.rtsp import RtspServer, encoded, pictures

LOOPBACK = ("127.0.0.0/8",)
#: Short limits, so that what takes seconds in a city takes tenths here.
QUICK = ConnectionLimits(
    open_timeout_s=1.0,
    read_timeout_s=0.5,
    stuck_after_s=1.5,
    decode_timeout_s=0.3,
    back_off_min_s=0.05,
    back_off_max_s=0.2,
    unauthorized_min_s=30.0,
)


@pytest.fixture(scope="session")
def coded() -> list[bytes]:
    """Twenty pictures, H.264 in Annex B, a keyframe each ten."""
    return [data for data, _ in encoded()]


@pytest.fixture(scope="session")
def bigger() -> list[bytes]:
    """Ten pictures of another size."""
    return [data for data, _ in encoded(width_px=256, height_px=144, frames=10)]


@pytest.fixture
def rtsp_server(tmp_path: Path) -> Iterator[RtspServer]:
    """A running server: `/h264`, `/hevc`, `/both` (with sound), `/sound`."""
    h264 = pictures(tmp_path / "h264")
    server = (
        RtspServer(tmp_path / "server")
        .add("/h264", h264)
        .add("/hevc", pictures(tmp_path / "hevc", codec="hevc"))
        .add("/both", h264, audio=True)
        .add("/sound", None, audio=True)
        .start()
    )
    yield server
    server.stop()


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.infos: list[StreamInfo] = []
        self.packets: list[Packet] = []
        self.losses: list[Loss] = []
        self.calls: list[str] = []

    def on_open(self, info: StreamInfo) -> None:
        self.calls.append("open")
        self.infos.append(info)

    def on_packet(self, packet: Packet) -> None:
        self.calls.append("packet")
        self.packets.append(packet)

    def on_lost(self, loss: Loss) -> None:
        self.calls.append("lost")
        self.losses.append(loss)


class Hung(Kept):
    """A sink whose call with the third packet does not come back until `release`."""

    def __init__(self) -> None:
        super().__init__()
        self.release = threading.Event()
        self.hanging = threading.Event()

    def on_packet(self, packet: Packet) -> None:
        super().on_packet(packet)
        if len(self.packets) == 3:
            self.hanging.set()
            self.release.wait()


class Cameras:
    """Makes connections with one watchdog and one set of turns, as a worker does."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.turns = OpenTurns(4, clock=self.clock, seed=1, stagger_s=0.001)
        self.exhausted: list[str] = []
        self.watchdog = Watchdog(
            clock=self.clock, look_every_s=0.02, max_abandoned=3, on_exhausted=lambda: self.exhausted.append("now")
        )
        self.made: list[CameraConnection] = []

    def start(
        self,
        url: str | Callable[[], PinnedAddress],
        sink: Kept,
        *,
        limits: ConnectionLimits = QUICK,
        transport: str = "tcp",
    ) -> CameraConnection:
        make = make_addresses(url, allow_networks=LOOPBACK, files_dir=None) if isinstance(url, str) else url
        connection = CameraConnection(
            f"c{len(self.made)}",
            make,
            sink,
            turns=self.turns,
            watchdog=self.watchdog,
            clock=self.clock,
            transport=transport,
            limits=limits,
            seed=len(self.made),
        )
        self.made.append(connection)
        return connection.start()


@pytest.fixture
def cameras() -> Iterator[Cameras]:
    """Connections that end with the test."""
    made = Cameras()
    yield made
    for connection in made.made:
        connection.stop(2.0)
    made.watchdog.stop()
