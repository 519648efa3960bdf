"""Fields of a message: numbers, digits, times, texts, bytes.

Purpose: each field knows its name, unit and meaning, reads itself from a body and writes itself into one. Values are
JSON-ready: numbers, texts, hex for bytes, names for codes. Invariants: what `write` made, `read` gives back; a value that
does not fit raises Malformed with the field's name and never anything else. Big-endian throughout.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Protocol

from ingest.wire.reader import Malformed, Reader

Values = dict[str, Any]
#: A size in bytes: fixed, by edition of the standard, or None for all that is left.
Size = int | Mapping[int, int] | None


class Field(Protocol):
    """One field of a message, or a group of them."""

    @property
    def name(self) -> str: ...

    def read(self, reader: Reader, got: Values) -> Any:
        """Its value; `got` holds what came before it in the same group."""
        ...

    def write(self, out: bytearray, value: Any, given: Values, version: int) -> None:
        """Append its bytes; `given` holds all values of the same group."""
        ...

    def describe(self) -> list[tuple[str, str, str, str]]:
        """Rows (name, type, unit, meaning) of the reference."""
        ...


def size_of(size: Size, reader_version: int) -> int | None:
    """The size for that edition: exactly, else the newest before it, else the oldest."""
    if size is None or isinstance(size, int):
        return size
    fitting = [version for version in size if version <= reader_version]
    return size[max(fitting)] if fitting else size[min(size)]


def size_text(size: Size) -> str:
    """For the reference."""
    if size is None:
        return "rest"
    if isinstance(size, int):
        return str(size)
    return ", ".join(f"{version}: {count}" for version, count in size.items())


@dataclass(frozen=True, slots=True)
class Int:
    """A number of `size` bytes.

    Attributes:
        scale: wire units per unit of the value: 10 for 0.1 km/h, 0.5 for steps of 2°; 1 keeps an integer.
        unit: of the value.
        values: what a code means; the value is then the word, and an unknown code stays a number.
        bits: what a bit means; the value is then {"value": number, "set": [words]}. On writing the number counts alone.
        at_most: a wire value above it is malformed.
    """

    name: str
    size: int = 1
    meaning: str = ""
    unit: str = ""
    signed: bool = False
    scale: float = 1
    values: Mapping[int, str] = field(default_factory=dict)
    bits: Mapping[int, str] = field(default_factory=dict)
    at_most: int | None = None

    def read(self, reader: Reader, got: Values) -> Any:
        del got
        number = int.from_bytes(reader.take(self.size, self.name), "big", signed=self.signed)
        if self.at_most is not None and number > self.at_most:
            raise Malformed(self.name, f"is {number}, more than {self.at_most}")
        if self.bits:
            return {"value": number, "set": [word for bit, word in self.bits.items() if number >> bit & 1]}
        if self.values:
            return self.values.get(number, number)
        return number if self.scale == 1 else number / self.scale

    def write(self, out: bytearray, value: Any, given: Values, version: int) -> None:
        del given, version
        number = self._number(value)
        try:
            out += number.to_bytes(self.size, "big", signed=self.signed)
        except OverflowError as error:
            raise Malformed(self.name, f"{number} does not fit {self.size} bytes") from error

    def _number(self, value: Any) -> int:
        if isinstance(value, dict):
            value = value.get("value")
        if isinstance(value, str):
            for code, word in self.values.items():
                if word == value:
                    return code
            raise Malformed(self.name, f"has no code for {value[:40]!r}")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Malformed(self.name, f"is no number: {value!r:.40}")
        if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 not a number
            raise Malformed(self.name, "is not finite")
        return round(value * self.scale)

    def describe(self) -> list[tuple[str, str, str, str]]:
        meaning = self.meaning
        if self.values:
            meaning += f" ({', '.join(f'{code} {word}' for code, word in self.values.items())})"
        if self.bits:
            meaning += f" (bits: {', '.join(f'{bit} {word}' for bit, word in self.bits.items())})"
        scaled = f" ÷ {self.scale}" if self.scale != 1 else ""
        return [(self.name, f"{'i' if self.signed else 'u'}{self.size * 8}{scaled}", self.unit, meaning.strip())]


def u8(name: str, meaning: str = "", **more: Any) -> Int:
    """One byte."""
    return Int(name, 1, meaning, **more)


def u16(name: str, meaning: str = "", **more: Any) -> Int:
    """Two bytes."""
    return Int(name, 2, meaning, **more)


def u32(name: str, meaning: str = "", **more: Any) -> Int:
    """Four bytes."""
    return Int(name, 4, meaning, **more)


@dataclass(frozen=True, slots=True)
class Bcd:
    """Decimal digits, two to a byte; the value is a text of exactly 2 × size digits."""

    name: str
    size: Size = 1
    meaning: str = ""

    def read(self, reader: Reader, got: Values) -> str:
        del got
        count = size_of(self.size, reader.version)
        digits = reader.take(reader.left if count is None else count, self.name).hex()
        if not digits.isdecimal() and digits:
            raise Malformed(self.name, f"{digits} holds no digit")
        return digits

    def write(self, out: bytearray, value: Any, given: Values, version: int) -> None:
        del given
        count = size_of(self.size, version)
        text = str(value)
        if not (text.isascii() and text.isdecimal()) or (count is not None and len(text) > 2 * count):
            raise Malformed(self.name, f"{text[:40]!r} is not {size_text(self.size)} bytes of digits")
        out += bytes.fromhex(text.zfill(2 * count if count is not None else len(text) + len(text) % 2))

    def describe(self) -> list[tuple[str, str, str, str]]:
        return [(self.name, f"bcd[{size_text(self.size)}]", "", self.meaning)]


BEIJING = timezone(timedelta(hours=8))


@dataclass(frozen=True, slots=True)
class BcdTime:
    """`YYMMDDhhmmss` (`size` 6), or with the century (`size` 7), in digits; the value is ISO 8601, None for all zeros.

    The standards' times are Beijing time (GMT+8) unless `zone` says otherwise.
    """

    name: str
    size: int = 6
    meaning: str = ""
    zone: timezone = BEIJING

    def read(self, reader: Reader, got: Values) -> str | None:
        del got
        digits = reader.take(self.size, self.name).hex()
        if not digits.strip("0"):
            return None
        try:
            return datetime.strptime(f"20{digits}"[-14:], "%Y%m%d%H%M%S").replace(tzinfo=self.zone).isoformat()
        except ValueError as error:
            raise Malformed(self.name, f"{digits} is no time") from error

    def write(self, out: bytearray, value: Any, given: Values, version: int) -> None:
        del given, version
        if value is None:
            out += bytes(self.size)
            return
        try:
            when = datetime.fromisoformat(value).astimezone(self.zone)
        except (TypeError, ValueError) as error:
            raise Malformed(self.name, f"{value!r:.40} is no time") from error
        if not 2000 <= when.year <= 2099:
            raise Malformed(self.name, f"the year {when.year} has no place in it")
        out += bytes.fromhex(when.strftime("%Y%m%d%H%M%S")[-2 * self.size :])

    def describe(self) -> list[tuple[str, str, str, str]]:
        offset = self.zone.utcoffset(None)
        return [(self.name, f"bcd time[{self.size}]", "UTC" if not offset else "GMT+8", self.meaning)]


def time_ms(iso: str | None) -> int:
    """UTC ms of a time as `BcdTime` gives it; 0 for None."""
    return 0 if iso is None else int(datetime.fromisoformat(iso).astimezone(UTC).timestamp() * 1000)


#: What `Text.read` makes of a byte that is no text.
_NO_TEXT = re.compile(rb"\\x([89a-f][0-9a-f])")


def _same_byte(found: re.Match[bytes]) -> bytes:
    return bytes.fromhex(found[1].decode())


@dataclass(frozen=True, slots=True)
class Text:
    """A text: of a fixed size (padded with zeros), with its length in front (`length_size` bytes), up to a zero byte
    (`ended`; the zero may be missing at the end of a body), or all that is left.

    Bytes that are no text in `encoding` come back as a backslash, x and two hex digits of 80 and above, so that no text
    ever stops a message, and are written back as those bytes.
    """

    name: str
    size: Size = None
    meaning: str = ""
    length_size: int = 0
    encoding: str = "gbk"
    ended: bool = False

    def read(self, reader: Reader, got: Values) -> str:
        del got
        if self.length_size:
            count: int | None = int.from_bytes(reader.take(self.length_size, self.name), "big")
        elif self.ended:
            end = reader.data.find(0, reader.at)
            raw = reader.take((end if end >= 0 else len(reader.data)) - reader.at, self.name)
            reader.at += end >= 0
            return raw.decode(self.encoding, "backslashreplace")
        else:
            count = size_of(self.size, reader.version)
        raw = reader.take(reader.left if count is None else count, self.name)
        return raw.rstrip(b"\0").decode(self.encoding, "backslashreplace")

    def write(self, out: bytearray, value: Any, given: Values, version: int) -> None:
        del given
        if not isinstance(value, str):
            raise Malformed(self.name, f"is no text: {value!r:.40}")
        raw = _NO_TEXT.sub(_same_byte, value.encode(self.encoding, "replace"))
        if self.ended:
            if 0 in raw:
                raise Malformed(self.name, "has a zero byte inside")
            out += raw + b"\0"
            return
        if self.length_size:
            if len(raw) >= 256**self.length_size:
                raise Malformed(self.name, f"{len(raw)} bytes are too long")
            out += len(raw).to_bytes(self.length_size, "big")
            out += raw
            return
        count = size_of(self.size, version)
        if count is not None and len(raw) > count:
            raise Malformed(self.name, f"{len(raw)} bytes do not fit {count}")
        out += raw if count is None else raw.ljust(count, b"\0")

    def describe(self) -> list[tuple[str, str, str, str]]:
        size = f"len u{8 * self.length_size}" if self.length_size else size_text(self.size)
        size = "up to 00" if self.ended else size
        return [(self.name, f"{self.encoding} text[{size}]", "", self.meaning)]


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes as they are; the value is hex. Of a fixed size, with the length in front, as long as `length` says, or the rest."""

    name: str
    size: Size = None
    meaning: str = ""
    length_size: int = 0
    length: Callable[[Values], int] | None = None

    def read(self, reader: Reader, got: Values) -> str:
        if self.length_size:
            count: int | None = int.from_bytes(reader.take(self.length_size, self.name), "big")
        else:
            count = self.length(got) if self.length is not None else size_of(self.size, reader.version)
        return reader.take(reader.left if count is None else count, self.name).hex()

    def write(self, out: bytearray, value: Any, given: Values, version: int) -> None:
        try:
            raw = bytes.fromhex(value)
        except (TypeError, ValueError) as error:
            raise Malformed(self.name, f"is no hex: {value!r:.40}") from error
        if self.length_size:
            if len(raw) >= 256**self.length_size:
                raise Malformed(self.name, f"{len(raw)} bytes are too long")
            out += len(raw).to_bytes(self.length_size, "big")
        else:
            count = self.length(given) if self.length is not None else size_of(self.size, version)
            if count is not None and len(raw) != count:
                raise Malformed(self.name, f"has {len(raw)} bytes instead of {count}")
        out += raw

    def describe(self) -> list[tuple[str, str, str, str]]:
        size = f"len u{8 * self.length_size}" if self.length_size else size_text(self.size)
        return [(self.name, f"bytes[{size}]", "", self.meaning)]
