"""The parameters of a terminal (8103, 0104): number, length, value.

Invariants: a parameter that is not here is kept as hex; so is one whose length is not the table's, with what is wrong.
Source: JT/T 808-2013 and -2019, the table of parameter numbers; JT/T 1078-2016 (0x0075 to 0x007C); T/JSATL 12-2017
(0xF364 to 0xF367).
"""

from __future__ import annotations

from collections.abc import Sequence

from ingest.jt808.alarms import ALARM_NAMES, VIDEO_ALARM_NAMES
from ingest.wire.fields import Bcd, Bytes, Field, Int, Text, u8, u16, u32
from ingest.wire.groups import Items, List
from ingest.wire.reader import Malformed

#: Longest single call, seconds: 0 none is allowed, 0xFFFFFFFF no limit.
LONGEST_CALL = 0x0046

_U32: list[tuple[int, str, str, str]] = [
    (0x0001, "heartbeat_s", "s", "between two heartbeats"),
    (0x0002, "tcp_reply_timeout_s", "s", ""),
    (0x0003, "tcp_retries", "", ""),
    (0x0004, "udp_reply_timeout_s", "s", ""),
    (0x0005, "udp_retries", "", ""),
    (0x0006, "sms_reply_timeout_s", "s", ""),
    (0x0007, "sms_retries", "", ""),
    (0x0018, "server_tcp_port", "", ""),
    (0x0019, "server_udp_port", "", ""),
    (0x001B, "card_server_tcp_port", "", "for authenticating drivers' cards"),
    (0x001C, "card_server_udp_port", "", ""),
    (0x0020, "report_strategy", "", "0 by time, 1 by distance, 2 by both"),
    (0x0021, "report_scheme", "", "0 by ignition, 1 by driver and ignition"),
    (0x0022, "interval_no_driver_s", "s", "between two positions without a driver"),
    (0x0027, "interval_asleep_s", "s", "between two positions while asleep"),
    (0x0028, "interval_emergency_s", "s", "between two positions during an emergency"),
    (0x0029, "interval_s", "s", "between two positions otherwise"),
    (0x002C, "distance_m", "m", "between two positions otherwise"),
    (0x002D, "distance_no_driver_m", "m", ""),
    (0x002E, "distance_asleep_m", "m", ""),
    (0x002F, "distance_emergency_m", "m", ""),
    (0x0030, "corner_deg", "°", "a turn by so much is reported, below 180"),
    (0x0045, "answer_calls", "", "0 by itself, 1 by itself while the ignition is on, else by hand"),
    (LONGEST_CALL, "longest_call_s", "s", "0 no call, 4294967295 no limit"),
    (0x0047, "month_call_s", "s", "all calls of a month; 0 no call, 4294967295 no limit"),
    (0x0055, "speed_limit_kmh", "km/h", ""),
    (0x0056, "overspeed_s", "s", "so long above it is overspeed"),
    (0x0057, "driving_limit_s", "s", "without a rest"),
    (0x0058, "day_driving_limit_s", "s", ""),
    (0x0059, "rest_s", "s", "shortest rest"),
    (0x005A, "parking_limit_s", "s", ""),
    (0x0064, "timed_photos", "", "channels and interval, bit by bit"),
    (0x0065, "distance_photos", "", "channels and distance, bit by bit"),
    (0x0070, "photo_quality", "", "1 best to 10"),
    (0x0071, "brightness", "", "0 to 255"),
    (0x0072, "contrast", "", "0 to 127"),
    (0x0073, "saturation", "", "0 to 127"),
    (0x0074, "chroma", "", "0 to 255"),
    (0x0093, "gnss_interval_s", "s", "between two details of GNSS"),
    (0x0095, "gnss_upload", "", "by the way of 0x0094"),
    (0x0100, "can_1_sample_ms", "ms", "0 none"),
    (0x0102, "can_2_sample_ms", "ms", "0 none"),
]
_ALARM_WORDS: list[tuple[int, str, str]] = [
    (0x0050, "alarms_masked", "not reported"),
    (0x0051, "alarms_texted", "also told by SMS"),
    (0x0052, "alarms_photographed", "photos are taken"),
    (0x0053, "alarm_photos_stored", "photos are stored, else sent"),
    (0x0054, "alarms_key", "key alarms"),
]
_U16: list[tuple[int, str, str, str]] = [
    (0x0031, "fence_radius_m", "m", "of the fence against being moved"),
    (0x005C, "fatigue_warning_s", "s", "before the limit"),
    (0x005D, "collision", "", "bits 0 to 7 time in 4 ms, 8 to 15 acceleration in 0.1 g"),
    (0x005E, "rollover_deg", "°", "30 by default"),
    (0x0081, "province", "", "GB/T 2260"),
    (0x0082, "city", "", "GB/T 2260"),
    (0x0101, "can_1_upload_s", "s", "0 none"),
    (0x0103, "can_2_upload_s", "s", "0 none"),
]
_U8: list[tuple[int, str, str]] = [
    (0x0084, "plate_colour", "JT/T 415"),
    (0x0090, "gnss_systems", "bits: 0 GPS, 1 BeiDou, 2 GLONASS, 3 Galileo"),
    (0x0091, "gnss_baud", "code: 0 4800, 1 9600, 2 19200, 3 38400, 4 57600, 5 115200"),
    (0x0092, "gnss_rate", "code: 0 500 ms, 1 1 s, 2 2 s, 3 3 s, 4 4 s"),
    (0x0094, "gnss_upload_by", "0 stored, 1 by time, 2 by distance, 11 to 13 when so much has come together"),
]
_TEXTS: list[tuple[int, str]] = [
    (0x0010, "apn"),
    (0x0011, "apn_user"),
    (0x0012, "apn_password"),
    (0x0013, "server"),
    (0x0014, "backup_apn"),
    (0x0015, "backup_apn_user"),
    (0x0016, "backup_apn_password"),
    (0x0017, "backup_server"),
    (0x001A, "card_server"),
    (0x001D, "backup_card_server"),
    (0x0023, "slave_server"),
    (0x0024, "slave_apn"),
    (0x0025, "slave_apn_user"),
    (0x0026, "slave_server_backup"),
    (0x0040, "platform_phone"),
    (0x0041, "reset_phone"),
    (0x0042, "factory_phone"),
    (0x0043, "platform_sms"),
    (0x0044, "alarm_sms"),
    (0x0048, "listen_phone"),
    (0x0049, "platform_privileged_sms"),
    (0x0083, "plate"),
]


def _stream(name: str) -> tuple[Field, ...]:
    """How one stream of video is encoded."""
    return (
        u8(f"{name}_encoding", "0 constant, 1 variable, 2 average bit rate"),
        u8(f"{name}_resolution"),
        u16(f"{name}_keyframe_interval", "frames"),
        u8(f"{name}_frame_rate", unit="1/s"),
        u32(f"{name}_kbit_s", unit="kbit/s"),
    )


def _vision_head() -> tuple[Field, ...]:
    """What the parameters of driver assistance and of driver monitoring begin with: 19 bytes."""
    return (
        u8("from_speed_kmh", "alarms above it", unit="km/h"),
        u8("volume", "0 to 8"),
        u8("photo_strategy", "0 none, 1 by time, 2 by distance"),
        u16("photo_interval_s", unit="s"),
        u16("photo_distance_m", unit="m"),
        u8("photos", "at a time"),
        u8("photo_gap", "between two, 100 ms"),
        u8("photo_resolution"),
        u8("video_resolution"),
        u32("alarms", "bits of alarms that are on"),
        u32("events", "bits of events that are on"),
    )


def _numbered(names: str) -> tuple[Field, ...]:
    return tuple(u8(name) for name in names.split())


def _alarm_of(name: str) -> str:
    """Level by speed, seconds of video, photos and the gap between them: how every alarm is set."""
    return f"{name}_level_kmh {name}_video_s {name}_photos {name}_photo_gap"


_ADAS = (
    *_vision_head(),
    *_numbered(
        f"reserved obstacle_distance {_alarm_of('obstacle')} lane_change_s lane_change_count {_alarm_of('lane_change')} "
        f"{_alarm_of('lane_departure')} forward_time {_alarm_of('forward')} pedestrian_time {_alarm_of('pedestrian')} "
        f"distance_time {_alarm_of('distance')} sign_photos sign_photo_gap"
    ),
    Bytes("reserved_end", meaning="as the maker has it"),
)
_DSM = (
    *_vision_head(),
    u16("smoking_gap_s", unit="s"),
    u16("phone_gap_s", unit="s"),
    Bytes("reserved", 3),
    *_numbered(
        f"{_alarm_of('fatigue')} {_alarm_of('phone')} {_alarm_of('smoking')} {_alarm_of('distracted')} "
        f"{_alarm_of('abnormal')} identify_by"
    ),
    Bytes("reserved_end", meaning="as the maker has it"),
)
_TPMS = (
    Text("tyre_type", 12),
    u16("unit", "0 kg/cm², 1 bar, 2 kPa, 3 PSI"),
    u16("normal"),
    u16("unbalanced_percent", unit="%"),
    u16("slow_leak_percent", unit="%"),
    u16("low"),
    u16("high"),
    u16("hot_c", unit="°C"),
    u16("battery_percent", unit="%"),
    u16("interval_s", unit="s"),
    Bytes("reserved_end", meaning="as the maker has it"),
)
_GROUPS: list[tuple[int, str, Sequence[Field]]] = [
    (0x0080, "odometer_km", (u32("odometer_km", unit="km", scale=10),)),
    (
        0x005B,
        "overspeed_warning_kmh",
        (u16("overspeed_warning_kmh", "so much below the limit", unit="km/h", scale=10),),
    ),
    (0x0032, "forbidden_hours", (Bytes("forbidden_hours", 4, "begin and end: hour, minute (2019)"),)),
    (0x0110, "can_collect", (Bytes("can_collect", 8, "which CAN id is collected how often"),)),
    (
        0x0075,
        "video",
        (
            *_stream("live"),
            *_stream("stored"),
            u16("overlay", "bits: 0 time, 1 plate, 2 channel, 3 place, 4 recorder speed, 5 GNSS speed, 6 driving time"),
            u8("audio", "1 on"),
        ),
    ),
    (
        0x0076,
        "channels",
        (
            u8("av_channels"),
            u8("audio_channels"),
            u8("video_channels"),
            List("list", (u8("physical"), u8("logical"), u8("kind", "0 both, 1 audio, 2 video"), u8("ptz"))),
        ),
    ),
    (
        0x0077,
        "channel_video",
        (List("channel_video", (u8("channel"), *_stream("live"), *_stream("stored"), u16("overlay")), count_size=1),),
    ),
    (
        0x0079,
        "alarm_recording",
        (u8("storage_percent", unit="%"), u8("length_min", unit="min"), u8("before_min", unit="min")),
    ),
    (0x007A, "video_alarms_masked", (u32("video_alarms_masked", bits=VIDEO_ALARM_NAMES),)),
    (0x007B, "image_analysis", (u8("passengers"), u8("fatigue_degree"))),
    (
        0x007C,
        "sleep",
        (
            u8("wake_by", "bits: 0 condition, 1 time, 2 by hand"),
            u8("wake_condition", "bits: 0 emergency, 1 collision, 2 door opened"),
            u8("days", "bits 0 to 6 Monday to Sunday"),
            u8("periods", "bits 0 to 3: which of the periods count"),
            *(Bcd(f"{what}_{number}", 2, "hour, minute") for number in (1, 2, 3, 4) for what in ("wake", "sleep")),
        ),
    ),
    (0xF364, "adas", _ADAS),
    (0xF365, "driver_monitor", _DSM),
    (0xF366, "tyre_monitor", _TPMS),
    (0xF367, "blind_spot", (u8("rear_time_s", unit="s"), u8("side_time_s", unit="s"))),
]

_SCALED = [fields[0] for _, _, fields in _GROUPS if isinstance(fields[0], Int) and fields[0].scale != 1]

TABLE: dict[int, Sequence[Field]] = {
    **{number: (u32(name, meaning, unit=unit),) for number, name, unit, meaning in _U32},
    **{number: (u32(name, meaning, bits=ALARM_NAMES),) for number, name, meaning in _ALARM_WORDS},
    **{number: (u16(name, meaning, unit=unit),) for number, name, unit, meaning in _U16},
    **{number: (u8(name, meaning),) for number, name, meaning in _U8},
    **{number: (Text(name),) for number, name in _TEXTS},
    **{number: fields for number, _, fields in _GROUPS},
}
NAMES: dict[int, str] = {
    **{row[0]: row[1] for rows in (_U32, _U16) for row in rows},
    **{row[0]: row[1] for rows in (_ALARM_WORDS, _U8) for row in rows},
    **dict(_TEXTS),
    **{number: name for number, name, _ in _GROUPS},
}


def parameters(name: str = "parameters") -> Items:
    """The parameters of a message, with their count in front."""
    return Items(name, TABLE, NAMES, "unknown ones as hex", id_size=4, length_size=1, count_size=1)


PARAMETERS = parameters()


def parameter(number: int, text: str) -> dict[str, object]:
    """One parameter from a text, as `PARAMETERS` writes it: of an unknown number the text is hex.

    Raises Malformed for a text that is no value of that parameter.
    """
    fields = TABLE.get(number)
    value: object = text
    if fields is None or len(fields) > 1 or isinstance(fields[0], (Bytes, List)):
        try:
            return {"id": number, "raw": bytes.fromhex(text.removeprefix("0x")).hex()}
        except ValueError as error:
            raise Malformed(f"0x{number:04x}", f"takes hex and not {text[:40]!r}") from error
    if not isinstance(fields[0], Text):
        try:
            value = float(text) if fields[0] in _SCALED else int(text, 0)
        except ValueError as error:
            raise Malformed(f"0x{number:04x}", f"takes a number and not {text[:40]!r}") from error
    made = {"id": number, "name": NAMES[number], "value": value}
    PARAMETERS.write(bytearray(), [made], {}, 0)
    return made
