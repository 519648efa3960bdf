"""The files of recordings: opened, checked, deleted, and made playable again after a crash.

Invariants: no link is followed and no name is opened that `store.recordings.names` did not make; a file that a recorder
still writes (it holds a lock on it) is left alone; a file is cut back to what is whole, synced and renamed before it
counts. It knows no row.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from model.errors import BadInput, Corrupt, StoreError, UsageError
from model.video import NewSegment
from store.recordings.boxes import Contents, read_contents, uncover
from store.recordings.names import MAX_SAME_MS, PART, named, segment_file

_PIECE_BYTES = 1 << 20
_CAMERA = re.compile(r"[a-z]{1,20}\.[A-Za-z0-9_.\-]{1,64}", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MEND = "Restore it from a back-up."


class FileMark(NamedTuple):
    """See `file_mark`."""

    device: int
    inode: int
    size_bytes: int
    changed_ns: int


class SegmentFiles:
    """The files below one folder; who changes them takes turns by itself."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, file: str) -> Path:
        """Where it lies. Raises Corrupt for what is no name of ours: it was not written by us."""
        if named(file) is None:
            raise Corrupt(f"{file[:80]!r} is no name of a recording.", mend=_MEND)
        return self._folder / file

    def size(self, file: str) -> int | None:
        """Bytes of the file, None when there is none."""
        try:
            return self.path(file).lstat().st_size
        except FileNotFoundError:
            return None

    def opened(self, file: str, size_bytes: int, sha256: str) -> BinaryIO:
        """The file at its beginning, checked against its SHA-256; the caller closes it.

        Raises Corrupt (missing, changed), StoreError.
        """
        try:
            found = open_file(self.path(file))
        except FileNotFoundError as error:
            raise Corrupt(f"The recording {file} is missing.", mend=_MEND) from error
        except OSError as error:
            raise StoreError(f"{file} cannot be read: {error.strerror}.", mend="Check the disk.") from error
        try:
            if os.fstat(found.fileno()).st_size != size_bytes or digest(found) != sha256:
                raise Corrupt(f"The recording {file} was changed: its SHA-256 is another.", mend=_MEND)
            found.seek(0)
        except OSError as error:
            found.close()
            raise StoreError(f"{file} cannot be read: {error.strerror}.", mend="Check the disk.") from error
        except BaseException:
            found.close()
            raise
        return found

    def reopened(self, file: str, mark: FileMark) -> BinaryIO:
        """A file that was opened and checked a moment ago, at its beginning; the caller closes it.

        Raises Corrupt (missing, or not the file that had this `mark`), StoreError.
        """
        try:
            found = open_file(self.path(file))
        except FileNotFoundError as error:
            raise Corrupt(f"The recording {file} is missing.", mend=_MEND) from error
        except OSError as error:
            raise StoreError(f"{file} cannot be read: {error.strerror}.", mend="Check the disk.") from error
        if file_mark(found) != mark:
            found.close()
            raise Corrupt(f"The recording {file} was changed while it was read.", mend=_MEND)
        return found

    def fault(self, file: str, size_bytes: int, sha256: str) -> str:
        """What is wrong with the file, in words; "" when nothing is. Reads all of it."""
        try:
            self.opened(file, size_bytes, sha256).close()
        except StoreError as error:
            return error.message
        return ""

    def days(self) -> Iterator[str]:
        """`camera.12/2026-11-22`: every folder that holds files."""
        for camera in _folders(self._folder, _CAMERA):
            for day in _folders(self._folder / camera, _DAY):
                yield f"{camera}/{day}"

    def names(self, day: str) -> list[str]:
        """Files of a day's folder, those that are being written among them; below the recordings' folder."""
        try:
            return sorted(
                f"{day}/{one.name}" for one in os.scandir(self._folder / day) if one.is_file(follow_symlinks=False)
            )
        except FileNotFoundError:
            return []

    def age_s(self, name: str, now_ms: int) -> float:
        """How long ago it was last written to; 0 for what is gone."""
        try:
            return now_ms / 1_000 - (self._folder / name).lstat().st_mtime
        except OSError:
            return 0.0

    def delete(self, files: Iterable[str]) -> list[str]:
        """Delete durably; those that are gone (now or before). What cannot be deleted is left out."""
        gone, folders = [], set()
        for file in files:
            try:
                path = self.path(file)
                path.unlink(missing_ok=True)
            except (OSError, StoreError):
                continue
            gone.append(file)
            folders.add(path.parent)
        for folder in folders:
            try:
                sync_folder(folder)
            except OSError:  # its files come back, or do not: `adopt` finds them
                continue
        return gone

    def drop_empty(self, day: str) -> None:
        """Remove a day's folder when nothing is in it."""
        try:
            (self._folder / day).rmdir()
        except OSError:
            return

    def described(self, file: str) -> NewSegment:
        """What a whole file says of itself. Raises BadInput (not to be played), OSError."""
        says = named(file)
        if says is None:
            raise BadInput("That is no name of a recording.", mend="Move it away.")
        with open_file(self._folder / file) as opened:
            found = read_contents(opened)
            return self._segment(file, opened, found)

    def repaired(self, part: str) -> NewSegment | None:
        """Cut what a dead recorder left to its last whole fragment and give it its name; None while it is being written.

        Args:
            part: name with `PART` at its end.

        Raises BadInput: nothing of it can be played; it is deleted. UsageError: no name of ours. OSError.
        """
        file = part.removesuffix(PART)
        if named(file) is None:
            raise UsageError("That is no name of a recording.", mend="Move it away.")
        with os.fdopen(os.open(self._folder / part, os.O_RDWR | os.O_NOFOLLOW), "r+b") as opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            try:
                found = _readable(opened)
            except BadInput:
                (self._folder / part).unlink()  # under the lock, by which a recorder knows whose file it is
                raise
            opened.truncate(found.whole_bytes)
            opened.flush()
            os.fsync(opened.fileno())
            file = finish(self._folder, part, file)
            return self._segment(file, opened, found)

    @staticmethod
    def _segment(file: str, opened: BinaryIO, found: Contents) -> NewSegment:
        says = named(file)
        assert says is not None
        return NewSegment(
            camera=says.camera,
            file=file,
            from_ms=says.from_ms,
            to_ms=says.from_ms + found.duration_ms,
            size_bytes=os.fstat(opened.fileno()).st_size,
            sha256=digest(opened),
            codec=found.codec,
            width_px=found.width_px,
            height_px=found.height_px,
            masked=says.masked,
        )


def file_mark(opened: BinaryIO) -> FileMark:
    """What tells the file from one that was changed since."""
    told = os.fstat(opened.fileno())
    return FileMark(told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns)


def finish(folder: Path, part: str, file: str) -> str:
    """Give a whole, synced file its name, durably; the name that it has now (another where `file` is taken).

    Args:
        folder: of the recordings.
        part: its name until now, below the folder.
        file: as `segment_file` made it.

    Raises OSError; FileExistsError when `MAX_SAME_MS` others have the millisecond.
    """
    says = named(file)
    assert says is not None
    for again in range(MAX_SAME_MS + 1):
        name = segment_file(says.camera, says.from_ms, again, masked=says.masked)
        if os.path.lexists(folder / name):
            continue  # a camera has one recorder at a time, so nobody takes the name meanwhile
        (folder / part).rename(folder / name)
        sync_folder((folder / name).parent)
        return name
    raise FileExistsError(17, "too many recordings begin in one millisecond")


def _readable(opened: BinaryIO) -> Contents:
    try:
        return read_contents(opened)
    except BadInput:
        if not uncover(opened):
            raise
        return read_contents(opened)


def digest(file: BinaryIO) -> str:
    """SHA-256 of all of an open file, in hex."""
    file.seek(0)
    made = hashlib.sha256()
    while piece := file.read(_PIECE_BYTES):
        made.update(piece)
    return made.hexdigest()


def open_file(path: Path) -> BinaryIO:
    """The file itself, never what a link points to."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")


def sync_folder(folder: Path) -> None:
    """Make its names durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _folders(folder: Path, form: re.Pattern[str]) -> list[str]:
    try:
        found = [
            one.name for one in os.scandir(folder) if form.fullmatch(one.name) and one.is_dir(follow_symlinks=False)
        ]
    except FileNotFoundError:
        return []
    return sorted(found)
