"""`unit`: the patrol units."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lucheng.cli import output
from lucheng.cli.alarm_lines import word_of
from lucheng.cli.choose import changing, reading
from lucheng.cli.frame import command, group, place
from lucheng.cli.read_commands import Json, Times
from lucheng.cli.texts import text

unit = group("unit")

_COLUMNS = ("device", "level", "state", "alarm", "changed")


def _row(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "state": word_of("unit_state", found["state"])}


@unit.command("list", help=text("unit.list"))
@command
def unit_list(
    context: typer.Context,
    *,
    state: Annotated[str, typer.Option("--state", help=text("unit.state"))] = "",
    as_json: Json = False,
) -> None:
    with reading(place(context)) as client:
        rows = client.call("unit_list", state=state)
        if as_json:
            output.as_json(rows)
        else:
            output.table(_COLUMNS, [_row(row) for row in rows], made=Times(client).localised)


@unit.command("set", help=text("unit.set"))
@command
def unit_set(
    context: typer.Context,
    *,
    name_of: Annotated[str, typer.Argument(help=text("alarm.unit"), metavar="UNIT")],
    level: Annotated[int | None, typer.Option("--level", help=text("unit.level"), min=0, max=3)] = None,
    state: Annotated[str | None, typer.Option("--state", help=text("unit.state"))] = None,
    as_json: Json = False,
) -> None:
    with changing(place(context)) as client:
        found = client.call("unit_set", unit=name_of, level=level, state=state)
    output.as_json(found) if as_json else output.pairs(_row(found))
