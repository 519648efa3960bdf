"""What the operations on cameras ask of the running service and of the network, which both lie above or beside this room.

It opens nothing and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from model.camera import CameraState
from model.grant import Grant
from model.video import Clip


@dataclass(frozen=True, slots=True)
class CameraRow:
    """How a camera is now. Numbers that are not known are NaN.

    Attributes:
        device: its id.
        state: how it is. since_ms: since when, our clock, UTC ms, 0 unknown.
        mode: what is decoded now, a value of `model.camera.DecodePolicy` or a finer word.
        gate: state of the packet gate. gate_why, gate_why_zh: why it is so, in words, English and Chinese. recall: of the gate, as it knows itself, 0..1.
        fps, bitrate_kbps, keyframe_gap_s: measured.
        lag_ms: from the camera to here. media_age_s: since its newest packet.
        codec, width_px, height_px: of its stream; "" and 0 unknown.
        health: bits of `model.camera.Health`.
        recording: whether it is being recorded.
        loss: why there is no stream (`ingest.video.seams.LossReason`), "" when there is one. detail: the same in words,
            without credentials.
        worker: number of the process that watches it, 0 none. machine: where that is, where several share cameras; "" here.
    """

    device: str
    state: CameraState
    since_ms: int = 0
    mode: str = ""
    gate: str = ""
    gate_why: str = ""
    gate_why_zh: str = ""
    recall: float = float("nan")
    fps: float = float("nan")
    bitrate_kbps: float = float("nan")
    keyframe_gap_s: float = float("nan")
    lag_ms: float = float("nan")
    media_age_s: float = float("nan")
    codec: str = ""
    width_px: int = 0
    height_px: int = 0
    health: int = 0
    recording: bool = False
    loss: str = ""
    detail: str = ""
    worker: int = 0
    machine: str = ""


class CameraControl(Protocol):
    """The cameras of the running service. Any thread may call anything; none of it asks who may."""

    def states(self) -> Mapping[str, CameraRow]:
        """How each camera is now, by device id; not to be changed."""
        ...

    def snapshot(self, device: str, timeout_s: float) -> tuple[bytes, int]:
        """A JPEG of the newest picture, masks burned in, and its time (UTC ms). Raises TryAgain, NotFound, Refused."""
        ...

    def clip(self, device: str, from_ms: int, to_ms: int, timeout_s: float) -> Clip:
        """A clip from the ring, once its end has passed. Raises TryAgain, NotFound, Refused."""
        ...

    def recorded_clip(self, grant: Grant, device: str, from_ms: int, to_ms: int) -> Clip | None:
        """A clip cut out of what was recorded, None where nothing of the window is; each segment audited under the grant."""
        ...

    def probe(self, url: str, transport: str, timeout_s: float) -> dict[str, Any]:
        """As `CameraNetwork.probe`, where the service does it."""
        ...

    def changed(self) -> None:
        """What is set for cameras has changed: take it over soon."""
        ...

    def live_url(self, device: str) -> str:
        """The page of its live view, with the token. Raises Refused (there is no live view)."""
        ...


class CameraNetwork(Protocol):
    """Addresses of cameras under the rules of the settings (S11)."""

    def check(self, url: str) -> None:
        """Raises Refused, UsageError, NotFound (no such file) or TryAgain (a name is not known now); no error quotes it."""
        ...

    def probe(self, url: str, transport: str, timeout_s: float) -> dict[str, Any]:
        """Open the stream for a moment and say what it is, as JSON values. Raises as `check`, and TryAgain saying why not."""
        ...
