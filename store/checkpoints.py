"""Signed checkpoints of the audit: how many rows there were, and the hash of the last one.

A hash chain alone does not show that its last rows were deleted; a checkpoint does. The file is plain text, one
line each (`number time_ms hash signature`, the last two in hex), so that it can be copied elsewhere and
compared by anybody; the signature is Ed25519 under the key file, so that an auditor verifies it with the
public key alone.

Invariants: the file only grows; a line is whole or not there (an unfinished last line is cut by the next writer).
Who holds the key file and may write here can forge: keep copies of the file on another machine.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model.errors import StoreError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_BYTES = 32
#: Longest line that is read, bytes; ours have about 230.
MAX_LINE_BYTES = 512


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The audit as it was: `number` rows, the last one's `row_hash`, at `time_ms` (UTC ms)."""

    number: int
    time_ms: int
    row_hash: bytes
    signature: bytes = b""

    def message(self) -> bytes:
        """What is signed."""
        return b"lucheng audit checkpoint\0" + f"{self.number} {self.time_ms} ".encode() + self.row_hash


class Checkpoints:
    """The checkpoint file and the key that signs it.

    Args:
        path: the file of checkpoints; made when the first is written.
        key_file: the private key, 32 bytes, mode 0600; made when the first is written.
    """

    def __init__(self, path: Path, key_file: Path) -> None:
        self.path = path
        self._key_file = key_file
        self._key: Ed25519PrivateKey | None = None

    def add(self, number: int, time_ms: int, row_hash: bytes) -> None:
        """Sign and append one checkpoint, durably. Raises StoreError or OSError."""
        checkpoint = Checkpoint(number, time_ms, row_hash)
        signature = self._private_key(make=True).sign(checkpoint.message())
        line = f"{number} {time_ms} {row_hash.hex()} {signature.hex()}\n".encode()
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            end = _whole_bytes(fd)
            os.ftruncate(fd, end)
            os.pwrite(fd, line, end)
            os.fsync(fd)
        finally:
            os.close(fd)

    def last(self) -> Checkpoint | None:
        """The newest checkpoint, its signature not verified; None when there is none or it cannot be read."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            end = _whole_bytes(fd)
            start = max(0, end - MAX_LINE_BYTES)
            lines = os.pread(fd, end - start, start).splitlines()
        finally:
            os.close(fd)
        return _parsed(lines[-1]) if lines else None

    def read(self) -> Iterator[tuple[int, Checkpoint | None]]:
        """(line number, checkpoint) of every whole line; None where the line is not ours or the signature does not hold.

        Raises StoreError when there are checkpoints but no key to verify them with.
        """
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            number = 0
            while (line := file.readline(MAX_LINE_BYTES)).endswith(b"\n") or len(line) == MAX_LINE_BYTES:
                number += 1
                checkpoint = _parsed(line)
                yield number, checkpoint if checkpoint is not None and self._holds(checkpoint) else None

    def public_key(self) -> bytes:
        """The 32 bytes that verify the signatures, to be kept elsewhere. Raises StoreError without a key."""
        return self._private_key(make=False).public_key().public_bytes_raw()

    def _holds(self, checkpoint: Checkpoint) -> bool:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # slow to import, seldom needed

        try:
            self._private_key(make=False).public_key().verify(checkpoint.signature, checkpoint.message())
        except InvalidSignature:
            return False
        return True

    def _private_key(self, *, make: bool) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415  # slow to import, seldom needed

        if self._key is None:
            if make and not self._key_file.exists():
                if self.path.exists():
                    raise self._key_error("is gone, but checkpoints signed with it are there")
                _make_key(self._key_file)
            try:
                self._key = ed25519.Ed25519PrivateKey.from_private_bytes(self._key_file.read_bytes())
            except OSError as error:
                raise self._key_error(f"cannot be read: {error.strerror}") from error
            except ValueError as error:
                raise self._key_error(f"is no key of {KEY_BYTES} bytes") from error
        return self._key

    def _key_error(self, what: str) -> StoreError:
        return StoreError(
            f"The audit's key {self._key_file} {what}.",
            mend=f"Restore it from a back-up, or move {self.path.name} and the audit away together and start new ones.",
        )


def _make_key(key_file: Path) -> None:
    """Make the key file, whole or not at all; another process may be first."""
    key_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = key_file.with_name(f"{key_file.name}.{os.getpid()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, os.urandom(KEY_BYTES))
        os.fsync(fd)
    finally:
        os.close(fd)
    try:
        os.link(draft, key_file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _whole_bytes(fd: int) -> int:
    """Length of the file up to and with its last line's end."""
    end = os.fstat(fd).st_size
    start = max(0, end - MAX_LINE_BYTES)
    return start + os.pread(fd, end - start, start).rfind(b"\n") + 1


def _parsed(line: bytes) -> Checkpoint | None:
    try:
        number, time_ms, row_hash, signature = line.decode("ascii").split()
        return Checkpoint(int(number), int(time_ms), bytes.fromhex(row_hash), bytes.fromhex(signature))
    except ValueError:
        return None
