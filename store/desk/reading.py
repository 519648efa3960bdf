"""Queries of the desk, as committed. They ask nobody for leave: `DeskFile` does, and audits."""

from __future__ import annotations

from collections.abc import Sequence

from model.alarm import Side, Work
from model.desk import AlarmFilter, Answer, DeskAlarm, Event
from model.signal import Signal
from store.desk import rows
from store.desk.book import Book
from store.desk.ladder import Kept
from store.desk.limits import DEFAULT_MAX_HISTORY
from store.desk.page import no_such_alarm

__all__ = [
    "Kept",
    "alarm",
    "alarms",
    "answers",
    "events",
    "history",
    "ids_like",
    "last_event",
    "signals_of",
    "unshown",
    "works",
]

_SIGNALS = (
    f"SELECT {', '.join(f's.{name}' for name in rows.SIGNAL_COLUMNS)} FROM alarm_signals AS l"  # noqa: S608 (constants)
    " JOIN signals AS s ON s.number = l.signal WHERE l.alarm = ? ORDER BY s.number DESC LIMIT ?"
)


def alarm(book: Book, alarm_id: str) -> Kept:
    """One alarm. Raises NotFound."""
    found = book.rows(f"{rows.SELECT_ALARM} WHERE id = ?", (alarm_id,))
    if not found:
        raise no_such_alarm(alarm_id)
    return rows.kept_of(found[0][0], found[0][1:])


def alarms(book: Book, wanted: AlarmFilter, from_ms: int, to_ms: int, limit: int) -> list[DeskAlarm]:
    """Alarms received in the window: severity 1 first, then the newest first."""
    where: list[str] = ["received_ms >= ?", "received_ms < ?"]
    values: list[object] = [from_ms, to_ms]
    if wanted.open_only:
        where.append("work <> 'closed'")
    if wanted.side:
        where.append("side = ?")
        values.append(wanted.side)
        if wanted.side == Side.SHELVED:
            where.append("side_until_ms > ?")
            values.append(book.clock.now_ms())
    elif wanted.listed_only:
        where.append("(side = '' OR (side = 'shelved' AND side_until_ms <= ?))")
        values.append(book.clock.now_ms())
    for name, several in (("kind", wanted.kinds), ("device", wanted.devices), ("area", wanted.areas)):
        if several:
            where.append(f"{name} IN ({', '.join('?' * len(several))})")
            values += several
    if wanted.severity:
        where.append("severity <= ?")
        values.append(wanted.severity)
    if wanted.work:
        where.append("work = ?")
        values.append(wanted.work)
    if wanted.after is not None:
        severity, received_ms, alarm_id = wanted.after
        where.append(
            "(severity > ? OR (severity = ? AND (received_ms < ? OR (received_ms = ? AND number <"
            " (SELECT last.number FROM alarms AS last WHERE last.id = ?)))))"
        )
        values += [severity, severity, received_ms, received_ms, alarm_id]
    sql = f"{rows.SELECT_ALARM} WHERE {' AND '.join(where)} ORDER BY severity, received_ms DESC, number DESC LIMIT ?"
    return [rows.kept_of(row[0], row[1:]).desk for row in book.rows(sql, (*values, limit))]


def unshown(book: Book, alarm_ids: Sequence[str]) -> list[str]:
    """Of these, those that are open and were not shown in this lap."""
    marks = ", ".join("?" * len(alarm_ids))
    sql = f"SELECT id FROM alarms WHERE id IN ({marks}) AND shown_ms = 0 AND work <> 'closed'"  # noqa: S608 (constants)
    return [row[0] for row in book.rows(sql, tuple(alarm_ids))]


def history(book: Book, number: int) -> list[Event]:
    """Events of one alarm, oldest first; of more than 1,000 the newest."""
    found = book.rows(
        f"{rows.SELECT_EVENT} WHERE alarm = ? ORDER BY number DESC LIMIT ?", (number, DEFAULT_MAX_HISTORY)
    )
    return [rows.event_of(row) for row in reversed(found)]


def signals_of(book: Book, number: int, limit: int) -> list[Signal]:
    """Signals of one alarm, the newest first."""
    return [rows.signal_of(row) for row in book.rows(_SIGNALS, (number, limit))]


def ids_like(book: Book, prefix: str, limit: int) -> list[str]:
    """Ids that begin with `prefix`, the newest first."""
    plain = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    sql = "SELECT id FROM alarms WHERE id LIKE ? ESCAPE '\\' ORDER BY number DESC LIMIT ?"
    return [row[0] for row in book.rows(sql, (plain + "%", limit))]


def works(book: Book, alarm_ids: Sequence[str]) -> dict[str, Work]:
    """How far people are with these alarms."""
    marks = ", ".join("?" * len(alarm_ids))
    sql = f"SELECT id, work FROM alarms WHERE id IN ({marks})"  # noqa: S608 (constants)
    return {row[0]: Work(row[1]) for row in book.rows(sql, tuple(alarm_ids))}


def open_alarm(book: Book, device: str, kinds: Sequence[str]) -> str:
    """Id of the open alarm of that device whose kind comes first in `kinds`; "" when it has none."""
    marks = ", ".join("?" * len(kinds))
    sql = f"SELECT kind, id FROM alarms WHERE device = ? AND work <> 'closed' AND kind IN ({marks})"  # noqa: S608 (constants)
    found = dict(book.rows(sql, (device, *kinds)))
    return next((found[kind] for kind in kinds if kind in found), "")


def events(book: Book, after: int, limit: int) -> list[Event]:
    """Events with a greater number, in order."""
    found = book.rows(f"{rows.SELECT_EVENT} WHERE number > ? ORDER BY number LIMIT ?", (after, limit))
    return [rows.event_of(row) for row in found]


def last_event(book: Book) -> int:
    """Number of the newest event in the file."""
    return int(book.rows("SELECT coalesce(max(number), 0) FROM events")[0][0])


def answers(book: Book, limit: int) -> list[Answer]:
    """What is still to be told, oldest first."""
    return [
        Answer(*row)
        for row in book.rows("SELECT number, device, alarm_id, state FROM answers ORDER BY number LIMIT ?", (limit,))
    ]
