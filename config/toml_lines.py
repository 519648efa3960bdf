"""Where each key of a TOML text stands, and the small TOML that `config show` writes.

`tomllib` tells no line numbers, and an error in a settings file is only useful with one. The scan
needs a text that `tomllib` has accepted already; it understands tables, dotted and quoted keys,
and skips multi-line strings and arrays. Keys inside an inline table get the table's line.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

KeyPath = tuple[str, ...]

_HEADER = re.compile(r"\s*\[{1,2}([^\[\]]+)\]{1,2}\s*(?:#.*)?$")
_KEY = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*'))*)\s*="""
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING_OR_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|#.*$')
_SYNTAX_PLACE = re.compile(r"\(at line (\d+), column \d+\)")


def _parts(key: str) -> KeyPath:
    """The parts of a dotted key, read by tomllib itself so that quoting is right."""
    node: object = tomllib.loads(f"{key} = 0")
    parts: list[str] = []
    while isinstance(node, dict):
        name, node = next(iter(node.items()))
        parts.append(name)
    return tuple(parts)


class _Skipper:
    """Follows multi-line strings and arrays from line to line."""

    def __init__(self) -> None:
        self._quote = ""
        self._depth = 0

    @property
    def inside(self) -> bool:
        return bool(self._quote) or self._depth > 0

    def feed(self, line: str) -> None:
        rest = line
        while rest:
            if self._quote:
                _, closed, rest = rest.partition(self._quote)
                if not closed:
                    return
                self._quote = ""
                continue
            opened = re.search(r'"""|\'\'\'', rest)
            plain = rest[: opened.start()] if opened else rest
            bare = _STRING_OR_COMMENT.sub("", plain)
            self._depth = max(0, self._depth + bare.count("[") - bare.count("]"))
            if opened is None or "#" in re.sub(_STRING_OR_COMMENT.pattern.removesuffix("|#.*$"), "", plain):
                return
            self._quote = opened.group()
            rest = rest[opened.end() :]


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line (from 1) of every table and key of a valid TOML `text`."""
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    skipper = _Skipper()
    for number, line in enumerate(text.splitlines(), start=1):
        if skipper.inside:
            skipper.feed(line)
            continue
        header = _HEADER.match(line)
        if header:
            table = _parts(header.group(1))
            lines.setdefault(table, number)
            continue
        key = _KEY.match(line)
        if key:
            lines.setdefault(table + _parts(key.group(1)), number)
            skipper.feed(line[key.end() :])
    return lines


def line_of(lines: Mapping[KeyPath, int], path: KeyPath) -> int:
    """The line of `path`, or of the nearest table around it; 1 when nothing is known."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    inner = [line for key, line in lines.items() if key[: len(path)] == path]
    return min(inner, default=1)


def syntax_line(error: tomllib.TOMLDecodeError, text: str) -> int:
    """The line a TOML syntax error names; the last line when it names the end of the file."""
    place = _SYNTAX_PLACE.search(str(error))
    return int(place.group(1)) if place else max(1, len(text.splitlines()))


def _toml_key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else toml_value(name)


def toml_value(value: object) -> str:
    """One scalar, or a table or list of scalars, as TOML; None is the empty text, which the schema reads as "not set"."""
    if value is None:
        return '""'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        inside = (f"{_toml_key(str(name))} = {toml_value(item)}" for name, item in value.items())
        return f"{{ {', '.join(inside)} }}" if value else "{}"
    text = value.as_posix() if isinstance(value, Path) else str(value)
    # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped too.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
