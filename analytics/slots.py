"""`Slots`: what one rule remembers of each device, as arrays indexed by slot.

Purpose: one way to declare, grow, save and restore such memory. Invariants: every array has `capacity` rows;
a device never seen has the field's `empty` value; bytes are canonical (equal memory, equal bytes) and sparse
where few devices have anything to remember. It decides nothing and reads no file.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.errors import Corrupt

_HEAD = struct.Struct("<IH")
_PART = struct.Struct("<BI")
_DENSE, _SPARSE = 0, 1
#: Bytes that say more slots than this are not read: a torn head must not take the memory.
MAX_SLOTS = 4_194_304
FIRST_CAPACITY = 1_024


@dataclass(frozen=True, slots=True)
class Field:
    """One array: name (unit last), dtype, value of a device never seen, what it holds, columns (1: shape (n,), else (n, width))."""

    name: str
    dtype: str
    empty: float
    meaning: str
    width: int = 1


class Slots:
    """Arrays by slot, made from a table of fields.

    Args:
        fields: the table; names are unique.

    `memory["name"]` is the array; take it anew after `grow`, which may replace it.
    """

    def __init__(self, fields: tuple[Field, ...]) -> None:
        self.fields = fields
        self.capacity = 0
        self._arrays: dict[str, npt.NDArray[Any]] = {field.name: _made(field, 0) for field in fields}

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self._arrays[name]

    def grow(self, slots: int) -> None:
        """Make room for slots below `slots`; capacity doubles, what is known stays."""
        if slots <= self.capacity:
            return
        capacity = max(slots, 2 * self.capacity, FIRST_CAPACITY)
        for field in self.fields:
            grown = _made(field, capacity)
            grown[: self.capacity] = self._arrays[field.name]
            self._arrays[field.name] = grown
        self.capacity = capacity

    def to_bytes(self) -> bytes:
        """Everything."""
        filled = [_filled(field, self._arrays[field.name]) for field in self.fields]
        slots = max((int(np.flatnonzero(one)[-1]) + 1 for one in filled if one.any()), default=0)
        parts: list[bytes] = [_HEAD.pack(slots, len(self.fields))]
        for field, some in zip(self.fields, filled, strict=True):
            array = self._arrays[field.name][:slots]
            row_bytes = array.dtype.itemsize * field.width
            count = int(np.count_nonzero(some))
            if count * (row_bytes + 4) < slots * row_bytes:
                where = np.flatnonzero(some)
                parts += [_PART.pack(_SPARSE, count), where.astype("<u4").tobytes(), array[where].tobytes()]
            else:
                parts += [_PART.pack(_DENSE, slots), np.ascontiguousarray(array).tobytes()]
        return b"".join(parts)

    def restore(self, raw: bytes | memoryview) -> None:
        """Take over what `to_bytes` wrote; raises Corrupt when it is none, and then nothing has changed."""
        try:
            slots, arrays = self._read(memoryview(raw))
        except (struct.error, ValueError, IndexError) as error:
            raise Corrupt(f"Not a rule's memory: {error}.", mend="It is made anew from what comes in.") from error
        self.capacity = slots
        self._arrays = arrays

    def _read(self, view: memoryview) -> tuple[int, dict[str, npt.NDArray[Any]]]:
        slots, count = _HEAD.unpack_from(view, 0)
        if slots > MAX_SLOTS or count != len(self.fields):
            raise ValueError("head")
        at = _HEAD.size
        arrays: dict[str, npt.NDArray[Any]] = {}
        for field in self.fields:
            mode, rows = _PART.unpack_from(view, at)
            at += _PART.size
            array = _made(field, slots)
            where: Any = slice(0, slots)
            if mode == _SPARSE:
                where = np.frombuffer(view, "<u4", rows, at)
                at += 4 * rows
                if rows and int(where.max()) >= slots:
                    raise ValueError(f"{field.name} has a slot that is not there")
            elif mode != _DENSE or rows != slots:
                raise ValueError(f"unknown mode {mode}")
            values = np.frombuffer(view, field.dtype, rows * field.width, at)
            at += values.nbytes
            array[where] = values.reshape(rows, field.width) if field.width > 1 else values
            arrays[field.name] = array
        if at != len(view):
            raise ValueError("trailing bytes")
        return slots, arrays


def _made(field: Field, rows: int) -> npt.NDArray[Any]:
    return np.full((rows, field.width) if field.width > 1 else rows, field.empty, dtype=field.dtype)


def _filled(field: Field, array: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    filled = ~np.isnan(array) if np.isnan(field.empty) else array != array.dtype.type(field.empty)
    some: npt.NDArray[np.bool_] = filled.any(axis=1) if field.width > 1 else filled
    return some
