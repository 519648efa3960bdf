"""Segments for the tests of recordings: tiny files of a video that was encoded once, and a store to put them in."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from ingest.video.muxing import Muxer
from model.clock import FakeClock
from model.grant import Grant, Purpose
from model.video import NewSegment
from store.audit import AuditLog
from store.recordings.folder import Recordings
from store.recordings.names import segment_file
from tests.ingest.video.material import encoded, moving

PROJECT = Path(__file__).resolve().parents[3]
T0 = 1_795_334_400_000  # 2026-11-22T08:00:00Z
MINUTE_MS = 60_000
GRANT = Grant("li", "cli", Purpose("alarm", "A-1"), None, 0, 10**15)
CAMERA = "camera/12"


class _Target:
    """Keeps what a muxer wrote, as it stood before the muxer closed it, too."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._at = 0

    def write(self, data: bytes, /) -> int:
        self.data[self._at : self._at + len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        assert whence == 0
        self._at = offset
        return offset


@lru_cache(maxsize=4)
def video(frames: int = 30, gop: int = 10) -> tuple[bytes, bytes]:
    """A file of 15 pictures a second: as it is while it is written (its last group missing), and closed."""
    packets = encoded(moving(frames, 160, 96), gop=gop)
    target = _Target()
    muxer = Muxer(packets[0].info, target, first=packets[0])
    for packet in packets:
        muxer.write(packet)
    torn = bytes(target.data)
    muxer.close()
    return torn, bytes(target.data)


def a_file(folder: Path, from_ms: int, *, camera: str = CAMERA, masked: bool = False, pad: int = 0) -> NewSegment:
    """Write a whole file as a recorder does, and say what it is; `pad` zero bytes make it another size."""
    data = video()[1] + bytes(pad)
    file = segment_file(camera, from_ms, masked=masked)
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    return NewSegment(camera, file, from_ms, from_ms + 2_000, len(data), sha256, "h264", 160, 96, masked=masked)


def opened(folder: Path, audit: AuditLog, **options: bool | int) -> Recordings:
    """The store, with no need of a large disk."""
    limits = {"min_free_bytes": 0, **options}
    return Recordings(folder, clock=FakeClock(T0), audit=audit, **limits)  # type: ignore[arg-type]  # numbers by name
