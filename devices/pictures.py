"""Photos as they come from a phone: what they are, and without what they tell besides the picture.

Pure. Purpose: JPEG and PNG by their content, never by their name; every part of the file that may hold where, when, by whom or
with what a photo was taken (EXIF, XMP, IPTC, comments, thumbnails, text) is left out, and whatever stands behind the end of
the picture. Invariants: the picture's own bytes stay as they are; nothing is decoded, so no picture can blow up here; a file
that does not hold to its format is refused. Sources: ITU-T T.81 annex B (markers), PNG (RFC 2083 and W3C), 5 (chunks).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from model.errors import BadInput

DEFAULT_MAX_BYTES = 8 << 20
#: Longest side and area; what is larger is no photo of a phone.
MAX_SIDE_PX = 16_384
MAX_AREA_PX = 64_000_000

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
#: Chunks that a PNG is drawn from; all others are left out.
_PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT"})
#: Starts of frames: the picture's size stands in them (all SOF but DHT, JPG and DAC).
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SOS, _EOI, _COM = 0xDA, 0xD9, 0xFE
#: Application segments that decoders need: JFIF and Adobe's colour transform.
_JFIF, _ADOBE = 0xE0, 0xEE
_KEPT_HEADS = {_JFIF: b"JFIF\0", _ADOBE: b"Adobe"}
_JFIF_BYTES = 14
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_MEND = "Take the photo again as JPEG or PNG."


@dataclass(frozen=True, slots=True)
class Picture:
    """A photo without anything but the picture. format: `jpg` or `png`."""

    data: bytes
    format: str
    width_px: int
    height_px: int


def plain_picture(data: bytes, *, max_bytes: int = DEFAULT_MAX_BYTES) -> Picture:
    """The photo without anything but its picture. Raises BadInput: no JPEG or PNG, broken, or too large."""
    if len(data) > max_bytes:
        raise BadInput(f"The photo has {len(data)} bytes.", mend=f"The limit is {max_bytes}: make it smaller.")
    try:
        if data.startswith(_PNG):
            made = _plain_png(data)
        elif data.startswith(_JPEG):
            made = _plain_jpeg(data)
        else:
            raise BadInput("The photo is neither a JPEG nor a PNG.", mend=_MEND)
    except (struct.error, IndexError) as error:
        raise BadInput("The photo ends in the middle.", mend=_MEND) from error
    if not (0 < made.width_px <= MAX_SIDE_PX and 0 < made.height_px <= MAX_SIDE_PX):
        raise BadInput(f"The photo is {made.width_px} × {made.height_px} pixels.", mend=_MEND)
    if made.width_px * made.height_px > MAX_AREA_PX:
        raise BadInput(f"The photo has more than {MAX_AREA_PX} pixels.", mend="Make it smaller.")
    return made


def _plain_png(data: bytes) -> Picture:
    kept = bytearray(_PNG)
    at, width, height, drawn = len(_PNG), 0, 0, False
    while True:
        size, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + size
        if end > len(data):
            raise BadInput("The photo ends in the middle.", mend=_MEND)
        (crc,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(data[at + 4 : end - 4]) != crc:
            raise BadInput("The photo is damaged: a checksum does not hold.", mend=_MEND)
        if not width:
            if kind != b"IHDR" or size != 13:
                raise BadInput("The photo is no PNG.", mend=_MEND)
            width, height = struct.unpack_from(">II", data, at + 8)
        if kind in _PNG_KEPT:
            kept += data[at:end]
        elif not kind[0] & 0x20:
            raise BadInput("The photo has a part that a picture cannot do without, and none that is known.", mend=_MEND)
        drawn = drawn or kind == b"IDAT"
        if kind == b"IEND":
            break
        at = end
    if not drawn:
        raise BadInput("The photo holds no picture.", mend=_MEND)
    return Picture(bytes(kept), "png", width, height)


def _plain_jpeg(data: bytes) -> Picture:
    kept = bytearray(_JPEG)
    at, width, height, drawn = 2, 0, 0, False
    while True:
        if data[at] != 0xFF:
            raise BadInput("The photo is damaged: a mark is missing.", mend=_MEND)
        while data[at + 1] == 0xFF:
            at += 1  # marks may be filled up
        mark = data[at + 1]
        if mark == _EOI:
            kept += b"\xff\xd9"
            break
        if mark in _STANDALONE:
            at += 2
            continue
        (size,) = struct.unpack_from(">H", data, at + 2)
        end = at + 2 + size
        if size < 2 or end > len(data) or mark in (0x00, 0xD8):
            raise BadInput("The photo is damaged, or ends in the middle.", mend=_MEND)
        segment = data[at:end]
        if mark in _SOF:
            height, width = struct.unpack_from(">HH", segment, 5)
        kept += _kept_segment(mark, segment)
        at = end
        if mark == _SOS:
            drawn = True
            end = _scan_end(data, at)
            kept += data[at:end]
            at = end
    if not drawn or not width:
        raise BadInput("The photo holds no picture.", mend=_MEND)
    return Picture(bytes(kept), "jpg", width, height)


def _kept_segment(mark: int, segment: bytes) -> bytes:
    """What is kept of a segment: all of what a picture is drawn from, of JFIF the head without its thumbnail."""
    if not (0xE0 <= mark <= 0xEF or mark == _COM):
        return segment
    wanted = _KEPT_HEADS.get(mark)
    if wanted is None or not segment[4:].startswith(wanted):
        return b""
    if mark != _JFIF:
        return segment[: 4 + 12] if len(segment) == 16 else b""
    head = segment[4 : 4 + _JFIF_BYTES - 2]
    if len(head) < _JFIF_BYTES - 2:
        return b""
    return struct.pack(">BBH", 0xFF, _JFIF, 2 + _JFIF_BYTES) + head + b"\0\0"


def _scan_end(data: bytes, at: int) -> int:
    """Where the next mark stands that is no part of the scan."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            raise BadInput("The photo ends in the middle.", mend=_MEND)
        follows = data[at + 1]
        if follows == 0xFF:
            at += 1
        elif follows == 0x00 or 0xD0 <= follows <= 0xD7:
            at += 2
        else:
            return at
