"""`device`, `site`, `jurisdiction`, `broker`: who may speak."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lucheng.cli import output
from lucheng.cli.choose import changing, reading, settings_of
from lucheng.cli.frame import command, group, place
from lucheng.cli.read_commands import Json, Limit
from lucheng.cli.texts import text
from model.device import check_device_id
from model.errors import BadInput, UsageError

device = group("device")
site = group("site")
jurisdiction = group("jurisdiction")
broker = group("broker")

DeviceId = Annotated[str, typer.Argument(help=text("arg.device"), metavar="DEVICE")]
DryRun = Annotated[bool, typer.Option("--dry-run", help=text("opt.dry_run"))]
_COLUMNS = ("device", "number", "enabled", "name", "plate", "imei", "phone", "model", "site", "gateway", "protocol")
_PAGE_ROWS = 10_000
_MAX_SECRET_BYTES = 4_096


def _field(name: str) -> Any:
    return typer.Option(f"--{name.replace('_', '-')}", help=text("device.field", field=name), rich_help_panel=None)


def file_bytes(path: Path, max_bytes: int, setting: str = "devices.max_import_bytes") -> bytes:
    """The file's bytes; BadInput when it cannot be read or is larger than `max_bytes`, which `setting` says."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(max_bytes + 1)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.", mend="Name a file that is there.") from error
    if len(raw) > max_bytes:
        raise BadInput(f"{path} is larger than {max_bytes} bytes.", mend=f"Split it, or raise {setting}.")
    return raw


def _secret(path: str) -> str:
    """A secret from a file or, for `-`, standard input: never from the command line, which others can see."""
    raw = sys.stdin.buffer.readline(_MAX_SECRET_BYTES) if path == "-" else file_bytes(Path(path), _MAX_SECRET_BYTES)
    try:
        return raw.decode().split("\n", 1)[0].strip()
    except UnicodeDecodeError as error:
        raise BadInput("The stream address is not UTF-8.", mend="Save the file as UTF-8.") from error


@device.command("add", help=text("device.add"))
@command
def device_add(
    context: typer.Context,
    *,
    name_of: DeviceId,
    name: Annotated[str, _field("name")] = "",
    plate: Annotated[str, _field("plate")] = "",
    imei: Annotated[str, _field("imei")] = "",
    phone: Annotated[str, _field("phone")] = "",
    model: Annotated[str, _field("model")] = "",
    owner_ref: Annotated[str, _field("owner_ref")] = "",
    site_id: Annotated[str, _field("site")] = "",
    gateway: Annotated[str, _field("gateway")] = "",
    lat: Annotated[float | None, _field("lat")] = None,
    lon: Annotated[float | None, _field("lon")] = None,
    protocol: Annotated[str, typer.Option("--protocol", help=text("device.protocol"))] = "",
    rtsp_file: Annotated[str, typer.Option("--rtsp-file", help=text("device.rtsp"), metavar="FILE")] = "",
    as_json: Json = False,
) -> None:
    check_device_id(name_of)
    rtsp = _secret(rtsp_file) if rtsp_file else ""
    with changing(place(context)) as client:
        added = client.call(
            "device_add",
            device=name_of,
            name=name,
            plate=plate,
            imei=imei,
            phone=phone,
            model=model,
            owner_ref=owner_ref,
            site=site_id,
            gateway=gateway,
            lat=lat,
            lon=lon,
            rtsp=rtsp,
            protocol=protocol,
        )
    output.as_json(added) if as_json else typer.echo(text("added", device=name_of, number=added["number"]))


@device.command("list", help=text("device.list"))
@command
def device_list(
    context: typer.Context,
    *,
    words: Annotated[str, typer.Argument(help=text("device.text"), metavar="[TEXT]")] = "",
    kind: Annotated[str, typer.Option("--kind", help=text("device.kind"))] = "",
    enabled: Annotated[bool | None, typer.Option("--enabled/--disabled")] = None,
    limit: Annotated[int | None, typer.Option("--limit", help=text("opt.limit"), min=1)] = None,
    as_json: Json = False,
) -> None:
    rows: list[dict[str, Any]] = []
    with reading(place(context)) as client:
        after = -1
        while limit is None or len(rows) < limit:
            page = _PAGE_ROWS if limit is None else min(_PAGE_ROWS, limit - len(rows))
            found = client.call("device_list", kind=kind, text=words, enabled=enabled, after=after, limit=page)
            rows += found
            if len(found) < page:
                break
            after = found[-1]["slot"]
    output.as_json(rows) if as_json else output.table(_COLUMNS, rows)


@device.command("show", help=text("device.show"))
@command
def device_show(context: typer.Context, *, name_of: DeviceId, as_json: Json = False) -> None:
    check_device_id(name_of)
    with reading(place(context)) as client:
        found = client.call("device_show", device=name_of)
    output.as_json(found) if as_json else output.pairs(found)


@device.command("enable", help=text("device.enable"))
@command
def device_enable(context: typer.Context, *, name_of: DeviceId, as_json: Json = False) -> None:
    _switch(context, name_of, "device_enable", "enabled", as_json=as_json)


@device.command("disable", help=text("device.disable"))
@command
def device_disable(context: typer.Context, *, name_of: DeviceId, as_json: Json = False) -> None:
    _switch(context, name_of, "device_disable", "disabled", as_json=as_json)


def _switch(context: typer.Context, name: str, operation: str, said: str, *, as_json: bool) -> None:
    check_device_id(name)
    with changing(place(context)) as client:
        changed = client.call(operation, device=name)
    output.as_json(changed) if as_json else typer.echo(text(said, device=name))


@device.command("credentials", help=text("device.credentials"))
@command
def device_credentials(
    context: typer.Context,
    *,
    name_of: DeviceId,
    revoke: Annotated[bool, typer.Option("--revoke", help=text("device.revoke"))] = False,
    as_json: Json = False,
) -> None:
    check_device_id(name_of)
    with changing(place(context)) as client:
        made = client.call("device_credentials", device=name_of, action="revoke" if revoke else "new")
    if as_json:
        output.as_json(made)
    elif revoke:
        typer.echo(text("revoked", device=name_of))
    else:
        typer.echo(text("password", device=name_of, password=made["password"]))


@device.command("import", help=text("device.import"))
@command
def device_import(
    context: typer.Context,
    *,
    file: Annotated[Path, typer.Argument(help=text("arg.file"), metavar="FILE")],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    raw = file_bytes(file, settings_of(place(context)).devices.max_import_bytes)
    with changing(place(context)) as client:
        found = client.call("device_import", data=raw, dry_run=dry_run)
    _imported(found, dry_run=dry_run, as_json=as_json)


@site.command("add", help=text("site.add"))
@command
def site_add(
    context: typer.Context,
    *,
    name_of: Annotated[str, typer.Argument(help=text("arg.site"), metavar="SITE")],
    lat: Annotated[float, _field("lat")],
    lon: Annotated[float, _field("lon")],
    name: Annotated[str, _field("name")] = "",
    contact: Annotated[str, _field("contact")] = "",
    phone: Annotated[str, _field("phone")] = "",
    cameras: Annotated[list[str] | None, typer.Option("--camera", help=text("site.camera"))] = None,
    as_json: Json = False,
) -> None:
    with changing(place(context)) as client:
        added = client.call(
            "site_add", site=name_of, name=name, contact=contact, phone=phone, lat=lat, lon=lon, cameras=cameras or []
        )
    output.as_json(added) if as_json else output.pairs(added)


@site.command("list", help=text("site.list"))
@command
def site_list(context: typer.Context, *, limit: Limit = 100, as_json: Json = False) -> None:
    with reading(place(context)) as client:
        rows = client.call("site_list", limit=limit)
    output.as_json(rows) if as_json else output.table(
        ("site", "name", "contact", "phone", "lat", "lon", "cameras"), rows
    )


def _imported(found: dict[str, Any], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        output.as_json(found)
    else:
        told = [
            {**row, "reason": row["reason"] or row["note"]}
            for row in found["rows"]
            if row["result"] == "refused" or row["note"]
        ]
        if told:
            output.table(("line", "device", "result", "reason"), told, bounded=True)
        typer.echo(text("dry" if dry_run else "imported", counts=output.cell(found["counts"])))
    counts = found["counts"]
    if counts["refused"] and counts["refused"] == sum(counts.values()):
        raise typer.Exit(1)  # nothing of the file could be used


@jurisdiction.command("import", help=text("jurisdiction.import"))
@command
def jurisdiction_import(
    context: typer.Context,
    *,
    file: Annotated[Path, typer.Argument(help=text("arg.file"), metavar="FILE")],
    as_json: Json = False,
) -> None:
    raw = file_bytes(file, settings_of(place(context)).devices.max_import_bytes)
    with changing(place(context)) as client:
        found = client.call("jurisdiction_import", data=raw)
    output.as_json(found) if as_json else output.pairs(found)


@broker.command("files", help=text("broker.files"))
@command
def broker_files(
    context: typer.Context,
    *,
    out: Annotated[Path, typer.Option("--out", help=text("broker.out"), metavar="DIR")],
    as_json: Json = False,
) -> None:
    from console.operations import Caller  # noqa: PLC0415 NumPy and the stores cost 0.2 s
    from lucheng.operating import operations_of  # noqa: PLC0415 as above
    from lucheng.rooms import open_rooms, operating_system_user  # noqa: PLC0415 as above

    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is no folder.", mend="Name a folder, or one that is to be made.")
    # always in this process: the files, and the service's password beside them, belong to who asked
    from lucheng.broker_password import service_password  # noqa: PLC0415 as above

    data_dir, settings = place(context).data_dir, settings_of(place(context))
    password_file = service_password(data_dir, settings, out)
    with open_rooms(data_dir, settings, write=False) as rooms:
        made = operations_of(rooms).broker_files(Caller(operating_system_user(), "cli", "process"), out)
    made["files"].append(str(password_file))
    output.as_json(made) if as_json else typer.echo(text("files", files=output.cell(made["files"])))


@broker.command("issuer", help=text("broker.issuer"))
@command
def broker_issuer(context: typer.Context) -> None:
    from devices.secrets import SealedSecrets  # noqa: PLC0415 as above
    from lucheng.nats_mqtt import KEY_LABEL  # noqa: PLC0415 as above
    from lucheng.rooms import SECRET_KEY_FILE, open_rooms  # noqa: PLC0415 as above
    from store.nats.nkeys import key_of, text_of  # noqa: PLC0415 as above

    data_dir, settings = place(context).data_dir, settings_of(place(context))
    with open_rooms(data_dir, settings, write=False) as rooms:
        secret = SealedSecrets(rooms.registry.file, data_dir / SECRET_KEY_FILE).derived_key(KEY_LABEL)
    typer.echo(text_of(key_of(secret)))
