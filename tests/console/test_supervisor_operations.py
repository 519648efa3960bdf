"""Who sits at the desk and how it did, over a real desk."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from console.desk_figures import (
    LEVEL_WORDS,
    STEP_WORDS,
    Noise,
    busiest,
    edges,
    level_of,
    step_for,
)
from console.device_operations import Caller
from lucheng.operating import operations_of
from model.errors import AuditUnwritable, UsageError
from tests.console.conftest import START_MS, House
from tests.console.test_operations import damage_audit

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
LI, WANG = Caller("li", "operator", "socket"), Caller("wang", "operator", "socket")


def as_(house: House, who: Caller, operation: str, **arguments: Any) -> Any:
    return getattr(house.operations, operation)(who, **arguments)


def whole_life(
    house: House, number: int, *, taken_s: float, sent_s: float, there_s: float, outcome: str = "real"
) -> str:
    """An alarm of a button, each step so many seconds after the one before."""
    alarm = house.alarm(f"button/{number}", number=number)
    house.ask("alarm_shown", alarms=[alarm])
    for after_s, step, arguments in (
        (taken_s, "alarm_ack", {}),
        (sent_s, "alarm_dispatch", {"unit": "unit/1"}),
        (there_s, "alarm_arrive", {}),
        (10, "alarm_resolve", {"outcome": outcome, "reason": "seen"}),
    ):
        house.clock.advance(after_s)
        as_(house, LI, step, alarm=alarm, **arguments)
    return alarm


@pytest.fixture
def unit(house: House) -> None:
    house.ask("device_add", device="unit/1")


# -- seats --------------------------------------------------------------------------------------


def test_a_seat_is_a_page_that_is_open_or_somebody_who_acted_within_ten_minutes(house: House) -> None:
    pages = [
        {"user": "wang", "role": "operator", "since_ms": START_MS - HOUR_MS},
        {"user": "wang", "role": "operator", "since_ms": START_MS - MINUTE_MS},
        {"user": "zhou", "role": "officer", "since_ms": START_MS},
    ]
    operations = operations_of(house.rooms, sitters=lambda: pages)
    for number in range(3):
        alarm = house.alarm("button/1", ("one_key", "duress", "tamper")[number], number)
        operations.alarm_ack(LI, alarm)
    found = operations.desk_seats(WANG)
    seats = {row["user"]: row for row in found["seats"]}
    assert [seats[who]["state"] for who in ("li", "wang", "zhou")] == ["acted", "open", "open"]
    assert (seats["wang"]["pages"], seats["wang"]["since"]) == (2, "2026-11-22T07:00:00.000Z")
    assert (seats["li"]["taken_10_min"], seats["li"]["open"], seats["li"]["last_action"]) == (3, 3, "acknowledge")
    assert seats["li"]["level"] == "demanding"
    assert [seats[who]["seat"] for who in ("li", "wang", "zhou")] == [True, True, False]  # an officer looks on
    assert (found["taken"], found["last_10_min"], found["per_seat"], found["level"]) == (2, 3, 1.5, "manageable")
    house.clock.advance(11 * 60)
    pages.clear()
    later = operations.desk_seats(WANG)
    assert [(row["user"], row["state"], row["seat"]) for row in later["seats"]] == [("li", "away", False)]
    assert later["seats"][0]["open"] == 3
    house.clock.advance(13 * 3600)
    assert [row["last"] for row in operations.desk_seats(WANG)["seats"]] == [None]  # he still has three


# -- figures ------------------------------------------------------------------------------------


def test_times_are_from_receipt_and_the_share_is_of_those_with_the_promise(house: House, unit: None) -> None:
    whole_life(house, 1, taken_s=10, sent_s=20, there_s=100)
    whole_life(house, 2, taken_s=30, sent_s=30, there_s=300)  # 360 s: over
    found = house.ask("desk_figures")
    told = found["in_all"]
    assert (told["alarms"], told["kept"], told["over"], told["share"]) == (2, 1, 1, 0.5)
    assert told["acknowledge"] == {"p50": 20.0, "p95": 29.0, "worst": 30.0, "count": 2}
    assert (told["dispatch"]["worst"], told["arrive"]["worst"], told["arrive"]["p50"]) == (60.0, 360.0, 245.0)
    assert (found["promise_s"], found["cut"]) == (300, False)


def test_a_lap_that_is_over_keeps_its_times_when_the_alarm_comes_again(house: House, unit: None) -> None:
    alarm = whole_life(house, 1, taken_s=10, sent_s=20, there_s=30)
    as_(house, WANG, "alarm_close", alarm=alarm, reason="seen")
    house.clock.advance(60)
    house.alarm("button/1", number=7)  # within 15 minutes: a new lap
    told = house.ask("desk_figures")["in_all"]
    assert (told["alarms"], told["kept"]) == (2, 1)
    assert (told["acknowledge"]["worst"], told["dispatch"]["worst"], told["arrive"]["worst"]) == (10.0, 30.0, 60.0)


def test_an_alarm_that_was_taken_before_it_was_shown_counts_from_receipt(house: House, unit: None) -> None:
    alarm = house.alarm("button/1")
    house.clock.advance(40)
    as_(house, LI, "alarm_ack", alarm=alarm)
    house.clock.advance(100)
    house.ask("alarm_shown", alarms=[alarm])
    as_(house, LI, "alarm_dispatch", alarm=alarm, unit="unit/1")
    house.clock.advance(10)
    as_(house, LI, "alarm_arrive", alarm=alarm)
    told = house.ask("desk_figures")["in_all"]
    assert (told["acknowledge"]["worst"], told["dispatch"]["worst"], told["arrive"]["worst"]) == (40.0, 140.0, 150.0)


def test_load_is_alarms_in_ten_minutes_for_each_who_acted(house: House) -> None:
    for number in range(12):
        alarm = house.alarm(f"taxi/B{number:04d}", "overspeed", number)
        as_(house, (LI, WANG)[number % 2], "alarm_ack", alarm=alarm)
        house.clock.advance(20)
    found = house.ask("desk_figures", by="hour")
    (row,) = [one for one in found["rows"] if one["alarms"]]
    assert (row["time"], row["alarms"], row["seats"], row["peak_10_min"]) == ("2026-11-22T08:00:00.000Z", 12, 2, 12)
    assert (row["peak_per_seat"], row["peak_level"]) == (6.0, "over")
    assert len(found["rows"]) == 25  # the hour that began a day ago, and the one that runs
    quiet = found["rows"][0]
    assert (quiet["alarms"], quiet["seats"], quiet["level"]) == (0, 0, "acceptable")
    (flood,) = found["floods"]
    assert (flood["alarms"], flood["peak_10_min"], flood["kinds"]) == (12, 12, {"overspeed": 12})


def test_days_are_those_of_the_city(house: House) -> None:
    house.alarm("button/1")
    found = house.ask("desk_figures", by="day")
    assert [row["time"] for row in found["rows"]][-1] == "2026-11-21T16:00:00.000Z"  # midnight in Baotou
    assert found["rows"][-1]["alarms"] == 1
    shanghai, berlin = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
    assert np.diff(edges(START_MS, START_MS + 3 * DAY_MS, "day", shanghai)).tolist() == [DAY_MS] * 4
    moved = edges(1_792_800_000_000, 1_792_800_000_000 + 2 * DAY_MS, "day", berlin)  # the clock goes back on 25 October
    assert 25 * HOUR_MS in np.diff(moved).tolist()


def test_the_noisiest_devices_come_with_how_their_alarms_ended_and_what_to_do(house: House) -> None:
    for number in range(6):
        alarm = house.alarm("taxi/B0001", "overspeed", number)
        as_(house, LI, "alarm_ack", alarm=alarm)
        as_(house, LI, "alarm_resolve", alarm=alarm, outcome="false", reason="the limit is wrong")
        as_(house, LI, "alarm_close", alarm=alarm, reason="seen")
        house.clock.advance(16 * 60)
    house.alarm("button/1")
    devices = house.ask("desk_figures")["devices"]
    assert [(row["device"], row["alarms"], row["step"]) for row in devices] == [
        ("taxi/B0001", 6, "shelve"),
        ("button/1", 1, "none"),
    ]
    assert (devices[0]["outcomes"], devices[0]["kinds"], devices[0]["signals"]) == ({"false": 6}, {"overspeed": 6}, 6)


@pytest.mark.parametrize(
    ("alarms", "outcomes", "severity", "step"),
    [
        (4, {"false": 4}, 3, "none"),
        (5, {"real": 3, "false": 2}, 3, "none"),
        (8, {"test": 6, "false": 2}, 1, "announce"),
        (6, {"false": 5, "real": 1}, 3, "shelve"),
        (6, {"unfounded": 5, "real": 1}, 1, "look"),
        (12, {"false": 6, "duplicate": 5}, 1, "retire"),
        (12, {"false": 8, "real": 3}, 2, "shelve"),
        (30, {}, 3, "shelve"),
        (30, {}, 1, "look"),
    ],
)
def test_what_to_do_goes_by_how_alarms_ended(alarms: int, outcomes: dict[str, int], severity: int, step: str) -> None:
    assert step_for(Noise(alarms, {}, outcomes, severity)) == step
    assert step in STEP_WORDS


def test_levels_are_those_of_eemua_191() -> None:
    told = {0.0: "acceptable", 1.0: "acceptable", 1.1: "manageable", 2.0: "manageable", 5.0: "demanding", 5.1: "over"}
    assert {rate: level_of(rate) for rate in told} == told
    assert [level_of(rate) for rate in (10.0, 10.1, 1e9)] == ["over", "unacceptable", "unacceptable"]
    assert set(LEVEL_WORDS) == {"acceptable", "manageable", "demanding", "over", "unacceptable"}


def test_the_busiest_ten_minutes_are_any_ten_not_those_of_the_clock() -> None:
    times = np.array([0, 595_000, 600_000, 604_000, 1_194_999, 1_195_000])
    assert busiest(times) == 4  # from 595,000 on; what came a whole ten minutes later is out
    assert busiest(np.array([], np.int64)) == 0


def test_a_window_is_bounded_and_the_figures_are_audited_before_they_are_told(house: House) -> None:
    with pytest.raises(UsageError, match="8 days at most"):
        house.ask("desk_figures", from_ms=START_MS - 9 * DAY_MS)
    with pytest.raises(UsageError, match="before it begins"):
        house.ask("desk_figures", from_ms=START_MS, to_ms=START_MS)
    house.ask("desk_figures", by="day", from_ms=START_MS - 90 * DAY_MS)
    assert ("read.desk_figures", "*", "") in house.actions()
    damage_audit(house)
    with pytest.raises(AuditUnwritable):
        house.ask("desk_figures")


def test_what_a_rule_put_out_of_sight_is_no_load(house: House) -> None:
    alarm = house.alarm("taxi/B0001", "offline")
    house.rooms.desk.suppress(alarm, "a test")
    assert house.ask("desk_figures")["in_all"]["alarms"] == 0


def test_what_is_shelved_now_is_asked_for_by_itself(house: House) -> None:
    shelved = house.alarm("taxi/B0001", "overspeed")
    as_(house, LI, "alarm_shelve", alarm=shelved, reason="the limit is wrong", minutes=30)
    house.alarm("taxi/B0002", "overspeed", 2)
    out = house.alarm("taxi/B0003", "offline", 3)
    house.rooms.desk.suppress(out, "a test")
    assert [row["alarm"] for row in house.ask("alarm_list", side="shelved", folded=False)] == [shelved]
    assert [row["alarm"] for row in house.ask("alarm_list", side="suppressed", folded=False)] == [out]
    with pytest.raises(UsageError):
        house.ask("alarm_list", side="hidden")
    house.clock.advance(31 * 60)
    assert house.ask("alarm_list", side="shelved", folded=False) == []
