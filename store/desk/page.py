"""One transaction of the desk: reads, transitions, and every row that goes with one.

Invariants: an alarm changes through `move` alone, which writes the alarm, its ended lap, its event, the answers to its
device and the note that its children have to be looked at; a number is given by the counters that are committed with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from model.alarm import SYSTEM, Action, Alarm, Condition, Side, Work
from model.desk import DeskAlarm, Event, Located
from model.errors import Conflict, NotFound
from store.database import Connection
from store.desk import rows
from store.desk.ladder import Kept, moved, next_due_ms, unmanned
from store.desk.limits import DeskLimits

#: Kinds that say that a device is down, and so why what hangs on it is silent.
PARENT_KINDS = ("offline", "button_silent", "power_cut")
#: Kinds that a device that is down explains.
CHILD_KINDS = ("offline", "button_silent")
#: Sources that are the device itself, which is told what became of its alarm.
DEVICE_SOURCES = ("message", "bit")
#: A signal on an alarm in one of these states is told at once that the desk has it.
TAKEN_ON = (Work.ACKNOWLEDGED, Work.DISPATCHED, Work.ON_SCENE)

_ALL_COLUMNS = ("number", *rows.COLUMNS, "next_due_ms")
_SIGNALS_AT = _ALL_COLUMNS.index("signals")
_MARKS = ", ".join("?" * len(_ALL_COLUMNS))
_UPSERT = (
    f"INSERT INTO alarms ({', '.join(_ALL_COLUMNS)}) VALUES ({_MARKS})"  # noqa: S608 (constants)
    " ON CONFLICT (kind, device, fence) WHERE work <> 'closed' DO UPDATE SET signals = alarms.signals + 1"
    f" {rows.RETURNING_ALARM}"
)
_REOPEN = (
    "UPDATE alarms SET signals = signals + 1 WHERE number = ("  # noqa: S608 (constants)
    "SELECT number FROM alarms WHERE device = ? AND kind = ? AND fence = ? AND work = 'closed' AND closed_ms >= ?"
    " ORDER BY closed_ms DESC, number DESC LIMIT 1) AND NOT EXISTS ("
    "SELECT 1 FROM alarms AS other WHERE other.device = ? AND other.kind = ? AND other.fence = ?"
    f" AND other.work <> 'closed') {rows.RETURNING_ALARM}"
)
_UPDATE = (
    f"UPDATE alarms SET {', '.join(f'{name} = ?' for name in rows.COLUMNS)}, next_due_ms = ?"  # noqa: S608 (constants)
    " WHERE number = ? AND version = ?"
)
_LAP = f"INSERT INTO laps (alarm, {', '.join(rows.LAP_COLUMNS)}, overdue) VALUES ({', '.join('?' * (len(rows.LAP_COLUMNS) + 2))})"  # noqa: S608 (constants)
_EVENT = "INSERT INTO events (number, time_ms, action, who, detail, alarm, after) VALUES (?, ?, ?, ?, ?, ?, ?)"
_ANSWER = "INSERT INTO answers (number, device, alarm_id, state, made_ms) VALUES (?, ?, ?, ?, ?)"
_COUNTER = "INSERT INTO counters (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_DEVICE_SIGNALS = (
    "SELECT s.id, s.device_alarm_id FROM alarm_signals AS l JOIN signals AS s ON s.number = l.signal"
    " WHERE l.alarm = ? AND s.source IN ('message', 'bit') AND s.received_ms >= ? ORDER BY s.number DESC LIMIT ?"
)


class Page:
    """One open transaction.

    Args:
        connection: in a transaction.
        now_ms: our clock; the whole page is of one moment.
        limits: see `DeskLimits`.
        counters: the last number given under each name; the page's own copy.
    """

    def __init__(self, connection: Connection, now_ms: int, limits: DeskLimits, counters: dict[str, int]) -> None:
        self.connection = connection
        self.now_ms = now_ms
        self.limits = limits
        self.counters = counters
        self.events: list[Event] = []
        self._given: set[str] = set()
        self._event_rows: list[tuple[object, ...]] = []
        self._answer_rows: list[tuple[object, ...]] = []

    def next(self, counter: str) -> int:
        """The next number under a name; never given again."""
        self.counters[counter] = number = self.counters.get(counter, 0) + 1
        self._given.add(counter)
        return number

    @property
    def year(self) -> int:
        """The UTC year of now; only for people to read in an id."""
        return datetime.fromtimestamp(self.now_ms / 1000, UTC).year

    # -- alarms -------------------------------------------------------------------------------

    def find(self, where: str, values: tuple[object, ...]) -> Kept | None:
        """The first alarm that a condition finds."""
        row = self.connection.execute(f"{rows.SELECT_ALARM} WHERE {where} LIMIT 1", values).fetchone()
        return None if row is None else rows.kept_of(row[0], row[1:])

    def alarm(self, alarm_id: str) -> Kept:
        """The alarm of that id. Raises NotFound."""
        kept = self.find("id = ?", (alarm_id,))
        if kept is None:
            raise no_such_alarm(alarm_id)
        return kept

    def upsert(self, alarm: Alarm, located: Located) -> tuple[Kept, bool]:
        """Put a new alarm there, or count on the open one of its key; the row as it is now, and whether it is new."""
        number = self.counters.get("alarm", 0) + 1
        fresh = Kept(number, DeskAlarm(alarm, located))
        fresh = moved(fresh, alarm, self.now_ms, self.limits)
        values = (number, *rows.alarm_row(fresh), next_due_ms(fresh, self.limits))
        row = self.connection.execute(_UPSERT, values).fetchone()
        if row[0] == number:
            self.next("alarm")
            return fresh, True
        return _uncounted(row), False

    def reopen(self, device: str, kind: str, fence: str, closed_since_ms: int) -> Kept | None:
        """The alarm of that key that was closed last and since then, when none is open; its signal is counted."""
        values = (device, kind, fence, closed_since_ms, device, kind, fence)
        row = self.connection.execute(_REOPEN, values).fetchone()
        return None if row is None else _uncounted(row)

    def move(
        self,
        before: Kept,
        alarm: Alarm,
        *,
        action: str = "",
        by: str = SYSTEM,
        detail: Mapping[str, Any] | None = None,
        located: Located | None = None,
    ) -> Kept:
        """Write a transition of one alarm, with all that goes with it."""
        if located is not None:
            before = replace(before, desk=replace(before.desk, located=located))
        after = moved(before, alarm, self.now_ms, self.limits)
        if before.alarm.side is not Side.NONE and self._left_alone(alarm):
            after = unmanned(after, self.now_ms, self.limits)
        if alarm.lap != before.alarm.lap:
            self.connection.execute(_LAP, rows.lap_row(before))
        self.write(before, after)
        self.record(action or alarm.changed_how.value, by, detail or {}, after)
        self.note_parent(before, after)
        if before.alarm.work is not alarm.work:
            self._tell_device(after)
        return after

    def write(self, before: Kept, after: Kept) -> None:
        """The alarm's row, as long as it is still the one that was read."""
        values = (*rows.alarm_row(after), next_due_ms(after, self.limits), after.number, before.alarm.version)
        if self.connection.execute(_UPDATE, values).rowcount != 1:
            raise Conflict(
                f"Alarm {before.alarm.id} was changed by somebody else.",
                mend="Look at the alarm as it stands and decide again.",
            )

    def record(self, action: str, by: str, detail: Mapping[str, Any], after: Kept) -> None:
        """One event."""
        said = {name: rows.plain_text(value) if isinstance(value, str) else value for name, value in detail.items()}
        event = Event(self.next("event"), self.now_ms, action, by, said, after.desk)
        self.events.append(event)
        self._event_rows.append(rows.event_row(event, after))

    # -- what goes with a transition ----------------------------------------------------------

    def note_parent(self, before: Kept | None, after: Kept) -> None:
        """When a device went down or came back, those that hang on it have to be looked at."""
        alarm = after.alarm
        if alarm.kind in PARENT_KINDS and is_down(alarm) != (before is not None and is_down(before.alarm)):
            self.connection.execute(
                "INSERT INTO parent_changes (device) VALUES (?) ON CONFLICT (device) DO NOTHING", (alarm.device,)
            )
        if alarm.kind in CHILD_KINDS and not alarm.is_open:
            self.connection.execute("DELETE FROM alarm_parents WHERE alarm = ?", (after.number,))

    def hang_on(self, after: Kept) -> None:
        """Note on which devices an alarm hangs."""
        if after.alarm.kind in CHILD_KINDS and after.alarm.is_open:
            self.connection.executemany(
                "INSERT INTO alarm_parents (parent, alarm) VALUES (?, ?) ON CONFLICT (parent, alarm) DO NOTHING",
                [(parent, after.number) for parent in after.desk.located.parents],
            )

    def answer(self, device: str, alarm_id: str, state: str) -> None:
        """Something that the device is to be told."""
        self._answer_rows.append((self.next("answer"), device, alarm_id, state, self.now_ms))

    def _left_alone(self, alarm: Alarm) -> bool:
        """Whether its unit went off before it arrived."""
        if alarm.work is not Work.DISPATCHED:
            return False
        found = self.connection.execute("SELECT 1 FROM units WHERE device = ? AND alarm = ?", (alarm.unit, alarm.id))
        return found.fetchone() is None

    def _tell_device(self, after: Kept) -> None:
        alarm = after.alarm
        if alarm.changed_how is Action.ACKNOWLEDGE:
            state = "acknowledged"
        elif alarm.work is Work.CLOSED:
            state = "closed"
        else:
            return
        wanted = (after.number, alarm.received_ms, self.limits.answered_signals)
        for signal_id, device_alarm_id in self.connection.execute(_DEVICE_SIGNALS, wanted).fetchall()[::-1]:
            self.answer(alarm.device, device_alarm_id or signal_id, state)

    # -- the end ------------------------------------------------------------------------------

    def finish(self) -> None:
        """Write what was gathered; the last thing before the commit."""
        if self._event_rows:
            self.connection.executemany(_EVENT, self._event_rows)
        if self._answer_rows:
            self.connection.executemany(_ANSWER, self._answer_rows)
            oldest = self.counters["answer"] - self.limits.max_answers
            if oldest > 0:
                self.connection.execute("DELETE FROM answers WHERE number <= ?", (oldest,))
        if self._given:
            self.connection.executemany(_COUNTER, [(name, self.counters[name]) for name in sorted(self._given)])


def is_down(alarm: Alarm) -> bool:
    """Whether an alarm of `PARENT_KINDS` says that its device is down now."""
    return alarm.is_open and alarm.condition is Condition.ACTIVE


def no_such_alarm(alarm_id: str) -> NotFound:
    """The error for an id that no alarm has."""
    return NotFound(f"There is no alarm {alarm_id[:64]!r}.", mend="`lucheng alarm list` shows what there is.")


def _uncounted(row: Sequence[Any]) -> Kept:
    """The upsert has counted the signal already; the transition counts it again."""
    values = list(row)
    values[_SIGNALS_AT] -= 1
    return rows.kept_of(values[0], values[1:])
