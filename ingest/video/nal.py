"""NAL units of H.264 and H.265: found in a packet, and their bits read.

Two forms come in: Annex B (start codes; RTSP) and lengths (avcC, hvcC; files). Which one a stream has is said by its
extradata, never guessed from a packet: a unit of 256 to 511 bytes with its length in front looks like a start code.
Bytes of a camera are not trusted: what cannot be read gives less or raises BadInput, and nothing else.
"""

from __future__ import annotations

import struct

from model.errors import BadInput

_START = b"\x00\x00\x01"
#: Longest parameter set that is read, bytes: real ones have under 200.
MAX_SET_BYTES = 4_096
#: Most units of one packet that are told apart; the rest stays one unit. A picture has a few slices.
MAX_UNITS = 2_048
#: As much of a slice as its picture's number can lie in.
_FRONT_BYTES = 32
_MEND = "Check the camera's encoder; another profile of it may work."


def length_size(extradata: bytes) -> int:
    """Bytes of the length in front of each unit, 1..4; 0: Annex B. Of an avcC and an hvcC alike."""
    if len(extradata) >= 7 and extradata[0] == 1:
        position = 21 if len(extradata) >= 23 and _is_hvcc(extradata) else 4
        return (extradata[position] & 3) + 1
    return 0


def _is_hvcc(extradata: bytes) -> bool:
    # An avcC has six set bits before its length size and three before its number of SPS; in an hvcC byte 4 is of the
    # compatibility flags, but bytes 13, 15, 16 and 17, 18 begin with set bits.
    avcc = extradata[4] >> 2 == 0x3F and extradata[5] >> 5 == 7 and (extradata[8] & 0x1F) == 7
    return not avcc and extradata[13] >> 4 == 0xF and extradata[15] >> 2 == 0x3F and extradata[16] >> 2 == 0x3F


def units(data: bytes, size_bytes: int) -> list[bytes]:
    """The units of a packet, without start codes or lengths; a cut one at the end is left out.

    Args:
        data: of a packet, or of Annex B extradata.
        size_bytes: of the length in front of each unit; 0: Annex B.
    """
    return _by_length(data, size_bytes) if size_bytes else _by_start_code(data)


def _by_start_code(data: bytes) -> list[bytes]:
    found: list[bytes] = []
    start = data.find(_START)
    while start >= 0:
        start += 3
        end = data.find(_START, start) if len(found) < MAX_UNITS - 1 else -1
        unit = data[start : end if end >= 0 else len(data)].rstrip(b"\x00")
        if unit:
            found.append(unit)
        start = end
    return found


def _by_length(data: bytes, size_bytes: int) -> list[bytes]:
    found: list[bytes] = []
    at = 0
    while at + size_bytes < len(data) and len(found) < MAX_UNITS:
        end = at + size_bytes + int.from_bytes(data[at : at + size_bytes], "big")
        if end > len(data):
            break
        if end > at + size_bytes:
            found.append(data[at + size_bytes : end])
        at = end
    return found


def first_of(data: bytes, size_bytes: int, kinds: tuple[int, ...]) -> bytes | None:
    """The first 32 bytes of the first H.264 unit of one of these types; None: there is none."""
    at = 0
    while True:
        if size_bytes:
            start = at + size_bytes
            at = start + int.from_bytes(data[at:start], "big")
        else:
            at = data.find(_START, at)
            start = at = at + 3 if at >= 0 else len(data)
        if start >= len(data):
            return None
        if data[start] & 0x1F in kinds:
            return data[start : start + _FRONT_BYTES]


def with_lengths(data: bytes, size_bytes: int) -> bytes:
    """The packet with lengths of four bytes, as an MP4 holds it; the same object where it has them already."""
    if size_bytes == 4:
        return data
    pack = struct.Struct(">I").pack
    parts: list[bytes] = []
    for unit in units(data, size_bytes):
        parts += (pack(len(unit)), unit)
    return b"".join(parts)


def annex_b(sets: tuple[bytes, ...]) -> bytes:
    """Units with start codes of four bytes."""
    return b"".join(b"\x00\x00\x00\x01" + unit for unit in sets)


class Bits:
    """Reads the bits of one unit, emulation prevention taken out.

    Raises BadInput where the unit ends too early or a number has more than 32 bits.
    """

    def __init__(self, unit: bytes, *, header_bytes: int) -> None:
        raw = unit[:MAX_SET_BYTES].replace(b"\x00\x00\x03", b"\x00\x00")[header_bytes:]
        self._value = int.from_bytes(raw, "big")
        self._left = len(raw) * 8

    def take(self, count: int) -> int:
        """The next `count` bits as a number."""
        self._left -= count
        if self._left < 0:
            raise BadInput("A parameter set ends too early.", mend=_MEND)
        return (self._value >> self._left) & ((1 << count) - 1)

    def number(self) -> int:
        """An unsigned Exp-Golomb number."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise BadInput("A parameter set holds a number of more than 32 bits.", mend=_MEND)
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        """A signed Exp-Golomb number."""
        code = self.number()
        return (code + 1) // 2 if code & 1 else -(code // 2)
