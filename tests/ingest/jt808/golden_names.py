"""What the golden pairs call each field, what we call it, and in which unit.

A name maps to: a path (`inner.name`), a path with wire units per unit of ours, `Inner` for a group, `Each` for a list,
`Keyed` for items by number. `UNMAPPED` says of what is left out why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Inner:
    """A group of the golden is our group at `path` ("" the same level)."""

    path: str
    names: Mapping[str, Any]


@dataclass(frozen=True)
class Each:
    """A list of the golden is our list at `path`."""

    path: str
    names: Mapping[str, Any]


@dataclass(frozen=True)
class Keyed:
    """The golden's values by number are our items at `path`."""

    path: str
    by_number: Mapping[int, Any]


@dataclass(frozen=True)
class Flat:
    """One number of the golden is several of ours; the function makes it from our values."""

    make: Any


DEGREES = 1_000_000
POSITION: dict[str, Any] = {
    "warnBit": "alarm",
    "statusBit": "status",
    "latitude": ("lat", DEGREES),
    "longitude": ("lon", DEGREES),
    "altitude": "altitude_m",
    "speed": ("speed_kmh", 10),
    "direction": "heading_deg",
    "deviceTime": "time",
}
HEADER = ("messageId", "properties", "protocolVersion", "clientId", "serialNo", "verified")
#: Path inside the golden, by message: why it is not compared.
UNMAPPED: dict[tuple[int, str], str] = {
    **{
        (message, f"{inner}.{name}"): "a position inside another message has no header: zeros of the other codec"
        for message, inner in ((0x0704, "items[]"), (0x0801, "location"), (0x0802, "items[].location"))
        for name in HEADER
    },
    (0x8300, "type"): "a field of 2019 in a frame of 2013: the zero of the other codec stands in no byte",
    (0x8500, "param"): "a field of 2019 in a frame of 2013: the zero of the other codec stands in no byte",
}

_MARK = {
    "deviceId": "mark.terminal_id",
    "dateTime": "mark.time",
    "sequenceNo": "mark.number",
    "fileTotal": "mark.files",
    "reserved": "mark.reserved",
}
_SAFETY = {
    "id": "alarm_id",
    "state": "state",
    "speed": "speed_kmh",
    "altitude": "altitude_m",
    "latitude": ("lat", DEGREES),
    "longitude": ("lon", DEGREES),
    "alarmTime": "time",
    "statusBit": "vehicle",
    **_MARK,
}
#: Four bytes that the golden reads as one number.
_RESERVES = Flat(lambda ours: int(ours["reserved"], 16))
ITEMS = {
    0x01: ("", 10),
    0x02: ("", 10),
    0x03: ("", 10),
    0x04: "",
    0x05: Inner("", {"value": ""}),
    0x06: "",
    0x11: Inner("", {"areaType": "area_type", "areaId": "area_id"}),
    0x12: Inner("", {"areaType": "area_type", "areaId": "area_id", "direction": "direction"}),
    0x13: Inner("", {"areaId": "segment_id", "driveTime": "driven_s", "result": "result"}),
    0x25: "",
    0x2A: "",
    0x2B: "",
    0x30: "",
    0x31: "",
    0x64: Inner(
        "",
        {
            **_SAFETY,
            "type": "kind",
            "level": "level",
            "frontSpeed": "front_speed_kmh",
            "frontDistance": "front_distance",
            "deviateType": "departure",
            "roadSign": "sign",
            "roadSignValue": "sign_value",
        },
    ),
    0x65: Inner("", {**_SAFETY, "type": "kind", "level": "level", "fatigueDegree": "fatigue", "reserves": _RESERVES}),
    0x66: Inner("", _SAFETY),
    0x67: Inner("", {**_SAFETY, "type": "kind"}),
}
_VISION_HEAD = {
    "p00": "from_speed_kmh",
    "p01": "volume",
    "p02": "photo_strategy",
    "p03": "photo_interval_s",
    "p05": "photo_distance_m",
    "p07": "photos",
    "p08": "photo_gap",
    "p09": "photo_resolution",
    "p10": "video_resolution",
    "p11": "alarms",
    "p15": "events",
}


def _four(at: int, name: str) -> dict[str, str]:
    endings = ("level_kmh", "video_s", "photos", "photo_gap")
    return {f"p{at + count:02}": f"{name}_{ending}" for count, ending in enumerate(endings)}


def _rest(first: int, last: int) -> dict[str, Any]:
    """Bytes that the golden counts one by one and we keep as they are: signed there."""

    def byte(at: int) -> Flat:
        return Flat(lambda ours: int.from_bytes(bytes.fromhex(ours["reserved_end"])[at : at + 1], "big", signed=True))

    return {f"p{number:02}": byte(number - first) for number in range(first, last + 1)}


_ADAS = {
    **_VISION_HEAD,
    "p19": "reserved",
    "p20": "obstacle_distance",
    **_four(21, "obstacle"),
    "p25": "lane_change_s",
    "p26": "lane_change_count",
    **_four(27, "lane_change"),
    **_four(31, "lane_departure"),
    "p35": "forward_time",
    **_four(36, "forward"),
    "p40": "pedestrian_time",
    **_four(41, "pedestrian"),
    "p45": "distance_time",
    **_four(46, "distance"),
    "p50": "sign_photos",
    "p51": "sign_photo_gap",
    **_rest(52, 56),
}
_DSM = {
    **_VISION_HEAD,
    "p19": "smoking_gap_s",
    "p21": "phone_gap_s",
    "p23": "reserved",
    **_four(26, "fatigue"),
    **_four(30, "phone"),
    **_four(34, "smoking"),
    **_four(38, "distracted"),
    **_four(42, "abnormal"),
    "p46": "identify_by",
    **_rest(47, 64),
}
_VIDEO = {
    f"{theirs}{what}": f"{ours}_{name}"
    for theirs, ours in (("realtime", "live"), ("storage", "stored"))
    for what, name in (
        ("Encode", "encoding"),
        ("Resolution", "resolution"),
        ("FrameInterval", "keyframe_interval"),
        ("FrameRate", "frame_rate"),
        ("BitRate", "kbit_s"),
    )
}
PARAMETERS = {
    0x75: Inner("", {**_VIDEO, "odsConfig": "overlay", "audioEnabled": "audio"}),
    0x79: Inner("", {"storageThreshold": "storage_percent", "duration": "length_min", "startTime": "before_min"}),
    0x7B: Inner("", {"overloadThreshold": "passengers", "fatigueThreshold": "fatigue_degree"}),
    0x7C: Inner(
        "",
        {
            "mode": "wake_by",
            "conditionType": "wake_condition",
            "dayOfWeek": "days",
            "timeFlag": "periods",
            **{f"{what}Time{count}": f"{what}_{count}" for count in (1, 2, 3, 4) for what in ("wake", "sleep")},
        },
    ),
    0xF364: Inner("", _ADAS),
    0xF365: Inner("", _DSM),
    0xF367: Inner(
        "",
        {"rearApproachAlarmTimeThreshold": "rear_time_s", "rearSideApproachAlarmTimeThreshold": "side_time_s"},
    ),
}
_AREA = {
    "id": "id",
    "attribute": "attribute",
    "startTime": "begin",
    "endTime": "end",
    "maxSpeed": "max_kmh",
    "duration": "overspeed_s",
}
_CORNER = {"latitude": ("lat", DEGREES), "longitude": ("lon", DEGREES)}
_MEDIA = {"id": "media_id", "type": "media", "channelId": "channel", "event": "event"}
_SERVER = {"ip": "address", "tcpPort": "tcp_port", "udpPort": "udp_port"}
_TIMES = {"startTime": "begin", "endTime": "end"}
_RECORDING = {
    "channelNo": "channel",
    **_TIMES,
    "mediaType": "content",
    "streamType": "stream",
    "storageType": "storage",
}
_WARNINGS = {"warnBit1": "video_alarms", "warnBit2": "alarms"}
_WANTED = {"type": "media", "channelId": "channel", "event": "event", **_TIMES}
_BOTH_WARNINGS = Flat(lambda ours: ours["video_alarms"]["value"] << 32 | ours["alarms"]["value"])
_TERMINAL = {"makerId": "maker", "deviceModel": "model", "deviceId": "terminal_id"}
_FILE = {"name": "file", "type": "kind"}

NAMES: dict[int, dict[str, Any]] = {
    0x8001: {"responseSerialNo": "answers_serial", "responseMessageId": "answers_id", "resultCode": "result"},
    0x0002: {},
    0x0100: {
        "provinceId": "province",
        "cityId": "city",
        **_TERMINAL,
        "plateColor": "plate_colour",
        "plateNo": "plate",
    },
    0x0102: {"token": "token"},
    0x0104: {"responseSerialNo": "answers_serial", "parameters": Keyed("parameters", PARAMETERS)},
    0x0107: {
        "deviceType": "type",
        **_TERMINAL,
        "iccid": "iccid",
        "hardwareVersion": "hardware",
        "firmwareVersion": "firmware",
        "gnssAttribute": "gnss",
        "networkAttribute": "network",
    },
    0x0108: {"type": "what", "result": "result"},
    0x0200: {**POSITION, "attributes": Keyed("items", ITEMS)},
    0x0201: {"responseSerialNo": "answers_serial", **POSITION},
    0x0301: {"eventId": "event"},
    0x0302: {"responseSerialNo": "answers_serial", "answerId": "choice"},
    0x0303: {"type": "topic", "action": "wanted"},
    0x0702: {
        "status": "card",
        "dateTime": "time",
        "cardStatus": "read",
        "name": "driver",
        "licenseNo": "licence",
        "institution": "issuer",
        "licenseValidPeriod": "valid_until",
    },
    0x0704: {"total": "count", "type": "batch", "items": Each("positions", POSITION)},
    0x0705: {"total": "count", "dateTime": "time", "items": Each("frames", {"id": "can_id", "data": "data"})},
    0x0800: {**_MEDIA, "format": "format"},
    0x0801: {**_MEDIA, "format": "format", "location": Inner("position", POSITION), "packet": "data"},
    0x0802: {
        "responseSerialNo": "answers_serial",
        "items": Each("found", {**_MEDIA, "location": Inner("position", POSITION)}),
    },
    0x0805: {"responseSerialNo": "answers_serial", "result": "result", "id": "media_ids"},
    0x0900: {
        "message": Inner(
            "",
            {
                "key": "kind",
                "value": Inner(
                    "",
                    {
                        "items": Each(
                            "peripherals",
                            {
                                "id": "peripheral",
                                "companyName": "system.maker",
                                "productModel": "system.model",
                                "hardwareVersion": "system.hardware",
                                "firmwareVersion": "system.software",
                                "deviceId": "system.device_id",
                                "userCode": "system.customer",
                            },
                        )
                    },
                ),
            },
        )
    },
    0x0901: {"body": "data"},
    0x1003: {
        "audioFormat": "audio_encoding",
        "audioChannels": "audio_channels",
        "audioSamplingRate": "audio_rate",
        "audioBitDepth": "audio_bits",
        "audioFrameLength": "audio_frame_bytes",
        "audioSupport": "audio_out",
        "videoFormat": "video_encoding",
        "maxAudioChannels": "max_audio_channels",
        "maxVideoChannels": "max_video_channels",
    },
    0x1005: {**_TIMES, "getOnCount": "got_on", "getOffCount": "got_off"},
    0x1205: {
        "responseSerialNo": "answers_serial",
        "items": Each("recordings", {**_RECORDING, "warnBit": _BOTH_WARNINGS, "size": "size_bytes"}),
    },
    0x1206: {"responseSerialNo": "answers_serial", "result": "result"},
    0x1210: {
        "deviceId": "terminal_id",
        "deviceId_": "mark.terminal_id",
        "dateTime": "mark.time",
        "sequenceNo": "mark.number",
        "fileTotal": "mark.files",
        "reserved": "mark.reserved",
        "platformAlarmId": "alarm",
        "type": "kind",
    },
    0x1211: {**_FILE, "size": "size_bytes"},
    0x8003: {"responseSerialNo": "first_serial", "id": "parts"},
    0x8100: {"responseSerialNo": "answers_serial", "resultCode": "result", "token": "token"},
    0x8103: {"parameters": Keyed("parameters", PARAMETERS)},
    0x8105: {"command": "control", "parameter": "parameters"},
    0x8106: {"id": "ids"},
    0x8108: {"type": "what", "makerId": "maker", "version": "software", "packet": "data"},
    0x8202: {"interval": "interval_s", "validityPeriod": "for_s"},
    0x8203: {"responseSerialNo": "alarm_serial", "type": "confirm"},
    0x8300: {"sign": "sign", "content": "text"},
    0x8301: {"type": "action", "events": Each("events", {"id": "event", "content": "text"})},
    0x8302: {
        "sign": "sign",
        "content": "question",
        "options": Each("choices", {"id": "choice", "content": "text"}),
    },
    0x8303: {"type": "action", "infos": Each("topics", {"type": "topic", "name": "text"})},
    0x8304: {"type": "topic", "content": "text"},
    0x8400: {"type": "mode", "phoneNumber": "phone"},
    0x8401: {"type": "action", "contacts": Each("contacts", {"sign": "calls", "phone": "phone", "name": "name"})},
    0x8500: {"type": "doors"},
    0x8600: {"action": "action", "items": Each("areas", {**_AREA, **_CORNER, "radius": "radius_m"})},
    0x8601: {"id": "ids"},
    0x8602: {
        "action": "action",
        "items": Each(
            "areas",
            {
                **_AREA,
                "latitudeUL": ("top_left_lat", DEGREES),
                "longitudeUL": ("top_left_lon", DEGREES),
                "latitudeLR": ("bottom_right_lat", DEGREES),
                "longitudeLR": ("bottom_right_lon", DEGREES),
            },
        ),
    },
    0x8604: {**_AREA, "points": Each("corners", _CORNER)},
    0x8606: {
        "id": "id",
        "attribute": "attribute",
        **_TIMES,
        "items": Each(
            "corners",
            {
                "id": "id",
                "routeId": "segment_id",
                **_CORNER,
                "width": "width_m",
                "attribute": "attribute",
                "upperLimit": "longest_s",
                "lowerLimit": "shortest_s",
                "maxSpeed": "max_kmh",
                "duration": "overspeed_s",
            },
        ),
    },
    0x8608: {"type": "shape", "id": "ids"},
    0x8800: {"mediaId": "media_id", "id": "parts"},
    0x8801: {
        "channelId": "channel",
        "command": "shots",
        "time": "seconds",
        "save": "keep",
        **{name: name for name in ("resolution", "quality", "brightness", "contrast", "saturation", "chroma")},
    },
    0x8802: _WANTED,
    0x8803: {**_WANTED, "delete": "then"},
    0x8804: {"command": "record", "time": "seconds", "save": "keep", "audioSamplingRate": "sample_rate_hz"},
    0x8805: {"id": "media_id", "delete": "then"},
    0x8A00: {"e": "e", "n": "n"},
    0x9101: {**_SERVER, "channelNo": "channel", "mediaType": "what", "streamType": "stream"},
    0x9102: {"channelNo": "channel", "command": "control", "closeType": "close", "streamType": "switch_to"},
    0x9105: {"channelNo": "channel", "packetLossRate": "lost_percent"},
    0x9201: {**_SERVER, **_RECORDING, "playbackMode": "mode", "playbackSpeed": "speed"},
    0x9202: {"channelNo": "channel", "playbackMode": "control", "playbackSpeed": "speed", "playbackTime": "to"},
    0x9205: {**_RECORDING, **_WARNINGS},
    0x9206: {
        "ip": "address",
        "port": "port",
        "username": "user",
        "password": "password",
        "path": "folder",
        **_RECORDING,
        **_WARNINGS,
        "condition": "only_by",
    },
    0x9207: {"responseSerialNo": "answers_serial", "command": "control"},
    0x9208: {**_SERVER, **_MARK, "platformAlarmId": "alarm", "reserves": "reserved"},
    0x9212: {
        **_FILE,
        "result": "result",
        "total": Flat(lambda ours: len(ours["missing"])),
        "items": Flat(lambda ours: [one[name] for one in ours["missing"] for name in ("offset_bytes", "size_bytes")]),
    },
    0x9301: {"channelNo": "channel", "param1": "direction", "param2": "speed"},
    0x9302: {"channelNo": "channel", "param": "focus"},
}
