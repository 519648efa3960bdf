"""The incident report, an e-bike's last places, a case handed over to an officer, and a listen-in hung up, over real stores."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from config.desk import Desk as DeskSettings
from config.gateway import Operators
from config.sections import Settings
from console.device_operations import Caller
from model.codes import Flag
from model.command import CommandState, send
from model.errors import AuditUnwritable, Conflict, NotFound, Refused, UsageError
from model.role import Role
from tests.console.conftest import START_MS, House
from tests.console.test_operations import EVIL, damage_audit

BIKE = "ebike/1"


@pytest.fixture
def settings() -> Settings:
    users = {"sup": "supervisor", "zhang": "officer", "chen": "officer"}
    return Settings(operators=Operators(users=users), desk=DeskSettings(phone_number="110"))


def by(house: House, who: str, operation: str, **arguments: Any) -> Any:
    return getattr(house.operations, operation)(Caller(who, "cli", "socket"), **arguments)


def audited(house: House, action: str) -> list[tuple[str, str, str, dict[str, Any]]]:
    """(who, target, purpose, detail) of every row of `action`, oldest first."""
    rows = house.rooms.audit.rows(limit=10_000)
    return [(row.who, row.target, row.purpose, dict(row.detail)) for row in rows if row.action == action]


@pytest.fixture
def case(house: House) -> str:
    """The open case of an e-bike that reported for two hours and was then seen by a reader."""
    times = [START_MS - 7_200_000 + minute * 60_000 for minute in range(120)]
    house.put(BIKE, times, flags=int(Flag.VALID | Flag.VALID_SENT | Flag.ARMED | Flag.ARMED_SENT))
    house.put(BIKE, [START_MS], lat=40.66, acc_m=np.float32(84.0), flags=int(Flag.SIGHTED))
    made: str = house.ask("ebike_report", device=BIKE, owner_ref="R-17", note="gone")["case"]
    return made


# -- last places (trust.md 8) -----------------------------------------------------------------


def test_the_last_places_are_of_the_case_the_newest_first_and_say_what_was_a_sighting(house: House, case: str) -> None:
    found = house.ask("ebike_places", case=case)
    assert (found["case"], found["device"], found["open"]) == (case, BIKE, True)
    assert len(found["points"]) == 121
    newest, before = found["points"][:2]
    assert (newest["sighted"], newest["lat"], newest["acc_m"]) == (True, 40.66, 84.0)
    assert (before["sighted"], before["armed"]) == (False, True)
    assert [row["time"] for row in found["points"]] == sorted((row["time"] for row in found["points"]), reverse=True)
    assert len(house.ask("ebike_places", case=case, hours=1)["points"]) == 60
    assert house.ask("ebike_places", case=case, limit=3)["points"] == found["points"][:3]
    purposes = {purpose for action in ("series.latest", "series.track") for _, _, purpose, _ in audited(house, action)}
    assert purposes == {f"case:{case}"}


def test_without_an_open_case_there_is_no_place(house: House, case: str) -> None:
    house.ask("ebike_step", case=case, state="closed")
    with pytest.raises(Refused, match="owner"):
        house.ask("ebike_places", case=case)
    assert audited(house, "read.refused")[-1][1:3] == (BIKE, f"case:{case}")
    again = house.ask("ebike_report", device=BIKE, owner_ref="R-18")["case"]
    with pytest.raises(Refused):
        house.ask("ebike_places", case=case)
    assert house.ask("ebike_places", case=again)["points"]


def test_a_bike_that_was_never_heard_of_has_no_places_and_limits_hold(house: House) -> None:
    house.ask("device_add", device="ebike/2")
    silent = house.ask("ebike_report", device="ebike/2", owner_ref="R-2")["case"]
    assert house.ask("ebike_places", case=silent)["points"] == []
    for wrong in ({"hours": 0}, {"hours": 24 * 31}, {"limit": 0}):
        with pytest.raises(UsageError):
            house.ask("ebike_places", case=silent, **wrong)
    with pytest.raises(NotFound):
        house.ask("ebike_places", case="C2026-999999")


def test_no_audit_no_place_and_no_report(house: House, case: str) -> None:
    alarm = house.alarm("taxi/1", kind="sos")
    damage_audit(house)
    for operation, arguments in (("ebike_places", {"case": case}), ("alarm_report", {"alarm": alarm})):
        with pytest.raises(AuditUnwritable):
            house.ask(operation, **arguments)


# -- handing over -----------------------------------------------------------------------------


def test_a_case_is_handed_to_an_officer_with_a_note(house: House, case: str) -> None:
    assert [one["officer"] for one in house.ask("ebike_officers")] == ["chen", "zhang"]
    given = house.ask("ebike_hand_over", case=case, to="zhang", note="last seen at the bridge", version=1)
    assert (given["officer"], given["state"], given["version"]) == ("zhang", "reported", 2)
    step = given["steps"][-1]
    assert (step["by"], step["to"], step["note"]) == ("tester", "zhang", "last seen at the bridge")
    assert {one["officer"]: one["cases"] for one in house.ask("ebike_officers")} == {"chen": 0, "zhang": 1}
    moved = by(house, "zhang", "ebike_step", case=case, state="stolen")
    assert (moved["officer"], moved["steps"][-1]["to"]) == ("zhang", "")
    ((who, target, _, detail),) = audited(house, "case.hand_over")
    assert (who, target, detail["to"], detail["case"]) == ("tester", BIKE, "zhang", case)
    with pytest.raises(Refused, match="already"):
        house.ask("ebike_hand_over", case=case, to="zhang")
    assert by(house, "zhang", "ebike_hand_over", case=case, to="chen")["officer"] == "chen"
    house.ask("ebike_step", case=case, state="closed")
    with pytest.raises(Refused, match="closed"):
        house.ask("ebike_hand_over", case=case, to="zhang")


def test_a_case_is_given_to_nobody_but_an_officer_who_may_sign_in(house: House, case: str) -> None:
    for to in ("sup", "nobody", "", *(one for one in EVIL if len(one) <= 64)):
        with pytest.raises(NotFound):
            house.ask("ebike_hand_over", case=case, to=to)
    with pytest.raises(UsageError):
        house.ask("ebike_hand_over", case=case, to="z" * 65)
    with pytest.raises(UsageError):
        house.ask("ebike_hand_over", case=case, to="zhang", note="n" * 501)
    accounts = house.rooms.accounts
    accounts.add("liu", Role.OFFICER, "no password fits this", by="tester", name="刘")
    assert {"officer": "liu", "name": "刘", "cases": 0} in house.ask("ebike_officers")
    accounts.set_enabled("liu", on=False, by="tester")
    with pytest.raises(NotFound):
        house.ask("ebike_hand_over", case=case, to="liu")


def test_of_two_who_decide_on_one_state_of_a_case_the_second_is_told_who_was_first(house: House, case: str) -> None:
    by(house, "zhang", "ebike_step", case=case, state="stolen", version=1)
    for operation, arguments in (
        ("ebike_step", {"state": "tracked"}),
        ("ebike_hand_over", {"to": "chen"}),
        ("ebike_recover", {}),
    ):
        with pytest.raises(Conflict, match="zhang was first") as caught:
            house.ask(operation, case=case, version=1, **arguments)
        assert caught.value.who == "zhang"
        assert caught.value.current == house.ask("ebike_case", case=case)
    assert house.ask("ebike_case", case=case)["version"] == 2


# -- the report -------------------------------------------------------------------------------


def test_a_report_has_the_alarm_what_was_told_to_its_device_and_who_made_it(house: House) -> None:
    house.ask("device_add", device="taxi/1")
    alarm = house.alarm("taxi/1", kind="sos")
    other = house.alarm("taxi/1", kind="overspeed", number=2)
    house.ask("alarm_ack", alarm=alarm)
    photo = house.ask("command_send", device="taxi/1", name="snapshot", alarm=alarm)["command"]
    house.ask("command_send", device="taxi/1", name="snapshot", alarm=other)
    listen = by(house, "sup", "command_send", device="taxi/1", name="listen_in", reason="cries")["command"]
    told = by(house, "sup", "alarm_report", alarm=alarm)
    assert (told["alarm"], told["work"], told["owner"]) == (alarm, "acknowledged", "tester")
    assert [one["command"] for one in told["commands"]] == [photo, listen], "oldest first, of this alarm alone"
    assert (told["made_by"], told["city"]) == ("sup", Settings().city.name)
    assert [step["action"] for step in told["history"]][-1] == "acknowledge"
    ((who, target, purpose, _),) = audited(house, "alarm.report")
    assert (who, target, purpose) == ("sup", alarm, f"alarm:{alarm}")


def test_a_report_of_an_ebikes_alarm_tells_its_point_only_while_its_case_is_open(house: House, case: str) -> None:
    alarm = house.alarm(BIKE, kind="vibration")
    open_report = house.ask("alarm_report", alarm=alarm)
    assert (open_report["cases"], open_report["place_hidden"]) == ([case], False)
    house.ask("ebike_step", case=case, state="closed")
    told = house.ask("alarm_report", alarm=alarm)
    assert (told["cases"], told["place_hidden"], told["lat"]) == ([], True, None)
    assert "40.6" not in json.dumps(told)


# -- hanging up -------------------------------------------------------------------------------


def listening(house: House, who: str = "sup") -> str:
    """A listen-in that was sent."""
    house.ask("device_add", device="taxi/1")
    house.alarm("taxi/1", kind="sos")
    made: str = by(house, who, "command_send", device="taxi/1", name="listen_in", reason="cries")["command"]
    queued = house.rooms.commands.get(made)
    house.rooms.commands.step(queued, send(queued, "jt808", house.clock.now_ms()))
    return made


def test_a_listen_in_is_hung_up_by_a_person_and_ends_at_once(house: House) -> None:
    listen = listening(house)
    running = house.rooms.commands.get(listen)
    assert not house.operations.listen_must_end(running, house.clock.now_ms())
    stopped = by(house, "sup", "command_stop", command=listen)
    assert (stopped["listening"], stopped["stopped_by"], stopped["state"]) == (True, "sup", "sent")
    after = house.rooms.commands.get(listen)
    assert house.operations.listen_must_end(after, house.clock.now_ms())
    assert after.state is CommandState.SENT
    assert [row[0] for row in audited(house, "command.stop")] == ["sup"]
    with pytest.raises(Refused, match="sup has hung up"):
        by(house, "sup", "command_stop", command=listen)


def test_who_may_hang_up_and_what(house: House) -> None:
    listen = listening(house)
    for who in ("zhang", "tester"):
        with pytest.raises(Refused, match="is sup's"):
            by(house, who, "command_stop", command=listen)
    assert audited(house, "command.refused")[-1][3]["tried"] == "stop"
    photo = house.ask("command_send", device="taxi/1", name="snapshot")["command"]
    with pytest.raises(Refused, match="no listen-in"):
        house.ask("command_stop", command=photo)
    with pytest.raises(NotFound):
        house.ask("command_stop", command="K2026-999999")
