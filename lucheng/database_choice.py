"""Where the stores of people and devices lie, by the settings: files of the data folder, or schemas on a PostgreSQL server.

Invariants: a store's schema is named as its file is; a data folder whose people and devices lie elsewhere is not opened as if it
had none: a small file in it says that they lie on a server. It opens nothing; who made a server closes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from model.errors import Conflict
from store.database import Server, ServerTerms, Where

#: Says that people and devices of this folder lie on a server; its text is for people.
MARK_FILE = "database.moved"
#: What a folder of one machine always has.
FIRST_FILE = "registry.db"

if TYPE_CHECKING:
    from config.sections import Settings


def server_of(settings: Settings, name: str = "lucheng") -> Server | None:
    """The server of the settings, None where they name none. Raises SettingsError for its password.

    Args:
        settings: section `database`.
        name: of this process, as the server's own lists show it.
    """
    from config.settings import read_secret  # noqa: PLC0415 needed by those alone who have a server

    database = settings.database
    if database.url is None:
        return None
    return Server(
        database.url,
        password=read_secret(database.password_file) if database.password_file is not None else None,
        prefix=database.prefix,
        terms=ServerTerms(
            wait_s=database.wait_s,
            resolve_s=database.resolve_s,
            connect_timeout_s=database.connect_timeout_s,
            lock_timeout_ms=database.lock_timeout_ms,
            idle_transaction_ms=database.idle_transaction_ms,
            statement_timeout_ms=database.statement_timeout_ms,
            max_connections=database.max_connections,
        ),
        name=name,
    )


def place_of(folder: Path, file: str, server: Server | None) -> Where:
    """Where the store of that file lies: `desk.db`, or the schema `lucheng_desk`."""
    return folder / file if server is None else server.place(Path(file).stem)


def check_side(folder: Path, server: Server | None, *, write: bool) -> None:
    """Refuse a folder whose people and devices lie on the other side. Raises Conflict.

    `write`: a folder that has none yet is marked as one whose people and devices lie on the server.
    """
    moved = (folder / MARK_FILE).exists()
    if server is None:
        if moved:
            raise Conflict(
                f"People and devices of {folder} lie in PostgreSQL.",
                mend="Set database.url, or bring them back with `lucheng store copy --from postgres --to sqlite`.",
            )
        return
    if not moved and (folder / FIRST_FILE).exists():
        raise Conflict(
            f"People and devices of {folder} lie in its own files, not in PostgreSQL.",
            mend="Copy them with `lucheng store copy --from sqlite --to postgres`, or name another data folder.",
        )
    if write and not moved:
        mark(folder, server)


def mark(folder: Path, server: Server) -> None:
    """Note that people and devices of this folder lie on that server."""
    (folder / MARK_FILE).write_text(f"{server.shown} {server.prefix}\n")
