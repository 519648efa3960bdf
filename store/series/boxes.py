"""`Boxes`: where the devices of one hour were, ten minutes by ten minutes: what the space-time index keeps of a chunk.

Purpose: tell without decoding a chunk that its device was not in an area. Invariants: a box holds every point of its device in
those ten minutes, and every leg of up to `MAX_LEG_MS` that ends at one of them and begins in the same chunk; what is encoded
may be larger (corners are kept in 8 bits of the hour's own bounds), never smaller. A slot whose hour came in several pieces is
`mixed`: legs between its pieces lie within two neighbouring boxes together, since a slice is longer than a leg may be.

Why boxes by time and not a bitmap of cells: they cost four passes over two columns, they need no common grid, and they tell
when, so that a search of ten minutes is not answered by the whole hour's.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard

from model.area import Box
from model.errors import Corrupt
from model.presence import MAX_LEG_MS
from store.series.rows import HOUR_MS, MAX_HOUR, MIN_HOUR, PART_BITS, Array, IntArray, Rows

Corners = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]

#: Measured on 7,000 taxis a minute apart: twelve cost half as much again when sealing and in bytes, and spare one chunk in seven.
SLICES = 6
SLICE_MS = HOUR_MS // SLICES
assert SLICE_MS >= MAX_LEG_MS, "a leg must not pass over a whole slice"
#: Columns that boxes are made of, beside slot and hour.
BOX_NAMES = frozenset(("time", "seq", "lat", "lon"))
_NONE_LOW, _NONE_HIGH = np.iinfo(np.int32).max, np.iinfo(np.int32).min
#: Farther out is no place on the earth; it fits int32.
_LIMIT_LAT, _LIMIT_LON = 91_000_000, 181_000_000
_MIXED = 1 << 15
_HEAD = struct.Struct("<I")
#: slot in its part u16, which slices u16, two shifts u8, two bases i32, four corners of each slice u8.
_ENTRY_BYTES = 2 + 2 + 2 + 8 + 4 * SLICES
_SLICE_BITS = 1 << np.arange(SLICES)


@dataclass(frozen=True, slots=True)
class Boxes:
    """Of one hour and part.

    Attributes:
        slot: int64 (n,), ascending, each once.
        low, high: int32 (2, SLICES, n): latitude and longitude in 1e-6 degrees; low > high where there was no point.
        mixed: bool (n,).
    """

    slot: IntArray
    low: Corners
    high: Corners
    mixed: Bools

    def __len__(self) -> int:
        return len(self.slot)

    def take(self, index: npt.NDArray[Any]) -> Boxes:
        """Some of them, by ascending index or mask."""
        return Boxes(self.slot[index], self.low[:, :, index], self.high[:, :, index], self.mixed[index])

    def slice(self, number: int) -> Boxes:
        """Those of one slice alone, with one slice."""
        at = slice(number, number + 1)
        return Boxes(self.slot, self.low[:, at], self.high[:, at], self.mixed)

    def touch(self, box: Box) -> Bools:
        """Which of their slices touch a box, (slices, n)."""
        met: Bools = (self.low[0] <= box.north) & (self.high[0] >= box.south)
        met &= (self.low[1] <= box.east) & (self.high[1] >= box.west)
        return met


def boxes_of(rows: Rows, starts: IntArray) -> tuple[Corners, Corners]:
    """`low` and `high` of each chunk; `starts` are the first rows of the chunks of `ordered` rows."""
    shape = (2, SLICES, len(starts))
    if not rows.count:
        return np.full(shape, _NONE_LOW, np.int32), np.full(shape, _NONE_HIGH, np.int32)
    low, high = np.empty(shape, np.int32), np.empty(shape, np.int32)
    time = rows.array("time")
    piece = (time // SLICE_MS).astype(np.int8) if _within(time) else np.clip(time // SLICE_MS, 0, SLICES - 1)
    change = np.empty(rows.count, np.bool_)
    np.not_equal(piece[1:], piece[:-1], out=change[1:])
    change[starts] = True
    first = np.flatnonzero(change)
    change[:] = False
    change[starts] = True
    opens = change[first]
    # The leg into a slice belongs to it.
    led = np.flatnonzero(~opens)
    led = led[time[first[led]] - time[first[led] - 1] <= MAX_LEG_MS]
    before = first[led] - 1
    cell = (np.cumsum(opens) - 1) * SLICES + piece[first]
    for axis, (name, limit) in enumerate((("lat", _LIMIT_LAT), ("lon", _LIMIT_LON))):
        value = rows.array(name)
        for corner, none, most in ((low, _NONE_LOW, np.minimum), (high, _NONE_HIGH, np.maximum)):
            found = most.reduceat(value, first)
            found[led] = most(found[led], value[before])
            flat = np.full(len(starts) * SLICES, none, np.int32)
            flat[cell] = np.clip(found, -limit, limit)
            corner[axis] = flat.reshape(len(starts), SLICES).T
    return low, high


def boxes_of_hour(rows: Rows) -> Boxes:
    """Boxes of `ordered` rows of one hour."""
    starts = rows.starts(rows.columns["slot"])
    low, high = boxes_of(rows, starts)
    return Boxes(rows.array("slot")[starts].astype(np.int64), low, high, np.zeros(len(starts), np.bool_))


def together(pieces: Sequence[Boxes]) -> Boxes:
    """All of one hour's pieces; a slot that is in several is mixed."""
    pieces = [piece for piece in pieces if len(piece)] or list(pieces[:1])
    if len(pieces) == 1:
        return pieces[0]
    slot = np.unique(np.concatenate([piece.slot for piece in pieces]))
    first = pieces[0]
    seen = np.isin(slot, first.slot, assume_unique=True)
    if len(first) == len(slot):  # late points of slots that are all known
        low, high, mixed = first.low.copy(), first.high.copy(), first.mixed.copy()
    else:
        shape = (2, SLICES, len(slot))
        low, high = np.full(shape, _NONE_LOW, np.int32), np.full(shape, _NONE_HIGH, np.int32)
        mixed = np.zeros(len(slot), np.bool_)
        low[:, :, seen], high[:, :, seen], mixed[seen] = first.low, first.high, first.mixed
    for piece in pieces[1:]:
        at = np.searchsorted(slot, piece.slot)
        low[:, :, at] = np.minimum(low[:, :, at], piece.low)
        high[:, :, at] = np.maximum(high[:, :, at], piece.high)
        mixed[at] |= piece.mixed | seen[at]
        seen[at] = True
    return Boxes(slot, low, high, mixed)


def candidates(boxes: Boxes, hour: int, box: Box, from_ms: int, to_ms: int) -> Bools:
    """Which slots may have been in a box within the window, or have crossed it between two points of this hour, (n,)."""
    first, end = slices_in(hour, from_ms, to_ms)
    met = np.asarray(boxes.touch(box)[first:end].any(axis=0))
    again = np.flatnonzero(boxes.mixed & ~met)
    if len(again) and end - first > 1:
        low, high = boxes.low[:, first:end, again], boxes.high[:, first:end, again]
        pairs = Boxes(
            boxes.slot[again],
            np.minimum(low[:, :-1], low[:, 1:]),
            np.maximum(high[:, :-1], high[:, 1:]),
            boxes.mixed[again],
        )
        met[again] = pairs.touch(box).any(axis=0)
    return met


def joined(before: Boxes, after: Boxes, box: Box) -> IntArray:
    """Slots that may have crossed a box between the last slice of an hour and the first of the next."""
    slot, left, right = np.intersect1d(before.slot, after.slot, assume_unique=True, return_indices=True)
    last, first = before.slice(SLICES - 1).take(left), after.slice(0).take(right)
    there: Bools = np.less_equal(last.low[0, 0], last.high[0, 0])
    there &= np.less_equal(first.low[0, 0], first.high[0, 0])
    both = Boxes(slot, np.minimum(last.low, first.low), np.maximum(last.high, first.high), last.mixed)
    crossed: IntArray = slot[there & both.touch(box)[0]]
    return crossed


def slices_in(hour: int, from_ms: int, to_ms: int) -> tuple[int, int]:
    """First slice of an hour in a window, and the one after the last."""
    if hour in {MIN_HOUR, MAX_HOUR}:  # times beyond the hours that a key can name
        return 0, SLICES
    first = (from_ms - hour * HOUR_MS) // SLICE_MS
    last = (to_ms - 1 - hour * HOUR_MS) // SLICE_MS
    return min(max(first, 0), SLICES), min(max(last + 1, 0), SLICES)


def encode_boxes(boxes: Boxes) -> bytes:
    """One zstd frame: count u32, then the columns of `_ENTRY_BYTES`, numbers as byte planes, lowest first."""
    there = boxes.low[0] <= boxes.high[0]
    base = boxes.low.min(axis=1)  # where there was no point, low is the highest number and high the lowest
    span = (boxes.high.max(axis=1).astype(np.int64) - base).astype(np.float64)
    shift = np.maximum(np.frexp(span)[1] - 8, 0).astype(np.int32)
    low = (boxes.low - base[:, None]) >> shift[:, None]
    high = (boxes.high - base[:, None]) >> shift[:, None]
    low[:, ~there] = high[:, ~there] = 0
    high -= low
    slices = (there * _SLICE_BITS[:, None]).sum(axis=0) | np.where(boxes.mixed, _MIXED, 0)
    columns = (
        _planes((boxes.slot & ((1 << PART_BITS) - 1)).astype("<u2")),
        _planes(slices.astype("<u2")),
        shift.astype(np.uint8).tobytes(),
        _planes(base.astype("<i4")),
        low.astype(np.uint8).tobytes(),
        high.astype(np.uint8).tobytes(),
    )
    return zstandard.ZstdCompressor(level=1, write_checksum=False).compress(
        b"".join((_HEAD.pack(len(boxes)), *columns))
    )


def decode_boxes(blob: bytes, part: int) -> Boxes:
    """What `encode_boxes` made of boxes of `part`, each box as large or a little larger. Raises Corrupt."""
    try:
        raw = zstandard.ZstdDecompressor().decompress(blob)
        (count,) = _HEAD.unpack_from(raw)
        if len(raw) != _HEAD.size + count * _ENTRY_BYTES:
            raise ValueError("lengths do not add up")
    except (zstandard.ZstdError, struct.error, ValueError) as error:
        raise Corrupt(f"not a place index: {error}", mend="Run `lucheng store index`.") from error
    reader = _Reader(raw, _HEAD.size)
    slot = reader.column("<u2", count).astype(np.int64) + (part << PART_BITS)
    slices = reader.column("<u2", count)
    shift = reader.column("u1", 2 * count).astype(np.int32).reshape(2, 1, count)
    base = reader.column("<i4", 2 * count).astype(np.int32).reshape(2, 1, count)
    low = reader.column("u1", 2 * SLICES * count).astype(np.int32).reshape(2, SLICES, count)
    high = reader.column("u1", 2 * SLICES * count).astype(np.int32).reshape(2, SLICES, count)
    high += low + 1
    low <<= shift
    low += base
    high <<= shift
    high += base - 1
    there = (slices & _SLICE_BITS[:, None]) != 0
    low[:, ~there], high[:, ~there] = _NONE_LOW, _NONE_HIGH
    return Boxes(slot, low, high, (slices & _MIXED) != 0)


def _planes(column: Array) -> bytes:
    """Byte planes, lowest first."""
    return column.ravel().view(np.uint8).reshape(column.size, -1).T.tobytes()


class _Reader:
    """Takes columns off a run of bytes."""

    def __init__(self, raw: bytes, at: int) -> None:
        self._raw, self._at = raw, at

    def column(self, dtype: str, count: int) -> Array:
        """`count` numbers, kept as byte planes."""
        width = np.dtype(dtype).itemsize
        planes = np.frombuffer(self._raw, np.uint8, width * count, self._at).reshape(width, count)
        self._at += width * count
        return planes[0] if width == 1 else np.ascontiguousarray(planes.T).view(dtype).ravel()


def _within(time: Array) -> bool:
    return int(time.min()) >= 0 and int(time.max()) < HOUR_MS
