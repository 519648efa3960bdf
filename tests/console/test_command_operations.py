"""The gate of commands over real stores: each rule refused and allowed, every attempt and every refusal in the audit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from config.desk import Desk as DeskSettings
from config.gateway import Commands, Operators
from config.sections import Settings
from console.command_operations import MAX_GATED_EXPIRES_S, RECENT_MS
from console.command_rows import without_place
from console.device_operations import Caller
from console.roles import role_of
from model.alarm import Outcome
from model.codes import Flag, Mark
from model.command import Command, CommandState, Reply, end, send
from model.command_table import COMMANDS
from model.errors import AuditUnwritable, Conflict, LuchengError, NotFound, Refused, UsageError
from model.role import Role
from tests.console.conftest import START_MS, House
from tests.console.test_operations import EVIL, damage_audit

ROLES = {
    "op": "operator", "sup": "supervisor", "sup2": "supervisor", "off": "officer", "app": "approver", "tech": "technician",
    "aud": "auditor", "adm": "admin",
}  # fmt: skip
#: A command of each name that is right but for who gives it and what the rules ask for besides.
GIVEN: dict[str, tuple[str, dict[str, Any]]] = {
    "snapshot": ("taxi/1", {}),
    "listen_in": ("taxi/1", {}),
    "call": ("taxi/1", {}),
    "text": ("taxi/1", {"text": "你好"}),
    "confirm_alarm": ("taxi/1", {}),
    "track_faster": ("taxi/1", {}),
    "arm": ("ebike/1", {}),
    "disarm": ("ebike/1", {}),
    "siren": ("ebike/1", {}),
    "cut_power": ("taxi/1", {}),
    "query": ("button/1", {}),
    "set_parameter": ("taxi/1", {"id": "0x0029", "value": "30"}),
    "message": ("taxi/1", {"message": "query_areas", "values": "{}"}),
}


@pytest.fixture
def settings() -> Settings:
    return Settings(
        operators=Operators(users=ROLES),
        desk=DeskSettings(phone_number="110"),
        commands=Commands(max_queued_per_device=3),
    )


@pytest.fixture(autouse=True)
def devices(house: House) -> None:
    for device in ("taxi/1", "taxi/2", "ebike/1", "button/1", "unit/1", "camera/1"):
        house.ask("device_add", device=device)


def by(house: House, who: str, operation: str, **arguments: Any) -> Any:
    return getattr(house.operations, operation)(Caller(who, "cli", "socket"), **arguments)


def give(house: House, who: str, name: str, device: str = "taxi/1", **arguments: Any) -> dict[str, Any]:
    given: dict[str, Any] = by(house, who, "command_send", device=device, name=name, **arguments)
    return given


def audited(house: House, action: str) -> list[tuple[str, str, str, dict[str, Any]]]:
    """(who, role, target, detail) of every row of `action`, oldest first."""
    rows = house.rooms.audit.rows(limit=10_000)
    return [(row.who, row.role, row.target, dict(row.detail)) for row in rows if row.action == action]


def refused(house: House, call: Callable[[], Any], word: str, error: type[LuchengError] = Refused) -> None:
    """The call is refused in these words, and both the attempt and the refusal are in the audit, in this order."""
    before = house.rooms.audit.last_number()
    commands = house.rooms.commands.changes
    with pytest.raises(error, match=word) as caught:
        call()
    assert caught.value.mend
    rows = [row for row in house.rooms.audit.rows(after=before, limit=100) if row.action.startswith("command.")]
    assert [row.action for row in rows][-1] == "command.refused", "a refusal that nobody can see"
    assert rows[0].action in ("command.send", "command.approve", "command.reject")
    assert rows[-1].detail["why"] in caught.value.message
    assert house.rooms.commands.changes == commands


def stands(house: House, device: str = "taxi/1", speed_kmh: float = 0.0, age_s: int = 5, **columns: Any) -> None:
    house.put(device, [house.clock.now_ms() - age_s * 1_000], speed_kmh=speed_kmh, **columns)


# -- who --------------------------------------------------------------------------------------


def test_a_role_is_what_the_settings_say(settings: Settings) -> None:
    assert role_of(settings, "sup") is Role.SUPERVISOR
    assert role_of(settings, "somebody") is Role.OPERATOR
    strict = Settings(operators=Operators(default_role="auditor"))
    assert role_of(strict, "root") is Role.AUDITOR


def test_every_command_by_every_role_and_no_other(house: House) -> None:
    stands(house)
    house.alarm("taxi/1", kind="sos")
    assert set(GIVEN) == set(COMMANDS)
    for name, (device, args) in GIVEN.items():
        for who, role in {**ROLES, "nobody": "operator"}.items():
            if Role(role) in COMMANDS[name].roles:
                row = give(house, who, name, device, args=args, reason="why")
                assert (row["by"], row["role"], row["name"]) == (who, role, name)
                by(house, who, "command_reject", command=row["command"], reason="test")
            else:
                refused(house, lambda n=name, w=who, d=device, a=args: give(house, w, n, d, args=a, reason="why"), "may not give")  # type: ignore[misc]  # fmt: skip
    tried = audited(house, "command.send")
    assert len(tried) == len(GIVEN) * (len(ROLES) + 1)
    assert {(who, role) for who, role, _, _ in tried} == {*ROLES.items(), ("nobody", "operator")}
    assert house.ask("audit_verify")["ok"]


def test_nobody_is_the_desk_itself(house: House) -> None:
    with pytest.raises(Refused, match="the desk itself"):
        give(house, "system", "snapshot")


# -- what, and to whom ------------------------------------------------------------------------


def test_a_command_as_it_was_given(house: House) -> None:
    row = give(house, "op", "snapshot", args={"count": 2}, expires_s=90)
    assert row == {
        **row,
        "command": "K2026-000001", "device": "taxi/1", "name": "snapshot", "state": "queued", "version": 1,
        "args": {"channel": 1, "count": 2, "interval_s": 0}, "by": "op", "role": "operator", "alarm": "",
        "asked": "2026-11-22T08:00:00.000Z", "expires": "2026-11-22T08:01:30.000Z", "sent": None, "place_hidden": False,
    }  # fmt: skip
    assert json.loads(json.dumps(row)) == row
    ((who, role, target, detail),) = audited(house, "command.send")
    assert (who, role, target) == ("op", "operator", "taxi/1")
    assert (detail["command"], detail["args"]["count"], detail["via"]) == ("snapshot", 2, "socket")
    assert give(house, "op", "snapshot")["expires"] == "2026-11-22T08:05:00.000Z"


def test_calls_that_are_none(house: House) -> None:
    for arguments, error in (
        ({"name": "explode"}, UsageError),
        ({"name": "snapshot", "device": "taxi"}, UsageError),
        ({"name": "snapshot", "args": {"count": 99}}, UsageError),
        ({"name": "snapshot", "args": {"x": 1}}, UsageError),
        ({"name": "text"}, UsageError),
        ({"name": "snapshot", "reason": "r" * 501}, UsageError),
        ({"name": "snapshot", "expires_s": 0}, UsageError),
        ({"name": "snapshot", "expires_s": 8 * 86_400}, UsageError),
        ({"name": "cut_power", "expires_s": MAX_GATED_EXPIRES_S + 1}, UsageError),
        ({"name": "listen_in", "expires_s": MAX_GATED_EXPIRES_S + 1}, UsageError),
        ({"name": "listen_in", "args": {"minutes": 11}}, UsageError),
        ({"name": "snapshot", "alarm": "A2026-000099"}, NotFound),
    ):
        with pytest.raises(error):
            give(house, "sup", **arguments)
    assert house.rooms.commands.list() == []


def test_a_device_that_it_is_not_for(house: House) -> None:
    refused(house, lambda: give(house, "op", "snapshot", "taxi/99"), "not registered|no device|There is", NotFound)
    refused(house, lambda: give(house, "op", "snapshot", "ebike/1"), "is not for ebike/1")
    refused(house, lambda: give(house, "op", "arm", "taxi/1"), "is not for taxi/1")
    refused(house, lambda: give(house, "tech", "query", "unit/1"), "is not for unit/1")
    house.ask("device_disable", device="taxi/1")
    refused(house, lambda: give(house, "op", "snapshot"), "is disabled")
    house.ask("device_enable", device="taxi/1")
    assert give(house, "op", "snapshot", "camera/1")["state"] == "queued"
    assert give(house, "op", "snapshot")["state"] == "queued"


def test_so_many_wait_for_a_device_and_the_rest_is_refused(house: House) -> None:
    for _ in range(3):
        give(house, "op", "snapshot")
    refused(house, lambda: give(house, "op", "snapshot"), "3 commands wait")
    give(house, "op", "snapshot", "taxi/2")


def test_a_reason_where_one_is_needed(house: House) -> None:
    stands(house)
    for name in ("cut_power", "set_parameter", "listen_in"):
        device, args = GIVEN[name]
        who = "tech" if name == "set_parameter" else "sup"
        for reason in ("", "  \t"):
            refused(house, lambda n=name, w=who, d=device, a=args, r=reason: give(house, w, n, d, args=a, reason=r), "needs a reason")  # type: ignore[misc]  # fmt: skip
    assert (
        give(house, "tech", "set_parameter", args=GIVEN["set_parameter"][1], reason="new card")["reason"] == "new card"
    )


def test_an_alarm_that_is_named_is_that_devices(house: House) -> None:
    mine, other = house.alarm("taxi/1", kind="overspeed"), house.alarm("taxi/2", kind="overspeed", number=2)
    assert give(house, "op", "snapshot", alarm=mine)["alarm"] == mine
    refused(house, lambda: give(house, "op", "snapshot", alarm=other), "does not cover")


# -- listen-in and call (S21) -----------------------------------------------------------------


def test_s21_a_listen_in_only_while_a_sos_of_that_very_taxi_is_open(house: House) -> None:
    def listen(**arguments: Any) -> dict[str, Any]:
        return give(house, "sup", "listen_in", **{"reason": "a cry for help", **arguments})

    refused(house, listen, "has no open sos")
    house.alarm("taxi/1", kind="overspeed")
    other = house.alarm("taxi/2", kind="sos", number=2)
    refused(house, listen, "has no open sos")
    refused(house, lambda: listen(alarm=other), "does not cover")
    speeding = house.rooms.desk.ids_like("A", limit=9)[-1]
    refused(house, lambda: listen(alarm=speeding), "is no open sos")
    sos = house.alarm("taxi/1", kind="sos", number=3)
    row = listen()
    assert (row["alarm"], row["state"], row["args"]) == (sos, "queued", {"minutes": 10})
    assert row["expires"] == "2026-11-22T08:01:00.000Z"
    assert listen(alarm=sos, args={"minutes": 2})["alarm"] == sos
    command = house.rooms.commands.get(row["command"])
    assert house.operations.still_allowed(command) == ""
    one = house.ask("alarm_ack", alarm=sos)
    assert house.operations.still_allowed(command) == ""
    house.rooms.desk.resolve(sos, one["version"], "op", Outcome.REAL)
    assert "not open any more" in house.operations.still_allowed(command)
    refused(house, listen, "has no open sos")
    house.ask("alarm_close", alarm=sos, reason="done")
    refused(house, lambda: listen(alarm=sos), "is no open sos")
    assert house.operations.still_allowed(replace(command, alarm="")) != ""


def test_a_listen_in_ends_after_its_minutes_at_the_end_of_its_alarm_and_when_the_clock_steps_back(house: House) -> None:
    sos = house.alarm("taxi/1", kind="sos")
    queued = house.rooms.commands.get(give(house, "sup", "listen_in", reason="r", args={"minutes": 3})["command"])
    ends = house.operations.listen_must_end
    now = house.clock.now_ms()
    assert not ends(queued, now + 10**9), "what does not run does not end"
    running = send(queued, "jt808", now)
    assert not ends(running, now)
    assert not ends(running, now + 179_999)
    assert ends(running, now + 180_000)
    forged = replace(running, ends_ms=now + 10**9)
    assert not ends(forged, now + 599_999)
    assert ends(forged, now + 600_000), "never more than ten minutes"
    assert ends(running, now - 60_000), "nobody knows how long it has run"
    assert not ends(end(running, now), now + 10**9)
    audit = house.rooms.audit.last_number()
    assert not ends(running, now + 1)
    assert house.rooms.audit.last_number() == audit, "it is asked several times a second"
    house.ask("alarm_ack", alarm=sos)
    house.ask("alarm_resolve", alarm=sos, outcome="real")
    assert ends(running, now + 1)
    house.ask("alarm_close", alarm=sos, reason="done")
    assert ends(running, now + 1)
    assert ends(replace(running, alarm="A0"), now + 1)


@pytest.mark.parametrize("settings", [Settings(operators=Operators(users=ROLES))])
def test_without_a_number_nothing_dials(house: House) -> None:
    house.alarm("taxi/1", kind="sos")
    refused(house, lambda: give(house, "op", "call"), "no number")
    refused(house, lambda: give(house, "sup", "listen_in", reason="r"), "no number")


def test_a_call_needs_no_alarm_and_is_audited(house: House) -> None:
    row = give(house, "op", "call")
    assert (row["state"], row["alarm"]) == ("queued", "")
    assert [detail["command"] for _, _, _, detail in audited(house, "command.send")] == ["call"]


# -- cutting the power (S21) ------------------------------------------------------------------


def cut(house: House, who: str = "sup", device: str = "taxi/1", **arguments: Any) -> dict[str, Any]:
    return give(house, who, "cut_power", device, **{"reason": "stolen", **arguments})


def test_power_is_cut_only_while_it_stands_and_that_is_known(house: House) -> None:
    refused(house, lambda: cut(house), "told no place")
    valid, sent = int(Flag.VALID), int(Flag.VALID_SENT)
    for number, (columns, word) in enumerate(
        (
            ({"speed_kmh": 3.2}, "moves"),
            ({"speed_kmh": 80.0}, "moves"),
            ({"speed_kmh": np.nan}, "told no speed"),
            ({"age_s": 61}, "not fresh"),
            ({"age_s": -61}, "not fresh"),
            ({"flags": sent}, "has no fix"),
            ({"flags": int(Flag.SIGHTED)}, "has no fix"),
            ({"marks": int(Mark.NO_FIX)}, "has no fix"),
        )
    ):
        device = f"taxi/m{number}"
        house.ask("device_add", device=device)
        stands(house, device, **columns)  # type: ignore[arg-type]
        refused(house, lambda d=device: cut(house, device=d), word)  # type: ignore[misc]
    stands(house, flags=valid | sent, speed_kmh=3.0)
    assert cut(house)["state"] == "asked"
    reads = [row for row in audited(house, "series.latest") if row[0] == "sup"]
    assert len(reads) == 10, "each look at a place is audited under the name of whoever asked"


def test_giving_power_back_asks_nobody(house: House) -> None:
    stands(house, speed_kmh=50.0)
    assert cut(house, args={"restore": True})["state"] == "queued"


def test_s21_nobody_approves_his_own_and_only_who_may(house: House) -> None:
    stands(house)
    mine = cut(house)["command"]
    refused(house, lambda: by(house, "sup", "command_approve", command=mine), "cannot approve it")
    for who in ("op", "off", "tech", "aud", "adm", "nobody"):
        refused(house, lambda w=who: by(house, w, "command_approve", command=mine), "may not approve")  # type: ignore[misc]
    assert house.rooms.commands.queued(10) == []
    row = by(house, "app", "command_approve", command=mine)
    assert (row["state"], row["approved_by"], row["version"]) == ("queued", "app", 2)
    refused(house, lambda: by(house, "sup2", "command_approve", command=mine), "nothing to approve")
    by_officer = cut(house, "off")["command"]
    assert by(house, "sup", "command_approve", command=by_officer)["approved_by"] == "sup"
    tried = audited(house, "command.approve")
    assert [detail["command"] for _, _, _, detail in tried] == [mine] * 9 + [by_officer]
    assert [detail["tried"] for _, _, _, detail in audited(house, "command.refused")] == ["approve"] * 8


def test_it_stands_when_asked_when_approved_and_when_sent(house: House) -> None:
    stands(house)
    asked = cut(house, expires_s=3_600)["command"]
    assert "moves" not in house.operations.still_allowed(house.rooms.commands.get(asked))
    house.clock.advance(61)
    refused(house, lambda: by(house, "app", "command_approve", command=asked), "not fresh")
    stands(house, speed_kmh=20.0)
    refused(house, lambda: by(house, "app", "command_approve", command=asked), "moves")
    house.clock.advance(10)
    stands(house, speed_kmh=1.0)
    by(house, "app", "command_approve", command=asked)
    queued = house.rooms.commands.get(asked)
    assert house.operations.still_allowed(queued) == ""
    house.clock.advance(10)
    stands(house, speed_kmh=20.0)
    assert "moves" in house.operations.still_allowed(queued)
    house.ask("device_disable", device="taxi/1")
    assert "is disabled" in house.operations.still_allowed(queued)


def test_what_nobody_has_approved_does_not_go_out(house: House) -> None:
    stands(house)
    forged = replace(house.rooms.commands.get(cut(house)["command"]), state=CommandState.QUEUED)
    assert "nobody has approved" in house.operations.still_allowed(forged)


def test_an_expired_question_is_not_approved(house: House) -> None:
    stands(house)
    asked = cut(house)["command"]
    house.clock.advance(300)
    stands(house)
    refused(house, lambda: by(house, "app", "command_approve", command=asked), "has expired")


def test_two_who_decide_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    stands(house)
    asked = cut(house)["command"]
    inner = house.rooms.commands.step

    def rejected_first(before: Command, after: Command) -> Command:
        monkeypatch.undo()
        inner(before, replace(after, state=CommandState.REFUSED, done_ms=1))
        return inner(before, after)

    monkeypatch.setattr(house.rooms.commands, "step", rejected_first)
    with pytest.raises(Conflict, match="is refused by now"):
        by(house, "app", "command_approve", command=asked)
    assert audited(house, "command.refused")[-1][3]["tried"] == "approve"
    assert house.rooms.commands.queued(9) == []


# -- stopping ---------------------------------------------------------------------------------


def test_who_may_stop_a_command(house: House) -> None:
    made = [give(house, "op", "snapshot")["command"] for _ in range(3)]
    for who in ("off", "tech", "aud", "nobody"):
        refused(house, lambda w=who: by(house, w, "command_reject", command=made[0], reason="no"), "is op's")  # type: ignore[misc]
    for who, command in zip(("op", "app", "sup"), made, strict=True):
        row = by(house, who, "command_reject", command=command, reason="not needed")
        assert (row["state"], row["detail"]) == ("refused", f"{who}: not needed")
    for reason in ("", " ", "r" * 501):
        with pytest.raises(UsageError):
            by(house, "op", "command_reject", command=made[0], reason=reason)
    refused(house, lambda: by(house, "op", "command_reject", command=made[0], reason="again"), "too late")


# -- looking ----------------------------------------------------------------------------------


def test_lists_show_what_is_under_way_and_what_ended_within_a_day(house: House) -> None:
    first = give(house, "op", "snapshot")["command"]
    second = give(house, "op", "text", "taxi/2", args={"text": "x"}, expires_s=7 * 86_400)["command"]
    by(house, "op", "command_reject", command=first, reason="x")

    def ids(**wanted: Any) -> list[str]:
        return [row["command"] for row in by(house, "aud", "command_list", **wanted)]

    assert ids() == [second, first]
    assert ids(device="taxi/2") == [second]
    assert ids(state="refused") == [first]
    assert ids(limit=1) == [second]
    assert ids(before=second) == [first]
    house.clock.advance(RECENT_MS / 1_000 + 1)
    assert ids() == [second]
    assert ids(all=True) == [second, first]
    assert ids(state="refused") == [first]
    for wrong in ({"state": "lost"}, {"device": "x"}, {"limit": 0}, {"before": "刀"}):
        with pytest.raises(UsageError):
            by(house, "op", "command_list", **wrong)
    shown = by(house, "aud", "command_show", command="K2026-000001")
    assert (shown["command"], shown["state"]) == (first, "refused")
    with pytest.raises(UsageError, match="More than one"):
        by(house, "op", "command_show", command="K2026")
    with pytest.raises(NotFound):
        by(house, "op", "command_show", command="K3")
    assert (("aud", "auditor", "taxi/1")) in {row[:3] for row in audited(house, "read.commands")}


@pytest.mark.parametrize("evil", EVIL)
def test_s9_no_text_reaches_the_query(house: House, evil: str) -> None:
    half = any("\ud800" <= letter <= "\udfff" for letter in evil)
    give(house, "op", "text", args={"text": "x" if half else evil[:500] or "x"}, reason=evil[:500])
    for operation, arguments in (
        ("command_list", {"device": evil}),
        ("command_list", {"state": evil}),
        ("command_list", {"before": evil}),
        ("command_show", {"command": evil}),
        ("command_approve", {"command": evil}),
        ("command_reject", {"command": evil, "reason": "r"}),
        ("command_send", {"device": evil, "name": "snapshot"}),
        ("command_send", {"device": "taxi/1", "name": evil}),
        ("command_send", {"device": "taxi/1", "name": "snapshot", "alarm": evil}),
        ("command_send", {"device": "taxi/1", "name": "snapshot", "args": {evil: 1}}),
    ):
        with pytest.raises(LuchengError):
            by(house, "sup", operation, **arguments)
    (row,) = by(house, "op", "command_list")
    json.dumps(row).encode()
    assert house.ask("audit_verify")["ok"]


def test_s23_another_devices_answer_changes_nothing(house: House) -> None:
    made = give(house, "op", "query", args={"what": "position"})["command"]
    store = house.rooms.commands
    queued = store.get(made)
    store.step(queued, send(queued, "mqtt", house.clock.now_ms()))
    assert store.reply(Reply(made, ok=True, detail="here", device="taxi/2"), START_MS) is None
    assert by(house, "op", "command_show", command=made)["state"] == "sent"
    assert store.reply(Reply(made, ok=True, detail="here", data={"lat": 40.65}, device="taxi/1"), START_MS) is not None
    shown = by(house, "op", "command_show", command=made)
    assert (shown["state"], shown["detail"], shown["reply"]) == ("accepted", "here", {"lat": 40.65})


def test_an_ebikes_answer_tells_its_place_only_while_its_owners_report_stands(house: House) -> None:
    store = house.rooms.commands
    for name, data in (
        ("query", {"text": "40.65 N"}),
        ("siren", {"fix": {"lat": 40.65, "ok": 1}, "many": [{"lon": 1}]}),
    ):
        queued = store.get(give(house, "op", name, "ebike/1")["command"])
        store.step(queued, send(queued, "gt06", house.clock.now_ms()))
        store.reply(Reply(queued.id, ok=True, detail="at 40.65", data=data, device="ebike/1"), START_MS)
    siren, query = by(house, "op", "command_list", device="ebike/1")
    assert (query["detail"], query["reply"], query["place_hidden"]) == ("", {}, True)
    assert siren["reply"] == {"fix": {"ok": 1}, "many": [{}]}
    house.ask("ebike_report", device="ebike/1", owner_ref="R-1")
    siren, query = by(house, "op", "command_list", device="ebike/1")
    assert (query["detail"], query["reply"], query["place_hidden"]) == ("at 40.65", {"text": "40.65 N"}, False)
    assert siren["reply"]["fix"]["lat"] == 40.65
    assert without_place("lat") == "lat"


# -- the desk by itself, and the audit --------------------------------------------------------


def test_what_the_desk_gives_by_itself_passes_the_same_gate(house: House) -> None:
    sos = house.alarm("taxi/1", kind="sos")
    system = house.operations.system_command
    made = system("taxi/1", "snapshot", {}, sos, 120, cause=f"snapshot:{sos}:1")
    assert (made.by, made.role, made.alarm, made.state) == ("system", "system", sos, CommandState.QUEUED)
    assert made.expires_ms == START_MS + 120_000
    assert system("taxi/1", "snapshot", {}, sos, 120, cause=f"snapshot:{sos}:1") == made
    ((who, role, target, detail),) = audited(house, "command.send")
    assert (who, role, target, detail["via"]) == ("system", "system", "taxi/1", "service")
    refused(house, lambda: system("taxi/2", "snapshot", {}, sos), "does not cover")
    refused(house, lambda: system("taxi/1", "listen_in", {}, sos), "by itself")
    refused(house, lambda: system("taxi/1", "cut_power", {}, ""), "by itself")
    refused(house, lambda: system("ebike/1", "snapshot", {}, ""), "is not for")
    house.ask("device_disable", device="taxi/1")
    refused(house, lambda: system("taxi/1", "snapshot", {}, sos), "is disabled")


def test_s20_what_cannot_be_audited_is_not_done(house: House) -> None:
    stands(house)
    sos = house.alarm("taxi/1", kind="sos")
    asked = cut(house)["command"]
    queued = house.rooms.commands.get(give(house, "op", "snapshot")["command"])
    damage_audit(house)
    changes = house.rooms.commands.changes
    for call in (
        lambda: give(house, "op", "snapshot"),
        lambda: by(house, "app", "command_approve", command=asked),
        lambda: by(house, "app", "command_reject", command=asked, reason="r"),
        lambda: by(house, "op", "command_list"),
        lambda: by(house, "op", "command_show", command=asked),
        lambda: house.operations.system_command("taxi/1", "snapshot", {}, sos),
        lambda: house.operations.note_command("command.sent", queued),
        lambda: house.operations.still_allowed(replace(house.rooms.commands.get(asked), approved_by="app")),
    ):
        with pytest.raises(AuditUnwritable):
            call()
    assert house.rooms.commands.changes == changes
