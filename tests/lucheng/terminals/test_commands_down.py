"""Commands down to taxis through a real service: queued, sent once, answered, seen; power by two people's will."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from config.settings import load
from console.client import LocalClient
from console.operations import Caller
from lucheng.operating import operations_of
from lucheng.rooms import open_rooms
from model.errors import Refused
from simulator.terminal.fix import loop_fix
from simulator.terminal.terminal import Terminal
from simulator.terminal.wire import Protocol
from tests.conftest import wait_until
from tests.lucheng.faults.desk_side import millis
from tests.lucheng.service_process import HANG_S
from tests.lucheng.terminals.town import ME, Town

TEXT, PHONE_BOOK, CONTROL_VEHICLE = 0x8300, 0x8401, 0x8500
TAXI, TAXI_905 = "taxi/1", "taxi/2"
NUMBER, NUMBER_905 = "13800000001", "108000000316"
OTHER_PERSON = "approver-1"
WHY = "a stolen taxi"
#: Freshness of the place by which a taxi is known to stand: the service is stopped in between.
FRESH = {"COMMANDS__STANDING_FRESH_S": "600"}


def _heard(terminal: Terminal, text: str) -> int:
    """How often the terminal was sent that text."""
    return sum(one.message_id == TEXT and one.values["text"] == text for one in terminal.heard)


# -- queued, sent, answered -------------------------------------------------------------------


@pytest.mark.soak
def test_what_is_given_while_it_is_away_goes_when_it_is_back_and_once(town: Town) -> None:
    town.start()
    terminal = town.add(TAXI, NUMBER, Protocol.JT808)
    waits = town.cli("command", "send", TAXI, "text", "--arg", "text=请回电", "--expires", "1h")
    soon = town.call("command_send", device=TAXI, name="text", args={"text": "too late"}, expires_s=1)
    first = town.command(waits["command"])
    assert (first["state"], first["via"], first["sent"], first["by"]) == ("queued", "", None, ME)
    late = town.wait_command(soon["command"], "expired")
    assert (late["sent"], late["detail"]) == (None, "not sent in time")

    terminal.come_online()
    done = town.wait_command(waits["command"], "accepted")
    assert (done["via"], done["detail"], done["version"]) == ("jt808", "", 3)
    asked, sent, answered = (millis(done[key]) for key in ("asked", "sent", "done"))
    assert asked is not None
    assert sent is not None
    assert answered is not None
    assert asked <= sent <= answered
    assert terminal.texts == ["请回电"], "what had expired is not sent"

    terminal.refusing[TEXT] = 1
    refused = town.wait_command(town.give(TAXI, "text", text="no"), "refused")
    assert refused["detail"] == "it failed"
    listed = {row["command"]: row["state"] for row in town.cli("command", "list", TAXI, "--all")}
    assert listed == {first["command"]: "accepted", late["command"]: "expired", refused["command"]: "refused"}
    _answered_with_the_last_parts_serial(town, terminal)
    _asked_and_told(town, terminal)
    _at_most_once(town, terminal)


def _answered_with_the_last_parts_serial(town: Town, terminal: Terminal) -> None:
    """A message that does not fit one frame; the terminal's answer names the serial of the last of its parts."""
    contacts = [{"calls": "both", "phone": f"0472{at:07d}", "name": f"第{at}号值班室的电话"} for at in range(60)]
    values = json.dumps({"action": "update", "contacts": contacts}, ensure_ascii=False)
    before = terminal.link.counts.received
    command = town.give(TAXI, "message", reason=WHY, message="set_phone_book", values=values)
    assert town.wait_command(command, "accepted")["detail"] == ""
    heard = terminal.wait_for(PHONE_BOOK, HANG_S)
    assert len(bytes.fromhex(heard.values["hex"])) > 1_023
    assert terminal.link.counts.received - before >= 2, "it came in one frame"


def _asked_and_told(town: Town, terminal: Terminal) -> None:
    """What it is asked comes back with the command, by the serial of the question."""
    attributes, position = (town.give(TAXI, "query", what=what) for what in ("attributes", "position"))
    told = town.wait_command(attributes, "accepted")["reply"]
    assert (told["model"], told["terminal_id"]) == (terminal.identity.model, terminal.identity.terminal_id)
    assert town.wait_command(position, "accepted")["reply"]["lat"] == pytest.approx(terminal.place[0], abs=0.01)


def _at_most_once(town: Town, terminal: Terminal) -> None:
    """Killed after it was sent and before it was answered: never sent again, and it expires."""
    terminal.refusing.clear()
    terminal.silent.add(TEXT)
    command = town.give(TAXI, "text", text="once")
    terminal.wait_for(TEXT, HANG_S, where=lambda values: values["text"] == "once")
    town.service.kill9()
    assert terminal.link.wait_closed(HANG_S)
    terminal.silent.clear()
    town.start(COMMANDS__REPLY_TIMEOUT_S="1")
    assert town.wait_command(command, "expired")["detail"] == "no answer"
    terminal.reconnect()
    town.give(TAXI, "text", text="after")  # commands of one device go in order
    terminal.wait_for(TEXT, HANG_S, where=lambda values: values["text"] == "after")
    assert (_heard(terminal, "once"), _heard(terminal, "after")) == (1, 1)


# -- power ------------------------------------------------------------------------------------


def _reports(town: Town, terminal: Terminal, speed_kmh: float, time_ms: int) -> None:
    """A place with that speed; back when the service shows it."""
    fix = replace(loop_fix(time_ms), speed_kmh=speed_kmh)
    assert terminal.wait_answers(terminal.send_positions([fix]), HANG_S) == [0]
    wait_until(lambda: time_ms in town.stored_ms(TAXI_905), HANG_S, "the place to be stored")


@contextmanager
def _while_stopped(town: Town, who: str) -> Iterator[LocalClient]:
    """Another person at the command line while no service runs; the settings name his role. The service starts again."""
    assert town.service.terminate()[0] == 0
    with pytest.MonkeyPatch.context() as patch:
        for name, value in town.service.env.items():
            patch.setenv(name, value)
        settings = load()
    with open_rooms(town.service.data, settings, write=True) as rooms:
        yield LocalClient(operations_of(rooms), Caller(who, "cli", "process"))
    town.start()


@pytest.mark.soak
def test_power_is_cut_only_while_it_stands_and_when_two_want_it(town: Town) -> None:
    town.service.env["LUCHENG_OPERATORS__USERS"] = json.dumps({ME: "supervisor", OTHER_PERSON: "approver"})
    town.start(**FRESH)
    terminal = town.add(TAXI_905, NUMBER_905, Protocol.JT905).come_online()
    start_ms = time.time_ns() // 1_000_000_000 * 1_000 - 10_000
    terminal.wait_answer(terminal.heartbeat(), HANG_S)
    with pytest.raises(Refused, match="no place"):
        town.give(TAXI_905, "cut_power", reason=WHY)
    _reports(town, terminal, 31.0, start_ms)
    with pytest.raises(Refused, match="moves"):
        town.give(TAXI_905, "cut_power", reason=WHY)
    _reports(town, terminal, 0.0, start_ms + 1_000)
    command = town.give(TAXI_905, "cut_power", reason=WHY)
    assert town.command(command)["state"] == "asked"
    with pytest.raises(Refused, match="cannot approve it"):
        town.call("command_approve", command=command)

    with _while_stopped(town, OTHER_PERSON) as other:
        assert other.call("command_approve", command=command)["state"] == "queued"
    terminal.reconnect()
    terminal.wait_answer(terminal.heartbeat(), HANG_S)
    done = town.wait_command(command, "accepted")
    assert (done["by"], done["approved_by"], done["detail"]) == (ME, OTHER_PERSON, "fuel cut, circuit cut")
    orders = [one.values for one in terminal.heard if one.message_id == CONTROL_VEHICLE]
    assert orders == [{"item": 0, "on": True}, {"item": 1, "on": True}]
    tried = [(row["who"], row["tried"]) for row in town.audited(TAXI_905, "command.refused") if "tried" in row]
    assert tried == [(ME, "approve")]
    _given_back(town, terminal)


def _given_back(town: Town, terminal: Terminal) -> None:
    """Giving power back asks nobody."""
    restored = town.wait_command(town.give(TAXI_905, "cut_power", reason=WHY, restore=True), "accepted")
    assert (restored["detail"], restored["approved_by"]) == ("fuel on, circuit on", "")
    assert terminal.ordered == 0
