"""What a recorded MP4 holds, read off its boxes: how much of it is whole, how long it plays, its codec and size.

Purpose: a file that was cut off anywhere is played up to its last whole fragment, and its row is made from the file alone.
A recording is fragmented while it is written; when it is closed an index is put at its end, then sixteen bytes at its
front hide the fragments (`ingest.video.muxing`): both kinds, and what a power cut leaves in between, are read here.
Invariants: of a file only the headers of boxes, its index and the heads of its fragments are read, each up to
`MAX_HEADER_BYTES`; any bytes whatever give an answer or BadInput. It decodes nothing.
Source: ISO/IEC 14496-12 (boxes, fragments), 14496-15 (avc1, hvc1).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from model.errors import BadInput

#: Largest `moov` or `moof` that is looked into: an hour at 60 pictures a second has 4 MB.
MAX_HEADER_BYTES = 16 << 20
#: Boxes of one file that are looked at.
MAX_BOXES = 100_000
_CODECS = {b"avc1": "h264", b"avc3": "h264", b"hvc1": "hevc", b"hev1": "hevc"}
_CONTAINERS = frozenset({b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"traf"})
_MAX_DEPTH = 6
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_HEAD = struct.Struct(">I4s")
#: A box of nothing over the sixteen bytes that hide fragments.
_NOTHING = _HEAD.pack(16, b"free") + bytes(8)
_MEND = "Nothing can be played of it; delete the file."


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds.

    Attributes:
        whole_bytes: what is worth keeping: all of a closed file, else up to the end of its last whole fragment.
        duration_ms: how long that plays.
        codec: `h264`, `hevc`, or "" for another. width_px, height_px: of its pictures.
    """

    whole_bytes: int
    duration_ms: int
    codec: str
    width_px: int
    height_px: int


class _Track:
    """What `moov` says of the track, and the time that the fragments cover, ticks."""

    def __init__(self) -> None:
        self.timescale = 0
        self.duration = 0
        self.codec = ""
        self.width_px = self.height_px = 0
        self.sample_ticks = 0
        self.first_tick: int | None = None
        self.end_tick = 0

    def contents(self, whole_bytes: int, ticks: int) -> Contents:
        duration_ms = max(ticks * 1_000 // self.timescale, 1)
        return Contents(whole_bytes, duration_ms, self.codec, self.width_px, self.height_px)


def read_contents(file: BinaryIO) -> Contents:
    """Look through an open file. Raises BadInput when nothing of it can be played; OSError as reading does."""
    track = _Track()
    whole_bytes = data_end = 0
    pending: bytes | None = None
    for kind, at, skip, length in _file_boxes(file):
        if kind == b"mdat":
            data_end = at + length
            if pending is not None:
                if not track.timescale or not _take_moof(track, pending):
                    break
                pending, whole_bytes = None, data_end
        elif kind in (b"moov", b"moof"):
            file.seek(at + skip)
            body = file.read(length - skip)
            if kind == b"moof":
                pending = body
            elif not whole_bytes:  # an index behind fragments that nothing hides yet says the same again
                _take_moov(track, body)
                if track.timescale and track.duration and data_end:
                    return track.contents(at + length, track.duration)
    if not whole_bytes or track.first_tick is None or track.end_tick <= track.first_tick:
        raise BadInput("The file has no whole fragment.", mend=_MEND)
    return track.contents(whole_bytes, track.end_tick - track.first_tick)


def uncover(file: BinaryIO) -> bool:
    """Show the fragments again of a file whose index was lost when it was being closed; False where nothing hides any.

    Raises OSError as writing does.
    """
    for kind, at, skip, _ in _file_boxes(file, torn=True):
        if kind == b"mdat" and skip == 16:
            file.seek(at)
            file.write(_NOTHING)
            file.flush()
            return True
        if kind != b"ftyp":
            return False
    return False


def _file_boxes(file: BinaryIO, *, torn: bool = False) -> Iterator[tuple[bytes, int, int, int]]:
    """(kind, place, bytes of its header, length) of each whole box; with `torn` also of one that is cut off."""
    size_bytes = file.seek(0, 2)
    at = 0
    for _ in range(MAX_BOXES):
        if at + 8 > size_bytes:
            return
        file.seek(at)
        head = file.read(16)
        length, kind = _HEAD.unpack_from(head)
        skip = 8
        if length == 1 and len(head) == 16:
            length, skip = _U64.unpack_from(head, 8)[0], 16
        if length < skip or (at + length > size_bytes and not torn):
            return
        if kind in (b"moov", b"moof") and length > MAX_HEADER_BYTES:
            return
        yield kind, at, skip, length
        at += length


def _boxes(body: bytes, depth: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """(kind, content) of each box, and of those in containers; stops at what is no box."""
    at = 0
    while at + 8 <= len(body):
        length, kind = _HEAD.unpack_from(body, at)
        if length < 8 or at + length > len(body):
            return
        content = body[at + 8 : at + length]
        yield kind, content
        if kind in _CONTAINERS and depth < _MAX_DEPTH:
            yield from _boxes(content, depth + 1)
        at += length


def _take_moov(track: _Track, body: bytes) -> None:
    for kind, content in _boxes(body):
        if kind == b"mdhd" and not track.timescale and len(content) >= (32 if content[:1] > b"\0" else 20):
            long = bool(content[0])
            track.timescale = _U32.unpack_from(content, 20 if long else 12)[0]
            track.duration = _U64.unpack_from(content, 24)[0] if long else _U32.unpack_from(content, 16)[0]
        elif kind == b"stsd" and not track.codec and len(content) >= 44:
            track.codec = _CODECS.get(content[12:16], "")
            # full box and count 8, entry header 8, reserved 6, reference 2, predefined 16, then width and height
            track.width_px, track.height_px = struct.unpack_from(">HH", content, 40)
        elif kind == b"trex" and len(content) >= 16:
            track.sample_ticks = _U32.unpack_from(content, 12)[0]


def _take_moof(track: _Track, body: bytes) -> bool:
    """Add the time of a fragment; False when it cannot be told."""
    begin: int | None = None
    sample_ticks, ticks = track.sample_ticks, 0
    try:
        for kind, content in _boxes(body):
            if kind == b"tfhd":
                sample_ticks = _default_ticks(content, sample_ticks)
            elif kind == b"tfdt":
                begin = (_U64 if content[0] else _U32).unpack_from(content, 4)[0]
            elif kind == b"trun":
                ticks += _run_ticks(content, sample_ticks)
    except (struct.error, IndexError):
        return False
    if begin is None:
        return False
    if track.first_tick is None:
        track.first_tick = begin
    track.end_tick = max(track.end_tick, begin + ticks)
    return True


def _default_ticks(content: bytes, otherwise: int) -> int:
    """Duration of a sample as `tfhd` says, ticks."""
    flags = _U32.unpack_from(content)[0] & 0xFFFFFF
    if not flags & 0x8:
        return otherwise
    at = 8 + (8 if flags & 0x1 else 0) + (4 if flags & 0x2 else 0)
    found: int = _U32.unpack_from(content, at)[0]
    return found


def _run_ticks(content: bytes, sample_ticks: int) -> int:
    """Duration of all samples of a `trun`, ticks."""
    word, count = struct.unpack_from(">II", content)
    flags = word & 0xFFFFFF
    if not flags & 0x100:
        return int(count) * sample_ticks
    at = 8 + (4 if flags & 0x1 else 0) + (4 if flags & 0x4 else 0)
    step = 4 * (flags >> 8 & 0xF).bit_count()
    if at + count * step > len(content):
        raise struct.error("the run is cut off")
    return sum(_U32.unpack_from(content, place)[0] for place in range(at, at + count * step, step))
