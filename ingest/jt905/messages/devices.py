"""Photos; devices of a taxi: passed through and inspected."""

from __future__ import annotations

from ingest.jt905.alarms import ALARM_NAMES, STATUS_NAMES
from ingest.jt905.messages.session import DEVICE_TYPES, SOURCE
from ingest.wire.fields import Bcd, BcdTime, Bytes, Field, Int, u8, u16, u32
from ingest.wire.groups import List
from ingest.wire.loose import LooseItems
from ingest.wire.message import Message, Way
from model.codes import Word

_CAMERA = u8("camera", "0: all")
PHOTO_REASONS = {0: "hired", 1: "rating", 2: "alarm", 3: "centre"}
#: In front of what each device says of itself.
_SELF: tuple[Field, ...] = (
    Bcd("serial", 5, "serial number"),
    Bcd("hardware", 1, "version"),
    Bcd("software", 2, "version"),
)
#: Of devices other than the terminal nothing but the front is the same everywhere.
_OTHER: tuple[Field, ...] = (*_SELF, Bytes("state", None, "as the device tells it"))
INSPECTIONS: dict[int, tuple[Field, ...]] = {
    0x00: (
        *_SELF,
        u32("status", "status word", bits=STATUS_NAMES),
        u32("alarm", "alarm word", bits=ALARM_NAMES),
        u8("sign_ons_left", "not sent yet"),
        u8("sign_offs_left", "not sent yet"),
        u8("trips_left", "not sent yet"),
        u8("card_trades_left", "not sent yet"),
    ),
    **{number: _OTHER for number in DEVICE_TYPES if number},
}


def _quality(name: str, most: int) -> Int:
    return u8(name, f"0 to {most}")


DEVICES = (
    Message(
        0x0800,
        "photo",
        Way.UP,
        Word("photo", "摄像头图像上传"),
        (
            u16("reason", values=PHOTO_REASONS),
            u32("image", "its number; 0: not stored"),
            _CAMERA,
            u32("size_bytes", "of position and image together", unit="bytes"),
            u32("offset_bytes", "of this piece", unit="bytes"),
            Bytes("data", None, "a piece of position (25 bytes) and image"),
        ),
        f"{SOURCE}; reason as u16 as SmallChi/JT905 reads it",
    ),
    Message(
        0x8801,
        "take_photo",
        Way.DOWN,
        Word("take photos", "摄像头立即拍摄命令"),
        (
            _CAMERA,
            u16("count", "photos", values={0: "stop", 0xFFFF: "record"}),
            u16("interval_s", "between two, or length of a recording", unit="s"),
            u8("keep", values={0: "send", 1: "store"}),
            u8("resolution", values={0: "320x240", 1: "640x480", 2: "800x600"}),
            u8("quality", "1 best to 10"),
            _quality("brightness", 255),
            _quality("contrast", 127),
            _quality("saturation", 127),
            _quality("chroma", 255),
        ),
        SOURCE,
    ),
    Message(
        0x8802,
        "search_photos",
        Way.DOWN,
        Word("search stored photos", "存储图像检索"),
        (_CAMERA, u8("reason", values=PHOTO_REASONS), BcdTime("since"), BcdTime("until")),
        SOURCE,
    ),
    Message(
        0x0802,
        "photos_found",
        Way.UP,
        Word("stored photos", "存储图像检索应答"),
        (
            u8("answers_serial", "serial of the search, its low byte"),
            u32("size_bytes", "of all items, four times their count", unit="bytes"),
            u32("offset_bytes", "of these in all items", unit="bytes"),
            List("images", (u32("image", "its number"),)),
        ),
        f"{SOURCE}; serial as u8 as SmallChi/JT905 reads it",
    ),
    Message(
        0x8803,
        "send_stored",
        Way.DOWN,
        Word("send what is stored", "存储图像/音视频上传命令"),
        (u8("type", values={0: "image", 1: "audio", 2: "video"}), u32("file", "its number"), u32("offset_bytes", unit="bytes")),
        SOURCE,
    ),
    Message(
        0x8B10,
        "to_device",
        Way.DOWN,
        Word("passed to a device", "外围设备指令下行透传"),
        (u8("device", values=DEVICE_TYPES), u16("type", "bits 0 to 2 compression, 3 encryption"), Bytes("data")),
        SOURCE,
    ),
    Message(
        0x0B10,
        "from_device",
        Way.UP,
        Word("passed on from a device", "外围设备指令上行透传"),
        (u8("device", values=DEVICE_TYPES), u8("maker"), u16("command"), Bytes("data")),
        SOURCE,
    ),
    Message(
        0x8B11,
        "inspect",
        Way.DOWN,
        Word("inspect devices", "中心巡检设备"),
        (List("devices", (u8("device", values=DEVICE_TYPES),)),),
        SOURCE,
    ),
    Message(
        0x0B11,
        "inspected",
        Way.UP,
        Word("what devices say of themselves", "设备巡检应答"),
        (LooseItems("devices", INSPECTIONS, DEVICE_TYPES),),
        SOURCE,
    ),
)  # fmt: skip
