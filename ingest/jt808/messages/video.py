"""The signalling of JT/T 1078: live and stored video, resources, uploads, cameras. The streams themselves go elsewhere.

Source: JT/T 1078-2016, chapter 5.
"""

from __future__ import annotations

from ingest.jt808.alarms import ALARM_NAMES, VIDEO_ALARM_NAMES
from ingest.wire.fields import BcdTime, Field, Int, Text, u8, u16, u32
from ingest.wire.groups import List
from ingest.wire.message import Message, Way
from model.codes import Word

_SOURCE = "JT/T 1078-2016 5"
_CONTENT = {0: "both", 1: "audio", 2: "video", 3: "either"}
_STREAMS = {0: "any", 1: "main", 2: "sub"}
_STORAGES = {0: "any", 1: "main", 2: "backup"}
#: What a live stream is asked for.
LIVE = {0: "both", 1: "video", 2: "talk", 3: "listen", 4: "broadcast", 5: "passthrough"}
LIVE_CONTROLS = {0: "close", 1: "switch", 2: "pause", 3: "resume", 4: "close_talk"}
_PLAYBACK = {0: "normal", 1: "fast_forward", 2: "key_frames_back", 3: "key_frames", 4: "one_frame"}
_SPEEDS = {0: "none", 1: "x1", 2: "x2", 3: "x4", 4: "x8", 5: "x16"}
_ON_OFF = {0: "stop", 1: "start"}
_NETWORKS = {0: "wifi", 1: "lan", 2: "mobile"}


def _server() -> tuple[Field, ...]:
    return Text("address", length_size=1), u16("tcp_port", "0 none"), u16("udp_port", "0 none")


def _alarms() -> tuple[Field, ...]:
    """64 bits: the high word is of 1078, the low word of 808; all zeros: whatever there is."""
    return u32("video_alarms", bits=VIDEO_ALARM_NAMES), u32("alarms", bits=ALARM_NAMES)


def _stored() -> tuple[Field, ...]:
    return (
        u8("channel", "0 all"),
        BcdTime("begin", meaning="None: no bound"),
        BcdTime("end", meaning="None: no bound"),
        *_alarms(),
        u8("content", values=_CONTENT),
        u8("stream", values=_STREAMS),
        u8("storage", values=_STORAGES),
    )


def _down(number: int, name: str, en: str, zh: str, *fields: Field) -> Message:
    return Message(number, name, Way.DOWN, Word(en, zh), fields, _SOURCE)


def _up(number: int, name: str, en: str, zh: str, *fields: Field) -> Message:
    return Message(number, name, Way.UP, Word(en, zh), fields, _SOURCE)


def _camera(number: int, name: str, en: str, zh: str, what: Int) -> Message:
    return _down(number, name, en, zh, u8("channel"), what)


MESSAGES = (
    _down(0x9003, "query_av", "asks what it can record", "查询终端音视频属性"),
    _up(
        0x1003,
        "av_answer",
        "what it can record",
        "终端上传音视频属性",
        u8("audio_encoding"),
        u8("audio_channels"),
        u8("audio_rate", values={0: "8000", 1: "22050", 2: "44100", 3: "48000"}),
        u8("audio_bits", values={0: "8", 1: "16", 2: "32"}),
        u16("audio_frame_bytes"),
        u8("audio_out", values={0: "no", 1: "yes"}),
        u8("video_encoding"),
        u8("max_audio_channels"),
        u8("max_video_channels"),
    ),
    _up(
        0x1005,
        "passengers",
        "passengers counted",
        "终端上传乘客流量",
        BcdTime("begin"),
        BcdTime("end"),
        u16("got_on"),
        u16("got_off"),
    ),
    _down(
        0x9101,
        "live",
        "asks for live video or sound",
        "实时音视频传输请求",
        *_server(),
        u8("channel"),
        u8("what", values=LIVE),
        u8("stream", values={0: "main", 1: "sub"}),
    ),
    _down(
        0x9102,
        "live_control",
        "controls live video or sound",
        "音视频实时传输控制",
        u8("channel"),
        u8("control", values=LIVE_CONTROLS),
        u8("close", values={0: "both", 1: "audio", 2: "video"}),
        u8("switch_to", values={0: "main", 1: "sub"}),
    ),
    _down(
        0x9105,
        "live_loss",
        "how many packets of a live stream are lost",
        "实时音视频传输状态通知",
        u8("channel"),
        u8("lost_percent", unit="%"),
    ),
    _down(
        0x9201,
        "playback",
        "asks for stored video",
        "平台下发远程录像回放请求",
        *_server(),
        u8("channel"),
        u8("content", values=_CONTENT),
        u8("stream", values=_STREAMS),
        u8("storage", values=_STORAGES),
        u8("mode", values=_PLAYBACK),
        u8("speed", values=_SPEEDS),
        BcdTime("begin"),
        BcdTime("end", meaning="None: to the end"),
    ),
    _down(
        0x9202,
        "playback_control",
        "controls stored video",
        "平台下发远程录像回放控制",
        u8("channel"),
        u8(
            "control",
            values={
                0: "begin",
                1: "pause",
                2: "end",
                3: "fast_forward",
                4: "key_frames_back",
                5: "seek",
                6: "key_frames",
            },
        ),
        u8("speed", values=_SPEEDS),
        BcdTime("to", meaning="of seek"),
    ),
    _down(0x9205, "query_recordings", "asks what is recorded", "查询资源列表", *_stored()),
    _up(
        0x1205,
        "recordings_answer",
        "what is recorded",
        "终端上传音视频资源列表",
        u16("answers_serial", "serial of the query"),
        List("recordings", (*_stored(), u32("size_bytes", unit="byte")), count_size=4),
    ),
    _down(
        0x9206,
        "upload",
        "send recordings by FTP",
        "文件上传指令",
        Text("address", length_size=1),
        u16("port"),
        Text("user", length_size=1),
        Text("password", length_size=1),
        Text("folder", length_size=1),
        *_stored(),
        u8("only_by", bits=_NETWORKS),
    ),
    _up(
        0x1206,
        "upload_done",
        "recordings were sent",
        "文件上传完成通知",
        u16("answers_serial", "serial of the order"),
        u8("result", values={0: "ok", 1: "failed"}),
    ),
    _down(
        0x9207,
        "upload_control",
        "controls an upload",
        "文件上传控制",
        u16("answers_serial", "serial of the order"),
        u8("control", values={0: "pause", 1: "resume", 2: "cancel"}),
    ),
    _down(
        0x9301,
        "camera_turn",
        "turns a camera",
        "云台旋转",
        u8("channel"),
        u8("direction", values={0: "stop", 1: "up", 2: "down", 3: "left", 4: "right"}),
        u8("speed"),
    ),
    _camera(0x9302, "camera_focus", "focuses", "云台调整焦距控制", u8("focus", values={0: "nearer", 1: "farther"})),
    _camera(0x9303, "camera_iris", "sets the iris", "云台调整光圈控制", u8("iris", values={0: "wider", 1: "narrower"})),
    _camera(0x9304, "camera_wiper", "wipes", "云台雨刷控制", u8("wiper", values=_ON_OFF)),
    _camera(0x9305, "camera_infrared", "infrared light", "红外补光控制", u8("infrared", values=_ON_OFF)),
    _camera(0x9306, "camera_zoom", "zooms", "云台变倍控制", u8("zoom", values={0: "in", 1: "out"})),
)
