"""A real worker (`WorkerHost`) on a thread of the test, with simulated cameras in front of it and its socket in our hand.

Purpose: what tests of a worker share: films, packets, files that are cameras, and the service's end of the wire. Invariants:
films are encoded once; the socket, the cameras, the decoders and the threads are real; `close` ends the worker and waits.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import socket
import threading
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import av
import numpy as np
import numpy.typing as npt

from config.sections import Settings
from lucheng.video.crumbs import Crumbs
from lucheng.video.messages import (
    Begin,
    Broken,
    Drop,
    FromWorker,
    MakeClip,
    Piece,
    Report,
    Reports,
    Setup,
    Snapped,
    Stop,
    TakeSnapshot,
    ToWorker,
    Wire,
)
from lucheng.video.worker_host import WorkerHost
from model.camera import CameraSettings, CameraSetup
from model.clock import SystemClock
from model.video import Fragment, Packet
from simulator.camera.film import Film, film
from simulator.camera.scene import Passer, Street
from tests.conftest import wait_until
from tests.ingest.video.material import encoded, moving

WIDTH_PX, HEIGHT_PX, FPS, GOP_S = 320, 180, 10, 1.0
#: A machine that is shared by many is slow at times.
WAIT_S = 60.0
Got = TypeVar("Got")


@cache
def busy_film() -> Film:
    """Six seconds of a street; cars pass from one side to the other all the time."""
    street = Street(5, width_px=WIDTH_PX, height_px=HEIGHT_PX, title="5")
    cars = [Passer("car", at, at + 2.0, 0.6, leftward=False, color=(40, 40, 200)) for at in (0.0, 2.0, 4.0)]
    return film(street.frames(cars, fps=FPS, length_s=6.0), fps=FPS, gop_s=GOP_S)


@cache
def still_film() -> Film:
    """Three seconds of the same street with nobody in it."""
    street = Street(5, width_px=WIDTH_PX, height_px=HEIGHT_PX, title="5")
    return film(street.frames([], fps=FPS, length_s=3.0), fps=FPS, gop_s=GOP_S)


@cache
def packets_of(
    codec: str = "libx264", *, b_frames: int = 0, epoch: int = 1, width_px: int = WIDTH_PX
) -> tuple[Packet, ...]:
    """Four seconds of a bright square that moves, a keyframe each second."""
    pictures = moving(4 * FPS, width_px, HEIGHT_PX)
    return tuple(encoded(pictures, codec=codec, gop=FPS, fps=FPS, b_frames=b_frames, epoch=epoch))


def write_file(path: Path, packets: Sequence[Packet]) -> Path:
    """The packets as an MP4, to be a `file:` camera or to be analyzed."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264" if packets[0].info.codec == "h264" else "libx265", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = packets[0].info.width_px, packets[0].info.height_px, "yuv420p"
        stream.time_base = Fraction(1, 90_000)
        stream.codec_context.extradata = packets[0].info.extradata or None
        for packet in packets:
            made = cast("av.Packet[av.VideoStream]", av.Packet(packet.data))
            made.stream, made.time_base = stream, Fraction(1, 90_000)
            made.pts, made.dts, made.is_keyframe = packet.pts, packet.dts, packet.keyframe
            container.mux_one(made)
    return path


def frames_of(file: Path | bytes) -> list[av.VideoFrame]:
    """The pictures of a video file; fails where a player would."""
    with av.open(io.BytesIO(file) if isinstance(file, bytes) else str(file), "r", format="mp4") as container:
        return list(container.decode(video=0))


def pictures_of(file: Path | bytes) -> list[npt.NDArray[np.uint8]]:
    """The same as (H, W, 3) BGR."""
    return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in frames_of(file)]


def decoded(fragments: Sequence[Fragment]) -> list[npt.NDArray[np.uint8]]:
    """The pictures of a live view's fragments, BGR; fails where a player would."""
    return pictures_of(b"".join(one.data for one in fragments if one.kind in {"init", "media"}))


class Worker:
    """The service's side of one worker.

    Args:
        folder: for recordings and files.
        camera: settings of `[camera]` that differ from what tests want.
        recording: the same of `[recording]`.
    """

    def __init__(self, folder: Path, *, rows: int = 4, **camera: Any) -> None:
        self.recordings = folder / "recordings"
        self.recordings.mkdir(exist_ok=True)
        settings = Settings.model_validate(
            {
                "camera": {
                    "allow_networks": ["127.0.0.0/8"],
                    "files_dir": str(folder),
                    "back_off_min_s": 0.1,
                    "back_off_max_s": 0.3,
                    **camera,
                },
                "recording": {"min_free_bytes": 0},
            }
        )
        ours, theirs = socket.socketpair()
        self.crumbs = Crumbs.make(rows)
        self.exits: list[int] = []
        wire: Wire[ToWorker] = Wire(theirs, ToWorker)
        begin = Begin(settings.model_dump(mode="json"), str(self.recordings), 7)
        self.host = WorkerHost(wire, self.crumbs, begin, SystemClock(), exit_now=self.exits.append, report_every_s=0.1)
        self.wire: Wire[FromWorker] = Wire(ours, FromWorker)
        self.heard: list[FromWorker] = []
        self._numbers = itertools.count(1)
        self._host = threading.Thread(target=self.host.run, name="worker", daemon=True)
        self._reader = threading.Thread(target=self._read, name="service-side", daemon=True)
        self._closed = False
        self._host.start()
        self._reader.start()

    def _read(self) -> None:
        try:
            while True:
                self.heard.append(self.wire.receive())
        except Broken:
            return

    # -- what the service says ----------------------------------------------------------------

    def send(self, message: ToWorker) -> None:
        """Tell the worker something."""
        self.wire.send(message)

    def watch(
        self, device: str, url: str, *, row: int = 0, sub_url: str = "", settings: CameraSettings | None = None
    ) -> CameraSetup:
        """Give it a camera."""
        setup = CameraSetup(device, row, url, sub_url, settings or CameraSettings(), 1)
        self.send(Setup(setup, row))
        return setup

    def drop(self, device: str) -> None:
        """Take a camera away."""
        self.send(Drop(device))

    def snapshot(self, device: str) -> Snapped:
        """Ask for a picture and wait for the answer."""
        number = next(self._numbers)
        self.send(TakeSnapshot(number, device))
        return self.wait(Snapped, lambda one: one.request == number)

    def ask_clip(self, device: str, from_ms: int, to_ms: int, max_bytes: int = 8 << 20) -> int:
        """Ask for a clip; the number of the request."""
        number = next(self._numbers)
        self.send(MakeClip(number, device, from_ms, to_ms, max_bytes))
        return number

    # -- what it says -------------------------------------------------------------------------

    def of(self, kind: type[Got]) -> list[Got]:
        """Everything of a kind that was heard so far, in order."""
        return [one for one in list(self.heard) if isinstance(one, kind)]

    def wait(self, kind: type[Got], which: Callable[[Got], object] = lambda _one: True, *, what: str = "") -> Got:
        """Wait until something of a kind was heard; the first of it."""
        found: list[Got] = []

        def there() -> bool:
            found[:] = [one for one in self.of(kind) if which(one)]
            return bool(found)

        wait_until(there, WAIT_S, what or kind.__name__)
        return found[0]

    def report(self, device: str, which: Callable[[Report], object] = lambda _one: True, *, what: str = "") -> Report:
        """Wait for a report of a camera."""
        found: list[Report] = []

        def there() -> bool:
            last = [one for reports in self.of(Reports)[-1:] for one in reports.cameras if one.device == device]
            found[:] = [one for one in last if which(one)]
            return bool(found)

        wait_until(there, WAIT_S, what or f"a report of {device}")
        return found[0]

    def pieces(self, device: str, mode: str = "mp4") -> list[Fragment]:
        """Fragments of live views so far."""
        return [one.fragment for one in self.of(Piece) if one.mode == mode and one.fragment.camera == device]

    # -- its end ------------------------------------------------------------------------------

    def close(self) -> None:
        """Say stop and wait until it has ended."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(Broken):
            self.send(Stop())
        self._host.join(WAIT_S)
        assert not self._host.is_alive()
        self.wire.close()
        self._reader.join(WAIT_S)
        self.crumbs.close()

    def wait_end(self) -> None:
        """Wait until it has ended by itself."""
        self._host.join(WAIT_S)
        assert not self._host.is_alive()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
