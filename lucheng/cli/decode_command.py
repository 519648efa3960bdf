"""`decode`: frames of terminals explained field by field; needs neither service nor data folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from lucheng.cli import output
from lucheng.cli.frame import printable
from lucheng.cli.read_commands import Json
from lucheng.cli.texts import text
from model.errors import BadInput, UsageError

#: Lines that are explained of one file.
MAX_LINES = 1_000_000
_HEAD = ("protocol", "message_id", "message", "number", "serial", "version", "part", "checksum_ok")


def decode(
    context: typer.Context,
    *,
    what: Annotated[str, typer.Argument(help=text("decode.what"), metavar="HEX|FILE")],
    protocol: Annotated[str, typer.Option("--protocol", help=text("decode.protocol"))] = "auto",
    as_json: Json = False,
) -> None:
    from ingest.explain import CODECS, explain  # noqa: PLC0415 NumPy costs 0.1 s

    del context
    if protocol != "auto" and protocol not in CODECS:
        raise UsageError(f"{protocol[:40]!r} is no protocol.", mend="Use auto, " + ", ".join(CODECS) + ".")
    bad = 0
    for number, line in enumerate(_lines(what)):
        told = explain(line, protocol)
        bad += bool(told["error"])
        if as_json:
            output.as_json(told)
        else:
            if number:
                typer.echo("")
            _show(told)
    if bad:
        raise typer.Exit(1)


def _lines(what: str) -> Iterator[str]:
    """The frames: the argument itself, the lines of the file it names, or of standard input (`-`)."""
    path = Path(what)
    try:
        named = what == "-" or path.is_file()
    except (OSError, ValueError):
        named = False  # too long for a file name: it is the frame itself
    if not named:
        if not set(what) <= set("0123456789abcdefABCDEFxX \t-:,_"):
            raise UsageError(
                f"{what[:60]!r} is neither a file nor hex.", mend="Give a frame in hex, a file with one a line, or -."
            )
        yield what
        return
    try:
        raw = sys.stdin.buffer.read() if what == "-" else path.read_bytes()
        lines = raw.decode("ascii").splitlines()
    except OSError as error:
        raise BadInput(f"{what} cannot be read: {error.strerror}.", mend="Check its name and mode.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{what} is no text.", mend="Write one frame a line, in hex.") from error
    if len(lines) > MAX_LINES:
        raise BadInput(f"{what} has {len(lines)} lines, more than {MAX_LINES}.", mend="Split it.")
    yield from (line for line in lines if line.strip())


def _show(told: dict[str, Any]) -> None:
    output.pairs({key: told[key] for key in _HEAD if told[key] is not None})
    _tree(told["fields"] or {}, "  ")
    if told["error"]:
        typer.echo(text("error", message=printable(told["error"])))


def _tree(value: dict[str, Any], indent: str) -> None:
    """Nested fields, one a line; the elements of a list of groups numbered."""
    for key, inner in value.items():
        if isinstance(inner, list) and inner and isinstance(inner[0], dict):
            inner = {str(number): one for number, one in enumerate(inner)}  # noqa: PLW2901 shown like a group
        if isinstance(inner, dict) and inner:
            typer.echo(f"{indent}{key}")
            _tree(inner, indent + "  ")
        else:
            typer.echo(f"{indent}{key}\t{output.cell(inner)}")
