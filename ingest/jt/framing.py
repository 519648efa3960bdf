"""Frames between two 7E marks, as JT/T 808 and JT/T 905 share them: marks, escapes, checksum.

Purpose: a stream of bytes cut into frames, and a body made into one. Invariants: 7E never stands inside a frame, so every
mark is a place to begin anew: what one broken frame spoils ends at the next mark; cutting a stream at other places gives
the same frames. It knows no header and judges no checksum.
Source: JT/T 808-2019 4.4.2; the same in JT/T 905.2.
"""

from __future__ import annotations

import numpy as np

from ingest.wire.reader import Malformed

MARK = 0x7E
ESCAPE = 0x7D
_MARK = b"\x7e"


def escape(plain: bytes) -> bytes:
    """7D becomes 7D 01 and 7E becomes 7D 02."""
    return plain.replace(b"\x7d", b"\x7d\x01").replace(_MARK, b"\x7d\x02")


def unescape(escaped: bytes) -> bytes:
    """What `escape` was given. Malformed for a 7D that neither 01 nor 02 follows, and for a mark inside."""
    if MARK in escaped:
        raise Malformed("frame", "has a mark inside")
    if ESCAPE not in escaped:
        return bytes(escaped)
    pieces = escaped.split(b"\x7d")
    plain = [pieces[0]]
    for piece in pieces[1:]:
        code = piece[:1]
        if code not in (b"\x01", b"\x02"):
            raise Malformed("frame", f"has 7d followed by {code.hex() or 'its end'}")
        plain.append((b"\x7d" if code == b"\x01" else _MARK) + piece[1:])
    return b"".join(plain)


def xor(plain: bytes) -> int:
    """The checksum: all bytes of header and body, exclusive or."""
    return int(np.bitwise_xor.reduce(np.frombuffer(plain, np.uint8)))


def wrap(plain: bytes) -> bytes:
    """The frame around a header and its body: checksum added, escaped, with both marks."""
    return _MARK + escape(plain + bytes((xor(plain),))) + _MARK


def unwrap(raw: bytes) -> tuple[bytes, bool]:
    """Header and body of a frame with both marks, and whether its checksum holds. Malformed when it is no frame."""
    if len(raw) < 2 or raw[0] != MARK or raw[-1] != MARK:
        raise Malformed("frame", "does not begin and end with 7e")
    plain = unescape(raw[1:-1])
    if not plain:
        raise Malformed("frame", "is empty")
    return plain[:-1], xor(plain) == 0


def split(buffer: bytes) -> tuple[list[bytes], bytes, bytes]:
    """Cut what came so far.

    Returns:
        frames: with both marks, escaped, in order; whatever stands between two marks is one, however broken.
        leftover: to be put in front of what comes next: the last mark and what follows it, so at least one byte once a
            mark was seen (a next frame may share that mark).
        junk: bytes before the first mark: part of no frame.
    """
    junk, *pieces = bytes(buffer).split(_MARK)
    if not pieces:
        return [], b"", junk
    return [_MARK + piece + _MARK for piece in pieces[:-1] if piece], _MARK + pieces[-1], junk
