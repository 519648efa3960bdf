"""Fields that only GT06 has: its times, half bytes, the word of course and fix, texts with a language behind.

Invariants: as in `ingest.wire.fields`: what `write` made, `read` gives back; nothing but Malformed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingest.wire.fields import Field, Values
from ingest.wire.groups import read_fields, write_fields
from ingest.wire.reader import Malformed, Reader

Rows = list[tuple[str, str, str, str]]


@dataclass(frozen=True, slots=True)
class DeviceTime:
    """Year, month, day, hour, minute, second, a byte each.

    ISO 8601 without an offset, since the zone is the device's own
    (`login.zone`; UTC unless it says otherwise); None for all zeros.
    """

    name: str = "time"
    meaning: str = ""

    def read(self, reader: Reader, got: Values) -> str | None:
        del got
        raw = reader.take(6, self.name)
        if not any(raw):
            return None
        try:
            return datetime(2000 + raw[0], *raw[1:]).isoformat()  # noqa: DTZ001 the zone is not in the message
        except ValueError as error:
            raise Malformed(self.name, f"{raw.hex()} is no time") from error

    def write(self, out: bytearray, value: Any, given: Values, version: int) -> None:
        del given, version
        if value is None:
            out += bytes(6)
            return
        try:
            when = datetime.fromisoformat(value)
        except (TypeError, ValueError) as error:
            raise Malformed(self.name, f"{value!r:.40} is no time") from error
        if not 2000 <= when.year <= 2255:
            raise Malformed(self.name, f"the year {when.year} has no place in it")
        out += bytes((when.year - 2000, when.month, when.day, when.hour, when.minute, when.second))

    def describe(self) -> Rows:
        return [(self.name, "u8 × 6", "device's zone", self.meaning)]


@dataclass(frozen=True, slots=True)
class Halves:
    """One byte, two numbers."""

    name: str
    high: str
    low: str
    meaning: str = ""

    def read(self, reader: Reader, got: Values) -> Values:
        del got
        number = reader.take(1, self.name)[0]
        return {self.high: number >> 4, self.low: number & 15}

    def write(self, out: bytearray, value: Any, given: Values, version: int) -> None:
        del given, version
        high, low = (value.get(self.high), value.get(self.low)) if isinstance(value, dict) else (None, None)
        if not (isinstance(high, int) and isinstance(low, int) and 0 <= high <= 15 and 0 <= low <= 15):
            raise Malformed(self.name, f"is no two halves of a byte: {value!r:.40}")
        out.append(high << 4 | low)

    def describe(self) -> Rows:
        return [(self.name, "u4, u4", "", f"{self.high}, {self.low} {self.meaning}".strip())]


#: Bits of the word of course and fix above the course.
_COURSE_BITS = {10: "north", 11: "west", 12: "fixed", 13: "differential", 14: "ignition_sent", 15: "ignition"}


@dataclass(frozen=True, slots=True)
class Course:
    """The word behind the speed: degrees in bits 0 to 9, above them what the fix is."""

    name: str = "course"

    def read(self, reader: Reader, got: Values) -> Values:
        del got
        word = int.from_bytes(reader.take(2, self.name), "big")
        return {"heading_deg": word & 0x3FF} | {bit: bool(word >> at & 1) for at, bit in _COURSE_BITS.items()}

    def write(self, out: bytearray, value: Any, given: Values, version: int) -> None:
        del given, version
        degrees = value.get("heading_deg") if isinstance(value, dict) else None
        if not isinstance(degrees, int) or not 0 <= degrees <= 0x3FF:
            raise Malformed(self.name, f"is no course: {value!r:.40}")
        word = degrees | sum(1 << at for at, bit in _COURSE_BITS.items() if value.get(bit))
        out += word.to_bytes(2, "big")

    def describe(self) -> Rows:
        bits = ", ".join(f"{at} {bit}" for at, bit in _COURSE_BITS.items())
        return [(self.name, "u16", "°", f"bits 0 to 9 heading; bits: {bits}")]


@dataclass(frozen=True, slots=True)
class Counted:
    """Fields with their length in bytes in front; None when it is zero. What they leave over is kept as `rest` (hex)."""

    name: str
    fields: Sequence[Field]
    #: Whether the byte of length counts itself.
    itself: bool = False

    def read(self, reader: Reader, got: Values) -> Values | None:
        del got
        count = reader.take(1, f"{self.name}.length")[0]
        if count == 0:
            return None
        inner = Reader(reader.take(count - self.itself, self.name), reader.version)
        try:
            made = read_fields(self.fields, inner)
        except Malformed as error:
            raise error.inside(self.name) from error
        if inner.left:
            made["rest"] = inner.take(inner.left, "rest").hex()
        return made

    def write(self, out: bytearray, value: Any, given: Values, version: int) -> None:
        del given
        if value is None:
            out.append(0)
            return
        if not isinstance(value, dict):
            raise Malformed(self.name, f"is no group: {value!r:.40}")
        body = bytearray()
        try:
            write_fields(self.fields, body, value, version)
            body += bytes.fromhex(value.get("rest", ""))
        except Malformed as error:
            raise error.inside(self.name) from error
        except (TypeError, ValueError) as error:
            raise Malformed(f"{self.name}.rest", "is no hex") from error
        if not 0 < len(body) + self.itself <= 255:
            raise Malformed(self.name, f"{len(body)} bytes do not fit its length")
        out.append(len(body) + self.itself)
        out += body

    def describe(self) -> Rows:
        inner = [(f"{self.name}.{name}", *rest) for one in self.fields for name, *rest in one.describe()]
        return [(self.name, "group (len u8)", "", "none when the length is 0"), *inner]  # type: ignore[list-item]


@dataclass(frozen=True, slots=True)
class ToText:
    """The text up to the last `but` bytes. What is no text in `encoding` comes as `{"raw": hex}`.

    Attributes:
        coded: name of the field in front that says 1 (ASCII) or 2 (UTF-16); "": `encoding`.
    """

    name: str = "text"
    but: int = 0
    encoding: str = "ascii"
    coded: str = ""

    def _encoding(self, values: Values) -> str:
        return "utf-16-be" if self.coded and values.get(self.coded) == "utf16" else self.encoding

    def read(self, reader: Reader, got: Values) -> Any:
        if reader.left < self.but:
            raise Malformed(self.name, f"leaves {reader.left} bytes of the {self.but} behind it")
        raw = reader.take(reader.left - self.but, self.name)
        try:
            text = raw.decode(self._encoding(got))
        except UnicodeDecodeError:
            return {"raw": raw.hex()}
        return text

    def write(self, out: bytearray, value: Any, given: Values, version: int) -> None:
        del version
        try:
            out += bytes.fromhex(value["raw"]) if isinstance(value, dict) else value.encode(self._encoding(given))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Malformed(self.name, f"is no text of its encoding: {value!r:.40}") from error

    def describe(self) -> Rows:
        behind = f" but {self.but}" if self.but else ""
        return [(self.name, f"{self.encoding} text[rest{behind}]", "", f"as `{self.coded}` says" if self.coded else "")]


@dataclass(frozen=True, slots=True)
class BatteryOrVolts:
    """The byte or word behind the states of a heartbeat: a level 0 to 6, or, of some makers, hundredths of a volt.

    A byte of at most 6 before a signal of at most 31 is a level, and so is what would be more than 100 V; else it is a
    voltage. `{"level": n}` or `{"volts": x}`.
    """

    name: str = "battery"

    def read(self, reader: Reader, got: Values) -> Values:
        del got
        first = reader.take(1, self.name)[0]
        second = reader.data[reader.at] if reader.left else 0
        word = first << 8 | second
        if not reader.left or self._is_level(first, second):
            return {"level": first}
        reader.take(1, self.name)
        return {"volts": word / 100}

    @staticmethod
    def _is_level(first: int, second: int) -> bool:
        return (first <= 6 and second <= 31) or (first << 8 | second) > 10_000

    def write(self, out: bytearray, value: Any, given: Values, version: int) -> None:
        del given, version
        level, volts = (value.get("level"), value.get("volts")) if isinstance(value, dict) else (None, None)
        if isinstance(level, int) and 0 <= level <= 255:
            out.append(level)
        elif isinstance(volts, (int, float)) and 0 <= volts <= 100:
            out += round(volts * 100).to_bytes(2, "big")
        else:
            raise Malformed(self.name, f"is neither a level nor volts: {value!r:.40}")

    def describe(self) -> Rows:
        return [(self.name, "u8 or u16 ÷ 100", "0 to 6 or V", "level, or voltage of some makers")]
