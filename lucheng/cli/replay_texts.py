"""Texts of `lucheng replay`, in both languages; part of `lucheng.cli.texts`."""

from __future__ import annotations

from model.codes import Word

REPLAY_TEXTS: dict[str, Word] = {
    "replay": Word(
        "Play tracks back true to time: of these devices with all that happened, or of every device.",
        "按真实时间回放轨迹：指定设备（含全部事件），或全部车辆。",
    ),
    "replay.devices": Word("Devices; none: every one but e-bikes.", "设备；不指定则为除电动车外的全部设备。"),
    "replay.kind": Word("Every device of one kind, e.g. taxi.", "某一类别的全部设备，如 taxi。"),
    "replay.rate": Word("Times as fast as it was: 0.25 to 64.", "播放倍速：0.25 至 64。"),
    "replay.step": Word(
        "With --json, a frame with every place each so many seconds too.", "配合 --json：每隔多少秒另输出一帧全部位置。"
    ),
    "replay.cameras": Word("Tell the cameras that were passed.", "列出途经的摄像头。"),
    "replay.json": Word(
        "Print one JSON line for each point, event and frame, in order, without waiting.",
        "按顺序逐行输出各定位、事件与画面的 JSON，不等待。",
    ),
    "replay.keys": Word(
        "space pause · + - rate · ← → 5 minutes · q quit", "空格 暂停 · + - 倍速 · ← → 前后 5 分钟 · q 退出"
    ),
    "replay.paused": Word("paused", "已暂停"),
    "replay.playing": Word("{rate}x", "{rate} 倍速"),
    "replay.placed": Word("{placed} of {vehicles} with a place", "{vehicles} 台中 {placed} 台有位置"),
    "replay.silent": Word("silent", "无信号"),
    "replay.between": Word("interpolated", "插值"),
    "replay.point": Word("a point", "定位"),
    "replay.more": Word("… and {count} more", "…… 另有 {count} 台"),
    "replay.left_out": Word("Of {device} there is more than is shown: {what}.", "{device} 的部分内容未全部列出：{what}。"),
    "replay.what.point": Word("point", "定位"),
    "replay.what.frame": Word("frame", "画面"),
    "replay.what.gap_start": Word("silent from here", "开始无信号"),
    "replay.what.gap_end": Word("heard again", "恢复信号"),
    "replay.what.trip_start": Word("trip begins", "行程开始"),
    "replay.what.trip_end": Word("trip ends", "行程结束"),
    "replay.what.stop_start": Word("stops", "停车"),
    "replay.what.stop_end": Word("goes on", "驶离"),
    "replay.what.free": Word("free", "空车"),
    "replay.what.occupied": Word("occupied", "载客"),
    "replay.what.camera_in": Word("comes into view of a camera", "进入摄像头视野"),
    "replay.what.camera_out": Word("leaves a camera's view", "离开摄像头视野"),
    "replay.what.signal": Word("signal", "信号"),
    "replay.what.alarm": Word("alarm", "警情"),
    "replay.what.evidence": Word("evidence", "证据"),
}  # fmt: skip
