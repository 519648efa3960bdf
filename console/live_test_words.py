"""What is missing in a live test and what to do about it, in both languages: by the codes that `device_check` gives."""

from __future__ import annotations

from model.codes import REASON_WORDS, Reason, Word

WHY_WORDS: dict[str, Word] = {
    "silent": Word(
        "Nothing has come. Check its power, SIM card, antenna, and the server's address and number set in it.",
        "尚未收到任何数据。请检查电源、SIM 卡、天线，以及终端内设置的服务器地址和号码。",
    ),
    "connected": Word(
        "It is connected but has reported nothing. Wait a minute, or switch it off and on.",
        "终端已连接但尚未上报。请等待一分钟，或断电重启。",
    ),
    "quarantined": Word("What it sends is not accepted: {reason}.", "其上报未被接受：{reason}。"),
    "no_report": Word("First it has to report.", "须先收到首次上报。"),
    "no_fix": Word(
        "It reports without a fix. Take it out into the open, the antenna's label up, and wait two minutes.",
        "已上报但无定位。请移到室外，天线正面朝上，等待两分钟。",
    ),
    "arm": Word(
        "Say first that you are about to press, so that the desk knows that it is a test.",
        "请先点“我要按按钮”，接警台即知为测试。",
    ),
    "press": Word("Press the button now.", "请现在按下按钮。"),
    "picture": Word("Ask the camera for a picture.", "请点“取一张画面”。"),
    "camera": Word("The camera gives no picture: {reason}.", "摄像头无画面：{reason}。"),
}


def why_words(code: str) -> Word:
    """The words of a code, its reason filled in; the code itself where the table is older than it."""
    name, _, reason = code.partition(":")
    words = WHY_WORDS.get(name)
    if words is None:
        return Word(code, code)
    known = Reason.__members__.get(reason.upper())
    said = REASON_WORDS[known] if known is not None else Word(reason, reason)
    return Word(words.en.replace("{reason}", said.en), words.zh.replace("{reason}", said.zh))
