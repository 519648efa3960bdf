"""A store from a SQLite file to a server, or back: the same rows, to be gone on with after any break, seen whole or not at all.

Invariants: rows are written beside the target, `desk.db.copying` or the schema `…_copying`, in order of their primary keys and
in transactions of bounded size, so a copy that was broken off goes on behind the last row that is there; only when every row of
every table is the same on both sides it is renamed to what it is to be, in one step. The source is never changed. Nobody may
write to it meanwhile: a row that changes is found by the comparison, and the copy refused.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.errors import Conflict, StoreError
from store.database import Connection, Error, Place, Where, connect, exists, migrate, transaction, translated
from store.database.dialect import statements

#: Rows of one transaction, and of one comparison.
DEFAULT_STEP_ROWS = 2_000
#: Behind the name of what is not whole yet.
UNFINISHED = "copying"
_MEND_CHANGED = "Stop every service that uses it, then copy again."

#: (rows done, rows in all) of the store.
Told = Callable[[int, int], object]


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its columns, those of its primary key, in their order."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def listed(self) -> str:
        """The columns, for a statement."""
        return _listed(self.columns)


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy did: rows by table; `fresh` False: it was there already, the same."""

    rows: dict[str, int]
    fresh: bool


def copy_store(
    source: Where,
    target: Where,
    migrations: Sequence[str],
    *,
    told: Told = lambda _done, _total: None,
    step_rows: int = DEFAULT_STEP_ROWS,
) -> Copied:
    """Copy one store, or go on with a copy that was broken off.

    Args:
        source: where it lies; brought up to date first where it is a file of an older lucheng.
        target: where it is to lie, of the other kind.
        migrations: of its tables.
        told: told after each step.
        step_rows: rows of one transaction.

    Raises:
        Conflict: there is another store at the target, or the source was changed meanwhile.
        StoreError, TryAgain: a database cannot be read or written.
    """
    staged = _staged(target)
    try:
        with closing(connect(source)) as given:
            migrate(given, migrations, source)
            if exists(target):
                with closing(connect(target, read_only=True)) as there:
                    tables = _layout(given if isinstance(source, Path) else there)
                    rows = _compared(given, there, tables, step_rows)
                if rows is None:
                    raise Conflict(
                        f"There is another store at {target} already.",
                        mend="Choose another database.prefix, or move it away first.",
                    )
                return Copied(rows, fresh=False)
            with closing(connect(staged)) as made:
                migrate(made, [_structure(script) for script in migrations], staged)
                tables = _layout(given if isinstance(source, Path) else made)
                _fill(given, made, tables, told, step_rows)
                rows = _compared(given, made, tables, step_rows)
                if rows is None:
                    raise Conflict(f"{source} was changed while it was copied.", mend=_MEND_CHANGED)
                _finish(made, staged, target, tables)
    except Error as error:
        raise translated(error, source if isinstance(source, Place) else target) from error
    if isinstance(target, Path):
        assert isinstance(staged, Path)
        _rename(staged, target)
    return Copied(rows, fresh=True)


def _staged(target: Where) -> Where:
    if isinstance(target, Path):
        return target.with_name(f"{target.name}.{UNFINISHED}")
    return Place(target.server, f"{target.schema}_{UNFINISHED}")


def _structure(script: str) -> str:
    """A migration without the rows that it puts into its tables: they come with the others."""
    kept = []
    for one in statements(script):
        words = [line for line in one.splitlines() if line.strip() and not line.lstrip().startswith("--")]
        if words and words[0].split()[0].upper() in ("CREATE", "ALTER"):
            kept.append(one)
    return "".join(kept) or "SELECT 1;"


def _layout(file: Connection) -> list[Table]:
    """The tables of a SQLite file in the order in which they were made, so that a row's parents come first."""
    assert isinstance(file, sqlite3.Connection)
    names = file.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid"
    ).fetchall()
    tables = []
    for (name,) in names:
        columns = file.execute(f"PRAGMA table_info({_quoted(name)})").fetchall()
        key = tuple(column[1] for column in sorted(columns, key=lambda column: column[5]) if column[5])
        if not key:
            raise StoreError(f"The table {name} has no primary key.", mend="This is a mistake in the program.")
        tables.append(Table(name, tuple(column[1] for column in columns), key))
    return tables


def _fill(given: Connection, made: Connection, tables: Sequence[Table], told: Told, step_rows: int) -> None:
    total = sum(_count(given, table) for table in tables)
    done = 0
    for table in tables:
        done += _count(made, table)
        told(done, total)
        keys = ", ".join(f"{_quoted(name)} DESC" for name in table.key)
        last = made.execute(
            f"SELECT {_listed(table.key)} FROM {_quoted(table.name)} ORDER BY {keys} LIMIT 1"  # noqa: S608 (names of our tables)
        ).fetchone()
        marks = ", ".join("?" * len(table.columns))
        insert = f"INSERT INTO {_quoted(table.name)} ({table.listed}) VALUES ({marks})"  # noqa: S608 (as above)
        for rows in _pieces(given, table, last, step_rows):
            with transaction(made):
                made.executemany(insert, rows)
            done += len(rows)
            told(done, total)


def _compared(one: Connection, other: Connection, tables: Sequence[Table], step_rows: int) -> dict[str, int] | None:
    """Rows by table where both have the very same, None where they have not."""
    counts = {}
    for table in tables:
        count = _count(one, table)
        if count != _count(other, table):
            return None
        pieces = zip(_pieces(one, table, None, step_rows), _pieces(other, table, None, step_rows), strict=False)
        if any(mine != its for mine, its in pieces):
            return None
        counts[table.name] = count
    return counts


def _pieces(
    connection: Connection, table: Table, last: Sequence[Any] | None, step_rows: int
) -> Iterator[list[tuple[Any, ...]]]:
    """Rows behind the key `last`, in order of the key."""
    keys = _listed(table.key)
    at = [table.columns.index(name) for name in table.key]
    while True:
        where = "" if last is None else f" WHERE ({keys}) > ({', '.join('?' * len(table.key))})"
        sql = f"SELECT {table.listed} FROM {_quoted(table.name)}{where} ORDER BY {keys} LIMIT ?"  # noqa: S608 (as above)
        rows = connection.execute(sql, (*(last or ()), step_rows)).fetchall()
        if rows:
            yield [_plain(row) for row in rows] if isinstance(connection, sqlite3.Connection) else rows
        if len(rows) < step_rows:
            return
        last = [rows[-1][index] for index in at]


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A server keeps no NUL in a text: it is written there as an escape."""
    if any(isinstance(value, str) and "\0" in value for value in row):
        return tuple(value.replace("\0", "\\x00") if isinstance(value, str) else value for value in row)
    return row


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {_quoted(table.name)}").fetchone()[0])  # noqa: S608 (as above)


def _finish(made: Connection, staged: Where, target: Where, tables: Sequence[Table]) -> None:
    """On a server: numbers go on behind the last one, and the schema gets its name, in one transaction."""
    if not isinstance(staged, Place):
        return
    assert isinstance(target, Place)
    with transaction(made):
        for table in tables:
            column = table.key[0]
            name = f'"{staged.schema}".{_quoted(table.name)}'
            sequence = made.execute("SELECT pg_get_serial_sequence(?, ?)", (name, column)).fetchone()[0]
            if sequence is not None:
                newest = f"SELECT coalesce(max({_quoted(column)}), 0) FROM {_quoted(table.name)}"  # noqa: S608 (as above)
                last = made.execute(newest).fetchone()[0]
                made.execute("SELECT setval(?, ?, ? >= 1)", (sequence, max(last, 1), last))
        made.execute(f'ALTER SCHEMA "{staged.schema}" RENAME TO "{target.schema}"')


def _rename(staged: Path, target: Path) -> None:
    fd = os.open(staged, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    staged.rename(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(_quoted(name) for name in names)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
