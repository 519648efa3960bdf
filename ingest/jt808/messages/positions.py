"""Messages about places: position, batches, queries, tracking, alarms confirmed.

Latitude and longitude are magnitudes: bits 2 and 3 of the status say south and west.
Source: JT/T 808-2011, -2013, -2019, chapter 8.
"""

from __future__ import annotations

from ingest.jt808.alarms import ALARM_NAMES, CONFIRM_NAMES, STATUS_NAMES
from ingest.jt808.items import ITEMS
from ingest.wire.fields import BcdTime, Field, u8, u16, u32
from ingest.wire.groups import Group, List
from ingest.wire.message import Message, Way
from model.codes import Word

_SOURCE = "JT/T 808-2019 8"
#: Bytes of a position without its items.
POSITION_BYTES = 28


def fixed_position() -> tuple[Field, ...]:
    """The 28 bytes that every position begins with."""
    return (
        u32("alarm", bits=ALARM_NAMES),
        u32("status", bits=STATUS_NAMES),
        u32("lat", "magnitude; south by status bit 2", unit="°", scale=1_000_000),
        u32("lon", "magnitude; west by status bit 3", unit="°", scale=1_000_000),
        u16("altitude_m", unit="m"),
        u16("speed_kmh", unit="km/h", scale=10),
        u16("heading_deg", "0 north, clockwise", unit="°"),
        BcdTime("time"),
    )


def position() -> tuple[Field, ...]:
    """A position with its additional items."""
    return (*fixed_position(), ITEMS)


MESSAGES = (
    Message(0x0200, "position", Way.UP, Word("position", "位置信息汇报"), position(), _SOURCE),
    Message(0x8201, "position_query", Way.DOWN, Word("asks for the position", "位置信息查询"), (), _SOURCE),
    Message(
        0x0201,
        "position_answer",
        Way.UP,
        Word("the position that was asked for", "位置信息查询应答"),
        (u16("answers_serial", "serial of the query"), *position()),
        _SOURCE,
    ),
    Message(
        0x8202,
        "track",
        Way.DOWN,
        Word("positions more often for a while", "临时位置跟踪控制"),
        (
            u16("interval_s", "0 stops; what follows then counts for nothing", unit="s"),
            u32("for_s", "how long", unit="s"),
        ),
        _SOURCE,
    ),
    Message(
        0x8203,
        "alarm_confirm",
        Way.DOWN,
        Word("alarms confirmed by a person", "人工确认报警"),
        (
            u16("alarm_serial", "serial of the position with the alarm; 0 all of that kind"),
            u32("confirm", bits=CONFIRM_NAMES),
        ),
        _SOURCE,
    ),
    Message(0x8204, "link_check", Way.DOWN, Word("checks the link", "链路检测"), (), _SOURCE),
    Message(
        0x0704,
        "position_batch",
        Way.UP,
        Word("several positions", "定位数据批量上传"),
        (
            u16("count"),
            u8("batch", values={0: "normal", 1: "blind_zone"}),
            List("positions", (Group("position", position(), length_size=2),), count=lambda got: int(got["count"])),
        ),
        _SOURCE,
    ),
)
