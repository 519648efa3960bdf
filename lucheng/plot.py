"""A track as a small picture of Braille dots, for a terminal. Pure: columns in, lines of text out."""

from __future__ import annotations

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
