"""What the service and its video workers say to each other, and how it is framed on their socket.

Invariants: one message is 4 bytes of length (little-endian) and so many bytes of MessagePack; a message over the limit
ends the connection; both ends are of one version, since the service starts its workers itself. Addresses of cameras
travel only here, between two processes of one user. It waits for nobody: `Wire` does, on the thread that calls it.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Any, Generic, TypeVar

import msgspec

from model.camera import CameraSetup
from model.video import Clip, Fragment, NewSegment

DEFAULT_MAX_MESSAGE_BYTES = 256 << 20
_LENGTH = struct.Struct("<I")
_READ_BYTES = 1 << 16

Got = TypeVar("Got")


class Begin(msgspec.Struct, tag="begin"):
    """First word to a worker: its settings, where recordings go, and the seed of its jitter."""

    settings: dict[str, Any]
    recordings_dir: str
    seed: int


class Setup(msgspec.Struct, tag="setup"):
    """Watch this camera (as it is set now); `row` is its byte among the crumbs."""

    setup: CameraSetup
    row: int


class Drop(msgspec.Struct, tag="drop"):
    """Watch it no more."""

    device: str


class Wake(msgspec.Struct, tag="wake"):
    """Decode it fully until then; what happens meanwhile is recorded where the camera records events."""

    device: str
    until_ms: int


class MakeClip(msgspec.Struct, tag="make_clip"):
    """A clip from the ring, made once its end has passed."""

    request: int
    device: str
    from_ms: int
    to_ms: int
    max_bytes: int


class TakeSnapshot(msgspec.Struct, tag="take_snapshot"):
    """A JPEG of the newest picture."""

    request: int
    device: str


class StartLive(msgspec.Struct, tag="start_live"):
    """Send fragments of it; `mode` as in `model.video.LiveFeeds`."""

    device: str
    mode: str


class StopLive(msgspec.Struct, tag="stop_live"):
    """Send no more."""

    device: str
    mode: str


class Stop(msgspec.Struct, tag="stop"):
    """Finish what is being recorded, and end."""


class Report(msgspec.Struct, tag="report", array_like=True):
    """How one camera is. Numbers that are not known are NaN; ages are at the moment of sending.

    Attributes:
        device: id. epoch: of its connection. link: `opening`, `open`, `waiting`.
        media_age_s: since its newest packet (infinite: none yet). lag_ms: of that packet, camera to here.
        fps, bitrate_kbps, keyframe_gap_s: measured.
        codec, width_px, height_px: of the stream.
        mode: what is decoded now. gate: state of the packet gate; gate_recall: as it knows itself, negative unknown.
        gate_why_en, gate_why_zh: why it is so.
        health: bits of `model.camera.Health`. moving: motion now. motion_share: of the picture.
        loss, loss_detail: why there is no stream, "" when there is one.
        ring_ms, ring_bytes: what the ring holds. decoded, bad: pictures since the start of the worker.
        recording, masked: whether it is so.
    """

    device: str
    epoch: int = 0
    link: str = "waiting"
    media_age_s: float = float("inf")
    lag_ms: float = float("nan")
    fps: float = float("nan")
    bitrate_kbps: float = float("nan")
    keyframe_gap_s: float = float("nan")
    codec: str = ""
    width_px: int = 0
    height_px: int = 0
    mode: str = ""
    gate: str = ""
    gate_recall: float = -1.0
    gate_why_en: str = ""
    gate_why_zh: str = ""
    health: int = 0
    moving: bool = False
    motion_share: float = 0.0
    loss: str = ""
    loss_detail: str = ""
    ring_ms: int = 0
    ring_bytes: int = 0
    decoded: int = 0
    bad: int = 0
    recording: bool = False
    masked: bool = False


class Reports(msgspec.Struct, tag="reports"):
    """Every camera of a worker, about once a second; also its sign of life.

    Attributes:
        cameras: one each. counts: numbers of the worker by name (dropped pictures, detector queue …).
        load: CPU seconds a second that the worker uses.
    """

    cameras: list[Report]
    counts: dict[str, float]
    load: float


class Noticed(msgspec.Struct, tag="noticed"):
    """Something that a camera saw or that is wrong with it.

    Attributes:
        device: id. kind: an alarm kind. rule: zone or line it is about, "" for none.
        cleared: the cause has gone (else it has come).
        alarm: whether it is an alarm by the settings, else a signal alone.
        time_ms: when, on our clock. note: in words.
    """

    device: str
    kind: str
    rule: str
    cleared: bool
    alarm: bool
    time_ms: int
    note: str = ""


class Made(msgspec.Struct, tag="made"):
    """The clip that was asked for, or why there is none."""

    request: int
    clip: Clip | None
    note: str


class Snapped(msgspec.Struct, tag="snapped"):
    """The snapshot that was asked for, or why there is none."""

    request: int
    jpeg: bytes
    time_ms: int
    note: str


class Piece(msgspec.Struct, tag="piece"):
    """A fragment of a live view."""

    mode: str
    fragment: Fragment


class Recorded(msgspec.Struct, tag="recorded"):
    """A finished piece of a recording; the file is durable, its row is the service's to write."""

    segment: NewSegment


class Closed(msgspec.Struct, tag="closed"):
    """A camera that was dropped has no connection any more."""

    device: str


class Exhausted(msgspec.Struct, tag="exhausted"):
    """Too many threads hang in libraries: this worker ends itself, `device` being the last that hung."""

    device: str


ToWorker = Begin | Setup | Drop | Wake | MakeClip | TakeSnapshot | StartLive | StopLive | Stop
FromWorker = Reports | Noticed | Made | Snapped | Piece | Recorded | Closed | Exhausted

_encoder = msgspec.msgpack.Encoder()


class Broken(Exception):
    """The other end has gone, or sent what is no message."""


class Wire(Generic[Got]):
    """One end of the socket: `send` from any thread, `receive` from one.

    Args:
        connection: a connected stream socket, owned from now on.
        kinds: the union of what comes.
        max_message_bytes: longest message either way.
        send_timeout_s: how long the other end may take nothing before the connection counts as broken; None: for ever.
    """

    def __init__(
        self,
        connection: socket.socket,
        kinds: Any,
        *,
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
        send_timeout_s: float | None = None,
    ) -> None:
        self._socket = connection
        self._decoder: msgspec.msgpack.Decoder[Got] = msgspec.msgpack.Decoder(kinds)
        self._max_message_bytes = max_message_bytes
        self._sending = threading.Lock()
        self._closed = False
        if send_timeout_s is not None:
            # the option of the socket and not its time-out: that would end reading, too
            seconds = int(send_timeout_s)
            micros = int((send_timeout_s - seconds) * 1e6)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", seconds, micros))

    def send(self, message: msgspec.Struct) -> None:
        """Send one message; Broken when the other end has gone or takes nothing."""
        body = _encoder.encode(message)
        if len(body) > self._max_message_bytes:
            raise Broken(f"a message of {len(body)} bytes")
        with self._sending:
            if self._closed:
                raise Broken("closed")
            try:
                self._socket.sendall(_LENGTH.pack(len(body)) + body)
            except OSError as error:
                self._closed = True  # half a message may have gone: nothing can follow it
                raise Broken(str(error)) from error

    def receive(self) -> Got:
        """Wait for one message; Broken when the other end has gone."""
        (size,) = _LENGTH.unpack(self._read(_LENGTH.size))
        if size > self._max_message_bytes:
            raise Broken(f"a message of {size} bytes")
        try:
            return self._decoder.decode(self._read(size))
        except msgspec.MsgspecError as error:
            raise Broken(f"no message: {error}") from error

    def _read(self, size: int) -> bytearray:
        found = bytearray()
        while len(found) < size:
            try:
                piece = self._socket.recv(min(size - len(found), max(_READ_BYTES, size)))
            except OSError as error:
                raise Broken(str(error)) from error
            if not piece:
                raise Broken("the other end has gone")
            found += piece
        return found

    def close(self) -> None:
        """End the connection; whoever waits in `receive` is let go."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
