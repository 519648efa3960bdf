"""Unix socket paths longer than the kernel's 107 bytes: reached through the open folder.

Source: unix(7), `sun_path` holds 108 bytes; proc(5), `/proc/self/fd`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Name of the service's socket in the data folder.
SOCKET_NAME = "api.sock"
SUN_PATH_BYTES = 107


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """A name for `path` that fits into a socket address, valid inside the block.

    Raises OSError when the folder cannot be opened.
    """
    text = os.fspath(path)
    if len(os.fsencode(text)) <= SUN_PATH_BYTES:
        yield text
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def connected(path: Path, timeout_s: float) -> socket.socket:
    """A stream socket connected to `path`; raises OSError when nobody answers there."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.settimeout(timeout_s)
    try:
        with short_path(path) as name:
            made.connect(name)
    except BaseException:
        made.close()
        raise
    return made


def answers(path: Path, timeout_s: float) -> bool:
    """Whether somebody accepts connections at `path`."""
    try:
        connected(path, timeout_s).close()
    except TimeoutError:
        return True  # somebody holds it, and is too busy to accept
    except OSError:
        return False
    return True
