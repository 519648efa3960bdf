"""What the demo shows of a taxi's sos besides its alarm: the commands its terminal gets, and the photo it sends.

Invariants: a command is a line for each state it comes to, a piece of evidence is one line; it asks the service's API as
anybody would, and what is refused is no line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from lucheng.cli.texts import in_language, text
from model.command import STATE_WORDS, CommandState

#: Marks at the beginning of a line: alarms by severity, a command down, something kept.
SHAPES = {1: "▲1", 2: "◆2", 3: "●3"}
COMMAND_MARK, EVIDENCE_MARK = "↓ ", "▣ "
#: Characters of a SHA-256 that a line shows.
_HASH_CHARS = 12
_MOMENTS = ("ended", "done", "sent", "asked")

#: Asks the service: operation and arguments to its answer, None where it refuses.
Ask = Callable[..., Any]


class SosFile:
    """The alarms of kind sos that are worked on, and what has been shown of them."""

    def __init__(self) -> None:
        self._alarms: dict[str, str] = {}
        self._shown: set[tuple[str, ...]] = set()

    def open(self, alarm: str, device: str) -> None:
        """One more."""
        self._alarms[alarm] = device

    def look(self, ask: Ask) -> list[str]:
        """Lines for what is new since the look before, oldest first."""
        lines = []
        for alarm, device in list(self._alarms.items()):
            for command in reversed(ask("command_list", device=device, all=True) or []):
                lines += [line for key, line in _command_lines(command) if self._is_new(key)]
            for piece in reversed(ask("evidence_list", alarm=alarm, purpose="test") or []):
                if self._is_new((piece["evidence"],)):
                    lines.append(_evidence_line(piece))
        return lines

    def _is_new(self, key: tuple[str, ...]) -> bool:
        new = key not in self._shown
        self._shown.add(key)
        return new


def _command_lines(command: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The line of its state, and that of the end of a listen-in, each with what it is known by."""
    state = CommandState(command["state"])
    if state is not CommandState.QUEUED:
        yield (
            (command["command"], state),
            _line(COMMAND_MARK, command, command["name"], in_language(STATE_WORDS[state])),
        )
    if command["ended"]:
        yield (command["command"], "ended"), _line(COMMAND_MARK, command, command["name"], text("demo.listen_ended"))


def _evidence_line(piece: dict[str, Any]) -> str:
    size, digest = f"{piece['size_bytes']:,}", piece["sha256"][:_HASH_CHARS]
    return _line(EVIDENCE_MARK, piece, piece["kind"], text("demo.evidence", size=size, sha256=digest))


def _line(mark: str, row: dict[str, Any], name: str, what: str) -> str:
    when = next((row[key] for key in (*_MOMENTS, "stored", "received") if row.get(key)), "")
    return f"{when[11:19]} {mark} {name:<18}{row['device']:<16} {what}"
