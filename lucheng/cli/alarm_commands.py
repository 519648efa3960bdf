"""`alarm`: what waits, what happens, and what an operator does about it."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from lucheng.cli import output
from lucheng.cli.alarm_lines import event_line, left_text, table_row, worded
from lucheng.cli.alarm_texts import SEVERITY_MARKS
from lucheng.cli.alarm_watching import watch
from lucheng.cli.choose import changing, reading
from lucheng.cli.frame import command, group, place
from lucheng.cli.read_commands import Json, Limit, Purpose, Times
from lucheng.cli.texts import text

alarm = group("alarm")

AlarmId = Annotated[str, typer.Argument(help=text("alarm.id"), metavar="ALARM")]
Version = Annotated[int | None, typer.Option("--version", help=text("alarm.version"), min=1)]
Reason = Annotated[str, typer.Option("--reason", help=text("alarm.reason"))]

_COLUMNS = (
    "!",
    "left",
    "alarm",
    "kind",
    "device",
    "jurisdiction",
    "work",
    "owner",
    "unit",
    "signals",
    "received",
    "folded",
)
_SIGNAL_COLUMNS = ("time", "received", "source", "late", "lat", "lon", "note")
_STEP_COLUMNS = ("number", "time", "action", "by", "work", "version", "detail")
_EVIDENCE_COLUMNS = ("evidence", "kind", "format", "size_bytes", "time", "event", "sha256")
_CLOCK_COLUMNS = ("clock", "p50_s", "p90_s", "p99_s", "count")
_DEFAULT_LIMIT = 100


@alarm.command("list", help=text("alarm.list"))
@command
def alarm_list(
    context: typer.Context,
    *,
    kind: Annotated[str, typer.Option("--kind", help=text("alarm.kind"))] = "",
    device: Annotated[str, typer.Option("--device", help=text("arg.device"))] = "",
    area: Annotated[str, typer.Option("--area", help=text("alarm.area"))] = "",
    severity: Annotated[int, typer.Option("--severity", help=text("alarm.severity"), min=0, max=3)] = 0,
    work: Annotated[str, typer.Option("--work", help=text("alarm.work"))] = "",
    since: Annotated[str | None, typer.Option("--since", help=text("alarm.since"), metavar="TIME")] = None,
    everything: Annotated[bool, typer.Option("--all", help=text("alarm.all"))] = False,
    limit: Limit = _DEFAULT_LIMIT,
    purpose: Purpose = None,
    as_json: Json = False,
) -> None:
    with reading(place(context)) as client:
        times = Times(client)
        rows = client.call(
            "alarm_list",
            kind=kind,
            device=device,
            area=area,
            severity=severity,
            work=work,
            since_ms=times.read(since) if since else 0,
            all=everything,
            limit=limit,
            purpose=purpose,
        )
        if as_json:
            output.as_json(rows)
        else:
            output.table(_COLUMNS, [table_row(row) for row in rows], made=times.localised)


@alarm.command("show", help=text("alarm.show"))
@command
def alarm_show(context: typer.Context, *, alarm_id: AlarmId, purpose: Purpose = None, as_json: Json = False) -> None:
    with reading(place(context)) as client:
        found = client.call("alarm_show", alarm=alarm_id, purpose=purpose)
        if as_json:
            output.as_json(found)
            return
        times = Times(client)
        signals, history = found.pop("signals_kept"), found.pop("history")
        around, pieces = found.pop("context", {}), found.pop("evidence", [])
        output.pairs({**table_row(found), **{key: value for key, value in found.items() if value not in (None, "")}})
        if found["place_hidden"]:
            typer.echo(text("alarm.no_place"))
        for title, columns, rows in (
            ("alarm.signals", _SIGNAL_COLUMNS, signals),
            ("alarm.history", _STEP_COLUMNS, [worded(row) for row in history]),
        ):
            typer.echo(f"\n{text(title)}")
            output.table(columns, rows, bounded=True, made=times.localised)
        if pieces:
            typer.echo(f"\n{text('evidence.of_alarm')}")
            output.table(_EVIDENCE_COLUMNS, pieces, bounded=True, made=times.localised)
        if around:
            typer.echo(f"\n{text('alarm.context')}")
            _show_around(around)


def _show_around(around: dict[str, Any]) -> None:
    """What an alarm brings with it: pairs, then a table of each: areas, cameras, free units, patrol levels, posts."""
    defence = around.pop("defence", None) or {"next_line": None, "posts": [], "levels": []}
    tables = {key: around.pop(key, None) or [] for key in ("jurisdiction", "cameras", "units")}
    tables["levels"] = [unit for level in defence["levels"] for unit in level["units"]]
    tables["posts"] = defence["posts"]
    plain = {**around, "next_line": defence["next_line"]}
    output.pairs({key: _told(value) for key, value in plain.items() if value not in (None, "")})
    for key, rows in tables.items():
        if rows:
            typer.echo(f"\n{text(f'alarm.{key}')}")
            output.table(list(rows[0]), rows)


def _told(value: Any) -> Any:
    """The value without what is not known of it."""
    return {key: item for key, item in value.items() if item not in (None, "")} if isinstance(value, dict) else value


@alarm.command("watch", help=text("alarm.watch"))
@command
def alarm_watch(
    context: typer.Context,
    *,
    after: Annotated[int | None, typer.Option("--after", help=text("alarm.after"), min=0)] = None,
    purpose: Purpose = None,
    as_json: Json = False,
) -> None:
    try:
        watch(place(context), after, purpose, as_json=as_json, line=event_line)
    except KeyboardInterrupt:
        sys.stdout.flush()  # this is how a watch ends: nothing went wrong


def _did(done: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.as_json(done)
        return
    work = worded(done)["work"]
    typer.echo(
        text("alarm.did", alarm=done["alarm"], work=work, version=done["version"], left=left_text(done)).rstrip()
    )


def _act(context: typer.Context, operation: str, *, as_json: bool, **arguments: Any) -> None:
    with changing(place(context)) as client:
        done = client.call(operation, **arguments)
    _did(done, as_json=as_json)


@alarm.command("ack", help=text("alarm.ack"))
@command
def alarm_ack(context: typer.Context, *, alarm_id: AlarmId, version: Version = None, as_json: Json = False) -> None:
    _act(context, "alarm_ack", as_json=as_json, alarm=alarm_id, version=version)


@alarm.command("hand-over", help=text("alarm.hand_over"))
@command
def alarm_hand_over(
    context: typer.Context,
    *,
    alarm_id: AlarmId,
    to: Annotated[str, typer.Option("--to", help=text("alarm.to"), metavar="USER")],
    version: Version = None,
    as_json: Json = False,
) -> None:
    _act(context, "alarm_hand_over", as_json=as_json, alarm=alarm_id, to=to, version=version)


@alarm.command("dispatch", help=text("alarm.dispatch"))
@command
def alarm_dispatch(
    context: typer.Context,
    *,
    alarm_id: AlarmId,
    unit: Annotated[str, typer.Option("--unit", help=text("alarm.unit"), metavar="UNIT")],
    eta: Annotated[
        float | None, typer.Option("--eta", help=text("alarm.eta"), min=0, max=1_440, metavar="MINUTES")
    ] = None,
    version: Version = None,
    as_json: Json = False,
) -> None:
    _act(context, "alarm_dispatch", as_json=as_json, alarm=alarm_id, unit=unit, eta_minutes=eta, version=version)


@alarm.command("arrive", help=text("alarm.arrive"))
@command
def alarm_arrive(context: typer.Context, *, alarm_id: AlarmId, version: Version = None, as_json: Json = False) -> None:
    _act(context, "alarm_arrive", as_json=as_json, alarm=alarm_id, version=version)


@alarm.command("resolve", help=text("alarm.resolve"))
@command
def alarm_resolve(
    context: typer.Context,
    *,
    alarm_id: AlarmId,
    outcome: Annotated[str, typer.Option("--outcome", help=text("alarm.outcome"))],
    reason: Reason = "",
    version: Version = None,
    as_json: Json = False,
) -> None:
    _act(context, "alarm_resolve", as_json=as_json, alarm=alarm_id, outcome=outcome, reason=reason, version=version)


@alarm.command("close", help=text("alarm.close"))
@command
def alarm_close(
    context: typer.Context, *, alarm_id: AlarmId, reason: Reason = "", version: Version = None, as_json: Json = False
) -> None:
    _act(context, "alarm_close", as_json=as_json, alarm=alarm_id, reason=reason, version=version)


@alarm.command("shelve", help=text("alarm.shelve"))
@command
def alarm_shelve(
    context: typer.Context,
    *,
    alarm_id: AlarmId,
    reason: Annotated[str, typer.Option("--reason", help=text("alarm.reason"))],
    until: Annotated[str | None, typer.Option("--until", help=text("alarm.until"), metavar="TIME")] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", help=text("alarm.minutes"))] = None,
    version: Version = None,
    as_json: Json = False,
) -> None:
    with changing(place(context)) as client:
        done = client.call(
            "alarm_shelve",
            alarm=alarm_id,
            reason=reason,
            until_ms=Times(client).read(until) if until else None,
            minutes=minutes,
            version=version,
        )
    _did(done, as_json=as_json)


@alarm.command("restore", help=text("alarm.restore"))
@command
def alarm_restore(context: typer.Context, *, alarm_id: AlarmId, version: Version = None, as_json: Json = False) -> None:
    _act(context, "alarm_restore", as_json=as_json, alarm=alarm_id, version=version)


@alarm.command("stats", help=text("alarm.stats"))
@command
def alarm_stats(context: typer.Context, *, as_json: Json = False) -> None:
    with reading(place(context)) as client:
        found = client.call("alarm_stats")
    if as_json:
        output.as_json(found)
        return
    typer.echo(text("alarm.load", count=found["last_10_min"], limit=found["eemua_191_per_10_min"]))
    if found["flood"]:
        typer.echo(text("alarm.flood"))
    marks = " ".join(f"{SEVERITY_MARKS[int(key)]} {count}" for key, count in found["open_by_severity"].items())
    work = ", ".join(f"{worded({'work': key})['work']} {count}" for key, count in found["by_work"].items())
    typer.echo(text("alarm.open", open=found["open"], marks=marks, work=work))
    typer.echo(text("alarm.breached", breached=found["breached"], late=found["late"]))
    rows = [{"clock": clock, **_in_seconds(values)} for clock, values in found["clocks_ms"].items()]
    if rows:
        output.table(_CLOCK_COLUMNS, rows)


def _in_seconds(values: dict[str, float]) -> dict[str, Any]:
    made: dict[str, Any] = {f"{key}_s": round(value / 1000, 3) for key, value in values.items() if key != "count"}
    return {**made, "count": int(values.get("count", 0))}
