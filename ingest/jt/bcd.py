"""Tables that read packed decimal digits (BCD) two bytes at a time.

Purpose: terminal numbers and times of many frames without a Python step for each. Invariant: bytes that are no
decimal digits, and times that no calendar has, are told apart from every real value; nothing raises.

Times are `YYMMDDhhmmss` of GMT+8 in this century (JT/T 808-2013 4.1 and 8.12, JT/T 905 the same).
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
#: Of a terminal whose number holds no digits, or is over what 64 bits hold.
NO_NUMBER = 2**64 - 1
#: Hours that the protocols' clock is ahead of UTC.
ZONE_H = 8

_DAY_S = 86_400
#: Sums with it stay negative, whatever digits stand beside it.
_NO_DIGITS = -(10**17)
#: Largest first four digits of twenty that still fit 64 bits whatever follows.
_MOST_HIGH = 1_843


def _digits() -> IntArray:
    """Value of each pair of bytes as four digits, `_NO_DIGITS` where one is none. Shape (65536,)."""
    pair = np.arange(65_536)
    nibbles = np.stack([pair >> shift & 15 for shift in (12, 8, 4, 0)])
    return np.where((nibbles < 10).all(axis=0), np.array([1000, 100, 10, 1]) @ nibbles, _NO_DIGITS)


_DIGITS = _digits()


def _calendar() -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """By `YYMM`: the month's first day since 1970, and how many days it has (0: no such month)."""
    first, days = np.zeros(65_536, np.int32), np.zeros(65_536, np.uint8)
    epoch = date(1970, 1, 1)
    for pair in np.flatnonzero(_DIGITS >= 0).tolist():
        year, month = divmod(int(_DIGITS[pair]), 100)
        if 1 <= month <= 12:
            first[pair] = (date(2000 + year, month, 1) - epoch).days
            days[pair] = monthrange(2000 + year, month)[1]
    return first, days


def _halves(low: int, high: int, below: int) -> npt.NDArray[np.bool_]:
    """Which pairs of bytes hold two numbers of two digits, the first in low..high and the second below `below`."""
    first, second = np.divmod(_DIGITS, 100)
    return (_DIGITS >= 0) & (first >= low) & (first <= high) & (second < below)


_MONTH_START, _MONTH_DAYS = _calendar()
#: By `DDhh`: the day, 255 where there is none; and seconds since the month began.
_DAY = np.where(_halves(1, 31, 24), _DIGITS // 100, 255).astype(np.uint8)
_DAY_HOUR_S = ((_DIGITS // 100 - 1) * _DAY_S + _DIGITS % 100 * 3_600).astype(np.int32)
#: By `mmss`: seconds since the hour began, -1 where there are none.
_MINUTE_S = np.where(_halves(0, 59, 60), _DIGITS // 100 * 60 + _DIGITS % 100, -1).astype(np.int32)


def short_number(high: IntArray, middle: IntArray, low: IntArray) -> npt.NDArray[np.uint64]:
    """Numbers of twelve digits, of three pairs of bytes each; `NO_NUMBER` where they are no digits. Shapes (n,)."""
    value = _DIGITS[high] * 10**8 + _DIGITS[middle] * 10**4 + _DIGITS[low]
    number: npt.NDArray[np.uint64] = np.maximum(value, -1).view(np.uint64)
    return number


def long_number(pairs: IntArray) -> npt.NDArray[np.uint64]:
    """Numbers of twenty digits, `pairs` of shape (5, n); `NO_NUMBER` where they are no digits or over 64 bits."""
    parts = _DIGITS[pairs]
    low = parts[1] * 10**12 + parts[2] * 10**8 + parts[3] * 10**4 + parts[4]
    known = (parts >= 0).all(axis=0) & (parts[0] <= _MOST_HIGH)
    value = np.where(known, parts[0], 0).astype(np.uint64) * np.uint64(10**16) + np.where(known, low, 0).astype(
        np.uint64
    )
    return np.where(known, value, np.uint64(NO_NUMBER))


def times_ms(
    year_month: IntArray, day_hour: IntArray, minute_second: IntArray
) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    """UTC ms of times given as three pairs of bytes each, and which of them are times at all. Shapes (n,)."""
    second = _MINUTE_S[minute_second]
    good = (_DAY[day_hour] <= _MONTH_DAYS[year_month]) & (second >= 0)
    days_s = _MONTH_START[year_month].astype(np.int64) * _DAY_S
    return (days_s + _DAY_HOUR_S[day_hour] + second - ZONE_H * 3_600) * 1000, good
