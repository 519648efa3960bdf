"""Messages that hold what others recorded: drivers' cards, the driving recorder, waybills, CAN, what goes through.

Source: JT/T 808-2011, -2013, -2019, chapter 8; GB/T 19056 says what a recorder's data hold; T/JSATL 12-2017 (0xF8 of 0900).
"""

from __future__ import annotations

from ingest.wire.fields import Bcd, BcdTime, Bytes, Field, Text, Values, u8, u16, u32
from ingest.wire.groups import Group, List, When, if_left, since, until
from ingest.wire.message import Message, Way
from model.codes import Word

_SOURCE = "JT/T 808-2019 8"
PERIPHERALS = 0xF8
THROUGH = {
    0x00: "gnss",
    0x0B: "ic_card",
    0x41: "serial_1",
    0x42: "serial_2",
    0xF7: "peripheral_states",
    PERIPHERALS: "peripherals",
}


def _card(version: int, field: Field) -> When:
    """A field of a card that was put in, of that edition on."""
    return since(version, if_left(field))


def _is_peripherals(got: Values, _version: int, _left: int) -> bool:
    return bool(got["kind"] == THROUGH[PERIPHERALS])


def _is_other(got: Values, version: int, left: int) -> bool:
    return not _is_peripherals(got, version, left)


MESSAGES = (
    Message(
        0x8700,
        "recorder_query",
        Way.DOWN,
        Word("asks for data of the driving recorder", "行驶记录仪数据采集命令"),
        (u8("command", "by GB/T 19056"), Bytes("data")),
        _SOURCE,
    ),
    Message(
        0x0700,
        "recorder_answer",
        Way.UP,
        Word("data of the driving recorder", "行驶记录数据上传"),
        (u16("answers_serial", "serial of the query"), u8("command", "by GB/T 19056"), Bytes("data")),
        _SOURCE,
    ),
    Message(
        0x8701,
        "recorder_set",
        Way.DOWN,
        Word("sets the driving recorder", "行驶记录仪参数下传命令"),
        (u8("command", "by GB/T 19056"), Bytes("data")),
        _SOURCE,
    ),
    Message(0x0701, "waybill", Way.UP, Word("a waybill", "电子运单上报"), (Bytes("data", length_size=4),), _SOURCE),
    Message(0x8702, "driver_query", Way.DOWN, Word("asks who drives", "上报驾驶员身份信息请求"), (), _SOURCE),
    Message(
        0x0702,
        "driver",
        Way.UP,
        Word("who drives", "驾驶员身份信息采集上报"),
        (
            until(2011, Text("driver", length_size=1)),
            until(2011, Text("identity", 20, "number of the identity card")),
            until(2011, Text("licence", 40, "number of the licence")),
            until(2011, Text("issuer", length_size=1)),
            since(2013, u8("card", values={1: "in", 2: "out"})),
            since(2013, BcdTime("time")),
            _card(
                2013,
                u8("read", values={0: "ok", 1: "key_failed", 2: "locked", 3: "pulled_out", 4: "checksum"}),
            ),
            _card(2013, Text("driver", length_size=1)),
            _card(2013, Text("licence", 20, "number of the licence")),
            _card(2013, Text("issuer", length_size=1)),
            _card(2013, Bcd("valid_until", 4, "YYYYMMDD")),
            _card(2019, Text("identity", 20, "number of the identity card")),
        ),
        _SOURCE,
    ),
    Message(
        0x0705,
        "can",
        Way.UP,
        Word("data of the CAN bus", "CAN 总线数据上传"),
        (
            u16("count"),
            Bcd("time", 5, "of the first: hour, minute, second, thousandths (4 digits)"),
            List(
                "frames",
                (u32("can_id", "bit 31 channel, 30 extended, 29 mean value, 0 to 28 CAN id"), Bytes("data", 8)),
                count=lambda got: int(got["count"]),
            ),
        ),
        _SOURCE,
    ),
    Message(
        0x0900,
        "through_up",
        Way.UP,
        Word("data that goes through, up", "数据上行透传"),
        (
            u8("kind", values=THROUGH),
            When(
                List(
                    "peripherals",
                    (
                        u8("peripheral", "0x64 ADAS, 0x65 driver monitor, 0x66 tyres, 0x67 blind spot"),
                        Group(
                            "system",
                            (
                                Text("maker", length_size=1),
                                Text("model", length_size=1),
                                Text("hardware", length_size=1),
                                Text("software", length_size=1),
                                Text("device_id", length_size=1),
                                Text("customer", length_size=1),
                            ),
                            length_size=1,
                        ),
                    ),
                    count_size=1,
                ),
                _is_peripherals,
                "0xF8",
            ),
            When(Bytes("data"), _is_other, "else"),
        ),
        _SOURCE,
    ),
    Message(
        0x8900,
        "through_down",
        Way.DOWN,
        Word("data that goes through, down", "数据下行透传"),
        (u8("kind", values=THROUGH), Bytes("data")),
        _SOURCE,
    ),
    Message(
        0x0901,
        "compressed",
        Way.UP,
        Word("compressed data", "数据压缩上报"),
        (Bytes("data", meaning="GZIP", length_size=4),),
        _SOURCE,
    ),
)
