"""Following the feed of alarms on a terminal: one line an event, over every restart of the service.

Invariants: no event is left out and none is shown twice, for each reconnection goes on after the last number seen; an alarm
that has just come on the screen is told to the service as shown, beside the reading and never in its way.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import typer

from console.client import RemoteClient
from console.socket_path import SOCKET_NAME
from lucheng.cli import output
from lucheng.cli.choose import service_answers
from lucheng.cli.frame import Place, printable
from lucheng.cli.texts import text
from lucheng.cli.times import local_text
from model.errors import LuchengError, TryAgain

RECONNECT_S = 0.5
#: Alarms told as shown in one call.
MAX_SHOWN = 500
_LAST_TELL_S = 2.0

#: An event and the way to write a time, to a line.
Line = Callable[[Mapping[str, Any], Callable[[str], str]], str]


class Shown:
    """Tells the service, on a thread of its own, which alarms stand on the screen; those that came meanwhile in one call."""

    def __init__(self, client: RemoteClient) -> None:
        self._client = client
        self._ids: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="shown", daemon=True)
        self._thread.start()

    def add(self, alarm: str) -> None:
        """This one stands on the screen."""
        self._ids.put(alarm)

    def close(self) -> None:
        """Tell what is left, for a moment at most."""
        self._ids.put(None)
        self._thread.join(_LAST_TELL_S)

    def _run(self) -> None:
        ending = False
        while not ending:
            taken = [self._ids.get()]
            while len(taken) < MAX_SHOWN and not self._ids.empty():
                taken.append(self._ids.get())
            ending = None in taken
            ids = [alarm for alarm in taken if alarm is not None]
            while ids and not self._told(ids):
                time.sleep(RECONNECT_S)  # it is away: they stand on the screen all the same

    def _told(self, ids: list[str]) -> bool:
        try:
            self._client.call("alarm_shown", alarms=ids)
        except TryAgain:
            return False
        except LuchengError as error:
            typer.echo(printable(str(error)), err=True)
        return True


def watch(here: Place, after: int | None, purpose: str | None, *, as_json: bool, line: Line) -> None:
    """Print events until interrupted.

    Raises TryAgain when no service runs at the start, and what the service answers to the first request.
    """
    if not service_answers(here):
        raise TryAgain(f"No service runs on {here.data_dir}.", mend="Start it with `lucheng run`.")
    client = RemoteClient(here.data_dir / SOCKET_NAME)
    shown = None if as_json else Shown(client)
    try:
        _Watch(client, after, purpose, shown, line).run()
    finally:
        if shown is not None:
            shown.close()


class _Watch:
    def __init__(
        self, client: RemoteClient, after: int | None, purpose: str | None, shown: Shown | None, line: Line
    ) -> None:
        self._client = client
        self._last = after
        self._purpose = purpose
        self._shown = shown
        self._line = line
        self._zone = str(client.call("about")["time_zone"])
        self._begun = False
        self._away = False

    def run(self) -> None:
        while True:
            try:
                for line in self._client.watch(after=self._last, purpose=self._purpose, every_line=True):
                    self._take(line)
            except TryAgain:
                if not self._begun:
                    raise
            if not self._away:
                typer.echo(text("alarm.gone", number=self._last), err=True)
            self._away = True
            time.sleep(RECONNECT_S)

    def _take(self, line: dict[str, Any]) -> None:
        self._begun = True
        if self._away:
            typer.echo(text("alarm.back"), err=True)
            self._away = False
        if "heartbeat" in line:
            self._last = line["heartbeat"]
            return
        self._last = line["number"]
        if self._shown is None:
            output.as_json(line)
            return
        typer.echo(self._line(line, self._clock))
        if line["alarm"]["shown"] is None and line["alarm"]["work"] == "new":
            self._shown.add(line["alarm"]["alarm"])

    def _clock(self, time_text: str) -> str:
        return local_text(time_text, self._zone).partition(" ")[2]
