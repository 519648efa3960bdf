"""One row, read with care: what the column parsers did not take as regular.

Purpose: rows with other spellings of the same values (spaces, quotes, exponents, `true`), and the exact reason
where a row is wrong. Invariant: whatever the bytes are, the answer is values or a `BadRow`. It is slow (microseconds a row) and meant
for the few.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable

from ingest.files.formats import FLAG_ROLES, FLOAT_ROLES, INTEGER_ROLES, REQUIRED_ROLES, Layout
from ingest.files.names import NameTable
from ingest.files.times import LocalTime, clock_one, local_one, rfc3339_one
from model.codes import ALARM_BY_NAME, Reason
from model.errors import UsageError

_NUMBER = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")
_NOT_FINITE = re.compile(rb"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_WHOLE = re.compile(rb"[+-]?\d{1,18}")
_FLAGS = {b"0": 0, b"1": 1, b"false": 0, b"true": 1}
#: Milliseconds beyond this (year 142,000 or so) are no time.
_MAX_TIME_MS = 1 << 52
_BLANKS = b" \t\r"

#: What a row gives: role or column name to value.
Values = dict[str, float | int]


class BadRow(Exception):
    """A row that cannot be read: the reason code and the exact detail."""

    def __init__(self, reason: Reason, detail: str, device: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.device = device


class RowReader:
    """Reads single rows of one file.

    Args:
        layout: the file's layout, its header known.
        names: the device table of the file, shared with the column parsers.
        local: the city's local time.
        max_line_bytes: a longer line is refused.
    """

    def __init__(self, layout: Layout, names: NameTable, local: LocalTime, max_line_bytes: int) -> None:
        self._layout = layout
        self._names = names
        self._local = local
        self._max_line_bytes = max_line_bytes
        self._parsers = {role: self._parser(role) for role in layout.roles if role != "device"}

    def read(self, line: bytes) -> Values | None:
        """Values of one line by role, `time_ms` and `device` (its number) among them; None for a blank line.

        Raises BadRow when it is neither, BadInput when the file names too many devices.
        """
        if not line.strip(_BLANKS):
            return None
        if len(line) > self._max_line_bytes:
            raise BadRow(Reason.TOO_LARGE, f"the line is longer than {self._max_line_bytes} bytes")
        if b"\0" in line:
            raise BadRow(Reason.BAD_ROW, "the line holds NUL bytes")
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadRow(Reason.BAD_ROW, f"the line is not UTF-8 at byte {error.start + 1}") from error
        fields = [field.strip(_BLANKS) for field in self._split(line)]
        roles = self._layout.roles
        if len(fields) != len(roles):
            raise BadRow(Reason.BAD_ROW, f"the line has {len(fields)} fields, not {len(roles)}")
        device = fields[roles.index("device")]
        try:
            number = self._names.number(device)
        except UsageError as error:
            raise BadRow(Reason.BAD_ROW, error.message) from error
        values: Values = {"device": number}
        for role, field in zip(roles, fields, strict=True):
            if role != "device":
                self._field(role, field, values, self._names.ids[number])
        return values

    def _split(self, line: bytes) -> list[bytes]:
        if not self._layout.quotes or b'"' not in line:
            return line.split(b",")
        try:
            found = next(csv.reader([line.decode("utf-8").rstrip("\r")], strict=True))
        except csv.Error as error:
            raise BadRow(Reason.BAD_ROW, f"the quotes do not close: {error}") from error
        return [field.encode("utf-8") for field in found]

    def _field(self, role: str, field: bytes, values: Values, device: str) -> None:
        if not field:
            if role in REQUIRED_ROLES:
                raise BadRow(Reason.BAD_ROW, f"the field {role} is empty", device)
            return
        try:
            values.update(self._parsers[role](field))
        except (ValueError, OverflowError) as error:
            shown = field[:40].decode("utf-8", "replace")
            reason = Reason.NOT_A_NUMBER if role in FLOAT_ROLES else Reason.BAD_ROW
            raise BadRow(reason, f"the field {role} is {shown!r}: {error}", device) from error

    def _parser(self, role: str) -> Callable[[bytes], Values]:
        if role in FLOAT_ROLES:
            return lambda field: {role: number_of(field)}
        if role in INTEGER_ROLES:
            return lambda field: {role: _count_of(field, INTEGER_ROLES[role])}
        if role in FLAG_ROLES:
            return lambda field: {role: _flag_of(field)}
        if role == "alarms":
            return lambda field: {"alarm_bits": _alarms_of(field)}
        time_of = self._time_parser(role)
        return lambda field: {"time_ms": time_of(field)}

    def _time_parser(self, role: str) -> Callable[[bytes], int]:
        day = self._layout.day
        if role == "local":
            return lambda field: local_one(field, self._local)
        if role == "clock" and day is not None:
            return lambda field: clock_one(field, self._local, day)
        return _epoch_s if role == "epoch_s" else _time_of


def number_of(field: bytes) -> float:
    """A decimal number; `nan` and `inf` are numbers here, and judged later. Raises ValueError."""
    if _NUMBER.fullmatch(field) or _NOT_FINITE.fullmatch(field):
        return float(field)
    raise ValueError("not a number")


def _count_of(field: bytes, greatest: int) -> int:
    if _WHOLE.fullmatch(field) and 0 <= int(field) <= greatest:
        return int(field)
    raise ValueError(f"not a whole number from 0 to {greatest}")


def _flag_of(field: bytes) -> int:
    value = _FLAGS.get(field.lower())
    if value is None:
        raise ValueError("not 0, 1, true or false")
    return value


def _alarms_of(field: bytes) -> int:
    bits = 0
    for name in field.decode("utf-8").replace(";", " ").split():
        kind = ALARM_BY_NAME.get(name)
        if kind is None:
            raise ValueError(f"{name[:40]!r} is no alarm kind")
        bits |= 1 << kind.bit
    return bits


def _epoch_s(field: bytes) -> int:
    if not _NUMBER.fullmatch(field):
        raise ValueError("not seconds since 1970")
    time_ms = round(float(field) * 1000)
    if abs(time_ms) > _MAX_TIME_MS:
        raise ValueError("far outside any time")
    return time_ms


def _time_of(field: bytes) -> int:
    if not _WHOLE.fullmatch(field):
        return rfc3339_one(field)
    if abs(int(field)) > _MAX_TIME_MS:
        raise ValueError("far outside any time")
    return int(field)
