"""`LooseItems`: items to the end of a body, of which the last may be broken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ingest.wire.fields import Values
from ingest.wire.groups import Items
from ingest.wire.reader import Malformed, Reader


@dataclass(frozen=True, slots=True)
class LooseItems(Items):
    """Items of which the last may be broken: `{"rest": hex, "error": what}`, so that a bad end costs nothing in front of it."""

    def read(self, reader: Reader, got: Values) -> list[Values]:
        del got
        made: list[Values] = []
        while reader.left:
            start = reader.at
            place = f"{self.name}[{len(made)}]"
            try:
                number = int.from_bytes(reader.take(self.id_size, f"{place}.id"), "big")
                size = int.from_bytes(reader.take(self.length_size, f"{place}.length"), "big")
                raw = reader.take(size, f"{place}.value")
            except Malformed as error:
                reader.at = start
                made.append({"rest": reader.take(reader.left, place).hex(), "error": str(error)})
                break
            made.append(self.read_one(number, raw, reader.version))
        return made

    def write(self, out: bytearray, value: Any, given: Values, version: int) -> None:
        last = value[-1] if isinstance(value, list) and value else None
        if isinstance(last, dict) and "rest" in last:
            Items.write(self, out, value[:-1], given, version)
            try:
                out += bytes.fromhex(last["rest"])
            except (TypeError, ValueError) as error:
                raise Malformed(self.name, f"is no hex: {last['rest']!r:.40}") from error
            return
        Items.write(self, out, value, given, version)
