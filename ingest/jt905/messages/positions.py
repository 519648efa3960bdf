"""Positions: reported, asked for, tracked, from blind zones; the control of a vehicle, which answers with one."""

from __future__ import annotations

from ingest.jt905.alarms import ALARM_NAMES, STATUS_NAMES
from ingest.jt905.messages.session import SOURCE
from ingest.wire.fields import BcdTime, Field, Int, Values, u8, u16, u32
from ingest.wire.groups import Group, List, When, if_left
from ingest.wire.loose import LooseItems
from ingest.wire.message import Message, Way
from model.codes import Word

#: Units of a coordinate in one degree: 1/10,000 of a minute.
UNITS_PER_DEGREE = 600_000
#: Size of the fixed part of a position.
POSITION_BYTES = 25
_AREA = {0: "none", 1: "circle", 2: "rectangle", 3: "polygon", 4: "route", 5: "segment"}

#: The fixed part, 25 bytes. Latitude and longitude have no sign: see `south` and `west` of the status.
POSITION: tuple[Field, ...] = (
    u32("alarm", "alarm word", bits=ALARM_NAMES),
    u32("status", "status word", bits=STATUS_NAMES),
    u32("lat", "latitude, 1/10,000 minute", unit="°", scale=UNITS_PER_DEGREE),
    u32("lon", "longitude, 1/10,000 minute", unit="°", scale=UNITS_PER_DEGREE),
    u16("speed_kmh", unit="km/h", scale=10),
    Int("heading_deg", 1, "steps of 2°, clockwise from north", "°", scale=0.5),
    BcdTime("time", 6),
)
ITEM_NAMES = {
    0x01: "mileage",
    0x02: "fuel",
    0x03: "altitude",
    0x11: "overspeed",
    0x12: "area",
    0x13: "segment_time",
    0x14: "forbidden_road",
}
ITEMS: dict[int, tuple[Field, ...]] = {
    0x01: (u32("mileage_km", "odometer", unit="km", scale=10),),
    0x02: (u16("fuel_l", unit="L", scale=10),),
    0x03: (Int("altitude_m", 2, "", "m", signed=True),),
    0x11: (u8("type", values=_AREA), if_left(u32("area", "its number"))),
    0x12: (u8("type", values=_AREA), u32("area", "its number"), u8("direction", values={0: "in", 1: "out"})),
    0x13: (u32("segment", "its number"), u16("time_s", unit="s"), u8("result", values={0: "too_short", 1: "too_long"})),
    0x14: (u32("segment", "its number"), u16("time_s", unit="s")),
}
EXTRAS = LooseItems("items", ITEMS, ITEM_NAMES, "additional items; unknown and broken ones are kept")
_REPORT = (*POSITION, EXTRAS)


def _several(_got: Values, _version: int, left: int) -> bool:
    """Whether a body of 0203 is nothing but fixed parts: then it holds that many places."""
    return left % POSITION_BYTES == 0 and left > 0


POSITIONS = (
    Message(0x0200, "position", Way.UP, Word("position", "位置信息汇报"), _REPORT, SOURCE),
    Message(0x8201, "query_position", Way.DOWN, Word("ask for the position", "位置信息查询"), (), SOURCE),
    Message(
        0x0201,
        "position_answer",
        Way.UP,
        Word("position that was asked for", "位置信息查询应答"),
        (u16("answers_serial", "serial of the query"), *_REPORT),
        SOURCE,
    ),
    Message(
        0x8202,
        "track",
        Way.DOWN,
        Word("report positions more often for a while", "位置跟踪控制"),
        (
            u8(
                "by",
                "what interval and length are of",
                values={
                    0x00: "time_for_time",
                    0x11: "distance_for_distance",
                    0x01: "time_for_distance",
                    0x10: "distance_for_time",
                    0xFF: "stop",
                },
            ),
            u16("interval", "s or m"),
            u32("length", "s or m"),
        ),
        SOURCE,
    ),
    Message(0x0202, "tracked_position", Way.UP, Word("position while tracked", "位置跟踪信息汇报"), _REPORT, SOURCE),
    Message(
        0x0203,
        "blind_zone_positions",
        Way.UP,
        Word("positions from a blind zone", "位置汇报数据补传"),
        (
            When(List("positions", POSITION), _several, "as many as there are, without items"),
            When(Group("position", _REPORT), lambda got, _version, _left: "positions" not in got, "or one with items"),
        ),
        f"{SOURCE}; several as SmallChi/JT905 reads it",
    ),
    Message(
        0x8500,
        "control_vehicle",
        Way.DOWN,
        Word("control the vehicle", "车辆控制"),
        (
            u8("item", values={0: "fuel", 1: "circuit", 2: "doors", 3: "vehicle"}),
            u8("command", values={0: "restore", 1: "cut"}, meaning="doors and vehicle: unlock, lock"),
        ),
        SOURCE,
    ),
    Message(
        0x0500,
        "vehicle_controlled",
        Way.UP,
        Word("the vehicle was controlled", "车辆控制应答"),
        (u16("answers_serial", "serial of the order"), Group("position", POSITION), EXTRAS),
        SOURCE,
    ),
)  # fmt: skip
