"""Frames as terminals write and read them: JT/T 808 (2013, 2019), JT/T 905 and GT06.

Purpose: bytes of a message to frames and back, written straight from the standards and apart from the gateway's reader,
so that one checks the other. Source of the facts: JT/T 808-2013 and -2019 chapter 4, JT/T 905.2-2014, the GT06 protocol
description of Concox. Invariants: what `pack` made, `cut` and `unpack` give back; a frame that is wrong raises
`BadFrame`. It opens no socket.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import reduce
from operator import xor as _xor

MARK = 0x7E
#: Largest body of one JT/T 808 frame, bytes: ten bits of its header.
MAX_808_BODY_BYTES = 0x3FF
#: Largest body of one JT/T 905 frame, bytes: it knows no parts.
MAX_905_BODY_BYTES = 0xFFFF
#: Bytes without a frame in them that are kept; more are a broken connection.
DEFAULT_MAX_BUFFER_BYTES = 1 << 20
_PARTED, _2019 = 1 << 13, 1 << 14
_BEIJING = timedelta(hours=8)
_SHORT, _LONG, _TAIL = b"\x78\x78", b"\x79\x79", b"\x0d\x0a"


class Protocol(StrEnum):
    """What a terminal speaks."""

    JT808 = "jt808"
    JT808_2019 = "jt808-2019"
    JT905 = "jt905"
    GT06 = "gt06"

    @property
    def is_808(self) -> bool:
        """Whether it is one of the two editions of JT/T 808."""
        return self in (Protocol.JT808, Protocol.JT808_2019)


class BadFrame(Exception):
    """A frame that is not what its protocol says; the text says why."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One frame, read.

    Attributes:
        message_id: of JT/T; the protocol number of GT06.
        serial: of the sender.
        body: without header and checksum.
        number: digits of the terminal's number as on the wire, zeros in front included; "" for GT06.
        total, index: parts of the message and which this is, from 1; 1 and 1 when it is whole.
        raw: the frame as it travelled.
    """

    message_id: int
    serial: int
    body: bytes
    number: str = ""
    total: int = 1
    index: int = 1
    raw: bytes = b""


# -- both kinds of JT/T ------------------------------------------------------------------------


def escape(plain: bytes) -> bytes:
    """Without 7E inside: 7D becomes 7D 01, 7E becomes 7D 02."""
    return plain.replace(b"\x7d", b"\x7d\x01").replace(b"\x7e", b"\x7d\x02")


def unescape(escaped: bytes) -> bytes:
    """The opposite of `escape`. BadFrame for a 7D that neither 01 nor 02 follows."""
    pieces = escaped.split(b"\x7d")
    plain = bytearray(pieces[0])
    for piece in pieces[1:]:
        if piece[:1] not in (b"\x01", b"\x02"):
            raise BadFrame(f"7D followed by {piece[:1].hex() or 'nothing'}")
        plain.append(0x7C + piece[0])
        plain += piece[1:]
    return bytes(plain)


def checksum(plain: bytes) -> int:
    """The exclusive or of all bytes."""
    return reduce(_xor, plain, 0)


def frame(plain: bytes) -> bytes:
    """Header and body between two marks, with the checksum, escaped."""
    return b"\x7e" + escape(plain + bytes((checksum(plain),))) + b"\x7e"


def bcd(digits: str, size_bytes: int) -> bytes:
    """Digits two to a byte, zeros in front. BadFrame when they do not fit."""
    if not digits.isdecimal() or len(digits) > 2 * size_bytes:
        raise BadFrame(f"{digits!r} are not at most {2 * size_bytes} digits")
    return bytes.fromhex(digits.zfill(2 * size_bytes))


def bcd_time(time_ms: int) -> bytes:
    """`YYMMDDhhmmss` of Beijing time."""
    return bytes.fromhex((datetime.fromtimestamp(time_ms // 1000, UTC) + _BEIJING).strftime("%y%m%d%H%M%S"))


def _jt_header(
    protocol: Protocol, message_id: int, size: int, number: str, serial: int, parts: tuple[int, int]
) -> bytes:
    if protocol is Protocol.JT905:
        return struct.pack(">HH", message_id, size) + bcd(number, 6) + struct.pack(">H", serial)
    properties = size | (_PARTED if parts[0] > 1 else 0)
    if protocol is Protocol.JT808_2019:
        head = struct.pack(">HHB", message_id, properties | _2019, 1) + bcd(number, 10)
    else:
        head = struct.pack(">HH", message_id, properties) + bcd(number, 6)
    head += struct.pack(">H", serial)
    return head + (struct.pack(">HH", *parts) if parts[0] > 1 else b"")


def pack(
    protocol: Protocol,
    message_id: int,
    body: bytes,
    *,
    number: str = "",
    serial: int = 0,
    max_body_bytes: int = MAX_808_BODY_BYTES,
) -> list[bytes]:
    """The message as frames: one, or for JT/T 808 as many parts as it takes, with serials from `serial` on.

    BadFrame when a body does not fit a protocol that knows no parts.
    """
    if protocol is Protocol.GT06:
        return [gt06_frame(message_id, body, serial)]
    if protocol is Protocol.JT905:
        if len(body) > MAX_905_BODY_BYTES:
            raise BadFrame(f"{len(body)} bytes do not fit a JT/T 905 frame")
        return [frame(_jt_header(protocol, message_id, len(body), number, serial, (1, 1)) + body)]
    pieces = [body[at : at + max_body_bytes] for at in range(0, len(body), max_body_bytes)] or [b""]
    return [
        frame(
            _jt_header(protocol, message_id, len(piece), number, (serial + at) & 0xFFFF, (len(pieces), at + 1)) + piece
        )
        for at, piece in enumerate(pieces)
    ]


def _unpack_jt(protocol: Protocol, raw: bytes) -> Packet:
    plain = unescape(raw[1:-1])
    if len(plain) < 13:
        raise BadFrame(f"{len(plain)} bytes are no frame")
    if checksum(plain):
        raise BadFrame("the checksum is wrong")
    message_id, properties = struct.unpack_from(">HH", plain)
    at, parted, size = 4, False, properties
    number_bytes = 6
    if protocol is not Protocol.JT905:
        size, parted = properties & 0x3FF, bool(properties & _PARTED)
        if properties & _2019:
            at, number_bytes = 5, 10
    number = plain[at : at + number_bytes].hex()
    at += number_bytes
    total, index, end = 1, 1, at + 2 + 4 * parted
    if end + size + 1 != len(plain):
        raise BadFrame(f"the header says {size} bytes, there are {len(plain) - end - 1}")
    (serial,) = struct.unpack_from(">H", plain, at)
    if parted:
        total, index = struct.unpack_from(">HH", plain, at + 2)
        if not 1 <= index <= total:
            raise BadFrame(f"part {index} of {total}")
    return Packet(message_id, serial, plain[end:-1], number, total, index, raw)


# -- GT06 --------------------------------------------------------------------------------------


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x8408 if value & 1 else 0)
        table.append(value)
    return table


_CRC = _crc_table()


def crc_x25(data: bytes) -> int:
    """CRC-16/X.25: polynomial 0x1021 reflected, starting and ending with FFFF."""
    value = 0xFFFF
    for byte in data:
        value = value >> 8 ^ _CRC[(value ^ byte) & 0xFF]
    return value ^ 0xFFFF


def gt06_frame(number: int, content: bytes, serial: int) -> bytes:
    """Protocol number, content and serial with length, CRC and marks; the long mark where the length takes two bytes."""
    inner = bytes((number,)) + content + struct.pack(">H", serial)
    size = len(inner) + 2
    mark, length = (_SHORT, bytes((size,))) if size <= 0xFF else (_LONG, struct.pack(">H", size))
    checked = length + inner
    return mark + checked + struct.pack(">H", crc_x25(checked)) + _TAIL


def _unpack_gt06(raw: bytes) -> Packet:
    at = 3 if raw[:2] == _SHORT else 4
    size = int.from_bytes(raw[2:at], "big")
    if len(raw) != at + size + 2 or raw[-2:] != _TAIL or size < 5:
        raise BadFrame("length or end mark is wrong")
    if crc_x25(raw[2:-4]) != int.from_bytes(raw[-4:-2], "big"):
        raise BadFrame("the CRC is wrong")
    return Packet(raw[at], int.from_bytes(raw[-6:-4], "big"), raw[at + 1 : -6], raw=raw)


# -- a stream of bytes -------------------------------------------------------------------------


def unpack(protocol: Protocol, raw: bytes) -> Packet:
    """Read one frame, marks included. Raises BadFrame."""
    return _unpack_gt06(raw) if protocol is Protocol.GT06 else _unpack_jt(protocol, raw)


def cut(protocol: Protocol, buffer: bytearray) -> list[bytes]:
    """Take all whole frames out of `buffer`; what is left of it is the beginning of the next.

    BadFrame when more than `DEFAULT_MAX_BUFFER_BYTES` are no frame, or a GT06 stream lost its marks.
    """
    frames = _cut_gt06(buffer) if protocol is Protocol.GT06 else _cut_jt(buffer)
    if len(buffer) > DEFAULT_MAX_BUFFER_BYTES:
        raise BadFrame(f"{len(buffer)} bytes hold no frame")
    return frames


def _cut_jt(buffer: bytearray) -> list[bytes]:
    pieces = bytes(buffer).split(b"\x7e")
    buffer[:] = b"\x7e" + pieces[-1] if pieces[-1] else b""
    # Between two frames there are two marks, or one that both share; so empty pieces are no frames.
    return [b"\x7e" + piece + b"\x7e" for piece in pieces[:-1] if piece]


def _cut_gt06(buffer: bytearray) -> list[bytes]:
    frames = []
    while len(buffer) >= 4:
        mark = bytes(buffer[:2])
        if mark not in (_SHORT, _LONG):
            raise BadFrame(f"{mark.hex()} begins no frame")
        at = 3 if mark == _SHORT else 4
        whole = at + int.from_bytes(buffer[2:at], "big") + 2
        if len(buffer) < whole:
            break
        frames.append(bytes(buffer[:whole]))
        del buffer[:whole]
    return frames
