"""`camera`: set up, look after, see; what follows a camera is in `camera_watching`, what analyses a file elsewhere."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from console.client import Client
from lucheng.cli import output
from lucheng.cli.camera_lines import table_row
from lucheng.cli.choose import changing, reading, service_answers
from lucheng.cli.frame import Place, command, group, place
from lucheng.cli.read_commands import Json, Limit, Purpose, Times
from lucheng.cli.saving import check_new, save
from lucheng.cli.texts import text
from lucheng.cli.times import local_text
from model.device import check_device_id
from model.errors import BadInput, UsageError

camera_app = group("camera")

CameraId = Annotated[str, typer.Argument(help=text("camera.id"), metavar="CAMERA")]
Out = Annotated[str, typer.Option("--out", "-o", help=text("camera.out"), metavar="FILE")]
Start = Annotated[str | None, typer.Option("--from", help=text("opt.from"), metavar="TIME")]
End = Annotated[str | None, typer.Option("--to", help=text("opt.to"), metavar="TIME")]
Url = Annotated[str | None, typer.Option("--url", help=text("camera.url"), metavar="URL")]
SubUrl = Annotated[str | None, typer.Option("--sub-url", help=text("camera.sub_url"), metavar="URL")]
UrlFile = Annotated[Path | None, typer.Option("--url-file", help=text("camera.url_file"), metavar="FILE")]
Site = Annotated[str | None, typer.Option("--site", help=text("camera.site"), metavar="SITE")]
Lat = Annotated[float | None, typer.Option("--lat", help=text("camera.lat"))]
Lon = Annotated[float | None, typer.Option("--lon", help=text("camera.lon"))]
Name = Annotated[str | None, typer.Option("--name", help=text("camera.name"))]
SettingsFile = Annotated[Path | None, typer.Option("--settings", help=text("camera.settings"), metavar="FILE")]
Policy = Annotated[str | None, typer.Option("--policy", help=text("camera.policy"))]
Record = Annotated[str | None, typer.Option("--record", help=text("camera.record"))]
Transport = Annotated[str | None, typer.Option("--transport", help=text("camera.transport"))]

MAX_URL_FILE_BYTES = 8_192
MAX_SETTINGS_FILE_BYTES = 262_144
_COLUMNS = ("camera", "name", "state", "policy", "mode", "gate", "recall", "fps", "bitrate_kbps", "lag_ms", "health", "record", "masked")  # fmt: skip
_SEGMENT_COLUMNS = ("recording", "from", "to", "seconds", "size_bytes", "codec", "motion_s", "masked", "held")
_SPAN_COLUMNS = ("from", "to", "seconds", "segments", "held")
_TIMES = ("from", "to", "set", "since")
_STANDARD_INPUT = "-"
_DEFAULT_LIMIT = 100


# -- setting up -----------------------------------------------------------------------------------


@camera_app.command("add", help=text("camera.add"))
@command
def camera_add(
    context: typer.Context,
    *,
    camera: CameraId,
    url: Url = None,
    sub_url: SubUrl = None,
    url_file: UrlFile = None,
    site: Site = None,
    lat: Lat = None,
    lon: Lon = None,
    name: Name = None,
    settings: SettingsFile = None,
    policy: Policy = None,
    record: Record = None,
    transport: Transport = None,
    as_json: Json = False,
) -> None:
    check_device_id(camera)
    given = _settings(settings, policy=policy, record=record, transport=transport)
    if url is None and url_file is None:
        url = _STANDARD_INPUT
    addresses = _addresses(url, sub_url, url_file)
    with changing(place(context)) as client:
        made = client.call(
            "camera_set", camera=camera, add=True, settings=given, **addresses, site=site, lat=lat, lon=lon, name=name
        )
    _did("camera.added", made, as_json=as_json)


@camera_app.command("set", help=text("camera.set"))
@command
def camera_set(
    context: typer.Context,
    *,
    camera: CameraId,
    url: Url = None,
    sub_url: SubUrl = None,
    url_file: UrlFile = None,
    site: Site = None,
    lat: Lat = None,
    lon: Lon = None,
    name: Name = None,
    settings: SettingsFile = None,
    policy: Policy = None,
    record: Record = None,
    transport: Transport = None,
    as_json: Json = False,
) -> None:
    check_device_id(camera)
    given = _settings(settings, policy=policy, record=record, transport=transport)
    addresses = _addresses(url, sub_url, url_file)
    if not given and not any(value is not None for value in (*addresses.values(), site, lat, lon, name)):
        raise UsageError("Nothing is to be set.", mend="Give an address, --settings or one of the other options.")
    with changing(place(context)) as client:
        made = client.call(
            "camera_set", camera=camera, settings=given, **addresses, site=site, lat=lat, lon=lon, name=name
        )
    _did("camera.changed", made, as_json=as_json)


@camera_app.command("remove", help=text("camera.remove"))
@command
def camera_remove(context: typer.Context, *, camera: CameraId, as_json: Json = False) -> None:
    check_device_id(camera)
    with changing(place(context)) as client:
        done = client.call("camera_remove", camera=camera)
    output.as_json(done) if as_json else typer.echo(text("camera.removed", camera=camera))


@camera_app.command("unpark", help=text("camera.unpark"))
@command
def camera_unpark(context: typer.Context, *, camera: CameraId, as_json: Json = False) -> None:
    check_device_id(camera)
    with changing(place(context)) as client:
        done = client.call("camera_unpark", camera=camera)
    output.as_json(done) if as_json else typer.echo(text("camera.unparked", camera=camera))


@camera_app.command("probe", help=text("camera.probe"))
@command
def camera_probe(
    context: typer.Context,
    *,
    what: Annotated[str, typer.Argument(help=text("camera.what"), metavar="URL|CAMERA")],
    transport: Annotated[str, typer.Option("--transport", help=text("camera.transport"))] = "tcp",
    timeout_s: Annotated[float, typer.Option("--timeout", help=text("camera.timeout"))] = 15.0,
    as_json: Json = False,
) -> None:
    asked = {"camera": what} if what.startswith("camera/") else {"url": _read_address(what, "camera.ask")}
    with _trying(place(context)) as client:
        found = client.call("camera_probe", **asked, transport=transport, timeout_s=timeout_s)
    output.as_json(found) if as_json else output.pairs(found)
    failed = [one for one in (found, found.get("sub")) if one is not None and not one.get("ok", True)]
    for one in failed:
        reason, detail = output.cell(one.get("reason")), output.cell(one.get("detail"))
        typer.echo(text("camera.no_stream", reason=reason, detail=detail), err=True)
    if failed:
        raise typer.Exit(1)


# -- looking --------------------------------------------------------------------------------------


@camera_app.command("list", help=text("camera.list"))
@command
def camera_list(
    context: typer.Context,
    *,
    state: Annotated[str, typer.Option("--state", help=text("camera.state"))] = "",
    site: Annotated[str, typer.Option("--site", help=text("camera.only_site"), metavar="SITE")] = "",
    after: Annotated[int, typer.Option("--after", help=text("camera.after"))] = -1,
    limit: Limit = _DEFAULT_LIMIT,
    purpose: Purpose = None,
    as_json: Json = False,
) -> None:
    with reading(place(context)) as client:
        rows = client.call("camera_list", state=state, site=site, after=after, limit=limit, purpose=purpose)
    output.as_json(rows) if as_json else output.table(
        _COLUMNS, rows, made=lambda some: [table_row(row) for row in some]
    )


@camera_app.command("show", help=text("camera.show"))
@command
def camera_show(context: typer.Context, *, camera: CameraId, purpose: Purpose = None, as_json: Json = False) -> None:
    check_device_id(camera)
    with reading(place(context)) as client:
        found = client.call("camera_show", camera=camera, purpose=purpose)
        if as_json:
            output.as_json(found)
            return
        zone = Times(client).zone
    (shown,) = _localised([table_row(found)], zone)
    output.pairs({key: value for key, value in shown.items() if value not in (None, "", [])})


@camera_app.command("snapshot", help=text("camera.snapshot"))
@command
def camera_snapshot(context: typer.Context, *, camera: CameraId, out: Out, purpose: Purpose = None) -> None:
    check_device_id(camera)
    check_new(out)
    with reading(place(context)) as client:
        data = client.blob("camera_snapshot", camera=camera, purpose=purpose)
    _saved(out, data)


@camera_app.command("clip", help=text("camera.clip"))
@command
def camera_clip(
    context: typer.Context,
    *,
    camera: CameraId,
    seconds: Annotated[float | None, typer.Option("--seconds", help=text("camera.seconds"))] = None,
    start: Start = None,
    end: End = None,
    alarm: Annotated[str, typer.Option("--alarm", help=text("camera.alarm"), metavar="ALARM")] = "",
    out: Annotated[str | None, typer.Option("--out", "-o", help=text("camera.out"), metavar="FILE")] = None,
    purpose: Purpose = None,
    as_json: Json = False,
) -> None:
    check_device_id(camera)
    if out is not None:
        check_new(out)
    with changing(place(context)) as client:
        times = Times(client)
        made = client.call(
            "camera_clip",
            camera=camera,
            seconds=seconds,
            from_ms=times.read(start) if start is not None else None,
            to_ms=times.read(end) if end is not None else None,
            alarm=alarm,
            purpose=purpose,
        )
        why = f"alarm:{made['alarm']}" if purpose is None and made["alarm"] else purpose
        data = client.blob("evidence_read", evidence=made["evidence"], purpose=why) if out is not None else b""
    if out is not None and not save(out, data):
        return
    if as_json:
        output.as_json(made)
        return
    typer.echo(text("camera.clipped", evidence=made["evidence"], seconds=made["seconds"], size=made["size_bytes"]))
    if made["note"]:
        typer.echo(output.cell(made["note"]))


@camera_app.command("recordings", help=text("camera.recordings"))
@command
def camera_recordings(
    context: typer.Context,
    *,
    camera: CameraId,
    start: Start = None,
    end: End = None,
    limit: Limit = _DEFAULT_LIMIT,
    coverage: Annotated[bool, typer.Option("--coverage", help=text("camera.coverage"))] = False,
    recording: Annotated[str, typer.Option("--save", help=text("camera.save"), metavar="RECORDING")] = "",
    out: Annotated[str, typer.Option("--out", "-o", help=text("camera.out"), metavar="FILE")] = "",
    purpose: Purpose = None,
    as_json: Json = False,
) -> None:
    check_device_id(camera)
    if bool(recording) != bool(out):
        raise UsageError("One of --save and -o is given.", mend="Give the recording and the file, or neither.")
    with reading(place(context)) as client:
        if recording:
            check_new(out)
            data = client.blob("camera_recording_read", camera=camera, recording=recording, purpose=purpose)
            _saved(out, data)
            return
        times = Times(client)
        found = client.call(
            "camera_recordings",
            camera=camera,
            from_ms=times.read(start) if start is not None else None,
            to_ms=times.read(end) if end is not None else None,
            limit=limit,
            purpose=purpose,
        )
        if as_json:
            output.as_json(found)
        elif coverage:
            output.table(_SPAN_COLUMNS, found["coverage"], made=lambda rows: _localised(rows, times.zone))
        else:
            output.table(_SEGMENT_COLUMNS, found["segments"], made=lambda rows: _localised(rows, times.zone))


@camera_app.command("watch", help=text("camera.watch"))
@command
def camera_watch(
    context: typer.Context,
    *,
    cameras: Annotated[list[str] | None, typer.Argument(help=text("camera.ids"), metavar="[CAMERA]...")] = None,
    live: Annotated[bool, typer.Option("--live", help=text("camera.live"))] = False,
    every_s: Annotated[float, typer.Option("--every", help=text("camera.every"), min=0.1, max=3_600)] = 2.0,
    for_s: Annotated[float | None, typer.Option("--seconds", help=text("camera.for"), min=0)] = None,
    purpose: Purpose = None,
    as_json: Json = False,
) -> None:
    from lucheng.cli.camera_watching import watch  # noqa: PLC0415 used by this alone

    for camera in cameras or []:
        check_device_id(camera)
    if not live:
        watch(place(context), cameras or [], every_s=every_s, for_s=for_s, purpose=purpose, as_json=as_json)
        return
    if not cameras:
        raise UsageError("It is not said which camera.", mend="Name one, or several.")
    with reading(place(context)) as client:
        rows = [client.call("camera_live", camera=camera, purpose=purpose) for camera in cameras]
    output.as_json(rows) if as_json else output.table(("camera", "url"), rows)


# -- what they share ------------------------------------------------------------------------------


def _did(key: str, made: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.as_json(made)
        return
    typer.echo(text(key, camera=made["camera"], address=made["address"]))
    if made["note"]:
        typer.echo(output.cell(made["note"]), err=True)


def _localised(rows: output.Rows, zone: str) -> output.Rows:
    return [{**row, **{key: local_text(row[key], zone) for key in _TIMES if row.get(key)}} for row in rows]


def _saved(file: str, data: bytes) -> None:
    if save(file, data):
        typer.echo(text("camera.saved", file=file, size=len(data)))


@contextmanager
def _trying(here: Place) -> Iterator[Client]:
    """A client to try an address with, also before there is any data: what is tried is audited, so a folder is made."""
    from lucheng.series_choice import holds_series  # noqa: PLC0415 NumPy and the stores cost 0.2 s

    fresh = not service_answers(here) and not holds_series(here.data_dir)
    with changing(here) if fresh else reading(here) as client:
        yield client


def _settings(file: Path | None, **options: str | None) -> dict[str, Any]:
    """What a TOML file says, and the options, which win."""
    given: dict[str, Any] = {}
    if file is not None:
        try:
            given = tomllib.loads(_file_text(file, MAX_SETTINGS_FILE_BYTES))
        except tomllib.TOMLDecodeError as error:
            raise BadInput(
                f"{file} is not TOML: {error}.", mend="Write key = value, and [[zones]] for each zone."
            ) from error
    return given | {key: value for key, value in options.items() if value is not None}


def _addresses(url: str | None, sub_url: str | None, file: Path | None) -> dict[str, str | None]:
    """The addresses as they were given: on the command line, typed, piped or in a file."""
    if file is None:
        return {
            "url": _read_address(url, "camera.ask") if url is not None else None,
            "sub_url": _read_address(sub_url, "camera.ask_sub") if sub_url is not None else None,
        }
    if url is not None:
        raise UsageError("The address is given twice.", mend="Give one of --url and --url-file.")
    lines = [line.strip() for line in _file_text(file, MAX_URL_FILE_BYTES).splitlines()]
    second = lines[1] if len(lines) > 1 and lines[1] else None
    given_sub = _read_address(sub_url, "camera.ask_sub") if sub_url is not None else second
    return {"url": lines[0] if lines else "", "sub_url": given_sub}


def _file_text(path: Path, max_bytes: int) -> str:
    try:
        with path.open("rb") as stream:
            raw = stream.read(max_bytes + 1)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.", mend="Name a file that is there.") from error
    if len(raw) > max_bytes:
        raise BadInput(f"{path} is larger than {max_bytes} bytes.", mend="Is it the right file?")
    try:
        return raw.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8.", mend="Save the file as UTF-8.") from error


def _read_address(given: str, asks: str) -> str:
    """The address itself; `-`: asked for without showing it, or a line of standard input."""
    if given != _STANDARD_INPUT:
        if "@" in given:
            typer.echo(text("camera.seen"), err=True)
        return given
    if sys.stdin.isatty():
        return str(typer.prompt(text(asks), hide_input=True, err=True)).strip()
    try:
        return sys.stdin.buffer.readline(MAX_URL_FILE_BYTES).decode().strip()
    except UnicodeDecodeError as error:
        raise BadInput("The address is not UTF-8.", mend="Write it as UTF-8.") from error
