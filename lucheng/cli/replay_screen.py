"""A replay as pictures on a terminal: a map in Braille dots, where everybody is, what happened last.

It asks nobody and decides nothing; a name from a device cannot drive the terminal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lucheng.cli.frame import printable
from lucheng.cli.replay_lines import Line
from lucheng.cli.replay_playing import Picture
from lucheng.cli.texts import text
from lucheng.cli.times import local_text
from lucheng.plot import Canvas

WIDTH_CELLS, HEIGHT_CELLS = 72, 16
#: Devices with a row of their own.
SHOWN_DEVICES = 12
_COLUMNS = ("device", "lat", "lon", "km/h", "occupied", "")


class Screen:
    """Shows pictures; a context manager.

    Args:
        devices: the named ones; empty: of all.
        vehicles: how many devices it is of.
        zone: the city's time zone.
        lines: latitudes and longitudes of each piece of the drawn lines; they set the map's bounds. None: the first
            picture with places does.
    """

    def __init__(
        self,
        devices: Sequence[str],
        vehicles: int,
        zone: str,
        lines: Sequence[tuple[Sequence[float], Sequence[float]]] | None,
        console: Console | None = None,
    ) -> None:
        self._devices, self._vehicles, self._zone = devices, vehicles, zone
        self._lines = None if lines is None else [(np.array(lat), np.array(lon)) for lat, lon in lines]
        self._canvas: Canvas | None = None
        self._live = Live(console=console or Console(), auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, picture: Picture) -> None:
        """Draw it."""
        self._live.update(self.page(picture), refresh=True)

    def page(self, picture: Picture) -> Panel:
        """The picture as rich draws it."""
        state = text("replay.playing", rate=f"{picture.rate:g}") if picture.playing else text("replay.paused")
        done = picture.at_ms - picture.from_ms
        head = Text.assemble(
            (local_text(_rfc3339(picture.at_ms), self._zone)[:-4], "bold"),
            f" {self._zone}  {state}  ",
            text("replay.placed", placed=len(picture.frame["device"]), vehicles=self._vehicles),
        )
        bar = ProgressBar(total=picture.to_ms - picture.from_ms, completed=done, width=WIDTH_CELLS)
        parts: list[Any] = [head, bar, Text(), self._map(picture.frame), Text(), self._table(picture.frame)]
        parts += [Text(event_text(line, self._zone)) for line in picture.events]
        parts += [Text(), Text(text("replay.keys"), style="dim")]
        return Panel(Group(*parts), width=WIDTH_CELLS + 4)

    def _map(self, frame: Mapping[str, Any]) -> Text:
        lat, lon = np.array(frame["lat"], np.float64), np.array(frame["lon"], np.float64)
        if self._canvas is None:
            pieces = self._lines or [(lat, lon)]
            bounds = [np.concatenate(column) for column in zip(*pieces, strict=True)]
            if not len(bounds[0]):
                return Text("\n" * (HEIGHT_CELLS - 1))
            self._canvas = Canvas(*bounds, width_cells=WIDTH_CELLS, height_cells=HEIGHT_CELLS)
        if self._lines is None:
            return Text("\n".join(self._canvas.drawn([(lat, lon)], lines=False)), style="green")
        drawn = Text("\n".join(self._canvas.drawn(self._lines, lines=True)), style="green")
        for row, column in zip(*(places.tolist() for places in self._canvas.cells(lat, lon)), strict=True):
            at = row * (WIDTH_CELLS + 1) + column
            drawn = drawn[:at] + Text("●", style="bold red") + drawn[at + 1 :]
        return drawn

    def _table(self, frame: Mapping[str, Any]) -> Table:
        table = Table(*_COLUMNS, box=None, header_style="bold", pad_edge=False)
        rows = {device: row for row, device in enumerate(frame["device"])}
        wanted = self._devices or frame["device"]
        for device in wanted[:SHOWN_DEVICES]:
            row = rows.get(device)
            if row is None:
                table.add_row(printable(device), "", "", "", "", text("replay.silent"))
                continue
            known = {key: frame[key][row] for key in ("speed_kmh", "occupied")}
            table.add_row(
                printable(device),
                f"{frame['lat'][row]:.6f}",
                f"{frame['lon'][row]:.6f}",
                "" if known["speed_kmh"] < 0 else str(known["speed_kmh"]),
                ("", text("replay.what.free"), text("replay.what.occupied"))[known["occupied"] + 1],
                text("replay.between" if frame["interpolated"][row] else "replay.point"),
            )
        if len(wanted) > SHOWN_DEVICES:
            table.add_row(text("replay.more", count=len(wanted) - SHOWN_DEVICES))
        return table


def event_text(line: Line, zone: str) -> str:
    """An event as a line for people: local time, device, what, and what is worth knowing of it."""
    row, what = line["of"], line["what"]
    said = {
        "trip_end": lambda: f"{row['distance_m'] / 1_000:.2f} km",
        "stop_end": lambda: f"{row['duration_s']:.0f} s",
        "gap_end": lambda: f"{row['duration_s']:.0f} s",
        "camera_in": lambda: f"{row['camera']} {row['name']} {row['range_m']:.0f} m",
        "camera_out": lambda: str(row["camera"]),
        "signal": lambda: f"{row['kind']} {row['note']}",
        "alarm": lambda: f"{row['alarm']} {row['kind']}",
        "evidence": lambda: f"{row['evidence']} {row['kind']} {row['device']}",
    }.get(what, str)()
    shown = (local_text(line["time"], zone)[:-4], line["device"], text(f"replay.what.{what}"), said)
    return printable("  ".join(part for part in shown if part)).replace("\n", " ")


def _rfc3339(time_ms: int) -> str:
    from console.track_rows import time_text  # noqa: PLC0415 NumPy is there already, the console's rows not always

    return time_text(time_ms)
