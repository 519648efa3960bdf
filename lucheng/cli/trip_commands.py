"""`trips`: a device's track as trips and stops."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from lucheng.cli import output
from lucheng.cli.approval_option import ApprovalId
from lucheng.cli.choose import reading
from lucheng.cli.frame import place
from lucheng.cli.read_commands import Json, Purpose, Times
from lucheng.cli.texts import text
from lucheng.cli.times import local_text
from model.device import check_device_id

_COLUMNS = ("what", "start", "end", "lasted", "km", "km/h", "max_km/h", "occupied", "lat", "lon", "points")
_MINUTE_S, _HOUR_S = 60, 3_600


def trips(
    context: typer.Context,
    *,
    device: Annotated[str, typer.Argument(help=text("arg.device"))],
    start: Annotated[str, typer.Option("--from", help=text("opt.from"), metavar="TIME")],
    end: Annotated[str, typer.Option("--to", help=text("opt.to"), metavar="TIME")],
    stops: Annotated[bool, typer.Option("--stops", help=text("trips.stops"))] = False,
    purpose: Purpose = None,
    approval: ApprovalId = "",
    as_json: Json = False,
) -> None:
    check_device_id(device)
    with reading(place(context)) as client:
        times = Times(client)
        found = client.call(
            "trips", device=device, from_ms=times.read(start), to_ms=times.read(end), purpose=purpose, approval=approval
        )
        if as_json:
            output.as_json(found)
            return
        parts = [{"what": "stop", **row} for row in found["stops"]]
        if not stops:
            parts += [{"what": "trip", **row} for row in found["trips"]]
        parts.sort(key=lambda row: (row["start"], row["end"]))
        output.table(_COLUMNS, parts, bounded=True, made=lambda rows: [_shown(row, times.zone) for row in rows])
        if sys.stdout.isatty():
            typer.echo(text("trips.summary", zone=times.zone, **_summary(found["totals"])))


def _shown(row: Any, zone: str) -> dict[str, Any]:
    """A row for people: local times to the second, kilometres, and the occupied share in percent."""
    shown = {
        **row,
        "what": text(f"trips.{row['what']}"),
        "start": local_text(row["start"], zone)[:-4],
        "end": local_text(row["end"], zone)[:-4],
        "lasted": lasted(row["duration_s"]),
    }
    if row["what"] == "trip":
        shown |= {
            "km": f"{row['distance_m'] / 1_000:.2f}",
            "km/h": row["mean_kmh"],
            "max_km/h": row["max_kmh"],
            "occupied": _percent(row["occupied_share"]),
        }
    return shown


def _summary(totals: dict[str, Any]) -> dict[str, Any]:
    return {
        "trips": totals["trips"],
        "stops": totals["stops"],
        "km": f"{totals['distance_m'] / 1_000:.1f}",
        "driving": lasted(totals["driving_s"]),
        "standing": lasted(totals["standing_s"]),
        "occupied": _percent(totals["occupied_share"]) or "-",
    }


def lasted(seconds: float) -> str:
    """A duration as `h:mm:ss`."""
    whole = round(seconds)
    return f"{whole // _HOUR_S}:{whole % _HOUR_S // _MINUTE_S:02d}:{whole % _MINUTE_S:02d}"


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share:.0%}"
