"""`Grid` and `trace`: a plane of cells over all fences, and which cells an edge may touch.

Invariants: cells are counted in powers of two, so that a cell of a finer level is found from the same product by shifts
alone; the outermost ring of cells touches no fence, so that whatever lies outside is clipped into it; `trace` errs on
the side of touching: every cell whose box, grown by `MARGIN` on all sides, meets the edge is among those it gives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: How far a cell's box is grown, parts of the cell.
MARGIN = 2.0**-10
#: No cell is smaller (11 cm): a thousandth of it is still far above what rounding moves a place of 180 degrees (1e-13).
MIN_CELL_DEG = 1e-6
#: Fences end so far within the outermost ring of cells, parts of a cell.
_GAP = 2.0**-5
#: A cell that is split becomes 4 x 4 cells of the next level.
SPLIT_BITS = 2
SPLIT = 1 << SPLIT_BITS
BLOCK = SPLIT * SPLIT
#: Bits of the smallest grid, each way: the empty ring and something within.
_LEAST_BITS = 2


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells of level 0 number row * 2**bits_x + column.

    Attributes:
        west, south: its corner, degrees.
        cell_lon, cell_lat: size of a cell of level 0, degrees.
        bits_x, bits_y: 2**bits columns and rows.
        depth: levels below level 0 that there may be.
    """

    west: float
    south: float
    cell_lon: float
    cell_lat: float
    bits_x: int
    bits_y: int
    depth: int

    @property
    def cells(self) -> int:
        """Cells of level 0."""
        return 1 << (self.bits_x + self.bits_y)

    def size(self, level: int) -> tuple[float, float]:
        """Degrees of longitude and latitude of a cell of a level."""
        parts = float(1 << (SPLIT_BITS * level))
        return self.cell_lon / parts, self.cell_lat / parts

    def corner(self, column: Ints, row: Ints, level: int) -> tuple[Floats, Floats]:
        """South-west corners (lon, lat) of cells."""
        width, height = self.size(level)
        return np.asarray(self.west + column * width, np.float64), np.asarray(self.south + row * height, np.float64)


@dataclass(frozen=True, slots=True)
class Edges:
    """Straight edges of all rings, the lower end first; columns of shape (e,).

    Attributes:
        x0, y0, x1, y1: degrees, y0 <= y1.
        fence: int64, ascending: index of the fence.
    """

    x0: Floats
    y0: Floats
    x1: Floats
    y1: Floats
    fence: Ints

    def __len__(self) -> int:
        return len(self.x0)


def make_grid(edges: Edges, area_deg2: float, *, max_cells: int, max_covered: int, edges_a_point: float) -> Grid:
    """The coarsest grid on which a place anywhere meets at most `edges_a_point` edges on average, within the limits.

    Args:
        edges: at least one.
        area_deg2: of all fences together, square degrees.
        max_cells: most cells of level 0.
        max_covered: most pairs of a cell and a fence that covers it, about.
        edges_a_point: the goal.
    """
    west, east = float(min(edges.x0.min(), edges.x1.min())), float(max(edges.x0.max(), edges.x1.max()))
    south, north = float(edges.y0.min()), float(edges.y1.max())
    wide, high = max(east - west, MIN_CELL_DEG), max(north - south, MIN_CELL_DEG)
    across, up = float(np.abs(edges.x1 - edges.x0).sum()), float((edges.y1 - edges.y0).sum())
    lean = np.log2(wide / high)
    grid = _grid(2 * _LEAST_BITS, lean, west, south, wide, high)
    for bits in range(2 * _LEAST_BITS + 1, max(max_cells, 1).bit_length()):
        finer = _grid(bits, lean, west, south, wide, high)
        covered = area_deg2 / (finer.cell_lon * finer.cell_lat)
        if covered > max_covered or min(finer.cell_lon, finer.cell_lat) < MIN_CELL_DEG:
            break
        if (len(edges) + across / grid.cell_lon + up / grid.cell_lat) / grid.cells <= edges_a_point:
            break
        grid = finer
    return grid


def _grid(bits: int, lean: float, west: float, south: float, wide: float, high: float) -> Grid:
    bits_x = int(np.clip(np.rint((bits + lean) / 2), _LEAST_BITS, bits - _LEAST_BITS))
    bits_y = bits - bits_x
    cell_lon, cell_lat = (side / ((1 << bits) - 2 - 2 * _GAP) for side, bits in ((wide, bits_x), (high, bits_y)))
    smallest = min(cell_lon, cell_lat)
    depth = max(int(np.log2(smallest / MIN_CELL_DEG) / SPLIT_BITS), 0) if smallest > MIN_CELL_DEG else 0
    # Columns and rows of the finest level are taken as int32.
    depth = min(depth, (30 - max(bits_x, bits_y)) // SPLIT_BITS)
    before = 1 + _GAP
    return Grid(west - before * cell_lon, south - before * cell_lat, cell_lon, cell_lat, bits_x, bits_y, depth)


def spread(counts: Ints) -> tuple[Ints, Ints]:
    """For counts c: each index repeated c times, and 0 .. c - 1 beside it; both of shape (sum(c),)."""
    which = np.repeat(np.arange(len(counts)), counts)
    ends = np.cumsum(counts)
    return which, np.arange(len(which)) - (ends - counts)[which]


def spans(start: npt.NDArray[np.integer], counts: npt.NDArray[np.integer]) -> tuple[Ints, Ints]:
    """For ranges from `start` of `counts` each: which range, and its numbers one after the other; shape (sum(counts),)."""
    which = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(which))
    number += (start - (np.cumsum(counts) - counts))[which]
    return which, number


def trace(
    grid: Grid, level: int, edges: Edges, of: Ints, columns: tuple[Ints, Ints], rows: tuple[Ints, Ints]
) -> tuple[Ints, Ints, Ints]:
    """Cells of a level that edges may touch: index into `of`, column, row; ascending by the first and the row.

    Args:
        grid: the cells.
        level: which of them.
        edges: the edges.
        of: which of them, indices of shape (k,).
        columns: first and last column that is wanted, shape (k,) each.
        rows: the same for rows.
    """
    width, height = grid.size(level)
    x0, y0, x1, y1 = edges.x0[of], edges.y0[of], edges.x1[of], edges.y1[of]
    # Twice the margin: rounding must not take away from the first.
    beside, above = 2 * MARGIN * width, 2 * MARGIN * height
    first = np.maximum(np.floor((y0 - above - grid.south) / height).astype(np.int64), rows[0])
    last = np.minimum(np.floor((y1 + above - grid.south) / height).astype(np.int64), rows[1])
    which, row = spread(np.maximum(last - first + 1, 0))
    row += first[which]
    # The part of the edge within the band of the row, by how far along it enters and leaves.
    x, y, right, rise = x0[which], y0[which], (x1 - x0)[which], (y1 - y0)[which]
    bottom = grid.south + row * height
    with np.errstate(divide="ignore", invalid="ignore"):
        enters = np.fmin(np.fmax((bottom - above - y) / rise, 0.0), 1.0)
        leaves = np.fmax(np.fmin((bottom + height + above - y) / rise, 1.0), 0.0)
    flat = rise == 0.0
    enters[flat], leaves[flat] = 0.0, 1.0
    one, other = x + enters * right, x + leaves * right
    low, high = np.minimum(one, other) - beside, np.maximum(one, other) + beside
    start = np.maximum(np.floor((low - grid.west) / width).astype(np.int64), columns[0][which])
    end = np.minimum(np.floor((high - grid.west) / width).astype(np.int64), columns[1][which])
    of_row, column = spread(np.maximum(end - start + 1, 0))
    column += start[of_row]
    return which[of_row], column, row[of_row]
