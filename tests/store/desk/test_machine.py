"""Any signals, clears, people, restarts, crashes between two pieces and clock jumps: nothing is lost, closed or doubled."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from model.alarm import Condition, Outcome, Side, Work
from model.clock import FakeClock
from model.desk import AlarmFilter, DeskAlarm, Located, UnitState
from model.errors import LuchengError
from model.signal import Clear, Signal
from store.database import connect
from store.desk import desk as desk_module
from store.desk import taking
from store.desk.desk import DeskFile
from store.desk.limits import DeskLimits
from tests.store.desk.conformance import GRANT, T0

KINDS = ("one_key", "sos", "offline", "power_cut", "low_battery")
DEVICES = ("d/0", "d/1", "gateway/0")
LIMITS = DeskLimits(max_transaction_signals=2, feed_events=8)


class Crash(BaseException):
    """The process ends between two transactions."""


class Counted:
    """An audit that only counts: the machine looks at everything after every step."""

    rows = 0

    def append(self, who: str, role: str, action: str, target: str, purpose: str, detail: Mapping[str, Any]) -> int:
        self.rows += 1
        return self.rows


def located(signal: Signal) -> Located:
    parents = ("gateway/0",) if signal.device.startswith("d/") else ()
    return Located(area="a", parents=parents, lat=signal.lat, lon=signal.lon)


class DeskMachine(RuleBasedStateMachine):
    """One log of rises and falls, read by one consumer, and people on the alarms."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock(T0)
        self.audit = Counted()
        self.log: list[Signal | Clear] = []
        self.holds: dict[tuple[str, str], bool] = {}
        self.read = 0
        self.versions: dict[str, int] = {}
        self.works: dict[str, Work] = {}
        self.desk = self._open()

    def _open(self) -> DeskFile:
        path = Path(self.folder.name) / "desk.db"
        return DeskFile(path, clock=self.clock, audit=self.audit, locate=located, limits=LIMITS)

    def teardown(self) -> None:
        self._catch_up()
        self.holding()
        self.desk.close()
        self.folder.cleanup()

    # -- what happens -------------------------------------------------------------------------

    @rule(
        kind=st.sampled_from(KINDS),
        device=st.sampled_from(DEVICES),
        rises=st.lists(st.booleans(), min_size=1, max_size=4),
        late=st.booleans(),
    )
    def log_grows(self, kind: str, device: str, rises: list[bool], late: bool) -> None:
        for up in rises:
            now = self.clock.now_ms()
            at = len(self.log) + 1
            if up:
                ago = 10**7 if late else 0
                source = "message" if at % 2 else "bit"
                self.log.append(
                    Signal(
                        f"s{at}", device, kind, source, T0 + at - ago, now, 40.0, 109.0, 3, late, "", at, "", f"x{at}"
                    )
                )
            elif self.holds.get((kind, device)):
                self.log.append(Clear(kind, device, "", T0 + at, at))
            else:
                continue
            self.holds[kind, device] = up

    @rule(many=st.integers(1, 12))
    def desk_reads_on(self, many: int) -> None:
        self._take(self.read, self.read + many)

    @rule(many=st.integers(1, 12), pieces=st.integers(0, 3))
    def desk_crashes_between_two_pieces(self, many: int, pieces: int) -> None:
        left = pieces
        real = taking.take_piece

        def take_piece(*args: object) -> int:
            nonlocal left
            if left == 0:
                raise Crash
            left -= 1
            return real(*args)  # type: ignore[arg-type]  # handed on as they came

        with mock.patch.object(desk_module, "take_piece", take_piece):
            try:
                self._take(self.read, self.read + many)
            except Crash:
                self.restart()
                return
        assert left >= 0

    @rule(kind=st.sampled_from(KINDS), device=st.sampled_from(DEVICES), pieces=st.integers(1, 4), cut=st.integers(1, 4))
    def a_flap_is_read_crashed_over_and_read_again_in_other_parts(
        self, kind: str, device: str, pieces: int, cut: int
    ) -> None:
        self._catch_up()
        self.log_grows(kind, device, [True, False, True], late=False)
        for number in range(4):
            self.log_grows("low_battery", f"d/{number % 2}", [True], late=False)
        self.desk_crashes_between_two_pieces(7, pieces)
        while self.read < len(self.log):
            self._take(self.read, self.read + cut)

    def _take(self, start: int, end: int) -> None:
        part = self.log[start:end]
        if not part:
            return
        signals = [one for one in part if isinstance(one, Signal)]
        clears = [one for one in part if isinstance(one, Clear)]
        self.desk.take(signals, clears=clears, consumer="points", position=part[-1].log_position)
        self.read = start + len(part)
        assert self.desk.position("points") == self.read

    def _catch_up(self) -> None:
        self._take(self.read, len(self.log))

    @precondition(lambda self: self.read)
    @rule(back=st.integers(1, 10))
    def a_known_part_comes_again(self, back: int) -> None:
        part = self.log[max(self.read - back, 0) : self.read]
        before = self.desk.last_event()
        self.desk.take(
            [one for one in part if isinstance(one, Signal)],
            clears=[one for one in part if isinstance(one, Clear)],
            consumer="points",
            position=part[-1].log_position,
        )
        self.desk.take([one for one in part if isinstance(one, Signal)])
        assert self.desk.last_event() == before

    @rule()
    def restart(self) -> None:
        self.desk.close()
        self.desk = self._open()

    @rule(seconds=st.sampled_from([0.5, 30, 61, 301, 1_000]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.desk.clock()
        assert self.desk.clock() == []

    @rule(step_ms=st.sampled_from([-86_400_000, -5_000, 3_000, 3_600_000]))
    def the_wall_clock_jumps(self, step_ms: int) -> None:
        self.clock.step_wall(step_ms)
        self.desk.clock()

    @rule(
        pick=st.integers(0, 20),
        stale=st.booleans(),
        action=st.sampled_from(["ack", "over", "send", "there", "done", "close", "shelve", "restore", "hide", "show"]),
        unit=st.sampled_from(["unit/1", "unit/2"]),
        reason=st.sampled_from(["", "known"]),
    )
    def people(self, pick: int, stale: bool, action: str, unit: str, reason: str) -> None:
        alarms = self._all()
        if not alarms:
            return
        one = alarms[pick % len(alarms)].alarm
        version = one.version - stale
        desk, now = self.desk, self.clock.now_ms()
        acts: dict[str, Callable[[], object]] = {
            "ack": lambda: desk.acknowledge(one.id, version, "li"),
            "over": lambda: desk.hand_over(one.id, version, "li", "wang"),
            "send": lambda: desk.dispatch(one.id, version, "li", unit),
            "there": lambda: desk.arrive(one.id, version, "li"),
            "done": lambda: desk.resolve(one.id, version, "li", Outcome.REAL),
            "close": lambda: desk.close_alarm(one.id, version, "li", reason=reason),
            "shelve": lambda: desk.shelve(one.id, version, "li", now + 60_000, "known"),
            "restore": lambda: desk.restore(one.id, version, "li"),
            "hide": lambda: desk.suppress(one.id, "maintenance"),
            "show": lambda: desk.shown([one.id]),
        }
        before = desk.last_event()
        try:
            acts[action]()
        except LuchengError as error:
            assert error.mend  # noqa: PT017 (whether it is refused depends on the walk)
            assert desk.last_event() == before
            assert desk.get(GRANT, one.id).alarm == one
            return
        assert not stale or action in ("hide", "show"), "decided on an old version"
        after = desk.get(GRANT, one.id).alarm
        assert not (action == "close" and one.condition is Condition.ACTIVE and not after.reason)

    @rule(unit=st.sampled_from(["unit/1", "unit/2"]), state=st.sampled_from([UnitState.FREE, UnitState.OFF_DUTY]))
    def duty(self, unit: str, state: UnitState) -> None:
        assert self.desk.set_unit(unit, "li", state=state).alarm == ""

    # -- what holds ---------------------------------------------------------------------------

    def _all(self) -> list[DeskAlarm]:
        return self.desk.list_alarms(GRANT, AlarmFilter(open_only=False), limit=1_000)

    @invariant()
    def holding(self) -> None:
        alarms = self._all()
        assert max(Counter(one.alarm.key for one in alarms if one.alarm.is_open).values(), default=1) == 1
        for one in alarms:
            alarm = one.alarm
            assert alarm.version >= self.versions.get(alarm.id, 0)
            assert alarm.work is not Work.CLOSED or alarm.condition is Condition.CLEARED or alarm.reason
            assert not (alarm.severity == 1 and alarm.side is Side.SUPPRESSED)
            waits = alarm.work is Work.NEW and alarm.side is Side.NONE and alarm.severity <= LIMITS.escalate_severity
            assert not waits or one.due_ms or one.rung == 3, "an escalation was lost"
            self.versions[alarm.id] = alarm.version
        assert set(self.versions) == {one.alarm.id for one in alarms}, "an alarm was lost"
        self._conditions(alarms)
        self._units(alarms)
        self._rows()

    def _conditions(self, alarms: list[DeskAlarm]) -> None:
        """Once all of the log is read, an alarm is open or was closed by people for whatever holds."""
        if self.read < len(self.log):
            return
        newest = {one.alarm.key: one.alarm for one in sorted(alarms, key=lambda one: one.alarm.id)}
        for (kind, device), up in self.holds.items():
            alarm = newest[kind, device, ""]
            if up:
                assert alarm.condition is Condition.ACTIVE, "cleared while the cause holds"
                assert alarm.is_open or alarm.reviewer == "li", "closed while active"
            elif alarm.is_open:
                assert alarm.condition is Condition.CLEARED

    def _units(self, alarms: list[DeskAlarm]) -> None:
        for unit in self.desk.units():
            busy = unit.state in (UnitState.ON_THE_WAY, UnitState.ON_SCENE)
            assert busy == bool(unit.alarm)
            if busy:
                (alarm,) = (one.alarm for one in alarms if one.alarm.id == unit.alarm)
                assert alarm.unit == unit.device
                assert alarm.work in (Work.DISPATCHED, Work.ON_SCENE)
        manned = {unit.alarm for unit in self.desk.units()}
        for one in alarms:
            alarm = one.alarm
            seen = alarm.side is Side.NONE and alarm.severity <= LIMITS.escalate_severity
            if alarm.work is Work.DISPATCHED and seen and alarm.id not in manned:
                assert one.due_ms or one.rung == 3, "nobody goes and nobody is told"

    def _rows(self) -> None:
        with closing(connect(Path(self.folder.name) / "desk.db", read_only=True)) as file:
            linked = file.execute(
                "SELECT s.id FROM alarm_signals AS l JOIN signals AS s ON s.number = l.signal"
            ).fetchall()
            kept = file.execute("SELECT id FROM signals").fetchall()
            assert sorted(linked) == sorted(kept), "a signal on no alarm, or on two"
            known = {one.id for one in self.log[: self.read] if isinstance(one, Signal)}
            assert known <= {row[0] for row in kept}, "a signal was lost"
            counts = file.execute(
                "SELECT count(*) FROM alarms AS a WHERE a.signals <> (SELECT count(*) FROM alarm_signals WHERE alarm = a.number)"
            ).fetchone()
            assert counts == (0,)
            numbers = file.execute("SELECT count(*), coalesce(max(number), 0) FROM events").fetchone()
            assert numbers == (self.desk.last_event(),) * 2, "event numbers have a gap"
            assert file.execute("SELECT count(*) FROM parent_changes").fetchone()[0] <= len(DEVICES)


TestDeskMachine = DeskMachine.TestCase
TestDeskMachine.settings = settings(
    max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
