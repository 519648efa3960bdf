"""How a record of the log lies in a message: the payload unchanged, and what the log knows of it in one header.

Invariants: the checksum covers kind, rows, the message's id and the payload; the position is the stream's own sequence and stands
nowhere in the message. It asks nobody.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import xxhash

from model.errors import SchemaTooNew
from model.seams import LogRecord, NewRecord, RecordKind

#: Kind, rows and checksum of a record: `kind rows checksum`.
RECORD_HEADER = "Lucheng-Record"
ID_HEADER = "Nats-Msg-Id"
EXPECTED_STREAM = "Nats-Expected-Stream"
EXPECTED_LAST = "Nats-Expected-Last-Sequence"
BATCH_ID, BATCH_SEQUENCE, BATCH_COMMIT = "Nats-Batch-Id", "Nats-Batch-Sequence", "Nats-Batch-Commit"
SEQUENCE = "Nats-Sequence"
#: The kind of a place holder for a record that the servers lost.
GONE = 0
_HEAD = struct.Struct("<Qq")


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as a stream holds it.

    Attributes:
        position: its sequence.
        headers: as they were published; {} when it has none.
        payload: as it was published; empty where only headers were asked for.
    """

    position: int
    headers: Mapping[str, str]
    payload: bytes

    @property
    def message_id(self) -> str:
        """What it was published as."""
        return self.headers.get(ID_HEADER, "")

    def claimed(self) -> tuple[int, int, str] | None:
        """Kind, rows and checksum as its header says; None when it has none that can be read."""
        parts = self.headers.get(RECORD_HEADER, "").split(" ")
        try:
            kind, rows = int(parts[0]), int(parts[1])
            checksum = parts[2]
        except (ValueError, IndexError):
            return None
        return (kind, rows, checksum) if kind >= 0 and rows >= 0 else None

    def rows(self) -> int:
        """Rows it stands for; 1 when it does not say."""
        claimed = self.claimed()
        return claimed[1] if claimed is not None else 1

    def holds(self) -> bool:
        """Whether its checksum holds, and it is a record and not the place of one that is gone."""
        claimed = self.claimed()
        if claimed is None or claimed[0] == GONE:
            return False
        kind, rows, checksum = claimed
        return checksum == checksum_of(kind, rows, self.message_id, self.payload)

    def record(self) -> LogRecord:
        """The record of a message that holds; SchemaTooNew when its kind is one that this program does not know."""
        claimed = self.claimed()
        kind, rows = (claimed[0], claimed[1]) if claimed is not None else (GONE, 0)
        try:
            known = RecordKind(kind)
        except ValueError as error:
            raise SchemaTooNew(
                f"Record {self.position} of the log is of kind {kind}, which this lucheng does not know.",
                mend="It was written by a newer lucheng: use that version.",
            ) from error
        return LogRecord(self.position, known, rows, self.payload)


def checksum_of(kind: int, rows: int, message_id: str, payload: bytes) -> str:
    """xxh3 of the payload, seeded with xxh3 of the rest, in hexadecimal digits."""
    seed = xxhash.xxh3_64_intdigest(_HEAD.pack(kind, rows) + message_id.encode())
    return xxhash.xxh3_64_hexdigest(payload, seed)


def headers_of(record: NewRecord, message_id: str, stream: str) -> dict[str, str]:
    """The headers of a new record."""
    kind = int(record.kind)
    return {
        ID_HEADER: message_id,
        EXPECTED_STREAM: stream,
        RECORD_HEADER: f"{kind} {record.rows} {checksum_of(kind, record.rows, message_id, record.payload)}",
    }


def headers_of_gone(message_id: str, stream: str) -> dict[str, str]:
    """The headers of the place holder for a record that is gone."""
    return {
        ID_HEADER: message_id,
        EXPECTED_STREAM: stream,
        RECORD_HEADER: f"{GONE} 1 {checksum_of(GONE, 1, message_id, b'')}",
    }


def stored_of(message: Mapping[str, Any]) -> Stored:
    """The message in an answer of `STREAM.MSG.GET`."""
    lines = base64.b64decode(message.get("hdrs", "")).split(b"\r\n")[1:]
    headers: dict[str, str] = {}
    for line in lines:
        name, mark, value = line.partition(b":")
        if mark:
            headers[name.decode(errors="replace")] = value.strip().decode(errors="replace")
    return Stored(int(message["seq"]), headers, base64.b64decode(message.get("data", "")))
