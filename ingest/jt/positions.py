"""What positions of JT/T 808 and 905 share: from fields of many bodies to a `PointBatch`.

Purpose: columns of all positions of a round. Invariants: a body that is too short or whose time is none is told in
`bad` with the alarm bits it names, its neighbours are kept; nothing raises. Values are not judged, checksums and
lengths of frames are the caller's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ingest.jt.bcd import IntArray, times_ms
from ingest.jt.columns import BytesArray, FrameColumns, windows
from ingest.jt.extras import Values
from ingest.jt808.alarms import AlarmBit, area_kind, kind_bit
from model.batch import NAN, PointBatch

#: Position in a batch of a position that came alone.
ALONE = -1
#: The item that says which way an area or a route was crossed, the last of its bytes; the bit that it explains.
_CROSSING, _CROSSING_BYTES, _OUT, _AREA_BIT = 0x12, 6, 1, 1 << 20
_ENTERED, _LEFT = (np.uint64(kind_bit(area_kind(way))) for way in (0, _OUT))
#: Different alarm words whose names are remembered.
_WORDS = 4_096
_NO_ROWS, _NO_FRAMES = PointBatch.empty(), np.zeros(0, np.int64)


@dataclass(slots=True)
class Positions:
    """Positions as columns, m of them, in the order of their frames.

    Attributes:
        batch: the columns.
        frame: index of the frame each row came in, int64 (m,).
        bad: frame index, and what is wrong with it or with one item of its batch.
        bad_alarm_bits: what each of `bad` names as alarms all the same, as `PointBatch.alarm_bits`.
    """

    batch: PointBatch
    frame: IntArray
    bad: list[tuple[int, str]] = field(default_factory=list)
    bad_alarm_bits: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Bodies:
    """Bodies to decode, n of them.

    Attributes:
        data: all bytes, see `FrameColumns.data`.
        start, end: of each body, int64 (n,).
        frame: index of its frame, int64 (n,).
        place: which item of a batch it is, from 0; `ALONE` for none, int64 (n,).
        slot: registry slot, int32 (n,).
        more_flags: `model.codes.Flag` bits that how it came gives, uint16 (n,).
    """

    data: BytesArray
    start: IntArray
    end: IntArray
    frame: IntArray
    place: IntArray
    slot: npt.NDArray[np.int32]
    more_flags: npt.NDArray[np.uint16]

    def take(self, which: npt.NDArray[np.bool_]) -> Bodies:
        """Those that `which` (bool (n,)) says."""
        columns = (self.start, self.end, self.frame, self.place)
        start, end, frame, place = (column[which] for column in columns)
        return Bodies(self.data, start, end, frame, place, self.slot[which], self.more_flags[which])


def nothing() -> Positions:
    """No position, to be filled."""
    return Positions(_NO_ROWS, _NO_FRAMES)


def spread(values: npt.ArrayLike, count: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """One value for each of `count`, or as many as there are already. ValueError for another number of them."""
    array = np.asarray(values, dtype)
    if array.ndim == 0:
        return np.full(count, array)
    if array.shape != (count,):
        raise ValueError(f"{array.shape} values for {count} frames")
    return array


def whole(bodies: Bodies, size: int, found: Positions) -> Bodies:
    """Those with at least `size` bytes; the others go to `found.bad`."""
    bytes_ = bodies.end - bodies.start
    enough = bytes_ >= size
    if np.count_nonzero(enough) == len(enough):
        return bodies
    for index in (~enough).nonzero()[0].tolist():
        what = f"a position needs {size} bytes and has {max(int(bytes_[index]), 0)}"
        found.bad.append((int(bodies.frame[index]), told(int(bodies.place[index]), what)))
        found.bad_alarm_bits.append(0)
    return bodies.take(enough)


def received_with(
    bodies: Bodies, received_ms: npt.ArrayLike, size: int, found: Positions
) -> tuple[Bodies, npt.NDArray[np.int64]]:
    """Those with at least `size` bytes, and when each of them came; the others go to `found.bad`."""
    received = spread(received_ms, len(bodies.start), np.int64)
    kept = whole(bodies, size, found)
    return kept, received if kept is bodies else received[bodies.end - bodies.start >= size]


def degrees(
    fixed: npt.NDArray[np.void], status: IntArray, *, units: float, south: int, west: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Latitudes and longitudes: `units` a degree, negative where the status has the bit `south` or `west`."""
    lat, lon = fixed["lat"] / units, fixed["lon"] / units
    if np.count_nonzero(status & (south | west)):
        lat[status & south != 0] *= -1.0
        lon[status & west != 0] *= -1.0
    return lat, lon


def put_together(
    found: Positions, bodies: Bodies, good: npt.NDArray[np.bool_] | None, columns: Mapping[str, Any]
) -> Positions:
    """`found` with these columns of a `PointBatch`, every one of the length of `bodies`, cut to the rows that are `good`.

    Columns that neither protocol has are not sent.
    """
    count = len(bodies.start)
    batch = PointBatch(
        slot=bodies.slot,
        seq=np.full(count, -1, np.int64),
        acc_m=np.full(count, NAN, np.float32),
        battery_pct=np.full(count, -1, np.int16),
        marks=np.zeros(count, np.uint16),
        **columns,
    )
    found.batch, found.frame = (batch, bodies.frame) if good is None else (batch.take(good), bodies.frame[good])
    return found


def told(place: int, what: str) -> str:
    """`what`, with the place in its batch."""
    return what if place == ALONE else f"position {place + 1} of the batch: {what}"


def fixed_part(bodies: Bodies, dtype: np.dtype[np.void]) -> npt.NDArray[np.void]:
    """The fixed fields of each body, shape (n,); every body has them."""
    return windows(bodies.data, bodies.start, dtype.itemsize).view(dtype).reshape(len(bodies.start))


def clocked(
    bodies: Bodies, time: npt.NDArray[np.uint16], alarm_bits: npt.NDArray[np.uint64], found: Positions
) -> tuple[IntArray, npt.NDArray[np.bool_] | None]:
    """UTC ms of times (n, 3), and which of them are times, None for all; the others go to `found.bad`."""
    pairs = time.astype(np.int64).T
    time_ms, good = times_ms(pairs[0], pairs[1], pairs[2])
    if np.count_nonzero(good) == len(good):
        return time_ms, None
    for index in (~good).nonzero()[0].tolist():
        digits = time[index].astype(">u2").tobytes().hex()
        what = f"time {digits} is none"
        found.bad.append((int(bodies.frame[index]), told(int(bodies.place[index]), what)))
        found.bad_alarm_bits.append(int(alarm_bits[index]))
    return time_ms, good


def names_of(table: Iterable[AlarmBit]) -> tuple[str, ...]:
    """The names of all 32 bits of an alarm word; `bit_n` where a table has none."""
    names = [f"bit_{bit}" for bit in range(32)]
    for one in table:
        names[one.bit] = one.name
    return tuple(names)


def alarm_words(words: npt.NDArray[np.uint32], key: bytes, names: tuple[str, ...]) -> list[tuple[int, bytes]]:
    """Rows whose alarm word is not 0, with the names of its bits as `"key":[…]`."""
    rows = words.nonzero()[0]
    return [
        (row, b'"%b":%b' % (key, _names_json(word, names)))
        for row, word in zip(rows.tolist(), words[rows].tolist(), strict=True)
    ]


@lru_cache(_WORDS)
def _names_json(word: int, names: tuple[str, ...]) -> bytes:
    return ('["' + '","'.join(name for bit, name in enumerate(names) if word >> bit & 1) + '"]').encode()


def turned_out(data: BytesArray, words: npt.NDArray[np.uint32], bits: npt.NDArray[np.uint64], values: Values) -> None:
    """Where an area was left and not entered, as item 0x12 says, say so in `bits`, in place. 808 and 905 alike."""
    if not np.count_nonzero(words & _AREA_BIT):
        return
    items = values.items
    crossing = ((items.kind == _CROSSING) & (items.size == _CROSSING_BYTES)).nonzero()[0]
    out = items.row[crossing[data[items.at[crossing] + _CROSSING_BYTES - 1] == _OUT]]
    out = out[words[out] & _AREA_BIT != 0]
    bits[out] = bits[out] & ~_ENTERED | _LEFT


def bodies_of(
    frames: FrameColumns,
    rows: npt.ArrayLike,
    slots: npt.ArrayLike,
    start: IntArray,
    end: IntArray,
    *,
    more_flags: npt.ArrayLike = 0,
) -> Bodies:
    """One body of each of the frames `rows`, between `start` and `end` (int64 (n,))."""
    frame = np.asarray(rows, np.int64)
    count = len(frame)
    return Bodies(
        frames.data,
        start,
        end,
        frame,
        np.full(count, ALONE, np.int64),
        spread(slots, count, np.int32),
        spread(more_flags, count, np.uint16),
    )
