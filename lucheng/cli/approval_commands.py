"""`approval`: wide reads that need a second person, and break-glasses that need a review."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from lucheng.cli import output
from lucheng.cli.alarm_lines import word_of
from lucheng.cli.choose import changing, reading
from lucheng.cli.command_commands import read_span_s
from lucheng.cli.frame import command, group, place
from lucheng.cli.read_commands import Json, Limit, Purpose, Times
from lucheng.cli.texts import text
from lucheng.cli.times import local_text
from model.approval import ApprovalState
from model.errors import UsageError

approval = group("approval")

Id = Annotated[str, typer.Argument(help=text("approval.id"), metavar="APPROVAL")]

_COLUMNS = ("approval", "asked", "by", "operation", "vehicles", "from", "to", "state", "uses", "expires", "reason")
_TIMES = ("asked", "expires", "decided", "last_used", "reviewed", "from", "to")
_DEFAULT_LIMIT = 100


@approval.command("list", help=text("approval.list"))
@command
def approval_list(
    context: typer.Context,
    *,
    everything: Annotated[bool, typer.Option("--all", help=text("approval.all"))] = False,
    before: Annotated[str, typer.Option("--before", help=text("approval.before"), metavar="APPROVAL")] = "",
    limit: Limit = _DEFAULT_LIMIT,
    as_json: Json = False,
) -> None:
    with reading(place(context)) as client:
        rows = client.call("approval_list", all=everything, before=before, limit=limit)
        if as_json:
            output.as_json(rows)
        else:
            zone = Times(client).zone if rows else ""
            output.table(_COLUMNS, rows, made=lambda some: [_shown(row, zone) for row in some])


@approval.command("show", help=text("approval.show"))
@command
def approval_show(context: typer.Context, *, approval_id: Id, as_json: Json = False) -> None:
    with reading(place(context)) as client:
        found = client.call("approval_show", approval=approval_id)
        if as_json:
            output.as_json(found)
            return
        shown = _shown(found, Times(client).zone)
    shown["what"] = json.dumps(found["what"], ensure_ascii=False)
    output.pairs({key: value for key, value in shown.items() if value not in (None, "", 0)})


@approval.command("ask", help=text("approval.ask"))
@command
def approval_ask(
    context: typer.Context,
    *,
    operation: Annotated[str, typer.Argument(help=text("approval.operation"))],
    given: Annotated[list[str] | None, typer.Option("--arg", help=text("approval.arg"), metavar="KEY=VALUE")] = None,
    reason: Annotated[str, typer.Option("--reason", help=text("approval.why"))],
    purpose: Purpose = None,
    as_json: Json = False,
) -> None:
    arguments = read_arguments(given or ())
    with changing(place(context)) as client:
        done = client.call("approval_ask", operation=operation, arguments=arguments, reason=reason, purpose=purpose)
        _did(done, Times(client), as_json=as_json)


@approval.command("grant", help=text("approval.grant"))
@command
def approval_grant(
    context: typer.Context,
    *,
    approval_id: Id,
    uses: Annotated[int | None, typer.Option("--uses", help=text("approval.uses"), min=1)] = None,
    holds_for: Annotated[str | None, typer.Option("--for", help=text("approval.for"), metavar="SPAN")] = None,
    note: Annotated[str, typer.Option("--note", help=text("approval.note"))] = "",
    as_json: Json = False,
) -> None:
    valid_s = read_span_s(holds_for) if holds_for is not None else None
    with changing(place(context)) as client:
        done = client.call("approval_grant", approval=approval_id, uses=uses, valid_s=valid_s, note=note)
        _did(done, Times(client), as_json=as_json)


@approval.command("refuse", help=text("approval.refuse"))
@command
def approval_refuse(
    context: typer.Context,
    *,
    approval_id: Id,
    reason: Annotated[str, typer.Option("--reason", help=text("approval.why"))],
    as_json: Json = False,
) -> None:
    with changing(place(context)) as client:
        done = client.call("approval_refuse", approval=approval_id, reason=reason)
        _did(done, Times(client), as_json=as_json)


@approval.command("review", help=text("approval.review"))
@command
def approval_review(
    context: typer.Context,
    *,
    approval_id: Id,
    note: Annotated[str, typer.Option("--note", help=text("approval.found"))],
    unjustified: Annotated[bool, typer.Option("--unjustified", help=text("approval.unjustified"))] = False,
    as_json: Json = False,
) -> None:
    with changing(place(context)) as client:
        done = client.call("approval_review", approval=approval_id, note=note, justified=not unjustified)
        _did(done, Times(client), as_json=as_json)


def _did(done: dict[str, Any], times: Times, *, as_json: bool) -> None:
    if as_json:
        output.as_json(done)
        return
    state = word_of("approval_state", done["state"])
    typer.echo(text("approval.did", approval=done["approval"], by=done["by"], state=state))
    if done["state"] == ApprovalState.ASKED:
        typer.echo(text("approval.waits", approval=done["approval"]))
    elif done["state"] == ApprovalState.GRANTED:
        until = local_text(done["expires"], times.zone)
        left = done["max_uses"] - done["uses"]
        typer.echo(text("approval.holds", uses=left, until=until, approval=done["approval"]))


def _shown(row: Any, zone: str) -> dict[str, Any]:
    """A row for people: words and local times."""
    times = {key: local_text(row[key], zone) for key in _TIMES if row[key]}
    state = word_of("approval_state", row["state"])
    if row["overdue"]:
        state += f" ({text('approval.late')})"
    uses = f"{row['uses']}/{row['max_uses']}" if row["max_uses"] else ""
    return {**row, **times, "state": state, "uses": uses}


def read_arguments(given: Sequence[str]) -> dict[str, Any]:
    """`key=value` texts as arguments of an operation: a value that is JSON stands for that, any other for itself."""
    made: dict[str, Any] = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not equals or not key:
            raise UsageError(f"{one[:60]!r} is no argument.", mend="Write --arg key=value.")
        if key in made:
            raise UsageError(f"{key[:40]!r} is given twice.", mend="Give it once.")
        try:
            made[key] = json.loads(value)
        except (ValueError, RecursionError):
            made[key] = value
    return made
