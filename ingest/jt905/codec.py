"""One frame of JT/T 905 in, values out, and back.

Purpose: marks, escapes and checksum are those of JT/T 808 (`ingest.jt.framing`); the header is its own: 12 bytes, a length
without flags, no parts, no editions. Invariants: `read_frame` and `decode_body` raise Malformed and nothing else; a wrong
checksum raises nothing. It cannot tell 905 from 808: the header is as long as that of 808-2013, so who calls has to know
from the registry, then from the "10" in front of the number (`looks_like_905`). Source: JT/T 905.2-2014 10.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ingest.jt.framing import unwrap, wrap
from ingest.jt905.messages import CATALOGUE
from ingest.wire.fields import Values
from ingest.wire.reader import Malformed

HEADER_BYTES = 12
#: The most that the length of the header can say; smaller limits are the terminal's.
MAX_BODY_BYTES = 0xFFFF


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, whole and checked for form.

    Attributes:
        message_id: u16.
        number: of the terminal (ISU), digits without zeros in front; "" when all are zero.
        serial: the sender's count.
        body: after the header.
        version, total, index, encrypted: always 0, 1, 1, False: 905 has no editions, parts or encryption.
        checksum_ok: whether the checksum holds.
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


def looks_like_905(number_bytes: bytes) -> bool:
    """Whether the six bytes of the number in a header begin with the "10" of an ISU."""
    return number_bytes[:1] == b"\x10"


def read_frame(raw: bytes) -> Frame:
    """A frame with both marks, still escaped. Malformed says what is wrong; a wrong checksum is only noted."""
    plain, checksum_ok = unwrap(raw)
    if len(plain) < HEADER_BYTES:
        raise Malformed("header", f"needs {HEADER_BYTES} bytes and has {len(plain)}")
    body_size, digits = int.from_bytes(plain[2:4], "big"), plain[4:10].hex()
    if not digits.isdecimal():
        raise Malformed("number", f"{digits} holds no digit")
    if body_size != len(plain) - HEADER_BYTES:
        raise Malformed("body_size", f"says {body_size} bytes and {len(plain) - HEADER_BYTES} came")
    return Frame(
        message_id=int.from_bytes(plain[:2], "big"),
        number=digits.lstrip("0"),
        serial=int.from_bytes(plain[10:12], "big"),
        body=plain[HEADER_BYTES:],
        checksum_ok=checksum_ok,
    )


def decode_body(frame: Frame) -> Values:
    """Its values by the table. Raises Malformed, also for a number that is not in the table."""
    entry = CATALOGUE.by_id.get(frame.message_id)
    if entry is None:
        raise Malformed("message_id", f"{frame.message_id:#06x} is not in the table")
    return entry.read(frame.body, frame.version)


def write_frames(
    message_id: int, body: bytes, *, number: str, serial: int, version: int = 0, max_body: int = MAX_BODY_BYTES
) -> list[bytes]:
    """The one frame that carries `body`, with marks and escaped. Malformed when it does not fit: there are no parts.

    `version` is here for the sake of 808.
    """
    del version
    if len(body) > min(max_body, MAX_BODY_BYTES):
        raise Malformed("body", f"{len(body)} bytes are more than {min(max_body, MAX_BODY_BYTES)}")
    if not (number.isascii() and (number.isdecimal() or not number)) or len(number) > 12:
        raise Malformed("number", f"{number[:40]!r} is not 6 bytes of digits")
    header = message_id.to_bytes(2, "big") + len(body).to_bytes(2, "big") + bytes.fromhex(number.zfill(12))
    return [wrap(header + (serial & 0xFFFF).to_bytes(2, "big") + body)]


def encode(name: str, values: dict[str, Any], *, number: str, serial: int, version: int = 0) -> list[bytes]:
    """The frame of the message called `name`. Raises Malformed."""
    entry = CATALOGUE.by_name.get(name)
    if entry is None:
        raise Malformed("name", f"{name[:40]!r} is not in the table")
    return write_frames(entry.id, entry.write(values, version), number=number, serial=serial)
