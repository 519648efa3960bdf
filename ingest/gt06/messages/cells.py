"""Messages without a fix: cells and wireless networks around the device."""

from __future__ import annotations

from ingest.gt06.fields import DeviceTime
from ingest.gt06.messages.parts import (
    CELL,
    LONG_CELL,
    LONG_NEIGHBOURS,
    NEIGHBOURS,
    NETWORK,
    SOURCE,
    STATUS,
    UPLOAD,
    WIFI,
    cell,
    fix,
    given,
    left_from,
    left_is,
    without,
)
from ingest.wire.fields import Bytes, Field, Text, u8, u16
from ingest.wire.groups import Group, List, When, if_left
from ingest.wire.message import Message, Way
from model.codes import Word

_AROUND = Word("cells around", "多基站")
_ADVANCE, _LANGUAGE = u8("advance", "timing"), u16("language")


def _multiple(number: int, name: str) -> Message:
    fields = (DeviceTime(), *NETWORK, NEIGHBOURS, _ADVANCE, if_left(_LANGUAGE))
    return Message(number, name, Way.UP, _AROUND, fields, SOURCE, tail=True)


#: 24 is a position of most makers and cells of Wanway, 44 bytes.
_WANWAY: tuple[Field, ...] = (DeviceTime(), u8("advance"), *NETWORK)

CELLS = (
    _multiple(0x18, "lbs_extended"),
    _multiple(0x28, "lbs_multiple"),
    _multiple(0x2E, "lbs_multiple_2"),
    Message(
        0x24,
        "lbs_multiple_3",
        Way.UP,
        _AROUND,
        (
            When(Group("wanway", _WANWAY), left_is(44), "44 bytes: Wanway"),
            When(fix(), without("wanway", 18), "else"),
            When(cell(), given("fix"), "else"),
            When(Group("upload", UPLOAD), lambda got, _version, left: "fix" in got and left >= 3, "else"),
        ),
        SOURCE,
        tail=True,
    ),
    Message(
        0x19,
        "lbs_alarm",
        Way.UP,
        Word("alarm without a fix", "报警（无定位）"),
        (Group("cell", CELL), When(Group("status", STATUS), left_from(5), "5 bytes are left")),
        SOURCE,
        tail=True,
    ),
    Message(
        0x2C,
        "lbs_wifi",
        Way.UP,
        Word("cells and wireless networks", "基站与 WiFi"),
        (DeviceTime(), *NETWORK, NEIGHBOURS, _ADVANCE, WIFI, if_left(_LANGUAGE)),
        SOURCE,
        tail=True,
    ),
    Message(
        0xA1,
        "lbs_4g",
        Way.UP,
        _AROUND,
        (DeviceTime(), *NETWORK, LONG_NEIGHBOURS, _ADVANCE, if_left(_LANGUAGE)),
        SOURCE,
        tail=True,
    ),
    Message(
        0xA2,
        "wifi_4g",
        Way.UP,
        Word("cells and wireless networks", "基站与 WiFi（4G）"),
        (
            When(fix(), left_is(59), "59 bytes: a fix"),
            When(Group("cell", LONG_CELL), given("fix"), "behind a fix"),
            When(
                Group("around", (DeviceTime(), *NETWORK, LONG_NEIGHBOURS, _ADVANCE, WIFI)), without("fix"), "else"
            ),
        ),
        SOURCE,
        tail=True,
    ),
    Message(
        0xA7,
        "address_query_4g",
        Way.UP,
        Word("asks for an address", "请求地址（4G）"),
        (Group("cell", LONG_CELL), Text("phone", 21, "number that asks", encoding="ascii"), _LANGUAGE),
        SOURCE,
    ),
    Message(
        0xF3,
        "wifi",
        Way.UP,
        Word("wireless networks around", "WiFi"),
        (DeviceTime(), List("wifi", (Bytes("signal", 2), Bytes("mac", 6)), count_size=1)),
        SOURCE,
        tail=True,
    ),
)  # fmt: skip
