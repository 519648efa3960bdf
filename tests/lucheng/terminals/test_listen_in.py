"""S21: listening in through a real service: refused but for an open sos of that very taxi, ended with it; calls need none.

That it ends after its minutes, ten at most, is shown with a clock that a test moves: `tests/lucheng/test_commanding.py`.
"""

from __future__ import annotations

from typing import Any

import pytest

from model.errors import Refused, UsageError
from simulator.terminal.terminal import Terminal
from simulator.terminal.wire import Protocol
from tests.conftest import wait_until
from tests.lucheng.faults.desk_side import wait_alarm
from tests.lucheng.service_process import HANG_S
from tests.lucheng.terminals.town import DESK_NUMBER, ME, Town

TAXIS = {
    "taxi/808": ("13800000001", Protocol.JT808),
    "taxi/2019": ("13800000002", Protocol.JT808_2019),
    "taxi/905": ("108000000316", Protocol.JT905),
}
#: Never in distress.
OTHER = "taxi/other"
SET_PARAMETERS, CALL_BACK = 0x8103, 0x8400
LONGEST_CALL = 0x0046
MINUTES, CAP_S = 7, 600
WHY = "asked for help on the radio"


@pytest.fixture
def terminals(town: Town) -> dict[str, Terminal]:
    """All on line, of a service in which the caller is an operator, and whose desk has no telephone."""
    town.work_as("operator", number="")
    town.start()
    made = {
        device: town.add(device, *spoken)
        for device, spoken in {**TAXIS, OTHER: ("13800000009", Protocol.JT808)}.items()
    }
    _all_online(town, made)
    return made


def _all_online(town: Town, terminals: dict[str, Terminal]) -> None:
    for device, terminal in terminals.items():
        terminal.reconnect()
        terminal.wait_answer(terminal.heartbeat(), HANG_S)
        town.wait_online(device)


def _as(town: Town, terminals: dict[str, Terminal], role: str, number: str) -> None:
    """The service anew: the caller has that role, the desk that telephone."""
    town.work_as(role, number=number)
    assert town.service.terminate()[0] == 0
    town.start()
    _all_online(town, terminals)


def _refused(town: Town, device: str, name: str, why: str, **arguments: Any) -> None:
    """The command is refused in these words, and the audit has the try and the refusal."""
    before = [len(_mine(town, device, action)) for action in ("command.send", "command.refused")]
    with pytest.raises(Refused, match=why):
        town.give(device, name, **arguments)
    tried, refused = (_mine(town, device, action) for action in ("command.send", "command.refused"))
    assert [len(tried), len(refused)] == [count + 1 for count in before]
    assert (tried[-1]["via"], refused[-1]["via"]) == ("socket", "socket")
    assert (tried[-1]["command"], refused[-1]["name"]) == (name, name)
    assert tried[-1]["reason"] == arguments.get("reason", "")


def _mine(town: Town, device: str, action: str) -> list[dict[str, Any]]:
    """What the audit has of the caller's own doing."""
    return [row for row in town.audited(device, action) if row["who"] == ME]


def _distress(town: Town, terminals: dict[str, Terminal]) -> dict[str, str]:
    """Every taxi but one presses its button; the alarms by device."""
    for device in TAXIS:
        terminals[device].wait_answer(terminals[device].press_sos(), HANG_S)
    return {device: str(wait_alarm(town.service, device, "sos")["alarm"]) for device in TAXIS}


def _said(terminal: Terminal) -> list[tuple[int, Any]]:
    """What the terminal heard about calls, in order: limits of a call (s) and whom it should dial how."""
    made: list[tuple[int, Any]] = []
    for one in terminal.heard:
        if one.message_id == SET_PARAMETERS and LONGEST_CALL in one.values["parameters"]:
            made.append((SET_PARAMETERS, int.from_bytes(one.values["parameters"][LONGEST_CALL], "big")))
        if one.message_id == CALL_BACK:
            made.append((CALL_BACK, (one.values["listen"], one.values["number"])))
    return made


def _wait_said(terminal: Terminal, wanted: list[tuple[int, Any]]) -> None:
    wait_until(lambda: len(_said(terminal)) >= len(wanted), HANG_S, f"{wanted}")
    assert _said(terminal) == wanted


def test_s21_listening_in_only_for_an_open_sos_of_that_very_taxi(town: Town, terminals: dict[str, Terminal]) -> None:
    alarms = _distress(town, terminals)
    _refused(town, "taxi/808", "listen_in", "operator may not give", reason=WHY)
    _refused(town, "taxi/808", "call", "no number")
    _as(town, terminals, "supervisor", DESK_NUMBER)
    _refused(town, "taxi/808", "listen_in", "needs a reason", reason="  ")
    _refused(town, OTHER, "listen_in", "no open sos", reason=WHY)
    with pytest.raises(Refused):
        town.give(OTHER, "listen_in", reason=WHY, alarm=alarms["taxi/808"])
    assert town.audited(OTHER, "command.refused")[-1]["name"] == "listen_in"
    with pytest.raises(UsageError, match="1 to 10"):
        town.give("taxi/808", "listen_in", reason=WHY, minutes=11)
    for name in ("answer_calls", "longest_call_s", "listen_phone"):
        _not_by_a_parameter(town, "taxi/808", name)
    for name in ("call_answering", "longest_call", "listen_in_number"):
        _not_by_a_parameter(town, "taxi/905", name)
    assert all(_said(terminal) == [] for terminal in terminals.values())

    for device, alarm in alarms.items():
        _listens_until_resolved(town, device, terminals[device], alarm)
    assert _said(terminals[OTHER]) == []
    for device in alarms:
        _refused(town, device, "listen_in", "no open sos", reason=WHY)


def _not_by_a_parameter(town: Town, device: str, name: str) -> None:
    """What decides who can listen in is not set by hand."""
    command = town.give(device, "set_parameter", reason=WHY, id=name, value="1")
    row = town.wait_command(command, "refused")
    assert (row["sent"], row["via"], "listen" in row["detail"]) == (None, "", True)
    wait_until(lambda: _why(town, device, command) == row["detail"], HANG_S, "the refusal in the audit")


def _why(town: Town, device: str, command: str) -> str:
    """Why the audit says that a command was refused."""
    found = [row["why"] for row in town.audited(device, "command.refused") if row.get("command") == command]
    return str(found[0]) if found else ""


def _listens_until_resolved(town: Town, device: str, terminal: Terminal, alarm: str) -> None:
    command = town.give(device, "listen_in", reason=WHY, minutes=MINUTES)
    row = town.wait_command(command, "accepted")
    assert (row["alarm"], row["by"], row["role"], row["reason"]) == (alarm, ME, "supervisor", WHY)
    begun = [(SET_PARAMETERS, MINUTES * 60), (CALL_BACK, (True, DESK_NUMBER))]
    _wait_said(terminal, begun)
    assert terminal.calls == [(True, DESK_NUMBER, MINUTES * 60)]
    assert (row["ends"] is not None, row["ended"]) == (True, None)
    town.work(alarm, "ack", "resolve")
    ended = [*begun, (SET_PARAMETERS, 0), (SET_PARAMETERS, CAP_S)]
    _wait_said(terminal, ended)
    wait_until(lambda: town.call("command_show", command=command)["ended"], HANG_S, "the end to be noted")
    town.work(alarm, "close")
    assert town.command(command)["state"] == "accepted"
    (noted,) = town.audited(device, "command.listen_end")
    assert (noted["who"], noted["command"], noted["alarm"], noted["told"]) == ("system", command, alarm, True)
    (sent,) = [row for row in town.audited(device, "command.sent") if row["name"] == "listen_in"]
    assert sent["command"] == command
    assert _said(terminal) == ended, "told once"


@pytest.mark.soak
def test_a_listen_in_ends_when_its_terminal_is_back(town: Town) -> None:
    """It was away while its alarm was closed."""
    town.start()
    terminal = town.add("taxi/1", "13800000001", Protocol.JT808).come_online()
    terminal.wait_answer(terminal.press_sos(), HANG_S)
    alarm = str(wait_alarm(town.service, "taxi/1", "sos")["alarm"])
    command = town.give("taxi/1", "listen_in", reason=WHY)
    town.wait_command(command, "accepted")
    terminal.drop()
    wait_until(lambda: not _session(town), HANG_S, "the session to end")
    town.work(alarm, "ack", "resolve", "close")
    town.service.kill9()
    town.start()
    assert town.call("command_show", command=command)["ended"] is None
    terminal.reconnect()
    begun = [(SET_PARAMETERS, CAP_S), (CALL_BACK, (True, DESK_NUMBER))]
    _wait_said(terminal, [*begun, (SET_PARAMETERS, 0), (SET_PARAMETERS, CAP_S)])
    wait_until(lambda: town.call("command_show", command=command)["ended"], HANG_S, "the end to be noted")
    assert [row["told"] for row in town.audited("taxi/1", "command.listen_end")] == [True]
    _a_call_needs_no_alarm(town, terminal)


def _session(town: Town) -> bool:
    return any(row["session"] for row in town.call("terminal_list"))


def _a_call_needs_no_alarm(town: Town, terminal: Terminal) -> None:
    command = town.give("taxi/1", "call")
    row = town.wait_command(command, "accepted")
    assert (row["alarm"], row["ends"]) == ("", None)
    assert terminal.calls[-1] == (False, DESK_NUMBER, CAP_S)
    assert _mine(town, "taxi/1", "command.send")[-1]["command"] == "call"
    assert command in [row["command"] for row in town.audited("taxi/1", "command.sent")]
