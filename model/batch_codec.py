r"""`PointBatch` to bytes and back, for the log and the open part of the series store.

Purpose: as few bytes and as little CPU as columns allow. Each column is kept as a constant, as
integers of the narrowest width above its minimum (with one value for NaN where there are any), or raw. Floats are kept at the store's
resolution (1e-6°, 0.1 km/h, 0.1°) when every value fits; a column with anything else (infinite,
far out of range) is kept raw, so that what was received is what is judged. It does not compress:
sealed data has its own format in `store/series`.

Layout, little-endian: `b"LB2\0"`, rows u32, then per column in `COLUMNS` order: mode u8 and data; then extras: count u32
and, unless that is 0, for count < rows their rows u32, then their lengths u32, then their texts. Read, and no longer
written: `b"LB1\0"`, where each extra stands by itself as row u32, length u32, bytes.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from model.batch import COLUMNS, Column, PointBatch
from model.errors import Corrupt
from model.extras import NO_EXTRAS, Extras

MAGIC, _MAGIC_1 = b"LB2\0", b"LB1\0"
_HEAD = struct.Struct("<4sI")
_EXTRA = struct.Struct("<II")
_COUNT = struct.Struct("<I")
_I64 = struct.Struct("<q")
_RAW, _CONSTANT, _NARROW, _NARROW_NAN = 0, 1, 2, 3
_WIDTHS = ((1, np.uint8, 1 << 8), (2, np.uint16, 1 << 16), (4, np.uint32, 1 << 32))
#: Rows of one batch: keeps a damaged count from asking for all memory.
MAX_ROWS = 1 << 20
#: Fixed-point values beyond this (in stored units) are kept raw; far above 360e6 and any speed.
_FIXED_LIMIT = 1 << 40


def encode(batch: PointBatch) -> bytes:
    """Bytes of `batch`; `decode` gives the same rows back at the store's resolution.

    Raises ValueError when it has more than `MAX_ROWS` rows.
    """
    rows = len(batch)
    if rows > MAX_ROWS:
        raise ValueError(f"{rows} rows in one batch, {MAX_ROWS} are allowed")
    parts: list[bytes] = [_HEAD.pack(MAGIC, rows)]
    if rows:
        for column in COLUMNS:
            _encode_column(parts, batch.column(column.name), column)
    parts += encode_extras(batch.extra, rows)
    return b"".join(parts)


def encode_extras(extras: Extras, rows: int) -> list[bytes]:
    """The texts of a batch of `rows` rows, as the layout says."""
    count = len(extras)
    if not count:
        return [_COUNT.pack(0)]
    tight = extras.tight()
    parts = [_COUNT.pack(count)] if count == rows else [_COUNT.pack(count), tight.rows.astype("<u4").tobytes()]
    return [*parts, tight.size.astype("<u4").tobytes(), tight.blob.tobytes()]


def decode_extras(view: memoryview, at: int, rows: int) -> tuple[Extras, int]:
    """What `encode_extras` wrote at `at`, and where it ends. Raises struct.error, ValueError."""
    (count,) = _COUNT.unpack_from(view, at)
    at += _COUNT.size
    if not count:
        return NO_EXTRAS, at
    if count > rows:
        raise ValueError("more extras than rows")
    held = np.arange(rows)
    if count < rows:
        held = np.frombuffer(view, "<u4", count, at).astype(np.int64)
        at += 4 * count
        if int(held[-1]) >= rows or not bool((held[1:] > held[:-1]).all()):
            raise ValueError("extras of rows that cannot be")
    size = np.frombuffer(view, "<u4", count, at).astype(np.int64)
    at += 4 * count
    total = int(size.sum())
    return Extras.packed(held, size, np.frombuffer(view, np.uint8, total, at) if total else NO_EXTRAS.blob), at + total


def _encode_column(parts: list[bytes], values: npt.NDArray[Any], column: Column) -> None:
    first = values[:1]
    if bool((values == first).all()) or (column.scale and bool(np.isnan(values).all())):
        parts.append(bytes((_CONSTANT,)) + first.tobytes())
        return
    mode = _NARROW
    missing: npt.NDArray[np.bool_] | None = None
    if column.scale:
        missing = np.isnan(values)
        with np.errstate(over="ignore"):  # an absurd value becomes infinite here, and the column stays raw
            scaled = np.rint(values.astype(np.float64, copy=False) * column.scale)
        if missing.any():
            mode = _NARROW_NAN
            scaled[missing] = scaled[~missing].min()
        fits = bool(scaled.min() > -_FIXED_LIMIT) and bool(scaled.max() < _FIXED_LIMIT)
        whole = scaled.astype(np.int64) if fits else None
    else:
        whole = _integers(values)
    if whole is not None:
        low = int(whole.min()) - (mode == _NARROW_NAN)
        span = int(whole.max()) - low
        for width, dtype, limit in _WIDTHS:
            if span < limit:
                narrow = (whole - low).astype(dtype)
                if mode == _NARROW_NAN:
                    narrow[missing] = 0
                parts.append(bytes((mode, width)) + _I64.pack(low) + narrow.tobytes())
                return
    parts.append(bytes((_RAW,)) + values.tobytes())


def _integers(values: npt.NDArray[Any]) -> npt.NDArray[np.int64] | None:
    """The column as int64, or None when its span could overflow."""
    if values.dtype == np.uint64:
        return values.view(np.int64) if int(values.max()) < 1 << 62 else None
    whole = values.astype(np.int64, copy=False)
    low, high = int(whole.min()), int(whole.max())
    return whole if high - low < 1 << 62 else None


#: Bytes that a narrowed value may have.
_NARROW_BYTES = (1, 2, 4, 8)


def decode(raw: bytes | memoryview) -> PointBatch:
    """The batch in `raw`; arrays may be read-only views of it. Raises Corrupt when it is not one."""
    try:
        return _decode(memoryview(raw))
    except (struct.error, ValueError, IndexError, OverflowError) as error:
        raise Corrupt(f"not a point batch: {error}", mend="Run `lucheng store check`.") from error


def _decode(view: memoryview) -> PointBatch:
    magic, rows = _HEAD.unpack_from(view, 0)
    if magic not in (MAGIC, _MAGIC_1):
        raise ValueError("bad magic")
    if rows > MAX_ROWS:
        raise ValueError("more rows than a batch may have")
    at = _HEAD.size
    columns: dict[str, npt.NDArray[Any]] = {}
    for column in COLUMNS if rows else ():
        columns[column.name] = _decode_column(view, at, rows, column)
        at = _column_end(view, at, rows, column)
    extra, at = (decode_extras if magic == MAGIC else _decode_extras_1)(view, at, rows)
    if at != len(view):
        raise ValueError("trailing bytes")
    return PointBatch.of(rows, columns, extra) if not rows else PointBatch(**columns, extra=extra)


def column_of(raw: bytes | memoryview, name: str) -> npt.NDArray[Any]:
    """One column of the batch in `raw`, shape (rows,), without the others. Raises Corrupt when it is not one."""
    view = memoryview(raw)
    try:
        magic, rows = _HEAD.unpack_from(view, 0)
        if magic not in (MAGIC, _MAGIC_1) or rows > MAX_ROWS:
            raise ValueError("bad head")
        at = _HEAD.size
        for column in COLUMNS:
            if column.name == name:
                return _decode_column(view, at, rows, column) if rows else np.zeros(0, column.dtype)
            at = _column_end(view, at, rows, column) if rows else at
    except (struct.error, ValueError, IndexError, OverflowError) as error:
        raise Corrupt(f"not a point batch: {error}", mend="Run `lucheng store check`.") from error
    raise KeyError(name)


def _column_end(view: memoryview, at: int, rows: int, column: Column) -> int:
    """Where a column that begins at `at` ends. Raises ValueError, IndexError."""
    mode, itemsize = view[at], np.dtype(column.dtype).itemsize
    if mode == _CONSTANT:
        return at + 1 + itemsize
    if mode in (_NARROW, _NARROW_NAN):
        return at + 2 + _I64.size + rows * view[at + 1]
    if mode == _RAW:
        return at + 1 + rows * itemsize
    raise ValueError(f"unknown column mode {mode}")


def _decode_column(view: memoryview, at: int, rows: int, column: Column) -> npt.NDArray[Any]:
    """A column that begins at `at`. Raises struct.error, ValueError, IndexError."""
    dtype = np.dtype(column.dtype)
    mode = view[at]
    at += 1
    if mode == _CONSTANT:
        return np.full(rows, np.frombuffer(view, dtype, 1, at)[0], dtype)
    if mode == _RAW:
        return np.frombuffer(view, dtype, rows, at)
    if mode not in (_NARROW, _NARROW_NAN):
        raise ValueError(f"unknown column mode {mode}")
    width = view[at]
    if width not in _NARROW_BYTES:
        raise ValueError(f"a column of {width} bytes a row")
    low = _I64.unpack_from(view, at + 1)[0]
    at += 1 + _I64.size
    narrow = np.frombuffer(view, f"<u{width}", rows, at)
    whole = narrow.astype(np.int64)
    whole += low
    made: npt.NDArray[Any] = (whole / column.scale).astype(dtype) if column.scale else whole.astype(dtype)
    if mode == _NARROW_NAN:
        made[narrow == 0] = np.nan
    return made


def _decode_extras_1(view: memoryview, at: int, rows: int) -> tuple[Extras, int]:
    (count,) = _COUNT.unpack_from(view, at)
    at += _COUNT.size
    found: dict[int, bytes] = {}
    for _ in range(count):
        row, length = _EXTRA.unpack_from(view, at)
        at += _EXTRA.size
        if row >= rows or at + length > len(view):
            raise ValueError("an extra that cannot be")
        found[row] = bytes(view[at : at + length])
        at += length
    return Extras.of(found), at
