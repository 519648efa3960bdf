"""Messages with a fix of satellites: positions and alarms."""

from __future__ import annotations

from ingest.gt06.fields import Counted, Course, DeviceTime, ToText
from ingest.gt06.messages.parts import (
    CELL,
    INFORMATION,
    LONG,
    LONG_CELL,
    NETWORK,
    PLACE,
    SKY,
    SOURCE,
    STATUS,
    UNITS_PER_DEGREE,
    UPLOAD,
    cell,
    fix,
    given,
    left_from,
    left_is,
)
from ingest.wire.fields import Bcd, Bytes, Field, Int, Text, u8, u16, u32
from ingest.wire.groups import Group, List, When, if_left
from ingest.wire.loose import LooseItems
from ingest.wire.message import Message, Way
from model.codes import Word

_POSITION = Word("position", "定位")
_ALARM = Word("alarm", "报警")
_ODOMETER = u32("odometer_m", unit="m")
_UPLOAD = When(Group("upload", UPLOAD), left_from(3), "3 bytes are left")
_VOLTAGE = u16("voltage_v", unit="V", scale=100)
_PHONE = Text("phone", 21, "number that asks", encoding="ascii")


#: What makers put behind the cell of 12, by its size.
_MAKERS_12 = (
    When(_ODOMETER, left_is(4), "4 bytes are left"),
    When(
        Group("vxt01", (INFORMATION, _VOLTAGE, u8("signal"), u8("alarm_extension"))), left_is(5), "5 bytes are left: VXT01"
    ),
    When(
        Group(
            "wetrust",
            (
                _ODOMETER,
                Text("card", None, "of the driver", length_size=1, encoding="ascii"),
                u8("alarm"),
                u8("card_state"),
                u16("driving_time"),
            ),
        ),
        left_is(10),
        "10 bytes are left: WeTrust",
    ),
    When(
        Group(
            "s5",
            (
                INFORMATION,
                _VOLTAGE,
                u8("signal"),
                u8("alarm", "code: see `ALARMS`"),
                u16("oil"),
                u8("temperature_c", unit="°C"),
                u32("odometer_10m", unit="10 m"),
            ),
        ),
        left_is(12),
        "12 bytes are left: S5",
    ),
)  # fmt: skip
_SEEWORLD = When(
    Group(
        "seeworld",
        (
            *UPLOAD,
            u8("reserved"),
            _ODOMETER,
            u32("driving_s", unit="s"),
            Int("temperature_c", 2, "", "°C", signed=True, scale=100),
            u16("humidity_pct", unit="%", scale=100),
        ),
    ),
    left_is(16),
    "16 bytes are left: SeeWorld",
)
_LBS = Counted("lbs", CELL, itself=True)
#: Of some makers the length does not count itself, or the cell has four bytes.
_LBS_EXACT = Counted("lbs", CELL)
_SL4X: tuple[Field, ...] = (_LBS_EXACT, INFORMATION, _VOLTAGE)
_CELL4: tuple[Field, ...] = (*NETWORK, u16("lac"), u32("cell"))
_ALARM_STATUS = When(Group("status", STATUS), left_from(5), "5 bytes are left")
MODULES: dict[int, tuple[str, tuple[Field, ...]]] = {
    0x03: ("iccid", (Bcd("iccid", 10),)),
    0x09: ("satellites", (u8("satellites"),)),
    0x0A: ("satellites_seen", (u8("satellites"),)),
    0x11: ("cell", (u16("mcc"), u16("mnc"), u16("lac"), Int("cell", 3), u8("signal"))),
    0x18: ("battery", (_VOLTAGE,)),
    0x28: ("hdop", (u8("hdop", scale=10),)),
    0x29: ("index", (u32("index"),)),
    0x2A: ("input", (u8("input", "bits 0 to 3 door, 4 to 7 tamper"),)),
    0x2B: ("event", (u8("event", values={0x11: "low_battery", 0x12: "low_power", 0x13: "power_cut", 0x14: "removed"}),)),
    0x33: (
        "fix",
        (u32("epoch_s", "UTC", unit="s"), u8("satellites"), Int("altitude_m", 2, "", "m", signed=True), *PLACE),
    ),
}  # fmt: skip
_MODULES = LooseItems(
    "modules",
    {number: fields for number, (_, fields) in MODULES.items()},
    {number: name for number, (name, _) in MODULES.items()},
    id_size=2,
    length_size=2,
)


def _position(number: int, name: str, *fields: Field, words: Word = _POSITION, source: str = SOURCE) -> Message:
    return Message(number, name, Way.UP, words, fields, source, tail=True)


def _status_alarm(number: int, name: str, *more: Field) -> Message:
    """Fix, cell, states with the code of an alarm. The cell comes in three forms, told apart by the bytes that are left."""
    return _position(
        number,
        name,
        fix(),
        When(Counted("lbs4", _CELL4), left_is(15), "15 bytes are left: its number has four bytes"),
        When(Counted("lbs8", CELL), left_is(22), "22 bytes are left: the length does not count itself"),
        When(
            _LBS,
            lambda got, _version, left: left > 0 and "lbs4" not in got and "lbs8" not in got,
            "else",
        ),
        _ALARM_STATUS,
        *more,
        words=_ALARM,
    )


FIXES = (
    _position(0x10, "gps", fix()),
    _position(0x11, "gps_lbs_6", fix(), if_left(Group("cell", (u16("mcc"), u16("mnc"), u16("lac"), u32("cell"))))),
    _position(
        0x12,
        "gps_lbs",
        When(Bcd("imei", 8), left_is(34), "34 bytes: in front of the fix"),
        fix(),
        cell(left_from(8)),
        *_MAKERS_12,
    ),
    _position(
        0x17,
        "gps_lbs_card",
        fix(),
        cell(),
        When(Bytes("card", 8, "of the driver"), left_is(9), "9 bytes are left"),
        When(u8("buffered"), given("card"), "behind the card"),
    ),
    _position(
        0x22,
        "gps_lbs_2",
        When(
            Group("front", (u8("kind"), Bcd("imei", 8), DeviceTime("sent"))), left_is(55), "55 bytes: in front of the fix"
        ),
        fix(),
        *(When(one, given("front"), "where there is a front") for one in _SL4X),
        When(cell(), lambda got, _version, left: "front" not in got and left >= 8, "where there is no front"),
        _SEEWORLD,
        When(
            Group("upload", UPLOAD),
            lambda got, _version, left: "front" not in got and "seeworld" not in got and left >= 3,
            "3 bytes are left",
        ),
        When(_ODOMETER, lambda got, _version, left: "upload" in got and left == 4, "4 bytes are left"),
    ),
    _position(
        0x25,
        "gps_lbs_imei",
        u8("kind"),
        Bcd("imei", 8),
        DeviceTime("sent"),
        fix(),
        *_SL4X,
        When(Bytes("more", 10), left_from(11), "11 bytes are left"),
        When(Counted("card", (u8("reader"), Bytes("number"))), given("more"), "behind them"),
        words=Word("position with IMEI and card", "定位（含 IMEI 与司机卡）"),
        source="SL4X",
    ),
    _position(0x2D, "gps_lbs_4", fix(), cell(left_from(8)), _UPLOAD, When(_ODOMETER, left_is(4), "4 bytes are left")),
    _position(0x31, "gps_lbs_5", fix(), cell(left_from(8)), source="AZ735"),
    _position(0x32, "gps_lbs_status_4", fix(), _LBS_EXACT, INFORMATION, source="AZ735"),
    _position(
        0x34,
        "gps_x1",
        u32("content", "data and alarm"),
        fix(),
        u16("information"),
        _ODOMETER,
        Group("cell", (u16("mcc"), u8("mnc"), u16("lac"), u32("cell"))),
        u32("driver", "card; 0: none"),
        u16("power_v", "of the vehicle", unit="V", scale=100),
        u16("battery_v", "of the device", unit="V", scale=100),
        u32("ports"),
        u8("inputs"),
        u8("outputs"),
        List("analog_v", (u16("analog_v", unit="V", scale=100),)),
        source="X1",
    ),
    _position(
        0x36,
        "gps_lte",
        fix(),
        Group("cell", _CELL4),
        Group("upload", UPLOAD),
        _ODOMETER,
        u8("signal"),
        u8("level"),
        u8("battery_v", unit="V", scale=10),
        source="LTE trackers",
    ),
    _position(
        0x37,
        "gps_lbs_3",
        fix(),
        cell(),
        Group("upload", UPLOAD),
        LooseItems("modules", {0x27: (_VOLTAGE,), 0x2E: (_ODOMETER,), 0x3B: (u16("accuracy_m", unit="m", scale=100),)},
                   {0x27: "power", 0x2E: "odometer", 0x3B: "accuracy"}, id_size=2, length_size=1),
    ),
    _position(
        0x61, "gps_card", Bcd("imei", 8), fix(), cell(), u8("kind"), u16("reserved"), u32("driver", "card"), source="card reader"
    ),
    _position(0xA0, "gps_4g", fix(), Group("cell", LONG_CELL), _UPLOAD, When(_ODOMETER, left_is(4), "4 bytes are left")),
    Message(0x1A, "gps_phone", Way.UP, Word("position for a phone", "定位（手机查询）"), (fix(), _PHONE, u16("language")), SOURCE, tail=True),
    Message(0x2A, "address_query", Way.UP, Word("asks for an address", "请求地址"), (fix(), _PHONE, u16("language")), SOURCE, tail=True),
    _position(
        0x1E, "gps_lbs_neighbours", fix(), *NETWORK,
        List("cells", (u16("lac"), Int("cell", 3), u8("signal")), count=lambda _got: 7), u8("advance"), u16("language"),
        source="JI09",
    ),
    _status_alarm(0x16, "alarm"),
    _status_alarm(0x26, "alarm_2"),
    _status_alarm(0x27, "alarm_3", if_left(u8("fence", "its number"))),
    _position(
        0xA3, "alarm_fence",
        When(fix(), left_from(18), "18 bytes or more"),
        When(u8("lbs_size"), given("fix"), "behind a fix"),
        When(Group("cell", LONG_CELL), given("fix"), "behind a fix"),
        When(Group("status", STATUS), lambda got, _version, left: "fix" in got and left >= 5, "behind a fix"),
        words=_ALARM,
    ),
    _position(
        0xA4, "alarm_fences", fix(), u8("lbs_size"), Group("cell", LONG_CELL), _ALARM_STATUS,
        if_left(u8("fence", "its number")),
        words=_ALARM,
    ),
    Message(
        0x95,
        "alarm_camera",
        Way.UP,
        _ALARM,
        (
            DeviceTime(),
            When(
                Group(
                    "place",
                    (u32("lat", unit="°", scale=UNITS_PER_DEGREE), u32("lon", unit="°", scale=UNITS_PER_DEGREE), Course()),
                ),
                left_from(11),
                "11 bytes are left",
            ),
            u8("alarm", "code: see `CAMERA_ALARMS`"),
            When(u16("reserved"), left_from(2), "2 bytes are left"),
            ToText("files"),
        ),
        "JC100",
    ),
    Message(
        LONG | 0x32,
        "gps_az735",
        Way.UP,
        _POSITION,
        (
            DeviceTime(),
            Counted("gps", (SKY, *PLACE)),
            Counted("lbs", (*CELL, u8("signal"))),
            Bytes("neighbours", length_size=1),
            Bytes("wifi", length_size=1),
            u8("state"),
            Bytes("more", length_size=1),
        ),
        "AZ735",
        tail=True,
    ),
    Message(
        LONG | 0x33,
        "alarm_az735",
        Way.UP,
        _ALARM,
        (
            DeviceTime(),
            Counted("gps", (SKY, *PLACE)),
            Counted("lbs", (*CELL, u8("signal"))),
            Bytes("neighbours", length_size=1),
            Bytes("wifi", length_size=1),
            u8("state", "A0 armed, A1 disarmed, A2 and A3 low battery, A4 alarm, A5 door"),
            Bytes("more", length_size=1),
        ),
        "AZ735",
        tail=True,
    ),
    Message(0x70, "modules", Way.UP, Word("position in modules", "模块化定位"), (_MODULES,), "JM-LL01"),
)  # fmt: skip
