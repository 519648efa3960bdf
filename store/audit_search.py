"""Looking something up in the audit: by who, what, at which, why and when; bounded, newest first. Reads alone.

The audit has no index but its numbers, which grow with time: where a time begins is found by halving (where our clock was set
back, a row may stand on the other side), and one look goes through so many rows at most and says how far it came. What is
looked for is given to the database as values, never as SQL, and has no wildcards.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from model.errors import NotFound, UsageError
from store.audit import AuditRow, row_holds
from store.database import Connection, Error, Where, connect, raw_text, translated

#: Rows that one look goes through, and that it returns, at most.
DEFAULT_MAX_LOOKED_ROWS = 200_000
DEFAULT_MAX_FOUND_ROWS = 1_000
#: Of what is looked for.
MAX_WORD_CHARS = 200

_COLUMNS = "n, time_ms, who, role, action, target, purpose, detail, prev_hash, hash"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; "" and None: anything.

    Attributes:
        who: this very user. action: this one, or all that begin with it where it ends in a dot.
        target, purpose: texts that hold this.
        from_ms, to_ms: written at or after, before; UTC ms.
    """

    who: str = ""
    action: str = ""
    target: str = ""
    purpose: str = ""
    from_ms: int | None = None
    to_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One row, with its hash and the one before it."""

    row: AuditRow
    prev_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """What one look found, the newest first; `next` is where the next one goes on (before that number), 0: there is no more."""

    found: list[Found]
    next: int


def search(
    path: Where,
    wanted: Wanted,
    *,
    before: int = 0,
    limit: int = 100,
    max_looked: int = DEFAULT_MAX_LOOKED_ROWS,
) -> Page:
    """One look, back from `before` (0: the end). Raises UsageError; Corrupt, StoreError where the file cannot be read."""
    if not 1 <= limit <= DEFAULT_MAX_FOUND_ROWS:
        raise UsageError(f"The limit {limit} is out of range.", mend=f"Ask for 1 to {DEFAULT_MAX_FOUND_ROWS} rows.")
    for word in (wanted.who, wanted.action, wanted.target, wanted.purpose):
        if len(word) > MAX_WORD_CHARS:
            raise UsageError(
                f"What is looked for is longer than {MAX_WORD_CHARS} characters.", mend="Look for a part of it."
            )
    try:
        with closing(_open(path)) as connection:
            top = _last(connection) + 1 if wanted.to_ms is None else _first_at(connection, wanted.to_ms)
            bottom = 1 if wanted.from_ms is None else _first_at(connection, wanted.from_ms)
            top = min(top, before) if before > 0 else top
            down_to = max(bottom, top - max_looked)
            where, values = _conditions(wanted)
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM audit WHERE n < ? AND n >= ?{where} ORDER BY n DESC LIMIT ?",  # noqa: S608 (constants)
                (top, down_to, *values, limit),
            ).fetchall()
    except Error as error:
        raise translated(error, path) from error
    goes_on = rows[-1][0] if len(rows) == limit else down_to
    return Page([_found(row) for row in rows], goes_on if goes_on > bottom else 0)


def search_all(path: Where, wanted: Wanted, *, max_rows: int) -> Iterator[list[Found]]:
    """Everything that is looked for, in pieces, the newest first; at most `max_rows` and one more, by which a reader knows."""
    before, left = 0, max_rows + 1
    while left > 0:
        page = search(path, wanted, before=before, limit=min(left, DEFAULT_MAX_FOUND_ROWS))
        yield page.found
        left -= len(page.found)
        before = page.next
        if not before:
            return


def show(path: Where, number: int) -> tuple[Found, bool]:
    """One row, and whether its hash is that of its content. Raises NotFound; Corrupt, StoreError."""
    sql = f"SELECT {_COLUMNS} FROM audit WHERE n = ?"  # noqa: S608 (constants)
    try:
        with closing(_open(path)) as connection:
            row = connection.execute(sql, (number,)).fetchone()
            raw_text(connection, "surrogateescape")
            raw = connection.execute(sql, (number,)).fetchone()
    except Error as error:
        raise translated(error, path) from error
    if row is None:
        raise NotFound(f"The audit has no row {number}.", mend="`lucheng audit list` shows the newest.")
    return _found(row), row_holds(raw)


def _open(path: Where) -> Connection:
    connection = connect(path, read_only=True)
    raw_text(connection, "replace")
    return connection


def _conditions(wanted: Wanted) -> tuple[str, list[object]]:
    where, values = "", list[object]()
    for column, word in (("who", wanted.who), ("action", wanted.action)):
        if word.endswith(".") and column == "action":
            where += " AND substr(action, 1, ?) = ?"
            values += [len(word), word]
        elif word:
            where += f" AND {column} = ?"
            values.append(word)
    for column, word in (("target", wanted.target), ("purpose", wanted.purpose)):
        if word:
            where += f" AND replace({column}, ?, '') <> {column}"
            values.append(word)
    return where, [value if isinstance(value, int) else _plain(str(value)) for value in values]


def _plain(word: str) -> str:
    return (
        word.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    )  # as the audit keeps what is no UTF-8


def _last(connection: Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(n), 0) FROM audit").fetchone()[0])


def _first_at(connection: Connection, time_ms: int) -> int:
    """Number of the first row at or after that time; one more than the last where there is none."""
    low, high = 1, _last(connection) + 1
    while low < high:
        middle = (low + high) // 2
        row = connection.execute("SELECT n, time_ms FROM audit WHERE n >= ? ORDER BY n LIMIT 1", (middle,)).fetchone()
        if row is not None and row[1] < time_ms:
            low = row[0] + 1
        else:
            high = middle
    return low


def _found(row: tuple[Any, ...]) -> Found:
    try:
        detail = json.loads(row[7])
    except ValueError:
        detail = None
    told = detail if isinstance(detail, dict) else {"damaged": str(row[7])}
    number, time_ms, who, role, action, target, purpose = row[:7]
    return Found(AuditRow(number, time_ms, who, role, action, target, purpose, told), bytes(row[8]), bytes(row[9]))
