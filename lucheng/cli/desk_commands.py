"""`alarm seats` and `alarm figures`: for whoever leads the shift; `audit search`: for whoever asks who looked."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lucheng.cli import output
from lucheng.cli.choose import reading
from lucheng.cli.frame import place
from lucheng.cli.read_commands import Before, Json, Limit, Times
from lucheng.cli.texts import text

_SEATS = ("user", "name", "role", "state", "pages", "last", "last_action", "open", "taken_10_min", "taken", "level")
_ROWS = ("time", "alarms", "seats", "peak_10_min", "peak_per_seat", "per_seat", "peak_level", "kept", "over")
_SPREADS = ("acknowledge", "dispatch", "arrive")
_DEVICES = ("device", "alarms", "signals", "severity", "kinds", "outcomes", "step")
_FLOODS = ("from", "to", "alarms", "peak_10_min", "kinds")
_AUDIT = ("number", "time", "who", "role", "action", "target", "purpose", "detail")
_DEFAULT_LIMIT = 100


def alarm_seats(context: typer.Context, *, as_json: Json = False) -> None:
    with reading(place(context)) as client:
        found = client.call("desk_seats")
        if as_json:
            output.as_json(found)
            return
        told = {key: found[key] for key in ("taken", "last_10_min", "per_seat", "level", "open", "new")}
        output.pairs(told)
        output.table(_SEATS, found["seats"], made=Times(client).localised)


def alarm_figures(
    context: typer.Context,
    *,
    start: Annotated[str | None, typer.Option("--from", help=text("opt.from"), metavar="TIME")] = None,
    end: Annotated[str | None, typer.Option("--to", help=text("opt.to"), metavar="TIME")] = None,
    by: Annotated[str, typer.Option("--by", help=text("alarm.by"), metavar="hour|day")] = "hour",
    as_json: Json = False,
) -> None:
    with reading(place(context)) as client:
        times = Times(client)
        found = client.call(
            "desk_figures",
            from_ms=times.read(start) if start else None,
            to_ms=times.read(end) if end else None,
            by=by,
        )
        if as_json:
            output.as_json(found)
            return
        output.table(
            (*_ROWS, *(f"{name}_s" for name in _SPREADS)), [_line(row) for row in found["rows"]], made=times.localised
        )
        for columns, rows in ((_DEVICES, found["devices"]), (_FLOODS, found["floods"])):
            if rows:
                typer.echo()
                output.table(columns, rows, made=times.localised)


def _line(row: dict[str, Any]) -> dict[str, Any]:
    """A period with its times as `p50/p95/worst`."""
    spreads = {f"{name}_s": _spread(row[name]) for name in _SPREADS}
    return {**row, **spreads}


def _spread(spread: dict[str, Any]) -> str:
    return "/".join(f"{spread[key]:g}" for key in ("p50", "p95", "worst")) if spread["count"] else ""


def audit_search(
    context: typer.Context,
    *,
    who: Annotated[str, typer.Option("--who", help=text("audit.who"))] = "",
    action: Annotated[str, typer.Option("--action", help=text("audit.action"))] = "",
    target: Annotated[str, typer.Option("--target", help=text("audit.target"))] = "",
    why: Annotated[str, typer.Option("--why", help=text("audit.why"))] = "",
    start: Annotated[str | None, typer.Option("--from", help=text("opt.from"), metavar="TIME")] = None,
    end: Annotated[str | None, typer.Option("--to", help=text("opt.to"), metavar="TIME")] = None,
    before: Before = None,
    limit: Limit = _DEFAULT_LIMIT,
    as_json: Json = False,
) -> None:
    with reading(place(context)) as client:
        times = Times(client)
        found = client.call(
            "audit_search",
            who=who,
            action=action,
            target=target,
            why=why,
            from_ms=times.read(start) if start else None,
            to_ms=times.read(end) if end else None,
            before=before,
            limit=limit,
        )
        if as_json:
            output.as_json(found)
            return
        output.table(_AUDIT, found["items"], made=times.localised)
        if found["next"]:
            typer.echo(text("audit.more", number=found["next"]), err=True)
