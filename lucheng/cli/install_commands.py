"""`device register`, `check`, `press`, `confirm`, `picture`, `finish`, `open`, `change`, `swap`, `retire`, `history`, `photo`: fitting devices."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from lucheng.cli import output
from lucheng.cli.choose import changing, reading
from lucheng.cli.device_commands import DeviceId, device, file_bytes
from lucheng.cli.frame import command, group, place
from lucheng.cli.read_commands import Json, Limit
from lucheng.cli.saving import save
from lucheng.cli.texts import language, text
from model.device import check_device_id

photo = group("device.photo")

Reason = Annotated[str, typer.Option("--reason", help=text("install.reason"))]
Version = Annotated[int | None, typer.Option("--version", help=text("install.version"), min=0)]
Imei = Annotated[str, typer.Option("--imei", help=text("install.imei"))]
Number = Annotated[str, typer.Option("--number", help=text("install.number"))]
AsLabelled = Annotated[bool, typer.Option("--imei-as-labelled", help=text("install.as_labelled"))]
Cameras = Annotated[list[str] | None, typer.Option("--camera", help=text("install.camera"))]
#: As `devices.pictures.DEFAULT_MAX_BYTES`, which imports NumPy's neighbours.
MAX_PHOTO_BYTES = 8 << 20
_HISTORY = ("time", "by", "action", "detail")
_PHOTOS = ("photo", "time", "by", "format", "width_px", "height_px", "size_bytes")


def _text_option(name: str) -> Any:
    return typer.Option(f"--{name.replace('_', '-')}", help=text("device.field", field=name))


@device.command("register", help=text("device.register"))
@command
def register(
    context: typer.Context,
    *,
    kind: Annotated[str, typer.Argument(help=text("device.kind"), metavar="KIND")],
    name_of: Annotated[str, typer.Option("--id", help=text("install.id"))] = "",
    imei: Imei = "",
    number: Number = "",
    as_labelled: AsLabelled = False,
    name: Annotated[str, _text_option("name")] = "",
    plate: Annotated[str, _text_option("plate")] = "",
    owner_ref: Annotated[str, _text_option("owner_ref")] = "",
    model: Annotated[str, _text_option("model")] = "",
    protocol: Annotated[str, typer.Option("--protocol", help=text("device.protocol"))] = "",
    site: Annotated[str, _text_option("site")] = "",
    gateway: Annotated[str, _text_option("gateway")] = "",
    cameras: Cameras = None,
    lat: Annotated[float | None, _text_option("lat")] = None,
    lon: Annotated[float | None, _text_option("lon")] = None,
    accuracy_m: Annotated[float | None, typer.Option("--accuracy-m", help=text("install.accuracy"), min=0)] = None,
    as_json: Json = False,
) -> None:
    given = {"name": name, "plate": plate, "owner_ref": owner_ref, "model": model, "protocol": protocol}
    given |= {"site": site, "gateway": gateway, "imei": imei, "number": number, "device": name_of}
    where = {"lat": lat, "lon": lon, "accuracy_m": accuracy_m}
    with changing(place(context)) as client:
        made = client.call(
            "device_register", kind=kind, cameras=cameras or [], imei_as_labelled=as_labelled, **given, **where
        )
    output.as_json(made) if as_json else typer.echo(text("added", device=made["device"], number=made["number"]))


@device.command("check", help=text("device.check"))
@command
def check(context: typer.Context, *, name_of: DeviceId, as_json: Json = False) -> None:
    check_device_id(name_of)
    with changing(place(context)) as client:
        found = client.call("device_check", device=name_of)
    _told(found, as_json=as_json)


@device.command("press", help=text("device.press"))
@command
def press(context: typer.Context, *, name_of: DeviceId, as_json: Json = False) -> None:
    _step(context, "device_test_press", name_of, as_json=as_json)


@device.command("confirm", help=text("device.confirm"))
@command
def confirm(context: typer.Context, *, name_of: DeviceId, as_json: Json = False) -> None:
    _step(context, "device_test_confirm", name_of, as_json=as_json)


@device.command("picture", help=text("device.picture"))
@command
def picture(context: typer.Context, *, name_of: DeviceId, as_json: Json = False) -> None:
    _step(context, "device_test_picture", name_of, as_json=as_json)


@device.command("finish", help=text("device.finish"))
@command
def finish(
    context: typer.Context,
    *,
    name_of: DeviceId,
    skip: Annotated[list[str] | None, typer.Option("--skip", help=text("install.skip"))] = None,
    note: Annotated[str, typer.Option("--note", help=text("install.note"))] = "",
    as_json: Json = False,
) -> None:
    _step(context, "device_finish", name_of, as_json=as_json, skip=skip or [], note=note)


@device.command("open", help=text("device.open"))
@command
def open_again(
    context: typer.Context,
    *,
    name_of: DeviceId,
    technician: Annotated[str, typer.Option("--for", help=text("install.for"))] = "",
    as_json: Json = False,
) -> None:
    check_device_id(name_of)
    with changing(place(context)) as client:
        found = client.call("device_install", device=name_of, technician=technician)
    output.as_json(found) if as_json else output.pairs(found["installation"])


@device.command("change", help=text("device.change"))
@command
def change(
    context: typer.Context,
    *,
    name_of: DeviceId,
    name: Annotated[str | None, _text_option("name")] = None,
    plate: Annotated[str | None, _text_option("plate")] = None,
    imei: Annotated[str | None, _text_option("imei")] = None,
    phone: Annotated[str | None, _text_option("phone")] = None,
    model: Annotated[str | None, _text_option("model")] = None,
    owner_ref: Annotated[str | None, _text_option("owner_ref")] = None,
    site: Annotated[str | None, _text_option("site")] = None,
    gateway: Annotated[str | None, _text_option("gateway")] = None,
    protocol: Annotated[str | None, typer.Option("--protocol", help=text("device.protocol"))] = None,
    lat: Annotated[float | None, _text_option("lat")] = None,
    lon: Annotated[float | None, _text_option("lon")] = None,
    cameras: Cameras = None,
    version: Version = None,
    as_json: Json = False,
) -> None:
    check_device_id(name_of)
    given = {"name": name, "plate": plate, "imei": imei, "phone": phone, "model": model, "owner_ref": owner_ref}
    given |= {"site": site, "gateway": gateway, "protocol": protocol}
    with changing(place(context)) as client:
        made = client.call("device_update", device=name_of, lat=lat, lon=lon, cameras=cameras, version=version, **given)
    output.as_json(made) if as_json else output.pairs(made)


@device.command("swap", help=text("device.swap"))
@command
def swap(
    context: typer.Context,
    *,
    name_of: DeviceId,
    reason: Reason,
    new: Annotated[str, typer.Option("--new", help=text("install.new"))] = "",
    imei: Imei = "",
    number: Number = "",
    as_labelled: AsLabelled = False,
    model: Annotated[str, _text_option("model")] = "",
    protocol: Annotated[str, typer.Option("--protocol", help=text("device.protocol"))] = "",
    version: Version = None,
    as_json: Json = False,
) -> None:
    check_device_id(name_of)
    given = {"new": new, "imei": imei, "number": number, "model": model, "protocol": protocol}
    with changing(place(context)) as client:
        made = client.call(
            "device_swap", device=name_of, reason=reason, imei_as_labelled=as_labelled, version=version, **given
        )
    output.as_json(made) if as_json else typer.echo(text("install.swapped", device=name_of, new=made["device"]))


@device.command("retire", help=text("device.retire"))
@command
def retire(
    context: typer.Context, *, name_of: DeviceId, reason: Reason, version: Version = None, as_json: Json = False
) -> None:
    check_device_id(name_of)
    with changing(place(context)) as client:
        made = client.call("device_retire", device=name_of, reason=reason, version=version)
    output.as_json(made) if as_json else typer.echo(text("install.retired", device=name_of))


@device.command("history", help=text("device.history"))
@command
def history(context: typer.Context, *, name_of: DeviceId, limit: Limit = 100, as_json: Json = False) -> None:
    check_device_id(name_of)
    with reading(place(context)) as client:
        rows = client.call("device_history", device=name_of, limit=limit)
    output.as_json(rows) if as_json else output.table(_HISTORY, rows)


@photo.command("add", help=text("device.photo.add"))
@command
def photo_add(
    context: typer.Context,
    *,
    name_of: DeviceId,
    file: Annotated[Path, typer.Argument(help=text("arg.file"), metavar="FILE")],
    as_json: Json = False,
) -> None:
    check_device_id(name_of)
    raw = file_bytes(file, MAX_PHOTO_BYTES)
    with changing(place(context)) as client:
        kept = client.call("device_photo", device=name_of, data=raw)
    output.as_json(kept) if as_json else output.pairs(kept)


@photo.command("list", help=text("device.photo.list"))
@command
def photo_list(context: typer.Context, *, name_of: DeviceId, as_json: Json = False) -> None:
    check_device_id(name_of)
    with reading(place(context)) as client:
        rows = client.call("device_photos", device=name_of)
    output.as_json(rows) if as_json else output.table(_PHOTOS, rows)


@photo.command("get", help=text("device.photo.get"))
@command
def photo_get(
    context: typer.Context,
    *,
    photo_id: Annotated[str, typer.Argument(help=text("install.photo"), metavar="PHOTO")],
    out: Annotated[str, typer.Option("--out", help=text("install.out"), metavar="FILE")],
) -> None:
    with reading(place(context)) as client:
        data = client.blob("device_photo_read", photo=photo_id)
    if save(out, data):
        typer.echo(text("files", files=out))


def _step(context: typer.Context, operation: str, name: str, *, as_json: bool, **arguments: Any) -> None:
    check_device_id(name)
    with changing(place(context)) as client:
        found = client.call(operation, device=name, **arguments)
    _told(found, as_json=as_json)


def _told(found: dict[str, Any], *, as_json: bool) -> None:
    """The live test: a mark, the step, when or what is missing."""
    if as_json:
        output.as_json(found)
        return
    from console.live_test_words import why_words  # noqa: PLC0415 needed here alone
    from model.installation import STEP_WORDS, Step  # noqa: PLC0415 as above

    zh = language(os.environ) == "zh"
    for row in found["steps"]:
        words, why = STEP_WORDS[Step(row["step"])], why_words(row["why"])
        mark = {"seen": "✓", "skipped": "–"}.get(row["state"], "…")
        said = row["time"] or (row["why"] and (why.zh if zh else why.en)) or ""
        typer.echo(f"{mark} {words.zh if zh else words.en}\t{said}")
    if found["waiting"]:
        typer.echo(text("install.waiting", alarm=found["waiting"]["alarm"], until=found["waiting"]["until"]))
    if found["off_m"] is not None:
        typer.echo(text("install.off", metres=found["off_m"]))
