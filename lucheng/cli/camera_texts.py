"""Texts of `lucheng camera`, in both languages; part of `lucheng.cli.texts`."""

from __future__ import annotations

from model.camera import RECORD_MODES, CameraState, DecodePolicy
from model.codes import Word

_POLICIES = ", ".join(DecodePolicy)
_STATES = ", ".join(CameraState)
_RECORD = ", ".join(RECORD_MODES)

#: Names of health flags, as rows have them.
HEALTH_WORDS: dict[str, Word] = {
    "black": Word("black", "黑屏"),
    "frozen": Word("frozen", "画面冻结"),
    "covered": Word("covered", "遮挡"),
    "defocused": Word("out of focus", "失焦"),
    "moved": Word("turned away", "移位"),
    "corrupted": Word("corrupted", "花屏"),
    "low_fps": Word("few pictures", "帧率低"),
    "low_bitrate": Word("low bit rate", "码率低"),
    "long_keyframe_gap": Word("keyframes far apart", "关键帧间隔过长"),
}

CAMERA_TEXTS: dict[str, Word] = {
    "camera": Word("Cameras: set up, look after, see.", "摄像头：接入、维护、查看。"),
    "camera.add": Word("Set a camera up; it is registered when it is not yet.", "接入摄像头；未登记的设备会先登记。"),
    "camera.set": Word("Change what is set for a camera.", "修改摄像头设置。"),
    "camera.list": Word("Cameras and how they are.", "摄像头及其状态。"),
    "camera.show": Word("One camera, how it is and what is set for it.", "查看一个摄像头的状态与设置。"),
    "camera.remove": Word(
        "Forget what is set for a camera, and its address; recordings stay.", "移除摄像头设置及地址；录像保留。"
    ),
    "camera.probe": Word(
        "Try an address, or a camera that is set up, and say what it sends.", "探测地址或已接入的摄像头，说明码流情况。"
    ),
    "camera.snapshot": Word("Save the newest picture of a camera.", "抓取摄像头当前画面。"),
    "camera.clip": Word(
        "Make a clip of a camera; it is kept as evidence, and saved with -o.", "截取视频片段，存为证据；-o 另存为文件。"
    ),
    "camera.recordings": Word("What is recorded of a camera.", "查看摄像头录像。"),
    "camera.unpark": Word("Let a camera back in that was set aside.", "恢复被搁置的摄像头。"),
    "camera.watch": Word(
        "How cameras change, a line each as it happens; Ctrl-C ends it.",
        "实时显示摄像头状态变化，每行一条；Ctrl-C 结束。",
    ),
    "camera.id": Word("Id of the camera, e.g. camera/7.", "摄像头编号，如 camera/7。"),
    "camera.ids": Word("Only these cameras.", "仅这些摄像头。"),
    "camera.url": Word(
        "Address of its stream: rtsp://user:password@host/path, rtsps://… or file:NAME; - asks for it, or reads a line of "
        "standard input. Others can see what stands on the command line. It is kept encrypted.",
        "码流地址：rtsp://用户:密码@主机/路径、rtsps://… 或 file:文件名；- 为交互输入或从标准输入读取一行。命令行内容可被他人看到。地址加密保存。",
    ),
    "camera.sub_url": Word(
        'Address of its sub-stream, given likewise; "" takes it away.', "子码流地址，写法相同；空串为取消。"
    ),
    "camera.url_file": Word(
        "Read the address from the first line of this file, that of the sub-stream from the second, if there is one.",
        "从文件首行读取码流地址，第二行（如有）为子码流地址。",
    ),
    "camera.site": Word("Site to which it belongs.", "所属场所。"),
    "camera.lat": Word("Where it hangs, degrees north.", "安装位置纬度。"),
    "camera.lon": Word("Where it hangs, degrees east.", "安装位置经度。"),
    "camera.name": Word("What people call it.", "名称。"),
    "camera.settings": Word(
        "Settings from a TOML file: zones, lines, masks and all others.", "从 TOML 文件读取设置：区域、界线、遮挡等。"
    ),
    "camera.policy": Word(f"How much is decoded: {_POLICIES}.", f"解码策略：{_POLICIES}。"),
    "camera.record": Word(f"What is recorded: {_RECORD}.", f"录像方式：{_RECORD}。"),
    "camera.transport": Word("RTSP over tcp or udp.", "RTSP 传输方式：tcp 或 udp。"),
    "camera.state": Word(f"Only in this state: {_STATES}.", f"仅此状态：{_STATES}。"),
    "camera.only_site": Word("Only of this site.", "仅此场所。"),
    "camera.after": Word("Go on after this slot (of the last row of the page before).", "从该序号之后继续。"),
    "camera.what": Word(
        "An address, - for one of standard input, or the id of a camera.", "地址、-（标准输入）或摄像头编号。"
    ),
    "camera.timeout": Word("For how long, seconds.", "时限（秒）。"),
    "camera.out": Word(
        "File to save to; one that is there is not written over; - is standard output.",
        "保存到的文件（不覆盖已有文件）；- 为标准输出。",
    ),
    "camera.seconds": Word("Of the last so many seconds.", "最近多少秒。"),
    "camera.alarm": Word("The alarm that it belongs to.", "所属警情编号。"),
    "camera.save": Word("Save this recording, with -o.", "保存该段录像（配合 -o）。"),
    "camera.coverage": Word("Only when it was recorded, without the pieces.", "仅显示录像时段，不列分段。"),
    "camera.live": Word("Print where each is watched live, and end.", "打印实时预览地址后结束。"),
    "camera.every": Word("How often it is looked, seconds.", "查看间隔（秒）。"),
    "camera.for": Word("For so long, seconds; default: until Ctrl-C.", "持续秒数；默认直到 Ctrl-C。"),
    "camera.analyze": Word(
        "Look at a video file as a camera is looked at: motion, health, objects, zones and lines, picture by picture.",
        "像分析摄像头一样分析视频文件：逐帧输出动静、健康、目标、区域与界线。",
    ),
    "camera.file": Word("Video file.", "视频文件。"),
    "camera.keyframes": Word("Look at keyframes alone.", "只看关键帧。"),
    "camera.bench": Word(
        "How many cameras one core of this machine watches, by policy.", "测量本机每核可监看的摄像头数（按解码策略）。"
    ),
    "camera.bench_file": Word(
        "A recording of such a camera; default: a street that is drawn, 1080p.",
        "该类摄像头的录像；默认用绘制的 1080p 街景。",
    ),
    "camera.bench_seconds": Word("CPU seconds for which each part is measured.", "每一部分的测量时长（CPU 秒）。"),
    "camera.ask": Word("Address of the stream (not shown)", "码流地址（不回显）"),
    "camera.ask_sub": Word("Address of the sub-stream (not shown)", "子码流地址（不回显）"),
    "camera.seen": Word(
        "The address on the command line holds a password that others can see: use --url - or --url-file.",
        "命令行中的地址含密码，可被他人看到：请改用 --url - 或 --url-file。",
    ),
    "camera.added": Word("{camera} is set up: {address}", "{camera} 已接入：{address}"),
    "camera.changed": Word("{camera} is set otherwise: {address}", "{camera} 设置已修改：{address}"),
    "camera.removed": Word("{camera} is removed.", "{camera} 已移除。"),
    "camera.unparked": Word("{camera} is let back in.", "{camera} 已恢复。"),
    "camera.saved": Word("{file}, {size} bytes", "{file}，{size} 字节"),
    "camera.clipped": Word("{evidence}: {seconds} s, {size} bytes", "{evidence}：{seconds} 秒，{size} 字节"),
    "camera.no_stream": Word("no stream: {reason} {detail}", "无码流：{reason} {detail}"),
    "camera.gone": Word("{camera} is not set up any more", "{camera} 已移除"),
    "camera.away": Word("the service is away", "服务中断"),
    "camera.no_cameras": Word("no camera by that id: {cameras}", "无此摄像头：{cameras}"),
}
