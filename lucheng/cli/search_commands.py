"""`search`: who was there then, who went along, which cameras were passed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from console.client import Client
from lucheng.cli import output
from lucheng.cli.approval_option import ApprovalId
from lucheng.cli.choose import changing, reading
from lucheng.cli.frame import Place, command, group, place
from lucheng.cli.read_commands import Json, Purpose, Times
from lucheng.cli.texts import text
from lucheng.cli.times import local_text
from model.device import check_device_id
from model.errors import BadInput

search = group("search")

MAX_AREA_FILE_BYTES = 64 << 10
_FILE = "@"
#: A latitude or a longitude may be negative.
_NEGATIVE = {"ignore_unknown_options": True}
_INSIDE = ("device", "plate", "first", "last", "points", "legs")
_BOTH = ("device", "plate", "first", "first_last", "second", "second_last", "apart_s")
_THEN = ("device", "plate", "left", "reached", "took_s")
_WITH = ("device", "plate", "from", "to", "seconds", "nearest_m", "points")
_MET = ("device", "other", "time", "apart_s")
_EVIDENCE = ("device", "what", "time", "lat", "lon", "speed_kmh", "heading_deg", "marks")
_CAMERAS = ("camera", "name", "from", "to", "seconds", "range_m", "bearing_deg", "seen", "points", "recorded_s", "pull")

Start = Annotated[str, typer.Option("--from", help=text("opt.from"), metavar="TIME")]
End = Annotated[str, typer.Option("--to", help=text("opt.to"), metavar="TIME")]
Area = Annotated[str, typer.Argument(help=text("search.area"), metavar="AREA")]
First = Annotated[str, typer.Argument(help=text("search.area"), metavar="FIRST")]
Second = Annotated[str, typer.Argument(help=text("search.area"), metavar="SECOND")]
Devices = Annotated[list[str] | None, typer.Option("--device", help=text("search.device"), metavar="DEVICE")]
Kinds = Annotated[list[str] | None, typer.Option("--kind", help=text("search.kind"), metavar="KIND")]
Evidence = Annotated[bool, typer.Option("--evidence", help=text("search.evidence"))]


@search.command("inside", help=text("search.inside"), context_settings=_NEGATIVE)
@command
def search_inside(
    context: typer.Context,
    *,
    area: Area,
    start: Start,
    end: End,
    kinds: Kinds = None,
    devices: Devices = None,
    evidence: Evidence = False,
    purpose: Purpose = None,
    approval: ApprovalId = "",
    as_json: Json = False,
) -> None:
    asked = {"area": _area(area), "evidence": evidence, **_whom(kinds, devices)}
    with _asking(place(context), approval) as client:
        times = Times(client)
        found = client.call("search_inside", **asked, **_window(times, start, end), purpose=purpose, approval=approval)
        if as_json:
            output.as_json(found)
        elif evidence:
            output.table(_EVIDENCE, _evidence(found["vehicles"]), bounded=True, made=times.localised)
        else:
            rows = found["vehicles"]
            output.table(_INSIDE, rows, bounded=True, made=lambda some: [{**row, **_stay(row, times)} for row in some])
            _summary(found, rows, times, [found["area"]])


@search.command("both", help=text("search.both"), context_settings=_NEGATIVE)
@command
def search_both(
    context: typer.Context,
    *,
    first: First,
    second: Second,
    start: Start,
    end: End,
    second_start: Annotated[
        str | None, typer.Option("--second-from", help=text("search.second_from"), metavar="TIME")
    ] = None,
    second_end: Annotated[
        str | None, typer.Option("--second-to", help=text("search.second_to"), metavar="TIME")
    ] = None,
    within_s: Annotated[float | None, typer.Option("--within-s", help=text("search.within_both"))] = None,
    kinds: Kinds = None,
    devices: Devices = None,
    purpose: Purpose = None,
    approval: ApprovalId = "",
    as_json: Json = False,
) -> None:
    asked = {"first": _area(first), "second": _area(second), "within_s": within_s, **_whom(kinds, devices)}
    with _asking(place(context), approval) as client:
        times = Times(client)
        later = {
            "second_from_ms": times.read(second_start) if second_start is not None else None,
            "second_to_ms": times.read(second_end) if second_end is not None else None,
        }
        found = client.call(
            "search_both", **asked, **_window(times, start, end), **later, purpose=purpose, approval=approval
        )
        if as_json:
            output.as_json(found)
            return
        output.table(
            _BOTH, found["vehicles"], bounded=True, made=lambda some: [{**row, **_stays(row, times)} for row in some]
        )
        _summary(found, found["vehicles"], times, [found["first"], found["second"]])


@search.command("then", help=text("search.then"), context_settings=_NEGATIVE)
@command
def search_then(
    context: typer.Context,
    *,
    first: First,
    second: Second,
    start: Start,
    end: End,
    within_s: Annotated[float, typer.Option("--within-s", help=text("search.within_then"))] = 3_600.0,
    kinds: Kinds = None,
    devices: Devices = None,
    purpose: Purpose = None,
    approval: ApprovalId = "",
    as_json: Json = False,
) -> None:
    asked = {"first": _area(first), "second": _area(second), "within_s": within_s, **_whom(kinds, devices)}
    with _asking(place(context), approval) as client:
        times = Times(client)
        found = client.call("search_then", **asked, **_window(times, start, end), purpose=purpose, approval=approval)
        if as_json:
            output.as_json(found)
            return
        output.table(
            _THEN,
            found["passages"],
            bounded=True,
            made=lambda some: [{**row, **_marked(row, times, "left", "reached")} for row in some],
        )
        _summary(found, found["passages"], times, [found["first"], found["second"]])


@search.command("with", help=text("search.with"))
@command
def search_with(
    context: typer.Context,
    *,
    device: Annotated[str, typer.Argument(help=text("arg.device"))],
    start: Start,
    end: End,
    near_m: Annotated[float, typer.Option("--near-m", help=text("search.near"))] = 100.0,
    together_s: Annotated[float, typer.Option("--together-s", help=text("search.together"))] = 60.0,
    kinds: Kinds = None,
    devices: Devices = None,
    purpose: Purpose = None,
    approval: ApprovalId = "",
    as_json: Json = False,
) -> None:
    check_device_id(device)
    asked = {"device": device, "near_m": near_m, "together_s": together_s, **_whom(kinds, devices)}
    with _asking(place(context), approval) as client:
        times = Times(client)
        found = client.call("search_company", **asked, **_window(times, start, end), purpose=purpose, approval=approval)
        if as_json:
            output.as_json(found)
            return
        output.table(_WITH, found["company"], bounded=True, made=lambda some: [_local(row, times) for row in some])
        _summary(found, found["company"], times, [])


@search.command("met", help=text("search.met"), context_settings=_NEGATIVE)
@command
def search_met(
    context: typer.Context,
    *,
    area: Area,
    start: Start,
    end: End,
    within_s: Annotated[float, typer.Option("--within-s", help=text("search.within_met"))] = 60.0,
    kinds: Kinds = None,
    devices: Devices = None,
    purpose: Purpose = None,
    approval: ApprovalId = "",
    as_json: Json = False,
) -> None:
    asked = {"area": _area(area), "within_s": within_s, **_whom(kinds, devices)}
    with _asking(place(context), approval) as client:
        times = Times(client)
        found = client.call("search_met", **asked, **_window(times, start, end), purpose=purpose, approval=approval)
        if as_json:
            output.as_json(found)
            return
        output.table(_MET, found["pairs"], bounded=True, made=lambda some: [_local(row, times) for row in some])
        both = [{"device": row[side]} for row in found["pairs"] for side in ("device", "other")]
        _summary(found, both, times, [found["area"]])


@search.command("cameras", help=text("search.cameras"))
@command
def search_cameras(
    context: typer.Context,
    *,
    device: Annotated[str, typer.Argument(help=text("arg.device"))],
    start: Start,
    end: End,
    purpose: Purpose = None,
    approval: ApprovalId = "",
    as_json: Json = False,
) -> None:
    check_device_id(device)
    with _asking(place(context), approval) as client:
        times = Times(client)
        found = client.call(
            "search_cameras", device=device, **_window(times, start, end), purpose=purpose, approval=approval
        )
        if as_json:
            output.as_json(found)
            return
        rows = found["passes"]
        output.table(_CAMERAS, rows, bounded=True, made=lambda some: [_pass(row, times) for row in some])
        if sys.stdout.isatty():
            cameras = len({row["camera"] for row in rows})
            typer.echo(text("search.passes", passes=len(rows), cameras=cameras, zone=times.zone))


# -- what is asked --------------------------------------------------------------------------------


@contextmanager
def _asking(here: Place, approval: str) -> Iterator[Client]:
    """A client; to ask for an approval or to use one writes it down."""
    with (changing if approval else reading)(here) as client:
        yield client


def _area(given: str) -> str:
    """The area, from a file where it begins with @."""
    if not given.startswith(_FILE):
        return given
    file = Path(given.removeprefix(_FILE))
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_AREA_FILE_BYTES + 1)
        if len(raw) > MAX_AREA_FILE_BYTES:
            raise BadInput(
                f"{file} is longer than {MAX_AREA_FILE_BYTES >> 10} KiB.", mend="Draw it with fewer corners."
            )
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}.", mend="Name a file of GeoJSON.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{file} is no text.", mend="Name a file of GeoJSON.") from error


def _whom(kinds: list[str] | None, devices: list[str] | None) -> dict[str, Any]:
    for device in devices or []:
        check_device_id(device)
    return {"kinds": kinds or None, "devices": devices or None}


def _window(times: Times, start: str, end: str) -> dict[str, int]:
    return {"from_ms": times.read(start), "to_ms": times.read(end)}


# -- what is shown --------------------------------------------------------------------------------


def _summary(found: dict[str, Any], rows: list[dict[str, Any]], times: Times, areas: list[dict[str, Any]]) -> None:
    if not sys.stdout.isatty():
        return
    off_m = max((area["simplified_m"] for area in areas), default=0.0)
    more = text("search.simplified", metres=off_m) if off_m else ""
    devices = len({row["device"] for row in rows})
    typer.echo(text("search.summary", found=devices, searched=found["searched"], zone=times.zone, more=more))


def _marked(row: Mapping[str, Any], times: Times, *keys: str) -> dict[str, str]:
    """Local times, with ~ where they are interpolated."""
    return {key: "~" * row[f"{key}_interpolated"] + _short(row[key], times) for key in keys}


def _stay(row: Mapping[str, Any], times: Times) -> dict[str, str]:
    return _marked(row, times, "first", "last")


def _stays(row: Mapping[str, Any], times: Times) -> dict[str, str]:
    first, second = _stay(row["first"], times), _stay(row["second"], times)
    return {
        "first": first["first"],
        "first_last": first["last"],
        "second": second["first"],
        "second_last": second["last"],
    }


def _local(row: Mapping[str, Any], times: Times) -> dict[str, Any]:
    return {**row, **{key: _short(row[key], times) for key in ("from", "to", "time") if key in row}}


def _short(rfc3339: str, times: Times) -> str:
    """A local time to the second."""
    return local_text(rfc3339, times.zone)[:-4]


def _evidence(vehicles: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every point, and both ends of every leg across, by device and time."""
    rows: list[dict[str, Any]] = []
    for one in vehicles:
        points = [{"what": "point", **point} for point in one["evidence"]["points"]]
        legs = [{"what": end, **leg[end]} for leg in one["evidence"]["legs"] for end in ("before", "after")]
        rows += [{"device": one["device"], **row} for row in sorted(points + legs, key=lambda row: row["time"])]
    return rows


def _pass(row: Mapping[str, Any], times: Times) -> dict[str, Any]:
    recorded = row["recorded"]
    return {
        **_local(row, times),
        "seen": text("search.around" if row["by_range"] else "search.aimed"),
        "recorded_s": None if recorded is None else round(sum(span["seconds"] for span in recorded), 1),
        "pull": pull_command(row["pull"]),
    }


def pull_command(pull: dict[str, Any]) -> str:
    """The command that pulls what a camera saw."""
    what = pull["operation"].removeprefix("camera_")
    return f"lucheng camera {what} {pull['camera']} --from {pull['from_ms']} --to {pull['to_ms']}"
