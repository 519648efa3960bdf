"""`SegmentFile`: one recorded file while it is written.

Invariants: it is made anew, locked, and called `.part` until it is whole; what is written is whole fragments, so that
after a crash it plays up to the last of them; `finish` makes it a plain MP4, syncs it, gives it its name, syncs the
folder, and only then says what it is; `salvage` keeps what is whole after a failure. One thread at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from ingest.video.muxing import Muxer
from model.video import NewSegment, Packet
from store.recordings.files import digest, finish, sync_folder
from store.recordings.names import MAX_SAME_MS, PART, segment_file

_FILE_MODE, _FOLDER_MODE = 0o600, 0o700
#: A folder may be removed as empty by retention between its making and the first file in it.
_TRIES = 3


class _Target:
    """A file that is written whole pieces at a time, without a buffer: what `write` returned from is in the file."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def write(self, data: bytes, /) -> int:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]
        return len(data)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return os.lseek(self.descriptor, offset, whence)


class SegmentFile:
    """See the module.

    Args:
        folder: of the recordings.
        camera: device id.
        first: the first packet, a keyframe; it is not written by this call.
        masked: its packets were re-encoded with masks burned in.

    Raises OSError; BadInput (no parameter sets); UsageError (no time for a file).
    """

    def __init__(self, folder: Path, camera: str, first: Packet, *, masked: bool) -> None:
        self._folder = folder
        self._camera = camera
        self._masked = masked
        self.epoch = first.info.epoch
        self.from_ms = first.time_ms
        self._file, descriptor = _made(folder, camera, first.time_ms, masked=masked)
        self._target = _Target(descriptor)
        self._syncing = False
        try:
            self._muxer = Muxer(first.info, self._target, first=first)
            self._head_bytes = self._muxer.bytes_written
        except BaseException:
            self._give_up()
            raise

    @property
    def bytes_written(self) -> int:
        """Size of the file so far."""
        return self._muxer.bytes_written

    def fits(self, packet: Packet) -> bool:
        """Whether the packet's parameters are those of this file."""
        return self._muxer.fits(packet)

    def write(self, packet: Packet) -> None:
        """Take the next packet. Raises OSError."""
        self._muxer.write(packet)

    def finish(self, motion_ms: int) -> NewSegment:
        """Close, sync and name it. Raises OSError: `salvage` it then."""
        self._muxer.close()
        return self._name(motion_ms)

    def salvage(self, motion_ms: int) -> NewSegment | None:
        """After a failure keep what is whole; None where that is nothing, or cannot be done now (`Recordings.adopt` does)."""
        try:
            if self._syncing:  # a failed sync is never tried again: nobody knows what is on the disk
                os.close(self._target.descriptor)
                return None
            if self._muxer.bytes_written <= self._head_bytes:
                self._give_up()
                return None
            os.ftruncate(self._target.descriptor, self._muxer.bytes_written)
            return self._name(motion_ms)
        except OSError:
            with contextlib.suppress(OSError):
                os.close(self._target.descriptor)
            return None

    def _name(self, motion_ms: int) -> NewSegment:
        descriptor = self._target.descriptor
        self._syncing = True
        os.fsync(descriptor)
        with os.fdopen(os.dup(descriptor), "rb") as file:
            sha256 = digest(file)
            size_bytes = os.fstat(file.fileno()).st_size
        name = finish(self._folder, self._file + PART, self._file)
        os.close(descriptor)
        parameters = self._muxer.parameters
        to_ms = max(self._muxer.to_ms, self.from_ms + 1)
        return NewSegment(
            camera=self._camera,
            file=name,
            from_ms=self.from_ms,
            to_ms=to_ms,
            size_bytes=size_bytes,
            sha256=sha256,
            codec=parameters.codec,
            width_px=parameters.width_px,
            height_px=parameters.height_px,
            motion_ms=min(motion_ms, to_ms - self.from_ms),
            masked=self._masked,
        )

    def _give_up(self) -> None:
        with contextlib.suppress(OSError):
            (self._folder / (self._file + PART)).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            os.close(self._target.descriptor)


def _made(folder: Path, camera: str, from_ms: int, *, masked: bool) -> tuple[str, int]:
    """The name that the file is to have, and the descriptor of its locked `.part`. Raises OSError."""
    for again in range(MAX_SAME_MS + 1):
        file = segment_file(camera, from_ms, again, masked=masked)
        part = folder / (file + PART)
        if os.path.lexists(folder / file):
            continue
        try:
            descriptor = _opened(part)
        except FileExistsError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = os.path.samestat(os.fstat(descriptor), part.lstat())
        except (BlockingIOError, FileNotFoundError):
            ours = False  # somebody took it for the rest of a crash, in between
        if ours:
            return file, descriptor
        os.close(descriptor)
    raise FileExistsError(17, "too many recordings begin in one millisecond")


def _opened(part: Path) -> int:
    for _ in range(_TRIES):
        if not part.parent.exists():
            part.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            sync_folder(part.parent.parent)
        with contextlib.suppress(FileNotFoundError):
            return os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _FILE_MODE)
    raise FileNotFoundError(2, "the folder vanishes")
