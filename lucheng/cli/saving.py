"""Bytes that a command was asked to save: to a new file of the caller's alone, or to standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from model.errors import BadInput

#: Stands for standard output.
STANDARD_OUTPUT = "-"
#: Of a file that is still being saved.
PART_SUFFIX = ".part"


def save(file: str, data: bytes) -> bool:
    """Save, and say whether it is a file (and not standard output) that something may be said of there.

    A file is made anew, readable by its owner alone; one that is there is never written over: BadInput.
    """
    if file == STANDARD_OUTPUT:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return False
    path = Path(file)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BadInput(
            f"{path} cannot be made: {error.strerror}.", mend="Name a file that is not there yet."
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise BadInput(f"{path} cannot be written: {error.strerror}.", mend="Check the disk's free space.") from error
    return True


def save_pieces(file: str, pieces: Iterable[bytes]) -> bool:
    """As `save` for what is too large for memory; the file has its name only when it is whole.

    Until then it is `FILE.part`. Whatever ends this, the part is removed; an end without warning leaves it under that name.
    """
    if file == STANDARD_OUTPUT:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return False
    path, part = Path(file), Path(file + PART_SUFFIX)
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BadInput(
            f"{part} cannot be made: {error.strerror}.", mend="Name a file that is not there yet; remove an old .part."
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            for piece in pieces:
                _write(stream, piece, path)
            _synced(stream, path)
        _named(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return True


def _write(stream: BinaryIO, piece: bytes, path: Path) -> None:
    try:
        stream.write(piece)
    except OSError as error:
        raise _full(path, error) from error


def _synced(stream: BinaryIO, path: Path) -> None:
    try:
        stream.flush()
        os.fsync(stream.fileno())
    except OSError as error:
        raise _full(path, error) from error


def _full(path: Path, error: OSError) -> BadInput:
    return BadInput(f"{path} cannot be written: {error.strerror}.", mend="Check the disk's free space.")


def _named(part: Path, path: Path) -> None:
    """Give the part its name, without writing over a file that came meanwhile."""
    try:
        try:
            path.hardlink_to(part)
        except FileExistsError:
            raise
        except OSError:  # a stick's file system knows no second name
            check_new(str(path))
            part.rename(path)
            return
        part.unlink()
    except OSError as error:
        raise BadInput(
            f"{path} cannot be made: {error.strerror}.", mend="Name a file that is not there yet."
        ) from error


def check_new(file: str) -> None:
    """BadInput when the file is there already, before anything is asked for that would be lost."""
    if file != STANDARD_OUTPUT and Path(file).exists():
        raise BadInput(f"{file} is there already.", mend="Name a file that is not there yet.")
