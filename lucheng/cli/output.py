"""What commands print: JSON for programs, tables for people, bytes as they are."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import typer

from lucheng.cli.frame import printable
from lucheng.cli.texts import text

#: Rows of a track on a terminal; the middle of a longer one is left out.
DEFAULT_SCREEN_ROWS = 40


def as_json(value: Any) -> None:
    """The value as one line of JSON."""
    typer.echo(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def pieces(parts: Iterable[bytes]) -> None:
    """Bytes to standard output as they come, and a line end."""
    out = sys.stdout.buffer
    for part in parts:
        out.write(part)
    out.write(b"\n")
    out.flush()


def cell(value: Any) -> str:
    """One value for a table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return " ".join(f"{key}={cell(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return " ".join(cell(item) for item in value)
    return printable(str(value)).replace("\n", " ")


Rows = Sequence[Mapping[str, Any]]


def table(
    columns: Sequence[str], rows: Rows, *, bounded: bool = False, made: Callable[[Rows], Rows] = lambda rows: rows
) -> None:
    """Rows as a table on a terminal, as tab-separated lines with a header elsewhere.

    Args:
        columns: keys of the rows, in order; they are the header.
        rows: what to show.
        bounded: on a terminal, leave out the middle of more than `DEFAULT_SCREEN_ROWS` rows.
        made: what is done to the rows that are shown, e.g. local times.
    """
    if not sys.stdout.isatty():
        typer.echo("\t".join(columns))
        for row in made(rows):
            typer.echo("\t".join(cell(row.get(key)).replace("\t", " ") for key in columns))
        return
    if not rows:
        typer.echo(text("none"))
        return
    half = DEFAULT_SCREEN_ROWS // 2
    if bounded and len(rows) > DEFAULT_SCREEN_ROWS:
        _on_screen(columns, made(rows[:half]))
        typer.echo(text("more", count=len(rows) - 2 * half))
        _on_screen(columns, made(rows[-half:]))
    else:
        _on_screen(columns, made(rows))


def _on_screen(columns: Sequence[str], rows: Rows) -> None:
    from rich.console import Console  # noqa: PLC0415 costs 0.1 s, and pipes need none
    from rich.table import Table  # noqa: PLC0415 as above
    from rich.text import Text  # noqa: PLC0415 as above

    shown = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        shown.add_row(*(Text(cell(row.get(key))) for key in columns))
    Console().print(shown)


def pairs(values: Mapping[str, Any], prefix: str = "") -> None:
    """A mapping as `key<tab>value` lines; nested ones with dotted keys."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            pairs(value, f"{prefix}{key}.")
        else:
            typer.echo(f"{prefix}{key}\t{cell(value)}")
