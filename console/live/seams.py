"""What the live view asks of the rest of the house, and the rows that it is given.

Invariants of whoever implements `LiveDesk`: every call decides by the caller's role at that moment, and audits what it gives
out, a refusal too, before it returns; texts are given as they are stored, the pages escape them. It opens nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from console.blob import Blob
from console.device_operations import Caller
from model.camera import CameraState
from model.grant import Purpose


@dataclass(frozen=True, slots=True)
class CameraRow:
    """A camera as the list shows it.

    Attributes:
        slot: its slot. device: its id; name: what people call it, "" unknown.
        state: how it is, None not known yet. since_ms: since when, UTC ms, 0 unknown.
        detail: what is wrong with its picture, in plain words, "" nothing.
    """

    slot: int
    device: str
    name: str
    state: CameraState | None
    since_ms: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AlarmRow:
    """An alarm as the pages show it.

    Attributes:
        alarm: its id; kind: a name of `model.codes.ALARM_KINDS`; device: who raised it; severity: 1 (highest) to 3.
        work: a value of `model.alarm.Work`; time_ms: when it came, UTC ms; site: or "".
    """

    alarm: str
    kind: str
    device: str
    severity: int
    work: str
    time_ms: int
    site: str = ""


@dataclass(frozen=True, slots=True)
class PieceRow:
    """A piece of an alarm's evidence.

    Attributes:
        evidence: its id; device: who took it; kind: `image`, `audio`, `video`, `file`; format: suffix without the dot.
        sha256: 64 hex digits; size_bytes.
        time_ms: of its first picture, UTC ms, 0 unknown.
        distance_m: from the alarm's place to the camera, None unknown.
        note: what is missing or was done to it, "" nothing.
        codec: FFmpeg's name of the pictures' codec, "" unknown.
    """

    evidence: str
    device: str
    kind: str
    format: str
    sha256: str
    size_bytes: int
    time_ms: int
    distance_m: float | None = None
    note: str = ""
    codec: str = ""


class LiveDesk(Protocol):
    """What the pages may show; any thread may call anything, and a call may take a while."""

    def cameras(self, caller: Caller, *, after: int, limit: int) -> Sequence[CameraRow]:
        """Cameras in order of slot, those after slot `after` (-1: from the first), `limit` at most. Raises Refused."""
        ...

    def camera(self, caller: Caller, device: str) -> CameraRow:
        """One camera, asked for every few seconds by each page. Raises NotFound, Refused."""
        ...

    def alarms(self, caller: Caller, *, limit: int) -> Sequence[AlarmRow]:
        """Open alarms, the most urgent first. Raises Refused."""
        ...

    def alarm(self, caller: Caller, alarm: str) -> AlarmRow:
        """One alarm by its whole id. Raises NotFound, Refused."""
        ...

    def evidence_list(self, caller: Caller, alarm: str) -> Sequence[PieceRow]:
        """Its evidence, without the bytes. Raises NotFound, Refused."""
        ...

    def evidence_read(self, caller: Caller, evidence: str, purpose: Purpose) -> Blob:
        """The bytes of a piece, audited before they are returned. Raises NotFound, Refused, AuditUnwritable, Corrupt."""
        ...

    def watch(self, caller: Caller, camera: str, purpose: Purpose) -> None:
        """Audit (`watch.live`) that the caller begins to look. Raises NotFound, Refused (audited), AuditUnwritable."""
        ...

    def may_watch(self, caller: Caller, camera: str, purpose: Purpose) -> bool:
        """Whether a look that began with `watch` may go on. Asked every other second of each stream, not audited."""
        ...
