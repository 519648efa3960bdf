"""Following cameras on a terminal: a line for each change, over every restart of the service.

Invariants: the first look prints how each camera is; a change that came and went between two looks is not seen (the
signals have it). It asks again and again, and the service notes that once a minute.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import typer

from console.client import RemoteClient
from console.socket_path import SOCKET_NAME
from lucheng.cli import output
from lucheng.cli.camera_lines import Changes, change_line, gone_line
from lucheng.cli.choose import service_answers
from lucheng.cli.frame import Place
from lucheng.cli.texts import text
from model.errors import NotFound, TryAgain

PAGE_ROWS = 10_000


def watch(
    here: Place, cameras: list[str], *, every_s: float, for_s: float | None, purpose: str | None, as_json: bool
) -> None:
    """Print changes until interrupted, or for `for_s` seconds.

    Raises TryAgain when no service runs at the start, NotFound for a camera that is not set up then, and what the service
    answers to the first look.
    """
    if not service_answers(here):
        raise TryAgain(f"No service runs on {here.data_dir}.", mend="Start it with `lucheng run`.")
    client = RemoteClient(here.data_dir / SOCKET_NAME)
    changes = Changes(cameras)
    end_s = None if for_s is None else time.monotonic() + for_s
    begun = away = False
    while True:
        try:
            changed, gone = changes.look(every_row(client, purpose))
        except TryAgain:
            if not begun:
                raise
            if not away:
                typer.echo(text("camera.away"), err=True)
            away = True
        else:
            if not begun and changes.missing():
                raise NotFound(
                    text("camera.no_cameras", cameras=" ".join(changes.missing())),
                    mend="`lucheng camera list` shows which there are.",
                )
            begun, away = True, False
            _tell(changed, gone, as_json=as_json)
        if end_s is not None and time.monotonic() + every_s > end_s:
            return
        time.sleep(every_s)


def every_row(client: RemoteClient, purpose: str | None) -> Iterator[dict[str, Any]]:
    """The list of all cameras, page by page."""
    after = -1
    while True:
        page = client.call("camera_list", after=after, limit=PAGE_ROWS, purpose=purpose)
        yield from page
        if len(page) < PAGE_ROWS:
            return
        after = page[-1]["slot"]


def _tell(changed: list[Any], gone: list[str], *, as_json: bool) -> None:
    clock = time.strftime("%H:%M:%S")
    for row in changed:
        output.as_json(row) if as_json else typer.echo(change_line(row, clock))
    for camera in gone:
        output.as_json({"camera": camera, "gone": True}) if as_json else typer.echo(gone_line(camera, clock))
