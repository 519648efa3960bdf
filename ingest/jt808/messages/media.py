"""Messages about photos, sounds and videos that go over the signalling connection.

Source: JT/T 808-2011, -2013, -2019, chapter 8.
"""

from __future__ import annotations

from ingest.jt808.messages.positions import fixed_position
from ingest.wire.fields import BcdTime, Bytes, Field, u8, u16, u32
from ingest.wire.groups import Group, List, if_left
from ingest.wire.message import Message, Way
from model.codes import Word

_SOURCE = "JT/T 808-2019 8"
MEDIA_TYPES = {0: "photo", 1: "audio", 2: "video"}
FORMATS = {0: "jpeg", 1: "tif", 2: "mp3", 3: "wav", 4: "wmv"}
EVENTS = {
    0: "platform",
    1: "timer",
    2: "robbery",
    3: "collision",
    4: "door_opened",
    5: "door_closed",
    6: "door_closed_speed",
    7: "distance",
}
RESOLUTIONS = {
    0: "lowest",
    1: "320x240",
    2: "640x480",
    3: "800x600",
    4: "1024x768",
    5: "176x144",
    6: "352x288",
    7: "704x288",
    8: "704x576",
    255: "highest",
}
SAMPLE_RATES = {0: "8000", 1: "11025", 2: "23000", 3: "32000"}
_KEEP = {0: "send", 1: "store"}
_DELETE = {0: "keep", 1: "delete"}


def _head() -> tuple[Field, ...]:
    return (
        u32("media_id", "number of the piece, from 1"),
        u8("media", values=MEDIA_TYPES),
        u8("format", values=FORMATS),
        u8("event", values=EVENTS),
        u8("channel"),
    )


def _wanted() -> tuple[Field, ...]:
    return (
        u8("media", values=MEDIA_TYPES),
        u8("channel", "0 all"),
        u8("event", values=EVENTS),
        BcdTime("begin", meaning="None: no bound"),
        BcdTime("end", meaning="None: no bound"),
    )


MESSAGES = (
    Message(
        0x0800, "media_event", Way.UP, Word("a photo or recording was made", "多媒体事件信息上传"), _head(), _SOURCE
    ),
    Message(
        0x0801,
        "media",
        Way.UP,
        Word("a photo or recording", "多媒体数据上传"),
        (*_head(), Group("position", fixed_position()), Bytes("data", meaning="the piece itself")),
        _SOURCE,
    ),
    Message(
        0x8800,
        "media_reply",
        Way.DOWN,
        Word("a photo or recording has come, or parts of it are missing", "多媒体数据上传应答"),
        (u32("media_id"), if_left(List("parts", (u16("part"),), "parts to send again; none: complete", count_size=1))),
        _SOURCE,
    ),
    Message(
        0x8801,
        "shoot",
        Way.DOWN,
        Word("take photos or a video now", "摄像头立即拍摄命令"),
        (
            u8("channel", "from 1"),
            u16("shots", "0 stop, 65535 video, else so many photos"),
            u16("seconds", "between two photos, or of the video; 0 as fast as it can, or until stopped", unit="s"),
            u8("keep", values=_KEEP),
            u8("resolution", values=RESOLUTIONS),
            u8("quality", "1 least loss to 10 smallest"),
            u8("brightness", "0 to 255"),
            u8("contrast", "0 to 127"),
            u8("saturation", "0 to 127"),
            u8("chroma", "0 to 255"),
        ),
        _SOURCE,
    ),
    Message(
        0x0805,
        "shoot_answer",
        Way.UP,
        Word("photos were taken", "摄像头立即拍摄命令应答"),
        (
            u16("answers_serial", "serial of the command"),
            u8("result", values={0: "ok", 1: "failed", 2: "no_such_channel"}),
            if_left(List("media_ids", (u32("media_id"),), "only after ok", count_size=2)),
        ),
        _SOURCE,
    ),
    Message(0x8802, "media_search", Way.DOWN, Word("asks for stored media", "存储多媒体数据检索"), _wanted(), _SOURCE),
    Message(
        0x0802,
        "media_found",
        Way.UP,
        Word("stored media", "存储多媒体数据检索应答"),
        (
            u16("answers_serial", "serial of the search"),
            List(
                "found",
                (
                    u32("media_id"),
                    u8("media", values=MEDIA_TYPES),
                    u8("channel"),
                    u8("event", values=EVENTS),
                    Group("position", fixed_position()),
                ),
                count_size=2,
            ),
        ),
        _SOURCE,
    ),
    Message(
        0x8803,
        "media_upload",
        Way.DOWN,
        Word("send stored media", "存储多媒体数据上传命令"),
        (*_wanted(), u8("then", values=_DELETE)),
        _SOURCE,
    ),
    Message(
        0x8804,
        "record_audio",
        Way.DOWN,
        Word("record sound", "录音开始命令"),
        (
            u8("record", values={0: "stop", 1: "start"}),
            u16("seconds", "0 until stopped", unit="s"),
            u8("keep", values=_KEEP),
            u8("sample_rate_hz", values=SAMPLE_RATES),
        ),
        _SOURCE,
    ),
    Message(
        0x8805,
        "media_upload_one",
        Way.DOWN,
        Word("send one stored piece", "单条存储多媒体数据检索上传命令"),
        (u32("media_id"), u8("then", values=_DELETE)),
        _SOURCE,
    ),
)
