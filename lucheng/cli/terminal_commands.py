"""`terminal`: which terminals are registered, what they report besides places, and letting another one register."""

from __future__ import annotations

from typing import Annotated

import typer

from lucheng.cli import output
from lucheng.cli.choose import changing, reading
from lucheng.cli.frame import command, group, place
from lucheng.cli.read_commands import Json, Limit, Purpose, Times
from lucheng.cli.texts import text
from model.device import check_device_id

terminal = group("terminal")

_COLUMNS = (
    "device",
    "number",
    "protocol",
    "plate",
    "terminal_id",
    "maker",
    "model",
    "registered",
    "enabled",
    "session",
)
_REPORT_COLUMNS = ("number", "time", "device", "protocol", "message", "fields")
_DEFAULT_LIMIT = 100


@terminal.command("list", help=text("terminal.list"))
@command
def terminal_list(
    context: typer.Context,
    *,
    after: Annotated[int, typer.Option("--after", help=text("terminal.after"))] = -1,
    limit: Limit = _DEFAULT_LIMIT,
    as_json: Json = False,
) -> None:
    with reading(place(context)) as client:
        rows = client.call("terminal_list", after=after, limit=limit)
        if as_json:
            output.as_json(rows)
        else:
            output.table(_COLUMNS, rows, made=Times(client).localised)


@terminal.command("reports", help=text("terminal.reports"))
@command
def terminal_reports(
    context: typer.Context,
    *,
    device: Annotated[str, typer.Option("--device", help=text("arg.device"))] = "",
    message: Annotated[str, typer.Option("--message", help=text("terminal.message"))] = "",
    start: Annotated[str | None, typer.Option("--from", help=text("opt.from"), metavar="TIME")] = None,
    end: Annotated[str | None, typer.Option("--to", help=text("opt.to"), metavar="TIME")] = None,
    before: Annotated[int, typer.Option("--before", help=text("opt.before"))] = 0,
    limit: Limit = _DEFAULT_LIMIT,
    purpose: Purpose = None,
    as_json: Json = False,
) -> None:
    if device:
        check_device_id(device)
    with reading(place(context)) as client:
        times = Times(client)
        rows = client.call(
            "terminal_reports",
            device=device,
            message=message,
            from_ms=None if start is None else times.read(start),
            to_ms=None if end is None else times.read(end),
            before=before,
            limit=limit,
            purpose=purpose,
        )
        if as_json:
            output.as_json(rows)
        else:
            output.table(_REPORT_COLUMNS, rows, made=times.localised)


@terminal.command("release", help=text("terminal.release"))
@command
def terminal_release(
    context: typer.Context,
    *,
    device: Annotated[str, typer.Argument(help=text("arg.device"), metavar="DEVICE")],
    as_json: Json = False,
) -> None:
    check_device_id(device)
    with changing(place(context)) as client:
        done = client.call("terminal_release", device=device)
    output.as_json(done) if as_json else typer.echo(text("terminal.released", device=device))
