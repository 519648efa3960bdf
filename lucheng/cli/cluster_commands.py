"""`lucheng cluster …`: asks the nats-servers of the settings, so it works wherever they are reached, beside a process or not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lucheng.cli import output
from lucheng.cli.choose import settings_of
from lucheng.cli.frame import command, group, place
from lucheng.cli.read_commands import Json
from lucheng.cli.texts import text
from lucheng.cli.times import zone

if TYPE_CHECKING:
    from lucheng.cluster.status import ClusterStatus

cluster = group("cluster")
_NODES = ("name", "host", "roles", "since", "holds", "listening", "clock")
_KEPT = ("stream", "first", "last", "messages", "size_bytes")
_SETTLED = ("stream", "known", "ended", "lost", "again")
_STREAMS = ("stream", "holder", "since", "lag", "full", "epoch", "last")


def status(context: typer.Context, *, as_json: Json = False) -> None:
    settings = settings_of(place(context))
    from lucheng.cluster.status import cluster_status  # noqa: PLC0415 loads what talks to the servers
    from lucheng.nats_choice import open_link  # noqa: PLC0415 as above
    from model.clock import SystemClock  # noqa: PLC0415 as above

    link = open_link(settings, SystemClock(), "lucheng-status")
    try:
        found = cluster_status(settings, link)
    finally:
        link.close()
    if as_json:
        output.as_json(found.as_json())
        return
    _nodes(found, settings.city.time_zone)
    typer.echo()
    _streams(found, settings.city.time_zone)
    for node in found.clocks_off():
        typer.echo(text("cluster.clock", host=node.host, name=node.name, ahead_ms=node.skew_ms))
    for node in found.keys_differ():
        typer.echo(text("cluster.key", host=node.host, name=node.name))
    for row in found.without_holder():
        typer.echo(text("cluster.unheld", stream=row.stream, lag=row.lag_records))
    for row in found.copies_behind():
        typer.echo(text("cluster.copies", stream=row.stream, servers=", ".join(row.copies_behind)))


def _nodes(found: ClusterStatus, time_zone: str) -> None:
    rows = [
        (
            node.name,
            f"{node.host}:{node.pid}",
            ",".join(node.roles),
            _time(node.since_ms, time_zone),
            len(node.holds),
            node.listening,
            f"{node.skew_ms:+d}",
        )
        for node in found.nodes
    ]
    columns = [text(f"cluster.column.{name}") for name in _NODES]
    output.table(columns, [dict(zip(columns, row, strict=True)) for row in rows])


def _streams(found: ClusterStatus, time_zone: str) -> None:
    rows = [
        (
            row.stream,
            row.holder if row.there else f"{row.holder} ({text('cluster.gone')})" if row.holder else text("none"),
            _time(row.since_ms, time_zone),
            row.lag_records,
            f"{row.fill_pct:.0f}%",
            row.epoch,
            row.last,
        )
        for row in found.streams
    ]
    columns = [text(f"cluster.column.{name}") for name in _STREAMS]
    output.table(columns, [dict(zip(columns, row, strict=True)) for row in rows])


def _time(at_ms: int, time_zone: str) -> str:
    if not at_ms:
        return ""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone(time_zone))
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def backup(
    context: typer.Context,
    *,
    folder: Annotated[Path, typer.Argument(help=text("cluster.arg.backup"), metavar="DIR")],
    as_json: Json = False,
) -> None:
    settings = settings_of(place(context))
    from lucheng.cluster.backup import back_up_streams  # noqa: PLC0415 loads what talks to the servers

    _kept(back_up_streams(settings, folder), as_json=as_json)


def restore(
    context: typer.Context,
    *,
    folder: Annotated[Path, typer.Argument(help=text("cluster.arg.restore"), metavar="DIR")],
    as_json: Json = False,
) -> None:
    settings = settings_of(place(context))
    from lucheng.cluster.backup import restore_streams  # noqa: PLC0415 as above

    _kept(restore_streams(settings, folder), as_json=as_json)


def settle(context: typer.Context, *, as_json: Json = False) -> None:
    here = place(context)
    settings = settings_of(here)
    from dataclasses import asdict  # noqa: PLC0415 as above

    from lucheng.cluster.settling import settle as settled  # noqa: PLC0415 as above

    rows = [asdict(one) for one in settled(here.data_dir, settings)]
    if as_json:
        output.as_json(rows)
        return
    output.table(_SETTLED, rows)
    lost = sum(row["lost"] for row in rows)
    typer.echo(text("cluster.settled.lost", lost=lost) if lost else text("cluster.settled"))


def _kept(rows: list[dict[str, object]], *, as_json: bool) -> None:
    output.as_json(rows) if as_json else output.table(_KEPT, rows)


cluster.command("status", help=text("cluster.status"))(command(status))
cluster.command("backup", help=text("cluster.backup"))(command(backup))
cluster.command("restore", help=text("cluster.restore"))(command(restore))
cluster.command("settle", help=text("cluster.settle"))(command(settle))
