"""Which edition of JT/T 808 a body was written by, where the header cannot tell.

2011 and 2013 have the same header; two messages have another body. Their sizes tell them apart.
"""

from __future__ import annotations

from ingest.jt808.header import DEFAULT_VERSION

VERSION_2011 = 2011
REGISTER, DRIVER_CARD = 0x0100, 0x0702
#: Bytes of a registration before the plate, 2011 and 2013: model of 8 and of 20 bytes.
_REGISTER_2011_BYTES, _REGISTER_2013_BYTES = 25, 37
#: Where the plate colour stands in 2011; a vehicle without a plate (colour 0) gives its VIN of 17 letters.
_COLOUR_AT_2011, _VIN_CHARS = 24, 17
#: What 2013 begins with: a card put in, a card taken out. No name is so short.
_CARD_ACTIONS_2013 = (1, 2)


def body_version(message_id: int, body: bytes, header_version: int) -> int:
    """2011 where the body of a 2011/2013 frame can only be of 2011, else what the header says."""
    if header_version != DEFAULT_VERSION:
        return header_version
    if message_id == REGISTER and _is_register_2011(body):
        return VERSION_2011
    if message_id == DRIVER_CARD and _is_driver_2011(body):
        return VERSION_2011
    return header_version


def _is_register_2011(body: bytes) -> bool:
    """Shorter than 2013 can be, or a VIN where 2011 has it."""
    if len(body) < _REGISTER_2013_BYTES:
        return True
    vin = body[_REGISTER_2011_BYTES:]
    return body[_COLOUR_AT_2011] == 0 and len(vin) == _VIN_CHARS and vin.isalnum()


def _is_driver_2011(body: bytes) -> bool:
    """2011 begins with the length of the name and has fixed 60 bytes after it, then the issuer with its length."""
    if not body or body[0] in _CARD_ACTIONS_2013 or 2 + body[0] + 60 > len(body):
        return False
    return 2 + body[0] + 60 + body[1 + body[0] + 60] == len(body)
