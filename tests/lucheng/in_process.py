"""The command line in this process: the same arguments, output and exit status, without a start of the interpreter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from lucheng.cli.root import app


@dataclass(frozen=True)
class Done:
    """What a command did."""

    returncode: int
    stdout: str
    stderr: str


def lucheng(data: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Done:
    """Run one command to its end; an error that is none of ours is raised."""
    done = CliRunner().invoke(app, ["--data", str(data), *arguments], env=env)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Done(done.exit_code, done.stdout, done.stderr)


def answer(data: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Any:
    """The JSON that a command prints with `--json`; fails the test with its words when it ends badly."""
    done = lucheng(data, *arguments, "--json", env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
