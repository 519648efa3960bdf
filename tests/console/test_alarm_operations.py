"""Operations on alarms, units and cases over a real desk: who may see what, who was first, and what the audit has."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from console.device_operations import Caller
from model.alarm import SYSTEM
from model.desk import DeskAlarm
from model.errors import AuditUnwritable, Conflict, LuchengError, NotFound, Refused, UsageError
from tests.console.conftest import START_MS, House
from tests.console.test_operations import EVIL, WINDOW, damage_audit

MINUTE_MS = 60_000
PLACE = "40.65"
LI, WANG = Caller("li", "operator", "socket"), Caller("wang", "operator", "socket")


def as_(house: House, who: Caller, operation: str, **arguments: Any) -> Any:
    return getattr(house.operations, operation)(who, **arguments)


def audited(house: House, action: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(who, target, detail) of every row of `action`, oldest first."""
    rows = house.rooms.audit.rows(limit=10_000)
    return [(row.who, row.target, dict(row.detail)) for row in rows if row.action == action]


@pytest.fixture
def unit(house: House) -> str:
    house.ask("device_add", device="unit/7")
    return "unit/7"


# -- one alarm's life -------------------------------------------------------------------------


def test_an_alarm_from_press_to_closed_each_step_audited_first(house: House, unit: str) -> None:
    alarm = house.alarm("button/1")
    (row,) = house.ask("alarm_list")
    assert (row["alarm"], row["kind"], row["severity"], row["work"]) == (alarm, "one_key", 1, "new")
    assert (row["lat"], row["remaining_s"], row["place_hidden"]) == (40.65, 300, False)
    house.ask("alarm_shown", alarms=[alarm])
    house.clock.advance(10)
    assert as_(house, LI, "alarm_ack", alarm=alarm)["owner"] == "li"
    sent = as_(house, LI, "alarm_dispatch", alarm=alarm, unit=unit, eta_minutes=2.5)
    assert (sent["work"], sent["unit"], sent["eta"]) == ("dispatched", unit, "2026-11-22T08:02:40.000Z")
    assert house.ask("unit_list")[0] == {**house.ask("unit_list")[0], "state": "on_the_way", "alarm": alarm}
    house.clock.advance(80)
    there = as_(house, LI, "alarm_arrive", alarm=alarm)
    assert (there["response_ms"], there["remaining_s"], there["breached"]) == (90_000, 210, False)
    assert as_(house, LI, "alarm_resolve", alarm=alarm, outcome="false", reason="a child")["outcome"] == "false"
    with pytest.raises(Refused, match="still holds"):
        as_(house, WANG, "alarm_close", alarm=alarm)
    done = as_(house, WANG, "alarm_close", alarm=alarm, reason="checked by phone")
    assert (done["work"], done["reviewer"]) == ("closed", "wang")
    assert house.ask("alarm_list") == []
    assert [one["alarm"] for one in house.ask("alarm_list", all=True)] == [alarm]
    for action, who in (("acknowledge", "li"), ("dispatch", "li"), ("arrive", "li"), ("resolve", "li")):
        ((by, target, detail),) = audited(house, f"alarm.{action}")
        assert (by, target, detail["via"]) == (who, alarm, "socket")
        assert detail["version"] >= 1
    assert [by for by, _, _ in audited(house, "alarm.close")] == ["wang", "wang"]
    assert [detail["tried"] for _, _, detail in audited(house, "alarm.refused")] == ["close"]


def test_an_alarm_with_all_that_belongs_to_it(house: House) -> None:
    alarm = house.alarm("button/1")
    house.alarm("button/1", number=2)
    as_(house, LI, "alarm_ack", alarm=alarm)
    found = house.ask("alarm_show", alarm=alarm, purpose="case:K-1")
    assert [signal["note"] for signal in found["signals_kept"]] == ["note", "note"]
    assert [step["action"] for step in found["history"]][-1] == "acknowledge"
    assert found["history"][-1]["by"] == "li"
    assert set(found["clocks_ms"]) >= {"to_show_ms", "to_acknowledge_ms"}
    json.dumps(found)
    assert ("read.alarm", alarm, "case:K-1") in house.actions()


def test_an_id_may_be_its_unique_beginning(house: House) -> None:
    first, second = house.alarm("button/1"), house.alarm("button/2", number=2)
    assert house.ask("alarm_show", alarm=first)["alarm"] == first
    shared = 0
    while first[shared] == second[shared]:
        shared += 1
    assert house.ask("alarm_show", alarm=second[: shared + 1])["alarm"] == second
    with pytest.raises(UsageError, match="More than one"):
        house.ask("alarm_show", alarm=first[:shared])
    with pytest.raises(NotFound):
        house.ask("alarm_ack", alarm=first + "9")
    for bad in ("", "x" * 65, "%", "_", *EVIL):
        with pytest.raises((UsageError, NotFound)):
            house.ask("alarm_ack", alarm=bad)


def test_shelved_and_back(house: House) -> None:
    alarm = house.alarm("button/1")
    as_(house, LI, "alarm_shelve", alarm=alarm, minutes=5, reason="works on the line")
    assert house.ask("alarm_list") == []
    (row,) = house.ask("alarm_list", all=True)
    assert (row["side"], row["shelved_until"]) == ("shelved", "2026-11-22T08:05:00.000Z")
    as_(house, LI, "alarm_restore", alarm=alarm)
    assert [one["side"] for one in house.ask("alarm_list")] == [""]
    as_(house, LI, "alarm_shelve", alarm=alarm, until_ms=START_MS + MINUTE_MS, reason="again")
    for wrong in ({}, {"minutes": 5, "until_ms": START_MS + 1}, {"minutes": 0}, {"minutes": -1}, {"minutes": 1e9}):
        with pytest.raises(UsageError):
            as_(house, LI, "alarm_shelve", alarm=alarm, reason="x", **wrong)


def test_the_list_by_filter(house: House) -> None:
    square = [[[109.8, 40.6], [109.9, 40.6], [109.9, 40.7], [109.8, 40.7], [109.8, 40.6]]]
    features = [
        {
            "type": "Feature",
            "properties": {"id": name, "name": name, "level": level, "parent": parent},
            "geometry": {"type": "Polygon", "coordinates": square},
        }
        for name, level, parent in (("city", "city", ""), ("b1", "branch", "city"), ("st1", "station", "b1"))
    ]
    house.ask("jurisdiction_import", data=json.dumps({"type": "FeatureCollection", "features": features}).encode())
    one = house.alarm("button/1")
    two = house.alarm("taxi/1", kind="overspeed", number=2)

    def ids(**wanted: Any) -> set[str]:
        return {row["alarm"] for row in house.ask("alarm_list", **wanted)}

    assert ids() == {one, two}
    assert ids(kind="overspeed") == ids(device="taxi/1") == {two}
    assert ids(severity=1) == {one}
    assert ids(work="new") == {one, two}
    assert ids(work="closed", all=True) == set()
    assert ids(since_ms=START_MS + MINUTE_MS) == set()
    assert ids(area="st1") == ids(area="city") == {row["alarm"] for row in house.ask("alarm_list")} & ids(area="b1")
    for wrong in ({"kind": "x"}, {"work": "x"}, {"device": "x"}, {"limit": 0}):
        with pytest.raises(UsageError):
            house.ask("alarm_list", **wrong)
    with pytest.raises(NotFound):
        house.ask("alarm_list", area="nowhere")


@pytest.mark.parametrize("evil", EVIL)
def test_s9_no_filter_reaches_the_query(house: House, evil: str) -> None:
    alarm = house.alarm("button/1")
    for name in ("kind", "device", "area", "work", "purpose"):
        with pytest.raises(LuchengError):
            house.ask("alarm_list", **{name: evil})
    for operation, arguments in (
        ("ebike_case", {"case": evil}),
        ("ebike_cases", {"device": evil}),
        ("unit_set", {"unit": evil, "level": 1}),
        ("unit_list", {"state": evil}),
        ("alarm_resolve", {"alarm": alarm, "outcome": evil}),
    ):
        with pytest.raises(LuchengError):
            house.ask(operation, **arguments)
    assert [row["alarm"] for row in house.ask("alarm_list")] == [alarm]
    house.ask("alarm_ack", alarm=alarm)
    house.ask("alarm_hand_over", alarm=alarm, to=evil)
    house.ask("alarm_resolve", alarm=alarm, outcome="real", reason=evil)
    house.ask("device_add", device="ebike/1")
    house.ask("ebike_report", device="ebike/1", owner_ref=evil, note=evil)
    json.dumps([house.ask("alarm_show", alarm=alarm), house.ask("ebike_cases"), house.ask("audit_list")]).encode()
    assert house.ask("audit_verify")["ok"]


def test_what_waits_and_how_fast_it_went(house: House) -> None:
    for number in range(12):
        house.alarm(f"taxi/{number}", kind="overspeed", number=number)
    found = house.ask("alarm_stats")
    assert (found["open"], found["last_10_min"], found["eemua_191_per_10_min"], found["flood"]) == (12, 12, 1, True)
    assert found["open_by_severity"] == {"1": 0, "2": 0, "3": 12}
    assert found["by_work"] == {"new": 12}
    json.dumps(found)


def test_f14_a_flood_is_folded_and_a_panic_in_it_stands_alone_on_top(house: House) -> None:
    made = [house.made(f"taxi/{number}", "overspeed", number) for number in range(3_000)]
    house.rooms.desk.take(made[:1_500])
    panic = house.alarm("button/1")
    house.rooms.desk.take(made[1_500:])
    rows = house.ask("alarm_list")
    assert len(rows) <= 100
    assert (rows[0]["alarm"], rows[0]["folded"], rows[0]["children"]) == (panic, 0, [])
    assert sum(row["folded"] + 1 for row in rows) == 3_001
    assert len({child for row in rows for child in row["children"]}) == 3_000
    assert len(house.ask("alarm_list", all=True, limit=10_000)) == 3_001
    assert [row["alarm"] for row in house.ask("alarm_list", limit=1)] == [panic]
    house.ask("alarm_ack", alarm=panic)


# -- two at once ------------------------------------------------------------------------------


def test_a_version_that_is_old_says_who_was_first(house: House) -> None:
    alarm = house.alarm("button/1")
    version = house.ask("alarm_show", alarm=alarm)["version"]
    as_(house, LI, "alarm_ack", alarm=alarm, version=version)
    with pytest.raises(Conflict, match="li was first"):
        as_(house, WANG, "alarm_ack", alarm=alarm, version=version)
    with pytest.raises(Refused, match="li was first"):
        as_(house, WANG, "alarm_ack", alarm=alarm)
    assert house.ask("alarm_show", alarm=alarm)["owner"] == "li"


def test_f15_two_operators_at_once_one_winner_and_the_loser_is_told_who(house: House) -> None:
    for turn in range(10):
        alarm = house.alarm(f"button/{turn}", number=turn)
        version = house.ask("alarm_show", alarm=alarm)["version"] if turn % 2 else None
        start = threading.Barrier(2)
        done: dict[str, Any] = {}

        def take(who: Caller, alarm: str = alarm, version: int | None = version, start: threading.Barrier = start,
                 done: dict[str, Any] = done) -> None:  # fmt: skip
            start.wait(10)
            try:
                done[who.who] = as_(house, who, "alarm_ack", alarm=alarm, version=version)["owner"]
            except LuchengError as error:
                done[who.who] = error

        threads = [threading.Thread(target=take, args=(who,)) for who in (LI, WANG)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        (winner,) = [who for who, ended in done.items() if not isinstance(ended, LuchengError)]
        (loser,) = {"li", "wang"} - {winner}
        assert isinstance(done[loser], Conflict | Refused)
        assert f"{winner} was first" in done[loser].message
        assert house.ask("alarm_show", alarm=alarm)["owner"] == winner
        tried = [who for who, target, _ in audited(house, "alarm.acknowledge") if target == alarm]
        assert set(tried) == {"li", "wang"}
        assert [who for who, target, _ in audited(house, "alarm.refused") if target == alarm] == [loser]
    assert house.ask("audit_verify")["ok"]


def test_a_signal_in_between_is_nobody_who_was_first(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    alarm = house.alarm("button/1")
    inner = house.rooms.signals.acknowledge
    pressed: list[int] = []

    def pressing(alarm_id: str, version: int, who: str) -> DeskAlarm:
        if len(pressed) < 3:
            pressed.append(version)
            house.alarm("button/1", number=10 + len(pressed))
        return inner(alarm_id, version, who)

    monkeypatch.setattr(house.rooms.signals, "acknowledge", pressing)
    assert as_(house, LI, "alarm_ack", alarm=alarm)["owner"] == "li"
    assert len(pressed) == 3
    other = house.alarm("button/2", number=50)
    version = house.ask("alarm_show", alarm=other)["version"]
    house.alarm("button/2", number=51)
    with pytest.raises(Conflict, match=f"{SYSTEM} was first"):
        as_(house, WANG, "alarm_ack", alarm=other, version=version)


def test_s20_an_action_that_cannot_be_audited_is_not_done(house: House) -> None:
    alarm = house.alarm("button/1")
    house.ask("audit_list")
    damage_audit(house)
    for operation, arguments in (
        ("alarm_ack", {"alarm": alarm}),
        ("alarm_ack", {"alarm": alarm, "version": 1}),
        ("alarm_list", {}),
        ("alarm_show", {"alarm": alarm}),
        ("alarm_shown", {"alarms": [alarm]}),
        ("alarm_watch", {}),
        ("ebike_cases", {}),
    ):
        with pytest.raises(AuditUnwritable):
            house.ask(operation, **arguments)
    assert house.rooms.signals.stats().by_work == {"new": 1}


# -- units ------------------------------------------------------------------------------------


def test_a_units_level_and_state(house: House, unit: str) -> None:
    assert house.ask("unit_set", unit=unit, level=2)["level"] == 2
    assert house.ask("unit_set", unit=unit, state="off_duty")["state"] == "off_duty"
    assert [row["device"] for row in house.ask("unit_list", state="off_duty")] == [unit]
    assert house.ask("unit_list", state="free") == []
    alarm = house.alarm("button/1")
    house.ask("alarm_ack", alarm=alarm)
    with pytest.raises(Refused, match="off duty"):
        house.ask("alarm_dispatch", alarm=alarm, unit=unit)
    house.ask("device_add", device="taxi/1")
    for wrong, error in (
        ({"unit": "taxi/1", "level": 1}, UsageError),
        ({"unit": "unit/9", "level": 1}, NotFound),
        ({"unit": unit}, UsageError),
        ({"unit": unit, "level": 4}, UsageError),
        ({"unit": unit, "state": "asleep"}, UsageError),
    ):
        with pytest.raises(error):
            house.ask("unit_set", **wrong)
    with pytest.raises(NotFound):
        house.ask("alarm_dispatch", alarm=alarm, unit="unit/9")


# -- stolen e-bikes (trust.md 8) --------------------------------------------------------------


def places(house: House, alarm: str) -> list[Any]:
    """Everything about an alarm and its signals in which a place could stand, as one text each."""
    found = [house.ask("alarm_list", all=True), house.ask("alarm_show", alarm=alarm), house.ask("signal_list")]
    found.append([house.operations.feed_row(event) for event in house.rooms.signals.events(0, limit=1000)])
    return [json.dumps(one) for one in found]


def test_an_ebikes_alarm_tells_its_point_only_while_its_owners_report_stands(house: House) -> None:
    house.put("ebike/1", [START_MS])
    house.put("ebike/2", [START_MS])
    alarm = house.alarm("ebike/1", kind="vibration")
    assert not any(PLACE in text for text in places(house, alarm))
    (row,) = house.ask("alarm_list")
    assert (row["place_hidden"], row["lat"]) == (True, None)
    other = house.ask("ebike_report", device="ebike/2", owner_ref="R-2")["case"]
    assert not any(PLACE in text for text in places(house, alarm)), "another bike's case"
    case = house.ask("ebike_report", device="ebike/1", owner_ref="R-1", note="gone since noon")["case"]
    assert all(PLACE in text for text in places(house, alarm))
    house.ask("ebike_step", case=case, state="closed")
    assert not any(PLACE in text for text in places(house, alarm)), "the case is closed"
    assert house.ask("ebike_case", case=other)["state"] == "reported"


def test_a_stolen_ebikes_track_is_given_for_its_own_open_case_alone(house: House) -> None:
    house.put("ebike/1", [START_MS])
    house.put("ebike/2", [START_MS])
    mine = house.ask("ebike_report", device="ebike/1", owner_ref="R-1")["case"]
    other = house.ask("ebike_report", device="ebike/2", owner_ref="R-2")["case"]

    def asked(purpose: str | None) -> list[Callable[[], Any]]:
        return [
            lambda: house.ask("track", device="ebike/1", purpose=purpose, **WINDOW),
            lambda: house.ask("where", devices=["ebike/1"], purpose=purpose),
        ]

    for ask in asked(f"case:{mine}"):
        assert ask()
    assert ("series.track", "ebike/1", f"case:{mine}") in house.actions()
    for purpose in (None, "case", f"case:{other}", f"patrol:{mine}", f"case:{mine}0", f"case:{mine.lower()}"):
        for ask in asked(purpose):
            with pytest.raises(Refused):
                ask()
    assert [row["device"] for row in house.ask("where", purpose=f"case:{mine}")] == [], "never in a list of all"
    house.ask("ebike_recover", case=mine)
    house.ask("ebike_step", case=mine, state="closed")
    for ask in asked(f"case:{mine}"):
        with pytest.raises(Refused):
            ask()
        assert house.actions()[-1][:2] == ("read.refused", "ebike/1")


def test_the_rules_are_told_of_a_theft_and_of_its_end(house: House) -> None:
    house.ask("device_add", device="taxi/1")
    slot = house.ask("device_add", device="ebike/1")["slot"]
    opened = house.ask("ebike_report", device="ebike/1", owner_ref="R-1", note="n")
    assert (opened["state"], opened["owner_ref"], opened["steps"][0]["by"]) == ("reported", "R-1", "tester")
    assert house.facts == [{"kind": "stolen", "slot": slot, "on": True}]
    with pytest.raises(Conflict):
        house.ask("ebike_report", device="ebike/1", owner_ref="R-1")
    house.ask("ebike_step", case=opened["case"], state="tracked", note="seen at the bridge")
    assert len(house.facts) == 1
    found = house.ask("ebike_recover", device="ebike/1")
    assert [step["state"] for step in found["steps"]] == ["reported", "tracked", "recovered"]
    assert house.facts[1:] == [{"kind": "stolen", "slot": slot, "on": False}]
    house.ask("ebike_step", case=opened["case"], state="closed")
    assert house.facts[2:] == [{"kind": "stolen", "slot": slot, "on": False}]
    assert house.ask("ebike_cases") == []
    assert [case["state"] for case in house.ask("ebike_cases", all=True, device="ebike/1")] == ["closed"]
    assert [target for _, target, _ in audited(house, "case.move")] == ["ebike/1"] * 3
    assert [detail["owner_ref"] for _, _, detail in audited(house, "case.report")] == ["R-1", "R-1"]


def test_cases_that_cannot_be(house: House) -> None:
    house.ask("device_add", device="ebike/1")
    house.ask("device_add", device="taxi/1")
    for operation, arguments, error in (
        ("ebike_report", {"device": "taxi/1", "owner_ref": "R"}, UsageError),
        ("ebike_report", {"device": "ebike/9", "owner_ref": "R"}, NotFound),
        ("ebike_report", {"device": "ebike/1", "owner_ref": " "}, UsageError),
        ("ebike_report", {"device": "ebike/1", "owner_ref": "R" * 101}, UsageError),
        ("ebike_report", {"device": "ebike/1", "owner_ref": "R", "note": "n" * 501}, UsageError),
        ("ebike_recover", {}, UsageError),
        ("ebike_recover", {"case": "C1", "device": "ebike/1"}, UsageError),
        ("ebike_recover", {"device": "ebike/1"}, NotFound),
        ("ebike_recover", {"case": "C1"}, NotFound),
        ("ebike_case", {"case": "C1"}, NotFound),
    ):
        with pytest.raises(error):
            house.ask(operation, **arguments)
    case = house.ask("ebike_report", device="ebike/1", owner_ref="R")["case"]
    with pytest.raises(UsageError):
        house.ask("ebike_step", case=case, state="reported")
    house.ask("ebike_recover", case=case)
    with pytest.raises(Refused):
        house.ask("ebike_step", case=case, state="tracked")
    assert house.facts == [{**house.facts[0], "on": True}, {**house.facts[0], "on": False}]


def test_a_hand_over_may_say_what_the_next_one_should_know(house: House) -> None:
    alarm = house.alarm("button/1")
    house.ask("alarm_ack", alarm=alarm)
    house.ask("alarm_hand_over", alarm=alarm, to="li", note="the guard waits at the gate")
    last = house.ask("alarm_show", alarm=alarm)["history"][-1]
    assert (last["action"], last["detail"]) == ("hand_over", {"to": "li", "note": "the guard waits at the gate"})
    house.ask("alarm_hand_over", alarm=alarm, to="wang")
    assert house.ask("alarm_show", alarm=alarm)["history"][-1]["detail"] == {"to": "wang"}


def test_who_follows_the_feed_gets_the_list_unfolded(house: House) -> None:
    for number in range(15):
        house.alarm(f"taxi/{number}", "offline", number)
    assert len(house.ask("alarm_list")) == 1
    rows = house.ask("alarm_list", folded=False)
    assert len(rows) == 15
    assert all("folded" not in row for row in rows)
