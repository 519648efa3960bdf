"""Which records of the log are one step of the pipeline: a file's and facts alone, a tick ends one, others together up to a limit."""

from __future__ import annotations

from collections.abc import Sequence

from model.seams import LogRecord, RecordKind

_ALONE = (RecordKind.FILE_POINTS, RecordKind.FACT)
_ENDS = (*_ALONE, RecordKind.TICK)


def grouped(records: Sequence[LogRecord], max_rows: int) -> list[list[LogRecord]]:
    """Consecutive records cut into steps, in order; `max_rows` of one step."""
    groups: list[list[LogRecord]] = []
    rows = 0
    for record in records:
        if not groups or record.kind in _ALONE or groups[-1][-1].kind in _ENDS or rows + record.rows > max_rows:
            groups.append([])
            rows = 0
        groups[-1].append(record)
        rows += record.rows
    return groups
