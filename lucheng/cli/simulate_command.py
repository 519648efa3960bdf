"""`terminal simulate`: a terminal on the command line that shows what it says and hears."""

from __future__ import annotations

import json
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ingest.gateway.masking import SECRET_IDS, shown_frame
from lucheng.cli.output import cell
from lucheng.cli.texts import in_language, text
from model.clock import SystemClock
from model.codes import Reason
from model.errors import BadInput
from simulator.terminal.hearing import Traffic
from simulator.terminal.script import ACTIONS, Player, Step, parse
from simulator.terminal.terminal import Terminal
from simulator.terminal.wire import Protocol

#: How long the last answers may take, seconds.
DEFAULT_LAST_ANSWERS_S = 3.0
_FOREVER_S = 10 * 365 * 86_400.0
_WAIT_S = 0.02


def epilog() -> str:
    """The actions of a script, for `--help`."""
    rows = [f"{action.usage}: {in_language(action.words)}" for action in ACTIONS.values()]
    # An empty line between two keeps them apart in the help.
    return text("simulate.actions") + "\n\n" + "\n\n".join(rows)


class _Printer:
    """Prints each message as a line, whole, whatever thread it comes from."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._clock = SystemClock()
        self._one_by_one = threading.Lock()

    def __call__(self, one: Traffic) -> None:
        when = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC).isoformat(timespec="milliseconds")
        values, raw = _plain(one.values), one.raw
        if one.message_id in SECRET_IDS:  # who reads over a shoulder, or a log, must not speak as the terminal
            raw = shown_frame(raw, Reason.BAD_BODY)
            values |= {"token": "***"} if "token" in values else {}
        if self._as_json:
            row = {
                "time": when.replace("+00:00", "Z"), "up": one.up, "message": one.name,
                "message_id": f"0x{one.message_id:04X}", "serial": one.serial, "values": values, "note": one.note,
                "hex": raw.hex(),
            }  # fmt: skip
            line = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        else:
            way = text("simulate.up" if one.up else "simulate.down")
            said = " ".join(part for part in (cell(values), one.note) if part)
            line = "\t".join((when[11:23], way, one.name, f"0x{one.message_id:04X}", str(one.serial), said))
        with self._one_by_one:
            typer.echo(line)


def _plain(value: Any) -> Any:
    """The value with hex for bytes and texts for keys, as JSON wants it."""
    if isinstance(value, dict):
        return {f"0x{key:04X}" if isinstance(key, int) else key: _plain(item) for key, item in value.items()}
    return value.hex() if isinstance(value, bytes) else value


def simulate(
    context: typer.Context,
    *,
    port: Annotated[int, typer.Option("--port", help=text("simulate.port"), min=1, max=65_535)],
    protocol: Annotated[Protocol, typer.Option("--protocol", help=text("simulate.protocol"))] = Protocol.JT808,
    number: Annotated[str, typer.Option("--number", help=text("simulate.number"))] = "13800000001",
    plate: Annotated[str, typer.Option("--plate", help=text("simulate.plate"))] = "",
    token: Annotated[str, typer.Option("--token", help=text("simulate.token"))] = "",
    host: Annotated[str, typer.Option("--host", help=text("simulate.host"))] = "127.0.0.1",
    script: Annotated[str | None, typer.Option("--script", help=text("simulate.script"), metavar="FILE")] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", help=text("simulate.seconds"), min=0)] = None,
    rate: Annotated[float, typer.Option("--rate", help=text("simulate.rate"), min=0.001, max=1_000)] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help=text("simulate.json"))] = False,
) -> None:
    del context
    check_number(number, protocol)
    steps = [] if script is None else _steps(script)
    clock = SystemClock()
    terminal = Terminal(
        host, port, protocol=protocol, number=number, plate=plate, token=token, clock=clock,
        watch=_Printer(as_json=as_json),
    )  # fmt: skip
    with terminal:
        terminal.come_online()
        player = Player(terminal, clock, rate_per_s=rate)
        player.play(steps)
        drive_s = seconds if seconds is not None else (0.0 if steps else _FOREVER_S)
        if drive_s > 0:
            player.drive(drive_s)
        until_s = clock.monotonic_s() + DEFAULT_LAST_ANSWERS_S
        while terminal.busy and clock.monotonic_s() < until_s:
            clock.sleep(_WAIT_S)
        left = len(terminal.link.unanswered())
    if left:
        typer.echo(text("simulate.unanswered", count=left), err=True)


def check_number(number: str, protocol: Protocol) -> None:
    """BadInput for a number that has no place on the wire."""
    most = {Protocol.JT808_2019: 20, Protocol.GT06: 16}.get(protocol, 12)
    if not (number.isascii() and number.isdecimal() and len(number) <= most):
        raise BadInput(f"{number[:40]!r} is no number of a {protocol} terminal.", mend=f"Give at most {most} digits.")


def _steps(script: str) -> list[Step]:
    path = Path(script)
    try:
        written = sys.stdin.read() if script == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The script {script} cannot be read: {error}.", mend="Give a text file.") from error
    return parse(written, Path() if script == "-" else path.parent)
