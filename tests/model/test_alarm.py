"""The alarm's transitions: the table, who won, the clocks, and a state machine over all of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from model import alarm as desk
from model.alarm import Action, Alarm, Condition, Outcome, Side, Work
from model.errors import Conflict, LuchengError, Refused, UsageError
from model.signal import Signal

T0 = 1_760_000_000_000
MINUTE_MS = 60_000


def _signal(at_ms: int = T0, *, kind: str = "sos", late: bool = False, number: int = 1) -> Signal:
    return Signal(f"s{number}", "taxi/1", kind, "bit", at_ms - 500, at_ms, None, None, 1, late, "", 1)


def _alarm(kind: str = "sos", **more: bool) -> Alarm:
    return desk.raised("a1", _signal(kind=kind, **more))


def test_the_whole_way_stores_every_clock() -> None:
    one = desk.shown(_alarm(), T0 + 400)
    one = desk.acknowledged(one, one.version, "li", T0 + 5_400)
    one = desk.dispatched(one, one.version, "li", "unit/7", T0 + 20_400, eta_ms=T0 + 200_000)
    one = desk.arrived(one, one.version, "li", T0 + 240_400)
    one = desk.cleared(one, T0 + 250_000)
    one = desk.resolved(one, one.version, "li", Outcome.REAL, T0 + 600_000, reason="driver safe")
    one = desk.closed(one, one.version, "wang", T0 + 700_000)
    assert (one.to_receive_ms, one.to_show_ms, one.to_acknowledge_ms) == (500, 400, 5_000)
    assert (one.to_dispatch_ms, one.to_scene_ms, one.total_ms) == (15_000, 220_000, 600_000)
    assert (one.response_ms, one.breached, one.work) == (240_400, False, Work.CLOSED)
    assert (one.owner, one.unit, one.reviewer, one.outcome) == ("li", "unit/7", "wang", Outcome.REAL)
    assert one.version == 8


def test_the_300_second_clock_breaks_one_millisecond_after_it() -> None:
    one = _alarm()
    assert not desk.overdue(one, T0 + 300_000)
    assert desk.overdue(one, T0 + 300_001)
    one = desk.acknowledged(one, one.version, "li", T0 + 1)
    one = desk.dispatched(one, one.version, "li", "unit/7", T0 + 2)
    assert desk.arrived(one, one.version, "li", T0 + 300_000).breached is False
    there = desk.arrived(one, one.version, "li", T0 + 300_001)
    assert there.breached is True
    assert there.running_ms(T0 + 999_999) == 300_001
    assert not desk.overdue(there, T0 + 999_999)


def test_of_two_operators_one_wins_and_the_other_is_told_who() -> None:
    seen = _alarm()
    won = desk.acknowledged(seen, seen.version, "li", T0 + 1_000)
    with pytest.raises(Conflict, match="li was first: acknowledge"):
        desk.acknowledged(won, seen.version, "wang", T0 + 1_001)


def test_an_active_alarm_closes_only_with_a_reason() -> None:
    one = _alarm()
    one = desk.acknowledged(one, one.version, "li", T0)
    one = desk.resolved(one, one.version, "li", Outcome.FALSE, T0)
    with pytest.raises(Refused, match="still holds"):
        desk.closed(one, one.version, "li", T0)
    assert desk.closed(one, one.version, "li", T0, reason="button stuck").reason == "button stuck"


def test_a_cleared_sos_stays_on_the_list_and_never_settles() -> None:
    one = desk.cleared(_alarm(), T0 + 1_000)
    assert one.is_listed(T0 + 10**9)
    assert one.work is Work.NEW
    with pytest.raises(Refused, match="human"):
        desk.settled(one, T0 + 10**9)


def test_a_technical_alarm_settles_after_clear_and_hold_off() -> None:
    one = _alarm("antenna_cut")
    with pytest.raises(Refused):
        desk.settled(one, T0 + 10**9)
    one = desk.cleared(one, T0 + 1_000)
    with pytest.raises(Refused):
        desk.settled(one, T0 + 60_999)
    done = desk.settled(one, T0 + 61_000)
    assert (done.work, done.outcome, done.changed_by) == (Work.RESOLVED, None, desk.SYSTEM)


def _closed() -> Alarm:
    one = _alarm()
    one = desk.acknowledged(one, one.version, "li", T0 + 1)
    one = desk.resolved(one, one.version, "li", Outcome.UNFOUNDED, T0 + 2)
    return desk.closed(one, one.version, "li", T0 + 3, reason="nobody there")


def test_a_signal_within_15_minutes_of_closing_opens_again_with_a_new_lap() -> None:
    shut = _closed()
    at = T0 + 3 + 15 * MINUTE_MS
    again = desk.signalled(shut, _signal(at, number=2), at)
    assert (again.work, again.lap, again.signals, again.condition) == (Work.NEW, 2, 2, Condition.ACTIVE)
    assert (again.owner, again.outcome, again.acknowledged_ms, again.received_ms) == ("", None, 0, at)
    assert again.version == shut.version + 1
    assert not desk.takes(shut, _signal(at + 1))
    with pytest.raises(Refused, match="too long ago"):
        desk.signalled(shut, _signal(at + 1), at + 1)


def test_a_second_press_counts_on_the_same_alarm_and_keeps_the_work() -> None:
    one = _alarm()
    one = desk.acknowledged(one, one.version, "li", T0 + 1)
    again = desk.signalled(desk.cleared(one, T0 + 2), _signal(T0 + 3, number=2), T0 + 3)
    assert (again.work, again.owner, again.signals, again.last_signal) == (Work.ACKNOWLEDGED, "li", 2, "s2")
    assert (again.condition, again.lap, again.received_ms) == (Condition.ACTIVE, 1, T0)


def test_a_late_alarm_has_no_promise_until_a_live_signal_comes() -> None:
    old = _alarm(late=True)
    assert not desk.overdue(old, T0 + 10**9)
    live = desk.signalled(old, _signal(T0 + 9, number=2), T0 + 9)
    assert (live.late, live.lap, live.received_ms) == (False, 2, T0 + 9)
    assert desk.overdue(live, T0 + 9 + 300_001)


def test_severity_1_is_never_suppressed_and_comes_back_in_sight_with_a_signal() -> None:
    one = _alarm()
    with pytest.raises(Refused, match="never put away"):
        desk.suppressed(one, "flood", T0)
    hidden = desk.shelved(one, one.version, "li", T0 + MINUTE_MS, "known fault", T0)
    assert not hidden.is_listed(T0 + MINUTE_MS - 1)
    assert hidden.is_listed(T0 + MINUTE_MS)
    assert desk.signalled(hidden, _signal(T0 + 5, number=2), T0 + 5).side is Side.NONE


def test_a_rule_puts_a_technical_alarm_out_of_sight_and_an_operator_brings_it_back() -> None:
    hidden = desk.suppressed(_alarm("offline"), "site down", T0)
    assert not hidden.is_listed(T0 + 10**12)
    assert desk.restored(hidden, hidden.version, "li", T0).is_listed(T0)


def test_a_setting_may_raise_a_severity_and_not_lower_it() -> None:
    assert desk.raised("a", _signal(kind="offline"), severity=2).severity == 2
    assert desk.raised("a", _signal(), severity=3).severity == 1


def test_a_signal_may_raise_the_severity_and_brings_it_back_in_sight() -> None:
    hidden = desk.suppressed(_alarm("offline"), "site down", T0)
    assert desk.signalled(hidden, _signal(kind="offline", number=2), T0, severity=2).side is Side.SUPPRESSED
    urgent = desk.signalled(hidden, _signal(kind="offline", number=2), T0, severity=1)
    assert (urgent.severity, urgent.side) == (1, Side.NONE)
    assert desk.signalled(urgent, _signal(kind="offline", number=3), T0, severity=3).severity == 1


def test_what_the_table_does_not_allow_says_what_is() -> None:
    one = _alarm()
    with pytest.raises(Refused, match=r"cannot dispatch.*acknowledge"):
        desk.dispatched(one, one.version, "li", "unit/7", T0)
    with pytest.raises(UsageError, match="who"):
        desk.acknowledged(one, one.version, " ", T0)
    with pytest.raises(Refused, match="another device"):
        desk.signalled(one, replace(_signal(), device="taxi/2"), T0)
    with pytest.raises(UsageError):
        desk.raised("a", _signal(kind="no_such_kind"))


def test_every_action_and_every_work_is_in_the_table_and_in_both_languages() -> None:
    assert set(desk.TRANSITIONS) == set(Action)
    assert set(desk.WORK_WORDS) == set(Work)
    assert set(desk.OUTCOME_WORDS) == set(Outcome)


class AlarmMachine(RuleBasedStateMachine):
    """Any action at any time by anyone, on the version as it stands or an old one."""

    def __init__(self) -> None:
        super().__init__()
        self.now = T0
        self.alarm = _alarm()
        self.before = self.alarm
        self.number = 1

    def _try(self, action: Action, stale: bool) -> None:
        one, version = self.alarm, self.alarm.version - (1 if stale else 0)
        decide = {
            Action.ACKNOWLEDGE: lambda: desk.acknowledged(one, version, "li", self.now),
            Action.HAND_OVER: lambda: desk.handed_over(one, version, "li", "wang", self.now),
            Action.DISPATCH: lambda: desk.dispatched(one, version, "li", "unit/1", self.now),
            Action.ARRIVE: lambda: desk.arrived(one, version, "li", self.now),
            Action.RESOLVE: lambda: desk.resolved(one, version, "li", Outcome.TEST, self.now),
            Action.CLOSE: lambda: desk.closed(one, version, "li", self.now),
            Action.SHELVE: lambda: desk.shelved(one, version, "li", self.now + 1, "x", self.now),
            Action.RESTORE: lambda: desk.restored(one, version, "li", self.now),
        }
        happens = {
            Action.SIGNAL: lambda: desk.signalled(one, _signal(self.now, number=self.number), self.now),
            Action.CLEAR: lambda: desk.cleared(one, self.now),
            Action.SHOW: lambda: desk.shown(one, self.now),
            Action.SETTLE: lambda: desk.settled(one, self.now),
            Action.SUPPRESS: lambda: desk.suppressed(one, "flood", self.now),
        }
        try:
            self.alarm = (decide | happens)[action]()
        except LuchengError as error:
            assert error.mend  # noqa: PT017 (whether it is refused depends on the walk)
            if stale and action in decide:
                assert isinstance(error, Conflict)  # noqa: PT017 (see above)
            return
        assert not (stale and action in decide), "decided on an old version"
        unchanged = self.alarm is one and action in (Action.CLEAR, Action.SHOW)
        assert unchanged or (self.alarm.version == one.version + 1 and self.alarm.changed_how is action)
        assert unchanged or self.alarm.work is desk.TRANSITIONS[action][one.work]

    @rule(action=st.sampled_from(Action), stale=st.booleans(), step_ms=st.integers(-5_000, 20 * MINUTE_MS))
    def act(self, action: Action, stale: bool, step_ms: int) -> None:
        self.before = self.alarm
        self.now += step_ms
        self.number += 1
        self._try(action, stale)

    @invariant()
    def holds(self) -> None:
        one = self.alarm
        assert one.signals >= 1
        assert one.lap >= self.before.lap
        assert one.work is not Work.CLOSED or one.closed_ms
        # One latching alarm gets to an end only through a human.
        assert one.work not in (Work.RESOLVED, Work.CLOSED) or one.acknowledged_ms
        assert one.side is not Side.SUPPRESSED, "severity 1"
        clocks = (one.to_show_ms, one.to_acknowledge_ms, one.to_dispatch_ms, one.to_scene_ms, one.response_ms)
        assert all(clock is None or clock >= 0 for clock in clocks)
        assert (one.breached is None) or one.response_ms is not None


TestAlarmMachine = AlarmMachine.TestCase
TestAlarmMachine.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
