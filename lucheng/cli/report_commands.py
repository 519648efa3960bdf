"""`report`: what an analysis of stored points came to, as a file."""

from __future__ import annotations

from typing import Annotated

import typer

from lucheng.cli.approval_option import ApprovalId
from lucheng.cli.choose import reading
from lucheng.cli.frame import command, group, place
from lucheng.cli.read_commands import Purpose
from lucheng.cli.saving import STANDARD_OUTPUT, check_new, save
from lucheng.cli.texts import chosen_language, text
from model.device import check_device_id

report = group("report")


@report.callback()
def _of_several() -> None:
    """More than one report may be asked for, so a report is always named."""


@report.command("supervision", help=text("report.supervision"))
@command
def report_supervision(
    context: typer.Context,
    *,
    date: Annotated[str, typer.Option("--date", help=text("report.date"), metavar="DATE")],
    devices: Annotated[list[str] | None, typer.Option("--device", help=text("report.device"), metavar="DEVICE")] = None,
    form: Annotated[str, typer.Option("--format", help=text("report.format"), metavar="FORMAT")] = "html",
    table: Annotated[str, typer.Option("--table", help=text("report.table"), metavar="TABLE")] = "vehicles",
    out: Annotated[str, typer.Option("--out", "-o", help=text("report.out"), metavar="FILE")] = STANDARD_OUTPUT,
    purpose: Purpose = None,
    approval: ApprovalId = "",
) -> None:
    for device in devices or []:
        check_device_id(device)
    check_new(out)
    with reading(place(context)) as client:
        data = client.blob(
            "report_supervision",
            date=date,
            devices=devices or None,
            form=form,
            table=table,
            language=chosen_language(),
            purpose=purpose,
            approval=approval,
        )
    if save(out, data):
        typer.echo(text("report.saved", file=out))
