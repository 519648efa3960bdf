"""Frames of GT06: `78 78 | length u8 | …` and `79 79 | length u16 | …`, CRC-16/X.25, `0D 0A`.

Purpose: from bytes of a connection to whole frames and back. The length counts the message number, the body, the serial
and the CRC; the CRC goes over the length up to the serial. Invariants: whatever the bytes are, nothing raises but
`Malformed` of `open_frame`; a damaged length costs its own frame and never a whole one behind it; every byte that came
is in exactly one of frames, leftover and junk. A wrong CRC is told, not refused: some vendors send none that holds.
Source: Concox GT06 protocol 1.8, chapters 3 and 4.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass

from ingest.wire.reader import Malformed

SHORT_MARK, LONG_MARK, STOP = b"\x78\x78", b"\x79\x79", b"\r\n"
#: Number, serial and CRC: what the length counts at the least.
MIN_COUNTED_BYTES = 5
#: The longest that a short frame's length can count.
MAX_SHORT_COUNTED_BYTES = 255
#: A length above it is taken for damage: no message in the table is near it.
DEFAULT_MAX_FRAME_BYTES = 8_192

#: Places at which a frame is looked for behind one that seems to go on: what a hostile sender can make of that is bounded.
_MOST_TRIES = 32
_MARK, _STOP_AND_MARK = re.compile(rb"xx|yy"), re.compile(rb"\r\n(?:xx|yy)")
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def crc_x25(data: bytes) -> int:
    """CRC-16/X.25 of `data`: polynomial 0x1021 reflected, from FFFF, inverted at the end.

    The C library's CRC runs the same polynomial the other way round: bits reversed on the way in and out make it ours.
    """
    crc = binascii.crc_hqx(data.translate(_REVERSED), 0xFFFF)
    return (_REVERSED[crc & 0xFF] << 8 | _REVERSED[crc >> 8]) ^ 0xFFFF


@dataclass(frozen=True, slots=True)
class Opened:
    """What a frame holds.

    Attributes:
        message_id: its number, one byte.
        body: between the number and the serial.
        serial: the sender's count, u16.
        checksum_ok: whether the CRC holds.
        long: whether it has the mark 79 79.
    """

    message_id: int
    body: bytes
    serial: int
    checksum_ok: bool
    long: bool


def open_frame(raw: bytes) -> Opened:
    """A frame from mark to stop. Malformed says what is wrong with its form."""
    if len(raw) < 3:
        raise Malformed("frame", f"has {len(raw)} bytes")
    long = raw[:2] == LONG_MARK
    if not long and raw[:2] != SHORT_MARK:
        raise Malformed("start", f"is {raw[:2].hex()}, neither 7878 nor 7979")
    head = 4 if long else 3
    counted = int.from_bytes(raw[2:head], "big")
    if counted < MIN_COUNTED_BYTES:
        raise Malformed("length", f"is {counted}, less than the {MIN_COUNTED_BYTES} of number, serial and checksum")
    if len(raw) != head + counted + 2:
        raise Malformed("length", f"says {head + counted + 2} bytes and the frame has {len(raw)}")
    if raw[-2:] != STOP:
        raise Malformed("stop", f"is {raw[-2:].hex()} instead of 0d0a")
    return Opened(
        message_id=raw[head],
        body=raw[head + 1 : -6],
        serial=int.from_bytes(raw[-6:-4], "big"),
        checksum_ok=crc_x25(raw[2:-4]) == int.from_bytes(raw[-4:-2], "big"),
        long=long,
    )


def close_frame(message_id: int, body: bytes, serial: int, *, long: bool = False) -> bytes:
    """The frame from mark to stop; `long` where the body asks for it. Malformed when the body is too long."""
    counted = MIN_COUNTED_BYTES + len(body)
    long = long or counted > MAX_SHORT_COUNTED_BYTES
    if counted > 0xFFFF:
        raise Malformed("body", f"{len(body)} bytes do not fit a frame")
    length = counted.to_bytes(2 if long else 1, "big")
    inner = length + bytes((message_id & 0xFF,)) + body + (serial & 0xFFFF).to_bytes(2, "big")
    return (LONG_MARK if long else SHORT_MARK) + inner + crc_x25(inner).to_bytes(2, "big") + STOP


def split(buffer: bytes, *, max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES) -> tuple[list[bytes], bytes, list[bytes]]:
    """Cut what came into (whole frames, what is not complete yet, pieces that are no frame), each in order.

    Args:
        buffer: the leftover of the last call and what came since.
        max_frame_bytes: a longer frame is damage.
    """
    frames: list[bytes] = []
    junk: list[bytes] = []
    at = bad = 0  # `bad`: where the bytes begin that are no frame
    while True:
        start = _next_mark(buffer, at)
        total = _total(buffer, start, max_frame_bytes)
        if total > 0 and _swallows(buffer, start, total, max_frame_bytes):
            total = -1
        if total == 0 and not _whole_behind(buffer, start, max_frame_bytes):
            break
        if total > 0:
            if start > bad:
                junk.append(buffer[bad:start])
            frames.append(buffer[start : start + total])
            at = bad = start + total
        else:
            at = start + 1
    if start > bad:
        junk.append(buffer[bad:start])
    return frames, buffer[start:], junk


def _next_mark(buffer: bytes, at: int) -> int:
    """Where the next start mark, or the first half of one at the very end, begins; the end where there is none."""
    found = _MARK.search(buffer, at)
    if found is not None:
        return found.start()
    return len(buffer) - (1 if len(buffer) > at and buffer[-1] in (0x78, 0x79) else 0)


def _total(buffer: bytes, start: int, max_frame_bytes: int) -> int:
    """Bytes of the whole frame at `start`; 0 when it is not complete yet, -1 when there is none."""
    left = len(buffer) - start
    long = buffer.startswith(LONG_MARK, start)
    head = 4 if long else 3
    if left < head:
        return 0
    counted = int.from_bytes(buffer[start + 2 : start + head], "big")
    total = head + counted + 2
    if counted < MIN_COUNTED_BYTES or total > max_frame_bytes:
        return -1
    if left < total:
        return 0
    return total if buffer.startswith(STOP, start + total - 2) else -1


def _swallows(buffer: bytes, start: int, total: int, max_frame_bytes: int) -> bool:
    """Whether a frame whose checksum does not hold ends where a whole one inside it does: its length is damaged."""
    end = start + total
    found = _MARK.search(buffer, start + 2, end)
    if found is None or open_frame(buffer[start:end]).checksum_ok:
        return False
    for _ in range(_MOST_TRIES):
        at = found.start()
        inner = _total(buffer, at, max_frame_bytes)
        if inner > 0 and at + inner <= end and open_frame(buffer[at : at + inner]).checksum_ok:
            return True
        found = _MARK.search(buffer, at + 1, end)
        if found is None:
            return False
    return False


def _whole_behind(buffer: bytes, start: int, max_frame_bytes: int) -> bool:
    """Whether behind a frame that seems to go on another ends and a whole one begins, whose checksum holds.

    That is no chance: the length of the outer one is damaged.
    """
    at = start + 1
    for _ in range(_MOST_TRIES):
        found = _STOP_AND_MARK.search(buffer, at)
        if found is None:
            return False
        at = found.start() + len(STOP)
        total = _total(buffer, at, max_frame_bytes)
        if total > 0 and open_frame(buffer[at : at + total]).checksum_ok:
            return True
    return False
