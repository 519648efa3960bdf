"""Small files that a terminal has to send: a JPEG with a pattern, a WAV with a tone.

Invariants: the same arguments give the same bytes; the files are whole and any viewer opens them.
"""

from __future__ import annotations

import io
import math
import struct
import wave

MAX_SIDE = 4_096
_RATE = 8_000
#: Differences of the mean of two blocks take at most this many bits.
_DC_SIZES = 10


def picture(width: int, height: int, seed: int = 0) -> bytes:
    """A grey JPEG (baseline) of blocks of 8 × 8, each of one shade; sides 1..`MAX_SIDE`.

    Source of the format: ITU-T T.81. Only the mean of each block is coded, so quantisation and tables are trivial.
    """
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise ValueError(f"{width} × {height} is no size of a picture")
    quantisation = b"\xff\xdb" + struct.pack(">HB", 67, 0) + bytes([8]) * 64
    start = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    # Means: ten sizes, all with codes of four bits. Details: the one symbol "end of block", one bit.
    means = b"\xff\xc4" + struct.pack(">HB", 19 + _DC_SIZES, 0x00) + bytes([0, 0, 0, _DC_SIZES] + [0] * 12)
    means += bytes(range(_DC_SIZES))
    details = b"\xff\xc4" + struct.pack(">HB", 20, 0x10) + bytes([1] + [0] * 15) + b"\x00"
    scan = b"\xff\xda" + struct.pack(">HB", 8, 1) + b"\x01\x00\x00\x3f\x00"
    bits = "".join(_blocks(-(-width // 8), -(-height // 8), seed))
    bits += "1" * (-len(bits) % 8)
    coded = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    return b"\xff\xd8" + quantisation + start + means + details + scan + coded + b"\xff\xd9"


def _blocks(columns: int, rows: int, seed: int) -> list[str]:
    before, coded = 0, []
    for row in range(rows):
        for column in range(columns):
            shade = (column * 5 + row * 3 + (row * column * (seed + 1)) % 17 + seed * 29) % 255 - 127
            change, before = shade - before, shade
            size = abs(change).bit_length()
            value = change if change > 0 else change + (1 << size) - 1
            coded.append(f"{size:04b}" + (f"{value:0{size}b}" if size else "") + "0")
    return coded


def sound(seconds: float, hertz: float = 440.0) -> bytes:
    """A WAV, 8 kHz, 8 bits, one channel."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(_RATE)
        count = max(int(seconds * _RATE), 1)
        file.writeframes(bytes(128 + round(100 * math.sin(math.tau * hertz * at / _RATE)) for at in range(count)))
    return out.getvalue()
