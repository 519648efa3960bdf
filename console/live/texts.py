"""What the pages say, in both languages, and how a text becomes HTML. Pure.

Invariant: whatever is put into a page goes through `html`, which escapes it unless it is HTML that `html` made itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, tzinfo
from html import escape

from model.codes import Word

LANGUAGES = ("zh", "en")
#: 9999-01-01.
_CALENDAR_END_MS = 253_370_764_800_000

PURPOSE_WORDS: dict[str, Word] = {
    "alarm": Word("an alarm", "处置警情"),
    "case": Word("a case", "办理案件"),
    "patrol": Word("video patrol", "视频巡查"),
    "maintenance": Word("maintenance", "设备维护"),
    "supervision": Word("supervision", "监督检查"),
    "test": Word("a test", "测试"),
    "subject_request": Word("a request of the person concerned", "当事人申请"),
}

TEXTS: dict[str, Word] = {
    "title": Word("Live view", "实时预览"),
    "cameras": Word("Cameras", "摄像头"),
    "alarms": Word("Open alarms", "未结警情"),
    "no_cameras": Word("No camera is registered yet.", "尚未登记摄像头。"),
    "no_alarms": Word("No open alarm.", "当前没有未结警情。"),
    "next": Word("Next", "下一页"),
    "first": Word("First", "首页"),
    "back": Word("All cameras", "返回列表"),
    "skip": Word("Skip to the content", "跳到正文"),
    "other": Word("中文", "English"),
    "camera": Word("Camera", "摄像头"),
    "name": Word("Name", "名称"),
    "state": Word("State", "状态"),
    "unknown": Word("not known yet", "状态未知"),
    "kind": Word("Kind", "类型"),
    "device": Word("Device", "设备"),
    "time": Word("Time", "时间"),
    "since": Word("Since", "起始时间"),
    "site": Word("Site", "场所"),
    "work": Word("Handling", "处置"),
    "evidence": Word("Clips and pictures", "视频与图片"),
    "why": Word("Why do you look at this camera?", "请说明查看目的"),
    "why_note": Word(
        "What you say here is written into the audit with your name and the time.",
        "查看目的将与您的姓名、时间一并记入审计。",
    ),
    "purpose": Word("Purpose", "目的"),
    "reference": Word("Alarm, case or work order", "警情、案件或工单编号"),
    "note": Word("Note", "备注"),
    "look": Word("Look", "查看"),
    "full": Word("Full screen", "全屏"),
    "again": Word("Try again", "重新连接"),
    "transcoded": Word("re-encoded for viewing", "已转码，仅供查看"),
    "still": Word("single pictures", "图片模式"),
    "connecting": Word("Connecting…", "正在连接…"),
    "no_picture": Word("No picture yet", "暂无画面"),
    "stale": Word("Not live. Last picture:", "非实时画面，最后一帧："),
    "age": Word("Picture is {n} s old", "画面延时 {n} 秒"),
    "behind": Word("The connection is slow: pictures were left out", "网络较慢，已跳过部分画面"),
    "lost": Word("Connection lost, trying again…", "连接中断，正在重试…"),
    "ended": Word("The camera sends nothing now:", "摄像头暂无码流："),
    "refused": Word("You may not look at this camera now:", "当前无权查看："),
    "closed": Word("The service is ending.", "服务正在停止。"),
    "picture_of": Word("Live picture of {name}", "{name} 实时画面"),
    "no_evidence": Word("No clip or picture belongs to this alarm yet.", "该警情暂无视频或图片。"),
    "distance": Word("{n} m away", "距警情 {n} 米"),
    "original": Word("Original file", "原始文件"),
    "viewing_copy": Word("Viewing copy", "查看副本"),
    "copy_shown": Word(
        "This is a copy re-encoded for viewing; the original is the evidence.", "此为转码后的查看副本，原始文件为证据。"
    ),
    "unplayable": Word("This browser cannot show it. Save the original file.", "浏览器无法播放，请保存原始文件。"),
    "watch_now": Word("Live", "看实时"),
    "sign_in": Word("Open the live view", "打开实时预览"),
    "sign_in_note": Word(
        "Paste the token that the service wrote to live.token in its data folder.",
        "请粘贴服务写在数据目录 live.token 文件中的令牌。",
    ),
    "token": Word("Token", "令牌"),
    "enter": Word("Open", "进入"),
    "wait": Word("Too many wrong tokens. Wait {n} s.", "令牌错误次数过多，请等待 {n} 秒。"),
    "wrong": Word("That is not the token, or the service was started again.", "令牌不正确，或服务已重新启动。"),
    "failed": Word("That did not work", "操作未成功"),
}


class Html(str):
    """HTML that may stand in a page as it is."""

    __slots__ = ()


def html(template: str, /, **values: object) -> Html:
    """`template` with `values`, each escaped unless it is `Html`."""
    return Html(
        template.format(
            **{name: value if isinstance(value, Html) else escape(str(value)) for name, value in values.items()}
        )
    )


def joined(parts: Iterable[Html]) -> Html:
    """Parts in a row."""
    return Html("".join(parts))


def say(word: Word, language: str) -> str:
    """The word in that language."""
    return word.zh if language == "zh" else word.en


def text(name: str, language: str, /, **values: object) -> str:
    """A text of `TEXTS`, with values (not escaped yet)."""
    return say(TEXTS[name], language).format(**values)


def language_of(asked: str, accepts: str) -> str:
    """`zh` or `en`: what was asked for, else the first of `Accept-Language` that is there, else `en`."""
    if asked in LANGUAGES:
        return asked
    for part in accepts[:200].split(","):
        tag = part.partition(";")[0].strip().lower().partition("-")[0]
        if tag in LANGUAGES:
            return tag
    return "en"


def time_words(time_ms: int, zone: tzinfo) -> str:
    """`2026-11-22 16:00:00`, local time of `zone`; a dash for 0 and for what no calendar has."""
    if not 0 < time_ms < _CALENDAR_END_MS:
        return "–"
    return datetime.fromtimestamp(time_ms / 1000, zone).strftime("%Y-%m-%d %H:%M:%S")


def size_words(size_bytes: int) -> str:
    """`1.4 MB`."""
    if size_bytes < 1_000:
        return f"{size_bytes} B"
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1_000:.0f} kB"
    return f"{size_bytes / 1_000_000:.1f} MB"
