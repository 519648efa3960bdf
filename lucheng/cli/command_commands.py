"""`command`: what devices are told to do, who approves it, and what became of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from lucheng.cli import output
from lucheng.cli.alarm_lines import word_of
from lucheng.cli.choose import changing, reading
from lucheng.cli.frame import command, group, place
from lucheng.cli.read_commands import Json, Limit, Times
from lucheng.cli.texts import in_language, text
from lucheng.cli.times import local_text
from model.command import CommandState
from model.command_table import COMMANDS, kind_of
from model.device import check_device_id
from model.errors import UsageError

commands = group("command")

CommandId = Annotated[str, typer.Argument(help=text("command.id"), metavar="COMMAND")]

_COLUMNS = ("command", "asked", "device", "name", "state", "by", "via", "alarm", "detail")
_TIMES = ("asked", "expires", "sent", "done", "ends", "ended")
_DIALLING = ("listen_in", "call")
_DEFAULT_LIMIT = 100
_SPAN = re.compile(r"([0-9]{1,7})([smhd]?)", re.ASCII)
_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@commands.command("send", help=text("command.send"))
@command
def command_send(
    context: typer.Context,
    *,
    device: Annotated[str, typer.Argument(help=text("arg.device"))],
    name: Annotated[str, typer.Argument(help=text("command.name"))],
    given: Annotated[list[str] | None, typer.Option("--arg", help=text("command.arg"), metavar="KEY=VALUE")] = None,
    reason: Annotated[str, typer.Option("--reason", help=text("command.reason"))] = "",
    alarm: Annotated[str, typer.Option("--alarm", help=text("command.alarm"), metavar="ALARM")] = "",
    expires: Annotated[str | None, typer.Option("--expires", help=text("command.expires"), metavar="SPAN")] = None,
    as_json: Json = False,
) -> None:
    check_device_id(device)
    args = read_args(name, given or ())
    with changing(place(context)) as client:
        done = client.call(
            "command_send",
            device=device,
            name=name,
            args=args,
            reason=reason,
            alarm=alarm,
            expires_s=read_span_s(expires) if expires is not None else None,
        )
    _did(done, as_json=as_json)


@commands.command("list", help=text("command.list"))
@command
def command_list(
    context: typer.Context,
    *,
    device: Annotated[str, typer.Argument(help=text("arg.device"), metavar="[DEVICE]")] = "",
    state: Annotated[str, typer.Option("--state", help=text("command.state"))] = "",
    everything: Annotated[bool, typer.Option("--all", help=text("command.all"))] = False,
    before: Annotated[str, typer.Option("--before", help=text("command.before"), metavar="COMMAND")] = "",
    limit: Limit = _DEFAULT_LIMIT,
    as_json: Json = False,
) -> None:
    with reading(place(context)) as client:
        rows = client.call("command_list", device=device, state=state, all=everything, before=before, limit=limit)
        if as_json:
            output.as_json(rows)
        else:
            zone = Times(client).zone if rows else ""
            output.table(_COLUMNS, rows, made=lambda some: [_shown(row, zone) for row in some])


@commands.command("show", help=text("command.show"))
@command
def command_show(context: typer.Context, *, command_id: CommandId, as_json: Json = False) -> None:
    with reading(place(context)) as client:
        found = client.call("command_show", command=command_id)
        if as_json:
            output.as_json(found)
            return
        shown = _shown(found, Times(client).zone)
    output.pairs({key: value for key, value in shown.items() if value not in (None, "", {})})
    if found["place_hidden"]:
        typer.echo(text("alarm.no_place"))


@commands.command("approve", help=text("command.approve"))
@command
def command_approve(context: typer.Context, *, command_id: CommandId, as_json: Json = False) -> None:
    with changing(place(context)) as client:
        done = client.call("command_approve", command=command_id)
    _did(done, as_json=as_json)


@commands.command("reject", help=text("command.reject"))
@command
def command_reject(
    context: typer.Context,
    *,
    command_id: CommandId,
    reason: Annotated[str, typer.Option("--reason", help=text("alarm.reason"))],
    as_json: Json = False,
) -> None:
    with changing(place(context)) as client:
        done = client.call("command_reject", command=command_id, reason=reason)
    _did(done, as_json=as_json)


@commands.command("stop", help=text("command.stop"))
@command
def command_stop(context: typer.Context, *, command_id: CommandId, as_json: Json = False) -> None:
    with changing(place(context)) as client:
        done = client.call("command_stop", command=command_id)
    if as_json:
        output.as_json(done)
    else:
        typer.echo(text("command.stopped", command=done["command"], device=done["device"]))


def _did(done: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.as_json(done)
        return
    state = word_of("command_state", done["state"])
    typer.echo(text("command.did", command=done["command"], name=_name(done), device=done["device"], state=state))
    if done["state"] == CommandState.ASKED:
        typer.echo(text("command.ask", command=done["command"]))
    elif done["state"] == CommandState.QUEUED:
        if done["name"] in _DIALLING:
            typer.echo(text("command.dials"))
        typer.echo(text("command.follow", command=done["command"]))


def _name(row: dict[str, Any]) -> str:
    kind = COMMANDS.get(row["name"])
    return row["name"] if kind is None else in_language(kind.words)


def _shown(row: Any, zone: str) -> dict[str, Any]:
    """A row for people: words and local times."""
    times = {key: local_text(row[key], zone) for key in _TIMES if row[key]}
    return {**row, **times, "name": _name(row), "state": word_of("command_state", row["state"])}


def read_args(name: str, given: Sequence[str]) -> dict[str, Any]:
    """`key=value` texts as values of the types that the table says; UsageError for what is none.

    An argument that the command does not have stays a text: the service names those that it has.
    """
    types = {arg.name: arg.type for arg in kind_of(name).args}
    made: dict[str, Any] = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not equals or not key:
            raise UsageError(f"{one[:60]!r} is no argument.", mend="Write --arg key=value.")
        if key in made:
            raise UsageError(f"{key[:40]!r} is given twice.", mend="Give it once.")
        made[key] = _value(key, types.get(key, "text"), value)
    return made


def _value(key: str, kind: str, value: str) -> Any:
    if kind == "bool":
        if value.lower() not in _BOOLS:
            raise UsageError(f"{key}: {value[:40]!r} is neither true nor false.", mend="Write true or false.")
        return _BOOLS[value.lower()]
    if kind == "int":
        if not re.fullmatch(r"-?[0-9]{1,15}", value, re.ASCII):
            raise UsageError(f"{key}: {value[:40]!r} is no whole number.", mend="Write digits.")
        return int(value)
    return value


def read_span_s(given: str) -> int:
    """`90`, `90s`, `5m`, `2h` or `1d` as seconds; UsageError for anything else."""
    found = _SPAN.fullmatch(given.strip())
    if found is None:
        raise UsageError(f"{given[:40]!r} is no span of time.", mend="Write 90s, 5m, 2h or 1d.")
    return int(found[1]) * _UNIT_S[found[2]]
