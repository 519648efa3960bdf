"""The additional items of a position (0x0200): number, length, value.

Invariants: an item that is not here is kept as hex; one that does not fit is kept as hex with what is wrong. Makers use
numbers from 0x50 on for their own things, and some of them collide: nothing is guessed about those.
Source: JT/T 808-2019 8, the table of additional position information; JT/T 1078-2016 (0x14 to 0x18); T/JSATL 12-2017
(0x64 to 0x67).
"""

from __future__ import annotations

from collections.abc import Sequence

from ingest.jt808.alarms import VIDEO_ALARM_NAMES
from ingest.wire.fields import BcdTime, Bytes, Field, Int, Text, u8, u16, u32
from ingest.wire.groups import Group, Items, List, When, if_left
from ingest.wire.loose import LooseItems

AREA_TYPES = {0: "none", 1: "circle", 2: "rectangle", 3: "polygon", 4: "segment"}
_SIGNALS = {
    0: "low_beam",
    1: "high_beam",
    2: "right_turn",
    3: "left_turn",
    4: "braking",
    5: "reversing",
    6: "fog_light",
    7: "marker_light",
    8: "horn",
    9: "air_conditioner",
    10: "neutral",
    11: "retarder",
    12: "abs",
    13: "heater",
    14: "clutch",
}
_STATES = {0: "none", 1: "begins", 2: "ends"}
_ADAS = {
    1: "forward_collision",
    2: "lane_departure",
    3: "too_close",
    4: "pedestrian",
    5: "frequent_lane_change",
    6: "sign_exceeded",
    7: "obstacle",
    16: "sign_seen",
    17: "photo",
}
_DSM = {
    1: "fatigue",
    2: "phone",
    3: "smoking",
    4: "distracted",
    5: "driver_abnormal",
    16: "photo",
    17: "driver_changed",
}
_BLIND_SPOT = {1: "rear_approach", 2: "left_rear_approach", 3: "right_rear_approach"}
_TYRE = {
    0: "timed_report",
    1: "pressure_high",
    2: "pressure_low",
    3: "temperature_high",
    4: "sensor_fault",
    5: "unbalanced",
    6: "slow_leak",
    7: "battery_low",
}
_VEHICLE = {
    0: "ignition",
    1: "left_turn",
    2: "right_turn",
    3: "wipers",
    4: "braking",
    5: "card_in",
    10: "fix_valid",
}


def attachment_mark() -> Group:
    """What binds the files of an active safety alarm to it: 16 bytes."""
    return Group(
        "mark",
        (
            Text("terminal_id", 7, "the terminal, the maker's own"),
            BcdTime("time"),
            u8("number", "of the alarm within its second, from 0"),
            u8("files", "files of the alarm"),
            u8("reserved"),
        ),
        "number of the alarm",
    )


def _active_safety(*own: Field) -> tuple[Field, ...]:
    """The items 0x64 to 0x67 share a head and a foot."""
    return (
        u32("alarm_id", "counts up"),
        u8("state", values=_STATES),
        *own,
        u8("speed_kmh", unit="km/h"),
        u16("altitude_m", unit="m"),
        u32("lat", unit="°", scale=1_000_000),
        u32("lon", unit="°", scale=1_000_000),
        BcdTime("time"),
        u16("vehicle", bits=_VEHICLE),
        attachment_mark(),
    )


def _tyre_list() -> Field:
    return Bytes("tyres", meaning="tyre pressure, one byte a tyre, Pa in the maker's steps; 00 none")


_AREA = (
    u8("area_type", values=AREA_TYPES),
    # Without an area there is no number of it.
    When(u32("area_id"), lambda got, _version, _left: got["area_type"] != "none", "unless none"),
)
_TABLE: list[tuple[int, str, str, Sequence[Field]]] = [
    (0x01, "mileage", "808", (u32("mileage_km", "odometer", unit="km", scale=10),)),
    (0x02, "fuel", "808", (u16("fuel_l", "fuel in the tank", unit="L", scale=10),)),
    (0x03, "recorder_speed", "808", (u16("recorder_speed_kmh", "speed by the recorder", unit="km/h", scale=10),)),
    (0x04, "alarm_event", "808", (u16("alarm_event_id", "number of an alarm that a person has to confirm, from 1"),)),
    (0x05, "tyre_pressure", "808", (_tyre_list(),)),
    (0x06, "cabin_temperature", "808", (Int("cabin_c", 2, "temperature of the cabin", "°C", signed=True),)),
    (0x11, "overspeed_area", "808", _AREA),
    (
        0x12,
        "area_crossing",
        "808",
        (u8("area_type", values=AREA_TYPES), u32("area_id"), u8("direction", values={0: "in", 1: "out"})),
    ),
    (
        0x13,
        "segment_time",
        "808",
        (u32("segment_id"), u16("driven_s", unit="s"), u8("result", values={0: "too_short", 1: "too_long"})),
    ),
    (0x14, "video_alarm", "1078", (u32("video_alarm", bits=VIDEO_ALARM_NAMES),)),
    (0x15, "video_lost", "1078", (u32("channels_lost", "bit n: channel n + 1 gives no signal"),)),
    (0x16, "video_covered", "1078", (u32("channels_covered", "bit n: channel n + 1 is covered"),)),
    (0x17, "storage_fault", "1078", (u16("storages", "bits 0 to 11 main storage, 12 to 15 backup, 1 faulty"),)),
    (
        0x18,
        "abnormal_driving",
        "1078",
        (
            u16("behaviour", bits={0: "fatigue", 1: "phone", 2: "smoking"}),
            if_left(u8("degree", "of fatigue, 0 to 100")),
        ),
    ),
    (0x25, "signals", "808", (u32("signals", "lights and the like", bits=_SIGNALS),)),
    (0x2A, "io", "808", (u16("io", bits={0: "deep_sleep", 1: "sleep"}),)),
    (0x2B, "analog", "808", (u32("analog", "bits 0 to 15 AD0, 16 to 31 AD1"),)),
    (0x30, "signal_strength", "808", (u8("signal_strength", "of the mobile network"),)),
    (0x31, "satellites", "808", (u8("satellites", "used for the fix"),)),
    (
        0x64,
        "adas",
        "T/JSATL 12",
        _active_safety(
            u8("kind", values=_ADAS),
            u8("level"),
            u8("front_speed_kmh", "of the vehicle in front", unit="km/h"),
            u8("front_distance", "to what is in front, 100 ms"),
            u8("departure", values={1: "left", 2: "right"}),
            u8("sign", values={1: "speed_limit", 2: "height_limit", 3: "weight_limit"}),
            u8("sign_value"),
        ),
    ),
    (
        0x65,
        "driver_monitor",
        "T/JSATL 12",
        _active_safety(u8("kind", values=_DSM), u8("level"), u8("fatigue", "1 to 10"), Bytes("reserved", 4)),
    ),
    (
        0x66,
        "tyre_monitor",
        "T/JSATL 12",
        (
            *_active_safety(),
            List(
                "tyres",
                (
                    u8("tyre", "counted from the front left"),
                    u16("events", bits=_TYRE),
                    u16("pressure_kpa", unit="kPa"),
                    u16("temperature_c", unit="°C"),
                    u16("battery_percent", unit="%"),
                ),
                count_size=1,
            ),
        ),
    ),
    (0x67, "blind_spot", "T/JSATL 12", _active_safety(u8("kind", values=_BLIND_SPOT))),
]

_SOURCES = {"808": "JT/T 808-2019 8", "1078": "JT/T 1078-2016", "T/JSATL 12": "T/JSATL 12-2017"}


def position_items(name: str = "items") -> Items:
    """The items to the end of a position; a broken end is kept as hex and costs the position nothing."""
    return LooseItems(
        name,
        {number: fields for number, _, _, fields in _TABLE},
        {number: word for number, word, _, _ in _TABLE},
        "additional items; unknown and broken ones as hex",
        sources={number: _SOURCES[source] for number, _, source, _ in _TABLE},
    )


ITEMS = position_items()
