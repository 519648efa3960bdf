"""`run`, `demo`, `ingest`, `publish`, `doctor`: thin; each hands over to the module that does the work."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from console.client import RemoteClient
from console.socket_path import SOCKET_NAME
from lucheng.cli import output
from lucheng.cli.choose import service_answers, settings_of
from lucheng.cli.frame import place
from lucheng.cli.read_commands import Json
from lucheng.cli.texts import text
from model.errors import BadInput, UsageError

File = Annotated[Path, typer.Argument(help=text("arg.file"), metavar="FILE")]
Format = Annotated[str, typer.Option("--format", help=text("opt.file_format"), metavar="FORMAT")]
#: Machines of a demo on several: what a cluster of nats-servers needs to lose one.
MACHINES = 3
Day = Annotated[str, typer.Option("--date", help=text("opt.date"), metavar="DATE")]


def _day(given: str) -> date | None:
    if not given:
        return None
    try:
        return date.fromisoformat(given)
    except ValueError as error:
        raise UsageError(f"{given[:40]!r} is no date.", mend="Write it as 2026-11-22.") from error


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on standard error when that is a terminal, else none."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 costs 0.1 s, and pipes need none
    from rich.progress import Progress  # noqa: PLC0415 as above

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def run(
    context: typer.Context,
    *,
    broker: Annotated[str | None, typer.Option("--broker", help=text("opt.broker"), metavar="URL")] = None,
    role: Annotated[str, typer.Option("--role", help=text("opt.role"), metavar="ROLE,…")] = "all",
) -> None:
    settings = settings_of(place(context), {"mqtt.url": broker})
    from lucheng.cluster.roles import check_roles, roles_of  # noqa: PLC0415 loads the steps

    roles = roles_of(role)
    check_roles(settings, roles)
    if settings.nats.mode == "log":
        from lucheng.cluster.running import run as run_roles  # noqa: PLC0415 loads the whole house

        raise typer.Exit(run_roles(place(context).data_dir, settings, roles))
    from lucheng.service import run as run_service  # noqa: PLC0415 loads the whole house

    raise typer.Exit(run_service(place(context).data_dir, settings))


def demo(
    context: typer.Context,
    *,
    seconds: Annotated[float | None, typer.Option("--seconds", help=text("demo.seconds"), min=0)] = None,
    taxis: Annotated[int | None, typer.Option("--taxis", help=text("demo.taxis"))] = None,
    bikes: Annotated[int | None, typer.Option("--bikes", help=text("demo.bikes"))] = None,
    data_file: Annotated[Path | None, typer.Option("--data-file", help=text("demo.file"), metavar="FILE")] = None,
    file_format: Annotated[str | None, typer.Option("--format", help=text("demo.format"), metavar="FORMAT")] = None,
    day: Day = "",
    speed: Annotated[float | None, typer.Option("--speed", help=text("demo.speed"), min=0)] = None,
    machines: Annotated[int, typer.Option("--machines", help=text("demo.machines"), min=1, max=3)] = 1,
    as_json: Json = False,
) -> None:
    settings = settings_of(place(context), {"demo.taxis": taxis, "demo.bikes": bikes})
    from lucheng.demo import DemoOptions  # noqa: PLC0415 loads the whole house
    from lucheng.demo import run as run_demo  # noqa: PLC0415 as above

    options = DemoOptions(
        seconds=seconds,
        data_file=data_file,
        file_format=file_format,
        day=_day(day),
        speed=speed,
        config=place(context).config,
        data_dir=place(context).data,
        as_json=as_json,
    )
    if machines > 1:
        if machines != MACHINES or data_file is not None or place(context).data is not None:
            raise UsageError(
                f"The demo on several machines has {MACHINES}, drives its own city and keeps nothing.",
                mend=f"Write --machines {MACHINES} without --data and --data-file.",
            )
        from lucheng.cluster.demo.running import run_machines  # noqa: PLC0415 as above

        raise typer.Exit(run_machines(options, settings))
    raise typer.Exit(run_demo(options, settings))


def ingest(context: typer.Context, *, file: File, file_format: Format, day: Day = "", as_json: Json = False) -> None:
    here = place(context)
    _day(day)
    if not file.is_file():
        raise BadInput(f"{file} is no file.", mend="Name a file that is there.")
    totals: dict[str, Any]
    if service_answers(here):
        client = RemoteClient(here.data_dir / SOCKET_NAME)
        totals = client.call("ingest", path=str(file.resolve()), file_format=file_format, day=day)
    else:
        from lucheng.offline import ingest_offline  # noqa: PLC0415 loads the whole house

        with progress_bar() as progress:
            found = ingest_offline(
                here.data_dir, settings_of(here), file, file_format, day=_day(day), progress=progress
            )
        totals = found.as_json()
    if as_json:
        output.as_json(totals)
        return
    typer.echo(text("ingested", **{**totals, "quarantined": sum(totals["quarantined"].values())}))
    if totals["quarantined"]:
        output.pairs(totals["quarantined"], "quarantined.")


def publish(
    context: typer.Context,
    *,
    file: File,
    file_format: Format,
    broker: Annotated[str, typer.Option("--broker", help=text("publish.broker"), metavar="URL")],
    speed: Annotated[float, typer.Option("--speed", help=text("opt.speed"), min=0)] = 1.0,
    when: Annotated[str, typer.Option("--time", help=text("publish.time"), metavar="original|now")] = "original",
    day: Day = "",
    credentials: Annotated[
        Path | None, typer.Option("--credentials", help=text("publish.credentials"), metavar="FILE")
    ] = None,
    as_json: Json = False,
) -> None:
    if when not in ("original", "now"):
        raise UsageError(f"{when[:40]!r} is no time.", mend="Use original or now.")
    settings = settings_of(place(context))
    from lucheng.publishing import publish_file  # noqa: PLC0415 loads NumPy and paho
    from model.clock import SystemClock  # noqa: PLC0415 as above
    from simulator.playing import TimeMode  # noqa: PLC0415 as above

    with progress_bar() as progress:
        done = publish_file(
            file,
            file_format,
            broker,
            settings=settings,
            clock=SystemClock(),
            speed=speed,
            time_mode=TimeMode(when),
            credentials_file=credentials,
            day=_day(day),
            progress=progress,
        )
    output.as_json(done) if as_json else typer.echo(text("published", **done))


def doctor(context: typer.Context, *, as_json: Json = False) -> None:
    settings = settings_of(place(context))
    from lucheng.doctor import examine  # noqa: PLC0415 loads what it examines

    findings = examine(place(context).data_dir, settings)
    rows = [finding.as_json() for finding in findings]
    output.as_json(rows) if as_json else output.table(("check", "state", "found", "mend"), rows)
    if any(finding.failed for finding in findings):
        raise typer.Exit(1)
