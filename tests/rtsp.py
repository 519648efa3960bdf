"""A real RTSP server for any test: pictures of a clip or of a generator, H.264 or H.265, sent as a camera would.

    server = RtspServer(folder).add("/ch1", pictures(folder / "ch1", fps=10)).start()
    ... server.url("/ch1") ...
    server.stop()

`need_rtsp_server` skips (or fails with CI=true) where GStreamer's packages are missing. `tests.conftest` has the rule.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Self

import av
import av.video.stream
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from tests.conftest import free_port

_SCRIPT = Path(__file__).parent / "ingest" / "video" / "rtsp_server.py"
_PYTHON = "/usr/bin/python3"
_HEAD = struct.Struct(">IqqB")
_S_NS = 1_000_000_000
_ENCODERS = {"h264": "libx264", "hevc": "libx265"}
STOP_TIMEOUT_S = 10.0


@cache
def _missing() -> str:
    if not Path(_PYTHON).exists():
        return _PYTHON
    done = subprocess.run([_PYTHON, str(_SCRIPT), "--check"], capture_output=True, text=True, check=False)
    return done.stderr.strip()[-200:] if done.returncode else ""


def need_rtsp_server() -> None:
    """Skip the test, or fail it with CI=true, where the server cannot run."""
    if text := _missing():
        message = f"GStreamer's RTSP server is not here ({text}); on Debian: make rtsp-server"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)


def encoded(
    *,
    codec: str = "h264",
    width_px: int = 192,
    height_px: int = 108,
    fps: float = 10.0,
    frames: int = 20,
    gop: int = 10,
) -> list[tuple[bytes, bool]]:
    """`frames` pictures of a ball that moves over a ramp, as Annex B with parameter sets in band, and whether each is a keyframe."""
    rate = Fraction(fps).limit_denominator(1000)
    context = av.CodecContext.create(_ENCODERS[codec], "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = width_px, height_px, "yuv420p"
    context.framerate, context.time_base, context.gop_size = rate, 1 / rate, gop
    context.thread_count = 1
    private = f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0:repeat-headers=1"
    context.options = {"preset": "ultrafast", "tune": "zerolatency"} | (
        {"x264-params": private} if codec == "h264" else {"x265-params": private + ":log-level=none:pools=1"}
    )
    packets = []
    ramp = np.add.outer(np.arange(height_px), np.arange(width_px)) % 200
    for number in range(frames):
        luma = ramp.astype(np.uint8)
        left = number * 7 % max(1, width_px - 24)
        luma[height_px // 3 : height_px // 3 + 20, left : left + 20] = 235
        planes = np.concatenate([luma, np.full((height_px // 2, width_px), 128, np.uint8)])
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = number
        packets += context.encode(frame)
    packets += context.encode(None)
    return [(bytes(packet), packet.is_keyframe) for packet in packets]


def write_pictures(path: Path, codec: str, timed: list[tuple[int, int, bytes, bool]], length_ns: int) -> Path:
    """Write the server's file: of each picture when it is sent (ns), its presentation time (ns), its bytes, keyframe."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(json.dumps({"codec": codec, "length_ns": length_ns}).encode() + b"\n")
        for due_ns, pts_ns, data, keyframe in timed:
            file.write(_HEAD.pack(len(data), due_ns, pts_ns, keyframe) + data)
    return path


def pictures(path: Path, *, fps: float = 10.0, codec: str = "h264", **options: Any) -> Path:
    """A file of generated pictures at an even pace; `options` as of `encoded`."""
    step_ns = round(_S_NS / fps)
    coded = encoded(codec=codec, fps=fps, **options)
    timed = [(n * step_ns, n * step_ns, data, key) for n, (data, key) in enumerate(coded)]
    return write_pictures(path, codec, timed, len(coded) * step_ns)


def pictures_of_clip(path: Path, clip: Path, *, max_s: float = 3600.0) -> Path:
    """The pictures of a video file (H.264 or H.265) as they are, at the pace they were taken, up to `max_s` seconds."""
    timed: list[tuple[int, int, bytes, bool]] = []
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context.name
        annex_b = BitStreamFilterContext(f"{codec}_mp4toannexb", stream)
        first: int | None = None
        end_ns = 0
        for packet, time_base in _packets(container, stream):
            assert packet.pts is not None
            for out in annex_b.filter(packet):
                assert out.pts is not None
                assert out.dts is not None
                first = out.dts if first is None else first
                due_ns = round((out.dts - first) * time_base * _S_NS)
                if due_ns > max_s * _S_NS:
                    return write_pictures(path, codec, timed, end_ns)
                timed.append((due_ns, round((out.pts - first) * time_base * _S_NS), bytes(out), out.is_keyframe))
                end_ns = due_ns + round((out.duration or 1) * time_base * _S_NS)
    return write_pictures(path, codec, timed, end_ns)


def _packets(container: Any, stream: av.video.stream.VideoStream) -> Iterator[tuple[Any, Fraction]]:
    assert stream.time_base is not None
    for packet in container.demux(stream):
        if packet.dts is not None:
            yield packet, stream.time_base


class RtspServer:
    """GStreamer's RTSP server on one loopback port; `kill` it and `start` it again on the same port.

    Args:
        folder: where its settings and log live.
        users: name to password; with any, every mount wants one of them.
        digest: whether passwords go by Digest, else by Basic.
        listen: address it listens on; `0.0.0.0` for any of the loopback network, so that each camera has its own.
    """

    def __init__(
        self, folder: Path, *, users: dict[str, str] | None = None, digest: bool = True, listen: str = "127.0.0.1"
    ) -> None:
        need_rtsp_server()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._settings: dict[str, Any] = {
            "port": self.port,
            "listen": listen,
            "users": users or {},
            "digest": digest,
            "mounts": {},
        }

    def add(
        self,
        path: str,
        pictures_file: Path | None,
        *,
        audio: bool = False,
        loop: bool = True,
        own: bool = False,
    ) -> Self:
        """Serve the pictures of a file (None: none) at `path`, before `start`.

        Args:
            path: e.g. `/ch1`.
            pictures_file: made by `pictures` or `pictures_of_clip`.
            audio: whether there is a tone too.
            loop: begin again at its end, else end the stream.
            own: each client from the beginning, else one for all.
        """
        self._settings["mounts"][path] = {
            "pictures": str(pictures_file) if pictures_file else "",
            "audio": audio,
            "loop": loop,
            "own": own,
        }
        return self

    def url(self, path: str, user: str = "", password: str = "") -> str:
        """Where a mount is."""
        login = f"{user}:{password}@" if user else ""
        return f"rtsp://{login}127.0.0.1:{self.port}{path}"

    def start(self) -> Self:
        """Start it and wait until it listens."""
        settings = self.folder / "rtsp_server.json"
        settings.write_text(json.dumps(self._settings))
        with (self.folder / "rtsp_server.log").open("ab") as log:
            self.process = subprocess.Popen([_PYTHON, str(_SCRIPT), str(settings)], stdout=subprocess.PIPE, stderr=log)
        assert self.process.stdout is not None
        if self.process.stdout.readline() != b"ready\n":
            pytest.fail("the RTSP server did not start: " + (self.folder / "rtsp_server.log").read_text()[-500:])
        return self

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Let it stand still, as a hung camera does: it holds its connections and says nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End `pause`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(timeout=STOP_TIMEOUT_S)
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None
