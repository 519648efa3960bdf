"""`cut`: what was read of many connections, cut into JT/T 808 and 905 frames, as columns.

Purpose: find, unescape, check and read the headers of all frames of one round of the gateway without a Python
step for each. Invariants: it never raises for what the bytes hold; every byte given ends in exactly one of a frame,
a leftover or a piece of junk, apart from marks that close nothing; a frame never changes what another becomes.
It judges no message and keeps nothing between calls.

Frame (JT/T 808-2013 4.4, JT/T 905.4): `7E | header | body | xor | 7E`, inside it 7E is sent as 7D 02 and 7D as
7D 01. Terminals exist that let two frames share one mark, so every run of bytes between two marks is a frame;
noise between frames is then a frame whose checksum does not hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ingest.jt.bcd import NO_NUMBER, IntArray, long_number, short_number

BytesArray = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]

MARK = b"\x7e"
_MARK, _ESCAPE = 0x7E, 0x7D
#: Bytes after the last one, so that a field read where a short frame has none stays inside.
PAD_BYTES = 64
_PAD = bytes(PAD_BYTES)
#: Header of 808-2011, 808-2013 and 905; what 2019 has more; what a part of a message has more.
HEADER_BYTES, HEADER_2019_MORE, PARTED_MORE = 12, 5, 4
_HEAD_BYTES = 18
_BODY_BITS, _ENCRYPTED_BITS, _PARTED_BIT, _BIT_2019 = 0x03FF, 0x1C00, 0x2000, 0x4000


@dataclass(slots=True)
class FrameColumns:
    """Frames as columns, n of them, in order of their piece and of their place in it.

    Attributes:
        data: unescaped bytes of all pieces and `PAD_BYTES` zeros, uint8.
        start: where the header begins in `data`, int64 (n,).
        size: bytes of header and body, without the checksum, int64 (n,).
        source: which piece it came from, int32 (n,).
        checksum_ok: whether the xor over header, body and checksum is 0.
        escape_ok: whether each 7D is followed by 01 or 02.
        message_id: uint16 (n,); 0 where there is not even a header.
        version: 2013 (2011 and 905 too) or 2019, int16 (n,).
        serial: the sender's count, uint16 (n,).
        parted, encrypted: bits of the 808 header, bool (n,).
        length_ok: whether the length in the 808 header is that of the body.
        length_ok_905: whether it is, read as 905 has it: all 16 bits, 12 bytes of header.
        body_start, body_size: of the 808 body in `data`, int64 (n,). For 905: `start + 12`, `size - 12`.
        number: the terminal number's digits as an integer, `bcd.NO_NUMBER` where they are none, uint64 (n,).
        joined: the pieces as they came, one after the other.
        raw_start, raw_end: the frame in `joined` with both its marks, int64 (n,).
    """

    data: BytesArray
    start: IntArray
    size: IntArray
    source: npt.NDArray[np.int32]
    checksum_ok: BoolArray
    escape_ok: BoolArray
    message_id: npt.NDArray[np.uint16]
    version: npt.NDArray[np.int16]
    serial: npt.NDArray[np.uint16]
    parted: BoolArray
    encrypted: BoolArray
    length_ok: BoolArray
    length_ok_905: BoolArray
    body_start: IntArray
    body_size: IntArray
    number: npt.NDArray[np.uint64]
    joined: bytes
    raw_start: IntArray
    raw_end: IntArray

    def __len__(self) -> int:
        return len(self.start)

    def raw(self, index: int) -> bytes:
        """Frame `index` as it came, with both its marks."""
        return self.joined[self.raw_start[index] : self.raw_end[index]]

    def body(self, index: int) -> bytes:
        """The body of frame `index`, unescaped, with the 808 header taken off."""
        at = int(self.body_start[index])
        return self.data[at : at + int(self.body_size[index])].tobytes()


def cut(pieces: Sequence[bytes]) -> tuple[FrameColumns, list[bytes], list[tuple[int, bytes]]]:
    """Cut what was read of several connections into frames.

    Args:
        pieces: of each connection its last leftover and what was read since.

    Returns:
        The frames; of each piece the leftover, which has to stand before what is read next: from its last mark,
        so just `MARK` where a frame ended there (it may be the first mark of the next one), empty where there is no
        mark; and junk: source and the bytes before its first mark. Two marks in a row are one.
    """
    joined = b"".join([*pieces, _PAD])
    raw = np.frombuffer(joined, np.uint8)
    sizes = np.fromiter(map(len, pieces), np.int64, len(pieces))
    ends = sizes.cumsum()
    marks = (raw == _MARK).nonzero()[0]
    upto = marks.searchsorted(ends)
    per_piece = upto.copy()
    per_piece[1:] -= upto[:-1]
    leftovers = [MARK] * len(pieces)
    junk: list[tuple[int, bytes]] = []
    if not all(piece[:1] == MARK == piece[-1:] for piece in pieces):  # nearly all begin and end with a mark
        leftovers, junk = _rest(joined, marks, ends, sizes, upto, per_piece)
    piece = np.arange(len(pieces), dtype=np.int32).repeat(per_piece)
    opening = ((marks[1:] - marks[:-1] > 1) & (piece[1:] == piece[:-1])).nonzero()[0]
    raw_start, closing = marks[opening], marks[opening + 1]
    data, start, end, escape_ok = _unescaped(joined, raw, raw_start, closing)
    frames = _frames(data, start, end - start - 1)
    frames.checksum_ok = _xor(data, start, end) == 0
    frames.escape_ok = escape_ok
    frames.source = piece[opening]
    frames.joined, frames.raw_start, frames.raw_end = joined, raw_start, closing + 1
    return frames, leftovers, junk


def of_bodies(
    bodies: Sequence[bytes],
    message_id: npt.ArrayLike,
    *,
    version: npt.ArrayLike = 2013,
    serial: npt.ArrayLike = 0,
    number: npt.ArrayLike = NO_NUMBER,
) -> FrameColumns:
    """Messages that were put together from parts, as if each had come in one frame without a header.

    `source` counts them; `raw` gives the body. Scalars are repeated. They are not for `answers`.
    """
    count = len(bodies)
    joined = b"".join([*bodies, _PAD])
    size = np.fromiter(map(len, bodies), np.int64, count)
    start = np.cumsum(size) - size
    yes, no = np.ones(count, np.bool_), np.zeros(count, np.bool_)
    return FrameColumns(
        data=np.frombuffer(joined, np.uint8),
        start=start - HEADER_BYTES,  # so that the 905 reading finds the body too
        size=size + HEADER_BYTES,
        source=np.arange(count, dtype=np.int32),
        checksum_ok=yes,
        escape_ok=yes,
        message_id=np.broadcast_to(np.asarray(message_id, np.uint16), (count,)),
        version=np.broadcast_to(np.asarray(version, np.int16), (count,)),
        serial=np.broadcast_to(np.asarray(serial, np.uint16), (count,)),
        parted=no,
        encrypted=no,
        length_ok=yes,
        length_ok_905=yes,
        body_start=start,
        body_size=size,
        number=np.broadcast_to(np.asarray(number, np.uint64), (count,)),
        joined=joined,
        raw_start=start,
        raw_end=start + size,
    )


def windows(data: BytesArray, at: IntArray, size: int) -> BytesArray:
    """`size` bytes from each place `at`, shape (n, size); a place beyond the end reads what stands before it."""
    last = len(data) - size
    view: npt.NDArray[np.void] = np.ndarray((last + 1,), f"V{size}", data, strides=(1,))
    return view[np.minimum(at, last)].view(np.uint8).reshape(len(at), size)


def _rest(
    joined: bytes, marks: IntArray, ends: IntArray, sizes: IntArray, upto: IntArray, per_piece: IntArray
) -> tuple[list[bytes], list[tuple[int, bytes]]]:
    """Leftovers and junk, see `cut`."""
    begins = ends - sizes
    known = np.append(marks, -1)  # what index 0 - 1 and one past the last give
    last = np.where(per_piece > 0, known[upto - 1], ends)
    first = np.where(per_piece > 0, known[upto - per_piece], ends)
    leftovers = [MARK] * len(ends)
    for index in (last != ends - 1).nonzero()[0].tolist():
        leftovers[index] = joined[last[index] : ends[index]]
    junk = [(index, joined[begins[index] : first[index]]) for index in (first > begins).nonzero()[0].tolist()]
    return leftovers, junk


def _unescaped(
    joined: bytes, raw: BytesArray, opening: IntArray, closing: IntArray
) -> tuple[BytesArray, IntArray, IntArray, BoolArray]:
    """All bytes unescaped; where frames begin in them, where their closing marks stand; whether escapes are whole."""
    good = np.ones(len(opening), np.bool_)
    if b"\x7d" not in joined:
        return raw, opening + 1, closing, good
    escapes = (raw == _ESCAPE).nonzero()[0]
    following = raw[escapes + 1]
    whole = (following == 1) | (following == 2)
    if not whole.all():
        lone = escapes[~whole]
        within = opening.searchsorted(lone) - 1  # the last frame that begins before it, -1 for none
        lone, within = lone[within >= 0], within[within >= 0]
        good[within[lone < closing[within]]] = False
        escapes = escapes[whole]
    # The order matters not: neither replacement makes or breaks a pair of the other.
    data = joined.replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")
    start = opening + 1 - escapes.searchsorted(opening)
    return np.frombuffer(data, np.uint8), start, closing - escapes.searchsorted(closing), good


def _xor(data: BytesArray, start: IntArray, end: IntArray) -> BytesArray:
    """Xor of the bytes from each start up to its end, shape (n,)."""
    if not len(start):
        return np.zeros(0, np.uint8)
    bounds = np.empty(2 * len(start), np.int64)
    bounds[0::2], bounds[1::2] = start, end
    return np.bitwise_xor.reduceat(data, bounds)[0::2]


def _frames(data: BytesArray, start: IntArray, size: IntArray) -> FrameColumns:
    """Headers read; the columns that say where frames came from are left empty."""
    head = windows(data, start, _HEAD_BYTES)
    pairs = np.ascontiguousarray(head.view(">u2").T, dtype=np.int64)
    message_id, props, serial = pairs[0], pairs[1], pairs[5]
    number = short_number(pairs[2], pairs[3], pairs[4])
    is_2019 = props & _BIT_2019 != 0
    parted = props & _PARTED_BIT != 0
    header = HEADER_BYTES + HEADER_2019_MORE * is_2019 + PARTED_MORE * parted
    if np.count_nonzero(is_2019):
        rows = is_2019.nonzero()[0]
        wide = np.ascontiguousarray(np.ascontiguousarray(head[rows, 5:17]).view(">u2").T, dtype=np.int64)
        number[rows], serial[rows] = long_number(wide[:5]), wide[5]
    short = size < HEADER_BYTES
    if np.count_nonzero(short):
        message_id[short], serial[short], number[short] = 0, 0, NO_NUMBER
    body_size = size - header
    return FrameColumns(
        data=data,
        start=start,
        size=size,
        source=np.empty(0, np.int32),
        checksum_ok=np.empty(0, np.bool_),
        escape_ok=np.empty(0, np.bool_),
        message_id=message_id.astype(np.uint16),
        version=np.where(is_2019, np.int16(2019), np.int16(2013)),
        serial=serial.astype(np.uint16),
        parted=parted,
        encrypted=props & _ENCRYPTED_BITS != 0,
        length_ok=props & _BODY_BITS == body_size,
        length_ok_905=props == size - HEADER_BYTES,
        body_start=start + header,
        body_size=np.maximum(body_size, 0),
        number=number,
        joined=b"",
        raw_start=start,
        raw_end=start,
    )
