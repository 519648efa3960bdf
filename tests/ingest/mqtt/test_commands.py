"""What is written to a device for each command and protocol."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ingest.mqtt.commands import command_message, end_message
from model.command import Command, CommandState
from model.command_table import COMMANDS, checked_args
from model.errors import Refused, UsageError


def command(name: str, **given: Any) -> Command:
    """A queued command with all its arguments."""
    required = {"text": {"text": "stop"}, "set_parameter": {"id": "10000", "value": "1"}, "message": {"message": "ask"}}
    args = checked_args(COMMANDS[name], required.get(name, {}) | given)
    return Command(
        "K2026-000001", "taxi/1", name, args, "alice", "supervisor", "she screamed", "A1", CommandState.QUEUED, 1, 1_000, 61_000
    )  # fmt: skip


def message(protocol: str, name: str, **given: Any) -> tuple[str, dict[str, Any]]:
    topic, payload = command_message(command(name, **given), protocol)
    return topic, json.loads(payload)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "message"])
@pytest.mark.parametrize("protocol", ["", "mqtt"])
def test_our_own_devices_get_every_command_and_nothing_about_people(protocol: str, name: str) -> None:
    topic, payload = message(protocol, name)
    assert topic == "lucheng/v1/taxi/1/down/command"
    assert payload == {"id": "K2026-000001", "name": name, "args": command(name).args, "expires_at": 61_000}
    assert "alice" not in json.dumps(payload)
    assert "screamed" not in json.dumps(payload)


def test_messages_of_other_protocols_are_not_for_mqtt() -> None:
    with pytest.raises(Refused, match="no message"):
        message("mqtt", "message")


def test_the_end_of_a_listen_in_has_an_id_of_its_own() -> None:
    topic, payload = end_message(command("listen_in"), 99_000)
    assert topic == "lucheng/v1/taxi/1/down/command"
    assert json.loads(payload) == {
        "id": "K2026-000001-end",
        "name": "end_listen_in",
        "args": {},
        "expires_at": 99_000,
    }


def test_owntracks() -> None:
    assert message("owntracks", "query") == ("owntracks/taxi/1/cmd", {"_type": "cmd", "action": "reportLocation"})
    assert message("owntracks", "query", what="parameters")[1]["action"] == "dump"


def test_teltonika() -> None:
    assert message("teltonika", "query") == ("teltonika/taxi/1/commands", {"CMD": "getgps"})
    assert message("teltonika", "query", what="attributes")[1] == {"CMD": "getver"}
    assert message("teltonika", "query", what="inspection")[1] == {"CMD": "getinfo"}
    assert message("teltonika", "set_parameter", id="2001", value="cmnet")[1] == {"CMD": "setparam 2001:cmnet"}


@pytest.mark.parametrize(("protocol", "can"), [("owntracks", {"query"}), ("teltonika", {"query", "set_parameter"})])
@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_protocol_has_no_word_for_is_refused(protocol: str, can: set[str], name: str) -> None:
    if name in can:
        command_message(command(name), protocol)
        return
    with pytest.raises(Refused, match="has no") as refusal:
        command_message(command(name), protocol)
    assert refusal.value.mend


@pytest.mark.parametrize(
    ("number", "value"),
    [("0x29", "1"), ("1;2", "1"), ("", "1"), ("\u0661", "1"), ("1", "a;setparam 2:b"), ("1", "a\nb"), ("1", "中")],
)
def test_one_parameter_does_not_become_two(number: str, value: str) -> None:
    made = command("set_parameter", id=number or "1", value=value)
    made.args["id"] = number
    with pytest.raises(Refused):
        command_message(made, "teltonika")


def test_what_is_not_commanded_over_mqtt() -> None:
    with pytest.raises(UsageError, match="jt808"):
        command_message(command("query"), "jt808")
