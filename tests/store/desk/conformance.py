"""What every implementation of `model.desk.Desk` must do. An implementation joins by one subclass in a test module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from model.alarm import Condition, Outcome, Side, Work
from model.clock import FakeClock
from model.desk import AlarmFilter, CaseState, Desk, DeskAlarm, Located, UnitState
from model.errors import Conflict, NotFound, Refused, UsageError
from model.grant import Grant, Purpose
from model.signal import Clear, Signal
from store.desk.limits import DeskLimits

T0 = 1_760_000_000_000
GRANT = Grant("li", "operator", Purpose("alarm", "A-1"), None, 0, 10**15)
MINUTE_S = 60


def press(number: int, *, device: str = "button/1", kind: str = "one_key", at_ms: int = T0, **more: Any) -> Signal:
    """A signal; `more` replaces its fields."""
    one = Signal(
        f"s{number}", device, kind, "message", at_ms - 500, at_ms, 40.65, 109.84, 1 if kind == "one_key" else 3, False,
        f"note {number}", number, "", f"d{number}",
    )  # fmt: skip
    return replace(one, **more)


def gone(signal: Signal, *, at: int | None = None, time_ms: int | None = None) -> Clear:
    """The cause of a signal has gone."""
    at = signal.log_position if at is None else at
    return Clear(signal.kind, signal.device, signal.fence, time_ms or signal.time_ms + 1, at)


class CloseableDesk(Desk, Protocol):
    """A desk that lives in a folder."""

    def count(self) -> int: ...
    def close(self) -> None: ...
    def suppress(self, alarm_id: str, rule: str) -> DeskAlarm: ...


@dataclass
class Places:
    """Where signals belong; a test changes it."""

    by_device: dict[str, Located] = field(default_factory=dict)

    def __call__(self, signal: Signal) -> Located:
        return self.by_device.get(signal.device, Located(lat=signal.lat, lon=signal.lon))


#: Opens the desk of a folder: (folder, clock, places, limits); the same folder again is the same desk.
OpenDesk = Callable[[Path, FakeClock, Places, DeskLimits], CloseableDesk]


@dataclass
class House:
    """An open desk with its clock."""

    desk: CloseableDesk
    clock: FakeClock
    places: Places

    def all(self, **wanted: Any) -> list[DeskAlarm]:
        return self.desk.list_alarms(GRANT, AlarmFilter(**wanted), limit=1_000)

    def one(self) -> DeskAlarm:
        (found,) = self.all(open_only=False)
        return found

    def actions(self, alarm_id: str) -> list[str]:
        return [event.action for event in self.desk.history(GRANT, alarm_id)]

    def to_work(self, work: Work, *, unit: str = "unit/1") -> DeskAlarm:
        """Bring the only alarm to a state of work."""
        steps: list[Callable[[str, int], DeskAlarm]] = [
            lambda one, version: self.desk.acknowledge(one, version, "li"),
            lambda one, version: self.desk.dispatch(one, version, "li", unit),
            lambda one, version: self.desk.arrive(one, version, "li"),
            lambda one, version: self.desk.resolve(one, version, "li", Outcome.REAL, reason="ok"),
            lambda one, version: self.desk.close_alarm(one, version, "wang", reason="reviewed"),
        ]
        now = self.one()
        states = list(Work)
        for step in steps[states.index(now.alarm.work) : states.index(work)]:
            now = step(now.alarm.id, now.alarm.version)
        assert now.alarm.work is work
        return now


class DeskConformance:
    """Subclass it, and override `open_desk`."""

    limits = DeskLimits()

    @pytest.fixture
    def open_desk(self) -> OpenDesk:
        raise NotImplementedError

    @pytest.fixture
    def house(self, open_desk: OpenDesk, tmp_path: Path) -> Iterator[House]:
        clock, places = FakeClock(T0), Places()
        desk = open_desk(tmp_path, clock, places, self.limits)
        yield House(desk, clock, places)
        desk.close()

    # -- signals ------------------------------------------------------------------------------

    def test_a_press_is_one_alarm_and_a_known_one_changes_nothing(self, house: House) -> None:
        (event,) = house.desk.take([press(1)], consumer="alarms", position=1)
        assert (event.number, event.action, event.by, event.time_ms) == (1, "raise", "system", T0)
        assert event.alarm == house.one()
        assert house.one().alarm.id == "A2025-000001"
        assert (house.one().located.lat, house.one().alarm.severity, house.one().alarm.late) == (40.65, 1, False)
        assert house.desk.take([press(1, log_position=5)]) == []
        assert house.desk.take([press(1)], consumer="alarms", position=1) == []
        assert (house.desk.count(), house.desk.position("alarms"), house.desk.last_event()) == (1, 1, 1)

    def test_a_second_press_rings_again_on_the_same_alarm(self, house: House) -> None:
        house.desk.take([press(1)])
        house.to_work(Work.ACKNOWLEDGED)
        (event,) = house.desk.take([press(2)])
        assert event.action == "signal"
        assert event.detail["signal"] == "s2"
        assert (house.one().alarm.signals, house.one().alarm.work) == (2, Work.ACKNOWLEDGED)
        assert [one.id for one in house.desk.signals_of(GRANT, house.one().alarm.id, limit=10)] == ["s2", "s1"]

    def test_kind_device_and_fence_make_the_key(self, house: House) -> None:
        house.desk.take([press(1), press(2, device="button/2"), press(3, kind="duress"), press(4, fence="f")])
        assert len(house.all()) == 4

    def test_a_signal_of_a_file_is_kept_and_nobodys_alarm(self, house: House) -> None:
        assert house.desk.take([press(1, source="file")], consumer="points", position=3) == []
        assert (house.desk.count(), house.all(), house.desk.answers(limit=9)) == (1, [], [])
        assert house.desk.position("points") == 3

    def test_an_unknown_late_signal_is_raised_as_late_and_has_no_300_seconds(self, house: House) -> None:
        house.desk.take([press(1, late=True, time_ms=T0 - 86_400_000)])
        house.clock.advance(3_600)
        assert "breach" not in {event.action for event in house.desk.clock()}
        assert house.one().alarm.late
        assert house.desk.stats().late == 1

    def test_what_is_at_or_before_the_committed_position_is_known(self, house: House) -> None:
        house.desk.take([press(1, log_position=7)], consumer="points", position=7)
        assert house.desk.take([press(2, log_position=7)], consumer="points", position=7) == []
        assert house.desk.take([], clears=[gone(press(1), at=6)], consumer="points", position=7) == []
        assert house.one().alarm.condition is Condition.ACTIVE
        assert house.desk.take([press(2, log_position=7)], consumer="other", position=7)
        house.desk.take([], consumer="points", position=3)
        assert house.desk.position("points") == 7
        house.desk.take([], consumer="points", position=9)
        assert house.desk.position("points") == 9

    def test_a_wrong_map_does_not_stop_an_alarm(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(_places: Places, _signal: Signal) -> Located:
            raise KeyError("no such area")

        monkeypatch.setattr(Places, "__call__", broken)
        (event,) = house.desk.take([press(1)])
        assert "KeyError" in event.detail["unlocated"]
        assert house.one().located == Located(lat=40.65, lon=109.84)

    def test_a_kind_that_is_unknown_changes_nothing(self, house: House) -> None:
        with pytest.raises(UsageError):
            house.desk.take([press(1), press(2, kind="volcano")], consumer="alarms", position=2)
        assert (house.desk.count(), house.desk.position("alarms")) == (0, 0)

    def test_a_device_that_sends_odd_text_is_heard(self, house: House) -> None:
        house.desk.take([press(1, note="\ud800<script>", device_alarm_id="x\udfff")])
        assert house.desk.signals_of(GRANT, house.one().alarm.id, limit=1)[0].note == "\\ud800<script>"

    # -- clears and replays -------------------------------------------------------------------

    def test_rise_fall_rise_in_any_replay_leaves_it_active(self, house: House) -> None:
        """The third signal was committed in a piece before the crash; the replay brings the fall before it once more."""
        rise = press(1, kind="sos", device="taxi/1")
        again = press(3, kind="sos", device="taxi/1", at_ms=T0 + 20)
        fall = gone(rise, at=2)
        house.desk.take([rise, again], clears=[fall])  # as pieces before the last: nothing of the position is noted
        assert house.one().alarm.condition is Condition.ACTIVE
        house.desk.take([rise], clears=[fall], consumer="", position=0)
        assert house.one().alarm.condition is Condition.ACTIVE
        house.desk.take([again], clears=[gone(again, at=4)])
        assert house.one().alarm.condition is Condition.CLEARED

    def test_of_one_record_the_rises_come_first_unless_they_are_newer(self, house: House) -> None:
        first = press(1, log_position=5, time_ms=T0)
        house.desk.take([first], clears=[gone(first, time_ms=T0 + 10)])
        assert house.one().alarm.condition is Condition.CLEARED
        second = press(2, log_position=6, time_ms=T0 + 100)
        third = press(3, log_position=6, time_ms=T0 + 300)
        house.desk.take([second, third], clears=[gone(second, at=6, time_ms=T0 + 200)])
        assert house.one().alarm.condition is Condition.ACTIVE
        house.desk.take([], clears=[gone(third, at=6, time_ms=T0 + 400)])
        assert house.one().alarm.condition is Condition.CLEARED

    def test_a_clear_of_a_log_that_lags_does_not_clear_a_newer_press(self, house: House) -> None:
        house.desk.take([press(1, at_ms=T0 + 9_000, log_position=900)], consumer="alarms", position=900)
        old = Clear("one_key", "button/1", "", T0, 1_000)
        house.desk.take([], clears=[old], consumer="points", position=1_000)
        assert house.one().alarm.condition is Condition.ACTIVE
        house.desk.take(
            [], clears=[replace(old, time_ms=T0 + 9_000, log_position=1_001)], consumer="points", position=1_001
        )
        assert house.one().alarm.condition is Condition.CLEARED

    # -- people -------------------------------------------------------------------------------

    def test_the_whole_way_keeps_every_clock_and_every_step(self, house: House) -> None:
        house.desk.take([press(1)])
        alarm_id = house.one().alarm.id
        house.clock.advance(1)
        house.desk.shown([alarm_id, "A-unknown"])
        house.desk.shown([alarm_id])
        for work, seconds in ((Work.ACKNOWLEDGED, 4), (Work.DISPATCHED, 10), (Work.ON_SCENE, 60), (Work.RESOLVED, 90)):
            house.clock.advance(seconds)
            house.to_work(work)
        done = house.to_work(Work.CLOSED).alarm
        assert (done.to_receive_ms, done.to_show_ms, done.to_acknowledge_ms) == (500, 1_000, 4_000)
        assert (done.to_dispatch_ms, done.to_scene_ms, done.response_ms, done.total_ms) == (
            10_000,
            60_000,
            75_000,
            165_000,
        )
        assert done.breached is False
        ways = ["raise", "show", "acknowledge", "dispatch", "arrive", "resolve", "close"]
        assert house.actions(alarm_id) == ways
        history = house.desk.history(GRANT, alarm_id)
        assert [event.alarm.alarm.version for event in history] == [1, 2, 3, 4, 5, 6, 7]
        assert history[-1].alarm == house.one()
        assert (history[5].by, history[5].detail) == ("li", {"outcome": "real", "reason": "ok"})
        assert house.desk.stats().clocks_ms["to_show_ms"] == {"p50": 1_000, "p90": 1_000, "p99": 1_000, "count": 1}

    def test_of_two_operators_one_wins(self, house: House) -> None:
        house.desk.take([press(1)])
        seen = house.one().alarm
        house.desk.acknowledge(seen.id, seen.version, "li")
        with pytest.raises(Conflict, match="li was first"):
            house.desk.acknowledge(seen.id, seen.version, "wang")
        assert (house.one().alarm.owner, house.actions(seen.id)) == ("li", ["raise", "acknowledge"])

    def test_what_the_table_refuses_changes_nothing(self, house: House) -> None:
        house.desk.take([press(1)])
        one = house.one().alarm
        with pytest.raises(Refused, match="cannot dispatch"):
            house.desk.dispatch(one.id, one.version, "li", "unit/1")
        done = house.to_work(Work.RESOLVED).alarm
        with pytest.raises(Refused, match="still holds"):
            house.desk.close_alarm(done.id, done.version, "li")
        with pytest.raises(NotFound):
            house.desk.acknowledge("A-none", 1, "li")
        assert house.actions(one.id)[-1] == "resolve"

    def test_hand_over_shelve_and_restore(self, house: House) -> None:
        house.desk.take([press(1, kind="offline", device="taxi/1")])
        one = house.to_work(Work.ACKNOWLEDGED).alarm
        one = house.desk.hand_over(one.id, one.version, "li", "wang").alarm
        assert one.owner == "wang"
        one = house.desk.shelve(one.id, one.version, "wang", T0 + 10_000, "known").alarm
        assert house.all(listed_only=True) == []
        one = house.desk.restore(one.id, one.version, "wang").alarm
        house.desk.shelve(one.id, one.version, "wang", T0 + 20_000, "known")
        house.clock.advance(20)
        assert len(house.all(listed_only=True)) == 1
        assert [event.action for event in house.desk.clock()] == ["restore"]
        assert house.one().alarm.side is Side.NONE

    # -- opening again ------------------------------------------------------------------------

    def test_a_signal_soon_after_closing_opens_it_again_with_a_new_lap(self, house: House) -> None:
        house.desk.take([press(1)])
        house.clock.advance(301)
        house.desk.clock()
        house.to_work(Work.CLOSED)
        house.clock.advance(14 * MINUTE_S)
        now_ms = house.clock.now_ms()
        house.desk.take([press(2, at_ms=now_ms)])
        again = house.one()
        assert (again.alarm.lap, again.alarm.work, again.alarm.unit, again.overdue) == (2, Work.NEW, "", False)
        assert (again.rung, again.due_ms) == (0, now_ms + 30_000)
        assert house.desk.stats().breached == 1
        house.clock.advance(301)
        assert "breach" in {event.action for event in house.desk.clock()}
        assert house.desk.stats().breached == 2

    def test_a_signal_long_after_closing_is_another_alarm(self, house: House) -> None:
        house.desk.take([press(1)])
        house.to_work(Work.CLOSED)
        house.clock.advance(15 * MINUTE_S + 1)
        house.desk.take([press(2, at_ms=house.clock.now_ms())])
        assert [one.alarm.signals for one in house.all(open_only=False)] == [1, 1]
        assert len(house.all()) == 1

    # -- what time does -----------------------------------------------------------------------

    def test_the_ladder_climbs_until_somebody_acknowledges(self, house: House) -> None:
        house.desk.take([press(1)])
        assert house.desk.clock() == []
        rungs = []
        for seconds in (29, 1, 29, 1, 119, 1, 600):
            house.clock.advance(seconds)
            rungs.append([event.detail["rung"] for event in house.desk.clock() if event.action == "escalate"])
        assert rungs == [[], [1], [], [2], [], [3], []]
        assert (house.one().rung, house.one().due_ms) == (3, 0)

    def test_a_long_stop_climbs_every_rung_that_was_missed(self, house: House) -> None:
        house.desk.take([press(1)])
        house.clock.advance(3_600)
        assert [event.action for event in house.desk.clock()] == ["escalate"] * 3 + ["breach"]
        assert house.desk.clock() == []

    def test_acknowledging_stops_it_and_no_dispatch_in_time_starts_it_again(self, house: House) -> None:
        house.desk.take([press(1)])
        house.clock.advance(30)
        house.desk.clock()
        assert (house.to_work(Work.ACKNOWLEDGED).rung, house.one().due_ms) == (0, T0 + 90_000)
        house.clock.advance(59)
        assert house.desk.clock() == []
        house.clock.advance(1)
        (event,) = house.desk.clock()
        assert event.detail == {"rung": 1, "why": "not dispatched"}
        assert house.to_work(Work.DISPATCHED).due_ms == 0
        house.clock.advance(100)
        assert house.desk.clock() == []

    def test_only_what_is_severe_enough_is_escalated(self, house: House) -> None:
        house.desk.take([press(1, kind="offline", device="taxi/1")])
        house.clock.advance(3_600)
        assert house.desk.clock() == []

    def test_a_breach_is_said_once_a_lap(self, house: House) -> None:
        house.desk.take([press(1)])
        house.to_work(Work.DISPATCHED)
        house.clock.advance(300)
        assert house.desk.clock() == []
        house.clock.advance(0.001)
        assert [event.action for event in house.desk.clock()] == ["breach"]
        assert house.one().overdue
        house.clock.advance(600)
        assert house.desk.clock() == []
        assert house.to_work(Work.ON_SCENE).alarm.breached is True

    def test_a_technical_alarm_settles_and_is_closed_and_a_panic_never(self, house: House) -> None:
        low, panic = press(1, kind="low_battery", device="ebike/1"), press(2)
        house.desk.take([low, panic], clears=[gone(low), gone(panic)])
        house.clock.advance(60)
        assert [event.action for event in house.desk.clock() if event.alarm.alarm.kind == "low_battery"] == ["settle"]
        house.clock.advance(15 * MINUTE_S)
        assert "close" in [event.action for event in house.desk.clock()]
        (left,) = house.all()
        assert (left.alarm.kind, left.alarm.condition, left.alarm.work) == ("one_key", Condition.CLEARED, Work.NEW)

    def test_a_wall_clock_that_is_set_back_does_not_stop_the_ladder(self, house: House) -> None:
        house.desk.take([press(1)])
        house.desk.clock()
        house.clock.step_wall(-86_400_000)
        house.desk.clock()
        house.clock.advance(30)
        assert [event.detail.get("rung") for event in house.desk.clock()] == [1]
        house.clock.advance(271)
        assert "breach" in [event.action for event in house.desk.clock()]

    def test_a_restart_loses_nothing(self, house: House, open_desk: OpenDesk, tmp_path: Path) -> None:
        house.desk.take([press(1), press(2, kind="offline", device="taxi/1")], consumer="alarms", position=2)
        house.desk.set_unit("unit/1", "li", level=2)
        before = (house.all(), house.desk.events(0, limit=100), house.desk.units(), house.desk.answers(limit=100))
        house.desk.close()
        house.desk = open_desk(tmp_path, house.clock, house.places, self.limits)
        assert before == (
            house.all(),
            house.desk.events(0, limit=100),
            house.desk.units(),
            house.desk.answers(limit=100),
        )
        house.clock.advance(30)
        assert [event.detail["rung"] for event in house.desk.clock()] == [1]
        assert house.desk.last_event() == 3
        house.desk.take([press(9, device="button/9")])
        assert {one.alarm.id for one in house.all()} == {"A2025-000001", "A2025-000002", "A2025-000003"}
        house.desk.close()

    # -- suppression and inhibition -----------------------------------------------------------

    def test_a_rule_puts_away_and_never_severity_1(self, house: House) -> None:
        house.desk.take([press(1), press(2, kind="offline", device="taxi/1")])
        panic, technical = house.all()
        assert house.desk.suppress(technical.alarm.id, "maintenance").alarm.side is Side.SUPPRESSED
        assert [one.alarm.id for one in house.all(listed_only=True)] == [panic.alarm.id]
        with pytest.raises(Refused):
            house.desk.suppress(panic.alarm.id, "maintenance")

    def _family(self, house: House, children: int = 3) -> list[Signal]:
        for number in range(children):
            house.places.by_device[f"camera/{number}"] = Located(area="a", parents=("gateway/1", "gateway/2"))
        return [press(100 + n, kind="offline", device=f"camera/{n}") for n in range(children)]

    def _sides(self, house: House) -> dict[str, str]:
        return {one.alarm.device: one.alarm.side_reason for one in house.all() if one.alarm.device.startswith("camera")}

    def test_children_of_what_is_down_are_put_away_and_come_back(self, house: House) -> None:
        children = self._family(house)
        house.desk.take(children[:2])
        parent = press(1, kind="power_cut", device="gateway/1")
        house.desk.take([parent])
        house.desk.take(children[2:])
        assert set(self._sides(house).values()) == {"inhibited:gateway/1"}
        assert len(self._sides(house)) == 3
        assert [one.alarm.device for one in house.all(listed_only=True)] == ["gateway/1"]
        assert house.actions(house.all(devices=("camera/2",))[0].alarm.id) == ["raise", "suppress"]
        house.desk.take([], clears=[gone(children[0], at=200)])
        house.desk.take([], clears=[gone(parent, at=300)])
        assert self._sides(house) == {"camera/0": "inhibited:gateway/1", "camera/1": "", "camera/2": ""}
        assert {one.alarm.device for one in house.all(listed_only=True)} == {"gateway/1", "camera/1", "camera/2"}

    def test_children_stay_away_while_another_parent_is_down(self, house: House) -> None:
        children = self._family(house)
        one, two = (press(n, kind="offline", device=f"gateway/{n}") for n in (1, 2))
        house.desk.take([one, two, *children])
        house.desk.take([], clears=[gone(one, at=200)])
        assert set(self._sides(house).values()) == {"inhibited:gateway/2"}
        house.desk.take([], clears=[gone(two, at=201)])
        assert set(self._sides(house).values()) == {""}

    def test_children_come_back_when_the_parents_alarm_is_closed(self, house: House) -> None:
        house.desk.take([*self._family(house), press(1, kind="offline", device="gateway/1")])
        (parent,) = house.all(devices=("gateway/1",))
        one = parent.alarm
        one = house.desk.acknowledge(one.id, one.version, "li").alarm
        one = house.desk.resolve(one.id, one.version, "li", Outcome.REAL).alarm
        house.desk.close_alarm(one.id, one.version, "li", reason="replaced")
        assert set(self._sides(house).values()) == {"inhibited:gateway/1"}
        assert {event.action for event in house.desk.clock()} == {"restore"}
        assert set(self._sides(house).values()) == {""}

    def test_more_children_than_one_transaction(self, house: House) -> None:
        children = self._family(house, 120)
        house.desk.take(children)
        house.desk.take([press(1, kind="offline", device="gateway/1")])
        assert set(self._sides(house).values()) == {"inhibited:gateway/1"}
        assert house.desk.stats().last_10_min == 1

    # -- answers ------------------------------------------------------------------------------

    def test_the_device_is_told_each_step(self, house: House) -> None:
        house.desk.take([press(1), press(2, source="bit", device_alarm_id="", device="taxi/1", kind="sos")])
        house.desk.take([press(3, source="rule:offline", kind="offline", device="taxi/3")])
        told = house.desk.answers(limit=10)
        assert [(one.device, one.alarm_id, one.state) for one in told] == [
            ("button/1", "d1", "received"),
            ("taxi/1", "s2", "received"),
        ]
        house.desk.answered([one.number for one in told])
        assert house.desk.answers(limit=10) == []
        (mine,) = house.all(devices=("button/1",))
        house.desk.acknowledge(mine.alarm.id, mine.alarm.version, "li")
        house.desk.take([press(4)])
        told = house.desk.answers(limit=10)
        assert [(one.alarm_id, one.state) for one in told] == [
            ("d1", "acknowledged"),
            ("d4", "received"),
            ("d4", "acknowledged"),
        ]
        assert min(one.number for one in told) > 2

    # -- units --------------------------------------------------------------------------------

    def test_a_unit_goes_with_its_alarm(self, house: House) -> None:
        house.desk.set_unit("unit/1", "li", level=1)
        house.desk.take([press(1)])
        alarm_id = house.one().alarm.id
        states = []
        for work in (Work.ACKNOWLEDGED, Work.DISPATCHED, Work.ON_SCENE, Work.RESOLVED):
            house.to_work(work)
            (unit,) = house.desk.units()
            states.append((unit.state, unit.alarm))
        assert states == [
            (UnitState.FREE, ""),
            (UnitState.ON_THE_WAY, alarm_id),
            (UnitState.ON_SCENE, alarm_id),
            (UnitState.FREE, ""),
        ]
        assert unit.level == 1

    def test_a_unit_that_is_off_duty_or_elsewhere_is_refused(self, house: House) -> None:
        house.desk.take([press(1), press(2, device="button/2")])
        first, second = (house.desk.acknowledge(one.alarm.id, 1, "li").alarm for one in house.all())
        house.desk.set_unit("unit/9", "li", state=UnitState.OFF_DUTY)
        with pytest.raises(Refused, match="unit/9 is off duty"):
            house.desk.dispatch(first.id, first.version, "li", "unit/9")
        first = house.desk.dispatch(first.id, first.version, "li", "unit/1").alarm
        with pytest.raises(Refused, match=f"unit/1 is on alarm {first.id}"):
            house.desk.dispatch(second.id, second.version, "li", "unit/1")
        assert house.desk.get(GRANT, second.id).alarm == second
        house.desk.dispatch(first.id, first.version, "li", "unit/2")
        assert [(one.device, one.state) for one in house.desk.units()] == [
            ("unit/1", UnitState.FREE),
            ("unit/2", UnitState.ON_THE_WAY),
            ("unit/9", UnitState.OFF_DUTY),
        ]

    def test_an_alarm_whose_unit_leaves_is_escalated(self, house: House) -> None:
        house.desk.take([press(1)])
        house.to_work(Work.DISPATCHED)
        house.desk.set_unit("unit/1", "wang", state=UnitState.OFF_DUTY)
        assert house.actions(house.one().alarm.id)[-1] == "unit"
        house.clock.advance(30)
        assert [event.detail["why"] for event in house.desk.clock()] == ["no unit on its way"]
        with pytest.raises(Refused, match="Dispatch it"):
            house.desk.set_unit("unit/1", "wang", state=UnitState.ON_SCENE)
        with pytest.raises(UsageError):
            house.desk.set_unit("unit/1", "wang", level=4)

    # -- cases --------------------------------------------------------------------------------

    def test_a_case_goes_forward_alone_and_is_tracked_by_itself(self, house: House) -> None:
        case = house.desk.report_stolen("ebike/1", "R-7", "li", note="red one")
        assert (case.id, case.state, case.steps[0].note) == ("C2025-000001", CaseState.REPORTED, "red one")
        with pytest.raises(Conflict, match="C2025-000001"):
            house.desk.report_stolen("ebike/1", "R-8", "li")
        house.desk.move_case(case.id, CaseState.STOLEN, "li")
        for number in (1, 2):
            house.desk.take([press(number, device="ebike/1", kind="stolen_seen", source="rule:stolen")])
        case = house.desk.case(case.id)
        assert [(step.state, step.by) for step in case.steps] == [
            (CaseState.REPORTED, "li"),
            (CaseState.STOLEN, "li"),
            (CaseState.TRACKED, "system"),
        ]
        with pytest.raises(Refused, match="only goes forward"):
            house.desk.move_case(case.id, CaseState.STOLEN, "li")
        house.desk.move_case(case.id, CaseState.RECOVERED, "li")
        house.desk.move_case(case.id, CaseState.CLOSED, "li", note="given back")
        assert house.desk.cases() == []
        again = house.desk.report_stolen("ebike/1", "R-9", "li")
        assert [one.id for one in house.desk.cases(open_only=False, device="ebike/1")] == [again.id, case.id]
        with pytest.raises(NotFound):
            house.desk.case("C-none")

    def test_a_case_is_handed_over_and_keeps_to_whom(self, house: House) -> None:
        case = house.desk.report_stolen("ebike/1", "R-7", "li")
        given = house.desk.hand_case_over(case.id, "sun", "li", note="seen at the bridge", version=1)
        assert (given.officer, given.state, given.version) == ("sun", CaseState.REPORTED, 2)
        assert (given.steps[-1].by, given.steps[-1].to, given.steps[-1].note) == ("li", "sun", "seen at the bridge")
        moved = house.desk.move_case(case.id, CaseState.STOLEN, "sun", version=2)
        assert (moved.officer, moved.steps[-1].to) == ("sun", "")
        assert house.desk.case(case.id) == moved
        with pytest.raises(Conflict, match="sun was first"):
            house.desk.hand_case_over(case.id, "zhao", "li", version=2)
        with pytest.raises(Refused, match="already"):
            house.desk.hand_case_over(case.id, "sun", "li")
        for officer, error in (("", UsageError), ("s" * 65, UsageError)):
            with pytest.raises(error):
                house.desk.hand_case_over(case.id, officer, "li")
        house.desk.move_case(case.id, CaseState.CLOSED, "sun")
        with pytest.raises(Refused, match="closed"):
            house.desk.hand_case_over(case.id, "zhao", "li")
        with pytest.raises(NotFound):
            house.desk.hand_case_over("C-none", "zhao", "li")

    # -- reads and events ---------------------------------------------------------------------

    def test_filters(self, house: House) -> None:
        house.places.by_device["taxi/1"] = Located(area="north")
        house.desk.take(
            [press(1), press(2, kind="offline", device="taxi/1"), press(3, kind="overspeed", device="taxi/2")]
        )
        kinds = {
            (): dict[str, Any](),
            ("offline",): {"areas": ("north",)},
            ("one_key",): {"severity": 1},
            ("overspeed",): {"kinds": ("overspeed", "fatigue")},
            ("offline", "overspeed"): {"devices": ("taxi/1", "taxi/2")},
        }
        for wanted, asked in kinds.items():
            found = {one.alarm.kind for one in house.all(**asked)}
            assert found == (set(wanted) or {"one_key", "offline", "overspeed"})
        assert house.all(since_ms=T0 + 1) == house.all(work="closed") == []
        assert house.all()[0].alarm.severity == 1
        for limit in (0, 10_001):
            with pytest.raises(UsageError):
                house.desk.list_alarms(GRANT, AlarmFilter(), limit=limit)
        assert house.desk.ids_like("A2025-", limit=2) == ["A2025-000003", "A2025-000002"]
        assert house.desk.ids_like("A%", limit=2) == []

    def test_a_grant_covers_or_it_is_refused(self, house: House) -> None:
        house.desk.take([press(1)])
        other = replace(GRANT, devices=frozenset(["taxi/1"]))
        alarm_id = house.one().alarm.id
        for read in (
            lambda: house.desk.get(other, alarm_id),
            lambda: house.desk.history(other, alarm_id),
            lambda: house.desk.signals_of(other, alarm_id, limit=1),
            lambda: house.desk.list_alarms(other, AlarmFilter(), limit=1),
            lambda: house.desk.list_alarms(replace(GRANT, from_ms=T0), AlarmFilter(since_ms=5), limit=1),
        ):
            with pytest.raises(Refused):
                read()

    def test_how_far_people_are(self, house: House) -> None:
        first, second = (house.desk.take([press(n, device=f"button/{n}")])[-1].alarm.alarm for n in (1, 2))
        house.desk.acknowledge(first.id, first.version, "li")
        assert house.desk.works([first.id, second.id, "A0"]) == {first.id: Work.ACKNOWLEDGED, second.id: Work.NEW}
        assert house.desk.works([]) == {}

    def test_events_come_in_order_from_memory_and_from_the_file(self, house: House) -> None:
        for number in range(1, 8):
            house.desk.take([press(number, device=f"button/{number}")])
        assert [event.number for event in house.desk.events(0, limit=100)] == [1, 2, 3, 4, 5, 6, 7]
        assert [event.number for event in house.desk.events(2, limit=3)] == [3, 4, 5]
        assert house.desk.events(7, limit=3) == []
        assert house.desk.wait_events(6, 5.0)
        assert not house.desk.wait_events(7, 0.01)

    def test_the_open_alarm_of_a_device(self, house: House) -> None:
        kinds = ("one_key", "tamper")
        assert house.desk.open_alarm("button/1", kinds) == ""
        house.desk.take([press(1, device="button/1", kind="tamper"), press(2, device="button/1")])
        wanted = {one.alarm.kind: one.alarm.id for one in house.all()}
        assert house.desk.open_alarm("button/1", kinds) == wanted["one_key"]
        assert house.desk.open_alarm("button/1", kinds[::-1]) == wanted["tamper"]
        assert house.desk.open_alarm("button/1", ("sos",)) == house.desk.open_alarm("button/2", kinds) == ""

    def test_who_asked_is_told_of_every_change_until_it_ends(self, house: House) -> None:
        told: list[int] = []
        end = house.desk.tell_events(lambda: told.append(house.desk.last_event()))
        house.desk.take([press(1)])
        (one,) = house.all()
        house.desk.acknowledge(one.alarm.id, one.alarm.version, "li")
        assert told == [1, 2]
        end()
        house.desk.take([press(2, device="button/2")])
        assert told == [1, 2]

    def test_stats(self, house: House) -> None:
        house.desk.take([press(n, device=f"button/{n}") for n in range(11)] + [press(90, kind="offline", device="t/1")])
        one = house.all(devices=("button/3",))[0].alarm
        house.desk.acknowledge(one.id, one.version, "li")
        stats = house.desk.stats()
        assert (stats.open, stats.by_work) == ({1: 11, 3: 1}, {"new": 11, "acknowledged": 1})
        assert (stats.last_10_min, stats.flood) == (12, True)
        house.clock.advance(601)
        assert (house.desk.stats().last_10_min, house.desk.stats().flood) == (0, False)
