"""Whole lines of a file, in blocks of bytes.

Purpose: read a plain or gzip file (told by its first bytes, not its name) and hand out blocks that end at a
line's end, so that the parsers never see half a line. Invariants: memory is bounded by the block size and the line
limit, whatever the file holds (a line over the limit keeps its first bytes and loses the rest; a
gzip bomb is decompressed block by block). It does not know what the lines mean.
"""

from __future__ import annotations

import io
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from model.errors import BadInput

#: Bytes of text per block: about 25,000 rows, which keeps the columns in the processor's cache.
DEFAULT_BLOCK_BYTES = 1 << 20
#: Bytes of one line, without its end; a longer one is quarantined.
DEFAULT_MAX_LINE_BYTES = 4096

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WBITS = 31
_BOM = b"\xef\xbb\xbf"
_READ_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines, each ending with a line feed.

    Attributes:
        text: the lines.
        broken: None, or the error to raise after these lines: the file went bad behind them.
        cut: the last line was cut off by the error, so it must not be trusted.
    """

    text: bytes
    broken: BadInput | None = None
    cut: bool = False


class LineSource:
    """Blocks of whole lines of one file.

    Args:
        path: the file.
        block_bytes: bytes of text per block, about.
        max_line_bytes: a line keeps at most one byte more than this when it spans blocks.

    Raises BadInput when the file is missing, a folder, cannot be opened or is empty.
    """

    def __init__(self, path: Path, *, block_bytes: int, max_line_bytes: int) -> None:
        self._path = path
        self._block_bytes = block_bytes
        self._max_line_bytes = max_line_bytes
        self._file = _open(path)
        try:
            self.total_bytes = self._file.seek(0, io.SEEK_END)
            self._file.seek(0)
            self._gzip = self._file.read(2) == _GZIP_MAGIC
            self._file.seek(0)
        except OSError as error:
            self._file.close()
            raise BadInput(f"{path} cannot be read: {error.strerror}.", mend="Check the disk and the file.") from error
        if not self.total_bytes:
            self._file.close()
            raise BadInput(f"{path} is empty.", mend="Give the file that holds the rows.")

    @property
    def done_bytes(self) -> int:
        """Bytes of the file read so far (compressed ones where it is compressed)."""
        return self.total_bytes if self._file.closed else self._file.tell()

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def blocks(self) -> Iterator[Lines]:
        """The file's lines in blocks; the last block may carry the error that ended them."""
        carry = b""
        first = True
        chunks = self._unzipped() if self._gzip else self._plain()
        for chunk in chunks:
            if isinstance(chunk, BadInput):
                yield Lines(carry + b"\n" if carry else b"", broken=chunk, cut=bool(carry))
                return
            text = chunk
            if first:
                first = False
                text = text.removeprefix(_BOM)
            end = text.rfind(b"\n") + 1
            if end:
                yield Lines(carry + text[:end] if carry else text[:end])
                carry = text[end:]
            else:
                carry += text
            if len(carry) > self._max_line_bytes:
                carry = carry[: self._max_line_bytes + 1]
        if carry:
            yield Lines(carry + b"\n")

    def _plain(self) -> Iterator[bytes | BadInput]:
        while True:
            try:
                chunk = self._file.read(self._block_bytes)
            except OSError as error:
                yield self._bad(f"cannot be read further: {error.strerror}", "Check the disk and the file.")
                return
            if not chunk:
                return
            yield chunk

    def _unzipped(self) -> Iterator[bytes | BadInput]:
        inflate = zlib.decompressobj(_GZIP_WBITS)
        raw = b""
        parts: list[bytes] = []
        size = 0
        while True:
            try:
                raw = raw or self._file.read(_READ_BYTES)
                made = inflate.decompress(raw, self._block_bytes - size)
            except (zlib.error, OSError) as error:
                yield from _joined(parts)
                yield self._bad(f"is damaged gzip: {error}", "Copy the file again; what came before is kept.")
                return
            parts.append(made)
            size += len(made)
            at_end = not raw and not made
            raw = inflate.unconsumed_tail
            if inflate.eof:
                raw = (inflate.unused_data or self._file.read(_READ_BYTES)).lstrip(b"\0")
                if not raw and not self._file.read(1):
                    yield from _joined(parts)
                    return
                inflate = zlib.decompressobj(_GZIP_WBITS)
            elif at_end:
                yield from _joined(parts)
                yield self._bad("ends in the middle of its gzip data", "Copy the file again; what came before is kept.")
                return
            if size >= self._block_bytes:
                yield from _joined(parts)
                parts, size = [], 0

    def _bad(self, what: str, mend: str) -> BadInput:
        return BadInput(f"the file {what}.", mend=mend)


def _open(path: Path) -> BinaryIO:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a pipe would keep us waiting for ever
            raise BadInput(f"{path} is no regular file.", mend="Give a file.")
        return path.open("rb")
    except FileNotFoundError as error:
        raise BadInput(f"There is no file {path}.", mend="Check the path.") from error
    except IsADirectoryError as error:
        raise BadInput(f"{path} is a folder, not a file.", mend="Give one file.") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise BadInput(f"{path} cannot be opened: {why}.", mend="Check the path and its permissions.") from error


def _joined(parts: list[bytes]) -> Iterator[bytes]:
    text = b"".join(parts)
    if text:
        yield text
