"""Messages for the driver: texts, events, questions, information, telephone.

Source: JT/T 808-2011, -2013, -2019, chapter 8; events, questions and information are gone in 2019.
"""

from __future__ import annotations

from ingest.wire.fields import Int, Text, u8, u16
from ingest.wire.groups import List, if_left, since
from ingest.wire.message import Message, Way
from model.codes import Word

_SOURCE, _SOURCE_OLD = "JT/T 808-2019 8", "JT/T 808-2013 8"
#: Bits of 8300's sign. In 2019 bits 0 and 1 are one number: 1 service, 2 urgent, 3 notice.
TEXT_URGENT, TEXT_DISPLAY, TEXT_SPEAK = 1 << 0, 1 << 2, 1 << 3
TEXT_URGENT_2019 = 2


def _sign(bits: dict[int, str]) -> Int:
    return u8("sign", bits=bits)


MESSAGES = (
    Message(
        0x8300,
        "text",
        Way.DOWN,
        Word("a text", "文本信息下发"),
        (
            _sign({0: "urgent", 1: "urgent_2019", 2: "display", 3: "speak", 4: "advertising_screen", 5: "fault_code"}),
            since(2019, u8("kind", values={1: "notice", 2: "service"})),
            Text("text"),
        ),
        _SOURCE,
    ),
    Message(
        0x8301,
        "set_events",
        Way.DOWN,
        Word("sets the events a driver may report", "事件设置"),
        (
            u8("action", values={0: "clear", 1: "update", 2: "append", 3: "change", 4: "delete"}),
            if_left(List("events", (u8("event"), Text("text", length_size=1)), count_size=1)),
        ),
        _SOURCE_OLD,
    ),
    Message(0x0301, "event", Way.UP, Word("the driver reports an event", "事件报告"), (u8("event"),), _SOURCE_OLD),
    Message(
        0x8302,
        "ask",
        Way.DOWN,
        Word("a question", "提问下发"),
        (
            _sign({0: "urgent", 3: "speak", 4: "advertising_screen"}),
            Text("question", length_size=1),
            List("choices", (u8("choice"), Text("text", length_size=2))),
        ),
        _SOURCE_OLD,
    ),
    Message(
        0x0302,
        "ask_answer",
        Way.UP,
        Word("the driver's answer", "提问应答"),
        (u16("answers_serial", "serial of the question"), u8("choice")),
        _SOURCE_OLD,
    ),
    Message(
        0x8303,
        "set_information",
        Way.DOWN,
        Word("sets the menu of information", "信息点播菜单设置"),
        (
            u8("action", values={0: "clear", 1: "update", 2: "append", 3: "change"}),
            if_left(List("topics", (u8("topic"), Text("text", length_size=2)), count_size=1)),
        ),
        _SOURCE_OLD,
    ),
    Message(
        0x0303,
        "information_wanted",
        Way.UP,
        Word("the driver orders or cancels information", "信息点播/取消"),
        (u8("topic"), u8("wanted", values={0: "cancel", 1: "order"})),
        _SOURCE_OLD,
    ),
    Message(
        0x8304,
        "information",
        Way.DOWN,
        Word("information", "信息服务"),
        (u8("topic"), Text("text", length_size=2)),
        _SOURCE_OLD,
    ),
    Message(
        0x8400,
        "call_back",
        Way.DOWN,
        Word("the terminal dials a number", "电话回拨"),
        (u8("mode", values={0: "talk", 1: "listen"}), Text("phone", 20)),
        _SOURCE,
    ),
    Message(
        0x8401,
        "set_phone_book",
        Way.DOWN,
        Word("sets the phone book", "设置电话本"),
        (
            u8("action", values={0: "clear", 1: "update", 2: "append", 3: "change"}),
            if_left(
                List(
                    "contacts",
                    (
                        u8("calls", values={1: "in", 2: "out", 3: "both"}),
                        Text("phone", length_size=1),
                        Text("name", length_size=1),
                    ),
                    count_size=1,
                )
            ),
        ),
        _SOURCE,
    ),
)
