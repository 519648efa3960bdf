"""One frame of GT06 in, values out, and back; what the server has to answer at once.

Invariants: `read_frame` and `decode_body` raise Malformed and nothing else; a wrong checksum raises nothing. A frame names
its device only in the login: of any other `number` is "" and the session knows it. Marks matter: a few numbers mean
something else in a long frame (`LONG` of messages).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ingest.gt06 import frame as frames
from ingest.gt06.frame import split
from ingest.gt06.messages import CATALOGUE, LONG, REPLIES
from ingest.wire.fields import Values
from ingest.wire.message import Message
from ingest.wire.reader import Malformed

__all__ = ["Frame", "decode_body", "encode", "entry_of", "read_frame", "reply_to", "split", "write_frames"]

_LOGIN, _COMMAND, _TIME = 0x01, 0x80, 0x8A


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, whole and checked for form.

    Attributes:
        message_id: its number, one byte, whichever mark.
        number: IMEI, 15 digits, in a login; else "".
        serial: the sender's count.
        body: between the number of the message and the serial.
        version, total, index: always 0, 1, 1: there are no editions and no parts.
        checksum_ok: whether the CRC holds.
        encrypted: always False.
        long: whether it has the mark 79 79.
    """

    message_id: int
    number: str
    serial: int
    body: bytes
    version: int = 0
    total: int = 1
    index: int = 1
    checksum_ok: bool = True
    encrypted: bool = False
    long: bool = False


def read_frame(raw: bytes) -> Frame:
    """The frame from mark to stop. Malformed when its form is wrong; a wrong checksum is `checksum_ok` False."""
    opened = frames.open_frame(raw)
    digits = opened.body[:8].hex() if opened.message_id == _LOGIN and len(opened.body) >= 8 else ""
    return Frame(
        message_id=opened.message_id,
        number=digits[1:] if digits.isdecimal() and digits.strip("0") else "",
        serial=opened.serial,
        body=opened.body,
        checksum_ok=opened.checksum_ok,
        long=opened.long,
    )


def entry_of(message_id: int, *, long: bool = False) -> Message:
    """The table's entry; Malformed when there is none."""
    found = CATALOGUE.by_id.get(LONG | message_id) if long else None
    found = found or CATALOGUE.by_id.get(message_id)
    if found is None:
        raise Malformed("message_id", f"{message_id:#04x} is not in the table")
    return found


def decode_body(frame: Frame) -> Values:
    """Its values by the table. Raises Malformed, also for a number that is not in the table."""
    return entry_of(frame.message_id, long=frame.long).read(frame.body, 0)


def write_frames(
    message_id: int, body: bytes, *, number: str = "", serial: int, version: int = 0, long: bool = False
) -> list[bytes]:
    """The one frame that carries `body`.

    A command (0x80) whose flag is zero gets `serial` as its flag: devices send the flag back, and not our serial.
    `number` and `version` are here for the sake of the other protocols.
    """
    del number, version
    if message_id == _COMMAND and len(body) >= 5 and body[1:5] == bytes(4):
        body = body[:1] + serial.to_bytes(4, "big") + body[5:]
    return [frames.close_frame(message_id & 0xFF, body, serial, long=long or bool(message_id & LONG))]


def encode(name: str, values: dict[str, Any], *, number: str = "", serial: int, version: int = 0) -> list[bytes]:
    """The frame of the message called `name`. Raises Malformed."""
    entry = CATALOGUE.by_name.get(name)
    if entry is None:
        raise Malformed("name", f"{name[:40]!r} is not in the table")
    return write_frames(entry.id, entry.write(values, 0), number=number, serial=serial, version=version)


def reply_to(frame: Frame, now_ms: int) -> bytes | None:
    """What the server owes for it (see `REPLIES`), under its own number and serial; None when nothing.

    A time request gets the UTC time of `now_ms`. An answer to an alarm or a position says that it was kept: send it after
    the commit. A frame whose checksum does not hold is owed nothing.
    """
    if not frame.checksum_ok or frame.message_id not in REPLIES:
        return None
    body = b""
    if frame.message_id == _TIME:
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        body = bytes((now.year % 100, now.month, now.day, now.hour, now.minute, now.second))
    return frames.close_frame(frame.message_id, body, frame.serial, long=frame.long)
