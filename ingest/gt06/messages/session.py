"""Login, heartbeats, time, commands and what devices answer."""

from __future__ import annotations

from ingest.gt06.fields import Course, DeviceTime, ToText
from ingest.gt06.messages.parts import INFORMATION, POWER, SOURCE, left_is
from ingest.wire.fields import Bcd, Field, Int, u8, u16, u32
from ingest.wire.groups import Group, When, if_left
from ingest.wire.message import Message, Way
from model.codes import Word

#: What the server answers at once, by number: login, heartbeats, alarms, time. Positions are not answered.
REPLIES = frozenset({0x01, 0x13, 0x23, 0x16, 0x19, 0x26, 0x27, 0x95, 0xA3, 0xA4, 0x8A})
LANGUAGES = {1: "zh", 2: "en"}
_FLAG = u32("server_flag", "of the command, given back")
#: What the engine says, and where.
_ENGINE: tuple[Field, ...] = (
    DeviceTime(),
    u8("ignition", values={0: "off", 1: "on"}),
    ToText("text", 12),
    u8("sky"),
    u32("lat", unit="°", scale=1_800_000),
    u32("lon", unit="°", scale=1_800_000),
    u8("speed_kmh", unit="km/h"),
    Course(),
)
#: The states of 14 bytes that some makers send.
_LONG_STATE: tuple[Field, ...] = (
    u16("sky", "satellites"),
    u8("alarm", "code: see `ALARMS`"),
    u8("language", values=LANGUAGES),
    u8("battery_pct", unit="%"),
    u8("mode"),
    u16("voltage_v", unit="V", scale=100),
    u8("reserved"),
    u16("count"),
    Int("temperature_c", 2, "", "°C", signed=True, scale=10),
)


def _text_message(number: int, name: str, way: Way, en: str, zh: str) -> Message:
    fields = (u8("size", "of flag and text"), _FLAG, ToText("text", 2), u16("language", values=LANGUAGES))
    return Message(number, name, way, Word(en, zh), fields, SOURCE)


SESSION = (
    Message(
        0x01,
        "login",
        Way.UP,
        Word("login", "登录"),
        (
            Bcd("imei", 8, "0 and 15 digits"),
            if_left(u16("type", "of the device")),
            if_left(u16("zone", "hours × 100 + minutes in bits 4 to 15, bit 3: west of Greenwich")),
        ),
        SOURCE,
        tail=True,
    ),
    Message(
        0x13,
        "heartbeat",
        Way.UP,
        Word("heartbeat", "心跳"),
        (
            INFORMATION,
            When(Group("state", _LONG_STATE), left_is(13), "13 bytes are left"),
            When(POWER, lambda got, _version, left: "state" not in got and left > 0, "else"),
            When(u8("signal", "0 to 4"), lambda got, _version, left: "state" not in got and left > 0, "else"),
            When(u16("language", values=LANGUAGES), left_is(2), "2 bytes are left"),
        ),
        SOURCE,
        tail=True,
    ),
    Message(
        0x23,
        "heartbeat_gk310",
        Way.UP,
        Word("heartbeat (GK310)", "心跳（GK310）"),
        (
            INFORMATION,
            u16("voltage_v", unit="V", scale=100),
            u8("signal", "0 to 4"),
            if_left(u16("language", values=LANGUAGES)),
        ),
        SOURCE,
        tail=True,
    ),
    Message(0x8A, "time", Way.UP, Word("asks for the time", "请求校时"), (), SOURCE, tail=True),
    _text_message(0x80, "command", Way.DOWN, "command", "指令"),
    _text_message(0x81, "address", Way.DOWN, "address in words", "地址应答"),
    _text_message(0x15, "command_reply", Way.UP, "answer to a command", "指令应答"),
    Message(
        0x21,
        "command_reply_long",
        Way.UP,
        Word("answer to a command", "指令应答（长）"),
        (_FLAG, u8("encoding", values={1: "ascii", 2: "utf16"}), ToText("text", coded="encoding")),
        SOURCE,
    ),
    Message(
        0x9B,
        "serial_port",
        Way.UP,
        Word("passed on from the serial port", "串口透传"),
        (u8("device", "what is connected"), ToText("text")),
        SOURCE,
    ),
    Message(
        0x66,
        "pids",
        Way.UP,
        Word("values of the engine (OBD)", "发动机数据（OBD）"),
        _ENGINE,
        "FM08ABC",
    ),
    Message(
        0x8C,
        "obd",
        Way.UP,
        Word("state of the engine (OBD)", "OBD 数据"),
        _ENGINE,
        "FM08ABC",
    ),
)
