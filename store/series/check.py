"""`store check` of series.db: reads every blob, and reports by place what does not hold. Changes nothing."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np

from model.batch_codec import decode
from model.errors import Corrupt
from model.seams import Problem
from store.ledger import Ledger
from store.series.chunk import decode_many
from store.series.numbers import decode_numbers, number_key
from store.series.places import problems as place_problems
from store.series.rows import PART_BITS
from store.series.schema import checksum, chunk_place, key_parts, text_key

_MEND = "Restore series.db from a back-up; what the log still holds is replayed."
_INDEX_MEND = "Run `lucheng store index`: searches read the points themselves until then."
_MAX_STRUCTURE_PROBLEMS = 20


def check(connection: sqlite3.Connection) -> list[Problem]:
    """Every problem found, in one snapshot; the caller's read transaction."""
    problems = [
        Problem("series.db", f"its structure is damaged: {text}", _MEND)
        for (text,) in connection.execute(f"PRAGMA quick_check({_MAX_STRUCTURE_PROBLEMS})")
        if text != "ok"
    ]
    rows = Counter[str]()
    groups = Counter[tuple[int, int, int]]()
    for part, hour, day, held in connection.execute("SELECT part, hour, day, rows FROM groups"):
        groups[part, hour, day] += held
    problems.extend(_open(connection, rows))
    problems.extend(_segments(connection, rows))
    problems.extend(_chunks(connection, rows, groups))
    problems.extend(_others(connection))
    problems.extend(
        Problem(f"places hour {hour}, part {part}, day {day}", what, _INDEX_MEND)
        for (part, hour, day), what, _ in place_problems(connection)
    )
    stored = Ledger(connection).totals().stored
    if rows.total() != stored:
        problems.append(Problem("counters", f"{stored} rows are counted as stored, {rows.total()} are there", _MEND))
    return problems


def _one(
    place: str, table: str, key: int, check_sum: int, blob: bytes, rows: int, read: Callable[[bytes], int]
) -> Iterator[Problem]:
    """Problems of one blob: its checksum, whether it decodes, and its number of rows."""
    if checksum(table, key, blob) != check_sum:
        yield Problem(place, "the checksum does not hold", _MEND)
        return
    try:
        held = read(blob)
    except Corrupt as error:
        yield Problem(place, error.message, _MEND)
        return
    if held != rows:
        yield Problem(place, f"{held} rows where {rows} are noted", _MEND)


def _open(connection: sqlite3.Connection, rows: Counter[str]) -> Iterator[Problem]:
    for position, count, check_sum, blob in connection.execute(
        "SELECT position, rows, checksum, blob FROM open_batches"
    ):
        rows["open"] += count
        yield from _one(
            f"open batch {position}", "open_batches", position, check_sum, blob, count, lambda raw: len(decode(raw))
        )


def _segments(connection: sqlite3.Connection, rows: Counter[str]) -> Iterator[Problem]:
    found = connection.execute("SELECT id, hour, part, rows, checksum, blob FROM segments")
    for number, hour, part, count, check_sum, blob in found:
        rows["segments"] += count

        def read(raw: bytes, hour: int = hour, part: int = part) -> int:
            held, _ = decode_many([raw])
            if bool(np.any(held.array("hour") != hour)) or bool(np.any(held.array("slot") >> PART_BITS != part)):
                raise Corrupt("rows of another hour or part are in it")
            return held.count

        yield from _one(f"segment {number}", "segments", number, check_sum, blob, count, read)


def _chunks(
    connection: sqlite3.Connection, rows: Counter[str], groups: Counter[tuple[int, int, int]]
) -> Iterator[Problem]:
    for key, day, count, check_sum, blob in connection.execute("SELECT key, day, rows, checksum, blob FROM chunks"):
        rows["chunks"] += count
        hour, slot, _ = key_parts(key)
        groups[slot >> PART_BITS, hour, day] -= count
        yield from _one(
            chunk_place(key), "chunks", key, check_sum, blob, count, lambda raw: decode_many([raw])[0].count
        )
    for (part, hour, day), difference in groups.items():
        if difference:
            yield Problem(f"group hour {hour}, part {part}, day {day}", f"its rows are off by {difference}", _MEND)


def _others(connection: sqlite3.Connection) -> Iterator[Problem]:
    for part, count, check_sum, blob in connection.execute("SELECT part, rows, checksum, blob FROM newest"):
        yield from _one(
            f"newest {part}", "newest", part, check_sum, blob, count, lambda raw: decode_many([raw])[0].count
        )
    for series_id, date, count, check_sum, blob in connection.execute(
        "SELECT series_id, date, rows, checksum, blob FROM number_chunks"
    ):
        key = number_key(series_id, date)
        yield from _one(
            f"numbers {series_id}, day {date}", "number_chunks", key, check_sum, blob, count,
            lambda raw: len(decode_numbers(raw)[0]),
        )  # fmt: skip
    for name, check_sum, blob in connection.execute("SELECT name, checksum, blob FROM snapshots"):
        yield from _one(f"snapshot {name}", "snapshots", text_key(name), check_sum, blob, len(blob), len)
