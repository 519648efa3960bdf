"""Messages that set a terminal up and tell it what to do: parameters, control, attributes, upgrade, vehicle.

Source: JT/T 808-2011, -2013, -2019, chapter 8.
"""

from __future__ import annotations

from ingest.jt808.messages.positions import position
from ingest.jt808.messages.session import MODEL_BYTES, TERMINAL_BYTES
from ingest.jt808.parameters import PARAMETERS
from ingest.wire.fields import Bcd, Bytes, Text, u8, u16, u32
from ingest.wire.groups import List, since, until
from ingest.wire.message import Message, Way
from model.codes import Word

_SOURCE = "JT/T 808-2019 8"
CONTROLS = {
    1: "upgrade",
    2: "connect",
    3: "shut_down",
    4: "reset",
    5: "factory",
    6: "close_data",
    7: "close_all_links",
}
UPGRADES = {0: "terminal", 12: "card_reader", 52: "beidou"}
#: In 0107 and 8108 the maker's code keeps its five bytes in 2019.
_MAKER_BYTES = 5

MESSAGES = (
    Message(0x8103, "set_parameters", Way.DOWN, Word("sets parameters", "设置终端参数"), (PARAMETERS,), _SOURCE),
    Message(0x8104, "query_parameters", Way.DOWN, Word("asks for all parameters", "查询终端参数"), (), _SOURCE),
    Message(
        0x8106,
        "query_some_parameters",
        Way.DOWN,
        Word("asks for some parameters", "查询指定终端参数"),
        (List("ids", (u32("id"),), "numbers of the parameters", count_size=1),),
        _SOURCE,
    ),
    Message(
        0x0104,
        "parameters_answer",
        Way.UP,
        Word("the parameters that were asked for", "查询终端参数应答"),
        (u16("answers_serial", "serial of the query"), PARAMETERS),
        _SOURCE,
        tail=True,  # terminals are known that count fewer than they send
    ),
    Message(
        0x8105,
        "control",
        Way.DOWN,
        Word("control of the terminal", "终端控制"),
        (u8("control", values=CONTROLS), Text("parameters", meaning="of 1 and 2, between semicolons")),
        _SOURCE,
    ),
    Message(0x8107, "query_attributes", Way.DOWN, Word("asks for the attributes", "查询终端属性"), (), _SOURCE),
    Message(
        0x0107,
        "attributes_answer",
        Way.UP,
        Word("the attributes that were asked for", "查询终端属性应答"),
        (
            u16(
                "type",
                bits={
                    0: "passenger",
                    1: "dangerous_goods",
                    2: "freight",
                    3: "taxi",
                    6: "disk",
                    7: "separate",
                    8: "trailer",
                },
            ),
            Text("maker", _MAKER_BYTES, "code of the maker"),
            Text("model", MODEL_BYTES, "the maker's own"),
            Text("terminal_id", TERMINAL_BYTES, "the maker's own"),
            Bcd("iccid", 10, "of the SIM card"),
            Text("hardware", length_size=1, meaning="version"),
            Text("firmware", length_size=1, meaning="version"),
            u8("gnss", bits={0: "gps", 1: "beidou", 2: "glonass", 3: "galileo"}),
            u8(
                "network",
                bits={
                    0: "gprs",
                    1: "cdma",
                    2: "td_scdma",
                    3: "wcdma",
                    4: "cdma2000",
                    5: "td_lte",
                    7: "other",
                },
            ),
        ),
        _SOURCE,
    ),
    Message(
        0x8108,
        "upgrade",
        Way.DOWN,
        Word("a package of software", "下发终端升级包"),
        (
            u8("what", values=UPGRADES),
            Text("maker", _MAKER_BYTES, "code of the maker"),
            Text("software", length_size=1, meaning="version"),
            Bytes("data", length_size=4),
        ),
        _SOURCE,
    ),
    Message(
        0x0108,
        "upgrade_result",
        Way.UP,
        Word("what came of an upgrade", "终端升级结果通知"),
        (u8("what", values=UPGRADES), u8("result", values={0: "ok", 1: "failed", 2: "cancelled"})),
        _SOURCE,
    ),
    Message(
        0x8500,
        "vehicle_control",
        Way.DOWN,
        Word("control of the vehicle", "车辆控制"),
        (
            until(2013, u8("doors", "bit 0: 0 unlock, 1 lock")),
            since(
                2019,
                List(
                    "controls",
                    (u16("control", values={1: "doors"}), u8("value", "of doors: 0 lock, 1 unlock")),
                    "every control that the standard knows has a value of one byte",
                    count_size=2,
                ),
            ),
        ),
        _SOURCE,
    ),
    Message(
        0x0500,
        "vehicle_control_answer",
        Way.UP,
        Word("what the vehicle's state is after a control", "车辆控制应答"),
        (u16("answers_serial", "serial of the control"), *position()),
        _SOURCE,
    ),
)
