"""A reader of line protocol of the tests' own, character by character, after the reference: what does a server see in a line?"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One line: measurement, tags, fields as (kind, text), nanoseconds."""

    measurement: str
    tags: dict[str, str]
    fields: dict[str, tuple[str, str]]
    time_ns: int


def read_lines(body: bytes) -> list[Line]:
    """Every line of a body. Raises ValueError at anything that is not line protocol."""
    text = body.decode()
    if not text.endswith("\n"):
        raise ValueError("the last line has no end")
    made, at = [], 0
    while at < len(text):
        line, at = _line(text, at)
        made.append(line)
    return made


def _until(text: str, at: int, ends: str) -> tuple[str, int]:
    """Text up to one of `ends`; a backslash takes the next character's meaning when it is a separator."""
    made = []
    while text[at] not in ends:
        if text[at] == "\n":
            raise ValueError("a line ends within a name")
        if text[at] == "\\" and text[at + 1] in ",= ":
            at += 1
        made.append(text[at])
        at += 1
    return "".join(made), at


def _line(text: str, at: int) -> tuple[Line, int]:
    measurement, at = _until(text, at, ", ")
    tags: dict[str, str] = {}
    while text[at] == ",":
        key, at = _until(text, at + 1, "=")
        value, at = _until(text, at + 1, ", ")
        if not key or not value or key in tags:
            raise ValueError(f"a tag {key!r} = {value!r}")
        tags[key] = value
    fields: dict[str, tuple[str, str]] = {}
    while text[at] in " ,":
        if text[at] == " " and fields:
            break
        key, at = _until(text, at + 1, "=")
        if text[at + 1] == '"':
            value, at = _quoted(text, at + 2)
            fields[key] = ("text", value)
        else:
            start = at + 1
            while text[at] not in ", \n":
                at += 1
            fields[key] = _number(text[start:at])
    start = at + 1
    at = text.index("\n", start)
    return Line(measurement, tags, fields, int(text[start:at])), at + 1


def _quoted(text: str, at: int) -> tuple[str, int]:
    made = []
    while text[at] != '"':
        if text[at] == "\\" and text[at + 1] in '"\\':
            at += 1
        made.append(text[at])
        at += 1
    return "".join(made), at + 1


def _number(text: str) -> tuple[str, str]:
    if text[-1] in "iu":
        if str(int(text[:-1])) != text[:-1]:
            raise ValueError(f"an integer written as {text}")
        return ("integer" if text[-1] == "i" else "unsigned"), text[:-1]
    float(text)
    return "float", text
