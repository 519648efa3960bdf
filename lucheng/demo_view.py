"""What the demo shows in the terminal: rates, the counters of the invariant, the newest track.

Purpose: draw a `Picture`; a live page on a terminal, a line a second elsewhere. It asks no
service; it reads the token of the live view, to show where that is.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from console.live.guard import TOKEN_FIELD
from console.live.tokens import read_token_file
from lucheng.cli.texts import text
from lucheng.demo_service import LOOPBACK
from lucheng.plot import braille_track
from model.errors import LuchengError

PLOT_WIDTH_CELLS = 60
PLOT_HEIGHT_CELLS = 9
PAGE_WIDTH_CELLS = 92


@dataclass(slots=True)
class Picture:
    """One look at the service.

    Attributes:
        counters: received, stored, duplicate, quarantined by reason, in_flight.
        devices: registered devices; devices_by_kind: the same by kind.
        signals: alarms and risen alarm bits kept.
        live: state of the running service by name.
        points_per_s: received a second of late.
        rated_s, rated_points: when that was last taken, monotonic seconds (0: not yet), and what had been received by then.
        track_device, track: whose newest track, and its (lat, lon) pairs.
        lines: what became of the alarms, of commands and of evidence, oldest first.
    """

    counters: dict[str, Any] = field(default_factory=lambda: {"received": 0, "quarantined": {}})
    devices: int = 0
    devices_by_kind: dict[str, int] = field(default_factory=dict)
    signals: int = 0
    live: dict[str, float] = field(default_factory=dict)
    points_per_s: float = 0.0
    rated_s: float = 0.0
    rated_points: int = 0
    track_device: str = ""
    track: list[tuple[float, float]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def in_flight(self) -> int:
        """Points that are in the log and not accounted for yet."""
        return int(self.counters.get("in_flight", 0))


class View:
    """Shows pictures; a context manager.

    Args:
        refresh_ms: time between two pictures.
        live: False shows nothing until the summary.
        program: name of the broker's program, for the title.
    """

    def __init__(self, refresh_ms: int, *, live: bool, program: str) -> None:
        self._console = Console()
        self._shown = live
        self._program = program
        #: The live view's token, for its address on the page; None: there is no live view.
        self.page_file: Path | None = None
        self._told: list[str] = []
        self._live = Live(console=self._console, auto_refresh=False, transient=True) if self._is_page else None
        self.refresh_s = refresh_ms / 1000 if self._is_page or not live else 1.0

    @property
    def _is_page(self) -> bool:
        return self._shown and self._console.is_terminal

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def tell(self, lines: list[str]) -> None:
        """What stands above every picture: where the console is and who may sign in; once where lines are printed."""
        self._told = lines
        if self._shown and self._live is None:
            sys.stdout.write("".join(f"{line}\n" for line in lines))
            sys.stdout.flush()

    @staticmethod
    def epoch_ms(time: str) -> int:
        """UTC ms of an RFC 3339 time."""
        return round(datetime.fromisoformat(time).timestamp() * 1000)

    def show(self, picture: Picture) -> None:
        """Show the picture: redraw the page, or print a line."""
        if self._live is not None:
            self._live.update(self.page(picture), refresh=True)
        elif self._shown:
            counters = picture.counters
            sys.stdout.write(
                text(
                    "demo.line",
                    rate=round(picture.points_per_s),
                    online=round(picture.live.get("devices_online", 0)),
                    received=counters["received"],
                    stored=counters.get("stored", 0),
                    in_flight=picture.in_flight,
                )
                + "\n"
            )
            sys.stdout.flush()

    def page(self, picture: Picture) -> Panel:
        """The page as rich draws it."""
        numbers = Table.grid(padding=(0, 2))
        for _ in range(2):  # two columns of names and values, so that the alarms below have room
            numbers.add_column(style="cyan")
            numbers.add_column(justify="right", style="bold")
        left, right = picture_rows(picture)
        for one, other in zip_longest(left, right, fillvalue=("", "")):
            numbers.add_row(*one, *other)
        parts: list[Any] = [Text(line, style="bold yellow", overflow="fold") for line in self._told]
        parts += [Text(), numbers] if parts else [numbers]
        if picture.track:
            lat, lon = (np.array(column, dtype=np.float64) for column in zip(*picture.track, strict=True))
            drawn = braille_track(lat, lon, width_cells=PLOT_WIDTH_CELLS, height_cells=PLOT_HEIGHT_CELLS)
            title = text("demo.track", device=picture.track_device, points=len(picture.track))
            parts += [Text(), Text(title, style="cyan"), Text("\n".join(drawn), style="green")]
        if picture.lines:
            parts += [Text(), Text(text("demo.alarms"), style="cyan")]
            parts += [Text(line, style="yellow" if "▲" in line else "", no_wrap=True) for line in picture.lines]
        address = self._live_view(picture)
        if address:
            parts += [Text(), Text(text("demo.live_view"), style="cyan"), Text(address, overflow="fold")]
        return Panel(
            Group(*parts),
            title=text("demo.title", broker=self._program),
            subtitle=text("demo.stop"),
            width=PAGE_WIDTH_CELLS,
        )

    def _live_view(self, picture: Picture) -> str:
        """Address of the live view, which is there for as long as the demo."""
        port = round(picture.live.get("live_port", 0))
        if self.page_file is None or not port:
            return ""
        try:
            return f"http://{LOOPBACK}:{port}/?{TOKEN_FIELD}={read_token_file(self.page_file)}"
        except LuchengError:
            return ""

    def summary(self, picture: Picture) -> None:
        """The last picture, left on the screen."""
        self._console.print(self.page(picture))


def picture_rows(picture: Picture) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Names and values, in the order in which they are shown: what was received and became of it, and what goes on."""
    counters, live = picture.counters, picture.live
    balance = [
        (text("demo.received"), f"{counters['received']:,}"),
        (text("demo.stored"), f"{counters.get('stored', 0):,}"),
        (text("demo.duplicate"), f"{counters.get('duplicate', 0):,}"),
        (text("demo.quarantined"), f"{sum(counters['quarantined'].values()):,}"),
        (text("demo.in_flight"), f"{picture.in_flight:,}"),
    ]
    balance += [(f"  {reason}", f"{count:,}") for reason, count in counters["quarantined"].items()]
    now = [
        (text("demo.rate"), f"{picture.points_per_s:,.0f}"),
        (text("demo.online"), f"{live.get('devices_online', 0):,.0f} / {picture.devices:,}"),
        (text("demo.lag"), f"{live.get('lag_ms', 0):,.0f} ms"),
        (text("demo.signals"), f"{picture.signals:,}"),
    ]
    if live.get("gateway_jt_port"):
        now += [
            (text("demo.terminals"), f"{live['gateway_sessions']:,.0f}"),
            (text("demo.commands"), f"{live['commands_sent']:,.0f} / {live['commands_answered']:,.0f}"),
            (text("demo.kept"), f"{live['evidence_bytes'] / 1024:,.0f} KiB"),
        ]
    return balance, now
