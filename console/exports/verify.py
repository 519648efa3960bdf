"""Whether an exported file is as it was made: by the digits in it, and by the file of checksums beside it.

It needs the file alone, no data folder and no library but Python's own. Whoever changes a file on purpose can write new
digits, too: against that stands the SHA-256 in the audit's row `export.made`, which is told here so that it can be
compared.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import IO, Any

from console.exports.heading import DIGITS_KEY, VERSION_KEY, ZEROS
from model.errors import BadInput, Corrupt

#: Beside a file, with the file's name before it.
SIDECAR_SUFFIX = ".sha256"
#: Longest head, and longest end of a Parquet file in which its heading is looked for, bytes.
DEFAULT_HEAD_BYTES = 1 << 20
_PIECE_BYTES = 1 << 20
_SIDECAR_BYTES = 1 << 16

_JSON_DIGITS = rb'"%s":"([0-9a-f]{64})"' % DIGITS_KEY.encode()
_LINE = re.compile(rb"^(\\?)([0-9a-fA-F]{64}) [ *](.+?)\r?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Verified:
    """What a file that holds says: its form ("" when it has no heading), SHA-256, size in bytes and heading."""

    form: str
    sha256: str
    size_bytes: int
    heading: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Found:
    """Where the digits stand, what they are, and the heading."""

    form: str
    at: int
    digits: str
    heading: dict[str, Any]


def verify(path: Path) -> Verified:
    """Check the file. Raises Corrupt when it is not as it was made, BadInput when nothing says how that was."""
    try:
        with path.open("rb") as stream:
            found = _heading(stream)
            sha256, zeroed, size = _hashes(stream, found)
        beside = _beside(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.", mend="Name a file you may read.") from error
    if found is None and beside is None:
        raise BadInput(
            f"{path} has no heading of an export, and there is no {path.name}{SIDECAR_SUFFIX} beside it.",
            mend="Name a file that `lucheng export tracks` made; if it is one, its heading was damaged.",
        )
    if found is not None and zeroed != found.digits:
        raise _changed(path, f"with zeros for its digits its SHA-256 is {zeroed}, and its heading says {found.digits}")
    if beside is not None and sha256 != beside:
        raise _changed(path, f"its SHA-256 is {sha256}, and {path.name}{SIDECAR_SUFFIX} says {beside}")
    return Verified(found.form if found else "", sha256, size, found.heading if found else {})


def _changed(path: Path, how: str) -> Corrupt:
    return Corrupt(
        f"{path} is not as it was made: {how}.", mend="Export it again; `lucheng audit list` has its SHA-256."
    )


def sidecar(name: str, sha256: str, told: Mapping[str, Any]) -> bytes:
    """The text of `FILE.sha256`: what is said of the file as comments, then its line as sha256sum writes and checks it."""
    lines = [f"# {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in told.items()]
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    lines.append("\\" * (escaped != name) + f"{sha256}  {escaped}")
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def _beside(path: Path) -> str | None:
    """What the sidecar says; None when there is none. Raises BadInput when it says nothing."""
    beside = path.with_name(path.name + SIDECAR_SUFFIX)
    if not beside.exists():
        return None
    with beside.open("rb") as stream:
        lines = _LINE.findall(stream.read(_SIDECAR_BYTES))
    if len(lines) != 1:  # one of its own: the file may have another name by now
        raise BadInput(f"{beside} holds no checksum of one file.", mend="Move it away, or get the right one.")
    digits: bytes = lines[0][1]
    return digits.decode().lower()


def _heading(stream: IO[bytes]) -> _Found | None:
    """The heading, by the form that the first bytes are of."""
    head = stream.read(DEFAULT_HEAD_BYTES)
    if head.startswith(b"PAR1"):
        size = stream.seek(0, 2)
        start = stream.seek(max(0, size - DEFAULT_HEAD_BYTES))
        return _found("parquet", stream.read(), start, _JSON_DIGITS, _of_json)
    line = head.partition(b"\n")[0]
    if line.startswith(b"{"):
        return _found("geojson", line, 0, _JSON_DIGITS, _of_json)
    if b"<gpx" in line:
        digits = rb"<l:%s>([0-9a-f]{64})<" % DIGITS_KEY.encode()
        return _found("gpx", line, 0, digits, lambda raw: _of_xml(raw, r"<l:(\w+)>([^<]*)<"))
    if b"<kml" in line:
        digits = rb'<Data name="%s"><value>([0-9a-f]{64})<' % DIGITS_KEY.encode()
        pattern = r'<Data name="(\w+)"><value>([^<]*)<'
        return _found("kml", line, 0, digits, lambda raw: _of_xml(raw, pattern, texts=2))
    return _found("csv", head, 0, rb'^# %s: "([0-9a-f]{64})"\r?$' % DIGITS_KEY.encode(), _of_csv)


def _found(form: str, raw: bytes, start: int, digits: bytes, read: Callable[[bytes], dict[str, Any]]) -> _Found | None:
    match = re.search(digits, raw, re.MULTILINE)
    if match is None:
        return None
    try:
        heading = read(raw[: match.end()])
    except (ValueError, UnicodeDecodeError):
        heading = {}  # the digits will not hold either
    return _Found(form, start + match.start(1), match.group(1).decode(), heading)


def _of_json(raw: bytes) -> dict[str, Any]:
    mark = b'{"%s":' % VERSION_KEY.encode()
    text = raw[raw.index(mark) :].decode() + "}"
    found: dict[str, Any] = json.loads(text)
    return found


def _of_csv(raw: bytes) -> dict[str, Any]:
    lines = (line.removeprefix("# ").partition(": ") for line in raw.decode("utf-8-sig").split("\r\n"))
    return {key: json.loads(value) for key, _, value in lines}


def _of_xml(raw: bytes, pattern: str, *, texts: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in re.findall(pattern, raw.decode()):
        text = str(value)
        for _ in range(texts):
            text = unescape(text)
        found[key] = int(text) if key in ("devices", "points", "points_without_place", VERSION_KEY) else text
    return found


def _hashes(stream: IO[bytes], found: _Found | None) -> tuple[str, str, int]:
    """SHA-256 of the file, of it with the digits as zeros, and its size; read once."""
    whole, zeroed = hashlib.sha256(), hashlib.sha256()
    size = stream.seek(0)
    while piece := stream.read(_PIECE_BYTES):
        whole.update(piece)
        if found is not None:
            zeroed.update(_with_zeros(piece, found.at - size))
        size += len(piece)
    return whole.hexdigest(), zeroed.hexdigest(), size


def _with_zeros(piece: bytes, at: int) -> bytes:
    """The piece with zeros from its byte `at` on, as many as there are digits; `at` may lie before or beyond it."""
    start, end = max(0, at), min(len(piece), at + len(ZEROS))
    return piece if start >= end else piece[:start] + b"0" * (end - start) + piece[end:]
