"""Texts of the commands `terminal` and `evidence`, in both languages; `texts.TEXTS` holds them with all others."""

from __future__ import annotations

from model.codes import Word

TERMINAL_TEXTS: dict[str, Word] = {
    "terminal": Word(
        "Terminals that speak JT/T 808, JT/T 905 or GT06: list, reports, release, simulate.",
        "车载终端（JT/T 808、JT/T 905、GT06）：列表、上报、解除绑定、模拟。",
    ),
    "terminal.list": Word("Terminals that are bound to their devices or connected now.", "已绑定或当前在线的终端。"),
    "terminal.after": Word(
        "Go on after this slot (the last one of the page before).", "从该 slot 之后继续（上一页最后一行）。"
    ),
    "terminal.reports": Word(
        "What terminals told besides places, alarms and media: sign-on, fares, cards.",
        "终端上报的其他内容：签到、营运记录、刷卡等。",
    ),
    "terminal.message": Word("Only of this name, e.g. sign_on.", "仅此消息，如 sign_on。"),
    "terminal.release": Word(
        "Let another terminal register for a device; the old one has to be released first.",
        "解除终端绑定，以便新终端注册。",
    ),
    "terminal.released": Word(
        "{device} has no terminal any more; the next one that registers is bound.",
        "{device} 已解除绑定，下一台注册的终端将被绑定。",
    ),
    "evidence": Word("Photos, sounds and files of devices.", "设备的照片、录音与文件（证据）。"),
    "evidence.of_alarm": Word("Evidence", "证据"),
    "evidence.list": Word("Which evidence there is, the newest first.", "证据列表，最新在前。"),
    "evidence.show": Word("What is known of one piece.", "查看一件证据的信息。"),
    "evidence.save": Word(
        "Save the bytes of one piece, checked against their SHA-256.", "校验 SHA-256 后保存一件证据。"
    ),
    "evidence.id": Word("Id of the piece, e.g. E2026-000001.", "证据编号，如 E2026-000001。"),
    "evidence.file": Word(
        "Where to; a file that is not there yet, or - for standard output.", "保存到的新文件；- 为标准输出。"
    ),
    "evidence.before": Word(
        "Go on before this piece (the last one of the page before).", "从该编号之前继续（上一页最后一行）。"
    ),
    "evidence.saved": Word("{evidence} is saved as {file}, {size} bytes.", "{evidence} 已保存为 {file}，{size} 字节。"),
}
