"""Text fields to numbers, a whole column at a time.

Purpose: the hot path of the file readers. A field is eight bytes loaded as one integer, its digits are summed
inside the word (three multiplications for eight digits), and whether it held only digits is checked in the
same word. Invariant: a row is `ok` only when every byte of the field was what it should be; anything else, right or wrong,
is left to the careful row reader (`ingest.files.rows`). Decimals of at most 15 digits come out as the float nearest to
the text (a whole number over a power of ten, both exact), which is what Python's own `float` gives.

The eight-digit sum is the well-known SWAR method: pairs, then quads, then eight digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
Index = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: Bytes before and after the text that may be loaded with a field but never belong to it.
PAD = b"\n" * 24


def _every(byte: int) -> np.uint64:
    return np.uint64(int.from_bytes(bytes([byte]) * 8, "little"))


_ZEROS = _every(ord("0"))
_DOTS = _every(ord(".") ^ ord("0"))
_LOW7 = _every(0x7F)
_HIGH = _every(0x80)
_OVER9 = _every(0x76)
_FIRST = np.uint64(1)
_SEVEN, _EIGHT, _SIXTEEN, _THIRTYTWO, _FIFTYSIX = (np.uint64(n) for n in (7, 8, 16, 32, 56))
_PAIR, _QUAD, _OCTET = (np.uint64(n) for n in ((10 << 8) + 1, (100 << 16) + 1, (10_000 << 32) + 1))
_PAIRS, _QUADS = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF)
_PLACES = np.uint64(0x0706050403020100)
#: keep[n]: the last n bytes of a word (the last n characters of a field).
_KEEP_LAST = np.array([((1 << 64) - 1) ^ ((1 << 8 * (8 - n)) - 1) for n in range(9)], dtype=np.uint64)
#: keep[n]: the first n bytes of a word.
_KEEP_FIRST = np.array([(1 << 8 * n) - 1 for n in range(9)], dtype=np.uint64)
_POWERS = 10.0 ** np.arange(17)
_WHOLE_POWERS = 10 ** np.arange(17, dtype=np.int64)
_MAX_DIGIT_BYTES = 16
#: A double holds every whole number up to here.
_EXACT = 1 << 53
_LONG_BYTES = 24


@dataclass(frozen=True, slots=True)
class Text:
    """A block of text that fields are cut from: its bytes, padded by `PAD`, and the word at each byte."""

    raw: npt.NDArray[np.uint8]
    words: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, lines: bytes) -> Text:
        """Wrap `lines`; positions in it are shifted by len(PAD)."""
        padded = b"".join((PAD, lines, PAD))
        raw = np.frombuffer(padded, np.uint8)
        words: U64 = np.ndarray((len(padded) - 7,), np.dtype("<u8"), padded, strides=(1,))
        return cls(raw, words)

    def cut(self, start: int, end: int) -> bytes:
        """Bytes of one field or line."""
        return self.raw[start:end].tobytes()


def _sum8(digits: U64) -> npt.NDArray[np.int64]:
    """Value of eight decimal digits, one per byte, the first in the lowest byte."""
    pairs = (digits * _PAIR) >> _EIGHT
    quads = ((pairs & _PAIRS) * _QUAD) >> _SIXTEEN
    whole: U64 = ((quads & _QUADS) * _OCTET) >> _THIRTYTWO
    return whole.view(np.int64)


def _wrong(digits: U64) -> U64:
    """Not zero where a byte is over nine."""
    return ((digits + _OVER9) | digits) & _HIGH


def _last(text: Text, end: Index, length: Index) -> U64:
    """The last eight bytes of fields of `length` bytes, '0' taken off each, other bytes 0."""
    keep = _KEEP_LAST[np.clip(length, 0, 8)]
    return (text.words[end - 8] ^ _ZEROS) & keep


def digits(text: Text, start: Index, end: Index) -> tuple[npt.NDArray[np.int64], Mask]:
    """Whole numbers without a sign, of 1 to 16 digits.

    Returns: values int64 (n,), ok (n,).
    """
    length = end - start
    low = _last(text, end, length)
    wrong = _wrong(low)
    value = _sum8(low)
    if int(length.max(initial=0)) > 8:
        high = _last(text, end - 8, length - 8)
        wrong |= _wrong(high)
        value = value + _sum8(high) * _WHOLE_POWERS[8]
    return value, (wrong == 0) & (length > 0) & (length <= _MAX_DIGIT_BYTES)


def decimals(text: Text, start: Index, end: Index) -> tuple[npt.NDArray[np.float64], Mask]:
    """Decimal numbers `-?digits[.digits]` without an exponent, of up to 24 characters.

    Returns: values float64 (n,), exactly rounded; ok (n,).
    """
    negative = text.raw[start] == ord("-")
    start = start + negative
    length = end - start
    low = _last(text, end, length)
    # An exact search for the dot: the high bit of each byte that is one.
    other = low ^ _DOTS
    dot = ~((((other & _LOW7) + _LOW7) | other) | _LOW7)
    mark = dot >> _SEVEN
    places = (mark * _PLACES) >> _FIFTYSIX
    joined = (low & ~((dot << _FIRST) - _FIRST)) | ((low & (mark - _FIRST)) << _EIGHT)
    has_dot = dot != 0
    low = np.where(has_dot, joined, low)
    wrong = _wrong(low) | (dot & (dot - _FIRST))
    whole = _sum8(low)
    if int(length.max(initial=0)) > 8:
        high = _last(text, end - 8, length - 8)
        wrong |= _wrong(high)
        whole = whole + _sum8(high) * np.where(has_dot, _WHOLE_POWERS[7], _WHOLE_POWERS[8])
    ok = (wrong == 0) & (length > has_dot) & (length <= _MAX_DIGIT_BYTES) & (whole < _EXACT)
    value = whole / _POWERS[places.view(np.int64)]
    long = np.flatnonzero(~ok & (length > 9) & (length <= _LONG_BYTES))
    if len(long):
        value[long], ok[long] = _long_decimals(text, start[long], length[long])
    return np.where(negative, -value, value), ok


def _long_decimals(text: Text, start: Index, length: Index) -> tuple[npt.NDArray[np.float64], Mask]:
    """Decimals with more digits than a word sums exactly, by the C library, after a check of every byte."""
    at = np.arange(_LONG_BYTES)
    chars = text.raw[np.minimum(start[:, None] + at, len(text.raw) - 1)]
    inside = at < length[:, None]
    chars = np.where(inside, chars, 0)
    is_dot = chars == ord(".")
    is_digit = (chars >= ord("0")) & (chars <= ord("9"))
    ok = (is_digit | is_dot | ~inside).all(axis=1) & (is_dot.sum(axis=1) <= 1) & is_digit.any(axis=1)
    chars[~ok] = 0
    chars[~ok, 0] = ord("0")
    fields = np.ascontiguousarray(chars, np.uint8).view(f"S{_LONG_BYTES}")[:, 0]
    return fields.astype(np.float64), ok


def flag(text: Text, start: Index, end: Index) -> tuple[Mask, Mask]:
    """`0` or `1`.

    Returns: values bool (n,), ok (n,).
    """
    byte = text.raw[start]
    return byte == ord("1"), (end - start == 1) & ((byte == ord("0")) | (byte == ord("1")))


def words_of(text: Text, start: Index, end: Index, count: int) -> list[U64]:
    """The fields' bytes as `count` words each, zero-padded: two fields of up to 8 * count bytes are equal where all words are."""
    length = end - start
    last = len(text.words) - 1
    return [
        text.words[np.minimum(start + 8 * k, last)] & _KEEP_FIRST[np.clip(length - 8 * k, 0, 8)] for k in range(count)
    ]


def chars(text: Text, start: Index, width: int) -> npt.NDArray[np.uint8]:
    """The first `width` bytes from each start, shape (n, width)."""
    at = np.minimum(start[:, None] + np.arange(width), len(text.raw) - 1)
    matrix: npt.NDArray[np.uint8] = text.raw[at]
    return matrix


def digits_at(matrix: npt.NDArray[np.uint8], columns: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """The number that the digits in these columns spell, shape (n,); only right where `pattern` held."""
    value = np.zeros(len(matrix), np.int64)
    for column in columns:
        value = value * 10 + (matrix[:, column].astype(np.int64) - ord("0"))
    return value


def pattern(matrix: npt.NDArray[np.uint8], shape: bytes) -> Mask:
    """Whether each row has the shape: `0` stands for any digit, every other byte for itself."""
    ok = np.ones(len(matrix), np.bool_)
    for column, byte in enumerate(shape):
        here: npt.NDArray[Any] = matrix[:, column]
        ok &= ((here >= ord("0")) & (here <= ord("9"))) if byte == ord("0") else here == byte
    return ok
