"""The messages of GT06."""

from __future__ import annotations

from ingest.wire.fields import Bcd, u16
from ingest.wire.groups import if_left
from ingest.wire.message import Catalogue, Message, Way
from model.codes import Word

#: Added to the number of a message that means something else in a long frame (79 79).
LONG = 0x7900
#: What the server answers, by its number.
REPLIES = frozenset({0x01, 0x13, 0x23, 0x16, 0x19, 0x26, 0x27, 0x95, 0xA4, 0xA5, 0x8A})

CATALOGUE = Catalogue(
    "gt06",
    (
        Message(
            0x01,
            "login",
            Way.BOTH,
            Word("login", "登录"),
            (Bcd("imei", 8, "0 and 15 digits"), if_left(u16("type")), if_left(u16("zone"))),
        ),
    ),
)
