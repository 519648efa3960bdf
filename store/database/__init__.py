"""Databases: the only room that knows which one it is. SQLite files, and schemas on a PostgreSQL server.

A store that is to lie in either is written once: it takes a `Where`, opens it with `connect`, brings it up to date with
`migrate`, writes within `transaction`, reads with `execute` or, several times of one state, within `snapshot`, catches `Error`
and raises `translated(error, where)`. How its SQL is written: docs/design/postgresql.md.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, overload

from model.errors import StoreError, TryAgain
from store.database import sqlite
from store.database.place import (
    Connection,
    Cursor,
    Place,
    Server,
    ServerError,
    ServerIntegrityError,
    ServerTerms,
    Trouble,
    Where,
)
from store.database.sqlite import (
    DEFAULT_BUSY_TIMEOUT_MS,
    DEFAULT_CACHE_KIB,
    DEFAULT_CHECKPOINT_PAGES,
)

__all__ = [
    "DEFAULT_BUSY_TIMEOUT_MS",
    "Connection",
    "Cursor",
    "Error",
    "IntegrityError",
    "Place",
    "Server",
    "ServerError",
    "ServerIntegrityError",
    "ServerTerms",
    "Trouble",
    "Where",
    "check",
    "connect",
    "exists",
    "migrate",
    "on_server",
    "raw_text",
    "refuse_newer",
    "schema_version",
    "snapshot",
    "transaction",
    "translated",
]

AnyConnection = TypeVar("AnyConnection", bound=Connection)

#: What both raise; a server's errors derive from sqlite3's.
Error = sqlite3.Error
IntegrityError = sqlite3.IntegrityError


@overload
def connect(
    where: Path,
    *,
    durable: bool = ...,
    read_only: bool = ...,
    busy_timeout_ms: int = ...,
    cache_kib: int = ...,
    checkpoint_pages: int = ...,
    page_bytes: int | None = ...,
    keep_freed: bool = ...,
) -> sqlite3.Connection: ...
@overload
def connect(where: Where, *, read_only: bool = ...) -> Connection: ...
def connect(
    where: Where,
    *,
    durable: bool = True,
    read_only: bool = False,
    busy_timeout_ms: int = DEFAULT_BUSY_TIMEOUT_MS,
    cache_kib: int = DEFAULT_CACHE_KIB,
    checkpoint_pages: int = DEFAULT_CHECKPOINT_PAGES,
    page_bytes: int | None = None,
    keep_freed: bool = False,
) -> Connection:
    """Open a store's database, in autocommit mode. All but `read_only` is of SQLite files alone: see `sqlite.connect`.

    The connection may be used from any thread, by one at a time: its owner serialises. On a server it holds none of the
    server's connections while nothing is asked of it.

    Raises:
        StoreError: it cannot be opened, or there is none to read. Corrupt: it is no database, or damaged.
        TryAgain: the server is away.
    """
    if isinstance(where, Path):
        return sqlite.connect(
            where,
            durable=durable,
            read_only=read_only,
            busy_timeout_ms=busy_timeout_ms,
            cache_kib=cache_kib,
            checkpoint_pages=checkpoint_pages,
            page_bytes=page_bytes,
            keep_freed=keep_freed,
        )
    from store.database import postgres, server  # noqa: PLC0415 brings the driver, which only needs who has a server

    connection = postgres.ServerConnection(where, read_only=read_only)
    try:
        if read_only and not server.schema_version(connection):
            raise StoreError(
                f"There is no {where}.", mend="Check database.url and database.prefix, or run `lucheng run` first."
            )
    except sqlite3.Error as error:
        raise translated(error, where) from error
    return connection


def exists(where: Where) -> bool:
    """Whether there is anything to read. Raises StoreError, TryAgain."""
    if isinstance(where, Path):
        return where.exists()
    from store.database import server  # noqa: PLC0415 as above

    try:
        return server.exists(where)
    except sqlite3.Error as error:
        raise translated(error, where) from error


def on_server(where: Where) -> bool:
    """Whether several processes may write there at once."""
    return isinstance(where, Place)


def translated(error: sqlite3.Error, where: Where) -> StoreError | TryAgain:
    """The lucheng error for one of the database: busy or away is TryAgain, damage is Corrupt, the rest StoreError."""
    if isinstance(error, ServerError) and isinstance(where, Place):
        from store.database import server  # noqa: PLC0415 as above

        return server.translated(error, where)
    return sqlite.translated(error, where if isinstance(where, Path) else Path(where.name))


@contextmanager
def transaction(connection: AnyConnection, *, marked: bool = True) -> Iterator[AnyConnection]:
    """All statements inside are one write transaction, committed at the end or rolled back on any error; one writer at a time.

    `marked` False: it may be done twice, so a server is not asked what became of a commit whose answer was lost: try again.
    """
    if isinstance(connection, sqlite3.Connection):
        with sqlite.transaction(connection):
            yield connection
    else:
        with _server_connection(connection).transaction(marked=marked):
            yield connection


@contextmanager
def snapshot(connection: Connection) -> Iterator[Connection]:
    """Queries inside all see the same state."""
    if isinstance(connection, sqlite3.Connection):
        with sqlite.snapshot(connection):
            yield connection
    else:
        with _server_connection(connection).snapshot():
            yield connection


def migrate(connection: Connection, migrations: Sequence[str], where: Where) -> None:
    """Bring the schema up to `len(migrations)`; each entry is one or more statements, run once, in order.

    Several processes may do so at once. Raises SchemaTooNew when it has more migrations than this program knows.
    """
    if isinstance(where, Path):
        assert isinstance(connection, sqlite3.Connection)
        sqlite.migrate(connection, migrations, where)
    else:
        from store.database import server  # noqa: PLC0415 as above

        server.migrate(_server_connection(connection), migrations, where)


def refuse_newer(connection: Connection, migrations: Sequence[str], where: Where) -> int:
    """How many migrations it has had; for who only reads, and must not misread what a newer program wrote.

    Raises SchemaTooNew when it has more migrations than this program knows.
    """
    if isinstance(where, Path):
        assert isinstance(connection, sqlite3.Connection)
        return sqlite.refuse_newer(connection, migrations, where)
    from store.database import server  # noqa: PLC0415 as above

    return server.refuse_newer(_server_connection(connection), migrations, where)


def schema_version(connection: Connection) -> int:
    """How many migrations it has had."""
    if isinstance(connection, sqlite3.Connection):
        return sqlite.schema_version(connection)
    from store.database import server  # noqa: PLC0415 as above

    return server.schema_version(_server_connection(connection))


def check(connection: Connection, max_problems: int) -> list[str]:
    """What the database itself finds wrong: SQLite in its file, a server in what its settings promise."""
    if isinstance(connection, sqlite3.Connection):
        return sqlite.check(connection, max_problems)
    from store.database import server  # noqa: PLC0415 as above

    return server.check(_server_connection(connection))[:max_problems]


def raw_text(connection: Connection, errors: str) -> None:
    """Texts that are no UTF-8, by damage, are read by these rules of decoding (`str.decode`); a server keeps none."""
    if isinstance(connection, sqlite3.Connection):
        connection.text_factory = lambda raw: raw.decode("utf-8", errors)


def _server_connection(connection: Any) -> Any:
    from store.database.postgres import ServerConnection  # noqa: PLC0415 as above

    assert isinstance(connection, ServerConnection)
    return connection
