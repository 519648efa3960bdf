"""Rows of the audit as CSV (RFC 4180, UTF-8 with a byte-order mark): safe against formulas, each row with its hash.

The hash lets a row of the file be held against the chain and its checkpoints.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

from console.exports.spool import Spool
from console.track_formats import safe_cell
from console.track_rows import time_text
from store.audit_actions import AUDIT_ACTIONS

if TYPE_CHECKING:
    from store.audit_search import Found

MEDIA_TYPE = "text/csv; charset=utf-8"
_BOM = b"\xef\xbb\xbf"
COLUMNS = ("number", "time", "who", "role", "action", "meaning", "meaning_zh", "target", "purpose", "detail", "hash")


def write_rows(out: Spool, pieces: Iterable[list[Found]], max_rows: int) -> tuple[bytes, int, bool]:
    """Write them; what stands before them in the file, how many they were, and whether there are more than `max_rows`."""
    written, cut = 0, False
    for piece in pieces:
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\r\n")
        for found in piece:
            if written == max_rows:
                cut = True
                break
            writer.writerow(_cells(found))
            written += 1
        out.write(buffer.getvalue().encode("utf-8", "replace"))
    return _BOM + (",".join(COLUMNS) + "\r\n").encode(), written, cut


def _cells(found: Found) -> list[str]:
    row = found.row
    word = AUDIT_ACTIONS.get(row.action)
    texts = (row.who, row.role, row.action, word.en if word else "", word.zh if word else "", row.target, row.purpose)
    return [str(row.number), time_text(row.time_ms), *map(safe_cell, texts), safe_cell(row.detail), found.hash.hex()]
