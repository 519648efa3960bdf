"""The mark beside a log: how far it was committed, so that a log that ends too early is noticed.

SQLite stops at the first damaged frame of its write-ahead log and silently forgets every later
commit, acknowledged ones too. The mark is a small ring of (position, received rows), one entry per record,
written after each commit and before its acknowledgement; it is not synced, so after a power cut it may be
behind the log, never ahead of it.

Invariants: an entry whose checksum does not hold is no entry; entry `position` lies at slot `position` modulo
`SLOTS`. It does not know what is in the log.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xxhash

from model.errors import StoreError

#: Records whose received rows the mark remembers one by one.
SLOTS = 4_096
_ENTRY = struct.Struct("<QQQ")
_BODY = struct.Struct("<QQ")
FILE_BYTES = SLOTS * _ENTRY.size


class Mark:
    """The ring of the last `SLOTS` records' positions and received rows.

    Args:
        path: the side file; made when missing, unless `read_only`.
        read_only: never write; a missing file then reads as empty.

    Raises:
        StoreError: the file cannot be opened or made.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._fd: int | None = None
        flags = os.O_RDONLY if read_only else os.O_RDWR | os.O_CREAT
        try:
            self._fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
            if not read_only and os.fstat(self._fd).st_size != FILE_BYTES:
                # Zeros are written, not left as a hole: a full disk must show now, not at a commit.
                kept = os.pread(self._fd, FILE_BYTES, 0)
                os.ftruncate(self._fd, FILE_BYTES)
                os.pwrite(self._fd, kept.ljust(FILE_BYTES, b"\0"), 0)
        except FileNotFoundError:
            if not read_only:
                raise
        except OSError as error:
            self.close()
            raise StoreError(
                f"{path} cannot be opened: {error.strerror}.", mend="Check the folder's owner and free space."
            ) from error

    def write(self, entries: Sequence[tuple[int, int]]) -> None:
        """Note `(position, received rows)` of records that are committed; positions ascend by 1. Raises OSError."""
        if self._fd is None:
            raise OSError(f"{self._path.name} is not open")
        entries = entries[-SLOTS:]
        first_slot = entries[0][0] % SLOTS
        packed = b"".join([_packed(position, received) for position, received in entries])
        head_bytes = min(len(packed), FILE_BYTES - first_slot * _ENTRY.size)
        os.pwrite(self._fd, packed[:head_bytes], first_slot * _ENTRY.size)
        if head_bytes < len(packed):
            os.pwrite(self._fd, packed[head_bytes:], 0)

    def received_at(self, position: int) -> int | None:
        """Rows received up to and with record `position`; None when the ring has it no more."""
        if self._fd is None or position < 1:
            return None
        entry = _unpacked(os.pread(self._fd, _ENTRY.size, position % SLOTS * _ENTRY.size))
        return entry[1] if entry is not None and entry[0] == position else None

    def newest(self) -> tuple[int, int]:
        """`(position, received rows)` of the newest record marked; (0, 0) when there is none."""
        if self._fd is None:
            return 0, 0
        ring = os.pread(self._fd, FILE_BYTES, 0)
        positions = np.frombuffer(ring, "<u8", count=len(ring) // _ENTRY.size * 3)[::3].copy()
        while positions.any():
            slot = int(positions.argmax())
            entry = _unpacked(ring[slot * _ENTRY.size : (slot + 1) * _ENTRY.size])
            if entry is not None:
                return entry
            positions[slot] = 0
        return 0, 0

    def close(self) -> None:
        """Release the file."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def _packed(position: int, received: int) -> bytes:
    return _ENTRY.pack(position, received, xxhash.xxh3_64_intdigest(_BODY.pack(position, received)))


def _unpacked(entry: bytes) -> tuple[int, int] | None:
    if len(entry) != _ENTRY.size:
        return None
    position, received, checksum = _ENTRY.unpack(entry)
    if position == 0 or checksum != xxhash.xxh3_64_intdigest(entry[: _BODY.size]):
        return None
    return position, received
