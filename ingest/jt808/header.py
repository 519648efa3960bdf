"""The header of a JT/T 808 frame: 12 bytes (2011, 2013) or 17 (2019), and 4 more where a message goes in parts.

Invariants: a header that was read says exactly as many bytes of body as there are; the edition is 2019 by the flag in
the header and 2013 otherwise, since nothing in a header tells 2011 from 2013.
Source: JT/T 808-2019 4.4.3 table 2 and 3; JT/T 808-2013 4.4.3.
"""

from __future__ import annotations

from dataclasses import dataclass

from ingest.wire.reader import Malformed

#: Largest body of one frame: its length has ten bits.
MAX_BODY_BYTES = 1_023
#: Edition of a sender whose header has no version flag: 2011 has the same header.
DEFAULT_VERSION = 2013
VERSION_2019 = 2019
_PARTED, _VERSIONED = 1 << 13, 1 << 14
_PARTS_BYTES = 4
#: Bytes of header and of terminal number by whether the version flag is set.
_SIZES = {False: (12, 6), True: (17, 10)}


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before a body.

    Attributes:
        message_id: number of the message.
        body_size: bytes of the body that follows.
        encryption: 0 none, bit 0 RSA, the others are reserved.
        parted: whether the message goes in several frames.
        version: 2013 (or 2011) or 2019.
        protocol_version: the byte of 2019, 0 before.
        number: terminal number, digits without the zeros in front; "" for all zeros.
        serial: of this frame, 0..65535.
        total, index: parts in all and which of them this is, from 1; 1 and 1 for a whole message.
        header_size: bytes of the header.
    """

    message_id: int
    body_size: int
    encryption: int
    parted: bool
    version: int
    protocol_version: int
    number: str
    serial: int
    total: int
    index: int
    header_size: int


def read_header(plain: bytes) -> Header:
    """The header of an unescaped header with its body, without the checksum. Raises Malformed."""
    if len(plain) < _SIZES[False][0]:
        raise Malformed("header", f"needs {_SIZES[False][0]} bytes and has {len(plain)}")
    message_id, properties = int.from_bytes(plain[:2], "big"), int.from_bytes(plain[2:4], "big")
    versioned, parted = bool(properties & _VERSIONED), bool(properties & _PARTED)
    header_size, number_size = _SIZES[versioned]
    end = header_size + _PARTS_BYTES * parted
    if len(plain) < end:
        raise Malformed("header", f"needs {end} bytes and has {len(plain)}")
    digits = plain[4 + versioned : 4 + versioned + number_size].hex()
    if not digits.isdecimal():
        raise Malformed("number", f"{digits} holds no digit")
    total = index = 1
    if parted:
        total, index = int.from_bytes(plain[end - 4 : end - 2], "big"), int.from_bytes(plain[end - 2 : end], "big")
        if not 1 <= index <= total:
            raise Malformed("part", f"is {index} of {total}")
    body_size = properties & MAX_BODY_BYTES
    if body_size != len(plain) - end:
        raise Malformed("body_size", f"says {body_size} bytes and {len(plain) - end} came")
    return Header(
        message_id=message_id,
        body_size=body_size,
        encryption=properties >> 10 & 7,
        parted=parted,
        version=VERSION_2019 if versioned else DEFAULT_VERSION,
        protocol_version=plain[4] if versioned else 0,
        number=digits.lstrip("0"),
        serial=int.from_bytes(plain[header_size - 2 : header_size], "big"),
        total=total,
        index=index,
        header_size=end,
    )


def write_header(
    message_id: int,
    body_size: int,
    *,
    number: str,
    serial: int,
    version: int,
    total: int = 1,
    index: int = 1,
    protocol_version: int = 1,
    parted: bool | None = None,
) -> bytes:
    """The header, unescaped. `parted` None: where there is more than one part. Raises Malformed for what has no place."""
    versioned = version >= VERSION_2019
    _, number_size = _SIZES[versioned]
    parted = total > 1 if parted is None else parted
    if body_size > MAX_BODY_BYTES:
        raise Malformed("body_size", f"{body_size} bytes are more than {MAX_BODY_BYTES}")
    if not (number.isascii() and (number.isdecimal() or not number)) or len(number) > 2 * number_size:
        raise Malformed("number", f"{number[:40]!r} is not {number_size} bytes of digits")
    if parted and not 1 <= index <= total < 1 << 16:
        raise Malformed("part", f"is {index} of {total}")
    out = bytearray(message_id.to_bytes(2, "big"))
    out += (body_size | _PARTED * parted | _VERSIONED * versioned).to_bytes(2, "big")
    if versioned:
        out.append(protocol_version)
    out += bytes.fromhex(number.zfill(2 * number_size))
    out += (serial & 0xFFFF).to_bytes(2, "big")
    if parted:
        out += total.to_bytes(2, "big") + index.to_bytes(2, "big")
    return bytes(out)
