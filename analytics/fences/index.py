"""`FenceIndex`: which places lie in which fences, for whole columns.

Purpose: answer as shapely's `covers` does for each place and each fence, at a small part of its cost. Invariants: a place
in a cell that a fence covers or does not touch needs no test; in the others the few edges of the cell decide, and what
lies nearer than 0.1 mm to one of those is left to shapely itself. The answer for a place depends on nothing else
in the batch. It knows no rules, devices or schedules, and is used by one thread at a time.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from analytics.fences.grid import BLOCK, SPLIT, SPLIT_BITS, spread
from analytics.fences.levels import Levels, Limits
from analytics.fences.shapes import shape_of
from analytics.fences.tables import HIGH, LON, LOW, NEAR_DEG, SLOPE, WEST, Tables, make_tables
from model.fence import Fence, FenceSet

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Cells of all levels, 4 bytes each.
MAX_CELLS = 8_388_608
#: Pairs of a cell and a fence that touches it, 10 bytes each, and 40 for each edge that meets a cell.
MAX_ENTRIES = 8_388_608
#: Edges that a place anywhere meets on average; the cells of the first level are made as small as that needs.
EDGES_A_POINT = 0.15
#: A cell that more edges meet is split. Two fences that share a corner have four edges there.
LEAF_EDGES = 4
#: More edges of one fence in a cell that could not be split: shapely is asked.
ASK_EDGES = 64
#: Rows that are looked at together: their columns stay in the cache.
CHUNK_ROWS = 16_384
#: A shape with more vertices is kept prepared for shapely, which takes it about 100 bytes a vertex once it is asked.
PREPARED_VERTICES = 1_000
_NONE = (np.zeros(0, np.int64), np.zeros(0, np.int64))


class FenceIndex:
    """The enabled fences of a set.

    Args:
        fences: the set.
        max_cells: most cells, 4 bytes each; 0 or few make it slower, never wrong.
        max_entries: most pairs of a cell and a fence that covers or crosses it, about 10 bytes each, that finer cells may
            cost; with each edge (40 bytes for each cell it meets) kept at least once.
        edges_a_point: how fine the first level is made: edges that a place anywhere meets on average.
        leaf_edges: a cell with more edges is split into 4 x 4.

    Raises:
        BadInput: a fence has no shape that can be drawn (see `shape_of`).

    Attributes:
        set: as given.
        fences: the indexed ones, in order of number.
        number: int64, shape (m,), ascending: their numbers.
    """

    def __init__(
        self,
        fences: FenceSet,
        *,
        max_cells: int = MAX_CELLS,
        max_entries: int = MAX_ENTRIES,
        edges_a_point: float = EDGES_A_POINT,
        leaf_edges: int = LEAF_EDGES,
    ) -> None:
        self.set = fences
        self.fences: tuple[Fence, ...] = tuple(
            sorted((fence for fence in fences.fences if fence.enabled), key=lambda fence: fence.number)
        )
        self.number: Ints = np.array([fence.number for fence in self.fences], np.int64)
        self._shapes = np.empty(len(self.fences), object)
        self._shapes[:] = [shape_of(fence) for fence in self.fences]
        self._tables: Tables | None = None
        if not len(self._shapes):
            return
        limits = Limits(max_cells, max_entries, edges_a_point, leaf_edges)
        levels = Levels(self._shapes, limits)
        self._grid, self._depth = levels.grid, levels.depth
        self._tables = make_tables(levels, self._shapes, ASK_EDGES)
        shapely.prepare(self._shapes[shapely.get_num_coordinates(self._shapes) > PREPARED_VERTICES])

    @property
    def memory_bytes(self) -> int:
        """What the tables take; the shapes themselves, some 16 bytes a vertex, not counted."""
        return 0 if self._tables is None else self._tables.memory_bytes

    def hits(self, lat: Floats, lon: Floats) -> tuple[Ints, Ints]:
        """Which places lie in which fences, boundaries included.

        Args:
            lat: float64, shape (n,), degrees; a place with a NaN hits nothing.
            lon: the same.

        Returns:
            Rows and indices into `fences`, int64, shape (h,) each, ascending by row, then fence.
        """
        if self._tables is None or not len(lat):
            return _NONE
        if len(lat) <= CHUNK_ROWS:
            return self._hits(self._tables, lat, lon)
        rows, fences = [], []
        for start in range(0, len(lat), CHUNK_ROWS):
            row, fence = self._hits(self._tables, lat[start : start + CHUNK_ROWS], lon[start : start + CHUNK_ROWS])
            rows.append(row + start)
            fences.append(fence)
        return np.concatenate(rows), np.concatenate(fences)

    def index_of(self, numbers: Ints) -> Ints:
        """Index into `fences` of each number, int64, shape (k,); -1 for one that is not there."""
        if not len(self.number):
            return np.full(len(numbers), -1, np.int64)
        at = np.minimum(np.searchsorted(self.number, numbers), len(self.number) - 1)
        return np.where(self.number[at] == numbers, at, -1)

    def _hits(self, tables: Tables, lat: Floats, lon: Floats) -> tuple[Ints, Ints]:
        value = self._values(tables, lat, lon)
        rows = np.flatnonzero(value)
        value = value[rows]
        covered = len(self._shapes)
        several = np.flatnonzero(value > covered)
        if not len(several):
            return rows, value.astype(np.int64) - 1
        row = rows[several]
        number = value[several] - (covered + 1)
        start = tables.list_start[number]
        of, offset = spread(tables.list_start[number + 1] - start)
        entry = start[of] + offset
        row = row[of]
        hit = np.flatnonzero(self._inside(tables, entry, lat, lon, row))
        found = np.ones(len(rows), np.int64)
        found[several] = np.bincount(of[hit], minlength=len(several))
        at = np.repeat(np.arange(len(rows)), found)
        fence = value[at].astype(np.int64) - 1
        fence[fence >= covered] = tables.fence[entry[hit]]
        return rows[at], fence

    def _values(self, tables: Tables, lat: Floats, lon: Floats) -> npt.NDArray[np.int32]:
        """What the cell of each place holds, blocks looked up; int32, shape (n,), not negative."""
        grid = self._grid
        x, y = (lon - grid.west) * (1.0 / grid.cell_lon), (lat - grid.south) * (1.0 / grid.cell_lat)
        # The outermost cells are empty; NaN goes there as well.
        for axis, bits in ((x, grid.bits_x), (y, grid.bits_y)):
            np.fmax(axis, 0.0, out=axis)
            np.fmin(axis, (1 << bits) - 1, out=axis)
        cell = y.astype(np.int32)
        cell <<= grid.bits_x
        cell |= x.astype(np.int32)
        value = tables.cells.take(cell)
        if not self._depth:
            return value
        deep = np.flatnonzero(value < 0)
        shift = SPLIT_BITS * self._depth
        column, row = (x[deep] * (1 << shift)).astype(np.int32), (y[deep] * (1 << shift)).astype(np.int32)
        last = SPLIT - 1
        while len(deep):
            shift -= SPLIT_BITS
            child = (((row >> shift) & last) << SPLIT_BITS) | ((column >> shift) & last)
            finer = tables.cells.take(grid.cells + (-1 - value[deep]) * BLOCK + child)
            value[deep] = finer
            on = np.flatnonzero(finer < 0)
            deep, column, row = deep[on], column[on], row[on]
        return value

    def _inside(self, tables: Tables, entry: Ints, lat: Floats, lon: Floats, row: Ints) -> npt.NDArray[np.bool_]:
        """Whether each place lies in the fence of its entry."""
        first = tables.edge_start[entry]
        count = tables.edge_start[entry + 1] - first
        of, offset = spread(count)
        edge = tables.edges.take(first[of] + offset, axis=0)
        at = row[of]
        x, y = lon[at], lat[at]
        low, high, slope = edge[:, LOW], edge[:, HIGH], edge[:, SLOPE]
        up = y - low
        right = x - (edge[:, LON] + up * slope)
        crosses = ((up >= 0.0) & (y < high) & (right > 0.0)) ^ (edge[:, WEST] <= y)
        # Written so that an edge due east, whose slope is NaN, counts as near.
        near = (up >= -NEAR_DEG) & (y <= high + NEAR_DEG) & ~(np.abs(right) > NEAR_DEG * (1.0 + np.abs(slope)))
        crossed = np.zeros(len(of) + 1, np.int32)
        np.cumsum(crosses, out=crossed[1:])
        ends = np.cumsum(count)
        inside: npt.NDArray[np.bool_] = tables.inside[entry] ^ ((crossed[ends] - crossed[ends - count]) & 1).astype(
            np.bool_
        )
        ask = tables.ask[entry]
        ask[of[near]] = True
        asked = np.flatnonzero(ask)
        if len(asked):
            shapes = self._shapes[tables.fence[entry[asked]]]
            inside[asked] = shapely.intersects_xy(shapes, lon[row[asked]], lat[row[asked]])
        return inside
