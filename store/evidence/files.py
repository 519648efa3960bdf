"""Files named by the SHA-256 of their bytes: `ab/cdef….jpg`.

Invariants: a name is 64 hex digits and a checked suffix, so nothing that comes from outside can name a path; a file is
written beside, synced, renamed, and its folder synced, so under its name there is all of it or nothing; a file that is
there is never changed, only put right by the same bytes. It knows no device and no row.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from model.errors import Corrupt, StoreError, UsageError

_SUFFIX = re.compile(r"[a-z0-9]{1,8}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_FOLDER = re.compile(r"[0-9a-f]{2}", re.ASCII)
_FILE_MODE, _FOLDER_MODE = 0o400, 0o700
_PIECE_BYTES = 1 << 20
#: What a file is called while it is written.
_NEW = ".new"
_MEND = "Restore it from a back-up."


class HashedFiles:
    """The files of one folder; who writes takes turns by itself.

    Args:
        folder: holds the 256 folders of files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def name(self, sha256: str, suffix: str) -> str:
        """`ab/cdef….jpg`, below the folder. Raises UsageError when it is no digest or no suffix."""
        if not _SHA256.fullmatch(sha256):
            raise UsageError("That is no SHA-256.", mend="Write 64 hex digits.")
        return f"{sha256[:2]}/{sha256[2:]}.{checked_suffix(suffix)}"

    def holds(self, sha256: str, suffix: str) -> bool:
        """Whether the file is there, whole or not."""
        return self._path(sha256, suffix).exists()

    def write(self, sha256: str, suffix: str, data: bytes) -> None:
        """Keep `data`, whose digest the caller has made, durably; nothing is written when it is there already.

        Raises StoreError: it is not kept.
        """
        path = self._path(sha256, suffix)
        try:
            if self._digest(path) == sha256:
                return
            if not path.parent.exists():
                path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
                _sync(self._folder)
            new = path.with_name(_NEW)
            new.unlink(missing_ok=True)
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _FILE_MODE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
            _sync(path.parent)
        except OSError as error:
            raise StoreError(
                f"Evidence cannot be written: {error.strerror}.", mend="Check the disk and its free space."
            ) from error

    def read(self, sha256: str, suffix: str, size_bytes: int) -> bytes:
        """The bytes, checked against their name. Raises Corrupt (missing, changed), StoreError."""
        name = self.name(sha256, suffix)
        try:
            with _opened(self._path(sha256, suffix)) as file:
                data = file.read(size_bytes + 1)
        except FileNotFoundError as error:
            raise Corrupt(f"The file {name} is missing.", mend=_MEND) from error
        except OSError as error:
            raise StoreError(f"The file {name} cannot be read: {error.strerror}.", mend="Check the disk.") from error
        if len(data) != size_bytes or hashlib.sha256(data).hexdigest() != sha256:
            raise Corrupt(f"The file {name} was changed: its SHA-256 is another.", mend=_MEND)
        return data

    def fault(self, sha256: str, suffix: str) -> str:
        """What is wrong with the file, in words; "" when nothing is. Reads all of it."""
        try:
            found = self._digest(self._path(sha256, suffix))
        except OSError as error:
            return f"the file cannot be read: {error.strerror}"
        if found is None:
            return "the file is missing"
        return "" if found == sha256 else "the file was changed: its SHA-256 is another"

    def names(self) -> Iterator[str]:
        """Every file that is there, `ab/cdef….jpg`, also those half written."""
        if not self._folder.exists():
            return
        for folder in sorted(one for one in self._folder.iterdir() if _FOLDER.fullmatch(one.name)):
            if folder.is_dir():
                yield from sorted(f"{folder.name}/{one.name}" for one in folder.iterdir())

    def _path(self, sha256: str, suffix: str) -> Path:
        return self._folder / self.name(sha256, suffix)

    @staticmethod
    def _digest(path: Path) -> str | None:
        """SHA-256 of the file, None when there is none."""
        try:
            with _opened(path) as file:
                digest = hashlib.sha256()
                while piece := file.read(_PIECE_BYTES):
                    digest.update(piece)
                return digest.hexdigest()
        except FileNotFoundError:
            return None


def checked_suffix(text: str) -> str:
    """`text` when it can end a file's name: 1 to 8 of a-z and 0-9. Raises UsageError."""
    if _SUFFIX.fullmatch(text):
        return text
    raise UsageError(f"{text[:20]!r} is no format.", mend="Write a file name's suffix, e.g. jpg.")


def _opened(path: Path) -> BinaryIO:
    """The file itself, never what a link points to."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
