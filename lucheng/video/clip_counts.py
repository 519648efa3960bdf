"""Words of what the binding of alarms to cameras counts. It counts nothing."""

from __future__ import annotations

from model.codes import Word

#: Words of the counters, for whoever shows them.
COUNTS: dict[str, Word] = {
    "alarms": Word("alarms bound to cameras", "已关联摄像头的警情"),
    "no_camera": Word("alarms without a camera", "附近无摄像头的警情"),
    "hidden": Word("alarms whose place may not be given out", "位置不可公开的警情"),
    "recovered": Word("alarms taken up again after a restart", "重启后继续处理的警情"),
    "withdrawn": Word("clips not made since their alarm was suppressed", "因警情被抑制而取消的片段"),
    "too_many_waiting": Word("left out: too many waited", "因等待过多未制作"),
    "pushed_out": Word("left out for a more severe alarm", "为更高等级警情让出"),
    "shared_by_too_many": Word("left out: too many alarms shared one clip", "因共用过多未关联"),
    "no_answer": Word("not answered in time", "未按时返回"),
    "late_answers": Word("answers that came too late", "迟到的返回"),
    "failed": Word("alarms that could not be bound", "关联失败的警情"),
    "clips_kept": Word("clips kept", "已保存的片段"),
    "clips_shared": Word("clips of one alarm that another shares", "共用的片段"),
    "clips_missing": Word("clips that could not be made", "未能制作的片段"),
    "snapshots_kept": Word("snapshots kept", "已保存的抓图"),
    "snapshots_shared": Word("snapshots of one alarm that another shares", "共用的抓图"),
    "snapshots_missing": Word("snapshots that could not be taken", "未能抓取的图片"),
    "not_noted": Word("missing clips that were not written down", "未能记录的缺失片段"),
    "notes_waiting": Word("missing clips that wait for the audit", "待写入审计的缺失记录"),
    "clips_waiting": Word("clips that wait", "等待制作的片段"),
    "clips_being_made": Word("clips being made", "正在制作的片段"),
    "snapshots_waiting": Word("snapshots that wait", "等待抓取的图片"),
    "snapshots_being_made": Word("snapshots being taken", "正在抓取的图片"),
}
