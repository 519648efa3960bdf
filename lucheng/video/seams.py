"""What the binding of alarms to cameras asks of the rest of the service. It does nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from model.camera import CameraSettings
from model.video import Clip
from store.audit import AuditRow, NewAuditRow

#: Settings of a camera that is configured and enabled and not set aside, from memory; None for any other device.
SettingsOf = Callable[[str], CameraSettings | None]
#: (clip or None, what is missing or why there is none).
ClipDone = Callable[[Clip | None, str], None]
#: (JPEG or None, when it was taken in UTC ms, why there is none).
SnapshotDone = Callable[[bytes | None, int, str], None]


class ClipMaker(Protocol):
    """Makes clips and snapshots of cameras. No call waits; each `done` is called once, on another thread."""

    def wake(self, camera: str, until_ms: int) -> None:
        """Decode the camera fully until then, our clock, UTC ms."""
        ...

    def snapshot(self, camera: str, done: SnapshotDone) -> None:
        """A picture of now."""
        ...

    def clip(self, camera: str, from_ms: int, to_ms: int, done: ClipDone) -> None:
        """A clip from the keyframe before `from_ms` (as far back as the ring goes) to `to_ms`, once that has passed."""
        ...


class RecordedClips(Protocol):
    """Cuts clips out of what was recorded."""

    def clip(self, camera: str, from_ms: int, to_ms: int, *, alarm: str) -> Clip | None:
        """The window as far as it is recorded; None where it is not at all. May take seconds. Raises LuchengError."""
        ...


class ClipAudit(Protocol):
    """Where it is written down what is missing; `store.audit.AuditLog`."""

    def append_all(self, rows: Sequence[NewAuditRow]) -> int: ...

    def rows(self, *, after: int = 0, limit: int = 100, newest_first: bool = False) -> list[AuditRow]: ...
