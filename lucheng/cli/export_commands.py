"""`export`: tracks as files that say what they are, and the check of such a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from console.exports.verify import SIDECAR_SUFFIX, sidecar, verify
from lucheng.cli import output
from lucheng.cli.approval_option import ApprovalId
from lucheng.cli.choose import reading
from lucheng.cli.frame import command, group, place
from lucheng.cli.read_commands import Json, Purpose, Times
from lucheng.cli.saving import STANDARD_OUTPUT, check_new, save, save_pieces
from lucheng.cli.texts import text
from model.device import check_device_id
from model.errors import Corrupt

#: Of what is told of an export, what is said when it has been saved.
_SAID = ("points", "devices", "datum", "bytes", "sha256")

export = group("export")


@export.command("tracks", help=text("export.tracks"))
@command
def export_tracks(
    context: typer.Context,
    *,
    start: Annotated[str, typer.Option("--from", help=text("opt.from"), metavar="TIME")],
    end: Annotated[str, typer.Option("--to", help=text("opt.to"), metavar="TIME")],
    devices: Annotated[list[str] | None, typer.Option("--device", help=text("export.device"), metavar="DEVICE")] = None,
    kind: Annotated[str, typer.Option("--kind", help=text("export.kind"), metavar="KIND")] = "",
    form: Annotated[str, typer.Option("--format", help=text("export.format"), metavar="FORMAT")] = "csv",
    datum: Annotated[str, typer.Option("--datum", help=text("export.datum"), metavar="DATUM")] = "wgs84",
    out: Annotated[str, typer.Option("--out", "-o", help=text("export.out"), metavar="FILE")] = STANDARD_OUTPUT,
    plain: Annotated[bool, typer.Option("--plain", help=text("export.plain"))] = False,
    purpose: Purpose = None,
    approval: ApprovalId = "",
) -> None:
    for device in devices or []:
        check_device_id(device)
    check_new(out)
    if out != STANDARD_OUTPUT:
        check_new(out + SIDECAR_SUFFIX)
    with reading(place(context)) as client:
        times = Times(client)
        told, pieces = client.stream(
            "export_tracks",
            from_ms=times.read(start),
            to_ms=times.read(end),
            devices=devices or None,
            kind=kind,
            form=form,
            datum=datum,
            plain=plain,
            purpose=purpose,
            approval=approval,
        )
        saved = save_pieces(out, _checked(pieces, told["sha256"]))
    if saved:
        save(out + SIDECAR_SUFFIX, sidecar(Path(out).name, told["sha256"], told))
        typer.echo(text("export.saved", file=out, **{key: told[key] for key in _SAID}))


def _checked(pieces: Iterable[bytes], sha256: str) -> Iterator[bytes]:
    """The pieces; Corrupt after the last when they are not what was sent."""
    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece)
        yield piece
    if found.hexdigest() != sha256:
        raise Corrupt(f"What arrived has SHA-256 {found.hexdigest()}, not {sha256}.", mend="Export it again.")


@export.command("verify", help=text("export.verify"))
@command
def export_verify(
    context: typer.Context,
    *,
    file: Annotated[Path, typer.Argument(help=text("arg.file"), metavar="FILE")],
    as_json: Json = False,
) -> None:
    del context  # the file is all it takes
    found = verify(file)
    told = {"sha256": found.sha256, "bytes": found.size_bytes, "format": found.form, "heading": dict(found.heading)}
    if as_json:
        output.as_json({"ok": True, **told})
        return
    typer.echo(text("export.holds", file=file))
    output.pairs(told)
