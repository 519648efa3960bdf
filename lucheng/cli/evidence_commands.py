"""`evidence`: photos, sounds and files of devices: which there are, what is known of one, and saving it."""

from __future__ import annotations

from typing import Annotated

import typer

from lucheng.cli import output
from lucheng.cli.choose import reading
from lucheng.cli.frame import command, group, place
from lucheng.cli.read_commands import Json, Limit, Purpose, Times
from lucheng.cli.saving import save
from lucheng.cli.texts import text
from model.device import check_device_id

evidence = group("evidence")

_COLUMNS = ("evidence", "device", "kind", "format", "size_bytes", "time", "event", "alarm")
_DEFAULT_LIMIT = 100
EvidenceId = Annotated[str, typer.Argument(help=text("evidence.id"), metavar="EVIDENCE")]


@evidence.command("list", help=text("evidence.list"))
@command
def evidence_list(
    context: typer.Context,
    *,
    device: Annotated[str, typer.Option("--device", help=text("arg.device"))] = "",
    alarm: Annotated[str, typer.Option("--alarm", help=text("alarm.id"))] = "",
    before: Annotated[str, typer.Option("--before", help=text("evidence.before"))] = "",
    limit: Limit = _DEFAULT_LIMIT,
    purpose: Purpose = None,
    as_json: Json = False,
) -> None:
    if device:
        check_device_id(device)
    with reading(place(context)) as client:
        rows = client.call("evidence_list", device=device, alarm=alarm, before=before, limit=limit, purpose=purpose)
        if as_json:
            output.as_json(rows)
        else:
            output.table(_COLUMNS, rows, made=Times(client).localised)


@evidence.command("show", help=text("evidence.show"))
@command
def evidence_show(
    context: typer.Context, *, evidence_id: EvidenceId, purpose: Purpose = None, as_json: Json = False
) -> None:
    with reading(place(context)) as client:
        found = client.call("evidence_show", evidence=evidence_id, purpose=purpose)
    output.as_json(found) if as_json else output.pairs(found)


@evidence.command("save", help=text("evidence.save"))
@command
def evidence_save(
    context: typer.Context,
    *,
    evidence_id: EvidenceId,
    file: Annotated[str, typer.Argument(help=text("evidence.file"), metavar="FILE")],
    purpose: Purpose = None,
) -> None:
    with reading(place(context)) as client:
        data = client.blob("evidence_read", evidence=evidence_id, purpose=purpose)
    if save(file, data):
        typer.echo(text("evidence.saved", evidence=evidence_id, file=file, size=len(data)))
