"""States of the device: information, sensors."""

from __future__ import annotations

from collections.abc import Callable

from ingest.gt06.fields import DeviceTime, ToText
from ingest.gt06.messages.parts import SOURCE
from ingest.wire.fields import Bcd, Bytes, Field, Int, Values, u8, u16, u32
from ingest.wire.groups import Group, When
from ingest.wire.loose import LooseItems
from ingest.wire.message import Message, Way
from model.codes import Word


def _kind(*numbers: int) -> Callable[[Values, int, int], bool]:
    return lambda got, _version, _left: got["kind"] in numbers


_KNOWN = (0x00, 0x04, 0x05, 0x0A, 0x0B, 0x0D, 0x1B, 0x1E)
_INFORMATION: tuple[Field, ...] = (
    u8("kind"),
    When(u16("voltage_v", unit="V", scale=100), _kind(0x00, 0x0B), "kind 00, 0b"),
    When(ToText("settings"), _kind(0x04), "kind 04"),
    When(
        Group("door", (DeviceTime(), u8("inputs", bits={0: "door", 1: "trigger_high", 2: "port"}))),
        lambda got, _version, left: got["kind"] == 0x05 and left >= 7,
        "kind 05, with a time",
    ),
    When(
        u8("inputs", bits={0: "door", 1: "trigger_high", 2: "port"}),
        lambda got, _version, left: got["kind"] == 0x05 and "door" not in got and left > 0,
        "kind 05",
    ),
    When(Group("sim", (Bcd("imei", 8), Bcd("imsi", 8), Bytes("iccid", 10))), _kind(0x0A), "kind 0a"),
    When(ToText("fuel"), _kind(0x0D), "kind 0d"),
    When(
        Group("card", (u8("header"), u8("type"), Bytes("card", 4), u8("check"), u8("footer"))), _kind(0x1B), "kind 1b"
    ),
    When(
        Group(
            "air", (Int("temperature_c", 4, "", "°C", signed=True, scale=10), u32("humidity_pct", unit="%", scale=10))
        ),
        _kind(0x1E),
        "kind 1e",
    ),
    When(Bytes("data"), lambda got, _version, left: got["kind"] not in _KNOWN and left > 0, "another kind"),
)
_SENSORS = {0x0005: (u16("voltage_v", unit="V", scale=100),)}

STATES = (
    Message(0x94, "information", Way.UP, Word("information", "信息上传"), _INFORMATION, SOURCE, tail=True),
    Message(
        0xF1,
        "sensors",
        Way.UP,
        Word("sensors", "传感器"),
        (u32("epoch_s", "UTC", unit="s"), LooseItems("items", _SENSORS, {0x0005: "power"}, id_size=2, length_size=1)),
        "sensor hubs",
    ),
    Message(
        0xF2, "sensors_2", Way.UP, Word("sensors", "传感器"), (u32("epoch_s", "UTC", unit="s"), Bytes("data")), "sensor hubs"
    ),
)  # fmt: skip
