"""Fields made of fields: groups, lists, items by number, fields that are there only sometimes.

Invariants: a list has a limit on its length; an item whose number is not in the table is kept as hex; an item that does
not fit its own table is kept as hex with what is wrong, and touches no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ingest.wire.fields import Field, Values
from ingest.wire.reader import Malformed, Reader

#: Elements of one list, items of one message.
DEFAULT_MAX_ELEMENTS = 4_096

Rows = list[tuple[str, str, str, str]]


def read_fields(fields: Sequence[Field], reader: Reader) -> Values:
    """Values of `fields`, in order. A field named "" is a `When`: it is there only if its value is not None."""
    got: Values = {}
    for one in fields:
        value = one.read(reader, got)
        if isinstance(one, When):
            if value is not ABSENT:
                got[one.name] = value
        else:
            got[one.name] = value
    return got


def write_fields(fields: Sequence[Field], out: bytearray, given: Values, version: int) -> None:
    """Append `fields` with the values of `given`."""
    for one in fields:
        if isinstance(one, When):
            one.write(out, given.get(one.name, ABSENT), given, version)
        elif one.name not in given:
            raise Malformed(one.name, "is missing")
        else:
            one.write(out, given[one.name], given, version)


class _Absent:
    """A field that is not there."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()


@dataclass(frozen=True, slots=True)
class When:
    """A field that is there only when `there(values before it, version, bytes left)` says so.

    On writing, bytes left are not known: it is written when it was given, and must not be where `there` forbids it.
    """

    inner: Field
    there: Callable[[Values, int, int], bool]
    says: str = ""
    #: First and last edition that has it; others do not write it, so that two forms may share a name.
    editions: tuple[int, int] = (0, 9_999)

    @property
    def name(self) -> str:
        return self.inner.name

    def read(self, reader: Reader, got: Values) -> Any:
        return self.inner.read(reader, got) if self.there(got, reader.version, reader.left) else ABSENT

    def write(self, out: bytearray, value: Any, given: Values, version: int) -> None:
        if value is not ABSENT and self.editions[0] <= version <= self.editions[1]:
            self.inner.write(out, value, given, version)

    def describe(self) -> Rows:
        return [
            (name, kind, unit, f"{meaning} [{self.says}]".strip())
            for name, kind, unit, meaning in self.inner.describe()
        ]


def since(version: int, inner: Field) -> When:
    """A field of that edition and later ones."""
    return When(inner, lambda _got, now, _left: now >= version, f"since {version}", (version, 9_999))


def until(version: int, inner: Field) -> When:
    """A field of that edition and earlier ones."""
    return When(inner, lambda _got, now, _left: now <= version, f"until {version}", (0, version))


def if_left(inner: Field) -> When:
    """A field that may be left out at the end of a body."""
    return When(inner, lambda _got, _now, left: left > 0, "may be left out")


@dataclass(frozen=True, slots=True)
class Group:
    """Fields under one name; the value is a dict."""

    name: str
    fields: Sequence[Field]
    meaning: str = ""
    #: Bytes of a length in front of the group; 0 none. What the group leaves of them is malformed.
    length_size: int = 0

    def read(self, reader: Reader, got: Values) -> Values:
        del got
        try:
            if not self.length_size:
                return read_fields(self.fields, reader)
            count = int.from_bytes(reader.take(self.length_size, "length"), "big")
            inner = Reader(reader.take(count, "length"), reader.version)
            made = read_fields(self.fields, inner)
            if inner.left:
                raise Malformed("length", f"leaves {inner.left} bytes over")
            return made
        except Malformed as error:
            raise error.inside(self.name) from error

    def write(self, out: bytearray, value: Any, given: Values, version: int) -> None:
        del given
        if not isinstance(value, dict):
            raise Malformed(self.name, f"is no group: {value!r:.40}")
        body = bytearray()
        try:
            write_fields(self.fields, body, value, version)
        except Malformed as error:
            raise error.inside(self.name) from error
        if self.length_size:
            out += len(body).to_bytes(self.length_size, "big")
        out += body

    def describe(self) -> Rows:
        return [
            (f"{self.name}.{name}", kind, unit, meaning)
            for one in self.fields
            for name, kind, unit, meaning in one.describe()
        ]


@dataclass(frozen=True, slots=True)
class List:
    """Elements one after the other; the value is a list of dicts, or of values where there is but one field.

    Attributes:
        count_size: bytes of a count in front; 0: `count` says it, and where that is None, until the end.
        length_size: bytes of a length in front of each element.
    """

    name: str
    fields: Sequence[Field]
    meaning: str = ""
    count_size: int = 0
    count: Callable[[Values], int] | None = None
    length_size: int = 0
    at_most: int = DEFAULT_MAX_ELEMENTS

    def read(self, reader: Reader, got: Values) -> list[Any]:
        if self.count_size:
            count: int | None = int.from_bytes(reader.take(self.count_size, f"{self.name}.count"), "big")
        else:
            count = self.count(got) if self.count is not None else None
        if count is not None and count > self.at_most:
            raise Malformed(f"{self.name}.count", f"is {count}, more than {self.at_most}")
        group = Group("", self.fields, length_size=self.length_size)
        made: list[Any] = []
        while len(made) < count if count is not None else reader.left > 0:
            if len(made) >= self.at_most:
                raise Malformed(self.name, f"has more than {self.at_most} elements")
            before = reader.at
            try:
                one = group.read(reader, {})
            except Malformed as error:
                place = error.place.removeprefix(".")
                raise Malformed(f"{self.name}[{len(made)}].{place}", error.what) from error
            if reader.at == before and count is None:
                raise Malformed(self.name, "has elements without a byte")
            made.append(one[self.fields[0].name] if len(self.fields) == 1 else one)
        return made

    def write(self, out: bytearray, value: Any, given: Values, version: int) -> None:
        if not isinstance(value, list):
            raise Malformed(self.name, f"is no list: {value!r:.40}")
        if len(value) > self.at_most or (self.count_size and len(value) >= 256**self.count_size):
            raise Malformed(self.name, f"{len(value)} elements are too many")
        if self.count_size:
            out += len(value).to_bytes(self.count_size, "big")
        elif self.count is not None and self.count(given) != len(value):
            raise Malformed(self.name, f"has {len(value)} elements instead of {self.count(given)}")
        group = Group("", self.fields, length_size=self.length_size)
        for number, one in enumerate(value):
            try:
                group.write(out, {self.fields[0].name: one} if len(self.fields) == 1 else one, {}, version)
            except Malformed as error:
                place = error.place.removeprefix(".")
                raise Malformed(f"{self.name}[{number}].{place}", error.what) from error

    def describe(self) -> Rows:
        rows = [(f"{self.name}[].{name}", *rest) for one in self.fields for name, *rest in one.describe()]
        front = f"count u{8 * self.count_size}" if self.count_size else ("rest" if self.count is None else "counted")
        return [(self.name, f"list ({front})", "", self.meaning), *rows]  # type: ignore[list-item]


@dataclass(frozen=True, slots=True)
class Items:
    """Items of number, length and value: `id (id_size) | length (length_size) | value`.

    The value is a list of `{"id": number, "name": word, "value": …}`; of an unknown one `{"id": number, "raw": hex}`; of one
    that does not fit its table `{"id": number, "name": word, "raw": hex, "error": what}`.

    Attributes:
        table: the fields of an item by its number; one field gives the bare value, several a dict.
        names: name of an item by its number.
        count_size: bytes of a count in front of all; 0: until the end.
    """

    name: str
    table: Mapping[int, Sequence[Field]]
    names: Mapping[int, str]
    meaning: str = ""
    id_size: int = 1
    length_size: int = 1
    count_size: int = 0
    sources: Mapping[int, str] = field(default_factory=dict)

    def read(self, reader: Reader, got: Values) -> list[Values]:
        del got
        count = int.from_bytes(reader.take(self.count_size, self.name), "big") if self.count_size else None
        if count is not None and count > DEFAULT_MAX_ELEMENTS:
            raise Malformed(f"{self.name}.count", f"is {count}, more than {DEFAULT_MAX_ELEMENTS}")
        made: list[Values] = []
        while len(made) < count if count is not None else reader.left > 0:
            place = f"{self.name}[{len(made)}]"
            number = int.from_bytes(reader.take(self.id_size, f"{place}.id"), "big")
            size = int.from_bytes(reader.take(self.length_size, f"{place}.length"), "big")
            made.append(self.read_one(number, reader.take(size, f"{place}.value"), reader.version))
        return made

    def read_one(self, number: int, raw: bytes, version: int = 0) -> Values:
        """One item."""
        fields = self.table.get(number)
        if fields is None:
            return {"id": number, "raw": raw.hex()}
        reader = Reader(raw, version)
        try:
            value = read_fields(fields, reader)
            if reader.left:
                raise Malformed("length", f"leaves {reader.left} bytes over")
        except Malformed as error:
            return {"id": number, "name": self.names[number], "raw": raw.hex(), "error": str(error)}
        only = value[fields[0].name] if len(fields) == 1 and fields[0].name in value else value
        return {"id": number, "name": self.names[number], "value": only}

    def write(self, out: bytearray, value: Any, given: Values, version: int) -> None:
        del given
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise Malformed(self.name, f"is no list of items: {value!r:.40}")
        if len(value) > DEFAULT_MAX_ELEMENTS or (self.count_size and len(value) >= 256**self.count_size):
            raise Malformed(self.name, f"{len(value)} items are too many")
        if self.count_size:
            out += len(value).to_bytes(self.count_size, "big")
        for one in value:
            number = one["id"]
            raw = bytes.fromhex(one["raw"]) if "raw" in one else self._written(number, one["value"], version)
            if len(raw) >= 256**self.length_size:
                raise Malformed(f"{self.name}.{number:#x}", f"{len(raw)} bytes are too long")
            out += number.to_bytes(self.id_size, "big") + len(raw).to_bytes(self.length_size, "big") + raw

    def _written(self, number: int, value: Any, version: int) -> bytes:
        fields = self.table.get(number)
        if fields is None:
            raise Malformed(f"{self.name}.{number:#x}", "is not in the table: give it as raw")
        bare = len(fields) == 1 and not (isinstance(value, dict) and fields[0].name in value)
        out = bytearray()
        write_fields(fields, out, {fields[0].name: value} if bare else value, version)
        return bytes(out)

    def describe(self) -> Rows:
        rows: Rows = [(self.name, f"items (id u{8 * self.id_size}, length u{8 * self.length_size})", "", self.meaning)]
        for number, fields in self.table.items():
            for one in fields:
                rows += [
                    (f"{number:#04x} {self.names[number]}.{name}", kind, unit, meaning)
                    for name, kind, unit, meaning in one.describe()
                ]
        return rows


@dataclass(frozen=True, slots=True)
class Editions:
    """A field whose form differs by edition of the standard: exactly that edition, else the newest before it, else the oldest."""

    forms: Mapping[int, Field]

    @property
    def name(self) -> str:
        return self.forms[min(self.forms)].name

    def form(self, version: int) -> Field:
        """The field of that edition."""
        fitting = [one for one in self.forms if one <= version]
        return self.forms[max(fitting) if fitting else min(self.forms)]

    def read(self, reader: Reader, got: Values) -> Any:
        return self.form(reader.version).read(reader, got)

    def write(self, out: bytearray, value: Any, given: Values, version: int) -> None:
        self.form(version).write(out, value, given, version)

    def describe(self) -> Rows:
        return [
            (name, kind, unit, f"{meaning} [{version}]".strip())
            for version, form in self.forms.items()
            for name, kind, unit, meaning in form.describe()
        ]
