"""Platform general replies (0x8001) to many frames at once.

Purpose: bytes to send, prepared without a Python step for each byte. Invariants: an answer has the header form of the
frame it answers: its number byte by byte, also one that holds no digits, and its protocol version. It sends nothing.

Body (JT/T 808-2013 8.2, the same in JT/T 905): serial u16 and id u16 of what is answered, result u8.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ingest.jt.bcd import IntArray
from ingest.jt.columns import BytesArray, FrameColumns, windows
from ingest.jt.positions import spread

GENERAL_REPLY = 0x8001
_BODY_BYTES = 5
_NARROW_NUMBER, _WIDE_NUMBER = (4, 10), (4, 15)
_BIT_2019 = 0x4000


def answers(
    frames: FrameColumns,
    rows: IntArray,
    result: npt.ArrayLike,
    serial: npt.ArrayLike,
    *,
    narrow: bool = False,
) -> list[bytes]:
    """Answers to the frames `rows`, framed and escaped, in that order.

    Args:
        frames: what was cut.
        rows: indices of the frames to answer, int64 (n,).
        result: 0 done, 1 failed, 2 wrong message, 3 not supported, 4 alarm confirmed; uint8 (n,) or one for all.
        serial: the platform's serial for each answer, (n,) or one for all; taken modulo 65,536.
        narrow: the frames are of 905, whose header has no 2019 form whatever its length says.
    """
    rows = np.asarray(rows, np.int64)
    result, serial = spread(result, len(rows), np.uint8), spread(serial, len(rows), np.int64)
    wide = np.zeros(len(rows), np.bool_) if narrow else frames.version[rows] == 2019
    many = np.count_nonzero(wide)
    if many in {0, len(rows)}:
        return _answers(frames, rows, result, serial, wide=bool(many))
    made: list[bytes] = [b""] * len(rows)
    for form in (False, True):
        which = (wide == form).nonzero()[0]
        for index, answer in zip(
            which.tolist(), _answers(frames, rows[which], result[which], serial[which], wide=form), strict=True
        ):
            made[index] = answer
    return made


def _answers(
    frames: FrameColumns,
    rows: IntArray,
    result: npt.NDArray[np.uint8],
    serial: IntArray,
    *,
    wide: bool,
) -> list[bytes]:
    """Answers of one header form: a matrix with a row each, marks included."""
    first, last = _WIDE_NUMBER if wide else _NARROW_NUMBER
    size = 1 + last + 2 + _BODY_BYTES + 2
    head = windows(frames.data, frames.start[rows], last + 2)
    out: BytesArray = np.empty((len(rows), size), np.uint8)
    props = _BODY_BYTES | _BIT_2019 * wide
    out[:, :5] = (0x7E, GENERAL_REPLY >> 8, GENERAL_REPLY & 0xFF, props >> 8, props & 0xFF)
    out[:, 1 + first : 1 + last] = head[:, first:last]
    at = 1 + last
    out[:, at], out[:, at + 1] = serial >> 8 & 0xFF, serial & 0xFF
    out[:, at + 2 : at + 4] = head[:, last : last + 2]
    out[:, at + 4 : at + 6] = head[:, :2]
    out[:, at + 6] = result
    out[:, at + 7] = np.bitwise_xor.reduce(out[:, 1 : at + 7], axis=1)
    out[:, -1] = 0x7E
    text = out.tobytes()
    made = [text[begin : begin + size] for begin in range(0, len(text), size)]
    inner = out[:, 1:-1]
    for index in np.flatnonzero(((inner == 0x7E) | (inner == 0x7D)).any(axis=1)).tolist():
        body = made[index][1:-1].replace(b"\x7d", b"\x7d\x01").replace(b"\x7e", b"\x7d\x02")
        made[index] = b"\x7e" + body + b"\x7e"
    return made
