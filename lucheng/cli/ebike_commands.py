"""`ebike`: what becomes of an e-bike that its owner reports stolen."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lucheng.cli import output
from lucheng.cli.alarm_lines import word_of
from lucheng.cli.choose import changing, reading
from lucheng.cli.frame import command, group, place
from lucheng.cli.read_commands import Json, Limit, Times
from lucheng.cli.texts import text
from model.errors import UsageError

ebike = group("ebike")

Note = Annotated[str, typer.Option("--note", help=text("ebike.note"))]

_COLUMNS = ("case", "device", "state", "owner_ref", "officer", "since", "steps")
_STEP_COLUMNS = ("time", "state", "by", "to", "note")
_PLACE_COLUMNS = ("time", "lat", "lon", "acc_m", "sighted", "speed_kmh", "battery_pct")
_OFFICER_COLUMNS = ("officer", "name", "cases")
_DEFAULT_LIMIT = 100


def _row(found: dict[str, Any]) -> dict[str, Any]:
    """A case as a row of a table: its first step's time, and how many steps there are."""
    steps = found["steps"]
    state = word_of("case_state", found["state"])
    return {**found, "state": state, "since": steps[0]["time"] if steps else None, "steps": len(steps)}


def _did(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.as_json(found)
        return
    state = word_of("case_state", found["state"])
    typer.echo(text("ebike.did", case=found["case"], device=found["device"], state=state))
    if found["state"] != "closed":
        typer.echo(text("ebike.purpose", case=found["case"]))


@ebike.command("report", help=text("ebike.report"))
@command
def ebike_report(
    context: typer.Context,
    *,
    device: Annotated[str, typer.Argument(help=text("arg.device"), metavar="EBIKE")],
    owner_ref: Annotated[str, typer.Option("--ref", help=text("ebike.ref"))],
    note: Note = "",
    as_json: Json = False,
) -> None:
    with changing(place(context)) as client:
        found = client.call("ebike_report", device=device, owner_ref=owner_ref, note=note)
    _did(found, as_json=as_json)


@ebike.command("recover", help=text("ebike.recover"))
@command
def ebike_recover(
    context: typer.Context,
    *,
    which: Annotated[str, typer.Argument(help=text("ebike.which"), metavar="CASE|EBIKE")],
    note: Note = "",
    as_json: Json = False,
) -> None:
    named = {"device": which} if "/" in which else {"case": which}
    with changing(place(context)) as client:
        found = client.call("ebike_recover", note=note, **named)
    _did(found, as_json=as_json)


@ebike.command("case", help=text("ebike.case"))
@command
def ebike_case(
    context: typer.Context,
    *,
    case: Annotated[str, typer.Argument(help=text("ebike.case_id"), metavar="[CASE]")] = "",
    step: Annotated[str, typer.Option("--step", help=text("ebike.step"))] = "",
    note: Note = "",
    device: Annotated[str, typer.Option("--device", help=text("arg.device"))] = "",
    everything: Annotated[bool, typer.Option("--all", help=text("ebike.all"))] = False,
    limit: Limit = _DEFAULT_LIMIT,
    as_json: Json = False,
) -> None:
    if step:
        if not case:
            raise UsageError(
                "It is not said which case.", mend="Name the case: `lucheng ebike case CASE --step STATE`."
            )
        with changing(place(context)) as client:
            _did(client.call("ebike_step", case=case, state=step, note=note), as_json=as_json)
        return
    with reading(place(context)) as client:
        times = Times(client)
        found = (
            client.call("ebike_case", case=case)
            if case
            else client.call("ebike_cases", device=device, all=everything, limit=limit)
        )
        if as_json:
            output.as_json(found)
        elif case:
            output.pairs({key: value for key, value in _row(found).items() if key != "steps"})
            rows = [{**one, "state": word_of("case_state", one["state"])} for one in found["steps"]]
            output.table(_STEP_COLUMNS, rows, made=times.localised)
        else:
            output.table(_COLUMNS, [_row(row) for row in found], made=times.localised)


@ebike.command("hand-over", help=text("ebike.hand_over"))
@command
def ebike_hand_over(
    context: typer.Context,
    *,
    case: Annotated[str, typer.Argument(help=text("ebike.case_id"), metavar="CASE")],
    to: Annotated[str, typer.Option("--to", help=text("ebike.officer"))],
    note: Note = "",
    as_json: Json = False,
) -> None:
    with changing(place(context)) as client:
        found = client.call("ebike_hand_over", case=case, to=to, note=note)
    if as_json:
        output.as_json(found)
    else:
        typer.echo(text("ebike.handed", case=found["case"], to=found["officer"]))


@ebike.command("officers", help=text("ebike.officers"))
@command
def ebike_officers(context: typer.Context, *, as_json: Json = False) -> None:
    with reading(place(context)) as client:
        found = client.call("ebike_officers")
    if as_json:
        output.as_json(found)
    else:
        output.table(_OFFICER_COLUMNS, found)


@ebike.command("places", help=text("ebike.places"))
@command
def ebike_places(
    context: typer.Context,
    *,
    case: Annotated[str, typer.Argument(help=text("ebike.case_id"), metavar="CASE")],
    hours: Annotated[int, typer.Option("--hours", help=text("ebike.hours"))] = 24,
    limit: Limit = _DEFAULT_LIMIT,
    as_json: Json = False,
) -> None:
    with reading(place(context)) as client:
        found = client.call("ebike_places", case=case, hours=hours, limit=limit)
        if as_json:
            output.as_json(found)
        else:
            output.table(_PLACE_COLUMNS, found["points"], made=Times(client).localised)
