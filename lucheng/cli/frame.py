"""The frame of every command: shared options, errors as words and exit status, never a traceback for one of ours."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from lucheng.cli.texts import text
from model.errors import LuchengError

DATA_ENV = "LUCHENG_DATA"
DEFAULT_DATA = "lucheng-data"
#: What `console.wide_gate` calls it; importing that costs 0.2 s.
_BREAK_GLASS = "break-glass:"


Data = Annotated[Path | None, typer.Option("--data", help=text("opt.data"), metavar="DIR")]
Config = Annotated[Path | None, typer.Option("--config", help=text("opt.config"), metavar="FILE")]


@dataclass(slots=True)
class Place:
    """Where a command works: `--data` and `--config`, before or after the command's name."""

    data: Path | None = None
    config: Path | None = None

    @property
    def data_dir(self) -> Path:
        """The data folder."""
        return self.data or Path(os.environ.get(DATA_ENV) or DEFAULT_DATA)


def place(context: typer.Context) -> Place:
    """The `Place` of this call."""
    found: Place = context.ensure_object(Place)
    return found


def report(error: LuchengError) -> None:
    """The error on standard error: what is wrong, then what to do."""
    typer.echo("lucheng: " + text("error", message=printable(error.message)), err=True)
    if error.mend:
        typer.echo(text("mend", mend=printable(error.mend)), err=True)


def printable(message: str) -> str:
    """The text without control characters (a device name must not drive the terminal); lines stay."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in message)


def command(function: Callable[..., None]) -> Callable[..., None]:
    """The function as a command: with `--data` and `--config` of its own, and our errors as words and exit status.

    Its first parameter is `context: typer.Context`.
    """

    def run(context: typer.Context, data: Path | None, config: Path | None, **arguments: Any) -> None:
        here = place(context)
        here.data, here.config = data or here.data, config or here.config
        if str(arguments.get("approval") or "").startswith(_BREAK_GLASS):
            typer.echo(text("approval.banner"), err=True)
        try:
            function(context, **arguments)
            sys.stdout.flush()
        except LuchengError as error:
            _give_up_output()
            report(error)
            raise typer.Exit(error.exit_status) from error
        except BrokenPipeError:
            _give_up_output()  # the reader has what it wanted
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            _give_up_output()
            typer.echo(text("interrupted"), err=True)
            raise typer.Exit(130) from None

    own = inspect.signature(function, eval_str=True)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in (("data", Data), ("config", Config))
    ]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own.parameters.values()]
    run.__signature__ = inspect.Signature([*parameters, *added])  # type: ignore[attr-defined]
    run.__annotations__ = {}
    run.__name__, run.__doc__ = function.__name__, None
    return run


def _give_up_output() -> None:
    """Flush what was printed; when its reader went away, see that it is not tried again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def group(key: str, **options: Any) -> typer.Typer:
    """A Typer app whose help is the text `key`."""
    return typer.Typer(
        help=text(key), no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, **options
    )
