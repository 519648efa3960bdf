"""Frames of JT/T 808 in and out: `Frame`, and bodies by the table of messages.

Purpose: one frame of a terminal into its header and values, and values into frames. Invariants: nothing but Malformed
comes out of a reader, whatever it was given; a wrong checksum is said, not raised; what was encoded decodes to the same
values. It keeps no connection and puts no parts together: that is the gateway's.
"""

from __future__ import annotations

from dataclasses import dataclass

from ingest.jt.framing import unwrap, wrap
from ingest.jt808.header import MAX_BODY_BYTES, read_header, write_header
from ingest.jt808.messages import CATALOGUE
from ingest.jt808.messages.editions import body_version
from ingest.wire.fields import Values
from ingest.wire.reader import Malformed


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, whole and checked for form.

    Attributes:
        message_id: number of the message.
        number: terminal number, digits without the zeros in front; "" for none.
        serial: 0..65535, of this frame.
        body: as sent; of a part only its bytes.
        version: 2013 (2011 has the same header) or 2019.
        total, index: parts of the message and which this is, from 1; 1 and 1 for a whole one.
        checksum_ok: whether the checksum holds.
        encrypted: whether the body is encrypted.
        protocol_version: the byte of 2019, 0 before.
    """

    message_id: int
    number: str
    serial: int
    body: bytes
    version: int
    total: int = 1
    index: int = 1
    checksum_ok: bool = True
    encrypted: bool = False
    protocol_version: int = 0


def read_frame(raw: bytes) -> Frame:
    """A frame with both marks, still escaped. Malformed says what is wrong; a wrong checksum is only noted."""
    plain, checksum_ok = unwrap(raw)
    header = read_header(plain)
    return Frame(
        message_id=header.message_id,
        number=header.number,
        serial=header.serial,
        body=plain[header.header_size :],
        version=header.version,
        total=header.total,
        index=header.index,
        checksum_ok=checksum_ok,
        encrypted=header.encryption != 0,
        protocol_version=header.protocol_version,
    )


def write_frames(
    message_id: int, body: bytes, *, number: str, serial: int, version: int, max_body: int = MAX_BODY_BYTES
) -> list[bytes]:
    """The frames of one message: one, or several parts with the serials that follow `serial` (modulo 65,536).

    Args:
        message_id: number of the message.
        body: all of it.
        number: terminal number, at most 12 digits (20 in 2019).
        serial: of the first frame.
        version: 2011 or 2013, or 2019.
        max_body: bytes of one part, at most 1,023.
    """
    parts = [body[at : at + max_body] for at in range(0, len(body), max_body)] or [b""]
    return [
        wrap(
            write_header(
                message_id,
                len(part),
                number=number,
                serial=serial + count,
                version=version,
                total=len(parts),
                index=count + 1,
            )
            + part
        )
        for count, part in enumerate(parts)
    ]


def decode_body(frame: Frame) -> Values:
    """The values of a whole message, by the table. Malformed when it is not in the table or does not fit it."""
    message = CATALOGUE.by_id.get(frame.message_id)
    if message is None:
        raise Malformed("message_id", f"0x{frame.message_id:04x} is not in the table")
    if frame.encrypted:
        raise Malformed("body", "is encrypted")
    if frame.total > 1:
        raise Malformed("body", f"is part {frame.index} of {frame.total}")
    return message.read(frame.body, body_version(frame.message_id, frame.body, frame.version))


def encode(name: str, values: Values, *, number: str, serial: int, version: int) -> list[bytes]:
    """The frames of the message `name` with these values; `version` 2011 writes bodies of 2011. Raises Malformed."""
    message = CATALOGUE.by_name.get(name)
    if message is None:
        raise Malformed("name", f"{name[:40]!r} is not in the table")
    return write_frames(message.id, message.write(values, version), number=number, serial=serial, version=version)
