"""`Spool`: the data of an export while it is made; and `Exported`, the whole of one, ready to be given out.

Invariants: the file has no name, so nothing is left of it however this process ends; it never grows over its limit, nor
takes the disk's last bytes from the log and the stores; it gives nothing out by itself.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from console.exports.heading import DIGITS_KEY, ZEROS
from model.errors import Refused, StoreError

#: Bytes written between two looks at the disk's free space.
DEFAULT_LOOK_BYTES = 16 << 20
_PIECE_BYTES = 1 << 20


class Spool:
    """An unnamed file in `folder`, written from its begin to its end; it can be given to a writer of Arrow.

    Args:
        folder: on which disk.
        max_bytes: how long it may become.
        min_free_bytes: what it leaves of the disk.
        on_close: called once, when it is closed or forgotten.

    Raises (at every write): Refused over a limit, StoreError when the disk fails.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        min_free_bytes: int,
        on_close: Callable[[], object] = lambda: None,
        look_bytes: int = DEFAULT_LOOK_BYTES,
    ) -> None:
        self.size = 0
        self._max_bytes = max_bytes
        self._min_free_bytes = min_free_bytes
        self._look_bytes = look_bytes
        self._next_look = 0
        self._released = weakref.finalize(self, on_close)
        try:
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 `close` ends it
        except OSError as error:
            self._released()
            raise _failed(error) from error

    def write(self, data: Any) -> int:
        """Add bytes at the end."""
        size = memoryview(data).nbytes
        if self.size + size > self._max_bytes:
            raise Refused(
                f"The export is larger than {self._max_bytes} bytes.",
                mend="Ask for fewer devices or a shorter window, use parquet, or raise export.max_file_bytes.",
            )
        try:
            if self.size >= self._next_look:
                self._look()
            self._file.write(data)
        except OSError as error:
            raise _failed(error) from error
        self.size += size
        return size

    def _look(self) -> None:
        disk = os.fstatvfs(self._file.fileno())
        if disk.f_bavail * disk.f_frsize < self._min_free_bytes + self._look_bytes:
            raise Refused(
                f"The disk of the data folder has less than {self._min_free_bytes} bytes left for the stores.",
                mend="Ask for less, make room, or lower export.min_free_bytes.",
            )
        self._next_look = self.size + self._look_bytes

    def pieces(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` on, up to `end`."""
        try:
            self._file.flush()
            self._file.seek(start)
            left = (self.size if end is None else end) - start
            while left > 0 and (piece := self._file.read(min(_PIECE_BYTES, left))):
                left -= len(piece)
                yield piece
        except OSError as error:
            raise _failed(error) from error

    def put(self, at: int, data: bytes) -> None:
        """Write over what stands at `at`."""
        try:
            self._file.seek(at)
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise _failed(error) from error

    # what a writer of Arrow asks of a file besides `write`
    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._file.closed

    def flush(self) -> None:
        """Nothing to do: it is read through the same file."""

    def tell(self) -> int:
        """Where the next write goes."""
        return self.size

    def close(self) -> None:
        """Give the disk's space back; may be called twice."""
        self._file.close()
        self._released()


def _failed(error: OSError) -> StoreError:
    return StoreError(f"The export cannot be written: {error.strerror}.", mend="Check the disk of the data folder.")


class Exported:
    """A whole export: `head`, then the spool's bytes.

    Args:
        media_type: of HTTP.
        name: a file name that is safe in a header.
        head: the bytes before the spool's, the digits as zeros, or empty.
        spool: the rest; closed when the pieces have been read.
        fields: the heading's.

    Attributes:
        size: bytes.
        sha256: of all of it, in hex.
        told: what is said of it beside the file: the heading without the long and the zeroed fields, its size and hash.
    """

    def __init__(self, media_type: str, name: str, head: bytes, spool: Spool, fields: dict[str, Any]) -> None:
        self.media_type = media_type
        self.name = name
        self._spool = spool
        self._head = _sealed(head, spool)
        self.size = len(self._head) + spool.size
        self.sha256 = _hash(self._head, spool)
        unsaid = {"device_ids", "sha256_of", DIGITS_KEY}
        self.told = {key: value for key, value in fields.items() if key not in unsaid} | {
            "bytes": self.size,
            "sha256": self.sha256,
        }

    def pieces(self) -> Iterator[bytes]:
        """The bytes, once."""
        try:
            if self._head:
                yield self._head
            yield from self._spool.pieces()
        finally:
            self.close()

    def close(self) -> None:
        """Forget it; may be called twice."""
        self._spool.close()


def _hash(head: bytes, spool: Spool) -> str:
    found = hashlib.sha256(head)
    for piece in spool.pieces():
        found.update(piece)
    return found.hexdigest()


def _sealed(head: bytes, spool: Spool) -> bytes:
    """The head with the digits in; where they stand at the end of the spool (Parquet), they are put there."""
    digits = _hash(head, spool).encode()
    if head:
        before, zeros, after = head.rpartition(ZEROS.encode())
        return before + digits + after if zeros else head
    first = max(0, spool.size - _PIECE_BYTES)
    tail = b"".join(spool.pieces(first))
    mark = f'"{DIGITS_KEY}":"'.encode()  # no text can hold it: JSON escapes quotes
    at = tail.rfind(mark + ZEROS.encode())
    if at >= 0:
        spool.put(first + at + len(mark), digits)
    return b""
