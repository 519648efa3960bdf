"""Times written in files to UTC milliseconds, a column at a time and one by one.

Purpose: RFC 3339, `YYYY-MM-DD HH:MM:SS` in local time and `HH:MM:SS` of a given day. Invariants: only times that are complete
and exist in the calendar are accepted; a local time that occurs twice (clock set back) is the first of
the two, one that does not exist is taken with the offset before the change, as Python's `fold=0` has it. It reads no clock.

Days from the civil date: the usual era arithmetic of the proleptic Gregorian calendar (years starting in March, 400-year eras).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

from ingest.files.fields import Index, Mask, Text, chars, digits_at, pattern
from model.errors import SettingsError

DAY_S = 86_400
_DAY_MS = 86_400_000
#: Years that the column parsers take; others are left to the row reader.
_YEARS = (1900, 2200)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 naive on purpose: seconds of local wall time are counted from it
_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_RFC3339 = re.compile(rb"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)")
_LOCAL = re.compile(rb"(\d{4})-(\d{1,2})-(\d{1,2})[ T](\d{1,2}):(\d{1,2}):(\d{1,2})")
_HMS = re.compile(rb"(\d{1,2}):(\d{1,2}):(\d{1,2})")
_SHAPE = b"0000-00-00 00:00:00"


def zone_of(name: str) -> tzinfo:
    """The time zone of this name. Raises SettingsError when the machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingsError(
            f"{name[:80]!r} is no time zone.",
            mend="Set city.time_zone to an IANA name such as Asia/Shanghai (Debian package tzdata).",
        ) from error


class LocalTime:
    """Local wall time to UTC.

    Args:
        zone: the time zone.
    """

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._days: dict[int, int | None] = {}

    def utc_ms(self, local_s: Index) -> Index:
        """UTC ms of local wall seconds since 1970, shape (n,)."""
        day = local_s // DAY_S
        days, inverse = np.unique(day, return_inverse=True)
        offsets = [self._day_offset_s(d) for d in days.tolist()]
        offset = np.array([o or 0 for o in offsets], np.int64)[inverse]
        for k, known in enumerate(offsets):
            if known is None:
                rows = np.flatnonzero(inverse == k)
                times, back = np.unique(local_s[rows], return_inverse=True)
                offset[rows] = np.array([self._offset_s(t) for t in times.tolist()], np.int64)[back]
        return (local_s - offset) * 1000

    def one(self, local: datetime) -> int:
        """UTC ms of one naive local time."""
        return int(self.utc_ms(np.array([round((local - _EPOCH).total_seconds())], np.int64))[0])

    def _day_offset_s(self, day: int) -> int | None:
        """The day's offset from UTC, or None when it changes within the day."""
        if day not in self._days:
            start, end = self._offset_s(day * DAY_S), self._offset_s((day + 1) * DAY_S)
            self._days[day] = start if start == end else None
        return self._days[day]

    def _offset_s(self, local_s: int) -> int:
        local = (_EPOCH + timedelta(seconds=local_s)).replace(tzinfo=self._zone)
        offset = local.utcoffset()
        return 0 if offset is None else round(offset.total_seconds())


def _civil_s(matrix: npt.NDArray[np.uint8]) -> tuple[Index, Mask]:
    """Seconds since 1970 of `YYYY-MM-DD?HH:MM:SS` rows (separator not looked at); ok where the time exists."""
    shape = bytearray(_SHAPE)
    ok = pattern(matrix[:, :10], bytes(shape[:10])) & pattern(matrix[:, 11:], bytes(shape[11:]))
    year, month, day = digits_at(matrix, (0, 1, 2, 3)), digits_at(matrix, (5, 6)), digits_at(matrix, (8, 9))
    hour, minute, second = (digits_at(matrix, (c, c + 1)) for c in (11, 14, 17))
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    month_days = _MONTH_DAYS[np.clip(month, 0, 12)] + (leap & (month == 2))
    ok &= (year >= _YEARS[0]) & (year < _YEARS[1]) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= month_days)
    ok &= (hour < 24) & (minute < 60) & (second < 60)
    march_year = year - (month <= 2)
    era = march_year // 400
    of_era = march_year - era * 400
    of_year = (153 * (month + np.where(month > 2, -3, 9)) + 2) // 5 + day - 1
    days = era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
    return np.where(ok, days, 0) * DAY_S + np.where(ok, hour * 3600 + minute * 60 + second, 0), ok


def local_column(text: Text, start: Index, end: Index, local: LocalTime) -> tuple[Index, Mask]:
    """UTC ms of `YYYY-MM-DD HH:MM:SS` in local time."""
    matrix = chars(text, start, len(_SHAPE))
    seconds, ok = _civil_s(matrix)
    ok &= (end - start == len(_SHAPE)) & (matrix[:, 10] == ord(" "))
    return local.utc_ms(np.where(ok, seconds, 0)), ok


def clock_column(text: Text, start: Index, end: Index, local: LocalTime, day: date) -> tuple[Index, Mask]:
    """UTC ms of `HH:MM:SS` of one local day."""
    matrix = chars(text, start, 8)
    hour, minute, second = (digits_at(matrix, (c, c + 1)) for c in (0, 3, 6))
    ok = pattern(matrix, b"00:00:00") & (end - start == 8) & (hour < 24) & (minute < 60) & (second < 60)
    base_s = (day - _EPOCH.date()).days * DAY_S
    return local.utc_ms(base_s + np.where(ok, hour * 3600 + minute * 60 + second, 0)), ok


def rfc3339_column(text: Text, start: Index, end: Index) -> tuple[Index, Mask]:
    """UTC ms of RFC 3339 with `Z`, with milliseconds and `Z`, or with an offset; other forms are not ok."""
    matrix = chars(text, start, 25)
    seconds, ok = _civil_s(matrix[:, :19])
    ok &= (matrix[:, 10] == ord("T")) | (matrix[:, 10] == ord(" "))
    length = end - start
    plain = (length == 20) & (matrix[:, 19] == ord("Z"))
    millis = (length == 24) & pattern(matrix[:, 19:24], b".000Z")
    east = matrix[:, 19] == ord("+")
    shifted = (length == 25) & (east | (matrix[:, 19] == ord("-"))) & pattern(matrix[:, 20:25], b"00:00")
    hours, minutes = digits_at(matrix, (20, 21)), digits_at(matrix, (23, 24))
    shifted &= (hours < 24) & (minutes < 60)
    offset_s = np.where(shifted, (hours * 60 + minutes) * 60, 0)
    seconds = seconds - np.where(east, offset_s, -offset_s)
    return seconds * 1000 + np.where(millis, digits_at(matrix, (20, 21, 22)), 0), ok & (plain | millis | shifted)


def local_one(field: bytes, local: LocalTime) -> int:
    """UTC ms of one local `YYYY-MM-DD HH:MM:SS`, leading zeros or not. Raises ValueError."""
    found = _LOCAL.fullmatch(field)
    if not found:
        raise ValueError("not a time YYYY-MM-DD HH:MM:SS")
    year, month, day, hour, minute, second = (int(part) for part in found.groups())
    return local.one(datetime(year, month, day, hour, minute, second))  # noqa: DTZ001 local time; the zone is added by `one`


def clock_one(field: bytes, local: LocalTime, day: date) -> int:
    """UTC ms of one `HH:MM:SS` of a local day. Raises ValueError."""
    found = _HMS.fullmatch(field)
    if not found:
        raise ValueError("not a time HH:MM:SS")
    hour, minute, second = (int(part) for part in found.groups())
    return local.one(datetime(day.year, day.month, day.day, hour, minute, second))  # noqa: DTZ001 see local_one


def rfc3339_one(field: bytes) -> int:
    """UTC ms of one RFC 3339 time; digits past the millisecond are cut off. Raises ValueError."""
    found = _RFC3339.fullmatch(field)
    if not found:
        raise ValueError("not an RFC 3339 time with a zone, nor whole milliseconds since 1970")
    days, clock, fraction, zone = (part.decode("ascii") if part else "" for part in found.groups())
    moment = datetime.fromisoformat(f"{days}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    whole = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    return whole * 1000 + int((fraction + "000")[:3])
