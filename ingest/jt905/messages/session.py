"""General replies, heartbeat, parameters, control, upgrade."""

from __future__ import annotations

from ingest.jt905.parameters import NAMES, TABLE, VERSIONS
from ingest.wire.fields import Text, Values, u8, u16
from ingest.wire.groups import Group, Items, List, When
from ingest.wire.loose import LooseItems
from ingest.wire.message import Message, Way
from model.codes import Word

SOURCE = "JT/T 905.2-2014 10.3.5"
RESULTS = {0: "ok", 1: "failed", 2: "bad_message"}
#: What a terminal is made of.
DEVICE_TYPES = {
    0x00: "isu",
    0x01: "modem",
    0x02: "meter",
    0x03: "security_module",
    0x04: "led_screen",
    0x05: "roof_light",
    0x06: "rating_rear",
    0x07: "camera",
    0x08: "gnss",
    0x09: "lcd_screen",
    0x10: "isu_screen",
    0x11: "rating_front",
}
CONTROLS = {
    1: "upgrade",
    2: "power_off",
    3: "reset",
    4: "factory_reset",
    5: "data_off",
    6: "radio_off",
}


def _upgrades(got: Values, _version: int, _left: int) -> bool:
    return got.get("command") == "upgrade"


_REPLY = (u16("answers_serial", "serial of the message answered"), u16("answers_id", "its number"))

SESSION = (
    Message(
        0x0001,
        "terminal_reply",
        Way.UP,
        Word("general reply of the terminal", "ISU 通用应答"),
        (*_REPLY, u8("result", values=RESULTS)),
        SOURCE,
    ),
    Message(
        0x8001,
        "platform_reply",
        Way.DOWN,
        Word("general reply of the platform", "中心通用应答"),
        (*_REPLY, u8("result", values=RESULTS)),
        SOURCE,
    ),
    Message(0x0002, "heartbeat", Way.UP, Word("heartbeat", "ISU 心跳"), (), SOURCE),
    Message(
        0x8103,
        "set_parameters",
        Way.DOWN,
        Word("set parameters", "设置参数"),
        (Items("parameters", TABLE, NAMES, id_size=2, length_size=1, count_size=1),),
        f"{SOURCE}; the count in front as SmallChi/JT905 writes it",
    ),
    Message(
        0x8104,
        "query_parameters",
        Way.DOWN,
        Word("ask for parameters", "查询 ISU 参数"),
        (List("ids", (u16("id", "number of a parameter"),)),),
        SOURCE,
    ),
    Message(
        0x0104,
        "parameters",
        Way.UP,
        Word("parameters", "查询 ISU 参数应答"),
        (
            u16("answers_serial", "serial of the query"),
            LooseItems("parameters", TABLE, NAMES, id_size=2, length_size=1),
        ),
        SOURCE,
    ),
    Message(
        0x8105,
        "control",
        Way.DOWN,
        Word("control the terminal", "ISU 控制"),
        (
            u8("command", values=CONTROLS),
            When(
                Group(
                    "upgrade",
                    (
                        u8("device_type", values=DEVICE_TYPES),
                        u8("maker"),
                        *VERSIONS,
                        Text("apn", ended=True),
                        Text("user", ended=True),
                        Text("password", ended=True),
                        Text("server", meaning="address or name", ended=True),
                        u16("port"),
                    ),
                ),
                _upgrades,
                "for an upgrade",
            ),
        ),
        SOURCE,
    ),
    Message(
        0x0105,
        "upgrade_result",
        Way.UP,
        Word("result of an upgrade", "ISU 升级结果报告"),
        (u8("device_type", values=DEVICE_TYPES), u8("maker"), *VERSIONS, u8("result", "0: done")),
        SOURCE,
    ),
)
