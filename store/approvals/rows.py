"""The table of `approvals.db`, and approvals to rows and back. Pure.

Only `STRICT` is SQLite's own; everything else PostgreSQL speaks too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from model.approval import Approval, ApprovalState

#: Each runs once and never changes again. `who` is `Approval.by`, which SQL keeps for itself.
MIGRATIONS = (
    """
CREATE TABLE approvals (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  who TEXT NOT NULL,
  role TEXT NOT NULL,
  operation TEXT NOT NULL,
  asked TEXT NOT NULL,
  digest TEXT NOT NULL,
  vehicles INTEGER NOT NULL,
  from_ms INTEGER NOT NULL,
  to_ms INTEGER NOT NULL,
  wide TEXT NOT NULL,
  purpose TEXT NOT NULL,
  reason TEXT NOT NULL,
  state TEXT NOT NULL,
  version INTEGER NOT NULL,
  asked_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  decided_by TEXT NOT NULL,
  decided_ms INTEGER NOT NULL,
  note TEXT NOT NULL,
  uses INTEGER NOT NULL,
  max_uses INTEGER NOT NULL,
  last_used_ms INTEGER NOT NULL,
  reviewed_by TEXT NOT NULL,
  reviewed_ms INTEGER NOT NULL,
  review TEXT NOT NULL,
  justified INTEGER NOT NULL
) STRICT;
CREATE INDEX approvals_open ON approvals (state, expires_ms) WHERE state IN ('asked', 'granted', 'broken');
CREATE INDEX approvals_by_who ON approvals (who, number);
""",
)

_FIELDS = tuple(field.name for field in fields(Approval))
#: Of `approvals`, in the order of `Approval`'s fields; the number stands apart.
COLUMNS = tuple("who" if name == "by" else name for name in _FIELDS)
SELECT = f"SELECT {', '.join(COLUMNS)} FROM approvals"  # noqa: S608 (constants)
INSERT = f"INSERT INTO approvals (number, {', '.join(COLUMNS)}) VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"  # noqa: S608 (constants)
UPDATE = f"UPDATE approvals SET {', '.join(f'{name} = ?' for name in COLUMNS)} WHERE id = ? AND version = ?"  # noqa: S608 (constants)
_ASKED, _STATE, _JUSTIFIED = (_FIELDS.index(name) for name in ("asked", "state", "justified"))


def row_of(approval: Approval) -> list[object]:
    """An approval in the order of `COLUMNS`; half a character in escapes."""
    values = [getattr(approval, name) for name in _FIELDS]
    values = [
        value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value for value in values
    ]
    values[_ASKED] = json.dumps(approval.asked, separators=(",", ":"), allow_nan=False)
    values[_JUSTIFIED] = int(approval.justified)
    return values


def approval_of(row: Sequence[Any]) -> Approval:
    """The reverse of `row_of`."""
    values = list(row)
    values[_ASKED] = json.loads(values[_ASKED])
    values[_STATE] = ApprovalState(values[_STATE])
    values[_JUSTIFIED] = bool(values[_JUSTIFIED])
    return Approval(*values)
