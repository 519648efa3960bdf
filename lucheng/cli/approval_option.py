"""`--approval`: the option of every command that may read what is wide."""

from __future__ import annotations

from typing import Annotated

import typer

from lucheng.cli.texts import text

#: "" none; else as `console.wide_gate.check_wide` takes it.
ApprovalId = Annotated[str, typer.Option("--approval", help=text("opt.approval"), metavar="ID")]
