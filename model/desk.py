"""What the desk keeps besides alarms, and the Protocol through which everything else works with it.

Purpose: the nouns of the desk: events, units, cases, answers. Invariants: an event's number grows with every change of
an alarm and is never used again, so that a reader who knows the last one it saw misses none; a unit is free, on its way,
on scene or off duty; a case's steps only go forward. It stores nothing: `store.desk` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from model.alarm import Alarm, Outcome, Work
from model.codes import Word
from model.grant import Grant
from model.signal import Clear, Signal


@dataclass(frozen=True, slots=True)
class Located:
    """Where a signal belongs.

    Attributes:
        area: id of the leaf jurisdiction, "" outside all.
        site: id of the device's site, or "".
        parents: devices whose being down explains that this one is silent (its gateway, the button of its site).
        lat, lon: the place to go to: the signal's own, else the device's or its site's fixed one.
    """

    area: str = ""
    site: str = ""
    parents: tuple[str, ...] = ()
    lat: float | None = None
    lon: float | None = None


@dataclass(frozen=True, slots=True)
class DeskAlarm:
    """An alarm with where it belongs and how far it has been escalated.

    Attributes:
        alarm: as it stands.
        located: where it belongs; of its newest signal that has a place.
        rung: of the escalation ladder: 0 the seat, 1 all seats, 2 shift lead, 3 duty officer.
        due_ms: when the next rung is due, 0 when none is.
        overdue: its 300-second clock ran over with nobody on scene.
    """

    alarm: Alarm
    located: Located
    rung: int = 0
    due_ms: int = 0
    overdue: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one alarm, as pushed to subscribers and kept as its history.

    Attributes:
        number: grows by 1 with every event, for ever.
        time_ms: our clock, UTC ms.
        action: `model.alarm.Action` value, or `raise`, `escalate`, `breach`, `unit`.
        by: who; `system` for clocks and rules.
        detail: what was said with it (signal id, unit, reason, rung), bounded.
        alarm: the alarm after it.
    """

    number: int
    time_ms: int
    action: str
    by: str
    detail: dict[str, Any]
    alarm: DeskAlarm


class UnitState(StrEnum):
    """What a patrol unit is doing."""

    FREE = "free"
    ON_THE_WAY = "on_the_way"
    ON_SCENE = "on_scene"
    OFF_DUTY = "off_duty"


UNIT_STATE_WORDS: dict[UnitState, Word] = {
    UnitState.FREE: Word("free", "待命"),
    UnitState.ON_THE_WAY: Word("on its way", "出警途中"),
    UnitState.ON_SCENE: Word("on scene", "已到场"),
    UnitState.OFF_DUTY: Word("off duty", "下勤"),
}


@dataclass(frozen=True, slots=True)
class Unit:
    """A patrol unit as the desk knows it.

    Attributes:
        device: id of kind `unit`.
        level: patrol level: the line of defence on which it drives, 1 (inner) to 3 (outer); 0 none.
        state: see `UnitState`.
        alarm: the alarm it works on, or "".
        changed_ms: when the state changed.
    """

    device: str
    level: int
    state: UnitState
    alarm: str = ""
    changed_ms: int = 0


class CaseState(StrEnum):
    """How far the case of a stolen e-bike is; it only goes forward."""

    REPORTED = "reported"
    STOLEN = "stolen"
    TRACKED = "tracked"
    RECOVERED = "recovered"
    CLOSED = "closed"


CASE_STATE_WORDS: dict[CaseState, Word] = {
    CaseState.REPORTED: Word("reported by its owner", "车主已报案"),
    CaseState.STOLEN: Word("stolen", "已确认被盗"),
    CaseState.TRACKED: Word("seen and tracked", "追踪中"),
    CaseState.RECOVERED: Word("recovered", "已找回"),
    CaseState.CLOSED: Word("closed", "已结案"),
}


@dataclass(frozen=True, slots=True)
class CaseStep:
    """One step of a case: when, to which state, who, what was said, and where it was handed over, to whom."""

    time_ms: int
    state: CaseState
    by: str
    note: str
    to: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A reported theft.

    Attributes:
        id: e.g. `C2026-000001`; what a purpose names (`case:C2026-000001`).
        device: the e-bike.
        owner_ref: reference of the owner's report.
        state: where it stands; open until `CLOSED`.
        steps: its history, oldest first.
        officer: user name of the officer who has it, "" nobody yet.
    """

    id: str
    device: str
    owner_ref: str
    state: CaseState
    steps: tuple[CaseStep, ...]
    officer: str = ""

    @property
    def version(self) -> int:
        """Grows by 1 with every step."""
        return len(self.steps)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a device is to be told of its alarm, on `down/alarm_state`.

    Attributes:
        number: of the row, for `answered`.
        device: to whom.
        alarm_id: the device's own id, else the signal's.
        state: `received`, `acknowledged` or `closed`.
    """

    number: int
    device: str
    alarm_id: str
    state: str


@dataclass(frozen=True, slots=True)
class AlarmFilter:
    """Which alarms: empty fields ask for all.

    Attributes:
        open_only: not the closed ones; listed_only: neither suppressed nor still shelved.
        kinds, devices, areas: any of these. severity: this one or higher (a lower number); 0 all.
        work: one state of work, or "".
        side: out of sight in this way, whatever `listed_only` says; "" any.
        since_ms: received at or after.
        after: (severity, received_ms, id) of the last alarm of the page before, None for the first page.
    """

    open_only: bool = True
    listed_only: bool = False
    kinds: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()
    severity: int = 0
    work: str = ""
    since_ms: int = 0
    after: tuple[int, int, str] | None = None
    side: str = ""


@dataclass(frozen=True, slots=True)
class DeskStats:
    """How the desk is doing.

    Attributes:
        open: open alarms by severity; by_work: open ones by state of work.
        last_10_min: alarms raised in the last ten minutes; flood: more than `flood_alarms` of them.
        late, breached: laps that began late; laps whose 300-second clock ran over, of those that have one.
        clocks_ms: p50, p90, p99 and count of each stored clock (`to_show_ms`, `response_ms` …), late laps apart.
    """

    open: dict[int, int] = field(default_factory=dict)
    by_work: dict[str, int] = field(default_factory=dict)
    last_10_min: int = 0
    flood: bool = False
    late: int = 0
    breached: int = 0
    clocks_ms: dict[str, dict[str, float]] = field(default_factory=dict)


class Desk(Protocol):
    """Alarms, their history, units and cases; one writer, any thread. Every change is durable when a call returns.

    Actions of people name the version they were decided on (`Conflict` says who was first) and raise Refused where the
    table of transitions has no way. Reads take a Grant and are audited before they return.
    """

    def take(
        self, signals: Sequence[Signal], *, clears: Sequence[Clear] = (), consumer: str = "", position: int = 0
    ) -> list[Event]:
        """Keep the signals whose id is new, each on exactly one alarm; apply the clears; note the consumer's position.

        Signals and clears with a log position at or before the consumer's committed one are known already and change
        nothing. A signal of source `file` is kept and makes no alarm.
        """
        ...

    def position(self, consumer: str) -> int: ...

    def acknowledge(self, alarm_id: str, version: int, who: str) -> DeskAlarm: ...
    def hand_over(self, alarm_id: str, version: int, who: str, to: str, *, note: str = "") -> DeskAlarm: ...
    def dispatch(self, alarm_id: str, version: int, who: str, unit: str, *, eta_ms: int = 0) -> DeskAlarm: ...
    def arrive(self, alarm_id: str, version: int, who: str) -> DeskAlarm: ...
    def resolve(self, alarm_id: str, version: int, who: str, outcome: Outcome, *, reason: str = "") -> DeskAlarm: ...
    def close_alarm(self, alarm_id: str, version: int, who: str, *, reason: str = "") -> DeskAlarm: ...
    def shelve(self, alarm_id: str, version: int, who: str, until_ms: int, reason: str) -> DeskAlarm: ...
    def restore(self, alarm_id: str, version: int, who: str) -> DeskAlarm: ...
    def shown(self, alarm_ids: Sequence[str]) -> None: ...

    def get(self, grant: Grant, alarm_id: str) -> DeskAlarm: ...
    def list_alarms(self, grant: Grant, wanted: AlarmFilter, *, limit: int) -> list[DeskAlarm]: ...
    def history(self, grant: Grant, alarm_id: str) -> list[Event]: ...
    def signals_of(self, grant: Grant, alarm_id: str, *, limit: int) -> list[Signal]: ...
    def stats(self) -> DeskStats: ...

    def ids_like(self, prefix: str, *, limit: int) -> list[str]:
        """Ids of alarms that begin with `prefix`, the newest first; an id says nothing about anybody: not audited."""
        ...

    def works(self, alarm_ids: Sequence[str]) -> dict[str, Work]:
        """How far people are with these alarms; ids that are unknown are absent. It tells nothing of anybody: not audited."""
        ...

    def open_alarm(self, device: str, kinds: Sequence[str]) -> str:
        """Id of the device's open alarm, of the kind named first where it has several; "" when it has none. Not audited."""
        ...

    def last_event(self) -> int:
        """Number of the newest event, 0 before the first."""
        ...

    def events(self, after: int, *, limit: int) -> list[Event]:
        """Events with a greater number, in order; for a feed whose reader was audited when it began."""
        ...

    def tell_events(self, told: Callable[[], None]) -> Callable[[], None]:
        """Call `told` after every new event, on the thread that made it: it must be quick and not raise.

        What it returns ends that.
        """
        ...

    def wait_events(self, after: int, timeout_s: float) -> bool:
        """Sleep until there is a later event; False when the time is over."""
        ...

    def clock(self) -> list[Event]:
        """Whatever is due by now: escalation, settling, end of shelving, breaches. Cheap when nothing is."""
        ...

    def answers(self, *, limit: int) -> list[Answer]: ...
    def answered(self, numbers: Sequence[int]) -> None: ...

    def set_unit(self, device: str, who: str, *, level: int | None = None, state: UnitState | None = None) -> Unit: ...
    def units(self) -> list[Unit]: ...

    def report_stolen(self, device: str, owner_ref: str, who: str, *, note: str = "") -> Case: ...
    def move_case(
        self, case_id: str, state: CaseState, who: str, *, note: str = "", version: int | None = None
    ) -> Case: ...
    def hand_case_over(
        self, case_id: str, officer: str, who: str, *, note: str = "", version: int | None = None
    ) -> Case: ...
    def case(self, case_id: str) -> Case: ...
    def cases(self, *, device: str = "", open_only: bool = True, limit: int = 1_000) -> list[Case]: ...
