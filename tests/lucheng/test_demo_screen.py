"""What the demo shows: of an sos every state of a command and every photo once; the counters beside what goes on."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from lucheng.demo_sos import SosFile
from lucheng.demo_view import Picture, View, picture_rows

COMMAND = {
    "command": "K1", "device": "taxi/1", "name": "listen_in", "state": "queued", "asked": "2026-11-22T08:00:00Z",
    "sent": "", "done": "", "ended": "",
}  # fmt: skip
PHOTO = {
    "evidence": "E1", "device": "taxi/1", "kind": "image", "size_bytes": 12_345, "sha256": "0123456789abcdef" * 4,
    "stored": "2026-11-22T08:00:09Z",
}  # fmt: skip


def test_each_state_of_a_command_and_each_photo_is_one_line() -> None:
    answers: dict[str, list[dict[str, Any]] | None] = {"command_list": [COMMAND], "evidence_list": None}
    asked: list[tuple[str, dict[str, Any]]] = []

    def ask(operation: str, **arguments: Any) -> Any:
        asked.append((operation, arguments))
        return answers[operation]

    file = SosFile()
    assert file.look(ask) == [] == asked
    file.open("A1", "taxi/1")
    assert file.look(ask) == [], "a command that waits is no news"
    assert [arguments.get("alarm", arguments.get("device")) for _, arguments in asked] == ["taxi/1", "A1"]
    answers["command_list"] = [COMMAND | {"state": "sent", "sent": "2026-11-22T08:00:05Z"}]
    (line,) = file.look(ask)
    assert line.split() == ["08:00:05", "↓", "listen_in", "taxi/1", "sent"]
    ended = COMMAND | {"state": "accepted", "done": "2026-11-22T08:00:06Z", "ended": "2026-11-22T08:00:08Z"}
    answers |= {"command_list": [ended], "evidence_list": [PHOTO]}
    lines = file.look(ask)
    assert [line.split()[4] for line in lines] == ["accepted", "ended", "kept,"]
    assert "12,345 bytes, SHA-256 0123456789ab…" in lines[-1]
    assert file.look(ask) == []


def test_the_page_has_the_balance_and_what_goes_on() -> None:
    counters = {"received": 30, "stored": 28, "duplicate": 1, "quarantined": {"future": 1}, "in_flight": 0}
    live = {"devices_online": 3.0, "lag_ms": 5.0}
    picture = Picture(counters=counters, devices=4, live=live, track=[(40.6, 109.8), (40.7, 109.9)], lines=["one"])
    balance, now = picture_rows(picture)
    assert [value for _, value in balance] == ["30", "28", "1", "1", "0", "1"]
    assert [value for _, value in now] == ["0", "3 / 4", "5 ms", "0"], "nothing of terminals where none can come"
    live |= {"gateway_jt_port": 7611, "gateway_sessions": 20, "commands_sent": 4, "commands_answered": 3}
    live["evidence_bytes"] = 2_048
    assert [value for _, value in picture_rows(picture)[1][4:]] == ["20", "4 / 3", "2 KiB"]
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(View(500, live=False, program="mosquitto").page(picture))
    shown = console.export_text()
    for text in ("terminals connected", "30", "one", "mosquitto"):
        assert text in shown
