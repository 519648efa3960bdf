"""A PMTiles archive of the data folder: what is in it, and its bytes by range.

Invariants: only a plain file of that folder itself is opened, by its name and through no link; no answer is larger than
`max_range_bytes`; a file that is not what it says is refused when the style is asked for, never guessed at.
Source: PMTiles specification, version 3 (github.com/protomaps/PMTiles, spec/v3/spec.md), chapters 3 and 5; RFC 9110, 14.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import zstandard

from model.errors import BadInput, NotFound, UsageError

DEFAULT_MAX_RANGE_BYTES = 8 << 20
#: Of the JSON in an archive, unpacked.
MAX_METADATA_BYTES = 4 << 20
#: Layers that a style is made of.
MAX_LAYERS = 100

_HEADER = struct.Struct("<7sB11Q6B4iB2i")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,120}", re.ASCII)
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})?", re.ASCII)
_E7 = 1e7
_NONE, _GZIP, _ZSTD = 1, 2, 4
#: Types of tiles: vector, then those of pictures.
VECTOR = 1
_PICTURES = (2, 3, 4, 5)


@dataclass(frozen=True, slots=True)
class Archive:
    """What an archive says of itself.

    Attributes:
        vector: its tiles are Mapbox vector tiles, else pictures.
        min_zoom, max_zoom: of its tiles.
        bounds: west, south, east, north, degrees, in the archive's own datum.
        layers: ids of its vector layers.
        attribution: whose data it is.
    """

    vector: bool
    min_zoom: int
    max_zoom: int
    bounds: tuple[float, float, float, float]
    layers: tuple[str, ...]
    attribution: str


class _Layer(msgspec.Struct):
    id: str


class _Metadata(msgspec.Struct):
    vector_layers: list[_Layer] = []
    attribution: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a file: from which place, of how many, and what tells this file from one that replaced it."""

    data: bytes
    start: int
    size: int
    etag: str


class TileFile:
    """One archive.

    Args:
        folder: where it lies.
        name: its name there.
        max_range_bytes: of one answer.
    """

    def __init__(self, folder: Path, name: str, *, max_range_bytes: int = DEFAULT_MAX_RANGE_BYTES) -> None:
        self._folder = folder
        self._name = checked_name(name)
        self._max_range_bytes = max_range_bytes
        self._known: tuple[str, Archive] | None = None

    def piece(self, asked: str | None) -> Piece:
        """The bytes that a `Range` header asks for. Raises UsageError (none, several, too many, beyond the end), NotFound."""
        found = _RANGE.fullmatch(asked or "")
        if found is None:
            raise UsageError("The file is given by range alone.", mend="Send one range: bytes=FIRST-LAST.")
        start = int(found[1])
        with open_plain(self._folder, self._name) as file:
            size, etag = _identity(file)
            last = min(int(found[2]) if found[2] else start + self._max_range_bytes - 1, size - 1)
            if not 0 <= last - start < self._max_range_bytes:
                raise UsageError(
                    "The range is empty, beyond the end, or too long.",
                    mend=f"Ask for at most {self._max_range_bytes} bytes of the {size} there are.",
                )
            return Piece(os.pread(file.fileno(), last - start + 1, start), start, size, etag)

    def archive(self) -> Archive:
        """What it says of itself. Raises NotFound, BadInput."""
        with open_plain(self._folder, self._name) as file:
            _, etag = _identity(file)
            if self._known is None or self._known[0] != etag:
                self._known = etag, _read(file)
            return self._known[1]


def checked_name(name: str) -> str:
    """A file's name without any folder in it. Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name[:80]!r} is no name of a file.", mend="Use A-Z a-z 0-9 _ - and inner dots.")
    return name


@contextmanager
def open_plain(folder: Path, name: str) -> Iterator[io.FileIO]:
    """A plain file of that folder itself, open for reading. Raises NotFound for anything else."""
    missing = NotFound(f"There is no file {name} for the map.", mend="Put it into the data folder's `map`.")
    try:
        number = os.open(folder / checked_name(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise missing from error
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise missing
    with io.FileIO(number) as file:
        yield file


def _identity(file: io.FileIO) -> tuple[int, str]:
    known = os.fstat(file.fileno())
    return known.st_size, f'"{known.st_size:x}-{known.st_mtime_ns:x}"'


def _read(file: io.FileIO) -> Archive:
    raw = os.pread(file.fileno(), _HEADER.size, 0)
    wrong = "The tiles file is no PMTiles archive of version 3"
    mend = "Make it anew, e.g. with `pmtiles convert`."
    if len(raw) < _HEADER.size or not raw.startswith(b"PMTiles\x03"):
        raise BadInput(f"{wrong}.", mend=mend)
    values = _HEADER.unpack(raw)
    metadata_at, metadata_bytes = values[4], values[5]
    compression, tile_type, min_zoom, max_zoom = values[14], values[16], values[17], values[18]
    west, south, east, north = (value / _E7 for value in values[19:23])
    sound = tile_type in (VECTOR, *_PICTURES) and min_zoom <= max_zoom <= 30 and west <= east and south <= north
    if not sound or metadata_bytes > MAX_METADATA_BYTES:
        raise BadInput(f"{wrong} that can be shown.", mend=mend)
    try:
        packed = os.pread(file.fileno(), metadata_bytes, metadata_at)
        metadata = msgspec.json.decode(_unpacked(packed, compression) or b"{}", type=_Metadata)
    except (ValueError, OSError, EOFError, zlib.error, zstandard.ZstdError) as error:  # a DecodeError is a ValueError
        raise BadInput(f"{wrong}: its description cannot be read.", mend=mend) from error
    layers = tuple(layer.id[:200] for layer in metadata.vector_layers[:MAX_LAYERS])
    attribution = (metadata.attribution or "")[:500]
    return Archive(tile_type == VECTOR, min_zoom, max_zoom, (west, south, east, north), layers, attribution)


def _unpacked(data: bytes, compression: int) -> bytes:
    """At most `MAX_METADATA_BYTES` of it; what is longer is cut, and then no JSON."""
    if not data or compression == _NONE:
        return data
    if compression == _GZIP:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as unpacked:
            return unpacked.read(MAX_METADATA_BYTES)
    if compression == _ZSTD:
        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            return reader.read(MAX_METADATA_BYTES)
    return b"{}"  # brotli: it describes itself in a way that is not read here; the tiles are the browser's to unpack
