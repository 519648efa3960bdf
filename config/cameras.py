"""The settings of cameras: what may be connected to, how much is decoded and kept, the detector, live view."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from config.base import GIB, KIB, MIB, IpAddress, OptionalPath, Section, setting
from model.camera import CameraSettings

_DAY_S = 86_400
#: Networks in one list.
MAX_NETWORKS = 1_000


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError("has to be networks such as 10.20.0.0/16") from error
    return text


def _loopback(text: str) -> str:
    if not ipaddress.ip_address(text).is_loopback:
        raise ValueError("has to be a loopback address such as 127.0.0.1: it asks for no account")
    return text


LoopbackAddress = Annotated[IpAddress, AfterValidator(_loopback)]
Network = Annotated[str, AfterValidator(_network)]


class Camera(Section):
    """Cameras: where they may be, and how they are watched · 摄像头"""

    allow_networks: Annotated[list[Network], Field(max_length=MAX_NETWORKS)] = setting(
        ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8"],
        "networks that a camera's address may lie in; nothing else is connected to",
        "允许连接的摄像头网段，其余一律拒绝",
    )
    files_dir: OptionalPath = setting(
        None,
        "folder whose video files may be cameras (file:NAME, played over and over); empty: none",
        "可作为摄像头循环播放的视频文件目录（file:文件名）；留空则不允许",
    )
    workers: int = setting(0, "video processes; 0: one for each core", "视频进程数；0 为每核一个", ge=0, le=256)
    max_cameras_per_worker: int = setting(
        500, "cameras that one process watches at most", "单进程摄像头上限", ge=1, le=5_000
    )
    open_timeout_s: float = setting(10.0, "time to open a stream", "打开码流时限（秒）", ge=0.5, le=120)
    read_timeout_s: float = setting(
        10.0, "silence after which a stream is opened again", "无数据多久后重连（秒）", ge=0.5, le=600
    )
    stuck_after_s: float = setting(
        20.0,
        "time after which a thread that hangs in a library is given up",
        "线程卡死多久后放弃（秒）",
        ge=1,
        le=600,
    )
    max_opening: int = setting(8, "streams that one process opens at a time", "单进程同时打开的码流数", ge=1, le=1_000)
    back_off_min_s: float = setting(1.0, "first wait before opening again", "首次重连等待（秒）", ge=0.05, le=600)
    back_off_max_s: float = setting(60.0, "longest wait before opening again", "最长重连等待（秒）", ge=0.1, le=3_600)
    ring_s: float = setting(
        30.0, "seconds of compressed video kept in memory for each camera", "每路内存缓存时长（秒）", ge=2, le=600
    )
    ring_bytes: int = setting(32 * MIB, "… and bytes at most", "每路内存缓存字节上限", ge=64 * KIB, le=GIB)
    max_packet_bytes: int = setting(
        8 * MIB, "largest compressed picture; a larger one is dropped", "单帧压缩数据上限", ge=64 * KIB, le=64 * MIB
    )
    max_pixels: int = setting(
        8192 * 4320, "largest picture that is decoded, width times height", "可解码的最大像素数", ge=10_000, le=10**9
    )
    decode_timeout_s: float = setting(
        5.0, "time for one picture after which decoding counts as hung", "单帧解码超时（秒）", ge=0.5, le=120
    )
    still_keyframe_s: float = setting(
        10.0,
        "how often a still scene is looked at where the policy may thin",
        "静止画面的最疏检查间隔（秒）",
        ge=1,
        le=600,
    )
    offline_after_s: float = setting(
        30.0, "no media for so long: the camera is offline", "无媒体多久判为离线（秒）", ge=2, le=_DAY_S
    )
    stalled_after_s: float = setting(
        5.0, "no media for so long: it has stalled", "无媒体多久判为中断（秒）", ge=1, le=_DAY_S
    )
    recover_after_s: float = setting(
        5.0, "media for so long: it is better again", "媒体恢复多久后转好（秒）", ge=0, le=3_600
    )
    sample_s: int = setting(
        60, "how often fps, bitrate, motion and lag are stored", "状态时序的采样间隔（秒）", ge=5, le=3_600
    )
    worker_silence_s: float = setting(
        20.0,
        "a video process that says nothing for so long is ended and started anew",
        "视频进程多久无响应则重启（秒）",
        ge=3,
        le=600,
    )
    max_deaths: int = setting(
        3, "times a camera may end its worker before it is parked", "致工作进程异常几次后搁置", ge=1, le=100
    )


class Clips(Section):
    """Clips and snapshots that come with an alarm · 警情视频片段"""

    cameras: int = setting(4, "cameras whose clips come with an alarm", "每条警情附带的摄像头数", ge=0, le=8)
    max_severity: int = setting(
        2, "alarms up to this severity bring clips (1 is the highest)", "附带视频的最低警情等级", ge=1, le=3
    )
    max_distance_m: float = setting(
        500.0, "cameras farther away are left out, unless bound to the site", "最远摄像头距离（米）", ge=1, le=50_000
    )
    max_length_s: int = setting(300, "longest clip", "片段最长时长（秒）", ge=1, le=3_600)
    max_clip_bytes: int = setting(60 * MIB, "largest clip", "片段字节上限", ge=64 * KIB, le=GIB)
    max_waiting: int = setting(
        400, "clips that wait to be made; more are left out and said so", "待制作片段上限", ge=1, le=100_000
    )
    max_at_once: int = setting(
        64,
        "clips that are made at a time, those included that wait for their end",
        "同时制作片段数（含等待录完的）",
        ge=1,
        le=1_000,
    )


class Recording(Section):
    """The recorder · 录像"""

    segment_s: int = setting(60, "length of a piece", "录像分段时长（秒）", ge=5, le=3_600)
    retention_days: int = setting(30, "how long recordings are kept", "录像保留天数", ge=1, le=365)
    max_total_bytes: int = setting(
        200 * GIB,
        "of all recordings; the oldest go first",
        "录像总字节上限，超出先删最旧",
        ge=MIB,
        le=1024 * 1024 * GIB,
    )
    min_free_bytes: int = setting(
        2 * GIB, "room that recording leaves on the disk", "磁盘保留空间", ge=0, le=1024 * GIB
    )


class Detect(Section):
    """The detector of persons and vehicles · 目标检测"""

    model: OptionalPath = setting(
        None,
        "weights: an ONNX file (YOLOX), or .pt with the extra lucheng[yolo]; empty: none",
        "模型文件：ONNX（YOLOX），或安装 lucheng[yolo] 后的 .pt；留空则不检测",
    )
    engine: Literal["auto", "onnxruntime", "opencv", "ultralytics"] = setting("auto", "what runs it", "推理引擎")
    min_score: float = setting(0.35, "lowest score that counts", "最低置信度", ge=0.01, le=0.99)
    max_queued: int = setting(
        64, "pictures that wait for the detector; the oldest of a camera gives way", "检测队列上限", ge=1, le=10_000
    )
    threads: int = setting(1, "threads of the detector in one process", "推理线程数", ge=1, le=64)
    min_interval_ms: int = setting(
        200, "shortest time between two looks at one camera", "单路最短检测间隔（毫秒）", ge=0, le=60_000
    )


class Live(Section):
    """Live view by address, without an account, on this machine alone (the pages of the console have their own) · 本机免登录实时预览（控制台页面另有）"""

    port: int = setting(0, "TCP port on the loopback interface; 0: off", "回环接口端口；0 为关闭", ge=0, le=65_535)
    listen: LoopbackAddress = setting("127.0.0.1", "loopback address it listens on", "监听的回环地址")
    max_viewers: int = setting(64, "viewers at a time", "同时观看人数上限", ge=1, le=10_000)
    max_viewers_per_camera: int = setting(16, "… of one camera", "单路同时观看上限", ge=1, le=1_000)
    max_viewer_bytes: int = setting(
        4 * MIB,
        "bytes that one viewer has not taken yet; a slower one skips to the next keyframe",
        "单个观看者积压上限，超出跳至下一关键帧",
        ge=64 * KIB,
        le=GIB,
    )
    stall_s: float = setting(
        20.0, "a viewer that takes nothing for so long is closed", "观看者停滞多久后断开（秒）", ge=1, le=600
    )
    token_file: OptionalPath = setting(
        None,
        "file whose first line is the token; empty: made anew at each start in the data folder",
        "令牌文件；留空则每次启动在数据目录新建",
    )


#: Of each pair the first is at most the second.
CAMERA_ORDER = (
    ("camera.back_off_min_s", "camera.back_off_max_s"),
    ("camera.open_timeout_s", "camera.stuck_after_s"),
    ("camera.read_timeout_s", "camera.stuck_after_s"),
    ("camera.max_packet_bytes", "camera.ring_bytes"),
    ("clips.max_at_once", "clips.max_waiting"),
    ("live.max_viewers_per_camera", "live.max_viewers"),
)


def across_cameras(camera: Camera, clips: Clips) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Further problems that no single value shows: (keys that disagree, what, mend)."""
    usual = CameraSettings()
    if camera.stalled_after_s >= camera.offline_after_s:
        what = f"is not less than camera.offline_after_s ({camera.offline_after_s:g})"
        yield ("camera.stalled_after_s", "camera.offline_after_s"), what, "Lower it, or raise camera.offline_after_s."
    if camera.ring_s < usual.pre_roll_s:
        what = f"is less than the usual pre-roll of clips ({usual.pre_roll_s:g} s)"
        yield ("camera.ring_s",), what, f"Raise it to {usual.pre_roll_s:g}."
    roll_s = usual.pre_roll_s + usual.post_roll_s
    if clips.max_length_s < roll_s:
        what = f"is less than the usual pre-roll and post-roll together ({roll_s:g} s)"
        yield ("clips.max_length_s",), what, f"Raise it to {roll_s:g}."
