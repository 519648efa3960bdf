"""Texts of `lucheng approval` and of `--approval`, in both languages; part of `lucheng.cli.texts`."""

from __future__ import annotations

from model.approval import STATE_WORDS
from model.codes import Word

#: States of approvals, for tables.
APPROVAL_STATE_WORDS = {state.value: words for state, words in STATE_WORDS.items()}

APPROVAL_TEXTS: dict[str, Word] = {
    "opt.approval": Word(
        "A second person's approval of what is wide: its id, or ask:WHY to ask for one; in a live emergency break-glass:WHY.",
        "大范围查询的他人审批：审批编号；ask:原因 为提出申请；break-glass:原因 为紧急越权（事后须复核）。",
    ),
    "approval": Word(
        "Second persons' approvals of wide reads, and reviews of break-glasses.",
        "大范围查询的双人审批与紧急越权复核。",
    ),
    "approval.list": Word(
        "What waits, holds or is to be reviewed, the newest first; with --all every one.",
        "待审批、有效及待复核的申请，最新在前；--all 列出全部。",
    ),
    "approval.show": Word("One request and its life.", "查看一条申请及其经过。"),
    "approval.ask": Word(
        "Ask for a wide read; the read itself with --approval ask:WHY does the same.",
        "申请大范围查询；在查询命令上加 --approval ask:原因 效果相同。",
    ),
    "approval.grant": Word("Let another person's wide read be done.", "批准他人的大范围查询。"),
    "approval.refuse": Word(
        "Turn a request down, take back what was granted, or take your own request back.",
        "驳回申请、撤销批准或撤回自己的申请。",
    ),
    "approval.review": Word(
        "Review another person's break-glass; due within a day.", "复核他人的紧急越权查询（一日内）。"
    ),
    "approval.id": Word(
        "Id of the approval, or its unique beginning, e.g. W2026-000001.", "审批编号或其唯一开头，如 W2026-000001。"
    ),
    "approval.operation": Word(
        "The operation that reads, e.g. report_supervision.", "查询操作名，如 report_supervision。"
    ),
    "approval.arg": Word(
        "An argument of the operation, its value as JSON or plain text, e.g. --arg date=2026-11-22; may be given several times.",
        "操作参数，值为 JSON 或文本，如 --arg date=2026-11-22；可多次给出。",
    ),
    "approval.why": Word("Why.", "原因。"),
    "approval.note": Word("What to say with it.", "附言。"),
    "approval.found": Word("What it was, and what was found.", "复核情况说明。"),
    "approval.uses": Word("So many reads at most; default: the setting.", "最多可使用次数；默认取设置。"),
    "approval.for": Word("For so long, e.g. 30m, 2h; default: the setting.", "有效时长，如 30m、2h；默认取设置。"),
    "approval.unjustified": Word("It was not justified.", "认定为不当。"),
    "approval.all": Word("Also those that are over.", "含已结束的。"),
    "approval.before": Word("Go on before this one (the last one of the page before).", "从该条之前继续。"),
    "approval.did": Word("{approval} of {by}: {state}", "{approval}（{by}）：{state}"),
    "approval.waits": Word(
        "Another person has to grant it: lucheng approval grant {approval}",
        "须由他人批准：lucheng approval grant {approval}",
    ),
    "approval.holds": Word(
        "It holds for {uses} reads until {until}: --approval {approval}",
        "可使用 {uses} 次，有效至 {until}：--approval {approval}",
    ),
    "approval.late": Word("overdue", "逾期"),
    "approval.banner": Word(
        "*** BREAK-GLASS: read without another person's approval. It is recorded under your name, others are told, "
        "and somebody else has to review it within a day. ***",
        "*** 紧急越权：未经他人审批的查询。已以您的名义记录并告知他人，须由他人在一日内复核。***",
    ),
}
