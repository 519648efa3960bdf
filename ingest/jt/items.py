"""`walk`: number-length-value items of many bodies, found side by side.

Purpose: one step of NumPy for the k-th item of all bodies, instead of one Python step for each item. Invariants: it
stays within each body; a body whose items do not fit says where they end to do so; it never raises. It reads no value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ingest.jt.bcd import IntArray
from ingest.jt.columns import BytesArray

#: So many bodies or fewer are walked one by one: a step of NumPy costs as much as some twenty steps of Python.
_FEW = 12
#: Bytes of an item's head, in either form: number u8 and length u8, or length u16 alone.
HEAD_BYTES = 2


@dataclass(slots=True)
class Items:
    """Items, k of them; those of one row in the order they stand in. All int64.

    Attributes:
        row: index of the body, (k,).
        kind: number of the item, 0 where items have none.
        at, size: where its value stands and how many bytes it has.
        rest: rows that hold something that is no whole item, (r,).
        rest_at: where that begins.
    """

    row: IntArray
    kind: IntArray
    at: IntArray
    size: IntArray
    rest: IntArray
    rest_at: IntArray


def walk(data: BytesArray, at: IntArray, end: IntArray, *, most: int, wide: bool = False) -> Items:
    """Find the items between each `at` and `end` (int64 (n,)).

    Args:
        data: all bytes, with at least two behind the last end.
        at: where the items of each body begin.
        end: where they end.
        most: items of one body; more are left to `rest`.
        wide: items are length u16 and value, else number u8, length u8 and value.
    """
    steps: list[tuple[IntArray, IntArray, IntArray, IntArray]] = []
    stuck: list[tuple[IntArray, IntArray]] = []
    rows = (at < end).nonzero()[0]
    at, end = at[rows], end[rows]
    count = 0
    while len(rows) > _FEW and count < most:
        count += 1
        kind: IntArray = data[at].astype(np.int64)
        size: IntArray = data[at + 1].astype(np.int64)
        if wide:
            size += kind << 8
            kind = np.zeros_like(size)
        value = at + HEAD_BYTES
        after = value + size
        fits = after <= end
        if not fits.all():
            stuck.append((rows[~fits], at[~fits]))
            rows, kind, value, size, after, end = (one[fits] for one in (rows, kind, value, size, after, end))
        steps.append((rows, kind, value, size))
        more = after < end
        if more.all():
            at = after
        else:
            rows, at, end = rows[more], after[more], end[more]
    if len(rows) and count < most:
        found, left = _one_by_one(data, rows, at, end, most - count, wide=wide)
        steps.append(found)
        stuck.append(left)
    elif len(rows):
        stuck.append((rows, at))
    row, kind, value, size = (_joined([step[k] for step in steps]) for k in range(4))
    return Items(row, kind, value, size, _joined([one[0] for one in stuck]), _joined([one[1] for one in stuck]))


def _joined(arrays: list[IntArray]) -> IntArray:
    if len(arrays) == 1:
        return arrays[0]
    return np.concatenate(arrays) if arrays else np.zeros(0, np.int64)


def _one_by_one(
    data: BytesArray, rows: IntArray, at: IntArray, end: IntArray, most: int, *, wide: bool
) -> tuple[tuple[IntArray, IntArray, IntArray, IntArray], tuple[IntArray, IntArray]]:
    """The same for a few rows; `most` is at least 1."""
    memory = data.data
    found: list[tuple[int, int, int, int]] = []
    left: list[tuple[int, int]] = []
    for row, begin, last in zip(rows.tolist(), at.tolist(), end.tolist(), strict=True):
        place, count = begin, 0
        while place < last:
            kind, size = memory[place], memory[place + 1]
            if wide:
                kind, size = 0, kind << 8 | size
            if place + HEAD_BYTES + size > last or count == most:
                left.append((row, place))
                break
            found.append((row, kind, place + HEAD_BYTES, size))
            place += HEAD_BYTES + size
            count += 1
    made = np.array(found, np.int64).reshape(-1, 4).T
    over = np.array(left, np.int64).reshape(-1, 2).T
    return (made[0], made[1], made[2], made[3]), (over[0], over[1])
