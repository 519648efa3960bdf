"""CSV (RFC 4180, UTF-8 with a byte-order mark): the heading as lines that begin with `#`, then one table.

Each line of the heading is `# key: value`, the value as JSON without any character that separates cells, so that a spreadsheet
shows one cell and runs no formula; a table's reader skips them (pandas: `comment="#"`), for wherever else there is a
`#` it stands in quotes. `plain` leaves the heading out. Cells are safe as `console.track_formats.safe_cell` makes them.
"""

from __future__ import annotations

import csv
import io
import json
from itertools import repeat

from console.exports.heading import Heading
from console.exports.points import text_columns
from console.exports.spool import Spool
from console.point_keys import POINT_KEYS
from console.track_formats import safe_cell
from model.batch import PointBatch

BOM = b"\xef\xbb\xbf"
#: What may separate cells somewhere, as JSON writes it otherwise.
_SEPARATORS = {ord(letter): f"\\u{ord(letter):04x}" for letter in ",;|"}


class CsvShape:
    """See the module."""

    def __init__(self, out: Spool, datum: str, *, plain: bool = False) -> None:
        self._out = out
        self._datum = datum
        self._plain = plain
        out.write((",".join(("device", *POINT_KEYS, "extra")) + "\r\n").encode())

    def add(self, device: str, points: PointBatch) -> None:
        columns = text_columns(points, self._datum)
        extra = [None if text is None else safe_cell(text) for text in columns.pop("extra")]
        buffer = io.StringIO()
        rows = zip(repeat(safe_cell(device), len(points)), *columns.values(), extra, strict=True)
        csv.writer(buffer, lineterminator="\r\n").writerows(rows)
        self._out.write(buffer.getvalue().encode())

    def finish(self, heading: Heading) -> bytes:
        if self._plain:
            return BOM
        lines = (
            f"# {key}: {json.dumps(value, ensure_ascii=False).translate(_SEPARATORS)}\r\n"
            for key, value in heading.fields().items()
        )
        return BOM + "".join(lines).encode("utf-8", "replace")
