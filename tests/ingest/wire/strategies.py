"""Values that fit a table: what a decoder gives for some body, drawn by hypothesis.

`values_of(fields, version)` draws values in the very form in which `read_fields` gives them, so that writing and reading
them gives the same values and the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from ingest.wire.fields import Bcd, BcdTime, Bytes, Field, Int, Text, Values, size_of
from ingest.wire.groups import Editions, Group, Items, List, When, write_fields
from ingest.wire.reader import Malformed, Reader

MAX_ELEMENTS = 3
MAX_TEXT_BYTES = 20
MAX_REST_BYTES = 40
#: Bytes left that no table asks for.
_PLENTY = 1 << 16
_LETTERS = "abcXYZ019 -_/.;测京粤车张三路ａ"
#: Names of numbers that say how much of something follows.
_COUNTS = ("count", "size", "length", "total")

#: Seconds from the first to the last time that two digits of a year can say.
_CENTURY_S = 36_525 * 86_400 - 1

Draw = Callable[[st.SearchStrategy[Any]], Any]
#: Draws a value of a field that is no class of `ingest.wire`, or None for a field it does not know.
Custom = Callable[[Field, Values, int], st.SearchStrategy[Any] | None]


def _no_custom(_field: Field, _got: Values, _version: int) -> None:
    return None


def values_of(fields: Sequence[Field], version: int, custom: Custom = _no_custom) -> st.SearchStrategy[Values]:
    """Values of `fields` in that edition."""

    @st.composite
    def made(draw: Draw) -> Values:
        return _draw_fields(draw, fields, version, custom)

    return made()


def _draw_fields(draw: Draw, fields: Sequence[Field], version: int, custom: Custom) -> Values:
    got: Values = {}
    counted = any(_is_counted(one) for one in fields)
    ended = False
    for one in fields:
        inner, there = _there(one, got, version)
        if there == "never" or (ended and there == "maybe"):
            continue
        if there == "maybe":
            value = _draw(draw, inner, got, version, custom) if draw(st.booleans()) else None
            if value is None or not _bytes_of(inner, value, got, version):
                ended = True
                continue
        elif counted and isinstance(inner, Int) and any(word in inner.name for word in _COUNTS):
            value = draw(st.integers(0, MAX_ELEMENTS))
        else:
            value = _draw(draw, inner, got, version, custom)
        got[inner.name] = value
    return got


def _is_counted(one: Field) -> bool:
    while isinstance(one, When):
        one = one.inner
    return (isinstance(one, List) and one.count is not None) or (isinstance(one, Bytes) and one.length is not None)


def _there(one: Field, got: Values, version: int) -> tuple[Field, str]:
    """The field inside, and whether it is there `always`, `never`, or `maybe`: when bytes are left."""
    there = "always"
    while isinstance(one, When):
        with_none, with_some = one.there(got, version, 0), one.there(got, version, _PLENTY)
        if not with_none and not with_some:
            there = "never"
        elif not with_none and there == "always":
            there = "maybe"
        one = one.inner
    return one, there


def _bytes_of(one: Field, value: Any, got: Values, version: int) -> bytes:
    out = bytearray()
    one.write(out, value, got, version)
    return bytes(out)


def _draw(draw: Draw, one: Field, got: Values, version: int, custom: Custom) -> Any:
    found = custom(one, got, version)
    if found is not None:
        return draw(found)
    if isinstance(one, Editions):
        return _draw(draw, one.form(version), got, version, custom)
    if isinstance(one, Group):
        return _draw_fields(draw, one.fields, version, custom)
    if isinstance(one, List):
        return _draw_list(draw, one, got, version, custom)
    if isinstance(one, Items):
        return [_draw_item(draw, one, version, custom) for _ in range(draw(st.integers(0, MAX_ELEMENTS)))]
    return draw(_plain(one, got, version))


def _draw_list(draw: Draw, one: List, got: Values, version: int, custom: Custom) -> list[Any]:
    count = one.count(got) if one.count is not None else draw(st.integers(0, MAX_ELEMENTS))
    made = [_draw_fields(draw, one.fields, version, custom) for _ in range(count)]
    return [each[one.fields[0].name] if len(one.fields) == 1 else each for each in made]


def _draw_item(draw: Draw, one: Items, version: int, custom: Custom) -> Values:
    known = draw(st.booleans())
    numbers = st.sampled_from(sorted(one.table)) if known else st.integers(0, 256**one.id_size - 1)
    number = draw(numbers)
    raw = b""
    if number in one.table:
        out = bytearray()
        write_fields(one.table[number], out, _draw_fields(draw, one.table[number], version, custom), version)
        raw = bytes(out[: 256**one.length_size - 1])
    else:
        raw = draw(st.binary(max_size=8))
    return one.read_one(number, raw, version)


def _plain(one: Field, got: Values, version: int) -> st.SearchStrategy[Any]:
    if isinstance(one, Int):
        most = 256**one.size - 1 if one.at_most is None else one.at_most
        codes = st.integers(0, most)
        if one.values:
            codes = st.sampled_from(sorted(one.values)) | codes
        return codes.map(lambda number: one.read(Reader(number.to_bytes(one.size, "big"), version), got))
    if isinstance(one, Bcd):
        count = size_of(one.size, version)
        sizes = st.just(count) if count is not None else st.integers(0, 8)
        return sizes.flatmap(lambda size: st.text("0123456789", min_size=2 * size, max_size=2 * size))
    if isinstance(one, BcdTime):
        begin = datetime(2000, 1, 1, tzinfo=one.zone)
        return st.none() | st.integers(0, _CENTURY_S).map(lambda after: (begin + timedelta(seconds=after)).isoformat())
    if isinstance(one, Text):
        size = None if one.length_size or one.ended else size_of(one.size, version)
        return st.text(_LETTERS, max_size=MAX_TEXT_BYTES).map(lambda text: _fitting(text, one, size))
    if isinstance(one, Bytes):
        return _binary(one, got, version).map(bytes.hex)
    raise TypeError(f"no values are known for {type(one).__name__}")


def _binary(one: Bytes, got: Values, version: int) -> st.SearchStrategy[bytes]:
    size = None
    if one.length is not None:
        size = one.length(got)
    elif not one.length_size:
        size = size_of(one.size, version)
    return st.binary(max_size=MAX_REST_BYTES) if size is None else st.binary(min_size=size, max_size=size)


def _fitting(text: str, one: Text, size: int | None) -> str:
    most = min(MAX_TEXT_BYTES, size) if size is not None else MAX_TEXT_BYTES
    while len(text.encode(one.encoding, "replace")) > most:
        text = text[:-1]
    return text


def broken(body: bytes) -> st.SearchStrategy[bytes]:
    """`body` with bits flipped, cut short, made longer, or something else altogether."""
    flips = st.lists(st.integers(0, max(0, 8 * len(body) - 1)), min_size=1, max_size=4)
    return st.one_of(
        flips.map(lambda bits: _flipped(body, bits)),
        st.integers(0, len(body)).map(lambda end: body[:end]),
        st.binary(min_size=1, max_size=8).map(lambda more: body + more),
        st.binary(max_size=200),
    )


def _flipped(body: bytes, bits: list[int]) -> bytes:
    made = bytearray(body)
    for bit in bits:
        if bit < 8 * len(made):
            made[bit // 8] ^= 1 << bit % 8
    return bytes(made)


def refusal(read: Callable[[], object]) -> str:
    """What `read` raised as Malformed, "" when nothing; whatever else it raises is not caught."""
    try:
        read()
    except Malformed as error:
        return str(error)
    return ""
