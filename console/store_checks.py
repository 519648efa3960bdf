"""Checks of databases, SQLite files or schemas on a server, that have no check of their own."""

from __future__ import annotations

from contextlib import closing

from model.errors import LuchengError
from model.seams import Problem
from store.database import Error, Where, check, connect, on_server

DEFAULT_MAX_PROBLEMS = 100
_MEND = "Restore the file from a back-up."


def check_file(where: Where, *, max_problems: int = DEFAULT_MAX_PROBLEMS) -> list[Problem]:
    """What the database itself finds wrong in the store at `where`; also when it is too damaged to open."""
    try:
        with closing(connect(where, read_only=True)) as connection:
            found = check(connection, max_problems)
    except Error as error:
        what = "it cannot be read" if on_server(where) else "the file is damaged"
        return [Problem(where.name, f"{what}: {error}", _MEND)]
    except LuchengError as error:
        return [Problem(where.name, error.message, error.mend)]
    return [Problem(where.name, text, _MEND) for text in found]
