"""`fence`: areas with a rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from lucheng.cli import output
from lucheng.cli.choose import changing, reading, settings_of
from lucheng.cli.device_commands import file_bytes
from lucheng.cli.frame import command, group, place
from lucheng.cli.read_commands import Json
from lucheng.cli.texts import text
from model.errors import BadInput, UsageError

fence = group("fence")

FenceId = Annotated[str, typer.Argument(help=text("fence.id"), metavar="FENCE")]
_COLUMNS = ("fence", "number", "rule", "shape", "name", "enabled", "days", "hours", "kinds", "line_of_defence")
_TEST_COLUMNS = ("fence", "number", "rule", "name", "in_force", "enabled", "days", "hours")
_PAGE_ROWS = 10_000


def _option(name: str, key: str, metavar: str | None = None) -> Any:
    return typer.Option(f"--{name}", help=text(f"fence.{key}"), metavar=metavar)


def _place(given: str) -> list[float]:
    """`LAT,LON` as GeoJSON's [lon, lat]."""
    try:
        lat, lon = (float(part) for part in given.split(","))
    except ValueError as error:
        raise UsageError(f"{given[:40]!r} is no place.", mend="Write LAT,LON, e.g. 40.65,109.84.") from error
    return [lon, lat]


def _geometry(circle: str, line: str, polygon: str) -> dict[str, Any]:
    if sum(map(bool, (circle, line, polygon))) != 1:
        raise UsageError(
            "Which shape is not clear.", mend="Give one of --circle, --line and --polygon; files go to `fence import`."
        )
    if circle:
        return {"type": "Point", "coordinates": _place(circle)}
    places = [_place(given) for given in (line or polygon).split()]
    if line:
        return {"type": "LineString", "coordinates": places}
    if places[0] != places[-1]:
        places.append(places[0])
    return {"type": "Polygon", "coordinates": [places]}


def _hours(given: str) -> dict[str, str]:
    if not given:
        return {}
    start, dash, end = given.partition("-")
    if not dash:
        raise UsageError(f"{given[:40]!r} are no hours.", mend="Write HH:MM-HH:MM, e.g. 22:00-06:00.")
    return {"from": start.strip(), "to": end.strip()}


def _post(given: str) -> dict[str, Any]:
    name, sign, where = given.rpartition("@")
    if not sign:
        raise UsageError(f"{given[:40]!r} is no post.", mend="Write NAME@LAT,LON.")
    lon, lat = _place(where)
    return {"name": name, "lat": lat, "lon": lon}


@fence.command("add", help=text("fence.add"))
@command
def fence_add(
    context: typer.Context,
    *,
    name_of: FenceId,
    rule: Annotated[str, _option("rule", "rule", "RULE")],
    name: Annotated[str, _option("name", "name")] = "",
    circle: Annotated[str, _option("circle", "circle", "LAT,LON")] = "",
    line: Annotated[str, _option("line", "line", "PLACES")] = "",
    polygon: Annotated[str, _option("polygon", "polygon", "PLACES")] = "",
    radius_m: Annotated[float | None, _option("radius-m", "radius")] = None,
    limit_kmh: Annotated[float | None, _option("limit-kmh", "limit")] = None,
    road_class: Annotated[str | None, _option("road-class", "road_class")] = None,
    stay_s: Annotated[int | None, _option("stay-s", "stay")] = None,
    kinds: Annotated[list[str] | None, _option("kind", "kind")] = None,
    devices: Annotated[list[str] | None, _option("device", "device")] = None,
    days: Annotated[str, _option("days", "days", "DAYS")] = "",
    hours: Annotated[str, _option("hours", "hours", "HH:MM-HH:MM")] = "",
    line_of_defence: Annotated[int | None, _option("line-of-defence", "line_of_defence")] = None,
    posts: Annotated[list[str] | None, _option("post", "post", "NAME@LAT,LON")] = None,
    datum: Annotated[str | None, _option("datum", "datum")] = None,
    disabled: Annotated[bool, _option("disabled", "disabled")] = False,
    replace: Annotated[bool, _option("replace", "change")] = False,
    as_json: Json = False,
) -> None:
    properties = {
        "id": name_of,
        "rule": rule,
        "name": name,
        "radius_m": radius_m,
        "limit_kmh": limit_kmh,
        "road_class": road_class,
        "stay_s": stay_s,
        "kinds": kinds,
        "devices": devices,
        "days": [day.strip() for day in days.split(",")] if days else None,
        **_hours(hours),
        "line_of_defence": line_of_defence,
        "posts": [_post(given) for given in posts or []],
        "datum": datum,
        "enabled": not disabled,
    }
    feature = {"type": "Feature", "properties": properties, "geometry": _geometry(circle, line, polygon)}
    with changing(place(context)) as client:
        added = client.call("fence_add", feature=feature, change=replace)
    output.as_json(added) if as_json else typer.echo(text("fence.added", fence=name_of, number=added["number"]))


@fence.command("list", help=text("fence.list"))
@command
def fence_list(
    context: typer.Context,
    *,
    limit: Annotated[int | None, typer.Option("--limit", help=text("opt.limit"), min=1)] = None,
    as_json: Json = False,
) -> None:
    rows: list[dict[str, Any]] = []
    with reading(place(context)) as client:
        after = ""
        while limit is None or len(rows) < limit:
            page = _PAGE_ROWS if limit is None else min(_PAGE_ROWS, limit - len(rows))
            found = client.call("fence_list", after=after, limit=page)
            rows += found
            if len(found) < page:
                break
            after = found[-1]["fence"]
    output.as_json(rows) if as_json else output.table(_COLUMNS, rows)


@fence.command("show", help=text("fence.show"))
@command
def fence_show(context: typer.Context, *, name_of: FenceId, as_json: Json = False) -> None:
    with reading(place(context)) as client:
        found = client.call("fence_show", fence=name_of)
    if as_json:
        output.as_json(found)
        return
    feature = found.pop("feature")
    output.pairs(found)
    typer.echo("geometry\t" + json.dumps(feature["geometry"], separators=(",", ":")))


@fence.command("remove", help=text("fence.remove"))
@command
def fence_remove(context: typer.Context, *, name_of: FenceId, as_json: Json = False) -> None:
    with changing(place(context)) as client:
        gone = client.call("fence_remove", fence=name_of)
    output.as_json(gone) if as_json else typer.echo(text("fence.removed", fence=name_of))


@fence.command("import", help=text("fence.import"))
@command
def fence_import(
    context: typer.Context,
    *,
    file: Annotated[Path, typer.Argument(help=text("arg.file"), metavar="FILE")],
    replace: Annotated[bool, _option("replace", "replace")] = False,
    as_json: Json = False,
) -> None:
    raw = file_bytes(file, settings_of(place(context)).fences.max_import_bytes, "fences.max_import_bytes")
    with changing(place(context)) as client:
        found = client.call("fence_import", data=raw, replace=replace)
    output.as_json(found) if as_json else typer.echo(text("fence.imported", **found))


@fence.command("export", help=text("fence.export"))
@command
def fence_export(
    context: typer.Context,
    *,
    out: Annotated[Path | None, _option("out", "out", "FILE")] = None,
    as_json: Json = False,
) -> None:
    with reading(place(context)) as client:
        found = client.call("fence_export")
    if out is None:
        output.as_json(found)
        return
    try:
        out.write_text(json.dumps(found, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{out} cannot be written: {error.strerror}.", mend="Name a file you may write.") from error
    said = {"fences": len(found["features"]), "file": str(out)}
    output.as_json(said) if as_json else typer.echo(text("fence.exported", **said))


@fence.command("test", help=text("fence.test"), context_settings={"ignore_unknown_options": True})
@command
def fence_test(
    context: typer.Context,
    *,
    where: Annotated[str, typer.Argument(help=text("fence.place"), metavar="LAT,LON")],
    as_json: Json = False,
) -> None:
    lon, lat = _place(where)
    with reading(place(context)) as client:
        rows = client.call("fence_test", lat=lat, lon=lon)
    if as_json:
        output.as_json(rows)
    elif rows:
        output.table(_TEST_COLUMNS, rows)
    else:
        typer.echo(text("fence.nowhere"))
