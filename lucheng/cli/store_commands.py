"""`store init`, `store copy`: thin; `lucheng.moving` does the work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lucheng.cli import output
from lucheng.cli.choose import settings_of
from lucheng.cli.frame import place
from lucheng.cli.read_commands import Json
from lucheng.cli.service_commands import progress_bar
from lucheng.cli.texts import text

if TYPE_CHECKING:
    from config.sections import Settings


def store_init(
    context: typer.Context,
    *,
    only_print: Annotated[bool, typer.Option("--print", help=text("store.init.print"))] = False,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help=text("store.init.token"), metavar="FILE")
    ] = None,
    as_json: Json = False,
) -> None:
    here = place(context)
    settings = settings_of(here)
    from lucheng import moving  # noqa: PLC0415 loads NumPy and the stores

    if only_print:
        server, wanted = moving.wanted(settings)
        commands = wanted.commands(server)
        if as_json:
            output.as_json({"buckets": wanted.buckets, "task": wanted.task, "commands": commands})
            return
        typer.echo("# " + text("store.init.comment"))
        for line in commands:
            typer.echo(line)
        return
    done = moving.init_store(here.data_dir, settings, token_file=token_file)
    if as_json:
        output.as_json(done)
        return
    for one in done:
        typer.echo(f"{one['name']}\t{text('store.init.' + one['what'])}")


def store_copy(
    context: typer.Context,
    *,
    source: Annotated[str, typer.Option("--from", help=text("store.copy.from"), metavar="STORE")],
    target: Annotated[str, typer.Option("--to", help=text("store.copy.to"), metavar="STORE")],
    as_json: Json = False,
) -> None:
    here = place(context)
    settings = settings_of(here)
    from lucheng import moving  # noqa: PLC0415 as above

    moving.check_ways(source, target)
    if (source, target) != ("embedded", "influx"):
        _copy_people(here.data_dir, settings, to_server=target == "postgres", as_json=as_json)
        return
    with progress_bar() as progress:
        done = moving.copy_store(here.data_dir, settings, progress=progress)
    if as_json:
        output.as_json(done)
    else:
        typer.echo(text("store.mirrored" if settings.influx.mode == "mirror" else "store.copied", **done))


def _copy_people(data_dir: Path, settings: Settings, *, to_server: bool, as_json: bool) -> None:
    from lucheng.people_moving import copy_people  # noqa: PLC0415 as above

    with progress_bar() as progress:
        done = copy_people(data_dir, settings, to_server=to_server, progress=progress)
    if as_json:
        output.as_json(done)
    else:
        typer.echo(text("store.people.copied" if to_server else "store.people.back", rows=done["rows"]))
