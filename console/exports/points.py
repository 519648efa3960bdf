"""Points on their way into an export: in the datum asked for, as columns of values for texts, cut where a line must not go on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from console.point_keys import POINT_KEYS
from console.track_rows import DEFAULT_PLACE_DECIMALS, columns_of
from model.batch import PointBatch
from model.datum import from_wgs84

#: Decimals of a place. The store keeps six in WGS-84; what is computed from them has a seventh, a centimetre, so that
#: the way back gives the stored six again.
PLACE_DECIMALS = {"wgs84": DEFAULT_PLACE_DECIMALS, "gcj02": 7, "bd09": 7}
#: Which of `POINT_KEYS` are what in texts.
BOOL_KEYS = ("valid", "ignition", "occupied", "armed", "buffered")
LIST_KEYS = ("alarms", "marks")


def in_datum(points: PointBatch, datum: str) -> PointBatch:
    """The points with their places in `datum`."""
    lat, lon = from_wgs84(datum, points.lat, points.lon)
    return replace(points, lat=lat, lon=lon)


def value_columns(points: PointBatch, datum: str) -> dict[str, list[Any]]:
    """`POINT_KEYS` and `extra` to JSON-ready values, the places as they are; `extra` is JSON text or None."""
    columns = dict(zip(POINT_KEYS, columns_of(points, place_decimals=PLACE_DECIMALS[datum]), strict=True))
    columns["extra"] = extra_texts(points)
    return columns


def text_columns(points: PointBatch, datum: str) -> dict[str, list[Any]]:
    """As `value_columns`, with lists as words beside each other and booleans as true and false; None where nothing was sent."""
    columns = value_columns(points, datum)
    words = {True: "true", False: "false", None: None}
    for key in BOOL_KEYS:
        columns[key] = [words[value] for value in columns[key]]
    for key in LIST_KEYS:
        columns[key] = [" ".join(value) or None for value in columns[key]]
    return columns


def extra_texts(points: PointBatch) -> list[str | None]:
    """What else a device sent, as compact JSON; bytes that are none as a JSON string."""
    texts: list[str | None] = [None] * len(points)
    for row, raw in points.extra.items():
        try:
            texts[row] = msgspec.json.format(raw, indent=-1).decode()
        except (msgspec.DecodeError, UnicodeDecodeError):
            texts[row] = msgspec.json.encode(raw.decode("utf-8", "replace")).decode()
    return texts


def with_place(points: PointBatch) -> PointBatch:
    """The points that have a place."""
    has: npt.NDArray[np.bool_] = np.isfinite(points.lat) & np.isfinite(points.lon)
    return points if has.all() else points.take(has)


def pieces(points: PointBatch, max_rows: int) -> Iterator[PointBatch]:
    """The points, `max_rows` at most at a time."""
    if len(points) <= max_rows:
        yield points
        return
    for start in range(0, len(points), max_rows):
        yield points.take(np.arange(start, min(start + max_rows, len(points))))


class Runs:
    """Cuts one device's points after another into runs without a gap longer than `gap_ms`."""

    def __init__(self, gap_ms: int) -> None:
        self._gap_ms = gap_ms
        self._device = ""
        self._last_ms = 0

    def cut(self, device: str, time_ms: npt.NDArray[np.int64]) -> tuple[bool, npt.NDArray[np.int64]]:
        """Whether it is another device than before, and the rows at which a new run begins (0 too, when one does there)."""
        new = device != self._device
        before = np.concatenate(([time_ms[0] if new else self._last_ms], time_ms[:-1]))
        starts = np.flatnonzero(time_ms - before > self._gap_ms)
        if new:
            starts = np.concatenate(([0], starts))
        self._device, self._last_ms = device, int(time_ms[-1])
        return new, starts
