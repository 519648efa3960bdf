"""A CSV file of devices as rows of cells, whatever program wrote it.

Invariants: a physical line is a row, so a quotation mark that is never closed spoils its own line and no
other; a line that cannot be read is a fault with its number, its neighbours are rows. UTF-8 (with or without
a byte order mark) and GBK (as GB 18030) are read; a file that is mostly UTF-8 stays UTF-8, and its broken
lines are faults rather than guesses. It knows no registry.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from typing import NamedTuple

from model.errors import BadInput

DEFAULT_MAX_ROWS = 500_000
DEFAULT_MAX_BYTES = 256 << 20
#: Longest line that is looked at.
MAX_LINE_BYTES = 16_384

COLUMNS = (
    "id",
    "kind",
    "name",
    "plate",
    "imei",
    "phone",
    "model",
    "site",
    "gateway",
    "lat",
    "lon",
    "owner_ref",
    "protocol",
)
#: What a header may say instead.
_ALIASES = {
    "编号": "id",
    "设备号": "id",
    "类型": "kind",
    "名称": "name",
    "车牌": "plate",
    "车牌号": "plate",
    "电话": "phone",
    "手机号": "phone",
    "型号": "model",
    "站点": "site",
    "网关": "gateway",
    "纬度": "lat",
    "经度": "lon",
    "车主": "owner_ref",
    "协议": "protocol",
}


class CsvRow(NamedTuple):
    """One line: its number from 1, its cells, or what is wrong with it."""

    line: int
    cells: list[str]
    fault: str = ""


class CsvFile:
    """The rows of `raw`, which can be gone through more than once.

    Attributes:
        columns: names of the columns, in order.

    Raises BadInput when it is no such file or is over a limit.
    """

    def __init__(self, raw: bytes, *, max_rows: int = DEFAULT_MAX_ROWS, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        if len(raw) > max_bytes:
            raise BadInput(f"The file has {len(raw)} bytes.", mend=f"The limit is {max_bytes}: split it.")
        first_end = raw.find(b"\n") if b"\n" in raw else len(raw)
        if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or raw.find(b"\0", 0, first_end) >= 0:
            raise BadInput("The file is not CSV in UTF-8 or GBK.", mend="Save it as `CSV UTF-8`.")
        raw = raw.removeprefix(codecs.BOM_UTF8)
        if b"\n" not in raw:
            raw = raw.replace(b"\r", b"\n")
        rows = raw.count(b"\n") - raw.endswith(b"\n")
        if rows > max_rows:
            raise BadInput(f"The file has {rows} rows.", mend=f"The limit is {max_rows}: split it.")
        self._raw = raw
        self._encoding = _encoding(raw)
        self.columns = _columns(next(self._lines(), CsvRow(1, [])))

    def __iter__(self) -> Iterator[CsvRow]:
        """Every row after the header that is not empty."""
        lines = self._lines()
        next(lines, None)
        width = len(self.columns)
        for row in lines:
            if not row.fault and not any(map(str.strip, row.cells)):
                continue
            if not row.fault and len(row.cells) != width:
                yield CsvRow(row.line, [], f"{len(row.cells)} cells, the header has {width}")
            else:
                yield row

    def _lines(self) -> Iterator[CsvRow]:
        encoding = self._encoding
        for number, line in enumerate(io.BytesIO(self._raw), start=1):
            if len(line) > MAX_LINE_BYTES:
                yield CsvRow(number, [], f"{len(line)} bytes in one line, {MAX_LINE_BYTES} are the limit")
                continue
            try:
                text = line.decode(encoding).rstrip("\r\n")
            except UnicodeDecodeError as error:
                yield CsvRow(number, [], f"not {encoding.upper()} at byte {error.start + 1} of the line")
                continue
            if '"' not in text:
                yield CsvRow(number, text.split(","))
                continue
            try:
                yield CsvRow(number, next(csv.reader([text], strict=True)))
            except csv.Error as error:
                yield CsvRow(number, [], f"not CSV: {error} (a cell holds no line break)")


def _encoding(raw: bytes) -> str:
    try:
        raw.decode()
    except UnicodeDecodeError:
        pass
    else:
        return "utf-8"
    readable = broken = 0
    for line in io.BytesIO(raw):
        if not line.isascii():
            try:
                line.decode()
                readable += 1
            except UnicodeDecodeError:
                broken += 1
    return "utf-8" if readable >= broken else "gb18030"


def _columns(header: CsvRow) -> tuple[str, ...]:
    if header.fault:
        raise BadInput(f"Line 1: {header.fault}.", mend="Save the file as `CSV UTF-8`.")
    names = [cell.strip().lower() for cell in header.cells]
    columns = tuple(_ALIASES.get(name, name) for name in names)
    known = "The columns are " + ", ".join(COLUMNS) + "; id must be there."
    for name, column in zip(names, columns, strict=True):
        if column not in COLUMNS:
            raise BadInput(f"Line 1: there is no column {name[:40]!r}.", mend=known)
        if columns.count(column) > 1:
            raise BadInput(f"Line 1: the column {column} is there twice.", mend=known)
    if "id" not in columns:
        raise BadInput("Line 1: there is no column id.", mend=known)
    if ("lat" in columns) != ("lon" in columns):
        raise BadInput("Line 1: only one of the columns lat and lon is there.", mend="Give both or neither.")
    return columns
