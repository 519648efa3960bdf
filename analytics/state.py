"""`State`: what the analytics remember of each device, as arrays indexed by slot.

Purpose: small, quick to copy out and in. Invariants: every array has `capacity` rows of which the
first `slots` mean something; state depends only on the rows that came in, never on the store's
answers or on how the stream was cut into batches (one exception: `analytics/order.py`).
It decides nothing and reads no file; the caller keeps the bytes and their checksum.

Bytes, little-endian: `b"LCS2"`, slots u32, recent u32, then per column of `FIELDS`: mode u8 (dense
or sparse) and its data; then the alarm episodes: count u32 and (key, start, end) int64 each.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.errors import Corrupt, UsageError

MAGIC = b"LCS2"
_HEAD = struct.Struct("<4sII")
_COUNT = struct.Struct("<I")
_DENSE, _SPARSE = 0, 1

#: Keys of the last points that are remembered per device; a power of two.
DEFAULT_RECENT = 4
DEFAULT_FIRST_CAPACITY = 1_024
#: Bytes that say more slots than this are not read: a torn head must not take the memory.
MAX_SLOTS = 4_194_304

#: "No time yet": below every time that passes `validate`, and far enough from the int64 limits to subtract.
NEVER_MS = -(1 << 60)
#: End of an alarm episode that is still on.
OPEN_MS = 1 << 60

_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Field:
    """One array of the state: name, dtype, the value of a device never seen, what it holds, and whether it has `recent` columns."""

    name: str
    dtype: str
    empty: float
    meaning: str
    ring: bool = False


FIELDS: tuple[Field, ...] = (
    Field("newest_ms", "<i8", NEVER_MS, "newest fix time, moved by clean together with the place"),
    Field("lat", "<f8", _NAN, "place of the newest point"),
    Field("lon", "<f8", _NAN, "place of the newest point"),
    Field("same_since_ms", "<i8", 0, "receive time of the first point at newest_ms"),
    Field("same_count", "|u1", 0, "points at newest_ms, saturating"),
    Field("floor_ms", "<i8", NEVER_MS, "every known key newer than this is among the recent ones"),
    Field("ahead_ms", "<i8", NEVER_MS, "newest time of a point whose clock was ahead"),
    Field("recent_ms", "<i8", NEVER_MS, "times of the recent keys, oldest first from `at`", ring=True),
    Field("recent_id", "<u8", 0, "identities of the recent keys", ring=True),
    Field("seq", "<i8", -1, "highest seq of the present run"),
    Field("seq_span", "<u4", 0, "how far the present run began below seq, saturating: what was before is not missing"),
    Field("seq_seen", "<u8", 0, "bit n: seq - n was seen"),
    Field("bits", "<u8", 0, "alarm bits that are on"),
    Field("bits_ms", "<i8", NEVER_MS, "time of the last row that told of alarm bits"),
    Field("offset", "|i1", 0, "established clock offset, steps; ahead is positive"),
    Field("offset_next", "|i1", 0, "offset of the last live point, steps"),
    Field("offset_run", "|u1", 0, "live points in a row with that offset, saturating"),
)


class State:
    """Struct of arrays indexed by slot; see `FIELDS` for what each array holds.

    Args:
        slots: devices to make room for at once.
        recent: keys remembered per device, a power of two.

    Besides the arrays: `at` (uint8, where the oldest recent key stands; not part of the bytes, which
    are written from the oldest on), `episodes` (key `slot << 6 | bit` to `[start_ms, end_ms]` pairs in order,
    `episode_count` of them),
    and `any_ahead`, `any_offset`, `any_bits`: False when no device has anything of the kind.
    """

    newest_ms: npt.NDArray[np.int64]
    lat: npt.NDArray[np.float64]
    lon: npt.NDArray[np.float64]
    same_since_ms: npt.NDArray[np.int64]
    same_count: npt.NDArray[np.uint8]
    floor_ms: npt.NDArray[np.int64]
    ahead_ms: npt.NDArray[np.int64]
    recent_ms: npt.NDArray[np.int64]
    recent_id: npt.NDArray[np.uint64]
    seq: npt.NDArray[np.int64]
    seq_span: npt.NDArray[np.uint32]
    seq_seen: npt.NDArray[np.uint64]
    bits: npt.NDArray[np.uint64]
    bits_ms: npt.NDArray[np.int64]
    offset: npt.NDArray[np.int8]
    offset_next: npt.NDArray[np.int8]
    offset_run: npt.NDArray[np.uint8]
    at: npt.NDArray[np.uint8]

    def __init__(self, slots: int = 0, *, recent: int = DEFAULT_RECENT) -> None:
        if not 1 <= recent <= 128 or recent & (recent - 1):
            raise UsageError(f"recent is {recent}.", mend="Give a power of two up to 128.")
        self.recent = recent
        self.slots = 0
        self.capacity = 0
        self.episodes: dict[int, list[list[int]]] = {}
        self.episode_count = 0
        self.any_ahead = self.any_offset = self.any_bits = False
        for field in FIELDS:
            setattr(self, field.name, self._made(field, 0))
        self.at = np.zeros(0, np.uint8)
        self.grow(slots)

    def _made(self, field: Field, rows: int) -> npt.NDArray[Any]:
        shape = (rows, self.recent) if field.ring else (rows,)
        return np.full(shape, field.empty, dtype=field.dtype)

    def grow(self, slots: int) -> None:
        """Make room for slots below `slots`; arrays grow by doubling, what is known stays."""
        if slots > self.capacity:
            capacity = max(slots, 2 * self.capacity, DEFAULT_FIRST_CAPACITY)
            for field in FIELDS:
                grown = self._made(field, capacity)
                grown[: self.capacity] = getattr(self, field.name)
                setattr(self, field.name, grown)
            at = np.zeros(capacity, np.uint8)
            at[: self.capacity] = self.at
            self.at = at
            self.capacity = capacity
        self.slots = max(self.slots, slots)

    def seed(
        self,
        slots: npt.NDArray[np.int32],
        newest_ms: npt.NDArray[np.int64],
        seq: npt.NDArray[np.int64] | None = None,
        alarm_bits: npt.NDArray[np.uint64] | None = None,
    ) -> None:
        """Say what the store holds of devices of which this state may know less (part of it was lost).

        Nothing up to `newest_ms` is taken as certainly new any more; the store will be asked. `seq` and
        `alarm_bits` are those of the newest point (seq -1 for none): what came before that seq is not missing, nor does it
        fill a gap any more, and a bit that was on does not rise again.
        """
        if not len(slots):
            return
        self.grow(int(slots.max()) + 1)
        behind = newest_ms > self.newest_ms[slots]
        if seq is not None:
            counted = behind & (seq >= 0)
            self.seq[slots[counted]] = seq[counted]
            self.seq_span[slots] = 0
            self.seq_seen[slots] = np.iinfo(np.uint64).max
        if alarm_bits is not None and behind.any():
            self.bits[slots[behind]] = alarm_bits[behind]
            self.bits_ms[slots[behind]] = np.where(alarm_bits != 0, newest_ms, self.bits_ms[slots])[behind]
            self.any_bits = bool(self.bits.any())
        np.maximum.at(self.floor_ms, slots, newest_ms)
        np.maximum.at(self.newest_ms, slots, newest_ms)

    def _unrolled(self, name: str) -> npt.NDArray[Any]:
        ring: npt.NDArray[Any] = getattr(self, name)[: self.slots]
        at = self.at[: self.slots]
        if not at.any():
            return ring
        turn = (at[:, None].astype(np.intp) + np.arange(self.recent)) & (self.recent - 1)
        return np.take_along_axis(ring, turn, axis=1)

    def to_bytes(self) -> bytes:
        """Everything, canonical: equal states give equal bytes. About 120 bytes a device."""
        parts: list[bytes | memoryview] = [_HEAD.pack(MAGIC, self.slots, self.recent)]
        for field in FIELDS:
            column = self._unrolled(field.name) if field.ring else getattr(self, field.name)[: self.slots]
            filled = ~np.isnan(column) if np.isnan(field.empty) else column != column.dtype.type(field.empty)
            if field.ring:
                filled = filled.any(axis=1)
            count = int(np.count_nonzero(filled))
            row_bytes = column.dtype.itemsize * (self.recent if field.ring else 1)
            if count * (row_bytes + 4) < self.slots * row_bytes:
                slots = np.flatnonzero(filled).astype("<u4")
                parts += [bytes((_SPARSE,)), _COUNT.pack(count), slots.data.cast("B") if count else b""]
                column = column[slots]
            else:
                parts.append(bytes((_DENSE,)))
            parts.append(np.ascontiguousarray(column).data.cast("B") if column.size else b"")
        flat = [(key, start, end) for key in sorted(self.episodes) for start, end in self.episodes[key]]
        parts += [_COUNT.pack(len(flat)), np.array(flat, dtype="<i8").tobytes()]
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, raw: bytes) -> State:
        """The state that `to_bytes` wrote; raises Corrupt when it is none, or of another version."""
        try:
            return cls._read(memoryview(raw))
        except (struct.error, ValueError, IndexError, OverflowError, UsageError) as error:
            raise Corrupt(
                f"Not an analytics state: {error}", mend="It is made anew from the log and the store."
            ) from error

    @classmethod
    def _read(cls, view: memoryview) -> State:
        magic, slots, recent = _HEAD.unpack_from(view, 0)
        if magic != MAGIC:
            raise ValueError("other version" if bytes(magic[:3]) == MAGIC[:3] else "bad magic")
        if slots > MAX_SLOTS:
            raise ValueError("more slots than there can be")
        state = cls(slots, recent=recent)
        at = _HEAD.size
        for field in FIELDS:
            column: npt.NDArray[Any] = getattr(state, field.name)
            width = recent if field.ring else 1
            mode = view[at]
            at += 1
            where: Any = slice(0, slots)
            count = slots
            if mode == _SPARSE:
                (count,) = _COUNT.unpack_from(view, at)
                at += _COUNT.size
                where = np.frombuffer(view, "<u4", count, at)
                if count and int(where.max()) >= slots:
                    raise ValueError(f"{field.name} has a slot that is not there")
                at += 4 * count
            elif mode != _DENSE:
                raise ValueError(f"unknown mode {mode}")
            values = np.frombuffer(view, field.dtype, count * width, at)
            column[where] = values.reshape(count, width) if field.ring else values
            at += values.nbytes
        (count,) = _COUNT.unpack_from(view, at)
        at += _COUNT.size
        flat = np.frombuffer(view, "<i8", 3 * count, at).reshape(count, 3)
        at += flat.nbytes
        if at != len(view):
            raise ValueError("trailing bytes")
        for key, start, end in flat.tolist():
            state.episodes.setdefault(key, []).append([start, end])
        state.episode_count = count
        state.any_ahead = bool((state.ahead_ms != NEVER_MS).any())
        state.any_offset = bool(state.offset.any() or state.offset_next.any())
        state.any_bits = bool(state.bits.any())
        return state
