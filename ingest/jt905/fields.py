"""Fields that only JT/T 905 has: amounts in digits, minutes in digits.

Invariants: as in `ingest.wire.fields`: what `write` made, `read` gives back; nothing but Malformed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingest.wire.fields import BEIJING, Values
from ingest.wire.reader import Malformed, Reader


@dataclass(frozen=True, slots=True)
class BcdNumber:
    """A number written in decimal digits, two to a byte.

    Attributes:
        scale: digits per unit of the value: 10 for 0.1 km, 1 keeps an integer.
        unit: of the value.
    """

    name: str
    size: int
    meaning: str = ""
    unit: str = ""
    scale: int = 1

    def read(self, reader: Reader, got: Values) -> float:
        del got
        digits = reader.take(self.size, self.name).hex()
        if not digits.isdecimal():
            raise Malformed(self.name, f"{digits} holds no digit")
        return int(digits) if self.scale == 1 else int(digits) / self.scale

    def write(self, out: bytearray, value: Any, given: Values, version: int) -> None:
        del given, version
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 10**15:
            raise Malformed(self.name, f"is no amount: {value!r:.40}")
        digits = str(round(value * self.scale))
        if len(digits) > 2 * self.size:
            raise Malformed(self.name, f"{digits} does not fit {2 * self.size} digits")
        out += bytes.fromhex(digits.zfill(2 * self.size))

    def describe(self) -> list[tuple[str, str, str, str]]:
        scaled = f" ÷ {self.scale}" if self.scale != 1 else ""
        return [(self.name, f"bcd number[{self.size}]{scaled}", self.unit, self.meaning)]


@dataclass(frozen=True, slots=True)
class BcdMinute:
    """`YYMMDDhhmm` (`size` 5) or with the century (`size` 6), Beijing time; ISO 8601, None for all zeros."""

    name: str
    size: int = 6
    meaning: str = ""

    def read(self, reader: Reader, got: Values) -> str | None:
        del got
        digits = reader.take(self.size, self.name).hex()
        if not digits.strip("0"):
            return None
        try:
            return datetime.strptime(f"20{digits}"[-12:], "%Y%m%d%H%M").replace(tzinfo=BEIJING).isoformat()
        except ValueError as error:
            raise Malformed(self.name, f"{digits} is no time") from error

    def write(self, out: bytearray, value: Any, given: Values, version: int) -> None:
        del given, version
        if value is None:
            out += bytes(self.size)
            return
        try:
            when = datetime.fromisoformat(value).astimezone(BEIJING)
        except (TypeError, ValueError, OverflowError) as error:
            raise Malformed(self.name, f"{value!r:.40} is no time") from error
        if not (2000 <= when.year <= 2099 if self.size == 5 else when.year >= 1000):
            raise Malformed(self.name, f"the year {when.year} has no place in it")
        out += bytes.fromhex(when.strftime("%Y%m%d%H%M")[-2 * self.size :])

    def describe(self) -> list[tuple[str, str, str, str]]:
        return [(self.name, f"bcd minute[{self.size}]", "GMT+8", self.meaning)]
