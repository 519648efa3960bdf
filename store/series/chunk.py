"""The column codec of segments and sealed chunks: many groups of rows to compressed frames, and back.

Purpose: few bytes and little CPU. All transforms run over the columns of every group at once; per
group there is only the joining of byte planes, the compression and, later, the insert.

A frame is one zstd frame (content size, no checksum: blobs have their own) of, little-endian:
`present u32`, `rows u32`; for each column whose bit is set in `present` a cell `code u8`,
`base_width u8`, base (zigzag, `base_width` bytes); then for each such column `width` byte planes of
`rows` bytes, lowest first; then, when bit 30 is set, the extras: `count u32`, for count < rows four
byte planes of their rows, four of their lengths, their texts. Read, and no longer written: bit 31,
`count u32` and per extra `row u32`, `length u32`, bytes. `code` is `width | order << 4 | divided << 6`. A column that is not present is
its default in every row. Order 0 keeps differences from the first value, 1 from the row before, 2
differences of those; whichever of a column's two orders has the smaller sum of magnitudes is
taken, per group. Arithmetic wraps modulo 2**64, so any value survives.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import zstandard

from model.errors import Corrupt
from model.extras import NO_EXTRAS, Extras
from store.series.rows import DEFAULTS, NAMES, Array, IntArray, Rows, Value

DEFAULT_LEVEL = 1
#: More rows than any writer puts into one frame; a frame that claims more is damaged.
MAX_FRAME_ROWS = 1 << 26

_HEAD = struct.Struct("<II")
_EXTRA = struct.Struct("<II")
_COUNT = struct.Struct("<I")
_EXTRA_BIT, _EXTRA_BIT_1 = 1 << 30, 1 << 31
_CELL = 10  # code, base width, up to 8 bytes of base
_DEFAULT_VALUES = np.array(list(DEFAULTS.values()), np.int64)
#: Orders to choose from; columns that are not named take differences from the first value.
_ORDERS: dict[str, tuple[int, ...]] = {
    "slot": (1,),
    "time": (1, 2),
    "lag": (0, 1),
    "lat": (1, 2),
    "lon": (1, 2),
    "speed_kmh": (0, 1),
    "heading_deg": (1,),
    "alt_m": (0, 1),
    "acc_m": (0, 1),
    "sat": (0, 1),
    "battery_pct": (0, 1),
    "seq": (1, 2),
}
#: Divisors tried for each column: whole seconds, whole km/h, whole degrees are common.
_DIVISORS: dict[str, int] = {"time": 1000, "speed_kmh": 10, "heading_deg": 10, "alt_m": 10, "acc_m": 10}
_LIMITS = np.array([1 << (8 * width) for width in range(8)], np.uint64)


@dataclass(slots=True)
class _Coded:
    """One column of all groups: code and base per group, and byte planes over all rows."""

    code: npt.NDArray[np.uint8]
    base: IntArray
    width: npt.NDArray[np.uint8]
    planes: list[memoryview]


def encode_groups(rows: Rows, starts: IntArray, *, level: int = DEFAULT_LEVEL) -> list[bytes]:
    """One frame per group; `starts` are the first rows of the groups, ascending from 0."""
    if not rows.count:
        return []
    counts = np.diff(starts, append=rows.count)
    coded = [_encode_column(name, rows.columns[name], starts, counts) for name in NAMES]
    groups = len(starts)
    cells = np.zeros((groups, len(NAMES), _CELL), np.uint8)
    base = np.stack([column.base for column in coded], axis=1)
    zigzag = np.ascontiguousarray(_zigzag(base))
    base_width = _widths(zigzag)
    cells[:, :, 0] = np.stack([column.code for column in coded], axis=1)
    cells[:, :, 1] = base_width
    cells[:, :, 2:] = zigzag.view(np.uint8).reshape(groups, len(NAMES), 8)
    present = (cells[:, :, 0] != 0) | (base != _DEFAULT_VALUES)
    used = present[:, :, None] & (np.arange(_CELL) < (base_width.astype(np.int64) + 2)[:, :, None])
    flat = cells[used].tobytes()
    ends = np.cumsum(used.sum(axis=(1, 2))).tolist()
    masks = (present * (1 << np.arange(len(NAMES)))).sum(axis=1).tolist()
    active = [(column.planes, column.width.tolist()) for column in coded if column.planes]
    extras = _extras(rows, starts, counts)
    compress = zstandard.ZstdCompressor(level=level, write_checksum=False).compress
    frames: list[bytes] = []
    at = 0
    first = starts.tolist()
    for group, (start, count) in enumerate(zip(first, counts.tolist(), strict=True)):
        extra = extras.get(group)
        parts: list[bytes | memoryview] = [
            _HEAD.pack(masks[group] | (_EXTRA_BIT if extra else 0), count),
            flat[at : ends[group]],
        ]
        at = ends[group]
        for planes, widths in active:
            for plane in planes[: widths[group]]:
                parts.append(plane[start : start + count])  # noqa: PERF401 - measured: quicker than extend here
        if extra:
            parts.append(extra)
        frames.append(compress(b"".join(parts)))
    return frames


def _zigzag(values: Array) -> Array:
    """Signed to unsigned with small magnitudes first, in the width of the array."""
    bits = values.dtype.itemsize * 8
    return ((values << 1) ^ (values >> (bits - 1))).view(np.uint64 if bits == 64 else np.uint32)


def _widths(highest: Array) -> npt.NDArray[np.uint8]:
    """Bytes needed for each unsigned value: 0 for 0, up to 8."""
    return (
        np.searchsorted(_LIMITS, highest.astype(np.uint64).ravel(), side="right")
        .reshape(highest.shape)
        .astype(np.uint8)
    )


def _encode_column(name: str, value: Value, starts: IntArray, counts: IntArray) -> _Coded:
    groups = len(starts)
    zero = np.zeros(groups, np.uint8)
    if isinstance(value, int):
        return _Coded(zero, np.full(groups, value, np.int64), zero, [])
    code = zero.copy()
    divisor = _DIVISORS.get(name)
    if divisor is not None:
        value, divided = _divide(value, divisor, starts, counts)
        code |= divided.astype(np.uint8) << np.uint8(6)
    base = value[starts].astype(np.int64)
    delta, order = _differences(value, _ORDERS.get(name, (0,)), starts, counts)
    zigzag = _zigzag(delta)
    width = _widths(np.maximum.reduceat(zigzag, starts))
    code |= np.where(width > 0, width | (order << np.uint8(4)), 0).astype(np.uint8)
    raw = zigzag.view(np.uint8).reshape(len(zigzag), -1)
    planes = [np.ascontiguousarray(raw[:, plane]).data for plane in range(int(width.max()))]
    # a divided constant has its flag in `code`, so that it counts as present and is multiplied back
    return _Coded(code, base, width, planes)


def _divide(value: Array, divisor: int, starts: IntArray, counts: IntArray) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Divide the groups in which every value is a multiple; return which those are."""
    quotient = value // divisor
    odd = quotient * divisor != value
    if not odd.any():
        return quotient, np.ones(len(starts), np.bool_)
    whole = ~np.logical_or.reduceat(odd, starts)
    if not whole.any():
        return value, whole
    return np.where(np.repeat(whole, counts), quotient, value), whole


def _differences(
    value: Array, orders: tuple[int, ...], starts: IntArray, counts: IntArray
) -> tuple[Array, npt.NDArray[np.uint8]]:
    """Differences in the cheaper order of each group, 0 in a group's first row; and that order."""
    made: list[Array] = []
    for order in orders:
        if order == 0:
            made.append(value - np.repeat(value[starts], counts))
            continue
        delta = made[0] if order == 2 and orders[0] == 1 else _step(value, starts)
        made.append(delta if order == 1 else _step(delta, starts))
    if len(orders) == 1:
        return made[0], np.full(len(starts), orders[0], np.uint8)
    costs = [np.add.reduceat(np.abs(delta), starts, dtype=np.float64) for delta in made]
    second = costs[1] < costs[0]
    order_of = np.where(second, orders[1], orders[0]).astype(np.uint8)
    if second.all():
        return made[1], order_of
    if not second.any():
        return made[0], order_of
    return np.where(np.repeat(second, counts), made[1], made[0]), order_of


def _step(values: Array, starts: IntArray) -> Array:
    delta = np.empty_like(values)
    np.subtract(values[1:], values[:-1], out=delta[1:])
    delta[starts] = 0
    return delta


def _extras(rows: Rows, starts: IntArray, counts: IntArray) -> dict[int, bytes]:
    """Encoded extras by group."""
    if not rows.extra:
        return {}
    tight = rows.extra.tight()
    bounds = tight.rows.searchsorted(np.append(starts, rows.count))
    ends = np.append(tight.start, len(tight.blob))[bounds].tolist()
    texts = tight.blob.data
    made: dict[int, bytes] = {}
    groups = zip(starts.tolist(), counts.tolist(), bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    for group, (start, count, first, end) in enumerate(groups):
        if first == end:
            continue
        parts: list[bytes | memoryview] = [_COUNT.pack(end - first)]
        if end - first < count:
            parts.append(_planes(tight.rows[first:end] - start))
        parts += [_planes(tight.size[first:end]), texts[ends[group] : ends[group + 1]]]
        made[group] = b"".join(parts)
    return made


def _planes(values: IntArray) -> bytes:
    """Four byte planes, lowest first."""
    return values.astype("<u4").view(np.uint8).reshape(-1, 4).T.tobytes()


def _of_planes(payload: bytes, at: int, count: int) -> IntArray:
    planes = np.frombuffer(payload, np.uint8, 4 * count, at).reshape(4, count)
    return np.ascontiguousarray(planes.T).view("<u4").ravel().astype(np.int64)


def _extras_of(payload: bytes, at: int, rows: int) -> tuple[Extras, int]:
    """The extras of a frame of `rows` rows, and where they end."""
    (count,) = _COUNT.unpack_from(payload, at)
    at += _COUNT.size
    if not 0 < count <= rows:
        raise ValueError("a number of extras that cannot be")
    held = np.arange(rows)
    if count < rows:
        held = _of_planes(payload, at, count)
        at += 4 * count
        if int(held[-1]) >= rows or not bool((held[1:] > held[:-1]).all()):
            raise ValueError("extras of rows that cannot be")
    size = _of_planes(payload, at, count)
    at += 4 * count
    total = int(size.sum())
    return Extras.packed(
        held, size, np.frombuffer(payload, np.uint8, total, at) if total else NO_EXTRAS.blob
    ), at + total


def _extras_of_1(payload: bytes, at: int, rows: int) -> tuple[Extras, int]:
    """The same as it was written before."""
    (count,) = _COUNT.unpack_from(payload, at)
    at += _COUNT.size
    found: dict[int, bytes] = {}
    for _ in range(count):
        row, length = _EXTRA.unpack_from(payload, at)
        at += _EXTRA.size
        if row >= rows or at + length > len(payload):
            raise ValueError("an extra that cannot be")
        found[row] = payload[at : at + length]
        at += length
    return Extras.of(found), at


def decode_many(frames: Sequence[bytes], *, only: frozenset[str] | None = None) -> tuple[Rows, IntArray]:
    """The rows of all `frames`, one after the other, and how many each has.

    `only` names the columns wanted; the others are left at their defaults, extras too.
    Raises Corrupt when a frame is not one.
    """
    decompress = zstandard.ZstdDecompressor().decompress
    try:
        payloads = [decompress(frame) for frame in frames]
        return _Decoder(payloads, only).rows()
    except (zstandard.ZstdError, struct.error, ValueError, IndexError) as error:
        raise Corrupt(f"not a chunk of points: {error}", mend="Run `lucheng store check`.") from error


class _Decoder:
    """Collects the cells and planes of all payloads, then undoes the transforms column by column."""

    def __init__(self, payloads: list[bytes], only: frozenset[str] | None) -> None:
        groups = len(payloads)
        self._wanted = [only is None or name in only for name in NAMES]
        self._with_extra = only is None
        heads = [_HEAD.unpack_from(payload, 0) for payload in payloads]
        self._counts = np.array([head[1] for head in heads], np.int64)
        if groups and not 0 < int(self._counts.min()) <= int(self._counts.max()) <= MAX_FRAME_ROWS:
            raise ValueError("a number of rows that cannot be")
        self._total = int(self._counts.sum())
        self._starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(self._counts)[:-1]))[:groups]
        self._code = [bytearray(groups) for _ in NAMES]
        self._base = [[default] * groups for default in DEFAULTS.values()]
        self._planes: dict[tuple[int, int], bytearray] = {}
        self._extra: list[tuple[int, Extras]] = []
        start = 0
        for group, (payload, (present, count)) in enumerate(zip(payloads, heads, strict=True)):
            self._collect(group, payload, present, start, count)
            start += count

    def _collect(self, group: int, payload: bytes, present: int, start: int, count: int) -> None:
        at = _HEAD.size
        held: list[tuple[int, int]] = []
        left = present & ~(_EXTRA_BIT | _EXTRA_BIT_1)
        while left:
            column = (left & -left).bit_length() - 1
            left &= left - 1
            code, base_width = payload[at], payload[at + 1]
            at += 2
            zigzag = int.from_bytes(payload[at : at + base_width], "little")
            at += base_width
            self._code[column][group] = code
            self._base[column][group] = (zigzag >> 1) ^ -(zigzag & 1)
            if code & 15:
                held.append((column, code & 15))
        if at + count * sum(width for _, width in held) > len(payload):
            raise ValueError("too short")
        for column, width in held:
            if not self._wanted[column]:
                at += width * count
                continue
            for plane in range(width):
                buffer = self._planes.get((column, plane))
                if buffer is None:
                    buffer = self._planes[column, plane] = bytearray(self._total)
                buffer[start : start + count] = payload[at : at + count]
                at += count
        extra = NO_EXTRAS
        if present & _EXTRA_BIT:
            extra, at = _extras_of(payload, at, count)
        elif present & _EXTRA_BIT_1:
            extra, at = _extras_of_1(payload, at, count)
        if at != len(payload):
            raise ValueError("lengths do not add up")
        self._extra.append((count, extra if self._with_extra else NO_EXTRAS))

    def rows(self) -> tuple[Rows, IntArray]:
        columns: dict[str, Value] = {}
        for index, name in enumerate(NAMES):
            columns[name] = self._column(index) if self._wanted[index] else DEFAULTS[name]
        return Rows(self._total, columns, Extras.concat(self._extra)), self._counts

    def _column(self, index: int) -> Value:
        code = np.frombuffer(self._code[index], np.uint8)
        divisor = np.where(code >> 6, _DIVISORS.get(NAMES[index], 1), 1)
        base = np.array(self._base[index], np.int64) * divisor
        highest = int((code & 15).max(initial=0))
        if not highest:
            if not len(base) or bool((base == base[0]).all()):
                return int(base[0]) if len(base) else DEFAULTS[NAMES[index]]
            return np.repeat(base, self._counts)
        zigzag = np.frombuffer(self._planes[index, 0], np.uint8).astype(np.uint64)
        for plane in range(1, highest):
            zigzag |= np.frombuffer(self._planes[index, plane], np.uint8).astype(np.uint64) << np.uint64(8 * plane)
        values = (zigzag >> np.uint64(1)).view(np.int64) ^ -(zigzag & np.uint64(1)).view(np.int64)
        order = (code >> 4) & 3
        for step in (2, 1):
            summed = order >= step
            if summed.all():
                values = self._running(values)
            elif summed.any():
                values = np.where(np.repeat(summed, self._counts), self._running(values), values)
        if bool((divisor != 1).any()):
            values *= divisor[0] if bool((divisor == divisor[0]).all()) else np.repeat(divisor, self._counts)
        values += base[0] if len(base) == 1 else np.repeat(base, self._counts)
        return values

    def _running(self, values: IntArray) -> IntArray:
        """Running sums that start anew in each group (a group's first value is 0)."""
        summed = np.cumsum(values)
        if len(self._starts) > 1:
            summed -= np.repeat(summed[self._starts], self._counts)
        return summed
