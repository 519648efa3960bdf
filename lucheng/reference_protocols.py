"""`docs/reference/protocols.md`: what terminals may say and be told, from the tables of the codecs.

Invariants: every message of every catalogue stands in it with its fields, every alarm bit once, every command with what each
protocol makes of it; nothing is written here that is not in a table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import ingest.gt06.commands as gt06_commands
import ingest.jt808.commands as jt808_commands
import ingest.jt905.commands as jt905_commands
from ingest.gt06.alarms import ALARMS as GT06_ALARMS
from ingest.gt06.messages import CATALOGUE as GT06_MESSAGES
from ingest.jt808.alarms import ALARMS as JT808_ALARMS
from ingest.jt808.messages import CATALOGUE as JT808_MESSAGES
from ingest.jt905.alarms import ALARMS as JT905_ALARMS
from ingest.jt905.messages import CATALOGUE as JT905_MESSAGES
from ingest.mqtt.commands import command_message
from ingest.wire.message import Catalogue, Message, Way
from model.command import Command, CommandState
from model.command_table import COMMANDS, CommandKind
from model.errors import LuchengError

#: Newest edition of JT/T 808, in which every command can be written.
_NEWEST = 2019
_ARROWS = {Way.UP: "↑", Way.DOWN: "↓", Way.BOTH: "↕"}
_LATCHES = {
    "held": "until the condition ends<br>条件解除前保持",
    "reply": "until our reply<br>收到应答后清零",
    "confirm": "until the desk confirms<br>人工确认后清零",
}
#: Arguments that have no default, for trying whether a protocol can write a command.
_SAMPLES: dict[str, Any] = {"text": "text", "id": "0x0029", "value": "30", "message": ""}
Table = Callable[[Iterable[str], Iterable[Iterable[object]]], str]

_INTRO = """# Protocols of terminals · 终端协议

JT/T 808 and 905 share a port: the registry says which one a terminal speaks (`protocol` of the device), else a number of twelve
digits that begins with 10 is JT/T 905, else it is 808. Numbers are big-endian; times of JT/T are Beijing time. Unknown items are
kept; an unknown message is answered "unsupported", quarantined and counted. `lucheng decode HEX` explains a frame by these tables.
↑ from the terminal, ↓ to it. `when` in brackets after a meaning: the edition of the standard, or that it may be left out.
"""


def protocols_page(table: Table) -> str:
    """The page; `table(columns, rows)` writes a table."""
    parts = [_INTRO, "\n## Commands · 指令\n\n", table(("command", *_WAYS), _commands())]
    for name, catalogue in (("JT/T 808", JT808_MESSAGES), ("JT/T 905", JT905_MESSAGES), ("GT06", GT06_MESSAGES)):
        parts.append(f"\n## {name}\n\n{_messages(catalogue, table)}")
        alarms = {"JT/T 808": JT808_ALARMS, "JT/T 905": JT905_ALARMS}.get(name)
        if alarms is not None:
            rows = (
                (one.bit, f"`{one.name}`", f"`{one.kind}`", _LATCHES[one.latch], f"{one.words.en}<br>{one.words.zh}")
                for one in alarms
            )
            parts.append(
                f"\n### Alarm bits of {name} · 报警位\n\n{table(('bit', 'name', 'kind', 'held', 'meaning · 含义'), rows)}"
            )
        else:
            codes = (
                (
                    f"0x{one.code:02x}",
                    f"`{one.name}`",
                    f"`{one.kind}`" if one.kind else "",
                    f"{one.words.en}<br>{one.words.zh}",
                )
                for one in GT06_ALARMS.values()
            )
            parts.append(
                f"\n### Alarm codes of {name} · 报警码\n\n{table(('code', 'name', 'kind', 'meaning · 含义'), codes)}"
            )
        parts.append(f"\n### Fields of {name} · 字段\n")
        parts += [_fields(one, catalogue, table) for one in catalogue if one.fields]
    return "".join(parts)


def _digits(catalogue: Catalogue) -> int:
    return 2 if catalogue.protocol == "gt06" else 4


def _messages(catalogue: Catalogue, table: Table) -> str:
    rows = (
        (
            f"`0x{one.id:0{_digits(catalogue)}x}`",
            _ARROWS[one.way],
            f"`{one.name}`",
            f"{one.words.en}<br>{one.words.zh}",
            one.source,
        )
        for one in sorted(catalogue, key=lambda one: one.id)
    )
    return table(("id", "", "name", "meaning · 含义", "source"), rows)


def _fields(message: Message, catalogue: Catalogue, table: Table) -> str:
    rows = [
        (f"`{name}`", kind, unit, meaning) for one in message.fields for name, kind, unit, meaning in one.describe()
    ]
    head = f"\n#### 0x{message.id:0{_digits(catalogue)}x} {message.name}\n\n"
    return head + table(("field", "type", "unit", "meaning"), rows)


def _commands() -> Iterable[tuple[str, ...]]:
    for kind in COMMANDS.values():
        yield (f"`{kind.name}`<br>{kind.words.zh}", *(can(kind) for can in _WAYS.values()))


def _args(kind: CommandKind) -> dict[str, Any]:
    return {arg.name: arg.default if arg.default is not None else _SAMPLES[arg.name] for arg in kind.args}


def _by(
    orders: Callable[..., list[Any]], digits: int, free: Collection[str] = (), catalogue: Catalogue | None = None
) -> Callable[[CommandKind], str]:
    def told(kind: CommandKind) -> str:
        if kind.name == "message" and catalogue is not None:
            return ", ".join(f"`{one.name}`" for one in catalogue if one.name in free)
        try:
            made = orders(kind.name, _args(kind), version=_NEWEST, phone_number="10000")
        except LuchengError:
            return "–"
        return " ▸ ".join(f"0x{one.message_id:0{digits}x}" for one in made)

    return told


def _by_mqtt(protocol: str) -> Callable[[CommandKind], str]:
    def told(kind: CommandKind) -> str:
        command = Command(
            "K", "taxi/1", kind.name, _args(kind), "", "", "", "", CommandState.QUEUED, 1, asked_ms=0, expires_ms=1
        )
        try:
            topic, _ = command_message(command, protocol)
        except LuchengError:
            return "–"
        return f"`{topic.replace('taxi/1', '…')}`"

    return told


_WAYS: dict[str, Callable[[CommandKind], str]] = {
    "JT/T 808": _by(jt808_commands.orders, 4, jt808_commands.FREE_MESSAGES, JT808_MESSAGES),
    "JT/T 905": _by(jt905_commands.orders, 4, jt905_commands.FREE_MESSAGES, JT905_MESSAGES),
    "GT06": _by(gt06_commands.orders, 2),
    "MQTT": _by_mqtt("mqtt"),
    "OwnTracks": _by_mqtt("owntracks"),
    "Teltonika": _by_mqtt("teltonika"),
}
