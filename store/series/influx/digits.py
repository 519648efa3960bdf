"""Columns of numbers as columns of ASCII, without a Python step per row.

Purpose: what `line_protocol` puts its lines together from. A piece is an array of words of one width, one for each row;
zero bytes in it are no text and are squeezed out at the end, so that numbers of different length share a width.
Digits come from tables: a number is cut into groups of four digits, each group is one look-up.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]

_GROUP = 10_000
_GROUP_DIGITS = 4
_MILLI = 1_000


def _table(texts: list[bytes], width: int) -> Array:
    """Words of `width` bytes, texts padded with zero bytes, as unsigned integers."""
    return np.array(texts, f"S{width}").view(f"<u{width}")


_FULL = [f"{n:04d}".encode() for n in range(_GROUP)]
_SHORT = [str(n).encode() for n in range(_GROUP)]
#: First group, 0 as nothing · first group, 0 as "0" · a group behind another (index + _GROUP).
_FIRST = _table([b"", *_SHORT[1:], *_FULL], 4)
_LAST = _table([*_SHORT, *_FULL], 4)
_THREE = [f"{n:03d}".encode() for n in range(_MILLI)]
_POINT_THREE = _table([b"." + text for text in _THREE], 4)
_THREE_MORE = _table(_THREE, 4)
_MINUS = np.array([0, ord("-")], np.uint8)
#: Tenths; none is nothing.
_TENTH = _table([b"", *[f".{n}".encode() for n in range(1, 10)]], 2)
#: Thousandths without the zeros at their end.
_THOUSANDTHS = _table([f".{n:03d}".encode().rstrip(b"0").rstrip(b".") for n in range(_MILLI)], 4)


def whole(values: IntArray) -> list[Array]:
    """Pieces of integers of any sign and size, no zeros before them."""
    lowest, highest = int(values.min()), int(values.max())
    pieces: list[Array] = []
    left: Array = values
    if lowest < 0:
        pieces.append(_MINUS[(values < 0).view(np.uint8)])
        left = np.abs(values).view(np.uint64)  # the smallest integer stays itself, which is right as an unsigned one
        highest = max(highest, -lowest)
    elif highest < 1 << 32:
        left = values.astype(np.uint32)
    return pieces + _groups(left, highest)


def whole_unsigned(values: npt.NDArray[np.uint64]) -> list[Array]:
    """Pieces of unsigned integers."""
    return _groups(values, int(values.max()))


def _groups(values: Array, highest: int) -> list[Array]:
    if highest < _GROUP:
        return [_LAST[values]]
    groups: list[Array] = []
    upper = []  # what stands before each group
    while True:
        rest = values // values.dtype.type(_GROUP)
        groups.append(values - rest * values.dtype.type(_GROUP))
        upper.append(rest)
        values, highest = rest, highest // _GROUP
        if highest < _GROUP:
            break
    pieces = [_FIRST[values]]
    for at in range(len(groups) - 1, -1, -1):
        behind = (upper[at] != 0) * np.uint32(_GROUP)
        pieces.append((_FIRST if at else _LAST)[groups[at].astype(np.uint32) + behind])
    return pieces


def padded(values: IntArray, groups: int) -> list[Array]:
    """Pieces of integers >= 0 with zeros before them, `groups` times four digits."""
    pieces: list[Array] = []
    for _ in range(groups):
        rest = values // _GROUP
        pieces.append(_LAST[values - rest * _GROUP + _GROUP])
        values = rest
    return pieces[::-1]


def three(values: IntArray) -> Array:
    """A piece of 0 to 999 with zeros before it."""
    return _THREE_MORE[values]


def millionths(values: IntArray) -> list[Array]:
    """Pieces of 1e-6 units with six decimals."""
    size, sign = _sized(values)
    units = size // size.dtype.type(1_000_000)
    left = size - units * size.dtype.type(1_000_000)
    upper = left // size.dtype.type(_MILLI)
    tail = [_POINT_THREE[upper], _THREE_MORE[left - upper * size.dtype.type(_MILLI)]]
    return [*sign, *_groups(units, int(units.max())), *tail]


def _sized(values: IntArray) -> tuple[Array, list[Array]]:
    """Sizes of numbers in the smallest type that is quick to divide, and a piece with their signs, if any has one."""
    lowest, highest = int(values.min()), int(values.max())
    if lowest >= 0:
        return (values.astype(np.uint32) if highest < 1 << 32 else values), []
    return np.abs(values), [_MINUS[(values < 0).view(np.uint8)]]


def tenths(values: IntArray) -> list[Array]:
    """Pieces of 0.1 units with one decimal, none where it is 0."""
    size, sign = _sized(values)
    units = size // size.dtype.type(10)
    left = size - units * size.dtype.type(10)
    return [*sign, *_groups(units, int(units.max())), *([_TENTH[left]] if left.any() else [])]


def floats(values: npt.NDArray[np.float64]) -> list[Array]:
    """Pieces of finite floats that read back as the very same: thousandths by tables, others as Python writes them."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(values * _MILLI)
    if bool((np.abs(scaled) < 1 << 53).all()) and bool((scaled / _MILLI == values).all()):
        size = np.abs(scaled).astype(np.int64)
        units = size // _MILLI
        sign = [_MINUS[(scaled < 0).view(np.uint8)]] if bool((scaled < 0).any()) else []
        return [*sign, *_groups(units, int(units.max())), _THOUSANDTHS[size - units * _MILLI]]
    return [np.array([repr(value).encode() for value in values.tolist()])]
