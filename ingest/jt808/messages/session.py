"""Messages about the connection itself: replies, heartbeat, registration, parts asked for again, keys.

Source: JT/T 808-2011, -2013, -2019, chapter 8 (9 in 2019).
"""

from __future__ import annotations

from datetime import UTC

from ingest.wire.fields import BcdTime, Bytes, Int, Text, u8, u16, u32
from ingest.wire.groups import Editions, List, since
from ingest.wire.message import Message, Way
from model.codes import Word

_SOURCE = "JT/T 808-2019 8"
PLATE_COLOURS = {
    0: "none",
    1: "blue",
    2: "yellow",
    3: "black",
    4: "white",
    5: "green",
    9: "other",
    91: "farm_yellow",
    92: "farm_green",
    93: "yellow_green",
    94: "gradient_green",
}
#: Results of a general reply.
RESULTS_UP = {0: "ok", 1: "failed", 2: "bad_message", 3: "not_supported"}
RESULTS_DOWN = {**RESULTS_UP, 4: "alarm_handled"}
REGISTER_RESULTS = {
    0: "ok",
    1: "vehicle_registered",
    2: "no_such_vehicle",
    3: "terminal_registered",
    4: "no_such_terminal",
}
#: Bytes of what names a terminal, by edition.
MAKER_BYTES = {2011: 5, 2013: 5, 2019: 11}
MODEL_BYTES = {2011: 8, 2013: 20, 2019: 30}
TERMINAL_BYTES = {2011: 7, 2013: 7, 2019: 30}


def _answered(what: str) -> tuple[Int, Int]:
    return u16("answers_serial", f"serial of the {what}'s message"), u16("answers_id", "its message id")


MESSAGES = (
    Message(
        0x0001,
        "terminal_reply",
        Way.UP,
        Word("general reply of the terminal", "终端通用应答"),
        (*_answered("platform"), u8("result", values=RESULTS_UP)),
        _SOURCE,
    ),
    Message(
        0x8001,
        "platform_reply",
        Way.DOWN,
        Word("general reply of the platform", "平台通用应答"),
        (*_answered("terminal"), u8("result", values=RESULTS_DOWN)),
        _SOURCE,
    ),
    Message(0x0002, "heartbeat", Way.UP, Word("heartbeat", "终端心跳"), (), _SOURCE),
    Message(0x0003, "log_out", Way.UP, Word("logs out", "终端注销"), (), _SOURCE),
    Message(0x0004, "time_query", Way.UP, Word("asks for the time", "查询服务器时间"), (), _SOURCE),
    Message(
        0x8004,
        "time_reply",
        Way.DOWN,
        Word("the time", "查询服务器时间应答"),
        (BcdTime("time", 6, "the platform's time", UTC),),
        _SOURCE,
    ),
    Message(
        0x8003,
        "parts_wanted_down",
        Way.DOWN,
        Word("parts asked for again by the platform", "服务器补传分包请求"),
        (
            u16("first_serial", "serial of the message's first part"),
            Editions(
                {
                    2011: List("parts", (u16("part"),), "numbers of the parts, from 1", count_size=1),
                    2019: List("parts", (u16("part"),), "numbers of the parts, from 1", count_size=2),
                }
            ),
        ),
        _SOURCE,
    ),
    Message(
        0x0005,
        "parts_wanted_up",
        Way.UP,
        Word("parts asked for again by the terminal", "终端补传分包请求"),
        (
            u16("first_serial", "serial of the message's first part"),
            List("parts", (u16("part"),), "numbers of the parts, from 1", count_size=2),
        ),
        _SOURCE,
    ),
    Message(
        0x0100,
        "register",
        Way.UP,
        Word("registers", "终端注册"),
        (
            u16("province", "GB/T 2260, first two digits; 0 none"),
            u16("city", "GB/T 2260, last four digits; 0 none"),
            Text("maker", MAKER_BYTES, "code of the maker"),
            Text("model", MODEL_BYTES, "model, the maker's own"),
            Text("terminal_id", TERMINAL_BYTES, "the terminal, the maker's own"),
            u8("plate_colour", values=PLATE_COLOURS),
            Text("plate", meaning="plate; VIN where there is none"),
        ),
        _SOURCE,
    ),
    Message(
        0x8100,
        "register_reply",
        Way.DOWN,
        Word("answer to a registration", "终端注册应答"),
        (
            u16("answers_serial", "serial of the registration"),
            u8("result", values=REGISTER_RESULTS),
            Text("token", meaning="to authenticate with; only after ok"),
        ),
        _SOURCE,
    ),
    Message(
        0x0102,
        "authenticate",
        Way.UP,
        Word("authenticates", "终端鉴权"),
        (
            Editions({2011: Text("token"), 2019: Text("token", length_size=1)}),
            since(2019, Text("imei", 15, "IMEI of the terminal")),
            since(2019, Text("software", 20, "version of its software")),
        ),
        _SOURCE,
    ),
    Message(
        0x0A00,
        "terminal_key",
        Way.UP,
        Word("RSA public key of the terminal", "终端 RSA 公钥"),
        (u32("e", "public exponent"), Bytes("n", 128, "modulus")),
        _SOURCE,
    ),
    Message(
        0x8A00,
        "platform_key",
        Way.DOWN,
        Word("RSA public key of the platform", "平台 RSA 公钥"),
        (u32("e", "public exponent"), Bytes("n", 128, "modulus")),
        _SOURCE,
    ),
)
