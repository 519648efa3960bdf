"""`track`, `where`, `status`, `quarantine`, `signal`, `audit`: what looks at data and changes nothing."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from console.client import Client
from console.track_formats import FORMATS
from lucheng.cli import output
from lucheng.cli.approval_option import ApprovalId
from lucheng.cli.choose import reading
from lucheng.cli.frame import command, group, place
from lucheng.cli.texts import text
from lucheng.cli.times import local_text, parse_time
from model.device import check_device_id
from model.errors import UsageError

Json = Annotated[bool, typer.Option("--json", help=text("opt.json"))]
Purpose = Annotated[str | None, typer.Option("--purpose", help=text("opt.purpose"), metavar="CODE[:REF[:NOTE]]")]
Limit = Annotated[int, typer.Option("--limit", help=text("opt.limit"), min=1, max=10_000)]
Before = Annotated[int | None, typer.Option("--before", help=text("opt.before"))]

_TRACK_COLUMNS = ("time", "lat", "lon", "speed_kmh", "heading_deg", "occupied", "alarms", "marks")
_WHERE_COLUMNS = ("device", "time", "lat", "lon", "speed_kmh", "heading_deg", "occupied", "battery_pct", "marks")
_DEFAULT_LIMIT = 100
#: Columns of tables that hold a time.
_TIME_KEYS = frozenset({"time", "received", "changed", "since", "registered"})

quarantine = group("quarantine")
signal = group("signal")
audit = group("audit")


class Times:
    """Reads times, asking for the city's zone only when one is local."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._zone = ""

    @property
    def zone(self) -> str:
        if not self._zone:
            self._zone = str(self._client.call("about")["time_zone"])
        return self._zone

    def read(self, given: str) -> int:
        return parse_time(given, "UTC") if _has_offset(given) else parse_time(given, self.zone)

    def localised(self, rows: output.Rows) -> output.Rows:
        return [
            {key: local_text(value, self.zone) if key in _TIME_KEYS and value else value for key, value in row.items()}
            for row in rows
        ]


def _has_offset(given: str) -> bool:
    clock = given.strip()[10:]
    return given.strip().isdigit() or clock.endswith(("Z", "z")) or "+" in clock or "-" in clock


def track(
    context: typer.Context,
    *,
    device: Annotated[str, typer.Argument(help=text("arg.device"))],
    start: Annotated[str, typer.Option("--from", help=text("opt.from"), metavar="TIME")],
    end: Annotated[str, typer.Option("--to", help=text("opt.to"), metavar="TIME")],
    shape: Annotated[str, typer.Option("--format", help=text("track.format"), metavar="FORMAT")] = "table",
    purpose: Purpose = None,
    approval: ApprovalId = "",
    as_json: Json = False,
) -> None:
    check_device_id(device)
    if shape != "table" and shape not in FORMATS:
        raise UsageError(f"{shape[:40]!r} is no format.", mend="Use table, " + ", ".join(FORMATS) + ".")
    with reading(place(context)) as client:
        times = Times(client)
        window = {"from_ms": times.read(start), "to_ms": times.read(end)}
        parts = client.track(device=device, purpose=purpose, approval=approval, **window)
        if as_json:
            output.pieces(parts)
            return
        rows = json.loads(b"".join(parts))["points"]
        if shape == "table":
            _track_table(device, rows, times)
            return
        out = sys.stdout.buffer
        out.writelines(piece.encode() for piece in FORMATS[shape](device, rows))
        out.flush()


def _track_table(device: str, rows: list[dict[str, Any]], times: Times) -> None:
    if sys.stdout.isatty():
        typer.echo(text("track.summary", device=device, count=len(rows), zone=times.zone))
    output.table(_TRACK_COLUMNS, rows, bounded=True, made=times.localised)


def where(
    context: typer.Context,
    *,
    devices: Annotated[list[str] | None, typer.Argument(help=text("arg.devices"), metavar="[DEVICE]...")] = None,
    purpose: Purpose = None,
    as_json: Json = False,
) -> None:
    for device in devices or []:
        check_device_id(device)
    with reading(place(context)) as client:
        rows = client.call("where", devices=devices or None, purpose=purpose)
        if as_json:
            output.as_json(rows)
        else:
            output.table(_WHERE_COLUMNS, rows, made=Times(client).localised)


def status(context: typer.Context, *, as_json: Json = False) -> None:
    with reading(place(context)) as client:
        found = client.call("status")
    if as_json:
        output.as_json(found)
    else:  # counts come as any number does; people read them without a point
        whole = {name: int(value) if float(value).is_integer() else value for name, value in found["live"].items()}
        output.pairs({**found, "live": whole})
        if port := int(found["live"].get("web_port", 0)):
            scheme = "https" if found["live"].get("web_tls") else "http"
            typer.echo(text("console.address", url=f"{scheme}://localhost:{port}/"))


@quarantine.command("list", help=text("quarantine.list"))
@command
def quarantine_list(
    context: typer.Context,
    *,
    reason: Annotated[str, typer.Option("--reason", help=text("quarantine.reason"))] = "",
    before: Before = None,
    limit: Limit = _DEFAULT_LIMIT,
    purpose: Purpose = None,
    as_json: Json = False,
) -> None:
    with reading(place(context)) as client:
        rows = client.call("quarantine_list", reason=reason, before=before, limit=limit, purpose=purpose)
    if as_json:
        output.as_json(rows)
    else:
        output.table(("number", "received", "reason", "rows", "device", "source", "detail"), rows)


@quarantine.command("show", help=text("quarantine.show"))
@command
def quarantine_show(
    context: typer.Context,
    *,
    number: Annotated[int, typer.Argument(help=text("quarantine.number"))],
    purpose: Purpose = None,
    as_json: Json = False,
) -> None:
    with reading(place(context)) as client:
        found = client.call("quarantine_show", number=number, purpose=purpose)
    output.as_json(found) if as_json else output.pairs(found)


@signal.command("list", help=text("signal.list"))
@command
def signal_list(
    context: typer.Context,
    *,
    device: Annotated[str, typer.Option("--device", help=text("arg.device"))] = "",
    kind: Annotated[str, typer.Option("--kind", help=text("signal.kind"))] = "",
    start: Annotated[str | None, typer.Option("--from", help=text("opt.from"), metavar="TIME")] = None,
    end: Annotated[str | None, typer.Option("--to", help=text("opt.to"), metavar="TIME")] = None,
    before: Before = None,
    limit: Limit = _DEFAULT_LIMIT,
    purpose: Purpose = None,
    as_json: Json = False,
) -> None:
    with reading(place(context)) as client:
        times = Times(client)
        rows = client.call(
            "signal_list",
            device=device,
            kind=kind,
            from_ms=None if start is None else times.read(start),
            to_ms=None if end is None else times.read(end),
            before=before,
            limit=limit,
            purpose=purpose,
        )
        if as_json:
            output.as_json(rows)
        else:
            columns = ("number", "time", "device", "kind", "severity", "source", "lat", "lon", "late", "note")
            output.table(columns, rows, made=times.localised)


@audit.command("list", help=text("audit.list"))
@command
def audit_list(
    context: typer.Context, *, before: Before = None, limit: Limit = _DEFAULT_LIMIT, as_json: Json = False
) -> None:
    with reading(place(context)) as client:
        rows = client.call("audit_list", before=before, limit=limit)
        if as_json:
            output.as_json(rows)
        else:
            columns = ("number", "time", "who", "role", "action", "target", "purpose", "detail")
            output.table(columns, rows, made=Times(client).localised)


@audit.command("verify", help=text("audit.verify"))
@command
def audit_verify(context: typer.Context, *, as_json: Json = False) -> None:
    with reading(place(context)) as client:
        found = client.call("audit_verify")
    if as_json:
        output.as_json(found)
    elif found["ok"]:
        typer.echo(text("audit.ok", rows=found["rows"]))
    else:
        output.table(("place", "what", "mend"), found["problems"])
    if not found["ok"]:
        raise typer.Exit(1)
