"""Texts of `terminal simulate`, in both languages; `texts.TEXTS` holds them with all others."""

from __future__ import annotations

from model.codes import Word

SIMULATE_TEXTS: dict[str, Word] = {
    "simulate": Word(
        "Be a terminal: connect to a gateway, drive in a circle, obey, and print every message up and down.",
        "模拟一台终端：连接网关、绕圈行驶、执行指令，并打印所有上下行消息。",
    ),
    "simulate.protocol": Word("What it speaks: jt808, jt808-2019, jt905 or gt06.", "协议：jt808、jt808-2019、jt905 或 gt06。"),
    "simulate.number": Word("Terminal number; of gt06 the IMEI.", "终端号；gt06 为 IMEI。"),
    "simulate.plate": Word("Plate with which it registers.", "注册所用车牌。"),
    "simulate.token": Word("Token of an earlier registration; it does not register again.", "已有鉴权码，不再注册。"),
    "simulate.host": Word("Where the gateway is.", "网关地址。"),
    "simulate.port": Word("The gateway's port.", "网关端口。"),
    "simulate.script": Word("What it does, one action a line; - is standard input.", "脚本，每行一个动作；- 为标准输入。"),
    "simulate.seconds": Word(
        "Drive for so long (after the script); default: until Ctrl-C, with a script not at all.",
        "行驶秒数（在脚本之后）；默认直到 Ctrl-C，有脚本时为 0。",
    ),
    "simulate.rate": Word("Places a second while it drives.", "行驶时每秒定位数。"),
    "simulate.json": Word("Print JSON lines.", "以 JSON 行输出。"),
    "simulate.actions": Word("Lines of a script (# begins a remark):", "脚本动作（# 起为注释）："),
    "simulate.unanswered": Word("{count} messages were not answered.", "有 {count} 条消息未收到应答。"),
    "simulate.up": Word("up", "上行"),
    "simulate.down": Word("down", "下行"),
}  # fmt: skip
