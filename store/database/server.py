"""Migrations, versions and checks of a store on a PostgreSQL server.

Invariants: a store's migrations and their number are one transaction under the store's lock, so that one killed midway starts
again and of several processes one does it; the same scripts as SQLite's, in PostgreSQL's words.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from model.errors import Corrupt, SchemaTooNew, StoreError, TryAgain
from store.database.dialect import migration
from store.database.place import Place, ServerError, Trouble
from store.database.postgres import FORGET_WRITERS_MS, ServerConnection

_BASE = (
    "CREATE TABLE IF NOT EXISTS lucheng_schema (one BIGINT PRIMARY KEY CHECK (one = 1), version BIGINT NOT NULL)",
    "INSERT INTO lucheng_schema VALUES (1, 0) ON CONFLICT (one) DO NOTHING",
    'CREATE TABLE IF NOT EXISTS lucheng_writer (writer TEXT COLLATE "C" PRIMARY KEY, number BIGINT NOT NULL, at_ms BIGINT NOT NULL)',
)
#: What a server has to be set to for a commit that returned to survive a power cut.
_PROMISES = (("fsync", "on"), ("full_page_writes", "on"))


def migrate(connection: ServerConnection, migrations: Sequence[str], place: Place) -> None:
    """Bring the schema up to `len(migrations)`; made where it is missing. Raises SchemaTooNew, ServerError."""
    if refuse_newer(connection, migrations, place) == len(migrations):
        return
    with connection.transaction(marked=False) as page:  # done again after a lost answer, it does nothing
        page.take_time()
        if not _exists(page):
            page.execute(f'CREATE SCHEMA "{place.schema}"')
        for statement in _BASE:
            page.execute(statement)
        version = refuse_newer(page, migrations, place)
        for script in migrations[version:]:
            for statement in migration(script):
                page.execute(statement)
        page.execute("UPDATE lucheng_schema SET version = ?", (len(migrations),))
        forget = time.time_ns() // 1_000_000 - FORGET_WRITERS_MS
        page.execute("DELETE FROM lucheng_writer WHERE at_ms < ?", (forget,))


def refuse_newer(connection: ServerConnection, migrations: Sequence[str], place: Place) -> int:
    """How many migrations the schema has had. Raises SchemaTooNew when it is more than this program knows."""
    version = schema_version(connection)
    if version > len(migrations):
        raise SchemaTooNew(
            f"{place} has schema {version}, this lucheng knows {len(migrations)}.",
            mend="It was written by a newer lucheng: use that version, or restore an older back-up.",
        )
    return version


def schema_version(connection: ServerConnection) -> int:
    """How many migrations the schema has had, 0 where there is none."""
    found = connection.execute("SELECT to_regclass(?) IS NOT NULL", (f'"{connection.place.schema}".lucheng_schema',))
    if not (found.fetchone() or (0,))[0]:
        return 0
    row = connection.execute("SELECT version FROM lucheng_schema").fetchone()
    return int(row[0]) if row is not None else 0


def exists(place: Place) -> bool:
    """Whether the schema is there with its tables."""
    return schema_version(ServerConnection(place, read_only=True)) > 0


def check(connection: ServerConnection) -> list[str]:
    """What is wrong with the promises of the server's settings."""
    names = ", ".join(f"current_setting('{name}')" for name, _ in _PROMISES)
    row = connection.execute(f"SELECT {names}").fetchone() or ()
    return [
        f"PostgreSQL has {name} = {found}; what is committed may be lost in a power cut"
        for (name, wanted), found in zip(_PROMISES, row, strict=True)
        if found != wanted
    ]


def translated(error: ServerError, place: Place) -> StoreError | TryAgain:
    """The lucheng error for a server's trouble on a store."""
    text = str(error)
    match error.trouble:
        case Trouble.AGAIN:
            return TryAgain(f"{place} is busy or away: {text}.", mend="Try again in a moment.")
        case Trouble.UNSURE:
            return StoreError(
                f"{place} went away in the middle of a commit: {text}.",
                mend="Start again when it is back: what was acknowledged is there.",
            )
        case Trouble.DAMAGED:
            return Corrupt(f"{place} is damaged: {text}.", mend="Restore it from a back-up.")
        case Trouble.REFUSED:
            return StoreError(
                f"{place} cannot be opened: {text}.", mend="Check database.url, its user, password and rights."
            )
        case Trouble.FAILED:
            return StoreError(f"{place} failed: {text}.", mend="Look into the log of PostgreSQL, then start again.")


def _exists(connection: ServerConnection) -> bool:
    sql = "SELECT count(*) FROM pg_namespace WHERE nspname = ?"
    row = connection.execute(sql, (connection.place.schema,)).fetchone()
    return row is not None and row[0] > 0
