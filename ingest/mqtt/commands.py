"""Commands to devices over MQTT: which topic, and what is written there.

Purpose: one pure function from a `Command` to a message, for our own devices (`lucheng/v1/{kind}/{name}/down/command`),
OwnTracks (`owntracks/{kind}/{name}/cmd`) and Teltonika (`teltonika/{kind}/{name}/commands`). Invariants: a command that a
protocol has no word for is refused, never turned into a similar one; the payload holds nothing but what the device needs:
not who gave the command, nor why. It sends nothing and checks no permission.

Sources: owntracks/booklet, docs/tech/json.md (`_type` `cmd`: `reportLocation`, `dump`); wiki.teltonika-gps.com, "SMS/GPRS
Commands" (getgps, getver, getinfo, setparam) and the guide to MQTT with a custom topic (`{"CMD": "…"}`, answered
`{"RSP": "…"}`). Neither OwnTracks nor Teltonika carries the id of a command, so their answers name none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from model.command import Command
from model.errors import Refused, UsageError

#: Protocols that are commanded over MQTT, as `model.device.PROTOCOLS` names them; "" is our own.
PROTOCOLS = ("mqtt", "owntracks", "teltonika")
#: What follows the id of a listen-in in the id of its end: the device takes every id once.
END_SUFFIX = "-end"
END_NAME = "end_listen_in"

_OWNTRACKS_QUERIES = {"position": "reportLocation", "parameters": "dump"}
_TELTONIKA_QUERIES = {"position": "getgps", "attributes": "getver", "inspection": "getinfo"}
_TELTONIKA_ID = re.compile(r"[0-9]{1,6}", re.ASCII)
#: A semicolon would begin the next parameter.
_TELTONIKA_VALUE = re.compile(r"[ -:<-~]*", re.ASCII)


def command_message(command: Command, protocol: str = "mqtt") -> tuple[str, bytes]:
    """Topic and payload of a command.

    Args:
        command: with checked arguments.
        protocol: of the device, one of `PROTOCOLS`; "" is `mqtt`.

    Raises Refused where the protocol has no such command, UsageError for a protocol that is not commanded over MQTT.
    """
    made = _WAYS.get(protocol or "mqtt")
    if made is None:
        raise UsageError(
            f"{protocol[:40]!r} is not commanded over MQTT.", mend="Use one of " + ", ".join(PROTOCOLS) + "."
        )
    return made(command)


def end_message(command: Command, expires_ms: int) -> tuple[str, bytes]:
    """Topic and payload that end the listen-in `command` on a device of ours; too late at `expires_ms`, UTC ms."""
    return _own(command.device, f"{command.id}{END_SUFFIX}", END_NAME, {}, expires_ms)


def _own(device: str, command_id: str, name: str, args: dict[str, Any], expires_ms: int) -> tuple[str, bytes]:
    payload = {"id": command_id, "name": name, "args": args, "expires_at": expires_ms}
    return f"lucheng/v1/{device}/down/command", msgspec.json.encode(payload)


def _lucheng(command: Command) -> tuple[str, bytes]:
    if command.name == "message":
        raise _refused(command, "MQTT", "It has no messages but the commands themselves.")
    return _own(command.device, command.id, command.name, command.args, command.expires_ms)


def _owntracks(command: Command) -> tuple[str, bytes]:
    action = _OWNTRACKS_QUERIES.get(str(command.args.get("what"))) if command.name == "query" else None
    if action is None:
        raise _refused(command, "OwnTracks", "It can be asked for its position and its parameters.")
    return f"owntracks/{command.device}/cmd", msgspec.json.encode({"_type": "cmd", "action": action})


def _teltonika(command: Command) -> tuple[str, bytes]:
    if command.name == "set_parameter":
        text = _set_parameter(str(command.args["id"]), str(command.args["value"]))
    elif command.name == "query" and command.args.get("what") in _TELTONIKA_QUERIES:
        text = _TELTONIKA_QUERIES[str(command.args["what"])]
    else:
        # What an output of the tracker switches depends on how it was wired, so there is no siren and no cut_power here.
        mend = "It can be asked for its position, attributes and inspection, and given parameters."
        raise _refused(command, "Teltonika", mend)
    return f"teltonika/{command.device}/commands", msgspec.json.encode({"CMD": text})


def _set_parameter(number: str, value: str) -> str:
    if not _TELTONIKA_ID.fullmatch(number):
        raise Refused(f"{number[:40]!r} is no parameter of Teltonika.", mend="Give its number, e.g. 10000.")
    if not _TELTONIKA_VALUE.fullmatch(value):
        raise Refused("The value holds a semicolon or is not plain ASCII.", mend="Give one parameter at a time.")
    return f"setparam {number}:{value}"


def _refused(command: Command, protocol: str, mend: str) -> Refused:
    what = f"{command.name} {command.args['what']}" if "what" in command.args else command.name
    return Refused(f"{protocol} has no {what}.", mend=mend)


_WAYS: dict[str, Callable[[Command], tuple[str, bytes]]] = {
    "mqtt": _lucheng,
    "owntracks": _owntracks,
    "teltonika": _teltonika,
}
