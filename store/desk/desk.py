"""`DeskFile`: the desk in one SQLite file, or in a schema of PostgreSQL; implements `model.desk.Desk` and is the store of its signals.

Invariants: every change is one transaction and durable when a call returns; the rules by which an alarm moves are
`model.alarm`'s, here they are only read, applied and written; an alarm is found by an upsert under a UNIQUE index, never
read first and inserted after. Reads take a Grant and are audited before they return; what people do is audited by the
caller before, what the system did is copied to the audit by `audit_system_events`.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from model import alarm as transitions
from model.alarm import Outcome, Work
from model.clock import Clock
from model.desk import AlarmFilter, Answer, Case, CaseState, DeskAlarm, DeskStats, Event, Unit, UnitState
from model.grant import Grant
from model.seams import Audit
from model.signal import Clear, Signal
from store.database import Where
from store.desk import acting, cases, children, reading, units
from store.desk.audit_copy import AuditCopy, ManyRows
from store.desk.due import Dues
from store.desk.figures import DeskFigures
from store.desk.limits import DEFAULT_LIST_CASES, DeskLimits
from store.desk.page import Page
from store.desk.stats import desk_stats
from store.desk.taking import Locate, Piece, check_kinds, pieces, save_position, take_piece, where_it_says
from store.signals import Signals, check_consumer

#: How often another process' events are looked for, seconds.
_POLL_S = 0.1


class DeskFile(Signals):
    """The desk of one file. Any thread may call anything.

    Args:
        path: the file, e.g. `desk.db`, or the place on a server.
        clock: source of time.
        audit: where reads are written down; without one there is no read.
        read_only: read beside a running writer; nothing changes, and events come from the file.
        locate: says where a signal belongs, from memory; when it raises, the alarm is raised without, and says so.
        limits: see `DeskLimits`.

    Raises:
        StoreError: the file cannot be opened; Corrupt: it is damaged.
    """

    def __init__(
        self,
        path: Where,
        *,
        clock: Clock,
        audit: Audit | None = None,
        read_only: bool = False,
        locate: Locate = where_it_says,
        limits: DeskLimits | None = None,
    ) -> None:
        super().__init__(path, clock=clock, audit=audit, read_only=read_only, limits=limits)
        self._locate = locate
        self._clock = clock
        self._dues = Dues(self._book)
        self._audit_copy = AuditCopy(self._book)

    # -- what comes in ------------------------------------------------------------------------

    def add(self, signals: Sequence[Signal], *, consumer: str = "", position: int = 0) -> int:
        """`take` without clears; how many signals were new."""
        return self._take(signals, (), consumer, position)[1]

    def take(
        self, signals: Sequence[Signal], *, clears: Sequence[Clear] = (), consumer: str = "", position: int = 0
    ) -> builtins.list[Event]:
        """Keep the signals whose id is new, each on exactly one alarm; apply the clears; note the consumer's position.

        A large batch is several transactions, severity 1 first, the position in the last; when it is interrupted, the
        same signals and clears again, cut in any way, lead to the same alarms.

        Raises:
            UsageError: a kind that is not in the table; nothing was changed.
            StoreError: nothing will be kept any more: the process must stop.
        """
        return self._take(signals, clears, consumer, position)[0]

    def _take(
        self, signals: Sequence[Signal], clears: Sequence[Clear], consumer: str, position: int
    ) -> tuple[builtins.list[Event], int]:
        check_consumer(consumer)
        check_kinds(signals, clears)
        if consumer:
            known = self.position(consumer)
            signals = [signal for signal in signals if signal.log_position > known]
            clears = [clear for clear in clears if clear.log_position > known]
            consumer_moves = position > known
        else:
            consumer_moves = False
        work = list(pieces(signals, clears, self._book.limits))
        if consumer_moves and not work:
            work = [Piece(urgent=False, items=())]
        events: builtins.list[Event] = []
        added = 0
        changed = False
        for number, piece in enumerate(work, start=1):
            moves_to = position if consumer_moves and number == len(work) else None
            page, (new, changed) = self._book.keep_on(
                partial(self._take_piece, piece, consumer, moves_to), urgent=piece.urgent
            )
            added += new
            events += page.events
        while changed:
            page, changed = self._book.keep_on(children.look_at_children, urgent=False)
            events += page.events
        return events, added

    def _take_piece(self, piece: Piece, consumer: str, position: int | None, page: Page) -> tuple[int, bool]:
        """One piece, with the consumer's position where it is the last; how many were new, and whether children wait."""
        added = take_piece(page, piece.items, consumer, self._locate)
        if position is not None:
            save_position(page, consumer, position)
        return added, children.any_changed(page)

    # -- what people do -----------------------------------------------------------------------

    def acknowledge(self, alarm_id: str, version: int, who: str) -> DeskAlarm:
        """An operator takes it."""
        with self._book.writing() as page:
            return acting.act(
                page, alarm_id, who, lambda one, now: transitions.acknowledged(one, version, who, now)
            ).desk

    def hand_over(self, alarm_id: str, version: int, who: str, to: str, *, note: str = "") -> DeskAlarm:
        """Another operator takes it on; the note stands in the history."""
        detail = {"to": to, "note": note} if note else {"to": to}
        with self._book.writing() as page:
            return acting.act(
                page, alarm_id, who, lambda one, now: transitions.handed_over(one, version, who, to, now), detail
            ).desk

    def dispatch(self, alarm_id: str, version: int, who: str, unit: str, *, eta_ms: int = 0) -> DeskAlarm:
        """Send a unit; Refused when it is off duty or on another alarm."""
        with self._book.writing() as page:
            return acting.dispatch(
                page,
                alarm_id,
                who,
                unit,
                lambda one, now: transitions.dispatched(one, version, who, unit, now, eta_ms=eta_ms),
                eta_ms,
            ).desk

    def arrive(self, alarm_id: str, version: int, who: str) -> DeskAlarm:
        """The unit is on scene: the 300-second clock stops."""
        with self._book.writing() as page:
            return acting.arrive(page, alarm_id, who, lambda one, now: transitions.arrived(one, version, who, now)).desk

    def resolve(self, alarm_id: str, version: int, who: str, outcome: Outcome, *, reason: str = "") -> DeskAlarm:
        """It is dealt with, and how; the unit is free."""
        with self._book.writing() as page:
            return acting.end(
                page,
                alarm_id,
                who,
                lambda one, now: transitions.resolved(one, version, who, outcome, now, reason=reason),
                {"outcome": str(outcome), "reason": reason},
            ).desk

    def close_alarm(self, alarm_id: str, version: int, who: str, *, reason: str = "") -> DeskAlarm:
        """It is reviewed and put away; while the cause still holds only with a reason."""
        with self._book.writing() as page:
            return acting.end(
                page,
                alarm_id,
                who,
                lambda one, now: transitions.closed(one, version, who, now, reason=reason),
                {"reason": reason},
            ).desk

    def shelve(self, alarm_id: str, version: int, who: str, until_ms: int, reason: str) -> DeskAlarm:
        """Out of sight until a time, with a reason."""
        with self._book.writing() as page:
            return acting.act(
                page,
                alarm_id,
                who,
                lambda one, now: transitions.shelved(one, version, who, until_ms, reason, now),
                {"until_ms": until_ms, "reason": reason},
            ).desk

    def restore(self, alarm_id: str, version: int, who: str) -> DeskAlarm:
        """Back in sight."""
        with self._book.writing() as page:
            return acting.act(page, alarm_id, who, lambda one, now: transitions.restored(one, version, who, now)).desk

    def suppress(self, alarm_id: str, rule: str) -> DeskAlarm:
        """A rule puts it out of sight; Refused for severity 1."""
        with self._book.writing() as page:
            before = page.alarm(alarm_id)
            after = transitions.suppressed(before.alarm, rule, page.now_ms)
            return page.move(before, after, detail={"rule": rule}).desk

    def shown(self, alarm_ids: Sequence[str]) -> None:
        """They stand on an operator's screen; an id that is unknown or closed is passed over."""
        size = self._book.limits.max_transaction_signals
        for start in range(0, len(alarm_ids), size):
            wanted = alarm_ids[start : start + size]
            fresh = reading.unshown(self._book, wanted)
            if not fresh:
                continue
            with self._book.writing() as page:
                for alarm_id in fresh:
                    before = page.alarm(alarm_id)
                    if before.alarm.is_open and not before.alarm.shown_ms:
                        page.move(before, transitions.shown(before.alarm, page.now_ms))

    # -- reads --------------------------------------------------------------------------------

    def get(self, grant: Grant, alarm_id: str) -> DeskAlarm:
        """One alarm; the grant covers its device at its receive time. Raises NotFound."""
        return self._covered(grant, alarm_id, "read.alarm", {}).desk

    def list_alarms(self, grant: Grant, wanted: AlarmFilter, *, limit: int) -> builtins.list[DeskAlarm]:
        """Alarms received within the grant's window: severity 1 first, then the newest first."""
        self._check_limit(limit)
        self._check_audit()
        from_ms = wanted.since_ms or grant.from_ms
        grant.cover(list(wanted.devices) or None, from_ms, grant.to_ms)
        found = reading.alarms(self._book, wanted, from_ms, grant.to_ms, limit)
        detail = {"open_only": wanted.open_only, "kinds": list(wanted.kinds), "areas": list(wanted.areas)}
        detail |= {"severity": wanted.severity, "work": wanted.work, "from_ms": from_ms, "count": len(found)}
        target = wanted.devices[0] if len(wanted.devices) == 1 else f"{len(wanted.devices)} devices"
        self._write_down(grant, "read.alarms", target if wanted.devices else "*", detail)
        return found

    def history(self, grant: Grant, alarm_id: str) -> builtins.list[Event]:
        """Every event of one alarm, oldest first; of a very long one the newest."""
        number = self._covered(grant, alarm_id, "read.alarm_history", {}).number
        return reading.history(self._book, number)

    def signals_of(self, grant: Grant, alarm_id: str, *, limit: int) -> builtins.list[Signal]:
        """The signals of one alarm, the newest first."""
        self._check_limit(limit)
        number = self._covered(grant, alarm_id, "read.alarm_signals", {"limit": limit}).number
        return reading.signals_of(self._book, number, limit)

    def stats(self) -> DeskStats:
        """How the desk is doing; clocks of laps that began late stand under `late_…`."""
        return desk_stats(self._book)

    def figures(self) -> DeskFigures:
        """What was done, as columns; it asks nobody for leave."""
        return DeskFigures(self._book)

    def ids_like(self, prefix: str, *, limit: int) -> builtins.list[str]:
        """Ids of alarms that begin with `prefix`, the newest first."""
        return reading.ids_like(self._book, prefix, limit)

    def works(self, alarm_ids: Sequence[str]) -> dict[str, Work]:
        """How far people are with these alarms; ids that are unknown are absent."""
        return reading.works(self._book, alarm_ids)

    def open_alarm(self, device: str, kinds: Sequence[str]) -> str:
        """Id of the device's open alarm, of the kind named first where it has several; "" when it has none."""
        return reading.open_alarm(self._book, device, kinds)

    def _covered(self, grant: Grant, alarm_id: str, action: str, detail: dict[str, Any]) -> reading.Kept:
        self._check_audit()
        kept = reading.alarm(self._book, alarm_id)
        grant.cover([kept.alarm.device], kept.alarm.received_ms, kept.alarm.received_ms + 1)
        self._write_down(grant, action, kept.alarm.id, {**detail, "device": kept.alarm.device})
        return kept

    # -- events, clocks, answers --------------------------------------------------------------

    def last_event(self) -> int:
        """Number of the newest event, 0 before the first."""
        book = self._book
        return reading.last_event(book) if book.read_only or book.shared else book.feed.last

    def events(self, after: int, *, limit: int) -> builtins.list[Event]:
        """Events with a greater number, in order: the newest few thousand from memory, older ones from the file."""
        self._check_limit(limit)
        if not self._book.read_only:
            found = self._book.feed.after(after, limit)
            if self._book.shared and found is not None and len(found) < limit:  # another process may have gone on
                self._book.catch_up()
                found = self._book.feed.after(after, limit)
            if found is not None:
                return found
        return reading.events(self._book, after, limit)

    def tell_events(self, told: Callable[[], None]) -> Callable[[], None]:
        """Call `told` after every new event, on the thread that made it; what it returns ends that."""
        self._book.follow()
        return self._book.feed.tell(told)

    def wait_events(self, after: int, timeout_s: float) -> bool:
        """Sleep until there is a later event; False when the time is over."""
        if not self._book.read_only:
            self._book.follow()
            return self._book.feed.wait(after, timeout_s)
        until_s = self._clock.monotonic_s() + timeout_s
        while self.last_event() <= after:
            if self._clock.monotonic_s() >= until_s:
                return False
            self._clock.sleep(_POLL_S)
        return True

    def clock(self) -> builtins.list[Event]:
        """Whatever is due by now: escalation, settling, end of shelving, breaches, children of what went down."""
        return self._dues.run()

    def audit_system_events(self, audit: ManyRows) -> int:
        """Copy what the system did to the audit; how many rows. Over a crash some may stand there twice, none is lost."""
        return self._audit_copy.run(audit)

    def answers(self, *, limit: int) -> builtins.list[Answer]:
        """What devices are still to be told, oldest first."""
        self._check_limit(limit)
        return reading.answers(self._book, limit)

    def answered(self, numbers: Sequence[int]) -> None:
        """These were told."""
        if numbers:
            with self._book.writing(urgent=False) as page:
                page.connection.executemany("DELETE FROM answers WHERE number = ?", [(one,) for one in numbers])

    # -- units and cases ----------------------------------------------------------------------

    def set_unit(self, device: str, who: str, *, level: int | None = None, state: UnitState | None = None) -> Unit:
        """Register a unit, or set its level or duty; one that leaves its alarm starts the alarm's ladder again."""
        with self._book.writing() as page:
            return units.set_unit(page, device, who, level, state)

    def units(self) -> builtins.list[Unit]:
        """Every unit the desk knows, by id."""
        return [units.unit_of(row) for row in self._book.rows(units.SELECT_UNITS)]

    def report_stolen(self, device: str, owner_ref: str, who: str, *, note: str = "") -> Case:
        """Open a case; Conflict when the device has an open one."""
        with self._book.writing() as page:
            return cases.report(page, device, owner_ref, who, note)

    def move_case(
        self, case_id: str, state: CaseState, who: str, *, note: str = "", version: int | None = None
    ) -> Case:
        """Take a case forward; Refused for a step back, Conflict where it was decided on an older version."""
        with self._book.writing() as page:
            return cases.move(page, case_id, state, who, note, version)

    def hand_case_over(
        self, case_id: str, officer: str, who: str, *, note: str = "", version: int | None = None
    ) -> Case:
        """Give an open case to an officer; Refused where he has it, Conflict as `move_case`."""
        with self._book.writing() as page:
            return cases.hand_over(page, case_id, officer, who, note, version)

    def case(self, case_id: str) -> Case:
        """One case. Raises NotFound."""
        found = self._book.rows(f"{cases.SELECT_CASE} WHERE id = ?", (case_id,))
        if not found:
            raise cases.no_such_case(case_id)
        return cases.case_of(self._book.rows, found[0])

    def cases(
        self, *, device: str = "", open_only: bool = True, limit: int = DEFAULT_LIST_CASES
    ) -> builtins.list[Case]:
        """Cases, the newest first."""
        self._check_limit(limit)
        where = ["1 = 1"] + ["state <> 'closed'"] * open_only + ["device = ?"] * bool(device)
        sql = f"{cases.SELECT_CASE} WHERE {' AND '.join(where)} ORDER BY number DESC LIMIT ?"
        found = self._book.rows(sql, (*([device] if device else []), limit))
        return [cases.case_of(self._book.rows, row) for row in found]
