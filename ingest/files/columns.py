"""A block of lines to arrays, a column at a time.

Purpose: find every separator of the block at once, take rows with the right number of fields, and parse each field as a
column. Invariant: a row is `ok` only when all its fields were regular; the others hold missing values
until the row reader fills them in. It opens no file and judges no values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ingest.files import fields, times
from ingest.files.fields import PAD, Index, Mask, Text
from ingest.files.formats import FLAG_ROLES, FLOAT_ROLES, INTEGER_ROLES, REQUIRED_ROLES, Layout
from ingest.files.names import NameTable
from ingest.files.rows import Values
from model.batch import COLUMNS, PointBatch
from model.codes import Flag

_COMMA, _NEWLINE, _RETURN, _SPACE = (ord(c) for c in ",\n\r ")
_COLUMNS = {column.name: column for column in COLUMNS}
_FILE_FLAGS = int(Flag.BUFFERED)


@dataclass(slots=True)
class Parsed:
    """The rows of a block.

    Attributes:
        arrays: by role or column name, each (n,): `device` int64 numbers, `time_ms`, columns of a
            PointBatch, and flags as int8 with -1 for "not sent".
        ok: bool (n,), rows that are complete.
        text: the block.
        line_start, line_end: int64 (n,), where each line lies in `text`.
    """

    arrays: dict[str, npt.NDArray[Any]]
    ok: Mask
    text: Text
    line_start: Index
    line_end: Index

    def line(self, row: int) -> bytes:
        """Bytes of one line, without its line feed."""
        return self.text.cut(int(self.line_start[row]), int(self.line_end[row]))

    def put(self, row: int, values: Values) -> None:
        """Fill in a row that was read by itself."""
        for name, array in self.arrays.items():
            array[row] = values.get(name, _missing(name))
        self.ok[row] = True


class ColumnParser:
    """Parses blocks of one file.

    Args:
        layout: the file's layout, its header known.
        names: the device table of the file.
        local: the city's local time.
        max_line_bytes: a longer line is not ok.
    """

    def __init__(self, layout: Layout, names: NameTable, local: times.LocalTime, max_line_bytes: int) -> None:
        self._layout = layout
        self._names = names
        self._local = local
        self._max_line_bytes = max_line_bytes

    def parse(self, lines: bytes) -> Parsed:
        """The rows of these whole lines, each ending with a line feed."""
        text = Text.of(lines)
        line_start, line_end, starts, ends, ok = self._bounds(text, len(lines))
        arrays: dict[str, npt.NDArray[Any]] = {}
        for role, start, end in zip(self._layout.roles, starts, ends, strict=True):
            name, values, good = self._column(role, text, start, end)
            ok &= good
            arrays[name] = values
        return Parsed(arrays, ok, text, line_start, line_end)

    def _bounds(self, text: Text, size: int) -> tuple[Index, Index, list[Index], list[Index], Mask]:
        """Where lines and fields begin and end; fields of rows with another number of them are empty."""
        width = len(self._layout.roles)
        body = text.raw[len(PAD) : len(PAD) + size]
        at = np.flatnonzero((body == _COMMA) | (body == _NEWLINE)) + len(PAD)
        ends_line = text.raw[at] == _NEWLINE
        line_end = at[ends_line]
        line_start = np.empty_like(line_end)
        line_start[:1] = len(PAD)
        line_start[1:] = line_end[:-1] + 1
        ok = (line_end - line_start) <= self._max_line_bytes
        if len(at) == width * len(line_end) and bool(ends_line[width - 1 :: width].all()):
            marks = at.reshape(-1, width)
        else:
            last = np.flatnonzero(ends_line)
            fits = np.diff(last, prepend=-1) == width
            ok &= fits
            marks = np.full((len(line_end), width), len(PAD), np.int64)
            marks[fits] = at[last[fits][:, None] + np.arange(1 - width, 1)]
        ends = [marks[:, k].copy() for k in range(width)]
        starts = [np.where(ok, line_start, len(PAD)), *(end + 1 for end in ends[:-1])]
        for k in range(1, width):
            starts[k][~ok] = ends[k][~ok] = len(PAD)
        ends[0][~ok] = len(PAD)
        ends[-1] -= text.raw[ends[-1] - 1] == _RETURN
        for k in range(width):
            starts[k] += (text.raw[starts[k]] == _SPACE) & (starts[k] < ends[k])
        return line_start, line_end, starts, ends, ok

    def _column(
        self, role: str, text: Text, start: Index, end: Index
    ) -> tuple[str, npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """Name, values and ok of one field of every row; an empty optional field is a missing value."""
        if role == "device":
            return role, *self._names.lookup(text, start, end)
        if role == "alarms":
            # Rare: a row that has any is read by itself.
            return "alarm_bits", np.zeros(len(start), np.uint64), start == end
        name = role
        values: npt.NDArray[Any]
        if role in FLOAT_ROLES:
            values, ok = fields.decimals(text, start, end)
            values = values.astype(_COLUMNS[role].dtype, copy=False)
        elif role in INTEGER_ROLES:
            values, ok = fields.digits(text, start, end)
            ok &= values <= INTEGER_ROLES[role]
            values = np.where(ok, values, 0).astype(_COLUMNS[role].dtype)
        elif role in FLAG_ROLES:
            values, ok = fields.flag(text, start, end)
            values = values.astype(np.int8)
        else:
            name = "time_ms"
            values, ok = self._times(role, text, start, end)
        if role not in REQUIRED_ROLES:
            empty = start == end
            if bool(empty.any()):
                values = np.where(empty, np.array(_missing(name)).astype(values.dtype), values)
                ok = ok | empty
        return name, values, ok

    def _times(self, role: str, text: Text, start: Index, end: Index) -> tuple[Index, Mask]:
        if role == "local":
            return times.local_column(text, start, end, self._local)
        if role == "clock" and self._layout.day is not None:
            return times.clock_column(text, start, end, self._local, self._layout.day)
        whole, ok = fields.digits(text, start, end)
        # 13 digits of milliseconds reach the year 2286, 10 of seconds the same; more is left to the row reader.
        if role == "epoch_s":
            return whole * 1000, ok & (end - start <= 10)
        ok &= end - start <= 13
        odd = np.flatnonzero(~ok & (start < end))
        if len(odd):
            whole[odd], ok[odd] = times.rfc3339_column(text, start[odd], end[odd])
        return whole, ok


def _missing(name: str) -> float:
    if name in FLAG_ROLES:
        return -1
    return _COLUMNS[name].missing if name in _COLUMNS else 0


def points_of(arrays: dict[str, npt.NDArray[Any]], slots: npt.NDArray[np.int32], received_ms: int) -> PointBatch:
    """A PointBatch of parsed rows, all marked buffered."""
    flags = np.full(len(slots), _FILE_FLAGS, np.uint16)
    columns: dict[str, Any] = {"slot": slots, "received_ms": received_ms}
    for name, array in arrays.items():
        if name in FLAG_ROLES:
            value, sent = (np.uint16(int(flag)) for flag in FLAG_ROLES[name])
            flags |= np.where(array >= 0, sent, np.uint16(0)) | np.where(array > 0, value, np.uint16(0))
        elif name != "device":
            columns[name] = array
    columns["flags"] = flags
    return PointBatch.of(len(slots), columns)
