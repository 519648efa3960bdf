"""SQLite connections and migrations.

Invariants: every file is in WAL mode; a durable one has `synchronous=FULL`, so that a commit that
returned survives a power cut; a migration and its version number are one transaction, so that one
killed midway starts again; a file written by a newer lucheng is refused in words. It holds no
tables of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from model.errors import Corrupt, SchemaTooNew, StoreError, TryAgain
from store.database.dialect import statements

DEFAULT_BUSY_TIMEOUT_MS = 5_000
DEFAULT_CACHE_KIB = 8_192
#: Pages after which a commit copies the write-ahead log back (4 KiB pages: 16 MiB).
DEFAULT_CHECKPOINT_PAGES = 4_096


def connect(
    path: Path,
    *,
    durable: bool = True,
    read_only: bool = False,
    busy_timeout_ms: int = DEFAULT_BUSY_TIMEOUT_MS,
    cache_kib: int = DEFAULT_CACHE_KIB,
    checkpoint_pages: int = DEFAULT_CHECKPOINT_PAGES,
    page_bytes: int | None = None,
    keep_freed: bool = False,
) -> sqlite3.Connection:
    """Open `path` in autocommit mode (use `transaction` to group statements).

    The connection may be used from any thread, by one at a time: its owner serialises.

    Args:
        path: the database file; made when missing, unless `read_only`.
        durable: True for `synchronous=FULL` (a commit waits for the disk), False for NORMAL.
        read_only: open beside a running writer without ever writing.
        busy_timeout_ms: how long a statement waits for another process's lock.
        cache_kib: page cache, KiB.
        checkpoint_pages: length of the write-ahead log that starts a checkpoint, pages.
        page_bytes: page size of a file that is made now (a power of two, 512..65536); None: SQLite's own, 4096.
        keep_freed: True leaves the content of freed pages in the file until they are used again, which makes
            deleting cheap; False lets SQLite's build decide (Debian's overwrites them with zeros).

    Raises:
        StoreError: the file cannot be opened.
        Corrupt: the file is not a database, or is damaged.
    """
    if read_only and not path.exists():
        raise StoreError(
            f"There is no {path.name} in {path.parent}.",
            mend="Name the right folder with --data, or run `lucheng run` first.",
        )
    uri = f"{path.resolve().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    try:
        connection = sqlite3.connect(
            uri, uri=True, timeout=busy_timeout_ms / 1000, isolation_level=None, check_same_thread=False
        )
    except sqlite3.OperationalError as error:
        raise StoreError(
            f"{path} cannot be opened: {error}.", mend="Check the folder's owner and free space."
        ) from error
    try:
        if not read_only:
            if page_bytes is not None:
                connection.execute(f"PRAGMA page_size={page_bytes:d}")  # before WAL mode, which fixes it
            if keep_freed:
                connection.execute("PRAGMA secure_delete=OFF")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA wal_autocheckpoint={checkpoint_pages:d}")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute(f"PRAGMA cache_size=-{cache_kib:d}")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise translated(error, path) from error
    except UnicodeDecodeError as error:  # SQLite's message quotes a damaged schema
        connection.close()
        raise translated(sqlite3.DatabaseError("malformed database schema"), path) from error
    return connection


def translated(error: sqlite3.Error, path: Path) -> StoreError | TryAgain:
    """The lucheng error for a SQLite error on `path`: busy is TryAgain, damage is Corrupt, the rest StoreError."""
    text = str(error)
    if "locked" in text or "busy" in text:
        return TryAgain(f"{path.name} is busy: {text}.", mend="Try again in a moment.")
    if "malformed" in text or "not a database" in text or "encrypted" in text:
        return Corrupt(f"{path} is damaged: {text}.", mend="Run `lucheng store check`, then restore it from a back-up.")
    return StoreError(f"{path} failed: {text}.", mend="Check the disk and its free space, then start again.")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All statements inside are one write transaction, committed at the end or rolled back on any error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def migrate(connection: sqlite3.Connection, migrations: Sequence[str], path: Path) -> None:
    """Bring the schema up to `len(migrations)`; each entry is one or more statements, run once, in order.

    Raises SchemaTooNew when the file has more migrations than this program knows.
    """
    version = refuse_newer(connection, migrations, path)
    for number, script in enumerate(migrations[version:], start=version + 1):
        with transaction(connection):
            if schema_version(connection) >= number:
                continue  # another process was first
            for statement in statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={number:d}")


def refuse_newer(connection: sqlite3.Connection, migrations: Sequence[str], path: Path) -> int:
    """How many migrations the file has had; for who only reads, and must not misread what a newer program wrote.

    Raises SchemaTooNew when it has more migrations than this program knows.
    """
    version = schema_version(connection)
    if version > len(migrations):
        raise SchemaTooNew(
            f"{path} has schema {version}, this lucheng knows {len(migrations)}.",
            mend="It was written by a newer lucheng: use that version, or restore an older back-up.",
        )
    return version


def schema_version(connection: sqlite3.Connection) -> int:
    """How many migrations the file has had."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Queries that all see the same state."""
    connection.execute("BEGIN")
    try:
        yield connection
    finally:
        connection.execute("COMMIT")


def check(connection: sqlite3.Connection, max_problems: int) -> list[str]:
    """What SQLite itself finds wrong in the file."""
    found = connection.execute(f"PRAGMA quick_check({max_problems:d})").fetchall()
    return [str(text) for (text,) in found if text != "ok"]
