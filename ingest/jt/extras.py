"""Additional items of positions: values as columns, and what has no column as JSON bytes by row.

Purpose: the items of all positions of a round, formatted for each row at once. Invariants: nothing is lost in silence:
an item that no table knows, or whose length is another, is kept as hex under `xNN`, what is no whole item as hex under
`rest`; a row's JSON is at most `extra_bytes` long and says how many bytes of items did not fit. Of an item that comes
twice the last counts. It judges no value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ingest.jt.bcd import IntArray
from ingest.jt.columns import BytesArray
from ingest.jt.items import Items, walk
from model.extras import NO_EXTRAS, Extras

#: JSON kept with one position.
DEFAULT_EXTRA_BYTES = 1024
#: Items of one position that are looked at; what follows is kept as `rest`.
DEFAULT_MOST_ITEMS = 64
_NEW_LINE = 0x0A
_DTYPES = {1: ">u1", 2: ">u2", 4: ">u4"}
_SIGNED = {1: ">i1", 2: ">i2", 4: ">i4"}


@dataclass(frozen=True, slots=True)
class Number:
    """An item that holds one number.

    Attributes:
        item: its number.
        name: its key in the JSON, or the column's name.
        size: bytes of its value.
        tenths: whether it counts tenths of the unit.
        signed: whether it is signed.
        column: whether it goes into a column and not into the JSON.
    """

    item: int
    name: str
    size: int
    tenths: bool = False
    signed: bool = False
    column: bool = False


@dataclass(frozen=True)
class Table:
    """The items of one protocol that hold one number each."""

    numbers: tuple[Number, ...]

    @cached_property
    def forms(self) -> IntArray:
        """Number and size of each, as `item * 256 + size`."""
        return np.array([one.item << 8 | one.size for one in self.numbers], np.int64)

    @cached_property
    def formats(self) -> tuple[bytes, ...]:
        """How each is written."""
        return tuple(b'"%b":%b' % (one.name.encode(), b"%d.%d" if one.tenths else b"%d") for one in self.numbers)


@dataclass(slots=True)
class Values:
    """What the items of n positions hold.

    Attributes:
        items: where they stand.
        of: by name of a number, which rows have it and its value, (k,) each; tenths are not divided.
        odd: indices into `items` of those that are no number of the table.
        json: what goes into the JSON: place in the table, rows, values.
    """

    items: Items
    of: dict[str, tuple[IntArray, IntArray]]
    odd: IntArray
    json: list[tuple[int, IntArray, IntArray]] = field(default_factory=list)


def read_items(
    data: BytesArray, at: IntArray, end: IntArray, table: Table, *, most_items: int = DEFAULT_MOST_ITEMS
) -> Values:
    """Walk the items between each `at` and `end` and read those that hold a number."""
    items = walk(data, at, end, most=most_items)
    values = Values(items, {}, np.zeros(0, np.int64))
    if not len(items.kind):
        return values
    forms = items.kind << 8 | items.size
    here, handled = set(items.kind.astype(np.uint8).tobytes()), 0
    for place, number in enumerate(table.numbers):
        if number.item not in here:
            continue
        form = number.item << 8 | number.size
        mine = (forms == form).nonzero()[0]
        handled += len(mine)
        dtype = (_SIGNED if number.signed else _DTYPES)[number.size]
        view: npt.NDArray[Any] = np.ndarray((len(data) - number.size + 1,), dtype, data, strides=(1,))
        if not len(mine):
            continue
        rows, read = items.row[mine], view[items.at[mine]].astype(np.int64)
        values.of[number.name] = (rows, read)
        if not number.column:
            values.json.append((place, rows, read))
    if handled < len(forms):
        values.odd = (~np.isin(forms, table.forms)).nonzero()[0]
    return values


def write_extras(
    data: BytesArray,
    rows: int,
    end: IntArray,
    table: Table,
    values: Values,
    spoken: Sequence[tuple[int, bytes]] = (),
    *,
    extra_bytes: int = DEFAULT_EXTRA_BYTES,
) -> Extras:
    """JSON objects by row.

    Args:
        data: all bytes.
        rows: how many positions there are.
        end: where the items of each end.
        table: which numbers there are.
        values: what `read_items` found.
        spoken: rows and one more `"key":value` for each, such as names of alarm bits.
        extra_bytes: longest object.
    """
    texts = _numbers(rows, table, values)
    items = values.items
    if not (len(values.odd) or len(items.rest) or spoken):
        return _bounded(texts, extra_bytes)
    more: dict[int, dict[bytes, bytes]] = {}
    for row, text in spoken:
        key, _, value = text.partition(b":")
        more.setdefault(row, {})[key] = value
    memory = data.data
    odd = values.odd
    for row, kind, at, size in zip(
        items.row[odd].tolist(), items.kind[odd].tolist(), items.at[odd].tolist(), items.size[odd].tolist(), strict=True
    ):
        # Taken out first, so that of two the last one's place counts as well as its value.
        mine = more.setdefault(row, {})
        mine[b'"x%02x"' % kind] = b'"%b"' % memory[at : at + size].hex().encode()
    for row, at, last in zip(items.rest.tolist(), items.rest_at.tolist(), end[items.rest].tolist(), strict=True):
        more.setdefault(row, {})[b'"rest"'] = b'"%b"' % memory[at:last].hex().encode()
    return _bounded(
        texts.but({row: _with(texts.get(row, b"{}"), pairs, extra_bytes) for row, pairs in more.items()}), extra_bytes
    )


def _numbers(rows: int, table: Table, values: Values) -> Extras:
    """Objects of the numbers alone: rows with the same keys are formatted in one go."""
    shapes = values.json
    if not shapes:
        return NO_EXTRAS
    shape = np.zeros(rows, np.int64)
    columns: dict[int, IntArray] = {}
    for place, where, read in shapes:
        shape[where] |= 1 << place
        columns[place] = column = np.zeros(rows, np.int64)
        column[where] = read
    texts = NO_EXTRAS
    first = int(shape[0])
    kinds = [first] if (shape == first).all() else np.unique(shape).tolist()
    for kind in kinds:
        if not kind:
            continue
        mine = (shape == kind).nonzero()[0]
        places = [place for place in columns if kind >> place & 1]
        parts: list[IntArray] = []
        for place in places:
            column = columns[place][mine]
            parts += np.divmod(column, 10) if table.numbers[place].tenths else (column,)
        line = b"{" + b",".join([table.formats[place] for place in places]) + b"}\n"
        numbers = np.stack(parts, axis=1).ravel().tolist()
        blob = np.frombuffer(line * len(mine) % tuple(numbers), np.uint8)
        end = (blob == _NEW_LINE).nonzero()[0]
        start = np.append(0, end[:-1] + 1)
        texts = texts.but(Extras(mine, start, end - start, blob))
    return texts


def _with(text: bytes, pairs: dict[bytes, bytes], extra_bytes: int) -> bytes:
    """An object with more pairs, as many as fit, and how many bytes did not."""
    parts = [text[1:-1]] if len(text) > 2 else []
    size, dropped = len(text) + 30, 0  # room for the key that tells of dropped bytes
    for key, value in pairs.items():
        more = len(key) + len(value) + 2
        if size + more > extra_bytes:
            dropped += more
        else:
            size += more
            parts.append(key + b":" + value)
    if dropped:
        parts.append(b'"extra_dropped_bytes":%d' % dropped)
    return b"{" + b",".join(parts) + b"}"


def _bounded(texts: Extras, extra_bytes: int) -> Extras:
    long = (texts.size > extra_bytes).nonzero()[0]
    if not len(long):
        return texts
    sizes = zip(texts.rows[long].tolist(), texts.size[long].tolist(), strict=True)
    return texts.but({row: b'{"extra_dropped_bytes":%d}' % size for row, size in sizes})
