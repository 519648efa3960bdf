"""Checking a log from the outside: every page, every record, every position, and its end against its mark.

Invariants: it changes nothing and works beside a running writer; it reads in steps, so that the writer's log is not
kept from being copied back for long; it reports at most `max_problems`.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from model.errors import LuchengError
from model.seams import Problem
from store.database import connect
from store.log import records as table
from store.log.mark import Mark

DEFAULT_MAX_PROBLEMS = 100
#: Records verified in one read transaction.
DEFAULT_STEP_RECORDS = 64

MEND = (
    "Run `lucheng store check`. Damaged records are skipped and counted as quarantined (log_corrupt) by a running service;"
    " if the file itself cannot be read, stop the service, keep the .db file elsewhere but leave its .mark, and start again."
)


def mark_path(path: Path) -> Path:
    """Where the mark of the log at `path` lies."""
    return path.with_name(path.name + ".mark")


def check_log(
    path: Path, *, max_problems: int = DEFAULT_MAX_PROBLEMS, step_records: int = DEFAULT_STEP_RECORDS
) -> list[Problem]:
    """Everything that does not hold in the log at `path`; also when it is too damaged to open."""
    problems: list[Problem] = []
    try:
        with closing(Mark(mark_path(path), read_only=True)) as mark:
            newest = mark.newest()  # before the table, which a running writer fills first
            with closing(connect(path, read_only=True)) as connection:
                problems += _pages(connection, path, max_problems)
                problems += _records(connection, path, max_problems, step_records)
                problems += _consumers(connection, path)
                problems += end_problems(connection, path, newest)
    except sqlite3.DatabaseError as error:
        problems.append(Problem(path.name, f"the file is damaged: {error}", MEND))
    except LuchengError as error:
        problems.append(Problem(path.name, error.message, error.mend))
    return problems[:max_problems]


def _gap(path: Path, first: int, last: int, rows: int | None) -> Problem:
    """The report of records that were committed and are not there."""
    return Problem(path.name, f"records {first} to {last} ({'unknown' if rows is None else rows} rows) are gone", MEND)


def _pages(connection: sqlite3.Connection, path: Path, max_problems: int) -> list[Problem]:
    found = connection.execute(f"PRAGMA quick_check({max_problems:d})").fetchall()
    return [Problem(path.name, str(text), MEND) for (text,) in found if text != "ok"]


def _records(connection: sqlite3.Connection, path: Path, max_problems: int, step_records: int) -> list[Problem]:
    problems: list[Problem] = []
    last, received = table.trimmed_to(connection)
    sound = True  # the record before this one, so that `received` is what it stood at
    while len(problems) < max_problems:
        rows = list(table.rows_after(connection, last, step_records))
        if not rows:
            break
        for row in rows:
            holds = row.holds()
            if row.position != last + 1 and row.position - 1 > table.trimmed_to(connection)[0]:
                gone = row.received - row.rows - received if holds and sound else None
                problems.append(_gap(path, last + 1, row.position - 1, gone))
            if not holds:
                problems.append(Problem(f"{path.name} record {row.position}", "its checksum does not hold", MEND))
            last, received, sound = row.position, row.received, holds
    return problems


def _consumers(connection: sqlite3.Connection, path: Path) -> list[Problem]:
    mend = "It starts again from what the log still has; nothing is lost by that."
    return [
        Problem(f"{path.name} consumer {name[:40]}", "its saved position is damaged", mend)
        for name in table.consumers_of(connection)[1]
    ]


def end_problems(connection: sqlite3.Connection, path: Path, newest: tuple[int, int]) -> list[Problem]:
    """What is missing between the table's end and `newest`, what the mark said before the table was read."""
    marked, marked_received = newest
    last, received = table.ends(connection)
    if marked > last:
        return [_gap(path, last + 1, marked, marked_received - received)]
    if marked == 0 and last > 0:
        return [
            Problem(
                mark_path(path).name,
                "the mark is missing or unreadable, so a loss at the log's end would not be seen",
                "It is written again with the next record; look at the numbers of the time before.",
            )
        ]
    return []
