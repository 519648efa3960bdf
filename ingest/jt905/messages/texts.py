"""Texts, events, questions; telephone."""

from __future__ import annotations

from ingest.jt905.messages.session import SOURCE
from ingest.wire.fields import Text, u8, u32
from ingest.wire.groups import List
from ingest.wire.message import Message, Way
from model.codes import Word

#: The longest text of 8300, bytes of GBK.
MAX_TEXT_BYTES = 499
#: The longest phone number.
MAX_NUMBER_BYTES = 20
_TEXT_BITS = {0: "urgent", 2: "display", 3: "speak", 4: "advertising_screen"}

TEXTS = (
    Message(
        0x8300,
        "text",
        Way.DOWN,
        Word("text", "文本信息下发"),
        (u8("flags", bits=_TEXT_BITS), Text("text", meaning=f"at most {MAX_TEXT_BYTES} bytes", ended=True)),
        SOURCE,
    ),
    Message(
        0x8301,
        "set_events",
        Way.DOWN,
        Word("set events", "事件设置"),
        (List("events", (u8("id"), Text("text", ended=True)), "none: all are deleted", count_size=1),),
        SOURCE,
    ),
    Message(0x0301, "event", Way.UP, Word("event", "事件报告"), (u8("event", "its number"),), SOURCE),
    Message(
        0x8302,
        "ask",
        Way.DOWN,
        Word("ask the driver", "提问下发"),
        (
            u8("flags", bits=_TEXT_BITS),
            u32("question", "its number"),
            Text("text", ended=True),
            List("answers", (u8("id"), Text("text", ended=True))),
        ),
        SOURCE,
    ),
    Message(
        0x0302,
        "driver_answer",
        Way.UP,
        Word("the driver's answer", "提问应答"),
        (u32("question", "its number"), u8("answer", "its number")),
        SOURCE,
    ),
    Message(
        0x8400,
        "call_back",
        Way.DOWN,
        Word("the terminal is to dial a number", "电话回拨"),
        (u8("mode", values={0: "talk", 1: "listen_in"}), Text("number", ended=True)),
        SOURCE,
    ),
    Message(
        0x8401,
        "set_phone_book",
        Way.DOWN,
        Word("set the phone book", "设置电话本"),
        (
            List(
                "contacts",
                (
                    u8("way", values={1: "in", 2: "out", 3: "both"}),
                    Text("number", ended=True),
                    Text("name", ended=True),
                ),
                count_size=1,
            ),
        ),
        SOURCE,
    ),
)
