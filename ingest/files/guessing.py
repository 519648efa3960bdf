"""Which format a file is, by its first line; for commands that were not told.

Purpose: a convenience at the edge. It reads one line and promises nothing: `open_file` still checks.
"""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path

from ingest.files.formats import FORMATS
from model.errors import BadInput

MAX_FIRST_LINE_BYTES = 4_096
_GZIP = b"\x1f\x8b"
#: `id, HH:MM:SS, …`: the one format without a header.
_SHENZHEN = re.compile(rb"\s*\d+\s*,\s*\d{2}:\d{2}:\d{2}\s*,")


def guess_format(path: Path) -> str:
    """The name of the format that the first line belongs to.

    Raises BadInput when the file cannot be read or its first line is of none of them.
    """
    try:
        with path.open("rb") as plain:
            zipped = plain.read(2) == _GZIP
        with gzip.open(path, "rb") if zipped else path.open("rb") as stream:
            line = stream.readline(MAX_FIRST_LINE_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path} cannot be read: {error}.", mend="Name a file of points.") from error
    if _SHENZHEN.match(line):
        return "shenzhen"
    names = [name.strip().strip('"') for name in line.decode("utf-8-sig", "replace").strip().split(",")]
    for layout in FORMATS.values():
        if layout.header and (layout.quotes or len(names) == len(layout.header)) and set(layout.header) <= set(names):
            return layout.name
    raise BadInput(
        f"{path}:1: the first line is of no known format.", mend="Give its --format: " + ", ".join(FORMATS) + "."
    )
