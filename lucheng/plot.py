"""A track as a small picture of Braille dots, for a terminal. Pure: columns in, lines of text out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

#: Bit of each dot of a Braille cell, [row of 4][column of 2] (Unicode block "Braille Patterns", U+2800).
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.uint8)
_BLANK = 0x2800


def braille_track(
    lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64], *, width_cells: int, height_cells: int
) -> list[str]:
    """Draw a track into `height_cells` lines of `width_cells` characters, north up, true to shape.

    `lat` and `lon`, shape (n,), are WGS-84 degrees in order of time; lines are drawn between
    neighbours; a character is 2 × 4 dots.
    """
    grid = np.zeros((height_cells, width_cells), dtype=np.uint8)
    good = np.isfinite(lat) & np.isfinite(lon)
    lat, lon = lat[good], lon[good]
    if len(lat):
        x, y = _dots(lat, lon, width_cells * 2, height_cells * 4)
        x, y = _joined(x), _joined(y)
        np.bitwise_or.at(grid, (y >> 2, x >> 1), _DOTS[y & 3, x & 1])
    return ["".join(chr(_BLANK + cell) for cell in row) for row in grid.tolist()]


class Canvas:
    """A map of fixed bounds in Braille dots, for pictures that follow each other.

    Args:
        lat, lon: all places that will be drawn, WGS-84 degrees; they set the bounds.
        width_cells, height_cells: size; a character is 2 x 4 dots.
    """

    def __init__(
        self, lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64], *, width_cells: int, height_cells: int
    ) -> None:
        good = np.isfinite(lat) & np.isfinite(lon)
        lat, lon = (lat[good], lon[good]) if good.any() else (np.zeros(1), np.zeros(1))
        self._shape = (height_cells, width_cells)
        self._south, self._west = float(lat.min()), float(lon.min())
        self._shrink = float(np.cos(np.radians(lat.mean())))
        width, height = width_cells * 2, height_cells * 4
        high, wide = float(lat.max()) - self._south, (float(lon.max()) - self._west) * self._shrink
        self._span = max(wide / max(width - 1, 1), high / max(height - 1, 1), 1e-9)
        self._left = (width - 1 - round(wide / self._span)) // 2
        self._top = (height - 1 - round(high / self._span)) // 2
        self._height = height

    def cells(
        self, lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Row and column of the character in which each place lies; those beyond the bounds lie at the edge."""
        x, y = self._at(lat, lon)
        return y >> 2, x >> 1

    def drawn(
        self, pieces: Sequence[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]], *, lines: bool
    ) -> list[str]:
        """A dot for each place, or (`lines`) a line through the places of each piece."""
        grid = np.zeros(self._shape, np.uint8)
        for lat, lon in pieces:
            x, y = self._at(lat, lon)
            if lines:
                x, y = _joined(x), _joined(y)
            np.bitwise_or.at(grid, (y >> 2, x >> 1), _DOTS[y & 3, x & 1])
        return ["".join(chr(_BLANK + cell) for cell in row) for row in grid.tolist()]

    def _at(
        self, lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        x = np.rint((lon - self._west) * self._shrink / self._span).astype(np.int64) + self._left
        y = self._height - 1 - self._top - np.rint((lat - self._south) / self._span).astype(np.int64)
        return np.clip(x, 0, self._shape[1] * 2 - 1), np.clip(y, 0, self._height - 1)


def _dots(
    lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64], width: int, height: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Dot columns and rows: one scale for both axes, longitudes shrunk by the latitude's cosine."""
    east = (lon - lon.min()) * np.cos(np.radians(lat.mean()))
    north = lat - lat.min()
    span = max(float(east.max()) / max(width - 1, 1), float(north.max()) / max(height - 1, 1), 1e-9)
    x = np.rint(east / span).astype(np.int64)
    y = height - 1 - np.rint(north / span).astype(np.int64)
    return x + (width - 1 - int(x.max())) // 2, y - (int(y.min())) // 2


def _joined(values: npt.NDArray[np.int64], dots_per_leg: int = 48) -> npt.NDArray[np.int64]:
    """Interpolate between neighbours so that legs show as lines."""
    if len(values) < 2:
        return values
    steps = np.arange(dots_per_leg) / dots_per_leg
    legs = values[:-1, None] + (values[1:] - values[:-1])[:, None] * steps
    joined: npt.NDArray[np.int64] = np.append(np.rint(legs).astype(np.int64).ravel(), values[-1])
    return joined
