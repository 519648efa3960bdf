"""`Message`: one entry of a protocol's table; `Catalogue`: the table.

Purpose: what a message is called, which way it goes, what it holds and where that is written down: read, written and
documented from the same entry. Invariants: ids are unique in a direction; a body that leaves bytes over is malformed
unless the entry says that senders add some (`tail`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ingest.wire.fields import Field, Values
from ingest.wire.groups import read_fields, write_fields
from ingest.wire.reader import Malformed, Reader
from model.codes import Word


class Way(StrEnum):
    """Which way a message goes."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        id: its number on the wire.
        name: in snake case, the word used everywhere.
        way: up (from the device), down (to it), both.
        words: what people read.
        fields: of its body, in order.
        source: where the fields are written down, e.g. `JT/T 808-2019 8.12`.
        tail: bytes that may follow and are kept as `tail` (hex).
    """

    id: int
    name: str
    way: Way
    words: Word
    fields: Sequence[Field] = ()
    source: str = ""
    tail: bool = False

    def read(self, body: bytes, version: int = 0) -> Values:
        """The body's values. Raises Malformed."""
        reader = Reader(body, version)
        values = read_fields(self.fields, reader)
        if reader.left:
            if not self.tail:
                raise Malformed("", f"{reader.left} bytes are left over after {self.name}")
            values["tail"] = reader.take(reader.left, "tail").hex()
        return values

    def write(self, values: Values, version: int = 0) -> bytes:
        """The body with these values. Raises Malformed."""
        out = bytearray()
        write_fields(self.fields, out, values, version)
        if self.tail and "tail" in values:
            out += bytes.fromhex(values["tail"])
        return bytes(out)


class Catalogue:
    """All messages of one protocol, by number and by name."""

    def __init__(self, protocol: str, messages: Sequence[Message]) -> None:
        self.protocol = protocol
        self.by_id: dict[int, Message] = {}
        self.by_name: dict[str, Message] = {}
        for one in messages:
            if one.id in self.by_id or one.name in self.by_name:
                raise ValueError(f"{protocol}: {one.id:#x} {one.name} is in the table twice")
            self.by_id[one.id] = one
            self.by_name[one.name] = one

    def __iter__(self) -> Iterator[Message]:
        return iter(self.by_id.values())

    def __len__(self) -> int:
        return len(self.by_id)
