"""Bytes that a command was asked to save: to a new file of the caller's alone, or to standard output."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from model.errors import BadInput

#: Stands for standard output.
STANDARD_OUTPUT = "-"


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


def check_new(file: str) -> None:
    """BadInput when the file is there already, before anything is asked for that would be lost."""
    if file != STANDARD_OUTPUT and Path(file).exists():
        raise BadInput(f"{file} is there already.", mend="Name a file that is not there yet.")
