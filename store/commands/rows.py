"""The tables of `commands.db`, and commands to rows and back. Pure.

Only `STRICT` is SQLite's own; everything else PostgreSQL speaks too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import msgspec

from model.command import Command, CommandState

#: Each runs once and never changes again. `who` is `Command.by`, which SQL keeps for itself.
MIGRATIONS = (
    """
CREATE TABLE commands (
  number INTEGER PRIMARY KEY,
  cause TEXT NOT NULL,
  id TEXT NOT NULL UNIQUE,
  device TEXT NOT NULL,
  name TEXT NOT NULL,
  args TEXT NOT NULL,
  who TEXT NOT NULL,
  role TEXT NOT NULL,
  reason TEXT NOT NULL,
  alarm TEXT NOT NULL,
  state TEXT NOT NULL,
  version INTEGER NOT NULL,
  asked_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  approved_by TEXT NOT NULL,
  via TEXT NOT NULL,
  sent_ms INTEGER NOT NULL,
  done_ms INTEGER NOT NULL,
  ends_ms INTEGER NOT NULL,
  ended_ms INTEGER NOT NULL,
  detail TEXT NOT NULL,
  reply TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX commands_by_cause ON commands (cause) WHERE cause <> '';
CREATE INDEX commands_by_device ON commands (device, number);
CREATE INDEX commands_by_end ON commands (done_ms, number);
CREATE INDEX commands_open ON commands (state, device, number) WHERE state IN ('asked', 'queued', 'sent');
CREATE INDEX commands_listening ON commands (number) WHERE ends_ms > 0 AND ended_ms = 0;
CREATE TABLE counters (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT;
""",
    """
ALTER TABLE commands ADD COLUMN stopped_by TEXT NOT NULL DEFAULT '';
""",
)

_FIELDS = tuple(field.name for field in fields(Command))
#: Of `commands`, in the order of `Command`'s fields; number and cause stand apart.
COLUMNS = tuple("who" if name == "by" else name for name in _FIELDS)
SELECT = f"SELECT {', '.join(COLUMNS)} FROM commands"  # noqa: S608 (constants)
INSERT = (
    f"INSERT INTO commands (number, cause, {', '.join(COLUMNS)})"  # noqa: S608 (constants)
    f" VALUES ({', '.join('?' * (len(COLUMNS) + 2))})"
)
UPDATE = f"UPDATE commands SET {', '.join(f'{name} = ?' for name in COLUMNS)} WHERE id = ? AND version = ?"  # noqa: S608 (constants)
#: What is not over: it waits, or an answer to it does.
OPEN = "state IN ('asked', 'queued', 'sent')"
_AS_JSON = tuple(_FIELDS.index(name) for name in ("args", "reply"))
_STATE = _FIELDS.index("state")


def plain_text(text: str) -> str:
    """Text that any database takes; half a character in escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def row_of(command: Command) -> list[object]:
    """A command in the order of `COLUMNS`."""
    values: list[object] = []
    for name in _FIELDS:
        value = getattr(command, name)
        if isinstance(value, CommandState):
            value = value.value
        elif isinstance(value, dict):
            value = msgspec.json.encode(value).decode()
        elif isinstance(value, str):
            value = plain_text(value)
        values.append(value)
    return values


def command_of(row: Sequence[Any]) -> Command:
    """The reverse of `row_of`."""
    values = list(row)
    for index in _AS_JSON:
        values[index] = msgspec.json.decode(values[index])
    values[_STATE] = CommandState(values[_STATE])
    return Command(*values)
