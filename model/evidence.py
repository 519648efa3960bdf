"""`Evidence`: a photo, clip, sound or file of a device, and the Protocols of what keeps it.

Purpose: the nouns of evidence and of terminal reports. Invariants: the bytes are named by their SHA-256 and never
changed; the same bytes of the same device and time are one piece of evidence. It stores nothing: `store.evidence` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from model.grant import Grant


@dataclass(frozen=True, slots=True)
class NewEvidence:
    """Something to keep.

    Attributes:
        device: device id it came from.
        kind: `image`, `audio`, `video` or `file`.
        format: file name suffix without the dot, lower case: jpg, tif, mp3, wav, wmv, mp4, bin.
        data: the bytes.
        time_ms: when it was taken, device clock, UTC ms (0 unknown).
        received_ms: when it was complete here, our clock, UTC ms.
        lat, lon: where, WGS-84 degrees, None unknown.
        channel: camera or microphone of the device, 0 unknown.
        event: why it was taken, in the protocol's words, e.g. `platform_command`, `robbery`.
        source: protocol and the device's own number of it, e.g. `jt808:123`.
        alarm: id of the alarm it belongs to, or "".
    """

    device: str
    kind: str
    format: str
    data: bytes
    time_ms: int
    received_ms: int
    lat: float | None = None
    lon: float | None = None
    channel: int = 0
    event: str = ""
    source: str = ""
    alarm: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A kept piece: what `NewEvidence` says without the bytes, and where and what they are.

    Attributes:
        id: e.g. `E2026-000001`.
        sha256: of the bytes, 64 hex digits; size_bytes: their number.
        stored_ms: when it was kept, our clock, UTC ms.
    """

    id: str
    device: str
    kind: str
    format: str
    sha256: str
    size_bytes: int
    time_ms: int
    received_ms: int
    stored_ms: int
    lat: float | None
    lon: float | None
    channel: int
    event: str
    source: str
    alarm: str


class EvidenceStore(Protocol):
    """Keeps evidence; every read takes a Grant and is audited before the bytes are given out."""

    def put(self, new: NewEvidence) -> Evidence:
        """Keep it durably, file first, then its row; the same again is the same row. Raises StoreError, Refused (limits)."""
        ...

    def bind(self, evidence_id: str, alarm: str) -> None:
        """Attach to an alarm what came without one."""
        ...

    def list(
        self, grant: Grant, *, device: str = "", alarm: str = "", before: str = "", limit: int = 100
    ) -> Sequence[Evidence]: ...

    def read(self, grant: Grant, evidence_id: str) -> tuple[Evidence, bytes]:
        """The bytes, whose SHA-256 is checked first (Corrupt)."""
        ...


@dataclass(frozen=True, slots=True)
class Report:
    """What a terminal tells besides places, alarms and media: a driver signed on, a fare ended, a card was read.

    Attributes:
        device: device id.
        protocol: e.g. `jt905`; message: name in that protocol's table, e.g. `sign_on`.
        time_ms: of the report where it names one, else when it came; UTC ms.
        received_ms: our clock, UTC ms.
        fields: decoded fields, JSON values.
        raw: the body as it came, for whoever has to prove it.
        serial: the device's own count of the message, -1 where there is none: tells what was sent again from what was said again.
    """

    device: str
    protocol: str
    message: str
    time_ms: int
    received_ms: int
    fields: dict[str, Any] = field(default_factory=dict)
    raw: bytes = b""
    serial: int = -1
