"""Whatever is due by now, found by one query, in transactions of bounded size. Cheap when nothing is."""

from __future__ import annotations

from model.alarm import SYSTEM
from model.clock import Clock
from model.desk import Event
from store.desk import children, rows
from store.desk.book import Book
from store.desk.ladder import Kept, fall_due, set_back
from store.desk.page import Page

#: The wall clock was set back when it lost more than this against the monotonic one.
_SET_BACK_MS = 1_000
_ANY_DUE = (
    "SELECT EXISTS (SELECT 1 FROM alarms WHERE next_due_ms > 0 AND next_due_ms <= ?),"
    " EXISTS (SELECT 1 FROM parent_changes)"
)
_DUE = f"{rows.SELECT_ALARM} WHERE next_due_ms > 0 AND next_due_ms <= ? ORDER BY next_due_ms, number LIMIT ?"
_CLIMBING = f"{rows.SELECT_ALARM} WHERE next_due_ms > 0 AND (due_ms > ? OR breach_due_ms > ?) AND number > ? ORDER BY number LIMIT ?"


class Dues:
    """Drives what time does to alarms; one caller at a time.

    Args:
        book: the desk's file.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._clock: Clock = book.clock
        self._wall_ms = self._clock.now_ms()
        self._monotonic_s = self._clock.monotonic_s()
        #: What was kept before this process began may have been kept by a clock that was ahead.
        self._set_back = True

    def run(self) -> list[Event]:
        """Escalate, settle, bring back, note breaches; what was done."""
        done: list[Event] = []
        self._watch_wall()
        if self._set_back:
            self._repair()
            self._set_back = False
        due, changed = self._book.rows(_ANY_DUE, (self._clock.now_ms(),))[0]
        while due:
            page, due = self._book.keep_on(_fall)
            done += page.events
        while changed:
            page, changed = self._book.keep_on(children.look_at_children, urgent=False)
            done += page.events
        return done

    def _watch_wall(self) -> None:
        wall_ms, monotonic_s = self._clock.now_ms(), self._clock.monotonic_s()
        lost_ms = (monotonic_s - self._monotonic_s) * 1000 - (wall_ms - self._wall_ms)
        self._set_back = self._set_back or lost_ms > _SET_BACK_MS
        self._wall_ms, self._monotonic_s = wall_ms, monotonic_s

    def _repair(self) -> None:
        """The ladder's dues are of a clock that was ahead: none may lie farther off than its own step."""
        limits = self._book.limits
        after = 0
        while True:
            with self._book.writing() as page:
                values = (page.now_ms, page.now_ms, after, limits.max_transaction_signals)
                found = [rows.kept_of(row[0], row[1:]) for row in page.connection.execute(_CLIMBING, values).fetchall()]
                for kept in found:
                    repaired = set_back(kept, page.now_ms, limits)
                    if repaired != kept:
                        page.write(kept, repaired)
            if len(found) < limits.max_transaction_signals:
                return
            after = found[-1].number


def _fall(page: Page) -> bool:
    """One transaction's worth; whether there may be more."""
    limit = page.limits.max_transaction_signals
    found = page.connection.execute(_DUE, (page.now_ms, limit)).fetchall()
    for row in found:
        kept = rows.kept_of(row[0], row[1:])
        while (due := fall_due(kept, page.now_ms, page.limits)) is not None:
            kept = _apply(page, kept, due.action, due.detail, due.after)
    return len(found) == limit


def _apply(page: Page, before: Kept, action: str, detail: dict[str, object], after: Kept) -> Kept:
    if before.alarm is not after.alarm:
        return page.move(before, after.alarm, action=action, by=SYSTEM, detail=detail)
    page.write(before, after)
    page.record(action, SYSTEM, detail, after)
    return after
