"""Alarms and their events as people read them: marks, words, seconds left. Pure.

Invariants: severity stands as shape and letter; whatever a device or a person wrote is one line without control
characters, so that it cannot drive the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lucheng.cli.alarm_texts import SEVERITY_MARKS, VALUE_WORDS
from lucheng.cli.output import cell
from lucheng.cli.texts import in_language, text

#: Keys of a row that have words, each with its table of words.
_WORDED = ("kind", "work", "outcome", "action")
#: What of an event's detail stands on its line, in this order.
_TOLD = ("unit", "to", "outcome", "rung", "why", "until", "reason", "note")


def word_of(table: str, value: str) -> str:
    """The word for a value of `VALUE_WORDS[table]`; the value itself where there is none."""
    found = VALUE_WORDS[table].get(value)
    return value if found is None else in_language(found)


def worded(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with words in the place of names."""
    return {key: word_of(key, value) if key in _WORDED and value else value for key, value in row.items()}


def mark(severity: int) -> str:
    """Shape and letter of a severity."""
    return SEVERITY_MARKS.get(severity, str(severity))


def left_text(alarm: Mapping[str, Any]) -> str:
    """What is left of the 300-second clock, or by how much it ran over; "" where none runs."""
    left_s = alarm["remaining_s"]
    if left_s is None:
        return ""
    return text("alarm.over", seconds=-left_s) if left_s < 0 else text("alarm.left", seconds=left_s)


def table_row(alarm: Mapping[str, Any]) -> dict[str, Any]:
    """An alarm as a row of a table."""
    row = worded(alarm)
    folded = alarm.get("folded", 0)
    return {
        "!": mark(alarm["severity"]),
        "left": left_text(alarm),
        **{
            key: row[key]
            for key in ("alarm", "kind", "device", "jurisdiction", "work", "owner", "unit", "signals", "received")
        },
        "folded": text("alarm.folded", count=folded) if folded else "",
    }


def event_line(event: Mapping[str, Any], clock: Callable[[str], str]) -> str:
    """One event as a line; `clock` makes a time of it that people read."""
    alarm = event["alarm"]
    detail = event["detail"]
    parts = [
        clock(event["time"]),
        mark(alarm["severity"]),
        f"[{left_text(alarm)}]" if alarm["remaining_s"] is not None else "[-]",
        word_of("action", event["action"]),
        alarm["alarm"],
        word_of("kind", alarm["kind"]),
        alarm["device"],
        alarm["jurisdiction"],
        "" if event["by"] == "system" else event["by"],
        *(f"{key}={detail[key]}" for key in _TOLD if detail.get(key) not in (None, "")),
    ]
    return " ".join(filter(None, (cell(part) for part in parts)))
