"""`store`, `config`, `doctor`: upkeep."""

from __future__ import annotations

from typing import Annotated

import typer

from lucheng.cli import output
from lucheng.cli.choose import changing, reading, settings_of
from lucheng.cli.frame import command, group, place
from lucheng.cli.read_commands import Json
from lucheng.cli.texts import text

store = group("store")
config = group("config")


@store.command("check", help=text("store.check"))
@command
def store_check(context: typer.Context, *, as_json: Json = False) -> None:
    with reading(place(context)) as client:
        found = client.call("store_check")
    if as_json:
        output.as_json(found)
    elif found["ok"]:
        typer.echo(text("ok"))
    else:
        output.table(("place", "what", "mend"), found["problems"])
    if not found["ok"]:
        raise typer.Exit(1)


@store.command("index", help=text("store.index"))
@command
def store_index(
    context: typer.Context,
    *,
    again: Annotated[bool, typer.Option("--again", help=text("store.again"))] = False,
    as_json: Json = False,
) -> None:
    with changing(place(context)) as client:
        found = client.call("store_index", again=again)
    output.as_json(found) if as_json else typer.echo(text("store.indexed", **found))


@config.command("check", help=text("config.check"))
@command
def config_check(context: typer.Context, *, as_json: Json = False) -> None:
    settings_of(place(context))
    output.as_json({"ok": True}) if as_json else typer.echo(text("settings.ok"))


@config.command("show", help=text("config.show"))
@command
def config_show(context: typer.Context, *, as_json: Json = False) -> None:
    from config.settings import as_dict, dump  # noqa: PLC0415 pydantic costs 0.2 s

    settings = settings_of(place(context))
    output.as_json(as_dict(settings)) if as_json else typer.echo(dump(settings), nl=False)


@config.command("schema", help=text("config.schema"))
@command
def config_schema(context: typer.Context, *, as_json: Json = False) -> None:
    del context, as_json  # it is JSON in any case
    from config.settings import json_schema  # noqa: PLC0415 pydantic costs 0.2 s

    output.as_json(json_schema())
