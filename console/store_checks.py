"""Checks of SQLite files that have no check of their own."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from model.errors import LuchengError
from model.seams import Problem
from store.database import connect

DEFAULT_MAX_PROBLEMS = 100
_MEND = "Restore the file from a back-up."


def check_file(path: Path, *, max_problems: int = DEFAULT_MAX_PROBLEMS) -> list[Problem]:
    """What SQLite itself finds wrong in the file at `path`; also when it is too damaged to open."""
    try:
        with closing(connect(path, read_only=True)) as connection:
            found = connection.execute(f"PRAGMA quick_check({max_problems:d})").fetchall()
    except sqlite3.DatabaseError as error:
        return [Problem(path.name, f"the file is damaged: {error}", _MEND)]
    except LuchengError as error:
        return [Problem(path.name, error.message, error.mend)]
    return [Problem(path.name, str(text), _MEND) for (text,) in found if text != "ok"]
