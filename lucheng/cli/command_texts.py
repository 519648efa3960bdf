"""Texts of `lucheng command`, in both languages; part of `lucheng.cli.texts`."""

from __future__ import annotations

from model.codes import Word
from model.command_table import COMMANDS

_NAMES = ", ".join(COMMANDS)

COMMAND_TEXTS: dict[str, Word] = {
    "command": Word("Commands to devices: give, approve, stop, follow.", "下行指令：下达、审批、撤回、查看。"),
    "command.send": Word(
        "Give a command to a device; it waits while the device is offline.", "向设备下达指令；设备离线时排队等待。"
    ),
    "command.list": Word(
        "Commands under way or over within a day, the newest first; with --all every one.",
        "进行中及一天内结束的指令，最新在前；--all 列出全部。",
    ),
    "command.show": Word("One command and its life.", "查看一条指令及其经过。"),
    "command.approve": Word(
        "Let another person's command go: cutting the power needs two.", "批准他人申请的指令（断油电须两人）。"
    ),
    "command.reject": Word("Stop a command that was not sent yet.", "驳回或撤回尚未下发的指令。"),
    "command.stop": Word("Hang up a listen-in that runs.", "提前结束正在进行的监听。"),
    "command.stopped": Word(
        "{command}: {device} is told to hang up as soon as it can be reached.", "{command}：将尽快通知 {device} 挂断。"
    ),
    "command.id": Word(
        "Id of the command, or its unique beginning, e.g. K2026-000001.", "指令编号或其唯一开头，如 K2026-000001。"
    ),
    "command.name": Word(f"One of {_NAMES}.", f"指令名：{_NAMES}。"),
    "command.arg": Word(
        "An argument of the command, e.g. --arg count=3; may be given several times.",
        "指令参数，如 --arg count=3；可多次给出。",
    ),
    "command.reason": Word("Why; some commands need it.", "原因；部分指令必填。"),
    "command.alarm": Word("The alarm that it belongs to.", "所属警情编号。"),
    "command.expires": Word(
        "How long it waits for the device, e.g. 90s, 5m, 2h, 1d.", "等待设备的时限，如 90s、5m、2h、1d。"
    ),
    "command.state": Word(
        "Only in this state: asked, queued, sent, accepted, refused, expired.",
        "仅此状态：asked、queued、sent、accepted、refused、expired。",
    ),
    "command.all": Word("Also those that ended longer ago.", "含更早结束的指令。"),
    "command.before": Word("Go on before this command (the last one of the page before).", "从该指令之前继续。"),
    "command.did": Word("{command} {name} for {device}: {state}", "{command} {name}（{device}）：{state}"),
    "command.ask": Word(
        "Another person has to approve it: lucheng command approve {command}",
        "须由他人批准：lucheng command approve {command}",
    ),
    "command.dials": Word(
        "The terminal will dial the desk's telephone; there is no sound here.",
        "终端将回拨接警台电话；此处没有声音。",
    ),
    "command.follow": Word("Follow it: lucheng command show {command}", "查看进展：lucheng command show {command}"),
}
