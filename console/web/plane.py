"""The map's plane: Web Mercator, viewports and grid clusters, on columns.

Purpose: which places a viewport holds, and what stands for them where they are too many to be shown one by one. Invariants:
everything in is WGS-84 degrees; a box may cross the antimeridian (its west is then greater than its east), and its edges
count as inside; every place lies in exactly one cell, the counts of the cells sum to the number of places, and a cluster
lies in the middle of its places. It holds no state and knows no device.

Source of the projection: OGC 17-083r4, "Two Dimensional Tile Matrix Set", annex D (WebMercatorQuad); J. P. Snyder, "Map
Projections, a Working Manual" (1987), (7-2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.errors import UsageError

#: Where the square of Web Mercator ends, degrees.
MAX_LAT_DEG = 85.05112877980659
MIN_ZOOM, MAX_ZOOM = 0.0, 24.0
#: Cells along one side of a 512-pixel tile: a cell is 64 pixels wide.
CELLS_PER_TILE_POWER = 3
_MAX_CELL_POWER = 30

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Box(NamedTuple):
    """A viewport's bounds in degrees."""

    west: float
    south: float
    east: float
    north: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Box:
        """From `[west, south, east, north]`; longitudes are turned into -180..180. Raises UsageError."""
        if len(values) != 4 or not all(math.isfinite(value) for value in values):
            raise UsageError("The box is not four numbers.", mend="Give west, south, east, north in degrees.")
        west, south, east, north = (float(value) for value in values)
        if not -90.0 <= south <= north <= 90.0 or not -540.0 <= west <= east <= 540.0 + 360.0:
            raise UsageError(
                "The box is none.",
                mend="Give west, south, east, north in degrees, south below north and west left of east.",
            )
        if east - west >= 360.0:
            return cls(-180.0, south, 180.0, north)
        return cls(_turned(west), south, _turned(east), north)

    @classmethod
    def parse(cls, text: str) -> Box:
        """From `west,south,east,north`. Raises UsageError."""
        parts = text.split(",", 4)
        try:
            return cls.of([float(part) for part in parts])
        except ValueError as error:
            raise UsageError("The box is not four numbers.", mend="Write west,south,east,north.") from error

    @property
    def width_deg(self) -> float:
        """How wide it is."""
        return (self.east - self.west) % 360.0 if self.west > self.east else self.east - self.west

    def grown(self, share: float) -> Box:
        """The box with `share` of its own size more on each side."""
        wide, high = self.width_deg * share, (self.north - self.south) * share
        south, north = max(self.south - high, -90.0), min(self.north + high, 90.0)
        if self.width_deg + 2.0 * wide >= 360.0:
            return Box(-180.0, south, 180.0, north)
        return Box(_turned(self.west - wide), south, _turned(self.east + wide), north)

    def holds(self, other: Box) -> bool:
        """Whether `other` lies wholly within it."""
        if other.south < self.south or other.north > self.north:
            return False
        if self.width_deg >= 360.0:
            return True
        start = (other.west - self.west) % 360.0
        return start + other.width_deg <= self.width_deg


def _turned(lon: float) -> float:
    """A longitude within -180..180; both ends stay what they are."""
    return lon if -180.0 <= lon <= 180.0 else (lon + 180.0) % 360.0 - 180.0


def checked_zoom(zoom: float) -> float:
    """The zoom of a map of 512-pixel tiles. Raises UsageError."""
    if not MIN_ZOOM <= zoom <= MAX_ZOOM:  # NaN, too
        raise UsageError(f"A zoom of {zoom:g}.", mend=f"Give {MIN_ZOOM:g} to {MAX_ZOOM:g}.")
    return float(zoom)


def within(box: Box, lat: Floats, lon: Floats) -> npt.NDArray[np.bool_]:
    """Which places lie in the box, shape (n,); its edges count."""
    inside = (lat >= box.south) & (lat <= box.north)
    if box.west <= box.east:
        return inside & (lon >= box.west) & (lon <= box.east)
    return inside & ((lon >= box.west) | (lon <= box.east))


def mercator(lat: Floats, lon: Floats) -> tuple[Floats, Floats]:
    """Places on the square of Web Mercator: x and y from 0 to 1, y from the north down."""
    sine = np.sin(np.radians(np.clip(lat, -MAX_LAT_DEG, MAX_LAT_DEG)))
    return (lon + 180.0) / 360.0, 0.5 - np.arctanh(sine) / (2.0 * np.pi)


@dataclass(frozen=True, slots=True)
class Clusters:
    """Places gathered by the cells of a grid, ordered by cell, row by row from the north-west.

    Attributes:
        power: the square has `2 ** power` cells along each side.
        x, y: int64 (k,), the cells' columns and rows.
        lat, lon: float64 (k,), the middle of each cell's places.
        count: int64 (k,), how many they are.
        first: int64 (k,), the row of one of them: the lowest.
    """

    power: int
    x: Ints
    y: Ints
    lat: Floats
    lon: Floats
    count: Ints
    first: Ints


def cell_power(zoom: float) -> int:
    """How fine the grid is at a zoom."""
    return min(int(zoom) + CELLS_PER_TILE_POWER, _MAX_CELL_POWER)


def clusters(lat: Floats, lon: Floats, power: int) -> Clusters:
    """The places, shape (n,), by cells of the grid of `2 ** power` by `2 ** power`."""
    side = 1 << power
    x, y = mercator(lat, lon)
    column = np.clip((x * side).astype(np.int64), 0, side - 1)
    row = np.clip((y * side).astype(np.int64), 0, side - 1)
    key = (row << 32) | column
    cells, first, place, count = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    size = len(cells)
    return Clusters(
        power,
        cells & 0xFFFFFFFF,
        cells >> 32,
        np.bincount(place, lat, size) / np.maximum(count, 1),
        np.bincount(place, lon, size) / np.maximum(count, 1),
        count.astype(np.int64),
        first.astype(np.int64),
    )
