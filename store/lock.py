"""The writer lock of the data folder: one process at a time changes what is kept.

Invariants: the lock is the kernel's (`flock` on the file `lock`), so it ends with its process however
that ends; the file itself stays and holds the pid of the last holder, for people to read. It does not
wait, and it does not hold readers back.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from model.errors import StoreError, WriterLocked

LOCK_NAME = "lock"
#: A pid and a line's end are far shorter; more is not read.
MAX_LOCK_FILE_BYTES = 64


class WriterLock:
    """Holds the data folder for writing, as a context manager or by `acquire` and `release`.

    Args:
        data_dir: the data folder; made when missing.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / LOCK_NAME
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock now."""
        return self._fd is not None

    def acquire(self) -> None:
        """Take the lock at once or fail; taking it twice by one object changes nothing.

        Raises:
            WriterLocked: another process (or another object of this one) holds it.
            StoreError: the folder cannot be made or written.
        """
        if self._fd is not None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"{self._path} cannot be opened: {error.strerror}.",
                mend="Check the data folder's owner and free space, or name another with --data.",
            ) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _holder(fd)
            os.close(fd)
            raise WriterLocked(
                f"{self._path.parent} is being written by {holder}.",
                mend="Use the running service (commands find it by themselves), or stop it first.",
            ) from error
        except OSError as error:
            os.close(fd)
            raise StoreError(
                f"{self._path} cannot be locked: {error.strerror}.",
                mend="Keep the data folder on a local disk: network file systems may not lock.",
            ) from error
        self._fd = fd
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the lock back; without it nothing happens."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _holder(fd: int) -> str:
    text = os.pread(fd, MAX_LOCK_FILE_BYTES, 0).decode("ascii", "replace").strip()
    return f"process {text}" if text.isdecimal() else "another process"
